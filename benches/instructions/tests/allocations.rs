//! Allocations of the engine: in the steady state none to send, and one to receive for each block
//! that is read.

#[path = "../src/pair.rs"]
mod pair;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::VecDeque;

use bytes::Bytes;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::engine::{Connection, Ending, Event, LinkKey};
use skupper_proto::time::Instant;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has no counter any more.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns how often `what` allocates.
fn count(what: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    what();
    ALLOCATIONS.get() - before
}

/// Carries the output of one to the other, as one block. Returns how often the other allocates.
fn carry(from: &mut Connection, to: &mut Connection) -> usize {
    let mut block = pair::block(from);
    count(|| while to.handle_input(&mut block, Instant::ZERO) {})
}

fn drain(connection: &mut Connection) {
    while connection.poll_event().is_some() {}
}

/// Makes two connections with a link from the first to the second.
fn pair() -> (Connection, Connection, LinkKey) {
    let (client, server, links) = pair::pair(1);
    (client, server, links[0])
}

#[test]
fn a_stream() {
    let (mut client, mut server, link) = pair();
    let delivery = client.deliver(link, false).unwrap();
    let octets = Bytes::from(vec![7; 16 * 1024]);
    let mut chunks = VecDeque::with_capacity(8);
    for round in 0..1000 {
        let out = count(|| {
            // About one TLS write.
            for _ in 0..4 {
                chunks.push_back(octets.clone());
                while !chunks.is_empty() {
                    assert!(client.send_part(delivery, &mut chunks, false));
                }
            }
            assert!(client.output().slices().count() > 8);
        });
        let incoming = carry(&mut client, &mut server);
        let mut events = 0;
        let polled = count(|| {
            while let Some(event) = server.poll_event() {
                events +=
                    usize::from(matches!(event, Event::Transfer { ending: Ending::More, .. }));
            }
        });
        assert_eq!(events, 8);
        carry(&mut server, &mut client);
        drain(&mut client);
        if round > 10 {
            assert_eq!((out, polled), (0, 0), "round {round}");
            assert!(incoming <= 1, "{incoming} for a block of 8 frames, round {round}");
        }
    }
}

#[test]
fn messages_and_their_outcomes() {
    let (mut client, mut server, link) = pair();
    let octets = Bytes::from(vec![7; 100]);
    let mut chunks = VecDeque::with_capacity(8);
    let mut keys = Vec::with_capacity(100);
    for round in 0..1000 {
        let out = count(|| {
            for _ in 0..50 {
                let delivery = client.deliver(link, false).unwrap();
                chunks.push_back(octets.clone());
                assert!(client.send_part(delivery, &mut chunks, true));
            }
        });
        let incoming = carry(&mut client, &mut server);
        let answered = count(|| {
            while let Some(event) = server.poll_event() {
                if let Event::Transfer { delivery, .. } = event {
                    keys.push(delivery);
                }
            }
            for key in keys.drain(..) {
                server.disposition(key, Some(DeliveryState::Accepted), true);
            }
        });
        let outcomes = carry(&mut server, &mut client);
        drain(&mut client);
        assert_eq!((client.usage().outgoing, server.usage().incoming), (0, 0));
        if round > 20 {
            assert_eq!((out, answered), (0, 0), "round {round}");
            assert!(incoming <= 1, "{incoming} for 50 messages, round {round}");
            assert!(outcomes <= 1, "{outcomes} for 50 outcomes, round {round}");
        }
    }
}

#[test]
fn acknowledgements() {
    let (mut client, mut server, link) = pair();
    let delivery = client.deliver(link, false).unwrap();
    client.send_part(delivery, &mut VecDeque::from([Bytes::from_static(b"x")]), false);
    carry(&mut client, &mut server);
    let Some(Event::Transfer { delivery, .. }) = server.poll_event() else { panic!("transfer") };
    for round in 0..100 {
        let said =
            count(|| server.disposition(delivery, Some(DeliveryState::received(round)), false));
        let heard = carry(&mut server, &mut client);
        drain(&mut client);
        if round > 2 {
            assert_eq!(said, 0);
            assert!(heard <= 1, "{heard}");
        }
    }
}
