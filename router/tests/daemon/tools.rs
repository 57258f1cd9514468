//! Independent programs: qpid-proton as an AMQP peer, and nginx, curl and iperf3 through a pair of
//! routers. Without a program its tests are skipped and named.

use std::process::Command;

use Kind::Ours;
use serde_json::Value;

use crate::support::process::Running;
use crate::support::{
    Kind, Lab, Pair, PairOptions, Python, Router, Spec, amqp, client, peers, ports, wait,
};

const OURS: [Kind; 2] = [Ours, Ours];

/// Defines a test that needs some commands.
macro_rules! with_commands {
    ($name:ident, $commands:expr, $scenario:expr) => {
        #[test]
        fn $name() {
            let test = concat!(module_path!(), "::", stringify!($name));
            if $commands.iter().all(|command| peers::needs_command(test, command).is_some()) {
                ($scenario)(&Lab::new(test));
            }
        }
    };
}

with_python!(proton_opens_as_anonymous, |lab: &Lab, python: Python| {
    let site = Site::start(lab);
    let opened = python.run("peer.py", &["open", &site.clients, "--sasl", "ANONYMOUS"]);
    site.assert_opened(&opened);
    assert_eq!(opened["mechanism"], "ANONYMOUS", "{opened}");
});
with_python!(proton_opens_without_sasl, |lab: &Lab, python: Python| {
    let site = Site::start(lab);
    let opened = python.run("peer.py", &["open", &site.clients, "--no-sasl"]);
    site.assert_opened(&opened);
});
with_python!(proton_opens_by_its_certificate, |lab: &Lab, python: Python| {
    let site = Site::start(lab);
    let identity = lab.identity("independent");
    let (certificate, key) = identity.own.expect("a certificate");
    let files = [identity.trusted, certificate, key].map(|file| file.display().to_string());
    let opened = python.run(
        "peer.py",
        &["open", &site.tls, "--tls", &files[0], &files[1], &files[2], "--sasl", "EXTERNAL"],
    );
    site.assert_opened(&opened);
    assert_eq!(opened["mechanism"], "EXTERNAL", "{opened}");
});
with_python!(proton_is_refused_without_sasl_where_it_is_required, |lab: &Lab, python: Python| {
    let site = Site::start(lab);
    let opened = python.run("peer.py", &["open", &site.links, "--no-sasl"]);
    // AMQP requires an open before the close that gives the reason.
    assert_eq!(
        opened["connection_error"]["name"], "amqp:connection:policy-error",
        "opened without authentication: {opened}"
    );
    assert_eq!(opened["timed_out"], false, "{opened}");
});
with_python!(proton_says_nonsense, |lab: &Lab, python: Python| {
    let site = Site::start(lab);
    let opening = amqp::opening("raw");
    let damaged = [&opening[..], &amqp::raw_frame(u32::MAX, 2, 0, 0, b"")].concat();
    let questions =
        [opening.clone(), opening[..30].to_vec(), damaged, b"AMQP".to_vec(), vec![0xff; 1000]]
            .map(|octets| hex(&octets));
    let mut arguments = vec!["raw", "127.0.0.1", &site.port];
    arguments.extend(questions.iter().map(String::as_str));
    let answers = python.run("peer.py", &arguments);
    let answers = answers.as_array().expect("a list");
    assert_eq!(answers.len(), questions.len());
    assert!(answers.iter().all(|answer| answer["ended"] == true), "{answers:?}");
    let opened = python.run("peer.py", &["open", &site.clients, "--sasl", "ANONYMOUS"]);
    site.assert_opened(&opened);
});

with_commands!(curl_to_nginx, ["curl", "nginx"], curl_to_nginx_through_pair);
with_commands!(iperf3_both_ways, ["iperf3"], iperf3_through_pair);

struct Site {
    router: Router,
    port: String,
    clients: String,
    links: String,
    tls: String,
}

impl Site {
    fn start(lab: &Lab) -> Self {
        let [clients, links, tls] = [ports::free(), ports::free(), ports::free()];
        let secure = serde_json::json!({
            "name": "clients-tls", "host": "127.0.0.1", "port": tls.to_string(), "role": "normal",
            "sslProfile": "tls", "saslMechanisms": "EXTERNAL", "authenticatePeer": true,
            "requireSsl": true,
        });
        let router = Spec::new("north", Ours)
            .profile(&lab.identity("north"))
            .clients(clients)
            .links_tls(links);
        let router = router.entity("listener", secure).start(lab);
        for port in [clients, links, tls] {
            router.await_port(port);
        }
        Self {
            router,
            port: clients.to_string(),
            clients: format!("amqp://127.0.0.1:{clients}"),
            links: format!("amqp://127.0.0.1:{links}"),
            tls: format!("amqps://localhost:{tls}"),
        }
    }

    #[track_caller]
    fn assert_opened(&self, opened: &Value) {
        assert!(self.router.is_running());
        assert_eq!(opened["timed_out"], false, "{opened}");
        assert_eq!(opened["container"], "north", "{opened}");
        assert_eq!(opened["closed"], true, "{opened}");
        assert_eq!(opened["properties"]["product"], "skupper-router", "{opened}");
        assert!(opened["properties"]["version"].is_string(), "{opened}");
        assert!(opened["properties"]["qd.conn-id"].is_number(), "{opened}");
        for capability in ["ANONYMOUS-RELAY", "qd.streaming-links"] {
            let offered = opened["offered"]
                .as_array()
                .is_some_and(|offered| offered.iter().any(|item| item == capability));
            assert!(offered, "{capability} is not offered: {opened}");
        }
        assert_eq!(opened["max_frame_size"], 16_384, "{opened}");
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A file of 20 MB and many small answers, from a production web server to a production client.
fn curl_to_nginx_through_pair(lab: &Lab) {
    const SIZE: usize = 20_000_000;
    let port = ports::free();
    let folder = lab.path().display().to_string();
    let file: Vec<u8> = (0..SIZE).map(|index| (index % 253) as u8).collect();
    std::fs::write(lab.path().join("file"), &file).expect("a file");
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {folder}/{name}; "))
        .collect();
    let config = format!(
        "master_process off; daemon off; pid {folder}/nginx.pid; error_log stderr;\n\
         events {{}}\n\
         http {{ access_log off; {temporary}\n\
         client_max_body_size 100m;\n\
         server {{ listen 127.0.0.1:{port}; location / {{ root {folder}; }}\n\
         location /hello {{ return 200 'Hello'; }} }} }}\n"
    );
    std::fs::write(lab.path().join("nginx.conf"), config).expect("a configuration");
    let mut command = Command::new(peers::needs_command("nginx", "nginx").expect("was there"));
    command.args(["-e", "stderr", "-c", &format!("{folder}/nginx.conf"), "-p", &folder]);
    let nginx = Running::start(command, lab.path(), "nginx");
    wait::until("nginx listens", wait::patience(), || ports::listening(port).then_some(()));
    let pair = Pair::start(lab, OURS, PairOptions::with_data(1), &[("web", port)]);
    let url = format!("http://127.0.0.1:{}", pair.port("web"));
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", "--fail", "-m", "60"])
            .args(arguments)
            .output()
            .expect("curl starts");
        assert!(
            output.status.success(),
            "curl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    assert!(curl(&[&format!("{url}/file")]) == file, "the file is damaged");
    let range = format!("{url}/file");
    assert_eq!(curl(&["-r", "1000-1999", &range]), &file[1000..2000]);
    let many = format!("{url}/hello?[1-200]");
    assert_eq!(curl(&["--parallel", "--parallel-max", "20", &many]), b"Hello".repeat(200));
    drop(nginx);
    let gone = client::get(pair.port("web"));
    assert!(gone.is_err(), "nginx is gone, yet there was an answer: {gone:?}");
}

/// Several streams one way, the other way, and both at once.
fn iperf3_through_pair(lab: &Lab) {
    let port = ports::free();
    let mut command = Command::new("iperf3");
    command.args(["-s", "-B", "127.0.0.1", "-p", &port.to_string()]);
    let _server = Running::start(command, lab.path(), "iperf3");
    wait::until("iperf3 listens", wait::patience(), || ports::listening(port).then_some(()));
    let pair = Pair::start(lab, OURS, PairOptions::with_data(2), &[("iperf", port)]);
    let service = pair.port("iperf").to_string();
    for direction in [&[][..], &["-R"], &["--bidir"]] {
        let mut arguments = vec!["-c", "127.0.0.1", "-p", &service, "-t", "2", "-P", "4", "-J"];
        arguments.extend_from_slice(direction);
        // The server runs one test at a time, and may still be closing the last one.
        let output = wait::until(&format!("iperf3 {direction:?}"), wait::patience(), || {
            let output = Command::new("iperf3").args(&arguments).output().expect("iperf3 starts");
            let busy = String::from_utf8_lossy(&output.stdout).contains("server is busy");
            (!busy).then_some(output)
        });
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
        assert!(
            output.status.success() && report["error"].is_null(),
            "{direction:?}: {}",
            report["error"]
        );
        for sum in ["sum_sent", "sum_received"] {
            let octets = report["end"][sum]["bytes"].as_f64().unwrap_or(0.0);
            assert!(octets > 1e6, "{direction:?}: {octets} bytes, {sum}");
        }
    }
    wait::until("a quiet end", wait::patience(), || {
        client::hello_once(pair.port("hello")).then_some(())
    });
}
