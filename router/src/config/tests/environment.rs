//! A configuration from the environment of a container.

use super::*;

fn environment<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |name| pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
}

#[test]
fn variables_are_replaced_as_the_image_does() {
    let variables = [("HOSTNAME", "pod-1"), ("EMPTY", ""), ("A_1", "x"), ("NEST", "$HOSTNAME")];
    for (text, expected) in [
        ("id: east-${HOSTNAME}", "id: east-pod-1"),
        ("$HOSTNAME/$HOSTNAME.", "pod-1/pod-1."),
        ("$A_1x ${A_1}x", "$A_1x xx"),
        ("# $HOSTNAME", "# $HOSTNAME"),
        (" # $HOSTNAME", " # pod-1"),
        ("$GONE ${GONE} $", "$GONE ${GONE} $"),
        ("[${EMPTY}]", "[]"),
        ("$$HOSTNAME", "$pod-1"),
        ("${HOSTNAME", "${HOSTNAME"),
        ("${} ${a b}", "${} ${a b}"),
        ("$NEST", "$HOSTNAME"),
        ("a\r\n$A_1\n\n", "a\r\nx\n\n"),
        ("\u{e9}$A_1\u{e9}", "\u{e9}x\u{e9}"),
    ] {
        assert_eq!(launch::expand(text, environment(&variables)), expected, "{text}");
    }
}

#[test]
fn the_environment_may_hold_the_configuration() {
    assert_eq!(launch::documents(environment(&[])).expect("sound"), None);
    assert_eq!(launch::documents(environment(&[("QDROUTERD_CONF", "")])).expect("sound"), None);
    let text = "[[\"router\", {\"id\": \"r-${HOSTNAME}-$POD_ID\"}]]";
    let found = launch::documents(environment(&[
        ("QDROUTERD_CONF", text),
        ("QDROUTERD_CONF_TYPE", "json"),
        ("HOSTNAME", "east-7"),
    ]))
    .expect("sound")
    .expect("there");
    assert_eq!(Config::read(&found.documents, 1).expect("sound").router.id, "r-east-7-7");
    assert!(found.warnings.is_empty());
    let conf = launch::documents(environment(&[
        ("QDROUTERD_CONF", "router {\n id: a\n}"),
        ("QDROUTERD_AUTO_MESH_DISCOVERY", "QUERY"),
    ]))
    .expect("sound")
    .expect("there");
    assert_eq!(Config::read(&conf.documents, 1).expect("sound").router.id, "a");
    assert_eq!(
        conf.warnings,
        ["QDROUTERD_AUTO_MESH_DISCOVERY is set, which this router does not act on"]
    );
    let unknown = launch::documents(environment(&[
        ("QDROUTERD_CONF", "{}"),
        ("QDROUTERD_CONF_TYPE", "yaml"),
    ]));
    assert!(matches!(unknown, Err(LaunchError::UnknownType { .. })));
}

#[test]
fn the_environment_may_name_files_and_folders() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("1.json", r#"[["router", {"id": "${ID}"}]]"#);
    write("2.json", r#"[["connector", {"name": "c", "cost": 0}]]"#);
    let list = format!("{}:{},/gone/away", path("1.json"), path("2.json"));
    let variables =
        [("QDROUTERD_CONF", list.as_str()), ("QDROUTERD_CONF_TYPE", "json"), ("ID", "a")];
    let found = launch::documents(environment(&variables)).expect("sound").expect("there");
    assert_eq!(found.warnings, ["QDROUTERD_CONF: no such file or folder: /gone/away"]);
    let error = told(Config::read(&found.documents, 1));
    assert!(
        error.starts_with(&format!("{}: connector 'c': attribute 'cost'", path("2.json"))),
        "{error}"
    );

    // A section may begin in one file of the folder and end in the next.
    std::fs::create_dir(folder.path().join("d")).expect("made");
    write("d/1.conf", "router {\n");
    write("d/2.conf", "id: b\n}\n");
    write("d/3.txt", "no configuration");
    let list = path("d");
    let found = launch::documents(environment(&[("QDROUTERD_CONF", &list)]))
        .expect("sound")
        .expect("there");
    assert_eq!(Config::read(&found.documents, 1).expect("sound").router.id, "b");

    let gone = launch::documents(environment(&[("QDROUTERD_CONF", "/gone:/away")]))
        .expect_err("nothing there")
        .to_string();
    assert_eq!(gone, "QDROUTERD_CONF names nothing that exists: /gone:/away");
}
