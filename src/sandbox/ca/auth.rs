//! Authentication: the JWT, signed with the API key as it is written, on the sandbox's clock.

use axum::http::{HeaderMap, header};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::wire::Refused;

/// How long a JWT may live.
const LIFETIME: SignedDuration = SignedDuration::from_hours(8);
/// How long the old key stays good after a renewal.
const ROLLOVER: SignedDuration = SignedDuration::from_hours(7 * 24);
const AUDIENCE: &str = "REST API";

/// The service account: a user and the keys that are good.
#[derive(Debug)]
pub(super) struct Account {
    user: String,
    /// Each with the end of its life; the newest last, which has none.
    keys: Vec<(SecretString, Option<Timestamp>)>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    /// A plain string; a list is refused.
    aud: String,
    sub: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

impl Account {
    pub(super) fn new(user: String, key: SecretString) -> Self {
        Self {
            user,
            keys: vec![(key, None)],
        }
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// A new key; the old ones stay good for 7 days at most.
    pub(super) fn renew_key(&mut self, key: SecretString, now: Timestamp) {
        let end = now.saturating_add(ROLLOVER).unwrap_or(Timestamp::MAX);
        for (_, until) in &mut self.keys {
            *until = Some(until.map_or(end, |until| until.min(end)));
        }
        self.keys.push((key, None));
    }

    /// Only this key from now on.
    pub(super) fn replace_key(&mut self, key: SecretString) {
        self.keys = vec![(key, None)];
    }

    fn good_keys(&self, now: Timestamp) -> impl Iterator<Item = &SecretString> {
        self.keys
            .iter()
            .filter(move |(_, until)| until.is_none_or(|until| now < until))
            .map(|(key, _)| key)
    }

    /// The answer of the token helper.
    pub(super) fn issue(
        &self,
        user: &str,
        secret: &str,
        issuer: &str,
        now: Timestamp,
    ) -> Result<String, Refused> {
        let key = self
            .good_keys(now)
            .find(|key| key.expose_secret() == secret);
        let Some(key) = key.filter(|_| user == self.user) else {
            return Err(Refused::credentials());
        };
        let iat = now.as_second();
        let claims = Claims {
            iss: issuer.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user.to_owned(),
            iat,
            nbf: iat - 10,
            exp: iat + LIFETIME.as_secs(),
        };
        let key = EncodingKey::from_secret(key.expose_secret().as_bytes());
        encode(&Header::new(Algorithm::HS256), &claims, &key)
            .map_err(|error| Refused::jwt(error.to_string()))
    }

    /// Checks the bearer token of a call.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        issuer: &str,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let sent = headers
            .get(header::AUTHORIZATION)
            .ok_or_else(|| Refused::jwt("Authorization header is missing"))?;
        let token = sent
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix("Bearer "));
        let token =
            token.ok_or_else(|| Refused::jwt("Authorization header is not a bearer token"))?;
        // The library would read the machine's clock; it checks algorithm and signature, we check
        // the claims.
        let mut only_signature = Validation::new(Algorithm::HS256);
        only_signature.required_spec_claims.clear();
        only_signature.validate_exp = false;
        only_signature.validate_aud = false;
        let verified = |key: &SecretString| {
            decode::<Claims>(
                token,
                &DecodingKey::from_secret(key.expose_secret().as_bytes()),
                &only_signature,
            )
        };
        let mut claims = Err(Refused::jwt("No key is valid"));
        for key in self.good_keys(now) {
            match verified(key) {
                Ok(data) => {
                    claims = Ok(data.claims);
                    break;
                }
                Err(error) => claims = Err(Refused::jwt(format!("JWT is not valid: {error}"))),
            }
        }
        let claims = claims?;
        let second = now.as_second();
        let fault = if claims.iss != issuer {
            "iss is not the expected issuer"
        } else if claims.aud != AUDIENCE {
            "aud is not the expected audience"
        } else if claims.sub != self.user {
            "sub is not a known user"
        } else if claims.exp.saturating_sub(claims.iat) > LIFETIME.as_secs() {
            "JWT lives longer than 8 hours"
        } else if claims.nbf > second {
            "JWT is not valid yet"
        } else if claims.exp <= second {
            "JWT is expired"
        } else {
            return Ok(());
        };
        Err(Refused::jwt(fault))
    }
}
