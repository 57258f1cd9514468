//! The known word that a mistyped one most likely means.

/// The largest distance between a word and its slip.
const TYPOS: usize = 2;

/// Returns the candidate nearest to `word`, if it is near.
pub(crate) fn nearest(
    word: &str,
    candidates: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    // The cost is the product of the lengths, and no known word is so long.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase();
    candidates
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= TYPOS && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns how many characters must be inserted, removed or changed to turn one word into the
/// other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(to.chars()) {
            let best = (diagonal + usize::from(a != b)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = best;
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn counts_edits() {
        for (from, to, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("cost", "cost", 0),
            ("cots", "cost", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(from, to), edits, "{from} to {to}");
            assert_eq!(distance(to, from), edits, "{to} to {from}");
        }
    }

    #[test]
    fn suggests_only_what_is_near() {
        let words = || ["cost", "host", "port", "sslProfile"].into_iter();
        assert_eq!(nearest("SSLprofil", words()), Some("sslProfile"));
        assert_eq!(nearest("prot", words()), Some("port"));
        assert_eq!(nearest("failover", words()), None);
        assert_eq!(nearest(&"x".repeat(1000), words()), None);
    }
}
