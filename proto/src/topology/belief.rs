//! What of the routing messages is believed.
//!
//! Routers authenticate each other link by link, and nobody signs what is passed on: any router may
//! speak in the name of any other. These rules keep what a liar says from lasting, and most of it
//! from being heard:
//!
//! * Each router adds itself to a message's trace. A message whose trace does not end with the
//!   neighbor that it came from is dropped and not passed on ([`Word::Refused`]), so the end of a
//!   trace that passed honest routers is true.
//! * What names a neighbor is believed only from that neighbor, if the connection with it is its
//!   shortest way to this router. If that is about to change, its new link state comes by another
//!   way ([`Word::Astray`]): it is believed if the neighbor gave its digest on its own link, or, of
//!   a C router, if it was asked for and shows that shorter way.
//! * A change of addresses travels along the tree of its router and is believed only from the
//!   neighbor before this router there.
//! * The sequences in a router's RA are its own statement of what it said. The last RA holds, be
//!   its sequences lower or higher than those before; a link state or change above them is not
//!   believed.
//! * What is held of a router is compared with each of its RAs: by sequence, and by digest. If they
//!   differ, the router is asked (LSR, MAR), and its answer replaces what is held. C routers give
//!   no digests: they are asked after every RA, at most once in [`VERIFY`].
//! * That a router started anew is believed of a neighbor by its HELLO, of another when its LSU
//!   confirms what an RA says.
//!
//! So whatever was forged is gone when the router has sent its next RA (30 s at most by default)
//! and answered. A liar on the only way to a router, or one that goes on lying, can still do what
//! he likes with what passes through him.

use core::time::Duration;

/// How often a router that gives no digests is asked for what is held of it: less than the pause
/// between two RAs, so that each RA of a quiet network is followed by a look.
pub(crate) const VERIFY: Duration = Duration::from_secs(20);

/// Whose word a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The neighbor speaks of itself, on its own link.
    Own,
    /// A neighbor passes on what another router is meant to have said.
    PassedOn,
    /// It names a neighbor whose shortest way to this router is its own link, and came by another.
    Astray,
    /// It is not what it claims to be.
    Refused,
}

/// What a link state's sequence is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// The sequence that is held.
    pub(super) held: u64,
    /// The sequence that the router advertised last.
    pub(super) said: u64,
    /// The router was asked to confirm what is held.
    pub(super) asked: bool,
}

impl Claim {
    /// Whether a statement with this sequence replaces what is held.
    pub(super) const fn accepts(self, word: Word, sequence: u64) -> bool {
        match word {
            Word::Refused | Word::Astray => false,
            Word::Own if sequence > self.held => true,
            Word::Own | Word::PassedOn => {
                sequence <= self.said
                    && (sequence > self.held
                        || (sequence == self.said && (self.held > self.said || self.asked)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_the_advertised_sequence_is_not_believed() {
        let claim = |held, said, asked| Claim { held, said, asked };
        assert!(claim(3, 5, false).accepts(Word::PassedOn, 5));
        assert!(claim(3, 5, false).accepts(Word::PassedOn, 4), "not the last, but news");
        assert!(!claim(3, 5, false).accepts(Word::PassedOn, 6));
        assert!(claim(3, 5, false).accepts(Word::Own, 6));
        assert!(!claim(3, 5, false).accepts(Word::Refused, 5));
        assert!(!claim(5, 5, false).accepts(Word::PassedOn, 5), "nobody asked");
        assert!(claim(5, 5, true).accepts(Word::PassedOn, 5));
        assert!(!claim(5, 5, true).accepts(Word::PassedOn, 4));
        assert!(
            claim(9, 5, false).accepts(Word::PassedOn, 5),
            "a router's word beats what is held"
        );
        assert!(!claim(9, 5, false).accepts(Word::PassedOn, 4));
        assert!(!claim(9, 5, false).accepts(Word::PassedOn, 7));
    }
}
