//! Endpoints, which take deliveries at this router, and the consumers that they are.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use super::delivery::ConsumerEnd;
use super::edge_connection::EdgeConnection;

/// How many deliveries of one address may be open at a destination before others are preferred,
/// whatever they cost. C routers count the same capacity for a link.
pub(super) const DEFAULT_CAPACITY: usize = 250;

/// Takes deliveries within the process: a link, a tcpConnector, a listener's connection that waits
/// for its answer, a handler.
pub trait Endpoint: Debug + Send + Sync {
    /// Takes a delivery, on any thread, without waiting. An endpoint that does not want it
    /// concludes it with an outcome.
    fn deliver(&self, delivery: ConsumerEnd);

    /// Returns the shard where a delivery goes on, if it is one.
    fn shard(&self) -> Option<usize> {
        None
    }
}

/// A consumer at this router.
#[derive(Debug)]
pub struct LocalConsumer {
    pub(super) endpoint: Arc<dyn Endpoint>,
    /// Its open deliveries.
    pub(super) outstanding: Arc<AtomicUsize>,
    /// How many deliveries may be open before others are preferred.
    pub(super) capacity: usize,
    /// Every router has one of its own: this router does not announce it.
    pub(super) own: bool,
    /// It is a client's. Clients have a budget of addresses.
    pub(super) client: bool,
    /// It is reached by this edge connection.
    pub(super) edge: Option<Arc<EdgeConnection>>,
    /// Its number among the consumers of its address.
    pub(super) number: AtomicU64,
}

impl LocalConsumer {
    fn plain(endpoint: Arc<dyn Endpoint>, capacity: usize) -> Self {
        Self {
            endpoint,
            outstanding: Arc::default(),
            capacity,
            own: false,
            client: false,
            edge: None,
            number: AtomicU64::new(0),
        }
    }

    /// Makes a consumer that takes deliveries through `endpoint`.
    pub fn new(endpoint: Arc<dyn Endpoint>) -> Arc<Self> {
        Self::with_capacity(endpoint, DEFAULT_CAPACITY)
    }

    /// Makes a consumer that may have `capacity` deliveries open before others of a balanced
    /// address are preferred.
    pub fn with_capacity(endpoint: Arc<dyn Endpoint>, capacity: usize) -> Arc<Self> {
        Arc::new(Self::plain(endpoint, capacity))
    }

    /// Makes a client's consumer, for [`Core::serve_client`](super::Core::serve_client).
    pub fn client(endpoint: Arc<dyn Endpoint>, capacity: usize) -> Arc<Self> {
        Arc::new(Self { client: true, ..Self::plain(endpoint, capacity) })
    }

    /// Makes a consumer that is reached by an edge connection.
    pub fn behind(
        edge: &Arc<EdgeConnection>,
        endpoint: Arc<dyn Endpoint>,
        capacity: usize,
    ) -> Arc<Self> {
        Arc::new(Self { edge: Some(Arc::clone(edge)), ..Self::plain(endpoint, capacity) })
    }

    /// Returns whether it takes bytes of a client before it has answered. Behind an edge connection
    /// may be a C router's consumer, which does not.
    pub(super) fn is_early(&self) -> bool {
        self.edge.is_none()
    }

    /// Makes a handler that every router has for itself, such as its management node. The router
    /// does not announce it to the network.
    pub fn own(endpoint: Arc<dyn Endpoint>) -> Arc<Self> {
        Arc::new(Self { own: true, ..Self::plain(endpoint, DEFAULT_CAPACITY) })
    }
}
