//! What a site's router is told: its configuration, built entity by entity.

use serde_json::{Value, json};

use super::lab::Lab;
use super::peers::Kind;
use super::pki::Identity;
use super::process::Router;

/// What a router's process may use.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub ceiling: Option<u64>,
    pub descriptors: Option<u32>,
}

/// The configuration of one router.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The router's id.
    pub id: String,
    /// Whose router it is.
    pub kind: Kind,
    /// Of our router: octets of memory that it may hold for its peers.
    pub ceiling: Option<u64>,
    /// Descriptors that its process may have open.
    pub descriptors: Option<u32>,
    entities: Vec<Value>,
}

impl Spec {
    /// An interior router without data connections.
    pub fn new(id: &str, kind: Kind) -> Self {
        let router =
            json!({ "id": id, "mode": "interior", "dataConnectionCount": "0", "workerThreads": 2 });
        let entities = vec![json!(["router", router])];
        Self { id: id.to_owned(), kind, ceiling: None, descriptors: None, entities }
    }

    /// An edge router.
    pub fn edge(id: &str, kind: Kind) -> Self {
        Self::new(id, kind).attribute("mode", json!("edge"))
    }

    /// Makes what has the role `inter-router` have the role `edge`: links then lead to edge routers
    /// or, of one, to interior routers.
    pub fn with_edge_links(self) -> Self {
        self.with_links_of("edge")
    }

    /// Gives another role to what has the role `inter-router`.
    pub fn with_links_of(mut self, role: &str) -> Self {
        for entity in &mut self.entities {
            if entity[1]["role"] == "inter-router" {
                entity[1]["role"] = json!(role);
            }
        }
        self
    }

    /// The port for edge routers, in clear.
    pub fn edges_plain(self, port: u16) -> Self {
        self.entity(
            "listener",
            json!({ "name": "edges", "host": "127.0.0.1", "port": port.to_string(), "role": "edge", "saslMechanisms": "ANONYMOUS",
                "authenticatePeer": false }),
        )
    }

    /// Bounds what the router may hold in memory for its peers.
    pub fn ceiling(self, octets: u64) -> Self {
        Self { ceiling: Some(octets), ..self }
    }

    /// Adds an entity.
    pub fn entity(mut self, name: &str, attributes: Value) -> Self {
        self.entities.push(json!([name, attributes]));
        self
    }

    /// Sets an attribute of the router itself.
    pub fn attribute(mut self, name: &str, value: Value) -> Self {
        self.entities[0][1][name] = value;
        self
    }

    /// How many data connections its connectors open next to the control connection.
    pub fn data_connections(self, count: u8) -> Self {
        self.attribute("dataConnectionCount", json!(count.to_string()))
    }

    /// A listener for clients, without authentication.
    pub fn clients(self, port: u16) -> Self {
        self.entity(
            "listener",
            json!({ "name": "clients", "host": "127.0.0.1", "port": port.to_string(), "role": "normal",
                "saslMechanisms": "ANONYMOUS", "authenticatePeer": false }),
        )
    }

    /// An `sslProfile` called `tls`.
    pub fn profile(self, identity: &Identity) -> Self {
        let mut attributes = json!({ "name": "tls", "caCertFile": identity.trusted });
        if let Some((certificate, key)) = &identity.own {
            attributes["certFile"] = json!(certificate);
            attributes["privateKeyFile"] = json!(key);
        }
        self.entity("sslProfile", attributes)
    }

    /// The port for links from other sites, by mutual TLS with the profile `tls`.
    pub fn links_tls(self, port: u16) -> Self {
        self.entity(
            "listener",
            json!({ "name": "links", "host": "127.0.0.1", "port": port.to_string(), "role": "inter-router", "sslProfile": "tls",
                "saslMechanisms": "EXTERNAL", "authenticatePeer": true, "requireSsl": true }),
        )
    }

    /// The port for links from other sites, in clear.
    pub fn links_plain(self, port: u16) -> Self {
        self.entity(
            "listener",
            json!({ "name": "links", "host": "127.0.0.1", "port": port.to_string(), "role": "inter-router",
                "saslMechanisms": "ANONYMOUS", "authenticatePeer": false }),
        )
    }

    /// A link to another site, by mutual TLS with the profile `tls`.
    pub fn link_tls(self, name: &str, port: u16) -> Self {
        self.entity(
            "connector",
            json!({ "name": name, "host": "localhost", "port": port.to_string(), "role": "inter-router", "sslProfile": "tls",
                "verifyHostname": true }),
        )
    }

    /// A link to another site in clear, of the given cost.
    pub fn link_plain(self, name: &str, port: u16, cost: u32) -> Self {
        self.entity(
            "connector",
            json!({ "name": name, "host": "127.0.0.1", "port": port.to_string(), "role": "inter-router", "cost": cost,
                "saslMechanisms": "ANONYMOUS" }),
        )
    }

    /// A service that clients reach here.
    pub fn tcp_listener(self, address: &str, port: u16) -> Self {
        self.entity(
            "tcpListener",
            json!({ "name": format!("{address}-listener"), "address": address, "host": "127.0.0.1", "port": port.to_string() }),
        )
    }

    /// A server of a service.
    pub fn tcp_connector(self, address: &str, port: u16) -> Self {
        self.entity(
            "tcpConnector",
            json!({ "name": format!("{address}-{port}"), "address": address, "host": "127.0.0.1", "port": port.to_string() }),
        )
    }

    /// What its process may use.
    pub fn bounds(&self) -> Bounds {
        Bounds { ceiling: self.ceiling, descriptors: self.descriptors }
    }

    /// The file's text.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(&self.entities).expect("JSON")
    }

    /// Starts the router. It may not be ready yet.
    pub fn start(&self, lab: &Lab) -> Router {
        Router::start(lab, self)
    }
}
