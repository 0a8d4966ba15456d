//! DigiCert CertCentral (Services API, version 2): one account, its organisations, their domains.
//!
//! The parts, from the wire up: `login` shows the key, `error` puts codes into words, `wire` reads
//! rows and details, `listing` goes through the pages, `domains` finds, creates, submits and
//! deletes domains, `organisations` finds the client, `issuing` orders certificates.
//!
//! The state of a domain has two dimensions: a proof that counts until a day, and a validation that
//! may be pending beside it. "Pending" never says that the proof is gone. A renewal is a new
//! submission of the same domain; DigiCert keeps the old proof until it ends (DigiCert, "Domain
//! prevalidation"). `POST …/dcv/token` ends the value that is in DNS, so it is never called here.

mod domains;
mod entry;
mod error;
mod issuing;
mod listing;
mod login;
mod organisations;
mod record;
mod settings;
pub mod table;
mod wire;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use self::error::refusal;
use self::login::Login;
pub use self::record::Label;
pub use self::settings::{Organisation, Settings, URL, URL_EU};
use self::wire::Detail;
use super::http::answer::Answer;
use super::http::redact::clean;
use super::http::{Call, Http, Kind};
use super::selector::PerClient;
use super::validation::{self, Method};
use super::{
    CaError, Client, ClientSelector, Failure, Issuing, Listing, Started, Submission, Validation,
    Verdict,
};
use crate::clock::Clock;
use crate::prevalidation::{DomainName, Registration, ReuseRow, ReuseTable, Status};

/// What is fixed for DigiCert. That a renewal keeps the proof is documented; CAA names by DigiCert's
/// CPS, section 4.2.1.
pub static KIND: validation::Kind = validation::Kind {
    name: "digicert",
    register_batch: 20,
    start_keeps_proof: Some(true),
    checks_by_itself: true,
    methods: &[Method::Txt, Method::Cname],
    labels: &[(Method::Txt, "_dnsauth"), (Method::Cname, "_dnsauth")],
    caa_names: &[
        "digicert.com",
        "www.digicert.com",
        "digicert.ne.jp",
        "cybertrust.ne.jp",
        "symantec.com",
        "thawte.com",
        "geotrust.com",
        "rapidssl.com",
        "digitalcertvalidation.com",
    ],
    reuse,
};

/// 199 days from 2026-02-24 on: DigiCert's change log. The later drops are assumed to be a day under
/// the rules as well.
fn reuse() -> ReuseTable {
    let mut rows = ReuseTable::baseline().rows().to_vec();
    let assumed = "assumed: a day under the BR, as in 2026";
    for (year, month, day, days, source) in [
        (2026, 2, 24, 199, "DigiCert's change log, February 2026"),
        (2027, 3, 15, 99, assumed),
        (2029, 3, 15, 9, assumed),
    ] {
        let start = date(year, month, day).to_zoned(TimeZone::UTC);
        rows.push(ReuseRow {
            start: start.map_or(Timestamp::MIN, |zoned| zoned.timestamp()),
            limit: SignedDuration::from_hours(24 * days),
            source: source.to_owned(),
        });
    }
    ReuseTable::new(rows)
}

/// One account at DigiCert CertCentral.
pub struct DigiCert {
    http: Http,
    login: Login,
    settings: Settings,
    /// The configuration of an organisation.
    organisations: PerClient<Organisation>,
}

impl DigiCert {
    /// Checks the settings; sends nothing and reads no secret.
    ///
    /// # Errors
    /// [`Failure::Settings`], and what is wrong.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, CaError> {
        settings.check()?;
        Ok(Self {
            http: Http::new(&settings.reach, clock)?,
            login: Login::new(settings.api_key.clone()),
            organisations: PerClient::new(settings.organisations.clone()),
            settings,
        })
    }

    /// Makes a call, and hands on only a success.
    async fn call(&self, call: &Call<'_>) -> Result<Answer, CaError> {
        let mut shown = self.login.show(&self.http).await?;
        let mut renewed = false;
        loop {
            let answer = self.http.exchange(call, &shown.headers, None).await?;
            if answer.status.is_success() {
                return Ok(answer);
            }
            let error = refusal(&self.http, call, &answer);
            if error.failure != Failure::Unauthenticated {
                return Err(error);
            }
            match self
                .login
                .refused(&shown, &error, &self.http, !renewed)
                .await
            {
                Some(other) => shown = other,
                None => return Err(error),
            }
            renewed = true;
        }
    }

    fn json(&self, call: &Call<'_>, answer: &Answer) -> Result<super::json::Read, CaError> {
        if !answer.is_json() {
            return Err(self.http.no_json(call, answer));
        }
        super::json::read(answer.body.as_bytes()).map_err(|_| self.http.no_json(call, answer))
    }

    /// A reference is in paths.
    fn check(&self, reference: &str, call: &Call<'_>) -> Result<(), CaError> {
        if entry::is_id(reference) {
            return Ok(());
        }
        let why = "the id of a domain is a number";
        Err(self.http.error(Failure::Refused, call, why))
    }

    /// One domain, with everything that DigiCert shows of it.
    async fn detail(&self, reference: &str) -> Result<Detail, CaError> {
        let path = ["domain", reference];
        let subject = format!("domain {}", clean(reference));
        let mut call = Call::new(Kind::Read, "read", subject, &path).by_get();
        self.check(reference, &call)?;
        call.query = ["include_dcv", "include_validation"]
            .into_iter()
            .chain(["include_validation_reuse_status"])
            .map(|flag| (flag, "true".to_owned()))
            .collect();
        let answer = self.call(&call).await?;
        let read = self.json(&call, &answer)?;
        let malformed = |why: &str| self.http.error(Failure::Malformed, &call, why);
        let detail =
            wire::detail(&read, &self.settings.form(), answer.at).map_err(|why| malformed(&why))?;
        if detail.registration.reference != reference {
            let (other, name) = (&detail.registration.reference, &detail.registration.domain);
            let why = format!("the answer is about another domain, {other} ({name})");
            return Err(malformed(&why));
        }
        Ok(detail)
    }
}

#[async_trait]
impl Validation for DigiCert {
    fn kind(&self) -> &'static validation::Kind {
        &KIND
    }

    async fn find_client(&self, selector: &ClientSelector) -> Result<Client, CaError> {
        self.organisation(selector).await
    }

    async fn list(&self, client: &str) -> Result<Listing, CaError> {
        self.pages(client).await
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
        Ok(self.detail(reference).await?.registration)
    }

    async fn start(&self, reference: &str) -> Result<Started, CaError> {
        Ok(Started {
            registration: self.submit_anew(reference).await?,
            next_read_at: None,
        })
    }

    async fn submit(&self, reference: &str) -> Result<Submission, CaError> {
        let path = ["domain", reference, "dcv", "validate-token"];
        let subject = format!("domain {}", clean(reference));
        let mut call = Call::new(Kind::SlowEffect, "have DigiCert check", subject, &path);
        call.method = reqwest::Method::PUT;
        self.check(reference, &call)?;
        let said = match self.call(&call).await {
            Ok(answer) => Ok(self.says_active(&call, &answer)?),
            // The reason that DigiCert gives is for people: the domain says what counts.
            Err(error) if error.failure == Failure::Refused => Err(error),
            Err(error) => return Err(error),
        };
        let found = self.detail(reference).await.map_err(after_the_call)?;
        Ok(judged(found, said))
    }

    async fn delete(&self, reference: &str) -> Result<(), CaError> {
        self.remove(reference).await
    }

    fn issuing(self: Arc<Self>) -> Option<Arc<dyn Issuing>> {
        Some(self)
    }
}

impl DigiCert {
    /// Whether a check that was answered with 200 found the record. An older API answers without a
    /// `status`, or with nothing at all.
    fn says_active(&self, call: &Call<'_>, answer: &Answer) -> Result<bool, CaError> {
        if answer.is_page() {
            return Err(self.http.no_json(call, answer));
        }
        let read = super::json::read(answer.body.as_bytes()).ok();
        let status = read.as_ref().and_then(|read| read.value.get("status"));
        Ok(status.is_none_or(|status| status.as_str().is_some_and(|word| word == "active")))
    }
}

/// What a check has come to: by what DigiCert answered, and by what it says of the domain.
fn judged(found: Detail, said: Result<bool, CaError>) -> Submission {
    let mut registration = found.registration;
    let valid = registration.status == Status::Valid;
    let verdict = match &said {
        Ok(true) if valid => Verdict::Proven,
        // DigiCert also checks by itself. Then this call comes too late, and nothing is pending.
        _ if valid && !found.is_pending => Verdict::Proven,
        _ => Verdict::NotSeen,
    };
    match said {
        Err(error) if verdict == Verdict::NotSeen => registration.last_words = Some(error.message),
        Ok(false) if verdict == Verdict::NotSeen => {
            registration.last_words = Some("DigiCert answered that the value is not active".into());
        }
        _ => {}
    }
    Submission {
        registration,
        verdict,
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

impl fmt::Debug for DigiCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigiCert")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
