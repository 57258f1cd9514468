//! Where lines go.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Level;
use crate::files::{self, Writing};
use crate::lock::{Mutex, Rank};

/// Where a syslog daemon takes messages.
const SYSLOG: &str = "/dev/log";

/// Where systemd's journal takes entries.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Where the lines of a module go: the `outputFile` attribute. Only the writer thread and those who
/// open files anew take the lock.
#[derive(Debug)]
pub(super) struct Output {
    kind: Kind,
    /// Lines that were refused since the last one that was taken.
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
    /// The standard error.
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

    /// The text that [`open`](Self::open) takes.
    pub(super) fn name(&self) -> &str {
        match &self.kind {
            Kind::Stderr => "stderr",
            Kind::Stdout => "stdout",
            Kind::Syslog(_) => "syslog",
            Kind::Journal(_) => "journald",
            Kind::File { path, .. } => path.to_str().unwrap_or_default(),
        }
    }

    /// What stands before a line of this level where each is a message of its own, without a time
    /// and a line end.
    pub(super) fn head(&self, level: Level) -> Option<String> {
        match &self.kind {
            Kind::Syslog(_) => Some(syslog_head(level)),
            Kind::Journal(_) => Some(journal_head(level)),
            Kind::Stderr | Kind::Stdout | Kind::File { .. } => None,
        }
    }

    /// Whether each line is a message of its own.
    pub(super) const fn takes_messages(&self) -> bool {
        matches!(self.kind, Kind::Syslog(_) | Kind::Journal(_))
    }

    /// Writes `count` whole lines. A router whose log cannot be written goes on: what is lost is
    /// counted, said once on the standard error, and said where it is missing as soon as that
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
                    // Where else: if this fails too there is nobody to tell.
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

    /// Opens a file anew, so that one that was moved away is let go.
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

/// One that takes messages at a socket.
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

    /// One that was started anew has made another socket.
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

/// The severity of a level in syslog's terms (RFC 3164), which are the journal's as well.
const fn severity(level: Level) -> u8 {
    match level {
        Level::Critical => 2,
        Level::Error => 3,
        Level::Warning => 4,
        Level::Info => 6,
        Level::Debug => 7,
    }
}

/// The head of a syslog message, of the facility daemon.
fn syslog_head(level: Level) -> String {
    const DAEMON: u8 = 3;
    format!("<{}>skrouterd[{}]: ", DAEMON * 8 + severity(level), std::process::id())
}

/// The fields of an entry of the journal before its text, which is one line. (systemd's native
/// journal protocol.)
fn journal_head(level: Level) -> String {
    format!("SYSLOG_IDENTIFIER=skrouterd\nPRIORITY={}\nMESSAGE=", severity(level))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two lines to the daemon of such an output, which is started anew between them, are these
    /// messages.
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
