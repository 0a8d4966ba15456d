//! The rights of clients over HTTP: bearer tokens (RFC 6750) with a role each.
//!
//! A token is kept as its digest only, and every token is compared with in constant time: the time
//! of an answer shows neither how near a guess was nor to which token.

use std::fmt;
use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The shortest token, in bytes: 24 random ones of base64 are 144 bits.
pub const LEAST_BYTES: usize = 24;
/// No token is longer; a longer header is not even digested.
const MOST_BYTES: usize = 4096;

/// The role of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees everything, changes nothing.
    Read,
    /// Sends hooks, sees nothing.
    Hook,
    /// Reads, and orders listings and tries.
    Operate,
}

impl Role {
    /// Whether this role is enough where `needed` is asked for.
    pub fn includes(self, needed: Self) -> bool {
        self == needed || (self, needed) == (Self::Operate, Self::Read)
    }

    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Hook => "hook",
            Self::Operate => "operate",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The `name` of the token; `None`: no name, where reading is open to this machine.
    pub name: Option<Arc<str>>,
    /// The role of the token.
    pub role: Role,
}

impl Identity {
    /// Passes a client that may do what `needed` allows.
    pub fn require(self, needed: Role) -> Result<Self, Denied> {
        match self.role.includes(needed) {
            true => Ok(self),
            // A client without a token has not been refused yet.
            false if self.name.is_none() => Err(Denied::Missing),
            false => Err(Denied::Role {
                has: self.role,
                needed,
            }),
        }
    }
}

/// Why a person may not. Never says which part of a token was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No token came.
    #[error("a token is needed: send `Authorization: Bearer …` with one of [[server.token]]")]
    Missing,
    /// There is no such token.
    #[error("the token is not one of [[server.token]]")]
    Wrong,
    /// The header holds something else, or several.
    #[error("the header `Authorization` must occur once and hold `Bearer` and a token")]
    Malformed,
    /// The token is right and good for something else.
    #[error("the token has the role `{has}`; this needs `{needed}`")]
    Role {
        /// The role of the token.
        has: Role,
        /// The role that is asked for.
        needed: Role,
    },
}

impl Denied {
    /// 403 where another token is needed, else 401.
    pub fn status(self) -> StatusCode {
        if matches!(self, Self::Role { .. }) {
            StatusCode::FORBIDDEN
        } else {
            StatusCode::UNAUTHORIZED
        }
    }
}

/// The tokens in force. [`Default`]: none, and nothing is open.
#[derive(Debug, Clone, Default)]
pub struct Access {
    tokens: Vec<Token>,
    open: bool,
}

#[derive(Clone)]
struct Token {
    name: Arc<str>,
    role: Role,
    digest: [u8; 32],
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, {})", self.name, self.role)
    }
}

impl Access {
    /// Without any token this machine may read, if the server listens on this machine only.
    pub fn new(is_loopback: bool) -> Self {
        Self {
            tokens: Vec::new(),
            open: is_loopback,
        }
    }

    /// Adds a token. The error says what is wrong with it and never repeats it.
    pub fn add(&mut self, name: &str, role: Role, secret: &SecretString) -> Result<(), String> {
        let secret = secret.expose_secret();
        if !(LEAST_BYTES..=MOST_BYTES).contains(&secret.len()) {
            return Err(format!(
                "must have {LEAST_BYTES} to {MOST_BYTES} characters; `openssl rand -base64 32` makes one"
            ));
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("must consist of visible ASCII characters, without spaces".to_owned());
        }
        let digest = digest(secret);
        if let Some(other) = self.find(&digest) {
            return Err(format!("is the same as that of `{}`", other.name));
        }
        self.tokens.push(Token {
            name: name.into(),
            role,
            digest,
        });
        self.open = false;
        Ok(())
    }

    /// The client that sends these headers.
    pub fn identify(&self, headers: &HeaderMap) -> Result<Identity, Denied> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = match (values.next(), values.next()) {
            (None, _) if self.open => {
                return Ok(Identity {
                    name: None,
                    role: Role::Read,
                });
            }
            (None, _) => return Err(Denied::Missing),
            (Some(value), None) => value.to_str().map_err(|_| Denied::Malformed)?,
            (Some(_), Some(_)) => return Err(Denied::Malformed),
        };
        // The scheme's name has no case (RFC 9110, section 11.1).
        match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                self.holder(token.trim_matches(' '))
            }
            _ => Err(Denied::Malformed),
        }
    }

    /// The client of a token that a person types into a form.
    pub fn holder(&self, token: &str) -> Result<Identity, Denied> {
        if token.is_empty()
            || token.len() > MOST_BYTES
            || !token.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(Denied::Malformed);
        }
        let found = self.find(&digest(token)).ok_or(Denied::Wrong)?;
        Ok(Identity {
            name: Some(Arc::clone(&found.name)),
            role: found.role,
        })
    }

    /// The identity of a token by its name, while it is in force: a session ends with the token it
    /// began with.
    pub fn named(&self, name: &str) -> Option<Identity> {
        let found = self.tokens.iter().find(|token| &*token.name == name)?;
        Some(Identity {
            name: Some(Arc::clone(&found.name)),
            role: found.role,
        })
    }

    /// A code over `message` that only the token of this name makes (HMAC-SHA256): the same on
    /// every machine that has the token, and none once it is gone.
    pub fn code(&self, name: &str, message: &[u8]) -> Option<[u8; 32]> {
        let token = self.tokens.iter().find(|token| &*token.name == name)?;
        let mut code = Hmac::<Sha256>::new_from_slice(&token.digest).ok()?;
        code.update(message);
        Some(code.finalize().into_bytes().into())
    }

    /// Whether this machine may read without a token.
    pub fn is_open(&self) -> bool {
        self.open
    }

    fn find(&self, digest: &[u8; 32]) -> Option<&Token> {
        // All of them, so that the time does not tell which one it was.
        self.tokens.iter().fold(None, |found, token| {
            if token.digest.ct_eq(digest).into() {
                Some(token)
            } else {
                found
            }
        })
    }
}

fn digest(secret: &str) -> [u8; 32] {
    // With a word of our own in front: the digest is good for nothing else.
    Sha256::new()
        .chain_update(b"prevalidate access token\0")
        .chain_update(secret.as_bytes())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::http::HeaderValue;

    use super::*;

    const READ: &str = "kI2uVqF0cQm7m4uJZr1wT3nS";
    const OPERATE: &str = "7m4uJZr1wT3nSkI2uVqF0cQm";

    fn access() -> Access {
        let mut access = Access::new(true);
        access.add("monitoring", Role::Read, &READ.into()).unwrap();
        access
            .add("people", Role::Operate, &OPERATE.into())
            .unwrap();
        access
    }

    fn headers(values: &[&[u8]]) -> HeaderMap {
        values
            .iter()
            .map(|value| (AUTHORIZATION, HeaderValue::from_bytes(value).unwrap()))
            .collect()
    }

    #[test]
    fn a_token_has_its_name_and_role_and_operating_includes_reading() {
        let access = access();
        let identity = access
            .identify(&headers(&[format!("bEaReR  {OPERATE}").as_bytes()]))
            .unwrap();
        assert_eq!(
            (identity.name.as_deref(), identity.role),
            (Some("people"), Role::Operate)
        );
        assert!(
            identity.clone().require(Role::Read).is_ok()
                && identity.clone().require(Role::Operate).is_ok()
        );
        let denied = identity.require(Role::Hook).unwrap_err();
        assert_eq!(
            denied,
            Denied::Role {
                has: Role::Operate,
                needed: Role::Hook
            }
        );
        let reader = access.holder(READ).unwrap();
        assert_eq!(
            reader.require(Role::Operate).unwrap_err().status(),
            StatusCode::FORBIDDEN
        );
    }

    #[test]
    fn everything_but_one_whole_right_token_is_refused() {
        let access = access();
        let bearer = |token: &str| format!("Bearer {token}").into_bytes();
        assert_eq!(access.identify(&HeaderMap::new()), Err(Denied::Missing));
        for wrong in [&READ[..23], &format!("{READ}="), &READ.to_lowercase(), "x"] {
            assert_eq!(
                access.identify(&headers(&[&bearer(wrong)])),
                Err(Denied::Wrong),
                "{wrong}"
            );
        }
        let long = "a".repeat(MOST_BYTES + 1);
        for value in [
            &b"Bearer"[..],
            b"Bearer ",
            b"",
            b"Basic bW9uaXRvcmluZzp4",
            READ.as_bytes(),
            &bearer(&long),
            &bearer(&format!("{READ} {READ}")),
            &bearer(&format!("{READ}\t")),
            b"Bearer \xff\xfe",
        ] {
            assert_eq!(
                access.identify(&headers(&[value])),
                Err(Denied::Malformed),
                "{}",
                value.escape_ascii()
            );
        }
        assert_eq!(
            access.identify(&headers(&[&bearer(READ), &bearer(READ)])),
            Err(Denied::Malformed)
        );
    }

    #[test]
    fn without_tokens_this_machine_may_read_and_no_client_may_operate() {
        let open = Access::new(true);
        let anonymous = open.identify(&HeaderMap::new()).unwrap();
        assert!(anonymous.clone().require(Role::Read).is_ok());
        assert_eq!(
            anonymous.require(Role::Operate).unwrap_err(),
            Denied::Missing
        );
        assert_eq!(open.identify(&headers(&[b"Bearer x"])), Err(Denied::Wrong));
        for closed in [Access::new(false), Access::default()] {
            assert_eq!(closed.identify(&HeaderMap::new()), Err(Denied::Missing));
        }
    }

    #[test]
    fn a_weak_token_is_refused_and_none_is_ever_shown() {
        let mut access = access();
        for weak in [
            "",
            "short",
            &READ[..23],
            "twenty-four with a space",
            &format!("{READ}\u{e9}"),
            READ,
        ] {
            let message = access.add("other", Role::Read, &weak.into()).unwrap_err();
            assert!(weak.is_empty() || !message.contains(weak), "{message}");
        }
        let shown = format!("{access:?}");
        assert!(
            shown.contains("monitoring") && !shown.contains(&READ[..8]),
            "{shown}"
        );
    }
}
