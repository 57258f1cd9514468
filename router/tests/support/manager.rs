//! A client of management nodes, over the same library as the tools.

use std::time::Duration;

use skrouterd::client::{ClientError, Node, Options, SaslOptions, TlsOptions, Url};
use skupper_proto::amqp::Value;
use skupper_proto::management::{Request, Status, property};

/// A management node, for a thread without a runtime.
pub struct Manager {
    runtime: tokio::runtime::Runtime,
    node: Node,
}

impl Manager {
    /// Connects to a port for clients, and attaches to the node at `address`.
    #[track_caller]
    pub fn connect(port: u16, address: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let url = Url::parse(&format!("amqp://127.0.0.1:{port}")).expect("a URL");
        let options = Options {
            url,
            name: "test",
            timeout: super::wait::patience().min(Duration::from_secs(20)),
            tls: TlsOptions::default(),
            sasl: SaslOptions::default(),
        };
        let node = runtime
            .block_on(Node::connect(&options, address))
            .unwrap_or_else(|error| panic!("no management: {error}"));
        Self { runtime, node }
    }

    /// Sends a request, and returns the body of the response or the error.
    pub fn ask(&mut self, request: Request, expected: Status) -> Result<Value, ClientError> {
        self.runtime.block_on(self.node.call(request, expected))
    }

    /// Sends a request that must fail, and returns status and description.
    #[track_caller]
    pub fn refusal(&mut self, request: Request) -> (i32, String) {
        match self.ask(request, Status::OK) {
            Err(ClientError::Status { status, description }) => (status.0, description),
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Returns the router's number of links, with those of this client.
    #[track_caller]
    pub fn link_count(&mut self) -> u64 {
        let metrics = Request::query(Some("io.skupper.router.routerMetrics"), &["linkCount"]);
        let body = self.ask(metrics, Status::OK).expect("the router's metrics");
        let count = || body.get("results")?.as_list()?.first()?.as_list()?.first()?.as_u64();
        count().unwrap_or_else(|| panic!("no count of links: {body:?}"))
    }

    /// Attaches to the node at another address, over the same connection.
    #[track_caller]
    pub fn turn_to(&mut self, address: &str) {
        self.runtime.block_on(self.node.turn_to(address)).expect("attached");
    }
}

/// Returns a request to create an entity.
pub fn create(kind: &str, name: &str, attributes: &[(&str, &str)]) -> Request {
    let pairs = attributes
        .iter()
        .map(|(name, value)| (Value::string(*name), Value::string(*value)))
        .collect();
    Request::new("CREATE")
        .with(property::TYPE, kind)
        .with(property::NAME, name)
        .with_body(Value::Map(pairs))
}

/// Returns a request to update an entity by its name.
pub fn update(kind: &str, name: &str, attributes: &[(&str, &str)]) -> Request {
    Request { operation: Some("UPDATE".to_owned()), ..create(kind, name, attributes) }
}

/// Returns a request to read an entity by its name.
pub fn read(name: &str) -> Request {
    Request::new("READ").with(property::NAME, name)
}
