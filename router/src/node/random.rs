//! Random numbers that cannot be guessed: the operating system's, fetched in portions.

use std::cell::RefCell;
use std::io;

use rustix::io::retry_on_intr;
use rustix::rand::{GetRandomFlags, getrandom};

/// Bytes that a thread fetches at a time. One call serves 32 addresses of service connections.
const PORTION: usize = 256;

thread_local! {
    static POOL: RefCell<Pool> = const {
        RefCell::new(Pool { octets: [0; PORTION], used: PORTION })
    };
}

/// The bytes that were fetched, and how many of them were given out. None is given out twice.
struct Pool {
    octets: [u8; PORTION],
    used: usize,
}

/// Asks the operating system once. Call it before the router starts: without random numbers, peers
/// could guess the addresses of others.
///
/// # Errors
/// Returns the system's error if it has no random numbers.
pub fn check() -> io::Result<()> {
    fill(&mut [0; 8])
}

/// Fills at most [`PORTION`] bytes. Asks the kernel, for the image has no devices to read from.
fn fill(octets: &mut [u8]) -> io::Result<()> {
    // A call for so few bytes fills all of them (getrandom(2)).
    retry_on_intr(|| getrandom(&mut *octets, GetRandomFlags::empty()))
        .map(|_| ())
        .map_err(io::Error::from)
}

/// Returns a number that others cannot guess, for nonces of answers and names of temporary
/// addresses.
///
/// # Panics
/// Panics if the system has no random numbers, though it had some at [`check`]. A guessable number
/// would be worse.
#[expect(clippy::expect_used, reason = "no number is better than one that others can guess")]
pub fn unguessable() -> u64 {
    POOL.with_borrow_mut(|pool| {
        if pool.octets.len() - pool.used < size_of::<u64>() {
            fill(&mut pool.octets).expect("the operating system's random numbers");
            pool.used = 0;
        }
        let (_, rest) = pool.octets.split_at_mut(pool.used);
        let (taken, _) = rest.split_first_chunk_mut().expect("eight octets are left");
        pool.used += size_of::<u64>();
        // Whoever reads this memory later learns nothing of the number.
        u64::from_ne_bytes(std::mem::take(taken))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_number_comes_twice_and_a_seed_changes_nothing() {
        check().unwrap();
        let draw = || {
            // Whoever knows the seed of the other generator knows nothing of this one.
            fastrand::seed(7);
            (0..1000).map(|_| unguessable()).collect::<Vec<_>>()
        };
        let (here, there) = (draw(), std::thread::spawn(draw).join().unwrap());
        let distinct: HashSet<_> = here.iter().chain(&there).collect();
        assert_eq!(distinct.len(), 2000);
        POOL.with_borrow(|pool| {
            assert!(pool.octets[..pool.used].iter().all(|octet| *octet == 0), "a number is kept")
        });
    }
}
