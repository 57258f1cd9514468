//! Other addresses of a router, as `failoverUrls` lists them.

use std::fmt;
use std::str::FromStr;

use super::{Port, Problem, quote};

/// The longest list. A longer one is a mistake.
const MOST: usize = 64;

/// One address at which a router can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailoverUrl {
    /// `amqp` or `amqps`, if the list says it.
    pub scheme: Option<String>,
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    /// The given port, or that of the scheme.
    pub port: Port,
}

impl FromStr for FailoverUrl {
    type Err = Problem;

    /// Reads `[scheme://]host[:port]`.
    fn from_str(text: &str) -> Result<Self, Problem> {
        let wrong = |why: &str| Problem::Invalid(format!("{} {why}", quote(text)));
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        if let Some(other) = scheme.filter(|scheme| !matches!(*scheme, "amqp" | "amqps")) {
            return Err(wrong(&format!(
                "has scheme {}, which is neither amqp nor amqps",
                quote(other)
            )));
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (host, after) =
                    bracketed.split_once(']').ok_or_else(|| wrong("lacks a closing bracket"))?;
                (host, after.strip_prefix(':'))
            }
            None => match rest.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        if host.is_empty()
            || host.len() > 255
            || host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
        {
            return Err(wrong("names no host"));
        }
        let port = port.or(scheme).unwrap_or("amqp");
        let port = port
            .parse()
            .map_err(|_| wrong("has a port that is neither a number nor known by name"))?;
        Ok(Self { scheme: scheme.map(str::to_owned), host: host.to_owned(), port })
    }
}

impl fmt::Display for FailoverUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme.as_deref().unwrap_or("amqp");
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}:{}", self.host, self.port)
    }
}

/// Reads a list separated by commas.
pub fn failover_urls(text: &str) -> Result<Vec<FailoverUrl>, Problem> {
    let urls: Vec<_> = text
        .split(',')
        .map(str::trim)
        .filter(|url| !url.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    if urls.len() > MOST {
        return Err(Problem::Invalid(format!(
            "{} addresses are more than the {MOST} that are told",
            urls.len()
        )));
    }
    Ok(urls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let urls =
            failover_urls("second-host:25000, amqps://third-host:5671,amqp://[::1]:7,fourth")
                .unwrap();
        let shown: Vec<_> = urls.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "amqp://second-host:25000",
                "amqps://third-host:5671",
                "amqp://[::1]:7",
                "amqp://fourth:amqp"
            ]
        );
        assert_eq!(urls[0].scheme, None);
        assert_eq!(urls[2].host, "::1");
        assert_eq!(urls[3].port.number, 5672);
        assert_eq!(failover_urls(" , ").unwrap(), []);
    }

    #[test]
    fn mistakes_are_told() {
        for wrong in ["http://a:1", "a:70000", ":1", "amqp://", "a b:1", "[::1:5", "a:nonsense"] {
            assert!(failover_urls(wrong).is_err(), "{wrong}");
        }
        assert!(failover_urls(&vec!["a:1"; 65].join(",")).is_err());
    }
}
