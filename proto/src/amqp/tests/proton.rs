//! Frames that Qpid Proton wrote.

use super::*;

/// Returns the body of a frame.
fn body(frame: &str) -> Vec<u8> {
    let octets = hex(frame);
    let header = crate::amqp::frame::FrameHeader::parse(&octets).unwrap();
    assert_eq!(header.size as usize, octets.len());
    octets[header.body_offset().unwrap()..].to_vec()
}

fn performative(frame: &str) -> (Performative, Vec<u8>) {
    let octets = body(frame);
    let mut reader = Reader::new(&octets);
    let performative = Performative::decode(&mut reader).unwrap();
    (performative, reader.rest().to_vec())
}

#[test]
fn sasl_of_qpid_proton() {
    let mechanisms = Multiple::of(&["ANONYMOUS"]);
    let octets = body("0000001c02010000005340c00f01e00c01a309414e4f4e594d4f5553");
    let frame = SaslFrame::decode(&mut Reader::new(&octets));
    assert_eq!(frame, Ok(SaslFrame::Mechanisms(sasl::Mechanisms { mechanisms })));

    let init = SaslFrame::Init(sasl::Init {
        mechanism: Symbol::from_static("ANONYMOUS"),
        initial_response: Some(Bytes::from_static(b"anonymous@vm")),
        hostname: None,
    });
    let octets =
        body("0000002702010000005341c01a02a309414e4f4e594d4f5553a00c616e6f6e796d6f757340766d");
    assert_eq!(SaslFrame::decode(&mut Reader::new(&octets)).as_ref(), Ok(&init));
    assert_eq!(encoded(&init), octets);

    let octets = body("0000001002010000005344c003015000");
    let outcome = SaslFrame::Outcome(sasl::Outcome { code: 0, additional_data: None });
    assert_eq!(SaslFrame::decode(&mut Reader::new(&octets)).as_ref(), Ok(&outcome));
    assert_eq!(encoded(&outcome), octets);
}

#[test]
fn open_of_qpid_proton() {
    let (found, _) = performative(
        "0000012402000000005310d0000001140000000aa1056e6f727468407000004000607fff7000001f404040\
         e04503b30000000f414e4f4e594d4f55532d52454c41590000001271642e73747265616d696e672d6c696e6b73\
         0000001671642e636f6e6e656374696f6e5f7472756e6b696e67\
         e04503b30000000f414e4f4e594d4f55532d52454c41590000001271642e73747265616d696e672d6c696e6b73\
         0000001671642e636f6e6e656374696f6e5f7472756e6b696e67\
         c1690aa30770726f64756374a10e736b75707065722d726f75746572a30776657273696f6ea105332e352e30a3\
         0a71642e636f6e6e2d69645401\
         a30c71642e6163636573732d6964a107655f4635773a31a31671642e616e6e6f746174696f6e732d7665727369\
         6f6e5402",
    );
    let capabilities =
        Multiple::of(&["ANONYMOUS-RELAY", "qd.streaming-links", "qd.connection_trunking"]);
    let mut properties = Fields::default();
    properties.push("product", Value::string("skupper-router"));
    properties.push("version", Value::string("3.5.0"));
    properties.push("qd.conn-id", Value::Int(1));
    properties.push("qd.access-id", Value::string("e_F5w:1"));
    properties.push("qd.annotations-version", Value::Int(2));
    let open = Performative::Open(Box::new(Open {
        container_id: "north".to_owned(),
        hostname: None,
        max_frame_size: Some(16384),
        channel_max: Some(32767),
        idle_time_out: Some(8000),
        offered_capabilities: Some(capabilities.clone()),
        desired_capabilities: Some(capabilities),
        properties: Some(properties),
        ..Open::default()
    }));
    assert_eq!(found, open);
}

#[test]
fn begin_of_qpid_proton() {
    for (frame, remote_channel) in [
        ("0000001f02000000005311c0120540437000002000707fffffff707fffffff", None),
        ("0000002102000000005311c01405600000437000002000707fffffff707fffffff", Some(0)),
    ] {
        let begin = Performative::Begin(Box::new(Begin {
            remote_channel,
            next_outgoing_id: 0,
            incoming_window: 8192,
            outgoing_window: 0x7fff_ffff,
            handle_max: Some(0x7fff_ffff),
            ..Begin::default()
        }));
        assert_eq!(performative(frame).0, begin);
        assert_eq!(encoded(&begin), body(frame));
    }
}

#[test]
fn attach_of_qpid_proton() {
    let frame = "0000007a02000000005312c06d0ba11671646c696e6b2e6872504d6e41525645687072635237434150\
                 025000\
                 005328c0220b4043a30b6c696e6b2d64657461636843424040404040a30971642e726f75746572\
                 005329c01e074043a30b6c696e6b2d646574616368434240a30971642e726f7574657240404344";
    let attach = Performative::Attach(Box::new(Attach {
        name: "qdlink.hrPMnARVEhprcR7".to_owned(),
        handle: 0,
        role: Role::Receiver,
        snd_settle_mode: Some(2),
        rcv_settle_mode: Some(0),
        source: Some(Source {
            durable: Some(0),
            expiry_policy: Some(Symbol::from_static("link-detach")),
            timeout: Some(0),
            dynamic: Some(false),
            capabilities: Some(Multiple::of(&["qd.router"])),
            ..Source::default()
        }),
        target: Some(Target::Message(MessageTarget {
            durable: Some(0),
            expiry_policy: Some(Symbol::from_static("link-detach")),
            timeout: Some(0),
            dynamic: Some(false),
            capabilities: Some(Multiple::of(&["qd.router"])),
            ..MessageTarget::default()
        })),
        initial_delivery_count: Some(0),
        max_message_size: Some(0),
        ..Attach::default()
    }));
    assert_eq!(performative(frame).0, attach);
    assert_eq!(encoded(&attach), body(frame));
}

#[test]
fn flow_of_qpid_proton() {
    let frame = "0000002102000000005313c0140943700000200043707fffffff52014352fa4042";
    let flow = Performative::Flow(Flow {
        next_incoming_id: Some(0),
        incoming_window: 8192,
        next_outgoing_id: 0,
        outgoing_window: 0x7fff_ffff,
        handle: Some(1),
        delivery_count: Some(0),
        link_credit: Some(250),
        drain: Some(false),
        ..Flow::default()
    });
    assert_eq!(performative(frame).0, flow);
    assert_eq!(encoded(&flow), body(frame));
}

#[test]
fn transfer_of_qpid_proton() {
    // An abort.
    let octets = hex("005314c0150a435201a008690000000000000043414040404041");
    let transfer = Performative::Transfer(Transfer {
        handle: 0,
        delivery_id: Some(1),
        delivery_tag: Some(
            DeliveryTag::decode(&mut Reader::new(b"\xa0\x08i\0\0\0\0\0\0\0")).unwrap(),
        ),
        message_format: Some(0),
        settled: Some(true),
        aborted: Some(true),
        ..Transfer::default()
    });
    let mut reader = Reader::new(&octets);
    assert_eq!(Performative::decode(&mut reader), Ok(transfer.clone()));
    assert!(reader.is_empty());
    assert_eq!(encoded(&transfer), octets);
}

#[test]
fn disposition_of_qpid_proton() {
    let disposition = |role, first, settled, state| {
        Performative::Disposition(Disposition {
            role,
            first,
            settled,
            state: Some(state),
            ..Disposition::default()
        })
    };
    let modified = DeliveryState::Modified(Modified {
        delivery_failed: Some(true),
        undeliverable_here: Some(false),
        message_annotations: None,
    });
    let (receiver, sender) = (Role::Receiver, Role::Sender);
    for (frame, expected) in [
        (
            "000000160200000b005315c009054143404100532445",
            disposition(receiver, 0, Some(true), DeliveryState::Accepted),
        ),
        (
            "0000001702000005005315c00a05415201404000532645",
            disposition(receiver, 1, None, DeliveryState::Released),
        ),
        (
            "000000230200000b005315c016054152024040005323c00b0243800000000000081b6f",
            disposition(receiver, 2, None, DeliveryState::received(0x81b6f)),
        ),
        (
            "0000001a0200000c005315c00d0542434041005327c003024142",
            disposition(sender, 0, Some(true), modified),
        ),
    ] {
        assert_eq!(performative(frame).0, expected);
        assert_eq!(encoded(&expected), body(frame), "{expected:?}");
    }
}
