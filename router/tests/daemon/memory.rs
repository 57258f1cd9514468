//! The ceiling of the memory that a router holds for its peers. It delays, refuses or resets those
//! that take more, and serves the others.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::amqp::{self, Transfer, code, frame, null, performative, uint};
use crate::support::backend::Serve;
use crate::support::scene::assert_bounded;
use crate::support::{
    Backend, Kind, Lab, Manager, Monitor, Scene, Spec, client, hear, http, ports, wait,
};

const MIB: u64 = 1024 * 1024;

/// Most bytes that the routers of these tests hold for their peers.
const CEILING: u64 = 64 * MIB;

/// Most bytes that they may grow by.
const LIMIT: u64 = CEILING + CEILING / 4;

/// Time after which an attacker concludes that the router takes no more.
const HELD_BACK: Duration = Duration::from_millis(300);

/// Starts a scene with a small ceiling.
fn start(lab: &Lab) -> Scene {
    Scene::start(lab, |spec| spec.ceiling(CEILING))
}

/// Asserts that the ceiling held, that the service answers, and that another client is served: a
/// message passes between two of its links.
#[track_caller]
fn assert_unharmed(scene: &Scene) {
    let mut bystander = Attacker::connect(scene.port, "bystander");
    bystander.say(&frame(0, &amqp::attach("r", 0, true, "of the bystander")));
    bystander.say(&frame(0, &amqp::flow(10)));
    bystander.say(&frame(0, &amqp::attach("s", 1, false, "of the bystander")));
    bystander.await_credit(1);
    bystander.say(&frame(0, &Transfer::new(1, 0).with(&amqp::data(b"are you there"))));
    bystander.await_words(b"are you there");
    scene.assert_unharmed(LIMIT);
}

/// The router's frames, as far as an attacker needs them.
#[derive(Default)]
struct Heard {
    /// For each channel: transfers that the router allows in all.
    windows: Vec<u32>,
    /// Links with credit, and refused links.
    answered: usize,
    /// The last bytes.
    words: VecDeque<u8>,
    ended: bool,
}

/// A client that respects the windows of its sessions, and uses them to the full.
struct Attacker {
    stream: TcpStream,
    heard: Arc<Monitor<Heard>>,
    /// Transfers sent on each channel.
    sent: Vec<u32>,
}

impl Attacker {
    /// Connects and begins a session on channel 0.
    fn connect(port: u16, name: &str) -> Self {
        let stream = client::connect(port);
        stream.set_write_timeout(Some(HELD_BACK)).expect("a time");
        let heard = Arc::new(Monitor::new(Heard { windows: vec![0; 128], ..Heard::default() }));
        let (reader, shared) = (stream.try_clone().expect("a second handle"), Arc::clone(&heard));
        std::thread::spawn(move || listen(reader, &shared));
        let mut attacker = Self { stream, heard, sent: vec![0; 128] };
        attacker.say(&amqp::opening(name));
        attacker.begin(0);
        attacker
    }

    fn begin(&mut self, channel: u16) {
        self.say(&frame(channel, &amqp::wide_begin()));
    }

    /// Sends bytes. Returns false if the router does not take them.
    fn say(&mut self, octets: &[u8]) -> bool {
        self.stream.write_all(octets).is_ok()
    }

    /// Sends a transfer with payload once its session's window allows it. Returns false if that
    /// takes too long.
    fn transfer(&mut self, channel: u16, transfer: Transfer, payload: &[u8]) -> bool {
        let at = usize::from(channel);
        let sent = self.sent[at];
        let heard =
            self.heard.wait_for(HELD_BACK, |heard| !heard.ended && heard.windows[at] <= sent);
        if heard.ended || heard.windows[at] <= sent {
            return false;
        }
        drop(heard);
        self.sent[at] += 1;
        self.say(&frame(channel, &transfer.with(payload)))
    }

    /// Waits until so many links have credit or are refused, or the router stays silent for a
    /// while.
    fn await_credit(&self, links: usize) {
        drop(self.heard.wait_for(4 * HELD_BACK, |heard| !heard.ended && heard.answered < links));
    }

    #[track_caller]
    fn await_words(&self, words: &[u8]) {
        let has = |heard: &mut Heard| hear::contains(heard.words.make_contiguous(), words);
        let mut heard = self.heard.wait(|heard| !heard.ended && !has(heard));
        assert!(has(&mut heard), "never heard {:?}", String::from_utf8_lossy(words));
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

/// Reads a router's frames to the end, and records the windows in them.
fn listen(mut stream: TcpStream, shared: &Monitor<Heard>) {
    let (mut octets, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(count @ 1..) => count,
            Err(error) if client::is_timeout(&error) => continue,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
        };
        octets.extend_from_slice(&buffer[..count]);
        let mut heard = shared.lock();
        heard.words.extend(&buffer[..count]);
        let excess = heard.words.len().saturating_sub(256 * 1024);
        heard.words.drain(..excess);
        let mut at = 0;
        while let Some(head) = octets.get(at..at + 8) {
            // A protocol header is as long as the head of a frame.
            let size = if head.starts_with(b"AMQP") {
                8
            } else {
                u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize
            };
            let Some(octets) = octets.get(at..at + size) else { break };
            let channel = usize::from(u16::from_be_bytes([head[6], head[7]]));
            if let Some((code, fields)) = fields(octets.get(8..).unwrap_or_default()) {
                let limit = match (code, &fields[..]) {
                    (code::BEGIN, [_, _, window, ..]) => Some(*window),
                    (code::FLOW, [next, window, ..]) => Some(next.wrapping_add(*window)),
                    _ => None,
                };
                // A flow of a link has at least seven fields.
                let of_link = octets.get(13).is_some_and(|fields| *fields >= 7);
                heard.answered +=
                    usize::from(code == code::DETACH || code == code::FLOW && of_link);
                if let (Some(limit), Some(known)) = (limit, heard.windows.get_mut(channel)) {
                    *known = limit;
                }
            }
            at += size;
        }
        octets.drain(..at);
        drop(heard);
        shared.notify();
    }
    shared.update(|heard| heard.ended = true);
}

/// Returns a performative's code and its first fields, as far as they are small integers.
fn fields(body: &[u8]) -> Option<(u8, Vec<u32>)> {
    let [0, 0x53, code, list, rest @ ..] = body else { return None };
    let mut rest = rest.get(if *list == 0xc0 { 2 } else { 8 }..)?;
    let mut fields = Vec::new();
    while fields.len() < 4 {
        let (value, octets) = match rest {
            [0x40 | 0x43, ..] => (0, 1),
            [0x52, value, ..] => (u32::from(*value), 2),
            [0x60, a, b, ..] => (u32::from_be_bytes([0, 0, *a, *b]), 3),
            [0x70, a, b, c, d, ..] => (u32::from_be_bytes([*a, *b, *c, *d]), 5),
            _ => break,
        };
        fields.push(value);
        rest = &rest[octets..];
    }
    Some((*code, fields))
}

/// Five thousand links, each with a message whose head never ends.
#[test]
fn heads_that_never_end() {
    const LINKS: u32 = 5_000;
    let lab = Lab::new("heads_that_never_end");
    let scene = start(&lab);
    let mut attacker = Attacker::connect(scene.port, "attacker");
    let attach = |handle: u32| {
        let end = |code| performative(code, &[null()]);
        let fields = [
            amqp::string(&format!("{handle}")),
            uint(handle),
            amqp::boolean(false),
            amqp::ubyte(2),
            amqp::ubyte(0),
            end(code::SOURCE),
            end(code::TARGET),
            null(),
            amqp::boolean(false),
            uint(0),
        ];
        frame(0, &performative(code::ATTACH, &fields))
    };
    let attaches: Vec<u8> = (0..LINKS).flat_map(attach).collect();
    attacker.say(&attaches);
    attacker.await_credit(LINKS as usize);
    // A map of application properties that is longer than everything that follows.
    let head = [
        &[0, 0x53, 0x74, 0xd1][..],
        &300_000_u32.to_be_bytes(),
        &2_u32.to_be_bytes(),
        &[0xb1],
        &250_000_u32.to_be_bytes(),
    ]
    .concat();
    let payload = [&head[..], &[b'x'; 15_500]].concat();
    let mut sent = 0;
    'all: for round in 0..14 {
        for link in 0..LINKS {
            let octets = if round == 0 { &payload[..] } else { &payload[head.len()..] };
            if !attacker.transfer(0, Transfer::new(link, link).more(true), octets) {
                break 'all;
            }
            sent += octets.len() as u64;
        }
    }
    println!("{} MiB were taken", sent / MIB);
    assert!(sent > CEILING / 64 && sent < CEILING / 4, "{} MiB were taken", sent / MIB);
    assert_unharmed(&scene);
}

/// Messages for a receiver that never takes them, by many connections and by many sessions of one.
#[test]
fn queues_that_nobody_empties() {
    let lab = Lab::new("queues_that_nobody_empties");
    let scene = start(&lab);
    let mut idler = Attacker::connect(scene.port, "idler");
    idler.say(&frame(0, &amqp::attach("r", 0, true, "q")));
    let payload = amqp::data(&[7; 15_000]);
    let rest = [7; 15_000];
    let mut attackers = Vec::new();
    let mut sent = 0;
    for (number, sessions) in [1, 1, 1, 1, 90, 90].into_iter().enumerate() {
        let mut attacker = Attacker::connect(scene.port, &format!("attacker-{number}"));
        for channel in 0..sessions {
            if channel > 0 {
                attacker.begin(channel);
            }
            attacker.say(&frame(channel, &amqp::attach(&format!("s{channel}"), 0, false, "q")));
        }
        attacker.await_credit(sessions.into());
        let mut open: Vec<u16> = (0..sessions).collect();
        let mut held_back = 0;
        while !open.is_empty() && held_back < 2 {
            open.retain(|channel| {
                // Messages of sixteen transfers, as many as there is credit for.
                let (id, part) = (
                    attacker.sent[usize::from(*channel)] / 16,
                    attacker.sent[usize::from(*channel)] % 16,
                );
                let octets = if part == 0 { &payload[..] } else { &rest[..] };
                if id == 250 || held_back == 2 {
                    return false;
                }
                let taken =
                    attacker.transfer(*channel, Transfer::new(0, id).more(part < 15), octets);
                sent += if taken { octets.len() as u64 } else { 0 };
                held_back += usize::from(!taken);
                taken
            });
        }
        attackers.push(attacker);
        // The router soon ends silent connections.
        idler.say(&frame(0, &[]));
    }
    println!("{} MiB were taken", sent / MIB);
    assert!(sent > CEILING / 16, "{} MiB were taken", sent / MIB);
    assert_unharmed(&scene);
}

/// The router held a sender back because no receiver took its messages. Once one does, the sender
/// goes on with the same links and session.
#[test]
fn who_was_held_back_goes_on() {
    // Twice an allowance.
    const MESSAGES: u32 = 160;
    let lab = Lab::new("who_was_held_back_goes_on");
    let scene = start(&lab);
    let mut receiver = Attacker::connect(scene.port, "receiver");
    receiver.say(&frame(0, &amqp::attach("r", 0, true, "q")));
    let mut sender = Attacker::connect(scene.port, "sender");
    sender.say(&frame(0, &amqp::attach("s", 0, false, "q")));
    sender.await_credit(1);
    let rest = [7; 15_000];
    let head =
        amqp::described(code::DATA, &[&[0xb0][..], &(7 * 15_000_u32).to_be_bytes()].concat());
    let part = |sender: &mut Attacker| {
        let (id, part) = (sender.sent[0] / 7, sender.sent[0] % 7);
        let octets = if part == 0 { [&head[..], &rest].concat() } else { rest.to_vec() };
        sender.transfer(0, Transfer::new(0, id).more(part < 6), &octets)
    };
    while part(&mut sender) {}
    let taken = u64::from(sender.sent[0]) * 15_000;
    assert!(taken > CEILING / 16 && taken < CEILING / 4, "{} MiB were taken", taken / MIB);
    receiver.say(&frame(0, &amqp::flow(MESSAGES)));
    let limit = Instant::now() + wait::patience();
    while sender.sent[0] < 7 * MESSAGES {
        assert!(
            part(&mut sender) || Instant::now() < limit,
            "it goes on: {} of {}",
            sender.sent[0],
            7 * MESSAGES
        );
    }
    assert_unharmed(&scene);
}

/// Links with names, and receivers with addresses, as long as a frame.
#[test]
fn long_names_and_addresses() {
    let lab = Lab::new("long_names_and_addresses");
    let scene = start(&lab);
    let mut attackers = Vec::new();
    for number in 0..4 {
        let mut attacker = Attacker::connect(scene.port, &format!("attacker-{number}"));
        for handle in 0..4_000 {
            let name = format!("{handle}-{}", "n".repeat(if number < 2 { 15_000 } else { 10 }));
            let address =
                format!("{number}/{handle}/{}", "a".repeat(if number < 2 { 10 } else { 2_000 }));
            if !attacker.say(&frame(0, &amqp::attach(&name, handle, true, &address))) {
                break;
            }
        }
        attackers.push(attacker);
    }
    let links = Manager::connect(scene.port, "$management").link_count();
    println!("{links} links are attached");
    assert!(links > 1_000, "{links} links are attached");
    assert_unharmed(&scene);
}

/// Eighty clients of one service download and read nothing. The router resets them when memory is
/// short, and others do not wait.
#[test]
fn downloads_that_nobody_reads() {
    const CLIENTS: usize = 80;
    let lab = Lab::new("downloads_that_nobody_reads");
    let (hello, bulk) = (Backend::start(Serve::Hello), Backend::start(Serve::Exchange(32 * MIB)));
    let [links, hello_port, bulk_port, web] =
        [ports::free(), ports::free(), ports::free(), ports::free()];
    let near = Spec::new("near", Kind::Ours)
        .links_plain(links)
        .tcp_listener("hello", hello_port)
        .tcp_listener("bulk", bulk_port);
    let near = near.web(web).ceiling(CEILING).start(&lab);
    let far = Spec::new("far", Kind::Ours).link_plain("link1", links, 1);
    let far = far.tcp_connector("hello", hello.port).tcp_connector("bulk", bulk.port).start(&lab);
    client::await_hello(hello_port);
    near.await_port(bulk_port);
    near.await_port(web);
    let resident = near.resident();
    let mut clients = Vec::new();
    let mut slowest = Duration::ZERO;
    let mut hello = || {
        let begun = Instant::now();
        assert_eq!(
            client::get(hello_port).ok().as_deref(),
            Some(client::HELLO),
            "another service waits"
        );
        slowest = slowest.max(begun.elapsed());
    };
    for _ in 0..CLIENTS {
        clients.push(client::connect(bulk_port));
        hello();
    }
    let line = near.await_log(&["TCP_ADAPTOR", "reset", "bulk"]);
    println!("{line}");
    for _ in 0..20 {
        hello();
    }
    println!("the slowest answer took {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert_bounded(&near, resident, LIMIT);
    assert!(far.is_running());
    let figures = http::get(web, "/metrics");
    let resets = figures
        .lines()
        .find(|line| line.starts_with("skrouterd_stalled_resets_total") && line.contains("bulk"));
    let resets: f64 =
        resets.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("a count");
    println!("{resets} were reset");
    assert!(resets >= 1.0 && resets < CLIENTS as f64);
}
