//! tcpConnectors: they consume an address, and dial the server for each client stream.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::{DeliveryState, Error, Rejected};
use skupper_proto::stream::{self, NotAStream, StreamHead};
use tokio::net::TcpStream;

use super::machine::Source;
use super::service::{Beginning, Service};
use super::stats::Stats;
use crate::core::{Choice, ConsumerEnd, Consumption, Endpoint, LocalConsumer, ServiceAccount};
use crate::lock::Mutex;
use crate::node::{Coming, FailedFlow, HANDSHAKE, Host, Node, stands_back};
use crate::schema::typed as schema;
use crate::socket::{self, Descriptor, DialOptions, Purpose, SocketUse};
use crate::tls::{self, Session};
use crate::{log, log_limited};

/// How long a client waits until other connections give a descriptor back for its server.
const DESCRIPTOR: Duration = Duration::from_secs(10);

/// A connector to a server of a service.
#[derive(Debug)]
pub struct TcpConnector {
    config: schema::TcpConnector,
    tls: Option<tls::Connector>,
    name: Arc<str>,
    /// The server's host and port, as status shows them.
    host: Arc<str>,
    service: Arc<str>,
    node: Weak<Node>,
    /// The memory that is held for the service.
    memory: Arc<ServiceAccount>,
    stats: Arc<Stats>,
    consumption: Mutex<Option<Consumption>>,
    itself: Weak<Self>,
}

impl TcpConnector {
    /// Creates a connector, and consumes its address.
    pub fn start(
        node: &Arc<Node>,
        config: schema::TcpConnector,
        tls: Option<tls::Connector>,
    ) -> Arc<Self> {
        let connector = Arc::new_cyclic(|itself| Self {
            name: Arc::from(config.name.as_str()),
            host: Arc::from(config.host_port()),
            service: Arc::from(config.address.as_str()),
            tls,
            node: Arc::downgrade(node),
            memory: node.core.service(&config.address),
            stats: Arc::default(),
            consumption: Mutex::default(),
            itself: Weak::clone(itself),
            config,
        });
        log!(
            TcpAdaptor,
            Info,
            "Configured TcpConnector for {}, {}",
            connector.service,
            connector.host
        );
        let consumer = LocalConsumer::new(Arc::clone(&connector) as Arc<dyn Endpoint>);
        let consumption = node.core.consume(&connector.service, consumer, node.clock.now());
        *connector.consumption.lock() = Some(consumption);
        connector
    }

    /// Gives its address up. Open connections go on.
    pub fn stop(&self) {
        // Its end takes the core's lock.
        let consumption = self.consumption.lock().take();
        drop(consumption);
    }

    /// Returns the entity.
    pub const fn config(&self) -> &schema::TcpConnector {
        &self.config
    }

    /// Returns its counts.
    pub const fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Dials the server for a client stream, and begins the connection of the two. `None` says that
    /// it gave the stream an outcome instead.
    async fn serve(
        self: Arc<Self>,
        node: Arc<Node>,
        download: ConsumerEnd,
        coming: Coming,
    ) -> Option<Service> {
        match self.join(&node, &download).await {
            Ok((beginning, choice)) => {
                let id = node.registry.number();
                let source = Source::Here(download);
                let (service, upload) = Service::begin(&node, id, beginning, source);
                drop(coming);
                // Before the server says anything: a client that speaks first waits for this.
                choice.deliver(upload);
                Some(service)
            }
            Err(outcome) => {
                download.conclude(outcome);
                None
            }
        }
    }

    /// Dials the server, and finds the way for its stream.
    ///
    /// # Errors
    /// Returns the outcome of the client stream.
    async fn join(
        &self,
        node: &Arc<Node>,
        download: &ConsumerEnd,
    ) -> Result<(Beginning<'_>, Choice), DeliveryState> {
        let head = read_head(download)?;
        let (socket, session, descriptor) = match self.dial(node, head.alpn.as_deref()).await {
            Ok(connected) => connected,
            Err(error) => {
                log_limited!(
                    &*self.name,
                    TcpAdaptor,
                    Error,
                    "tcpConnector {}: connection to {} failed: {error}",
                    self.name,
                    self.host
                );
                if let Some(flow) = head.correlation_id {
                    let entity = Arc::clone(&self.name);
                    node.registry.flow_failed(FailedFlow {
                        flow: flow.to_owned(),
                        entity,
                        error: error.clone(),
                    });
                }
                self.stats.dial_failed(error);
                return Err(DeliveryState::failed());
            }
        };
        let reply_to = head.reply_to.unwrap_or_default();
        let Some(choice) = node.core.choose_answer(reply_to, download) else {
            log!(TcpAdaptor, Debug, "no route back to {reply_to}");
            socket::reset(socket);
            return Err(DeliveryState::failed());
        };
        let local = socket.local_addr().ok();
        let beginning = Beginning {
            socket,
            descriptor,
            session,
            entity: &self.name,
            service: &self.service,
            stats: &self.stats,
            memory: &self.memory,
            outgoing: true,
            host: Host::Text(Arc::clone(&self.host)),
            local,
            flow: head.correlation_id.map(Arc::from),
            head: stream::encode_head(reply_to, None, None, None),
        };
        Ok((beginning, choice))
    }

    async fn dial(
        &self,
        node: &Node,
        alpn: Option<&str>,
    ) -> Result<(TcpStream, Session, Descriptor), String> {
        let descriptor = tokio::time::timeout(DESCRIPTOR, Descriptor::wait(Purpose::Server)).await;
        let descriptor = descriptor.map_err(|_| socket::NO_DESCRIPTOR.to_owned())?;
        let options = DialOptions::new(SocketUse::Service);
        let socket =
            socket::dial(&node.resolver, &self.config.host, self.config.port.number, &options)
                .await
                .map_err(|error| error.to_string())?;
        let Some(tls) = &self.tls else { return Ok((socket, Session::plain(), descriptor)) };
        let tls = match alpn {
            Some(protocol) => tls.clone().with_alpn(&[protocol]),
            None => tls.clone(),
        };
        let connected = tls.connect(socket, &self.config.host, HANDSHAKE).await;
        connected
            .map(|(socket, session)| (socket, session, descriptor))
            .map_err(|error| error.to_string())
    }
}

/// The task of a client stream. It frees the memory of dialing before it carries the connection.
///
/// ```text
///   +---------+  the server is connected   +---------+  both streams have ended
///   | Dialing |--------------------------->| Serving |-------------------------> (over)
///   +---------+                            +---------+
///        |  the stream gets an outcome
///        +--------------------------------------------------------------------> (over)
/// ```
#[expect(
    clippy::large_enum_variant,
    reason = "a box more for each connection, to spare it the few that dial"
)]
enum Task {
    Dialing(Pin<Box<dyn Future<Output = Option<Service>> + Send>>),
    Serving(Service),
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Dialing(dialing) = &mut *self {
            if stands_back(cx) {
                return Poll::Pending;
            }
            match ready!(dialing.as_mut().poll(cx)) {
                Some(service) => *self = Self::Serving(service),
                None => return Poll::Ready(()),
            }
        }
        match &mut *self {
            Self::Serving(service) => Pin::new(service).poll(cx),
            Self::Dialing(_) => Poll::Pending,
        }
    }
}

impl Endpoint for TcpConnector {
    fn deliver(&self, delivery: ConsumerEnd) {
        let (Some(node), Some(connector)) = (self.node.upgrade(), self.itself.upgrade()) else {
            return delivery.conclude(DeliveryState::Released);
        };
        let task = Task::Dialing(Box::pin(connector.serve(
            Arc::clone(&node),
            delivery,
            node.registry.coming(),
        )));
        // The shard of the connection that brought the stream.
        match tokio::runtime::Handle::try_current() {
            Ok(handle) => drop(handle.spawn(task)),
            Err(_) => node.shards.spawn(0, task),
        }
    }
}

/// Reads the head of a client stream.
///
/// # Errors
/// Returns the outcome of a delivery that is no client stream.
fn read_head(delivery: &ConsumerEnd) -> Result<StreamHead<'_>, DeliveryState> {
    let reject = |condition, text: String| {
        DeliveryState::Rejected(Rejected { error: Some(Error::new(condition, text)) })
    };
    match stream::read_head(&delivery.message().sections) {
        Ok(head) if head.reply_to.is_some() => Ok(head),
        Ok(_) => Err(reject(
            condition::PRECONDITION_FAILED,
            "a client stream without reply-to".to_owned(),
        )),
        // A consumer of another kind may want it.
        Err(NotAStream::ContentType(_)) => Err(DeliveryState::Released),
        Err(error) => Err(reject(condition::DECODE_ERROR, error.to_string())),
    }
}
