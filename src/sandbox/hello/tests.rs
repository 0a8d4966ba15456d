//! The toy against the contract of a CA, connected as the registry knows it.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use prevalidate_kit::secret::SecretSource;

use super::kind::{CLIENT, KIND};
use crate::ca::Validation;
use crate::ca::conformance::{self, Stage};
use crate::ca::http::Reach;
use crate::ca::registry::ADAPTERS;
use crate::ca::settings::{Account, Value, Values};
use crate::clock::{Clock, SimulatedClock};
use crate::prevalidation::{Challenge, ChallengeData};
use crate::sandbox::dns::Zone;
use crate::sandbox::{Options, Sandbox};

struct Lab {
    sandbox: Sandbox,
    clock: SimulatedClock,
    ca: Arc<dyn Validation>,
    _folder: tempfile::TempDir,
}

#[async_trait]
impl Stage for Lab {
    fn ca(&self) -> Arc<dyn Validation> {
        Arc::clone(&self.ca)
    }

    fn client(&self) -> (String, String) {
        ("1".to_owned(), CLIENT.to_owned())
    }

    fn add_zone(&self, name: &str) {
        self.sandbox.dns.add_zone(Zone::new(name));
    }

    fn publish(&self, challenge: &Challenge, there: bool) {
        let owner = challenge.owner.as_str();
        let zone = Zone::new(owner.strip_prefix("_hello.").unwrap());
        self.sandbox.dns.add_zone(match &challenge.data {
            ChallengeData::Txt(value) if there => zone.txt(owner, value),
            _ => zone,
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
async fn the_toy_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SimulatedClock::at("2026-11-29T12:00:00Z".parse().unwrap());
    let options = Options {
        kinds: vec![(&KIND, (KIND.switches)())],
        ..Options::new(folder.path(), Arc::new(clock.clone()), Vec::new())
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    let adapter = ADAPTERS.iter().find(|one| one.kind.name == KIND.name);
    let mut values = Values::default();
    let greeting = SecretSource::File(folder.path().join("hello.greeting"));
    values.set("greeting", Value::Secret(greeting));
    let adapter = adapter.unwrap();
    let record = adapter.record(&values);
    assert!(record.below, "it has one method, and a label");
    assert_eq!(record.label.as_deref(), Some("_hello"));
    let account = Account {
        reach: Reach {
            rate: 1000.0,
            ..Reach::new("hello", sandbox.urls()[0].1.parse().unwrap())
        },
        values: &values,
        clients: Vec::new(),
    };
    let ca = (adapter.connect)(account, Arc::new(clock.clone())).unwrap();
    let lab = Lab {
        sandbox,
        clock,
        ca,
        _folder: folder,
    };
    conformance::all(&lab).await;
}
