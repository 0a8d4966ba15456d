//! SwissSign's adapter against the contract of every kind of CA, with the sandbox and its name
//! servers.

mod issuing;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use prevalidate::ca::Validation;
use prevalidate::ca::conformance::{self, Stage};
use prevalidate::ca::http::SecretReader;
use prevalidate::ca::swisssign::{Settings, SwissSign};
use prevalidate::clock::{Clock, SimulatedClock};
use prevalidate::prevalidation::{Challenge, ChallengeData};
use prevalidate::sandbox::ca::Behaviour;
use prevalidate::sandbox::dns::Zone;
use prevalidate::sandbox::{CLIENT, Options, Sandbox, USER};
use secrecy::SecretString;

struct Lab {
    sandbox: Sandbox,
    ca: Arc<dyn Validation>,
    clock: SimulatedClock,
    _directory: tempfile::TempDir,
}

#[async_trait]
impl Stage for Lab {
    fn ca(&self) -> Arc<dyn Validation> {
        Arc::clone(&self.ca)
    }

    fn client(&self) -> (String, String) {
        let (reference, _) = self.sandbox.ca.clients().remove(0);
        (reference, CLIENT.to_owned())
    }

    fn add_zone(&self, name: &str) {
        self.sandbox.dns.add_zone(Zone::new(name));
    }

    fn publish(&self, challenge: &Challenge, there: bool) {
        let ChallengeData::Txt(value) = &challenge.data else {
            panic!("{challenge}");
        };
        let owner = challenge.owner.as_str();
        self.sandbox.dns.add_zone(if there {
            Zone::new(owner).txt(owner, value)
        } else {
            Zone::new(owner)
        });
    }

    fn advance(&self, span: SignedDuration) {
        self.clock.advance(span);
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Lab {
    async fn start(change: impl FnOnce(&mut Behaviour)) -> Self {
        Self::start_with(change, |_| {}).await
    }

    async fn start_with(
        change: impl FnOnce(&mut Behaviour),
        set: impl FnOnce(&mut Settings),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = SimulatedClock::at("2026-11-21T12:00:00Z".parse().unwrap());
        let options = Options::new(directory.path(), Arc::new(clock.clone()), Vec::new());
        let sandbox = Sandbox::start(options).await.unwrap();
        sandbox.ca.change(change);
        let api_key = std::fs::read_to_string(directory.path().join("api.key")).unwrap();
        let source: SecretReader = Arc::new(move || Ok(SecretString::from(api_key.trim())));
        let mut settings = Settings {
            rate: 1000.0,
            ..Settings::new(
                "sandbox",
                sandbox.ca.url().parse().unwrap(),
                USER,
                vec![source],
            )
        };
        set(&mut settings);
        Self {
            ca: Arc::new(SwissSign::new(settings, Arc::new(clock.clone())).unwrap()),
            sandbox,
            clock,
            _directory: directory,
        }
    }
}

#[tokio::test]
async fn the_adapter_keeps_the_contract() {
    conformance::all(&Lab::start(|_| {}).await).await;
}
