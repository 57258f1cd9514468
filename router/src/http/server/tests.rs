use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

#[derive(Default)]
struct Core {
    stuck: AtomicBool,
}

impl HttpSource for Core {
    fn healthy(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            if self.stuck.load(Ordering::Relaxed) {
                std::future::pending().await
            }
        })
    }

    fn metrics(&self) -> Metrics {
        Metrics { connections: 12, ..Metrics::default() }
    }
}

async fn served<F: Future>(
    options: Options,
    core: Core,
    test: impl FnOnce(SocketAddr) -> F,
) -> F::Output {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    tokio::select! {
        end = serve(listener, options, Arc::new(core)) => panic!("the server ended: {end:?}"),
        outcome = tokio::time::timeout(Duration::from_secs(20), test(address)) => outcome.unwrap(),
    }
}

async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn get(address: SocketAddr, path: &str) -> String {
    exchange(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await
}

#[tokio::test]
async fn a_probe_reads_what_the_c_router_says() {
    served(Options::default(), Core::default(), |address| async move {
        let answer = get(address, "/healthz").await.to_lowercase();
        for part in [
            "http/1.1 200 ok\r\n",
            "content-type: text/plain\r\n",
            "content-length: 3\r\n",
            "server: skupper-router\r\n",
        ] {
            assert!(answer.contains(part), "{part}: {answer}");
        }
        assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_core_that_hangs_is_unhealthy_within_the_deadline() {
    let core = Core { stuck: AtomicBool::new(true) };
    served(Options::default(), core, |address| async move {
        let asked = std::time::Instant::now();
        let answer = get(address, "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    })
    .await;
}

#[tokio::test]
async fn metrics_are_text_and_end_the_connection() {
    served(Options::default(), Core::default(), |address| async move {
        let answer = get(address, "/metrics").await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("content-type: text/plain\r\n"),
            "{answer}"
        );
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert!(
            answer.contains(
                "\r\n\r\n# TYPE qdr_connections_total gauge\nqdr_connections_total 12\n# TYPE "
            ),
            "{answer}"
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_switched_off_or_unknown_is_not_found() {
    let off = Options { healthz: false, metrics: false, ..Options::default() };
    served(off, Core::default(), |address| async move {
        for path in ["/healthz", "/metrics", "/", "/console", "/../etc/passwd"] {
            let answer = get(address, path).await;
            assert!(
                answer.starts_with("HTTP/1.1 404") && answer.contains("server: skupper-router"),
                "{path}: {answer}"
            );
        }
        let answer =
            exchange(address, b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
                .await;
        assert!(
            answer.starts_with("HTTP/1.1 405") && answer.contains("server: skupper-router"),
            "{answer}"
        );
    })
    .await;
}

#[tokio::test]
async fn garbage_floods_and_silence_leave_it_serving() {
    let limits =
        Limits { connections: 4, head: Duration::from_millis(300), whole: Duration::from_secs(10) };
    served(Options { limits, ..Options::default() }, Core::default(), |address| async move {
        for garbage in [
            &b"\0\0\0\0\r\n\r\n"[..],
            b"AMQP\x03\x01\x00\x00",
            b"\x16\x03\x01\x02\x00",
            &[b'a'; 100_000],
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(garbage).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            assert!(
                answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
                "{}",
                String::from_utf8_lossy(&answer)
            );
        }
        let mut silent = Vec::new();
        for _ in 0..8 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..40 {
            clients
                .spawn(async move { get(address, "/healthz").await.starts_with("HTTP/1.1 200") });
        }
        assert!(clients.join_all().await.into_iter().all(|served| served));
    })
    .await;
}
