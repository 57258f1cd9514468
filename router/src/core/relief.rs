//! Chooses the streams to reset when the memory for all is nearly used: those that have stood still
//! for longest, of the service that holds most.
//!
//! A machine in virtual time. Its caller shows it the account and all streams, at the times that it
//! asks for. It knows how long each stream has stood still, and names those to reset.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use skupper_proto::time::Instant;

/// Parts of the ceiling: from the first on streams are watched, from the second on they are reset.
const WATCH: (usize, usize) = (1, 2);
const RESET: (usize, usize) = (3, 4);

/// The time between two looks at all streams: while memory is not short, and while it is. A link of
/// 1 Gbit/s brings 24 MiB in the longer one.
const SELDOM: Duration = Duration::from_millis(200);
const OFTEN: Duration = Duration::from_millis(50);

/// How long a stream may stand still: from the first, if memory is just short, down to the second,
/// the less is free. A reader on a busy machine sometimes takes as long as the second.
const PATIENCE: Duration = Duration::from_secs(10);
const LEAST: Duration = Duration::from_millis(100);

/// The state of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Bytes held in all.
    pub held: usize,
    /// The ceiling, in bytes.
    pub ceiling: usize,
}

/// The state of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its number, which is never used again.
    pub id: u64,
    /// The place of its service among those that the caller shows.
    pub service: usize,
    /// Bytes that its reader has taken so far.
    pub taken: u64,
    /// Bytes that wait for its reader.
    pub waiting: usize,
    /// It has been reset, and is about to give its memory back.
    pub going: bool,
}

/// A stream that is to be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Victim {
    /// Its number.
    pub id: u64,
    /// The time for which its reader has taken nothing.
    pub stalled: Duration,
    /// Bytes that wait for its reader.
    pub waiting: usize,
}

/// Watches the streams of services.
#[derive(Debug, Default)]
pub struct Relief {
    /// The bytes taken of each stream, and the time since which no more were.
    seen: HashMap<u64, (u64, Instant)>,
}

impl Standing {
    const fn part(self, (of, parts): (usize, usize)) -> usize {
        self.ceiling / parts * of
    }

    /// Returns the number of bytes held from which on streams are watched.
    pub const fn watched(self) -> usize {
        self.part(WATCH)
    }

    /// Returns the number of bytes held beyond which streams are reset.
    pub const fn short(self) -> usize {
        self.part(RESET)
    }

    /// Returns how long a stream may stand still.
    fn patience(self) -> Duration {
        let free = self.ceiling.saturating_sub(self.held);
        let band = self.ceiling - self.short();
        let thousandths = u32::try_from(free.min(band) / (band / 1000).max(1)).unwrap_or(1000);
        LEAST + (PATIENCE - LEAST) * thousandths.min(1000) / 1000
    }
}

impl Relief {
    /// Looks at all streams. `services` holds the number of bytes that each service holds. Returns
    /// the streams to reset, and when to look again: `None` while there is nothing to watch.
    #[expect(clippy::indexing_slicing, reason = "each service has its place")]
    pub fn look(
        &mut self,
        now: Instant,
        mut standing: Standing,
        services: &[usize],
        streams: &[Stream],
    ) -> (Vec<Victim>, Option<Duration>) {
        if standing.held < standing.watched() {
            self.seen = HashMap::new();
            return (Vec::new(), None);
        }
        let mut held = services.to_vec();
        let mut seen = HashMap::with_capacity(streams.len());
        // The streams of each service that stand still, the longest last.
        let mut still: Vec<Vec<Victim>> = vec![Vec::new(); services.len()];
        for stream in streams {
            let since = match self.seen.get(&stream.id) {
                Some((taken, since)) if *taken == stream.taken && stream.waiting > 0 => *since,
                _ => now,
            };
            seen.insert(stream.id, (stream.taken, since));
            if stream.going {
                standing.held = standing.held.saturating_sub(stream.waiting);
                if let Some(held) = held.get_mut(stream.service) {
                    *held = held.saturating_sub(stream.waiting);
                }
            } else if stream.waiting > 0
                && let Some(still) = still.get_mut(stream.service)
            {
                still.push(Victim {
                    id: stream.id,
                    stalled: now.since(since),
                    waiting: stream.waiting,
                });
            }
        }
        self.seen = seen;
        for still in &mut still {
            still.sort_by_key(|victim| (victim.stalled, Reverse(victim.id)));
        }
        let mut victims = Vec::new();
        while standing.held > standing.short() {
            let (patience, free) =
                (standing.patience(), standing.ceiling.saturating_sub(standing.held));
            let due =
                |still: &Vec<Victim>| still.last().is_some_and(|victim| victim.stalled >= patience);
            // A service that holds no more than is free has no more than its share.
            let greedy = (0..services.len())
                .filter(|at| held[*at] > free && due(&still[*at]))
                .max_by_key(|at| held[*at]);
            let Some((at, victim)) = greedy.and_then(|at| Some((at, still[at].pop()?))) else {
                break;
            };
            standing.held = standing.held.saturating_sub(victim.waiting);
            held[at] = held[at].saturating_sub(victim.waiting);
            victims.push(victim);
        }
        (victims, Some(if standing.held > standing.short() { OFTEN } else { SELDOM }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: usize = 1024 * 1024;
    const CEILING: usize = 64 * MIB;

    /// Streams in virtual time, and the rest of the memory.
    struct World {
        relief: Relief,
        now: Instant,
        streams: Vec<Stream>,
        /// Bytes that are held beside the streams.
        other: usize,
    }

    impl World {
        fn new() -> Self {
            Self {
                relief: Relief::default(),
                now: Instant::from_millis(1000),
                streams: Vec::new(),
                other: 0,
            }
        }

        fn add(&mut self, service: usize, waiting: usize) -> u64 {
            let id = self.streams.len() as u64;
            self.streams.push(Stream { id, service, taken: 0, waiting, going: false });
            id
        }

        fn held(&self) -> usize {
            self.other + self.streams.iter().map(|stream| stream.waiting).sum::<usize>()
        }

        /// Lets time pass and looks. A stream that is reset gives its memory back.
        fn look(&mut self, after: u64) -> Vec<u64> {
            self.now += Duration::from_millis(after);
            let mut services = vec![0; 8];
            self.streams.iter().for_each(|stream| services[stream.service] += stream.waiting);
            let standing = Standing { held: self.held(), ceiling: CEILING };
            let (victims, _) = self.relief.look(self.now, standing, &services, &self.streams);
            for victim in &victims {
                self.streams[victim.id as usize].waiting = 0;
            }
            victims.iter().map(|victim| victim.id).collect()
        }
    }

    #[test]
    fn nothing_is_reset_while_memory_is_not_short() {
        let mut world = World::new();
        (0..40).for_each(|_| _ = world.add(0, MIB));
        for _ in 0..100 {
            assert!(world.look(60_000).is_empty());
        }
    }

    #[test]
    fn the_longest_stalled_go_first_and_no_more_than_must() {
        let mut world = World::new();
        for n in 0..48 {
            world.add(0, MIB);
            assert!(world.look(1000).is_empty(), "{n}");
        }
        // Three quarters are held, and one stream more is too much. The first has waited for
        // longest.
        world.add(0, MIB);
        let mut gone = Vec::new();
        for _ in 0..100 {
            gone.extend(world.look(50));
        }
        assert_eq!(gone, [0]);
        assert_eq!(world.held(), 48 * MIB);
    }

    #[test]
    fn patience_falls_with_what_is_free() {
        for (held, patience) in [(48, 10_000), (56, 5_050), (62, 1_337), (64, 100), (80, 100)] {
            let standing = Standing { held: held * MIB, ceiling: CEILING };
            assert_eq!(standing.patience().as_millis(), patience, "{held} MiB");
        }
        // A flood that no reader takes is reset within moments, as soon as others would have to
        // wait.
        let mut world = World::new();
        (0..80).for_each(|_| _ = world.add(0, MIB));
        let reset: usize = (0..6).map(|_| world.look(50).len()).sum();
        assert!(world.held() < CEILING && reset > 16 && reset < 24, "{reset} were reset");
    }

    #[test]
    fn who_reads_is_spared_and_so_is_a_service_that_holds_its_share() {
        let mut world = World::new();
        let modest = world.add(1, 3 * MIB);
        let slow: Vec<_> = (0..20).map(|_| world.add(0, MIB)).collect();
        let stalled: Vec<_> = (0..40).map(|_| world.add(0, MIB)).collect();
        let mut gone = Vec::new();
        for _ in 0..400 {
            slow.iter().for_each(|id| world.streams[*id as usize].taken += 1);
            gone.extend(world.look(50));
        }
        assert!(!gone.contains(&modest) && !gone.iter().any(|id| slow.contains(id)), "{gone:?}");
        assert!(gone.len() >= 14 && gone.iter().all(|id| stalled.contains(id)), "{gone:?}");
    }

    #[test]
    fn what_is_about_to_go_counts_as_gone() {
        let mut world = World::new();
        (0..64).for_each(|_| _ = world.add(0, MIB));
        let services = [64 * MIB];
        let standing = Standing { held: 64 * MIB, ceiling: CEILING };
        let _ = world.relief.look(world.now, standing, &services, &world.streams);
        world.now += LEAST;
        let (first, next) = world.relief.look(world.now, standing, &services, &world.streams);
        assert!(!first.is_empty() && next == Some(OFTEN));
        for victim in &first {
            world.streams[victim.id as usize].going = true;
        }
        world.now += Duration::from_millis(1);
        let (second, _) = world.relief.look(world.now, standing, &services, &world.streams);
        assert_eq!(second, [], "the same memory is given up once");
    }

    proptest! {
        /// In the end no more is held than the limit for resets, unless no service holds it or each
        /// has just its share.
        #[test]
        fn stalled_streams_are_given_up_until_enough_is_free(
            streams in proptest::collection::vec((0..8_usize, 1..2 * MIB), 0..200),
            other in 0..CEILING,
        ) {
            let mut world = World::new();
            world.other = other;
            for (service, waiting) in streams {
                world.add(service, waiting);
            }
            for _ in 0..400 {
                world.look(50);
            }
            let mut services = [0; 8];
            world.streams.iter().for_each(|stream| services[stream.service] += stream.waiting);
            let free = CEILING.saturating_sub(world.held());
            prop_assert!(world.held() <= CEILING / 4 * 3
                || services.iter().all(|held| *held <= free), "{services:?}, {free} free");
        }
    }
}
