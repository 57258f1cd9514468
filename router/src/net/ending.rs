//! What a connection leaves behind when it ends.
//!
//! A client may have had tens of thousands of links and hundreds of thousands of deliveries. Each
//! has somebody else who is to be told, so they are given up one by one, in as many turns as it
//! takes.

use super::connection::Connection;

/// What is left to be given up; each item is something that was.
pub(super) type Remains = Box<dyn Iterator<Item = ()> + Send>;

impl Connection {
    /// Gives up what the ended connection has, as far as the turn goes. Returns whether nothing is
    /// left.
    pub(super) fn give_up(&mut self) -> bool {
        let mut remains = match self.remains.take() {
            Some(remains) => remains,
            None => {
                self.log_resources();
                self.remaining()
            }
        };
        let done = loop {
            if remains.next().is_none() {
                break true;
            }
            if self.is_spent() {
                break false;
            }
        };
        self.remains = Some(remains);
        done
    }

    /// All that there is. What others still ask of the connection it refuses.
    fn remaining(&mut self) -> Remains {
        // Links first: what a consumer had is free to go elsewhere once it is no consumer any more.
        let links = self.outgoing.give_up();
        let producers = std::mem::take(&mut self.clients.producers).into_values().map(drop);
        let known = std::mem::take(&mut self.cx.records).into_values().map(drop);
        Box::new(links.chain(self.incoming.give_up()).chain(producers).chain(known))
    }

    /// Gives up at once what is left.
    pub(super) fn give_up_all(&mut self) {
        match self.remains.take() {
            Some(remains) => remains.for_each(drop),
            None => self.log_resources(),
        }
        self.remaining().for_each(drop);
    }
}
