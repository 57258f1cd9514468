//! Parts of certificates in DER.

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

/// Parses a certificate, if it is whole.
pub(super) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Some(certificate),
        _ => None,
    }
}

/// Parses a certificate, if it is of version 1 and whole.
pub(super) fn version_1<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    parse(der).filter(|certificate| certificate.version() == X509Version::V1)
}

/// Splits off the first DER element. Returns its content and the bytes behind it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.get(1..)?.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?)), rest.get(2..)?),
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// Returns the content of the algorithm that follows the signed part of a certificate.
pub(super) fn algorithm_after<'a>(certificate: &'a [u8], signed: &[u8]) -> Option<&'a [u8]> {
    let (content, _) = element(certificate)?;
    Some(element(content.strip_prefix(signed)?)?.0)
}

/// Returns the content of the algorithm of a certificate's public key, and the key itself.
pub(super) fn public_key<'a>(certificate: &'a X509Certificate<'_>) -> Option<(&'a [u8], &'a [u8])> {
    let (content, _) = element(certificate.public_key().raw)?;
    Some((element(content)?.0, &certificate.public_key().subject_public_key.data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_cut_within_bounds() {
        assert_eq!(element(&[0x30, 2, 1, 2, 3]), Some((&[1, 2][..], &[3][..])));
        assert_eq!(element(&[0x30, 0x81, 1, 7]), Some((&[7][..], &[][..])));
        assert_eq!(element(&[0x30, 0x82, 0, 1, 7]), Some((&[7][..], &[][..])));
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 1],
            &[0x30, 0x81],
            &[0x30, 0x82, 1],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x84, 0, 0, 0, 1, 7],
        ] {
            assert_eq!(element(bad), None);
        }
    }
}
