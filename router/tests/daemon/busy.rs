//! Too many management requests: health, metrics and neighbors do not wait for them, and other
//! clients get responses.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use skupper_proto::management::{Request, Status};

use crate::support::amqp::{self, Transfer, code, frame};
use crate::support::manager::read;
use crate::support::{Kind, Lab, Manager, Spec, client, hear, http, ports, wait};

/// Links in each response. `SKROUTERD_TEST_LINKS` sets another number, for measurements.
fn links() -> u32 {
    wait::number("SKROUTERD_TEST_LINKS")
        .and_then(|links| u32::try_from(links).ok())
        .unwrap_or(3_000)
}

/// Requests that each greedy client sends at once.
const REQUESTS: u32 = 240;
const CLIENTS: usize = 2;

/// Time limit of a probe, as kubelets have it. On an idle machine a probe takes some milliseconds.
const PROBE: Duration = Duration::from_secs(1);

/// Duration of the probes: longer than a neighbor may be silent.
const WATCH: Duration = Duration::from_secs(4);

/// Connects a client with a session.
fn connect(port: u16, name: &str) -> TcpStream {
    let mut stream = client::connect(port);
    let begin = frame(0, &amqp::wide_begin());
    stream.write_all(&[amqp::opening(name), begin].concat()).expect("sent");
    stream
}

/// Sends all requests at once, as soon as there is credit.
fn ask_too_much(stream: &mut TcpStream) {
    let attach = frame(0, &amqp::attach("asks", 0, false, "$management"));
    stream.write_all(&attach).expect("sent");
    hear::until_performative(stream, code::FLOW);
    // The router has the work of the responses, although nobody gets them.
    let query = amqp::query("io.skupper.router.router.link");
    let transfers = (0..REQUESTS).flat_map(|id| frame(0, &Transfer::settled(0, id).with(&query)));
    stream.write_all(&transfers.collect::<Vec<u8>>()).expect("sent");
}

#[test]
fn nobody_waits_for_those_who_ask_too_much() {
    let lab = Lab::new("busy::nobody_waits_for_those_who_ask_too_much");
    let [clients, links, web] = [ports::free(), ports::free(), ports::free()];
    let north =
        Spec::new("north", Kind::Ours).clients(clients).links_plain(links).web(web).start(&lab);
    let _south = Spec::new("south", Kind::Ours).link_plain("link", links, 1).start(&lab);
    [clients, web].iter().for_each(|port| north.await_port(*port));

    let all = self::links();
    let mut many = connect(clients, "many");
    let attach = |handle: u32| {
        frame(0, &amqp::attach(&handle.to_string(), handle, true, &format!("a/{handle}")))
    };
    many.write_all(&(0..all).flat_map(attach).collect::<Vec<u8>>()).expect("sent");
    let mut operator = Manager::connect(clients, "$management");
    wait::until("all links are there", wait::patience(), || {
        (operator.link_count() >= all.into()).then_some(())
    });
    wait::until("the neighbor is there", wait::patience(), || {
        let nodes = operator
            .ask(Request::query(Some("io.skupper.router.router.node"), &["id"]), Status::OK)
            .ok()?;
        (nodes.get("results")?.as_list()?.len() == 2).then_some(())
    });

    let mut greedy: Vec<_> =
        (0..CLIENTS).map(|number| connect(clients, &format!("greedy-{number}"))).collect();
    greedy.iter_mut().for_each(ask_too_much);
    let began = Instant::now();
    let (mut slowest, mut probes) = (Duration::ZERO, 0);
    while began.elapsed() < WATCH {
        for (path, expected) in [("/healthz", "OK"), ("/metrics", "qdr_links_total")] {
            let asked = Instant::now();
            let answer = http::get(web, path);
            let took = asked.elapsed();
            assert!(
                answer.starts_with("HTTP/1.1 200") && answer.contains(expected),
                "{path} after {took:?}: {answer}"
            );
            slowest = slowest.max(took);
            probes += 1;
        }
        if probes % 20 == 0 {
            // The router answers other clients meanwhile.
            operator.ask(read("self"), Status::OK).expect("another client's request");
        }
    }
    println!("{probes} probes, the slowest took {slowest:?}");
    assert!(slowest < PROBE, "a probe took {slowest:?}");
    assert!(north.log_line(&["HELLO neighbor south is lost"]).is_none(), "the neighbor was lost");
    assert!(north.is_running());
    drop((many, greedy));
}
