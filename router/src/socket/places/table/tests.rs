use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

const fn source(number: u8) -> Source {
    Source::V4(Ipv4Addr::new(10, 0, 0, number))
}

/// A table, its time, and the state of each arrival.
struct Scene {
    table: Table,
    now: Instant,
    placed: Vec<(Key, Source)>,
    waiting: Vec<(Key, Source)>,
    /// The arrivals that gave way or were refused, in order.
    ended: Vec<Key>,
}

impl Scene {
    fn new(places: usize, kept: usize) -> Self {
        let table = Table::new(places, kept);
        Self {
            table,
            now: Instant::ZERO,
            placed: Vec::new(),
            waiting: Vec::new(),
            ended: Vec::new(),
        }
    }

    fn note(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Placed(key) => {
                    let at = self
                        .waiting
                        .iter()
                        .position(|(waiting, _)| *waiting == key)
                        .expect("it waited");
                    let placed = self.waiting.remove(at);
                    self.placed.push(placed);
                }
                Change::Ended(key) => {
                    self.placed.retain(|(placed, _)| *placed != key);
                    self.waiting.retain(|(waiting, _)| *waiting != key);
                    self.ended.push(key);
                }
            }
        }
    }

    fn settle(&mut self) -> Option<Instant> {
        let mut changes = Vec::new();
        let due = self.table.settle(self.now, &mut changes);
        self.note(changes);
        due
    }

    fn arrive(&mut self, source: Source, favored: bool) -> Key {
        let mut changes = Vec::new();
        let key = self.table.arrive(source, favored, &mut changes);
        self.waiting.push((key, source));
        self.note(changes);
        self.settle();
        key
    }

    fn leave(&mut self, key: Key) {
        let (_, source) = *self
            .placed
            .iter()
            .chain(&self.waiting)
            .find(|(known, _)| *known == key)
            .expect("it is there");
        self.placed.retain(|(placed, _)| *placed != key);
        self.waiting.retain(|(waiting, _)| *waiting != key);
        self.table.leave(source, key);
        self.settle();
    }

    fn advance(&mut self, key: Key, phase: Phase) {
        let (_, source) =
            *self.placed.iter().find(|(placed, _)| *placed == key).expect("it has a place");
        self.table.advance(source, key, phase, self.now);
    }

    fn has_place(&self, key: Key) -> bool {
        self.placed.iter().any(|(placed, _)| *placed == key)
    }

    fn held(&self, source: Source) -> usize {
        self.placed.iter().filter(|(_, placed)| *placed == source).count()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.settle();
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_oldest_silent_connection_of_the_source_that_holds_most_gives_way() {
    let mut scene = Scene::new(4, 0);
    let keys: Vec<_> = [1, 2, 2, 2].map(|number| scene.arrive(source(number), false)).into();
    scene.advance(keys[1], Phase::Opening);
    scene.pass(SECOND * 2);
    let newcomer = scene.arrive(source(3), false);
    assert!(scene.has_place(newcomer));
    assert_eq!(scene.ended, [keys[2]], "the oldest of the second source has spoken");
    // A source alone gives way to itself.
    let mut scene = Scene::new(2, 0);
    let keys = [1, 1].map(|number| scene.arrive(source(number), false));
    scene.pass(SECOND);
    let newcomer = scene.arrive(source(1), false);
    assert!(scene.has_place(newcomer));
    assert_eq!(scene.ended, [keys[0]]);
}

#[test]
fn nobody_gives_way_before_it_had_time_to_speak() {
    let mut scene = Scene::new(2, 0);
    for _ in 0..2 {
        scene.arrive(source(1), false);
    }
    let newcomer = scene.arrive(source(2), false);
    assert!(!scene.has_place(newcomer));
    assert_eq!(scene.settle(), Some(Instant::ZERO + Phase::Silent.grace()));
    scene.pass(Phase::Silent.grace());
    assert!(scene.has_place(newcomer));
}

#[test]
fn who_is_served_gives_way_only_where_another_has_much_less() {
    let mut scene = Scene::new(3, 0);
    let keys = [1, 1, 2].map(|number| scene.arrive(source(number), false));
    for key in keys {
        scene.advance(key, Phase::Served);
    }
    scene.pass(SECOND * 60);
    let same = scene.arrive(source(1), false);
    assert!(!scene.has_place(same) && scene.ended.is_empty(), "its source holds the most");
    let third = scene.arrive(source(3), false);
    assert!(scene.has_place(third));
    assert_eq!(scene.ended, [keys[0]]);
    let fourth = scene.arrive(source(4), false);
    assert!(!scene.has_place(fourth), "each source has one");
    scene.leave(keys[2]);
    assert!(
        scene.has_place(fourth) && !scene.has_place(same),
        "the source that holds the least comes first"
    );
}

#[test]
fn kept_places_are_for_favored_sources() {
    let mut scene = Scene::new(4, 2);
    for number in 1..=4 {
        let key = scene.arrive(source(number), false);
        if scene.has_place(key) {
            scene.advance(key, Phase::Served);
        }
    }
    assert_eq!(scene.placed.len(), 2);
    for _ in 0..2 {
        let favored = scene.arrive(source(9), true);
        assert!(scene.has_place(favored));
    }
}

#[test]
fn a_bounded_number_waits() {
    let mut scene = Scene::new(4, 0);
    let served: Vec<_> = (0..4).map(|_| scene.arrive(source(1), false)).collect();
    for key in &served {
        scene.advance(*key, Phase::Served);
    }
    let one = scene.arrive(source(2), false);
    let crowd: Vec<_> = (0..MAY_WAIT + 100).map(|_| scene.arrive(source(3), false)).collect();
    assert_eq!(scene.waiting.len(), MAY_WAIT);
    assert!(!scene.ended.contains(&one), "the crowd's own oldest is turned away");
    assert_eq!(scene.ended, crowd[..101]);
}

#[derive(Clone, Debug)]
enum Step {
    Arrive(u8),
    Leave(usize),
    Advance(usize, usize),
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6_u8).prop_map(Step::Arrive),
        2 => any::<usize>().prop_map(Step::Leave),
        2 => (any::<usize>(), 1..3_usize).prop_map(|(at, phase)| Step::Advance(at, phase)),
        3 => (0..3000_u16).prop_map(Step::Pass),
    ]
}

proptest! {
    /// In every sequence of steps the bounds hold, and a source never displaces one with fewer
    /// places. A source without a place gets one after all others had time to speak, if another has
    /// more than one.
    #[test]
    fn places_are_bounded_and_fair(places in 1..9_usize, kept in 0..4_usize,
        steps in prop::collection::vec(step(), 1..200)) {
        let mut scene = Scene::new(places, kept);
        let kept = kept.min(places - 1);
        // Sources with an odd number are favored.
        for step in steps {
            let before: Vec<_> = scene.placed.clone();
            match step {
                Step::Arrive(number) => {
                    let ended = scene.ended.len();
                    let mine = scene.held(source(number));
                    let key = scene.arrive(source(number), number % 2 == 1);
                    // If several were placed at once, the test cannot tell which displaced which.
                    let placed = scene.placed.iter().filter(|placed| !before.contains(placed));
                    let alone = placed.count() == 1;
                    if let ([gone], true) = (&scene.ended[ended..], alone && scene.has_place(key))
                        && let Some((_, from)) = before.iter().find(|(placed, _)| placed == gone)
                    {
                        let theirs = before.iter().filter(|(_, placed)| placed == from).count();
                        prop_assert!(*from == source(number) || theirs > mine,
                            "{theirs} gave way to {mine}");
                    }
                }
                Step::Leave(at) if !before.is_empty() => scene.leave(before[at % before.len()].0),
                Step::Advance(at, phase) if !before.is_empty() => {
                    scene.advance(before[at % before.len()].0, PHASES[phase]);
                }
                Step::Pass(millis) => scene.pass(Duration::from_millis(millis.into())),
                _ => {}
            }
            prop_assert!(scene.placed.len() <= places && scene.waiting.len() <= MAY_WAIT);
            let ordinary = scene.placed.iter().filter(|(_, from)| !is_favored(*from)).count();
            prop_assert!(ordinary <= places - kept, "{ordinary} of {places}, {kept} kept");
            prop_assert_eq!(scene.table.held, scene.placed.len());
            prop_assert_eq!(scene.table.ordinary, ordinary);
            prop_assert_eq!(scene.table.waiting, scene.waiting.len());
            prop_assert_eq!(scene.table.shares.values().filter(|share| share.is_empty()).count(),
                0);
        }
        while let Some(due) = scene.settle() {
            prop_assert!(due > scene.now, "it would call itself again and again");
            scene.now = due;
        }
        let only_ordinary = scene.table.ordinary >= places - kept;
        for number in 0..6 {
            let from = source(number);
            if scene.held(from) == 0 && scene.waiting.iter().any(|(_, waiting)| *waiting == from) {
                // It waits because no source that could give way has more than one place.
                let others = (0..6).map(source).filter(|other| is_favored(from) || !only_ordinary
                    || !is_favored(*other));
                prop_assert!(others.into_iter().all(|other| scene.held(other) <= 1), "{:?}",
                    scene.table);
            }
        }
    }
}

fn is_favored(from: Source) -> bool {
    matches!(from, Source::V4(address) if address.octets()[3] % 2 == 1)
}
