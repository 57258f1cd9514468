//! A router process: its start, its watch and its end. No process outlives its test.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::lab::Lab;
use super::peers::Kind;
use super::spec::{Bounds, Spec};
use super::wait;

/// A running router.
pub struct Router {
    pub id: String,
    /// Its implementation.
    pub kind: Kind,
    config: PathBuf,
    bounds: Bounds,
    folder: PathBuf,
    starts: usize,
    running: Running,
}

impl Router {
    /// Writes the configuration and starts the process.
    pub fn start(lab: &Lab, spec: &Spec) -> Self {
        let config = lab.path().join(format!("{}.json", spec.id));
        std::fs::write(&config, spec.text()).expect("the configuration is written");
        let running = Running::start(
            router_command(spec.kind, &config, spec.bounds()),
            lab.path(),
            &format!("{}-1", spec.id),
        );
        let (id, folder) = (spec.id.clone(), lab.path().to_owned());
        Self { id, kind: spec.kind, config, bounds: spec.bounds(), folder, starts: 1, running }
    }

    /// Starts a process with the same configuration, after the former one has ended.
    pub fn start_again(&mut self) {
        assert!(self.running.exit().is_some(), "{} still runs", self.id);
        self.starts += 1;
        let name = format!("{}-{}", self.id, self.starts);
        self.running = Running::start(
            router_command(self.kind, &self.config, self.bounds),
            &self.folder,
            &name,
        );
    }

    /// Waits until the process listens on `port`.
    #[track_caller]
    pub fn await_port(&self, port: u16) {
        wait::until(&format!("{} listens on {port}", self.id), wait::patience(), || {
            if let Some(status) = self.running.exit() {
                panic!(
                    "{} ended with {status} before it listened on {port}:\n{}",
                    self.id,
                    self.running.log.tail(20)
                );
            }
            super::ports::listening(port).then_some(())
        });
    }

    /// Waits for a log line that contains all of `parts`, and returns it.
    #[track_caller]
    pub fn await_log(&self, parts: &[&str]) -> String {
        self.running
            .log
            .wait(parts, wait::patience())
            .unwrap_or_else(|| panic!("{}: no log line with {parts:?}", self.id))
    }

    /// Returns a log line so far that contains all of `parts`.
    pub fn log_line(&self, parts: &[&str]) -> Option<String> {
        self.running.log.wait(parts, Duration::ZERO)
    }

    pub fn is_running(&self) -> bool {
        self.running.exit().is_none()
    }

    /// Kills the process, and waits for its end.
    pub fn kill(&mut self) {
        self.running.signal(Signal::KILL);
        let _ = self.await_exit(wait::patience());
    }

    pub fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// Sends SIGTERM, and waits for the end.
    #[track_caller]
    pub fn terminate(&mut self, limit: Duration) -> ExitStatus {
        self.running.signal(Signal::TERM);
        self.await_exit(limit)
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub fn await_exit(&self, limit: Duration) -> ExitStatus {
        self.running.wait(limit).unwrap_or_else(|| panic!("{} still runs after {limit:?}", self.id))
    }

    /// Returns the whole output so far.
    pub fn log(&self) -> String {
        self.running.log.tail(usize::MAX)
    }

    /// Returns the resident memory in bytes.
    pub fn resident(&self) -> u64 {
        self.status_number("VmRSS:").map_or(0, |kib| kib * 1024)
    }

    /// Returns the peak of the resident memory in bytes.
    pub fn peak_resident(&self) -> u64 {
        self.status_number("VmHWM:").map_or(0, |kib| kib * 1024)
    }

    pub fn pid(&self) -> u32 {
        self.running.pid.as_raw_nonzero().get().unsigned_abs()
    }

    fn status_number(&self, field: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        status
            .lines()
            .find_map(|line| line.strip_prefix(field))?
            .trim()
            .split(' ')
            .next()?
            .parse()
            .ok()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let state = self
                .running
                .exit()
                .map_or_else(|| "running".to_owned(), |status| format!("ended: {status}"));
            eprintln!(
                "---- {} ({:?}, {state}), the end of its log:\n{}",
                self.id,
                self.kind,
                self.running.log.tail(40)
            );
        }
    }
}

fn router_command(kind: Kind, config: &Path, bounds: Bounds) -> Command {
    let mut command = kind.command();
    command.arg("-c").arg(config);
    if let Some(descriptors) = bounds.descriptors {
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &descriptors.to_string()]);
        limited.arg(command.get_program()).args(command.get_args());
        command = limited;
    }
    if let Some(ceiling) = bounds.ceiling {
        command.env("SKUPPER_ROUTER_MEMORY_CEILING", ceiling.to_string());
    }
    command
}

/// A process with collected output. Its drop ends the process.
pub struct Running {
    pid: Pid,
    log: Arc<Log>,
    exit: Arc<Exit>,
    reaper: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts `command` in `folder`. Its output also goes to the file `NAME.log` there.
    pub fn start(mut command: Command, folder: &Path, name: &str) -> Self {
        let file = File::create(folder.join(format!("{name}.log"))).expect("a log file");
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{} cannot be started: {error}", command.get_program().display())
        });
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        let log = Arc::new(Log {
            lines: Mutex::new(Lines { text: Vec::new(), writers: 2 }),
            changed: Condvar::new(),
        });
        let exit = Arc::new(Exit { status: Mutex::new(None), changed: Condvar::new() });
        let file = Arc::new(Mutex::new(file));
        let outputs: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as _),
            child.stderr.take().map(|pipe| Box::new(pipe) as _),
        ];
        for pipe in outputs.into_iter().flatten() {
            let (log, file) = (Arc::clone(&log), Arc::clone(&file));
            // The drop does not join this thread: a child of the process may hold the pipe for
            // longer.
            std::thread::spawn(move || log.collect(pipe, &file));
        }
        let shared = Arc::clone(&exit);
        let reaper = Some(std::thread::spawn(move || shared.reap(child)));
        Self { pid, log, exit, reaper }
    }

    /// Returns the exit status, or `None` while the process runs.
    pub fn exit(&self) -> Option<ExitStatus> {
        *lock(&self.exit.status)
    }

    /// Waits for the end of the process.
    pub fn wait(&self, limit: Duration) -> Option<ExitStatus> {
        let status = lock(&self.exit.status);
        let (status, _) = self
            .exit
            .changed
            .wait_timeout_while(status, limit, |status| status.is_none())
            .expect("no panic while held");
        *status
    }

    /// Sends a signal, unless the process has ended.
    pub fn signal(&self, signal: Signal) {
        let status = lock(&self.exit.status);
        if status.is_none() {
            let _ = rustix::process::kill_process(self.pid, signal);
        }
    }

    /// The output of the process.
    pub fn log(&self) -> &Log {
        &self.log
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(thread) = self.reaper.take() {
            let _ = thread.join();
        }
    }
}

/// The lines of a process's output.
pub struct Log {
    lines: Mutex<Lines>,
    changed: Condvar,
}

struct Lines {
    text: Vec<String>,
    writers: usize,
}

impl Log {
    fn collect(&self, pipe: impl Read, file: &Mutex<File>) {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            let _ = writeln!(lock(file), "{line}");
            lock(&self.lines).text.push(line);
            self.changed.notify_all();
        }
        lock(&self.lines).writers -= 1;
        self.changed.notify_all();
    }

    /// Waits for a line that contains all of `parts`. Returns `None` at the deadline, or when the
    /// output has ended.
    pub fn wait(&self, parts: &[&str], limit: Duration) -> Option<String> {
        let end = Instant::now() + limit;
        let mut seen = 0;
        let mut lines = lock(&self.lines);
        loop {
            let found =
                lines.text[seen..].iter().find(|line| parts.iter().all(|part| line.contains(part)));
            if found.is_some() {
                return found.cloned();
            }
            seen = lines.text.len();
            let rest = end.checked_duration_since(Instant::now()).filter(|_| lines.writers > 0)?;
            lines = self.changed.wait_timeout(lines, rest).expect("no panic while held").0;
        }
    }

    /// Returns the last lines.
    pub fn tail(&self, count: usize) -> String {
        let lines = lock(&self.lines);
        lines.text[lines.text.len().saturating_sub(count)..].join("\n")
    }
}

struct Exit {
    status: Mutex<Option<ExitStatus>>,
    changed: Condvar,
}

impl Exit {
    fn reap(&self, mut child: Child) {
        // Wait for the process without reaping it, so that its id stays its own while a signal is
        // under way. The reaping happens under the lock that senders of signals take.
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        let options =
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        while matches!(
            rustix::process::waitid(rustix::process::WaitId::Pid(pid), options),
            Err(rustix::io::Errno::INTR)
        ) {}
        let mut status = lock(&self.status);
        *status = child.wait().ok();
        self.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
