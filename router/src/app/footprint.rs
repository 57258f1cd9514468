//! Gives back memory that only the start or a crowd of connections needed.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rustix::mm::{Advice, madvise};
use skupper_proto::time::Instant;

use crate::node::Node;

/// Time after which the start is over. Links are up and services known, so later accesses touch
/// only what a router at rest needs.
const START: Duration = Duration::from_millis(500);

/// Time between two looks at the number of connections.
const LOOK: Duration = Duration::from_secs(5);

/// Connections that make a crowd. Each leaves 5 KiB or more behind.
const CROWD: usize = 500;

/// Time from the end of a crowd to the trim of the heap. By then its streaming links are gone and
/// the tables are small again.
const QUIET: Duration = Duration::from_secs(48);

/// Time between two trims. The links of a larger crowd take longer to go.
const TRIMS: u32 = 2;

/// A part of the process's memory, as the kernel tells it.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    start: usize,
    end: usize,
}

/// Lets go of the code that the start has read from the executable and its libraries.
///
/// Reading a configuration, its certificates and the first handshakes touches a little of most
/// code. The kernel reads 64 KiB around every place. So 8 of the 12 MiB of a router at rest were
/// such code. Code that is called again is mapped again.
pub(super) async fn shrink_after_start() {
    tokio::time::sleep(START).await;
    shrink();
}

/// Returns unused pages of the heap, and code, to the system after a crowd of connections has gone.
///
/// The C library keeps freed memory below a live block. It looks through its whole heap for such
/// memory, which takes some milliseconds. So the router does this when little waits, and not at
/// every end of a connection.
pub(super) async fn shrink_after_peaks(node: Arc<Node>) {
    let mut ebb = Ebb::default();
    loop {
        tokio::time::sleep(LOOK).await;
        let (count, most) = node.registry.count();
        if ebb.look(node.clock.now(), count, most) {
            trim();
            shrink();
        }
    }
}

/// Tells when a crowd has gone and the heap should be trimmed.
#[derive(Debug, Default)]
struct Ebb {
    peak: usize,
    gone: Option<Instant>,
    trims: u32,
}

impl Ebb {
    /// Takes the number of connections, and the most there were since the last call. Returns
    /// whether to trim.
    fn look(&mut self, now: Instant, count: usize, most: usize) -> bool {
        self.peak = self.peak.max(most);
        if count > self.peak / 2 || self.peak - count < CROWD {
            (self.gone, self.trims) = (None, 0);
            return false;
        }
        let gone = *self.gone.get_or_insert(now);
        if now.since(gone) < QUIET * (self.trims + 1) {
            return false;
        }
        self.trims += 1;
        if self.trims == TRIMS {
            *self = Self { peak: count, ..Self::default() };
        }
        true
    }
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a call of the C library")]
fn trim() {
    // SAFETY: the C library's function of this name and type (malloc_trim(3)), which any thread may
    // call at any time.
    unsafe extern "C" {
        safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    malloc_trim(0);
}

#[cfg(not(target_env = "gnu"))]
fn trim() {}

fn shrink() {
    let Ok(text) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for Mapping { start, end } in clean_mappings(&text) {
        // It is a hint. A refusal loses nothing.
        let _ = let_go(start, end);
    }
}

/// Returns the mappings of files that hold nothing but the file: nothing can write to them and
/// nothing has. Pages that were written before a mapping was protected, relocations for example,
/// are anonymous or swapped out.
fn clean_mappings(smaps: &str) -> Vec<Mapping> {
    let mut found: Vec<Mapping> = Vec::new();
    // The mapping that the lines are about, and whether the kernel says that it has no page of its
    // own.
    let mut current: Option<(Mapping, bool)> = None;
    let keep = |found: &mut Vec<Mapping>, ended: Option<(Mapping, bool)>| {
        found.extend(ended.filter(|ended| ended.1).map(|ended| ended.0))
    };
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        if let Some((start, end)) = first.split_once('-') {
            let (permissions, path) =
                (words.next().unwrap_or_default(), words.nth(3).unwrap_or_default());
            let range =
                usize::from_str_radix(start, 16).ok().zip(usize::from_str_radix(end, 16).ok());
            let candidate = matches!(permissions, "r-xp" | "r--p") && path.starts_with('/');
            keep(&mut found, current.take());
            current =
                range.filter(|_| candidate).map(|(start, end)| (Mapping { start, end }, false));
        } else if let Some((_, clean)) = &mut current {
            match (first, words.next()) {
                ("Anonymous:", Some("0")) => *clean = true,
                ("Anonymous:" | "Swap:", octets) if octets != Some("0") => current = None,
                _ => {}
            }
        }
    }
    keep(&mut found, current);
    found
}

#[expect(unsafe_code, reason = "a call of the C library")]
fn let_go(start: usize, end: usize) -> rustix::io::Result<()> {
    let at: *mut c_void = ptr::with_exposed_provenance_mut(start);
    // SAFETY: the range is a private mapping of a file, without permission to write and without a
    // page of its own, as the kernel has just told. A later access reads the same bytes from the
    // file again. Nothing unmaps or changes such mappings at run time, because no library is loaded
    // or unloaded after the start.
    unsafe { madvise(at, end.saturating_sub(start), Advice::LinuxDontNeed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_is_trimmed_within_a_minute_after_a_crowd_has_gone_and_not_while_it_is_there() {
        // The number of connections at each look.
        let trims = |counts: &mut dyn Iterator<Item = usize>| {
            let (mut ebb, mut most) = (Ebb::default(), 0);
            let mut look = |(n, count): (usize, usize)| {
                let now = Instant::ZERO + LOOK * u32::try_from(n).unwrap();
                let found = ebb.look(now, count, std::mem::replace(&mut most, count).max(count));
                found.then(|| u64::try_from(n).unwrap() * LOOK.as_secs())
            };
            counts.enumerate().filter_map(&mut look).collect::<Vec<_>>()
        };
        let crowd = || std::iter::repeat_n(8000, 10).chain(std::iter::repeat_n(3, 200));
        let found = trims(&mut crowd());
        assert_eq!(found.len(), TRIMS as usize, "{found:?}");
        assert!(found[0] < 10 * LOOK.as_secs() + 60, "{found:?}");
        assert_eq!(trims(&mut crowd().chain(crowd())).len(), 2 * TRIMS as usize);
        // Few connections, a crowd that changes, and a crowd that comes back at once.
        assert!(
            trims(&mut std::iter::repeat_n(CROWD - 1, 10).chain(std::iter::repeat_n(0, 200)))
                .is_empty()
        );
        assert!(trims(&mut (0..200).map(|n| 5000 + n % 7 * 500)).is_empty());
        assert!(trims(&mut (0..200).map(|n| if n % 5 == 0 { 8000 } else { 100 })).is_empty());
    }

    /// Returns the bytes of this process that are resident.
    #[cfg(target_env = "gnu")]
    fn resident() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split_ascii_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn what_was_freed_below_something_that_lives_is_given_back() {
        const ALL: usize = 64 * 1024 * 1024;
        let mut pieces: Vec<Vec<u8>> =
            (0..ALL / 4096).map(|n| vec![u8::try_from(n % 251).unwrap(); 4096]).collect();
        let last = pieces.pop();
        drop(pieces);
        let before = resident();
        trim();
        let given = before.saturating_sub(resident());
        assert!(given > ALL / 2, "{given} of {ALL} octets");
        drop(last);
    }

    #[test]
    fn only_what_stands_in_the_file_is_let_go() {
        let smaps = "\
1000-3000 r-xp 00001000 08:01 7   /usr/bin/skrouterd
Size:                  8 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
3000-4000 r--p 00003000 08:01 7   /usr/bin/skrouterd
Anonymous:             4 kB
4000-5000 rw-p 00004000 08:01 7   /usr/bin/skrouterd
Anonymous:             0 kB
5000-6000 rw-p 00000000 00:00 0   [heap]
Anonymous:             0 kB
6000-7000 r--s 00000000 08:01 8   /shared
Anonymous:             0 kB
7000-8000 r-xp 00000000 00:00 0   [vdso]
Anonymous:             0 kB
9000-a000 r--p 00004000 08:01 7   /usr/bin/skrouterd
Anonymous:             0 kB
Swap:                  4 kB
8000-9000 r--p 00000000 08:01 9   /lib/with a blank (deleted)
Anonymous:             0 kB
a000-b000 r--p 00005000 08:01 7   /usr/bin/skrouterd
Size:                  4 kB
";
        assert_eq!(
            clean_mappings(smaps),
            [Mapping { start: 0x1000, end: 0x3000 }, Mapping { start: 0x8000, end: 0x9000 }]
        );
    }

    #[test]
    fn what_is_called_again_is_there_again() {
        let before: Vec<u8> = (0..=255).collect();
        shrink();
        assert_eq!(before.iter().map(|octet| u32::from(*octet)).sum::<u32>(), 255 * 128);
        assert!(!clean_mappings(&std::fs::read_to_string("/proc/self/smaps").unwrap()).is_empty());
    }
}
