//! Opens the files that the router writes. No other user can redirect the output, and only the
//! group can read it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

/// The mode of a new file: its owner writes, its group may read.
const MODE: u32 = 0o640;

/// The folder of the system's devices, and of links to a process's open files such as
/// `/dev/stderr`.
const DEVICES: &str = "/dev";

/// The way in which a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// Append to an existing or new file: a regular file, a named pipe, or a terminal or another
    /// character device.
    Behind,
    /// Write a regular file from its beginning.
    Anew,
}

/// Opens a file for writing. Creates a missing one, which its owner may write and its group may
/// read.
///
/// It does not follow a link in the last name of the path. It does in `/dev`, where the links are
/// the system's. It never waits for a pipe's reader.
///
/// # Errors
/// The system refuses, or the path is a link or a file of another kind.
pub fn open(path: &Path, writing: Writing) -> io::Result<File> {
    // Without `NONBLOCK`, a pipe without a reader would block the open.
    let flags =
        OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::APPEND;
    let of_system = path.parent() == Some(Path::new(DEVICES));
    let links = if of_system { OFlags::empty() } else { OFlags::CREATE | OFlags::NOFOLLOW };
    let opened = match rustix::fs::open(path, flags | links, Mode::from_raw_mode(MODE)) {
        // With a descriptor that also reads, the router can write to a pipe before its reader
        // comes.
        Err(Errno::NXIO) => rustix::fs::open(
            path,
            flags.difference(OFlags::WRONLY) | OFlags::RDWR | OFlags::NOFOLLOW,
            Mode::empty(),
        ),
        opened => opened,
    };
    let file = opened.map_err(|error| match error {
        Errno::LOOP => io::Error::other(
            "it is a symbolic link, which is not followed: name the file that it leads to",
        ),
        error => error.into(),
    })?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    let fits = match writing {
        Writing::Behind => {
            matches!(kind, FileType::RegularFile | FileType::Fifo | FileType::CharacterDevice)
        }
        Writing::Anew => kind == FileType::RegularFile,
    };
    if !fits {
        return Err(io::Error::other(format!("it is {}", named(kind))));
    }
    settle(&file, writing)?;
    Ok(file.into())
}

/// Makes later writes wait, as they do for files, and empties a file that is written anew.
fn settle(file: &OwnedFd, writing: Writing) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(file)?;
    rustix::fs::fcntl_setfl(file, flags.difference(OFlags::NONBLOCK))?;
    if writing == Writing::Anew {
        rustix::fs::ftruncate(file, 0)?;
    }
    Ok(())
}

const fn named(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "a pipe and no file",
        FileType::CharacterDevice => "a device and no file",
        FileType::BlockDevice => "a block device",
        FileType::Directory => "a folder",
        FileType::Socket => "a socket",
        _ => "no file that can be written to",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_link_is_refused_and_what_it_leads_to_unharmed() {
        let folder = tempfile::tempdir().unwrap();
        let [target, link, fresh] =
            ["target", "link", "fresh"].map(|name| folder.path().join(name));
        std::fs::write(&target, "precious").unwrap();
        symlink(&target, &link).unwrap();
        for writing in [Writing::Behind, Writing::Anew] {
            let error = open(&link, writing).unwrap_err().to_string();
            assert!(error.contains("symbolic link"), "{error}");
        }
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
        symlink(&fresh, folder.path().join("dangling")).unwrap();
        open(&folder.path().join("dangling"), Writing::Anew).unwrap_err();
        assert!(!fresh.exists());
    }

    #[test]
    fn a_new_file_is_for_its_owner_and_group() {
        let folder = tempfile::tempdir().unwrap();
        for (name, writing) in [("log", Writing::Behind), ("pid", Writing::Anew)] {
            let path = folder.path().join(name);
            open(&path, writing).unwrap().write_all(b"one\n").unwrap();
            assert_eq!(
                std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777 & !MODE,
                0,
                "{name}"
            );
            open(&path, writing).unwrap().write_all(b"two\n").unwrap();
            let expected = if writing == Writing::Behind { "one\ntwo\n" } else { "two\n" };
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        }
    }

    #[test]
    fn logs_go_to_devices_and_pipes_too() {
        let folder = tempfile::tempdir().unwrap();
        open(Path::new("/dev/null"), Writing::Behind).unwrap().write_all(b"x").unwrap();
        open(Path::new("/dev/null"), Writing::Anew).unwrap_err();
        open(Path::new("/dev/stderr"), Writing::Behind).unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            .unwrap();
        // The pipe has no reader yet, and the open does not wait for one.
        open(&pipe, Writing::Anew).unwrap_err();
        let mut written = open(&pipe, Writing::Behind).unwrap();
        let mut reader = File::open(&pipe).unwrap();
        written.write_all(b"line\n").unwrap();
        let mut line = [0; 5];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"line\n");
        let error = open(folder.path(), Writing::Behind).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        open(&socket, Writing::Behind).unwrap_err();
    }
}
