//! Digests of a router's statements about itself. A short statement of its own shows whether other
//! routers hold the right things of it.
//!
//! A digest does not depend on the order of its members, and follows each change in constant time.
//! It is no signature: it finds differences, made by forgery or by mistake.

/// The digest of a set: the sum of its members' digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u64);

impl Digest {
    /// The digest of no members.
    pub(crate) const ZERO: Self = Self(0);

    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    pub(crate) const fn add(&mut self, member: u64) {
        self.0 = self.0.wrapping_add(member);
    }

    pub(crate) const fn remove(&mut self, member: u64) {
        self.0 = self.0.wrapping_sub(member);
    }
}

/// Hashes one member. The result is the same in every version of this router, which [`core::hash`]
/// does not promise.
pub(crate) struct Member(u64);

impl Member {
    /// Begins with the member's name.
    pub(crate) fn new(name: &str) -> Self {
        // FNV-1a, 64 bits.
        Self(0xcbf2_9ce4_8422_2325).octets(name.as_bytes())
    }

    /// Goes on with a number.
    pub(crate) fn number(self, number: u64) -> Self {
        self.octets(&number.to_be_bytes())
    }

    /// Goes on with a text, or with its absence.
    pub(crate) fn text(self, text: Option<&str>) -> Self {
        let (length, octets) =
            text.map_or((u64::MAX, [].as_slice()), |text| (text.len() as u64, text.as_bytes()));
        self.number(length).octets(octets)
    }

    fn octets(self, octets: &[u8]) -> Self {
        Self(
            octets.iter().fold(self.0, |hash, octet| {
                (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
            }),
        )
    }

    /// Spreads the bits, because members are added up (the finalizer of splitmix64).
    pub(crate) const fn finish(self) -> u64 {
        let hash = self.0;
        let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }
}

/// Returns the digest of a link state.
pub(crate) fn of_link_state<'a>(peers: impl IntoIterator<Item = (&'a str, u32)>) -> u64 {
    let mut digest = Digest::ZERO;
    for (id, cost) in peers {
        digest.add(Member::new(id).number(u64::from(cost)).finish());
    }
    digest.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_what_is_removed_leaves_nothing() {
        let one = of_link_state([("a", 1), ("b", 2)]);
        assert_eq!(one, of_link_state([("b", 2), ("a", 1)]));
        assert_ne!(one, of_link_state([("a", 2), ("b", 1)]));
        assert_ne!(one, of_link_state([("a", 1)]));
        let mut digest = Digest::ZERO;
        digest.add(Member::new("a").text(None).finish());
        digest.add(Member::new("b").text(Some("")).finish());
        digest.remove(Member::new("a").text(None).finish());
        assert_eq!(digest.get(), Member::new("b").text(Some("")).finish());
        assert_ne!(digest.get(), Member::new("b").text(None).finish());
    }

    #[test]
    fn digests_stay_what_they_are_in_every_version() {
        assert_eq!(of_link_state([]), 0);
        assert_eq!(of_link_state([("north", 1), ("south", 7)]), 14_568_818_440_481_098_732);
    }
}
