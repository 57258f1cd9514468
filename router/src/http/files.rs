//! Serves the files of a folder (`httpRootDir`) unchanged.
//!
//! The kernel opens paths beneath the folder where it has such a call. Neither `..` nor a symbolic
//! link leads out of it. Names that begin with a dot are never served.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use percent_encoding::percent_decode_str;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use tokio::task::JoinHandle;

/// Bytes read at once. A slow client holds no more than these.
const READ: usize = 64 * 1024;

/// Longest path of a request, in bytes.
const MAX_PATH: usize = 1024;

/// The file that stands for its folder.
const INDEX: &str = "index.html";

/// Media types by the endings of names.
const TYPES: &[(&str, &str)] = &[
    ("css", "text/css"),
    ("gif", "image/gif"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/x-icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
];

/// The target of a path.
#[derive(Debug)]
pub enum Found {
    /// A file: its media type and its content.
    File(&'static str, Content),
    /// A folder that the client should name with a slash at the end.
    Folder,
}

/// A folder with files to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// Creates a folder for this path. The folder need not exist: each request looks for it.
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Finds the target of a request's path. Returns `None` if there is none, or if it may not be
    /// served.
    pub async fn find(&self, path: &str) -> Option<Found> {
        let relative = relative(path)?;
        let (folder, named_folder) = (self.0.clone(), path.ends_with('/'));
        tokio::task::spawn_blocking(move || open(&folder, &relative, named_folder)).await.ok()?
    }
}

/// Returns the decoded path beneath the folder; empty for the folder itself. Returns `None` for a
/// path with a hidden name or a NUL.
fn relative(path: &str) -> Option<PathBuf> {
    let path = path.strip_prefix('/').filter(|path| path.len() <= MAX_PATH)?;
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let mut relative = PathBuf::new();
    for name in decoded.split(|octet| *octet == b'/').filter(|name| !name.is_empty()) {
        if name.starts_with(b".") || name.contains(&0) {
            return None;
        }
        relative.push(OsStr::from_bytes(name));
    }
    Some(relative)
}

fn open(folder: &Path, relative: &Path, named_folder: bool) -> Option<Found> {
    let root =
        rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .ok()?;
    let file = if relative.as_os_str().is_empty() {
        None
    } else {
        Some(File::from(open_beneath(&root, relative).ok()?))
    };
    let is_folder =
        file.as_ref().is_none_or(|file| file.metadata().is_ok_and(|metadata| metadata.is_dir()));
    let (file, name) = match file {
        Some(file) if !is_folder => (file, relative.to_owned()),
        _ if !named_folder => return Some(Found::Folder),
        _ => {
            let index = relative.join(INDEX);
            (File::from(open_beneath(&root, &index).ok()?), index)
        }
    };
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let ending = name.extension().and_then(OsStr::to_str).unwrap_or_default();
    let kind = TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending));
    let kind = kind.map_or("application/octet-stream", |(_, kind)| *kind);
    Some(Found::File(
        kind,
        Content { file: Arc::new(file), at: 0, length: metadata.len(), reading: None },
    ))
}

/// Opens a path that does not leave the folder. Non-blocking, so that a pipe cannot hold the
/// thread.
fn open_beneath(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let rules = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(root, path, flags, Mode::empty(), rules) {
        // Kernels before 5.6 lack the call, and some sandboxes refuse it.
        Err(Errno::NOSYS | Errno::PERM) => open_without_links(root, path, flags),
        opened => opened,
    }
}

/// Opens a path as [`open_beneath`] does, but refuses every symbolic link.
fn open_without_links(root: &OwnedFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let mut at = root.try_clone().map_err(|_| Errno::MFILE)?;
    let mut names = path.iter().peekable();
    while let Some(name) = names.next() {
        let last = names.peek().is_none();
        let flags = if last { flags } else { OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC };
        at = rustix::fs::openat(&at, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(at)
}

/// The content of a file as a body. It reads the next piece when the client takes it.
#[derive(Debug)]
pub struct Content {
    file: Arc<File>,
    at: u64,
    length: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Content {
    fn left(&self) -> u64 {
        self.length.saturating_sub(self.at)
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let content = self.get_mut();
        let left = usize::try_from(content.left()).unwrap_or(usize::MAX);
        if left == 0 {
            return Poll::Ready(None);
        }
        let reading = content.reading.get_or_insert_with(|| {
            let (file, at) = (Arc::clone(&content.file), content.at);
            tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; left.min(READ)];
                file.read_exact_at(&mut piece, at)?;
                Ok(piece.into())
            })
        });
        let piece = ready!(Pin::new(reading).poll(context));
        content.reading = None;
        Poll::Ready(Some(piece.map_err(io::Error::other).and_then(|piece| piece).map(|piece| {
            content.at += piece.len() as u64;
            Frame::data(piece)
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

#[cfg(test)]
mod tests;
