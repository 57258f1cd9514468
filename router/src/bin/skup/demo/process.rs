//! A router of the demo as a process: its start, its watch and its stop.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use super::configuration::Site;
use super::{CHILD_COMMAND, DemoError};

/// Time for a router to stop by itself. It promises eight seconds.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// Log lines to show.
const LAST_LINES: usize = 15;

/// Bytes at the end of a log that are read for them.
const LAST_OCTETS: u64 = 8 * 1024;

/// A running router. Its drop kills the process.
#[derive(Debug)]
pub(super) struct Process {
    site: Site,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the router of a site with its configuration in `folder`.
    ///
    /// It gets a process group of its own. So Ctrl-C in a terminal reaches only the demo, which
    /// then stops the router in order. Call it on the thread that lives to the end: the kernel
    /// takes the end of that thread for the end of the parent.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn start(executable: &Path, folder: &Path, site: Site) -> io::Result<Self> {
        let log = site.file(folder, "log");
        let output = File::create(&log)?;
        let child = Command::new(executable)
            .arg0("skup")
            .arg(CHILD_COMMAND)
            .arg(std::process::id().to_string())
            .arg("-c")
            .arg(site.file(folder, "json"))
            .arg("--admin-socket")
            .arg(site.file(folder, "sock"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { site, child, log })
    }

    pub(super) fn name(&self) -> &'static str {
        self.site.name()
    }

    /// Waits for the process to end. Cancel safe.
    async fn end(&mut self) -> DemoError {
        let status = self
            .child
            .wait()
            .await
            .map_or_else(|error| error.to_string(), |status| status.to_string());
        DemoError::Ended { name: self.name(), status }
    }

    /// Returns the last lines of its log.
    pub(super) fn last_lines(&self) -> Vec<String> {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LAST_OCTETS)))?;
            let mut text = Vec::new();
            file.take(LAST_OCTETS).read_to_end(&mut text)?;
            Ok(text)
        };
        let text =
            read().unwrap_or_else(|error| format!("(it cannot be read: {error})").into_bytes());
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines
            .iter()
            .skip(lines.len().saturating_sub(LAST_LINES))
            .map(|&line| line.to_owned())
            .collect()
    }

    fn terminate(&self) {
        // `id` is `None` once the process was waited for, so the number still belongs to the
        // process.
        if let Some(id) = self.child.id().and_then(pid) {
            let _ = rustix::process::kill_process(id, Signal::TERM);
        }
    }
}

/// Waits until one of the routers ends by itself, and reports which. Cancel safe.
pub(super) async fn first_to_end([north, south]: &mut [Process; 2]) -> DemoError {
    tokio::select! {
        ended = north.end() => ended,
        ended = south.end() => ended,
    }
}

/// Stops both routers in order. Kills both on another Ctrl-C, or if they do not stop in time.
pub(super) async fn stop(
    [mut north, mut south]: [Process; 2],
    interrupt: &mut tokio::signal::unix::Signal,
) {
    north.terminate();
    south.terminate();
    tokio::select! {
        _ = async { tokio::join!(north.child.wait(), south.child.wait()) } => return,
        _ = interrupt.recv() => {}
        () = tokio::time::sleep(STOP_DEADLINE) => {}
    }
    let _ = tokio::join!(north.child.kill(), south.child.kill());
}

/// Asks the kernel to end this process with its parent, and becomes the router. Returns only on
/// failure.
///
/// The request survives the change of program, so the router need not know of it. `args` are the
/// parent's process id and the router's arguments.
pub(super) fn become_router(args: &[OsString]) -> io::Error {
    let refused = |problem: &str| io::Error::new(io::ErrorKind::InvalidInput, problem.to_owned());
    let Some((parent, args)) = args.split_first() else {
        return refused("the number of the demo's process is missing");
    };
    let Some(parent) = parent.to_str().and_then(|id| id.parse::<u32>().ok()).and_then(pid) else {
        return refused("the number of the demo's process is none");
    };
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // The parent may have ended before the kernel took the request.
    if rustix::process::getppid() != Some(parent) {
        return refused("the demo has ended");
    }
    match std::env::current_exe() {
        Ok(executable) => {
            std::process::Command::new(executable).arg0("skrouterd").args(args).exec()
        }
        Err(error) => error,
    }
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}
