//! Links that a router attaches by itself to a container. The container is another router, to which
//! it is a client.

use Kind::{Ours, Peer};
use serde_json::{Value, json};

use crate::messages;
use crate::support::wait::{patience, until};
use crate::support::{Kind, Lab, Python, Router, Spec, Tool, peers, ports};

/// A broker, and a router that connects to it with a link for each direction. `orders` at the
/// router is `sent` at the broker.
struct Pair {
    urls: [String; 2],
    gateway: Tool,
    broker: Tool,
    _running: [Router; 2],
}

impl Pair {
    fn start(lab: &Lab, broker: Kind) -> Self {
        let [clients, broker_clients] = [ports::free(), ports::free()];
        let refuses = json!({ "name": "refuses", "prefix": "sent", "distribution": "unavailable" });
        let broker = Spec::new("broker", broker)
            .clients(broker_clients)
            .entity("address", refuses)
            .start(lab);
        broker.await_port(broker_clients);
        let out = json!({
            "name": "out", "address": "orders", "externalAddress": "sent",
            "connection": "to-broker", "direction": "out",
        });
        let connector = json!({
            "name": "to-broker", "host": "127.0.0.1", "port": broker_clients.to_string(),
            "role": "route-container",
        });
        let gateway = Spec::new("gateway", Ours)
            .clients(clients)
            .entity("connector", connector)
            .entity("autoLink", out);
        let gateway = gateway.start(lab);
        gateway.await_port(clients);
        Self {
            urls: [clients, broker_clients].map(|port| format!("amqp://127.0.0.1:{port}")),
            gateway: Tool::at("skmanage", clients),
            broker: Tool::at("skmanage", broker_clients),
            _running: [gateway, broker],
        }
    }

    fn link(&self, name: &str) -> Value {
        let all = self.gateway.json("query --type autoLink");
        all.as_array()
            .and_then(|all| all.iter().find(|link| link["name"] == name))
            .cloned()
            .unwrap_or_default()
    }

    #[track_caller]
    fn await_status(&self, name: &str, status: &str) -> Value {
        until(&format!("autoLink {name} is {status}"), patience(), || {
            Some(self.link(name)).filter(|link| link["operStatus"] == status)
        })
    }
}

fn refused_and_taken(lab: &Lab, python: &Python, broker: Kind) {
    let pair = Pair::start(lab, broker);
    let link = pair.await_status("out", "failed");
    assert_eq!((&link["lastError"], &link["linkRef"]), (&json!("Node not found"), &Value::Null));
    pair.broker.text("delete --type address --name refuses");
    let link = pair.await_status("out", "active");
    assert_eq!(link["lastError"], Value::Null);
    let links = pair.gateway.json("query --type router.link identity owningAddr linkDir");
    let known = links.as_array().is_some_and(|links| {
        links.iter().any(|known| {
            known["identity"] == link["linkRef"]
                && known["owningAddr"] == "Morders"
                && known["linkDir"] == "out"
        })
    });
    assert!(known, "{link}: {links}");
    // A message to `orders` arrives at `sent` of the broker.
    let [gateway, broker] = &pair.urls;
    let carried = messages::run(python, &pair.urls, &["between", "orders", "sent", "50"]);
    assert_eq!(
        (&carried["received"], carried["outcomes"].as_array().map(Vec::len)),
        (&json!(50), Some(50)),
        "{carried}"
    );
    let links = pair.gateway.json("query --type router.link identity ingressHistogram settleRate");
    let figures = links
        .as_array()
        .and_then(|links| links.iter().find(|known| known["identity"] == link["linkRef"]));
    let figures = figures.expect("the link");
    assert!(
        figures["ingressHistogram"][0] == 50 && figures["settleRate"].as_u64() > Some(0),
        "{figures}"
    );
    let connections = pair.gateway.json("query --type connection role lastDlvSeconds");
    let recent = |known: &Value| {
        known["role"] == "route-container"
            && known["lastDlvSeconds"].as_u64().is_some_and(|last| last < 20)
    };
    assert!(connections.as_array().is_some_and(|all| all.iter().any(recent)), "{connections}");
    // The other direction, by a link that is created while the router runs.
    pair.gateway.text(
        "create --type autoLink --name in address=answers externalAddress=answered \
         containerId=broker direction=in",
    );
    pair.await_status("in", "active");
    let carried = messages::run(
        python,
        &[broker.clone(), gateway.clone()],
        &["between", "answered", "answers", "50"],
    );
    assert_eq!(
        (&carried["received"], carried["outcomes"].as_array().map(Vec::len)),
        (&json!(50), Some(50)),
        "{carried}"
    );
    let figures = pair.gateway.json(
        "query --type routerMetrics deliveriesIngressRouteContainer deliveriesEgressRouteContainer",
    );
    let figures = &figures[0];
    let counted =
        [&figures["deliveriesIngressRouteContainer"], &figures["deliveriesEgressRouteContainer"]];
    assert_eq!(counted, [&json!(50), &json!(50)]);
    pair.gateway.text("delete --type autoLink --name in");
    until("the link is gone at the broker", patience(), || {
        let links = pair.broker.json("query --type router.link owningAddr");
        links
            .as_array()
            .is_some_and(|links| links.iter().all(|link| link["owningAddr"] != "Manswered"))
            .then_some(())
    });
}

macro_rules! containers {
    ($($name:ident: $broker:expr;)+) => {$(
        #[test]
        fn $name() {
            let test = concat!(module_path!(), "::", stringify!($name));
            let Some(python) = Python::needed_by(test) else { return };
            if peers::available(test, &[$broker]) {
                refused_and_taken(&Lab::new(test), &python, $broker);
            }
        }
    )+};
}

containers! {
    ours_is_the_container: Ours;
    another_kind_is_the_container: Peer;
}
