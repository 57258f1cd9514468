//! The pages whose scripts may open a WebSocket here (RFC 6455, section 10.2).
//!
//! A browser lets the scripts of any page open a WebSocket, and names the page's origin in
//! `Origin`. Other clients send no `Origin`, and this check lets them pass.

use hyper::HeaderMap;
use hyper::header::{HOST, ORIGIN};

/// The admitted origins. A request without an origin is always admitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Admits pages that come from this host and port.
    pub own: bool,
    /// Further origins, as browsers send them: `https://console.example.com`. `*` admits any.
    pub listed: Vec<String>,
}

impl Origins {
    /// Returns true if a request with these headers is admitted.
    pub fn admit(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        let (Ok(origin), None) = (origin.to_str(), origins.next()) else { return false };
        let listed = |listed: &String| listed == "*" || canonical(listed) == canonical(origin);
        self.listed.iter().any(listed) || self.own && is_own(origin, headers)
    }
}

/// Returns true if an origin has the request's own host and port. It ignores the scheme, for TLS
/// may end at a proxy.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(Ok(host)), None) = (hosts.next().map(|host| host.to_str()), hosts.next()) else {
        return false;
    };
    let Some((scheme, _)) = origin.split_once("://") else { return false };
    !host.is_empty() && canonical(origin) == canonical(&format!("{scheme}://{host}"))
}

/// Returns an origin in lower case, without the port that its scheme implies.
fn canonical(origin: &str) -> String {
    let origin = origin.to_ascii_lowercase();
    let implied = match origin.split_once("://") {
        Some(("http" | "ws", _)) => ":80",
        Some(("https" | "wss", _)) => ":443",
        _ => return origin,
    };
    origin.strip_suffix(implied).unwrap_or(&origin).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(host: &[&str], origin: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, values) in [(HOST, host), (ORIGIN, origin)] {
            for value in values {
                headers.append(&name, value.parse().unwrap());
            }
        }
        headers
    }

    fn own() -> Origins {
        Origins { own: true, listed: Vec::new() }
    }

    #[test]
    fn pages_of_this_host_are_let_in_and_no_others() {
        let admitted = |host: &str, origin: &str| own().admit(&headers(&[host], &[origin]));
        for (host, origin) in [
            ("router:8080", "http://router:8080"),
            ("Router:8080", "https://router:8080"),
            ("router", "http://router:80"),
            ("router:443", "https://router"),
            ("[2001:db8::1]:8080", "http://[2001:DB8::1]:8080"),
        ] {
            assert!(admitted(host, origin), "{host} {origin}");
        }
        for (host, origin) in [
            ("router:8080", "http://evil.example"),
            ("router:8080", "http://router"),
            ("router:8080", "http://router:8081"),
            ("router:8080", "http://router:8080.evil.example"),
            ("router:8080", "http://evil.example/router:8080"),
            ("router:8080", "null"),
            ("router:8080", ""),
            ("", "http://"),
        ] {
            assert!(!admitted(host, origin), "{host} {origin}");
        }
        assert!(own().admit(&headers(&["router"], &[])), "no browser");
        assert!(!own().admit(&headers(&["router"], &["http://router", "http://evil.example"])));
        assert!(!own().admit(&headers(&["router", "evil.example"], &["http://evil.example"])));
        assert!(!own().admit(&headers(&[], &["http://evil.example"])));
        assert!(!Origins::default().admit(&headers(&["router"], &["http://router"])));
    }

    #[test]
    fn what_is_listed_is_let_in() {
        let listing = |listed: &[&str]| Origins {
            own: true,
            listed: listed.iter().map(|text| (*text).to_owned()).collect(),
        };
        let from = |origin: &str| headers(&["router"], &[origin]);
        assert!(listing(&["https://Console.example:443"]).admit(&from("https://console.example")));
        assert!(!listing(&["https://console.example"]).admit(&from("http://console.example")));
        assert!(
            listing(&["null"]).admit(&from("null"))
                && listing(&["*"]).admit(&from("https://anybody"))
        );
    }

    proptest! {
        #[test]
        fn another_host_is_never_our_own(host in "[a-z]{1,8}(:[0-9]{1,5})?",
            other in "[a-z]{1,8}(\\.[a-z]{1,5})?(:[0-9]{1,5})?", scheme in "https?") {
            let implied = if scheme == "http" { ":80" } else { ":443" };
            let bare = |text: &str| text.strip_suffix(implied).unwrap_or(text).to_owned();
            let admitted = own().admit(&headers(&[&host], &[&format!("{scheme}://{other}")]));
            prop_assert_eq!(admitted, bare(&host) == bare(&other));
        }
    }
}
