use std::sync::Arc;

use super::*;
use crate::admin::model::Source;
use crate::admin::reason::Reason;
use crate::admin::samples::{Sample, active, failing};
use crate::admin::server::serve;
use crate::admin::socket::AdminSocket;
use crate::http::connections::Limits;

/// Runs `skup` with the words of `line` against a router with these links. Returns exit status,
/// output and error output.
async fn skup(links: Vec<Link>, line: &str) -> (u8, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let socket = AdminSocket::bind(&path).unwrap();
    tokio::select! {
        end = serve(socket, Arc::new(Sample(links)),
            Limits::default()) => panic!("the server ended: {end:?}"),
        outcome = asked(&path, line) => outcome,
    }
}

async fn asked(path: &Path, line: &str) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let socket = [OsString::from("--socket"), path.as_os_str().to_owned()];
    let status =
        run(line.split(' ').map(OsString::from).chain(socket).collect(), &mut out, &mut err).await;
    (status, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[tokio::test]
async fn link_status_exits_by_what_it_found() {
    let refused = || failing("link2", Reason::Refused { address: "192.0.2.7:1".to_owned() });
    let (status, out, err) = skup(vec![active("link1")], "link status").await;
    assert_eq!((status, out.as_str(), err.as_str()), (0, "Link link1 is active\n", ""));

    let (status, out, _) = skup(vec![active("link1"), refused()], "link status").await;
    assert_eq!(status, 1);
    assert!(
        out.starts_with(
            "Link link1 is active\nLink link2 not connected\n  reason:   connection \
             refused by 192.0.2.7:1"
        ),
        "{out}"
    );

    let (status, out, _) = skup(vec![active("link1"), refused()], "link status link1").await;
    assert_eq!(status, 0);
    assert!(out.contains("TLSv1.3") && !out.contains("link2"), "{out}");

    let (status, out, err) = skup(vec![active("link1"), refused()], "link status link3").await;
    assert_eq!((status, out.as_str()), (1, ""));
    assert_eq!(err, "skup: there is no link 'link3' (there is link1, link2)\n");

    let incoming = Link { direction: Direction::In, ..refused() };
    assert_eq!(skup(vec![active("link1"), incoming], "link status").await.0, 0);
    assert_eq!(skup(vec![], "link status").await.0, 0);
}

#[tokio::test]
async fn every_command_prints_words_and_json() {
    for (line, words, entry) in [
        ("status", "Router south (interior)", "/router_id"),
        ("link status", "Link link1 is active", "/0/name"),
        ("link status link1", "Link link1 is active", "/0/tls/peer_not_after"),
        ("link list", "link1  out", "/0/name"),
        ("service list", "hello    tcp", "/1/address"),
        ("service status", "Service hello (tcp) is served by north, south", "/1/address"),
        ("service status hello", "Service hello (tcp)", "/0/listeners/0/octets_out"),
        ("router list", "(this router)", "/2/id"),
        ("connection list", "192.0.2.9:40000", "/0/container"),
        ("address list", "Mhello", "/0/key"),
        ("version", "skrouterd 0.1.0, inter-router protocol 1, router south", "/protocol"),
    ] {
        let (status, out, err) = skup(vec![active("link1")], line).await;
        assert_eq!((status, err.as_str()), (0, ""), "{line}");
        assert!(out.contains(words), "{line}: {out}");
        let (status, out, _) = skup(vec![active("link1")], &format!("{line} --json")).await;
        let json: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(status, 0);
        assert!(json.pointer(entry).is_some_and(|found| !found.is_null()), "{line}: {out}");
    }
    let (_, out, _) = skup(vec![active("link1")], "service status hello --json").await;
    assert!(!out.contains("\"db\""), "{out}");
}

#[tokio::test]
async fn json_is_the_answer_as_it_came_and_exits_alike() {
    let links = vec![failing("link1", Reason::HelloLost)];
    let (status, out, _) = skup(links.clone(), "link status --json").await;
    assert_eq!(status, 1);
    assert_eq!(serde_json::from_str::<Vec<Link>>(&out).unwrap(), Sample(links).links());
    assert!(
        out.contains("\"kind\": \"hello-lost\"")
            && out.contains("\"text\": \"the connection stands"),
        "{out}"
    );
}

#[tokio::test]
async fn a_service_that_nobody_serves_is_a_no() {
    assert_eq!(skup(vec![], "service status db").await.0, 1);
    let (status, _, err) = skup(vec![], "service status mail").await;
    assert_eq!(
        (status, err.as_str()),
        (1, "skup: there is no service 'mail' (there is hello, db)\n")
    );
}

#[tokio::test]
async fn waiting_ends_when_the_link_is_active_or_the_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    // The router starts while the command waits, first with an inactive link and then with an
    // active one.
    let (asked, ()) = tokio::join!(asked(&path, "link status --wait 20"), async {
        for links in [vec![failing("link1", Reason::NeverTried)], vec![active("link1")]] {
            let socket = AdminSocket::bind(&path).unwrap();
            let _ = tokio::time::timeout(
                ASK_AGAIN * 3,
                serve(socket, Arc::new(Sample(links)), Limits::default()),
            )
            .await;
        }
    });
    assert_eq!(asked, (0, "Link link1 is active\n".to_owned(), String::new()));

    let (status, out, _) =
        skup(vec![failing("link1", Reason::NeverTried)], "link status --wait 0.1").await;
    assert_eq!(status, 1);
    assert!(out.starts_with("Link link1 not connected"), "{out}");
}

#[tokio::test]
async fn no_router_and_no_command_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (status, out, err) = asked(&folder.path().join("none.sock"), "status").await;
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(err.starts_with("skup: the router at ") && err.contains("none.sock"), "{err}");
    let (status, _, err) = asked(folder.path(), "fly").await;
    assert_eq!(status, 2);
    assert!(err.starts_with("skup: unknown command 'fly'\n\nskup - look into"), "{err}");
    let (status, out, _) = asked(folder.path(), "link --help").await;
    assert_eq!(status, 0);
    assert!(out.starts_with("usage: skup link status"), "{out}");
}

#[tokio::test]
async fn an_output_that_is_full_is_a_failure_and_one_that_is_closed_is_none() {
    struct Output(ErrorKind);
    impl Write for Output {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let help = || vec![OsString::from("--help")];
    let mut err = Vec::new();
    assert_eq!(run(help(), &mut Output(ErrorKind::BrokenPipe), &mut err).await, 0);
    assert!(err.is_empty());
    assert_eq!(run(help(), &mut Output(ErrorKind::StorageFull), &mut err).await, 1);
    assert!(String::from_utf8(err).unwrap().starts_with("skup: the answer cannot be written"));
}
