//! New certificates for a link in use. Connections with the new certificates take over. The former
//! ones keep their streams until an operator declares their certificates too old.

use Kind::{Ours, Peer};
use serde_json::{Value, json};
use tungstenite::Message;

use crate::support::backend::Serve;
use crate::support::client::{self, End};
use crate::support::pattern::Check;
use crate::support::wait::{patience, until};
use crate::support::{Backend, Kind, Lab, Spec, Tool, amqp, ports, tls, websocket};

/// Returns the ordinals of a router's connections to the other, in order.
fn ordinals(tool: &Tool) -> Vec<u64> {
    let connections = tool.json("query --type connection");
    let between = connections.as_array().expect("a list").iter();
    let between = between
        .filter(|it| it["role"].as_str().is_some_and(|role| role.starts_with("inter-router")));
    let mut ordinals: Vec<_> = between.filter_map(|it| it["groupOrdinal"].as_u64()).collect();
    ordinals.sort_unstable();
    ordinals
}

/// Opens a stream and sends 1000 bytes of the pattern. The backend has received `already` bytes
/// before.
fn stream(port: u16, backend: &Backend, already: u64) -> std::net::TcpStream {
    let mut stream = client::connect(port);
    client::send(&mut stream, 1000, |_| {});
    backend.await_received(already + 1000);
    stream
}

/// `south` connects to `north`, and gets new certificates.
fn rotate(lab: &Lab, kinds: [Kind; 2], data: u8) {
    let [link, north_clients, south_clients, service] = [(); 4].map(|()| ports::free());
    let backend = Backend::start(Serve::Echo);
    let north = Spec::new("north", kinds[0])
        .data_connections(data)
        .profile(&lab.identity("north"))
        .links_tls(link);
    let north = north.clients(north_clients).tcp_listener("echo", service).start(lab);
    let south = Spec::new("south", kinds[1])
        .data_connections(data)
        .profile(&lab.identity("south"))
        .link_tls("link", link);
    let south = south.clients(south_clients).tcp_connector("echo", backend.port).start(lab);
    north.await_port(service);
    south.await_port(south_clients);
    let tools = [Tool::at("skmanage", north_clients), Tool::at("skmanage", south_clients)];
    let connections = usize::from(data) + 1;
    let wait = |what: &str, wanted: &[u64]| {
        until(what, patience(), || tools.iter().all(|tool| ordinals(tool) == wanted).then_some(()));
    };
    wait("the first connections", &vec![0; connections]);

    let mut former = stream(service, &backend, 0);
    let _: Value = tools[1].json("update --type sslProfile --name tls ordinal=2");
    let both: Vec<_> =
        std::iter::repeat_n(0, connections).chain(std::iter::repeat_n(2, connections)).collect();
    wait("connections with the new certificates beside the former", &both);
    // Both ends have changed over once the former control links are gone.
    until("the new connections are in use", patience(), || {
        let links = tools[usize::from(kinds[0] == Peer)].json("query --type router.link");
        let control =
            |link: &&Value| link["linkType"] == "router-control" && link["operStatus"] == "up";
        (links.as_array()?.iter().filter(control).count() == 2).then_some(())
    });
    let mut newer = stream(service, &backend, 1000);
    // The former stream goes on.
    client::send(&mut former, 1000, |_| {});
    backend.await_received(3000);

    let _: Value = tools[1].json("update --type sslProfile --name tls oldestValidOrdinal=2");
    wait("the former connections are closed", &vec![2; connections]);
    let end = client::drain(&mut former, &mut Check::default());
    // A C router gives its client a clean end.
    assert!(end != End::Clean || kinds[0] == Peer, "{end:?}");
    client::send(&mut newer, 1000, |_| {});
    backend.await_received(4000);
    newer.shutdown(std::net::Shutdown::Write).expect("half of the connection ends");
    let mut check = Check::default();
    assert_eq!(client::drain(&mut newer, &mut check), End::Clean);
    assert_eq!(check.received(), 2000);
    assert!(north.is_running() && south.is_running());
}

/// Too old certificates end the connections that used them, WebSockets included. A handshake under
/// way with such certificates fails.
#[test]
fn too_old_certificates_are_of_no_use() {
    let lab = Lab::new("too_old_certificates_are_of_no_use");
    let [clear, tls, web] = [(); 3].map(|()| ports::free());
    let listener = |name: &str, port: u16, http: bool| {
        json!({
            "name": name, "host": "localhost", "port": port, "sslProfile": "tls",
            "requireSsl": true, "http": http,
        })
    };
    let spec = Spec::new("north", Ours).profile(&lab.identity("north")).clients(clear);
    let router = spec
        .entity("listener", listener("tls", tls, false))
        .entity("listener", listener("web", web, true))
        .start(&lab);
    [clear, tls, web].into_iter().for_each(|port| router.await_port(port));
    let identity = lab.identity("client");
    let mut waiting = tls::connect(tls, &identity).expect("a TLS session");
    let mut open = websocket::open(web, Some(&identity)).expect("a WebSocket");
    open.send(Message::binary(amqp::opening("open"))).expect("sent");
    assert!(websocket::hears(&mut open, amqp::code::OPEN));

    let _: Value = Tool::at("skmanage", clear)
        .json("update --type sslProfile --name tls ordinal=2 oldestValidOrdinal=2");
    assert!(websocket::hears(&mut open, amqp::code::CLOSE), "the WebSocket stays");
    let (heard, ended) = tls::ask(&mut waiting, &amqp::opening("waiting"));
    let told = String::from_utf8_lossy(&heard).contains("its certificates are no longer valid");
    assert!(told && ended, "a client with the former certificates was admitted");
    let mut newer = websocket::open(web, Some(&identity)).expect("a WebSocket");
    newer.send(Message::binary(amqp::opening("newer"))).expect("sent");
    assert!(websocket::hears(&mut newer, amqp::code::OPEN));
}

/// Defines a test for links without and with data connections.
macro_rules! rotations {
    ($name:ident, $kinds:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn on_one_connection() {
                play(concat!(module_path!(), "::on_one_connection"), $kinds, 0);
            }

            #[test]
            fn with_data_connections() {
                play(concat!(module_path!(), "::with_data_connections"), $kinds, 2);
            }
        }
    };
}

fn play(test: &str, kinds: [Kind; 2], data: u8) {
    if crate::support::peers::available(test, &kinds) {
        rotate(&Lab::new(test), kinds, data);
    }
}

rotations!(new_certificates, [Ours, Ours]);

mod mixed {
    use super::*;

    rotations!(new_certificates_toward_a_peer, [Peer, Ours]);
    rotations!(new_certificates_of_a_peer, [Ours, Peer]);
}
