//! The identity of an entity, and the name of one without a name.

use super::{Entity, EntityKind, Value};

impl Entity {
    /// Sets `identity`, and `name` where none was given, as the C router makes them: the type, a
    /// slash, and the attribute that identifies the entity. `count` identifies entities of types
    /// without such an attribute.
    pub fn identify(&mut self, count: usize) {
        let kind = self.kind();
        let part =
            |attribute: &str| self.value(attribute).and_then(Value::as_str).unwrap_or_default();
        let identifier = match kind {
            EntityKind::Router => part("id").to_owned(),
            EntityKind::Log => part("module").to_owned(),
            EntityKind::Vhost => part("hostname").to_owned(),
            EntityKind::ListenerAddress => {
                joined([part("listener"), part("address"), part("name")])
            }
            EntityKind::Listener
            | EntityKind::Connector
            | EntityKind::TcpListener
            | EntityKind::TcpConnector => {
                // An empty host still has its colon.
                let host_port = format!("{}:{}", part("host"), part("port"));
                joined([&host_port, part("name")])
            }
            EntityKind::SslProfile | EntityKind::ProxyProfile => part("name").to_owned(),
            _ => String::new(),
        };
        let identifier = if identifier.is_empty() { count.to_string() } else { identifier };
        let identity = format!("{}/{identifier}", kind.section());
        if self.name().is_none() {
            self.set("name", Value::String(identity.clone()));
        }
        self.set("identity", Value::String(identity));
    }
}

fn joined<const N: usize>(parts: [&str; N]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(":")
}
