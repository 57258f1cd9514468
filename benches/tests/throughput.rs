//! Throughput against servers that work and servers that do not.

mod common;

use std::io::Write;
use std::time::Duration;

use common::{echo_with, figure, misbehaving, reset, server, without_errors};
use skbench::failure::Kind;
use skbench::pattern;
use skbench::server::{Mode, Options as ServerOptions, Preamble, Server};
use skbench::throughput::{Direction, Options, run};

fn options(direction: Direction) -> Options {
    Options {
        streams: 3,
        seconds: Duration::from_millis(300),
        direction,
        verify: true,
        ..Options::default()
    }
}

#[test]
fn what_goes_through_an_echo_server_is_checked_and_counted() {
    let server = server(Mode::Echo);
    let mut common = common::common(server.address(), 10_000);
    common.threads = 2;
    common.pids = vec![std::process::id()];
    let report = run(&common, &options(Direction::Both)).expect("a run");
    without_errors(&report);
    let streams = report.to_json()["figures"]["streams"].as_array().expect("streams").clone();
    assert_eq!(streams.len(), 3);
    for stream in &streams {
        assert!(stream["sent"].as_u64() > Some(0), "{stream}");
        assert_eq!(
            (&stream["sent"], &stream["confirmed"]),
            (&stream["received"], &true.into()),
            "{stream}"
        );
    }
    assert!(figure(&report, "/figures/megabytes_per_second") > 0.0);
    assert!(figure(&report, "/processes/0/cpu_seconds_per_unit") > 0.0);
    assert_eq!(report.to_json()["processes"][0]["unit"], "GB");
    let text = report.to_string();
    assert!(text.contains("fairness") && text.contains("errors: 0"), "{text}");
}

#[test]
fn an_upload_counts_what_the_sink_confirms() {
    let server = server(Mode::Sink);
    let report =
        run(&common::common(server.address(), 10_000), &options(Direction::Up)).expect("a run");
    without_errors(&report);
    let received = server.totals().received.load(std::sync::atomic::Ordering::Relaxed);
    // Besides the bytes that count, every stream has a preamble of 16.
    assert_eq!(figure(&report, "/figures/octets") as u64 + 3 * 16, received);
}

#[test]
fn a_download_is_checked_and_ends_in_time() {
    let server = server(Mode::Source);
    let report =
        run(&common::common(server.address(), 10_000), &options(Direction::Down)).expect("a run");
    without_errors(&report);
    assert!(figure(&report, "/figures/fairness/min") > 0.0);
}

#[test]
fn octets_can_be_asked_for_instead_of_a_time() {
    let (echo, sink, source) = (server(Mode::Echo), server(Mode::Sink), server(Mode::Source));
    for (server, direction) in
        [(&echo, Direction::Both), (&sink, Direction::Up), (&source, Direction::Down)]
    {
        for (chunk, verify) in [(1000, true), (64 * 1024, false)] {
            let options = Options {
                bytes: Some(1_234_567),
                seconds: Duration::from_secs(30),
                chunk,
                verify,
                ..options(direction)
            };
            let report = run(&common::common(server.address(), 10_000), &options).expect("a run");
            without_errors(&report);
            assert_eq!(figure(&report, "/figures/octets"), 3.0 * 1_234_567.0, "{direction:?}");
            assert!(report.seconds < 30.0);
        }
    }
}

#[test]
fn one_wrong_octet_is_found_and_named() {
    let address = echo_with(|offset, data| {
        if let Some(octet) = 100_000u64.checked_sub(offset).and_then(|at| data.get_mut(at as usize))
        {
            *octet ^= 0x10;
        }
        true
    });
    let report = run(&common::common(address, 2000), &options(Direction::Both)).expect("a run");
    assert_eq!((report.errors.of(Kind::Content), report.errors.total()), (3, 3), "{report}");
    assert!(report.to_string().contains("first wrong octet at offset 100000:"), "{report}");
    // Without a check nobody looks.
    let unchecked = Options { verify: false, ..options(Direction::Both) };
    without_errors(&run(&common::common(address, 2000), &unchecked).expect("a run"));
}

#[test]
fn a_wrong_octet_of_an_upload_is_told_by_the_sink() {
    let sink = server(Mode::Sink);
    let to = sink.address();
    let address = misbehaving(move |mut client| {
        let mut onward = std::net::TcpStream::connect(to).expect("the sink");
        let (mut buffer, mut offset) = (vec![0; 4096], 0usize);
        while let Ok(read @ 1..) = std::io::Read::read(&mut client, &mut buffer) {
            if (offset..offset + read).contains(&5016) {
                buffer[5016 - offset] ^= 1;
            }
            offset += read;
            onward.write_all(&buffer[..read]).expect("the sink takes all");
        }
        onward.shutdown(std::net::Shutdown::Write).expect("half-close");
        std::io::copy(&mut onward, &mut client).expect("the receipt");
    });
    let options = Options { bytes: Some(50_000), ..options(Direction::Up) };
    let report = run(&common::common(address, 5000), &options).expect("a run");
    assert_eq!(report.errors.of(Kind::Content), 3, "{report}");
    assert!(report.to_string().contains("at offset 5000"), "{report}");
}

#[test]
fn octets_that_are_lost_or_added_are_counted_even_unchecked() {
    let options = Options { verify: false, bytes: Some(200_000), ..options(Direction::Both) };
    let shorter = echo_with(|offset, data| {
        if offset == 0 {
            data.truncate(1);
        }
        true
    });
    let report = run(&common::common(shorter, 2000), &options).expect("a run");
    assert_eq!((report.errors.of(Kind::Count), report.errors.total()), (3, 3), "{report}");
    let longer = echo_with(|_, data| {
        data.push(0);
        true
    });
    let report = run(&common::common(longer, 2000), &options).expect("a run");
    assert_eq!((report.errors.of(Kind::Count), report.errors.total()), (3, 3), "{report}");
}

#[test]
fn resets_early_ends_and_refusals_have_their_kinds() {
    let resets = misbehaving(|mut stream| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 1024]);
        reset(stream);
    });
    let report = run(&common::common(resets, 2000), &options(Direction::Both)).expect("a run");
    assert_eq!((report.errors.of(Kind::Reset), report.errors.total()), (3, 3), "{report}");

    let short =
        Server::start(&ServerOptions { bytes: Some(1000), ..ServerOptions::new(Mode::Source) })
            .expect("a server");
    let report =
        run(&common::common(short.address(), 2000), &options(Direction::Down)).expect("a run");
    assert_eq!((report.errors.of(Kind::EarlyEnd), report.errors.total()), (3, 3), "{report}");

    let nobody = server(Mode::Echo).address();
    let report = run(&common::common(nobody, 2000), &options(Direction::Both)).expect("a run");
    assert_eq!((report.errors.of(Kind::Refused), report.errors.total()), (3, 3), "{report}");
    assert_eq!(figure(&report, "/figures/octets"), 0.0);
}

#[test]
fn a_server_that_takes_nothing_is_a_time_out_and_a_gap() {
    let silent = misbehaving(|stream| {
        std::thread::park();
        drop(stream);
    });
    let options = Options { streams: 1, ..options(Direction::Both) };
    let report = run(&common::common(silent, 200), &options).expect("a run");
    assert_eq!((report.errors.of(Kind::Timeout), report.errors.total()), (1, 1), "{report}");
    assert!(figure(&report, "/figures/streams/0/longest_gap_ms") >= 299.0, "{report}");
    assert_eq!(figure(&report, "/figures/fairness/max"), 0.0);
}

#[test]
fn the_wrong_server_for_a_direction_is_named() {
    let (echo, sink) = (server(Mode::Echo), server(Mode::Sink));
    let report =
        run(&common::common(echo.address(), 2000), &options(Direction::Up)).expect("a run");
    assert_eq!(report.errors.of(Kind::Protocol), 3, "{report}");
    let report =
        run(&common::common(sink.address(), 2000), &options(Direction::Both)).expect("a run");
    assert_eq!(report.errors.of(Kind::Count), 3, "{report}");
    // A foreign sink, which sends no receipt: the note says what the figure is worth.
    let foreign = misbehaving(|mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let unchecked = Options { verify: false, ..options(Direction::Up) };
    let report = run(&common::common(foreign, 2000), &unchecked).expect("a run");
    without_errors(&report);
    assert!(report.notes.iter().any(|note| note.contains("no receipt")), "{report}");
}

#[test]
fn a_wrong_octet_of_a_download_is_found() {
    let wrong = misbehaving(|mut stream| {
        let seed = 7;
        let mut data = pattern::slice(seed, 0, 100_000).to_vec();
        data[70_000] ^= 0x80;
        let preamble = Preamble { seed: Some(seed) }.encode();
        // The client leaves as soon as it has seen it.
        let _ = stream.write_all(&preamble).and_then(|()| stream.write_all(&data));
    });
    let report = run(&common::common(wrong, 2000), &options(Direction::Down)).expect("a run");
    assert_eq!((report.errors.of(Kind::Content), report.errors.total()), (3, 3), "{report}");
    assert!(report.to_string().contains("first wrong octet at offset 70000:"), "{report}");

    let foreign = misbehaving(|mut stream| while stream.write_all(&[b'x'; 1000]).is_ok() {});
    let report = run(&common::common(foreign, 2000), &options(Direction::Down)).expect("a run");
    assert_eq!((report.errors.of(Kind::Protocol), report.errors.total()), (3, 3), "{report}");
}
