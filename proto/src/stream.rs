//! A TCP connection as two streaming messages, and its window of octets.
//!
//! One service connection is two deliveries: the client stream, from the router with the tcpListener to the router with the
//! tcpConnector, and the server stream back. Each is as long as its half of the connection. The octets follow the sections of
//! [`encode_head`] without any framing of their own.
//!
//! A receiver acknowledges by RECEIVED, whose section-offset counts the octets it has written out; [`WINDOW`] octets may be under way beyond
//! that. On a long way this is what bounds a stream: 5 MB/s at a round trip of 200 ms. So between two routers of ours the receiver may allow
//! more: RECEIVED has a section-number, which means nothing here and is 0 from C routers, and there it counts units of
//! [`ALLOWANCE_UNIT`] octets beyond the window. It is told hop by hop, and only to a neighbor that is known to be ours; a C router anywhere
//! on the way neither gets it nor passes it on, and the window there is as it always was.

use crate::amqp::encode::{self, Null};
use crate::amqp::message::{self, Head, PropertyReader, section};
use crate::amqp::{DecodeError, Encode};

/// What a stream's messages say their content is.
pub const CONTENT_TYPE: &str = "application/octet-stream";

/// Octets that may be under way unacknowledged on one stream: twice what a C router acknowledges at once.
pub const WINDOW: u64 = 2 * 521_216;

/// Octets of a step in which a C router writes. It acknowledges after the step with which 521,216 octets or more are written, so a second time in a
/// window only if the sender goes two steps beyond; otherwise a long way carries half of what the window allows.
const STEP: u64 = 16 * 4072;

/// Octets that a sender has under way beyond what the receiver allows more than the window.
const SENT_AHEAD: u64 = WINDOW + 2 * STEP;
const _: () = assert!(SENT_AHEAD as usize <= MAX_HELD);

/// Octets written after which a receiver acknowledges. A C router waits for 521,216; half of that keeps a sender moving that is a few
/// milliseconds away.
pub const ACKNOWLEDGE: u64 = 260_608;

/// The most octets of one stream that a router holds: the window, what a C router's sender may have read beyond it (8 buffers of 4072
/// octets), and more than a sender of ours goes beyond it.
pub const MAX_HELD: usize = WINDOW as usize + 8 * 4072 + 256 * 1024;

/// What a receiver's allowance is counted in, in octets.
pub const ALLOWANCE_UNIT: u64 = 64 * 1024;

/// The most octets beyond [`WINDOW`] that a receiver allows: with it a stream moves 87 MB/s at a round trip of 200 ms. Each doubling of it
/// doubles what one reader that stops can leave in a router.
pub const MAX_ALLOWANCE: u64 = 16 * 1024 * 1024;

/// The sections of a stream's message up to the octets. The server stream has neither `reply_to` nor `correlation_id`.
pub fn encode_head(to: &str, reply_to: Option<&str>, correlation_id: Option<&str>, alpn: Option<&str>) -> Vec<u8> {
    let text = |text: &str| text.len() + if text.len() < 256 { 2 } else { 5 };
    let fields =
        text(to) + text(CONTENT_TYPE) + [reply_to, correlation_id].map(|field| field.map_or(1, text)).iter().sum::<usize>();
    // To the octet: it is kept for as long as the stream lives.
    let mut out = Vec::with_capacity(36 + fields + alpn.map_or(0, |protocol| text("alpn") + text(protocol)));
    encode::descriptor(&mut out, section::PROPERTIES);
    encode::compound32(&mut out, 0xd0, 7, |out| {
        Null.encode(out);
        Null.encode(out);
        to.encode(out);
        Null.encode(out);
        reply_to.encode(out);
        correlation_id.encode(out);
        // A string, where AMQP has a symbol: C routers write it so.
        CONTENT_TYPE.encode(out);
    });
    encode::descriptor(&mut out, section::APPLICATION_PROPERTIES);
    encode::compound32(&mut out, 0xd1, if alpn.is_some() { 4 } else { 2 }, |out| {
        "V".encode(out);
        1u32.encode(out);
        if let Some(protocol) = alpn {
            "alpn".encode(out);
            protocol.encode(out);
        }
    });
    encode::descriptor(&mut out, section::AMQP_VALUE);
    Null.encode(&mut out);
    out
}

/// What the head of a stream's message says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamHead<'a> {
    /// Where the server stream goes; only a client stream has it.
    pub reply_to: Option<&'a str>,
    /// The flow record of the connection at its listener.
    pub correlation_id: Option<&'a str>,
    /// The application protocol that the client's TLS settled on.
    pub alpn: Option<String>,
}

/// Why a message is no stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAStream {
    /// Its sections do not decode.
    #[error("the message does not decode: {0}")]
    Malformed(#[from] DecodeError),
    /// Its content is something else; a peer of release 2.x sends such.
    #[error("the content type is {0:?}, not {CONTENT_TYPE}: the peer may be of release 2.x, whose services cannot be carried")]
    ContentType(Option<String>),
}

/// Reads the head of a stream's message from its sections, which are whole.
///
/// # Errors
/// Why it is none.
pub fn decode_head<'a>(sections: &'a [u8], head: &Head) -> Result<StreamHead<'a>, NotAStream> {
    let mut properties = PropertyReader::new(head.properties.as_ref(), sections)?;
    properties.pass(4)?;
    let reply_to = properties.string()?;
    let correlation_id = properties.any_text()?;
    match properties.text()? {
        Some(CONTENT_TYPE) => {}
        other => return Err(NotAStream::ContentType(other.map(str::to_owned))),
    }
    let alpn = match &head.application_properties {
        Some(span) => message::application_property(span, sections, "alpn")?,
        None => None,
    };
    Ok(StreamHead { reply_to, correlation_id, alpn: alpn.and_then(|value| value.as_text().map(str::to_owned)) })
}

/// The sender's side of a stream's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendWindow {
    sent: u64,
    acknowledged: u64,
    /// Octets beyond the window that the receiver allows.
    allowance: u64,
    /// The receiver has accepted the whole: it counts no longer.
    open: bool,
}

impl SendWindow {
    /// Counts octets that were handed over.
    pub const fn sent(&mut self, octets: u64) {
        self.sent = self.sent.saturating_add(octets);
    }

    /// Takes an acknowledgement, and what the receiver allows beyond the window from now on. One that goes back, or beyond what was sent,
    /// changes nothing: a stream that was sent again on another way acknowledges 0.
    pub const fn acknowledge(&mut self, octets: u64, allowance: u64) {
        if octets > self.acknowledged && octets <= self.sent {
            self.acknowledged = octets;
            self.allowance = if allowance > MAX_ALLOWANCE { MAX_ALLOWANCE } else { allowance };
        }
    }

    /// The receiver counts no longer.
    pub const fn lift(&mut self) {
        self.open = true;
    }

    /// Octets that may be sent now.
    pub const fn room(&self) -> u64 {
        if self.open { WINDOW } else { (SENT_AHEAD + self.allowance).saturating_sub(self.sent - self.acknowledged) }
    }

    /// Octets sent so far.
    pub const fn total(&self) -> u64 {
        self.sent
    }
}

/// The receiver's side of a stream's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    written: u64,
    acknowledged: u64,
    allowance: u64,
    /// Octets written when the allowance was considered last, the least that has waited since when it was acknowledged, and whether the
    /// reader has had nothing left since.
    considered: u64,
    least: u64,
    starved: bool,
}

impl Default for Receipt {
    fn default() -> Self {
        Self { written: 0, acknowledged: 0, allowance: 0, considered: 0, least: u64::MAX, starved: false }
    }
}

impl Receipt {
    /// Counts octets that were written out; returns what to acknowledge now, if anything. `waiting` tells how many have come that are not
    /// written yet.
    pub fn written(&mut self, octets: u64, waiting: impl FnOnce() -> u64) -> Option<u64> {
        self.written = self.written.saturating_add(octets);
        if self.written - self.acknowledged < ACKNOWLEDGE {
            return None;
        }
        self.acknowledged = self.written;
        self.adapt(waiting());
        Some(self.written)
    }

    /// The reader has taken all there was.
    pub const fn starve(&mut self) {
        self.starved = true;
    }

    /// Once a window: if the reader had nothing left at some time, twice the window may carry more; if something waited for it all the
    /// time, the half carries as much.
    fn adapt(&mut self, waiting: u64) {
        let window = WINDOW + self.allowance;
        self.least = self.least.min(waiting);
        if self.written - self.considered < window {
            return;
        }
        if self.starved {
            self.allowance = (self.allowance + window).min(MAX_ALLOWANCE);
        } else if self.least >= WINDOW {
            self.allowance /= 2;
        }
        (self.considered, self.least, self.starved) = (self.written, u64::MAX, false);
    }

    /// Octets beyond the window that the sender should have under way, for the next acknowledgement.
    pub const fn allowance(&self) -> u64 {
        self.allowance
    }

    /// Octets written so far.
    pub const fn total(&self) -> u64 {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amqp::message::{Scan, scan};
    use proptest::prelude::Rng;
    use proptest::test_runner::{RngAlgorithm, TestRng};
    use std::collections::VecDeque;

    fn head_of(octets: &[u8]) -> Head {
        match scan(octets, false, true) {
            Ok(Scan::Complete(head)) => head,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn client_head_is_what_c_routers_send() {
        let octets = encode_head("echo", Some("amqp:/_topo/0/A/temp.0123456789abcde"), Some("ABCDE:17"), None);
        let mut expected = vec![0x00, 0x53, 0x73, 0xd0, 0, 0, 0, 0x57, 0, 0, 0, 7, 0x40, 0x40, 0xa1, 4];
        expected.extend_from_slice(
            b"echo\x40\xa1\x24amqp:/_topo/0/A/temp.0123456789abcde\xa1\x08ABCDE:17\xa1\x18application/octet-stream",
        );
        expected.extend_from_slice(&[0x00, 0x53, 0x74, 0xd1, 0, 0, 0, 9, 0, 0, 0, 2, 0xa1, 1, b'V', 0x52, 1]);
        expected.extend_from_slice(&[0x00, 0x53, 0x77, 0x40]);
        assert_eq!(octets, expected);
        for octets in [octets, encode_head(&"x".repeat(300), None, None, Some("h2")), encode_head("x", Some("r"), None, None)] {
            assert_eq!(octets.capacity(), octets.len());
        }
    }

    #[test]
    fn head_survives_the_way_and_octets_begin_behind_it() {
        let mut octets = encode_head("a/b", Some("r"), None, Some("h2"));
        let end = octets.len();
        octets.extend_from_slice(b"raw");
        let head = head_of(&octets);
        assert_eq!(head.body.map(|span| span.end), Some(end));
        let read = decode_head(&octets, &head).unwrap();
        assert_eq!(read, StreamHead { reply_to: Some("r"), correlation_id: None, alpn: Some("h2".into()) });
        assert_eq!(message::destination(head.properties.as_ref(), &octets), Ok(Some("a/b")));
    }

    #[test]
    fn other_content_is_no_stream() {
        let octets = [0x00, 0x53, 0x77, 0x40];
        assert_eq!(decode_head(&octets, &head_of(&octets)), Err(NotAStream::ContentType(None)));
    }

    #[test]
    fn window_closes_and_opens() {
        let mut window = SendWindow::default();
        window.sent(SENT_AHEAD);
        assert_eq!(window.room(), 0);
        window.acknowledge(0, 1);
        window.acknowledge(SENT_AHEAD + 1, 1);
        assert_eq!(window.room(), 0);
        window.acknowledge(521_216, 0);
        assert_eq!(window.room(), 521_216);
        window.acknowledge(100, 1);
        assert_eq!(window.room(), 521_216);
        window.acknowledge(521_217, 1000);
        assert_eq!(window.room(), 522_217);
        // Less than is under way already: nothing more for a while.
        window.sent(522_217);
        window.acknowledge(521_218, 0);
        assert_eq!(window.room(), 0);
        window.acknowledge(521_219, u64::MAX);
        assert_eq!(window.room(), MAX_ALLOWANCE - 998);
        window.lift();
        assert_eq!(window.room(), WINDOW);
    }

    #[test]
    fn receipts_come_in_steps() {
        let mut receipt = Receipt::default();
        assert_eq!(receipt.written(ACKNOWLEDGE - 1, || 0), None);
        assert_eq!(receipt.written(2, || 0), Some(ACKNOWLEDGE + 1));
        assert_eq!(receipt.written(ACKNOWLEDGE - 1, || 0), None);
        assert_eq!(receipt.total(), 2 * ACKNOWLEDGE);
    }

    #[test]
    fn who_reads_fast_is_allowed_more_and_who_reads_slowly_less() {
        let mut receipt = Receipt::default();
        let mut steps = Vec::new();
        for _ in 0..200 {
            receipt.starve();
            receipt.written(ACKNOWLEDGE, || 0);
            if steps.last() != Some(&receipt.allowance()) {
                steps.push(receipt.allowance());
            }
        }
        assert_eq!(steps, [0, WINDOW, 3 * WINDOW, 7 * WINDOW, 15 * WINDOW, MAX_ALLOWANCE]);
        // What waits now and then is no reason, nor is little that waits always.
        for n in 0..200 {
            receipt.written(ACKNOWLEDGE, || if n % 40 == 0 { WINDOW - 1 } else { WINDOW });
        }
        assert_eq!(receipt.allowance(), MAX_ALLOWANCE);
        for _ in 0..500 {
            receipt.written(ACKNOWLEDGE, || WINDOW);
        }
        assert_eq!(receipt.allowance(), 0);
    }

    /// Who writes out what comes over a way: a router of ours whose neighbors are ours, one that has a C router on the way, or a C router.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Receiver {
        Ours,
        BehindC,
        C,
    }

    /// A way of so many milliseconds there and back, and so many octets a millisecond; of a hundred segments so many are lost.
    #[derive(Clone, Copy)]
    struct Way {
        round_trip: u64,
        rate: u64,
        loss: f64,
    }

    /// When what was sent on a way arrives: what is lost a round trip later, and what is behind it not before.
    struct Weather(Way, TestRng, u64);

    impl Weather {
        fn new(way: Way) -> Self {
            Self(way, TestRng::deterministic_rng(RngAlgorithm::ChaCha), 0)
        }

        fn arrival(&mut self, now: u64, octets: u64) -> u64 {
            let Self(way, random, last) = self;
            let lost = (0..octets.div_ceil(1448)).any(|_| f64::from(random.next_u32()) < way.loss * f64::from(u32::MAX));
            *last = (*last).max(now + way.round_trip / 2 + if lost { way.round_trip } else { 0 });
            *last
        }
    }

    /// One stream for thirty seconds of virtual time; the reader takes so many octets a millisecond. Octets a second that are written, and the
    /// most that waited for the reader.
    fn carry(way: Way, reader: u64, receiver: Receiver) -> (u64, u64) {
        let (mut window, mut receipt) = (SendWindow::default(), Receipt::default());
        let (mut forth, mut back) = (Weather::new(way), Weather::new(way));
        let (mut there, mut told) = (VecDeque::new(), VecDeque::new());
        let (mut waiting, mut most, mut written, mut acknowledged) = (0, 0, 0, 0);
        for now in 0..30_000 {
            while let Some((_, octets, allowance)) = told.pop_front_if(|(at, _, _)| *at <= now) {
                window.acknowledge(octets, allowance);
            }
            let octets = window.room().min(way.rate);
            window.sent(octets);
            there.push_back((forth.arrival(now, octets), octets));
            while let Some((_, octets)) = there.pop_front_if(|(at, _)| *at <= now) {
                waiting += octets;
            }
            let mut read = waiting.min(reader);
            waiting -= read;
            most = most.max(waiting);
            if waiting == 0 {
                receipt.starve();
            }
            while read > 0 {
                let step = if receiver == Receiver::C { read.min(STEP) } else { read };
                (read, written) = (read - step, written + step);
                let say = match receiver {
                    Receiver::Ours => receipt.written(step, || waiting).map(|octets| (octets, receipt.allowance())),
                    Receiver::BehindC => receipt.written(step, || waiting).map(|octets| (octets, 0)),
                    Receiver::C => (written - acknowledged >= 521_216).then_some((written, 0)),
                };
                if let Some((octets, allowance)) = say {
                    acknowledged = octets;
                    told.push_back((back.arrival(now, 1), octets, allowance));
                }
            }
        }
        (written / 30, most)
    }

    /// 1 Gbit/s.
    const RATE: u64 = 125_000;

    #[test]
    fn a_long_way_carries_what_the_window_allows_and_more_between_routers_of_ours() {
        // Of the rates, the least of each receiver.
        for (round_trip, loss, behind_c, to_c, between_ours) in [
            (50, 0.0, 19_000_000, 19_000_000, 110_000_000),
            (50, 0.01, 10_000_000, 9_500_000, 105_000_000),
            (200, 0.0, 4_800_000, 4_800_000, 70_000_000),
            (200, 0.01, 2_500_000, 2_400_000, 33_000_000),
        ] {
            let way = Way { round_trip, rate: RATE, loss };
            for (receiver, least) in [(Receiver::BehindC, behind_c), (Receiver::C, to_c), (Receiver::Ours, between_ours)] {
                let (octets, waited) = carry(way, u64::MAX, receiver);
                println!("round trip {round_trip} ms, loss {loss}, receiver {receiver:?}: {octets} octets a second");
                assert!(octets >= least, "{octets} octets a second to {receiver:?}");
                assert!(receiver == Receiver::Ours || octets <= SENT_AHEAD * 1000 / round_trip, "{octets}");
                assert_eq!(waited, 0);
            }
        }
        // A reader of 10 MB/s gets nearly all it can take, and what waits for it is little of what may.
        let (octets, waited) = carry(Way { round_trip: 200, rate: RATE, loss: 0.0 }, 10_000, Receiver::Ours);
        assert!(octets > 9_000_000, "{octets}");
        assert!(waited <= MAX_ALLOWANCE / 2, "{waited}");
    }
}
