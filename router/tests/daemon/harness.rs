//! Tests of the harness itself, without a router: it must not lose a byte.

use std::io::ErrorKind;
use std::time::Duration;

use crate::support::backend::{Serve, read_slowly};
use crate::support::pattern::{self, Check};
use crate::support::relay::Path;
use crate::support::{Backend, End, Relay, client, hear};

const SIZE: u64 = 16 * 1024 * 1024;

#[test]
fn relay_carries_everything_both_ways() {
    let backend = Backend::start(Serve::Exchange(SIZE));
    let relay = Relay::with(backend.port, Path { rate: None, delay: Duration::from_millis(5) });
    client::exchange(&client::connect(relay.port), SIZE).assert_complete(SIZE, SIZE);
    backend.next_account().assert_complete(SIZE, SIZE);
    assert_eq!(relay.carried(), [SIZE, SIZE]);
}

#[test]
fn slow_reader_gets_everything() {
    let backend = Backend::start(Serve::Exchange(SIZE));
    let relay = Relay::start(backend.port);
    let mut stream = client::connect(relay.port);
    let mut check = Check::default();
    let mut reads = 0;
    read_slowly(&mut stream, 20_000, &mut check, || {
        reads += 1;
        reads < 100
    });
    stream.shutdown(std::net::Shutdown::Write).expect("half of the connection ends");
    assert_eq!(client::drain(&mut stream, &mut check), End::Clean);
    assert_eq!((check.received(), check.wrong_at()), (SIZE, None));
}

#[test]
fn cut_relay_resets_both_ends() {
    let backend = Backend::start(Serve::Silent);
    let relay = Relay::start(backend.port);
    let stream = client::connect(relay.port);
    let mut writing = stream.try_clone().expect("a second handle of the socket");
    client::send(&mut writing, 1000, |_| {});
    backend.await_received(1000);
    relay.cut();
    assert_eq!(client::drain(&mut writing, &mut Check::default()), End::Reset);
    assert_eq!(backend.next_account().end, End::Reset);
}

#[test]
fn a_wait_for_bytes_ends_with_the_connection() {
    let backend = Backend::start(Serve::EndsFirst);
    let (mut stream, mut heard) = (client::connect(backend.port), Vec::new());
    hear::attempt(&mut stream, &mut heard, b"by").expect("the beginning of `bye`");
    let end = hear::attempt(&mut stream, &mut heard, b"by the way").map_err(|error| error.kind());
    assert_eq!((end, &heard[..]), (Err(ErrorKind::UnexpectedEof), &b"bye"[..]));
}

#[test]
fn wrong_octet_is_found() {
    let mut octets = pattern::from(0, 1000).to_vec();
    octets[700] ^= 1;
    let mut check = Check::default();
    check.take(&octets[..300]);
    check.take(&octets[300..]);
    assert_eq!((check.received(), check.wrong_at()), (1000, Some(700)));
}
