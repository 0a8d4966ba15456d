//! Route 53 against a server as strict as the real one: the contract first, then what is special to
//! it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot continue says so by panicking"
)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use fake::{Fake, Fault, Key, Operation, Rrset};
use prevalidate_kit::pace::{Allowance, Pace};
use prevalidate_providers::conformance::{self, APEX_TTL, SPF, Subject, foreign_records};
use prevalidate_providers::provider::LiveNameServers;
use prevalidate_providers::registry::ProviderSettings;
use prevalidate_providers::{
    ErrorKind, Provider, ProviderError, Receipt, Record, RecordKind, TxtRecord,
};
use serde_json::{Value, json};
use support::{another_process, route53 as fake};
use tokio::process::Command;

#[path = "route53/alias.rs"]
mod alias;
#[path = "route53/bad_input.rs"]
mod bad_input;
#[path = "route53/faults.rs"]
mod faults;
#[path = "route53/large.rs"]
mod large;
#[path = "route53/moto.rs"]
mod moto;

const APEX: &str = "example.test";
const ZONE: &str = "Z0EXAMPLE";
const ACCOUNT: &str = "ours";
/// An access key that may write, one that may only read, and one of another account.
const WRITER: &str = "AKIAWRITER";
const READER: &str = "AKIAREADER";
const OTHERS: &str = "AKIAOTHERS";

/// A value as Route 53 has it, by other means than the adapter's.
fn presentation(record: &TxtRecord) -> String {
    let octal = |octets: &Vec<u8>| {
        format!(
            "\"{}\"",
            octets
                .iter()
                .map(|o| format!("\\{o:03o}"))
                .collect::<String>()
        )
    };
    record
        .strings
        .iter()
        .map(octal)
        .collect::<Vec<_>>()
        .join(" ")
}

async fn prepared() -> Fake {
    let fake = Fake::start().await;
    for (id, key) in [
        (WRITER, Key::of(ACCOUNT)),
        (
            READER,
            Key {
                may_change: false,
                ..Key::of(ACCOUNT)
            },
        ),
        (OTHERS, Key::of("others")),
    ] {
        fake.key(id, key);
    }
    fake.zone(ZONE, APEX, ACCOUNT);
    let name = |label: &str| format!("{label}.{APEX}");
    // SPF as people write it, the others all in escapes: both must come back as they were.
    let values: Vec<String> = foreign_records()
        .iter()
        .skip(1)
        .map(presentation)
        .chain([format!("\"{SPF}\"")])
        .collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    fake.with(ZONE, |zone| {
        zone.put(Rrset::new(APEX, "TXT", APEX_TTL, &values));
        zone.put(Rrset::alias(APEX, "A", "d111111abcdef8.cloudfront.net."));
        zone.put(Rrset::new(
            &name("alias"),
            "CNAME",
            300,
            &["www.example.test."],
        ));
        zone.put(Rrset::new(&name("cut"), "NS", 300, &["ns.elsewhere.test."]));
        zone.put(Rrset::new(&name("*.wild"), "A", 300, &["192.0.2.1"]));
        zone.put(Rrset::new(&name("there.wild"), "A", 300, &["192.0.2.2"]));
        zone.put(Rrset::new(
            &name("below.empty.wild"),
            "A",
            300,
            &["192.0.2.3"],
        ));
        zone.put(Rrset::new(&name("mine"), "TXT", 300, &["\"foreign\""]));
    });
    fake
}

/// A provider as the configuration makes it.
fn provider_with(
    fake: &Fake,
    key: &str,
    more: &Value,
    live: Option<LiveNameServers>,
) -> Arc<dyn Provider> {
    provider_paced(fake, key, more, live, None)
}

fn provider_paced(
    fake: &Fake,
    key: &str,
    more: &Value,
    live: Option<LiveNameServers>,
    pace: Option<Pace>,
) -> Arc<dyn Provider> {
    let folder = Folder::new();
    let mut table = json!({
        "kind": "route53", "endpoint": fake.endpoint(), "rate": "50/s", "timeout": 2,
        "access_key": folder.secret("id", key), "secret_key": folder.secret("secret", "wJalrXUtnFEMI"),
    });
    table
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let settings = ProviderSettings::read(table.as_object().unwrap()).unwrap();
    settings
        .build_in(
            Arc::new(|| panic!("the SDK has a clock of its own")),
            live,
            pace,
        )
        .unwrap()
}

fn provider(fake: &Fake, key: &str) -> Arc<dyn Provider> {
    provider_with(fake, key, &json!({}), None)
}

/// A folder for secrets, gone when dropped.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Self {
        let folder =
            std::env::temp_dir().join(format!("prevalidate-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn secret(&self, name: &str, text: &str) -> Value {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        json!({ "file": path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
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

struct Route53(Fake);

#[async_trait]
impl Subject for Route53 {
    fn name(&self) -> String {
        "Route 53".into()
    }
    fn apex(&self) -> String {
        APEX.into()
    }
    fn provider(&self) -> Arc<dyn Provider> {
        provider(&self.0, WRITER)
    }
    fn stranger(&self) -> Option<Arc<dyn Provider>> {
        Some(provider(&self.0, READER))
    }
    async fn zone(&self) -> Vec<String> {
        self.0.dump(ZONE)
    }
    async fn serial(&self) -> u32 {
        self.0.with(ZONE, |zone| zone.serial)
    }
    async fn another_puts(&self, owner: &str, ttl: u32, record: &TxtRecord) {
        self.0.with(ZONE, |zone| {
            let mut set = zone
                .set(owner, "TXT")
                .cloned()
                .unwrap_or_else(|| Rrset::new(owner, "TXT", ttl, &[]));
            set.ttl = Some(ttl);
            set.values.push(presentation(record));
            zone.put(set);
        });
    }
    async fn another_takes(&self, owner: &str, record: &TxtRecord) {
        self.0.with(ZONE, |zone| {
            let mut set = zone.set(owner, "TXT").cloned().unwrap();
            set.values.retain(|value| *value != presentation(record));
            zone.put(set);
        });
    }
    fn writes_cname(&self) -> bool {
        true
    }
    async fn another_aliases(&self, owner: &str, target: Option<&str>) {
        self.0.with(ZONE, |zone| match target {
            Some(target) => zone.put(Rrset::new(owner, "CNAME", 300, &[&format!("{target}.")])),
            None => zone
                .sets
                .retain(|set| set.name != owner || set.kind != "CNAME"),
        });
    }
    async fn restart(&self) {}
    async fn lose_next_answer(&self) {
        self.0
            .fail_next(Operation::ChangeResourceRecordSets, Fault::LoseAnswer);
    }
    async fn turn_next_away(&self) {
        self.0
            .fail_next(Operation::ChangeResourceRecordSets, Fault::Throttle);
    }
    fn another_process(&self) -> Option<(Command, Value)> {
        let secret = |text: &str| json!({ "command": ["printf", "%s", text] });
        let table = json!({ "kind": "route53", "endpoint": self.0.endpoint(), "rate": "50/s", "timeout": 2,
                            "access_key": secret(WRITER), "secret_key": secret("wJalrXUtnFEMI") });
        Some((another_process(), table))
    }
}

/// Runs as a program of its own for the contract's sake.
#[tokio::test]
async fn another_process_adds_and_removes_values() {
    conformance::another_process().await;
}

#[tokio::test]
async fn route_53_keeps_the_contract_with_no_more_than_the_documented_permissions() {
    let subject = Route53(prepared().await);
    conformance::run(&subject).await;
    let change = provider(&subject.0, WRITER).in_sync("C0").await.unwrap();
    assert_eq!(change, None);
    let policy: Value =
        serde_json::from_str(include_str!("../../config/route53-policy.json")).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let allowed: BTreeSet<&str> = statements
        .iter()
        .flat_map(|statement| statement["Action"].as_array().unwrap())
        .map(|a| a.as_str().unwrap())
        .collect();
    let condition = &statements.last().unwrap()["Condition"]["ForAllValues:StringEquals"];
    let kinds = condition["route53:ChangeResourceRecordSetsRecordTypes"]
        .as_array()
        .unwrap();
    let verbs = condition["route53:ChangeResourceRecordSetsActions"]
        .as_array()
        .unwrap();
    // What the documents add for a CA that asks for a CNAME.
    let documents = include_str!("../../docs/providers.md");
    assert!(
        documents.contains("add its name to the names of the policy and \"CNAME\" to the types")
    );
    let alias = Value::from("CNAME");
    let changes = verbs.iter().flat_map(|verb| {
        kinds
            .iter()
            .chain([&alias])
            .map(|kind| format!("{} {}", text(verb), text(kind)))
    });
    let allowed: BTreeSet<String> = allowed
        .into_iter()
        .map(str::to_owned)
        .chain(changes)
        .collect();
    assert_eq!(
        subject.0.actions().into_iter().collect::<BTreeSet<_>>(),
        allowed,
        "no permission too many, none too few"
    );
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn many_values_of_a_zone_take_one_read_and_one_write_and_no_list_of_zones_per_domain() {
    let fake = prepared().await;
    fake.zone("Z1OTHER", "other.test", ACCOUNT);
    let provider = provider(&fake, WRITER);
    // 250 values at 125 names, and as many of another zone.
    let names = || {
        [APEX, "other.test"]
            .into_iter()
            .flat_map(|apex| (0..125).map(move |n| format!("n{n}.many.{apex}")))
    };
    let values: Vec<_> = names()
        .flat_map(|name| ["swiss-pki=a", "swiss-pki=b"].map(|text| value(&name, text)))
        .collect();
    let before = (fake.dump(ZONE), fake.dump("Z1OTHER"));
    for (stage, list_zones) in [("publish", 1), ("clean up", 0)] {
        fake.forget_calls();
        let results = match stage {
            "publish" => provider.ensure_present(&values).await,
            _ => provider.ensure_absent(&values).await,
        };
        assert!(
            results
                .iter()
                .all(|result| result.as_ref().unwrap().changed),
            "{stage}"
        );
        for (operation, calls) in [
            (Operation::ListHostedZones, list_zones),
            (Operation::GetHostedZone, 0),
            (Operation::ListResourceRecordSets, 2),
            (Operation::ChangeResourceRecordSets, 2),
        ] {
            assert_eq!(fake.calls(operation), calls, "{stage}: {operation:?}");
        }
    }
    assert_eq!((fake.dump(ZONE), fake.dump("Z1OTHER")), before);
}

#[tokio::test]
async fn a_change_is_pending_until_all_name_servers_have_it() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    let receipt = add(&*provider, APEX, "swiss-pki=sync").await.unwrap();
    let id = receipt.change_id.unwrap();
    assert_eq!(provider.in_sync(&id).await.unwrap(), Some(false));
    fake.sync();
    assert_eq!(provider.in_sync(&id).await.unwrap(), Some(true));
    assert_eq!(
        add(&*provider, APEX, "swiss-pki=sync")
            .await
            .unwrap()
            .change_id,
        None,
        "nothing was changed"
    );
    // Of another provider, or forgotten.
    for unknown in ["C9999999999999", "serial 7"] {
        assert_eq!(provider.in_sync(unknown).await.unwrap(), None, "{unknown}");
    }
    fake.key(
        WRITER,
        Key {
            may_get_change: false,
            ..Key::of(ACCOUNT)
        },
    );
    let error = provider.in_sync(&id).await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Denied && shown(&error).contains("route53:GetChange"),
        "{}",
        shown(&error)
    );
}

#[tokio::test]
async fn a_zone_says_its_name_servers_and_how_long_nothing_is_remembered() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    let zone = provider.find_zone("www.example.test").await.unwrap();
    assert_eq!((zone.apex.as_str(), zone.id.as_deref()), (APEX, Some(ZONE)));
    assert_eq!(
        zone.name_servers,
        (1..=4)
            .map(|n| format!("ns-{n}.z0example.awsdns.test"))
            .collect::<Vec<_>>()
    );
    // The SOA lives 900 s and says 86,400 s; the smaller counts (RFC 2308, section 5).
    assert_eq!(
        provider.inspect(APEX).await.unwrap().negative_ttl,
        Some(900)
    );
}

#[tokio::test]
async fn what_is_routed_by_a_policy_is_refused_with_its_reason_and_an_alias_beside_is_none() {
    let fake = prepared().await;
    let provider = provider(&fake, WRITER);
    let cases = [
        (
            "weighted",
            Rrset::new("", "TXT", 60, &["\"x\""]).routed("blue", "Weight", "10"),
            "weight",
        ),
        (
            "multi",
            Rrset::new("", "TXT", 60, &["\"x\""]).routed("one", "MultiValueAnswer", "true"),
            "multivalue answer",
        ),
        (
            "near",
            Rrset::new("", "TXT", 60, &["\"x\""]).routed("eu", "Region", "eu-central-1"),
            "latency",
        ),
        (
            "second",
            Rrset::new("", "TXT", 60, &["\"x\""]).routed("b", "Failover", "SECONDARY"),
            "failover",
        ),
        (
            "twin",
            Rrset::alias("", "TXT", "mine.example.test."),
            "alias to mine.example.test.",
        ),
    ];
    for (label, set, reason) in cases {
        let owner = format!("{label}.{APEX}");
        fake.with(ZONE, |zone| {
            zone.put(Rrset {
                name: owner.clone(),
                ..set
            })
        });
        let before = fake.dump(ZONE);
        for result in [
            add(&*provider, &owner, "swiss-pki=x").await.map(drop),
            remove(&*provider, &owner, "x").await.map(drop),
            provider.preflight(&owner, RecordKind::Txt).await.map(drop),
        ] {
            let error = result.unwrap_err();
            assert!(
                error.kind == ErrorKind::Unsafe && error.message.contains(reason),
                "{}",
                shown(&error)
            );
        }
        assert_eq!(fake.dump(ZONE), before);
    }
    // The apex of a web site is an alias of type A; TXT beside it is as good as anywhere.
    assert!(
        add(&*provider, APEX, "swiss-pki=web")
            .await
            .unwrap()
            .changed
    );
}

#[tokio::test]
async fn a_wildcard_may_be_shadowed_only_when_that_is_allowed() {
    let fake = prepared().await;
    let provider = provider_with(
        &fake,
        WRITER,
        &json!({ "allow_wildcard_shadow": true }),
        None,
    );
    assert!(
        add(&*provider, "shop.wild.example.test", "swiss-pki=x")
            .await
            .unwrap()
            .changed
    );
}
