//! A pair of connections whose applications do anything at any time, and what must hold meanwhile:
//! for tests and fuzzing.
//!
//! Bytes choose what happens next. Every delivery begins with a number that is used once, and goes
//! on with bytes that follow from it. So the receiver knows what should arrive.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};

use super::{
    AttachRequest, Config, Connection, Ending, Event, IncomingKey, Layer, LinkKey, OutgoingKey,
    SessionKey, Usage,
};
use crate::amqp::performative::{Attach, DeliveryState, Error, Role};
use crate::amqp::{Fields, Multiple};
use crate::time::Instant;

/// Returns the byte of a delivery at an offset.
fn octet(number: u64, offset: usize) -> u8 {
    match offset {
        0..8 => number.to_be_bytes()[offset],
        _ => (number.wrapping_mul(31) as usize).wrapping_add(offset) as u8,
    }
}

struct KnownLink {
    session: SessionKey,
    role: Role,
}

struct Sent {
    number: u64,
    link: LinkKey,
    octets: usize,
    presettled: bool,
    ended: bool,
    settled: bool,
}

struct Received {
    octets: Vec<u8>,
    ended: bool,
    link: LinkKey,
}

/// One end: a connection, and its application's knowledge.
struct End {
    connection: Connection,
    /// Bytes on their way here.
    inbox: BytesMut,
    /// Bytes that arrived, and are not a whole frame yet.
    scrap: BytesMut,
    sessions: BTreeSet<SessionKey>,
    links: BTreeMap<LinkKey, KnownLink>,
    unanswered: BTreeSet<LinkKey>,
    /// Links that were attached and lost before the application heard of either.
    gone: BTreeSet<LinkKey>,
    sent: BTreeMap<OutgoingKey, Sent>,
    received: BTreeMap<IncomingKey, Received>,
    closed: bool,
}

/// The fate of a delivery, by its number.
struct Fate {
    /// The end that sent it.
    end: usize,
    link: LinkKey,
    /// The bytes that were sent, when all of them were.
    whole: Option<usize>,
    /// Aborted, or its link was lost.
    lost: bool,
    /// It began to arrive.
    begun: bool,
    /// It arrived whole.
    arrived: bool,
}

struct World {
    ends: [End; 2],
    fates: BTreeMap<u64, Fate>,
    now: Instant,
    next: u64,
}

fn config(layer: Layer, choice: u8) -> Config {
    Config {
        container_id: "container".to_owned(),
        hostname: None,
        max_frame_size: if choice & 1 == 0 { 512 } else { 4096 },
        channel_max: 4000,
        idle_timeout: Duration::from_secs(16),
        handshake_timeout: Duration::from_secs(5),
        incoming_window: if choice & 2 == 0 { 2 } else { 64 },
        capabilities: Multiple::default(),
        properties: Fields::default(),
        layer,
    }
}

impl End {
    fn new(config: Config) -> Self {
        Self {
            connection: Connection::new(config, Instant::ZERO),
            inbox: BytesMut::new(),
            scrap: BytesMut::new(),
            sessions: BTreeSet::new(),
            links: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            gone: BTreeSet::new(),
            sent: BTreeMap::new(),
            received: BTreeMap::new(),
            closed: false,
        }
    }

    /// Takes what has arrived, as far as one call goes. Returns whether there is more.
    fn take(&mut self, now: Instant) -> bool {
        self.connection.handle_input(&mut self.scrap, now)
    }

    /// Takes a link that the peer attached.
    fn attached(&mut self, link: LinkKey, ours: bool, attach: &Attach) {
        let role = attach.role.other();
        if ours {
            assert_eq!(self.links.get(&link).expect("link of ours").role, role);
        } else if let Some(session) = self.connection.session_of(link) {
            assert!(
                self.links.insert(link, KnownLink { session, role }).is_none(),
                "link key in use"
            );
            self.unanswered.insert(link);
        } else {
            // A later event says that it is gone again.
            self.gone.insert(link);
        }
    }

    fn pick<K: Copy>(mut keys: impl ExactSizeIterator<Item = K>, choice: u8) -> Option<K> {
        let n = keys.len();
        if n == 0 { None } else { keys.nth(usize::from(choice) % n) }
    }
}

impl World {
    fn new(choice: u8) -> Self {
        let client = Layer::Client {
            mechanisms: vec!["ANONYMOUS"],
            identity: "model".to_owned(),
            credentials: None,
        };
        let server = Layer::Server { mechanisms: vec!["ANONYMOUS"], allow_bare: false };
        let ends = [End::new(config(client, choice)), End::new(config(server, choice >> 2))];
        Self { ends, fates: BTreeMap::new(), now: Instant::from_millis(1), next: 1 }
    }

    /// Notes that deliveries on lost links may be lost.
    fn lose(fates: &mut BTreeMap<u64, Fate>, at: usize, lost: impl Fn(LinkKey) -> bool) {
        for fate in fates.values_mut().filter(|fate| fate.end == at && lost(fate.link)) {
            fate.lost = true;
        }
    }

    /// Takes the events of an end.
    fn events(&mut self, at: usize) {
        while let Some(event) = self.ends[at].connection.poll_event() {
            let end = &mut self.ends[at];
            match event {
                Event::Authenticated { .. }
                | Event::Opened
                | Event::Credit { .. }
                | Event::Window { .. }
                | Event::Held { .. } => {}
                Event::SessionRefused => panic!("a session more than there may be"),
                Event::Credentials(_) => panic!("nobody was asked for a password"),
                Event::Begun { session } => {
                    end.sessions.insert(session);
                }
                Event::Ended { session, error } => {
                    assert_eq!(error, None, "a session ended by error");
                    assert!(end.sessions.remove(&session), "unknown session ended");
                    assert!(
                        end.links.values().all(|link| link.session != session),
                        "a link of it is left"
                    );
                }
                Event::Attached { link, ours, attach } => end.attached(link, ours, &attach),
                Event::LinkLost { link } => {
                    Self::lose(&mut self.fates, at, |lost| lost == link);
                    assert!(
                        end.links.remove(&link).is_some() || end.gone.remove(&link),
                        "unknown link lost"
                    );
                    end.unanswered.remove(&link);
                }
                Event::Detached { link, error } => {
                    let refused = error.as_ref().is_none_or(|error| error.condition == *"refused");
                    assert!(refused, "a link detached by error: {error:?}");
                    Self::lose(&mut self.fates, at, |lost| lost == link);
                    assert!(
                        end.links.remove(&link).is_some() || end.gone.remove(&link),
                        "unknown link detached"
                    );
                    end.unanswered.remove(&link);
                }
                Event::Transfer { delivery, link, first, payload, ending, .. } => {
                    self.arrived(at, delivery, link, first, &payload, ending);
                }
                Event::ReceiverState { delivery, state, settled } => {
                    let sent = end.sent.get_mut(&delivery).expect("known delivery");
                    assert!(state.is_some() || settled);
                    assert!(!sent.settled, "settled twice");
                    sent.settled = settled;
                    if sent.settled && sent.ended {
                        end.sent.remove(&delivery);
                    }
                }
                Event::SenderSettled { delivery } | Event::SenderState { delivery, .. } => {
                    assert!(end.received.contains_key(&delivery));
                }
                Event::IncomingLost { delivery } => {
                    let received = end.received.remove(&delivery).expect("known delivery");
                    if let Some(head) = received.octets.first_chunk() {
                        self.fates
                            .get_mut(&u64::from_be_bytes(*head))
                            .expect("a delivery that was sent")
                            .lost |= !received.ended;
                    }
                }
                Event::OutgoingLost { delivery, sent: _ } => {
                    let sent = end.sent.remove(&delivery).expect("known delivery");
                    self.fates.get_mut(&sent.number).expect("a delivery of ours").lost = true;
                }
                Event::Closed(closed) => {
                    assert_eq!(closed.error, None, "closed by error");
                    assert!(!end.closed, "closed twice");
                    end.closed = true;
                }
            }
        }
        self.ends[at].gone.clear();
        self.ends[at].connection.check();
    }

    /// Takes a transfer.
    fn arrived(
        &mut self,
        at: usize,
        delivery: IncomingKey,
        link: LinkKey,
        first: bool,
        payload: &Bytes,
        ending: Ending,
    ) {
        let end = &mut self.ends[at];
        let on = end.links.get(&link).map(|link| link.role);
        assert!(on == Some(Role::Receiver) || end.gone.contains(&link), "a transfer on {on:?}");
        if first {
            let fresh = Received { octets: Vec::new(), ended: false, link };
            assert!(end.received.insert(delivery, fresh).is_none(), "incoming key in use");
        }
        let received = end.received.get_mut(&delivery).expect("known delivery");
        assert!(!received.ended && received.link == link);
        received.octets.extend_from_slice(payload);
        received.ended = ending != Ending::More;
        let Some(number) = received.octets.first_chunk().map(|head| u64::from_be_bytes(*head))
        else {
            assert!(ending == Ending::Aborted, "the number goes with the first transfer");
            return;
        };
        let fate = self.fates.get_mut(&number).expect("a delivery that was sent");
        if first {
            assert!(!fate.begun, "a delivery arrived twice");
            fate.begun = true;
        }
        for (offset, found) in received.octets.iter().enumerate() {
            assert_eq!(*found, octet(number, offset), "octet {offset} of delivery {number}");
        }
        match ending {
            Ending::More => {}
            Ending::Complete => {
                assert_eq!(fate.whole, Some(received.octets.len()), "octets of delivery {number}");
                fate.arrived = true;
            }
            Ending::Aborted => assert!(fate.lost, "nobody aborted delivery {number}"),
        }
    }

    /// Carries the output of an end to the other.
    fn carry(&mut self, from: usize) {
        let octets = self.ends[from].connection.output().to_vec();
        if octets.is_empty() {
            return;
        }
        self.ends[from].connection.output().clear();
        self.ends[from].connection.sent(self.now);
        self.ends[1 - from].inbox.extend_from_slice(&octets);
    }

    /// Lets an end read some of what waits for it.
    fn read(&mut self, at: usize, octets: usize) {
        let end = &mut self.ends[at];
        let n = octets.min(end.inbox.len());
        let part = end.inbox.split_to(n);
        end.scrap.extend_from_slice(&part);
        while self.ends[at].take(self.now) {
            self.events(at);
        }
        self.events(at);
    }

    /// Carries and reads until nothing moves.
    fn settle_down(&mut self) {
        loop {
            self.carry(0);
            self.carry(1);
            if self.ends.iter().all(|end| end.inbox.is_empty()) {
                break;
            }
            self.read(0, usize::MAX);
            self.read(1, usize::MAX);
        }
    }

    /// Does one thing that the application of an end may do.
    fn act(&mut self, at: usize, operation: u8, choice: u8, size: usize) {
        let done = match operation {
            0..=4 | 16 | 17 => self.act_on_links(at, operation, choice),
            5 => self.give_credit(at, choice, size),
            6..=11 => self.send(at, operation, choice, size),
            12..=15 => self.act_on_deliveries(at, operation, choice, size),
            18 => {
                // An end that never reads would take the other for dead.
                self.settle_down();
                self.now += Duration::from_millis(u64::from(choice) * 10);
                self.beat();
                false
            }
            _ => true,
        };
        if done {
            self.events(at);
        }
    }

    /// Gives credit, or gives it back. Returns false if there is no link.
    fn give_credit(&mut self, at: usize, choice: u8, size: usize) -> bool {
        let End { links, connection, .. } = &mut self.ends[at];
        let Some(link) = End::pick(links.keys().copied(), choice) else { return false };
        let small = u32::from(choice) % 20;
        match size % 4 {
            0 => connection.keep_credit(link, small),
            1 => connection.set_credit(link, small, choice & 32 == 0),
            2 => connection.set_credit(link, if choice & 1 == 0 { u32::MAX } else { 0 }, false),
            _ => connection.drained(link),
        }
        true
    }

    /// Begins and ends sessions and links. Returns false if it did nothing.
    fn act_on_links(&mut self, at: usize, operation: u8, choice: u8) -> bool {
        let end = &mut self.ends[at];
        let connection = &mut end.connection;
        let role = if choice & 1 == 0 { Role::Sender } else { Role::Receiver };
        match operation {
            0 => {
                if end.sessions.len() < 6
                    && let Some(session) = connection.begin()
                {
                    end.sessions.insert(session);
                }
            }
            1 | 2 => {
                let Some(session) = End::pick(end.sessions.iter().copied(), choice >> 1) else {
                    return false;
                };
                // A name may be used again, but not by the other end: that would be the same link.
                let name = format!("{at} {}", if choice & 0x80 == 0 { 0 } else { self.next });
                self.next += 1;
                if let Some(link) = connection
                    .attach(session, AttachRequest { name, role, ..AttachRequest::default() })
                {
                    assert!(
                        end.links.insert(link, KnownLink { session, role }).is_none(),
                        "link key in use"
                    );
                    if role == Role::Receiver && choice & 0x40 == 0 {
                        connection.keep_credit(link, u32::from(choice % 11));
                    }
                }
            }
            3 | 4 => {
                let Some(link) = End::pick(end.unanswered.iter().copied(), choice >> 1) else {
                    return false;
                };
                end.unanswered.remove(&link);
                if choice == 255 {
                    connection.refuse(link, Error::new("refused", "refused"));
                    end.links.remove(&link);
                } else {
                    connection.accept(link, AttachRequest::default());
                    connection.keep_credit(link, u32::from(choice % 7) * 2);
                }
            }
            16 if choice < 48 => {
                let Some(link) = End::pick(end.links.keys().copied(), choice) else { return false };
                connection.detach(link, None);
                Self::lose(&mut self.fates, at, |lost| lost == link);
                end.links.remove(&link);
                end.unanswered.remove(&link);
            }
            17 if choice < 8 => {
                let Some(session) = End::pick(end.sessions.iter().copied(), choice) else {
                    return false;
                };
                connection.end(session, None);
                end.sessions.remove(&session);
                Self::lose(&mut self.fates, at, |link| {
                    end.links.get(&link).is_some_and(|link| link.session == session)
                });
                end.links.retain(|_, link| link.session != session);
                let links = &end.links;
                end.unanswered.retain(|link| links.contains_key(link));
            }
            _ => {}
        }
        true
    }

    /// Begins deliveries and sends parts of them. Returns false if it did nothing.
    fn send(&mut self, at: usize, operation: u8, choice: u8, size: usize) -> bool {
        let end = &mut self.ends[at];
        let connection = &mut end.connection;
        let role = if choice & 1 == 0 { Role::Sender } else { Role::Receiver };
        match operation {
            6..=8 => {
                let Some(link) = End::pick(end.links.keys().copied(), choice >> 1) else {
                    return false;
                };
                let credit = connection.credit(link);
                if let Some(delivery) = connection.deliver(link, role == Role::Sender) {
                    assert_eq!(connection.credit(link), credit - 1);
                    let number = self.next;
                    self.next += 1;
                    let presettled = role == Role::Sender;
                    let sent = Sent {
                        number,
                        link,
                        octets: 0,
                        presettled,
                        ended: false,
                        settled: presettled,
                    };
                    assert!(end.sent.insert(delivery, sent).is_none(), "outgoing key in use");
                    self.fates.insert(
                        number,
                        Fate {
                            end: at,
                            link,
                            whole: None,
                            lost: false,
                            begun: false,
                            arrived: false,
                        },
                    );
                }
            }
            9..=11 => {
                let open: Vec<_> =
                    end.sent.iter().filter(|(_, sent)| !sent.ended).map(|(key, _)| *key).collect();
                let Some(delivery) = End::pick(open.into_iter(), choice >> 1) else { return false };
                let Some(sent) = end.sent.get_mut(&delivery) else { return false };
                let last = choice & 1 == 0;
                let size = if sent.octets == 0 { size.max(8) } else { size };
                let octets: Vec<u8> = (sent.octets..sent.octets + size)
                    .map(|offset| octet(sent.number, offset))
                    .collect();
                // In two chunks and an empty one.
                let mut octets = Bytes::from(octets);
                let tail = octets.split_off(octets.len() / 3);
                let mut chunks = VecDeque::from([octets, Bytes::new(), tail]);
                let window = connection.window(sent.link);
                let went = connection.send_part(delivery, &mut chunks, last);
                assert_eq!(
                    went,
                    window > 0 || (size == 0 && !last) || connection.is_closed(),
                    "window {window}"
                );
                let left: usize = chunks.iter().map(Bytes::len).sum();
                if went {
                    sent.octets += size - left;
                    assert!(left == 0 || size - left == connection.max_payload());
                    if last && left == 0 {
                        sent.ended = true;
                        let fate = self.fates.get_mut(&sent.number).expect("a delivery of ours");
                        fate.whole = Some(sent.octets);
                        if sent.settled {
                            end.sent.remove(&delivery);
                        }
                    }
                } else {
                    assert_eq!(left, size, "octets taken that were not sent");
                }
            }
            _ => {}
        }
        true
    }

    /// Aborts, settles and states deliveries. Returns false if no event can come of it.
    fn act_on_deliveries(&mut self, at: usize, operation: u8, choice: u8, size: usize) -> bool {
        let end = &mut self.ends[at];
        let connection = &mut end.connection;
        match operation {
            12 => {
                let open: Vec<_> =
                    end.sent.iter().filter(|(_, sent)| !sent.ended).map(|(key, _)| *key).collect();
                let Some(delivery) = End::pick(open.into_iter(), choice) else { return false };
                if connection.abort(delivery)
                    && let Some(sent) = end.sent.remove(&delivery)
                {
                    self.fates.get_mut(&sent.number).expect("a delivery of ours").lost = true;
                }
            }
            13 => {
                let Some(delivery) = End::pick(end.sent.keys().copied(), choice) else {
                    return false;
                };
                if size % 4 == 3 {
                    connection.set_state(delivery, DeliveryState::received(size as u64));
                    return false;
                }
                if let Some(sent) = end.sent.get_mut(&delivery)
                    && !sent.presettled
                {
                    connection.settle(delivery);
                    sent.settled = true;
                    if sent.ended {
                        end.sent.remove(&delivery);
                    }
                }
            }
            14 | 15 => {
                let Some(delivery) = End::pick(end.received.keys().copied(), choice >> 2) else {
                    return false;
                };
                let Some(received) = end.received.get(&delivery) else { return false };
                let settle = choice & 1 == 0;
                let state = match size % 5 {
                    0 => None,
                    1 => Some(DeliveryState::Accepted),
                    2 => Some(DeliveryState::Released),
                    3 => Some(DeliveryState::failed()),
                    _ => Some(DeliveryState::received(received.octets.len() as u64)),
                };
                connection.disposition(delivery, state, settle);
                if settle && received.ended {
                    end.received.remove(&delivery);
                }
            }
            _ => {}
        }
        true
    }

    /// Acts on deadlines that have come.
    fn beat(&mut self) {
        for at in 0..2 {
            if self.ends[at].connection.poll_timeout().is_some_and(|deadline| deadline <= self.now)
            {
                self.ends[at].connection.handle_timeout(self.now);
                // Neither end may starve the other: a heartbeat is carried at once.
                self.carry(at);
            }
            self.events(at);
        }
    }

    /// Answers what was asked, and completes what was begun.
    fn complete(&mut self) {
        for _ in 0..4 {
            for at in 0..2 {
                while !self.ends[at].unanswered.is_empty() {
                    self.act(at, 3, 0, 0);
                }
                while let Some((&delivery, _)) =
                    self.ends[at].sent.iter().find(|(_, sent)| !sent.ended)
                {
                    let number = self.ends[at].sent[&delivery].number;
                    if self.ends[at].sent[&delivery].octets == 0 {
                        assert!(self.ends[at].connection.abort(delivery));
                    } else {
                        let mut chunks = VecDeque::new();
                        if !self.ends[at].connection.send_part(delivery, &mut chunks, true) {
                            self.settle_down();
                            if !self.ends[at].sent.contains_key(&delivery) {
                                continue;
                            }
                            assert!(
                                self.ends[at].connection.send_part(delivery, &mut chunks, true),
                                "the window never opens"
                            );
                        }
                    }
                    let sent = self.ends[at].sent.remove(&delivery).expect("known delivery");
                    let fate = self.fates.get_mut(&number).expect("a delivery of ours");
                    if sent.octets == 0 {
                        fate.lost = true;
                    } else {
                        fate.whole = Some(sent.octets);
                        if !sent.settled {
                            self.ends[at].sent.insert(delivery, Sent { ended: true, ..sent });
                        }
                    }
                }
            }
            self.settle_down();
        }
    }

    /// Ends all that is open, and checks that nothing stays behind.
    fn finish(&mut self) {
        self.settle_down();
        self.complete();
        for (number, fate) in &self.fates {
            assert!(
                fate.lost || (fate.whole.is_some() && fate.arrived),
                "delivery {number} did not arrive"
            );
        }
        for at in 0..2 {
            let deliveries: Vec<_> = self.ends[at].received.keys().copied().collect();
            for delivery in deliveries {
                self.ends[at].connection.disposition(delivery, Some(DeliveryState::Accepted), true);
                self.ends[at].received.remove(&delivery);
            }
        }
        self.settle_down();
        for at in 0..2 {
            let usage = self.ends[at].connection.usage();
            assert_eq!((usage.incoming, usage.outgoing), (0, 0), "deliveries left at end {at}");
            assert!(self.ends[at].sent.is_empty() && self.ends[at].received.is_empty());
        }
        for at in 0..2 {
            for link in core::mem::take(&mut self.ends[at].links).into_keys() {
                self.ends[at].connection.detach(link, None);
            }
            // The other end is told, and has its own links left.
            self.settle_down();
        }
        for at in 0..2 {
            assert_eq!(self.ends[at].connection.usage().links, 0, "links left at end {at}");
        }
        for at in 0..2 {
            for session in core::mem::take(&mut self.ends[at].sessions) {
                self.ends[at].connection.end(session, None);
            }
            self.settle_down();
        }
        for at in 0..2 {
            assert_eq!(self.ends[at].connection.usage(), Usage::default(), "end {at}");
        }
        let now = self.now;
        self.ends[0].connection.close(None, now);
        self.settle_down();
        assert!(self.ends.iter().all(|end| end.closed), "closed at one end only");
    }
}

/// Runs two connections, and does what the bytes say.
///
/// # Panics
/// When something that must hold does not.
pub fn run(octets: &[u8]) {
    let (&choice, octets) = octets.split_first().unwrap_or((&0, &[]));
    let mut world = World::new(choice);
    if choice & 0x80 == 0 {
        // Some links each way to begin with.
        world.settle_down();
        for at in 0..2 {
            world.act(at, 0, 0, 0);
            for role in 0..4 {
                world.act(at, 1, 0x80 | 10 | role & 1, 0);
            }
            world.settle_down();
            for _ in 0..4 {
                world.act(1 - at, 3, 4, 0);
            }
        }
    }
    for step in octets.chunks_exact(3) {
        let [what, choice, size] = *step else { continue };
        let at = usize::from(what & 1);
        match what >> 1 & 31 {
            // Reading is the most common thing.
            operation @ 0..19 => world.act(
                at,
                operation,
                choice,
                usize::from(size) * if choice & 4 == 0 { 1 } else { 20 },
            ),
            19..27 => {
                world.carry(1 - at);
                let octets = if choice & 1 == 0 { usize::MAX } else { usize::from(size) };
                world.read(at, octets);
            }
            27 => world.settle_down(),
            _ => world.carry(at),
        }
    }
    world.finish();
}
