//! The secret that two sides of a webhook share, and what it signs: HMAC-SHA256 (RFC 2104). Hooks
//! that come in are checked with it and notices that go out are signed with it. Pure.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// The shortest and the longest secret, in bytes (Standard Webhooks 1.0.0, "Signature scheme": 24
/// to 64, and a passphrase may be longer); what an empty one signs, every sender can sign.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=512;

/// A secret that both sides share. Never shown.
#[derive(Clone)]
pub struct Secret(Arc<SecretSlice<u8>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([REDACTED])")
    }
}

impl Secret {
    /// The secret as Standard Webhooks hand it on: `whsec_` and base64, otherwise the characters
    /// themselves.
    ///
    /// # Errors
    /// The fault, without any part of the secret.
    pub fn read(text: &SecretString) -> Result<Self, String> {
        match text.expose_secret().strip_prefix("whsec_") {
            Some(coded) => Self::of(
                STANDARD
                    .decode(coded)
                    .map_err(|_| "must be base64 after `whsec_`".to_owned())?,
            ),
            None => Self::of_characters(text),
        }
    }

    /// The characters themselves, whatever they are: as GitHub takes them.
    ///
    /// # Errors
    /// The fault, without any part of the secret.
    pub fn of_characters(text: &SecretString) -> Result<Self, String> {
        Self::of(text.expose_secret().as_bytes().to_vec())
    }

    fn of(bytes: Vec<u8>) -> Result<Self, String> {
        if SECRET_BYTES.contains(&bytes.len()) {
            return Ok(Self(Arc::new(bytes.into())));
        }
        let (least, most) = (SECRET_BYTES.start(), SECRET_BYTES.end());
        Err(format!(
            "must have {least} to {most} bytes; `echo whsec_$(openssl rand -base64 32)` makes one"
        ))
    }

    /// Whether both are the same; told in constant time where they are equally long.
    pub fn is(&self, other: &Self) -> bool {
        self.0.expose_secret().ct_eq(other.0.expose_secret()).into()
    }

    /// The code over `parts`, one after the other: to be compared in constant time, or written
    /// down.
    pub fn code(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let key = self.0.expose_secret();
        let code = Hmac::<Sha256>::new_from_slice(key)
            .expect("HMAC takes keys of any length (RFC 2104, section 2)");
        parts
            .iter()
            .fold(code, |code, part| code.chain_update(part))
    }

    /// The value of `webhook-signature` for a message; `timestamp` in seconds since 1970.
    pub fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let code = self.code(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
        format!("v1,{}", STANDARD.encode(code.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_secret_is_coded_or_plain_and_long_enough_and_never_shown() {
        let read = |text: &str| Secret::read(&text.into());
        // HMAC-SHA256 by `openssl dgst -sha256 -mac HMAC -macopt hexkey:…` over the same octets.
        let secret = read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(format!("{secret:?}"), "Secret([REDACTED])");
        assert!(read("a passphrase of 28 characters").is_ok());
        for text in [
            "too short",
            "whsec_c2hvcnQ=",
            "whsec_not base64 at all, whatever its length is",
        ] {
            let error = read(text).unwrap_err();
            assert!(!error.contains(text), "{error}");
        }
    }
}
