//! Requests to a router's HTTP port.

use std::io::{Read, Write};
use std::time::Duration;

use super::{client, wait};

/// Requests a path, and returns the answer up to the end of the connection.
#[track_caller]
pub fn get(port: u16, path: &str) -> String {
    get_within(port, path, wait::patience())
}

/// Requests like [`get`]. Panics if the router sends nothing for `limit`.
#[track_caller]
pub fn get_within(port: u16, path: &str, limit: Duration) -> String {
    let stream = client::connect(port);
    stream.set_read_timeout(Some(limit)).expect("a time limit");
    exchange(stream, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

/// Sends a request, and returns the bytes up to the end of the connection. A connection that fails
/// has ended too.
#[track_caller]
pub fn exchange(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert!(!client::is_timeout(&error), "the router does not end the connection");
    }
    String::from_utf8_lossy(&answer).into_owned()
}
