use std::net::Ipv4Addr;

use super::*;

fn source(number: u8) -> Source {
    Source::V4(Ipv4Addr::new(10, 0, 0, number))
}

fn places(count: usize, kept: usize) -> Places {
    Places::new(count, kept, Arc::default())
}

/// A connection that obeys the table: it waits for its place, and keeps it until the table takes it
/// back.
async fn hold(place: Place) {
    if place.granted().await {
        place.ended().await;
    }
}

#[tokio::test]
async fn a_newcomer_displaces_one_that_is_silent() {
    let places = places(2, 0);
    let [first, second] = [(); 2].map(|()| tokio::spawn(hold(places.arrive(source(1)))));
    assert!(places.arrive(source(2)).granted().await);
    first.await.unwrap();
    assert!(!second.is_finished());
}

#[tokio::test]
async fn a_task_that_panics_gives_its_place_back() {
    let places = places(1, 0);
    for _ in 0..3 {
        let place = places.arrive(source(1));
        let task = tokio::spawn(async move {
            assert!(place.granted().await);
            place.advance(Phase::Served);
            panic!("as a parser may, one day");
        });
        assert!(task.await.unwrap_err().is_panic());
    }
    assert!(places.arrive(source(1)).granted().await);
}

#[tokio::test]
async fn a_neighbor_has_a_kept_place() {
    let neighbors = Arc::new(Neighbors::default());
    let places = Places::new(2, 1, Arc::clone(&neighbors));
    let served = places.arrive(source(1));
    assert!(served.granted().await);
    served.advance(Phase::Served);
    neighbors.remember(source(2));
    assert!(places.arrive(source(2)).granted().await);
    let stranger = places.arrive(source(3));
    assert!(tokio::time::timeout(Duration::from_millis(50), stranger.granted()).await.is_err());
}

#[test]
fn neighbors_are_forgotten_in_the_order_of_their_last_visit() {
    let neighbors = Neighbors::default();
    let network = |number: usize| Source::V6(number as u64);
    for number in 0..=NEIGHBORS {
        neighbors.remember(network(0));
        neighbors.remember(network(number));
    }
    assert!(
        neighbors.knows(network(0))
            && !neighbors.knows(network(1))
            && neighbors.knows(network(NEIGHBORS))
    );
}

#[test]
fn an_ipv6_host_is_one_source() {
    let of = |text: &str| Source::of(text.parse().unwrap());
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    assert!(of("::1").is_local() && of("127.0.0.2").is_local() && !of("2001:db8::1").is_local());
    assert_eq!(of("2001:db8::1").to_string(), "2001:db8::/64");
}
