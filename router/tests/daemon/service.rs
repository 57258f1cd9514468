//! A service carried from one site to another, as clients and servers see it.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::support::backend::Serve;
use crate::support::pattern::Check;
use crate::support::{Backend, End, Kind, Lab, Line, Pair, PairOptions, Spec, client, ports, wait};

const OURS: [Kind; 2] = [Kind::Ours, Kind::Ours];

placed!(hello_without_data_connections, hello, OURS, PairOptions::default());
placed!(hello_with_one_data_connection, hello, OURS, PairOptions::with_data(1));
placed!(hello_with_two_data_connections, hello, OURS, PairOptions::with_data(2));
placed!(hello_over_a_link_opened_by_the_clients_site, hello, OURS, PairOptions::opened_by_north());
placed!(hello_over_a_link_in_clear, hello, OURS, PairOptions { plain: true, ..Default::default() });
placed!(hello_over_three_sites, hello_in_line, [Kind::Ours; 3], 0);
placed!(hello_over_three_sites_with_data_connections, hello_in_line, [Kind::Ours; 3], 2);
placed!(echo_with_half_close, echo, OURS, PairOptions::default());
placed!(upload_answered_after_half_close, upload, OURS, PairOptions::default());
placed!(server_that_ends_first, server_ends_first, OURS, PairOptions::default());
placed!(refused_by_the_server, refused, OURS, PairOptions::default());
placed!(reset_by_the_server, server_reset, OURS, PairOptions::default());
placed!(reset_by_the_server_while_sending, server_reset_sending, OURS, PairOptions::default());
placed!(refusal_before_a_reset_arrives, refusal_before_reset, OURS, PairOptions::default());
placed!(refusal_before_a_reset_arrives_over_three_sites, refusal_in_line, [Kind::Ours; 3]);
placed!(reset_by_the_client, client_reset, OURS, PairOptions::default());
placed!(client_gone_before_the_answer, client_gone, OURS, PairOptions::default());
placed!(clients_gone_as_soon_as_connected, clients_gone_at_once, OURS, PairOptions::default());
placed!(connections_balance_over_servers_of_a_site, balance, OURS);
placed!(more_addresses_than_a_message_has_head, addresses_told_at_once, OURS);

/// A router that comes later gets all addresses in one message, here of 375 KB.
fn addresses_told_at_once(lab: &Lab, [north, south]: [Kind; 2]) {
    let hello = Backend::start(Serve::Hello);
    let [links, service] = [ports::free(), ports::free()];
    let address = |number: usize| format!("{number:0>250}");
    let servers = Spec::new("south", south).link_plain("link1", links, 1);
    let servers = (0..1500)
        .fold(servers, |servers, number| servers.tcp_connector(&address(number), hello.port))
        .start(lab);
    servers.await_log(&["Operational"]);
    let _clients = Spec::new("north", north)
        .links_plain(links)
        .tcp_listener(&address(1499), service)
        .start(lab);
    client::await_hello(service);
}

/// One request, many in turn on one connection, and many at once.
pub(crate) fn hello(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    let pair = Pair::start(lab, kinds, options, &[]);
    hello_at(pair.port("hello"));
}

fn hello_at(port: u16) {
    let mut stream = client::connect(port);
    for _ in 0..50 {
        assert_eq!(client::request(&mut stream).expect("an answer"), client::HELLO);
    }
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(client::get(port).expect("an answer"), client::HELLO);
                }
            });
        }
    });
}

/// The same as [`hello`], with a site in the middle.
pub(crate) fn hello_in_line(lab: &Lab, kinds: [Kind; 3], data: u8) {
    let line = Line::start(lab, kinds, data, &[]);
    hello_at(line.port("hello"));
}

/// The client ends its half. The server still answers everything, and then ends too.
pub(crate) fn echo(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    let backend = Backend::start(Serve::Echo);
    let pair = Pair::start(lab, kinds, options, &[("echo", backend.port)]);
    for size in [0, 1, 100, 100_000] {
        let stream = client::connect(pair.port("echo"));
        client::exchange(&stream, size).assert_complete(size, size);
        backend.next_account().assert_complete(size, size);
    }
}

/// A request larger than any window, then the end of the client's half, then the answer.
pub(crate) fn upload(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    const SIZE: u64 = 5_000_000;
    let backend = Backend::start(Serve::Sink);
    let pair = Pair::start(lab, kinds, options, &[("sink", backend.port)]);
    let mut stream = client::connect(pair.port("sink"));
    assert_eq!(client::send(&mut stream, SIZE, |_| {}), (SIZE, None));
    stream.shutdown(Shutdown::Write).expect("half of the connection ends");
    assert_eq!(client::read_text(&mut stream), (SIZE.to_string(), End::Clean));
    let account = backend.next_account();
    assert_eq!((account.received, account.wrong_at, account.end), (SIZE, None, End::Clean));
}

/// The server ends its half at once. The client sees that, and its later bytes still arrive.
pub(crate) fn server_ends_first(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    const SIZE: u64 = 3_000_000;
    let backend = Backend::start(Serve::EndsFirst);
    let pair = Pair::start(lab, kinds, options, &[("early", backend.port)]);
    let mut stream = client::connect(pair.port("early"));
    assert_eq!(client::read_text(&mut stream), ("bye".to_owned(), End::Clean));
    assert_eq!(client::send(&mut stream, SIZE, |_| {}), (SIZE, None));
    stream.shutdown(Shutdown::Write).expect("the other half ends");
    let account = backend.next_account();
    assert_eq!((account.received, account.wrong_at, account.end), (SIZE, None, End::Clean));
}

/// No server listens at the service's port. The router accepts the client, then closes, and the
/// client has read nothing.
pub(crate) fn refused(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    let pair = Pair::start(lab, kinds, options, &[("nobody", ports::free())]);
    for _ in 0..5 {
        let mut stream = client::connect(pair.port("nobody"));
        let (text, end) = client::read_text(&mut stream);
        assert!(
            text.is_empty() && end != End::Open,
            "refused by the server, but the client saw {text:?}, {end:?}"
        );
    }
    pair.assert_hello();
}

/// The server resets the connection on the client's first bytes.
pub(crate) fn server_reset(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    let backend = Backend::start(Serve::ResetAfter(10));
    let pair = Pair::start(lab, kinds, options, &[("reset", backend.port)]);
    let mut stream = client::connect(pair.port("reset"));
    stream.write_all(&[b'x'; 100]).expect("the router reads");
    let (text, end) = client::read_text(&mut stream);
    assert_eq!(text, "");
    assert_ended(&pair, end);
    pair.assert_hello();
}

/// The server sends a part of its answer, then resets. The client must not take the part for the
/// whole.
pub(crate) fn server_reset_sending(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    const SIZE: u64 = 1_500_000;
    let backend = Backend::start(Serve::ResetAfterSending(SIZE));
    let pair = Pair::start(lab, kinds, options, &[("reset", backend.port)]);
    let mut stream = client::connect(pair.port("reset"));
    let mut check = Check::default();
    let end = client::drain(&mut stream, &mut check);
    assert_eq!(check.wrong_at(), None);
    assert!(check.received() <= SIZE);
    assert_ended(&pair, end);
    pair.assert_hello();
}

/// A server refuses the rest of a request with a text, and closes with unread bytes of the client.
/// That causes a reset, which must not overtake the text, neither in TCP nor in the routers.
fn refusal_before_reset(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    let backend = Backend::start(Serve::Refuses(REFUSAL));
    let pair = Pair::start(lab, kinds, options, &[("refusing", backend.port)]);
    hear_refusals(pair.port("refusing"));
    pair.assert_hello();
}

fn refusal_in_line(lab: &Lab, kinds: [Kind; 3]) {
    let backend = Backend::start(Serve::Refuses(REFUSAL));
    let line = Line::start(lab, kinds, 0, &[("refusing", backend.port)]);
    hear_refusals(line.port("refusing"));
}

const REFUSAL: u64 = 20_000;

fn hear_refusals(port: u16) {
    for round in 0..30 {
        let mut stream = client::connect(port);
        let mut outgoing = stream.try_clone().expect("a second handle of the socket");
        std::thread::scope(|scope| {
            // Every other client is still sending when the reset arrives.
            let request = if round % 2 == 0 { 1000 } else { 4 << 20 };
            let writer = scope.spawn(move || client::send(&mut outgoing, request, |_| {}));
            let mut check = Check::default();
            let end = client::drain(&mut stream, &mut check);
            assert_eq!((check.received(), check.wrong_at()), (REFUSAL, None), "round {round}");
            // A socket reports its reset once, either to the reader or to the writer.
            let (_, refused) = writer.join().expect("the writer does not panic");
            assert!(end == End::Reset || refused.is_some(), "round {round}: {end:?}");
        });
    }
}

/// Asserts the end of a stream after a reset. Our routers carry it as a reset. The other kind ends
/// such a stream as if it were complete.
fn assert_ended(pair: &Pair, end: End) {
    if pair.is_ours() {
        assert_eq!(end, End::Reset, "the server's reset must reach the client as one");
    } else {
        assert_ne!(end, End::Open, "the client does not see the server's reset");
    }
}

/// The client resets. The server sees that, and the service goes on.
pub(crate) fn client_reset(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    let backend = Backend::start(Serve::Silent);
    let pair = Pair::start(lab, kinds, options, &[("silent", backend.port)]);
    let mut stream = client::connect(pair.port("silent"));
    stream.write_all(&[b'x'; 1000]).expect("the router reads");
    backend.await_received(1000);
    client::reset_on_close(&stream);
    drop(stream);
    let account = backend.next_account();
    assert_eq!(account.received, 1000);
    if pair.is_ours() {
        assert_eq!(account.end, End::Reset, "the client's reset must reach the server as one");
    }
    pair.assert_hello();
}

/// The client closes before the server has sent a byte. The server sees that, whatever it does
/// next.
pub(crate) fn client_gone(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    let backend = Backend::start(Serve::Silent);
    let pair = Pair::start(lab, kinds, options, &[("silent", backend.port)]);
    for round in 1..=10 {
        let mut stream = client::connect(pair.port("silent"));
        stream.write_all(b"question").expect("the router reads");
        drop(stream);
        let account = backend.next_account();
        assert_eq!((account.received, account.end), (8, End::Clean), "round {round}");
    }
    pair.assert_hello();
}

/// Clients close or reset right after the connect. They leave nothing behind: every connection to
/// the server ends.
pub(crate) fn clients_gone_at_once(lab: &Lab, kinds: [Kind; 2], options: PairOptions) {
    let backend = Backend::start(Serve::Echo);
    let pair = Pair::start(lab, kinds, options, &[("echo", backend.port)]);
    for round in 0..60 {
        let stream = client::connect(pair.port("echo"));
        if round % 2 == 0 {
            client::reset_on_close(&stream);
        }
    }
    let stream = client::connect(pair.port("echo"));
    client::exchange(&stream, 1000).assert_complete(1000, 1000);
    wait::until("no connection to the server is left", wait::patience(), || {
        (backend.open() == 0).then_some(())
    });
    pair.assert_hello();
}

/// Two servers of one service behind one router share the connections.
fn balance(lab: &Lab, kinds: [Kind; 2]) {
    const CLIENTS: usize = 20;
    let servers = [Backend::start(Serve::Echo), Backend::start(Serve::Echo)];
    let pair = Pair::start(
        lab,
        kinds,
        PairOptions::default(),
        &[("shared", servers[0].port), ("shared", servers[1].port)],
    );
    let mut streams = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = client::connect(pair.port("shared"));
        stream.write_all(b"x").expect("the router reads");
        stream.read_exact(&mut [0]).expect("the echo");
        streams.push(stream);
    }
    let shares = servers.each_ref().map(Backend::open);
    assert!(
        shares.iter().all(|&share| share >= CLIENTS / 4),
        "{CLIENTS} connections were shared {shares:?}"
    );
}
