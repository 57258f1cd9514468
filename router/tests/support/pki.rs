//! Creates certificates, valid ones and every kind of invalid one.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

/// A certificate authority with its certificate in a file.
pub struct Authority {
    folder: PathBuf,
    file: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// The files of an `sslProfile`.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The authority to trust.
    pub trusted: PathBuf,
    /// Certificate and key, if this side has any.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// The contents of a certificate.
#[derive(Clone, Debug)]
pub struct Contents<'a> {
    /// The common name; empty for an empty subject.
    pub common_name: &'a str,
    /// DNS names and addresses of the subject alternative name; empty to leave the extension out.
    pub names: &'a [&'a str],
    /// True if the certificate has expired.
    pub expired: bool,
}

impl Authority {
    /// Creates an authority, and stores its certificate as `NAME.crt`.
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate of the authority");
        let file = folder.join(format!("{name}.crt"));
        std::fs::write(&file, certificate.pem()).expect("the authority's certificate is written");
        Self { folder: folder.to_owned(), file, issuer: Issuer::new(params, key) }
    }

    /// Issues the usual certificate of a site.
    pub fn identity(&self, site: &str) -> Identity {
        self.issue(
            site,
            &Contents {
                common_name: site,
                names: &["localhost", "127.0.0.1", site],
                expired: false,
            },
        )
    }

    /// Issues a certificate with these contents, and stores it as `FILE.crt` and `FILE.key`.
    pub fn issue(&self, file: &str, contents: &Contents<'_>) -> Identity {
        let names: Vec<String> = contents.names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("subject alternative names");
        params.distinguished_name = subject(contents.common_name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        if contents.expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let (certificate_file, key_file) =
            (self.folder.join(format!("{file}.crt")), self.folder.join(format!("{file}.key")));
        std::fs::write(&certificate_file, certificate.pem()).expect("the certificate is written");
        std::fs::write(&key_file, key.serialize_pem()).expect("the key is written");
        Identity { trusted: self.file.clone(), own: Some((certificate_file, key_file)) }
    }

    /// Returns the file of the authority's certificate.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

impl Identity {
    /// Returns the same trust without a certificate.
    pub fn anonymous(mut self) -> Self {
        self.own = None;
        self
    }

    /// Returns the same certificate with trust in another authority.
    pub fn trusting(mut self, authority: &Authority) -> Self {
        self.trusted = authority.file.clone();
        self
    }
}

fn subject(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if !common_name.is_empty() {
        name.push(DnType::CommonName, common_name);
    }
    name
}
