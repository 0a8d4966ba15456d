//! SwissSign's RA API (OpenAPI 3.5.0, every call a POST): one service account, its clients, their
//! domains.
//!
//! The parts, from the wire up: `http` makes one exchange and says what a refusal means (`answer`
//! is what came), `error` puts the CA's codes into words, `auth` keeps the token, `wire` reads
//! entries, `clients` and `register` do what takes more than one call, `issuing` orders certificates. Nothing is remembered here
//! but the token: every registration is as fresh as the call that brought it.
//!
//! What the API leaves unsaid is met on the safe side: two words for "not yet" are one, an entry is
//! found by its name and never by its place, an answer that was lost is never asked for by doing
//! the thing again.

mod auth;
mod clients;
mod error;
mod issuing;
mod listing;

mod register;
mod settings;
pub mod table;
mod wire;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::StatusCode;

use self::auth::Credentials;
use self::error::ApiError;
use self::listing::Reader;
pub use self::settings::{Auth, Settings};
use super::http::answer::Answer;
use super::http::redact::clean;
use super::http::{Call, Http, Kind, Sink};
use super::validation;
use super::{
    CaError, Client, ClientSelector, Failure, Issuing, Listing, Started, Submission, Validation,
    Verdict,
};
use crate::clock::Clock;
use crate::prevalidation::{DomainName, Registration, ReuseTable, Status};

/// Names per `register`. Nothing documents a limit; a refused batch is halved.
const REGISTER_BATCH: usize = 50;

/// What is fixed for SwissSign. Whether a reset keeps the proof is not documented; the hourly job of
/// the handbook is for certificate orders.
pub static KIND: validation::Kind = validation::Kind {
    name: "swisssign",
    register_batch: REGISTER_BATCH,
    start_keeps_proof: None,
    checks_by_itself: false,
    methods: &[validation::Method::Txt],
    labels: &[],
    caa_names: &["swisssign.com"],
    reuse: ReuseTable::default,
};

/// One service account at SwissSign.
pub struct SwissSign {
    http: Http,
    credentials: Credentials,
    token_prefix: String,
    issues_by_csr: bool,
    revocation_requestor: String,
}

impl SwissSign {
    /// Checks the settings; sends nothing and reads no key.
    ///
    /// # Errors
    /// [`Failure::Settings`], and what is wrong.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, CaError> {
        Ok(Self {
            http: Http::new(&settings.reach()?, clock)?,
            credentials: Credentials::new(&settings),
            token_prefix: settings.token_prefix,
            issues_by_csr: settings.issues_by_csr,
            revocation_requestor: settings.revocation_requestor,
        })
    }

    /// Makes a call with a token that the CA takes. A 401 comes back only for a token that serves
    /// other calls.
    async fn call(&self, call: &Call<'_>) -> Result<Answer, CaError> {
        self.call_into(call, None).await
    }

    /// The same for an answer that may be too large to be held.
    async fn call_into(
        &self,
        call: &Call<'_>,
        mut sink: Option<&mut (dyn Sink + '_)>,
    ) -> Result<Answer, CaError> {
        let mut bearer = self.credentials.bearer(&self.http).await?;
        for _ in 0..=self.credentials.rungs() {
            let answer = self
                .http
                .exchange(call, &bearer.headers, sink.as_deref_mut())
                .await?;
            if answer.status != StatusCode::UNAUTHORIZED {
                let judged =
                    answer.status.is_success() || matches!(answer.status.as_u16(), 400 | 403 | 404);
                if judged {
                    self.credentials.accepted(&bearer, &self.http).await;
                }
                return Ok(answer);
            }
            let said = ApiError::read(&answer.body);
            if call.may_have_ordered(&answer, said.is_some()) {
                return Ok(answer);
            }
            let denied = said.is_some_and(|error| error.is_access_denied());
            if denied && self.credentials.is_proven(&bearer).await {
                return Ok(answer);
            }
            bearer = self
                .credentials
                .refused(&bearer, answer, &self.http)
                .await?;
        }
        self.http.exchange(call, &bearer.headers, sink).await
    }

    /// A call about one entry whose answer is that entry.
    async fn entry(&self, call: &Call<'_>, reference: &str) -> Result<Registration, CaError> {
        let answer = self.call(call).await?;
        self.read_entry(call, reference, &answer)
    }

    fn read_entry(
        &self,
        call: &Call<'_>,
        reference: &str,
        answer: &Answer,
    ) -> Result<Registration, CaError> {
        let value = error::json(&self.http, call, answer)?;
        let registration = wire::registration(&value, &self.token_prefix, answer.at)
            .map_err(|why| self.http.error(Failure::Malformed, call, &why))?;
        if registration.reference.eq_ignore_ascii_case(reference) {
            return Ok(registration);
        }
        let why = format!(
            "the answer is about another entry, {} ({})",
            registration.reference, registration.domain
        );
        Err(self.http.error(Failure::Malformed, call, &why))
    }

    /// `cli-…`, `cld-…` and `ord-…`: some of them share their paths: a reference of the wrong kind would do something
    /// else.
    fn check(&self, reference: &str, prefix: &str, call: &Call<'_>) -> Result<(), CaError> {
        if reference.starts_with(prefix) && wire::is_reference(reference) {
            return Ok(());
        }
        Err(self.http.error(
            Failure::Refused,
            call,
            &format!("the reference does not begin with `{prefix}`"),
        ))
    }
}

#[async_trait]
impl Validation for SwissSign {
    fn kind(&self) -> &'static validation::Kind {
        &KIND
    }

    async fn find_client(&self, selector: &ClientSelector) -> Result<Client, CaError> {
        self.the_client(selector).await
    }

    async fn list(&self, client: &str) -> Result<Listing, CaError> {
        let path = ["client", "domain", client, "list"];
        let call = Call::new(Kind::List, "list the domains of", clean(client), &path);
        self.check(client, "cli-", &call)?;
        let mut reader = Reader::new(&self.token_prefix, &self.http.redactor);
        let answer = self.call_into(&call, Some(&mut reader)).await?;
        error::success(&self.http, &call, &answer)?;
        reader
            .listing(&answer)
            .map_err(|why| self.http.error(Failure::Malformed, &call, &why))
    }

    async fn register(
        &self,
        client: &str,
        names: &[DomainName],
    ) -> Vec<(DomainName, Result<Registration, CaError>)> {
        let path = [client];
        let call = Call::new(Kind::Effect, "register domains of", clean(client), &path);
        if let Err(error) = self.check(client, "cli-", &call) {
            return names
                .iter()
                .map(|name| (name.clone(), Err(error.clone())))
                .collect();
        }
        self.register_all(client, names).await
    }

    async fn get(&self, reference: &str) -> Result<Registration, CaError> {
        let path = ["client", "domain", reference];
        let call = Call::new(Kind::Read, "read", clean(reference), &path);
        self.check(reference, "cld-", &call)?;
        self.entry(&call, reference).await
    }

    async fn submit(&self, reference: &str) -> Result<Submission, CaError> {
        let path = ["client", "domain", reference, "validate"];
        let call = Call::new(Kind::SlowEffect, "validate", clean(reference), &path);
        self.check(reference, "cld-", &call)?;
        let answer = self.call(&call).await?;
        let not_yet = (answer.status == StatusCode::BAD_REQUEST)
            .then(|| ApiError::read(&answer.body))
            .flatten()
            .filter(|error| !error.is_access_denied());
        let Some(said) = not_yet else {
            return self.read_entry(&call, reference, &answer).map(checked);
        };
        // The other way to say "not yet" (faults C13): the entry itself must be fetched, at the
        // price of one read.
        let mut registration = self.get(reference).await.map_err(|mut error| {
            error.message = format!("{}; validate had answered: {}", error.message, said.words());
            if error.outcome_unknown() {
                error.failure = Failure::Unavailable;
            }
            error
        })?;
        registration.last_words = Some(said.words());
        Ok(checked(registration))
    }

    async fn start(&self, reference: &str) -> Result<Started, CaError> {
        let path = ["client", "domain", reference, "token", "reset"];
        let call = Call::new(Kind::Effect, "reset the token of", clean(reference), &path);
        self.check(reference, "cld-", &call)?;
        let registration = self.entry(&call, reference).await?;
        Ok(Started {
            registration,
            next_read_at: None,
        })
    }

    async fn delete(&self, reference: &str) -> Result<(), CaError> {
        let path = ["client", "domain", reference, "delete"];
        let call = Call::new(Kind::Effect, "delete", clean(reference), &path);
        self.check(reference, "cld-", &call)?;
        let answer = self.call(&call).await?;
        // 204 is documented. A page with status 200 comes from another server.
        if answer.status.is_success() && !answer.is_page() {
            Ok(())
        } else {
            Err(error::refusal(&self.http, &call, &answer))
        }
    }

    fn issuing(self: Arc<Self>) -> Option<Arc<dyn Issuing>> {
        Some(self)
    }
}

impl fmt::Debug for SwissSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwissSign")
            .field("name", &self.http.ca)
            .field("host", &self.http.host())
            .field("user", &self.credentials.user())
            .finish_non_exhaustive()
    }
}

/// The CA has checked; what it says now is its verdict. A random value that it does not know any
/// more counts as ended, whatever its dates say.
fn checked(mut registration: Registration) -> Submission {
    let words = registration.last_words.as_deref().unwrap_or_default();
    if words.to_ascii_lowercase().contains(NO_RANDOM_VALUE)
        && let Some(token) = &mut registration.token
    {
        token.expired = true;
    }
    let verdict = if registration.status == Status::Valid {
        Verdict::Proven
    } else {
        Verdict::NotSeen
    };
    Submission {
        registration,
        verdict,
    }
}

/// What the CA says when it has nothing to search for.
const NO_RANDOM_VALUE: &str = "no valid random value";

/// Of several entries of one name the valid one that lasts longest, else the newest; and the others
/// (faults C02).
fn choose(
    mut same_name: Vec<(Option<Timestamp>, Registration)>,
    now: Timestamp,
) -> Option<(Registration, Vec<Registration>)> {
    same_name.sort_by_cached_key(|(age_mark, registration)| {
        let valid = registration.status == Status::Valid;
        (
            valid,
            valid.then(|| wire::end_of(registration, now)),
            *age_mark,
        )
    });
    let (_, chosen) = same_name.pop()?;
    Some((
        chosen,
        same_name.into_iter().map(|(_, other)| other).collect(),
    ))
}

#[cfg(test)]
mod tests;
