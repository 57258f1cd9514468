//! Runs the file tree of the container image as a container would. It has a root of its own, an
//! unknown user id, only `/tmp` writable, and the command of the `Dockerfile`.
//!
//! Needs root (for `chroot`) and a statically linked executable, which `SKROUTERD_STATIC` names.
//! `.ci/run` builds one.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, Signal};

/// Largest image, in bytes.
const SIZE_LIMIT: u64 = 25_000_000;
const START_LIMIT: Duration = Duration::from_secs(20);
/// The promised time of a stop.
const STOP_LIMIT: Duration = Duration::from_secs(8);

/// Returns the static executable, or prints why the test does not run.
fn executable(test: &str) -> Option<OsString> {
    let path = std::env::var_os("SKROUTERD_STATIC");
    let reason = match &path {
        None => "SKROUTERD_STATIC not set",
        Some(_) if !rustix::process::geteuid().is_root() => "not root",
        Some(_) => return path,
    };
    // Write past the capture of the test runner.
    let _ = std::io::stderr().write_all(format!("skipped: {test}: {reason}\n").as_bytes());
    None
}

fn tree(executable: &OsString, folder: &Path) -> PathBuf {
    let tree = folder.join("tree");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/image-tree.sh");
    let made = Command::new("sh").arg(script).arg(&tree).arg(executable).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // The folder is inside one of root's, which the image's user may not enter.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    tree
}

/// Returns a command of the image as its unknown user, with the group that OpenShift gives.
fn inside(tree: &Path, command: &str) -> Command {
    let mut chroot = Command::new("chroot");
    chroot.args(["--userspec=10000:0", "--groups=0"]).arg(tree).arg(command);
    // The path lets this process find chroot. The image looks for no commands.
    chroot.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
    chroot
}

/// Lists all paths below `folder`, relative to it.
fn list(folder: &Path, prefix: &str, paths: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            list(&entry.path(), &format!("{path}/"), paths);
        }
        paths.push(path);
    }
    paths.sort();
}

#[test]
fn holds_one_small_file_under_its_names() {
    let Some(executable) = executable("holds_one_small_file_under_its_names") else { return };
    let folder = tempfile::tempdir().unwrap();
    let tree = tree(&executable, folder.path());
    let mut paths = Vec::new();
    list(&tree, "", &mut paths);
    assert_eq!(
        paths,
        [
            "bin",
            "tmp",
            "usr",
            "usr/bin",
            "usr/bin/skmanage",
            "usr/bin/skrouterd",
            "usr/bin/skstat",
            "usr/bin/skup"
        ]
    );
    assert_eq!(fs::read_link(tree.join("bin")).unwrap(), Path::new("usr/bin"));
    for name in ["skup", "skstat", "skmanage"] {
        assert_eq!(
            fs::read_link(tree.join("usr/bin").join(name)).unwrap(),
            Path::new("skrouterd"),
            "{name}"
        );
    }
    assert_eq!(fs::metadata(tree.join("tmp")).unwrap().mode() & 0o7777, 0o1777);
    let file = fs::metadata(tree.join("usr/bin/skrouterd")).unwrap();
    assert_eq!(file.mode() & 0o7777, 0o755);
    assert!(file.len() < SIZE_LIMIT, "{} octets", file.len());
}

#[test]
fn commands_answer_under_their_names() {
    let Some(executable) = executable("commands_answer_under_their_names") else { return };
    let folder = tempfile::tempdir().unwrap();
    let tree = tree(&executable, folder.path());
    for path in ["/usr/bin/skrouterd", "/bin/skrouterd"] {
        let version = inside(&tree, path).arg("--version").output().unwrap();
        assert!(version.status.success(), "{path}: {}", String::from_utf8_lossy(&version.stderr));
        assert_eq!(
            String::from_utf8(version.stdout).unwrap().trim().split('.').count(),
            3,
            "{path}: the bare version"
        );
    }
    for (name, word) in
        [("skup", "link status"), ("skstat", "--all-routers"), ("skmanage", "get-mgmt-nodes")]
    {
        for folder in ["/usr/bin", "/bin"] {
            let path = format!("{folder}/{name}");
            let help = inside(&tree, &path).arg("--help").output().unwrap();
            assert!(help.status.success(), "{path}: {}", String::from_utf8_lossy(&help.stderr));
            let help = String::from_utf8(help.stdout).unwrap();
            assert!(help.contains(name) && help.contains(word), "{path}: {help}");
        }
    }
}

/// A router that ends with the test.
struct Router(Child);

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn runs_by_the_launch_contract() {
    let Some(executable) = executable("runs_by_the_launch_contract") else { return };
    let folder = tempfile::tempdir().unwrap();
    let tree = tree(&executable, folder.path());
    let ports = [free_port(), free_port()];
    let configuration = format!(
        r#"[["router", {{"id": "${{HOSTNAME}}", "mode": "interior"}}],
            ["listener", {{"name": "health", "role": "normal", "host": "127.0.0.1", "port": {},
                "http": true}}],
            ["listener", {{"name": "amqp", "role": "normal", "host": "127.0.0.1", "port": {}}}]]"#,
        ports[0].port(),
        ports[1].port(),
    );
    let mut command = inside(&tree, "/usr/bin/skrouterd");
    command
        .env("QDROUTERD_CONF", configuration)
        .env("QDROUTERD_CONF_TYPE", "json")
        .env("HOSTNAME", "site-north-7");
    let mut router = Router(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let log = follow(router.0.stderr.take().unwrap());
    await_line(&log, "SERVER (info) Operational, ");

    let mut health = TcpStream::connect(ports[0]).unwrap();
    health.set_read_timeout(Some(START_LIMIT)).unwrap();
    health
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    health.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    let status = inside(&tree, "/bin/skup").args(["status", "--json"]).output().unwrap();
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(status.status.success(), "{text}{}", String::from_utf8_lossy(&status.stderr));
    assert!(text.contains("site-north-7"), "the variable in the router id is expanded: {text}");

    let pid = Pid::from_raw(i32::try_from(router.0.id()).unwrap()).unwrap();
    let stopping = Instant::now();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    // The log ends with the process.
    let late = loop {
        match log.recv_timeout(STOP_LIMIT.saturating_sub(stopping.elapsed())) {
            Ok(_) => {}
            Err(error) => break error == mpsc::RecvTimeoutError::Timeout,
        }
    };
    assert!(!late, "the router runs after {STOP_LIMIT:?}");
    let ended = router.0.wait().unwrap();
    assert_eq!(ended.code(), Some(0), "{ended}");
    assert!(stopping.elapsed() < STOP_LIMIT, "{:?}", stopping.elapsed());
}

fn free_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Returns the lines of a stream as they arrive.
fn follow(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        BufReader::new(stream)
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
            .ok();
    });
    receiver
}

fn await_line(log: &mpsc::Receiver<String>, part: &str) {
    let deadline = Instant::now() + START_LIMIT;
    let mut seen = String::new();
    while let Ok(line) = log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if line.contains(part) {
            return;
        }
        seen = seen + &line + "\n";
    }
    panic!("the log did not say {part:?}, but:\n{seen}");
}
