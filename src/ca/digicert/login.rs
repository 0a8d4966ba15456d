//! The API key in its header. A key that is refused is read once more, because it may have been
//! replaced; then the account is left alone for some minutes.

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{HeaderMap, HeaderName};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::ca::http::{Http, SecretReader, sensitive};
use crate::ca::{CaError, Failure};

/// How long a refused account is left alone.
const REST: SignedDuration = SignedDuration::from_mins(5);

pub(super) struct Login {
    api_key: SecretReader,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shown: Option<Shown>,
    /// Until when no call is made, and why.
    resting: Option<(Timestamp, CaError)>,
}

/// The headers that show a key.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) headers: HeaderMap,
    key: SecretString,
}

impl Shown {
    fn is(&self, other: &Self) -> bool {
        self.key.expose_secret() == other.key.expose_secret()
    }
}

impl Login {
    pub(super) fn new(api_key: SecretReader) -> Self {
        Self {
            api_key,
            state: Mutex::default(),
        }
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
        if let Some(shown) = &state.shown {
            return Ok(shown.clone());
        }
        let shown = self.read(http).await?;
        state.shown = Some(shown.clone());
        Ok(shown)
    }

    /// Another key than the refused one, if there is one now and `again` is allowed; else the
    /// account rests.
    pub(super) async fn refused(
        &self,
        shown: &Shown,
        error: &CaError,
        http: &Http,
        again: bool,
    ) -> Option<Shown> {
        let mut state = self.state.lock().await;
        if again {
            let known = state.shown.clone().filter(|known| !known.is(shown));
            let other = match known {
                Some(known) => Some(known),
                None => self.read(http).await.ok().filter(|read| !read.is(shown)),
            };
            if let Some(other) = other {
                state.shown = Some(other.clone());
                return Some(other);
            }
        }
        state.shown = None;
        let until = http.clock.now().saturating_add(REST);
        state.resting = Some((until.unwrap_or(Timestamp::MAX), error.clone()));
        None
    }

    async fn read(&self, http: &Http) -> Result<Shown, CaError> {
        let settings = |why: &str| {
            let what = format!("{}: {why}", http.ca);
            CaError::new(Failure::Settings, what)
        };
        let reader = self.api_key.clone();
        let read = tokio::task::spawn_blocking(move || reader()).await;
        let key = read
            .map_err(|_| settings("the reading of `api_key` broke off"))?
            .map_err(|why| settings(&format!("`api_key`: {why}")))?;
        if key.expose_secret().trim().is_empty() {
            return Err(settings("`api_key` is empty"));
        }
        let value = sensitive(key.expose_secret())
            .ok_or_else(|| settings("`api_key` holds a character that no header may have"))?;
        http.redactor.learn(&key);
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-dc-devkey"), value);
        Ok(Shown { headers, key })
    }
}
