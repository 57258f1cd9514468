//! The files of the repository: the demo and the reference configuration.

use super::*;

#[test]
fn the_sites_of_the_demo_are_sound() {
    let north = Config::load(&committed("north.json")).expect("sound");
    assert_eq!(north.warnings, [""; 0]);
    let link = north
        .all::<Listener>()
        .into_iter()
        .find(|listener| listener.role == Role::InterRouter)
        .expect("there");
    assert!(
        link.port.number == 55671
            && link.authenticate_peer
            && link.require_ssl
            && link.asks_for_certificate()
    );
    assert_eq!(
        (
            north.all::<TcpListener>()[0].host_port(),
            north.all::<TcpListener>()[0].address.as_deref()
        ),
        ("127.0.0.1:8080".to_owned(), Some("hello"))
    );
    assert!(
        north
            .all::<Listener>()
            .iter()
            .any(|listener| listener.port.number == 9090 && listener.http.is_some())
    );

    let south = Config::load(&committed("south.json")).expect("sound");
    assert_eq!(south.warnings, [""; 0]);
    assert_eq!(
        (south.all::<Connector>()[0].name.as_str(), south.all::<Connector>()[0].role),
        ("link1", Role::InterRouter)
    );
    assert!(
        south.all::<Connector>()[0].verify_hostname
            && south.all::<Connector>()[0].ssl_profile.is_some()
    );
    assert_eq!(
        (
            south.all::<TcpConnector>()[0].host_port(),
            south.all::<TcpConnector>()[0].address.as_str()
        ),
        ("localhost:80".to_owned(), "hello")
    );

    let edge = Config::load(&committed("edge.json")).expect("sound");
    assert_eq!(
        (edge.warnings.len(), edge.router.mode, edge.all::<Connector>()[0].role),
        (0, Mode::Edge, Role::Edge)
    );
    let uplinks = north
        .all::<Listener>()
        .into_iter()
        .find(|listener| listener.role == Role::Edge)
        .expect("there");
    assert!(
        uplinks.port.number == edge.all::<Connector>()[0].port.number
            && uplinks.authenticate_peer
            && uplinks.require_ssl
    );
}

#[test]
fn the_reference_configuration_is_as_committed() {
    let path = committed("reference.conf");
    // To make the file anew: SKROUTERD_WRITE_REFERENCE=1 cargo test -p skrouterd
    // reference_configuration
    if std::env::var_os("SKROUTERD_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, render()).expect("written");
    }
    let committed = std::fs::read_to_string(&path).expect("committed");
    assert!(
        committed == render(),
        "config/reference.conf is not what the schema says; make it anew"
    );
    let config = Config::load(&path).expect("sound");
    assert_eq!(config.warnings, [""; 0]);
    assert_eq!(
        (
            config.all::<Listener>().len(),
            config.all::<AddressConfig>().len(),
            config.all::<LogConfig>().len()
        ),
        (1, 1, 1)
    );
}

/// Every setting that the reference shows is one that the router takes.
#[test]
fn the_reference_configuration_shows_what_is_taken() {
    let in_force: Vec<_> = render()
        .lines()
        .map(|line| {
            let trimmed = line.trim_start();
            match trimmed.strip_prefix('#') {
                Some(setting) if !setting.starts_with(' ') && !setting.is_empty() => {
                    setting.to_owned()
                }
                _ => line.to_owned(),
            }
        })
        .collect();
    let sections = conf::sections("reference.conf", &in_force.join("\n")).expect("sound");
    for kind in EntityKind::all().filter(|kind| kind.is_configuration()) {
        let section = sections
            .iter()
            .find(|section| section.kind == kind.section())
            .unwrap_or_else(|| panic!("no {}", kind.name()));
        let shown: Vec<_> = section.attributes.iter().map(|(name, _)| name.as_str()).collect();
        for attribute in kind.own_attributes().iter().filter(|attribute| attribute.configurable()) {
            assert!(
                shown.contains(&attribute.name),
                "{} {} is missing",
                kind.name(),
                attribute.name
            );
        }
        Entity::new(kind, section.attributes.iter().map(|(name, value)| (name.as_str(), value)))
            .expect("sound");
    }
}

#[test]
fn effects_are_those_of_today() {
    let works = |kind: &str| {
        let kind = EntityKind::named(kind).expect("a type");
        kind.own_attributes()
            .iter()
            .filter(|attribute| attribute.effect != Effect::Accepted)
            .map(|attribute| attribute.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(works("site").len(), 5);
    assert_eq!(works("address"), ["prefix", "pattern", "distribution", "priority"]);
    assert_eq!(
        works("tcpConnector"),
        ["address", "host", "port", "siteId", "processId", "sslProfile", "verifyHostname"]
    );
}
