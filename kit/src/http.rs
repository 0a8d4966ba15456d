//! One exchange with a web API: what is sent, how often and how patiently, how much is read, and
//! what is known without an answer.
//!
//! Redirects are never followed (an `X-Auth-Key` would go along), the environment's proxies are
//! never used, and nothing secret is in an error. A read is tried up to three times. A write is
//! sent once: after a lost answer the caller reads before it repeats. "Too many requests" says that
//! nothing was done, so both wait for it while the wait is short.

mod client;
mod settings;

use std::fmt;
use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

pub use client::{
    Client, Untrusted, Way, check_identity, check_trusted, is_forbidden, is_not_sent, trusted,
};
pub use settings::{HTTP_KEYS, HttpSettings};

use crate::causes::chain;
use crate::fault::{Fault, FaultKind};
use crate::pace::{Pace, Paced, address, fingerprint};
use crate::text::in_one_line;

/// How often a read is tried, and how often anything is sent that the server was too busy for.
const TRIES: u32 = 3;
/// Before the second try of a read; each further pause is twice as long, and each is cut by up to
/// half at random.
const PAUSE: Duration = Duration::from_millis(400);
/// A longer wait that the server asks for is the caller's to plan.
const SHORT_WAIT: Duration = Duration::from_secs(5);
/// How long to stay away when the server says "too many requests" and not for how long.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);
/// The longest wait that is believed: one answer must not stop the calls for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Octets of an answer after decompression: ten thousand records with room to spare.
const CAP: usize = 16 * 1024 * 1024;
/// Characters of the server's words in an error.
const MOST_WORDS: usize = 300;

/// The method of the request.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// GET, POST, DELETE.
    pub method: Method,
    /// Segments behind the base, not yet encoded.
    pub path: &'a [&'a str],
    /// Parameters, not yet encoded.
    pub query: Vec<(&'static str, String)>,
    /// JSON, where there is a body.
    pub body: Option<Value>,
    /// The credentials; their values are marked as sensitive.
    pub auth: &'a HeaderMap,
}

/// A whole answer, whatever it says.
#[derive(Debug)]
pub struct Answer {
    /// The status of the answer.
    pub status: StatusCode,
    /// `None`: something other than JSON.
    pub json: Option<Value>,
    /// For an answer that makes no sense: its status, kind and begin.
    pub described: String,
}

/// Why there is no answer to go by.
#[derive(Debug, Clone)]
pub enum NoAnswer {
    /// Nothing was done.
    NotSent(String),
    /// It may have been done.
    Lost(String),
    /// Nothing was done, and nothing will be before this time has passed.
    Busy(String, Duration),
    /// Nothing was sent: how many calls other processes make meanwhile is not known.
    Unpaced(String),
}

/// The way to one API with one set of credentials.
pub struct Http {
    base: Url,
    client: Client,
    /// The host that connections go to.
    next_host: String,
    pace: Paced,
    /// The host with its port: some sides count calls by the address that they come from.
    address: String,
    timeout: Duration,
    secrets: Vec<SecretString>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

impl Http {
    /// `whose` names the credentials, and `secrets` are struck from whatever the server says.
    pub fn new(
        settings: &HttpSettings,
        whose: &str,
        pace: Option<Pace>,
        secrets: Vec<SecretString>,
    ) -> Result<Self, Fault> {
        let whose = format!("{} {whose}", settings.url.host_str().unwrap_or_default());
        let here = format!("{} {}", settings.url, fingerprint(&secrets));
        Ok(Self {
            base: settings.url.clone(),
            client: settings.client()?,
            next_host: settings.next_host().to_owned(),
            pace: Paced::new(pace, whose, here, settings.rate, settings.burst),
            address: format!(
                "{}:{}",
                settings.url.host_str().unwrap_or_default(),
                settings.url.port_or_known_default().unwrap_or_default()
            ),
            timeout: settings.timeout,
            secrets,
        })
    }

    /// For messages.
    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// Asks for something that changes nothing, again when there is no answer.
    pub async fn read(&self, ask: &Ask<'_>) -> Result<Answer, NoAnswer> {
        for attempt in 1..TRIES {
            match self.send(ask).await {
                Ok(answer) if !answer.status.is_server_error() => return Ok(answer),
                Err(no @ (NoAnswer::Busy(..) | NoAnswer::Unpaced(_))) => return Err(no),
                Ok(_) | Err(_) => {}
            }
            let pause = PAUSE * (1 << (attempt - 1));
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..=1.0))).await;
        }
        self.send(ask).await
    }

    /// Asks for a change, once. A failure on the server's part leaves open whether it was made.
    pub async fn write(&self, ask: &Ask<'_>) -> Result<Answer, NoAnswer> {
        match self.send(ask).await? {
            answer
                if answer.status.is_server_error()
                    || answer.status == StatusCode::REQUEST_TIMEOUT =>
            {
                Err(NoAnswer::Lost(answer.described))
            }
            answer => Ok(answer),
        }
    }

    /// Text of the server as it may be in an error: one line, of bounded length, without our
    /// secrets.
    pub fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.expose_secret(), "[secret]");
        }
        in_one_line(&text, MOST_WORDS)
    }

    async fn send(&self, ask: &Ask<'_>) -> Result<Answer, NoAnswer> {
        for attempt in 1.. {
            if let Some(left) = self.pace.closed_for() {
                // Each call before that prolongs it.
                return Err(NoAnswer::Busy(
                    "it asked to be left alone for a while".into(),
                    left,
                ));
            }
            self.pace.turn().await.map_err(NoAnswer::Unpaced)?;
            address::turn_at(&self.address)
                .await
                .map_err(NoAnswer::Unpaced)?;
            let outcome = tokio::time::timeout(self.timeout, self.transfer(ask)).await;
            let outcome = outcome.unwrap_or_else(|_| {
                Err(NoAnswer::Lost(format!(
                    "no answer within {} s",
                    self.timeout.as_secs()
                )))
            });
            let status = outcome
                .as_ref()
                .map(|answer| answer.status.as_u16())
                .unwrap_or_default();
            let (trouble, path) = (outcome.as_ref().err(), ask.path.join("/"));
            tracing::debug!(host = self.host(), method = %ask.method, path, attempt, status, ?trouble, "call");
            match outcome {
                Err(NoAnswer::Busy(_, wait)) if wait <= SHORT_WAIT && attempt < TRIES => {
                    tokio::time::sleep(wait).await
                }
                Err(NoAnswer::Busy(what, wait)) => {
                    self.pace.close(wait);
                    return Err(NoAnswer::Busy(what, wait));
                }
                other => return other,
            }
        }
        unreachable!("the loop ends by its last try")
    }

    async fn transfer(&self, ask: &Ask<'_>) -> Result<Answer, NoAnswer> {
        let mut request = self
            .client
            .inner()
            .request(ask.method.clone(), self.url(ask))
            .headers(ask.auth.clone());
        request = request.header(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(|error| {
            let not_sent = is_not_sent(&error);
            let why = self.clean(&self.client.words(error, &self.next_host));
            if not_sent {
                NoAnswer::NotSent(why)
            } else {
                NoAnswer::Lost(why)
            }
        })?;
        let (status, mut body) = (response.status(), Vec::new());
        let wait = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(seconds);
        let media = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|media| media.to_str().ok());
        let media = self.clean(media.unwrap_or("unnamed content"));
        while let Some(chunk) = response.chunk().await.map_err(|error| {
            NoAnswer::Lost(format!(
                "the answer broke off: {}",
                chain(&error.without_url())
            ))
        })? {
            if body.len() + chunk.len() > CAP {
                return Err(NoAnswer::Lost(format!(
                    "an answer larger than {} MiB",
                    CAP >> 20
                )));
            }
            body.extend_from_slice(&chunk);
        }
        let text = self.clean(&String::from_utf8_lossy(
            &body[..body.len().min(4 * MOST_WORDS)],
        ));
        let described = format!("HTTP {status} with {media}: {text}");
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(NoAnswer::Busy(described, wait.unwrap_or(DEFAULT_WAIT)));
        }
        Ok(Answer {
            status,
            json: crate::json::read(&body).ok(),
            described,
        })
    }

    fn url(&self, ask: &Ask<'_>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(ask.path);
        }
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        url
    }

    /// Why nothing was learned or done: `trying` is "asking for …" or "writing …".
    pub fn failed(&self, trying: &str, no_answer: &NoAnswer) -> Fault {
        let host = self.host();
        let (kind, what, wait, hint) = match no_answer {
            NoAnswer::NotSent(why) => {
                let hint =
                    "check `url`, `proxy` and `ca_file`, and that the firewall lets this host out";
                (FaultKind::Unavailable, why.clone(), None, Some(hint))
            }
            NoAnswer::Lost(why) => (FaultKind::Unavailable, why.clone(), None, None),
            NoAnswer::Unpaced(why) => (
                FaultKind::Unavailable,
                format!("not asked: {why}"),
                None,
                None,
            ),
            NoAnswer::Busy(why, wait) => {
                let hint =
                    "other programs may use the same account; lower `rate` if it happens often";
                (
                    FaultKind::Unavailable,
                    format!("too many requests: {why}"),
                    Some(*wait),
                    Some(hint),
                )
            }
        };
        let mut error = Fault::new(kind, format!("{trying} at {host}: {what}"));
        error.hint = hint.map(str::to_owned);
        error.retry_after = wait;
        error
    }

    /// Why an answer that is not the API's says nothing.
    pub fn unusable(&self, trying: &str, answer: &Answer) -> Fault {
        let text = format!("{trying} at {}: {}", self.host(), answer.described);
        if answer.status.is_redirection() {
            return Fault::new(
                FaultKind::Settings,
                format!("{text}; redirects are not followed"),
            )
            .with_hint("check `url`: it must be the API's own address");
        }
        Fault::new(FaultKind::Unavailable, text).with_hint(
            "this is not an answer of the API: a proxy or a maintenance page may have spoken in its place; check `url`",
        )
    }
}

/// `Retry-After` in seconds; its other form, a date, is not sent by these APIs.
fn seconds(value: &HeaderValue) -> Option<Duration> {
    value
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT))
}
