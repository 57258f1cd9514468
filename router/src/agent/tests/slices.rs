//! Long answers in slices: they equal whole answers, and they let other requests pass.

use proptest::prelude::*;

use super::super::{Requester, begin};
use super::*;

const EVERYBODY: Requester = Requester { connection: None, access: ManagementAccess::Full };

fn in_slices(memory: &Memory, request: &Request, slice: usize) -> (Response, usize) {
    let mut work = begin(memory, request, EVERYBODY);
    for slices in 1.. {
        let mut left = slice;
        let enough = || {
            left = left.saturating_sub(1);
            left == 0
        };
        if let Some(response) = work.step(enough) {
            return (response, slices);
        }
    }
    unreachable!("an answer comes to an end");
}

proptest! {
    #[test]
    fn slices_make_the_same_answer(slice in 1..40_usize, connections in 0..90_usize,
        offset in 0..100_i32, count in -1..100_i32) {
        let memory = Memory { connections, ..Memory::with(&[("listener", &[("name", "l0")]),
            ("dummy", &[("arg1", "x")])]) };
        for kind in [Some("connection"), Some("configurationEntity"), None] {
            let query = Request::query(kind, &["name", "identity"]);
            let query = query.with(property::OFFSET, offset).with(property::COUNT, count);
            let (response, slices) = in_slices(&memory, &query, slice);
            prop_assert_eq!(&response, &handle(&memory, &query, EVERYBODY));
            prop_assert!(slices <= 2 + 100 / slice);
        }
    }
}

/// A request of a connection as it arrives, answered to an address that says which it is.
fn from(connection: u64, request: Request, to: &str, holder: &Arc<Holder>) -> ConsumerEnd {
    let octets = Request { reply_to: Some(to.to_owned()), ..request }.encode();
    let message = Message {
        sections: Bytes::from(octets),
        connection: Some(connection),
        ..Message::default()
    };
    ConsumerEnd::whole(message, Bytes::new(), holder)
}

#[tokio::test]
async fn a_short_request_does_not_wait_for_a_long_one_of_another() {
    // Far more than one slice makes.
    let memory =
        Memory { connections: 300_000, access: Some(ManagementAccess::Full), ..Memory::default() };
    let (service, sent) = service_of(memory);
    let holder = Holder::new(&Account::new(1 << 30), Class::Router);
    let long = || Request::query(Some("connection"), &["identity"]);
    let short = || request("GET-MGMT-NODES", &[], &[]);
    service.deliver(from(1, long(), "long", &holder));
    service.deliver(from(1, short(), "behind it", &holder));
    service.deliver(from(2, short(), "short", &holder));
    service.deliver(from(3, long(), "long too", &holder));
    service.deliver(from(4, short(), "short too", &holder));
    settle().await;
    let order: Vec<_> = sent.lock().unwrap().iter().map(|(to, _)| to.clone()).collect();
    assert_eq!(order.len(), 5, "{order:?}");
    assert_eq!(order[..2], ["short", "short too"], "{order:?}");
    let place = |to: &str| order.iter().position(|known| known == to).unwrap();
    assert!(
        place("long") < place("behind it"),
        "requests of one connection follow one another: {order:?}"
    );
}

#[tokio::test]
async fn a_connection_has_a_share_and_is_refused_beyond_it() {
    let (service, sent) =
        service_of(Memory { access: Some(ManagementAccess::Full), ..Memory::default() });
    let holder = Holder::new(&Account::new(1 << 30), Class::Router);
    for _ in 0..100 {
        service.deliver(from(1, request("GET-MGMT-NODES", &[], &[]), "greedy", &holder));
    }
    service.deliver(from(2, request("GET-MGMT-NODES", &[], &[]), "modest", &holder));
    settle().await;
    let count = |to: &str, status| {
        sent.lock().unwrap().iter().filter(|(at, told)| at == to && told.status == status).count()
    };
    assert_eq!((count("greedy", Status::OK), count("greedy", Status::UNAVAILABLE)), (64, 36));
    assert_eq!(count("modest", Status::OK), 1);
}

#[tokio::test]
async fn who_is_gone_or_restricted_is_refused() {
    // The directory knows of no connection.
    let (service, sent) = service_of(Memory::default());
    let holder = Holder::new(&Account::new(1 << 30), Class::Router);
    service.deliver(from(1, request("GET-MGMT-NODES", &[], &[]), "gone", &holder));
    settle().await;
    assert_eq!(sent.lock().unwrap()[0].1.status, Status::FORBIDDEN);
}
