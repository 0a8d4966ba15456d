//! The adapter against the sandbox: every switch of it, and both logins.

mod issuing;
mod lists;
mod logins;
mod orders;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use prevalidate::ca::conformance::{self, Stage};
use prevalidate::ca::http::{Reach, SecretReader};
use prevalidate::ca::sectigo::{Creation, Login, Sectigo, Settings};
use prevalidate::ca::validation::Method;
use prevalidate::ca::{CaError, ClientSelector, Validation};
use prevalidate::clock::{Clock, SimulatedClock};
use prevalidate::prevalidation::{Challenge, ChallengeData, DomainName};
use prevalidate::sandbox::clock::ShiftedClock;
use prevalidate::sandbox::dns::{Dns, Follow, Zone};
use prevalidate::sandbox::sectigo::{Behaviour, Scm, ScmOptions};
use secrecy::SecretString;

const NOW: &str = "2026-11-29T12:00:00Z";
const USER: &str = "prevalidate";
const PASSWORD: &str = "correct horse battery";
const CUSTOMER: &str = "example";
const ORGANISATION: u64 = 12345;
const TITLE: &str = "Example Org";

/// A sandbox with name servers, and the settings of an account.
struct Lab {
    scm: Scm,
    dns: Arc<Dns>,
    clock: SimulatedClock,
    settings: Settings,
    ca: Arc<dyn Validation>,
}

fn secret(text: &'static str) -> SecretReader {
    Arc::new(move || Ok(SecretString::from(text)))
}

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap().name
}

impl Lab {
    async fn start(method: Method, change: impl FnOnce(&mut Behaviour)) -> Self {
        let clock = SimulatedClock::at(NOW.parse().unwrap());
        let shifted = ShiftedClock::over(Arc::new(clock.clone()));
        let loopback = "127.0.0.1:0".parse().unwrap();
        let dns = Dns::start(
            Arc::clone(&shifted) as Arc<dyn Clock>,
            loopback,
            &[Follow::Now],
        );
        let dns = Arc::new(dns.await.unwrap());
        let zones = Arc::clone(&dns);
        let mut behaviour = Behaviour::default();
        change(&mut behaviour);
        let scm = Scm::start(ScmOptions {
            clock: shifted,
            listen: loopback,
            user: USER.to_owned(),
            password: SecretString::from(PASSWORD),
            customer_uri: CUSTOMER.to_owned(),
            organisations: vec![(ORGANISATION, TITLE.to_owned())],
            behaviour,
            seed: 7,
            name_servers: Arc::new(move |name| zones.servers_for(name)),
        });
        let scm = scm.await.unwrap();
        let settings = Settings {
            reach: Reach {
                rate: 1000.0,
                ..Reach::new("sectigo", scm.url().parse().unwrap())
            },
            login: Login::Password {
                user: USER.to_owned(),
                password: secret(PASSWORD),
                customer_uri: CUSTOMER.to_owned(),
            },
            method,
            creation: vec![(
                ClientSelector::Reference(ORGANISATION.to_string()),
                Creation {
                    cert_types: vec!["SSL".to_owned()],
                    privileges: Vec::new(),
                },
            )],
        };
        Self {
            ca: Arc::new(Sectigo::new(settings.clone(), Arc::new(clock.clone())).unwrap()),
            scm,
            dns,
            clock,
            settings,
        }
    }

    /// An adapter with other settings.
    fn other(&self, change: impl FnOnce(&mut Settings)) -> Sectigo {
        let mut settings = self.settings.clone();
        change(&mut settings);
        Sectigo::new(settings, Arc::new(self.clock.clone())).unwrap()
    }

    fn by_oauth(&self, client_secret: &'static str) -> Sectigo {
        self.other(|settings| {
            settings.login = Login::OAuth {
                client_id: USER.to_owned(),
                client_secret: secret(client_secret),
                token_url: self.scm.token_url().parse().unwrap(),
            };
        })
    }

    /// A domain of the organisation, with a zone.
    fn domain(&self, text: &str) {
        self.scm.add_domain(text, ORGANISATION);
        self.dns.add_zone(Zone::new(text));
    }

    async fn started(&self, text: &str) -> Challenge {
        let started = self.ca.start(text).await.unwrap();
        *started.registration.challenge.unwrap()
    }
}

#[async_trait]
impl Stage for Lab {
    fn ca(&self) -> Arc<dyn Validation> {
        Arc::clone(&self.ca)
    }

    fn client(&self) -> (String, String) {
        (ORGANISATION.to_string(), TITLE.to_owned())
    }

    fn add_zone(&self, name: &str) {
        self.dns.add_zone(Zone::new(name));
    }

    fn publish(&self, challenge: &Challenge, there: bool) {
        let owner = challenge.owner.as_str();
        let (_, apex) = owner.split_once('.').unwrap();
        let zone = Zone::new(apex);
        self.dns.add_zone(match &challenge.data {
            _ if !there => zone,
            ChallengeData::Txt(value) => zone.txt(owner, value),
            ChallengeData::Cname(target) => zone.cname(owner, target.as_str()),
        });
    }

    fn advance(&self, span: SignedDuration) {
        self.clock.advance(span);
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

#[tokio::test]
async fn the_adapter_keeps_the_contract_by_cname_and_by_txt() {
    for method in [Method::Cname, Method::Txt] {
        conformance::all(&Lab::start(method, |_| {}).await).await;
    }
}

#[tokio::test]
async fn the_contract_holds_with_the_other_spellings_and_by_oauth() {
    use prevalidate::sandbox::sectigo::{Dates, Spelling};
    for dates in [Dates::Us, Dates::Instants] {
        let mut lab = Lab::start(Method::Cname, |behaviour| {
            behaviour.dates = dates;
            behaviour.spelling = Spelling::Display;
            behaviour.leaves_submitted = true;
            behaviour.bare_rows = dates == Dates::Us;
            behaviour.wildcard_rows = true;
        })
        .await;
        lab.ca = Arc::new(lab.by_oauth(PASSWORD));
        conformance::all(&lab).await;
    }
}
