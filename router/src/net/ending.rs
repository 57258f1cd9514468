//! The estate of a connection that has ended: its links and deliveries.
//!
//! A client may have had tens of thousands of links and hundreds of thousands of deliveries. Each
//! has another party that must hear of its end. So they are given up one by one, in as many turns
//! as that takes.

use super::link_layer::LinkLayer;

/// The links and deliveries that are left, each an item.
type Remains = Box<dyn Iterator<Item = ()> + Send>;

/// The estate of a connection. It is empty until the connection has ended.
#[derive(Default)]
pub(super) struct Legacy(Option<Remains>);

/// Returns all links and deliveries.
fn remaining(links: &mut LinkLayer) -> Remains {
    // Links come first: a delivery may go elsewhere only after its consumer is gone.
    let outgoing = links.outgoing.give_up();
    let known = std::mem::take(&mut links.cx.records).into_values().map(drop);
    Box::new(outgoing.chain(links.incoming.give_up()).chain(known))
}

fn log_resources(links: &LinkLayer) {
    links.cx.log_resources(links.incoming.producers(), links.outgoing.consumers.count());
}

impl Legacy {
    /// Gives up one item after the other until `is_spent` returns true. Returns whether nothing is
    /// left.
    pub(super) fn give_up(
        &mut self,
        links: &mut LinkLayer,
        mut is_spent: impl FnMut(&mut LinkLayer) -> bool,
    ) -> bool {
        let remains = match &mut self.0 {
            Some(remains) => remains,
            None => {
                log_resources(links);
                self.0.insert(remaining(links))
            }
        };
        loop {
            if remains.next().is_none() {
                return true;
            }
            if is_spent(links) {
                return false;
            }
        }
    }

    /// Gives up at once what is left.
    pub(super) fn give_up_all(&mut self, links: &mut LinkLayer) {
        match self.0.take() {
            Some(remains) => remains.for_each(drop),
            None => log_resources(links),
        }
        remaining(links).for_each(drop);
    }
}
