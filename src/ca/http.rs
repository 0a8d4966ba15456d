//! One exchange with a CA of any kind: the request, the time limits, the size limits, the retries.
//!
//! At some CAs every call is a POST, so the method does not say whether it may be repeated: each
//! call says itself whether it is a read. Reads are tried up to three times, effects once.

pub(super) mod answer;
mod call;
mod connect;
#[cfg(test)]
pub(super) mod lab;
mod pause;
mod reach;
pub(super) mod redact;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use prevalidate_kit::causes::chain;
use prevalidate_kit::http::{Client, is_not_sent};
use reqwest::Method;
use reqwest::header::{self, HeaderMap, HeaderValue};
use secrecy::ExposeSecret;

use self::answer::Answer;
pub(super) use self::call::{Body, Call, Kind, Sink};
use self::pause::Pause;
pub(super) use self::reach::is_loopback;
pub use self::reach::{Permit, Reach, SecretReader, Timeouts};
use self::redact::{Redactor, clean};
use super::{CaError, Failure};
use crate::clock::Clock;

/// How often a read is tried.
const TRIES: u32 = 3;

/// The first pause between two tries of a read; the next is twice as long, and each is cut by up to
/// half at random.
const PAUSE: Duration = Duration::from_millis(800);

/// Before the CA's "not found" is reported, the call is made again after these pauses.
pub(in crate::ca) const SETTLING: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(5)];

/// The largest reply that is read, in bytes after decompression.
const CAP: usize = 1024 * 1024;
/// The same for the list of a client's domains: a hundred thousand of them at 0.8 kB each, measured
/// on the sandbox.
const LIST_CAP: usize = 96 * 1024 * 1024;

/// The largest certificate, in bytes.
const FILE_CAP: usize = 64 * 1024;

/// Characters that need no escape in a path segment or query value (RFC 3986, section 2.3).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

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

/// The connection to one CA.
pub(super) struct Http {
    pub(super) ca: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) redactor: Redactor,
    base: String,
    host: String,
    /// The host with its port, and the proxy before it.
    peer: String,
    client: Client,
    /// The host that connections go to: the proxy's where there is one.
    next_host: String,
    limiter: DefaultDirectRateLimiter,
    permit: Option<Permit>,
    timeouts: Timeouts,
    skew: Mutex<Option<SignedDuration>>,
    /// How long the CA wants no call of the account.
    pause: Pause,
}

impl Http {
    pub(super) fn new(reach: &Reach, clock: Arc<dyn Clock>) -> Result<Self, CaError> {
        let refused =
            |what: String| CaError::new(Failure::Settings, format!("{}: {what}", reach.name));
        let base = &reach.base;
        Reach::check_url(base).map_err(|why| refused(format!("`url` {why}")))?;
        Ok(Self {
            ca: reach.name.clone(),
            clock,
            redactor: Redactor::of(&reach.numbers),
            base: base.as_str().trim_end_matches('/').to_owned(),
            host: base.host_str().unwrap_or_default().to_owned(),
            peer: connect::peer(base, reach.proxy.as_ref()),
            client: connect::client(reach)?,
            next_host: connect::next_host(reach),
            limiter: RateLimiter::direct(quota(reach.rate).ok_or_else(|| {
                refused("`rate` must be more than 0 and at most 1,000 calls a second".to_owned())
            })?),
            permit: reach.permit.clone(),
            timeouts: reach.timeouts,
            skew: Mutex::default(),
            pause: Pause::default(),
        })
    }

    /// Our clock minus the CA's, as the last success that named a time showed it.
    pub(super) fn clock_skew(&self) -> Option<SignedDuration> {
        *self.skew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, by the clock.
    pub(super) async fn rest(&self, span: Duration) {
        let until = self.clock.now().saturating_add(span);
        self.clock
            .sleep_until(until.unwrap_or(Timestamp::MAX))
            .await;
    }

    fn note_skew(&self, answer: &Answer) {
        if answer.status.is_success() && answer.skew.is_some() {
            *self.skew.lock().unwrap_or_else(PoisonError::into_inner) = answer.skew;
        }
    }

    /// How long a call that orders something takes at most.
    pub(super) fn longest_effect(&self) -> Duration {
        self.timeouts.slow_total
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Makes the call until there is a whole answer, whatever its status; reads are tried three
    /// times. The body of a success goes to `sink`, if there is one. While the CA wants no call of
    /// the account, none is made.
    pub(super) async fn exchange(
        &self,
        call: &Call<'_>,
        headers: &HeaderMap,
        mut sink: Option<&mut (dyn Sink + '_)>,
    ) -> Result<Answer, CaError> {
        let url = self.url(call)?;
        for attempt in 1.. {
            self.limiter.until_ready().await;
            let begun = self.clock.now();
            if let Some(rest) = self.pause.rest(begun) {
                return Err(self.too_soon(call, rest));
            }
            let permitted = match &self.permit {
                Some(permit) => permit().await.map_err(Broken::NotPermitted),
                None => Ok(()),
            };
            let mut outcome = match permitted {
                Ok(()) => self.once(call, &url, headers, sink.as_deref_mut()).await,
                Err(broken) => Err(broken),
            };
            if let Ok(answer) = &mut outcome {
                self.pause.heard(begun, answer, self.clock.now());
            }
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
            self.rest(pause).await;
        }
        unreachable!("the loop ends by its last try")
    }

    async fn once(
        &self,
        call: &Call<'_>,
        url: &str,
        headers: &HeaderMap,
        sink: Option<&mut (dyn Sink + '_)>,
    ) -> Result<Answer, Broken> {
        let accept = match &call.body {
            Body::Login(_) => "text/plain, application/json",
            _ => call.accept.unwrap_or("application/json"),
        };
        let mut request = self
            .client
            .inner()
            .request(call.method.clone(), url)
            .headers(headers.clone())
            .header(header::ACCEPT, accept);
        request = match &call.body {
            Body::Nothing if call.method == Method::POST => {
                request.header(header::CONTENT_LENGTH, "0")
            }
            Body::Nothing => request,
            Body::Json(value) => request.json(value),
            Body::Text(text) => request
                .header(header::CONTENT_TYPE, "text/plain")
                .body(text.clone()),
            Body::Login(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(key, value)| (*key, value.expose_secret()))
                    .collect();
                request.form(&fields)
            }
        };
        let patience = match call.kind {
            Kind::List | Kind::SlowEffect | Kind::Order => {
                (self.timeouts.slow_read, self.timeouts.slow_total)
            }
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
                let not_sent = is_not_sent(&error);
                if let Some((why, hint)) = connect::distrust(&error) {
                    return Broken::Untrusted(why, hint);
                }
                let why = self.client.words(error, &self.next_host);
                if not_sent {
                    Broken::NotSent(why)
                } else {
                    Broken::Lost(why)
                }
            })?;
        let at = self.clock.now();
        let mut answer = Answer::new(response.status(), response.headers(), String::new(), at);
        self.note_skew(&answer);
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
            Body::Login(_) => self.redactor.strike_keys(body),
            _ => self.redactor.strike(body),
        };
        Ok(answer)
    }

    /// A public file that needs no login: a certificate of a chain. Its address comes from a
    /// certificate, so it is judged first, and no more is read than a certificate has.
    pub(super) async fn file(&self, url: &str) -> Result<Vec<u8>, String> {
        let url = reach::public_file(url, &self.host)?;
        let read = async {
            let words = |error: reqwest::Error| chain(&error.without_url());
            let response = self.client.inner().get(url).send().await.map_err(words)?;
            let mut response = response.error_for_status().map_err(words)?;
            let mut octets = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(words)? {
                octets.extend_from_slice(&chunk);
                if octets.len() > FILE_CAP {
                    return Err("a file that is too large for a certificate".to_owned());
                }
            }
            Ok(octets)
        };
        tokio::time::timeout(self.timeouts.total, read)
            .await
            .map_err(|_| "no answer in time".to_owned())?
    }

    fn url(&self, call: &Call<'_>) -> Result<String, CaError> {
        let mut url = self.base.clone();
        for segment in call.path {
            if matches!(*segment, "" | "." | "..") {
                let what = format!("`{}` cannot be in the path of a call", clean(segment));
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
        let (ca, verb, subject) = (&self.ca, call.verb, &call.subject);
        let what = match failure {
            // Whatever the call was for, the login is what a person must repair.
            Failure::Unauthenticated => {
                format!("{ca}: the login is refused (asked to {verb} {subject}): {why}")
            }
            _ => format!("{ca}: could not {verb} {subject}: {why}"),
        };
        let mut error = CaError::new(failure, what);
        error.is_of_a_read = call.is_read();
        error
    }

    /// A call that is not made, because the CA answered other calls with "too many requests".
    fn too_soon(&self, call: &Call<'_>, rest: Duration) -> CaError {
        let why = format!(
            "not asked: {} wants no call of this account for another {} s (429 before)",
            self.host,
            rest.as_secs().max(1)
        );
        let mut error = self.error(Failure::Throttled, call, &why);
        error.retry_after = Some(rest);
        error
    }

    /// What was sent in place of the JSON that should have been.
    pub(super) fn no_json(&self, call: &Call<'_>, answer: &Answer) -> CaError {
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

/// A header's value that no log shows; `None` for one that no header may have.
pub(super) fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
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
