//! Clients that obey the letter of the protocol and take more than their share. The router bounds
//! their share, refuses the rest, and serves the others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::amqp::{self, Transfer, code, frame, null, performative, uint};
use crate::support::{Kind, Lab, Scene, Spec, Tool, client, hear, ports, wait};

const MIB: u64 = 1024 * 1024;

/// Most bytes that a router may grow by for one hostile client.
const GROWTH: u64 = 64 * MIB;

/// Sends all bytes and a close, as far as the router takes them, and reads meanwhile. Returns the
/// router's bytes up to the end of the connection.
fn say(stream: &TcpStream, octets: &[u8]) -> Vec<u8> {
    let mut reader = stream.try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        let heard = scope.spawn(move || {
            let (mut heard, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
            loop {
                match reader.read(&mut buffer) {
                    Ok(count @ 1..) => heard.extend_from_slice(&buffer[..count]),
                    Err(error) if client::is_timeout(&error) => {
                        panic!("the router does not end the connection")
                    }
                    Ok(0) | Err(_) => return heard,
                }
            }
        });
        let _ = (&mut &*stream)
            .write_all(&[octets, &frame(0, &performative(code::CLOSE, &[]))].concat());
        heard.join().expect("the reader does not panic")
    })
}

/// Returns how often the router sent a performative.
fn count(heard: &[u8], code: u8) -> usize {
    heard.windows(3).filter(|window| *window == [0, 0x53, code]).count()
}

fn begun() -> Vec<u8> {
    [amqp::opening("greedy"), frame(0, &amqp::begin())].concat()
}

#[test]
fn links_and_sessions_without_end_are_refused() {
    let lab = Lab::new("links_and_sessions_without_end_are_refused");
    let scene = Scene::start(&lab, |spec| spec);
    let attach = |handle: u32| {
        frame(
            0,
            &amqp::attach(
                &handle.to_string(),
                handle,
                handle.is_multiple_of(2),
                &format!("a/{handle}"),
            ),
        )
    };
    let links: Vec<u8> = (0..60_000).flat_map(attach).collect();
    let heard = say(&client::connect(scene.port), &[begun(), links].concat());
    assert!(hear::contains(&heard, "amqp:resource-limit-exceeded"), "nothing was refused");
    scene.assert_unharmed(2 * GROWTH);

    let sessions: Vec<u8> =
        (0..=u16::MAX).flat_map(|channel| frame(channel, &amqp::begin())).collect();
    let heard = say(&client::connect(scene.port), &[amqp::opening("greedy"), sessions].concat());
    assert_eq!(count(&heard, code::CLOSE), 1);
    assert!(hear::contains(&heard, "amqp:resource-limit-exceeded"), "nothing was refused");
    scene.assert_unharmed(2 * GROWTH);

    // One link name, attached and detached repeatedly.
    let detach = performative(code::DETACH, &[uint(0), amqp::boolean(true)]);
    let round = [frame(0, &amqp::attach("again", 0, true, "a")), frame(0, &detach)].concat();
    say(&client::connect(scene.port), &[begun(), round.repeat(20_000)].concat());
    scene.assert_unharmed(2 * GROWTH);
}

#[test]
fn who_ignores_credit_is_ended() {
    let lab = Lab::new("who_ignores_credit_is_ended");
    let scene = Scene::start(&lab, |spec| spec);
    let receiver = client::connect(scene.port);
    (&mut &receiver)
        .write_all(&[begun(), frame(0, &amqp::attach("r", 0, true, "q"))].concat())
        .expect("sent");
    let message = amqp::data(&[7; 10_000]);
    let flood: Vec<u8> =
        (0..20_000).flat_map(|id| frame(0, &Transfer::new(0, id).with(&message))).collect();
    let heard = say(
        &client::connect(scene.port),
        &[begun(), frame(0, &amqp::attach("s", 0, false, "q")), flood].concat(),
    );
    let reasons = ["amqp:link:transfer-limit-exceeded", "amqp:session:window-violation"];
    assert!(reasons.iter().any(|reason| hear::contains(&heard, reason)), "nothing was refused");
    scene.assert_unharmed(GROWTH);
}

/// Encodes an open of 15 KB with many small members in its properties.
fn huge_open(member: &[u8], members: usize) -> Vec<u8> {
    let list = amqp::compound(0xd0, members, &member.repeat(members));
    let properties = amqp::map(&[amqp::symbol("x"), list]);
    let fields = [
        amqp::string("greedy"),
        null(),
        uint(16_384),
        amqp::ushort(100),
        uint(60_000),
        null(),
        null(),
        null(),
        null(),
        properties,
    ];
    let init = [amqp::symbol("ANONYMOUS"), amqp::binary(b""), null()];
    amqp::opening_with(&init, &performative(code::OPEN, &fields))
}

#[test]
fn what_an_open_says_beyond_what_is_used_costs_nothing() {
    let lab = Lab::new("what_an_open_says_beyond_what_is_used_costs_nothing");
    let scene = Scene::start(&lab, |spec| spec);
    // The router refuses members that take far more memory than bytes on the wire.
    let heard = say(&client::connect(scene.port), &huge_open(&[0x40], 15_000));
    assert!(hear::contains(&heard, "amqp:decode-error"), "nothing was refused");
    // The router accepts these members and keeps none. It has answered each open before the next
    // one goes out.
    let open = huge_open(&[0xa1, 1, b'x'], 4_800);
    let connections: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = client::connect(scene.port);
            stream.write_all(&[&open[..], &frame(0, &amqp::begin())].concat()).expect("sent");
            hear::until_performative(&mut stream, code::BEGIN);
            stream
        })
        .collect();
    // One open takes 160 KB while the router reads it.
    let grown = scene.router.resident().saturating_sub(scene.resident);
    assert!(
        grown < 24 * MIB,
        "the router grew by {} MiB for {} connections",
        grown / MIB,
        connections.len()
    );
    scene.assert_unharmed(GROWTH);
}

#[test]
fn a_receiver_that_never_grants_credit_costs_little() {
    let lab = Lab::new("a_receiver_that_never_grants_credit_costs_little");
    let scene = Scene::start(&lab, |spec| spec);
    let receivers: Vec<_> = (0..50).map(|_| client::connect(scene.port)).collect();
    for mut receiver in &receivers {
        receiver
            .write_all(&[begun(), frame(0, &amqp::attach("r", 0, true, "q"))].concat())
            .expect("sent");
    }
    let message = amqp::data(&[7; 15_000]);
    // As many deliveries as there is credit for.
    let transfers: Vec<u8> =
        (0..200).flat_map(|id| frame(0, &Transfer::new(0, id).with(&message))).collect();
    let mut senders = Vec::new();
    for _ in 0..20 {
        // Each sender speaks at once, for the router soon ends silent connections.
        let mut attached = client::connect(scene.port);
        attached
            .write_all(&[begun(), frame(0, &amqp::attach("s", 0, false, "q"))].concat())
            .expect("sent");
        hear::until_performative(&mut attached, code::FLOW);
        // The router may stop reading, which keeps it small.
        let _ = attached.set_write_timeout(Some(Duration::from_millis(200)));
        let _ = attached.write_all(&transfers);
        senders.push(attached);
    }
    scene.assert_unharmed(2 * GROWTH);
    drop(receivers);
    drop(senders);
    scene.assert_unharmed(2 * GROWTH);
}

#[test]
fn requesters_that_vanish_leave_nothing_behind() {
    let lab = Lab::new("requesters_that_vanish_leave_nothing_behind");
    let scene = Scene::start(&lab, |spec| spec);
    let request = amqp::query("allocator");
    let transfers: Vec<u8> =
        (0..200).flat_map(|id| frame(0, &Transfer::settled(0, id).with(&request))).collect();
    let attach = frame(0, &amqp::attach("s", 0, false, "$management"));
    let requesters = || {
        let connections = query(scene.port, "connection");
        let connections = connections.as_array().expect("a list");
        connections.iter().filter(|connection| connection["container"] == "greedy").count()
    };
    for round in 0..50 {
        let mut stream = client::connect(scene.port);
        stream.write_all(&[begun(), attach.clone()].concat()).expect("sent");
        hear::until_performative(&mut stream, code::FLOW);
        if round == 0 {
            assert_eq!(requesters(), 1, "a requester is not in the list");
        }
        stream.write_all(&transfers).expect("sent");
        client::reset_on_close(&stream);
    }
    wait::until("the requesters are gone", wait::patience(), || (requesters() == 0).then_some(()));
    scene.assert_unharmed(GROWTH);
}

/// The router counts refusals of policy by vhost and by kind.
#[test]
fn what_policy_refuses_is_counted() {
    let lab = Lab::new("what_policy_refuses_is_counted");
    let port = ports::free();
    let group = json!({
        "users": "anonymous", "remoteHosts": "*", "maxSessions": 2, "maxSenders": 1,
        "maxReceivers": 1, "sources": "*", "targets": "*", "allowDynamicSource": true,
        "allowAnonymousSender": true,
    });
    let spec = Spec::new("north", Kind::Ours)
        .clients(port)
        .entity("policy", json!({ "enableVhostPolicy": true }));
    let router = spec
        .entity("vhost", json!({ "hostname": "$default", "groups": { "all": group } }))
        .start(&lab);
    router.await_port(port);
    let attach = |handle, receiver| {
        frame(0, &amqp::attach(&format!("link-{handle}"), handle, receiver, "a"))
    };
    let links =
        [attach(0, false), attach(1, false), attach(2, false), attach(3, true), attach(4, true)]
            .concat();
    let sessions = [frame(1, &amqp::begin()), frame(2, &amqp::begin())].concat();
    // Both stay until the router has counted everything, however long it takes to read them.
    let connections = [links, sessions].map(|octets| {
        let mut client = client::connect(port);
        client.write_all(&[begun(), octets].concat()).expect("sent");
        client
    });
    router.await_log(&["DENY AMQP Begin Session for user 'anonymous'"]);
    wait::until("all denials are counted", wait::patience(), || {
        let vhosts = query(port, "vhostStats");
        let vhost = vhosts.as_array()?.iter().find(|vhost| vhost["hostname"] == "$default")?;
        let denied = ["sessionDenied", "senderDenied", "receiverDenied"]
            .map(|name| vhost[name].as_u64().expect("a count"));
        (denied == [1, 2, 1]).then_some(())
    });
    let policy = query(port, "policy");
    assert_eq!((&policy[0]["linksDenied"], &policy[0]["totalDenials"]), (&json!(3), &json!(4)));
    drop(connections);
}

/// Returns all entities of a type.
fn query(port: u16, entity_type: &str) -> Value {
    Tool::at("skmanage", port).json(&format!("query --timeout 30 --type {entity_type}"))
}

#[test]
fn many_connections_are_told_in_one_answer() {
    const CLIENTS: usize = 3_000;
    let lab = Lab::new("many_connections_are_told_in_one_answer");
    // Each client costs this process a descriptor.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let wanted = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, wanted).expect("descriptors");
    let scene = Scene::start(&lab, |spec| spec);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let mut client = client::connect(scene.port);
            client.write_all(&amqp::opening(&format!("client-{number}"))).expect("sent");
            client
        })
        .collect();
    let told = wait::until("the response has all connections", wait::patience(), || {
        let told = query(scene.port, "connection");
        let told = told.as_array().expect("a list");
        let clients = told.iter().filter(|entity| {
            entity["container"].as_str().is_some_and(|name| name.starts_with("client-"))
        });
        (clients.count() == CLIENTS).then_some(told.len())
    });
    assert!(told > CLIENTS);
    scene.assert_unharmed(600 * MIB);
    drop(clients);
}
