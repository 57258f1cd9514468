//! TCP ports for the tests: free ones, and a check for a listener.

use std::fs::{File, OpenOptions};
use std::sync::Mutex;

/// The range lies below the kernel's ports for outgoing connections. So no client takes a port
/// between our check and a router's bind.
const FIRST: u16 = 12_000;
const LAST: u16 = 32_000;
/// Ports in a block. A process claims whole blocks, each with a lock file, so that parallel test
/// programs share none.
const BLOCK: u16 = 50;

struct Claim {
    next: u16,
    end: u16,
    _locks: Vec<File>,
}

static CLAIM: Mutex<Claim> = Mutex::new(Claim { next: 0, end: 0, _locks: Vec::new() });

/// Returns a port without a listener, which this process does not return again.
///
/// It does not try the port by a listen. A process that another thread starts meanwhile would
/// inherit the socket until it executes its program.
pub fn free() -> u16 {
    let mut claim = CLAIM.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    loop {
        while claim.next < claim.end {
            let port = claim.next;
            claim.next += 1;
            if !listening(port) {
                return port;
            }
        }
        let (lock, start) = block();
        claim._locks.push(lock);
        claim.next = start;
        claim.end = start + BLOCK;
    }
}

fn block() -> (File, u16) {
    let folder = std::env::temp_dir().join("skrouterd-test-ports");
    std::fs::create_dir_all(&folder).expect("a folder for the locks of test ports");
    let blocks = (LAST - FIRST) / BLOCK;
    let offset = fastrand::u16(..blocks);
    for index in 0..blocks {
        let number = (index + offset) % blocks;
        let Ok(file) = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(number.to_string()))
        else {
            continue;
        };
        if file.try_lock().is_ok() {
            return (file, FIRST + number * BLOCK);
        }
    }
    panic!("all blocks of test ports are taken");
}

/// Returns true if a process listens on `port`. Unlike a connect, the check leaves no trace in that
/// process.
pub fn listening(port: u16) -> bool {
    const LISTEN: &str = "0A";
    let wanted = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .any(|table| {
            table.lines().skip(1).any(|line| {
                let mut fields = line.split_ascii_whitespace();
                fields.nth(1).is_some_and(|local| local.ends_with(&wanted))
                    && fields.nth(1) == Some(LISTEN)
            })
        })
}
