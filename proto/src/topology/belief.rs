//! The rules by which routing messages are believed.
//!
//! Routers authenticate each other link by link, and passed on messages carry no signature. So any
//! router may speak in the name of any other. These rules keep most lies from being heard, and all
//! of them from lasting:
//!
//! * Each router adds itself to a message's trace. A message whose trace does not end with the
//!   neighbor that sent it is dropped ([`Word::Refused`]). So a trace that passed honest routers
//!   has a true end.
//! * A router believes a message that names a neighbor only from that neighbor, if their connection
//!   is the neighbor's shortest path to this router. If that is about to change, the neighbor's new
//!   link state comes by another path ([`Word::Astray`]). It is believed if the neighbor gave its
//!   digest on its own link. From a C router it is believed if it was asked for and shows that
//!   shorter path.
//! * A change of addresses travels along the tree of its router. It is believed only from the
//!   neighbor before this router there.
//! * The sequences in a router's RA are its own statement. The last RA holds, be its sequences
//!   lower or higher than those before. A link state or change above them is not believed.
//! * A router compares what it holds of another with each of its RAs: by sequence, and by digest.
//!   If they differ, it asks that router (LSR, MAR), and the answer replaces what it holds. C
//!   routers give no digests: they are asked after every RA, at most once in [`VERIFY`].
//! * A neighbor's restart is believed by its HELLO, another router's when its LSU confirms what an
//!   RA says.
//!
//! So a forgery is gone when the router has sent its next RA (30 s at most by default) and
//! answered. A liar on the only path to a router, or one that goes on lying, still controls what
//! passes through it.

use core::time::Duration;

/// The pause between two questions to a router that gives no digests. It is less than the pause
/// between two RAs, so a question follows each RA of a quiet network.
pub(crate) const VERIFY: Duration = Duration::from_secs(20);

/// The source of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The neighbor speaks of itself, on its own link.
    Own,
    /// A neighbor passes on the statement of another router.
    PassedOn,
    /// It names a neighbor whose shortest path to this router is its own link, and came by another.
    Astray,
    /// It is not what it claims to be.
    Refused,
}

/// The sequences that a link state's sequence is compared with.
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
