use std::path::PathBuf;

use super::*;

const PORTS: Ports = Ports { link: 1, service: 2, backend: 3 };

#[test]
fn configurations_name_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    configuration::write(folder.path(), PORTS).unwrap();
    for site in [Site::North, Site::South] {
        let text = std::fs::read_to_string(site.file(folder.path(), "json")).unwrap();
        let entities: Vec<(String, Value)> = serde_json::from_str(&text).unwrap();
        let attributes = |kind: &str| &entities.iter().find(|(found, _)| found == kind).unwrap().1;
        assert_eq!(attributes("router")["id"], site.name());
        for file in ["caCertFile", "certFile", "privateKeyFile"] {
            let pem =
                std::fs::read_to_string(attributes("sslProfile")[file].as_str().unwrap()).unwrap();
            assert!(pem.starts_with("-----BEGIN "), "{pem}");
        }
        let (link, service) = match site {
            Site::North => ("listener", "tcpListener"),
            Site::South => ("connector", "tcpConnector"),
        };
        assert_eq!(
            (&attributes(link)["port"], &attributes(link)["sslProfile"]),
            (&"1".into(), &"link".into())
        );
        assert_eq!(attributes(service)["address"], "hello:80");
    }
    let authorities = ["north", "south"]
        .map(|site| std::fs::read(folder.path().join(site).join("ca.crt")).unwrap());
    assert_eq!(authorities[0], authorities[1]);
}

#[tokio::test]
async fn the_backend_says_hello() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = tokio::select! {
        never = connections::run(listener, Limits::default(), Hello) => match never {},
        answer = call(address) => answer,
    };
    assert_eq!(answer.unwrap(), HELLO);
}

#[tokio::test]
async fn another_answer_or_none_is_an_error_that_shows_it() {
    struct Other;
    impl Handler for Other {
        async fn answer(&self, _path: &str) -> Answer {
            json(StatusCode::OK, "{}")
        }
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let error = tokio::select! {
        never = connections::run(listener, Limits::default(), Other) => match never {},
        answer = call(address) => answer.unwrap_err().to_string(),
    };
    assert!(
        error.ends_with("with status 200 OK and \"{}\" instead of {\"message\":\"Hello\"}"),
        "{error}"
    );
    let error = call(address).await.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()) && error.contains("refused"), "{error}");
}

#[test]
fn ports_are_distinct() {
    let ports = free_ports("127.0.0.1:9".parse().unwrap()).unwrap();
    assert!(ports.link != ports.service && ports.link != 0 && ports.service != 0);
    assert_eq!(ports.backend, 9);
}

/// Writes a shell script to stand for the executable. It gets a router's arguments.
///
/// Another process writes it. Otherwise a process of another test could inherit our descriptor, and
/// then the script could not run.
fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    let mut shell = std::process::Command::new("sh");
    shell
        .arg("-c")
        .arg(r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod 700 "$2""#)
        .arg("sh")
        .arg(text)
        .arg(&path);
    assert!(shell.status().unwrap().success());
    path
}

#[tokio::test]
async fn a_router_that_ends_is_an_error_with_its_last_lines_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let router = script(
        folder.path(),
        "router",
        "case $4 in *north.json) exec sleep 60;; esac\nseq 1 40; exit 7",
    );
    let mut out = Vec::new();
    let error = demonstrate(&router, folder.path(), true, &mut out).await.unwrap_err().to_string();
    let numbers: String = (26..=40).map(|number| format!("  {number}\n")).collect();
    let expected = format!(
        "the router south ended by itself: exit status: 7\nthe last lines of the log of \
         north:\nthe last lines of the log of \
         south:\n{numbers}"
    );
    assert_eq!(error, expected);
    assert!(out.is_empty());
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["router"]);
}

#[tokio::test]
async fn shows_the_address_the_answer_and_both_links() {
    use crate::admin::model::Direction;
    use crate::admin::samples::{Sample, active};
    use crate::admin::server::serve;
    use crate::admin::socket::AdminSocket;

    let folder = tempfile::tempdir().unwrap();
    let admin = |site: Site, links| {
        let socket = AdminSocket::bind(&site.file(folder.path(), "sock")).unwrap();
        serve(socket, std::sync::Arc::new(Sample(links)), Limits::default())
    };
    let service = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = Ports { service: service.local_addr().unwrap().port(), ..PORTS };
    let incoming = Link { direction: Direction::In, ..active("links") };
    let mut out = Vec::new();
    let started = Instant::now();
    // South starts last, and its link is not active at first.
    let south = async {
        let trying = Link { state: LinkState::Connecting, ..active(configuration::LINK) };
        let _ = tokio::time::timeout(ASK_AGAIN * 5, admin(Site::South, vec![trying])).await;
        admin(Site::South, vec![active(configuration::LINK)]).await
    };
    tokio::select! {
        never = connections::run(service, Limits::default(), Hello) => match never {},
        end = admin(Site::North, vec![incoming]) => panic!("{end:?}"),
        end = south => panic!("{end:?}"),
        shown = show(folder.path(), ports, &mut out) => shown.unwrap(),
    }
    assert!(started.elapsed() >= ASK_AGAIN * 5);
    let text = String::from_utf8(out).unwrap();
    for part in [
        &format!("$ curl http://127.0.0.1:{}/\n{HELLO}\n", ports.service),
        "north.sock\nIncoming link from north is active\n",
        "south.sock\nLink link1 is active\n",
        "mutual-TLS link at 127.0.0.1:1.\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn the_last_lines_of_a_long_log_are_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let router = script(folder.path(), "chatty", "seq 1 100000; echo \"$*\"");
    let mut process = [
        Process::start(&router, folder.path(), Site::South).unwrap(),
        Process::start(
            &script(folder.path(), "quiet", "exec sleep 60"),
            folder.path(),
            Site::North,
        )
        .unwrap(),
    ];
    let ended = process::first_to_end(&mut process).await.to_string();
    assert_eq!(ended, "the router south ended by itself: exit status: 0");
    let lines = process[0].last_lines();
    assert_eq!(lines.len(), 15);
    let expected = format!(
        "demo-router {} -c {} --admin-socket {}",
        std::process::id(),
        folder.path().join("south.json").display(),
        folder.path().join("south.sock").display()
    );
    assert_eq!(lines[13..], ["100000".to_owned(), expected]);
}

#[tokio::test]
async fn stopping_ends_what_obeys_and_kills_what_does_not_on_another_interrupt() {
    let folder = tempfile::tempdir().unwrap();
    let obedient = script(folder.path(), "quiet", "exec sleep 60");
    let north = Process::start(&obedient, folder.path(), Site::North).unwrap();
    let south = Process::start(&obedient, folder.path(), Site::South).unwrap();
    let mut interrupt = signal(SignalKind::user_defined2()).unwrap();
    let asked = Instant::now();
    process::stop([north, south], &mut interrupt).await;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());

    let stubborn =
        script(folder.path(), "stubborn", "trap '' TERM; echo ready; while :; do sleep 1; done");
    let north = Process::start(&stubborn, folder.path(), Site::North).unwrap();
    let south = Process::start(&stubborn, folder.path(), Site::South).unwrap();
    while north.last_lines().is_empty() || south.last_lines().is_empty() {
        tokio::time::sleep(ASK_AGAIN).await;
    }
    let asked = Instant::now();
    tokio::join!(process::stop([north, south], &mut interrupt), async {
        tokio::time::sleep(ASK_AGAIN).await;
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::USR2)
            .unwrap();
    });
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[test]
fn becoming_a_router_needs_a_parent() {
    for args in [vec![], vec![OsString::from("x")], vec![OsString::from("-1")]] {
        let error = process::become_router(&args).to_string();
        assert!(error.starts_with("the number of the demo's process is "), "{error}");
    }
}
