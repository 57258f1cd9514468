//! The lives of a router: which of them speaks.

use std::sync::Arc;

use super::{Topology, TopologyEvent};
use crate::time::Instant;
use crate::topology::message::Hello;
use crate::topology::neighbors::is_fresh;
use crate::topology::routes::RouterIndex;
use crate::topology::table::Router;
use crate::topology::{LinkId, Notice};

/// The life that sent a message.
pub(super) enum Life {
    Present,
    New,
    /// The one before the present, or one that is not believed yet.
    Former,
    /// Perhaps a new one, which the router is to confirm.
    Rumored,
}

impl Topology {
    /// Whether a neighbor seems to have started anew, on `link`, while its present life is heard on
    /// another link. That is believed once: a router that is killed leaves a connection behind. If
    /// the former life goes on speaking, another router uses its id.
    pub(super) fn is_second_life(
        &mut self,
        router: RouterIndex,
        link: LinkId,
        hello: &Hello,
        now: Instant,
    ) -> bool {
        let max_age = self.config.hello_max_age;
        let is_other = |slot: &&mut Router| {
            slot.lives.contested
                && hello.instance.is_some()
                && hello.instance != slot.lives.instance
        };
        let Some(slot) = self.table.get_mut(router).filter(is_other) else { return false };
        slot.lives.contested = self.links.others_leading_to(&hello.id, link, now, max_age);
        slot.lives.contested
    }

    /// Returns which life of a neighbor speaks. A life with another number than the known, higher
    /// or lower, is new. The exception is the life before, whose message may have been under way:
    /// it came soon after, by a link that is `up` since before.
    pub(super) fn note_instance(
        &mut self,
        router: RouterIndex,
        instance: Option<i64>,
        up: Option<Instant>,
        now: Instant,
    ) -> Life {
        let (Some(slot), Some(instance)) = (self.table.get_mut(router), instance) else {
            return Life::Present;
        };
        let known = *slot.lives.instance.get_or_insert(instance);
        if known == instance {
            return Life::Present;
        }
        let is_former = slot.lives.former.filter(|(former, _)| *former == instance);
        let may_be_late = |ended| {
            is_fresh(Some(ended), now, self.config.hello_max_age) && up.is_none_or(|up| up < ended)
        };
        if is_former.is_some_and(|(_, ended)| may_be_late(ended)) || !slot.lives.gate.is_open(now) {
            return Life::Former;
        }
        slot.lives.gate.pass(now);
        slot.lives.contested |= is_former.is_some() && up.is_some();
        self.begin_life(router, known, instance, now);
        Life::New
    }

    /// Returns which life an RA names that others passed on.
    pub(super) fn hear_of_instance(
        &mut self,
        router: RouterIndex,
        instance: Option<i64>,
        now: Instant,
    ) -> Life {
        let (Some(slot), Some(instance)) = (self.table.get_mut(router), instance) else {
            return Life::Present;
        };
        if *slot.lives.instance.get_or_insert(instance) == instance {
            return Life::Present;
        }
        let max_age = self.config.hello_max_age;
        if slot.lives.former.is_some_and(|(former, ended)| {
            former == instance && is_fresh(Some(ended), now, max_age)
        }) {
            return Life::Former;
        }
        slot.lives.rumor = Some(instance);
        Life::Rumored
    }

    /// Begins a new life of a router: what is known of the former is void.
    pub(super) fn begin_life(
        &mut self,
        router: RouterIndex,
        former: i64,
        instance: i64,
        now: Instant,
    ) {
        let Some(slot) = self.table.get_mut(router) else { return };
        slot.lives.former = Some((former, now));
        slot.lives.instance = Some(instance);
        slot.forget_link_state();
        slot.request.reset();
        slot.replied = None;
        slot.flooded = None;
        slot.introduced = Some((now, 0));
        let id = Arc::clone(&slot.id);
        self.set_edges(router, Vec::new(), now);
        self.events.push_back(TopologyEvent::Flush { router, restarted: true });
        self.notice(Notice::Restarted { id });
        if self.neighbors.contains_key(&router) {
            self.advertise_repeatedly(now);
        }
        self.ready.insert(router);
        self.touch(router, now);
    }
}
