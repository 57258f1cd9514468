use std::os::unix::fs::symlink;

use serde_json::{Value as Json, json};

use super::*;
use crate::config::{Document, Format};
use crate::schema::EntityKind;

fn entity(kind: &str, attributes: Json) -> Entity {
    let Json::Object(attributes) = attributes else { panic!("attributes are a map") };
    Entity::new(
        EntityKind::named(kind).unwrap(),
        attributes.iter().map(|(name, value)| (name.as_str(), value)),
    )
    .unwrap()
}

fn reach(sections: Json, sources: &[PathBuf]) -> Reach {
    let document =
        Document { name: "c.json".to_owned(), text: sections.to_string(), format: Format::Json };
    Reach::new(&Config::read(&[document], 1).unwrap(), sources, |_| None)
}

fn profile(file: impl AsRef<Path>) -> Entity {
    entity("sslProfile", json!({ "name": "new", "certFile": file.as_ref() }))
}

/// A folder with `in/`, which the configuration is in, and `out/`, which it is not; both have
/// `file`.
fn folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let lab = tempfile::tempdir().unwrap();
    let [inside, outside] = ["in", "out"].map(|name| lab.path().canonicalize().unwrap().join(name));
    for folder in [&inside, &outside] {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join("file"), "").unwrap();
    }
    (lab, inside, outside)
}

#[test]
fn certificates_stand_beside_the_configuration_or_below() {
    let (_lab, inside, outside) = folders();
    let reach = reach(json!([["router", {}]]), &[inside.join("skrouterd.json")]);
    for file in ["file", "not-there-yet", "profile/tls.crt", "./../in/file"] {
        assert_eq!(reach.check(&profile(inside.join(file))), Ok(()), "{file}");
    }
    symlink(&outside, inside.join("folder")).unwrap();
    symlink(outside.join("file"), inside.join("link")).unwrap();
    symlink(outside.join("later"), inside.join("dangling")).unwrap();
    for file in
        ["../out/file", "folder/file", "folder/later", "link", "dangling", "nowhere/../../out/file"]
    {
        let error = reach.check(&profile(inside.join(file))).expect_err(file).to_string();
        assert!(
            error.starts_with("certFile '") && error.contains(inside.to_str().unwrap()),
            "{error}"
        );
    }
    for file in ["/etc/shadow", "/", "/proc/self/environ"] {
        reach.check(&profile(file)).expect_err(file);
    }
}

#[test]
fn controllers_write_where_they_always_do() {
    let bare = reach(json!([["router", {}]]), &[]);
    for file in [
        "/etc/skupper-router-certs/link-1-profile/tls.crt",
        "/etc/skupper-router/runtime/certs/skupper-local-server/tls.crt",
    ] {
        assert_eq!(bare.check(&profile(file)), Ok(()), "{file}");
    }
    let proxy =
        json!({ "name": "x", "password": "file:/etc/skupper-router-proxies/x/password.txt" });
    assert_eq!(bare.check(&entity("proxyProfile", proxy)), Ok(()));
    let document =
        Document { name: "c".to_owned(), text: "router {\n}\n".to_owned(), format: Format::Conf };
    let config = Config::read(&[document], 1).unwrap();
    let based = Reach::new(&config, &[], |name| (name == BASE).then(|| "/srv/base".to_owned()));
    assert_eq!(based.check(&profile("/srv/base/runtime/certs/p/tls.crt")), Ok(()));
}

#[test]
fn a_profile_in_a_folder_of_its_name_tells_of_the_others() {
    let (_lab, inside, outside) = folders();
    let of = |folder: &str, file: &str| {
        json!({ "name": "site-server",
        "caCertFile": inside.join(folder).join(file) })
    };
    let others = inside.join("link-1-profile/tls.crt");
    let like = reach(json!([["sslProfile", of("site-server", "ca.crt")]]), &[]);
    assert_eq!(like.check(&profile(&others)), Ok(()));
    like.check(&profile(outside.join("file"))).unwrap_err();
    for (folder, file) in [("another", "ca.crt"), ("site-server", "authority.pem")] {
        let unlike = reach(json!([["sslProfile", of(folder, file)]]), &[]);
        unlike.check(&profile(&others)).expect_err(folder);
        assert_eq!(unlike.check(&profile(inside.join(folder).join("new.pem"))), Ok(()));
    }
}

#[test]
fn each_use_has_folders_of_its_own() {
    let (_lab, inside, outside) = folders();
    let [www, logs] = ["www", "logs"].map(|name| inside.join(name));
    let sections = json!([
        ["listener", { "port": 1, "httpRootDir": www }],
        ["log", { "module": "DEFAULT", "outputFile": logs.join("all.log") }]
    ]);
    let reach = reach(sections, &[inside.join("skrouterd.json")]);
    let web = |folder: PathBuf| entity("listener", json!({ "port": 2, "httpRootDir": folder }));
    let log = |file: PathBuf| entity("log", json!({ "module": "AGENT", "outputFile": file }));
    assert_eq!(
        [reach.check(&web(www.clone())), reach.check(&web(www.join("sub")))],
        [Ok(()), Ok(())]
    );
    // There keys and passwords may stand, which must not be served or overwritten.
    for refused in
        [web(inside.clone()), web(outside), log(inside.join("skrouterd.json")), log(www.join("x"))]
    {
        reach.check(&refused).unwrap_err();
    }
    assert_eq!(reach.check(&log(logs.join("agent.log"))), Ok(()));
    for word in NO_FILES {
        assert_eq!(reach.check(&log(word.into())), Ok(()), "{word}");
    }
}

#[test]
fn a_file_in_a_folder_of_everybodys_implies_itself_alone() {
    let sections = json!([
        ["sslProfile", { "name": "p", "caCertFile": "/etc/ca.pem" }],
        ["log", { "module": "DEFAULT", "outputFile": "/var/log/skrouterd.log" }],
        ["listener", { "port": 1, "httpRootDir": "/" }]
    ]);
    let reach = reach(sections, &["/etc/skrouterd.json".into()]);
    assert_eq!(reach.check(&profile("/etc/ca.pem")), Ok(()));
    reach.check(&profile("/etc/shadow")).unwrap_err();
    reach
        .check(&entity("log", json!({ "module": "AGENT", "outputFile": "/var/log/wtmp" })))
        .unwrap_err();
    reach.check(&entity("listener", json!({ "port": 2, "httpRootDir": "/etc" }))).unwrap_err();
    reach.check(&entity("listener", json!({ "port": 2, "httpRootDir": "/root" }))).unwrap_err();
}

#[test]
fn passwords_are_fetched_from_within_reach() {
    let sections = json!([["sslProfile", { "name": "p", "password": "env:KEY_PASSWORD" }]]);
    let reach = reach(sections, &[]);
    let with = |password: &str| {
        entity("connector", json!({ "saslUsername": "u", "saslPassword": password }))
    };
    for allowed in
        ["env:KEY_PASSWORD", "env: KEY_PASSWORD", "plain", "pass:x", "literal:file:/etc/shadow"]
    {
        assert_eq!(reach.check(&with(allowed)), Ok(()), "{allowed}");
    }
    let error = reach.check(&with("env:OTHER")).unwrap_err();
    assert_eq!(error.attribute, "saslPassword");
    assert!(
        error.to_string().contains("'OTHER'") && error.to_string().contains("KEY_PASSWORD"),
        "{error}"
    );
    assert!(
        reach.check(&with("file:/etc/shadow")).unwrap_err().to_string().contains("'/etc/shadow'")
    );
}

#[test]
fn every_file_that_management_may_name_has_a_use() {
    for attribute in EntityKind::all().flat_map(|kind| {
        let changes =
            kind.operations().any(|operation| ["CREATE", "UPDATE"].contains(&operation.name()));
        kind.own_attributes().iter().chain(kind.further_attributes()).filter(move |_| changes)
    }) {
        let file = attribute.kind == crate::schema::ValueType::Path
            || attribute.name.ends_with("File")
            || attribute.name.ends_with("Dir");
        assert!(!file || attribute.names_file.is_some(), "{}", attribute.name);
    }
}
