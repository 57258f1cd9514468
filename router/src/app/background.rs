//! `--daemon`: the router in the background, for scripts that start it so.
//!
//! The process that is called starts another, which leaves the terminal's session. It ends when the
//! other is ready or has failed. No process that has threads is ever forked.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::arguments::Arguments;
use crate::files::{self, Writing};

/// The word with which the process in the background tells its parent that it is ready.
const READY: &str = "ok";

/// A user of the system.
struct User {
    uid: u32,
    gid: u32,
}

/// Starts the router in the background and waits until it is ready.
///
/// # Errors
/// It could not be started, or failed before it was ready. The failed process has logged the
/// reason.
pub(super) fn start(arguments: &Arguments) -> Result<(), String> {
    let failed = |what: &str, error: io::Error| format!("cannot {what}: {error}");
    let program = std::env::current_exe().map_err(|error| failed("find this program", error))?;
    let mut command = Command::new(program);
    command
        .arg0("skrouterd")
        .arg("--in-background")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    for (option, path) in
        [("--config", &arguments.config), ("--admin-socket", &arguments.admin_socket)]
    {
        if let Some(path) = path {
            let path = std::path::absolute(path)
                .map_err(|error| failed("find the current folder", error))?;
            command.arg(option).arg(path);
        }
    }
    if let Some(name) = &arguments.user {
        let user = find(name)?;
        command.gid(user.gid).uid(user.uid);
    }
    let mut child = command.spawn().map_err(|error| failed("start in the background", error))?;
    if let Some(path) = &arguments.pid_file
        && let Err(error) =
            files::open(path, Writing::Anew).and_then(|mut file| writeln!(file, "{}", child.id()))
    {
        // This process started it a moment ago, and without its file it is of no use.
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("cannot write the pid file {}: {error}", path.display()));
    }
    let mut said = String::new();
    if let Some(output) = child.stdout.take() {
        // The end of the child closes it.
        let _ = output.take(64).read_to_string(&mut said);
    }
    if said.trim() == READY {
        return Ok(());
    }
    let _ = child.wait();
    if let Some(path) = &arguments.pid_file {
        let _ = std::fs::remove_file(path);
    }
    Err("the router did not start in the background".to_owned())
}

/// Leaves the session of the caller. Call it in the background.
pub(super) fn detach() {
    // It fails only for a process that leads a session already, which is as good.
    let _ = rustix::process::setsid();
}

/// Tells the parent that the router is ready, and lets go of the terminal. Call it in the
/// background.
pub(super) fn ready() -> io::Result<()> {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    io::stdout().write_all(READY.as_bytes())?;
    io::stdout().flush()?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

fn find(name: &str) -> Result<User, String> {
    let path = Path::new("/etc/passwd");
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    lookup(&text, name).ok_or_else(|| format!("there is no user {name} in {}", path.display()))
}

fn lookup(users: &str, name: &str) -> Option<User> {
    let line = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))?;
    Some(User { uid: line.get(2)?.parse().ok()?, gid: line.get(3)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\n# a \
                     remark\nrunner:x:10000:100::/:/bin/false\nbroken:x:a:1\n";
        assert_eq!(lookup(users, "runner").map(|user| (user.uid, user.gid)), Some((10000, 100)));
        assert!(
            lookup(users, "run").is_none()
                && lookup(users, "broken").is_none()
                && lookup("", "root").is_none()
        );
    }
}
