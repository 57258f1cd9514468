//! The trust of a connector in addresses that a peer has told.

use serde_json::json;
use skupper_proto::amqp::{Symbol, Value, sasl};
use skupper_proto::engine::Layer;
use tokio::net::TcpListener;

use super::*;
use crate::net::tests::node;
use crate::schema::Entity;
use crate::tls::{Authority, Issued, Profile, ProfileConfig, ServerVerification};

/// Makes a link to `localhost`. A peer has told it another address of this machine, which is the
/// current one.
fn link(
    node: &Node,
    attributes: serde_json::Value,
    tls: Option<tls::Connector>,
    port: u16,
) -> SiteLink {
    let mut all = json!({ "name": "link", "host": "localhost", "port": "amqp" });
    all.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
    let kind = crate::schema::EntityKind::Connector;
    let entity = Entity::new(
        kind,
        all.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value)),
    )
    .unwrap();
    let config = Connector::try_from(&entity).unwrap();
    let link = SiteLink::new(node, config, tls, None, false);
    let pair =
        |key: &'static str, value: &str| (Value::Symbol(Symbol::from(key)), Value::string(value));
    let entry =
        Value::Map(vec![pair("network-host", "127.0.0.1"), pair("port", &port.to_string())]);
    link.targets.learn(Some(&Value::List(vec![entry])));
    assert!(link.targets.advance() && link.targets.current().told);
    link
}

/// Returns the mechanisms that it offers at an address, and whether it has a password for it.
fn credentials(link: &SiteLink, target: &Target) -> (Vec<&'static str>, bool) {
    match link.settings(target, false, None, String::new()).layer {
        Layer::Client { mechanisms, credentials, .. } => (mechanisms, credentials.is_some()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn passwords_are_for_configured_addresses() {
    let node = node();
    let password = json!({
        "saslMechanisms": "PLAIN ANONYMOUS",
        "saslUsername": "u",
        "saslPassword": "pass:secret",
    });
    let careful = link(&node, password.clone(), None, 1);
    assert_eq!(credentials(&careful, &careful.targets.current()), (vec![sasl::ANONYMOUS], false));
    assert!(careful.targets.advance() && !careful.targets.current().told);
    assert_eq!(
        credentials(&careful, &careful.targets.current()),
        (vec![sasl::PLAIN, sasl::ANONYMOUS], true)
    );
    let mut trusting = password;
    trusting["trustFailover"] = json!(true);
    let trusting = link(&node, trusting, None, 1);
    assert_eq!(
        credentials(&trusting, &trusting.targets.current()),
        (vec![sasl::PLAIN, sasl::ANONYMOUS], true)
    );
}

fn profile(folder: &std::path::Path, issued: &Issued) -> Profile {
    issued.write(folder).unwrap();
    let [ca, cert, key] = ["ca.crt", "tls.crt", "tls.key"].map(|name| Some(folder.join(name)));
    let config = ProfileConfig {
        name: "p".to_owned(),
        ca_cert_file: ca,
        cert_file: cert,
        private_key_file: key,
        ..ProfileConfig::default()
    };
    Profile::load(config).unwrap()
}

#[test]
fn a_told_address_shows_the_name_of_the_configured_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let node = node();
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("ca").unwrap();
        for (name, trusts, connects) in [
            ("localhost", false, true),
            ("127.0.0.1", false, false),
            ("127.0.0.1", true, true),
            ("localhost", true, false),
        ] {
            let profile = profile(folder.path(), &authority.issue(name, &[name]).unwrap());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let acceptor = profile.acceptor(tls::ClientVerification::None).unwrap();
            let connector = profile.connector(ServerVerification::ChainAndName).unwrap();
            let link = link(&node, json!({ "trustFailover": trusts }), Some(connector), port);
            let serve = async {
                acceptor.accept(listener.accept().await.unwrap().0, HANDSHAKE).await.map(drop)
            };
            let target = link.targets.current();
            let (_, connected) = tokio::join!(serve, link.connect(&node, &target));
            assert_eq!(connected.is_ok(), connects, "{name} {trusts}");
        }
    });
}
