//! The addresses to which a connector connects: the configured one, and those that peers have told.
//!
//! An operator has not configured what a peer tells. With TLS, the peer at a told address must show
//! the certificate of the configured host. No password goes there. The connector's attribute
//! `trustFailover` makes told addresses as good as the configured one.

use skupper_proto::amqp::Value;

use crate::lock::{Mutex, MutexGuard};

/// The most addresses of one connector. A peer that tells more must not fill the memory.
const MOST: usize = 64;

/// The longest host name, in bytes (RFC 1035).
const LONGEST_HOST: usize = 255;

/// One address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    scheme: String,
    pub(super) host: String,
    pub(super) port: u16,
    /// The port as the operator or the peer wrote it.
    port_text: String,
    /// A peer told it, so its owner need not be trustworthy.
    pub(super) told: bool,
}

impl Target {
    pub(super) fn host_port(&self) -> String {
        format!("{}:{}", self.host, self.port_text)
    }
}

#[derive(Debug)]
struct TargetList {
    /// The configured address, then the told ones.
    list: Vec<Target>,
    /// The index of the one in use.
    current: usize,
}

/// The addresses of one connector.
#[derive(Debug)]
pub(super) struct Targets {
    configured: Target,
    state: Mutex<TargetList>,
}

impl Targets {
    pub(super) fn new(host: &str, port: &crate::schema::Port) -> Self {
        let configured = Target {
            scheme: "amqp".to_owned(),
            host: host.to_owned(),
            port: port.number,
            port_text: port.text.clone(),
            told: false,
        };
        Self {
            state: Mutex::new(TargetList { list: vec![configured.clone()], current: 0 }),
            configured,
        }
    }

    fn lock(&self) -> MutexGuard<'_, TargetList> {
        self.state.lock()
    }

    /// Returns the address in use.
    pub(super) fn current(&self) -> Target {
        let state = self.lock();
        state.list.get(state.current).unwrap_or(&self.configured).clone()
    }

    /// Returns how many addresses there are.
    pub(super) fn count(&self) -> usize {
        self.lock().list.len()
    }

    /// Moves on to the next address in turn. Returns whether that is another.
    pub(super) fn advance(&self) -> bool {
        let mut state = self.lock();
        state.current = (state.current + 1) % state.list.len().max(1);
        state.list.len() > 1
    }

    /// Takes over the addresses that a peer's open tells. Without a list nothing changes. An empty
    /// list leaves the configured and the current address. Any other list adds its new addresses.
    pub(super) fn learn(&self, told: Option<&Value>) {
        let Some(entries) = told.and_then(Value::as_list) else { return };
        let mut state = self.lock();
        if entries.is_empty() {
            let current = state.current;
            let mut place = 0;
            state.list.retain(|_| {
                place += 1;
                place == 1 || place == current + 1
            });
            state.current = current.min(1);
            return;
        }
        for target in entries.iter().filter_map(target) {
            let known = state
                .list
                .iter()
                .any(|known| known.host == target.host && known.port == target.port);
            if !known && state.list.len() < MOST {
                state.list.push(target);
            }
        }
    }

    /// Returns all addresses as management shows them: the current one, then the others in their
    /// turn.
    pub(super) fn urls(&self) -> String {
        let state = self.lock();
        let url = |target: &Target| format!("{}://{}", target.scheme, target.host_port());
        let (before, from) = state.list.split_at(state.current.min(state.list.len()));
        from.iter().chain(before).map(url).collect::<Vec<_>>().join(", ")
    }
}

/// Reads one entry of a peer's list. Returns none if it is no address.
fn target(entry: &Value) -> Option<Target> {
    let Value::Map(pairs) = entry else { return None };
    let text = |wanted: &str| {
        pairs
            .iter()
            .find(|(key, _)| key.as_text() == Some(wanted))
            .and_then(|(_, value)| value.as_text())
    };
    let host =
        text("network-host").filter(|host| !host.is_empty() && host.len() <= LONGEST_HOST)?;
    if host.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return None;
    }
    let scheme =
        text("scheme").filter(|scheme| matches!(*scheme, "amqp" | "amqps")).unwrap_or("amqp");
    let port: crate::schema::Port = text("port").unwrap_or("amqp").parse().ok()?;
    Some(Target {
        scheme: scheme.to_owned(),
        host: host.to_owned(),
        port: port.number,
        port_text: port.text,
        told: true,
    })
}

#[cfg(test)]
mod tests {
    use skupper_proto::amqp::Symbol;

    use super::*;

    fn entry(pairs: &[(&'static str, &str)]) -> Value {
        Value::Map(
            pairs
                .iter()
                .map(|(key, value)| (Value::Symbol(Symbol::from(*key)), Value::string(*value)))
                .collect(),
        )
    }

    fn targets() -> Targets {
        Targets::new("first", &"amqp".parse().unwrap())
    }

    #[test]
    fn told_addresses_are_tried_in_turn() {
        let targets = targets();
        assert!(!targets.advance(), "there is no other");
        let told = Value::List(vec![
            entry(&[("network-host", "third"), ("port", "5671"), ("scheme", "amqps")]),
            entry(&[("network-host", "fourth")]),
            entry(&[("network-host", "first"), ("port", "5672")]),
        ]);
        targets.learn(Some(&told));
        targets.learn(None);
        assert_eq!(targets.urls(), "amqp://first:amqp, amqps://third:5671, amqp://fourth:amqp");
        assert!(targets.advance() && targets.advance());
        assert_eq!(targets.urls(), "amqp://fourth:amqp, amqp://first:amqp, amqps://third:5671");
        assert_eq!(targets.current().port, 5672);
        targets.learn(Some(&Value::List(vec![])));
        assert_eq!(targets.urls(), "amqp://fourth:amqp, amqp://first:amqp");
        assert!(targets.advance());
        targets.learn(Some(&Value::List(vec![])));
        assert_eq!(targets.urls(), "amqp://first:amqp");
    }

    #[test]
    fn a_peer_cannot_fill_the_memory() {
        let targets = targets();
        let many = (0..1000).map(|number| entry(&[("network-host", &format!("host{number}"))]));
        let bad = [
            entry(&[("port", "1")]),
            entry(&[("network-host", "a b")]),
            entry(&[("network-host", "a"), ("port", "x")]),
        ];
        targets.learn(Some(&Value::List(bad.into_iter().chain(many).collect())));
        assert_eq!(targets.count(), MOST);
        targets.learn(Some(&Value::string("no list")));
        assert_eq!(targets.count(), MOST);
    }
}
