//! The core's side of the routing protocol: control connections come and go, their messages arrive,
//! and the core publishes the protocol's decisions.

use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use skupper_proto::address::{AddressClass, RouterMode};
use skupper_proto::amqp::condition;
use skupper_proto::amqp::message::{self, Properties, Scan};
use skupper_proto::amqp::performative::Error;
use skupper_proto::annotations::{self, Parsed};
use skupper_proto::mobile::Attributes;
use skupper_proto::routing::{self, Action};
use skupper_proto::time::Instant;
use skupper_proto::topology::{Arrival, LinkId, Notice};

use super::address::Address;
use super::control::Control;
use super::delivery::Message;
use super::mailbox::{Command, Mailbox, Via};
use super::next_hops::NextHops;
use super::tables::Core;
use super::trunk::{GroupKey, Trunk, TrunkId, TrunkUp};

/// The end of the address of a HELLO for the router at the other end of a link.
const HELLO: &str = "_local/qdhello";

/// The most notices that are kept for the log.
const MAX_NOTICES: usize = 256;

impl Core {
    /// Announces to the network whether this router consumes an address.
    pub(super) fn advertise(&self, control: &mut Control, address: &Address, now: Instant) {
        let now = control.at(now);
        if control.stopped || !address.key().class().is_advertised() {
            return;
        }
        control.edges.on_change(address.key());
        if self.mode() == RouterMode::Edge {
            return;
        }
        if address.local_consumers() > 0 {
            let (sole_mesh, early) = (address.sole_mesh(), address.is_early());
            let attributes =
                Attributes { sole_mesh, early, ..Attributes::new(address.treatment()) };
            control.routing.set_address(address.key().clone(), attributes, address.rank(), now);
        } else {
            control.routing.remove_address(address.key(), now);
        }
        self.drain(control);
    }

    /// Carries out the protocol's actions.
    fn drain(&self, control: &mut Control) {
        while let Some(action) = control.routing.poll_action() {
            match action {
                Action::Send(envelope) => {
                    let octets = Bytes::from(envelope.encode(self.node()));
                    // The link that sends the message writes its annotations anew.
                    let length = match annotations::parse(&octets) {
                        Ok(Parsed::Present(annotations)) => annotations.length,
                        _ => 0,
                    };
                    let message = Message {
                        sections: octets.slice(length..),
                        presettled: true,
                        ..Message::default()
                    };
                    for link in &envelope.links {
                        if let Some((trunk, _)) = control.trunks.get(link) {
                            self.send(trunk.control(), message.clone(), Via::Control);
                        }
                    }
                }
                Action::RoutesChanged => self.publish(control),
                // An address that is known keeps its treatment.
                Action::AddressAdded { router, address, attributes }
                | Action::AddressUpdated { router, address, attributes } => {
                    if let Some(id) = control.routing.routes().id(router) {
                        self.set_remote(&address, id, Some(&attributes));
                    }
                }
                Action::AddressRemoved { router, address } => {
                    if let Some(id) = control.routing.routes().id(router) {
                        self.set_remote(&address, id, None);
                    }
                }
                Action::RouterLost { .. } => {}
                Action::Notice(notice) => {
                    if control.notices.len() < MAX_NOTICES {
                        control.notices.push_back(notice);
                    }
                    control.wake_timer();
                }
            }
        }
        if control.routing.poll_timeout() < control.armed || control.armed.is_none() {
            control.wake_timer();
        }
    }

    fn publish(&self, control: &Control) {
        let trunks =
            control.trunks.iter().map(|(id, (trunk, _))| (*id, Arc::clone(trunk))).collect();
        let table = Arc::clone(control.routing.routes());
        self.next_hops.store(Arc::new(NextHops { table, trunks }));
    }

    /// Enters a control connection that is ready. It replaces the former one of its group, which is
    /// closed. A former one with older certificates retires instead: it carries its streams on and
    /// takes no new ones.
    pub fn trunk_up(&self, up: TrunkUp, now: Instant) -> Arc<Trunk> {
        let mut control = self.lock();
        let now = control.at(now);
        let key = up.group.clone();
        let former = key.as_ref().and_then(|key| control.groups.get(key)?.trunk.clone());
        if let Some(former) = former.as_ref().filter(|former| former.ordinal() > up.ordinal) {
            let error = Error::new(
                condition::CONNECTION_FORCED,
                "the connector has a connection with newer certificates",
            );
            let _ = up.control.send(Command::Close(Some(error)));
            return Trunk::new(former.id(), up);
        }
        // Newer certificates do not change the topology.
        let upgraded = former
            .as_ref()
            .filter(|former| former.ordinal() < up.ordinal && former.cost() == up.cost);
        let id = upgraded.map_or(LinkId(control.next_trunk), |former| former.id());
        if upgraded.is_none() {
            control.next_trunk += 1;
        }
        let trunk = Trunk::new(id, up);
        if let Some(key) = &key {
            let group = control.groups.entry(key.clone()).or_default();
            group.trunk = Some(Arc::clone(&trunk));
            group.share();
        }
        let is_news = upgraded.is_none();
        control.trunks.insert(id, (Arc::clone(&trunk), key));
        if let Some(former) = former {
            // A former connection that is gone needs no command.
            if former.ordinal() < trunk.ordinal() {
                let _ = former.control().send(Command::Retire);
            } else {
                let error = Error::new(
                    condition::CONNECTION_FORCED,
                    "a newer connection of the same connector replaces this one",
                );
                let _ = former.control().send(Command::Close(Some(error)));
            }
            if is_news {
                control.trunks.remove(&former.id());
                control.routing.link_down(former.id(), now);
            }
        }
        self.publish(&control);
        if is_news {
            control.routing.link_up(id, trunk.cost(), now);
        }
        self.drain(&mut control);
        trunk
    }

    /// Removes a control connection that is gone.
    pub fn trunk_down(&self, trunk: &Arc<Trunk>, now: Instant) {
        let mut control = self.lock();
        let now = control.at(now);
        if control.trunks.get(&trunk.id()).is_none_or(|(known, _)| !Arc::ptr_eq(known, trunk)) {
            // Another has taken its place.
            return;
        }
        let Some((_, group)) = control.trunks.remove(&trunk.id()) else { return };
        if let Some(key) = group
            && let Some(group) = control.groups.get_mut(&key)
        {
            group.trunk = None;
            if group.data.is_empty() {
                control.groups.remove(&key);
            }
        }
        control.routing.link_down(trunk.id(), now);
        self.drain(&mut control);
        self.publish(&control);
    }

    /// Enters a data connection that is ready. `ordinal` is that of its certificates.
    pub fn data_up(&self, key: &GroupKey, ordinal: u64, data: &Arc<Mailbox>) {
        let mut control = self.lock();
        let group = control.groups.entry(key.clone()).or_default();
        group.data.push((ordinal, Arc::clone(data)));
        group.share();
    }

    /// Removes a data connection that is gone.
    pub fn data_down(&self, key: &GroupKey, data: &Arc<Mailbox>) {
        let mut control = self.lock();
        let Some(group) = control.groups.get_mut(key) else { return };
        group.data.retain(|(_, known)| !Arc::ptr_eq(known, data));
        group.share();
        if group.trunk.is_none() && group.data.is_empty() {
            control.groups.remove(key);
        }
    }

    /// Takes a message of a control link: one of the routing protocol, or one to pass on to another
    /// router.
    pub fn on_control_message(&self, from: TrunkId, octets: &Bytes, now: Instant) {
        // A peer that is no router may leave annotations out: such a message has passed no router.
        let annotations = match annotations::parse(octets) {
            Ok(Parsed::Present(annotations)) => Some(annotations),
            Ok(Parsed::Absent) => None,
            _ => return,
        };
        let length = annotations.as_ref().map_or(0, |annotations| annotations.length);
        let trace = annotations.as_ref().map(|annotations| annotations.trace).unwrap_or_default();
        let sections = octets.slice(length..);
        let Ok(Scan::Complete(head)) = message::scan(&sections, true, false) else { return };
        let Some(Ok(properties)) =
            head.properties.map(|span| Properties::decode_fields(&mut span.of(&sections)))
        else {
            return;
        };
        let Some(to) =
            annotations.and_then(|it| it.to_override).map(str::to_owned).or(properties.to)
        else {
            return;
        };
        let key = self.space().classify(&to);
        let copy = || Message {
            annotations: octets.slice(..length),
            sections: sections.clone(),
            presettled: true,
            ..Message::default()
        };
        match key.class {
            AddressClass::Router => {
                let routes = self.next_hops.load();
                let arrival = Arrival { link: from, trace, flooded: false };
                let may_pass = trace.len() <= routes.table.hop_limit()
                    && self.lock().routing.may_pass(&arrival);
                if let Some(way) = routes.get(key.text).filter(|_| may_pass) {
                    self.send(way.trunk.control(), copy(), Via::Control);
                }
            }
            AddressClass::Local | AddressClass::Topological
                if matches!(key.text, "qdhello" | "qdrouter" | "qdrouter.ma") =>
            {
                let Ok(message) = routing::Message::decode(&sections) else { return };
                // A HELLO that names this router by its id does not come from a neighbor.
                if matches!(message, routing::Message::Hello(_)) && !to.ends_with(HELLO) {
                    return;
                }
                let mut control = self.lock();
                let now = control.at(now);
                if !control.trunks.contains_key(&from) {
                    return;
                }
                let arrival =
                    Arrival { link: from, trace, flooded: key.class == AddressClass::Topological };
                for link in control.routing.handle_message(&arrival, &message, now) {
                    if let Some((trunk, _)) = control.trunks.get(&link) {
                        self.send(trunk.control(), copy(), Via::Control);
                    }
                }
                self.drain(&mut control);
            }
            _ => {}
        }
    }

    /// Acts on the routing protocol's deadlines that have come, and returns the next. An earlier
    /// deadline or a notice will wake `waker`.
    pub fn poll_timer(&self, now: Instant, waker: &Waker) -> Option<Instant> {
        let mut control = self.lock();
        let now = control.at(now);
        control.timer = None;
        if control.routing.poll_timeout().is_some_and(|deadline| deadline <= now) {
            control.routing.handle_timeout(now);
            self.drain(&mut control);
        }
        control.timer = Some(waker.clone());
        control.armed = control.routing.poll_timeout();
        control.armed
    }

    /// Takes the notices for the operator.
    pub fn take_notices(&self) -> Vec<Notice> {
        self.lock().notices.drain(..).collect()
    }

    /// Withdraws every address of this router from the network, before the router stops.
    pub fn withdraw(&self, now: Instant) {
        let mut control = self.lock();
        let now = control.at(now);
        control.stopped = true;
        for key in self.addresses.load().keys() {
            control.edges.on_change(key);
        }
        control.routing.withdraw(now);
        self.drain(&mut control);
    }
}
