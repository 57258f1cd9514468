//! Addresses that may be used: `sources`, `targets`, `sourcePattern`, `targetPattern`.
//!
//! Rules and addresses are compared as the core reads them. A rule loses scheme and host when it is
//! read. An address comes as [`Canonical`], and a rule allows it if it allows one of its spellings:
//! the client could write that one.

use std::sync::Arc;

use skupper_proto::address::patterns::Patterns;
use skupper_proto::address::{Canonical, strip_origin};

/// What stands for the user's name.
const USER: &str = "${user}";

/// What separates the tokens of an address.
const SEPARATORS: [char; 2] = ['.', '/'];

/// A list of addresses that are allowed.
#[derive(Clone, Debug, Default)]
pub(super) enum Addresses {
    /// None.
    #[default]
    None,
    /// Whatever has a name.
    All,
    /// Names, in which `${user}` stands for the user's name, and which may end in `*`.
    Names(Vec<String>),
    /// Patterns of tokens, the first or the last of which may be `${user}`.
    Patterns(Arc<Patterned>),
}

#[derive(Debug)]
pub(super) struct Patterned {
    tree: Patterns<()>,
    /// There are patterns that begin with the user's name, and such that end with it.
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
                // Twice the same says nothing new.
                Ok(()) | Err(skupper_proto::address::patterns::PatternError::Duplicate(_)) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(if all { Self::All } else { Self::Patterns(Arc::new(patterned)) })
    }

    /// Whether a user may use an address. The verdict is the same for every spelling of one
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

/// A rule's name without scheme, host and trailing separator, none of which an address has when it
/// is compared.
fn name(rule: &str) -> &str {
    let name = strip_origin(rule);
    name.strip_suffix(SEPARATORS).unwrap_or(name)
}

/// Whether a rule names an address. A user's name stands for itself, whatever is in it, and
/// nobody's name is in no address.
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
        // Nobody's name is in no address, and an address cannot hold what stands for names.
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
