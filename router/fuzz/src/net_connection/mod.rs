//! The fuzz target `net_connection`: AMQP connections of a whole router, without sockets and in
//! virtual time. The peers send anything, at any time, in any pieces.
//!
//! The first byte chooses the router's mode, and the others are commands ([`world`] lists them).
//! Commands drive a peer with a sound engine, so a few bytes reach links and deliveries. Other
//! commands put arbitrary frames and bytes between those of the engine, and frames of captured
//! conversations.
//!
//! These invariants hold at any time:
//!
//! * Nothing panics.
//! * The router comes to rest: the input's bytes bound the rounds of its loops ([`ROUNDS`]).
//! * The input's bytes bound its memory ([`MEMORY`], [`AMPLIFICATION`]).
//! * Connections end once their peers have hung up, and leave nothing behind ([`LEFT`]).

mod frames;
mod peer;
mod script;
mod world;

use std::time::Duration;

use world::World;

use crate::memory;

/// Rounds for each byte of the input, whatever the peers' engines send because of it. A byte that
/// comes alone takes one round, and another to see that no byte follows. A peer that answers
/// everything must not keep a router busy.
const ROUNDS: u64 = 16;

/// Rounds for a command of any length: timers of some connections, and turns of tasks that wake
/// each other.
const FREE_ROUNDS: u64 = 2000;

/// Bytes of a world without input: tables, and each connection's buffers.
const MEMORY: usize = 2 << 20;

/// Bytes of memory for each byte on a connection. It counts both ends, since the peers' engines are
/// in the same process. A frame of 30 bytes makes a link with its name, its record for management
/// and its place in the tables at either end.
const AMPLIFICATION: usize = 256;

/// Bytes that may remain after a world: buffers that threads keep, and log lines that wait.
const LEFT: usize = 256 << 10;

/// Longest input in bytes. Fuzzing would take too long to find longer ones.
const LONGEST: usize = 16 << 10;

/// The seed of all randomness, for every run must be the same.
const SEED: u64 = 7;

/// Runs an input.
///
/// # Panics
/// If an invariant does not hold.
pub fn run(octets: &[u8]) {
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| {
        // Log lines would cost more than everything else, and no thread writes them.
        let levels = skrouterd::log::Levels::parse("none").expect("a word for no levels");
        let options = skrouterd::log::Options { levels: Some(levels), ..Default::default() };
        skrouterd::log::configure(skrouterd::log::Scope::Default, &options)
            .expect("no output to open");
        // Fills the process's own tables and buffers, which are filled only once.
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
