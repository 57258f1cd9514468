use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// The duration of a check.
const CHECK: Duration = Duration::from_millis(100);

/// Clients, and a machine that checks their passwords in virtual time.
struct Scene {
    turns: Turns<u32>,
    now: Instant,
    /// The source of each login, and whether its password is right.
    logins: BTreeMap<Ticket, (u32, bool)>,
    checking: Vec<(Instant, Ticket)>,
    /// The time of each login's answer.
    answered: BTreeMap<Ticket, Instant>,
    turned_away: usize,
}

impl Scene {
    fn new(at_once: usize) -> Self {
        Self {
            turns: Turns::new(at_once),
            now: Instant::ZERO,
            logins: BTreeMap::new(),
            checking: Vec::new(),
            answered: BTreeMap::new(),
            turned_away: 0,
        }
    }

    fn ask(&mut self, source: u32, user: &str, right: bool) -> Option<Ticket> {
        match self.turns.ask(source, user, self.now) {
            Ok((ticket, turned_away)) => {
                self.logins.insert(ticket, (source, right));
                self.turned_away += usize::from(turned_away.is_some());
                Some(ticket)
            }
            Err(TooMany) => {
                self.turned_away += 1;
                None
            }
        }
    }

    /// Lets time pass in steps of a millisecond.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            while let Some(ticket) = self.turns.next(self.now) {
                self.checking.push((self.now + CHECK, ticket));
            }
            self.now += Duration::from_millis(1);
            let (over, checking) = self.checking.iter().partition(|(end, _)| *end <= self.now);
            self.checking = checking;
            for (_, ticket) in Vec::from_iter::<Vec<_>>(over) {
                let (source, right) = self.logins[&ticket];
                self.turned_away += self.turns.done(source, right, self.now).len();
                self.answered.insert(ticket, self.now);
            }
        }
    }
}

#[test]
fn wrong_logins_of_one_source_do_not_delay_another() {
    let mut scene = Scene::new(1);
    for number in 0..600 {
        scene.ask(1, &format!("user-{number}"), false);
    }
    scene.run(Duration::from_millis(50));
    let right = scene.ask(2, "alice", true).expect("it may wait");
    let asked = scene.now;
    scene.run(Duration::from_secs(20));
    assert!(scene.answered[&right].since(asked) <= CHECK * 2, "{:?}", scene.answered[&right]);
    assert!(scene.turned_away >= 600 - 2 * WAITING);
}

#[test]
fn a_right_login_beside_a_guesser_has_its_answer_in_time() {
    let mut scene = Scene::new(1);
    let mut asked = None;
    // A guess every five milliseconds, for a minute.
    for guess in 0..12_000 {
        scene.ask(1, "alice", false);
        if guess == 6_000 {
            asked = scene.ask(1, "bob", true).map(|ticket| (ticket, scene.now));
        }
        scene.run(Duration::from_millis(5));
    }
    let (ticket, at) = asked.expect("one user's guesses do not keep another out");
    let took = scene.answered.get(&ticket).expect("an answer").since(at);
    assert!(took < Duration::from_secs(10), "{took:?}");
    let checks = scene.answered.len();
    assert!(checks < 75, "the guesser had {checks} checks in a minute");
}

/// A pool of clients starts like this, and so do all clients behind one address after a restart.
#[test]
fn who_is_right_may_log_in_many_times_at_once() {
    let mut scene = Scene::new(1);
    let tickets: Vec<_> =
        (0..50).map(|_| scene.ask(1, "alice", true).expect("it may wait")).collect();
    scene.run(Duration::from_secs(10));
    assert!(tickets.iter().all(|ticket| scene.answered.contains_key(ticket)));
}

#[test]
fn failures_slow_down_and_are_forgiven() {
    let mut scene = Scene::new(4);
    let mut times = Vec::new();
    for _ in 0..9 {
        let ticket = scene.ask(1, "alice", false).expect("it may wait");
        while !scene.answered.contains_key(&ticket) {
            scene.run(Duration::from_millis(1));
        }
        times.push(scene.answered[&ticket]);
    }
    let pauses: Vec<_> =
        times.windows(2).map(|pair| (pair[1].since(pair[0]) - CHECK).as_millis()).collect();
    assert_eq!(pauses, [0, 0, 0, 125, 250, 500, 1000, 1000]);
    scene.run(FORGIVEN * 9);
    for expected in [0, 0] {
        scene.ask(1, "alice", false).expect("it may wait");
        assert_eq!(
            scene.turns.due(1, scene.now).map_or(0, |due| due.since(scene.now).as_millis()),
            expected
        );
        scene.run(CHECK * 2);
    }
}

#[test]
fn a_source_that_is_right_leaves_no_record() {
    let mut scene = Scene::new(2);
    for source in 0..100 {
        scene.ask(source, "alice", true);
        scene.run(Duration::from_millis(60));
    }
    scene.run(Duration::from_secs(1));
    assert!(scene.turns.sources.is_empty());
}

#[test]
fn a_bounded_number_of_sources_is_remembered() {
    let (mut turns, mut now) = (Turns::new(1), Instant::ZERO);
    for source in 0..2 * SOURCES {
        turns.ask(source, "alice", now).expect("it may wait");
        turns.next(now).expect("it is its turn");
        turns.done(source, false, now);
        now += Duration::from_millis(1);
    }
    assert_eq!(turns.sources.len(), SOURCES);
    assert!(!turns.sources.contains_key(&0) && turns.sources.contains_key(&(2 * SOURCES - 1)));
}

#[test]
fn a_source_that_is_refused_at_once_leaves_no_record() {
    let mut turns = Turns::new(1);
    for source in 0..ALL_WAITING {
        turns.ask(source, "alice", Instant::ZERO).expect("it may wait");
    }
    assert_eq!(turns.ask(ALL_WAITING, "alice", Instant::ZERO), Err(TooMany));
    assert!(!turns.sources.contains_key(&ALL_WAITING) && turns.sources.len() == ALL_WAITING);
    // A source on record waits no more either, and keeps its record.
    assert_eq!(turns.ask(0, "alice", Instant::ZERO), Err(TooMany));
    assert!(turns.sources.contains_key(&0));
}

#[derive(Clone, Debug)]
enum Step {
    Ask(u32, u8),
    Withdraw(usize),
    Done(usize, bool),
    Pass(u16),
}

proptest! {
    #[test]
    fn its_counts_are_right(steps in prop::collection::vec(prop_oneof![
        4 => (0..5_u32, 0..3_u8).prop_map(|(source, user)| Step::Ask(source, user)),
        1 => any::<usize>().prop_map(Step::Withdraw),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(at, right)| Step::Done(at, right)),
        2 => any::<u16>().prop_map(Step::Pass),
    ], 1..200)) {
        let (mut turns, mut now) = (Turns::new(3), Instant::ZERO);
        let (mut waiting, mut checking) = (BTreeMap::new(), Vec::new());
        for step in steps {
            match step {
                Step::Ask(source, user) => {
                    if let Ok((ticket, turned_away)) = turns.ask(source, &user.to_string(), now) {
                        waiting.insert(ticket, source);
                        if let Some(ticket) = turned_away {
                            prop_assert_eq!(waiting.remove(&ticket), Some(source));
                        }
                    }
                }
                Step::Withdraw(at) => {
                    let chosen = waiting.keys().nth(at % (waiting.len() + 1)).copied();
                    let chosen = chosen.and_then(|ticket| waiting.remove_entry(&ticket));
                    if let Some((ticket, source)) = chosen {
                        turns.withdraw(source, ticket);
                    }
                }
                Step::Done(at, right) => {
                    if !checking.is_empty() {
                        let checked = checking.swap_remove(at % checking.len());
                        for ticket in turns.done(checked, right, now) {
                            prop_assert!(waiting.remove(&ticket).is_some());
                        }
                    }
                }
                Step::Pass(millis) => now += Duration::from_millis(millis.into()),
            }
            while let Some(ticket) = turns.next(now) {
                checking.push(waiting.remove(&ticket).expect("it waited"));
            }
            prop_assert_eq!((turns.waiting, turns.checking), (waiting.len(), checking.len()));
            prop_assert!(checking.len() <= 3);
            prop_assert_eq!(checking.iter().collect::<BTreeSet<_>>().len(), checking.len(),
                "one at a time of each source");
            for source in 0..5 {
                let waits = waiting.values().filter(|waiting| **waiting == source).count();
            prop_assert!(waits <= HONEST_WAITING);
            }
            // A login that may have its turn has it.
            let free = waiting.values().find(|source| !checking.contains(source)
                && turns.due(**source, now).is_none());
            prop_assert!(checking.len() == 3 || free.is_none(), "{:?} waits for nothing", free);
        }
    }
}
