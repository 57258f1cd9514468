//! Edge connections, at both ends.

use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use skupper_proto::address::{AddressClass, AddressKey, EDGE_UPLINK, RouterMode, Treatment};
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::annotations::{Flags, OutgoingAnnotations};
use skupper_proto::edge::Bid;
use skupper_proto::time::Instant;

use super::world::{World, core, core_of};
use super::{Bell, Sink};
use crate::core::{
    Consumption, Core, Demand, EdgeConnection, LocalConsumer, Message, Notify, ProducerEnd,
};

const NOW: Instant = Instant::ZERO;

fn edge_router() -> Arc<Core> {
    core_of(RouterMode::Edge, "e", Treatment::Balanced)
}

fn up(core: &Core, ordinal: u64) -> Arc<EdgeConnection> {
    core.edge_up(Arc::from("peer"), false, Some(ordinal), Notify::Nobody)
}

fn behind(
    core: &Arc<Core>,
    edge: &Arc<EdgeConnection>,
    key: AddressKey,
    sink: &Arc<Sink>,
) -> Consumption {
    core.serve(key, LocalConsumer::behind(edge, Arc::clone(sink) as Arc<_>, 250), NOW)
}

fn here(core: &Arc<Core>, address: &str, sink: &Arc<Sink>) -> Consumption {
    core.consume(address, LocalConsumer::new(Arc::clone(sink) as Arc<_>), NOW)
}

/// Routes a message as it comes from an edge router of a mesh, or from a client.
fn send(
    core: &Arc<Core>,
    to: &str,
    from: Option<&Arc<EdgeConnection>>,
    mesh: Option<&str>,
) -> ProducerEnd {
    let mut annotations = Vec::new();
    if from.is_some() || mesh.is_some() {
        OutgoingAnnotations::originated(Flags::default(), "0/e")
            .stripped()
            .with_ingress_mesh(mesh)
            .encode(&mut annotations);
    }
    let message = Message {
        annotations: Bytes::from(annotations),
        edge: from.cloned(),
        ..Message::default()
    };
    let (producer, delivery) = ProducerEnd::begin(message, core.own());
    core.route(delivery, core.read(to));
    producer
}

fn is_released(delivery: &ProducerEnd) -> bool {
    delivery.progress().outcome == Some(DeliveryState::Released)
}

fn demand(address: &str, consumed: bool, produced: bool) -> Demand {
    Demand { address: AddressKey::mobile(address), consumed, produced }
}

#[test]
fn nothing_goes_back_by_the_connection_it_came_by() {
    for treatment in [Treatment::Balanced, Treatment::Closest, Treatment::Multicast] {
        let core = core("i", treatment);
        let (edges, sinks) = ([up(&core, 0), up(&core, 0)], [Sink::new(), Sink::new()]);
        let _first = behind(&core, &edges[0], AddressKey::mobile("service"), &sinks[0]);
        assert!(is_released(&send(&core, "service", Some(&edges[0]), None)), "{treatment:?}");
        let _second = behind(&core, &edges[1], AddressKey::mobile("service"), &sinks[1]);
        for _ in 0..4 {
            send(&core, "service", Some(&edges[0]), None);
        }
        assert_eq!(sinks.each_ref().map(|sink| sink.take().len()), [0, 4], "{treatment:?}");
    }
}

/// A stream may go to any consumer of its address. One that may be a C router's decides.
#[test]
fn early_octets_are_for_those_who_all_take_them() {
    let mut world = World::new(["a", "b", "c"], Treatment::Balanced);
    world.connect(0, 1, 1, None);
    world.connect(1, 2, 1, None);
    world.settle();
    let sink = Sink::new();
    let (address, _watch) = world.cores[0].watch("service");
    let takes_early =
        |world: &World| world.cores[0].choose(&address).expect("a destination").takes_early();
    let _at_b = world.consume(1, "service", &sink);
    world.settle();
    assert!(takes_early(&world));
    let _at_c = world.consume(2, "service", &sink);
    world.settle();
    assert!(takes_early(&world));
    let edge = up(&world.cores[2], 0);
    let behind = behind(&world.cores[2], &edge, AddressKey::mobile("service"), &sink);
    world.settle();
    assert!(!takes_early(&world));
    drop(behind);
    world.settle();
    assert!(takes_early(&world));
    let edge = up(&world.cores[0], 0);
    let _behind = self::behind(&world.cores[0], &edge, AddressKey::mobile("service"), &sink);
    assert!(!(0..3).all(|_| takes_early(&world)), "each has its turn");
}

#[test]
fn nothing_goes_back_to_its_mesh() {
    const OWN: &str = "mesh-of-both-of";
    for treatment in [Treatment::Balanced, Treatment::Multicast] {
        let core = core("i", treatment);
        let (edges, sinks) =
            ([up(&core, 0), up(&core, 0), up(&core, 0)], [Sink::new(), Sink::new(), Sink::new()]);
        let _consumptions: Vec<_> = edges
            .iter()
            .zip(&sinks)
            .map(|(edge, sink)| behind(&core, edge, AddressKey::mobile("service"), sink))
            .collect();
        core.set_mesh(&edges[0], OWN);
        core.set_mesh(&edges[1], OWN);
        core.set_mesh(&edges[2], "another-mesh-id");
        // From the edge router itself, and from another interior router to which it is linked.
        for from in [Some(&edges[0]), None] {
            for _ in 0..4 {
                send(&core, "service", from, Some(OWN));
            }
            assert_eq!(sinks.each_ref().map(|sink| sink.take().len()), [0, 0, 4], "{treatment:?}");
        }
    }
}

#[test]
fn edge_router_is_told_of_consumers_that_are_not_its_own() {
    let mut world = World::new(["a", "b"], Treatment::Balanced);
    world.connect(0, 1, 1, None);
    world.settle();
    let interior = Arc::clone(&world.cores[0]);
    let (edge, other, sink) = (up(&interior, 0), up(&interior, 0), Sink::new());
    let key = AddressKey::mobile("service");
    let (_, watch) = interior.watch_key(&key, Some(&edge));
    let own = behind(&interior, &edge, key.clone(), &sink);
    assert!(!watch.is_reachable(), "what it serves itself");
    // Both belong to one mesh, and then they do not.
    interior.set_mesh(&edge, "123456789012345");
    interior.set_mesh(&other, "123456789012345");
    let beside = behind(&interior, &other, key.clone(), &sink);
    assert!(!watch.is_reachable(), "what its mesh serves");
    interior.set_mesh(&other, "543210987654321");
    assert!(watch.is_reachable());
    drop(beside);
    assert!(!watch.is_reachable());
    // Another router serves it, first by the same mesh alone.
    let far = up(&world.cores[1], 0);
    world.cores[1].set_mesh(&far, "123456789012345");
    let _far = behind(&world.cores[1], &far, key.clone(), &sink);
    world.settle();
    assert!(!watch.is_reachable());
    let more = world.consume(1, "service", &sink);
    world.settle();
    assert!(watch.is_reachable());
    drop(more);
    world.settle();
    assert!(!watch.is_reachable());
    drop(own);
}

#[test]
fn edge_router_is_reached_over_the_network_where_it_came_last() {
    let mut world = World::new(["a", "b"], Treatment::Balanced);
    world.connect(0, 1, 1, None);
    let (edges, sinks) =
        ([up(&world.cores[1], 0), up(&world.cores[1], 0)], [Sink::new(), Sink::new()]);
    let key = AddressKey::new(AddressClass::Edge, "e");
    let _former = behind(&world.cores[1], &edges[0], key.clone(), &sinks[0]);
    let latter = behind(&world.cores[1], &edges[1], key, &sinks[1]);
    world.settle();
    let back = {
        let head = skupper_proto::stream::encode_head("amqp:/_edge/e/temp.1", None, None, None);
        Message { sections: Bytes::from(head), streaming: true, ..Message::default() }
    };
    let send = |world: &mut World| {
        let (producer, delivery) = ProducerEnd::begin(back.clone(), world.cores[0].own());
        world.cores[0].choose_by_text("amqp:/_edge/e/temp.1").expect("a way").deliver(delivery);
        world.run(std::time::Duration::ZERO);
        producer
    };
    let _first = send(&mut world);
    drop(latter);
    let _second = send(&mut world);
    assert_eq!(sinks.each_ref().map(|sink| sink.count()), [1, 1]);
}

#[test]
fn one_uplink_is_in_use_and_the_best_takes_its_place() {
    let core = edge_router();
    let (first, second) = (up(&core, 1), up(&core, 1));
    assert_eq!([&first, &second].map(|edge| edge.is_active()), [true, false]);
    let better = up(&core, 2);
    assert_eq!(
        [&first, &second, &better].map(|edge| edge.is_active()),
        [false, false, true],
        "a higher ordinal"
    );
    core.edge_down(&better);
    assert_eq!(
        [&first, &second].map(|edge| edge.is_active()),
        [true, false],
        "the one that opened first"
    );
    core.edge_down(&second);
    assert!(first.is_active());
    core.edge_down(&first);
    assert!(!core.has_uplink());
    let again = up(&core, 0);
    assert!(again.is_active());
}

#[test]
fn uplink_hears_of_what_is_consumed_and_wanted_here() {
    let core = edge_router();
    let sink = Sink::new();
    let early = here(&core, "early", &sink);
    let (bell, waker) = Bell::new();
    let edge = core.edge_up(Arc::from("peer"), false, None, Notify::Task(waker));
    assert_eq!(bell.rings(), 1);
    assert_eq!(core.edge_demands(&edge), Some(vec![demand("early", true, false)]));
    let (_, watch) = core.watch("wanted");
    drop(early);
    assert_eq!(bell.rings(), 1, "one word for all that has changed");
    assert_eq!(
        core.edge_demands(&edge),
        Some(vec![demand("early", false, false), demand("wanted", false, true)])
    );
    // The uplink itself is neither a consumer nor a watch.
    let proxy = behind(&core, &edge, AddressKey::mobile("wanted"), &sink);
    assert!(watch.is_reachable());
    assert_eq!(core.edge_demands(&edge), Some(vec![demand("wanted", false, true)]));
    drop((watch, proxy));
    assert_eq!(core.edge_demands(&edge), Some(vec![demand("wanted", false, false)]));
    assert!(core.addresses().iter().all(|address| address.key().class() != AddressClass::Mobile));
    // Handlers that every router has for itself concern no other router.
    let _own = core.serve(AddressKey::mobile("$management"), LocalConsumer::own(sink.clone()), NOW);
    let _asks = core.watch("$management");
    assert_eq!(core.edge_demands(&edge), Some(vec![demand("$management", false, false)]));
    let standby = up(&core, 0);
    assert_eq!(core.edge_demands(&standby), None);
    core.edge_down(&edge);
    assert_eq!(core.edge_demands(&standby), Some(vec![demand("$management", false, false)]));
}

#[test]
fn edge_router_that_stops_withdraws_what_it_serves() {
    let core = edge_router();
    let edge = up(&core, 0);
    let (sink, _watch) = (Sink::new(), core.watch("wanted"));
    let _service = here(&core, "service", &sink);
    let _ = core.edge_demands(&edge);
    core.withdraw(NOW);
    assert_eq!(
        core.edge_demands(&edge),
        Some(vec![demand("service", false, false), demand("wanted", false, false)])
    );
}

#[test]
fn what_is_for_nobody_known_goes_up_and_never_back() {
    let core = edge_router();
    assert!(is_released(&send(&core, "service", None, None)));
    let (edge, above, local) = (up(&core, 0), Sink::new(), Sink::new());
    let _uplink = behind(&core, &edge, EDGE_UPLINK.to_key(), &above);
    for to in ["service", "_topo/0/other/x", "_edge/other/x"] {
        send(&core, to, None, None);
        assert_eq!(above.take().len(), 1, "{to}");
        assert!(is_released(&send(&core, to, Some(&edge), None)), "{to}");
    }
    assert!(core.choose_by_text("amqp:/_topo/0/other/temp.1").is_some());
    let _service = here(&core, "service", &local);
    send(&core, "service", None, None);
    send(&core, "service", Some(&edge), None);
    assert_eq!((local.take().len(), above.take().len()), (2, 0));
    // For a link with an address, the consumers of that address decide.
    let message = Message { to_override: Some(Arc::from("nowhere")), ..Message::default() };
    let (targeted, delivery) = ProducerEnd::begin(message, core.own());
    assert!(!core.route(delivery, core.read("nowhere")) && is_released(&targeted));
}

#[test]
fn multicast_goes_here_and_up_once() {
    let core = core_of(RouterMode::Edge, "e", Treatment::Multicast);
    let (edge, above, proxy, local) = (up(&core, 0), Sink::new(), Sink::new(), Sink::new());
    let _uplink = behind(&core, &edge, EDGE_UPLINK.to_key(), &above);
    let _service = here(&core, "service", &local);
    send(&core, "service", None, None);
    assert_eq!((local.take().len(), above.take().len()), (1, 1));
    let _proxy = behind(&core, &edge, AddressKey::mobile("service"), &proxy);
    send(&core, "service", None, None);
    assert_eq!((local.take().len(), above.take().len(), proxy.take().len()), (1, 0, 1));
    send(&core, "service", Some(&edge), None);
    assert_eq!((local.take().len(), above.take().len(), proxy.take().len()), (1, 0, 0));
}

#[test]
fn reply_addresses_name_the_edge_router() {
    let core = edge_router();
    let sink = Sink::new();
    let handle = core.replies().add(0, 7, sink.clone());
    let to = handle.address();
    assert!(to.starts_with("amqp:/_edge/e/"), "{to}");
    let edge = up(&core, 0);
    send(&core, &to, Some(&edge), None);
    assert_eq!(sink.count(), 1);
    assert_eq!(
        core.poll_timer(NOW, Waker::noop()),
        None,
        "an edge router takes no part in the routing protocol"
    );
}

fn beside(core: &Core, peer: &str) -> Arc<EdgeConnection> {
    core.edge_up(Arc::from(peer), true, None, Notify::Nobody)
}

#[test]
fn another_edge_router_is_reached_beside_while_it_is_linked() {
    let core = edge_router();
    let (uplink, other, above, there) =
        (up(&core, 0), beside(&core, "other"), Sink::new(), Sink::new());
    let _uplink = behind(&core, &uplink, EDGE_UPLINK.to_key(), &above);
    let direct = behind(&core, &other, AddressKey::new(AddressClass::Edge, "other"), &there);
    send(&core, "amqp:/_edge/other/x", None, None);
    send(&core, "amqp:/_edge/another/x", None, None);
    assert_eq!((there.take().len(), above.take().len()), (1, 1));
    drop(direct);
    send(&core, "amqp:/_edge/other/x", None, None);
    assert_eq!((there.take().len(), above.take().len()), (0, 1));
}

#[test]
fn consumers_beside_are_for_this_router_alone() {
    for treatment in [Treatment::Balanced, Treatment::Multicast] {
        let core = core_of(RouterMode::Edge, "e", treatment);
        let (uplink, one, two) = (up(&core, 0), beside(&core, "one"), beside(&core, "two"));
        let (at_one, at_two, above) = (Sink::new(), Sink::new(), Sink::new());
        let _one = behind(&core, &one, AddressKey::mobile("service"), &at_one);
        let _two = behind(&core, &two, AddressKey::mobile("service"), &at_two);
        let _up = behind(&core, &uplink, AddressKey::mobile("service"), &above);
        assert_eq!(core.edge_demands(&uplink), Some(vec![demand("service", false, false)]));
        for from in [&one, &two, &uplink] {
            assert!(is_released(&send(&core, "service", Some(from), None)), "{treatment:?}");
        }
        for _ in 0..3 {
            let _ = send(&core, "service", None, None);
        }
        let counts = [&at_one, &at_two, &above].map(|sink| sink.count());
        assert_eq!(counts, if treatment == Treatment::Multicast { [3; 3] } else { [1; 3] });
    }
}

#[test]
fn of_two_connections_with_one_edge_router_one_is_in_use() {
    let core = edge_router();
    let (first, second, other) = (beside(&core, "one"), beside(&core, "one"), beside(&core, "two"));
    assert_eq!([&first, &second, &other].map(|edge| edge.is_active()), [true, false, true]);
    core.edge_down(&first);
    assert!(second.is_active());
}

#[test]
fn lowest_bid_names_the_mesh_until_its_router_is_gone() {
    let bid = |ordinal, id: &str| Bid { ordinal, id: id.to_owned() };
    let core = core_of(RouterMode::Edge, "e", Treatment::Balanced);
    let mesh = |core: &Core| core.mesh().map(|mesh| mesh.to_string());
    assert_eq!(
        (mesh(&core).as_deref(), core.bid()),
        (Some("own-id"), Some((0, bid(100, "own-id"))))
    );
    let (uplink, one, two) = (up(&core, 0), beside(&core, "one"), beside(&core, "two"));
    assert!(uplink.is_active());
    let never = || panic!("no new bid is wanted");
    core.on_bid(&one, &bid(200, "later"), never);
    assert_eq!(mesh(&core).as_deref(), Some("own-id"));
    core.on_bid(&two, &bid(50, "earlier"), never);
    assert_eq!(mesh(&core).as_deref(), Some("earlier"));
    // The mesh keeps its name as long as one of its routers knows it.
    core.edge_down(&one);
    assert_eq!(core.bid(), Some((0, bid(100, "earlier"))));
    core.edge_down(&two);
    assert_eq!(
        (mesh(&core).as_deref(), core.bid()),
        (Some("earlier"), Some((1, bid(100, "earlier"))))
    );
    // Two routers with the same bid bid anew.
    let three = beside(&core, "three");
    core.on_bid(&three, &bid(100, "same"), || bid(7, "fresh"));
    assert_eq!((mesh(&core).as_deref(), core.bid()), (Some("fresh"), Some((2, bid(7, "fresh")))));
}
