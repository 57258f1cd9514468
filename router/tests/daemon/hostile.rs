//! Bytes that no AMQP peer would send, on every kind of AMQP port. The connection ends, the router
//! does not, and its memory stays bounded.

mod cases;

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use Kind::Ours;

use crate::support::backend::Serve;
use crate::support::{Backend, Kind, Lab, Router, Spec, client, ports, tls, wait};

placed!(nonsense_on_the_port_of_clients, nonsense, [Ours], Port::Clients);
placed!(nonsense_on_the_port_of_links, nonsense, [Ours], Port::Links);
placed!(nonsense_on_the_tls_port_of_links, nonsense, [Ours], Port::LinksTls);
placed!(nonsense_inside_of_tls, nonsense, [Ours], Port::InsideTls);
placed!(damaged_conversations_with_the_port_of_clients, damaged, [Ours], Port::Clients);
placed!(damaged_conversations_with_the_port_of_links, damaged, [Ours], Port::Links);
placed!(cut_conversations, cut, [Ours]);
placed!(connections_that_say_nothing, silence, [Ours]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Clients,
    Links,
    LinksTls,
    InsideTls,
}

const MIB: u64 = 1024 * 1024;
/// Most bytes that a router may grow by, whatever it receives.
const GROWTH: u64 = 48 * MIB;

struct Target {
    router: Router,
    neighbor: Router,
    _hello: Backend,
    ports: [u16; 3],
    service: u16,
    resident: u64,
}

impl Target {
    /// Starts a router with a port of each kind, a good neighbor that serves `hello`, and waits
    /// until a client is served.
    fn start(lab: &Lab, kind: Kind) -> Self {
        let hello = Backend::start(Serve::Hello);
        let [clients, links, links_tls, service] =
            [ports::free(), ports::free(), ports::free(), ports::free()];
        let plain = serde_json::json!({
            "name": "links-in-clear", "host": "127.0.0.1", "port": links.to_string(),
            "role": "inter-router", "saslMechanisms": "ANONYMOUS", "authenticatePeer": false,
        });
        let router = Spec::new("target", kind)
            .profile(&lab.identity("target"))
            .clients(clients)
            .links_tls(links_tls);
        let router = router.entity("listener", plain).tcp_listener("hello", service).start(lab);
        let neighbor = Spec::new("neighbor", kind)
            .profile(&lab.identity("neighbor"))
            .link_tls("link1", links_tls);
        let neighbor = neighbor.tcp_connector("hello", hello.port).start(lab);
        router.await_port(clients);
        client::await_hello(service);
        let resident = router.resident();
        Self {
            router,
            neighbor,
            _hello: hello,
            ports: [clients, links, links_tls],
            service,
            resident,
        }
    }

    /// Sends bytes to a port and ends that half. Our router must end its half too; the other kind
    /// keeps some open.
    fn tell(&mut self, lab: &Lab, port: Port, name: &str, octets: &[u8]) {
        let is_ours = self.router.kind.is_ours();
        let limit = if is_ours { wait::patience() } else { std::time::Duration::from_millis(300) };
        let number = match port {
            Port::Clients => self.ports[0],
            Port::Links => self.ports[1],
            Port::LinksTls | Port::InsideTls => self.ports[2],
        };
        if !is_ours {
            // An earlier input may end the router only at this point.
            wait::until("the other kind listens", wait::patience(), || {
                self.survives("something before");
                ports::listening(number).then_some(())
            });
        }
        let (answer, ended) = if port == Port::InsideTls {
            let mut stream = match tls::connect(number, &lab.identity("hostile")) {
                Ok(stream) => stream,
                Err(error) => {
                    assert!(!is_ours, "{name}: no handshake: {error}");
                    return;
                }
            };
            let _ = stream.sock.set_read_timeout(Some(limit));
            let _ = stream.write_all(octets);
            stream.conn.send_close_notify();
            tls::ask(&mut stream, b"")
        } else {
            let mut stream = match client::try_connect(number) {
                Ok(stream) => stream,
                Err(error) => {
                    assert!(!is_ours, "{name}: no connection: {error}");
                    return;
                }
            };
            let _ = stream.set_read_timeout(Some(limit));
            let _ = stream.write_all(octets);
            let _ = stream.shutdown(Shutdown::Write);
            tls::ask(&mut stream, b"")
        };
        if !self.survives(name) {
            return;
        }
        assert!(ended || !is_ours, "{name}: the connection is still open");
        assert!(answer.len() < 64 * 1024, "{name}: an answer of {} bytes", answer.len());
    }

    /// Returns true if the router still runs. Ours must; the other kind is started again, for it
    /// does not survive everything.
    #[track_caller]
    fn survives(&mut self, name: &str) -> bool {
        if self.router.is_running() {
            return true;
        }
        assert!(!self.router.kind.is_ours(), "{name} ended the router");
        eprintln!("{name} ended the other kind's router");
        self.router.start_again();
        self.router.await_port(self.ports[0]);
        false
    }

    #[track_caller]
    fn assert_unharmed(&mut self) {
        if !self.router.kind.is_ours() {
            // The last input may end the router only at this point.
            client::hello_once(self.service);
            self.survives("something before");
            client::await_hello(self.service);
        }
        assert!(self.router.is_running() && self.neighbor.is_running());
        assert_eq!(client::get(self.service).ok().as_deref(), Some(client::HELLO));
        let growth = self.router.peak_resident().saturating_sub(self.resident);
        assert!(
            growth < GROWTH || !self.router.kind.is_ours(),
            "the router grew by {} MiB",
            growth / MIB
        );
        let log = self.router.log();
        assert!(!log.contains("panicked at"), "a panic was caught:\n{log}");
    }
}

fn nonsense(lab: &Lab, kinds: [Kind; 1], port: Port) {
    let mut target = Target::start(lab, kinds[0]);
    for (name, octets) in cases::all() {
        if std::env::var_os("SKROUTERD_TEST_TRACE").is_some() {
            eprintln!("{port:?}: {name}");
        }
        target.tell(lab, port, &name, &octets);
    }
    target.assert_unharmed();
}

/// Sends a conversation in which single bytes are wrong.
fn damaged(lab: &Lab, kinds: [Kind; 1], port: Port) {
    let mut target = Target::start(lab, kinds[0]);
    let valid = cases::conversation();
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..300 {
        let mut octets = valid.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..octets.len());
            octets[at] = random.u8(..);
        }
        target.tell(lab, port, &format!("damaged conversation {round}"), &octets);
    }
    target.assert_unharmed();
}

/// Sends a conversation that ends at any byte, by an end of stream or a reset.
fn cut(lab: &Lab, kinds: [Kind; 1]) {
    let mut target = Target::start(lab, kinds[0]);
    let valid = cases::conversation();
    for length in (0..valid.len()).step_by(3) {
        if length % 2 == 0 {
            target.tell(
                lab,
                Port::Clients,
                &format!("a conversation of {length} octets"),
                &valid[..length],
            );
        } else {
            let mut stream = client::connect(target.ports[0]);
            let _ = stream.write_all(&valid[..length]);
            client::reset_on_close(&stream);
        }
    }
    target.assert_unharmed();
}

/// A silent connection ends after ten seconds, the time of a handshake. The other kind gives it
/// unlimited time by default.
fn silence(lab: &Lab, kinds: [Kind; 1]) {
    let mut target = Target::start(lab, kinds[0]);
    let silent: Vec<TcpStream> =
        (0..200).map(|round| client::connect(target.ports[round % 3])).collect();
    target.assert_unharmed();
    if kinds[0].is_ours() {
        wait::until("silent connections are closed", wait::patience(), || {
            silent.iter().all(is_closed).then_some(())
        });
    }
}

fn is_closed(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    !matches!(stream.peek(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}
