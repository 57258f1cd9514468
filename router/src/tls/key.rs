//! Private keys from PEM: PKCS#1, SEC1 and PKCS#8, in clear or encrypted.
//!
//! Two encryptions are in use. `ENCRYPTED PRIVATE KEY` is PKCS#8 with PBES2 (RFC 8018). The other
//! is OpenSSL's own and older. PEM headers announce it, which follow RFC 1421 in looks only:
//! `Proc-Type: 4,ENCRYPTED` and `DEK-Info: AES-256-CBC,<iv>`. Its key is the MD5 of password and
//! salt, chained until it is long enough.

use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use md5::{Digest, Md5};
use pem::Pem;
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls_pki_types::PrivateKeyDer;
use zeroize::Zeroizing;

use super::problem::ProfileProblem;

/// Finds the private key among the sections of a PEM file, and decrypts it if need be.
///
/// # Errors
/// The fault of the file or of the password.
pub(super) fn load(
    file: &[u8],
    password: Option<&str>,
) -> Result<PrivateKeyDer<'static>, ProfileProblem> {
    let sections = pem::parse_many(file).map_err(|error| ProfileProblem::Pem(error.to_string()))?;
    let section = sections
        .iter()
        .find(|section| section.tag().ends_with("PRIVATE KEY"))
        .ok_or(ProfileProblem::NoKey)?;
    let tag = section.tag();
    if tag == "ENCRYPTED PRIVATE KEY" {
        return decrypt_pkcs8(section.contents(), password.ok_or(ProfileProblem::NoPassword)?);
    }
    let der =
        if section.headers().get("Proc-Type").is_some_and(|value| value.ends_with("ENCRYPTED")) {
            decrypt_legacy(section, password.ok_or(ProfileProblem::NoPassword)?)?
        } else {
            Zeroizing::new(section.contents().to_vec())
        };
    match tag {
        "PRIVATE KEY" => Ok(PrivateKeyDer::Pkcs8(der.to_vec().into())),
        "RSA PRIVATE KEY" => Ok(PrivateKeyDer::Pkcs1(der.to_vec().into())),
        "EC PRIVATE KEY" => Ok(PrivateKeyDer::Sec1(der.to_vec().into())),
        other => Err(ProfileProblem::KeyType(other.to_owned())),
    }
}

fn decrypt_pkcs8(der: &[u8], password: &str) -> Result<PrivateKeyDer<'static>, ProfileProblem> {
    // The scheme comes first inside. A scheme before PBES2 cannot even be read.
    let info = EncryptedPrivateKeyInfoRef::try_from(der)
        .map_err(|_| ProfileProblem::Encryption("an encryption older than PBES2".to_owned()))?;
    match info.decrypt(password) {
        Ok(document) => Ok(PrivateKeyDer::Pkcs8(document.as_bytes().to_vec().into())),
        Err(pkcs8::Error::EncryptedPrivateKey(
            error @ (pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }
            | pkcs8::pkcs5::Error::AlgorithmParametersInvalid { .. }
            | pkcs8::pkcs5::Error::NoPbes1CryptSupport),
        )) => Err(ProfileProblem::Encryption(error.to_string())),
        Err(_) => Err(ProfileProblem::WrongPassword),
    }
}

fn decrypt_legacy(section: &Pem, password: &str) -> Result<Zeroizing<Vec<u8>>, ProfileProblem> {
    let unsupported = |what: &str| ProfileProblem::Encryption(what.to_owned());
    let info = section
        .headers()
        .get("DEK-Info")
        .ok_or_else(|| unsupported("an encryption without DEK-Info"))?;
    let (cipher, iv) = info.split_once(',').ok_or_else(|| unsupported(info))?;
    let iv = from_hex(iv.trim()).ok_or_else(|| unsupported(info))?;
    let octets = section.contents();
    match cipher.trim() {
        "AES-128-CBC" => decrypt_cbc::<Decryptor<aes::Aes128>>(octets, password, &iv, 16),
        "AES-192-CBC" => decrypt_cbc::<Decryptor<aes::Aes192>>(octets, password, &iv, 24),
        "AES-256-CBC" => decrypt_cbc::<Decryptor<aes::Aes256>>(octets, password, &iv, 32),
        "DES-EDE3-CBC" => decrypt_cbc::<Decryptor<des::TdesEde3>>(octets, password, &iv, 24),
        other => Err(unsupported(other)),
    }
}

fn decrypt_cbc<C: KeyIvInit + BlockModeDecrypt>(
    octets: &[u8],
    password: &str,
    iv: &[u8],
    key_length: usize,
) -> Result<Zeroizing<Vec<u8>>, ProfileProblem> {
    // The first eight bytes of the initialization vector are the salt.
    let salt =
        iv.get(..8).ok_or_else(|| ProfileProblem::Encryption("a damaged DEK-Info".to_owned()))?;
    let key = legacy_key(password.as_bytes(), salt, key_length);
    let cipher = C::new_from_slices(&key, iv)
        .map_err(|_| ProfileProblem::Encryption("a damaged DEK-Info".to_owned()))?;
    let mut buffer = Zeroizing::new(octets.to_vec());
    let length = cipher
        .decrypt_padded::<Pkcs7>(&mut buffer)
        .map_err(|_| ProfileProblem::WrongPassword)?
        .len();
    buffer.truncate(length);
    // The padding of one wrong password in 256 looks right. A key begins with a sequence.
    if buffer.first() == Some(&0x30) { Ok(buffer) } else { Err(ProfileProblem::WrongPassword) }
}

/// Derives a key as OpenSSL's `EVP_BytesToKey` does with MD5 and one round.
fn legacy_key(password: &[u8], salt: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(length + 16));
    let mut block = Vec::new();
    while key.len() < length {
        let mut hash = Md5::new();
        hash.update(&block);
        hash.update(password);
        hash.update(salt);
        block = hash.finalize().to_vec();
        key.extend_from_slice(&block);
    }
    key.truncate(length);
    key
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) || text.len() > 64 {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}
