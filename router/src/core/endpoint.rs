//! What takes deliveries at this router: endpoints, and the consumers that they are.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use super::delivery::ConsumerEnd;
use super::edge_connection::EdgeConnection;

/// How many deliveries of one address may be open at a destination before others are preferred
/// whatever they cost: the capacity of a link (250, as C routers count it).
pub(super) const DEFAULT_CAPACITY: usize = 250;

/// What takes deliveries within the process: a tcpConnector, a listener's connection that waits for
/// its answer, a handler.
pub trait Endpoint: Debug + Send + Sync {
    /// Takes a delivery, on whatever thread: it must not wait. A delivery that is not wanted is
    /// given an outcome.
    fn deliver(&self, delivery: ConsumerEnd);

    /// The shard where what is delivered goes on, if that is one.
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
    /// How many may be open before others are preferred.
    pub(super) capacity: usize,
    /// Every router has one of its own: the network is not told.
    pub(super) own: bool,
    /// It is a client's, and clients have a budget of addresses.
    pub(super) client: bool,
    /// It is reached by this edge connection.
    pub(super) edge: Option<Arc<EdgeConnection>>,
    /// Its place among the consumers of its address.
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

    /// A consumer that takes deliveries through `endpoint`.
    pub fn new(endpoint: Arc<dyn Endpoint>) -> Arc<Self> {
        Self::with_capacity(endpoint, DEFAULT_CAPACITY)
    }

    /// A consumer that may have `capacity` deliveries open before others of a balanced address are
    /// preferred.
    pub fn with_capacity(endpoint: Arc<dyn Endpoint>, capacity: usize) -> Arc<Self> {
        Arc::new(Self::plain(endpoint, capacity))
    }

    /// A client, for [`Core::serve_client`].
    pub fn client(endpoint: Arc<dyn Endpoint>, capacity: usize) -> Arc<Self> {
        Arc::new(Self { client: true, ..Self::plain(endpoint, capacity) })
    }

    /// A consumer that is reached by an edge connection.
    pub fn behind(
        edge: &Arc<EdgeConnection>,
        endpoint: Arc<dyn Endpoint>,
        capacity: usize,
    ) -> Arc<Self> {
        Arc::new(Self { edge: Some(Arc::clone(edge)), ..Self::plain(endpoint, capacity) })
    }

    /// Whether it takes what a client sends before it has answered: what is behind an edge
    /// connection may be a C router's.
    pub(super) fn is_early(&self) -> bool {
        self.edge.is_none()
    }

    /// A handler that every router has for itself, such as its management node: the network is not
    /// told of it.
    pub fn own(endpoint: Arc<dyn Endpoint>) -> Arc<Self> {
        Arc::new(Self { own: true, ..Self::plain(endpoint, DEFAULT_CAPACITY) })
    }
}
