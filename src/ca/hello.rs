//! A toy CA, for tests only: the measure of what a new kind of CA needs. It keeps domains of one
//! client, gives each a greeting, and searches for it in a TXT record at `_hello.NAME`.

pub mod table;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::Method as Verb;
use reqwest::header::{HeaderMap, HeaderName};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::http::redact::clean;
use super::http::{Call, Http, Kind, Reach, SecretReader, sensitive};
use super::selector::{self, Found};
use super::validation::{self, Method};
use super::{
    CaError, Client, ClientSelector, Failure, Listing, Started, Submission, Validation, Verdict,
};
use crate::clock::Clock;
use crate::prevalidation::{Counts, DomainName, Proof, Registration, ReuseTable, Status};

/// The constants of the toy.
pub static KIND: validation::Kind = validation::Kind {
    name: "hello",
    register_batch: 1,
    start_keeps_proof: Some(true),
    checks_by_itself: false,
    methods: &[Method::Txt],
    labels: &[(Method::Txt, "_hello")],
    caa_names: &["hello.example"],
    reuse: ReuseTable::baseline,
};

/// One account.
pub struct Hello {
    http: Http,
    greeting: SecretReader,
}

impl Hello {
    /// Sends nothing and reads no secret.
    ///
    /// # Errors
    /// [`Failure::Settings`], and what is wrong.
    pub fn new(
        reach: &Reach,
        greeting: SecretReader,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CaError> {
        let http = Http::new(reach, clock)?;
        Ok(Self { http, greeting })
    }

    /// Makes a call: the JSON of a success, or what the refusal means.
    async fn call(&self, call: &Call<'_>) -> Result<(Value, Timestamp), CaError> {
        let settings = |why: String| CaError::new(Failure::Settings, why);
        let secret = (self.greeting)().map_err(settings)?;
        let value = sensitive(secret.expose_secret());
        let value = value.ok_or_else(|| settings("`greeting` is no header".to_owned()))?;
        self.http.redactor.learn(&secret);
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-hello"), value)]);
        let answer = self.http.exchange(call, &headers, None).await?;
        let failure = match answer.status.as_u16() {
            200..=299 => {
                let read = super::json::read(answer.body.as_bytes());
                let read = read.map_err(|_| self.http.no_json(call, &answer))?;
                return Ok((read.value, answer.at));
            }
            401 => Failure::Unauthenticated,
            404 => Failure::NotFound,
            429 => Failure::Throttled,
            500.. if call.is_read() => Failure::Unavailable,
            500.. => Failure::Unknown,
            _ => Failure::Refused,
        };
        let why = format!("HTTP {}: {}", answer.status, clean(&answer.body));
        Err(self.http.error(failure, call, &why))
    }

    /// A call about one domain, and the domain as it is then.
    async fn about(
        &self,
        kind: Kind,
        verb: &'static str,
        method: Verb,
        path: &[&str],
    ) -> Result<Registration, CaError> {
        let subject = path.get(1).copied().unwrap_or_default();
        let mut call = Call::new(kind, verb, subject, path);
        call.method = method;
        let (row, at) = self.call(&call).await?;
        registration(&row, at).map_err(|why| self.http.error(Failure::Malformed, &call, &why))
    }
}

/// A row: `name`, `greeting`, `proven`, `until`.
fn registration(row: &Value, now: Timestamp) -> Result<Registration, String> {
    let text = |key: &str| row.get(key).and_then(Value::as_str);
    let moment = |key: &str| text(key).and_then(|text| text.parse::<Timestamp>().ok());
    let name = text("name").ok_or("a row without a `name`")?;
    let domain = DomainName::parse(name).map_err(|why| why.to_string())?.name;
    let challenge = text("greeting").map(|greeting| {
        let owner = format!("_hello.{domain}");
        KIND.txt(&domain, &owner, greeting, Counts::Published)
    });
    let challenge = challenge.transpose().map_err(|why| why.to_string())?;
    let proof = moment("proven").map(|at| Proof {
        validated_at: Some(at),
        expires_at: moment("until"),
        method: Some("hello".to_owned()),
        first_seen: None,
        ends: Default::default(),
    });
    let ends = proof.as_ref().map(|proof| proof.expires_at);
    let status = match ends {
        Some(end) if end.is_none_or(|end| end > now) => Status::Valid,
        Some(_) => Status::Expired,
        None if challenge.is_some() => Status::Pending,
        None => Status::NotValidated,
    };
    Ok(Registration {
        proof: proof.map(Box::new),
        challenge: challenge.map(Box::new),
        ..Registration::bare(domain.as_str(), domain.clone(), status)
    })
}

#[async_trait]
impl Validation for Hello {
    fn kind(&self) -> &'static validation::Kind {
        &KIND
    }

    async fn find_client(&self, selector: &ClientSelector) -> Result<Client, CaError> {
        let subject = format!("`{}`", clean(&selector.to_string()));
        let call = Call::new(Kind::Read, "find", subject, &["client"]).by_get();
        let (row, _) = self.call(&call).await?;
        let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
        let client = Client {
            reference: text("key").to_owned(),
            name: text("name").to_owned(),
        };
        let found = match selector {
            ClientSelector::Reference(key) if *key == client.reference => Some(client),
            ClientSelector::Reference(_) => None,
            ClientSelector::Name(name) => match selector::choose(name, vec![client]) {
                Found::One(client) => Some(client),
                Found::None { .. } | Found::Several(_) => None,
            },
        };
        found.ok_or_else(|| {
            self.http
                .error(Failure::NotFound, &call, "it greets another")
        })
    }

    async fn list(&self, client: &str) -> Result<Listing, CaError> {
        let call = Call::new(Kind::List, "list", clean(client), &["domain"]).by_get();
        let (rows, read_at) = self.call(&call).await?;
        let rows = rows.as_array().into_iter().flatten();
        let (found, unreadable): (Vec<_>, Vec<_>) = rows
            .map(|row| registration(row, read_at))
            .partition(Result::is_ok);
        Ok(Listing {
            registrations: found.into_iter().filter_map(Result::ok).collect(),
            unreadable: unreadable.into_iter().filter_map(Result::err).collect(),
            warnings: Vec::new(),
            clock_skew: None,
            read_at,
        })
    }

    async fn register(
        &self,
        _: &str,
        names: &[DomainName],
    ) -> Vec<(DomainName, Result<Registration, CaError>)> {
        let mut answers = Vec::new();
        for name in names {
            let path = ["domain", name.as_str()];
            let answer = self.about(Kind::Effect, "register", Verb::PUT, &path).await;
            answers.push((name.clone(), answer));
        }
        answers
    }

    async fn get(&self, reference: &str) -> Result<Registration, CaError> {
        let path = ["domain", reference];
        self.about(Kind::Read, "read", Verb::GET, &path).await
    }

    async fn start(&self, reference: &str) -> Result<Started, CaError> {
        let path = ["domain", reference, "greeting"];
        let registration = self.about(Kind::Effect, "start", Verb::POST, &path).await?;
        Ok(Started {
            registration,
            next_read_at: None,
        })
    }

    async fn submit(&self, reference: &str) -> Result<Submission, CaError> {
        let path = ["domain", reference, "look"];
        let registration = self
            .about(Kind::SlowEffect, "submit", Verb::POST, &path)
            .await?;
        let seen = registration.challenge.is_none() && registration.status == Status::Valid;
        Ok(Submission {
            registration,
            verdict: match seen {
                true => Verdict::Proven,
                false => Verdict::NotSeen,
            },
        })
    }

    async fn delete(&self, reference: &str) -> Result<(), CaError> {
        let path = ["domain", reference];
        self.about(Kind::Effect, "delete", Verb::DELETE, &path)
            .await
            .map(drop)
    }
}

impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello").finish_non_exhaustive()
    }
}
