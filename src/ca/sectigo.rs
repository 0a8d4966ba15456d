//! Sectigo Certificate Manager (SCM): one account, its organisations, their domains.
//!
//! The parts, from the wire up: `login` sends the login in one of three ways, `error` puts codes
//! into words, `wire` reads rows and statuses, `listing` goes through the pages, `domains` finds,
//! creates and deletes domains, `organisations` finds the client. Calls are keyed by the name of
//! the domain, so the reference of a registration is its A-label.
//!
//! A validation is an order that SCM carries out over minutes or days. VALIDATED is true before a
//! renewal and stays so while it runs, and SUBMITTED may stay behind when all is done: neither word
//! says that there is a new proof, only the dates do. An open order is gone on with and never
//! started again.

mod domains;
mod error;
mod issuing;
mod listing;
mod login;
mod organisations;
mod settings;
pub mod table;
mod wire;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use serde_json::{Value, json};

use self::error::{Endpoint, refusal};
use self::login::Credentials;
pub use self::settings::{
    CERTIFICATE_URL, Creation, Login, OAUTH_URL, PASSWORD_URL, Settings, TOKEN_URL,
};
use super::http::answer::Answer;
use super::http::redact::clean;
use super::http::{Body, Call, Http, Kind};
use super::selector::PerClient;
use super::validation::{self, Method};
use super::{
    CaError, Client, ClientSelector, Failure, Issuing, Listing, Started, Submission, Validation,
    Verdict,
};
use crate::clock::Clock;
use crate::prevalidation::{
    Challenge, Counts, DomainName, Order, OrderState, Registration, ReuseTable, Status,
};

/// What is fixed for Sectigo. 198 days from 2026-03-12 on: Sectigo's notice of March 2026.
pub static KIND: validation::Kind = validation::Kind {
    name: "sectigo",
    register_batch: 20,
    start_keeps_proof: Some(true),
    checks_by_itself: true,
    methods: &[Method::Cname, Method::Txt],
    labels: &[(Method::Txt, "_pki-validation")],
    caa_names: &["sectigo.com"],
    reuse: ReuseTable::sectigo,
};

/// A fresh order is checked by SCM within minutes; afterwards at the moments that it names.
const SOON: SignedDuration = SignedDuration::from_secs(10);
/// A first check that SCM means to take within this time is waited for.
const NEAR: SignedDuration = SignedDuration::from_mins(2);
/// The time after which the password's end is asked for again.
const DAILY: SignedDuration = SignedDuration::from_hours(20);
/// When to read an order again of which SCM names no moment.
const UNNAMED: SignedDuration = SignedDuration::from_mins(30);

/// What to do about a record that is refused.
const SUPPORT: &str =
    "Nothing is published. Ask Sectigo's support, and name the domain and the record.";

/// One account at Sectigo Certificate Manager.
pub struct Sectigo {
    http: Http,
    credentials: Credentials,
    settings: Settings,
    /// How missing domains of an organisation are created.
    creation: PerClient<Creation>,
}

impl Sectigo {
    /// Checks the settings; sends nothing and reads no secret.
    ///
    /// # Errors
    /// [`Failure::Settings`], and what is wrong.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, CaError> {
        settings.check()?;
        Ok(Self {
            http: Http::new(&settings.reach, Arc::clone(&clock))?,
            credentials: Credentials::new(&settings, clock)?,
            creation: PerClient::new(settings.creation.clone()),
            settings,
        })
    }

    /// Makes a call, and hands on only a success.
    async fn call(&self, endpoint: Endpoint, call: &Call<'_>) -> Result<Answer, CaError> {
        match self.answer(endpoint, call).await? {
            (answer, None) => Ok(answer),
            (_, Some(error)) => Err(error),
        }
    }

    /// Makes a call, and hands on what came, with what it means where it is no success. A login that
    /// is refused is an error in any case.
    async fn answer(
        &self,
        endpoint: Endpoint,
        call: &Call<'_>,
    ) -> Result<(Answer, Option<CaError>), CaError> {
        let mut renewed = false;
        loop {
            let shown = self.credentials.show(&self.http).await?;
            let answer = self.http.exchange(call, &shown.headers, None).await?;
            if answer.status.is_success() {
                return Ok((answer, None));
            }
            let error = refusal(&self.http, endpoint, call, &answer);
            if error.failure != Failure::Unauthenticated {
                return Ok((answer, Some(error)));
            }
            let is_token = answer.status == StatusCode::UNAUTHORIZED;
            if renewed || !is_token || !self.credentials.refused(&shown, &error, &self.http).await {
                self.credentials.give_up(&error, &self.http).await;
                return Err(error);
            }
            renewed = true;
        }
    }

    /// A call below `/dcv/vN/validation` about one domain, and its answer.
    async fn dcv(
        &self,
        kind: Kind,
        verb: &'static str,
        domain: &DomainName,
        path: &[&str],
    ) -> Result<(Value, Timestamp), CaError> {
        let path = [&["dcv", self.version(), "validation"], path].concat();
        let mut call = Call::new(kind, verb, domain.as_str(), &path);
        call.body = Body::Json(json!({"domain": domain.as_str()}));
        if path.last() == Some(&"sync") {
            call.query = vec![("force", "true".to_owned())];
        }
        let answer = self.call(Endpoint::Dcv, &call).await?;
        let read = self.json(&call, &answer)?;
        Ok((read.value, answer.at))
    }

    fn json(&self, call: &Call<'_>, answer: &Answer) -> Result<super::json::Read, CaError> {
        if !answer.is_json() {
            return Err(self.http.no_json(call, answer));
        }
        super::json::read(answer.body.as_bytes()).map_err(|_| self.http.no_json(call, answer))
    }

    /// The header login has version 1 of the calls about validations, OAuth version 2 only.
    fn version(&self) -> &'static str {
        if self.settings.is_oauth() { "v2" } else { "v1" }
    }

    /// The domain that a reference names.
    fn domain(&self, verb: &'static str, reference: &str) -> Result<DomainName, CaError> {
        wire::name_of(reference).ok_or_else(|| {
            let call = Call::new(Kind::Read, verb, clean(reference), &[]);
            self.http
                .error(Failure::Refused, &call, "the reference is not a domain")
        })
    }

    /// The state of a domain's validation, fresh.
    async fn status(&self, domain: &DomainName) -> Result<Registration, CaError> {
        self.shown(domain).await.map(|(found, _)| found)
    }

    /// The state of a domain's validation, and why the record that it shows is refused.
    async fn shown(&self, domain: &DomainName) -> Result<(Registration, Option<String>), CaError> {
        // The only call of version 2 that the header login has.
        let path = ["dcv", "v2", "validation", "status"];
        let mut call = Call::new(Kind::Read, "read the validation of", domain.as_str(), &path);
        call.body = Body::Json(json!({"domain": domain.as_str()}));
        let answer = self.call(Endpoint::Dcv, &call).await?;
        let read = self.json(&call, &answer)?;
        if !read.value.is_object() {
            return Err(self.http.no_json(&call, &answer));
        }
        let found = wire::status(&read, domain.clone(), answer.at);
        let mode = read.value.get("orderMode").and_then(Value::as_str);
        let refused = wire::challenge(&read.value, domain, mode).err();
        Ok((found, refused))
    }

    /// The challenge of a start or a submission, which must be one.
    fn given(
        &self,
        verb: &'static str,
        domain: &DomainName,
        answer: &Value,
    ) -> Result<Challenge, CaError> {
        let mode = match self.settings.method {
            Method::Txt => "TXT",
            Method::Cname => "CNAME",
        };
        let call = Call::new(Kind::Effect, verb, domain.as_str(), &[]);
        match wire::challenge(answer, domain, Some(mode)) {
            Ok(Some(challenge)) => Ok(challenge),
            Ok(None) => Err(self.http.error(
                Failure::Malformed,
                &call,
                "the answer names no record (`host` and `point`)",
            )),
            Err(why) => {
                let error = self.http.error(Failure::Refused, &call, &why);
                Err(error.with_hint(SUPPORT))
            }
        }
    }

    /// When an order may have news: soon while SCM has not checked yet, then when it means to.
    fn next_read_at(found: &Registration, now: Timestamp) -> Timestamp {
        let after = |span| now.saturating_add(span).unwrap_or(Timestamp::MAX);
        let order = found.open_order();
        if order.is_none_or(|order| order.last_check.is_none()) {
            let first = order.and_then(|order| order.next_check);
            let is_near = |&next: &Timestamp| next > now && next <= after(NEAR);
            return first.filter(is_near).unwrap_or_else(|| after(SOON));
        }
        order
            .and_then(|order| order.next_check)
            .filter(|&next| next > now)
            .unwrap_or_else(|| after(UNNAMED))
    }

    /// What a submission has come to, by what SCM says now.
    fn submission(&self, mut found: Registration, said: Option<&Value>) -> Submission {
        let message = said
            .and_then(|said| said.get("message"))
            .and_then(Value::as_str);
        if let Some(message) = message {
            found.last_words = Some(clean(message));
        }
        let now = self.http.clock.now();
        let is_open = found.open_order().is_some_and(Order::is_submitted);
        let is_begun = found.open_order().is_some_and(Order::awaits_submission);
        let rejected = found
            .order
            .as_ref()
            .is_some_and(|order| order.state == OrderState::Rejected);
        let verdict = if rejected {
            let words = found.last_words.take().unwrap_or_default();
            let words = format!("Sectigo rejected the order {words}");
            found.last_words = Some(words.trim_end().to_owned());
            Verdict::NotSeen
        } else if is_open {
            Verdict::Taken {
                next_read_at: Self::next_read_at(&found, now),
            }
        } else if found.status == Status::Valid && !is_begun {
            Verdict::Proven
        } else {
            Verdict::NotSeen
        };
        Submission {
            registration: found,
            verdict,
        }
    }

    /// How long the password is good for: a warning in words.
    async fn password_warning(&self) -> Result<Option<String>, CaError> {
        const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 14);
        let now = self.http.clock.now();
        let path = ["admin", "v1", "password"];
        let call = Call::new(
            Kind::Read,
            "read the password's state of",
            self.user(),
            &path,
        );
        let call = call.by_get();
        let answer = match self.call(Endpoint::Admin, &call).await {
            Ok(answer) => answer,
            Err(error) if error.failure == Failure::Unauthenticated => return Err(error),
            // It is a courtesy; the calls that matter say for themselves whether they work.
            Err(error) => {
                tracing::debug!(ca = self.http.ca, %error, "the password's state is not known");
                return Ok(None);
            }
        };
        let value = super::json::read(answer.body.as_bytes()).map(|read| read.value);
        let value = value.unwrap_or_default();
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let ends = text("expirationDate").and_then(wire::moment);
        let has_ended = text("state").map(wire::word).as_deref() == Some("EXPIRED");
        let user = self.user();
        let hint = "change it in SCM, then in the configuration's source";
        if has_ended {
            return Ok(Some(format!("the password of {user} has ended: {hint}")));
        }
        Ok(ends
            .filter(|end| end.duration_since(now) <= AHEAD)
            .map(|end| {
                let day = end.strftime("%Y-%m-%d");
                format!("the password of {user} ends on {day}: {hint}")
            }))
    }

    fn user(&self) -> String {
        format!("`{}`", clean(self.credentials.user()))
    }

    /// Whether no order is under way that cannot be gone on with: starting again would end it.
    fn may_start(
        &self,
        verb: &'static str,
        known: &Registration,
        refused: Option<String>,
    ) -> Result<(), CaError> {
        let call = Call::new(Kind::Effect, verb, known.domain.as_str(), &[]);
        if let Some(why) = refused.filter(|_| known.may_be_under_way()) {
            let error = self.http.error(Failure::Refused, &call, &why);
            return Err(error.with_hint(SUPPORT));
        }
        let Some(word) = known.open_order().and_then(Order::unknown_word) else {
            return Ok(());
        };
        let why = format!("Sectigo calls the order `{word}`, which this version does not know");
        let error = self.http.error(Failure::Refused, &call, &why);
        Err(error.with_hint(
            "Nothing new is started. Check the domain in SCM, and clear the order if it is over.",
        ))
    }

    async fn start_anew(&self, domain: &DomainName) -> Result<Started, CaError> {
        const VERB: &str = "start the validation of";
        let (known, refused) = self.shown(domain).await?;
        if let Some(order) = known.open_order().filter(|_| known.challenge.is_some()) {
            // An order of an earlier run, or of a colleague: starting again would end it.
            let now = self.http.clock.now();
            return Ok(Started {
                next_read_at: order
                    .is_submitted()
                    .then(|| Self::next_read_at(&known, now)),
                registration: known,
            });
        }
        self.may_start(VERB, &known, refused)?;
        let path = match self.settings.method {
            Method::Cname => ["start", "domain", "cname"],
            Method::Txt => ["submit", "domain", "txt"],
        };
        let (answer, at) = self.dcv(Kind::Effect, VERB, domain, &path).await?;
        let challenge = self.given(VERB, domain, &answer)?;
        let until = (self.settings.method == Method::Txt)
            .then(|| at.saturating_add(SignedDuration::from_hours(30 * 24)).ok())
            .flatten();
        let next_read_at = (self.settings.method == Method::Txt)
            .then(|| at.saturating_add(SOON).unwrap_or(Timestamp::MAX));
        Ok(Started {
            registration: Registration {
                challenge: Some(Box::new(challenge.dated(Some(at), until))),
                ..known
            },
            next_read_at,
        })
    }
}

#[async_trait]
impl Validation for Sectigo {
    fn kind(&self) -> &'static validation::Kind {
        &KIND
    }

    async fn find_client(&self, selector: &ClientSelector) -> Result<Client, CaError> {
        self.organisation(selector).await
    }

    async fn list(&self, client: &str) -> Result<Listing, CaError> {
        self.pages(client).await
    }

    async fn warnings(&self, asked_at: Option<Timestamp>) -> Result<Option<Vec<String>>, CaError> {
        let now = self.http.clock.now();
        // Each nightly run asks, also one that begins a little earlier than the one before.
        let is_due = asked_at.is_none_or(|at| !(at <= now && now.duration_since(at) < DAILY));
        if !self.credentials.has_password() || !is_due {
            return Ok(None);
        }
        let warning = self.password_warning().await?;
        Ok(Some(warning.into_iter().collect()))
    }

    async fn register(
        &self,
        client: &str,
        names: &[DomainName],
    ) -> Vec<(DomainName, Result<Registration, CaError>)> {
        let mut outcomes = Vec::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            let outcome = self.add(client, name).await;
            let stops = outcome.as_ref().err().filter(|error| {
                error.is_account_wide()
                    || matches!(error.failure, Failure::Throttled | Failure::Unavailable)
            });
            let stops = stops.cloned();
            outcomes.push((name.clone(), outcome));
            if let Some(error) = stops {
                // What stops one call stops the next: the rest was not sent, and that is known.
                let rest = names[at + 1..].iter();
                outcomes.extend(rest.map(|name| (name.clone(), Err(error.clone()))));
                break;
            }
        }
        outcomes
    }

    async fn get(&self, reference: &str) -> Result<Registration, CaError> {
        let domain = self.domain("read the validation of", reference)?;
        self.status(&domain).await
    }

    async fn start(&self, reference: &str) -> Result<Started, CaError> {
        let domain = self.domain("start the validation of", reference)?;
        self.start_anew(&domain).await
    }

    fn issuing(self: Arc<Self>) -> Option<Arc<dyn Issuing>> {
        Some(self)
    }

    async fn submit(&self, reference: &str) -> Result<Submission, CaError> {
        const VERB: &str = "submit the validation of";
        let domain = self.domain(VERB, reference)?;
        let known = self.status(&domain).await?;
        let order = known.open_order();
        if order.is_some_and(Order::is_submitted) {
            // SCM carries the order out already: it is told to check its state now.
            let read = self.dcv(
                Kind::SlowEffect,
                "sync the validation of",
                &domain,
                &["sync"],
            );
            let (answer, _) = read.await?;
            let found = self.status(&domain).await.map_err(after_the_call)?;
            return Ok(self.submission(found, Some(&answer)));
        }
        // An order continues by the method that it was started with, whatever is configured since.
        let begun = known.challenge.as_deref().filter(|_| order.is_some());
        let is_cname = match begun {
            Some(challenge) => challenge.counts == Counts::Published,
            None => self.settings.method == Method::Cname,
        };
        if !is_cname {
            // Submitting would ask for another value than the one that is in DNS.
            return Ok(self.submission(known, None));
        }
        let path = ["submit", "domain", "cname"];
        let (answer, _) = self.dcv(Kind::SlowEffect, VERB, &domain, &path).await?;
        let found = self.status(&domain).await.map_err(after_the_call)?;
        Ok(self.submission(found, Some(&answer)))
    }

    async fn delete(&self, reference: &str) -> Result<(), CaError> {
        let domain = self.domain("delete", reference)?;
        self.remove(&domain).await
    }
}

/// A read that failed behind an effect that was answered: the effect has happened, so a read comes
/// next and not the effect again.
fn after_the_call(mut error: CaError) -> CaError {
    if error.is_retryable() {
        error.failure = Failure::Unknown;
    }
    error
}

impl fmt::Debug for Sectigo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sectigo")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
