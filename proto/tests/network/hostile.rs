//! An authenticated neighbor that lies: its lies are gone within a minute, without a restart.

use std::time::Duration;

use fastrand::Rng;
use proptest::prelude::*;

use crate::liar::{Lie, tell_all, tell_any};
use crate::reference::{disagreement, graph_of};
use crate::scenarios::schedules;
use crate::sim::Net;

/// How long lies may last.
const HEALED: Duration = Duration::from_secs(60);

const SECOND: Duration = Duration::from_secs(1);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Makes `n` routers in a row or a ring, each with a service of its own; C routers by their
/// numbers.
fn network(n: usize, is_ring: bool, c_routers: &[usize]) -> Net {
    let mut net = Net::new();
    for at in 0..n {
        let node = net.add(&format!("r{at}"), c_routers.contains(&at));
        net.serve_name(node, &format!("service-{at}"));
    }
    for at in 1..n {
        net.connect(at - 1, at, 1, ms(5));
    }
    if is_ring && n > 2 {
        net.connect(n - 1, 0, 1, ms(5));
    }
    // Until all have repeated themselves: then an RA comes every 30 s only.
    net.run(SECOND * 50);
    assert_ours_agree(&net, "before");
    net
}

/// Returns our routers' false beliefs.
fn wrong(net: &Net) -> Vec<String> {
    let graph = graph_of(net);
    let ours = (0..net.nodes.len()).filter(|node| !net.nodes[*node].is_c);
    ours.flat_map(|node| disagreement(net, node, &graph)).collect()
}

fn assert_ours_agree(net: &Net, what: &str) {
    let wrong = wrong(net);
    assert!(
        wrong.is_empty(),
        "{what}: {} findings: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(3)]
    );
}

type Kind = (&'static str, fn(Lie) -> Lie);

const KINDS: [Kind; 4] = [
    ("a huge sequence", Lie::huge),
    ("the next sequence", Lie::next),
    ("the same sequence", |lie| lie),
    ("a restart", Lie::reborn),
];

/// Tests rows and rings of three to six routers, with the liar anywhere, and every other router its
/// victim in turn.
fn lies_are_gone_in_a_minute(n: usize, is_ring: bool) {
    for liar in 0..n {
        for victim in (0..n).filter(|victim| *victim != liar) {
            for (name, forge) in KINDS {
                let mut net = network(n, is_ring, &[]);
                let lie = forge(Lie::of(&net, victim));
                for _ in 0..3 {
                    tell_all(&mut net, liar, &lie);
                    net.run(ms(300));
                }
                let harm = wrong(&net).len();
                let took = net.run_until(HEALED, |net| wrong(net).is_empty());
                let took = took.unwrap_or_else(|| {
                    panic!("{n} ring {is_ring}, r{liar} of r{victim}, {name}: {:#?}", wrong(&net))
                });
                if harm > 0 {
                    println!(
                        "{n} ring {is_ring}, r{liar} of r{victim}, {name}: {harm} wrong, right \
                         after {took:?}"
                    );
                }
                net.run(HEALED - took);
                assert_ours_agree(&net, name);
            }
        }
    }
}

#[test]
fn lies_in_a_row_of_three_are_gone_in_a_minute() {
    lies_are_gone_in_a_minute(3, false);
}

#[test]
fn lies_in_a_ring_of_three_are_gone_in_a_minute() {
    lies_are_gone_in_a_minute(3, true);
}

#[test]
fn lies_in_a_row_of_five_are_gone_in_a_minute() {
    lies_are_gone_in_a_minute(5, false);
}

#[test]
fn lies_in_a_ring_of_six_are_gone_in_a_minute() {
    lies_are_gone_in_a_minute(6, true);
}

/// Tests a liar that says anything of any router for ten seconds: a minute later the others see
/// each other's services again.
fn assert_heals(seed: u64, n: usize, is_ring: bool, c_routers: &[usize], lies: usize) {
    let mut rng = Rng::with_seed(seed);
    let mut net = network(n, is_ring, c_routers);
    let ours: Vec<usize> = (0..n).filter(|node| !c_routers.contains(node)).collect();
    let Some(liar) = rng.choice(ours) else { return };
    for _ in 0..lies {
        tell_any(&mut net, liar, &mut rng);
        net.run(ms(rng.u64(0..2 * 10_000 / lies as u64)));
    }
    net.run(HEALED);
    assert_ours_agree(
        &net,
        &format!("seed {seed}, n {n}, ring {is_ring}, C {c_routers:?}, {lies} lies, liar r{liar}"),
    );
}

proptest! {
    #![proptest_config(schedules())]

    #[test]
    fn any_lies_of_a_neighbor_are_gone_in_a_minute(
        seed in any::<u64>(), n in 3..7_usize, is_ring in any::<bool>(), lies in 1..120_usize
    ) {
        assert_heals(seed, n, is_ring, &[], lies);
    }

    #[test]
    fn any_lies_are_gone_in_a_minute_beside_c_routers(
        seed in any::<u64>(),
        n in 3..7_usize,
        is_ring in any::<bool>(),
        c_routers in any::<[usize; 2]>(),
        lies in 1..120_usize,
    ) {
        assert_heals(seed, n, is_ring, &c_routers.map(|at| at % n), lies);
    }
}
