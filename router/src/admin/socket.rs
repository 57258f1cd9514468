//! Creates the admin socket, and never takes the name of a living router's socket.
//!
//! A lock file beside the socket proves that its maker lives. The system releases the lock however
//! the process ends, so a socket with a free lock is stale.
//!
//! The router creates the socket under another name, sets its mode before it listens, and renames
//! it into place. A client finds either the former socket or the new one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use thiserror::Error;

use super::path;

/// Connections that may wait for an accept.
const BACKLOG: i32 = 64;

/// Times the lock file is opened again after its last holder removed it. Each round means that
/// another router stopped in that very moment.
const LOCK_ROUNDS: usize = 8;

/// The admin socket could not be created.
#[derive(Debug, Error)]
pub enum SocketError {
    /// A living process answers at the path.
    #[error("the admin socket {} is in use by another running router; stop that, or choose another \
             with --admin-socket", .path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The path exists and is no socket.
    #[error("{} exists and is no socket; remove it, or choose another with --admin-socket",
        .path.display())]
    NotASocket {
        /// The path meant for the socket.
        path: PathBuf,
    },
    /// The system refused a step.
    #[error("the admin socket {} cannot be created: {action}: {source}", .path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// The step that failed.
        action: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

/// The listening admin socket. Its drop removes the socket from the file system.
#[derive(Debug)]
pub struct AdminSocket {
    pub(super) listener: UnixListener,
    pub(super) place: Place,
}

/// The socket's name in the file system, held until the drop.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    lock_path: PathBuf,
    /// Device and inode of our socket file, so that the drop never removes another's.
    made: Option<(u64, u64)>,
    /// The lock lasts for as long as this file is open.
    _lock: File,
}

impl AdminSocket {
    /// Creates the socket at `path` with mode 0600, and replaces a stale one.
    ///
    /// # Errors
    /// Another router uses the socket, the path is no socket, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let fail = |action, source: io::Error| SocketError::System {
            path: path.to_owned(),
            action,
            source,
        };
        let mut place = Place::take(path)?;
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(SocketError::NotASocket { path: path.to_owned() });
            }
            // A program that knows no lock files may have made the socket, so ask it.
            Ok(_)
                if answers(path)
                    .map_err(|source| fail("asking the socket found there", source))? =>
            {
                return Err(SocketError::InUse { path: path.to_owned() });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail("looking for a former socket", error)),
        }
        // The lock covers this name too.
        let fresh = with_ending(path, "~");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(fail("removing a former attempt", error));
            }
            _ => {}
        }
        let made = listen(&fresh).map_err(|source| fail("binding", source)).and_then(|listener| {
            let found = std::fs::symlink_metadata(&fresh)
                .map_err(|source| fail("looking at it", source))?;
            std::fs::rename(&fresh, path).map_err(|source| fail("naming it", source))?;
            Ok((listener, (found.dev(), found.ino())))
        });
        match made {
            Ok((listener, made)) => {
                place.made = Some(made);
                Ok(Self { listener, place })
            }
            Err(error) => {
                let _ = std::fs::remove_file(&fresh);
                Err(error)
            }
        }
    }

    /// Creates the socket in the place where `skup` looks by default.
    ///
    /// If a living router of the same id has that name, the name gets this process id appended.
    ///
    /// # Errors
    /// No folder of [`path::folders`] can be used. The error is that of
    /// [`bind`](Self::bind) in the first of them.
    pub fn bind_default(router_id: &str) -> Result<Self, SocketError> {
        Self::bind_in(&path::folders(), router_id)
    }

    fn bind_in(folders: &[PathBuf], router_id: &str) -> Result<Self, SocketError> {
        let mut refused = None;
        for folder in folders {
            let at = folder.join(path::file_name(router_id));
            let outcome = match path::prepare(folder) {
                Ok(()) => Self::bind(&at),
                Err(source) => {
                    Err(SocketError::System { path: at, action: "making its folder", source })
                }
            };
            match outcome {
                Err(SocketError::InUse { .. }) => {
                    return Self::bind(
                        &folder
                            .join(path::file_name(&format!("{router_id}-{}", std::process::id()))),
                    );
                }
                Err(error) => refused = refused.or(Some(error)),
                Ok(socket) => return Ok(socket),
            }
        }
        Err(refused.unwrap_or_else(|| SocketError::System {
            path: PathBuf::new(),
            action: "choosing a folder",
            source: io::Error::from(io::ErrorKind::NotFound),
        }))
    }

    /// Returns the socket's path.
    pub fn path(&self) -> &Path {
        &self.place.path
    }
}

impl Place {
    fn take(path: &Path) -> Result<Self, SocketError> {
        let fail = |action, source: io::Error| SocketError::System {
            path: path.to_owned(),
            action,
            source,
        };
        let lock_path = with_ending(path, ".lock");
        for _ in 0..LOCK_ROUNDS {
            let lock = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
                .open(&lock_path)
                .map_err(|source| fail("opening its lock file", source))?;
            match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Err(SocketError::InUse { path: path.to_owned() }),
                Err(error) => return Err(fail("locking", error.into())),
            }
            let locked = lock.metadata().map_err(|source| fail("locking", source))?;
            // The former holder may have removed the file between our open and our lock.
            if std::fs::symlink_metadata(&lock_path)
                .is_ok_and(|named| (named.dev(), named.ino()) == (locked.dev(), locked.ino()))
            {
                return Ok(Self { path: path.to_owned(), lock_path, made: None, _lock: lock });
            }
        }
        Err(SocketError::InUse { path: path.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let named =
            std::fs::symlink_metadata(&self.path).ok().map(|found| (found.dev(), found.ino()));
        if self.made.is_some() && named == self.made {
            let _ = std::fs::remove_file(&self.path);
        }
        // Remove the file before the lock goes: the next router then makes a new one.
        let _ = std::fs::remove_file(&self.lock_path);
    }
}

/// Creates a socket at `path`, sets its mode, and only then listens.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::fs::chmodat(rustix::fs::CWD, path, Mode::from_raw_mode(0o600), AtFlags::empty())?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Returns true if a process listens at `path`.
pub(crate) fn answers(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        // A full backlog is a sign of life too.
        Ok(()) | Err(Errno::WOULDBLOCK) => Ok(true),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn is_private_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        assert_eq!(std::fs::symlink_metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(socket.path(), path);
        UnixStream::connect(&path).unwrap();
        assert_eq!(names(folder.path()), ["a.sock", "a.sock.lock"]);
        drop(socket);
        assert_eq!(names(folder.path()), [] as [&str; 0]);
    }

    #[test]
    fn refuses_a_living_one_whoever_made_it() {
        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join("ours.sock");
        let _living = AdminSocket::bind(&ours).unwrap();
        assert!(matches!(AdminSocket::bind(&ours), Err(SocketError::InUse { .. })));
        UnixStream::connect(&ours).unwrap();

        let foreign = folder.path().join("foreign.sock");
        let _living = UnixListener::bind(&foreign).unwrap();
        assert!(matches!(AdminSocket::bind(&foreign), Err(SocketError::InUse { .. })));
        assert_eq!(names(folder.path()), ["foreign.sock", "ours.sock", "ours.sock.lock"]);
    }

    #[test]
    fn replaces_a_stale_one_and_its_lock_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        drop(UnixListener::bind(&path).unwrap());
        std::fs::write(folder.path().join("a.sock.lock"), "").unwrap();
        std::fs::write(folder.path().join("a.sock~"), "").unwrap();
        UnixStream::connect(&path).unwrap_err();
        let _socket = AdminSocket::bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        assert_eq!(names(folder.path()), ["a.sock", "a.sock.lock"]);
    }

    #[test]
    fn leaves_files_alone_that_are_no_sockets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        std::fs::write(&path, "keep").unwrap();
        assert!(matches!(AdminSocket::bind(&path), Err(SocketError::NotASocket { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "keep");
        assert_eq!(names(folder.path()), ["notes"]);
    }

    #[test]
    fn does_not_remove_the_socket_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(socket);
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_path_too_long_for_the_system_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x".repeat(120));
        let error = AdminSocket::bind(&path).unwrap_err();
        assert!(matches!(error, SocketError::System { action: "binding", .. }), "{error}");
        assert_eq!(names(folder.path()), [] as [&str; 0]);
    }

    #[test]
    fn a_second_router_of_one_id_gets_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [PathBuf::from("/proc/no/such/folder"), folder.path().join("run")];
        let first = AdminSocket::bind_in(&folders, "QDR").unwrap();
        let second = AdminSocket::bind_in(&folders, "QDR").unwrap();
        assert_eq!(first.path(), folders[1].join("QDR.sock"));
        assert_eq!(second.path(), folders[1].join(format!("QDR-{}.sock", std::process::id())));
        assert!(AdminSocket::bind_in(&folders[..1], "QDR").is_err());
    }

    #[test]
    fn of_many_that_start_at_once_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        drop(UnixListener::bind(&path).unwrap());
        let start = std::sync::Barrier::new(8);
        let sockets: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        AdminSocket::bind(&path)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(sockets.iter().filter(|socket| socket.is_ok()).count(), 1);
        UnixStream::connect(&path).unwrap();
    }
}
