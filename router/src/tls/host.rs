//! Hosts and the names of certificates.

use std::net::IpAddr;

use rustls_pki_types::ServerName;

use super::certificate::Certificate;

/// Returns whether a common name of a certificate is this host.
pub(super) fn common_name_matches(certificate: &Certificate, host: &ServerName<'_>) -> bool {
    certificate.common_names.iter().any(|name| match host {
        ServerName::DnsName(host) => name_matches(name, host.as_ref()),
        ServerName::IpAddress(address) => {
            name.parse().is_ok_and(|ip: IpAddr| ip == IpAddr::from(*address))
        }
        _ => false,
    })
}

/// Compares a certificate's name with a host's. A wildcard stands for exactly one label, the first,
/// and not beneath a top-level domain.
fn name_matches(name: &str, host: &str) -> bool {
    let (name, host) =
        (name.strip_suffix('.').unwrap_or(name), host.strip_suffix('.').unwrap_or(host));
    match name.strip_prefix("*.") {
        Some(domain) => {
            domain.contains('.')
                && !domain.contains('*')
                && host.split_once('.').is_some_and(|(label, rest)| {
                    !label.is_empty() && rest.eq_ignore_ascii_case(domain)
                })
        }
        None => !name.is_empty() && name.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_by_label() {
        for (name, host, expected) in [
            ("north", "north", true),
            ("North.Example.Com", "north.example.com.", true),
            ("*.example.com", "north.example.com", true),
            ("*.example.com", "a.north.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.com", "example.com", false),
            ("*", "north", false),
            ("n*.example.com", "north.example.com", false),
            ("*.*.com", "a.b.com", false),
            ("", "", false),
            ("north", "northern", false),
        ] {
            assert_eq!(name_matches(name, host), expected, "{name} {host}");
        }
    }
}
