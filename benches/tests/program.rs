//! The executable: its server, its output and its exit status.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

fn skbench(line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_skbench"))
        .args(line.split_ascii_whitespace())
        .output()
        .expect("skbench runs")
}

/// A server in a process of its own, ended with the test.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(options: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_skbench"))
            .arg("server")
            .args(options.split_ascii_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("skbench runs");
        let mut address = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut address)
            .expect("a first line");
        Self { child, address: address.trim().to_owned() }
    }

    fn terminate(mut self) -> (bool, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        let mut said = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        (self.child.wait().expect("an end").success(), said)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[test]
fn prints_json_with_the_cost_of_the_server() {
    let server = Served::start("--mode echo --threads 2");
    let (pid, address) = (server.child.id(), &server.address);
    let output =
        skbench(&format!("latency {address} --connections 2 --count 200 --pid {pid} --json"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(
        (json["mode"].as_str(), json["figures"]["requests"].as_u64()),
        (Some("latency"), Some(200)),
        "{json}"
    );
    assert_eq!(
        (json["processes"][0]["pid"].as_u64(), json["processes"][0]["name"].as_str()),
        (Some(pid.into()), Some("skbench"))
    );
    assert!(json["processes"][0]["resident_after"].as_u64() > Some(0), "{json}");

    let (clean, said) = server.terminate();
    assert!(clean && said.contains("2 connections, 0 ended by an error or a reset"), "{said}");
}

#[test]
fn prints_a_table() {
    let server = Served::start("--mode source");
    let output = skbench(&format!(
        "throughput {} --direction down --seconds 100ms --streams 2 --verify",
        server.address
    ));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = text(&output.stdout);
    for part in ["Gbit/s", "longest gap ms", "min/max", "(skbench itself)", "errors: 0"] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn the_exit_status_tells_failures_from_wrong_arguments() {
    // A port that was free a moment ago, on an address of this test's own.
    let nobody = std::net::TcpListener::bind("127.0.0.77:0")
        .and_then(|l| l.local_addr())
        .expect("a free port");
    let line = format!("throughput {nobody} --seconds 50ms --streams 2");
    let output = skbench(&line);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stdout).contains("refused"), "{output:?}");
    assert_eq!(skbench(&format!("{line} --max-errors 1")).status.code(), Some(1));
    assert_eq!(skbench(&format!("{line} --max-errors 2")).status.code(), Some(0));

    let output = skbench("latency nobody.invalid:80");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("cannot resolve nobody.invalid:80"), "{output:?}");
    let output = skbench(&format!("latency {nobody} --pid 4294967295"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("cannot read process 4294967295"), "{output:?}");

    let output = skbench("latency");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{output:?}");
    assert_eq!(skbench("--help").status.code(), Some(0));
}

#[test]
fn a_port_that_is_taken_is_said() {
    let server = Served::start("");
    let output = skbench(&format!("server --listen {}", server.address));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains(&server.address), "{output:?}");
}

#[test]
fn the_http_server_answers_refuses_and_keeps_alive() {
    let server = Served::start("--mode http --body 5");
    let mut stream = TcpStream::connect(&server.address).expect("a connection");
    // Two requests at once, the first with a body; then one without a body in its answer; then one
    // that ends it.
    let requests = "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n\r\nHEAD /c \
                    HTTP/1.1\r\n\r\nGET /d HTTP/1.0\r\n\r\n";
    stream.write_all(requests.as_bytes()).expect("sent");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("answers, and an end");
    let answer = |path, close, body| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Path: {path}\r\n{close}\r\n{body}")
    };
    let close = "Connection: close\r\n";
    assert_eq!(
        answers,
        [
            answer("/a", "", "xxxxx"),
            answer("/b", "", "xxxxx"),
            answer("/c", "", ""),
            answer("/d", close, "xxxxx")
        ]
        .concat()
    );

    let mut stream = TcpStream::connect(&server.address).expect("a connection");
    stream.write_all(b"\x16\x03\x01 nonsense\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer, and an end");
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
}
