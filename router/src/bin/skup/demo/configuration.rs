//! The certificates and configurations of the demo's two routers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::DemoError;
use crate::tls::Authority;

/// Name of the link at south.
pub(super) const LINK: &str = "link1";

/// Address of the service.
const ADDRESS: &str = "hello:80";

/// One of the two sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    /// The site with the clients.
    North,
    /// The site with the backend.
    South,
}

impl Site {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::North => "north",
            Self::South => "south",
        }
    }

    /// Returns the path of a file of this site in the demo's folder.
    pub(super) fn file(self, folder: &Path, ending: &str) -> PathBuf {
        folder.join(format!("{}.{ending}", self.name()))
    }
}

/// The ports of the demo, all on the loopback interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) link: u16,
    pub(super) service: u16,
    pub(super) backend: u16,
}

impl Ports {
    pub(super) fn link(self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.link).into()
    }

    pub(super) fn service(self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.service).into()
    }
}

/// Writes `north.json` and `south.json`, and each site's certificates into a folder of its name.
/// Never writes the authority's key.
///
/// # Errors
/// A certificate cannot be made, or a file cannot be written.
pub(super) fn write(folder: &Path, ports: Ports) -> Result<(), DemoError> {
    let authority = Authority::new("skup demo")?;
    for site in [Site::North, Site::South] {
        let tls = folder.join(site.name());
        authority.issue(site.name(), &[site.name(), "localhost", "127.0.0.1"])?.write(&tls)?;
        std::fs::write(
            site.file(folder, "json"),
            format!("{:#}\n", configuration(site, &tls, ports)),
        )
        .map_err(|error| DemoError::System("write a configuration", error))?;
    }
    Ok(())
}

fn configuration(site: Site, tls: &Path, ports: Ports) -> Value {
    let host = Ipv4Addr::LOCALHOST.to_string();
    let file = |name: &str| tls.join(name).display().to_string();
    let mut entities = vec![
        json!(["router", { "id": site.name(), "mode": "interior" }]),
        json!(["sslProfile", {
            "name": "link",
            "caCertFile": file("ca.crt"),
            "certFile": file("tls.crt"),
            "privateKeyFile": file("tls.key"),
        }]),
    ];
    match site {
        Site::North => entities.extend([
            json!(["listener", {
                "name": "links",
                "role": "inter-router",
                "host": host,
                "port": ports.link.to_string(),
                "sslProfile": "link",
                "saslMechanisms": "EXTERNAL",
                "authenticatePeer": true,
                "requireSsl": true,
            }]),
            json!(["tcpListener", {
                "name": "hello",
                "address": ADDRESS,
                "host": host,
                "port": ports.service.to_string(),
            }]),
        ]),
        Site::South => entities.extend([
            json!(["connector", {
                "name": LINK,
                "role": "inter-router",
                "host": host,
                "port": ports.link.to_string(),
                "sslProfile": "link",
                "verifyHostname": true,
            }]),
            json!(["tcpConnector", {
                "name": "hello",
                "address": ADDRESS,
                "host": host,
                "port": ports.backend.to_string(),
            }]),
        ]),
    }
    Value::Array(entities)
}
