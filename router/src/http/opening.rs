//! The fuzz target `opening`: a connection to an HTTP port without sockets. A client's bytes go in,
//! and the port's answer comes out.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::connections::{Accept, Limits};
use super::metrics::Metrics;
use super::server::{HttpSource, Options, serve_on};
use crate::lock::Mutex;
use crate::socket::{Place, Source};
use crate::websocket::Origins;

/// Turns that the port gets before the client ends. An answer takes fewer than ten.
const TURNS: usize = 100;

/// A listener with one connection, which is there already.
struct Once(Mutex<Option<DuplexStream>>);

impl Accept for Once {
    type Raw = DuplexStream;
    type Stream = DuplexStream;

    async fn accept(&self) -> io::Result<(DuplexStream, Source)> {
        let stream = self.0.lock().take();
        match stream {
            Some(stream) => Ok((stream, Source::Local)),
            None => std::future::pending().await,
        }
    }

    fn open(
        &self,
        raw: DuplexStream,
        _: Arc<Place>,
    ) -> impl Future<Output = Option<DuplexStream>> + Send + 'static {
        std::future::ready(Some(raw))
    }
}

struct Nothing;

impl HttpSource for Nothing {
    fn healthy(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }

    fn metrics(&self) -> Metrics {
        Metrics::default()
    }
}

/// Sends `octets` to a port with health, metrics and WebSockets, and returns its whole answer.
///
/// Pages of `origins` may open a WebSocket.
pub fn answer(octets: &[u8], origins: Origins) -> Vec<u8> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
        return Vec::new();
    };
    runtime.block_on(async {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let options = Options {
            websockets: Some(Arc::new(|_, _| {})),
            origins,
            limits: Limits::default(),
            ..Options::default()
        };
        let client = async {
            let (mut from, mut to) = tokio::io::split(near);
            let mut answer = Vec::new();
            let say = async {
                let _ = to.write_all(octets).await;
                // A client ends its half only after the answer, which takes the port some turns.
                for _ in 0..TURNS {
                    tokio::task::yield_now().await;
                }
                let _ = to.shutdown().await;
            };
            let (_, _) = tokio::join!(say, from.read_to_end(&mut answer));
            answer
        };
        tokio::select! {
            answer = client => answer,
            never = serve_on(Once(Mutex::new(Some(far))), options, Arc::new(Nothing)) => {
                match never {}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The parts of requests, to be joined in any order.
    fn part() -> impl Strategy<Value = String> {
        let words = [
            "GET / HTTP/1.1",
            "GET /healthz HTTP/1.1",
            "POST /metrics HTTP/1.1",
            "Host: router",
            "Host: other",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Version: 8",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol: amqp",
            "Origin: http://router",
            "Origin: http://other",
            "Content-Length: 3",
            "Transfer-Encoding: chunked",
            "",
            "\0\u{1}",
        ];
        prop_oneof![8 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
            1 => "[ -~]{0,40}"]
    }

    proptest! {
        #[test]
        fn an_answer_is_none_or_http(parts in prop::collection::vec(part(), 0..16), own: bool) {
            let text = parts.join("\r\n") + "\r\n\r\n";
            let answer = answer(text.as_bytes(), Origins { own, listed: Vec::new() });
            prop_assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}",
                String::from_utf8_lossy(&answer));
            if answer.starts_with(b"HTTP/1.1 101") {
                prop_assert!(text.contains("Upgrade: websocket")
                    && text.contains("Sec-WebSocket-Protocol: amqp"), "{}", text);
                prop_assert!(own
                    || !text.split("\r\n\r\n").next().unwrap_or_default().contains("Origin: "),
                    "{}", text);
            }
        }
    }

    #[test]
    fn a_websocket_is_opened() {
        let request = "GET / HTTP/1.1\r\nHost: router\r\nConnection: Upgrade\r\nUpgrade: \
                       websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: \
                       amqp\r\nOrigin: http://router\r\n\r\n";
        let opened = |own| answer(request.as_bytes(), Origins { own, listed: Vec::new() });
        assert!(opened(true).starts_with(b"HTTP/1.1 101"));
        assert!(opened(false).starts_with(b"HTTP/1.1 403"));
    }
}
