//! Whom a certificate is for: which names count, and which authorities may give them.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    GeneralSubtree, IsCa, Issuer, KeyPair, NameConstraints, SanType,
};
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::super::trust::Trust;
use super::super::verify::{ServerVerification, ServerVerifier, Shown};

/// A certificate and its key, which may sign others.
struct Party(CertificateDer<'static>, Issuer<'static, KeyPair>);

impl Party {
    fn make(
        name: &str,
        issuer: Option<&Self>,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let certificate = match issuer {
            Some(Self(_, issuer)) => params.signed_by(&key, issuer),
            None => params.self_signed(&key),
        };
        Self(certificate.unwrap().der().clone(), Issuer::new(params, key))
    }

    /// An authority; for names in this domain only, if one is given.
    fn authority(name: &str, issuer: Option<&Self>, domain: Option<&str>) -> Self {
        Self::make(name, issuer, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.name_constraints = domain.map(|domain| NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName(domain.to_owned())],
                excluded_subtrees: vec![],
            });
        })
    }

    fn leaf(name: &str, issuer: &Self, names: &[SanType]) -> Self {
        Self::make(name, Some(issuer), |params| params.subject_alt_names = names.to_vec())
    }
}

/// Whether a server that shows this chain is `host`, for a client with these authorities.
fn is_host(host: &str, chain: &[&Party], roots: &[&Party]) -> bool {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let trust = Trust::new(roots.iter().map(|root| root.0.clone()).collect(), &provider).unwrap();
    let verification = ServerVerification::ChainAndName;
    let verifier =
        ServerVerifier { trust: Arc::new(trust), verification, shown: Arc::new(Shown::default()) };
    let (leaf, between) = chain.split_first().unwrap();
    let between: Vec<_> = between.iter().map(|party| party.0.clone()).collect();
    let host = ServerName::try_from(host.to_owned()).unwrap();
    verifier.verify_server_cert(&leaf.0, &between, &host, &[], UnixTime::now()).is_ok()
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

#[test]
fn common_names_count_without_any_alternative_name() {
    let root = Party::authority("root", None, None);
    let between = Party::authority("between", Some(&root), None);
    for issuer in [&root, &between] {
        let is = |leaf: &Party, host: &str| is_host(host, &[leaf, &between], &[&root]);
        let plain = Party::leaf("server", issuer, &[]);
        assert!(is(&plain, "server") && is(&plain, "SERVER") && !is(&plain, "other"));
        let named = Party::leaf("server", issuer, &[dns("named")]);
        assert!(is(&named, "named") && !is(&named, "server"));
        let uri = SanType::URI("https://server".try_into().unwrap());
        let mail = SanType::Rfc822Name("server@example.com".try_into().unwrap());
        for other in [uri, mail, SanType::OtherName((vec![1, 2, 3], "server".into()))] {
            assert!(
                !is(&Party::leaf("server", issuer, std::slice::from_ref(&other)), "server"),
                "{other:?}"
            );
        }
        // An extension that cannot be read names nobody.
        let broken = Party::make("server", Some(issuer), |params| {
            params
                .custom_extensions
                .push(CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x04, 0x01, 0x00]));
        });
        assert!(!is(&broken, "server"));
    }
}

#[test]
fn common_names_do_not_evade_constraints() {
    let root = Party::authority("root", None, None);
    let between = Party::authority("between", Some(&root), Some("example.com"));
    let below = Party::authority("below", Some(&between), None);
    let allowed = Party::leaf("any", &between, &[dns("a.example.com")]);
    assert!(is_host("a.example.com", &[&allowed, &between], &[&root]));
    for name in ["server", "a.example.com"] {
        let leaf = Party::leaf(name, &between, &[]);
        assert!(!is_host(name, &[&leaf, &between], &[&root]), "{name}");
        let leaf = Party::leaf(name, &below, &[]);
        assert!(!is_host(name, &[&leaf, &below, &between], &[&root]), "{name}");
    }
    // The same of an authority that is trusted itself; what others sign is not concerned.
    let bound = Party::authority("bound", None, Some("example.com"));
    let leaf = Party::leaf("server", &bound, &[]);
    assert!(!is_host("server", &[&leaf], &[&root, &bound]));
    let leaf = Party::leaf("server", &root, &[]);
    assert!(is_host("server", &[&leaf], &[&root, &bound]));
}
