//! The bearer token: made from an API key, kept in memory, made again before it ends, and what to
//! try when it is refused.
//!
//! A refused token climbs a ladder once: a fresh token from the same key, then the next key, then
//! the keys read again from their sources, if they changed. After that the account is left alone
//! for five minutes, so that a wrong key makes no storm of refused calls (faults J02). One caller
//! climbs; all others wait for what it finds.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{EncodingKey, Header};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::error::{self, ApiError};
use super::settings::{Auth, Settings};
use crate::ca::http::answer::Answer;
use crate::ca::http::{Body, Call, Http, Kind, SecretReader};
use crate::ca::{CaError, Failure};

/// How long a token signed here lives. The CA allows 8 hours; signing is free, so a shorter life is
/// safer if a token is lost.
const LIFE: SignedDuration = SignedDuration::from_hours(1);
/// `nbf` lies this far back, as in the vendor's own example, for a clock slightly ahead.
const BACKDATED: SignedDuration = SignedDuration::from_secs(10);
/// A fetched token whose dates cannot be read is taken to live this long.
const ASSUMED_LIFE: SignedDuration = SignedDuration::from_hours(1);
/// How long a refused account is left alone.
const REST: SignedDuration = SignedDuration::from_mins(5);
/// A difference of clocks that explains a refusal; `Date` has whole seconds, and the way takes
/// some.
const TELLING_SKEW: SignedDuration = SignedDuration::from_secs(30);

/// The claims of the token, as the RA API README lists them.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// A token as it is sent.
#[derive(Clone)]
pub(super) struct Bearer {
    pub(super) headers: HeaderMap,
    serial: u64,
    renew_at: Timestamp,
}

/// The account's keys and its token.
pub(super) struct Credentials {
    user: String,
    auth: Auth,
    issuer: String,
    audience: String,
    sources: Vec<SecretReader>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Vec<Option<SecretString>>,
    active: usize,
    bearer: Option<Bearer>,
    serial: u64,
    /// The last token that the CA has accepted.
    proven: u64,
    /// Rungs of the ladder that were climbed since.
    refreshed: bool,
    reread: bool,
    /// Until when no call is made, and why.
    resting: Option<(Timestamp, CaError)>,
}

/// Why no token could be made.
enum Unmade {
    /// The helper refuses the key.
    Refused(Answer),
    Failed(CaError),
}

impl Credentials {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            user: settings.user.clone(),
            auth: settings.auth,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            sources: settings.api_keys.clone(),
            state: Mutex::new(State {
                keys: vec![None; settings.api_keys.len()],
                ..State::default()
            }),
        }
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// More refusals than this in one call cannot come from the keys.
    pub(super) fn rungs(&self) -> usize {
        2 * self.sources.len() + 1
    }

    /// The token in use, or a new one when it is about to end.
    pub(super) async fn bearer(&self, http: &Http) -> Result<Bearer, CaError> {
        let now = http.clock.now();
        let mut state = self.state.lock().await;
        if let Some((until, error)) = &state.resting {
            // A clock set back must not make the rest longer.
            if now < *until && until.duration_since(now) <= REST {
                return Err(error.clone());
            }
            *state = State {
                keys: vec![None; self.sources.len()],
                serial: state.serial,
                proven: state.proven,
                ..State::default()
            };
        }
        if let Some(bearer) = state.bearer.as_ref().filter(|bearer| now < bearer.renew_at) {
            return Ok(bearer.clone());
        }
        match self.make(&mut state, http).await {
            Ok(bearer) => Ok(bearer),
            Err(Unmade::Failed(error)) => Err(error),
            Err(Unmade::Refused(answer)) => {
                state.refreshed = true;
                self.climb(&mut state, answer, http).await
            }
        }
    }

    /// Notes that the CA has taken this token.
    pub(super) async fn accepted(&self, bearer: &Bearer, http: &Http) {
        let mut state = self.state.lock().await;
        if state.proven == bearer.serial || state.serial != bearer.serial {
            return;
        }
        state.proven = bearer.serial;
        if (state.refreshed || state.reread) && state.active > 0 {
            tracing::warn!(
                ca = http.ca,
                user = self.user,
                key = state.active + 1,
                "the CA refused the first API key and took the second: put the new key first, an old one ends 7 days after its renewal"
            );
        }
        state.refreshed = false;
        state.reread = false;
    }

    /// Whether the CA has taken this token before.
    pub(super) async fn is_proven(&self, bearer: &Bearer) -> bool {
        self.state.lock().await.proven == bearer.serial
    }

    /// What to send instead of a token that was refused.
    pub(super) async fn refused(
        &self,
        bearer: &Bearer,
        answer: Answer,
        http: &Http,
    ) -> Result<Bearer, CaError> {
        let mut state = self.state.lock().await;
        if let Some((_, error)) = &state.resting {
            return Err(error.clone());
        }
        match &state.bearer {
            // Another call has found a newer one meanwhile.
            Some(current) if current.serial != bearer.serial => Ok(current.clone()),
            _ => self.climb(&mut state, answer, http).await,
        }
    }

    async fn climb(
        &self,
        state: &mut State,
        mut answer: Answer,
        http: &Http,
    ) -> Result<Bearer, CaError> {
        state.bearer = None;
        loop {
            if !state.refreshed {
                state.refreshed = true;
            } else if let Some(next) = self.next_key(state, http).await {
                state.active = next;
            } else {
                let error = self.unauthenticated(state, &answer, http);
                let until = http
                    .clock
                    .now()
                    .saturating_add(REST)
                    .unwrap_or(Timestamp::MAX);
                state.resting = Some((until, error.clone()));
                return Err(error);
            }
            match self.make(state, http).await {
                Ok(bearer) => return Ok(bearer),
                Err(Unmade::Refused(again)) => answer = again,
                Err(Unmade::Failed(error)) => return Err(error),
            }
        }
    }

    /// The next key worth trying: the ones not tried yet, then, once, those that read differently
    /// now.
    async fn next_key(&self, state: &mut State, http: &Http) -> Option<usize> {
        for index in state.active + 1..self.sources.len() {
            if state.reread && state.keys[index].is_none() {
                continue; // Read again and found unchanged.
            }
            match self.key(state, index, http).await {
                Ok(_) => return Some(index),
                Err(error) => {
                    tracing::warn!(ca = http.ca, key = index + 1, %error, "an API key cannot be read")
                }
            }
        }
        if std::mem::replace(&mut state.reread, true) {
            return None;
        }
        let before = std::mem::replace(&mut state.keys, vec![None; self.sources.len()]);
        for (index, old) in before.iter().enumerate() {
            let same = match self.key(state, index, http).await {
                Ok(key) => old
                    .as_ref()
                    .is_some_and(|old| old.expose_secret() == key.expose_secret()),
                Err(error) => {
                    tracing::warn!(ca = http.ca, key = index + 1, %error, "an API key cannot be read again");
                    true
                }
            };
            if same {
                state.keys[index] = None;
            }
        }
        state.keys.iter().position(Option::is_some)
    }

    async fn key(
        &self,
        state: &mut State,
        index: usize,
        http: &Http,
    ) -> Result<SecretString, CaError> {
        if let Some(key) = &state.keys[index] {
            return Ok(key.clone());
        }
        let source = Arc::clone(&self.sources[index]);
        let read = tokio::task::spawn_blocking(move || source()).await;
        let unreadable = |why: &str| {
            let what = format!(
                "{}: API key {} of `{}` cannot be read: {why}",
                http.ca,
                index + 1,
                self.user
            );
            CaError::new(Failure::Settings, what)
        };
        let key = read
            .map_err(|_| unreadable("its source failed"))?
            .map_err(|why| unreadable(&why))?;
        if key.expose_secret().is_empty() {
            return Err(unreadable("it is empty"));
        }
        http.redactor.learn(&key);
        state.keys[index] = Some(key.clone());
        Ok(key)
    }

    async fn make(&self, state: &mut State, http: &Http) -> Result<Bearer, Unmade> {
        let key = self
            .key(state, state.active, http)
            .await
            .map_err(Unmade::Failed)?;
        let now = http.clock.now();
        let (token, life) = match self.auth {
            Auth::LocalSigning => (self.sign(&key, now, http).map_err(Unmade::Failed)?, LIFE),
            Auth::Helper => self.fetch(key, http).await?,
        };
        let header = crate::ca::http::sensitive(&format!("Bearer {}", token.expose_secret()))
            .ok_or_else(|| Unmade::Failed(self.unfit(http)))?;
        state.serial += 1;
        let bearer = Bearer {
            headers: HeaderMap::from_iter([(AUTHORIZATION, header)]),
            serial: state.serial,
            renew_at: now.saturating_add(use_for(life)).unwrap_or(Timestamp::MAX),
        };
        state.bearer = Some(bearer.clone());
        Ok(bearer)
    }

    fn sign(
        &self,
        key: &SecretString,
        now: Timestamp,
        http: &Http,
    ) -> Result<SecretString, CaError> {
        let iat = now.as_second();
        let claims = Claims {
            iss: &self.issuer,
            sub: &self.user,
            aud: &self.audience,
            iat,
            nbf: iat - BACKDATED.as_secs(),
            exp: iat + LIFE.as_secs(),
        };
        // The key is its characters' bytes, not what they might decode to.
        let key = EncodingKey::from_secret(key.expose_secret().as_bytes());
        jsonwebtoken::encode(&Header::default(), &claims, &key)
            .map(SecretString::from)
            .map_err(|error| {
                CaError::new(
                    Failure::Settings,
                    format!(
                        "{}: no token can be signed for `{}`: {error}",
                        http.ca, self.user
                    ),
                )
            })
    }

    async fn fetch(
        &self,
        key: SecretString,
        http: &Http,
    ) -> Result<(SecretString, SignedDuration), Unmade> {
        let path = ["jwt", self.user.as_str()];
        let mut call = Call::new(
            Kind::Read,
            "fetch a token for",
            format!("`{}`", self.user),
            &path,
        );
        call.body = Body::Login(vec![("userSecret", key)]);
        let answer = http
            .exchange(&call, &HeaderMap::new(), None)
            .await
            .map_err(|error| Unmade::Failed(nothing_sent(error)))?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(Unmade::Refused(answer));
        }
        if !answer.status.is_success() {
            return Err(Unmade::Failed(nothing_sent(error::refusal(
                http, &call, &answer,
            ))));
        }
        let token = answer.body.trim();
        let token = token
            .strip_prefix('"')
            .and_then(|token| token.strip_suffix('"'))
            .unwrap_or(token)
            .trim();
        if answer.is_page() || !has_jwt_shape(token) {
            return Err(Unmade::Failed(self.unfit(http)));
        }
        Ok((SecretString::from(token), life_of(token)))
    }

    fn unfit(&self, http: &Http) -> CaError {
        let what = format!(
            "{}: {} answered the call for a token of `{}` with something else",
            http.ca,
            http.host(),
            self.user
        );
        CaError::new(Failure::Unavailable, what)
            .with_hint("Check `url`, or set `auth = \"local\"`, which needs no such call.")
    }

    fn unauthenticated(&self, state: &State, answer: &Answer, http: &Http) -> CaError {
        if let Some(skew) = answer.skew.filter(|skew| skew.abs() > TELLING_SKEW) {
            let side = if skew.is_positive() {
                "ahead of"
            } else {
                "behind"
            };
            let what = format!(
                "{}: the CA refuses the token of `{}`: the local clock is {} s {side} the CA's",
                http.ca,
                self.user,
                skew.abs().as_secs()
            );
            return CaError::new(Failure::Unauthenticated, what)
                .with_hint("Set this machine's clock (NTP), then try again.");
        }
        let tried = match (self.sources.len(), state.keys.iter().any(Option::is_some)) {
            (1, false) => "also with a fresh token, and the key reads the same as before",
            (1, true) => "also with a fresh token and the key read again",
            (_, false) => {
                "also with a fresh token and the second key, and both read the same as before"
            }
            (_, true) => "also with a fresh token, the second key and the keys read again",
        };
        let words = ApiError::read(&answer.body)
            .map(|error| format!(": {}", error.words()))
            .unwrap_or_default();
        let what = format!(
            "{}: the CA refuses `{}` ({tried}); HTTP {}{words}",
            http.ca, self.user, answer.status
        );
        CaError::new(Failure::Unauthenticated, what).with_hint(
            "Check `user`, the API key (64 characters) and `issuer`; a renewed key ends the old one after 7 days.",
        )
    }
}

/// If the call for a token failed, the call that needed the token was never made.
fn nothing_sent(mut error: CaError) -> CaError {
    error.failure = match error.failure {
        same @ (Failure::Throttled | Failure::Untrusted) => same,
        Failure::Forbidden => Failure::Unauthenticated,
        Failure::NotFound | Failure::Refused => Failure::Settings,
        _ => Failure::Unavailable,
    };
    error
}

/// How long a token is used: until 80 % of its life or five minutes before its end, but half its
/// life at least.
fn use_for(life: SignedDuration) -> SignedDuration {
    (life * 4 / 5)
        .min(life - SignedDuration::from_mins(5))
        .max(life / 2)
}

/// Nothing else may go into a header (faults J05).
fn has_jwt_shape(token: &str) -> bool {
    let parts: Vec<&str> = token.split('.').collect();
    parts.len() == 3
        && parts.iter().all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        })
}

/// A fetched token's life by its own dates, so that a difference of clocks does not matter.
fn life_of(token: &str) -> SignedDuration {
    #[derive(Deserialize)]
    struct Dates {
        iat: i64,
        exp: i64,
    }
    jsonwebtoken::dangerous::insecure_decode_claims::<Dates>(token)
        .ok()
        .map(|dates| SignedDuration::from_secs(dates.exp.saturating_sub(dates.iat)))
        .filter(|life| life.is_positive())
        .map_or(ASSUMED_LIFE, |life| life.min(SignedDuration::from_hours(8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_in_good_time_and_never_on_every_call() {
        let minutes = SignedDuration::from_mins;
        assert_eq!(use_for(minutes(480)), minutes(384));
        assert_eq!(use_for(minutes(20)), minutes(15));
        assert_eq!(use_for(minutes(4)), minutes(2));
    }

    #[test]
    fn only_the_shape_of_a_jwt_goes_into_a_header() {
        assert!(has_jwt_shape("eyJh.eyJi.c-_d"));
        for bad in [
            "",
            "a.b",
            "a.b.c.d",
            "a..c",
            "a.b.c\r\nX: y",
            "{\"token\":\"a.b.c\"}",
            "a.b.c d",
        ] {
            assert!(!has_jwt_shape(bad), "{bad:?}");
        }
    }
}
