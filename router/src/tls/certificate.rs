//! What a certificate says, in the words that operators and OpenSSL use.

use std::fmt::{self, Write};
use std::net::IpAddr;

use jiff::Timestamp;
use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::x509::X509Name;

/// Alternative names that are kept of a certificate.
const NAMES_LIMIT: usize = 64;

/// The readable part of a certificate. The `Debug` form leaves the bytes out.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The subject as OpenSSL prints it with `-nameopt RFC2253`: `CN=north,O=Example`.
    pub subject: String,
    /// The issuer in the same form.
    pub issuer: String,
    /// The common names of the subject, the most specific last.
    pub common_names: Vec<String>,
    /// The DNS names and IP addresses of the alternative names, in order; at most 64.
    pub alternative_names: Vec<String>,
    /// Whether there are alternative names of any kind. Then the common names name no host.
    pub has_alternative_names: bool,
    /// The beginning of its validity.
    pub not_before: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// The certificate in DER.
    pub der: Vec<u8>,
}

impl Certificate {
    /// Reads a certificate. Returns `None` if it is malformed.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let validity = certificate.validity();
        Some(Self {
            subject: rfc2253(certificate.subject()),
            issuer: rfc2253(certificate.issuer()),
            common_names: certificate
                .subject()
                .iter_common_name()
                .filter_map(|name| text(name.attr_value()))
                .collect(),
            alternative_names: alternative_names(&certificate),
            has_alternative_names: !matches!(certificate.subject_alternative_name(), Ok(None)),
            not_before: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
            not_after: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
            der: der.to_vec(),
        })
    }

    /// Returns the first value of a field of the subject, by the field's object identifier.
    pub(super) fn subject_field(&self, oid: &str) -> Option<String> {
        let (_, certificate) = X509Certificate::from_der(&self.der).ok()?;
        let mut attributes = certificate.subject().iter_attributes();
        attributes
            .find(|attribute| attribute.attr_type().to_id_string() == oid)
            .and_then(|attribute| text(attribute.attr_value()))
    }

    /// Returns the names that may name hosts: the alternative names or, without any of them, the
    /// common names.
    pub fn host_names(&self) -> &[String] {
        if self.has_alternative_names { &self.alternative_names } else { &self.common_names }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .field("names", &self.host_names())
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets).ok().map(|octets| IpAddr::from(octets).to_string()),
            16 => <[u8; 16]>::try_from(*octets).ok().map(|octets| IpAddr::from(octets).to_string()),
            _ => None,
        },
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).take(NAMES_LIMIT).collect()
}

/// Returns the text of an attribute's value, or `None` for a type that is no text.
fn text(value: &Any<'_>) -> Option<String> {
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString => Some(String::from_utf8_lossy(value.data).into_owned()),
        // By the standard T.61, in practice Latin-1.
        Tag::T61String => Some(value.data.iter().map(|octet| char::from(*octet)).collect()),
        Tag::BmpString => {
            let units = value
                .data
                .chunks_exact(2)
                .filter_map(|pair| <[u8; 2]>::try_from(pair).ok())
                .map(u16::from_be_bytes);
            Some(
                char::decode_utf16(units)
                    .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect(),
            )
        }
        _ => None,
    }
}

/// Writes a name in the form of RFC 2253, as OpenSSL does: most specific first.
fn rfc2253(name: &X509Name<'_>) -> String {
    let mut out = String::new();
    let names: Vec<_> = name.iter_rdn().collect();
    for (index, set) in names.iter().rev().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let attributes: Vec<_> = set.iter().collect();
        for (index, attribute) in attributes.iter().rev().enumerate() {
            if index > 0 {
                out.push('+');
            }
            let oid = attribute.attr_type().to_id_string();
            let value = attribute.attr_value();
            match (short_name(&oid), text(value)) {
                (Some(short), Some(text)) => {
                    out.push_str(short);
                    out.push('=');
                    escape(&text, &mut out);
                }
                (short, _) => {
                    out.push_str(short.unwrap_or(&oid));
                    out.push_str("=#");
                    hex(value, &mut out);
                }
            }
        }
    }
    out
}

fn escape(text: &str, out: &mut String) {
    let last = text.len().saturating_sub(1);
    for (index, octet) in text.bytes().enumerate() {
        match octet {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                out.push('\\');
                out.push(char::from(octet));
            }
            b'#' if index == 0 => out.push_str("\\#"),
            b' ' if index == 0 || index == last => out.push_str("\\ "),
            0x20..=0x7e => out.push(char::from(octet)),
            _ => {
                let _ = write!(out, "\\{octet:02X}");
            }
        }
    }
}

/// Writes the DER of a value in hexadecimal digits.
fn hex(value: &Any<'_>, out: &mut String) {
    let length = value.data.len();
    let _ = write!(
        out,
        "{:02X}",
        value.tag().0 & 0x1f | if value.header.is_constructed() { 0x20 } else { 0 }
    );
    match length {
        0..=0x7f => _ = write!(out, "{length:02X}"),
        0x80..=0xff => _ = write!(out, "81{length:02X}"),
        _ => _ = write!(out, "82{length:04X}"),
    }
    for octet in value.data {
        let _ = write!(out, "{octet:02X}");
    }
}

/// Returns OpenSSL's short name of an attribute type.
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.13" => "description",
        "2.5.4.15" => "businessCategory",
        "2.5.4.17" => "postalCode",
        "2.5.4.41" => "name",
        "2.5.4.42" => "GN",
        "2.5.4.43" => "initials",
        "2.5.4.44" => "generationQualifier",
        "2.5.4.46" => "dnQualifier",
        "2.5.4.65" => "pseudonym",
        "2.5.4.97" => "organizationIdentifier",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        "1.2.840.113549.1.9.2" => "unstructuredName",
        _ => return None,
    })
}
