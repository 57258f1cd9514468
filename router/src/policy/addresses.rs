//! Addresses that may be used: `sources`, `targets`, `sourcePattern`, `targetPattern`.

use skupper_proto::address::patterns::Patterns;
use std::sync::Arc;

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
            None => Ok(Self::Names(list.iter().filter(|item| !item.is_empty()).cloned().collect())),
        }
    }

    pub(super) fn patterns(list: &[String]) -> Result<Self, String> {
        let mut patterned = Patterned { tree: Patterns::new(), prefixed: false, suffixed: false };
        for item in list.iter().filter(|item| !item.is_empty()) {
            match item.matches(USER).count() {
                0 => {}
                1 if item.starts_with(USER) => patterned.prefixed = true,
                1 if item.ends_with(USER) => patterned.suffixed = true,
                1 => return Err(format!("'{item}' may contain match pattern '{USER}' as a prefix or a suffix only.")),
                _ => return Err(format!("'{item}' contains multiple user substitution tokens")),
            }
            match patterned.tree.insert(item, ()) {
                // Twice the same says nothing new.
                Ok(()) | Err(skupper_proto::address::patterns::PatternError::Duplicate(_)) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(Self::Patterns(Arc::new(patterned)))
    }

    /// Whether a user may use an address.
    pub(super) fn allow(&self, address: &str, user: &str) -> bool {
        if address.is_empty() {
            return false;
        }
        match self {
            Self::None => false,
            Self::Names(names) => names.iter().any(|name| names_match(&name.replacen(USER, user, 1), address)),
            Self::Patterns(patterned) => patterned.allow(address, user),
        }
    }
}

fn names_match(name: &str, address: &str) -> bool {
    name.strip_suffix('*').map_or(name == address, |prefix| address.starts_with(prefix))
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
        let found = |address: Option<String>| address.is_some_and(|address| self.tree.find(&address).is_some());
        self.prefixed && found(prefixed()) || self.suffixed && found(suffixed())
    }
}
