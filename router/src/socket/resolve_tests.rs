use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_resolver::proto::op::{Message, MessageType};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A name server on loopback that counts its questions. It knows `both.test`, `six.test` and
/// `svc.cluster.test`, and never answers for `slow.test`.
struct Server {
    folder: tempfile::TempDir,
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            loop {
                let (length, from): (usize, SocketAddr) =
                    socket.recv_from(&mut buffer).await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                if let Some(reply) = Self::answer(&buffer[..length]) {
                    socket.send_to(&reply, from).await.unwrap();
                }
            }
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::File::create(folder.path().join("resolv.conf"))
            .unwrap()
            .write_all(b"nameserver 127.0.0.1\nsearch cluster.test\noptions ndots:2\n")
            .unwrap();
        std::fs::write(
            folder.path().join("hosts"),
            "# comment\n192.0.2.7 listed alias # more\n2001:db8::7 listed\n",
        )
        .unwrap();
        Self { folder, port, asked }
    }

    fn resolver(&self) -> Resolver {
        Resolver::with_files(
            &self.folder.path().join("hosts"),
            &self.folder.path().join("resolv.conf"),
            self.port,
        )
    }

    fn answer(question: &[u8]) -> Option<Vec<u8>> {
        let mut message = Message::from_vec(question).unwrap();
        let query = message.queries[0].clone();
        message.metadata.message_type = MessageType::Response;
        let name = query.name().to_ascii().to_ascii_lowercase();
        let address: &[&str] = match (name.as_str(), query.query_type()) {
            ("slow.test.", _) => return None,
            ("both.test.", RecordType::A) => &["192.0.2.1", "192.0.2.2"],
            ("both.test.", RecordType::AAAA) | ("six.test.", RecordType::AAAA) => &["2001:db8::1"],
            ("svc.cluster.test.", RecordType::A) => &["192.0.2.3"],
            ("six.test." | "svc.cluster.test.", _) => &[],
            _ => {
                message.metadata.response_code = ResponseCode::NXDomain;
                &[]
            }
        };
        for address in address {
            let ip: IpAddr = address.parse().unwrap();
            message.add_answer(Record::from_rdata(query.name().clone(), 3600, RData::from(ip)));
        }
        Some(message.to_vec().unwrap())
    }
}

fn texts(addresses: &[IpAddr]) -> Vec<String> {
    addresses.iter().map(IpAddr::to_string).collect()
}

#[tokio::test]
async fn literals_and_localhost_ask_nobody() {
    let nowhere = Resolver::with_files(Path::new("/nonexistent"), Path::new("/nonexistent"), 1);
    for (host, expected) in [
        ("127.0.0.2", vec!["127.0.0.2"]),
        ("::1", vec!["::1"]),
        ("[::1]", vec!["::1"]),
        ("localhost", vec!["127.0.0.1", "::1"]),
        ("LOCALHOST.", vec!["127.0.0.1", "::1"]),
        ("north.localhost", vec!["127.0.0.1", "::1"]),
    ] {
        assert_eq!(
            texts(&nowhere.resolve(host, Family::Any, SECOND).await.unwrap()),
            expected,
            "{host}"
        );
    }
    assert_eq!(texts(&nowhere.resolve("localhost", Family::V6, SECOND).await.unwrap()), ["::1"]);
    let error = nowhere.resolve("127.0.0.1", Family::V6, SECOND).await.unwrap_err();
    assert_eq!(error.failure, ResolveFailure::NoAddress(Family::V6));
    let error = nowhere.resolve("hello", Family::Any, SECOND).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("name hello does not resolve: not in /etc/hosts, and no name server"),
        "{error}"
    );
}

#[tokio::test]
async fn malformed_names_are_not_asked() {
    let server = Server::start().await;
    for host in [
        "",
        ".",
        "a..b",
        "a b",
        "[::1",
        "ex\u{e4}mple",
        &"a".repeat(64),
        "http://x",
        &"abc.".repeat(64),
    ] {
        let error = server.resolver().resolve(host, Family::Any, SECOND).await.unwrap_err();
        assert_eq!(error.failure, ResolveFailure::Malformed, "{host}");
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_hosts_file_comes_first() {
    let server = Server::start().await;
    let resolver = server.resolver();
    assert_eq!(
        texts(&resolver.resolve("Listed", Family::Any, SECOND).await.unwrap()),
        ["192.0.2.7", "2001:db8::7"]
    );
    assert_eq!(
        texts(&resolver.resolve("alias.", Family::Any, SECOND).await.unwrap()),
        ["192.0.2.7"]
    );
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn names_are_asked_for_in_both_families() {
    let server = Server::start().await;
    let resolver = server.resolver();
    let all = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];
    assert_eq!(texts(&resolver.resolve("both.test", Family::Any, SECOND).await.unwrap()), all);
    assert_eq!(texts(&resolver.resolve("both.test", Family::V6, SECOND).await.unwrap()), all[2..]);
    assert_eq!(texts(&resolver.resolve("six.test", Family::Any, SECOND).await.unwrap()), all[2..]);
    assert_eq!(texts(&resolver.resolve("svc", Family::Any, SECOND).await.unwrap()), ["192.0.2.3"]);
    let error = resolver.resolve("six.test", Family::V4, SECOND).await.unwrap_err();
    assert_eq!(error.to_string(), "name six.test does not resolve: it has no IPv4 address");
    let error = resolver.resolve("missing.test", Family::Any, SECOND).await.unwrap_err();
    assert_eq!(error.to_string(), "name missing.test does not resolve: no such name");
}

#[tokio::test]
async fn a_silent_server_costs_the_deadline() {
    let server = Server::start().await;
    let deadline = Duration::from_millis(200);
    let error = server.resolver().resolve("slow.test.", Family::Any, deadline).await.unwrap_err();
    assert_eq!(error.failure, ResolveFailure::TimedOut(deadline));
    assert!(error.to_string().ends_with("did not answer within 0.2 s"), "{error}");
}

#[tokio::test]
async fn one_question_serves_all_until_its_answer_is_old() {
    let server = Server::start().await;
    let resolver = server.resolver();
    let ask = || resolver.resolve("both.test.", Family::V4, 5 * SECOND);
    let (first, second) = tokio::join!(ask(), ask());
    assert_eq!(first, second);
    ask().await.unwrap();
    assert_eq!(server.asked.load(Ordering::SeqCst), 1);
    let missing = || resolver.resolve("missing.test.", Family::V4, 5 * SECOND);
    missing().await.unwrap_err();
    missing().await.unwrap_err();
    assert_eq!(server.asked.load(Ordering::SeqCst), 2, "negative answers are kept as well");

    let mut resolver = server.resolver();
    Arc::get_mut(&mut resolver.inner).unwrap().fresh = Duration::ZERO;
    let ask = || resolver.resolve("both.test.", Family::V4, 5 * SECOND);
    ask().await.unwrap();
    ask().await.unwrap();
    assert_eq!(server.asked.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn an_abandoned_question_is_taken_over() {
    let server = Server::start().await;
    let resolver = server.resolver();
    resolver.resolve("slow.test.", Family::V4, Duration::from_millis(1)).await.unwrap_err();
    let asked = server.asked.load(Ordering::SeqCst);
    resolver.resolve("slow.test.", Family::V4, Duration::from_millis(100)).await.unwrap_err();
    assert!(server.asked.load(Ordering::SeqCst) > asked);
}

#[tokio::test]
async fn the_table_of_answers_is_bounded() {
    let resolver = Resolver::with_files(Path::new("/nonexistent"), Path::new("/nonexistent"), 1);
    for index in 0..CACHE_LIMIT + 10 {
        resolver.resolve(&format!("n{index}"), Family::Any, SECOND).await.unwrap_err();
    }
    assert_eq!(resolver.inner.cache.lock().len(), CACHE_LIMIT);
}

#[test]
fn ports_have_numbers_and_names() {
    assert_eq!(service_port("8080"), Some(8080));
    assert_eq!(service_port("amqps"), Some(5671));
    assert_eq!(service_port("65536"), None);
    assert_eq!(service_port("no-such-service"), None);
    let file = b"domain 53/udp\nwww 80/tcp web w3 # the web\ndomain 53/tcp\n";
    assert_eq!(services_entry(file, "w3"), Some(80));
    assert_eq!(services_entry(file, "domain"), Some(53));
    assert_eq!(services_entry(file, "#"), None);
}
