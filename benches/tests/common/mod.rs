//! Servers that misbehave, and what the tests ask of reports.
#![allow(clippy::allow_attributes, dead_code, reason = "every test file uses its own part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use skbench::Common;
use skbench::report::Report;
use skbench::server::{Mode, Options, Server};

/// A server of `mode` on a free port.
pub(crate) fn server(mode: Mode) -> Server {
    Server::start(&Options::new(mode)).expect("a server on loopback")
}

/// A run against `address`, no step of which may take longer than `timeout_ms`.
pub(crate) fn common(address: SocketAddr, timeout_ms: u64) -> Common {
    Common { timeout: Duration::from_millis(timeout_ms), ..Common::new(address.to_string()) }
}

/// A server that gives every connection to `work`, on a thread of its own. It lives as long as the
/// test's process.
pub(crate) fn misbehaving(work: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener on loopback");
    let address = listener.local_addr().expect("a bound listener");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let work = work.clone();
            thread::spawn(move || work(stream));
        }
    });
    address
}

/// An echo server that hands what it read, and its offset, to `change` before sending it back; it
/// closes when that returns false.
pub(crate) fn echo_with(
    change: impl Fn(u64, &mut Vec<u8>) -> bool + Clone + Send + 'static,
) -> SocketAddr {
    misbehaving(move |mut stream| {
        let (mut offset, mut buffer) = (0u64, vec![0; 64 * 1024]);
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            let mut data = buffer[..read].to_vec();
            let go_on = change(offset, &mut data);
            offset += read as u64;
            if stream.write_all(&data).is_err() || !go_on {
                break;
            }
        }
    })
}

/// Closes with a reset.
pub(crate) fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
}

/// The number at `path` in a report's JSON form.
pub(crate) fn figure(report: &Report, path: &str) -> f64 {
    let json = report.to_json();
    json.pointer(path)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("no number at {path} in {json:#}"))
}

/// Fails, showing the report, if anything failed.
pub(crate) fn without_errors(report: &Report) {
    assert_eq!(report.errors.total(), 0, "{report}");
}
