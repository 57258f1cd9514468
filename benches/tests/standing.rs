//! Connections at rest, and streams that stand still.

mod common;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::{figure, misbehaving, reset, server, without_errors};
use skbench::failure::Kind;
use skbench::server::Mode;
use skbench::{BenchError, idle, streams};

fn held() -> idle::Options {
    idle::Options {
        connections: 50,
        hold: Duration::from_millis(200),
        parallel: 8,
        ..idle::Options::default()
    }
}

#[test]
fn idle_connections_are_proved_twice() {
    let server = server(Mode::Echo);
    let mut common = common::common(server.address(), 10_000);
    common.threads = 2;
    common.pids = vec![std::process::id()];
    let report = idle::run(&common, &held()).expect("a run");
    without_errors(&report);
    for (path, count) in [("opened", 50.0), ("alive", 50.0), ("lost_while_held", 0.0)] {
        assert_eq!(figure(&report, &format!("/figures/{path}")), count, "{report}");
    }
    let size = idle::Options::default().size as u64;
    assert_eq!(server.totals().received.load(Ordering::Relaxed), 2 * 50 * size);
    figure(&report, "/figures/processes/0/resident_per_connection_held");
    figure(&report, "/processes/0/resident_per_connection");
    assert!(report.to_string().contains("rss/connection"), "{report}");
}

/// Echoes once, and then does what `then` says to every third connection.
fn every_third(
    then: impl Fn(std::net::TcpStream) + Clone + Send + 'static,
) -> std::net::SocketAddr {
    let number = Arc::new(AtomicUsize::new(0));
    misbehaving(move |mut stream| {
        let third = number.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
        let mut data = [0; 64];
        while stream.read_exact(&mut data).is_ok() && stream.write_all(&data).is_ok() {
            if third {
                return then(stream);
            }
        }
    })
}

#[test]
fn connections_lost_while_held_are_counted() {
    let options = || idle::Options { connections: 9, ..held() };
    let report = idle::run(&common::common(every_third(drop), 2000), &options()).expect("a run");
    assert_eq!((report.errors.of(Kind::EarlyEnd), report.errors.total()), (3, 3), "{report}");
    assert_eq!(
        (figure(&report, "/figures/lost_while_held"), figure(&report, "/figures/alive")),
        (3.0, 6.0)
    );

    let report = idle::run(&common::common(every_third(reset), 2000), &options()).expect("a run");
    assert_eq!((report.errors.of(Kind::Reset), report.errors.total()), (3, 3), "{report}");

    // Alive by all signs, and yet dead: found by the second exchange alone.
    let mute = every_third(|stream| {
        std::thread::park();
        drop(stream);
    });
    let report = idle::run(&common::common(mute, 1000), &options()).expect("a run");
    assert_eq!((report.errors.of(Kind::Timeout), report.errors.total()), (3, 3), "{report}");
    assert_eq!(
        (figure(&report, "/figures/lost_while_held"), figure(&report, "/figures/alive")),
        (0.0, 6.0)
    );
}

#[test]
fn opening_ends_in_time_even_if_nobody_answers() {
    let silent = misbehaving(|stream| {
        std::thread::park();
        drop(stream);
    });
    // One at a time, each up to ten seconds: the limit of all ends it.
    let options =
        idle::Options { connections: 20, parallel: 1, limit: Duration::from_millis(200), ..held() };
    let report = idle::run(&common::common(silent, 10_000), &options).expect("a run");
    assert_eq!((report.errors.of(Kind::Timeout), report.errors.total()), (20, 20), "{report}");
    assert!(report.seconds < 9.0, "{report}");
}

#[test]
fn more_connections_than_descriptors_are_refused_before_anything_is_opened() {
    let server = server(Mode::Echo);
    let options = idle::Options { connections: usize::MAX, ..held() };
    let error = idle::run(&common::common(server.address(), 1000), &options)
        .expect_err("more than any limit");
    assert!(matches!(error, BenchError::Descriptors { .. }), "{error}");
    assert_eq!(server.totals().accepted.load(Ordering::Relaxed), 0);
}

fn still() -> streams::Options {
    streams::Options {
        live: 2,
        stalled: 3,
        slow: 2,
        park: 32 << 20,
        seconds: Duration::from_millis(400),
        ..streams::Options::default()
    }
}

#[test]
fn stalled_streams_are_filled_held_and_read_to_the_end() {
    let server = server(Mode::Echo);
    let mut common = common::common(server.address(), 20_000);
    common.pids = vec![std::process::id()];
    let report = streams::run(&common, &still()).expect("a run");
    without_errors(&report);
    assert_eq!(figure(&report, "/figures/parked/streams"), 5.0);
    assert!(
        figure(&report, "/figures/parked/min") > 65_536.0,
        "the kernel's buffers hold more: {report}"
    );
    assert_eq!(figure(&report, "/figures/released"), 5.0);
    assert!(
        figure(&report, "/figures/baseline/requests") > 0.0
            && figure(&report, "/figures/during/requests") > 0.0
    );
    assert!(figure(&report, "/figures/p50_ratio") > 0.0);
}

#[test]
fn a_stalled_stream_that_is_cut_short_is_no_success() {
    // Echoes one mebioctet of a stream and ends it as if that were all; live streams, known by
    // their small requests, whole.
    let short = misbehaving(|mut stream| {
        let mut data = vec![0; 1 << 16];
        let mut left = usize::MAX;
        while let Ok(read @ 1..) = stream.read(&mut data) {
            if read > 64 {
                left = left.min(1 << 20);
            }
            let part = read.min(left);
            left -= part;
            if stream.write_all(&data[..part]).is_err() {
                return;
            }
        }
    });
    let options = streams::Options { slow: 0, park: 4 << 20, ..still() };
    let report = streams::run(&common::common(short, 5000), &options).expect("a run");
    assert_eq!((report.errors.of(Kind::Count), report.errors.total()), (3, 3), "{report}");
    assert_eq!(figure(&report, "/figures/released"), 0.0);
}

#[test]
fn a_server_whose_stalled_streams_hold_up_others_is_found_out() {
    // All connections share one writer: who writes into a stream that is not read holds up
    // everybody.
    let writer = Arc::new(Mutex::new(()));
    let blocking = misbehaving(move |mut stream| {
        let mut data = vec![0; 1 << 16];
        while let Ok(read @ 1..) = stream.read(&mut data) {
            let _turn = writer.lock().unwrap_or_else(PoisonError::into_inner);
            if stream.write_all(&data[..read]).is_err() {
                return;
            }
        }
    });
    let options = streams::Options { stalled: 1, slow: 0, park: 64 << 20, ..still() };
    let report = streams::run(&common::common(blocking, 1000), &options).expect("a run");
    assert!(figure(&report, "/figures/baseline/requests") > 0.0, "{report}");
    assert_eq!(report.errors.of(Kind::Timeout), 2, "{report}");
    assert!(report.to_string().contains("live stream beside stalled ones"), "{report}");
}
