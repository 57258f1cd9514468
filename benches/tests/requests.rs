//! Latency and connections a second.

mod common;

use std::time::Duration;

use common::{echo_with, figure, misbehaving, reset, server, without_errors};
use skbench::connections::{self, Close};
use skbench::failure::Kind;
use skbench::latency;
use skbench::server::Mode;

fn closed_loop() -> latency::Options {
    latency::Options {
        connections: 4,
        size: 300,
        seconds: Duration::from_millis(300),
        ..latency::Options::default()
    }
}

#[test]
fn closed_loop_requests_are_answered_and_counted() {
    let server = server(Mode::Echo);
    let mut common = common::common(server.address(), 10_000);
    common.threads = 2;
    let report = latency::run(&common, &closed_loop()).expect("a run");
    without_errors(&report);
    let requests = figure(&report, "/figures/requests");
    assert!(requests > 0.0 && requests == figure(&report, "/figures/latency_us/count"));
    let percentiles = ["p50", "p90", "p99", "p99_9", "max"]
        .map(|p| figure(&report, &format!("/figures/latency_us/{p}")));
    assert!(percentiles.is_sorted() && percentiles[0] > 0.0, "{report}");
}

#[test]
fn a_count_ends_the_run_exactly() {
    let server = server(Mode::Echo);
    // Above the kernel's buffers, so that writing and reading must go on at once.
    for size in [1, 1 << 20] {
        let options = latency::Options {
            count: Some(10),
            size,
            seconds: Duration::from_secs(60),
            ..closed_loop()
        };
        let report =
            latency::run(&common::common(server.address(), 20_000), &options).expect("a run");
        without_errors(&report);
        assert_eq!(figure(&report, "/figures/requests"), 10.0);
        assert!(report.seconds < 60.0);
    }
}

#[test]
fn http_requests_are_answered() {
    let server = server(Mode::Http);
    let options = latency::Options {
        http: true,
        count: Some(50),
        seconds: Duration::from_secs(60),
        ..closed_loop()
    };
    let report = latency::run(&common::common(server.address(), 10_000), &options).expect("a run");
    without_errors(&report);
    assert_eq!(figure(&report, "/figures/requests"), 50.0);
    // An echo server answers with the request, which is no answer.
    let echo = self::server(Mode::Echo);
    let report = latency::run(&common::common(echo.address(), 2000), &options).expect("a run");
    assert_eq!(report.errors.of(Kind::Protocol), 4, "{report}");
}

#[test]
fn an_open_loop_charges_a_pause_to_all_that_were_due() {
    // 200 a second, and the server pauses for half a second once: 100 requests were due in the
    // pause, though only one was outstanding.
    let address = echo_with(|offset, _| {
        if offset == 3000 {
            std::thread::park_timeout(Duration::from_millis(500));
        }
        true
    });
    let options = latency::Options {
        connections: 1,
        size: 100,
        rate: Some(200.0),
        seconds: Duration::from_secs(1),
        ..latency::Options::default()
    };
    let report = latency::run(&common::common(address, 10_000), &options).expect("a run");
    without_errors(&report);
    assert_eq!(figure(&report, "/figures/latency_us/count"), 200.0, "{report}");
    // The pause began after 30 requests: of 200, about half waited in it, a quarter of them above
    // 250 ms.
    assert!(figure(&report, "/figures/latency_us/p90") > 200_000.0, "{report}");
    assert!(figure(&report, "/figures/open_loop/service_us/p90") < 200_000.0, "{report}");
}

#[test]
fn a_rate_that_cannot_be_met_is_said() {
    let slow = echo_with(|_, _| {
        std::thread::park_timeout(Duration::from_millis(20));
        true
    });
    let options = latency::Options {
        connections: 2,
        rate: Some(1000.0),
        seconds: Duration::from_millis(500),
        ..closed_loop()
    };
    let report = latency::run(&common::common(slow, 10_000), &options).expect("a run");
    without_errors(&report);
    let (answered, overdue) =
        (figure(&report, "/figures/requests"), figure(&report, "/figures/open_loop/overdue"));
    assert_eq!(answered + overdue, 500.0, "{report}");
    assert!(
        overdue > 300.0 && report.notes.iter().any(|note| note.contains("due and not sent")),
        "{report}"
    );
}

#[test]
fn answers_to_other_requests_are_content_failures() {
    // Sends back the first request's answer to every request.
    let address = misbehaving(|mut stream| {
        let mut first = [0; 300];
        if std::io::Read::read_exact(&mut stream, &mut first).is_ok() {
            let mut next = [0; 300];
            while std::io::Write::write_all(&mut stream, &first).is_ok()
                && std::io::Read::read_exact(&mut stream, &mut next).is_ok()
            {}
        }
    });
    let report = latency::run(&common::common(address, 2000), &closed_loop()).expect("a run");
    assert!(report.errors.of(Kind::Content) >= 4, "{report}");
    assert_eq!(report.errors.of(Kind::Content), report.errors.total(), "{report}");
}

#[test]
fn latency_goes_on_after_resets() {
    let address = misbehaving(|mut stream| {
        let mut request = [0; 300];
        for _ in 0..5 {
            if std::io::Read::read_exact(&mut stream, &mut request).is_err() {
                return;
            }
            let _ = std::io::Write::write_all(&mut stream, &request);
        }
        let _ = std::io::Read::read_exact(&mut stream, &mut request);
        reset(stream);
    });
    let options =
        latency::Options { count: Some(80), seconds: Duration::from_secs(60), ..closed_loop() };
    let report = latency::run(&common::common(address, 5000), &options).expect("a run");
    // Of 20 requests of each connection the 5th, 11th and 17th are reset, the first connection
    // having proved itself by one more.
    assert_eq!((report.errors.of(Kind::Reset), report.errors.total()), (12, 12), "{report}");
    assert_eq!(figure(&report, "/figures/requests"), 68.0, "{report}");
}

fn opening(close: Close) -> connections::Options {
    connections::Options {
        workers: 3,
        count: Some(60),
        close,
        seconds: Duration::from_secs(60),
        ..connections::Options::default()
    }
}

#[test]
fn connections_are_opened_and_ended_in_every_way() {
    for close in [Close::Fin, Close::Half, Close::Rst] {
        let server = server(Mode::Echo);
        let report = connections::run(&common::common(server.address(), 10_000), &opening(close))
            .expect("a run");
        without_errors(&report);
        assert_eq!(figure(&report, "/figures/connections"), 60.0);
        assert!(figure(&report, "/figures/connections_per_second") > 0.0);
        let (connect, whole) =
            (figure(&report, "/figures/connect_us/p50"), figure(&report, "/figures/whole_us/p50"));
        assert!(connect <= whole, "{report}");
        assert_eq!(server.totals().accepted.load(std::sync::atomic::Ordering::Relaxed), 60);
    }
}

#[test]
fn failed_connections_are_counted_by_kind() {
    let short = || connections::Options {
        seconds: Duration::from_millis(200),
        count: None,
        ..opening(Close::Half)
    };
    let resets = misbehaving(|mut stream| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 8]);
        reset(stream);
    });
    let report = connections::run(&common::common(resets, 2000), &short()).expect("a run");
    assert!(
        report.errors.of(Kind::Reset) >= 3
            && report.errors.of(Kind::Reset) == report.errors.total(),
        "{report}"
    );
    assert_eq!(figure(&report, "/figures/connections"), 0.0);

    let early = misbehaving(|mut stream| {
        let _ = std::io::Read::read_exact(&mut stream, &mut [0; 64]);
    });
    let report = connections::run(&common::common(early, 2000), &short()).expect("a run");
    assert!(report.errors.of(Kind::EarlyEnd) >= 3, "{report}");

    // Never ends its own direction.
    let stays = misbehaving(|mut stream| {
        let mut data = [0; 64];
        if std::io::Read::read_exact(&mut stream, &mut data).is_ok()
            && std::io::Write::write_all(&mut stream, &data).is_ok()
        {
            std::thread::park();
        }
    });
    let report = connections::run(&common::common(stays, 100), &short()).expect("a run");
    assert!(
        report.errors.of(Kind::Timeout) >= 3 && report.to_string().contains("half-close: not done"),
        "{report}"
    );

    let nobody = server(Mode::Echo).address();
    let report = connections::run(&common::common(nobody, 2000), &short()).expect("a run");
    assert!(report.errors.of(Kind::Refused) >= 3, "{report}");
}
