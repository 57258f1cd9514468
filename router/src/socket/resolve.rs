//! Resolves host names to addresses.
//!
//! The executable is static, so no C library reads `nsswitch.conf`. This module does the same as
//! `hosts: files dns`: it looks into `/etc/hosts` first. Then it asks the name servers of
//! `/etc/resolv.conf`, with that file's search list and options.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{LookupIpStrategy, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::{Resolver as Dns, system_conf};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout, timeout_at};

use crate::lock::Mutex;

/// Age up to which an answer serves. So the router soon finds a moved service, and a burst of
/// connections to one backend asks once.
const FRESH: Duration = Duration::from_secs(2);
/// Longest time for a question, without regard to the callers' deadlines: one question serves all
/// callers of the time.
const QUESTION_LIMIT: Duration = Duration::from_secs(10);
/// Longest wait for one name server before the resolver repeats the question or asks the next
/// server.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
/// Most answers in the cache. A site knows its backends and its links: a few hundred names at most.
const CACHE_LIMIT: usize = 1024;
/// Most addresses of one name. More would not help, for a dial tries one after the other.
const ADDRESS_LIMIT: usize = 32;
/// Most bytes read of a system file.
const FILE_LIMIT: u64 = 1 << 20;

/// The addresses of a host that may be used (`socketAddressFamily`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// Both, IPv4 first: sites without an IPv6 route are common, sites without IPv4 are rare.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Family {
    fn admits(self, address: &IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

/// The reason why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolveFailure {
    /// The name servers know no such name.
    NoSuchName,
    /// The name exists, but has no address of the wanted family.
    NoAddress(Family),
    /// No answer within the deadline.
    TimedOut(Duration),
    /// The text is neither an address nor a well-formed name.
    Malformed,
    /// The hosts file does not list the name, and there is no name server to ask.
    NoServer(String),
    /// The name servers failed.
    Server(String),
}

/// A host that has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ResolveError {
    /// The host as configured.
    pub host: String,
    /// The reason.
    pub failure: ResolveFailure,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name {} does not resolve: {}", self.host, self.failure)
    }
}

impl fmt::Display for ResolveFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchName => f.write_str("no such name"),
            Self::NoAddress(Family::Any) => f.write_str("it has no address"),
            Self::NoAddress(Family::V4) => f.write_str("it has no IPv4 address"),
            Self::NoAddress(Family::V6) => f.write_str("it has no IPv6 address"),
            Self::TimedOut(limit) => {
                write!(
                    f,
                    "the name servers of /etc/resolv.conf did not answer within {:.1} s",
                    limit.as_secs_f32()
                )
            }
            Self::Malformed => f.write_str("it is neither an address nor a host name"),
            Self::NoServer(why) => {
                write!(f, "not in /etc/hosts, and no name server in /etc/resolv.conf ({why})")
            }
            Self::Server(why) => write!(f, "the name servers of /etc/resolv.conf failed: {why}"),
        }
    }
}

/// An answer and its time.
struct Answer {
    at: Instant,
    result: Result<Arc<[IpAddr]>, ResolveFailure>,
}

type Cache = HashMap<(String, Family), Arc<OnceCell<Answer>>>;

struct Inner {
    hosts: PathBuf,
    resolv_conf: PathBuf,
    dns_port: u16,
    /// [`FRESH`], except in tests.
    fresh: Duration,
    /// Guards the map only. Questions run outside of it.
    cache: Mutex<Cache>,
}

/// A resolver of names. Cheap to clone; all shards share it.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
}

impl Resolver {
    /// Creates a resolver with the system's files. It reads them anew for every question.
    pub fn system() -> Self {
        Self::with_files(Path::new("/etc/hosts"), Path::new("/etc/resolv.conf"), 53)
    }

    /// Creates a resolver with other files in place of `/etc/hosts` and `/etc/resolv.conf`, and
    /// another port for the name servers.
    pub fn with_files(hosts: &Path, resolv_conf: &Path, dns_port: u16) -> Self {
        Self {
            inner: Arc::new(Inner {
                hosts: hosts.to_owned(),
                resolv_conf: resolv_conf.to_owned(),
                dns_port,
                fresh: FRESH,
                cache: Mutex::default(),
            }),
        }
    }

    /// Returns the addresses of `host`, in the order in which to try them. They are never empty.
    ///
    /// Literals (IPv6 also in brackets) and `localhost` need no question. The resolver keeps
    /// answers and failures for two seconds. One question serves all callers that ask meanwhile.
    ///
    /// # Errors
    /// The name has no address of `family`, or no answer came within `deadline`.
    pub async fn resolve(
        &self,
        host: &str,
        family: Family,
        deadline: Duration,
    ) -> Result<Arc<[IpAddr]>, ResolveError> {
        let fail = |failure| ResolveError { host: host.to_owned(), failure };
        if let Some(addresses) = local(host) {
            let addresses: Arc<[IpAddr]> =
                addresses.into_iter().filter(|address| family.admits(address)).collect();
            return if addresses.is_empty() {
                Err(fail(ResolveFailure::NoAddress(family)))
            } else {
                Ok(addresses)
            };
        }
        if !is_host_name(host) {
            return Err(fail(ResolveFailure::Malformed));
        }
        let end = Instant::now() + deadline;
        let name = host.to_ascii_lowercase();
        let cell = self.cell(&name, family);
        let question = cell.get_or_init(|| async {
            let result = match timeout(QUESTION_LIMIT, self.ask(&name, family)).await {
                Ok(result) => result,
                Err(_) => Err(ResolveFailure::TimedOut(QUESTION_LIMIT)),
            };
            Answer { at: Instant::now(), result }
        });
        match timeout_at(end, question).await {
            Ok(answer) => answer.result.clone().map_err(fail),
            Err(_) => Err(fail(ResolveFailure::TimedOut(deadline))),
        }
    }

    /// Returns the cell that holds the answer to a question, or will hold it.
    fn cell(&self, name: &str, family: Family) -> Arc<OnceCell<Answer>> {
        let now = Instant::now();
        let is_current = |cell: &OnceCell<Answer>| match cell.get() {
            Some(answer) => now.saturating_duration_since(answer.at) < self.inner.fresh,
            None => true,
        };
        let key = (name.to_owned(), family);
        let mut cache = self.inner.cache.lock();
        if let Some(cell) = cache.get(&key)
            && is_current(cell)
        {
            return cell.clone();
        }
        if cache.len() >= CACHE_LIMIT {
            cache.retain(|_, cell| is_current(cell));
            if cache.len() >= CACHE_LIMIT {
                // So many names came within two seconds: this answer is not kept, but it still
                // serves its caller.
                return Arc::default();
            }
        }
        let cell = Arc::<OnceCell<Answer>>::default();
        cache.insert(key, cell.clone());
        cell
    }

    async fn ask(&self, name: &str, family: Family) -> Result<Arc<[IpAddr]>, ResolveFailure> {
        // The two files are small and local: reading them on this thread costs less than a
        // hand-over.
        if let Some(listed) =
            read_limited(&self.inner.hosts).ok().and_then(|text| hosts_entry(&text, name))
        {
            let addresses: Arc<[IpAddr]> =
                listed.into_iter().filter(|address| family.admits(address)).collect();
            return if addresses.is_empty() {
                Err(ResolveFailure::NoAddress(family))
            } else {
                Ok(addresses)
            };
        }
        // Each question has a resolver of its own. It belongs to the runtime that asks, reads the
        // current files, and leaves no tasks behind. A shared resolver would keep its tasks on the
        // runtime of the first caller.
        let dns = self.dns(family)?;
        let found = dns.lookup_ip(name).await.map_err(|error| describe(&error, family))?;
        let (mut addresses, v6): (Vec<IpAddr>, Vec<IpAddr>) =
            found.iter().filter(|ip| family.admits(ip)).partition(IpAddr::is_ipv4);
        addresses.extend(v6);
        addresses.truncate(ADDRESS_LIMIT);
        if addresses.is_empty() {
            Err(ResolveFailure::NoAddress(family))
        } else {
            Ok(addresses.into())
        }
    }

    fn dns(&self, family: Family) -> Result<Dns<TokioRuntimeProvider>, ResolveFailure> {
        let text = read_limited(&self.inner.resolv_conf)
            .map_err(|error| ResolveFailure::NoServer(error.to_string()))?;
        let (system, mut options) = system_conf::parse_resolv_conf(text)
            .map_err(|error| ResolveFailure::NoServer(error.to_string()))?;
        let (_, search, mut servers) = system.into_parts();
        for connection in servers.iter_mut().flat_map(|server| server.connections.iter_mut()) {
            connection.port = self.inner.dns_port;
        }
        options.timeout = options.timeout.min(SERVER_TIMEOUT);
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 0;
        options.ip_strategy = match family {
            Family::Any => LookupIpStrategy::Ipv4AndIpv6,
            Family::V4 => LookupIpStrategy::Ipv4Only,
            Family::V6 => LookupIpStrategy::Ipv6Only,
        };
        // The parser has put the domain into an empty search list, as the C library does.
        let config = ResolverConfig::from_parts(None, search, servers);
        Dns::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(|error| ResolveFailure::Server(error.to_string()))
    }
}

/// Returns the addresses of literals, and of `localhost` with the names beneath it (RFC 6761,
/// section 6.3).
fn local(host: &str) -> Option<Vec<IpAddr>> {
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = literal.parse() {
        return Some(vec![address]);
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let (_, top) = name.rsplit_once('.').unwrap_or(("", name));
    top.eq_ignore_ascii_case("localhost")
        .then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}

/// Returns true for a name that a name server may know: labels of up to 63 letters, digits, hyphens
/// and underscores, 253 bytes in all.
fn is_host_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet))
        })
}

/// Returns the addresses of a name in a hosts file, in the file's order (`hosts(5)`). Returns
/// `None` if the file does not list the name.
fn hosts_entry(text: &[u8], name: &str) -> Option<Vec<IpAddr>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let text = String::from_utf8_lossy(text);
    let mut addresses = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        if addresses.len() < ADDRESS_LIMIT
            && !addresses.contains(&address)
            && words.any(|word| word.eq_ignore_ascii_case(name))
        {
            addresses.push(address);
        }
    }
    (!addresses.is_empty()).then_some(addresses)
}

fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(FILE_LIMIT).read_to_end(&mut text)?;
    Ok(text)
}

fn describe(error: &NetError, family: Family) -> ResolveFailure {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none))
            if none.response_code == ResponseCode::NXDomain =>
        {
            ResolveFailure::NoSuchName
        }
        NetError::Dns(DnsError::NoRecordsFound(_)) => ResolveFailure::NoAddress(family),
        NetError::Dns(DnsError::ResponseCode(code)) => ResolveFailure::Server(code.to_string()),
        NetError::Timeout => ResolveFailure::Server("no answer".to_owned()),
        other => ResolveFailure::Server(other.to_string()),
    }
}

/// Returns the number of a port, given as a number or as a service name.
///
/// It always knows the names of AMQP and HTTP, and those of `/etc/services` where that file exists.
pub fn service_port(port: &str) -> Option<u16> {
    if let Ok(number) = port.parse() {
        return Some(number);
    }
    match port {
        "amqp" => Some(5672),
        "amqps" => Some(5671),
        "http" => Some(80),
        "https" => Some(443),
        _ => services_entry(&read_limited(Path::new("/etc/services")).ok()?, port),
    }
}

/// Returns the TCP port of a name in a services file (`services(5)`).
fn services_entry(text: &[u8], name: &str) -> Option<u16> {
    String::from_utf8_lossy(text).lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (first, number) = (words.next()?, words.next()?.strip_suffix("/tcp")?);
        (first == name || words.any(|alias| alias == name)).then(|| number.parse().ok())?
    })
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
