//! The digest of a router's addresses.

use super::message::Attributes;
use crate::address::AddressKey;
use crate::topology::Member;

/// Returns what an address and its attributes add to the digest of their router's addresses.
pub(super) fn digest_of(key: &AddressKey, attributes: &Attributes) -> u64 {
    let Attributes { treatment, in_links, sole_mesh, early } = attributes;
    Member::new(key.text())
        .number(u64::from(key.class() as u8))
        .number(treatment.map_or(u64::MAX, |treatment| treatment as u64))
        .number(u64::from(*in_links))
        .text(sole_mesh.as_deref())
        .number(u64::from(*early))
        .finish()
}
