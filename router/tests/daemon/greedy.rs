//! Clients that cost their shard much for few bytes. Other streams of the shard go on, and no
//! neighbor is lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use Kind::Ours;
use serde_json::json;

use crate::support::amqp::{
    self, Transfer, boolean, code, described, frame, list, performative, uint,
};
use crate::support::backend::Serve;
use crate::support::{Backend, Kind, Lab, Monitor, Router, Spec, client, ports, wait};

placed!(one_that_says_what_became_of_all_again_and_again, beside, [Ours], dispositions);
placed!(one_that_begins_and_ends_sessions_beside_many_links, beside, [Ours], sessions);
placed!(one_that_attaches_and_loses_many_links_of_one_address, beside, [Ours], links);

/// Duration of each attack, once it is prepared.
const TIME: Duration = Duration::from_secs(3);

/// Time limit for half of the echoes of another stream meanwhile. Alone they take less than a
/// millisecond.
const ECHO: Duration = Duration::from_millis(100);

/// Time limit for any echo. A neighbor is lost after three seconds.
const LONGEST: Duration = Duration::from_secs(1);

/// Bytes of one write.
const BLOCK: usize = 64 * 1024;

/// A router with one shard for its clients, a service, and the link to the neighbor with the
/// server.
struct Scene {
    north: Router,
    _south: Router,
    _echo: Backend,
    clients: u16,
    service: u16,
}

impl Scene {
    fn start(lab: &Lab) -> Self {
        let echo = Backend::start(Serve::Echo);
        let [clients, links, service] = [ports::free(), ports::free(), ports::free()];
        let south =
            Spec::new("south", Ours).links_plain(links).tcp_connector("echo", echo.port).start(lab);
        let north = Spec::new("north", Ours).attribute("workerThreads", json!(1)).clients(clients);
        let north = north.link_plain("link1", links, 1).tcp_listener("echo", service).start(lab);
        north.await_port(clients);
        wait::until("the service answers", wait::patience(), || {
            echo_once(&mut client::try_connect(service).ok()?)
        });
        Self { north, _south: south, _echo: echo, clients, service }
    }
}

fn echo_once(stream: &mut TcpStream) -> Option<Duration> {
    let begun = Instant::now();
    let mut heard = [0; 64];
    stream.write_all(&[7; 64]).ok()?;
    stream.read_exact(&mut heard).ok()?;
    Some(begun.elapsed())
}

/// Runs one client's attack while another client measures its echoes.
fn beside(lab: &Lab, _: [Kind; 1], play: fn(&TcpStream, &Attack)) {
    let scene = Scene::start(lab);
    let mut stream = client::connect(scene.service);
    echo_once(&mut stream).expect("an echo");
    let attack = Attack::default();
    let mut echoes = Vec::new();
    let greedy = client::connect(scene.clients);
    std::thread::scope(|scope| {
        scope.spawn(|| listen(&greedy, &attack.answers));
        let player = scope.spawn(|| play(&greedy, &attack));
        let _over = wait::finally(|| {
            attack.over.store(true, Ordering::Relaxed);
            let _ = greedy.shutdown(std::net::Shutdown::Both);
        });
        let mut begun: Option<Instant> = None;
        while begun.is_none_or(|begun| begun.elapsed() < TIME) {
            echoes.push(echo_once(&mut stream).expect("the stream stays"));
            assert!(!player.is_finished(), "the router ended the attack");
            if attack.repeats.load(Ordering::Relaxed) {
                begun.get_or_insert_with(Instant::now);
            }
        }
    });
    echoes.sort_unstable();
    let (half, last) = (echoes[echoes.len() / 2], echoes[echoes.len() - 1]);
    eprintln!("{} echoes, half of them in {half:?}, all in {last:?}", echoes.len());
    assert!(half < ECHO, "half of {} echoes took more than {half:?}", echoes.len());
    assert!(last < LONGEST, "an echo took {last:?}");
    // The router takes the client's remains apart beside the others, too.
    for _ in 0..20 {
        let took = echo_once(&mut stream).expect("the stream stays");
        assert!(took < LONGEST, "an echo took {took:?} afterwards");
    }
    let log = scene.north.log();
    assert!(
        !log.contains("is lost") && !log.contains("panicked at"),
        "the neighbor was lost:\n{log}"
    );
}

/// The state of an attack.
#[derive(Default)]
struct Attack {
    /// True once everything is prepared, and the client repeats its bytes.
    repeats: AtomicBool,
    over: AtomicBool,
    answers: Monitor<Answers>,
}

impl Attack {
    /// Sends the same bytes until the attack is over, or the router ends the connection.
    fn repeat(&self, mut stream: &TcpStream, octets: &[u8]) {
        self.repeats.store(true, Ordering::Relaxed);
        while !self.over.load(Ordering::Relaxed) {
            if stream.write_all(octets).is_err() {
                break;
            }
        }
    }

    /// Waits until the router has sent `count` performatives of a code.
    #[track_caller]
    fn await_answers(&self, code: u8, count: usize) {
        let came = self.answers.wait(|answers| answers.counts[usize::from(code)] < count);
        let came = came.counts[usize::from(code)];
        assert!(came >= count, "{came} of {count} performatives {code:#x} came");
    }
}

/// The performatives of the router so far.
struct Answers {
    /// How many of each code came.
    counts: [usize; 256],
    /// The last bytes, which may begin the next performative.
    rest: Vec<u8>,
}

impl Default for Answers {
    fn default() -> Self {
        Self { counts: [0; 256], rest: Vec::new() }
    }
}

impl Answers {
    fn take(&mut self, octets: &[u8]) {
        self.rest.extend_from_slice(octets);
        for window in self.rest.windows(3) {
            if let [0x00, 0x53, code] = window {
                self.counts[usize::from(*code)] += 1;
            }
        }
        self.rest.drain(..self.rest.len().saturating_sub(2));
    }
}

/// Reads and counts the router's answers to the end.
fn listen(mut stream: &TcpStream, answers: &Monitor<Answers>) {
    let mut buffer = vec![0; BLOCK];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        answers.update(|answers| answers.take(&buffer[..count]));
    }
}

fn say(mut stream: &TcpStream, said: &[u8]) {
    stream.write_all(said).expect("the router listens");
}

/// Receives 400 messages from itself without a settlement, and repeats one disposition for all of
/// them.
fn dispositions(stream: &TcpStream, attack: &Attack) {
    say(stream, &[amqp::opening("greedy"), frame(0, &amqp::wide_begin())].concat());
    for (handle, receiver) in [(0, true), (1, false), (2, false)] {
        say(stream, &frame(0, &amqp::attach(&format!("link {handle}"), handle, receiver, "greed")));
    }
    say(stream, &frame(0, &amqp::flow(1000)));
    // The producers have their credit once there is a consumer.
    attack.await_answers(code::FLOW, 2);
    let message = amqp::data(b"x");
    for id in 0..400 {
        say(stream, &frame(0, &Transfer::new(1 + id / 200, id).with(&message)));
    }
    attack.await_answers(code::TRANSFER, 400);
    let told = |state: u8, fields: &[Vec<u8>]| {
        let state = described(state, &list(fields));
        frame(
            0,
            &performative(
                code::DISPOSITION,
                &[boolean(true), uint(0), uint(0x7fff_fff0), boolean(false), state],
            ),
        )
    };
    let round = [told(0x24, &[]), told(0x26, &[]), told(0x23, &[uint(0), vec![0x44]])].concat();
    attack.repeat(stream, &round.repeat(BLOCK / round.len()));
}

/// Attaches many links, and begins and ends sessions beside them.
fn sessions(stream: &TcpStream, attack: &Attack) {
    say(stream, &[amqp::opening("greedy"), frame(0, &amqp::wide_begin())].concat());
    let many: Vec<u8> = (0..20_000)
        .flat_map(|n| frame(0, &amqp::attach(&n.to_string(), n, false, &format!("a{}", n % 100))))
        .collect();
    say(stream, &many);
    let end = performative(code::END, &[]);
    let round = [frame(1, &amqp::begin()), frame(1, &end)].concat();
    attack.repeat(stream, &round.repeat(BLOCK / round.len()));
}

/// Attaches many links that consume and produce for one address, ends their session, and repeats
/// this.
fn links(stream: &TcpStream, attack: &Attack) {
    say(stream, &amqp::opening("greedy"));
    let attach = |n: u32| frame(0, &amqp::attach(&n.to_string(), n, n.is_multiple_of(2), "greed"));
    let many: Vec<u8> = (0..10_000).flat_map(attach).collect();
    let end = frame(0, &performative(code::END, &[]));
    let round = [frame(0, &amqp::wide_begin()), many, end].concat();
    attack.repeat(stream, &round);
}
