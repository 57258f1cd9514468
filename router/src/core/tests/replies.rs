//! Addresses for answers.

use std::sync::Arc;

use super::Sink;
use crate::core::Replies;

#[test]
fn only_the_very_address_finds_who_waits() {
    let replies = Replies::new("amqp:/_topo/0/here/", 2);
    let sink = Sink::new();
    let handle = replies.add(1, 0xfeed, Arc::clone(&sink) as Arc<_>);
    let address = handle.address();
    let local =
        address.strip_prefix("amqp:/_topo/0/here/").expect("an address of the router").to_owned();
    assert_eq!(local, "reply.0000000100000000000000000000feed");
    assert!(replies.find(&local).is_some());
    let others = [
        "reply.0000000000000000000000000000feed",
        "reply.0000000100000001000000000000feed",
        "reply.0000000100000000000000000000feee",
        "reply.0000000200000000000000000000feed",
        "reply.0000000100000000",
        "reply.00000001000000000000000000000feed",
        "reply.000000010000000",
        "reply.1",
        "reply.",
        "",
        "reply.-000000100000000000000000000feed",
        "reply.+000000100000000000000000000feed",
        "reply.0000000100000000000000000000FEED",
        "reply.0000000100000000000000000000fee\u{e9}",
        "reply.000000010000000\u{e9}",
        "reply.ffffffffffffffffffffffffffffffff",
        "temp.0000000100000000000000000000feed",
    ];
    for other in others {
        assert!(replies.find(other).is_none(), "{other}");
    }
    drop(handle);
    assert!(replies.find(&local).is_none());
    let _next = replies.add(1, 0xbeef, sink);
    assert!(replies.find(&local).is_none(), "the slot is another's now");
}
