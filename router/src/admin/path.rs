//! The default place of the admin socket, by one rule that the daemon and `skup` share.
//!
//! The folder is `$XDG_RUNTIME_DIR/skrouterd` if that variable names a folder of this user.
//! Otherwise it is `/tmp/skrouterd-<user id>`, for a container may have no other writable folder
//! than `/tmp`. The file is `<router id>.sock`. The daemon takes the first folder that it can use.
//! `skup` looks into both, since its environment may differ from the daemon's.

use std::fmt::Write;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// Longest file name before its ending. The address of a unix socket holds 107 bytes in all.
const NAME_LIMIT: usize = 48;

/// Returns the folders for this user's sockets, first choice first. They need not exist.
pub fn folders() -> Vec<PathBuf> {
    folders_for(
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
        rustix::process::geteuid().as_raw(),
    )
}

fn folders_for(runtime: Option<PathBuf>, user: u32) -> Vec<PathBuf> {
    let ours = |folder: &PathBuf| {
        folder.is_absolute()
            && std::fs::metadata(folder).is_ok_and(|m| m.is_dir() && m.uid() == user)
    };
    let mut folders: Vec<_> =
        runtime.filter(ours).map(|folder| folder.join("skrouterd")).into_iter().collect();
    folders.push(PathBuf::from(format!("/tmp/skrouterd-{user}")));
    folders
}

/// Returns the file name for a router: its id, in which letters, digits, `-`, `_` and inner dots
/// stay.
///
/// Every other byte becomes `%` and two hexadecimal digits. The function cuts a longer id and
/// appends a hash that makes it distinct.
pub fn file_name(router_id: &str) -> String {
    let mut name = String::with_capacity(router_id.len().saturating_add(5));
    for (at, octet) in router_id.bytes().enumerate() {
        if octet.is_ascii_alphanumeric()
            || matches!(octet, b'-' | b'_')
            || (octet == b'.' && at > 0)
        {
            name.push(char::from(octet));
        } else {
            let _ = write!(name, "%{octet:02x}");
        }
    }
    if name.len() > NAME_LIMIT {
        name.truncate(NAME_LIMIT - 17);
        let _ = write!(name, "-{:016x}", hash(router_id.as_bytes()));
    }
    name.push_str(".sock");
    name
}

/// Hashes by FNV-1a, which gives one name in every process and release. The standard library's hash
/// does not promise that.
fn hash(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Creates a folder for sockets, private to this user. Mends the mode of an existing one.
///
/// # Errors
/// The folder cannot be created, or belongs to another user. In `/tmp` another user could
/// create it first and answer in the router's place.
pub(super) fn prepare(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Both steps use one descriptor, so the folder that is checked is the folder that is changed.
    let opened = rustix::fs::open(
        folder,
        OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let found = rustix::fs::fstat(&opened)?;
    if found.st_uid != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "the folder belongs to user {}; remove it or name a socket elsewhere",
                found.st_uid
            ),
        ));
    }
    if found.st_mode & 0o777 != 0o700 {
        rustix::fs::fchmod(&opened, Mode::from_raw_mode(0o700))?;
    }
    Ok(())
}

/// Returns every socket of this user's routers, sorted. A socket's router may be dead.
pub fn list() -> Vec<PathBuf> {
    list_in(&folders())
}

fn list_in(folders: &[PathBuf]) -> Vec<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let mut sockets: Vec<_> = folders
        .iter()
        .filter(|folder| {
            std::fs::symlink_metadata(folder).is_ok_and(|m| m.is_dir() && m.uid() == user)
        })
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flat_map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "sock"))
        .collect();
    sockets.sort();
    sockets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_short_and_distinct() {
        assert_eq!(file_name("north"), "north.sock");
        assert_eq!(file_name("pod-a.b_1"), "pod-a.b_1.sock");
        assert_eq!(file_name("../x"), "%2e.%2fx.sock");
        let long = [file_name(&"é".repeat(200)), file_name(&"é".repeat(201))];
        assert!(
            long.iter().all(|name| name.len() <= NAME_LIMIT + 5 && name.is_ascii()),
            "{long:?}"
        );
        assert_ne!(long[0], long[1]);
    }

    #[test]
    fn the_runtime_folder_comes_first_only_if_it_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let user = rustix::process::geteuid().as_raw();
        let fall_back = PathBuf::from(format!("/tmp/skrouterd-{user}"));
        let of = |runtime: Option<&Path>| folders_for(runtime.map(Path::to_owned), user);
        assert_eq!(of(Some(folder.path())), [folder.path().join("skrouterd"), fall_back.clone()]);
        assert_eq!(of(Some(Path::new("/nowhere/at/all"))), std::slice::from_ref(&fall_back));
        assert_eq!(of(Some(Path::new("."))), std::slice::from_ref(&fall_back));
        assert_eq!(of(None), [fall_back]);
        assert_eq!(
            folders_for(Some(folder.path().to_owned()), user + 1),
            [format!("/tmp/skrouterd-{}", user + 1)].map(PathBuf::from)
        );
    }

    #[test]
    fn a_folder_is_made_private_and_a_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        let made = folder.path().join("made");
        prepare(&made).unwrap();
        assert_eq!(mode(&made), 0o700);
        std::fs::set_permissions(&made, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        prepare(&made).unwrap();
        assert_eq!(mode(&made), 0o700);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&made, &link).unwrap();
        prepare(&link).unwrap_err();
        prepare(&folder.path().join("no/such/parent")).unwrap_err();
    }

    #[test]
    fn lists_only_sockets_of_own_folders() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.sock", "a.sock", "a.sock.lock"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = list_in(&[folder.path().to_owned(), folder.path().join("missing")]);
        assert_eq!(found, [folder.path().join("a.sock"), folder.path().join("b.sock")]);
    }
}
