//! Whether a request was signed with a secret that we share with its sender. Pure: headers, body,
//! secret and time come in.
//!
//! Two ways of signing, both HMAC-SHA256 over the body as it was sent:
//! * *Standard Webhooks* (specification 1.0.0): `webhook-id`, `webhook-timestamp` and
//!   `webhook-signature` (`v1,` and base64, several with spaces between them) over
//!   `id.timestamp.body`. A message counts for five minutes.
//! * *hub*: `X-Hub-Signature-256: sha256=` and hexadecimal digits over the body alone, as GitHub
//!   signs. The signature has no time: an attacker that has seen a message can send it again at any
//!   time. That is bearable only because a hook is a hint. Its `X-GitHub-Delivery` is not signed,
//!   so nothing depends on it: a message is known by its body.
//!
//! Headers are read strictly: each exactly once, in one spelling (faults H04, H05). What fails
//! fails before anything is parsed.

#[cfg(test)]
pub(super) mod tests;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;
use jiff::Timestamp;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use crate::webhook::Secret;

/// How far the sender's clock may be from ours, in seconds.
const TOLERANCE_S: i64 = 5 * 60;
/// One signature for each secret of a sender that rolls them over; a sender with more is none.
const MOST_SIGNATURES: usize = 8;
/// Longer ids are no ids: a UUID has 36 characters.
const LONGEST_ID: usize = 128;

/// How a sender signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Standard Webhooks.
    Standard,
    /// `X-Hub-Signature-256`.
    Hub,
}

impl Scheme {
    /// The secret as its sender writes it: `whsec_` and base64 for Standard Webhooks, otherwise the
    /// characters themselves.
    ///
    /// # Errors
    /// The fault, without any part of the secret.
    pub fn secret(self, text: &SecretString) -> Result<Secret, String> {
        match self {
            Self::Standard => Secret::read(text),
            Self::Hub => Secret::of_characters(text),
        }
    }
}

/// Why nothing can be believed of a request. For our log; the sender hears the same of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Neither kind of signature is there.
    #[error("it has no signature")]
    Unsigned,
    /// Both kinds are: which of them counts cannot be guessed.
    #[error("it has two kinds of signature")]
    Both,
    /// A header is not there, is there twice, or says what it never may.
    #[error("the header `{0}` must be there once, in the form of its specification")]
    Header(&'static str),
    /// The sender's clock and ours are too far apart, or the message is an old one.
    #[error("its `webhook-timestamp` is more than five minutes away from this machine's clock")]
    Time,
}

/// What a request says about itself, before any of it is believed.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// How it is signed.
    pub scheme: Scheme,
    /// The message's name for itself, signed like the rest; a repetition has the same one. `None`:
    /// it has none.
    pub id: Option<&'a str>,
    timestamp: &'a str,
    signatures: Vec<[u8; 32]>,
}

impl<'a> Claim<'a> {
    /// Reads the headers.
    pub fn read(headers: &'a HeaderMap, now: Timestamp) -> Result<Self, Flaw> {
        match (
            headers.contains_key(STANDARD_SIGNATURE),
            headers.contains_key(HUB_SIGNATURE),
        ) {
            (true, false) => Self::standard(headers, now),
            (false, true) => Self::hub(headers),
            (false, false) => Err(Flaw::Unsigned),
            (true, true) => Err(Flaw::Both),
        }
    }

    fn standard(headers: &'a HeaderMap, now: Timestamp) -> Result<Self, Flaw> {
        let id = once(headers, STANDARD_ID)?
            .filter(|id| is_id(id))
            .ok_or(Flaw::Header(STANDARD_ID))?;
        let timestamp = once(headers, STANDARD_TIME)?.ok_or(Flaw::Header(STANDARD_TIME))?;
        let second = unix_second(timestamp).ok_or(Flaw::Header(STANDARD_TIME))?;
        if now.as_second().abs_diff(second) > TOLERANCE_S.unsigned_abs() {
            return Err(Flaw::Time);
        }
        let listed = once(headers, STANDARD_SIGNATURE)?.ok_or(Flaw::Header(STANDARD_SIGNATURE))?;
        let entries: Vec<&str> = listed.split(' ').take(MOST_SIGNATURES + 1).collect();
        if entries.len() > MOST_SIGNATURES {
            return Err(Flaw::Header(STANDARD_SIGNATURE));
        }
        // Others than `v1` are for keys of another kind (`v1a` is ed25519), and no fault.
        let ours = entries.iter().filter_map(|entry| entry.strip_prefix("v1,"));
        let signatures = ours
            .filter_map(|coded| STANDARD.decode(coded).ok()?.try_into().ok())
            .collect();
        Ok(Self {
            scheme: Scheme::Standard,
            id: Some(id),
            timestamp,
            signatures,
        })
    }

    fn hub(headers: &'a HeaderMap) -> Result<Self, Flaw> {
        let listed = once(headers, HUB_SIGNATURE)?.ok_or(Flaw::Header(HUB_SIGNATURE))?;
        let signature = listed
            .strip_prefix("sha256=")
            .and_then(unhex)
            .ok_or(Flaw::Header(HUB_SIGNATURE))?;
        Ok(Self {
            scheme: Scheme::Hub,
            id: None,
            timestamp: "",
            signatures: vec![signature],
        })
    }

    /// Whether one of the signatures is that of this secret over this body.
    pub fn is_by(&self, secret: &Secret, body: &[u8]) -> bool {
        let id = self.id.unwrap_or_default().as_bytes();
        let code = match self.scheme {
            Scheme::Standard => secret.code(&[id, b".", self.timestamp.as_bytes(), b".", body]),
            Scheme::Hub => secret.code(&[body]),
        };
        self.signatures.iter().fold(false, |found, signature| {
            code.clone().verify_slice(signature).is_ok() | found
        })
    }
}

const STANDARD_ID: &str = "webhook-id";
const STANDARD_TIME: &str = "webhook-timestamp";
const STANDARD_SIGNATURE: &str = "webhook-signature";
const HUB_SIGNATURE: &str = "x-hub-signature-256";

/// The digest that tells this body from every other one.
pub fn digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value of a header that is there once or not at all.
fn once<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Flaw> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        // `to_str` takes visible ASCII, spaces and tabs only.
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Flaw::Header(name)),
        (Some(_), Some(_)) => Err(Flaw::Header(name)),
    }
}

/// An id must hold no full stop: with one in it, two different messages could have the same signed
/// text.
fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'.')
}

/// 1 to 12 decimal digits, without a sign, a fraction, or a zero in front.
fn unix_second(text: &str) -> Option<i64> {
    let digits = (1..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let one_spelling = text.len() == 1 || !text.starts_with('0');
    text.parse().ok().filter(|_| digits && one_spelling)
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?))
        .collect();
    bytes?.try_into().ok()
}
