//! AutoDNS against a strict fake of its JSON API: the contract, what it costs in calls, and
//! everything that goes wrong.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use prevalidate_providers::conformance::{self, APEX_TTL, SPF, Subject, foreign_records};
use prevalidate_providers::registry::ProviderSettings;
use prevalidate_providers::{
    ErrorKind, Provider, ProviderError, Receipt, Record, RecordKind, TxtRecord,
};
use serde_json::{Value, json};

use tokio::process::Command;

use support::autodns::{FakeAutodns, Names};
use support::web::{Fault, quoted};

const APEX: &str = "example.test";
const PASSWORD: &str = "c4n4ry passw0rd: ü";

/// A secret as the settings name it.
fn secret(text: &str) -> Value {
    json!({ "command": ["printf", "%b", text] })
}

fn table(fake: &FakeAutodns, more: Value) -> Value {
    let mut table = json!({ "kind": "autodns", "url": fake.url(), "rate": "1000/s", "user": "me", "password": secret(PASSWORD) });
    table
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    table
}

fn settings(fake: &FakeAutodns, more: Value) -> Result<Arc<dyn Provider>, ProviderError> {
    ProviderSettings::read(table(fake, more).as_object().unwrap())
        .unwrap()
        .build()
}

fn provider(fake: &FakeAutodns) -> Arc<dyn Provider> {
    settings(fake, json!({})).unwrap()
}

async fn prepared() -> FakeAutodns {
    let fake = FakeAutodns::start().await;
    fake.user("me", PASSWORD, 4);
    fake.zone(APEX);
    for (index, record) in foreign_records().iter().enumerate() {
        let value = if index == 0 {
            SPF.to_owned()
        } else {
            quoted(record)
        };
        fake.put(APEX, "", "TXT", APEX_TTL.into(), &value);
    }
    for (name, kind, value) in [
        ("alias", "CNAME", "www.example.test."),
        ("www", "A", "192.0.2.9"),
        ("cut", "NS", "ns.cut.example.test."),
        ("ns.cut", "A", "192.0.2.8"),
        ("*.wild", "A", "192.0.2.1"),
        ("there.wild", "A", "192.0.2.2"),
        ("below.empty.wild", "A", "192.0.2.3"),
        ("mine", "TXT", "foreign"),
    ] {
        fake.put(APEX, name, kind, 0, value);
    }
    fake
}

fn value(owner: &str, value: &str) -> Record {
    Record::txt(owner, value)
}

async fn add(provider: &dyn Provider, owner: &str, text: &str) -> Result<Receipt, ProviderError> {
    provider
        .ensure_present(&[value(owner, text)])
        .await
        .remove(0)
}

async fn remove(
    provider: &dyn Provider,
    owner: &str,
    text: &str,
) -> Result<Receipt, ProviderError> {
    provider
        .ensure_absent(&[value(owner, text)])
        .await
        .remove(0)
}

/// The text that a person reads.
fn shown(error: &ProviderError) -> String {
    format!(
        "{:?}: {error} | {}",
        error.kind,
        error.hint.clone().unwrap_or_default()
    )
}

/// Changes among all calls since the last time.
fn streams(fake: &FakeAutodns) -> usize {
    fake.web
        .take_calls()
        .iter()
        .filter(|call| call.ends_with("_stream"))
        .count()
}

struct Real {
    fake: FakeAutodns,
    names: &'static str,
}

#[async_trait]
impl Subject for Real {
    fn name(&self) -> String {
        format!("AutoDNS with {} names", self.names)
    }
    fn apex(&self) -> String {
        APEX.into()
    }
    fn provider(&self) -> Arc<dyn Provider> {
        settings(&self.fake, json!({ "record_names": self.names })).unwrap()
    }
    fn stranger(&self) -> Option<Arc<dyn Provider>> {
        Some(settings(&self.fake, json!({ "password": secret("wrong") })).unwrap())
    }
    async fn zone(&self) -> Vec<String> {
        self.fake.dump(APEX)
    }
    async fn serial(&self) -> u32 {
        self.fake.serial()
    }
    async fn another_puts(&self, owner: &str, ttl: u32, record: &TxtRecord) {
        assert_eq!(owner, APEX);
        self.fake.put(APEX, "", "TXT", ttl.into(), &quoted(record));
        self.fake.set_ttl(APEX, "", ttl.into());
    }
    async fn another_takes(&self, owner: &str, record: &TxtRecord) {
        assert_eq!(owner, APEX);
        self.fake.take(APEX, "", &quoted(record));
    }
    fn writes_cname(&self) -> bool {
        true
    }
    async fn another_aliases(&self, owner: &str, target: Option<&str>) {
        let name = owner.strip_suffix(&format!(".{APEX}")).unwrap();
        match target {
            Some(target) => self
                .fake
                .put(APEX, name, "CNAME", 300, &format!("{target}.")),
            None => self.fake.take_alias(APEX, name),
        }
    }
    async fn restart(&self) {}
    async fn lose_next_answer(&self) {
        self.fake
            .fail(&format!("POST zone/{APEX}/_stream"), Fault::LoseAnswer);
    }
    async fn turn_next_away(&self) {
        self.fake
            .fail(&format!("POST zone/{APEX}/_stream"), Fault::Busy(Some(0)));
    }
    fn another_process(&self) -> Option<(Command, Value)> {
        Some((
            support::another_process(),
            table(&self.fake, json!({ "record_names": self.names })),
        ))
    }
}

/// Runs as a program of its own for the contract's sake.
#[tokio::test]
async fn another_process_adds_and_removes_values() {
    conformance::another_process().await;
}

#[tokio::test]
async fn autodns_keeps_the_contract_with_either_form_of_names() {
    for names in ["absolute", "relative"] {
        conformance::run(&Real {
            fake: prepared().await,
            names,
        })
        .await;
    }
}

#[tokio::test]
async fn a_domain_costs_one_search_and_one_write_between_two_reads() {
    let fake = prepared().await;
    let provider = provider(&fake);
    add(&*provider, APEX, "swiss-pki=one").await.unwrap();
    let (read, write) = (
        format!("GET zone/{APEX}/a.ns14.test"),
        format!("POST zone/{APEX}/_stream"),
    );
    assert_eq!(
        fake.web.take_calls(),
        ["POST zone/_search", &read, &write, &read]
    );
    remove(&*provider, APEX, "swiss-pki=one").await.unwrap();
    assert_eq!(fake.web.take_calls(), [&*read, &write, &read]);
}

#[tokio::test]
async fn two_hundred_and_fifty_values_are_two_writes() {
    let fake = prepared().await;
    let (provider, before) = (provider(&fake), fake.dump(APEX));
    let values: Vec<_> = (0..250)
        .map(|number| value(APEX, &format!("swiss-pki={number}")))
        .collect();
    assert!(
        provider
            .ensure_present(&values)
            .await
            .iter()
            .all(|result| result.as_ref().unwrap().changed)
    );
    assert_eq!(
        (streams(&fake), fake.dump(APEX).len()),
        (2, before.len() + 250)
    );
    assert!(
        provider
            .ensure_absent(&values)
            .await
            .iter()
            .all(|result| result.as_ref().unwrap().changed)
    );
    assert_eq!((streams(&fake), fake.dump(APEX)), (2, before));
}

#[tokio::test]
async fn the_search_stops_at_the_longest_zone_and_at_those_that_are_named() {
    let fake = prepared().await;
    fake.zone("child.example.test");
    let zone = provider(&fake)
        .find_zone("www.child.example.test")
        .await
        .unwrap();
    assert_eq!(
        (zone.apex.as_str(), zone.id.as_deref()),
        ("child.example.test", Some("a.ns14.test"))
    );
    assert_eq!(zone.name_servers, ["a.ns14.test", "b.ns14.test"]);
    let parent = settings(&fake, json!({ "zones": [APEX] })).unwrap();
    assert_eq!(
        parent
            .find_zone("www.child.example.test")
            .await
            .unwrap()
            .apex,
        APEX
    );
    fake.zone_on(APEX, "x.other.test");
    let error = add(&*provider(&fake), APEX, "x").await.unwrap_err();
    assert!(
        error.kind == ErrorKind::NoZone && error.message.contains("x.other.test"),
        "{}",
        shown(&error)
    );
}

#[tokio::test]
async fn a_record_without_a_ttl_of_its_own_stays_so_and_ours_beside_it_too() {
    let fake = prepared().await;
    let provider = settings(&fake, json!({ "ttl": 120 })).unwrap();
    let receipt = add(&*provider, "mine.example.test", "swiss-pki=x")
        .await
        .unwrap();
    assert_eq!(
        (receipt.before.ttl, receipt.after.ttl),
        (Some(86_400), Some(86_400)),
        "the zone's"
    );
    assert!(
        fake.dump(APEX)
            .iter()
            .any(|record| record.contains("swiss-pki=x") && !record.contains("ttl"))
    );
    assert_eq!(
        add(&*provider, "new.example.test", "swiss-pki=new")
            .await
            .unwrap()
            .after
            .ttl,
        Some(120)
    );
    assert_eq!(
        receipt.change_id.as_deref(),
        Some("transaction 20261121-app4-2")
    );
}

#[tokio::test]
async fn a_lost_answer_is_found_out_by_reading_and_a_lost_request_is_sent_again() {
    let fake = prepared().await;
    let (provider, before) = (provider(&fake), fake.dump(APEX));
    let stream = format!("POST zone/{APEX}/_stream");
    fake.fail(&stream, Fault::LoseAnswer);
    assert!(
        add(&*provider, APEX, "swiss-pki=lost")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(streams(&fake), 1);
    fake.fail(&stream, Fault::LoseRequest);
    assert!(
        remove(&*provider, APEX, "swiss-pki=lost")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(streams(&fake), 2);
    [Fault::LoseRequest, Fault::LoseRequest]
        .into_iter()
        .for_each(|fault| fake.fail(&stream, fault));
    let error = add(&*provider, APEX, "swiss-pki=lost").await.unwrap_err();
    assert_eq!(
        (error.kind, streams(&fake)),
        (ErrorKind::Unknown, 2),
        "{}",
        shown(&error)
    );
    assert_eq!(fake.dump(APEX), before);
}

#[tokio::test]
async fn a_duplicate_that_comes_meanwhile_is_success_and_costs_its_neighbours_nothing() {
    let fake = prepared().await;
    let (provider, another) = (provider(&fake), fake.another());
    fake.fail(
        &format!("POST zone/{APEX}/_stream"),
        Fault::Before(Box::new(move || another(APEX, "", "swiss-pki=same"))),
    );
    let results = provider
        .ensure_present(&[
            value(APEX, "swiss-pki=same"),
            value(APEX, "swiss-pki=other"),
        ])
        .await;
    assert_eq!(
        results
            .iter()
            .map(|result| result.as_ref().unwrap().changed)
            .collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(streams(&fake), 2);
}

#[tokio::test]
async fn a_name_that_is_taken_in_the_other_form_is_taken_back_and_the_setting_named() {
    let fake = prepared().await;
    fake.names(Names::Relative);
    let before = fake.dump(APEX);
    let error = add(&*provider(&fake), APEX, "swiss-pki=stray")
        .await
        .unwrap_err();
    assert!(
        error.kind == ErrorKind::Settings && shown(&error).contains("record_names = \"relative\""),
        "{}",
        shown(&error)
    );
    assert!(
        error.message.contains("example.test.example.test"),
        "{}",
        shown(&error)
    );
    assert_eq!(fake.dump(APEX), before);
    let relative = settings(&fake, json!({ "record_names": "relative" })).unwrap();
    assert!(
        add(&*relative, APEX, "swiss-pki=stray")
            .await
            .unwrap()
            .changed
    );
}

#[tokio::test]
async fn a_stray_of_a_lost_answer_or_of_an_earlier_run_is_taken_back_too() {
    let fake = prepared().await;
    fake.names(Names::Relative);
    let (before, stream) = (fake.dump(APEX), format!("POST zone/{APEX}/_stream"));
    fake.fail(&stream, Fault::LoseAnswer);
    let error = add(&*provider(&fake), APEX, "swiss-pki=stray")
        .await
        .unwrap_err();
    assert!(error.kind == ErrorKind::Settings, "{}", shown(&error));
    assert!(
        shown(&error).contains("record_names = \"relative\""),
        "{}",
        shown(&error)
    );
    assert_eq!(fake.dump(APEX), before);
    // The process that wrote it died before a read; the setting has been repaired since. Both ways
    // it goes.
    let relative = settings(&fake, json!({ "record_names": "relative" })).unwrap();
    let stray = || fake.put(APEX, APEX, "TXT", 300, "swiss-pki=stray");
    stray();
    assert!(
        add(&*relative, APEX, "swiss-pki=stray")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(
        fake.dump(APEX).len(),
        before.len() + 1,
        "{:#?}",
        fake.dump(APEX)
    );
    remove(&*relative, APEX, "swiss-pki=stray").await.unwrap();
    stray();
    remove(&*relative, APEX, "swiss-pki=stray").await.unwrap();
    assert_eq!(fake.dump(APEX), before);
}

#[tokio::test]
async fn a_change_that_is_accepted_and_never_seen_is_damage_only_when_the_read_is_newer() {
    let fake = prepared().await;
    let yes = json!({ "stid": "1", "status": { "type": "SUCCESS" }, "data": [] });
    // The zone as it was before: the read may be older than the change.
    fake.fail(
        &format!("POST zone/{APEX}/_stream"),
        Fault::Say(200, yes.clone()),
    );
    let error = add(&*provider(&fake), APEX, "swiss-pki=hidden")
        .await
        .unwrap_err();
    assert!(
        error.kind == ErrorKind::Unknown
            && error.message.contains("swiss-pki=hidden")
            && error.message.contains("transaction 1"),
        "{}",
        shown(&error)
    );
    assert_eq!(streams(&fake), 1, "never sent twice");
    // The zone has moved on without the value.
    let another = fake.another();
    let moved = Fault::Meanwhile(200, yes, Box::new(move || another(APEX, "www", "x")));
    fake.fail(&format!("POST zone/{APEX}/_stream"), moved);
    let error = add(&*provider(&fake), APEX, "swiss-pki=lost")
        .await
        .unwrap_err();
    assert!(
        error.kind == ErrorKind::Damaged && error.message.contains("swiss-pki=lost"),
        "{}",
        shown(&error)
    );
}

#[tokio::test]
async fn a_zone_that_is_read_as_it_was_a_moment_ago_is_neither_damaged_nor_done() {
    let fake = prepared().await;
    let before = fake.dump(APEX);
    let provider = provider(&fake);
    fake.lag(3);
    let receipt = add(&*provider, APEX, "swiss-pki=late").await.unwrap();
    assert!(receipt.changed && receipt.after.holds("swiss-pki=late"));
    // Removed at once, while reads show the zone without the value, or with it.
    for reads in [2, 1] {
        fake.lag(reads);
        remove(&*provider, APEX, "swiss-pki=late").await.unwrap();
        assert_eq!(fake.dump(APEX), before);
        add(&*provider, APEX, "swiss-pki=late").await.unwrap();
    }
    remove(&*provider, APEX, "swiss-pki=late").await.unwrap();
    fake.lag(100);
    let error = add(&*provider, APEX, "swiss-pki=later").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{}", shown(&error));
    // Not listed is not gone.
    let error = remove(&*provider, APEX, "swiss-pki=later")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{}", shown(&error));
    fake.lag(0);
    remove(&*provider, APEX, "swiss-pki=later").await.unwrap();
    assert_eq!(fake.dump(APEX), before);
}

#[tokio::test]
async fn wrong_credentials_and_a_foreign_zone_name_the_setting() {
    let fake = prepared().await;
    for more in [
        json!({ "password": secret("wrong") }),
        json!({ "user": "you" }),
        json!({ "context": 1 }),
    ] {
        let error = add(&*settings(&fake, more).unwrap(), APEX, "x")
            .await
            .unwrap_err();
        assert!(
            error.kind == ErrorKind::Denied && shown(&error).contains("`context`"),
            "{}",
            shown(&error)
        );
        assert!(
            error.message.contains("EF00202") && !shown(&error).contains(PASSWORD),
            "{}",
            shown(&error)
        );
    }
    let error = add(&*provider(&fake), "other.test", "x").await.unwrap_err();
    assert!(
        error.kind == ErrorKind::NoZone && shown(&error).contains("`context`"),
        "{}",
        shown(&error)
    );
    let error = settings(&fake, json!({ "password": secret("one\\ntwo") })).unwrap_err();
    assert!(
        error.kind == ErrorKind::Settings && error.message.contains("line end"),
        "{}",
        shown(&error)
    );
    assert_eq!(streams(&fake), 0);
    assert!(!format!("{:?}", provider(&fake)).contains(PASSWORD));
}

#[tokio::test]
async fn an_error_that_repeats_the_password_is_shown_without_it() {
    let fake = prepared().await;
    let said = json!({ "code": "E1", "text": format!("wrong: {PASSWORD}"), "type": "ERROR" });
    fake.fail(
        "POST zone/_search",
        Fault::Say(400, json!({ "stid": PASSWORD, "status": said })),
    );
    let error = provider(&fake).inspect(APEX).await.unwrap_err();
    assert!(
        shown(&error).contains("[secret]") && !shown(&error).contains(PASSWORD),
        "{}",
        shown(&error)
    );
}

#[tokio::test]
async fn a_preflight_reads_and_says_what_stays_open() {
    let fake = prepared().await;
    let proof = provider(&fake)
        .preflight(APEX, RecordKind::Txt)
        .await
        .unwrap();
    assert!(
        proof.warnings[0].contains("shows only when one is") && proof.zone.name_servers.len() == 2,
        "{proof:?}"
    );
    assert_eq!(streams(&fake), 0);
}

#[test]
fn all_faults_of_a_table_come_at_once_and_none_shows_a_secret() {
    let table = json!({ "kind": "autodns", "user": "a:b", "password": "CANARY", "context": -1, "record_names": "both", "zones": 1 });
    let faults = ProviderSettings::read(table.as_object().unwrap())
        .map(drop)
        .unwrap_err();
    let found: Vec<_> = faults
        .into_iter()
        .map(|fault| format!("{}: {}", fault.key, fault.message))
        .collect();
    for key in ["user", "password", "context", "record_names"] {
        assert!(
            found
                .iter()
                .any(|fault| fault.starts_with(&format!("{key}: "))),
            "{key}: {found:#?}"
        );
    }
    assert!(!found.concat().contains("CANARY"), "{found:#?}");
}

#[tokio::test]
async fn an_alias_comes_and_goes_and_is_refused_beside_anything() {
    let fake = prepared().await;
    let (before, provider) = (fake.dump(APEX), provider(&fake));
    let alias = Record::cname(format!("_x.{APEX}"), "hash.ca.test");
    let present = provider.ensure_present(std::slice::from_ref(&alias)).await;
    assert!(present[0].as_ref().unwrap().changed);
    assert!(
        fake.dump(APEX)
            .iter()
            .any(|line| line.contains("CNAME") && line.contains("hash.ca.test.")),
        "{:#?}",
        fake.dump(APEX)
    );
    let other = Record::cname(format!("_x.{APEX}"), "other.test");
    let error = provider
        .ensure_present(&[other])
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsafe, "{}", shown(&error));
    let absent = provider.ensure_absent(&[alias]).await;
    assert!(absent[0].as_ref().unwrap().changed);
    assert_eq!(fake.dump(APEX), before);
}
