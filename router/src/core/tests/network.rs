//! Several routers' cores.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use skupper_proto::address::Treatment;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::annotations::{self, Parsed, node_text};
use skupper_proto::routing::Message;
use skupper_proto::topology::Notice;
use skupper_proto::topology::message::{Hello, Lsu, router_address};

use super::world::{World, finish, stream, trace};
use super::{Bell, Sink};
use crate::core::{Command, Ended, GroupKey, LocalConsumer, Mailbox, Notify};

fn line() -> World {
    let mut world = World::new(["a", "b", "c"], Treatment::Balanced);
    world.connect(0, 1, 1, None);
    world.connect(1, 2, 1, None);
    world
}

#[test]
fn neighbors_find_each_other_and_what_they_serve() {
    let mut world = line();
    let (bell, waker) = Bell::new();
    let (_, watch) = world.cores[0].watch("service");
    assert!(!watch.poll(&waker));
    world.settle();
    assert_eq!([0, 1, 2].map(|at| world.neighbors(at)), [vec!["b"], vec!["a", "c"], vec!["b"]]);
    let sink = Sink::new();
    let consumption = world.consume(2, "service", &sink);
    world.run(Duration::from_millis(100));
    assert_eq!((bell.rings(), watch.poll(&waker)), (1, true), "news travel at once");
    assert_eq!(world.consumers(0, "service"), ["c"]);
    assert_eq!(world.consumers(1, "service"), ["c"]);
    drop(consumption);
    world.settle();
    assert_eq!((bell.rings(), watch.poll(&waker)), (1, false));
}

#[test]
fn neighbors_may_leave_annotations_out() {
    let mut world = World::new(["a", "b"], Treatment::Balanced);
    world.bare = true;
    world.connect(0, 1, 1, None);
    let _consumption = world.consume(1, "service", &Sink::new());
    world.settle();
    assert_eq!([0, 1].map(|at| world.neighbors(at)), [vec!["b"], vec!["a"]]);
    assert_eq!(world.consumers(0, "service"), ["b"]);
}

/// A neighbor speaks in the name of the router between it and a third. That router does not lend
/// its trace to the neighbor.
#[test]
fn routing_messages_without_a_true_trace_are_not_passed_on() {
    let mut world = line();
    world.settle();
    let known = |world: &World| {
        let routers = world.cores[2].routers();
        routers
            .into_iter()
            .find(|router| &*router.id == "b")
            .map(|router| (router.instance, router.ls_seq))
    };
    let before = known(&world);
    let instance = before.and_then(|(instance, _)| instance);
    let (id, peers) = (Arc::from("b"), Vec::new());
    let lsu = Message::Lsu(Lsu { id: Arc::clone(&id), instance, ls_seq: 1 << 40, peers });
    let hello = Message::Hello(Hello { id, instance: Some(99), seen: vec!["c".into()] });
    for (to, message) in [(router_address("c"), lsu), ("amqp:/_topo/0/c/qdhello".to_owned(), hello)]
    {
        let octets = message.encode(&to, &node_text("a"));
        let Ok(Parsed::Present(annotations)) = annotations::parse(&octets) else {
            panic!("no annotations")
        };
        world.inject(0, 1, octets[annotations.length..].to_vec());
        world.inject(0, 1, message.encode(&to, &node_text("b")));
        world.inject(0, 1, octets);
    }
    world.run(Duration::from_millis(100));
    assert_eq!(known(&world), before);
    let restarted = |notice: &Notice| matches!(notice, Notice::Restarted { .. });
    assert!(!world.cores[2].take_notices().iter().any(restarted));
}

/// An announcement has no room for all addresses: those of services go first.
#[test]
fn services_are_announced_before_what_clients_consume() {
    let mut world = World::new(["a", "b"], Treatment::Balanced);
    let text = |n: usize| format!("client-{n:04}{}", "x".repeat(4000));
    let clients: Vec<_> = (0..1100)
        .map(|n| {
            let consumer = LocalConsumer::client(Sink::new(), 1);
            world.cores[1].consume(&text(n), consumer, world.now)
        })
        .collect();
    let _service = world.consume(1, "service", &Sink::new());
    world.connect(0, 1, 1, None);
    world.settle();
    assert_eq!(world.consumers(0, "service"), ["b"]);
    let announced =
        |world: &World| (0..1100).filter(|n| !world.consumers(0, &text(*n)).is_empty()).count();
    let kept = announced(&world);
    assert!(kept > 1000 && kept < 1100, "{kept}");
    drop(clients);
    world.settle();
    assert_eq!(announced(&world), 0);
    assert_eq!(world.consumers(0, "service"), ["b"]);
}

#[test]
fn stream_crosses_a_line_and_its_trace_grows() {
    let mut world = line();
    let sink = Sink::new();
    let _consumption = world.consume(2, "service", &sink);
    world.settle();
    let (address, _) = world.cores[0].watch("service");
    let (sent, delivery) = stream(&world.cores[0]);
    world.cores[0].choose(&address).expect("a way").deliver(delivery);
    sent.push(Bytes::from_static(b"hello "));
    world.run(Duration::ZERO);
    let taken = sink.take();
    let [arrived] = &taken[..] else { panic!("one delivery") };
    assert_eq!(trace(arrived), ["a", "b"]);
    sent.push(Bytes::from_static(b"world"));
    sent.end(Ended::Complete);
    world.run(Duration::ZERO);
    let mut chunks = VecDeque::new();
    assert_eq!(arrived.take(100, &mut chunks), (11, Some(Ended::Complete)));
    assert_eq!(chunks.into_iter().flatten().collect::<Vec<u8>>(), b"hello world");
    arrived.acknowledge(11, 0);
    world.run(Duration::ZERO);
    assert_eq!((sent.waiting(), sent.received()), (0, 11));
    arrived.set_outcome(Some(DeliveryState::Accepted), true);
    world.run(Duration::ZERO);
    let progress = sent.progress();
    assert_eq!((progress.outcome, progress.settled), (Some(DeliveryState::Accepted), true));
    drop((sent, taken));
    assert_eq!([0, 1, 2].map(|at: usize| world.cores[at].account().held()), [0; 3]);
    assert_eq!((world.cores[1].counters().transit(), world.cores[2].counters().egress()), (1, 1));
}

#[test]
fn answer_finds_its_way_by_the_reply_address() {
    let mut world = line();
    world.settle();
    let sink = Sink::new();
    let handle = world.cores[0].replies().add(0, 42, sink.clone());
    let to = handle.address();
    let (_sent, back) = {
        let head = skupper_proto::stream::encode_head(&to, None, None, None);
        let message = crate::core::Message {
            sections: Bytes::from(head),
            streaming: true,
            ..Default::default()
        };
        crate::core::ProducerEnd::begin(message, world.cores[2].own())
    };
    world.cores[2].choose_by_text(&to).expect("a way back").deliver(back);
    world.run(Duration::ZERO);
    assert_eq!(trace(&sink.take()[0]), ["c", "b"]);
    drop(handle);
    let late = world.arrive(0, &["c", "b"], &to);
    assert_eq!(late.progress().outcome, Some(DeliveryState::Released));
}

#[test]
fn loop_is_released() {
    let mut world = line();
    let sink = Sink::new();
    let _consumption = world.consume(2, "service", &sink);
    world.settle();
    let around = world.arrive(1, &["a", "b", "a"], "service");
    assert_eq!(around.progress().outcome, Some(DeliveryState::Released));
    let straight = world.arrive(1, &["a"], "service");
    assert_eq!(straight.progress().outcome, None);
    let passed: Vec<_> = (0..100).map(|n| format!("r{n}")).collect();
    let wide = world.arrive(1, &passed.iter().map(String::as_str).collect::<Vec<_>>(), "service");
    assert_eq!(
        wide.progress().outcome,
        Some(DeliveryState::Released),
        "more routers than there are"
    );
}

#[test]
fn nothing_goes_back_toward_where_it_came_from() {
    let mut world = line();
    let sinks = [Sink::new(), Sink::new()];
    let _at_c = world.consume(2, "service", &sinks[1]);
    world.settle();
    let back = world.arrive(1, &["c"], "service");
    assert_eq!(back.progress().outcome, Some(DeliveryState::Released));
    let _at_a = world.consume(0, "service", &sinks[0]);
    world.settle();
    for _ in 0..4 {
        let onward = world.arrive(1, &["c"], "service");
        world.run(Duration::ZERO);
        assert_eq!(onward.progress().outcome, None);
        let [arrived] = &sinks[0].take()[..] else { panic!("one delivery") };
        onward.end(Ended::Complete);
        finish(arrived);
        world.run(Duration::ZERO);
    }
    assert_eq!(sinks[1].count(), 0);
}

#[test]
fn lost_trunk_is_rerouted_at_once_and_forgotten_after_the_hold_off() {
    let mut world = line();
    let sink = Sink::new();
    let _consumption = world.consume(2, "service", &sink);
    world.settle();
    let (address, watch) = world.cores[0].watch("service");
    world.cut(1);
    world.run(Duration::from_millis(500));
    assert!(world.cores[0].choose(&address).is_none(), "there is no way");
    assert!(watch.is_reachable(), "it may come back within the hold-off");
    world.settle();
    assert!(!watch.is_reachable());
    assert_eq!(world.consumers(1, "service"), [""; 0]);
    world.connect(1, 2, 1, None);
    world.settle();
    assert!(watch.is_reachable() && world.cores[0].choose(&address).is_some());
}

#[test]
fn short_loss_is_not_seen_by_listeners() {
    let mut world = line();
    let sink = Sink::new();
    let _consumption = world.consume(2, "service", &sink);
    world.settle();
    let (bell, waker) = Bell::new();
    let (_, watch) = world.cores[0].watch("service");
    assert!(watch.poll(&waker));
    world.cut(1);
    world.run(Duration::from_millis(300));
    world.connect(1, 2, 1, None);
    world.settle();
    assert_eq!((bell.rings(), watch.poll(&waker)), (0, true));
}

#[test]
fn newer_connection_of_a_connector_replaces_the_older() {
    let mut world = World::new(["a", "b"], Treatment::Balanced);
    world.connect(0, 1, 1, Some("one"));
    world.settle();
    let former = world.wires[0][1].mailbox.clone();
    let was = world.wires.remove(0);
    world.connect(0, 1, 1, Some("one"));
    let mut commands = VecDeque::new();
    former.take(&mut Vec::new(), &mut commands, Waker::noop());
    assert!(
        commands.iter().any(|command| matches!(command, Command::Close(Some(_)))),
        "{commands:?}"
    );
    // The end of the former one must leave the newer one alone.
    for end in &was {
        world.cores[end.core].trunk_down(&end.trunk, world.now);
    }
    world.settle();
    assert_eq!(
        [0, 1].map(|at| (world.neighbors(at), world.cores[at].trunks().len())),
        [(vec!["b".into()], 1), (vec!["a".into()], 1)]
    );
    world.connect(0, 1, 1, Some("another"));
    world.settle();
    assert_eq!(world.cores[1].trunks().len(), 2);
}

#[test]
fn newer_certificates_take_over_and_the_topology_stays() {
    let mut world = World::new(["a", "b"], Treatment::Balanced);
    world.connect(0, 1, 1, Some("one"));
    world.settle();
    let (group, [older, newer]) = (GroupKey::new("b", "one"), [(); 2].map(|()| Mailbox::new(0)));
    world.cores[0].data_up(&group, 0, &older);
    let changed = [0, 1].map(|at: usize| world.cores[at].last_topology_change());
    world.ordinal = 1;
    world.connect(0, 1, 1, Some("one"));
    let trunk = world.wires[1][0].trunk.clone();
    assert_eq!(
        trunk.data_connections(),
        0,
        "those with older certificates are for what they carry"
    );
    world.cores[0].data_up(&group, 1, &newer);
    assert!(Arc::ptr_eq(&trunk.stream(None), &newer));
    world.settle();
    let is_new =
        |trunks: &[Arc<crate::core::Trunk>]| trunks.len() == 1 && Arc::ptr_eq(&trunks[0], &trunk);
    assert!(is_new(&world.cores[0].trunks()));
    // The former connection was not closed; its end changes nothing.
    assert_eq!(world.wires.len(), 2);
    world.cut(0);
    world.settle();
    assert!(is_new(&world.cores[0].trunks()));
    assert_eq!([0, 1].map(|at| world.neighbors(at)), [vec!["b"], vec!["a"]]);
    assert_eq!([0, 1].map(|at: usize| world.cores[at].last_topology_change()), changed);
    // The core refuses one with older certificates beside it.
    world.ordinal = 0;
    world.connect(0, 1, 1, Some("one"));
    assert!(is_new(&world.cores[0].trunks()));
    world.run(Duration::ZERO);
    assert_eq!(world.wires.len(), 1, "it is closed");
}

#[test]
fn data_connections_join_their_trunk_in_any_order() {
    let mut world = World::new(["a", "b"], Treatment::Balanced);
    let (group, strange) = (GroupKey::new("b", "one"), GroupKey::new("b", "two"));
    let [early, late, other] = [(); 3].map(|()| Mailbox::new(0));
    world.cores[0].data_up(&group, 0, &early);
    world.cores[0].data_up(&strange, 0, &other);
    world.connect(0, 1, 1, Some("one"));
    let trunk = world.wires[0][0].trunk.clone();
    assert_eq!(trunk.data_connections(), 1);
    assert!(Arc::ptr_eq(&trunk.stream(None), &early));
    world.cores[0].data_up(&group, 0, &late);
    assert_eq!(trunk.data_connections(), 2);
    world.cores[0].data_down(&group, &early);
    world.cores[0].data_down(&strange, &other);
    assert!(Arc::ptr_eq(&trunk.stream(None), &late));
    // A trunk that comes again finds the data connections that stayed.
    world.cut(0);
    world.connect(0, 1, 1, Some("one"));
    assert_eq!(world.wires[0][0].trunk.data_connections(), 1);
    world.cores[0].data_down(&group, &late);
    let trunk = &world.wires[0][0].trunk;
    assert!(Arc::ptr_eq(&trunk.stream(None), trunk.control()));
}

#[test]
fn answer_goes_back_by_the_connection_that_its_question_came_by() {
    let mut world = World::new(["a", "b"], Treatment::Balanced);
    world.connect(0, 1, 1, Some("one"));
    world.settle();
    let (group, core) = (GroupKey::new("b", "one"), world.cores[0].clone());
    let data = [(); 3].map(|()| Mailbox::new(0));
    let elsewhere = Mailbox::new(0);
    data.iter().for_each(|mailbox| core.data_up(&group, 0, mailbox));
    let answer = |mailbox: &Arc<Mailbox>| {
        let (asking, question) = stream(&core);
        asking.set_notify(Notify::Slot(Arc::clone(mailbox), 1));
        core.choose_answer("amqp:/_topo/0/b/reply.1", &question)
            .expect("a way back")
            .deliver(stream(&core).1);
    };
    let taken = || {
        [&data[0], &data[1], &data[2]].map(|mailbox| {
            let mut commands = VecDeque::new();
            let _ = mailbox.take(&mut Vec::new(), &mut commands, Waker::noop());
            commands.len()
        })
    };
    answer(&data[1]);
    answer(&data[1]);
    answer(&data[2]);
    assert_eq!(taken(), [0, 2, 1]);
    // Answers to streams that came another way go by each in turn.
    (0..3).for_each(|_| answer(&elsewhere));
    assert_eq!(taken(), [1, 1, 1]);
    core.data_down(&group, &data[1]);
    (0..2).for_each(|_| answer(&data[1]));
    assert_eq!(taken(), [1, 0, 1]);
}

#[test]
fn stopping_router_withdraws_and_takes_nothing_up_again() {
    let mut world = line();
    let sink = Sink::new();
    let _consumption = world.consume(2, "service", &sink);
    world.settle();
    assert_eq!(world.consumers(0, "service"), ["c"]);
    world.cores[2].withdraw(world.now);
    let _another = world.consume(2, "other", &sink);
    world.run(Duration::from_millis(100));
    assert_eq!((world.consumers(0, "service"), world.consumers(0, "other")), (vec![], vec![]));
}

#[test]
fn delivery_for_a_connection_that_is_gone_is_released() {
    let mut world = line();
    let sink = Sink::new();
    let _consumption = world.consume(2, "service", &sink);
    world.settle();
    let (address, _) = world.cores[0].watch("service");
    let choice = world.cores[0].choose(&address).expect("a way");
    let (waiting, delivery) = stream(&world.cores[0]);
    world.cores[0].choose(&address).expect("a way").deliver(delivery);
    world.cut(0);
    let (late, delivery) = stream(&world.cores[0]);
    choice.deliver(delivery);
    for producer in [waiting, late] {
        assert_eq!(producer.progress().outcome, Some(DeliveryState::Released));
    }
}
