//! Cipher suites and protocol versions, by their names in OpenSSL.

use rustls::crypto::aws_lc_rs::cipher_suite as suites;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion};

/// A cipher suite of this router.
struct Suite {
    suite: SupportedCipherSuite,
    /// Its name in OpenSSL.
    name: &'static str,
    /// Its name at IANA, where that differs.
    iana: &'static str,
    /// The OpenSSL keywords that select it, beside those of `ALL_12` or `ALL_13`.
    keywords: &'static [&'static str],
    bits: u16,
}

/// The suites in the TLS library's order of preference.
const SUITES: [Suite; 9] = [
    Suite {
        suite: suites::TLS13_AES_256_GCM_SHA384,
        name: "TLS_AES_256_GCM_SHA384",
        iana: "",
        keywords: &["AES", "AES256", "AESGCM", "FIPS"],
        bits: 256,
    },
    Suite {
        suite: suites::TLS13_AES_128_GCM_SHA256,
        name: "TLS_AES_128_GCM_SHA256",
        iana: "",
        keywords: &["AES", "AES128", "AESGCM", "FIPS"],
        bits: 128,
    },
    Suite {
        suite: suites::TLS13_CHACHA20_POLY1305_SHA256,
        name: "TLS_CHACHA20_POLY1305_SHA256",
        iana: "",
        keywords: &["CHACHA20"],
        bits: 256,
    },
    Suite {
        suite: suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        iana: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        keywords: &["ECDSA", "aECDSA", "AES", "AES256", "AESGCM", "FIPS", "SUITEB192", "SUITEB128"],
        bits: 256,
    },
    Suite {
        suite: suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        iana: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        keywords: &[
            "ECDSA",
            "aECDSA",
            "AES",
            "AES128",
            "AESGCM",
            "FIPS",
            "SUITEB128",
            "SUITEB128ONLY",
        ],
        bits: 128,
    },
    Suite {
        suite: suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        iana: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        keywords: &["ECDSA", "aECDSA", "CHACHA20"],
        bits: 256,
    },
    Suite {
        suite: suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        iana: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        keywords: &["aRSA", "AES", "AES256", "AESGCM", "FIPS"],
        bits: 256,
    },
    Suite {
        suite: suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        iana: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        keywords: &["aRSA", "AES", "AES128", "AESGCM", "FIPS"],
        bits: 128,
    },
    Suite {
        suite: suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        iana: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        keywords: &["aRSA", "CHACHA20"],
        bits: 256,
    },
];

/// Keywords that select every suite of TLS 1.2 here.
const ALL_12: [&str; 9] =
    ["ALL", "DEFAULT", "HIGH", "TLSv1.2", "ECDHE", "EECDH", "ECDH", "kECDHE", "kEECDH"];
/// Keywords that exclude every suite of TLS 1.3. As in OpenSSL, keywords that add leave TLS 1.3
/// alone.
const ALL_13: [&str; 3] = ["ALL", "DEFAULT", "HIGH"];

/// Keywords of OpenSSL that select no suite here. A list may exclude them, but may not name them
/// alone.
const NEVER_OFFERED: &[&str] = &[
    "3DES",
    "ADH",
    "AECDH",
    "AESCCM",
    "AESCCM8",
    "ARIA",
    "ARIA128",
    "ARIA256",
    "ARIAGCM",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "CBC",
    "COMPLEMENTOFALL",
    "COMPLEMENTOFDEFAULT",
    "DES",
    "DH",
    "DHE",
    "DHEPSK",
    "DSS",
    "ECDHEPSK",
    "EDH",
    "EXP",
    "EXPORT",
    "EXPORT40",
    "EXPORT56",
    "FZA",
    "GOST",
    "GOST12",
    "GOST2012",
    "GOST89",
    "GOST89MAC",
    "GOST94",
    "IDEA",
    "KRB5",
    "LOW",
    "MD5",
    "MEDIUM",
    "NULL",
    "PSK",
    "RC2",
    "RC4",
    "RSA",
    "RSAPSK",
    "SEED",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA384",
    "SRP",
    "SSLv2",
    "SSLv3",
    "TLSv1",
    "TLSv1.0",
    "aDH",
    "aDSS",
    "aECDH",
    "aGOST",
    "aGOST01",
    "aGOST12",
    "aKRB5",
    "aNULL",
    "aPSK",
    "aSRP",
    "eNULL",
    "kDH",
    "kDHE",
    "kDHEPSK",
    "kDHd",
    "kDHr",
    "kECDH",
    "kECDHEPSK",
    "kECDHe",
    "kECDHr",
    "kEDH",
    "kGOST",
    "kGOST18",
    "kKRB5",
    "kPSK",
    "kRSA",
    "kRSAPSK",
    "kSRP",
];

impl Suite {
    fn is_13(&self) -> bool {
        self.suite.tls13().is_some()
    }

    fn is_named(&self, word: &str) -> bool {
        self.name == word || (!self.iana.is_empty() && self.iana == word)
    }

    fn has(&self, keyword: &str) -> bool {
        let all: &[&str] = if self.is_13() { &ALL_13 } else { &ALL_12 };
        self.keywords.contains(&keyword) || all.contains(&keyword)
    }

    /// Returns whether a word of the list, possibly of the form `ECDHE+AESGCM`, selects this suite.
    fn is_meant(&self, word: &str) -> bool {
        self.is_named(word) || word.split('+').all(|keyword| self.has(keyword))
    }
}

fn is_known(keyword: &str) -> bool {
    NEVER_OFFERED.contains(&keyword) || SUITES.iter().any(|suite| suite.has(keyword))
}

/// Reads a list in the form of `ciphers(1)`. Colons, commas or spaces separate its words. `!`
/// excludes for good, `-` removes, and `+` moves to the end.
///
/// As in OpenSSL, keywords add suites of TLS 1.2 only, and TLS 1.3 keeps all of its suites unless
/// the list names some of them (`TLS_AES_256_GCM_SHA384`). Stricter than OpenSSL, an exclusion
/// (`!CHACHA20`) binds TLS 1.3 as well.
///
/// # Errors
/// A reason that reads on from the attribute's name.
pub(super) fn parse_ciphers(list: &str) -> Result<Vec<SupportedCipherSuite>, String> {
    let mut chosen: Vec<&Suite> = Vec::new();
    let mut banned = [false; SUITES.len()];
    for word in list.split([':', ',', ';', ' ', '\t', '\n']).filter(|word| !word.is_empty()) {
        if let Some(command) = word.strip_prefix('@') {
            match command {
                // Two is what the TLS library keeps at all times: keys of 112 bits of security and
                // more.
                "STRENGTH" => chosen.sort_by_key(|suite| std::cmp::Reverse(suite.bits)),
                "SECLEVEL=0" | "SECLEVEL=1" | "SECLEVEL=2" => {}
                _ => {
                    return Err(format!(
                        "'@{command}' is not supported (known: @STRENGTH, @SECLEVEL=0 to 2)"
                    ));
                }
            }
            continue;
        }
        let (operation, name) = match word.split_at_checked(1) {
            Some((operation @ ("!" | "-" | "+"), name)) => (operation, name),
            _ => ("", word),
        };
        // A name with a hyphen or an underscore is that of one suite. OpenSSL has hundreds that
        // this router lacks.
        let is_suite_name = name.contains(['-', '_']);
        if !is_suite_name && let Some(unknown) = name.split('+').find(|keyword| !is_known(keyword))
        {
            return Err(format!(
                "'{unknown}' is no cipher suite and no keyword of OpenSSL (see: openssl ciphers -v)"
            ));
        }
        let meant = |suite: &Suite| suite.is_meant(name);
        match operation {
            "!" => {
                chosen.retain(|suite| !meant(suite));
                banned.iter_mut().zip(&SUITES).for_each(|(banned, suite)| *banned |= meant(suite));
            }
            "-" => chosen.retain(|suite| !meant(suite)),
            "+" => {
                let (last, first) = chosen.iter().partition::<Vec<&Suite>, _>(|suite| meant(suite));
                chosen = first;
                chosen.extend(last);
            }
            _ => {
                for (suite, banned) in SUITES.iter().zip(banned) {
                    let wanted = if suite.is_13() { suite.is_named(name) } else { meant(suite) };
                    if wanted && !banned && !chosen.iter().any(|other| other.name == suite.name) {
                        chosen.push(suite);
                    }
                }
            }
        }
    }
    if chosen.is_empty() {
        let ours = SUITES.map(|suite| suite.name).join(":");
        return Err(format!("'{list}' leaves no cipher suite of those that are supported: {ours}"));
    }
    let named_13 = chosen.iter().any(|suite| suite.is_13());
    let free_13 =
        SUITES.iter().zip(banned).filter(|(suite, banned)| suite.is_13() && !banned && !named_13);
    let mut all: Vec<SupportedCipherSuite> = free_13.map(|(suite, _)| suite.suite).collect();
    all.extend(chosen.iter().filter(|suite| suite.is_13()).map(|suite| suite.suite));
    all.extend(chosen.iter().filter(|suite| !suite.is_13()).map(|suite| suite.suite));
    Ok(all)
}

/// Broken versions (RFC 8996), which this router does not speak.
pub(super) const BROKEN: [&str; 5] = ["TLSv1", "TLSv1.0", "TLSv1.1", "SSLv2", "SSLv3"];

/// Returns the words of a list of protocol versions.
pub(super) fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split([' ', ',', '\t', '\n', ':']).filter(|word| !word.is_empty())
}

/// Reads a list of protocol versions: `TLSv1.2 TLSv1.3`. It passes over broken versions beside
/// them.
///
/// # Errors
/// A reason that reads on from the attribute's name.
pub(super) fn parse_protocols(
    list: &str,
) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let mut versions: Vec<&'static SupportedProtocolVersion> = Vec::new();
    let mut broken = None;
    for word in words(list) {
        let version = match word {
            "TLSv1.3" => &TLS13,
            "TLSv1.2" => &TLS12,
            _ if BROKEN.contains(&word) => {
                broken = broken.or(Some(word));
                continue;
            }
            _ => {
                return Err(format!(
                    "'{word}' is no protocol version; use one or both of TLSv1.2 and TLSv1.3"
                ));
            }
        };
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    if let (true, Some(word)) = (versions.is_empty(), broken) {
        return Err(format!(
            "{word} is broken and not supported (RFC 8996); use one or both of TLSv1.2 and \
             TLSv1.3, or leave the attribute out"
        ));
    }
    if versions.is_empty() {
        return Err(
            "the list is empty; use one or both of TLSv1.2 and TLSv1.3, or leave the attribute out"
                .to_owned(),
        );
    }
    Ok(versions)
}

/// Returns OpenSSL's name of a suite and the bits of its key.
pub(super) fn describe(suite: CipherSuite) -> (&'static str, u16) {
    SUITES
        .iter()
        .find(|ours| ours.suite.suite() == suite)
        .map_or(("unknown", 0), |ours| (ours.name, ours.bits))
}

/// Returns OpenSSL's name of a protocol version.
pub(super) fn protocol_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        _ => "unknown",
    }
}
