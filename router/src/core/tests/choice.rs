//! The choice of a destination, by treatment.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use skupper_proto::address::patterns::Patterns;
use skupper_proto::address::{AddressKey, MAX_KEY_LENGTH, Treatment};
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::time::Instant;

use super::world::{World, core, finish, stream};
use super::{Bell, Sink};
use crate::core::{
    Address, AddressRule, CLIENT_ADDRESS_OCTETS, Command, ConsumerEnd, Core, GroupKey,
    LocalConsumer, Mailbox, Message, Via,
};

fn address(core: &Arc<Core>) -> Arc<Address> {
    let (address, _) = core.watch("service");
    address
}

fn deliver(core: &Core, address: &Address) {
    core.choose(address).expect("a destination").deliver(stream(core).1);
}

fn count(mailbox: &Mailbox) -> usize {
    let mut commands = VecDeque::new();
    mailbox.take(&mut Vec::new(), &mut commands, Waker::noop());
    commands.iter().filter(|command| matches!(command, Command::Deliver(_, Via::Stream))).count()
}

#[test]
fn without_consumers_there_is_no_choice() {
    let core = core("a", Treatment::Balanced);
    assert!(core.choose(&address(&core)).is_none());
    assert!(core.choose_by_text("service").is_none());
    assert!(core.choose_by_text("amqp:/_topo/0/nowhere/reply.0.0.0").is_none());
    assert!(core.choose_by_text("amqp:/_topo/0/a/reply.0.0.0").is_none());
    let (producer, delivery) = stream(&core);
    core.route(delivery, core.read("service"));
    assert_eq!(producer.progress().outcome, Some(DeliveryState::Released));
}

#[test]
fn equals_take_turns_also_one_after_the_other() {
    for treatment in [Treatment::Balanced, Treatment::Closest] {
        let core = core("a", treatment);
        let sinks = [Sink::new(), Sink::new(), Sink::new()];
        let consumptions: Vec<_> = sinks
            .iter()
            .map(|sink| {
                core.consume(
                    "service",
                    LocalConsumer::new(Arc::clone(sink) as Arc<_>),
                    Instant::ZERO,
                )
            })
            .collect();
        let address = address(&core);
        for _ in 0..9 {
            deliver(&core, &address);
            // Each is over before the next begins.
            for sink in &sinks {
                sink.0.lock().unwrap().iter().for_each(finish);
            }
        }
        assert_eq!(sinks.each_ref().map(|sink| sink.count()), [3, 3, 3], "{treatment:?}");
        drop(consumptions);
        assert!(core.choose(&address).is_none());
    }
}

#[test]
fn balanced_evens_out_what_is_open() {
    let core = core("a", Treatment::Balanced);
    let sinks = [Sink::new(), Sink::new()];
    let _consumptions = sinks.each_ref().map(|sink| {
        core.consume("service", LocalConsumer::new(Arc::clone(sink) as Arc<_>), Instant::ZERO)
    });
    let address = address(&core);
    for _ in 0..20 {
        deliver(&core, &address);
    }
    assert_eq!(sinks.each_ref().map(|sink| sink.count()), [10, 10]);
    // One of them has finished all its deliveries: it gets the next ones until it has as many.
    drop(sinks[1].take());
    for _ in 0..10 {
        deliver(&core, &address);
    }
    assert_eq!(sinks.each_ref().map(|sink| sink.count()), [10, 10]);
}

#[test]
fn balanced_counts_cost_as_open_deliveries() {
    let mut world = World::new(["a", "b"], Treatment::Balanced);
    world.connect(0, 1, 7, None);
    let sinks = [Sink::new(), Sink::new()];
    let _consumptions =
        [world.consume(0, "service", &sinks[0]), world.consume(1, "service", &sinks[1])];
    world.settle();
    let address = address(&world.cores[0]);
    for _ in 0..27 {
        deliver(&world.cores[0], &address);
    }
    // The last ones are equals.
    let there = count(&world.wires[0][0].mailbox);
    assert_eq!(sinks[0].count() + there, 27);
    assert!((16..=18).contains(&sinks[0].count()), "{}", sinks[0].count());
}

#[test]
fn balanced_counts_what_is_open_at_a_neighbor_whatever_lies_behind_it() {
    let mut world = World::new(["a", "b", "c"], Treatment::Balanced);
    world.connect(0, 1, 10, None);
    world.connect(1, 2, 10, None);
    let sinks = [Sink::new(), Sink::new(), Sink::new()];
    let _consumptions = [0, 1, 2].map(|core| world.consume(core, "service", &sinks[core]));
    world.settle();
    let address = address(&world.cores[0]);
    for _ in 0..100 {
        deliver(&world.cores[0], &address);
    }
    // Ten more stay here: the neighbor shares its part with the router behind it.
    assert!((54..=56).contains(&sinks[0].count()), "{}", sinks[0].count());
}

#[test]
fn an_addresss_priority_goes_before_its_messages() {
    for treatment in [Treatment::Balanced, Treatment::Closest, Treatment::Multicast] {
        for (priority, wanted) in [(Some(7), 7), (None, 3)] {
            let mut world = World::new(["a", "b"], Treatment::Balanced);
            world.connect(0, 1, 1, None);
            let mut rules = Patterns::new();
            rules.insert("service", AddressRule { treatment, priority }).unwrap();
            world.cores[0].set_treatments(rules);
            let _consumption = world.consume(1, "service", &Sink::new());
            world.settle();
            let message = Message { priority: 3, ..Message::default() };
            let core = &world.cores[0];
            assert!(core.route(
                ConsumerEnd::whole(message, Bytes::new(), core.own()),
                core.read("service")
            ));
            let mut commands = VecDeque::new();
            world.wires[0][0].mailbox.take(&mut Vec::new(), &mut commands, Waker::noop());
            let via = commands.iter().find_map(|command| match command {
                Command::Deliver(_, via @ Via::Message(_)) => Some(*via),
                _ => None,
            });
            assert_eq!(via, Some(Via::Message(wanted)), "{treatment:?}");
        }
    }
}

#[test]
fn full_destination_is_the_last_choice() {
    let mut world = World::new(["a", "b"], Treatment::Balanced);
    world.connect(0, 1, 100_000, None);
    let sinks = [Sink::new(), Sink::new()];
    let _consumptions =
        [world.consume(0, "service", &sinks[0]), world.consume(1, "service", &sinks[1])];
    world.settle();
    let address = address(&world.cores[0]);
    for _ in 0..250 {
        deliver(&world.cores[0], &address);
    }
    assert_eq!(sinks[0].count(), 250);
    deliver(&world.cores[0], &address);
    assert_eq!((sinks[0].count(), count(&world.wires[0][0].mailbox)), (250, 1));
}

#[test]
fn closest_stays_here_and_else_goes_the_shortest_way() {
    let mut world = World::new(["a", "b", "c"], Treatment::Closest);
    world.connect(0, 1, 2, None);
    world.connect(0, 2, 1, None);
    let sinks = [Sink::new(), Sink::new(), Sink::new()];
    let here = world.consume(0, "service", &sinks[0]);
    let _there = [world.consume(1, "service", &sinks[1]), world.consume(2, "service", &sinks[2])];
    world.settle();
    let address = address(&world.cores[0]);
    for _ in 0..5 {
        deliver(&world.cores[0], &address);
    }
    assert_eq!(sinks[0].count(), 5);
    drop(here);
    for _ in 0..5 {
        deliver(&world.cores[0], &address);
    }
    assert_eq!([0, 1].map(|wire: usize| count(&world.wires[wire][0].mailbox)), [0, 5]);
}

#[test]
fn data_connections_take_turns_whoever_else_is_looked_at() {
    let mut world = World::new(["a", "b", "c"], Treatment::Balanced);
    world.connect(0, 1, 1, Some("b's"));
    world.connect(0, 2, 1, Some("c's"));
    let groups = [GroupKey::new("b", "b's"), GroupKey::new("c", "c's")];
    let data: Vec<_> = groups
        .iter()
        .flat_map(|group| [(group, Mailbox::new(0)), (group, Mailbox::new(0))])
        .collect();
    for (group, mailbox) in &data {
        world.cores[0].data_up(group, 0, mailbox);
    }
    let sinks = [Sink::new(), Sink::new()];
    let _consumptions =
        [world.consume(1, "service", &sinks[0]), world.consume(2, "service", &sinks[1])];
    world.settle();
    let address = address(&world.cores[0]);
    for _ in 0..16 {
        deliver(&world.cores[0], &address);
    }
    assert_eq!(data.iter().map(|(_, mailbox)| count(mailbox)).collect::<Vec<_>>(), [4, 4, 4, 4]);
}

#[test]
fn watch_tells_when_the_first_comes_and_the_last_goes() {
    let core = core("a", Treatment::Balanced);
    let (bell, waker) = Bell::new();
    let (address, watch) = core.watch("service");
    assert!(!watch.poll(&waker));
    let consume = || core.consume("service", LocalConsumer::new(Sink::new()), Instant::ZERO);
    let first = consume();
    assert_eq!((bell.rings(), watch.poll(&waker)), (1, true));
    let second = consume();
    drop(first);
    assert_eq!((bell.rings(), watch.poll(&waker)), (0, true));
    drop(second);
    assert_eq!((bell.rings(), watch.poll(&waker)), (1, false));
    assert_eq!(core.addresses().len(), 1, "it is watched");
    let third = consume();
    drop(watch);
    drop(third);
    assert_eq!((core.addresses().len(), address.is_reachable()), (0, false));
}

#[test]
fn clients_have_a_budget_of_addresses() {
    let core = core("a", Treatment::Balanced);
    let sink = Sink::new();
    let serve = |text: String| {
        let consumer = LocalConsumer::client(Arc::clone(&sink) as Arc<_>, 250);
        core.serve_client(AddressKey::mobile(text), consumer, Instant::ZERO)
    };
    // With the longest addresses, the budget of bytes is used up first.
    let long = |number: usize| format!("{number:0>width$}", width = MAX_KEY_LENGTH - 1);
    let mut held: Vec<_> = (0..CLIENT_ADDRESS_OCTETS / MAX_KEY_LENGTH)
        .map_while(|number| serve(long(number)))
        .collect();
    assert_eq!(held.len(), CLIENT_ADDRESS_OCTETS / MAX_KEY_LENGTH);
    assert!(serve("one more".to_owned()).is_none());
    held.push(serve(long(0)).expect("another consumer of an address takes no place"));
    let service = LocalConsumer::new(Arc::clone(&sink) as Arc<_>);
    let _service = core.serve(AddressKey::mobile("service"), service, Instant::ZERO);
    // Its place is free once the last of them is gone.
    drop(held.swap_remove(0));
    assert!(serve("one more".to_owned()).is_none());
    drop(held.swap_remove(0));
    assert!(serve("one more".to_owned()).is_some());
}
