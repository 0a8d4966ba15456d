//! Cloudflare against a strict fake of its API: the contract, what it costs in calls, and
//! everything that goes wrong.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use prevalidate_kit::pace::{Allowance, Pace};
use prevalidate_providers::conformance::{self, APEX_TTL, SPF, Subject, foreign_records};
use prevalidate_providers::registry::ProviderSettings;
use prevalidate_providers::{
    ErrorKind, Provider, ProviderError, Receipt, Record, RecordKind, TxtRecord,
};
use serde_json::{Value, json};

use tokio::process::Command;

use support::cloudflare::{FakeCloudflare, Token};
use support::web::{Fault, quoted};

#[path = "cloudflare/alias.rs"]
mod alias;
#[path = "cloudflare/attacks.rs"]
mod attacks;
#[path = "cloudflare/bad_input.rs"]
mod bad_input;
#[path = "cloudflare/lag.rs"]
mod lag;

const APEX: &str = "example.test";
const TOKEN: &str = "c4n4ry-t0ken-c4n4ry-t0ken-c4n4ry";

/// A secret as the settings name it.
fn secret(text: &str) -> Value {
    json!({ "command": ["printf", "%b", text] })
}

fn table(fake: &FakeCloudflare, more: Value) -> Value {
    let mut table = json!({ "kind": "cloudflare", "url": fake.url(), "rate": "1000/s" });
    table
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    table
}

fn settings(fake: &FakeCloudflare, more: Value) -> Result<Arc<dyn Provider>, ProviderError> {
    ProviderSettings::read(table(fake, more).as_object().unwrap())
        .unwrap()
        .build()
}

fn provider(fake: &FakeCloudflare) -> Arc<dyn Provider> {
    settings(fake, json!({ "token": secret(TOKEN) })).unwrap()
}

async fn prepared() -> (FakeCloudflare, String) {
    let fake = FakeCloudflare::start().await;
    fake.token(TOKEN, Token::FULL);
    let zone = fake.zone(APEX);
    for (index, record) in foreign_records().iter().enumerate() {
        // SPF in the old form without quotes.
        let content = if index == 0 {
            SPF.to_owned()
        } else {
            quoted(record)
        };
        fake.put(&zone, APEX, "TXT", APEX_TTL.into(), &content);
    }
    for (name, kind, content) in [
        ("alias", "CNAME", "www.example.test"),
        ("www", "A", "192.0.2.9"),
        ("cut", "NS", "ns.cut.example.test"),
        ("ns.cut", "A", "192.0.2.8"),
        ("*.wild", "A", "192.0.2.1"),
        ("there.wild", "A", "192.0.2.2"),
        ("below.empty.wild", "A", "192.0.2.3"),
        ("mine", "TXT", "\"foreign\""),
    ] {
        fake.put(&zone, &format!("{name}.{APEX}"), kind, 300, content);
    }
    fake.web.take_calls();
    (fake, zone)
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

fn writes(calls: &[String]) -> usize {
    calls.iter().filter(|call| !call.starts_with("GET")).count()
}

struct Real {
    fake: FakeCloudflare,
    zone: String,
}

#[async_trait]
impl Subject for Real {
    fn name(&self) -> String {
        "Cloudflare".into()
    }
    fn apex(&self) -> String {
        APEX.into()
    }
    fn provider(&self) -> Arc<dyn Provider> {
        provider(&self.fake)
    }
    fn stranger(&self) -> Option<Arc<dyn Provider>> {
        Some(settings(&self.fake, json!({ "token": secret("wrong") })).unwrap())
    }
    async fn zone(&self) -> Vec<String> {
        self.fake.dump(&self.zone)
    }
    async fn serial(&self) -> u32 {
        self.fake.serial()
    }
    async fn another_puts(&self, owner: &str, ttl: u32, record: &TxtRecord) {
        self.fake
            .put(&self.zone, owner, "TXT", ttl.into(), &quoted(record));
        self.fake.set_ttl(&self.zone, owner, ttl.into());
    }
    async fn another_takes(&self, owner: &str, record: &TxtRecord) {
        self.fake.take(&self.zone, owner, &quoted(record));
    }
    fn writes_cname(&self) -> bool {
        true
    }
    async fn another_aliases(&self, owner: &str, target: Option<&str>) {
        match target {
            Some(target) => self.fake.put(&self.zone, owner, "CNAME", 300, target),
            None => self.fake.take_alias(&self.zone, owner),
        }
    }
    async fn restart(&self) {}
    async fn lose_next_answer(&self) {
        self.fake.fail("POST", Fault::LoseAnswer);
    }
    async fn turn_next_away(&self) {
        self.fake.fail("POST", Fault::Busy(Some(0)));
    }
    fn another_process(&self) -> Option<(Command, Value)> {
        Some((
            support::another_process(),
            table(&self.fake, json!({ "token": secret(TOKEN) })),
        ))
    }
}

/// Runs as a program of its own for the contract's sake.
#[tokio::test]
async fn another_process_adds_and_removes_values() {
    conformance::another_process().await;
}

#[tokio::test]
async fn cloudflare_keeps_the_contract() {
    let (fake, zone) = prepared().await;
    conformance::run(&Real { fake, zone }).await;
}

#[tokio::test]
async fn cloudflare_keeps_the_contract_page_by_page() {
    let (fake, zone) = prepared().await;
    fake.per_page(3);
    conformance::run(&Real { fake, zone }).await;
}

#[tokio::test]
async fn a_domain_costs_one_write_to_publish_and_two_calls_to_clean_up() {
    let (fake, zone) = prepared().await;
    let provider = provider(&fake);
    add(&*provider, APEX, "swiss-pki=one").await.unwrap();
    let list = format!("GET zones/{zone}/dns_records");
    assert_eq!(
        fake.web.take_calls(),
        [
            "GET zones",
            &list,
            &format!("POST zones/{zone}/dns_records")
        ]
    );
    remove(&*provider, APEX, "swiss-pki=one").await.unwrap();
    let calls = fake.web.take_calls();
    assert!(
        calls.len() == 2 && calls[0] == list && calls[1].starts_with("DELETE "),
        "{calls:?}"
    );
    provider.preflight(APEX, RecordKind::Txt).await.unwrap();
    assert_eq!(
        fake.web.take_calls(),
        [list.as_str(), "GET user/tokens/verify"]
    );
    provider.preflight(APEX, RecordKind::Txt).await.unwrap();
    assert_eq!(fake.web.take_calls(), [list]);
}

#[tokio::test]
async fn two_hundred_and_fifty_values_are_two_batches() {
    let (fake, zone) = prepared().await;
    let (provider, before) = (provider(&fake), fake.dump(&zone));
    let values: Vec<_> = (0..250)
        .map(|number| value(&format!("n{number}.many.{APEX}"), "swiss-pki=many"))
        .collect();
    assert!(
        provider
            .ensure_present(&values)
            .await
            .iter()
            .all(|result| result.as_ref().unwrap().changed)
    );
    let calls = fake.web.take_calls();
    assert!(
        writes(&calls) == 2 && calls.len() == 4,
        "a list of zones, a page of records, two batches: {calls:?}"
    );
    assert_eq!(fake.dump(&zone).len(), before.len() + 250);
    assert!(
        provider
            .ensure_absent(&values)
            .await
            .iter()
            .all(|result| result.as_ref().unwrap().changed)
    );
    assert_eq!(writes(&fake.web.take_calls()), 2);
    assert_eq!(fake.dump(&zone), before);
}

#[tokio::test]
async fn domains_of_many_zones_share_one_list_of_zones() {
    let (fake, _) = prepared().await;
    let names: Vec<_> = (0..70).map(|number| format!("d{number}.test")).collect();
    names.iter().for_each(|name| drop(fake.zone(name)));
    let values: Vec<_> = names
        .iter()
        .map(|name| value(name, "swiss-pki=x"))
        .collect();
    assert!(
        provider(&fake)
            .ensure_present(&values)
            .await
            .iter()
            .all(|result| result.as_ref().unwrap().changed)
    );
    let calls = fake.web.take_calls();
    assert_eq!(
        (
            calls.iter().filter(|call| *call == "GET zones").count(),
            writes(&calls),
            calls.len()
        ),
        (2, 70, 142)
    );
}

#[tokio::test]
async fn a_record_says_whose_it_is_and_takes_the_ttl_of_those_beside_it() {
    let (fake, zone) = prepared().await;
    fake.set_ttl(&zone, APEX, 1);
    let provider = settings(&fake, json!({ "token": secret(TOKEN), "ttl": 120 })).unwrap();
    let receipt = add(&*provider, APEX, "swiss-pki=auto").await.unwrap();
    assert_eq!(
        (receipt.before.ttl, receipt.after.ttl),
        (Some(300), Some(300)),
        "automatic is 300 s"
    );
    assert!(
        fake.dump(&zone)
            .contains(&format!("{APEX} 1 TXT \"swiss-pki=auto\"")),
        "{:#?}",
        fake.dump(&zone)
    );
    assert_eq!(
        add(&*provider, "new.example.test", "swiss-pki=new")
            .await
            .unwrap()
            .after
            .ttl,
        Some(120)
    );
    assert!(
        fake.comment(&zone, "\"swiss-pki=auto\"")
            .unwrap()
            .contains("prevalidate")
    );
    assert!(receipt.change_id.unwrap().starts_with("record "));
}

#[tokio::test]
async fn a_value_in_the_old_form_without_quotes_is_found_and_removed() {
    let (fake, zone) = prepared().await;
    let before = fake.dump(&zone);
    fake.put(&zone, APEX, "TXT", 3600, "swiss-pki=bare words");
    assert!(
        !add(&*provider(&fake), APEX, "swiss-pki=bare words")
            .await
            .unwrap()
            .changed
    );
    assert!(
        remove(&*provider(&fake), APEX, "swiss-pki=bare words")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(fake.dump(&zone), before);
}

#[tokio::test]
async fn a_lost_answer_is_found_out_by_reading() {
    let (fake, zone) = prepared().await;
    let provider = provider(&fake);
    fake.fail("POST", Fault::LoseAnswer);
    let receipt = add(&*provider, APEX, "swiss-pki=lost").await.unwrap();
    assert!(
        receipt.changed
            && !receipt.before.holds("swiss-pki=lost")
            && receipt.after.holds("swiss-pki=lost")
    );
    assert_eq!(writes(&fake.web.take_calls()), 1);
    fake.fail("DELETE", Fault::LoseAnswer);
    assert!(
        remove(&*provider, APEX, "swiss-pki=lost")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(writes(&fake.web.take_calls()), 1);
    for status in [408, 502, 504] {
        // A gateway that gives up has handed the call on.
        let text = format!("swiss-pki={status}");
        fake.fail("POST", Fault::GiveUp(status));
        assert!(
            add(&*provider, APEX, &text).await.unwrap().changed,
            "{status}"
        );
        assert_eq!(writes(&fake.web.take_calls()), 1, "{status}");
        remove(&*provider, APEX, &text).await.unwrap();
        fake.web.take_calls();
    }
    let values = [
        value(APEX, "swiss-pki=a"),
        value("b.example.test", "swiss-pki=b"),
    ];
    fake.fail(
        &format!("POST zones/{zone}/dns_records/batch"),
        Fault::LoseAnswer,
    );
    assert!(
        provider
            .ensure_present(&values)
            .await
            .iter()
            .all(|result| result.as_ref().unwrap().changed)
    );
    assert_eq!(writes(&fake.web.take_calls()), 1);
}

#[tokio::test]
async fn a_lost_request_is_sent_again_once_a_read_shows_that_it_was_lost() {
    let (fake, zone) = prepared().await;
    let (provider, before) = (provider(&fake), fake.dump(&zone));
    fake.fail("POST", Fault::LoseRequest);
    assert!(
        add(&*provider, APEX, "swiss-pki=lost")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(writes(&fake.web.take_calls()), 2);
    remove(&*provider, APEX, "swiss-pki=lost").await.unwrap();
    fake.web.take_calls();
    [Fault::LoseRequest, Fault::Page(502)]
        .into_iter()
        .for_each(|fault| fake.fail("POST", fault));
    let error = add(&*provider, APEX, "swiss-pki=lost").await.unwrap_err();
    assert_eq!(
        (error.kind, writes(&fake.web.take_calls())),
        (ErrorKind::Unknown, 2),
        "{}",
        shown(&error)
    );
    assert_eq!(fake.dump(&zone), before);
}

#[tokio::test]
async fn a_lost_answer_without_a_read_is_unknown() {
    let (fake, zone) = prepared().await;
    let provider = provider(&fake);
    provider.inspect(APEX).await.unwrap();
    fake.fail("POST", Fault::LoseAnswer);
    let (fake, list) = (Arc::new(fake), format!("GET zones/{zone}/dns_records"));
    let (later, name) = (Arc::clone(&fake), list.clone());
    // The read before the write goes well, and no read after it.
    let from_now_on = move || (0..3).for_each(|_| later.fail(&name, Fault::Page(503)));
    fake.fail(&list, Fault::Before(Box::new(from_now_on)));
    let error = add(&*provider, APEX, "swiss-pki=lost").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{}", shown(&error));
    assert!(
        fake.dump(&zone).concat().contains("swiss-pki=lost"),
        "and it was done"
    );
}

#[tokio::test]
async fn an_identical_record_that_comes_meanwhile_is_success_and_not_ours() {
    let (fake, zone) = prepared().await;
    let (provider, another, id) = (provider(&fake), fake.another(), zone.clone());
    fake.fail(
        "POST",
        Fault::Before(Box::new(move || {
            another(&id, APEX, 3600, "\"swiss-pki=same\"")
        })),
    );
    let receipt = add(&*provider, APEX, "swiss-pki=same").await.unwrap();
    assert!(!receipt.changed && receipt.after.holds("swiss-pki=same"));
    let gone = Arc::new(fake);
    let (another, id) = (Arc::clone(&gone), zone.clone());
    gone.fail(
        "DELETE",
        Fault::Before(Box::new(move || {
            another.take(&id, APEX, "\"swiss-pki=same\"")
        })),
    );
    assert!(
        !remove(&*provider, APEX, "swiss-pki=same")
            .await
            .unwrap()
            .changed
    );
}

#[tokio::test]
async fn throttling_is_waited_for_while_it_is_short_and_handed_on_while_it_is_long() {
    let (fake, zone) = prepared().await;
    let provider = provider(&fake);
    ["GET zones", "POST"]
        .into_iter()
        .for_each(|call| fake.fail(call, Fault::Busy(Some(0))));
    assert!(
        add(&*provider, APEX, "swiss-pki=busy")
            .await
            .unwrap()
            .changed
    );
    let before = (fake.dump(&zone), fake.web.take_calls()).0;
    fake.fail("POST", Fault::Busy(Some(240)));
    let error = add(&*provider, APEX, "swiss-pki=later").await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Unavailable && error.retry_after == Some(Duration::from_secs(240)),
        "{}",
        shown(&error)
    );
    fake.web.take_calls();
    let error = provider.inspect(APEX).await.unwrap_err();
    assert!(
        error
            .retry_after
            .is_some_and(|wait| wait > Duration::from_secs(200)),
        "{}",
        shown(&error)
    );
    assert!(
        fake.web.take_calls().is_empty(),
        "a call during a pause makes it longer"
    );
    assert_eq!(fake.dump(&zone), before);
}

#[tokio::test]
async fn each_call_has_its_turn_and_without_one_nothing_is_sent() {
    let (fake, _) = prepared().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let pace: Pace = {
        let asked = Arc::clone(&asked);
        Arc::new(move |allowance: Allowance| {
            let mut asked = asked.lock().unwrap();
            asked.push(allowance);
            let outcome = if asked.len() <= 3 {
                Ok(())
            } else {
                Err("the count failed".to_owned())
            };
            Box::pin(async move { outcome })
        })
    };
    let table = table(&fake, json!({ "token": secret(TOKEN), "rate": "20/s" }));
    let settings = ProviderSettings::read(table.as_object().unwrap()).unwrap();
    let provider = settings
        .build_in(Arc::new(|| panic!("no clock is needed")), None, Some(pace))
        .unwrap();
    assert!(
        add(&*provider, APEX, "swiss-pki=paced")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(fake.web.take_calls().len(), 3, "{asked:?}");
    let error = provider.inspect(APEX).await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Unavailable && shown(&error).contains("the count failed"),
        "{}",
        shown(&error)
    );
    assert!(fake.web.take_calls().is_empty());
    let asked = asked.lock().unwrap();
    assert!(
        asked.iter().all(|allowance| allowance == &asked[0]),
        "one credential, one allowance"
    );
    assert_eq!(
        (asked.len(), asked[0].per_second, asked[0].burst),
        (4, 20.0, 2_000)
    );
    assert!(
        asked[0].whose.contains("command printf") && !asked[0].whose.contains(TOKEN),
        "{}",
        asked[0].whose
    );
}

#[tokio::test]
async fn a_no_with_200_is_a_no() {
    let (fake, _) = prepared().await;
    let provider = provider(&fake);
    let no = json!({ "success": false, "errors": [{ "code": 1004, "message": "DNS Validation Error",
        "error_chain": [{ "code": 9020, "message": "Invalid DNS record type" }] }], "result": null });
    fake.fail("POST", Fault::Say(200, no));
    let error = add(&*provider, APEX, "swiss-pki=no").await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Unsafe && error.message.contains("9020 Invalid DNS record type"),
        "{}",
        shown(&error)
    );
    // Neither is a yes that is not Cloudflare's.
    fake.fail("POST", Fault::Page(200));
    assert!(
        add(&*provider, APEX, "swiss-pki=page")
            .await
            .unwrap()
            .changed,
        "sent again after a read"
    );
}

#[tokio::test]
async fn a_batch_that_is_refused_is_taken_apart() {
    let (fake, zone) = prepared().await;
    let provider = provider(&fake);
    let values: Vec<_> = (0..4)
        .map(|number| value(&format!("n{number}.many.{APEX}"), "swiss-pki=x"))
        .collect();
    let bad =
        json!({ "success": false, "errors": [{ "code": 1004, "message": "no" }], "result": null });
    fake.fail(
        &format!("POST zones/{zone}/dns_records/batch"),
        Fault::Say(400, bad.clone()),
    );
    fake.fail(
        &format!("POST zones/{zone}/dns_records"),
        Fault::Say(400, bad),
    );
    let results = provider.ensure_present(&values).await;
    assert_eq!(results[0].as_ref().unwrap_err().kind, ErrorKind::Unsafe);
    assert!(
        results[1..]
            .iter()
            .all(|result| result.as_ref().unwrap().changed)
    );
    fake.without_batch();
    assert!(
        provider
            .ensure_absent(&values[1..])
            .await
            .iter()
            .all(|result| result.as_ref().unwrap().changed)
    );
}

#[tokio::test]
async fn an_id_with_another_content_meanwhile_is_not_deleted() {
    let (fake, zone) = prepared().await;
    let provider = provider(&fake);
    let values = [
        value(&format!("a.{APEX}"), "swiss-pki=a"),
        value(&format!("b.{APEX}"), "swiss-pki=b"),
    ];
    assert!(
        provider
            .ensure_present(&values)
            .await
            .iter()
            .all(|result| result.as_ref().unwrap().changed)
    );
    // Where there is no batch, one follows the other, and another writer is quicker than the
    // second.
    fake.without_batch();
    let (fake, theirs) = (Arc::new(fake), "\"foreign\"");
    let (another, id) = (Arc::clone(&fake), zone.clone());
    fake.fail(
        "DELETE",
        Fault::Before(Box::new(move || {
            another.edit(&id, "\"swiss-pki=b\"", theirs)
        })),
    );
    let results = provider.ensure_absent(&values).await;
    assert_eq!(
        results
            .iter()
            .map(|result| result.as_ref().unwrap().changed)
            .collect::<Vec<_>>(),
        [true, false]
    );
    assert!(
        fake.dump(&zone)
            .contains(&format!("b.{APEX} 300 TXT {theirs}")),
        "{:#?}",
        fake.dump(&zone)
    );
}

#[tokio::test]
async fn a_name_that_is_full_is_refused_before_anything_is_sent() {
    let (fake, zone) = prepared().await;
    for number in 0..7 {
        fake.put(
            &zone,
            "full.example.test",
            "TXT",
            300,
            &format!("\"{number}{}\"", "x".repeat(1160)),
        );
    }
    let provider = provider(&fake);
    for attempt in [
        add(&*provider, "full.example.test", &"y".repeat(200))
            .await
            .map(drop),
        provider
            .preflight("full.example.test", RecordKind::Txt)
            .await
            .map(drop),
    ] {
        let error = attempt.unwrap_err();
        assert!(
            error.kind == ErrorKind::Unsafe && error.message.contains("8192"),
            "{}",
            shown(&error)
        );
    }
    let error = add(&*provider, APEX, &"y".repeat(4090)).await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Unsafe && error.message.contains("4096"),
        "{}",
        shown(&error)
    );
    assert_eq!(writes(&fake.web.take_calls()), 0);
}
