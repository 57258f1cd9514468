use super::*;
use crate::address::Treatment;
use crate::annotations::node_text;
use crate::mobile::message::{MOBILE_FLOOD_ADDRESS, Mau};
use crate::routing::Message;

fn attributes() -> Attributes {
    Attributes::new(Treatment::Balanced)
}

/// Makes an address whose key has `octets` bytes.
fn key(name: &str, octets: usize) -> AddressKey {
    AddressKey::mobile(format!("{name}{}", "x".repeat(octets - name.len() - 1)))
}

/// Returns how many addresses a change adds and withdraws.
fn counts(change: Option<MauContent>) -> (usize, usize) {
    match change {
        Some(MauContent::Change { add, del }) => (add.len(), del.len()),
        Some(MauContent::Whole(_)) => panic!("a change"),
        None => (0, 0),
    }
}

fn announced(own: &Announcement, prefix: &str) -> usize {
    own.entries().iter().filter(|entry| entry.key.text().starts_with(prefix)).count()
}

#[test]
fn clients_addresses_leave_room_for_services() {
    let mut own = Announcement::new();
    for n in 0..1200 {
        own.set(key(&format!("client-{n:04}"), MAX_KEY_LENGTH), attributes(), Rank::Client);
    }
    let (change, full) = own.announce();
    assert_eq!((counts(change), full), ((1024, 0), true), "four MiB of keys");
    for n in 0..10 {
        own.set(key(&format!("service-{n:04}"), 30), attributes(), Rank::Service);
    }
    let (change, full) = own.announce();
    assert_eq!((counts(change), full), ((10, 1), false), "said before");
    assert_eq!((announced(&own, "service"), announced(&own, "client")), (10, 1023));
    // One that became a service as well does not give way. One behind an edge router goes before
    // clients.
    own.set(key("client-1199", MAX_KEY_LENGTH), attributes(), Rank::Service);
    own.set(key("edge", MAX_KEY_LENGTH), attributes(), Rank::Edge);
    assert_eq!(counts(own.announce().0), (2, 2));
    // An address that was left out is announced when there is space.
    for n in 0..10 {
        own.remove(&key(&format!("client-{n:04}"), MAX_KEY_LENGTH));
    }
    assert_eq!(counts(own.announce().0), (10, 10));
    own.remove_all();
    assert_eq!(counts(own.announce().0), (0, 1033));
    assert_eq!((own.key_octets, own.octets, own.digest(), own.ranked.len()), (0, 0, 0, 0));
    assert!(!own.full);
}

#[test]
fn what_nobody_would_take_is_not_announced() {
    let mut own = Announcement::new();
    own.set(key("long", MAX_KEY_LENGTH + 1), attributes(), Rank::Service);
    own.set(
        key("a", 10),
        Attributes { sole_mesh: Some("m".repeat(300).into()), ..attributes() },
        Rank::Service,
    );
    assert_eq!(counts(own.announce().0), (1, 0));
    assert_eq!(own.entries()[0].attributes.sole_mesh, None);
}

/// Receivers take 8 MiB in one message on a control link.
#[test]
fn no_announcement_is_larger_than_what_receivers_take() {
    let cases = [(64, 0), (4096, 0), (20, 255), (20, 60), (1000, 255)];
    for (octets, mesh) in cases {
        let mut own = Announcement::new();
        let sole_mesh = (mesh > 0).then(|| "m".repeat(mesh).into());
        let attributes = Attributes { sole_mesh, early: true, in_links: u32::MAX, ..attributes() };
        for n in 0..MAX_ADDRESSES + 100 {
            own.set(key(&format!("{n:08}"), octets), attributes.clone(), Rank::Client);
        }
        let (Some(change), true) = own.announce() else { panic!("{octets} {mesh}") };
        for content in [change, MauContent::Whole(own.entries())] {
            let mau = Message::Mau(Mau {
                id: "r".repeat(255).into(),
                mobile_seq: u64::MAX >> 1,
                content,
            });
            let message = mau.encode(MOBILE_FLOOD_ADDRESS, &node_text("router"));
            assert!(message.len() <= 2 * MAX_ADDRESS_OCTETS, "{octets} {mesh}: {}", message.len());
            assert!(
                message.len() <= own.octets() + 1024,
                "{octets} {mesh}: {} {}",
                message.len(),
                own.octets()
            );
        }
    }
}
