//! Listeners with several addresses. Each client gets one of the addresses.

use Kind::Ours;
use serde_json::{Value, json};

use crate::support::backend::Serve;
use crate::support::wait::{patience, until};
use crate::support::{Backend, Kind, Lab, Router, Spec, Tool, client, ports};

/// A router with a listener for the addresses `a` and `b`, both with a server.
struct Site {
    tool: Tool,
    port: u16,
    _router: Router,
    _backend: Backend,
}

impl Site {
    fn start(lab: &Lab, strategy: &str, values: [i64; 2]) -> Self {
        let backend = Backend::start(Serve::Hello);
        let [clients, port] = [ports::free(), ports::free()];
        let listener = json!({
            "name": "several", "host": "127.0.0.1", "port": port.to_string(),
            "multiAddressStrategy": strategy,
        });
        let spec = Spec::new("north", Ours).clients(clients).entity("tcpListener", listener);
        let spec = ["a", "b"].iter().zip(values).fold(spec, |spec, (address, value)| {
            let entity = json!({
                "name": address, "address": address, "value": value, "listener": "several",
            });
            spec.entity("listenerAddress", entity).tcp_connector(address, backend.port)
        });
        let router = spec.start(lab);
        client::await_hello(port);
        Self { tool: Tool::at("skmanage", clients), port, _router: router, _backend: backend }
    }

    /// Returns the number of clients of each address.
    fn opened(&self) -> Vec<(String, i64)> {
        let all = self.tool.json("query --type listenerAddress name connectionsOpened");
        let of = |entity: &Value| {
            (
                entity["name"].as_str().unwrap_or_default().to_owned(),
                entity["connectionsOpened"].as_i64().unwrap(),
            )
        };
        all.as_array().expect("a list").iter().map(of).collect()
    }

    fn get(&self, count: usize) {
        for _ in 0..count {
            assert!(client::hello_once(self.port));
        }
    }
}

#[test]
fn the_highest_that_is_served_is_taken() {
    let lab = Lab::new("several_addresses::the_highest_that_is_served_is_taken");
    let site = Site::start(&lab, "priority", [1, 2]);
    let before = site.opened();
    site.get(3);
    let [(_, a), (_, b)] = &site.opened()[..] else { panic!("{before:?}") };
    assert_eq!((*a, *b), (before[0].1, before[1].1 + 3));
    // `b` has lost its last server, so clients get the other address.
    let connector = site.tool.json("query --type tcpConnector name address");
    let name =
        connector.as_array().and_then(|all| all.iter().find(|it| it["address"] == "b")).expect("b")
            ["name"]
            .clone();
    site.tool
        .text(&format!("delete --type tcpConnector --name {}", name.as_str().unwrap_or_default()));
    site.get(1);
    assert_eq!(site.opened(), [("a".to_owned(), a + 1), ("b".to_owned(), *b)]);
    // Without a served address there is no port.
    let refused = site.tool.failure("delete --type tcpListener --name several");
    assert!(refused.contains("listenerAddress"), "{refused}");
    site.tool.text("delete --type listenerAddress --name a");
    let down = |tool: &Tool, wanted: &str| {
        until(&format!("the port is {wanted}"), patience(), || {
            (tool.json("query --type tcpListener operStatus")[0]["operStatus"] == wanted)
                .then_some(())
        });
    };
    down(&site.tool, "down");
    assert!(client::try_connect(site.port).is_err());
    site.tool.text("create --type listenerAddress --name again address=a value=1 listener=several");
    down(&site.tool, "up");
    site.get(2);
    assert_eq!(site.opened(), [("b".to_owned(), *b), ("again".to_owned(), 2)]);
    // A listener with one address takes no others.
    site.tool
        .text(&format!("create --type tcpListener --name single address=a port={}", ports::free()));
    let refused = site
        .tool
        .failure("create --type listenerAddress --name odd address=b value=1 listener=single");
    assert!(refused.contains("non multi-address listener single"), "{refused}");
}

#[test]
fn clients_are_spread_by_weight() {
    let lab = Lab::new("several_addresses::clients_are_spread_by_weight");
    let site = Site::start(&lab, "weighted", [1, 3]);
    site.get(200);
    let [(_, a), (_, b)] = &site.opened()[..] else { panic!("two addresses") };
    assert!((200..=202).contains(&(a + b)) && (20..=90).contains(a), "{a} and {b}");
}
