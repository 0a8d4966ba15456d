//! InterNetX' SSL Manager, by the Domainrobot JSON API: it sells certificates of several CAs, and
//! each order is validated by a record of its own.
//!
//! The parts, from the wire up: `envelope` says what an answer means, `wire` reads jobs,
//! certificates and the DNS line of a validation, `contacts` finds or makes the contact, `jobs`
//! follows an order, `find` searches for one whose answer was lost. An order is a job: while it
//! runs it is below `/job`, afterwards below `/job/history`.
//!
//! Nothing is validated in advance here, so the port for that refuses every call.

mod contacts;
mod envelope;
mod find;
mod issuing;
mod jobs;
mod request;
pub mod table;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prevalidate_kit::pace::Address;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use secrecy::SecretString;

use self::envelope::Envelope;
use super::http::{self, Call, Http, Reach, SecretReader};
use super::validation;
use super::{
    CaError, Client, ClientSelector, Failure, Issuing, Listing, Started, Submission, Validation,
};
use crate::clock::Clock;
use crate::prevalidation::{DomainName, Registration, ReuseTable};

/// What is fixed for InterNetX: no domain is validated in advance. The names are those of the CAs
/// whose certificates it sells.
pub static KIND: validation::Kind = validation::Kind {
    name: "internetx",
    register_batch: 1,
    start_keeps_proof: None,
    checks_by_itself: false,
    methods: &[],
    labels: &[],
    caa_names: &["digicert.com", "sectigo.com", "globalsign.com"],
    reuse: ReuseTable::default,
};

/// 3 calls in a second and from an address are allowed ("JSON API Basics", Limits). The least time
/// between two calls. It allows for a late call that is followed by an early one.
pub const APART: Duration = Duration::from_millis(400);

/// One user in one context.
#[derive(Clone)]
pub struct Settings {
    /// The address and the settings of the connection; the base is `https://api.autodns.com/v1`.
    pub reach: Reach,
    /// The user of the SSL Manager.
    pub user: String,
    /// Its password.
    pub password: SecretReader,
    /// 9 is the SSL Manager's.
    pub context: u32,
    /// Whether messages about our orders are taken out of the user's queue.
    pub confirms_messages: bool,
    /// The least distance between two calls, [`APART`] for the real one.
    pub apart: Duration,
}

/// One user at InterNetX.
pub struct InterNetX {
    http: Http,
    user: String,
    password: SecretReader,
    context: u32,
    confirms_messages: bool,
    /// Contacts are made one after the other: two orders may name the same one.
    contacts: tokio::sync::Mutex<()>,
    /// Keeps the pace of the address, which other accounts in this process call too.
    _address: Arc<Address>,
}

impl InterNetX {
    /// Checks the settings; sends nothing and reads no secret.
    ///
    /// # Errors
    /// [`Failure::Settings`], and what is wrong.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, CaError> {
        let mut reach = settings.reach;
        let host = reach.base.host_str().unwrap_or_default();
        let port = reach.base.port_or_known_default().unwrap_or(443);
        let name = format!("{host}:{port}");
        let apart = settings
            .apart
            .max(Duration::from_secs_f64(1.0 / reach.rate.max(0.001)));
        // Other accounts in this process call the address too, and other processes.
        let address = Address::keep(&name, apart, reach.permit.take());
        let kept = Arc::clone(&address);
        reach.permit = Some(Arc::new(move || {
            let address = Arc::clone(&kept);
            Box::pin(async move { address.turn().await })
        }));
        // The pace of the address is the slower one, and knows no burst.
        reach.rate = 1000.0;
        Ok(Self {
            http: Http::new(&reach, clock)?,
            user: settings.user,
            password: settings.password,
            context: settings.context,
            confirms_messages: settings.confirms_messages,
            contacts: tokio::sync::Mutex::default(),
            _address: address,
        })
    }

    /// The headers of every call. The password is read where it is kept.
    async fn headers(&self) -> Result<HeaderMap, CaError> {
        let settings = |why: String| {
            CaError::new(
                Failure::Settings,
                format!("{}: password: {why}", self.http.ca),
            )
        };
        let reader = Arc::clone(&self.password);
        let password = tokio::task::spawn_blocking(move || reader())
            .await
            .map_err(|error| settings(error.to_string()))?
            .map_err(settings)?;
        self.http.redactor.learn(&password);
        let pair = format!("{}:{}", self.user, password.expose_secret());
        let pair = SecretString::from(STANDARD.encode(pair.as_bytes()));
        self.http.redactor.learn(&pair);
        let basic = http::sensitive(&format!("Basic {}", pair.expose_secret()));
        let basic = basic.ok_or_else(|| settings("it cannot be in a header".to_owned()))?;
        Ok(HeaderMap::from_iter([
            (AUTHORIZATION, basic),
            (
                HeaderName::from_static("x-domainrobot-context"),
                HeaderValue::from(self.context),
            ),
        ]))
    }

    /// Makes a call, and hands on what a success says.
    async fn call(&self, call: &Call<'_>) -> Result<Envelope, CaError> {
        self.call_tagged(call, None).await
    }

    /// The same with a transaction id of ours, which comes back with the order's messages.
    async fn call_tagged(&self, call: &Call<'_>, tag: Option<&str>) -> Result<Envelope, CaError> {
        let mut headers = self.headers().await?;
        if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(tag).ok()) {
            headers.insert(HeaderName::from_static("x-domainrobot-ctid"), tag);
        }
        let answer = self.http.exchange(call, &headers, None).await?;
        envelope::read(&self.http, call, &answer)
    }

    fn refused<T>(&self, what: &str) -> Result<T, CaError> {
        let what = format!(
            "{}: could not {what}: nothing is validated in advance at InterNetX",
            self.http.ca
        );
        Err(CaError::new(Failure::Refused, what)
            .with_hint("An order brings its own record; remove the [[client]] of this CA."))
    }
}

#[async_trait]
impl Validation for InterNetX {
    fn kind(&self) -> &'static validation::Kind {
        &KIND
    }

    async fn find_client(&self, selector: &ClientSelector) -> Result<Client, CaError> {
        self.refused(&format!("find the client `{selector}`"))
    }

    async fn list(&self, _: &str) -> Result<Listing, CaError> {
        self.refused("list domains")
    }

    async fn register(
        &self,
        _: &str,
        names: &[DomainName],
    ) -> Vec<(DomainName, Result<Registration, CaError>)> {
        let refused = |name: &DomainName| (name.clone(), self.refused(&format!("register {name}")));
        names.iter().map(refused).collect()
    }

    async fn get(&self, reference: &str) -> Result<Registration, CaError> {
        self.refused(&format!("read {reference}"))
    }

    async fn start(&self, reference: &str) -> Result<Started, CaError> {
        self.refused(&format!("validate {reference}"))
    }

    async fn submit(&self, reference: &str) -> Result<Submission, CaError> {
        self.refused(&format!("validate {reference}"))
    }

    async fn delete(&self, reference: &str) -> Result<(), CaError> {
        self.refused(&format!("delete {reference}"))
    }

    fn issuing(self: Arc<Self>) -> Option<Arc<dyn Issuing>> {
        Some(self)
    }
}

impl fmt::Debug for InterNetX {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterNetX")
            .field("name", &self.http.ca)
            .field("host", &self.http.host())
            .field("user", &self.user)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}
