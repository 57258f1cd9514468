//! What a connection leaves behind when it ends.
//!
//! A client may have had tens of thousands of links and hundreds of thousands of deliveries. Each
//! has somebody else who is to be told, so they are given up one by one, in as many turns as it
//! takes.

use super::link_layer::LinkLayer;

/// What is left to be given up; each item is something that was.
type Remains = Box<dyn Iterator<Item = ()> + Send>;

/// What a connection leaves behind.
#[derive(Default)]
pub(super) struct Legacy(Option<Remains>);

/// Returns all that there is. What others still ask of the connection it refuses.
fn remaining(links: &mut LinkLayer) -> Remains {
    // Links first: what a consumer had is free to go elsewhere once it is no consumer any more.
    let outgoing = links.outgoing.give_up();
    let known = std::mem::take(&mut links.cx.records).into_values().map(drop);
    Box::new(outgoing.chain(links.incoming.give_up()).chain(known))
}

fn log_resources(links: &LinkLayer) {
    links.cx.log_resources(links.incoming.producers(), links.outgoing.consumers.count());
}

impl Legacy {
    /// Gives up what the ended connection has, until `is_spent`. Returns whether nothing is left.
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
