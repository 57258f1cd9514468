//! Where a delivery comes from, as far as that decides where it may go.

use std::sync::Arc;

use skupper_proto::annotations::{self, Annotations, Parsed};
use skupper_proto::topology::Routes;

use super::delivery::Message;
use super::edge_connection::EdgeConnection;
use super::endpoint::LocalConsumer;

/// The origin of a delivery.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Origin<'a> {
    annotations: Option<Annotations<'a>>,
    edge: Option<&'a Arc<EdgeConnection>>,
}

impl<'a> Origin<'a> {
    pub(super) fn of(message: &'a Message) -> Self {
        let annotations = match annotations::parse(&message.annotations) {
            Ok(Parsed::Present(annotations)) => Some(annotations),
            _ => None,
        };
        Self { annotations, edge: message.edge.as_ref() }
    }

    /// Returns whether the delivery enters the network here.
    pub(super) const fn is_here(&self) -> bool {
        self.annotations.is_none() || self.edge.is_some()
    }

    /// Returns whether it came by an edge connection.
    pub(super) const fn is_edge(&self) -> bool {
        self.edge.is_some()
    }

    pub(super) const fn annotations(&self) -> Option<&Annotations<'a>> {
        self.annotations.as_ref()
    }

    /// Returns the router where it entered the network, if that is another one.
    fn ingress(&self) -> Option<&'a str> {
        self.annotations.as_ref()?.ingress.and_then(skupper_proto::address::router_of_node)
    }

    /// Returns whether it may go to a consumer here.
    pub(super) fn may_reach(&self, consumer: &LocalConsumer) -> bool {
        let Some(edge) = &consumer.edge else { return true };
        let of_mesh = self
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.ingress_mesh)
            .is_some_and(|mesh| edge.is_of(mesh));
        !of_mesh && self.edge.is_none_or(|from| from.may_reach(Some(edge)))
    }

    /// Returns whether it may go to a consumer at another router. `strict` demands that both that
    /// router and the one where it entered are known.
    pub(super) fn may_go_to(&self, routes: &Routes, router: &str, strict: bool) -> bool {
        let Some(ingress) = self.ingress() else { return true };
        match (routes.router(ingress), routes.router(router)) {
            (Some(origin), Some(destination)) => routes.is_valid_origin(origin, destination),
            _ => !strict,
        }
    }
}
