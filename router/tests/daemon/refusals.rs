//! Sites that may not link. The router refuses them before they reach the routing, reports them to
//! the operator, and harms no other link.

use std::io::{Read, Write};

use Kind::{Ours, Peer};

use crate::support::backend::Serve;
use crate::support::pki::{Contents, Identity};
use crate::support::{Backend, Kind, Lab, Router, Spec, amqp, client, hear, ports, tls};

placed!(accepts_a_valid_client, client_with, [Ours], Refused::No, |lab| lab.identity("client"));
placed!(refuses_a_client_without_certificate, client_with, [Ours], Refused::Yes, no_certificate);
placed!(refuses_a_client_of_another_authority, client_with, [Ours], Refused::Yes, Lab::stranger);
placed!(
    refuses_a_client_whose_certificate_expired,
    client_with,
    [Ours],
    Refused::Yes,
    Lab::expired
);
placed!(refuses_amqp_in_clear_where_tls_is_required, in_clear, [Ours], &amqp::opening("south"));
placed!(refuses_a_bare_header_where_tls_is_required, in_clear, [Ours], amqp::HEADER);
placed!(refuses_http_where_tls_is_required, in_clear, [Ours], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");

placed!(links_by_common_name_alone, links, [Ours, Ours], common_name("localhost"), good);
placed!(does_not_link_to_another_name, no_link, [Ours, Ours], other_name, good, Teller::South);
placed!(
    does_not_link_to_another_common_name,
    no_link,
    [Ours, Ours],
    common_name("elsewhere"),
    good,
    Teller::South
);
placed!(does_not_link_to_an_expired_site, no_link, [Ours, Ours], Lab::expired, good, Teller::South);
placed!(
    does_not_link_to_another_authority,
    no_link,
    [Ours, Ours],
    Lab::stranger,
    good,
    Teller::South
);
placed!(is_not_linked_by_an_expired_site, no_link, [Ours, Ours], good, Lab::expired, Teller::North);
placed!(
    is_not_linked_by_another_authority,
    no_link,
    [Ours, Ours],
    good,
    Lab::stranger,
    Teller::North
);
placed!(
    is_not_linked_without_certificate,
    no_link,
    [Ours, Ours],
    good,
    no_certificate,
    Teller::North
);

mod mixed {
    use super::*;

    placed!(links_to_a_peer_by_common_name, links, [Peer, Ours], common_name("localhost"), good);
    placed!(
        peer_refuses_our_expired_certificate,
        no_link,
        [Peer, Ours],
        good,
        Lab::expired,
        Teller::North
    );
    placed!(
        we_refuse_the_expired_certificate_of_a_peer,
        no_link,
        [Ours, Peer],
        good,
        Lab::expired,
        Teller::North
    );
    placed!(peer_of_another_name, no_link, [Peer, Ours], other_name, good, Teller::South);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    Yes,
    No,
}

/// The site that logs why there is no link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Teller {
    North,
    South,
}

fn good(lab: &Lab) -> Identity {
    lab.identity(&format!("good-{}", ports::free()))
}

fn no_certificate(lab: &Lab) -> Identity {
    good(lab).anonymous()
}

fn other_name(lab: &Lab) -> Identity {
    lab.authority().issue(
        "elsewhere",
        &Contents {
            common_name: "elsewhere.example",
            names: &["elsewhere.example"],
            expired: false,
        },
    )
}

fn common_name(name: &'static str) -> impl Fn(&Lab) -> Identity {
    move |lab| {
        lab.authority()
            .issue("common-name", &Contents { common_name: name, names: &[], expired: false })
    }
}

struct Site {
    north: Router,
    link: u16,
    port: u16,
}

/// Starts a site with a port for links and a service at `port`.
fn site(lab: &Lab, kind: Kind, identity: &Identity) -> Site {
    let [link, port] = [ports::free(), ports::free()];
    let north = Spec::new("north", kind)
        .profile(identity)
        .links_tls(link)
        .tcp_listener("hello", port)
        .start(lab);
    north.await_port(link);
    Site { north, link, port }
}

/// A TLS client with some identity is admitted or refused. The log has a refusal with the client's
/// address.
fn client_with(lab: &Lab, kinds: [Kind; 1], refused: Refused, identity: impl Fn(&Lab) -> Identity) {
    let hello = Backend::start(Serve::Hello);
    let site = site(lab, kinds[0], &lab.identity("north"));
    let neighbor =
        Spec::new("south", kinds[0]).profile(&lab.identity("south")).link_tls("link1", site.link);
    let _neighbor = neighbor.tcp_connector("hello", hello.port).start(lab);
    client::await_hello(site.port);
    let identity = identity(lab);
    // A correct client would not show an expired certificate, but its key still works.
    match tls::connect(site.link, &identity) {
        Ok(mut stream) if refused == Refused::No => {
            stream.write_all(amqp::SASL_HEADER).expect("a good client is heard");
            let mut answer = [0; 8];
            stream.read_exact(&mut answer).expect("a good client is answered");
            assert_eq!(answer, amqp::SASL_HEADER);
        }
        Ok(mut stream) => {
            let from = stream.sock.local_addr().expect("an address").to_string();
            let (answer, ended) = tls::ask(&mut stream, amqp::SASL_HEADER);
            assert!(ended, "the connection of a bad client is still open");
            assert!(answer.is_empty(), "a bad client was answered {answer:02x?}");
            site.north.await_log(&[&from, "failed"]);
        }
        Err(error) => {
            assert!(refused == Refused::Yes, "a good client was refused: {error}");
            site.north.await_log(&["failed", "127.0.0.1:"]);
        }
    }
    assert_eq!(
        client::get(site.port).ok().as_deref(),
        Some(client::HELLO),
        "the good neighbor does not suffer"
    );
}

/// Sends something other than TLS to a port that requires it.
fn in_clear(lab: &Lab, kinds: [Kind; 1], octets: &[u8]) {
    let site = site(lab, kinds[0], &lab.identity("north"));
    let mut stream = client::connect(site.link);
    let from = stream.local_addr().expect("an address").to_string();
    let (answer, ended) = tls::ask(&mut stream, octets);
    assert!(ended, "the connection is still open");
    assert!(answer.len() < 1024);
    // An AMQP close may give condition and reason, but no performative of a session may come.
    assert!(
        !hear::contains_performative(&answer, amqp::code::BEGIN),
        "a session in clear: {answer:02x?}"
    );
    site.north.await_log(&[&from, "failed"]);
    assert!(site.north.is_running());
}

/// Two sites with these certificates link.
fn links(
    lab: &Lab,
    kinds: [Kind; 2],
    north: impl Fn(&Lab) -> Identity,
    south: impl Fn(&Lab) -> Identity,
) {
    let hello = Backend::start(Serve::Hello);
    let site = site(lab, kinds[0], &north(lab));
    let south = Spec::new("south", kinds[1]).profile(&south(lab)).link_tls("link1", site.link);
    let _south = south.tcp_connector("hello", hello.port).start(lab);
    client::await_hello(site.port);
}

/// Two sites with these certificates do not link, and one of them reports why. A third with a good
/// certificate still links.
fn no_link(
    lab: &Lab,
    kinds: [Kind; 2],
    north: impl Fn(&Lab) -> Identity,
    south: impl Fn(&Lab) -> Identity,
    teller: Teller,
) {
    let hello = Backend::start(Serve::Hello);
    let site = site(lab, kinds[0], &north(lab));
    let bad = Spec::new("south", kinds[1]).profile(&south(lab)).link_tls("link1", site.link);
    let bad = bad.tcp_connector("hello", hello.port).start(lab);
    match teller {
        Teller::South => drop(bad.await_log(&[&format!("localhost:{}", site.link), "failed"])),
        Teller::North => drop(site.north.await_log(&["failed", "127.0.0.1:"])),
    }
    assert!(!ports::listening(site.port), "the service of a site that was refused is offered");
    assert!(site.north.is_running() && bad.is_running());
    if teller == Teller::North {
        let good = Spec::new("third", kinds[1]).profile(&good(lab)).link_tls("link1", site.link);
        let _good = good.tcp_connector("hello", hello.port).start(lab);
        client::await_hello(site.port);
    }
}
