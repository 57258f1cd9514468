//! The addresses that a group may use: `sources`, `targets`, `sourcePattern`, `targetPattern`.
//!
//! Rules and addresses are compared as the core reads them. A rule loses scheme and host when it is
//! read. An address comes as [`Canonical`], and a rule allows it if it allows one of its spellings,
//! for the client could write that one.

use std::sync::Arc;

use skupper_proto::address::patterns::Patterns;
use skupper_proto::address::{Canonical, strip_origin};

/// The placeholder of the user's name in a rule.
const USER: &str = "${user}";

/// The separators between the tokens of an address.
const SEPARATORS: [char; 2] = ['.', '/'];

/// A list of allowed addresses.
#[derive(Clone, Debug, Default)]
pub(super) enum Addresses {
    /// None.
    #[default]
    None,
    /// Every address that is not empty.
    All,
    /// Names that may end in `*`. `${user}` in a name stands for the user's name.
    Names(Vec<String>),
    /// Patterns of tokens. The first or the last token may be `${user}`.
    Patterns(Arc<Patterned>),
}

#[derive(Debug)]
pub(super) struct Patterned {
    tree: Patterns<()>,
    /// True if a pattern begins (`prefixed`) or ends (`suffixed`) with the user's name.
    prefixed: bool,
    suffixed: bool,
}

impl Addresses {
    pub(super) fn names(list: &[String]) -> Result<Self, String> {
        match list.iter().find(|item| item.matches(USER).count() > 1) {
            Some(item) => Err(format!("'{item}' contains multiple user substitution tokens")),
            None => {
                let names: Vec<_> =
                    list.iter().map(|item| name(item)).filter(|name| !name.is_empty()).collect();
                Ok(if names.contains(&"*") {
                    Self::All
                } else {
                    Self::Names(names.into_iter().map(str::to_owned).collect())
                })
            }
        }
    }

    pub(super) fn patterns(list: &[String]) -> Result<Self, String> {
        let mut patterned = Patterned { tree: Patterns::new(), prefixed: false, suffixed: false };
        let mut all = false;
        for item in list.iter().filter(|item| !item.is_empty()) {
            match item.matches(USER).count() {
                0 => {}
                1 if item.starts_with(USER) => patterned.prefixed = true,
                1 if item.ends_with(USER) => patterned.suffixed = true,
                1 => {
                    return Err(format!(
                        "'{item}' may contain match pattern '{USER}' as a prefix or a suffix only."
                    ));
                }
                _ => return Err(format!("'{item}' contains multiple user substitution tokens")),
            }
            let pattern = strip_origin(item);
            all |= pattern.split(SEPARATORS).filter(|token| !token.is_empty()).eq(["#"]);
            match patterned.tree.insert(pattern, ()) {
                // A repeated pattern adds nothing.
                Ok(()) | Err(skupper_proto::address::patterns::PatternError::Duplicate(_)) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(if all { Self::All } else { Self::Patterns(Arc::new(patterned)) })
    }

    /// Returns true if a user may use an address. The verdict is the same for every spelling of an
    /// address.
    pub(super) fn allow(&self, address: Canonical<'_>, user: &str) -> bool {
        let by = |rule: &dyn Fn(&str) -> bool| address.spellings().any(|spelling| rule(&spelling));
        match self {
            Self::None => false,
            Self::All => !address.text().is_empty(),
            Self::Names(names) => {
                by(&|spelling| names.iter().any(|name| names_match(name, spelling, user)))
            }
            Self::Patterns(patterned) => by(&|spelling| patterned.allow(spelling, user)),
        }
    }
}

/// Returns a rule's name without scheme, host and trailing separator, for an address has none of
/// these at the comparison.
fn name(rule: &str) -> &str {
    let name = strip_origin(rule);
    name.strip_suffix(SEPARATORS).unwrap_or(name)
}

/// Returns true if a rule names an address.
///
/// `${user}` matches the user's name literally, whatever characters it holds. It matches nothing
/// for a client without a name.
fn names_match(rule: &str, address: &str, user: &str) -> bool {
    let (name, is_prefix) = rule.strip_suffix('*').map_or((rule, false), |prefix| (prefix, true));
    let rest = match name.split_once(USER) {
        None => address.strip_prefix(name),
        Some(_) if user.is_empty() => None,
        Some((before, after)) => address
            .strip_prefix(before)
            .and_then(|rest| rest.strip_prefix(user))
            .and_then(|rest| rest.strip_prefix(after)),
    };
    rest.is_some_and(|rest| is_prefix || rest.is_empty())
}

impl Patterned {
    fn allow(&self, address: &str, user: &str) -> bool {
        // In the tree a pattern's placeholder is plain text, so an address must not contain it.
        if address.contains(USER) {
            return false;
        }
        if self.tree.find(address).is_some() {
            return true;
        }
        if user.is_empty() {
            return false;
        }
        let prefixed = || {
            let rest = address.strip_prefix(user)?;
            (rest.is_empty() || rest.starts_with(SEPARATORS)).then(|| format!("{USER}{rest}"))
        };
        let suffixed = || {
            let rest = address.strip_suffix(user)?;
            rest.ends_with(SEPARATORS).then(|| format!("{rest}{USER}"))
        };
        let found = |address: Option<String>| {
            address.is_some_and(|address| self.tree.find(&address).is_some())
        };
        self.prefixed && found(prefixed()) || self.suffixed && found(suffixed())
    }
}
