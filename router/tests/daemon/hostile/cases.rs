//! Malformed input, by name, and a conversation to damage.

use crate::support::amqp::{
    self, Transfer, code, frame, list, null, performative, sasl_frame, string, symbol, uint,
};

/// Returns every malformed input that has a name, then random bytes.
pub(super) fn all() -> Vec<(String, Vec<u8>)> {
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, octets: Vec<u8>| cases.push((name.to_owned(), octets));
    let opened = amqp::opening("hostile");
    let begun = [&opened[..], &frame(0, &amqp::begin())].concat();
    let attached = [&begun[..], &frame(0, &amqp::attach("l", 0, false, "somewhere"))].concat();
    let after = |base: &[u8], octets: &[u8]| [base, octets].concat();
    let huge = u32::MAX;

    add("nothing", Vec::new());
    add("one octet", vec![b'A']);
    add("half a header", amqp::HEADER[..5].to_vec());
    add("an unknown protocol", b"AMQP\x09\x01\x00\x00".to_vec());
    add("an old version", b"AMQP\x00\x00\x09\x01".to_vec());
    add("http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec());
    add("a TLS record of no handshake", b"\x16\x03\x01\xff\xff\x01\x00\x00\x00".to_vec());
    add("a frame of 4 GiB", after(&opened, &amqp::raw_frame(huge, 2, 0, 0, b"x")));
    add(
        "a frame of 4 GiB in SASL",
        after(amqp::SASL_HEADER, &amqp::raw_frame(huge, 2, 1, 0, b"x")),
    );
    add(
        "a frame of 4 GiB without SASL",
        after(amqp::HEADER, &amqp::raw_frame(huge, 2, 0, 0, b"x")),
    );
    add("a frame smaller than its header", after(&opened, &amqp::raw_frame(4, 2, 0, 0, b"")));
    add("a frame of size zero", after(&opened, &amqp::raw_frame(0, 2, 0, 0, b"")));
    add("data before the header's end", after(&opened, &amqp::raw_frame(8, 1, 0, 0, b"")));
    add("data after the frame's end", after(&opened, &amqp::raw_frame(8, 255, 0, 0, b"")));
    add("a frame of unknown type", after(&opened, &amqp::raw_frame(8, 2, 7, 0, b"")));
    add(
        "a frame beyond max-frame-size",
        after(&opened, &frame(0, &performative(code::BEGIN, &[amqp::binary(&[0; 100_000])]))),
    );
    add("a second open", after(&opened, &frame(0, &amqp::open("hostile"))));
    add(
        "an open on another channel",
        [amqp::SASL_HEADER, &sasl_anonymous(), amqp::HEADER, &frame(9, &amqp::open("h"))].concat(),
    );
    add(
        "no open",
        [amqp::SASL_HEADER, &sasl_anonymous(), amqp::HEADER, &frame(0, &amqp::begin())].concat(),
    );
    add("an open without container", open_with(vec![null()]));
    add("an open of no fields", open_with(Vec::new()));
    add("an open of wrong types", open_with(vec![uint(1), uint(2), string("x"), string("y")]));
    add("an open with a tiny max-frame-size", open_with(vec![string("h"), null(), uint(1)]));
    add(
        "an open with a short idle time",
        open_with(vec![string("h"), null(), uint(16_384), amqp::ushort(1), uint(1)]),
    );
    add(
        "an open of the router's own id",
        open_with(vec![string("target"), null(), uint(16_384), amqp::ushort(1), uint(8_000)]),
    );
    add("an open with deep properties", open_with(properties(nested(5_000))));
    add(
        "an open with an odd map",
        open_with(properties(amqp::compound(0xd1, 3, &[symbol("a"), null(), null()].concat()))),
    );
    add(
        "an open with a map of 4 billion",
        open_with(properties(amqp::compound(0xd1, 0x7fff_fffe, &[]))),
    );
    add("an unknown mechanism", sasl_init(vec![symbol("KERBEROS_V4"), null(), null()]));
    add("a mechanism of wrong type", sasl_init(vec![uint(7)]));
    add("an init of no fields", sasl_init(Vec::new()));
    add(
        "an outcome from the client",
        after(amqp::SASL_HEADER, &sasl_frame(&performative(0x44, &[amqp::ubyte(0)]))),
    );
    add(
        "external without a certificate",
        sasl_init(vec![symbol("EXTERNAL"), amqp::binary(b""), null()]),
    );
    add("plain", sasl_init(vec![symbol("PLAIN"), amqp::binary(b"\0user\0password"), null()]));
    add("a begin on a high channel", after(&opened, &frame(65_535, &amqp::begin())));
    add("a begin twice", after(&begun, &frame(0, &amqp::begin())));
    add(
        "a begin of a window of zero",
        after(&opened, &frame(0, &performative(code::BEGIN, &[null(), uint(0), uint(0), uint(0)]))),
    );
    add(
        "a begin in answer to nothing",
        after(
            &opened,
            &frame(0, &performative(code::BEGIN, &[amqp::ushort(9), uint(0), uint(1), uint(1)])),
        ),
    );
    add("an end of nothing", after(&opened, &frame(3, &performative(code::END, &[]))));
    add(
        "an attach without a session",
        after(&opened, &frame(5, &amqp::attach("l", 0, false, "x"))),
    );
    add(
        "an attach of a high handle",
        after(&begun, &frame(0, &amqp::attach("l", huge, false, "x"))),
    );
    add("an attach twice", after(&attached, &frame(0, &amqp::attach("l", 0, false, "x"))));
    add("a name twice", after(&attached, &frame(0, &amqp::attach("l", 1, false, "x"))));
    add("an attach of no fields", after(&begun, &frame(0, &performative(code::ATTACH, &[]))));
    add("an attach of a router's link", after(&begun, &frame(0, &router_attach())));
    add(
        "a detach of nothing",
        after(&begun, &frame(0, &performative(code::DETACH, &[uint(77), amqp::boolean(true)]))),
    );
    add(
        "a detach that keeps",
        after(&attached, &frame(0, &performative(code::DETACH, &[uint(0), amqp::boolean(false)]))),
    );
    add(
        "a flow of nothing",
        after(&opened, &frame(0, &performative(code::FLOW, &[uint(0), uint(1), uint(0), uint(1)]))),
    );
    add("a flow of no fields", after(&begun, &frame(0, &performative(code::FLOW, &[]))));
    add("a flow with all credit", after(&attached, &frame(0, &amqp::flow(huge))));
    add("a transfer without credit, 600 times", after(&attached, &transfers(600)));
    add(
        "a transfer on no handle",
        after(
            &begun,
            &frame(0, &performative(code::TRANSFER, &[uint(9), uint(0), amqp::binary(b"t")])),
        ),
    );
    add(
        "a transfer of no message",
        after(&attached, &frame(0, &Transfer::new(0, 0).with(b"\xff\xff\xff\xff"))),
    );
    add(
        "a transfer of deep annotations",
        after(
            &attached,
            &frame(0, &Transfer::new(0, 0).with(&amqp::described(0x72, &nested(1_500)))),
        ),
    );
    add("a transfer aborted before it began", after(&attached, &frame(0, &aborted())));
    add("a transfer that changes its id", after(&attached, &changed_id()));
    add("a disposition of everything", after(&begun, &frame(0, &disposition(0, huge))));
    add("a disposition backwards", after(&begun, &frame(0, &disposition(huge, 0))));
    add(
        "a close of no sense",
        after(&opened, &frame(0, &performative(code::CLOSE, &[list(&[uint(3), uint(4)])]))),
    );
    add(
        "something after the close",
        after(
            &opened,
            &[frame(0, &performative(code::CLOSE, &[])), frame(0, &amqp::begin())].concat(),
        ),
    );
    add("an unknown performative", after(&opened, &frame(0, &performative(0x77, &[]))));
    add(
        "a performative named by a symbol",
        after(&opened, &frame(0, &[&[0x00], &symbol("amqp:begin:list")[..], &[0x45]].concat())),
    );
    add(
        "a performative that is a map",
        after(&opened, &frame(0, &amqp::described(code::BEGIN, &amqp::map(&[])))),
    );
    add(
        "a performative that is a string",
        after(&opened, &frame(0, &amqp::described(code::BEGIN, &string("begin")))),
    );
    add("a performative described by itself", after(&opened, &frame(0, &[0x00; 15_000])));
    add(
        "deeply nested lists",
        after(&opened, &frame(0, &amqp::described(code::BEGIN, &nested(1_500)))),
    );
    add(
        "deeply nested arrays",
        after(
            &opened,
            &frame(0, &amqp::described(code::BEGIN, &[0xf0, 0, 0, 0, 9, 0, 0, 0, 1].repeat(1_500))),
        ),
    );
    add(
        "an array of 4 billion nothings",
        open_with(vec![string("h"), null(), uint(512), null(), null(), nothings()]),
    );
    add(
        "a list of 4 billion",
        after(
            &opened,
            &frame(0, &amqp::described(code::BEGIN, &amqp::compound(0xd0, 0x7fff_ffff, &[]))),
        ),
    );
    add(
        "a string of 4 GiB",
        after(
            &opened,
            &frame(
                0,
                &amqp::described(
                    code::BEGIN,
                    &[0xd0, 0, 0, 0, 9, 0, 0, 0, 1, 0xb1, 255, 255, 255, 255],
                ),
            ),
        ),
    );
    add(
        "text that is no UTF-8",
        open_with(vec![[&[0xb1, 0, 0, 0, 4], &[0xff, 0xfe, 0xc0, 0x80][..]].concat()]),
    );
    add("an empty frame, 100,000 times", after(&opened, &frame(0, &[]).repeat(100_000)));
    add(
        "sessions without end",
        after(
            &opened,
            &(0..100).flat_map(|channel| frame(channel, &amqp::begin())).collect::<Vec<_>>(),
        ),
    );
    add("links without end", after(&begun, &links(3_000)));

    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..40 {
        let mut octets = vec![0; random.usize(1..20_000)];
        random.fill(&mut octets);
        let base: &[u8] =
            [&[][..], amqp::HEADER, amqp::SASL_HEADER, &opened, &begun, &attached][round % 6];
        let framed = round % 12 > 5 && octets.len() < 16_000;
        let tail = if framed { frame(0, &octets) } else { octets };
        cases.push((format!("random octets, number {round}"), [base, &tail].concat()));
    }
    cases
}

fn sasl_anonymous() -> Vec<u8> {
    sasl_frame(&performative(code::SASL_INIT, &[symbol("ANONYMOUS"), amqp::binary(b"x"), null()]))
}

fn sasl_init(fields: Vec<Vec<u8>>) -> Vec<u8> {
    [amqp::SASL_HEADER, &sasl_frame(&performative(code::SASL_INIT, &fields))].concat()
}

fn open_with(fields: Vec<Vec<u8>>) -> Vec<u8> {
    let init = [symbol("ANONYMOUS"), amqp::binary(b"x"), null()];
    let opening = amqp::opening_with(&init, &performative(code::OPEN, &fields));
    [&opening[..], &frame(0, &amqp::begin())].concat()
}

fn properties(value: Vec<u8>) -> Vec<Vec<u8>> {
    let mut fields = vec![null(); 10];
    fields[0] = string("h");
    fields[9] = value;
    fields
}

/// Encodes nested lists, each with its correct length.
fn nested(depth: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    for level in 0..depth {
        let inside = u32::try_from((depth - level - 1) * 9 + 1 + 4).expect("small enough");
        octets.extend_from_slice(&[0xd0]);
        octets.extend_from_slice(&inside.to_be_bytes());
        octets.extend_from_slice(&1_u32.to_be_bytes());
    }
    octets.push(0x40);
    octets
}

/// Encodes an array with many elements that take no space.
fn nothings() -> Vec<u8> {
    vec![0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40]
}

fn router_attach() -> Vec<u8> {
    let end = |code| {
        performative(
            code,
            &[
                null(),
                null(),
                null(),
                null(),
                null(),
                null(),
                null(),
                null(),
                null(),
                null(),
                symbol("qd.router"),
            ],
        )
    };
    performative(
        code::ATTACH,
        &[
            string("c"),
            uint(0),
            amqp::boolean(false),
            null(),
            null(),
            end(code::SOURCE),
            end(code::TARGET),
            null(),
            null(),
            uint(0),
        ],
    )
}

fn transfers(count: u32) -> Vec<u8> {
    (0..count)
        .flat_map(|id| frame(0, &Transfer::new(0, id).with(&amqp::described(code::VALUE, &null()))))
        .collect()
}

fn aborted() -> Vec<u8> {
    let no = || amqp::boolean(false);
    performative(
        code::TRANSFER,
        &[
            uint(0),
            uint(0),
            amqp::binary(b"t"),
            uint(0),
            no(),
            no(),
            null(),
            null(),
            no(),
            amqp::boolean(true),
            no(),
        ],
    )
}

fn changed_id() -> Vec<u8> {
    let more = |id| {
        performative(
            code::TRANSFER,
            &[uint(0), uint(id), amqp::binary(b"t"), uint(0), null(), amqp::boolean(true)],
        )
    };
    [frame(0, &more(0)), frame(0, &more(7))].concat()
}

fn disposition(first: u32, last: u32) -> Vec<u8> {
    let accepted = performative(0x24, &[]);
    performative(
        code::DISPOSITION,
        &[amqp::boolean(true), uint(first), uint(last), amqp::boolean(true), accepted],
    )
}

fn links(count: u32) -> Vec<u8> {
    (0..count)
        .flat_map(|handle| {
            frame(0, &amqp::attach(&handle.to_string(), handle, handle % 2 == 0, "many"))
        })
        .collect()
}

/// Encodes a client's whole conversation, in which it sends three messages.
pub(super) fn conversation() -> Vec<u8> {
    let messages = transfers(3);
    let begin = frame(0, &amqp::begin());
    let [sender, receiver] =
        [amqp::attach("s", 0, false, "queue"), amqp::attach("r", 1, true, "queue")];
    let close = frame(0, &performative(code::CLOSE, &[]));
    [
        amqp::opening("hostile"),
        begin,
        frame(0, &sender),
        frame(0, &receiver),
        frame(0, &amqp::flow(10)),
        messages,
        close,
    ]
    .concat()
}
