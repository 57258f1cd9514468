//! Windows of sessions.

use super::*;

#[test]
fn the_window_closes_and_opens() {
    let mut pair = Pair::open(client(), Config { incoming_window: 4, ..server() });
    let (session, _) = pair.session();
    let (link, _) = pair.link(session, "link", 10);
    assert_eq!(pair.client.engine.window(link), 4);
    let delivery = pair.client.engine.deliver(link, false).unwrap();
    for left in [3, 2, 1, 0] {
        assert!(pair.client.engine.send_part(delivery, &mut chunks(b"x"), false));
        assert_eq!(pair.client.engine.window(link), left);
    }
    let mut waiting = chunks(b"waits");
    assert!(!pair.client.engine.send_part(delivery, &mut waiting, false));
    assert!(!pair.client.engine.abort(delivery));
    assert_eq!(waiting, chunks(b"waits"), "nothing is lost");
    pair.server.sent();
    pair.drive();
    let windows = |events: Vec<Event>| {
        events.into_iter().filter(|event| matches!(event, Event::Window { .. })).collect::<Vec<_>>()
    };
    assert_eq!(windows(pair.client.events()), [Event::Window { session }]);
    assert_eq!(pair.server.events().len(), 4);
    // Half is used: the flow names a link, or a C router would sleep on.
    let sent = pair.server.sent();
    let [
        Item::Frame(_, Performative::Flow(first), _),
        Item::Frame(_, Performative::Flow(second), _),
    ] = &sent[..]
    else {
        panic!("{sent:?}")
    };
    assert_eq!(
        (first.handle, first.incoming_window, first.next_incoming_id),
        (Some(0), 4, Some(2))
    );
    assert_eq!(
        (second.handle, second.incoming_window, second.next_incoming_id),
        (Some(0), 4, Some(4))
    );
    assert!(pair.client.engine.send_part(delivery, &mut waiting, true));
    pair.drive();
    assert_eq!(windows(pair.client.events()), [], "told only when it was closed");
    assert_eq!(pair.server.engine.usage().incoming, 1);
}

#[test]
fn the_window_counts_what_the_peer_has_not_seen() {
    let (mut raw, session, link) = Raw::sending(server(), 100);
    for _ in 0..10 {
        send(&mut raw.engine, link, b"x", true);
    }
    let flow = |next_incoming_id, incoming_window| {
        Performative::Flow(Flow { next_incoming_id, incoming_window, ..Flow::default() })
    };
    for (next, window, left) in [
        (Some(4), 10, 4),
        (Some(10), 10, 10),
        (Some(4), 5, 0),
        (None, 12, 2),
        // The largest numbers there are.
        (Some(10), u32::MAX, u32::MAX),
        (Some(9), u32::MAX, u32::MAX - 1),
        (Some(10), i32::MAX as u32 + 1, i32::MAX as u32 + 1),
        // From the future: as if it had seen all.
        (Some(11), 5, 5),
    ] {
        raw.feed(0, flow(next, window));
        assert_eq!(raw.engine.window(link), left, "{next:?} {window}");
    }
    // A window of nothing, and sending on it.
    raw.feed(0, flow(Some(10), 0));
    let delivery = raw.engine.deliver(link, true).unwrap();
    assert!(!raw.engine.send_part(delivery, &mut chunks(b"x"), true));
    raw.feed(0, flow(Some(10), 1));
    assert_eq!(raw.events(), [Event::Window { session }]);
    assert!(raw.engine.send_part(delivery, &mut chunks(b"x"), true));
}

#[test]
fn a_window_follows_what_the_peer_sends() {
    let (mut raw, _, _) = Raw::receiving(Config { incoming_window: 512, ..server() }, 100);
    raw.engine.adapt_windows();
    let mut next = 0;
    // Sends `transfers` transfers, one after each pause. Returns the window that is told last.
    let mut carry = |raw: &mut Raw, transfers: usize, pause: u64| {
        for _ in 0..transfers {
            raw.now += Duration::from_millis(pause);
            raw.transfer(part(0, 0), b"x");
            next += 1;
        }
        raw.events();
        let window = |item| match item {
            Item::Frame(0, Performative::Flow(flow), _) => {
                Some((flow.incoming_window, flow.next_incoming_id))
            }
            _ => None,
        };
        raw.sent().into_iter().filter_map(window).last()
    };
    // 62 transfers a second: a second's worth is 64, the least there is.
    let slow = carry(&mut raw, 1000, 16);
    assert_eq!(slow.map(|(window, _)| window), Some(64));
    assert!(carry(&mut raw, 64, 16).is_some_and(|(window, _)| window == 64));
    // 1000 a second: half of a window lasts a quarter of a second at most, and the whole less than
    // one.
    let quick = carry(&mut raw, 2000, 1);
    assert!(quick.is_some_and(|(window, _)| window == 512), "{quick:?}");
    // 200 a second.
    let between = carry(&mut raw, 1000, 5);
    assert!(between.is_some_and(|(window, _)| (100..=256).contains(&window)), "{between:?}");
    // A session that begins at this point begins with the least, and all get the configured window
    // when windows are restored.
    raw.feed(1, begin());
    assert!(matches!(&raw.sent()[..], [Item::Frame(_, Performative::Begin(begin),
            _)] if begin.incoming_window == 64));
    raw.events();
    raw.engine.restore_windows();
    let sent = raw.sent();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|item| matches!(item, Item::Frame(_, Performative::Flow(flow),
        _) if flow.incoming_window == 512)));
}

#[test]
fn the_peer_is_asked_what_it_holds() {
    let (mut raw, session, link) = Raw::sending(server(), 2);
    // The peer's begin said 2048, and its open the largest frame there is: it holds what it may.
    let flow = |next: u32, window: u32| {
        let Performative::Flow(flow) = credit_flow(0, 1, 10) else { unreachable!() };
        Performative::Flow(Flow { next_incoming_id: Some(next), incoming_window: window, ..flow })
    };
    for octets in [&b"one"[..], b"two"] {
        let delivery = raw.engine.deliver(link, false).unwrap_or_else(|| panic!("credit"));
        assert!(raw.engine.send_part(delivery, &mut chunks(octets), true));
        raw.sent();
    }
    assert!(!raw.engine.ask(link), "no credit is left to ask with");
    raw.feed(0, flow(1, 2047));
    raw.events();
    assert!(raw.engine.ask(link));
    let sent = raw.sent();
    let [(question, payload)] = transfers(&sent)[..] else { panic!("{sent:?}") };
    assert_eq!(
        (question.delivery_id, question.settled, question.aborted),
        (Some(2), Some(true), Some(true))
    );
    assert!(question.more.is_none() && payload.is_empty());
    assert!(!raw.engine.ask(link), "one question at a time");
    // A flow that crossed it is no answer.
    raw.feed(0, flow(2, 2046));
    assert!(raw.events().iter().all(|event| matches!(event, Event::Credit { .. })));
    raw.feed(0, flow(3, 2046));
    let told: Vec<_> =
        raw.events().into_iter().filter(|event| !matches!(event, Event::Credit { .. })).collect();
    assert_eq!(told, [Event::Held { session, octets: 2 * u64::from(u32::MAX) }]);
    raw.feed(0, flow(3, 2048));
    assert!(raw.events().iter().all(|event| matches!(event, Event::Credit { .. })), "told once");
    // While a delivery is on its way its link cannot ask, nor while the window is closed.
    let delivery = raw.engine.deliver(link, false).unwrap();
    assert!(raw.engine.send_part(delivery, &mut chunks(b"x"), false) && !raw.engine.ask(link));
    assert!(raw.engine.send_part(delivery, &mut chunks(b"x"), true));
    raw.feed(0, flow(5, 0));
    let credit = raw.engine.credit(link);
    assert!(!raw.engine.ask(link));
    assert_eq!(raw.engine.credit(link), credit);
    raw.feed(0, flow(5, 2048));
    assert!(raw.engine.ask(link));
}

#[test]
fn a_begin_with_a_huge_window() {
    let mut raw =
        Raw::new(config("server", Layer::Server { mechanisms: vec![], allow_bare: true }));
    raw.octets(&ProtocolHeader::Amqp.octets());
    raw.feed(0, open());
    raw.feed(
        0,
        Performative::Begin(Box::new(Begin { incoming_window: u32::MAX, ..Begin::default() })),
    );
    raw.events();
    let link = raw.attach(0, Role::Receiver);
    raw.feed(0, credit_flow(0, 0, 10));
    raw.feed(0, Performative::Flow(Flow { incoming_window: u32::MAX, ..Flow::default() }));
    assert_eq!(raw.engine.window(link), u32::MAX);
    send(&mut raw.engine, link, b"x", true);
}

#[test]
fn transfers_on_a_detached_link_open_the_window_too() {
    let (mut raw, _, link) = Raw::receiving(Config { incoming_window: 4, ..server() }, 10);
    let other = raw.attach(1, Role::Sender);
    raw.engine.set_credit(other, 10, false);
    raw.transfer(part(0, 0), b"x");
    raw.engine.detach(link, None);
    raw.sent();
    for _ in 0..20 {
        raw.transfer(part(0, 0), b"x");
    }
    let sent = raw.sent();
    assert_eq!(sent.len(), 10);
    let named = |item: &Item| {
        matches!(item, Item::Frame(_, Performative::Flow(Flow { handle: Some(1), .. }), _))
    };
    assert!(sent.iter().all(named), "by a link that is still there");
    // The numbers go on where they were: that was a continuation, this is a new delivery.
    raw.transfer(whole(1, 1), b"x");
    raw.transfer(part(0, 0), b"x");
    raw.transfer(whole(0, 2), b"begins on the detached link");
    raw.transfer(whole(1, 3), b"x");
    raw.transfer(part(0, 0), b"x");
    raw.transfer(whole(1, 4), b"x");
    let arrived = raw.events();
    assert!(matches!(arrived[..2], [Event::Transfer { .. }, Event::IncomingLost { .. }]));
    assert_eq!(arrived[2..].len(), 3);
    assert!(
        arrived[2..]
            .iter()
            .all(|event| matches!(event, Event::Transfer { link, .. } if *link == other))
    );
}
