//! RSA private keys: read from PEM, and used to decrypt (RFC 8017, PKCS #1 v1.5).
//!
//! The established crate is left out for its open advisory RUSTSEC-2023-0071 and two dozen
//! dependencies. Like it, this takes a time that depends on the key; here nobody can measure it but
//! who runs the template, and that is who has the key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bigdecimal::num_bigint::BigUint;
use bigdecimal::num_traits::Zero;

/// The longest modulus; the time grows with its third power.
const MAX_MODULUS_BITS: u64 = 8192;

/// The object identifier of RSA keys, 1.2.840.113549.1.1.1, in DER.
const RSA_ENCRYPTION: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// What of a private key is needed to decrypt.
pub(super) struct RsaKey {
    modulus: BigUint,
    exponent: BigUint,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RsaKeyError {
    /// There is no PEM block.
    #[error("no key in PEM is found")]
    NoKey,
    /// A password is needed.
    #[error("keys with a password are not supported, decrypt the key with `openssl rsa` before")]
    Encrypted,
    /// The form of `ssh-keygen`.
    #[error(
        "keys of OpenSSH are not supported, convert the key with `ssh-keygen -p -m PEM` before"
    )]
    OpenSsh,
    /// Some other kind of key, or nonsense.
    #[error("this is not an RSA private key in PKCS #1 or PKCS #8")]
    NotRsa,
    /// Too long to be used in reasonable time.
    #[error("the key is longer than 8192 bits")]
    TooLong,
}

impl RsaKey {
    /// Reads the first key of a text in PEM.
    pub(super) fn from_pem(text: &str) -> Result<Self, RsaKeyError> {
        let block = PemBlock::first(text).ok_or(RsaKeyError::NoKey)?;
        if block.encrypted || block.label == "ENCRYPTED PRIVATE KEY" {
            return Err(RsaKeyError::Encrypted);
        }
        if block.label == "OPENSSH PRIVATE KEY" {
            return Err(RsaKeyError::OpenSsh);
        }
        let (modulus, exponent) = from_pkcs1(&block.content)
            .or_else(|| from_pkcs1(from_pkcs8(&block.content)?))
            .ok_or(RsaKeyError::NotRsa)?;
        if modulus.bits() > MAX_MODULUS_BITS {
            return Err(RsaKeyError::TooLong);
        }
        if modulus.is_zero() || exponent >= modulus {
            return Err(RsaKeyError::NotRsa);
        }
        Ok(Self { modulus, exponent })
    }

    /// Decrypts a text; none if it is not for this key.
    pub(super) fn decrypt(&self, encrypted: &[u8]) -> Option<Vec<u8>> {
        let number = BigUint::from_bytes_be(encrypted);
        if number >= self.modulus {
            return None;
        }
        let length = usize::try_from(self.modulus.bits().div_ceil(8)).ok()?;
        let bytes = number.modpow(&self.exponent, &self.modulus).to_bytes_be();
        // The block 0, 2, padding, 0, text has lost its leading zero.
        let padded = bytes.strip_prefix(&[2])?;
        if bytes.len() + 1 != length {
            return None;
        }
        let end = padded.iter().position(|byte| *byte == 0)?;
        match end {
            8.. => padded.get(end + 1..).map(<[u8]>::to_vec),
            _ => None,
        }
    }
}

/// The first block of a text in PEM (RFC 7468).
struct PemBlock<'t> {
    label: &'t str,
    /// Whether a header says that a password is needed (RFC 1421).
    encrypted: bool,
    content: Vec<u8>,
}

impl<'t> PemBlock<'t> {
    fn first(text: &'t str) -> Option<Self> {
        let (_, rest) = text.split_once("-----BEGIN ")?;
        let (label, rest) = rest.split_once("-----")?;
        let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
        let is_header = |line: &&str| line.contains(':');
        let encrypted = body
            .lines()
            .filter(is_header)
            .any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"));
        let base64: String = body
            .lines()
            .filter(|line| !line.contains(':'))
            .flat_map(str::split_whitespace)
            .collect();
        let content = match encrypted {
            // A header before may be continued on further lines.
            true => Vec::new(),
            false => STANDARD.decode(base64).ok()?,
        };
        Some(Self {
            label,
            encrypted,
            content,
        })
    }
}

/// Modulus and private exponent of an `RSAPrivateKey` (RFC 8017, appendix A.1.2).
fn from_pkcs1(content: &[u8]) -> Option<(BigUint, BigUint)> {
    let mut all = Der(content);
    let mut key = Der(all.take(SEQUENCE)?);
    let _version = key.take(INTEGER)?;
    let modulus = key.take(INTEGER)?;
    let _public_exponent = key.take(INTEGER)?;
    let exponent = key.take(INTEGER)?;
    Some((
        BigUint::from_bytes_be(modulus),
        BigUint::from_bytes_be(exponent),
    ))
}

/// The `RSAPrivateKey` within a `PrivateKeyInfo` (RFC 5208, section 5).
fn from_pkcs8(content: &[u8]) -> Option<&[u8]> {
    let mut all = Der(content);
    let mut info = Der(all.take(SEQUENCE)?);
    let _version = info.take(INTEGER)?;
    let mut algorithm = Der(info.take(SEQUENCE)?);
    if algorithm.take(OBJECT_IDENTIFIER)? != RSA_ENCRYPTION {
        return None;
    }
    info.take(OCTET_STRING)
}

/// What is still to be read of a text in DER (X.690).
struct Der<'b>(&'b [u8]);

impl<'b> Der<'b> {
    /// Takes the content of an element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'b [u8]> {
        let (&[found, first], rest) = self.0.split_first_chunk()?;
        if found != tag {
            return None;
        }
        let (length, rest) = match first {
            0..0x80 => (usize::from(first), rest),
            _ => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                if bytes.len() > 4 {
                    return None;
                }
                let length = bytes
                    .iter()
                    .fold(0, |length, byte| length << 8 | usize::from(*byte));
                (length, rest)
            }
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }
}
