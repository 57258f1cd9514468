use super::super::tests::{A, at, attributes, change, key, mobile, said, whole};
use super::super::{Mobile, Rank};
use super::*;

const PASSED_ON: Source = Source { via: LinkId(1), word: Word::PassedOn, on_tree: true };

/// A machine that knows that the router serves `x`, with number 3.
fn informed() -> Mobile {
    let mut mobile = mobile();
    mobile.reachable(A, true);
    mobile.advertised(A, 3, None, at(0));
    assert_eq!(said(&mut mobile, at(0)), ["MAR 0"]);
    mobile.handle_mau(A, &whole(3, &["x"]), PASSED_ON, at(0));
    assert_eq!(said(&mut mobile, at(0)), ["+Mx"]);
    mobile
}

fn digest(texts: &[&str]) -> u64 {
    let mut digest = Digest::ZERO;
    texts.iter().for_each(|text| digest.add(digest_of(&key(text), &attributes())));
    digest.get()
}

#[test]
fn a_change_waits_for_its_number_to_be_advertised() {
    let mut mobile = informed();
    assert!(
        mobile.handle_mau(A, &change(4, &["y"], &["x"]), PASSED_ON, at(10)),
        "others see to it themselves"
    );
    assert!(said(&mut mobile, at(10)).is_empty());
    assert_eq!(mobile.known(A), 3);
    mobile.advertised(A, 4, None, at(12));
    assert_eq!(said(&mut mobile, at(12)), ["+My", "-Mx"]);
    assert_eq!(mobile.places.taken(), (1, 2, 0));
    // One that never is: the router's next RA says otherwise.
    mobile.handle_mau(A, &change(5, &[], &["y"]), PASSED_ON, at(20));
    mobile.advertised(A, 4, Some(digest(&["y"])), at(30));
    assert!(said(&mut mobile, at(30)).is_empty());
    mobile.flush(A, false);
    assert_eq!(mobile.places.taken(), (0, 0, 0));
}

#[test]
fn a_change_that_strayed_from_its_tree_is_not_believed() {
    let mut mobile = informed();
    mobile.advertised(A, 4, None, at(10));
    let source = Source { on_tree: false, ..PASSED_ON };
    assert!(!mobile.handle_mau(A, &change(4, &[], &["x"]), source, at(10)));
    assert!(said(&mut mobile, at(10)).is_empty());
    assert_eq!(said(&mut mobile, at(260)), ["MAR 3"]);
}

#[test]
fn what_nobody_asked_for_is_not_believed() {
    let mut mobile = informed();
    for seq in [2, 3, 4, u64::MAX >> 1] {
        assert!(!mobile.handle_mau(A, &whole(seq, &[]), PASSED_ON, at(10)));
        assert!(said(&mut mobile, at(10)).is_empty());
    }
    mobile.handle_mau(A, &change(u64::MAX >> 1, &[], &["x"]), PASSED_ON, at(10));
    assert!(said(&mut mobile, at(5000)).is_empty(), "nor is it asked about");
}

#[test]
fn a_routers_own_number_beats_a_higher_one() {
    let mut mobile = informed();
    mobile.advertised(A, 900, None, at(100));
    assert_eq!(said(&mut mobile, at(100)), ["MAR 3"]);
    mobile.handle_mau(A, &whole(900, &[]), PASSED_ON, at(110));
    assert_eq!(said(&mut mobile, at(110)), ["-Mx"]);
    mobile.advertised(A, 3, None, at(5000));
    assert_eq!(said(&mut mobile, at(5000)), ["MAR 0"], "C routers answer who has a lower number");
    mobile.handle_mau(A, &whole(900, &[]), PASSED_ON, at(5010));
    mobile.handle_mau(A, &whole(2, &[]), PASSED_ON, at(5010));
    assert_eq!(mobile.known(A), 900);
    mobile.handle_mau(A, &whole(3, &["x"]), PASSED_ON, at(5020));
    assert_eq!(said(&mut mobile, at(5020)), ["+Mx"]);
    assert_eq!(mobile.known(A), 3);
    assert!(said(&mut mobile, at(50_000)).is_empty());
}

#[test]
fn a_router_without_changes_is_asked_by_its_known_number() {
    let mut mobile = informed();
    mobile.advertised(A, 0, Some(0), at(100));
    assert_eq!(said(&mut mobile, at(100)), ["MAR 3"], "ours answer whatever is not their number");
    // A C router does not, and says it again.
    mobile.advertised(A, 0, None, at(30_000));
    assert_eq!(said(&mut mobile, at(30_000)), ["-Mx"]);
    assert_eq!(mobile.known(A), 0);
    assert!(said(&mut mobile, at(60_000)).is_empty());
    let mut own = super::super::tests::mobile();
    own.handle_mar(A, &super::super::message::Mar { id: "a".into(), have_seq: 7 }, at(0), |_| true);
    assert_eq!(said(&mut own, at(0)), ["0 =[]"]);
}

#[test]
fn a_digest_shows_what_a_number_does_not() {
    let mut mobile = informed();
    mobile.advertised(A, 3, Some(digest(&["x"])), at(10));
    assert!(said(&mut mobile, at(30_000)).is_empty());
    mobile.advertised(A, 3, Some(digest(&["x", "y"])), at(30_000));
    assert_eq!(said(&mut mobile, at(30_000)), ["MAR 0"]);
    mobile.handle_mau(A, &whole(3, &["x", "y"]), PASSED_ON, at(30_010));
    assert_eq!(said(&mut mobile, at(30_010)), ["+My"]);
    mobile.advertised(A, 3, Some(digest(&["x", "y"])), at(60_000));
    assert!(said(&mut mobile, at(60_000)).is_empty());
}

#[test]
fn what_is_announced_has_the_digest_of_what_is_kept() {
    let (mut own, mut other) = (mobile(), mobile());
    let mut rng = fastrand::Rng::with_seed(5);
    for n in 0..200 {
        let name = format!("s{}", rng.u8(0..12));
        if rng.bool() {
            let attributes =
                Attributes { early: rng.bool(), in_links: rng.u32(0..2), ..attributes() };
            own.set(key(&name), attributes, Rank::Service);
        } else {
            own.remove(&key(&name));
        }
        own.advance(at(n * 2000));
        while let Some(event) = own.poll_event() {
            if let MobileEvent::Changed(mau) = event {
                other.handle_mau(A, &mau, Source { word: Word::Own, ..PASSED_ON }, at(n * 2000));
            }
        }
        assert_eq!(own.digest(), other.remotes[&A].digest.get());
        assert_eq!(own.seq(), other.known(A));
    }
}

#[test]
fn a_c_router_is_asked_again_after_its_word() {
    let mut mobile = informed();
    mobile.advertised(A, 3, None, at(10_000));
    assert!(said(&mut mobile, at(10_000)).is_empty(), "it told just now");
    mobile.advertised(A, 3, None, at(20_000));
    assert_eq!(said(&mut mobile, at(20_000)), ["MAR 0"]);
    mobile.handle_mau(A, &whole(3, &["x"]), PASSED_ON, at(20_010));
    assert!(said(&mut mobile, at(39_000)).is_empty());
}

#[test]
fn all_routers_share_the_places() {
    let mut mobile = mobile();
    let texts: Vec<String> = (0..1000).map(|n| format!("s{n:04}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let own = |via| Source { via: LinkId(via), word: Word::Own, on_tree: true };
    let mut refused = 0;
    for n in 1..=200 {
        mobile.handle_mau(RouterIndex::new(n), &change(1, &texts, &[]), own(1), at(0));
        refused +=
            said(&mut mobile, at(0)).iter().filter(|line| line.starts_with("TooMany")).count();
    }
    assert_eq!(mobile.places.taken().0, MAX_TOTAL_ADDRESSES / 2, "half for one neighbor");
    assert_eq!(refused, 200 - MAX_TOTAL_ADDRESSES / 2 / 1000);
    // Other neighbors' addresses still fit.
    mobile.handle_mau(RouterIndex::new(201), &change(1, &texts, &[]), own(2), at(0));
    assert_eq!(mobile.addresses(RouterIndex::new(201)).count(), 1000);
    // A refused address is asked for again after its router's RA, when there is space.
    let last = RouterIndex::new(200);
    mobile.reachable(last, true);
    said(&mut mobile, at(0));
    mobile.advertised(last, 1, Some(digest(&texts)), at(1000));
    assert!(said(&mut mobile, at(1000)).is_empty());
    for n in 1..200 {
        mobile.flush(RouterIndex::new(n), true);
    }
    said(&mut mobile, at(2000));
    mobile.advertised(last, 1, Some(digest(&texts)), at(2000));
    assert_eq!(said(&mut mobile, at(2000)), ["MAR 0"]);
    mobile.handle_mau(last, &whole(1, &texts), own(1), at(2010));
    assert_eq!(mobile.addresses(last).count(), 1000);
    mobile.flush(last, true);
    mobile.flush(RouterIndex::new(201), true);
    assert_eq!(mobile.places.taken(), (0, 0, 0));
}
