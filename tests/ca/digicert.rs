//! The adapter against the sandbox: every switch of it.

mod access;
mod duplicates;
mod issuing;
mod lists;
mod names;
mod orders;
mod proofs;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use prevalidate::ca::conformance::{self, Stage};
use prevalidate::ca::digicert::{DigiCert, Label, Organisation, Settings};
use prevalidate::ca::http::{Reach, SecretReader};
use prevalidate::ca::validation::Method;
use prevalidate::ca::{CaError, ClientSelector, Failure, Validation, Verdict};
use prevalidate::clock::{Clock, SimulatedClock};
use prevalidate::prevalidation::{Challenge, ChallengeData, DomainName, Registration};
use prevalidate::sandbox::clock::ShiftedClock;
use prevalidate::sandbox::digicert::{
    Behaviour, CertCentral, CertCentralOptions, Dates, Fault, What,
};
use prevalidate::sandbox::dns::{Dns, Follow, Zone};
use secrecy::SecretString;

const NOW: &str = "2026-11-29T12:00:00Z";
const KEY: &str = "AKQ6TDJQCIMMDQKWZBWIFJWZ7CZBMZNM3JQ5HEZ6OYDQXQ";
const ORGANISATION: u64 = 117_483;
const TITLE: &str = "Example Bank AG";
const OTHER: u64 = 117_484;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A sandbox with name servers, and the settings of an account.
struct Lab {
    cc: CertCentral,
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

fn client() -> String {
    ORGANISATION.to_string()
}

impl Lab {
    async fn start(change: impl FnOnce(&mut Behaviour)) -> Self {
        Self::with(Method::Txt, Label::DnsAuth, change).await
    }

    async fn with(method: Method, label: Label, change: impl FnOnce(&mut Behaviour)) -> Self {
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
        let organisation =
            |id, title: &str, division: &str| (id, title.to_owned(), division.to_owned());
        let cc = CertCentral::start(CertCentralOptions {
            clock: shifted,
            listen: loopback,
            api_key: SecretString::from(KEY),
            organisations: vec![organisation(ORGANISATION, TITLE, "Zurich")],
            behaviour,
            seed: 7,
            name_servers: Arc::new(move |name| zones.servers_for(name)),
        });
        let cc = cc.await.unwrap();
        let settings = Settings {
            reach: Reach {
                rate: 1000.0,
                ..Reach::new("digicert", cc.url().parse().unwrap())
            },
            api_key: secret(KEY),
            method,
            label,
            skip_approval: true,
            organisations: vec![(
                ClientSelector::Reference(client()),
                Organisation {
                    creates: true,
                    validations: vec!["ov".to_owned()],
                },
            )],
        };
        Self {
            ca: Arc::new(DigiCert::new(settings.clone(), Arc::new(clock.clone())).unwrap()),
            cc,
            dns,
            clock,
            settings,
        }
    }

    /// An adapter with other settings.
    fn other(&self, change: impl FnOnce(&mut Settings)) -> DigiCert {
        let mut settings = self.settings.clone();
        change(&mut settings);
        DigiCert::new(settings, Arc::new(self.clock.clone())).unwrap()
    }

    /// A domain of the organisation, with a zone. Its id.
    fn domain(&self, text: &str) -> String {
        self.dns.add_zone(Zone::new(text));
        self.cc.add_domain(text, ORGANISATION)
    }

    /// The same, validated this long ago.
    fn proven(&self, text: &str, age: SignedDuration) -> String {
        let id = self.domain(text);
        self.cc.prove(text, age);
        id
    }

    async fn started(&self, id: &str) -> Challenge {
        let started = self.ca.start(id).await.unwrap();
        *started.registration.challenge.unwrap()
    }

    async fn added(&self, text: &str) -> Result<Registration, CaError> {
        let mut answers = self.ca.register(&client(), &[name(text)]).await;
        assert_eq!(answers.len(), 1);
        answers.remove(0).1
    }

    /// How many calls changed something.
    fn effects(&self) -> usize {
        let log = self.cc.log();
        log.iter().filter(|request| request.method != "GET").count()
    }
}

#[async_trait]
impl Stage for Lab {
    fn ca(&self) -> Arc<dyn Validation> {
        Arc::clone(&self.ca)
    }

    fn client(&self) -> (String, String) {
        (client(), TITLE.to_owned())
    }

    fn add_zone(&self, name: &str) {
        self.dns.add_zone(Zone::new(name));
    }

    fn publish(&self, challenge: &Challenge, there: bool) {
        let owner = challenge.owner.as_str();
        let zone = Zone::new(owner.strip_prefix("_dnsauth.").unwrap_or(owner));
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
async fn the_adapter_keeps_the_contract_by_txt_by_cname_and_at_the_apex() {
    for (method, label) in [
        (Method::Txt, Label::DnsAuth),
        (Method::Txt, Label::Apex),
        (Method::Cname, Label::DnsAuth),
    ] {
        let lab = Lab::with(method, label, |_| {}).await;
        conformance::all(&lab).await;
        assert_eq!(lab.cc.mails(), 0, "a method is always sent");
        assert_eq!(
            lab.cc.count("POST", "/dcv/token"),
            0,
            "a value is never reset"
        );
    }
}

#[tokio::test]
async fn the_contract_holds_in_the_other_shapes() {
    for dates in [Dates::Civil, Dates::Instants] {
        let lab = Lab::start(|behaviour| {
            behaviour.dates = dates;
            behaviour.odd_booleans = true;
            behaviour.error_objects = true;
            behaviour.no_pending_flag = dates == Dates::Civil;
            behaviour.submitted = prevalidate::sandbox::digicert::Submitted::Nothing;
            behaviour.existing = prevalidate::sandbox::digicert::Existing::Returned;
            behaviour.check_says = None;
            behaviour.largest_page = 2;
            behaviour.polls = false;
        })
        .await;
        conformance::all(&lab).await;
        assert_eq!(lab.cc.mails(), 0);
    }
}
