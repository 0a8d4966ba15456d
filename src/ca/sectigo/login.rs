//! The three ways to log in. A login that is refused is not tried again by itself: wrong logins are
//! counted against the administrator.

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;

use super::error::{Endpoint, refusal};
use super::settings::{Login, Settings};
use crate::ca::http::{Body, Call, Http, Kind, Reach, SecretReader, sensitive};
use crate::ca::{CaError, Failure, json};

/// A token without `expires_in` is taken to live this long.
const ASSUMED_LIFE: SignedDuration = SignedDuration::from_secs(300);
/// A token is renewed this long before its end, or after half its life if that is shorter.
const SPARE: SignedDuration = SignedDuration::from_secs(60);
/// How long a refused account is left alone.
const REST: SignedDuration = SignedDuration::from_mins(5);

/// The account's login.
pub(super) struct Credentials {
    login: Login,
    /// The connection to the token server, which is another host than the API's.
    tokens: Option<Http>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The headers in use, and when they are made again.
    headers: Option<(HeaderMap, Timestamp)>,
    serial: u64,
    /// Until when no call is made, and why.
    resting: Option<(Timestamp, CaError)>,
}

/// The headers of a login, and which of several these are.
pub(super) struct Shown {
    pub(super) headers: HeaderMap,
    serial: u64,
}

impl Credentials {
    pub(super) fn new(
        settings: &Settings,
        clock: std::sync::Arc<dyn crate::clock::Clock>,
    ) -> Result<Self, CaError> {
        let tokens = match &settings.login {
            Login::OAuth { token_url, .. } => Some(Http::new(
                &Reach {
                    base: token_url.clone(),
                    identity: None,
                    ..settings.reach.clone()
                },
                clock,
            )?),
            Login::Password { .. } | Login::Certificate { .. } => None,
        };
        Ok(Self {
            login: settings.login.clone(),
            tokens,
            state: Mutex::default(),
        })
    }

    /// The login, for messages.
    pub(super) fn user(&self) -> &str {
        match &self.login {
            Login::Password { user, .. } | Login::Certificate { user, .. } => user,
            Login::OAuth { client_id, .. } => client_id,
        }
    }

    /// Whether there is a password whose end can be asked for.
    pub(super) fn has_password(&self) -> bool {
        matches!(self.login, Login::Password { .. })
    }

    /// The headers for the next call.
    pub(super) async fn show(&self, http: &Http) -> Result<Shown, CaError> {
        let now = http.clock.now();
        let mut state = self.state.lock().await;
        if let Some((until, error)) = &state.resting {
            // A clock set back must not make the rest longer.
            if now < *until && until.duration_since(now) <= REST {
                return Err(error.clone());
            }
            state.resting = None;
        }
        if let Some((headers, renew_at)) = &state.headers
            && now < *renew_at
        {
            return Ok(Shown {
                headers: headers.clone(),
                serial: state.serial,
            });
        }
        match self.make(http, now).await {
            Ok((headers, renew_at)) => {
                state.serial += 1;
                state.headers = Some((headers.clone(), renew_at));
                Ok(Shown {
                    headers,
                    serial: state.serial,
                })
            }
            Err(error) => {
                if error.failure == Failure::Unauthenticated {
                    state.rest(now, &error);
                }
                Err(error)
            }
        }
    }

    /// Whether a call that was refused with 401 may be made once more. Only where a token may have
    /// ended meanwhile, and a new one does not count as a wrong login.
    pub(super) async fn refused(&self, shown: &Shown, error: &CaError, http: &Http) -> bool {
        let mut state = self.state.lock().await;
        if state.serial != shown.serial {
            return true;
        }
        state.headers = None;
        if self.tokens.is_some() {
            return true;
        }
        state.rest(http.clock.now(), error);
        false
    }

    /// Leaves the account alone: a new token was refused as well.
    pub(super) async fn give_up(&self, error: &CaError, http: &Http) {
        let mut state = self.state.lock().await;
        state.headers = None;
        state.rest(http.clock.now(), error);
    }

    async fn make(&self, http: &Http, now: Timestamp) -> Result<(HeaderMap, Timestamp), CaError> {
        let mut headers = HeaderMap::new();
        match &self.login {
            Login::Password {
                user,
                password,
                customer_uri,
            } => {
                let password = read(http, "password", password).await?;
                let value = sensitive(password.expose_secret()).ok_or_else(|| {
                    settings(
                        http,
                        "the password holds a character that no header may have",
                    )
                })?;
                headers.insert(HeaderName::from_static("password"), value);
                who(&mut headers, http, user, customer_uri)?;
                Ok((headers, Timestamp::MAX))
            }
            Login::Certificate { user, customer_uri } => {
                who(&mut headers, http, user, customer_uri)?;
                Ok((headers, Timestamp::MAX))
            }
            Login::OAuth {
                client_id,
                client_secret,
                ..
            } => {
                let secret = read(http, "client_secret", client_secret).await?;
                let (token, life) = self.fetch(http, client_id, secret).await?;
                http.redactor.learn(&token);
                let value = sensitive(&format!("Bearer {}", token.expose_secret()))
                    .ok_or_else(|| unfit(http))?;
                headers.insert(AUTHORIZATION, value);
                let used_for = (life - SPARE).max(life / 2);
                Ok((
                    headers,
                    now.saturating_add(used_for).unwrap_or(Timestamp::MAX),
                ))
            }
        }
    }

    async fn fetch(
        &self,
        http: &Http,
        client_id: &str,
        secret: SecretString,
    ) -> Result<(SecretString, SignedDuration), CaError> {
        let Some(tokens) = &self.tokens else {
            return Err(unfit(http));
        };
        tokens.redactor.learn(&secret);
        let subject = format!("`{client_id}`");
        let mut call = Call::new(Kind::Read, "fetch a token for", subject, &[]);
        call.body = Body::Login(vec![
            ("grant_type", SecretString::from("client_credentials")),
            ("client_id", SecretString::from(client_id)),
            ("client_secret", secret),
        ]);
        let answer = tokens
            .exchange(&call, &HeaderMap::new(), None)
            .await
            .map_err(nothing_sent)?;
        // RFC 6749, section 5.2: a wrong secret is 400 `invalid_client`, or 401.
        let wrong = answer.status.is_client_error() && answer.status.as_u16() != 404;
        if wrong && answer.retry_after.is_none() {
            let what = format!(
                "{}: the token server {} refuses `{client_id}`: HTTP {}",
                http.ca,
                tokens.host(),
                answer.status
            );
            let error = CaError::new(Failure::Unauthenticated, what);
            return Err(error.with_hint("Check `client_id`, `client_secret` and `token_url`."));
        }
        if !answer.status.is_success() {
            let error = refusal(tokens, Endpoint::Admin, &call, &answer);
            return Err(nothing_sent(error));
        }
        let value = json::read(answer.body.as_bytes()).map(|read| read.value);
        let value = value.map_err(|_| unfit(http))?;
        let token = value.get("access_token").and_then(Value::as_str);
        let token = token.filter(|token| !token.is_empty() && HeaderValue::from_str(token).is_ok());
        let token = SecretString::from(token.ok_or_else(|| unfit(http))?);
        let life = value.get("expires_in").and_then(|life| match life {
            Value::String(text) => text.parse().ok(),
            number => number.as_i64(),
        });
        let life = life
            .filter(|&life| (1..=86_400 * 30).contains(&life))
            .map_or(ASSUMED_LIFE, SignedDuration::from_secs);
        Ok((token, life))
    }
}

impl State {
    fn rest(&mut self, now: Timestamp, error: &CaError) {
        let until = now.saturating_add(REST).unwrap_or(Timestamp::MAX);
        self.resting = Some((until, error.clone()));
    }
}

fn who(headers: &mut HeaderMap, http: &Http, user: &str, customer: &str) -> Result<(), CaError> {
    let value = |text: &str| {
        HeaderValue::from_str(text)
            .map_err(|_| settings(http, "`user` or `customer_uri` cannot be in a header"))
    };
    headers.insert(HeaderName::from_static("login"), value(user)?);
    headers.insert(HeaderName::from_static("customeruri"), value(customer)?);
    Ok(())
}

async fn read(http: &Http, key: &str, source: &SecretReader) -> Result<SecretString, CaError> {
    let source = std::sync::Arc::clone(source);
    let read = tokio::task::spawn_blocking(move || source()).await;
    let secret = read
        .map_err(|_| settings(http, &format!("`{key}`: its source failed")))?
        .map_err(|why| settings(http, &format!("`{key}` cannot be read: {why}")))?;
    if secret.expose_secret().is_empty() {
        return Err(settings(http, &format!("`{key}` is empty")));
    }
    http.redactor.learn(&secret);
    Ok(secret)
}

fn settings(http: &Http, what: &str) -> CaError {
    CaError::new(Failure::Settings, format!("{}: {what}", http.ca))
}

fn unfit(http: &Http) -> CaError {
    let what = format!("{}: the token server answered without a token", http.ca);
    CaError::new(Failure::Unavailable, what).with_hint("Check `token_url`.")
}

/// A failed call for a token: whatever happened to it, the call that needed it was never made.
fn nothing_sent(mut error: CaError) -> CaError {
    error.failure = match error.failure {
        same @ (Failure::Throttled | Failure::Untrusted) => same,
        _ => Failure::Unavailable,
    };
    error
}
