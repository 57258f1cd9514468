//! Resets service connections whose readers stand still when memory is short, so that no other
//! connection waits.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use crate::core::{Relief, Stream};
use crate::log_limited;
use crate::node::{Closer, Node, OUT_OF_MEMORY};

/// The time between two looks. It is short against the patience with readers.
const PAUSE: Duration = Duration::from_millis(50);

/// Watches the account of the process while more than half of it is used.
pub(super) async fn watch(node: Arc<Node>) {
    loop {
        poll_fn(|cx| node.core.account().poll_watched(cx.waker())).await;
        let mut relief = Relief::default();
        while let Some(next) = relieve(&node, &mut relief) {
            tokio::time::sleep(next).await;
        }
        // Usage may hover about the half. Without a pause each look would follow the last at once.
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks at every service connection and resets those that must go. Returns when to look again, if
/// at all.
fn relieve(node: &Node, relief: &mut Relief) -> Option<Duration> {
    let account = node.core.account();
    let services = node.core.services().all();
    let held: Vec<usize> = services.iter().map(|(_, memory)| memory.unwritten.held()).collect();
    let places: HashMap<&str, usize> =
        services.iter().enumerate().map(|(at, (service, _))| (&**service, at)).collect();
    let records = node.registry.connections();
    let mut words = HashMap::new();
    let mut streams = Vec::new();
    for record in &records {
        let (Closer::Service(word), Some(address)) = (&record.closer, &record.address) else {
            continue;
        };
        let Some(service) = places.get(&**address).copied() else { continue };
        let (taken, waiting) = (record.octets.get().1, record.octets.waiting());
        streams.push(Stream {
            id: record.id,
            service,
            taken,
            waiting,
            going: word.heard().is_some(),
        });
        words.insert(record.id, (word, address));
    }
    let (victims, next) = relief.look(node.clock.now(), account.standing(), &held, &streams);
    for victim in victims {
        let Some((word, service)) = words.get(&victim.id) else { continue };
        log_limited!(
            &***service,
            TcpAdaptor,
            Warning,
            "[C{}] reset: its reader at service {service} has taken nothing for {:.1} s while {} \
             octets wait, and {} of {} octets are held in memory",
            victim.id,
            victim.stalled.as_secs_f64(),
            victim.waiting,
            account.held(),
            account.ceiling()
        );
        word.say(OUT_OF_MEMORY);
    }
    next
}
