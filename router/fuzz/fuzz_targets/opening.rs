//! HTTP and WebSocket openings. Whatever a client sends first, the answer is HTTP or empty, and no
//! page of another host opens a WebSocket.
#![no_main]

use skrouterd::http::opening::answer;
use skrouterd::websocket::Origins;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let Some((choice, octets)) = octets.split_first() else { return };
    let own = choice & 1 == 1;
    let answer = answer(octets, Origins { own, listed: Vec::new() });
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1."),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    if answer.starts_with(b"HTTP/1.1 101") && !own {
        let head = String::from_utf8_lossy(octets).to_ascii_lowercase();
        let mut lines =
            head.lines().skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
        assert!(!lines.any(|line| line.starts_with("origin:")), "{head}");
    }
});
