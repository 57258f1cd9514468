//! Counts of deliveries, by outcome and destination.

use std::sync::atomic::{AtomicU64, Ordering};

use skupper_proto::amqp::performative::DeliveryState;

/// The kinds of destinations that counters tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// A handler in the process that every router has for itself.
    Handler,
    /// A consumer at this router.
    Consumer,
    /// Another router.
    Router,
}

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident)+) => {
        /// Counts of deliveries since start. Each rises once a delivery, never once a frame.
        #[derive(Debug, Default)]
        pub struct Counters { $($name: AtomicU64,)+ }

        impl Counters {
            $($(#[$meta])* pub fn $name(&self) -> u64 { self.$name.load(Ordering::Relaxed) })+
        }
    };
}

counters! {
    /// Deliveries that their senders had settled.
    presettled
    /// Presettled deliveries that were dropped for lack of a receiver.
    dropped_presettled
    /// Deliveries with the outcome accepted.
    accepted
    /// Deliveries with the outcome rejected.
    rejected
    /// Deliveries with the outcome released.
    released
    /// Deliveries with the outcome modified.
    modified
    /// Deliveries that took from one second to ten.
    delayed_1_second
    /// Deliveries that took longer than ten seconds.
    delayed_10_seconds
    /// Deliveries that began at this router.
    ingress
    /// Deliveries that ended at this router.
    egress
    /// Deliveries that went on to another router.
    transit
    /// Deliveries that came from containers whose links this router attaches.
    ingress_route_container
    /// Deliveries that went to such containers.
    egress_route_container
}

impl Counters {
    /// Counts a delivery's outcome.
    pub fn count_outcome(&self, outcome: &DeliveryState) {
        let counter = match outcome {
            DeliveryState::Accepted => &self.accepted,
            DeliveryState::Rejected(_) => &self.rejected,
            DeliveryState::Released => &self.released,
            DeliveryState::Modified(_) => &self.modified,
            DeliveryState::Received(_) | DeliveryState::Other(_) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a delivery that ended, if it took a second or more.
    pub fn took(&self, age: std::time::Duration) {
        let counter = match age.as_secs() {
            0 => return,
            1..10 => &self.delayed_1_second,
            _ => &self.delayed_10_seconds,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a delivery that arrived settled.
    pub fn arrived_presettled(&self) {
        self.presettled.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a presettled delivery that was dropped.
    pub fn dropped(&self) {
        self.dropped_presettled.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a delivery that begins at this router.
    pub fn began(&self) {
        self.ingress.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a delivery that came from a container.
    pub fn came_from_container(&self) {
        self.ingress_route_container.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a delivery that goes to a container.
    pub fn goes_to_container(&self) {
        self.egress_route_container.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a delivery that found a destination.
    pub(super) fn routed(&self, destination: Destination) {
        match destination {
            Destination::Handler => return,
            Destination::Consumer => &self.egress,
            Destination::Router => &self.transit,
        }
        .fetch_add(1, Ordering::Relaxed);
    }
}
