//! Listens to a router: reads until the awaited bytes come.

use std::io::{self, ErrorKind, Read};
use std::time::Instant;

use super::wait;

/// Returns true if `octets` contain `part`.
pub fn contains(octets: &[u8], part: impl AsRef<[u8]>) -> bool {
    let part = part.as_ref();
    octets.windows(part.len()).any(|window| window == part)
}

/// Returns true if a router's bytes contain a performative.
pub fn contains_performative(octets: &[u8], code: u8) -> bool {
    contains(octets, begin_of(code))
}

/// Returns the bytes that begin a performative.
pub const fn begin_of(code: u8) -> [u8; 3] {
    [0x00, 0x53, code]
}

/// Reads until `part` has come, and adds all bytes to `heard`. The stream must have a time limit.
#[track_caller]
pub fn until(stream: &mut impl Read, heard: &mut Vec<u8>, part: impl AsRef<[u8]>) {
    let part = part.as_ref();
    if let Err(error) = attempt(stream, heard, part) {
        let (part, heard) = (String::from_utf8_lossy(part), String::from_utf8_lossy(heard));
        panic!("the router never sent {part:?}: {error}, {heard}");
    }
}

/// Reads until a performative has come. The stream must have a time limit.
#[track_caller]
pub fn until_performative(stream: &mut impl Read, code: u8) {
    until(stream, &mut Vec::new(), begin_of(code));
}

/// Reads like [`until`], and returns an error at the time limit or the end of the connection. The
/// usual patience limits the whole wait, for a router that only sends heartbeats.
pub fn attempt(stream: &mut impl Read, heard: &mut Vec<u8>, part: &[u8]) -> io::Result<()> {
    let end = Instant::now() + wait::patience();
    let mut buffer = [0; 4096];
    while !contains(heard, part) {
        if Instant::now() >= end {
            return Err(ErrorKind::TimedOut.into());
        }
        match stream.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => heard.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(())
}
