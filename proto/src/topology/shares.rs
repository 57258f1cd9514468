//! Places that neighbors share: a bound on what each tells of other routers.

use std::collections::BTreeMap;

use super::LinkId;

/// A number of places, taken on behalf of control links.
///
/// A link may take as many places as it leaves free. So one neighbor takes half of them at most,
/// and two take a third each. The inventions of a hostile one always leave space for other
/// neighbors.
#[derive(Debug)]
pub(crate) struct Shares {
    limit: usize,
    taken: usize,
    by: BTreeMap<LinkId, usize>,
}

impl Shares {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { limit, taken: 0, by: BTreeMap::new() }
    }

    /// Returns how many more places the link may take.
    pub(crate) fn room(&self, link: LinkId) -> usize {
        let own = self.by.get(&link).copied().unwrap_or(0);
        self.limit.saturating_sub(self.taken).saturating_sub(own) / 2
    }

    /// Takes places, even where none are left: a caller that needs them asks [`Shares::room`]
    /// before.
    pub(crate) fn take(&mut self, link: LinkId, places: usize) {
        if places > 0 {
            self.taken = self.taken.saturating_add(places);
            let own = self.by.entry(link).or_default();
            *own = own.saturating_add(places);
        }
    }

    pub(crate) fn give_back(&mut self, link: LinkId, places: usize) {
        if places == 0 {
            return;
        }
        self.taken = self.taken.saturating_sub(places);
        if let Some(own) = self.by.get_mut(&link) {
            *own = own.saturating_sub(places);
            if *own == 0 {
                self.by.remove(&link);
            }
        }
    }

    #[cfg(test)]
    pub(crate) const fn taken(&self) -> usize {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_link_takes_half_and_leaves_room_for_others() {
        let mut shares = Shares::new(1200);
        let fill = |shares: &mut Shares, link| {
            while shares.room(link) > 0 {
                shares.take(link, 1);
            }
            shares.by[&link]
        };
        assert_eq!(fill(&mut shares, LinkId(1)), 600);
        assert_eq!(fill(&mut shares, LinkId(2)), 300);
        assert_eq!(fill(&mut shares, LinkId(3)), 150);
        shares.give_back(LinkId(1), 600);
        assert_eq!((shares.taken(), shares.by.len()), (450, 2));
        assert_eq!(fill(&mut shares, LinkId(2)), 525);
    }
}
