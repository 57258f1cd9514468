//! The reading of addresses by one router: the one place where text becomes a [`Canonical`]
//! address.

use core::fmt;
use std::borrow::Cow;

use super::{AddressClass, AddressRef, EDGE_UPLINK, RouterMode};

/// The address space of one router: its mode, its id and its network.
#[derive(Clone, Debug)]
pub struct AddressSpace {
    mode: RouterMode,
    id: Box<str>,
    network: Option<Box<str>>,
}

/// An address as a router reads it, whatever its spelling.
///
/// The core routes by [`Canonical::key`] and policy judges [`Canonical::spellings`]. Both come from
/// one reading, so what policy allows is what the core routes to. Only [`AddressSpace::read`] makes
/// one.
#[derive(Clone, Copy)]
pub struct Canonical<'a> {
    space: &'a AddressSpace,
    key: AddressRef<'a>,
    /// The address without scheme, host and trailing separator.
    text: &'a str,
}

/// The meaning of a text, whichever router reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning<'a> {
    /// An application's address.
    Mobile,
    /// A name at the router that reads it.
    Own(&'a str),
    /// A name at every router.
    Flooded(&'a str),
    /// A router's id, and a name there.
    Router(&'a str),
    /// An edge router's id, and a name there.
    Edge(&'a str),
    /// Another area, by its name.
    Area(&'a str),
    /// Another network, by its name.
    Network(&'a str),
}

impl<'a> Canonical<'a> {
    /// Returns the class and the text by which the core keeps and routes it.
    pub const fn key(&self) -> AddressRef<'a> {
        self.key
    }

    /// Returns the address without scheme, host and trailing separator.
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// Returns the same address, which an edge router reaches by its uplink.
    #[must_use]
    pub const fn by_uplink(self) -> Self {
        Self { key: EDGE_UPLINK, ..self }
    }

    /// Returns the texts by which a rule may name the address: one, or each of the three for a name
    /// at this router.
    ///
    /// There is none for an empty address, nor for an edge router without an id. There is none
    /// either where the next router would read another address in the text, as in `a:/b:/c`.
    pub fn spellings(&self) -> impl Iterator<Item = Cow<'a, str>> {
        let own = &self.space.id;
        let one = |text| [Some(text), None, None];
        let spellings: [Option<Cow<'a, str>>; 3] = match self.space.meaning(self.text) {
            _ if self.text.is_empty() || strip(self.text) != self.text => [const { None }; 3],
            Meaning::Edge("") => [const { None }; 3],
            Meaning::Mobile | Meaning::Area(_) | Meaning::Network(_) => {
                one(Cow::Borrowed(self.text))
            }
            Meaning::Own(name) => [
                Some(Cow::Owned(format!("_local/{name}"))),
                Some(Cow::Owned(format!("_topo/0/{own}/{name}"))),
                Some(Cow::Owned(format!("_edge/{own}/{name}"))),
            ],
            Meaning::Flooded(name) => one(Cow::Owned(format!("_topo/0/all/{name}"))),
            Meaning::Router(name) => one(Cow::Owned(format!("_topo/0/{name}"))),
            Meaning::Edge(name) => one(Cow::Owned(format!("_edge/{name}"))),
        };
        spellings.into_iter().flatten()
    }
}

impl fmt::Debug for Canonical<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canonical").field("key", &self.key).field("text", &self.text).finish()
    }
}

impl AddressSpace {
    /// Makes the address space of router `id`. A `network` of `None`, `""` or `"0"` means that none
    /// is configured: the network element of an address is then skipped.
    pub fn new(mode: RouterMode, id: &str, network: Option<&str>) -> Self {
        let network = network.filter(|n| !n.is_empty() && *n != "0").map(Box::from);
        Self { mode, id: id.into(), network }
    }

    /// Reads an address as it stands in a message's `to`, in a terminus or in the annotations'
    /// to-override.
    pub fn read<'a>(&'a self, text: &'a str) -> Canonical<'a> {
        let text = strip(text);
        Canonical { space: self, key: self.key(text), text }
    }

    /// Returns the class and the text of an address, as [`AddressSpace::read`] finds them.
    pub fn classify<'a>(&self, text: &'a str) -> AddressRef<'a> {
        self.key(strip(text))
    }

    /// Returns the key of a stripped text. An interior router knows a text that is neither its own
    /// nor flooded by its class, an edge router knows it behind its uplink.
    fn key<'a>(&self, text: &'a str) -> AddressRef<'a> {
        let (class, text) = match self.meaning(text) {
            Meaning::Mobile => (AddressClass::Mobile, text),
            Meaning::Own(name) => (AddressClass::Local, name),
            Meaning::Flooded(name) => (AddressClass::Topological, name),
            // An edge router may be linked with another: only the core knows.
            Meaning::Edge(name) => (AddressClass::Edge, first_element(name)),
            _ if self.mode == RouterMode::Edge => return EDGE_UPLINK,
            Meaning::Router(name) => (AddressClass::Router, first_element(name)),
            Meaning::Area(name) => (AddressClass::Area, name),
            Meaning::Network(name) => (AddressClass::Network, name),
        };
        AddressRef::new(class, text)
    }

    fn meaning<'a>(&self, text: &'a str) -> Meaning<'a> {
        self.special(text).unwrap_or(Meaning::Mobile)
    }

    /// Returns the meaning of a text that begins with a reserved element; `None` for every other.
    fn special<'a>(&self, text: &'a str) -> Option<Meaning<'a>> {
        let rest = text.strip_prefix('_')?;
        if let Some(name) = rest.strip_prefix("local/") {
            return Some(Meaning::Own(name));
        }
        let (rest, has_network) = rest.strip_prefix('x').map_or((rest, false), |rest| (rest, true));
        let (rest, is_edge) = match (rest.strip_prefix("topo/"), rest.strip_prefix("edge/")) {
            (Some(rest), _) => (rest, false),
            (None, Some(rest)) => (rest, true),
            (None, None) => return None,
        };
        let rest = match (has_network, &self.network) {
            (false, _) => Some(rest),
            (true, None) => Some(rest.split_once('/').map_or("", |(_, rest)| rest)),
            (true, Some(own)) => strip_element(rest, own).or_else(|| strip_element(rest, "0")),
        };
        let Some(rest) = rest else { return Some(Meaning::Network(text_of_network(text))) };
        Some(if is_edge { self.at_edge(rest) } else { self.in_network(rest) })
    }

    fn in_network<'a>(&self, rest: &'a str) -> Meaning<'a> {
        let Some(in_area) = strip_element(rest, "all").or_else(|| strip_element(rest, "0")) else {
            return Meaning::Area(first_element(rest));
        };
        if let Some(name) = strip_element(in_area, "all") {
            Meaning::Flooded(name)
        } else if let Some(name) = strip_element(in_area, &self.id) {
            Meaning::Own(name)
        } else {
            Meaning::Router(in_area)
        }
    }

    fn at_edge<'a>(&self, rest: &'a str) -> Meaning<'a> {
        strip_element(rest, &self.id).map_or(Meaning::Edge(rest), Meaning::Own)
    }
}

/// Returns the address without scheme, host and one trailing separator.
fn strip(text: &str) -> &str {
    let text = strip_origin(text);
    text.strip_suffix(['.', '/']).unwrap_or(text)
}

/// Returns the address without scheme and host: of `scheme://host/rest`, `scheme:/rest`,
/// `//host/rest` and `/rest` it is `rest`.
///
/// As in C routers, an address with `:/` anywhere begins with a scheme.
pub fn strip_origin(text: &str) -> &str {
    let after = if let Some(after) = text.strip_prefix('/') {
        after
    } else {
        // A colon in the first place begins no scheme; two in a row hide the second.
        let mut octets = text.bytes().enumerate().skip(1);
        let mut after_colon = false;
        let slash = octets.find_map(|(at, octet)| {
            let found = after_colon && octet == b'/';
            after_colon = octet == b':' && !after_colon;
            found.then_some(at)
        });
        match slash.and_then(|at| text.get(at.saturating_add(1)..)) {
            Some(after) => after,
            None => return text,
        }
    };
    match after.strip_prefix('/') {
        Some(host) => host.split_once('/').map_or(text, |(_, rest)| rest),
        None if after.is_empty() => text,
        None => after,
    }
}

/// Returns the text behind `element` and a slash at the front of `text`.
fn strip_element<'a>(text: &'a str, element: &str) -> Option<&'a str> {
    text.strip_prefix(element)?.strip_prefix('/')
}

/// Returns the text up to the first slash.
fn first_element(text: &str) -> &str {
    text.split_once('/').map_or(text, |(first, _)| first)
}

/// Returns the network element of `_xtopo/<network>/...` or `_xedge/<network>/...`.
fn text_of_network(text: &str) -> &str {
    text.split_once('/').map_or("", |(_, rest)| first_element(rest))
}
