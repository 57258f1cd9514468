//! The configuration of a site's router, built entity by entity.

use serde_json::{Value, json};

use super::lab::Lab;
use super::peers::Kind;
use super::pki::Identity;
use super::process::Router;

/// The limits of a router's process.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub ceiling: Option<u64>,
    pub descriptors: Option<u32>,
}

/// The configuration of one router.
#[derive(Clone, Debug)]
pub struct Spec {
    pub id: String,
    /// The router's implementation.
    pub kind: Kind,
    /// For our router: bytes of memory that it may hold for its peers.
    pub ceiling: Option<u64>,
    /// Descriptors that its process may open.
    pub descriptors: Option<u32>,
    entities: Vec<Value>,
}

impl Spec {
    /// Creates an interior router without data connections.
    pub fn new(id: &str, kind: Kind) -> Self {
        let router =
            json!({ "id": id, "mode": "interior", "dataConnectionCount": "0", "workerThreads": 2 });
        let entities = vec![json!(["router", router])];
        Self { id: id.to_owned(), kind, ceiling: None, descriptors: None, entities }
    }

    pub fn edge(id: &str, kind: Kind) -> Self {
        Self::new(id, kind).attribute("mode", json!("edge"))
    }

    /// Gives the role `edge` to entities of the role `inter-router`. Links then lead to edge
    /// routers, or from an edge router to interior routers.
    pub fn with_edge_links(self) -> Self {
        self.with_links_of("edge")
    }

    /// Gives another role to entities of the role `inter-router`.
    pub fn with_links_of(mut self, role: &str) -> Self {
        for entity in &mut self.entities {
            if entity[1]["role"] == "inter-router" {
                entity[1]["role"] = json!(role);
            }
        }
        self
    }

    /// Adds a port for edge routers, in clear text.
    pub fn edges_plain(self, port: u16) -> Self {
        self.entity(
            "listener",
            json!({
                "name": "edges", "host": "127.0.0.1", "port": port.to_string(), "role": "edge",
                "saslMechanisms": "ANONYMOUS", "authenticatePeer": false,
            }),
        )
    }

    /// Limits the memory that the router may hold for its peers.
    pub fn ceiling(self, octets: u64) -> Self {
        Self { ceiling: Some(octets), ..self }
    }

    pub fn entity(mut self, name: &str, attributes: Value) -> Self {
        self.entities.push(json!([name, attributes]));
        self
    }

    /// Sets an attribute of the router itself.
    pub fn attribute(mut self, name: &str, value: Value) -> Self {
        self.entities[0][1][name] = value;
        self
    }

    /// Sets the data connections that its connectors open beside the control connection.
    pub fn data_connections(self, count: u8) -> Self {
        self.attribute("dataConnectionCount", json!(count.to_string()))
    }

    /// Adds a listener for clients, without authentication.
    pub fn clients(self, port: u16) -> Self {
        self.entity(
            "listener",
            json!({
                "name": "clients", "host": "127.0.0.1", "port": port.to_string(), "role": "normal",
                "saslMechanisms": "ANONYMOUS", "authenticatePeer": false,
            }),
        )
    }

    /// Adds an `sslProfile` with the name `tls`.
    pub fn profile(self, identity: &Identity) -> Self {
        let mut attributes = json!({ "name": "tls", "caCertFile": identity.trusted });
        if let Some((certificate, key)) = &identity.own {
            attributes["certFile"] = json!(certificate);
            attributes["privateKeyFile"] = json!(key);
        }
        self.entity("sslProfile", attributes)
    }

    /// Adds the port for links from other sites, by mutual TLS with the profile `tls`.
    pub fn links_tls(self, port: u16) -> Self {
        self.entity(
            "listener",
            json!({
                "name": "links", "host": "127.0.0.1", "port": port.to_string(),
                "role": "inter-router", "sslProfile": "tls", "saslMechanisms": "EXTERNAL",
                "authenticatePeer": true, "requireSsl": true,
            }),
        )
    }

    /// Adds the port for links from other sites, in clear text.
    pub fn links_plain(self, port: u16) -> Self {
        self.entity(
            "listener",
            json!({
                "name": "links", "host": "127.0.0.1", "port": port.to_string(),
                "role": "inter-router", "saslMechanisms": "ANONYMOUS", "authenticatePeer": false,
            }),
        )
    }

    /// Adds a link to another site, by mutual TLS with the profile `tls`.
    pub fn link_tls(self, name: &str, port: u16) -> Self {
        self.entity(
            "connector",
            json!({
                "name": name, "host": "localhost", "port": port.to_string(), "role": "inter-router",
                "sslProfile": "tls", "verifyHostname": true,
            }),
        )
    }

    /// Adds a link to another site in clear text, with this cost.
    pub fn link_plain(self, name: &str, port: u16, cost: u32) -> Self {
        self.entity(
            "connector",
            json!({
                "name": name, "host": "127.0.0.1", "port": port.to_string(), "role": "inter-router",
                "cost": cost, "saslMechanisms": "ANONYMOUS",
            }),
        )
    }

    /// Adds an HTTP listener for health and metrics.
    pub fn web(self, port: u16) -> Self {
        self.entity(
            "listener",
            json!({ "name": "web", "host": "127.0.0.1", "port": port.to_string(), "http": true }),
        )
    }

    /// Adds a password file with these lines, `users` in the folder of the test.
    pub fn passwords(self, lab: &Lab, lines: &str) -> Self {
        let users = lab.path().join("users");
        std::fs::write(&users, lines).expect("the passwords are written");
        let config = format!("password_file: {}\n", users.display());
        std::fs::write(lab.path().join("skrouterd.conf"), config)
            .expect("the configuration of SASL is written");
        self.attribute("saslConfigDir", lab.path().to_string_lossy().into())
    }

    /// Adds a service that clients reach here.
    pub fn tcp_listener(self, address: &str, port: u16) -> Self {
        self.entity(
            "tcpListener",
            json!({
                "name": format!("{address}-listener"), "address": address, "host": "127.0.0.1",
                "port": port.to_string(),
            }),
        )
    }

    /// Adds a server of a service.
    pub fn tcp_connector(self, address: &str, port: u16) -> Self {
        self.entity(
            "tcpConnector",
            json!({
                "name": format!("{address}-{port}"), "address": address, "host": "127.0.0.1",
                "port": port.to_string(),
            }),
        )
    }

    pub fn bounds(&self) -> Bounds {
        Bounds { ceiling: self.ceiling, descriptors: self.descriptors }
    }

    /// Returns the text of the configuration file.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(&self.entities).expect("JSON")
    }

    /// Starts the router, and does not wait until it is ready.
    pub fn start(&self, lab: &Lab) -> Router {
        Router::start(lab, self)
    }
}
