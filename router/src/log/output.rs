//! The outputs of the log: streams, files, syslog and the journal.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::level::Level;
use crate::files::{self, Writing};
use crate::lock::{Mutex, Rank};

/// The socket at which a syslog daemon takes messages.
const SYSLOG: &str = "/dev/log";

/// The socket at which systemd's journal takes entries.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// An output of lines: the `outputFile` attribute. Only the writer's thread and a thread that opens
/// files anew take its lock.
#[derive(Debug)]
pub(super) struct Output {
    kind: Kind,
    /// Lines that the output refused since it last took one.
    lost: AtomicU64,
}

#[derive(Debug)]
enum Kind {
    Stderr,
    Stdout,
    Syslog(Daemon),
    Journal(Daemon),
    File { path: PathBuf, file: Mutex<File> },
}

impl Output {
    /// Makes the output to the standard error.
    pub(super) const fn stderr() -> Self {
        Self { kind: Kind::Stderr, lost: AtomicU64::new(0) }
    }

    /// Opens `stderr`, `stdout`, `syslog`, `journald` or a file for appending.
    pub(super) fn open(name: &str) -> io::Result<Self> {
        let kind = match name {
            "stderr" => Kind::Stderr,
            "stdout" => Kind::Stdout,
            "syslog" => Kind::Syslog(Daemon::at(SYSLOG.into())?),
            "journald" => Kind::Journal(Daemon::at(JOURNAL.into())?),
            path => {
                let file = append_to(Path::new(path))?;
                Kind::File { path: path.into(), file: Mutex::ranked(Rank::Log, file) }
            }
        };
        Ok(Self { kind, lost: AtomicU64::new(0) })
    }

    /// Returns the text that [`open`](Self::open) takes.
    pub(super) fn name(&self) -> &str {
        match &self.kind {
            Kind::Stderr => "stderr",
            Kind::Stdout => "stdout",
            Kind::Syslog(_) => "syslog",
            Kind::Journal(_) => "journald",
            Kind::File { path, .. } => path.to_str().unwrap_or_default(),
        }
    }

    /// Returns the head of a message of this level, if each line is a message of its own. Such a
    /// line has no time and no line end.
    pub(super) fn head(&self, level: Level) -> Option<String> {
        match &self.kind {
            Kind::Syslog(_) => Some(syslog_head(level)),
            Kind::Journal(_) => Some(journal_head(level)),
            Kind::Stderr | Kind::Stdout | Kind::File { .. } => None,
        }
    }

    /// Returns whether each line is a message of its own.
    pub(super) const fn takes_messages(&self) -> bool {
        matches!(self.kind, Kind::Syslog(_) | Kind::Journal(_))
    }

    /// Writes `count` whole lines. Where the output refuses them, the router goes on. It counts the
    /// lost lines, reports the loss once on the standard error, and reports it here as soon as the
    /// output takes lines again.
    pub(super) fn write(&self, lines: &[u8], count: u64) {
        let lost = self.lost.load(Ordering::Relaxed);
        let result = if lost > 0 && !self.takes_messages() {
            let report =
                format!("ROUTER (warning) {lost} lines dropped: this output did not take them\n");
            self.try_write(&[report.as_bytes(), lines].concat())
        } else {
            self.try_write(lines)
        };
        match result {
            Ok(()) => self.lost.store(0, Ordering::Relaxed),
            Err(error) => {
                self.lost.fetch_add(count, Ordering::Relaxed);
                if lost == 0 && !matches!(self.kind, Kind::Stderr) {
                    // If this fails too, no place is left for the report.
                    let _ = writeln!(
                        io::stderr(),
                        "skrouterd: cannot write the log to {}: {error}",
                        self.name()
                    );
                }
            }
        }
    }

    fn try_write(&self, lines: &[u8]) -> io::Result<()> {
        match &self.kind {
            Kind::Stderr => io::stderr().lock().write_all(lines),
            Kind::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()
            }
            Kind::Syslog(daemon) | Kind::Journal(daemon) => daemon.send(lines),
            Kind::File { file, .. } => file.lock().write_all(lines),
        }
    }

    /// Opens a file anew, and so lets go of one that was moved away.
    pub(super) fn reopen(&self) -> io::Result<()> {
        if let Kind::File { path, file } = &self.kind {
            let fresh = append_to(path)?;
            *file.lock() = fresh;
        }
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    files::open(path, Writing::Behind)
}

/// A daemon that takes messages at a socket.
#[derive(Debug)]
struct Daemon {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Daemon {
    fn at(path: PathBuf) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(&path)?;
        socket.set_nonblocking(true)?;
        Ok(Self { path, socket })
    }

    /// Sends a message, to a new socket if the daemon was started anew.
    fn send(&self, message: &[u8]) -> io::Result<()> {
        let sent = match self.socket.send(message) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                self.socket.connect(&self.path)?;
                self.socket.send(message)
            }
            result => result,
        };
        sent.map(drop)
    }
}

/// Returns the severity of a level in the terms of syslog (RFC 3164) and of the journal.
const fn severity(level: Level) -> u8 {
    match level {
        Level::Critical => 2,
        Level::Error => 3,
        Level::Warning => 4,
        Level::Info => 6,
        Level::Debug => 7,
    }
}

/// Returns the head of a syslog message of the facility daemon.
fn syslog_head(level: Level) -> String {
    const DAEMON: u8 = 3;
    format!("<{}>skrouterd[{}]: ", DAEMON * 8 + severity(level), std::process::id())
}

/// Returns the fields of a journal entry before its text, in systemd's native journal protocol.
fn journal_head(level: Level) -> String {
    format!("SYSLOG_IDENTIFIER=skrouterd\nPRIORITY={}\nMESSAGE=", severity(level))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that two lines reach the daemon of such an output as these messages, although the
    /// daemon is started anew between them.
    fn assert_messages(kind: impl FnOnce(Daemon) -> Kind, expected: [&str; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut daemon = UnixDatagram::bind(&path).unwrap();
        let output =
            Output { kind: kind(Daemon::at(path.clone()).unwrap()), lost: AtomicU64::new(0) };
        let lines =
            [(Level::Error, "SERVER (error) first"), (Level::Debug, "SERVER (debug) second")];
        for ((level, text), expected) in lines.into_iter().zip(expected) {
            output.write(format!("{}{text}", output.head(level).unwrap()).as_bytes(), 1);
            let mut message = [0; 200];
            daemon.set_nonblocking(true).unwrap();
            let octets = daemon.recv(&mut message).unwrap();
            assert_eq!(std::str::from_utf8(&message[..octets]).unwrap(), expected);
            drop(daemon);
            std::fs::remove_file(&path).unwrap();
            daemon = UnixDatagram::bind(&path).unwrap();
        }
        assert_eq!(output.lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn each_line_is_an_entry_of_the_journal() {
        let head = |priority| format!("SYSLOG_IDENTIFIER=skrouterd\nPRIORITY={priority}\nMESSAGE=");
        let expected = [head(3) + "SERVER (error) first", head(7) + "SERVER (debug) second"];
        assert_messages(Kind::Journal, expected.each_ref().map(String::as_str));
    }

    #[test]
    fn each_line_is_a_message_of_the_syslog_and_has_its_priority() {
        let head = |priority| format!("<{priority}>skrouterd[{}]: ", std::process::id());
        let expected = [head(27) + "SERVER (error) first", head(31) + "SERVER (debug) second"];
        assert_messages(Kind::Syslog, expected.each_ref().map(String::as_str));
    }

    #[test]
    fn streams_take_lines_with_their_time() {
        assert!(Output::open("stderr").unwrap().head(Level::Info).is_none());
    }
}
