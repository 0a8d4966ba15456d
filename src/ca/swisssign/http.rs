//! One exchange with the CA: the request, the time limits, the size limits, the retries, and the
//! words of a refusal.
//!
//! Every call of this API is a POST, so the method does not say whether it may be repeated: each
//! call says itself whether it is a read. Reads are tried up to three times, effects once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use prevalidate_providers::causes::chain;
use reqwest::StatusCode;
use reqwest::header::{self, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::answer::Answer;
use super::connect;
use super::error::{ApiError, Redactor, clean};
use super::settings::{Permit, Settings, Timeouts};
use crate::ca::{CaError, Failure, json};
use crate::clock::Clock;

/// How often a read is tried.
const TRIES: u32 = 3;

/// The first pause between two tries of a read; the next is twice as long, and each is cut by up to
/// half at random.
const PAUSE: Duration = Duration::from_millis(800);

/// What an answer may weigh after decompression (faults C21).
const CAP: usize = 1024 * 1024;
/// The same for the list of a client's domains: a hundred thousand of them at 0.8 kB each, measured
/// on the sandbox.
const LIST_CAP: usize = 96 * 1024 * 1024;

/// Characters that stand for themselves in a path segment or query value (RFC 3986, section 2.3).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a call does, which decides how often and how patiently it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Changes nothing: may be repeated.
    Read,
    /// A read whose answer may be large and slow.
    List,
    /// Changes something: never repeated here.
    Effect,
    /// An effect during which the CA looks at DNS from several places.
    SlowEffect,
}

/// One call, with the words that its errors begin with.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// `validate`, as in "could not validate cld-…".
    pub(super) verb: &'static str,
    pub(super) subject: String,
    /// Segments after `/v2`, not yet encoded.
    pub(super) path: &'a [&'a str],
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Body,
    pub(super) kind: Kind,
}

/// What goes with a call.
#[derive(Debug)]
pub(super) enum Body {
    Nothing,
    Json(serde_json::Value),
    /// The form of the token helper.
    UserSecret(SecretString),
}

impl<'a> Call<'a> {
    pub(super) fn new(
        kind: Kind,
        verb: &'static str,
        subject: impl Into<String>,
        path: &'a [&'a str],
    ) -> Self {
        Self {
            verb,
            subject: subject.into(),
            path,
            query: Vec::new(),
            body: Body::Nothing,
            kind,
        }
    }

    fn is_read(&self) -> bool {
        matches!(self.kind, Kind::Read | Kind::List)
    }
}

/// Why there is no whole answer.
enum Broken {
    NotSent(String),
    /// Not even tried: how many calls other machines make meanwhile is not known.
    NotPermitted(String),
    Lost(String),
    Unusable(String),
    /// The server's certificate is refused: why, and what to do about it.
    Untrusted(String, &'static str),
}

/// Takes an answer that is too large to be held, piece by piece.
pub(super) trait Sink: Send {
    /// An answer begins; what was taken of an earlier try counts no more.
    fn begin(&mut self, at: Timestamp);
    /// The next piece, or why no more of it is wanted.
    fn take(&mut self, piece: &[u8]) -> Result<(), String>;
}

/// The connection to one CA.
pub(super) struct Http {
    pub(super) ca: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) redactor: Redactor,
    base: String,
    host: String,
    /// The host with its port, and the proxy before it.
    peer: String,
    client: reqwest::Client,
    limiter: DefaultDirectRateLimiter,
    permit: Option<Permit>,
    timeouts: Timeouts,
}

impl Http {
    pub(super) fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, CaError> {
        let base = settings.base()?;
        let refused =
            |what: String| CaError::new(Failure::Settings, format!("{}: {what}", settings.name));
        Ok(Self {
            ca: settings.name.clone(),
            clock,
            redactor: Redactor::default(),
            base: base.as_str().trim_end_matches('/').to_owned(),
            host: base.host_str().unwrap_or_default().to_owned(),
            peer: connect::peer(&base, settings.proxy.as_ref()),
            client: connect::client(settings, &base)?,
            limiter: RateLimiter::direct(quota(settings.rate).ok_or_else(|| {
                refused("`rate` must be more than 0 and at most 1,000 calls a second".to_owned())
            })?),
            permit: settings.permit.clone(),
            timeouts: settings.timeouts,
        })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Makes the call until there is a whole answer, whatever its status; reads are tried three
    /// times. The body of a success goes to `sink`, if there is one.
    pub(super) async fn exchange(
        &self,
        call: &Call<'_>,
        bearer: Option<&HeaderValue>,
        mut sink: Option<&mut (dyn Sink + '_)>,
    ) -> Result<Answer, CaError> {
        let url = self.url(call)?;
        for attempt in 1.. {
            self.limiter.until_ready().await;
            let permitted = match &self.permit {
                Some(permit) => permit().await.map_err(Broken::NotPermitted),
                None => Ok(()),
            };
            let outcome = match permitted {
                Ok(()) => self.once(call, &url, bearer, sink.as_deref_mut()).await,
                Err(broken) => Err(broken),
            };
            let (status, trouble) = match &outcome {
                Ok(answer) => (answer.status.as_u16(), None),
                Err(
                    Broken::NotSent(why)
                    | Broken::NotPermitted(why)
                    | Broken::Lost(why)
                    | Broken::Unusable(why)
                    | Broken::Untrusted(why, _),
                ) => (0, Some(why.as_str())),
            };
            tracing::debug!(
                ca = self.ca,
                verb = call.verb,
                subject = call.subject,
                attempt,
                status,
                trouble,
                "CA call"
            );
            let again = match &outcome {
                Ok(answer) => answer.status.is_server_error() && answer.retry_after.is_none(),
                Err(Broken::NotSent(_) | Broken::Lost(_)) => true,
                Err(Broken::NotPermitted(_) | Broken::Unusable(_) | Broken::Untrusted(..)) => false,
            };
            if !(again && call.is_read() && attempt < TRIES) {
                return outcome.map_err(|broken| self.broken(call, broken));
            }
            let pause =
                PAUSE.mul_f64(f64::from(1_u32 << (attempt - 1)) * rand::random_range(0.5..=1.0));
            let until = self
                .clock
                .now()
                .saturating_add(pause)
                .unwrap_or(Timestamp::MAX);
            self.clock.sleep_until(until).await;
        }
        unreachable!("the loop ends by its last try")
    }

    async fn once(
        &self,
        call: &Call<'_>,
        url: &str,
        bearer: Option<&HeaderValue>,
        sink: Option<&mut (dyn Sink + '_)>,
    ) -> Result<Answer, Broken> {
        let mut request = self.client.post(url);
        if let Some(bearer) = bearer {
            request = request.header(header::AUTHORIZATION, bearer.clone());
        }
        let accept = match &call.body {
            Body::UserSecret(_) => "text/plain, application/json",
            _ => "application/json",
        };
        request = request.header(header::ACCEPT, accept);
        request = match &call.body {
            Body::Nothing => request.header(header::CONTENT_LENGTH, "0"),
            Body::Json(value) => request.json(value),
            Body::UserSecret(secret) => request.form(&[("userSecret", secret.expose_secret())]),
        };
        let patience = match call.kind {
            Kind::List | Kind::SlowEffect => (self.timeouts.slow_read, self.timeouts.slow_total),
            Kind::Read | Kind::Effect => (self.timeouts.read, self.timeouts.total),
        };
        tokio::time::timeout(patience.1, self.transfer(call, request, patience.0, sink))
            .await
            .unwrap_or_else(|_| {
                Err(Broken::Lost(format!(
                    "no whole answer within {} s",
                    patience.1.as_secs_f32()
                )))
            })
    }

    async fn transfer(
        &self,
        call: &Call<'_>,
        request: reqwest::RequestBuilder,
        patience: Duration,
        sink: Option<&mut (dyn Sink + '_)>,
    ) -> Result<Answer, Broken> {
        let silent = |_| Broken::Lost(format!("silence for {} s", patience.as_secs_f32()));
        let mut response = tokio::time::timeout(patience, request.send())
            .await
            .map_err(silent)?
            .map_err(|error| {
                let not_sent = error.is_connect() || error.is_builder();
                if let Some((why, hint)) = connect::distrust(&error) {
                    return Broken::Untrusted(why, hint);
                }
                let why = chain(&error.without_url());
                if not_sent {
                    Broken::NotSent(why)
                } else {
                    Broken::Lost(why)
                }
            })?;
        let at = self.clock.now();
        let mut answer = Answer::new(response.status(), response.headers(), String::new(), at);
        let mut sink = sink.filter(|_| answer.status.is_success() && answer.is_json());
        if let Some(sink) = &mut sink {
            sink.begin(at);
        }
        let cap = if sink.is_some() { LIST_CAP } else { CAP };
        let (mut body, mut octets) = (Vec::new(), 0);
        while let Some(chunk) = tokio::time::timeout(patience, response.chunk())
            .await
            .map_err(silent)?
            .map_err(|error| {
                Broken::Lost(format!(
                    "the answer broke off: {}",
                    chain(&error.without_url())
                ))
            })?
        {
            octets += chunk.len();
            if octets > cap {
                return Err(Broken::Unusable(format!(
                    "an answer larger than {} MiB",
                    cap / CAP
                )));
            }
            match &mut sink {
                Some(sink) => sink.take(&chunk).map_err(Broken::Unusable)?,
                None => body.extend_from_slice(&chunk),
            }
        }
        // What is not UTF-8 costs only its own place.
        let body = String::from_utf8_lossy(&body).into_owned();
        // The helper's answer is a token: only there may the text keep one.
        answer.body = match call.body {
            Body::UserSecret(_) => self.redactor.strike_keys(body),
            _ => self.redactor.strike(body),
        };
        Ok(answer)
    }

    fn url(&self, call: &Call<'_>) -> Result<String, CaError> {
        let mut url = format!("{}/v2", self.base);
        for segment in call.path {
            if matches!(*segment, "" | "." | "..") {
                let what = format!("`{}` cannot stand in the path of a call", clean(segment));
                return Err(self.error(Failure::Refused, call, &what));
            }
            url.push('/');
            url.extend(utf8_percent_encode(segment, PLAIN));
        }
        for (index, (key, value)) in call.query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(key);
            url.push('=');
            url.extend(utf8_percent_encode(value, PLAIN));
        }
        Ok(url)
    }

    fn broken(&self, call: &Call<'_>, broken: Broken) -> CaError {
        match broken {
            Broken::NotSent(why) => self.error(
                Failure::Unavailable,
                call,
                &format!("no connection to {}: {}", self.peer, clean(&why)),
            ),
            Broken::Untrusted(why, hint) => self
                .error(
                    Failure::Untrusted,
                    call,
                    &format!("no connection to {}: {why}", self.peer),
                )
                .with_hint(hint),
            Broken::NotPermitted(why) => self.error(
                Failure::Unavailable,
                call,
                &format!("{} was not asked: {}", self.peer, clean(&why)),
            ),
            Broken::Lost(why) if call.is_read() => self.error(
                Failure::Unavailable,
                call,
                &format!("no answer from {}: {}", self.peer, clean(&why)),
            ),
            Broken::Lost(why) => self.error(
                Failure::Unknown,
                call,
                &format!(
                    "sent to {}, but no answer came ({}); it may have taken effect",
                    self.peer,
                    clean(&why)
                ),
            ),
            Broken::Unusable(why) => self.error(
                Failure::Malformed,
                call,
                &format!("{} sent {}", self.host, clean(&why)),
            ),
        }
    }

    /// `swisssign: could not validate cld-…: WHY`
    pub(super) fn error(&self, failure: Failure, call: &Call<'_>, why: &str) -> CaError {
        let what = format!(
            "{}: could not {} {}: {why}",
            self.ca, call.verb, call.subject
        );
        CaError::new(failure, what)
    }

    /// What an answer without success means for the call.
    pub(super) fn refusal(&self, call: &Call<'_>, answer: &Answer) -> CaError {
        let spoken = ApiError::read(&answer.body);
        let status = answer.status;
        let denied = spoken.as_ref().is_some_and(ApiError::is_access_denied);
        let failure = match status.as_u16() {
            429 => Failure::Throttled,
            503 if answer.retry_after.is_some() => Failure::Throttled,
            // A 401 comes this far only when the same token serves other calls.
            401 | 403 => Failure::Forbidden,
            400..=499 if denied => Failure::Forbidden,
            // Only the CA's own words prove that something is gone; a proxy's 404 does not.
            404 if spoken.is_some() => Failure::NotFound,
            404 => Failure::Malformed,
            // A gateway may have handed the call on before it gave up, and 303 answers what has
            // been done.
            408 | 300..=399 | 500..=599 if call.is_read() => Failure::Unavailable,
            408 | 300..=399 | 500..=599 => Failure::Unknown,
            400..=499 => Failure::Refused,
            _ => Failure::Malformed,
        };
        let words = match (&spoken, &answer.redirected_to) {
            (Some(spoken), _) => spoken.words(),
            (None, Some(host)) => format!("a redirect to {host}, which is not followed"),
            (None, None) => format!("{} sent {}", self.host, answer.described()),
        };
        let mut error = self.error(failure, call, &format!("HTTP {status}: {words}"));
        error.retry_after = answer.retry_after;
        error.hint = match failure {
            Failure::Forbidden => Some("Ask the CA whether this service account may manage this client.".to_owned()),
            Failure::Malformed | Failure::Unavailable | Failure::Unknown
                if status.is_redirection() || status == StatusCode::NOT_FOUND =>
            {
                Some("Check `url`: the address may not be the CA's API, or a proxy answers in its place.".to_owned())
            }
            _ => None,
        };
        error
    }

    /// The body of a success as JSON, or the error that the answer is.
    pub(super) fn json(&self, call: &Call<'_>, answer: &Answer) -> Result<json::Read, CaError> {
        self.success(call, answer)?;
        json::read(answer.body.as_bytes()).map_err(|_| self.no_json(call, answer))
    }

    /// The entries of a success that is a list, or that has one under `key`. An object that is no
    /// list counts as its only entry.
    pub(super) fn entries(
        &self,
        call: &Call<'_>,
        answer: &Answer,
        key: Option<&str>,
    ) -> Result<Vec<Vec<u8>>, CaError> {
        self.success(call, answer)?;
        let body = answer.body.as_bytes();
        let found = match key {
            Some(key) => json::elements_of(body, key),
            None if answer.body.trim_start().starts_with('{') => Ok(vec![body.to_vec()]),
            None => json::elements(body),
        };
        found.map_err(|why| self.error(Failure::Malformed, call, &why))
    }

    /// An error for an answer that is not a success in JSON.
    pub(super) fn success(&self, call: &Call<'_>, answer: &Answer) -> Result<(), CaError> {
        if !answer.status.is_success() {
            return Err(self.refusal(call, answer));
        }
        if !answer.is_json() {
            return Err(self.no_json(call, answer));
        }
        Ok(())
    }

    fn no_json(&self, call: &Call<'_>, answer: &Answer) -> CaError {
        let why = format!(
            "HTTP {}, but {} sent {}",
            answer.status,
            self.host,
            answer.described()
        );
        self.error(Failure::Malformed, call, &why)
            .with_hint("A proxy or a maintenance page may have answered in the CA's place.")
    }
}

fn quota(rate: f64) -> Option<Quota> {
    let quota = (rate > 0.0 && rate <= 1000.0)
        .then(|| Quota::with_period(Duration::from_secs_f64(1.0 / rate)))??;
    // A second's worth at once, no more.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 1,000"
    )]
    let burst = NonZeroU32::new(rate.ceil() as u32)?;
    Some(quota.allow_burst(burst))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_rate_must_be_a_number_of_calls() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert_eq!(quota(bad), None);
        }
        assert_eq!(quota(0.5).unwrap().burst_size().get(), 1);
        assert_eq!(quota(2.0).unwrap().burst_size().get(), 2);
    }
}
