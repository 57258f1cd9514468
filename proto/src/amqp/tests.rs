//! The codec: round trips, hostile bytes, limits, bytes of another implementation.

mod limits;
mod proton;
mod sections;
mod strategies;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::decode::{ALLOWANCE, Decode, GROWTH, MAX_DEPTH};
use super::message::{self, Head, Scan, Span};
use super::performative::{
    Attach, Begin, DeliveryState, DeliveryTag, Disposition, End, Flow, MAX_STATE, Modified, Open,
    Performative, Role, Transfer,
};
use super::sasl::{self, SaslFrame};
use super::terminus::{MessageTarget, Source, Target};
use super::{DecodeError, Encode, Fields, Multiple, Reader, Symbol, Value};

use strategies::*;

fn encoded(value: &(impl Encode + ?Sized)) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out);
    out
}

fn decoded(octets: &[u8]) -> Result<Value, DecodeError> {
    Reader::new(octets).value()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

proptest! {
    #[test]
    fn values_round_trip(value in any_value()) {
        let octets = encoded(&value);
        let mut reader = Reader::new(&octets);
        prop_assert_eq!(reader.value().unwrap(), value);
        prop_assert!(reader.is_empty());
        let mut reader = Reader::new(&octets);
        reader.skip().unwrap();
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn a_cut_value_is_truncated(value in any_value(), cut in any::<prop::sample::Index>()) {
        let octets = encoded(&value);
        let cut = &octets[..cut.index(octets.len())];
        prop_assert_eq!(decoded(cut), Err(DecodeError::Truncated));
        prop_assert_eq!(Reader::new(cut).skip(), Err(DecodeError::Truncated));
    }

    #[test]
    fn performatives_round_trip(
        performative in any_performative(),
        payload in vec(any::<u8>(), 0..20),
    ) {
        let mut octets = encoded(&performative);
        octets.extend_from_slice(&payload);
        let mut reader = Reader::new(&octets);
        prop_assert_eq!(Performative::decode(&mut reader).unwrap(), performative);
        prop_assert_eq!(reader.rest(), &payload[..]);
    }

    #[test]
    fn sasl_frames_round_trip(frame in any_sasl()) {
        let octets = encoded(&frame);
        let mut reader = Reader::new(&octets);
        prop_assert_eq!(SaslFrame::decode(&mut reader).unwrap(), frame);
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn hostile_octets_cost_little(octets in hostile()) {
        if let Ok(value) = decoded(&octets) {
            let most = octets.len() * GROWTH + ALLOWANCE;
            prop_assert!(value.memory() <= most, "{} for {} octets", value.memory(), octets.len());
            // A value that was read can be written, and read again to the same. It may have fewer
            // bytes then.
            let again = encoded(&value);
            prop_assert_eq!(encoded(&Reader::new(&again).trusted_value().unwrap()), again);
        }
        let _ = Reader::new(&octets).skip();
        let _ = SaslFrame::decode(&mut Reader::new(&octets));
        if let Ok(performative) = Performative::decode(&mut Reader::new(&octets)) {
            let again = encoded(&performative);
            // Values of many members may have too few bytes then to be read.
            match Performative::decode(&mut Reader::new(&again)) {
                Ok(read) => prop_assert_eq!(encoded(&read), again),
                Err(error) => prop_assert_eq!(error, DecodeError::Memory),
            }
        }
        for flags in 0..4 {
            if let Ok(Scan::Complete(head)) = message::scan(&octets, flags & 1 == 1, flags & 2 == 2)
                && let Some(span) = head.application_properties
            {
                let _ = message::application_property(&span, &octets, "V");
            }
        }
    }
}

#[test]
fn composites_take_what_later_versions_add() {
    // An end with an error and a field that no version knows yet.
    let octets = hex("00 53 17 c0 06 02 40 a3 02 6869");
    assert_eq!(
        Performative::decode(&mut Reader::new(&octets)),
        Ok(Performative::End(End { error: None }))
    );
}

#[test]
fn mandatory_fields_are_missed() {
    let begin = hex("00 53 11 45");
    assert_eq!(
        Performative::decode(&mut Reader::new(&begin)),
        Err(DecodeError::Missing("next_outgoing_id"))
    );
    let transfer = hex("00 53 14 c0 02 01 40");
    assert_eq!(
        Performative::decode(&mut Reader::new(&transfer)),
        Err(DecodeError::Missing("handle"))
    );
}

#[test]
fn a_count_beyond_the_octets_is_truncated() {
    let flow = hex("00 53 13 c0 03 0b 43 43");
    assert_eq!(Performative::decode(&mut Reader::new(&flow)), Err(DecodeError::Truncated));
}

#[test]
fn long_tags_are_refused() {
    let mut octets = hex("00 53 14 c0 26 03 43 43 a0 21");
    octets.extend([0; 33]);
    assert_eq!(Performative::decode(&mut Reader::new(&octets)), Err(DecodeError::Range));
}
