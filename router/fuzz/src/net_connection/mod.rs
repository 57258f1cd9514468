//! AMQP connections of a whole router, without sockets and in virtual time: peers that say
//! anything, at any time, in any pieces.
//!
//! The first octet chooses the router's mode, the others are commands ([`world`] lists them). A
//! peer is a sound engine that the commands drive, so that an input of a few octets reaches links
//! and deliveries; other commands put frames and octets of any kind between what the engine says,
//! and the frames of the conversations that were captured. What must hold, at any time:
//!
//! * Nothing panics.
//! * The router comes to rest: the rounds of its loops are bounded by the octets that came
//!   ([`ROUNDS`]).
//! * Its memory is bounded by the octets that came ([`MEMORY`], [`AMPLIFICATION`]).
//! * Connections end once their peers have hung up, and leave nothing behind ([`LEFT`]).

mod frames;
mod peer;
mod world;

use std::time::Duration;

use world::World;

use crate::memory;

/// Rounds for each octet of the input, whatever the peers' engines make of them. An octet that
/// comes alone takes a round, and one to see that there is no more; a peer that answers whatever
/// comes must not keep a router busy.
const ROUNDS: u64 = 16;

/// Rounds that a command may take whatever it brings: timers of some connections, and turns of
/// tasks that wake each other.
const FREE_ROUNDS: u64 = 2000;

/// Octets that a world takes without having heard anything: tables, and each connection's buffers.
const MEMORY: usize = 2 << 20;

/// Octets of memory for each octet that came, of both ends together: the peers' engines are in the
/// same process. A frame of 30 octets makes a link with its name, its record for management and its
/// place in the tables at either end.
const AMPLIFICATION: usize = 256;

/// Octets that may be left when a world is gone: what threads keep to use again, and log lines that
/// wait.
const LEFT: usize = 256 << 10;

/// The longest input. What takes more octets than this to happen takes too long to be found.
const LONGEST: usize = 16 << 10;

/// Where randomness begins, for it must be the same with every run.
const SEED: u64 = 7;

/// Runs an input.
///
/// # Panics
/// Something that must hold does not.
pub fn run(octets: &[u8]) {
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| {
        // Log lines would cost more than all else, and there is no thread that writes them.
        let levels = skrouterd::log::Levels::parse("none").expect("a word for no levels");
        let options = skrouterd::log::Options { levels: Some(levels), ..Default::default() };
        skrouterd::log::configure(skrouterd::log::Scope::Default, &options)
            .expect("no output to open");
        // Fills what is filled once in a process.
        world(&[0, 1, 0, 3, 0, 0]);
    });
    let before = memory::live();
    world(&octets[..octets.len().min(LONGEST)]);
    let left = memory::live().saturating_sub(before);
    assert!(left <= LEFT, "{left} octets are left");
}

fn world(octets: &[u8]) {
    fastrand::seed(SEED);
    memory::reset_peak();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut world = World::new(octets);
        while world.step().await {}
        world.end(Duration::from_secs(3600)).await;
    });
}
