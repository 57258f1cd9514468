//! The fuzz target `certificates`: a chain that is taken for a host's names the host.
//!
//! An input is an byte with the length of a host's name, the name, and certificates one after the
//! other. The authority is the one of `fuzz/certificates/ca.der`, whose key is gone.
#![expect(clippy::expect_used, reason = "a test fails by a panic")]

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certificate::Certificate;
use super::naming::Naming;
use super::trust::Trust;
use super::verify::{
    ClientVerification, ClientVerifier, ServerVerification, ServerVerifier, Shown,
};

static AUTHORITY: &[u8] = include_bytes!("../../fuzz/certificates/ca.der");

/// A time at which the certificates of the corpus are valid: 2030.
const NOW: Duration = Duration::from_secs(1_893_456_000);

/// Letters of `uidFormat`, in the combinations that exclude none.
const FORMATS: [&str; 4] = ["csloun", "n1", "o2", "u5"];

static TRUST: LazyLock<Arc<Trust>> = LazyLock::new(|| {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Arc::new(
        Trust::new(vec![CertificateDer::from(AUTHORITY)], &provider).expect("a sound authority"),
    )
});

/// Shows a chain to both verifiers: whether it proves the server to be `host`, and whether it
/// proves any client. `None`: `host` is no name, or there is no certificate.
fn judge(chain: &[&[u8]], host: &str) -> Option<(bool, bool)> {
    let host = ServerName::try_from(host.to_owned()).ok()?;
    let now = UnixTime::since_unix_epoch(NOW);
    let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(*der)).collect();
    let (leaf, between) = chain.split_first()?;
    let shown = Arc::<Shown>::default();
    let server = ServerVerifier {
        trust: Arc::clone(&TRUST),
        verification: ServerVerification::ChainAndName,
        shown: Arc::clone(&shown),
    };
    let client = ClientVerifier {
        trust: Arc::clone(&TRUST),
        verification: ClientVerification::Required,
        shown,
    };
    let server = server.verify_server_cert(leaf, between, &host, &[], now).is_ok();
    Some((server, client.verify_client_cert(leaf, between, now).is_ok()))
}

/// The users that a certificate is, by the formats there are.
fn users(certificate: &Certificate) -> Vec<String> {
    let naming = |format| Naming::new(format, HashMap::new()).user(certificate);
    FORMATS.into_iter().map(Some).chain([None]).map(naming).collect()
}

/// Splits what follows one another in DER.
fn elements(mut octets: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let [_, first, rest @ ..] = octets {
        let (head, length) = match (*first, rest) {
            (0x82, [high, low, ..]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
            (0x81, [length, ..]) => (3, usize::from(*length)),
            (length, _) => (2, usize::from(length)),
        };
        let (element, rest) = octets.split_at(octets.len().min(head + length));
        found.push(element);
        octets = rest;
    }
    found
}

/// Whether a certificate's name is for a host, as it is plainly read.
fn names(name: &str, host: &str) -> bool {
    let [name, host] = [name, host].map(|text| text.trim_end_matches('.').to_ascii_lowercase());
    let same_address = || Some(name.parse::<IpAddr>().ok()? == host.parse::<IpAddr>().ok()?);
    let wildcard = || Some(host.split_once('.')?.1 == name.strip_prefix("*.")?);
    name == host || same_address() == Some(true) || wildcard() == Some(true)
}

/// Reads one input.
///
/// # Panics
/// When something is believed that the certificates do not say.
pub fn certificates(octets: &[u8]) {
    let Some((&length, rest)) = octets.split_first() else { return };
    let Some((host, rest)) = rest.split_at_checked(usize::from(length)) else { return };
    let Ok(host) = core::str::from_utf8(host) else { return };
    let chain = elements(rest);
    for certificate in chain.iter().filter_map(|der| Certificate::parse(der)) {
        assert_eq!(users(&certificate).len(), FORMATS.len() + 1);
        assert!(!format!("{certificate:?}").is_empty());
    }
    let Some((server, client)) = judge(&chain, host) else { return };
    let leaf = chain.first().and_then(|der| Certificate::parse(der));
    assert!(leaf.is_some() || !server && !client, "a certificate that was verified cannot be read");
    if let Some(leaf) = leaf.filter(|_| server) {
        assert!(leaf.host_names().iter().any(|name| names(name, host)), "{leaf:?} for {host}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_is_judged_as_its_names_say() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/certificates");
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let octets = std::fs::read(entry.path()).unwrap();
            certificates(&octets);
            // Whatever is cut off, nothing is believed that was not said.
            for length in (0..octets.len()).step_by(7) {
                certificates(&octets[..length]);
            }
            let (host, rest) = octets[1..].split_at(usize::from(octets[0]));
            let verdict = judge(&elements(rest), core::str::from_utf8(host).unwrap()).unwrap();
            let expected = match entry.file_name().to_str().unwrap() {
                "seed-common" | "seed-version-1" | "seed-named" | "seed-wildcard"
                | "seed-address" | "seed-chain" => (true, true),
                "seed-constrained-named" => (true, true),
                "seed-common-other" | "seed-other-kinds" | "seed-constrained-common" => {
                    (false, true)
                }
                _ => continue,
            };
            assert_eq!(verdict, expected, "{:?}", entry.path());
        }
    }
}
