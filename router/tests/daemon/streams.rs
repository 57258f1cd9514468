//! Large streams, slow readers and stalled servers. Every byte arrives, and no stream waits for
//! another.

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use Kind::{Ours, Peer};

use crate::support::backend::{Serve, read_slowly};
use crate::support::network::Side;
use crate::support::pattern::Check;
use crate::support::relay::Path;
use crate::support::{Backend, End, Kind, Lab, Line, Pair, PairOptions, client, ports, wait};

const OURS: [Kind; 2] = [Ours, Ours];
const MIB: u64 = 1024 * 1024;

placed!(both_ways_at_once, both_ways, OURS, PairOptions::default());
placed!(both_ways_at_once_with_data_connections, both_ways, OURS, PairOptions::with_data(2));
placed!(both_ways_at_once_over_three_sites, both_ways_in_line, [Ours; 3], 0);
placed!(both_ways_at_once_over_three_sites_with_data, both_ways_in_line, [Ours; 3], 2);
placed!(eight_streams_both_ways, eight_streams, OURS, PairOptions::default());
placed!(stalled_servers_hold_nobody, stalled_servers, OURS, PairOptions::default());
placed!(stalled_servers_hold_nobody_with_data, stalled_servers, OURS, PairOptions::with_data(2));
placed!(uploads_that_stand_still_cost_a_window, uploads_cost_a_window, OURS);
placed!(downloads_that_stand_still_cost_a_window, downloads_cost_a_window, OURS);
placed!(slow_readers_hold_nobody, slow_readers, OURS, PairOptions::default());
placed!(saturated_path_keeps_the_neighbor, saturated, OURS, PairOptions::default());

mod mixed {
    use super::*;

    mixed_pairs!(both_ways_at_once, both_ways, PairOptions::default());
    mixed_pairs!(both_ways_at_once_with_data, both_ways, PairOptions::with_data(2));
    mixed_pairs!(
        both_ways_opened_by_north,
        both_ways,
        PairOptions { connector: Side::North, ..PairOptions::with_data(1) }
    );
    mixed_pairs!(stalled_servers, stalled_servers, PairOptions::default());
    mixed_pairs!(stalled_servers_with_data, stalled_servers, PairOptions::with_data(2));
    mixed_pairs!(slow_readers, slow_readers, PairOptions::default());
    mixed_pairs!(saturated_path, saturated, PairOptions::default());
    placed!(line_with_the_peer_first, both_ways_in_line, [Peer, Ours, Ours], 0);
    placed!(line_with_the_peer_in_the_middle, both_ways_in_line, [Ours, Peer, Ours], 0);
    placed!(line_with_the_peer_last, both_ways_in_line, [Ours, Ours, Peer], 0);
    placed!(stalled_servers_behind_a_line, stalled_in_line, [Ours, Peer, Ours], 0);
}

placed!(stalled_servers_behind_three_sites, stalled_in_line, [Ours; 3], 0);

/// Returns the bytes each way of a large transfer. `SKROUTERD_TEST_TRANSFER` sets them in MiB.
pub(crate) fn size() -> u64 {
    wait::number("SKROUTERD_TEST_TRANSFER").unwrap_or(64) * MIB
}

/// A large stream each way on one connection, written in pieces of every size. Each side ends in
/// its own time.
fn both_ways(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    let size = size();
    let backend = Backend::start(Serve::Exchange(size));
    let pair = Pair::start(lab, kinds, options, &[("exchange", backend.port)]);
    exchange(pair.port("exchange"), &backend, size);
    pair.assert_hello();
}

fn both_ways_in_line(lab: &Lab, kinds: [Kind; 3], data: u8) {
    let size = size();
    let backend = Backend::start(Serve::Exchange(size));
    let line = Line::start(lab, kinds, data, &[("exchange", backend.port)]);
    exchange(line.port("exchange"), &backend, size);
}

fn exchange(port: u16, backend: &Backend, size: u64) {
    let stream = client::connect(port);
    client::exchange(&stream, size).assert_complete(size, size);
    backend.next_account().assert_complete(size, size);
}

/// Eight large streams at once, each way.
fn eight_streams(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    let size = size() / 8;
    let backend = Backend::start(Serve::Exchange(size));
    let pair = Pair::start(lab, kinds, options, &[("exchange", backend.port)]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                client::exchange(&client::connect(pair.port("exchange")), size)
                    .assert_complete(size, size)
            });
        }
    });
    for _ in 0..8 {
        backend.next_account().assert_complete(size, size);
    }
}

const STALLED: usize = 12;
/// More than the windows and the socket buffers on the path hold.
const UPLOAD: u64 = 24 * MIB;

/// Twelve servers read nothing. A thirteenth stream flows, no connection is lost, and memory stays
/// bounded. When the servers go on, every byte arrives.
///
/// Two routers of the other kind lose their link here if their AMQP library ends a connection with
/// 4 MiB unread. A router that sends to such a router must respect that limit.
fn stalled_servers(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    let [stalled, exchanging] =
        [Backend::start(Serve::Stall), Backend::start(Serve::Exchange(8 * MIB))];
    let services = [("stalled", stalled.port), ("exchange", exchanging.port)];
    let pair = Pair::start(lab, kinds, options, &services);
    beside_stalled(pair.port("stalled"), pair.port("exchange"), &stalled, &exchanging);
    for router in [&pair.north, &pair.south] {
        if router.kind.is_ours() {
            const BOUND: u64 = 128 * MIB;
            assert!(
                router.peak_resident() < BOUND,
                "{} grew to {} MiB",
                router.id,
                router.peak_resident() / MIB
            );
        }
    }
    pair.assert_hello();
}

/// Streams that stall at once, to find the cost of one.
const STANDING: usize = 20;

/// Servers read nothing. Each upload costs both routers together little more than the window,
/// beside the bytes in the kernel.
fn uploads_cost_a_window(lab: &Lab, kinds: [Kind; 2]) {
    let stalled = Backend::start(Serve::Stall);
    let pair = Pair::start(lab, kinds, PairOptions::default(), &[("stalled", stalled.port)]);
    let before = resident(&pair);
    let streams: Vec<_> = (0..STANDING).map(|_| client::connect(pair.port("stalled"))).collect();
    std::thread::scope(|scope| {
        let _end: Vec<_> = streams.iter().map(client::HangUp).collect();
        for stream in &streams {
            let mut stream = stream.try_clone().expect("a second handle of the socket");
            scope.spawn(move || client::send(&mut stream, u64::MAX, |_| {}));
        }
        assert_cost_of_one(&pair, before);
    });
}

/// The same with clients that read nothing.
fn downloads_cost_a_window(lab: &Lab, kinds: [Kind; 2]) {
    let backend = Backend::start(Serve::Exchange(u64::MAX));
    let pair = Pair::start(lab, kinds, PairOptions::default(), &[("source", backend.port)]);
    let before = resident(&pair);
    let streams: Vec<_> = (0..STANDING).map(|_| client::connect(pair.port("source"))).collect();
    assert_cost_of_one(&pair, before);
    streams.iter().for_each(client::reset_on_close);
}

fn resident(pair: &Pair) -> u64 {
    pair.north.resident() + pair.south.resident()
}

fn assert_cost_of_one(pair: &Pair, before: u64) {
    /// The window, the bytes that may be read ahead of the link, and the allocator's overhead for
    /// both.
    const MOST: u64 = 2 * MIB;
    let after = wait::quiet("the streams", Duration::from_secs(1), || resident(pair) / MIB) * MIB;
    let one = after.saturating_sub(before) / STANDING as u64;
    assert!(one < MOST, "a stalled stream costs {one} bytes");
    assert!(one > MIB / 2, "no stream is stalled: {one}");
}

fn stalled_in_line(lab: &Lab, kinds: [Kind; 3], data: u8) {
    let [stalled, exchanging] =
        [Backend::start(Serve::Stall), Backend::start(Serve::Exchange(8 * MIB))];
    let line =
        Line::start(lab, kinds, data, &[("stalled", stalled.port), ("exchange", exchanging.port)]);
    beside_stalled(line.port("stalled"), line.port("exchange"), &stalled, &exchanging);
}

fn beside_stalled(stalled_port: u16, exchange_port: u16, stalled: &Backend, exchanging: &Backend) {
    let taken: [AtomicU64; STALLED] = Default::default();
    std::thread::scope(|scope| {
        let writers: Vec<_> = taken
            .iter()
            .map(|taken| {
                scope.spawn(move || {
                    let mut stream = client::connect(stalled_port);
                    // The client waits for as long as the servers of this test stall.
                    stream.set_write_timeout(None).expect("a socket option");
                    let result = client::send(&mut stream, UPLOAD, |sent| {
                        taken.store(sent, Ordering::Relaxed)
                    });
                    let _ = stream.shutdown(Shutdown::Write);
                    (result, client::read_text(&mut stream))
                })
            })
            .collect();
        let _go_on = wait::finally(|| stalled.release());
        stalled.await_accepted(STALLED);
        let stuck = wait::quiet("the stalled uploads", Duration::from_secs(1), || {
            taken.iter().map(|taken| taken.load(Ordering::Relaxed)).collect::<Vec<_>>()
        });
        assert!(
            stuck.iter().all(|&taken| taken < UPLOAD),
            "the clients could send everything, nothing is stalled: {stuck:?}"
        );
        for _ in 0..3 {
            exchange(exchange_port, exchanging, 8 * MIB);
        }
        assert!(
            writers.iter().all(|writer| !writer.is_finished()),
            "a stalled connection was closed"
        );
        assert_eq!(stalled.open(), STALLED, "stalled connections to the server were closed");
        stalled.release();
        for writer in writers {
            let expected = ((UPLOAD, None), (UPLOAD.to_string(), End::Clean));
            assert_eq!(writer.join().expect("the writer does not panic"), expected);
        }
    });
    for _ in 0..STALLED {
        let account = stalled.next_account();
        assert_eq!((account.received, account.wrong_at, account.end), (UPLOAD, None, End::Clean));
    }
}

/// Clients that read a few kilobytes a second do not slow the others down, and lose nothing.
fn slow_readers(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    const SLOW: usize = 6;
    const DOWNLOAD: u64 = 16 * MIB;
    let [source, exchanging] =
        [Backend::start(Serve::Exchange(DOWNLOAD)), Backend::start(Serve::Exchange(8 * MIB))];
    let pair =
        Pair::start(lab, kinds, options, &[("source", source.port), ("exchange", exchanging.port)]);
    let busy = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        let (busy, pair) = (&busy, &pair);
        let readers: Vec<_> = (0..SLOW)
            .map(|_| {
                scope.spawn(move || {
                    let mut stream = client::connect(pair.port("source"));
                    let mut check = Check::default();
                    read_slowly(&mut stream, 20_000, &mut check, || busy.load(Ordering::Relaxed));
                    assert!(check.received() < DOWNLOAD, "a slow reader had everything already");
                    let _ = stream.shutdown(Shutdown::Write);
                    let end = client::drain(&mut stream, &mut check);
                    (check.received(), check.wrong_at(), end)
                })
            })
            .collect();
        let _read_on = wait::finally(|| busy.store(false, Ordering::Relaxed));
        source.await_accepted(SLOW);
        for _ in 0..3 {
            exchange(pair.port("exchange"), &exchanging, 8 * MIB);
        }
        pair.assert_hello();
        busy.store(false, Ordering::Relaxed);
        for reader in readers {
            assert_eq!(
                reader.join().expect("the reader does not panic"),
                (DOWNLOAD, None, End::Clean)
            );
        }
    });
}

/// Streams fill a slow path in both directions, for the seconds of `SKROUTERD_TEST_SATURATION`. The
/// service stays known, which shows that no neighbor is lost, and no connection is made again.
fn saturated(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    const RATE: u64 = 1_000_000;
    let time = Duration::from_secs(wait::number("SKROUTERD_TEST_SATURATION").unwrap_or(12));
    let backend = Backend::start(Serve::Exchange(u64::MAX));
    let path = Path { rate: Some(RATE), delay: Duration::from_millis(20) };
    let pair = Pair::start(
        lab,
        kinds,
        PairOptions { relay: Some(path), ..options },
        &[("exchange", backend.port)],
    );
    let connections = pair.relay().accepted();
    let (before, port) = (pair.relay().carried(), pair.port("exchange"));
    let streams: Vec<_> = (0..4).map(|_| client::connect(port)).collect();
    std::thread::scope(|scope| {
        for stream in &streams {
            scope.spawn(move || client::exchange(stream, u64::MAX));
        }
        let _end: Vec<_> = streams.iter().map(client::HangUp).collect();
        wait::throughout("the neighbor is known under load", time, || ports::listening(port));
        let after = pair.relay().carried();
        let carried = [after[0] - before[0], after[1] - before[1]];
        let least = RATE * time.as_secs() / 2;
        assert!(
            carried.iter().all(|&carried| carried > least),
            "the path was not filled: {carried:?} of {least} octets"
        );
        assert_eq!(pair.relay().accepted(), connections, "the link was made anew");
        for stream in &streams {
            assert!(is_open(stream), "a stream ended under load");
        }
    });
    client::await_hello(pair.port("hello"));
}

/// Returns true if the stream has not ended. Only for a stream on which data keeps coming.
fn is_open(stream: &TcpStream) -> bool {
    let mut stream = stream;
    !matches!(stream.read(&mut [0; 1]), Ok(0)) && stream.peer_addr().is_ok()
}
