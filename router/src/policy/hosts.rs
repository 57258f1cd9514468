//! The hosts from which clients may connect: `remoteHosts`.

use std::net::{IpAddr, ToSocketAddrs};

/// Hosts and ranges of hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hosts {
    any: bool,
    ranges: Vec<(IpAddr, IpAddr)>,
}

impl Hosts {
    /// Reads a list of addresses, names with one address, ranges `FIRST-LAST` of addresses, and `*`
    /// for all. It may block on a name look-up.
    ///
    /// # Errors
    /// Text for the operator: an item is no host, has several addresses, or is no proper
    /// range.
    pub(super) fn parse<'a>(list: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut hosts = Self::default();
        for item in list {
            match item
                .split_once('-')
                .map(|(first, last)| (first.trim().parse(), last.trim().parse()))
            {
                _ if item == "*" => hosts.any = true,
                Some((Ok(first), Ok(last))) => hosts.ranges.push(range(item, first, last)?),
                // A name may contain a hyphen too.
                _ => {
                    let address = address(item)?;
                    hosts.ranges.push((address, address));
                }
            }
        }
        Ok(hosts)
    }

    pub(super) fn contains(&self, host: IpAddr) -> bool {
        let within = |(first, last): &(IpAddr, IpAddr)| {
            host.is_ipv4() == first.is_ipv4() && *first <= host && host <= *last
        };
        self.any || self.ranges.iter().any(within)
    }
}

fn range(item: &str, first: IpAddr, last: IpAddr) -> Result<(IpAddr, IpAddr), String> {
    if first.is_ipv4() != last.is_ipv4() {
        return Err(format!(
            "'{item}' begins with an address of one family and ends with one of the other"
        ));
    }
    if first > last {
        return Err(format!("'{item}' ends before it begins"));
    }
    Ok((first, last))
}

/// Returns the address of a name. The name must have one address only, or chance would decide which
/// clients may connect.
fn address(item: &str) -> Result<IpAddr, String> {
    if let Ok(address) = item.parse() {
        return Ok(address);
    }
    let found =
        (item, 0).to_socket_addrs().map_err(|error| format!("'{item}' is no host: {error}"))?;
    let mut found = found.map(|found| found.ip().to_canonical());
    let Some(address) = found.next() else { return Err(format!("'{item}' has no address")) };
    if found.any(|other| other != address) {
        return Err(format!("'{item}' has several addresses; give those that are meant"));
    }
    Ok(address)
}
