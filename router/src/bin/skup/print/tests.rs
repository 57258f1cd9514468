use super::*;
use crate::admin::model::Source;
use crate::admin::reason::Reason;
use crate::admin::samples::{Sample, active, at, failing, link, reasons};

/// The output of `skup link status` for a link in each state.
#[test]
fn link_status_of_each_state() {
    let expected = [
        ("never-tried", "not tried yet"),
        ("stopped", "stopped by the operator"),
        ("connecting", "connecting"),
        ("awaiting-control-links", "connected, waiting for both control links to attach"),
        ("awaiting-hello", "connected, no HELLO from the peer yet"),
        (
            "awaiting-confirmation",
            "connected, the peer's HELLO is heard but it has not confirmed ours yet",
        ),
        ("stands-by", "stands by: another uplink is in use"),
        (
            "no-name",
            "host name north.example.com does not resolve (no such domain): check the link's host and this site's DNS",
        ),
        (
            "refused",
            "connection refused by 192.0.2.7:55671: nothing listens there; check that the other site runs and the port is right",
        ),
        (
            "unreachable",
            "192.0.2.7:55671 cannot be reached (no route to host): check the route and the firewalls between the sites",
        ),
        (
            "timed-out",
            "no answer within 10 s while waiting for TLS: check that the port is a router's and that nothing between drops \
             traffic",
        ),
        (
            "expired",
            "the peer's certificate (CN=north) expired on 2027-01-14 12:00 UTC: it must be renewed at the other site; if it \
             is not expired there, check this host's clock",
        ),
        (
            "not-yet",
            "the peer's certificate (CN=north) is valid only from 2027-01-16 12:00 UTC: check the clocks of both hosts",
        ),
        (
            "wrong-ca",
            "the peer's certificate (CN=north) was issued by CN=other-ca, which is not the CA of this link: make the link \
             again with a token of that site, or check caCertFile",
        ),
        (
            "wrong-host",
            "host north.example.com is not in the peer's certificate, which is for north, localhost: use one of those, or \
             issue a certificate for north.example.com",
        ),
        (
            "no-host",
            "the peer's certificate holds no host name, so not north.example.com: issue one that does",
        ),
        (
            "we-are-refused",
            "the peer refused our certificate with TLS alert unknown_ca: it does not trust the CA that issued it; make the \
             link again with a token of that site",
        ),
        ("tls", "TLS failed: received fatal alert: ProtocolVersion"),
        (
            "sasl",
            "SASL authentication failed (it offers PLAIN): compare saslMechanisms here and at the peer's listener, and \
             whether it demands TLS",
        ),
        (
            "not-amqp",
            "the peer speaks no AMQP (no AMQP protocol header: the first octets are HTTP/1.1): check that host and \
             port are those of a router's inter-router listener",
        ),
        (
            "role",
            "roles do not match: our connector is inter-router, the peer's listener is not (it answered qd:forbidden); \
             connect to its inter-router listener",
        ),
        (
            "former",
            "the peer still holds the former connection of this link and refuses a new one until that times out",
        ),
        (
            "old",
            "the peer runs release 2.7.3: it is linked, but services cannot be carried; upgrade it to 3.0 or later",
        ),
        (
            "newer",
            "the peer speaks version 3 of the inter-router protocol, this router at most 1: upgrade this router",
        ),
        (
            "own-id",
            "the peer has our own router id, south: ids must be unique in a network; check that the link does not lead back \
             here",
        ),
        ("closed", "the peer closed the connection with amqp:not-allowed: go\\x1b[31m away\\n"),
        ("closed-silently", "the peer closed the connection with amqp:internal-error"),
        ("lost", "connection lost: connection reset by peer"),
        (
            "hello-lost",
            "the connection stands but the peer's HELLO stays away: it is overloaded, or stopped",
        ),
        ("other", "something new"),
    ];
    let reasons = reasons();
    assert_eq!(reasons.len(), expected.len());
    for ((name, reason), (expected_name, words)) in reasons.into_iter().zip(expected) {
        assert_eq!(name, expected_name);
        let text = link_status(&[failing(name, reason)], false, at(0));
        let expected = format!(
            "Link {name} not connected\n  reason:   {words}\n  since:    2027-01-15 11:57:55 UTC (2 min 5 s), 17 attempts failed\n  \
             next try: in 3 s (at 2027-01-15 12:00:03 UTC)\n"
        );
        assert_eq!(text, expected);
    }
}

#[test]
fn link_status_of_an_active_link_is_one_line() {
    assert_eq!(link_status(&[active("link1")], false, at(0)), "Link link1 is active\n");
}

#[test]
fn link_status_in_detail() {
    let expected = "\
Link link1 is active
  since:    2027-01-15 11:57:55 UTC (2 min 5 s)
  to:       north.example.com:55671 (inter-router, cost 1)
  peer:     router north, release 3.4.1
  TLS:      TLSv1.3, TLS_AES_256_GCM_SHA384, peer CN=north until 2028-01-15
  carries:  2 of 2 control links, 2 of 2 data connections, HELLO heard both ways
  octets:   1.0 KiB in, 5.0 MiB out
";
    assert_eq!(link_status(&[active("link1")], true, at(0)), expected);
}

#[test]
fn link_status_of_what_is_linked_but_limited_and_of_links_to_us() {
    let old = Link {
        reason: Some(Reason::PeerTooOld { version: "2.7.3".to_owned() }),
        ..active("link1")
    };
    let incoming = Link { direction: Direction::In, ..active("site") };
    let connecting = Link {
        state: LinkState::Connecting,
        reason: Some(Reason::Connecting),
        since: at(0),
        since_seconds: 0,
        ..link("link2")
    };
    let expected = "\
Link link1 is active
  but:      the peer runs release 2.7.3: it is linked, but services cannot be carried; upgrade it to 3.0 or later
Incoming link from north is active
Link link2 not connected
  reason:   connecting
  since:    2027-01-15 12:00:00 UTC (0 s)
";
    assert_eq!(link_status(&[old, incoming, connecting], false, at(0)), expected);
    assert_eq!(
        link_status(&[], false, at(0)),
        "No link is configured here, and no other site is linked to this one\n"
    );
    let due = Link { next_try: Some(at(-1)), ..failing("a", Reason::HelloLost) };
    assert!(link_status(&[due], false, at(0)).ends_with("next try: now\n"));
}

#[test]
fn tables() {
    let sample = Sample(vec![active("link1"), failing("link2", Reason::NeverTried)]);
    let expected = "\
NAME   WAY  ROLE          HOST                     STATE          PEER   RELEASE  COST  TLS      CERTIFICATE UNTIL  IN       OUT
link1  out  inter-router  north.example.com:55671  active         north  3.4.1    1     TLSv1.3  2028-01-15         1.0 KiB  5.0 MiB
link2  out  inter-router  north.example.com:55671  not connected  -      -        1     -        -                  0 B      0 B
";
    assert_eq!(links(&sample.links()), expected);
    let expected = "\
ADDRESS  PROTOCOL  LISTENERS                 CONNECTORS  SERVED BY     OPEN  TOTAL
hello    tcp       0.0.0.0:8080, 0.0.0.0:80  backend:80  north, south  2     43
db       tcp       -                         -           -             0     0
";
    assert_eq!(services(&sample.services()), expected);
    let expected = "\
ROUTER  NEXT HOP       COST  NEIGHBORS    LAST HEARD
south   (this router)  -     north        -
north   north          1     south, west  2 s ago
west    (unreachable)  -     -            6 min 40 s ago
";
    assert_eq!(routers(&sample.routers(), at(0)), expected);
    let expected = "\
ID  PROTOCOL  ROLE          WAY  HOST             ENTITY  CONTAINER OR ADDRESS  TLS      OPEN FOR   IN    OUT
7   amqp      inter-router  in   192.0.2.9:40000  site    north                 TLSv1.3  1 h 0 min  10 B  20 B
";
    assert_eq!(connections(&sample.connections()), expected);
    let expected = "\
KEY     CLASS   TREATMENT  LOCAL  IN PROCESS  REMOTE ROUTERS
Mhello  mobile  balanced   1      0           north
";
    assert_eq!(addresses(&sample.addresses()), expected);
    assert_eq!(addresses(&[]), "The address table is empty\n");
}

#[test]
fn the_status_of_a_router() {
    let expected = "\
Router south (interior), release 0.1.0, process 4711, running for 2 h 0 min
  site:         factory
  links:        1 of 2 active
  sites linked: 1
  routers:      2 reachable
  services:     3 seen
  connections:  4 AMQP, 5 of services
  warnings:
    2027-01-15 11:59:00 UTC listener a: attribute cost has no effect yet
  last errors:
    2027-01-15 11:59:30 UTC port 80 is held by another process (12 times)
";
    let sample = Sample(vec![active("link1"), failing("link2", Reason::NeverTried)]);
    assert_eq!(status(&sample.status()), expected);
    assert!(
        status(&Status { draining: true, ..sample.status() })
            .contains("stopping after running for 2 h 0 min")
    );
}

#[test]
fn the_status_of_services() {
    let expected = "\
Service hello (tcp) is served by north, south
  listener hello at 0.0.0.0:8080: listening
    2 connections open, 40 since start, 3.9 KiB in, 120.6 KiB out
  listener hello2 at 0.0.0.0:80: not listening: 2027-01-15 11:59:30 UTC address in use (12 times)
    0 connections open, 0 since start, 0 B in, 0 B out
  connector hello to backend:80
    0 connections open, 3 since start, 0 B in, 0 B out
    7 failed dials, last: 2027-01-15 11:59:50 UTC connection refused
Service db (tcp) is served by no reachable router
";
    assert_eq!(service_status(&Sample(vec![]).services()), expected);
}

#[test]
fn nothing_a_peer_says_reaches_the_terminal_as_a_command() {
    let hostile = "a\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\r\nb";
    let mut sample = active(hostile);
    sample.host = hostile.to_owned();
    sample.peer = Some(crate::admin::model::Peer {
        router_id: hostile.to_owned(),
        version: Some(hostile.to_owned()),
    });
    for text in [link_status(&[sample.clone()], true, at(0)), links(&[sample])] {
        assert!(
            text.chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{202e}')),
            "{text:?}"
        );
    }
}

#[test]
fn durations_octets_and_hosts() {
    let spans = [0, 59, 60, 3599, 3600, 86_399, 86_400, u64::MAX].map(span);
    assert_eq!(
        spans,
        [
            "0 s",
            "59 s",
            "1 min 0 s",
            "59 min 59 s",
            "1 h 0 min",
            "23 h 59 min",
            "1 d 0 h",
            "213503982334601 d 7 h"
        ]
    );
    let sizes = [0, 999, 1000, 1024, 1_048_575, u64::MAX].map(octets);
    assert_eq!(sizes, ["0 B", "999 B", "1.0 KiB", "1.0 KiB", "1.0 MiB", "16.0 EiB"]);
    assert_eq!(host_port("::1", "80"), "[::1]:80");
}
