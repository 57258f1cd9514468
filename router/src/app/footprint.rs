//! Giving back the memory that only the start needed.

use rustix::mm::{Advice, madvise};
use std::ffi::c_void;
use std::ptr;
use std::time::Duration;

/// After this the start is over: links are up, services known, and what is touched then is what a router at rest needs.
const START: Duration = Duration::from_millis(500);

/// Part of the process's memory, as the kernel tells it.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    start: usize,
    end: usize,
}

/// Lets go of the code that the start has read from the executable and its libraries, once it is over.
///
/// Reading a configuration, its certificates and the first handshakes touches most of the code there is, a little of each, and the
/// kernel reads 64 KiB around every place: 8 of the 12 MiB of a router at rest were such code. What is called again is mapped again.
pub(super) async fn shrink_after_start() {
    tokio::time::sleep(START).await;
    shrink();
}

fn shrink() {
    let Ok(text) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for Mapping { start, end } in clean_mappings(&text) {
        // A hint: where it is not taken, nothing is lost.
        let _ = let_go(start, end);
    }
}

/// The mappings of files that nothing can write to and nothing has written to: what stands there stands in the file. What was written
/// before a mapping was protected, relocations for example, is anonymous, or swapped out.
fn clean_mappings(smaps: &str) -> Vec<Mapping> {
    let mut found: Vec<Mapping> = Vec::new();
    // The mapping that the lines are about, and whether it has been said to have no page of its own.
    let mut current: Option<(Mapping, bool)> = None;
    let keep = |found: &mut Vec<Mapping>, ended: Option<(Mapping, bool)>| {
        found.extend(ended.filter(|ended| ended.1).map(|ended| ended.0))
    };
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        if let Some((start, end)) = first.split_once('-') {
            let (permissions, path) = (words.next().unwrap_or_default(), words.nth(3).unwrap_or_default());
            let range = usize::from_str_radix(start, 16).ok().zip(usize::from_str_radix(end, 16).ok());
            let candidate = matches!(permissions, "r-xp" | "r--p") && path.starts_with('/');
            keep(&mut found, current.take());
            current = range.filter(|_| candidate).map(|(start, end)| (Mapping { start, end }, false));
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

#[allow(unsafe_code)]
fn let_go(start: usize, end: usize) -> rustix::io::Result<()> {
    let at: *mut c_void = ptr::with_exposed_provenance_mut(start);
    // SAFETY: the range is a private mapping of a file, without permission to write and without a page of its own, as the kernel has just
    // told; an access to it after this reads the same octets from the file again. Nothing unmaps or changes such mappings at run time: no
    // library is loaded or unloaded after the start.
    unsafe { madvise(at, end.saturating_sub(start), Advice::LinuxDontNeed) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(clean_mappings(smaps), [Mapping { start: 0x1000, end: 0x3000 }, Mapping { start: 0x8000, end: 0x9000 }]);
    }

    #[test]
    fn what_is_called_again_is_there_again() {
        let before: Vec<u8> = (0..=255).collect();
        shrink();
        assert_eq!(before.iter().map(|octet| u32::from(*octet)).sum::<u32>(), 255 * 128);
        assert!(!clean_mappings(&std::fs::read_to_string("/proc/self/smaps").unwrap()).is_empty());
    }
}
