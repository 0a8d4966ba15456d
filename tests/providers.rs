//! The DNS providers against real name servers: the contract first, then what is special to RFC
//! 2136.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hickory_proto::op::{Message, OpCode, ResponseCode};
use jiff::SignedDuration;
use prevalidate::clock::{Clock, SystemClock};
use prevalidate_providers::conformance::{self, APEX_TTL, Subject, foreign_records};
use prevalidate_providers::memory::{MemoryFault, MemoryProvider, MemoryZones};
use prevalidate_providers::registry::ProviderSettings;
use prevalidate_providers::{
    ErrorKind, Provider, ProviderError, Receipt, Record, RecordKind, TxtRecord,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::name_server::write_secret;
use crate::support::proxy::{Proxy, Verdict};
use crate::support::zones::{Key, documented};
use crate::support::{Keys, NameServer, Policy, Refresh, Zone, process};

mod exec;
mod faults;
mod places;
mod stored;
mod wildcard;

const APEX: &str = "example.test";

fn presentation(record: &TxtRecord) -> String {
    let string = |octets: &Vec<u8>| {
        format!(
            "\"{}\"",
            octets
                .iter()
                .map(|o| format!("\\{o:03}"))
                .collect::<String>()
        )
    };
    record
        .strings
        .iter()
        .map(string)
        .collect::<Vec<_>>()
        .join(" ")
}

fn prepared_zone() -> Zone {
    let apex: String = foreign_records()
        .iter()
        .map(|record| format!("@ TXT {}\n", presentation(record)))
        .collect();
    let rest = "alias CNAME www\nwww A 127.0.0.1\ncut NS ns.cut\nns.cut A 127.0.0.1\n*.wild A 192.0.2.1\n\
                there.wild A 192.0.2.2\nbelow.empty.wild A 192.0.2.3\nmine TXT foreign\n";
    Zone::new(APEX, &format!("{apex}{rest}"))
}

/// A provider as the configuration makes it.
struct Setup {
    server: String,
    key: Key,
    ahead: SignedDuration,
    more: serde_json::Value,
}

impl Setup {
    fn of(server: &NameServer) -> Self {
        Self::at(server.address().to_string(), server.keys().0[0].clone())
    }

    fn at(server: String, key: Key) -> Self {
        Self {
            server,
            key,
            ahead: SignedDuration::ZERO,
            more: json!({}),
        }
    }

    fn build(self) -> Arc<dyn Provider> {
        let ahead = Arc::new(Mutex::new(self.ahead));
        self.build_with(ahead)
    }

    /// With a clock that can be set ahead.
    fn build_with(self, ahead: Arc<Mutex<SignedDuration>>) -> Arc<dyn Provider> {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("tsig.key");
        write_secret(&path, &self.key.file_text());
        let mut table =
            json!({ "kind": "rfc2136", "server": self.server, "key_file": path, "timeout": 5 });
        table
            .as_object_mut()
            .unwrap()
            .extend(self.more.as_object().unwrap().clone());
        let settings = ProviderSettings::read(table.as_object().unwrap()).unwrap();
        settings
            .build_at(Arc::new(move || SystemClock.now() + *ahead.lock().unwrap()))
            .unwrap()
    }
}

async fn add(provider: &dyn Provider, owner: &str, value: &str) -> Result<Receipt, ProviderError> {
    provider
        .ensure_present(&[Record::txt(owner, value)])
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

fn is_update(message: &Message) -> bool {
    message.metadata.op_code == OpCode::Update
}

/// A name server, and a way to it that fails on demand.
struct Real {
    name: &'static str,
    server: Mutex<NameServer>,
    proxy: Proxy,
    next: Arc<Mutex<Option<Next>>>,
}

/// What becomes of the next update.
enum Next {
    LoseReply,
    TurnAway,
}

impl Real {
    fn new(name: &'static str, start: fn(&[Zone], &Keys) -> NameServer) -> Self {
        let server = start(&[prepared_zone()], &Keys::of(&["prevalidate"]));
        let next: Arc<Mutex<Option<Next>>> = Arc::default();
        let due = Arc::clone(&next);
        let proxy = Proxy::before(server.address(), move |message, _| {
            let next = if is_update(message) {
                due.lock().unwrap().take()
            } else {
                None
            };
            match next {
                None => Verdict::Pass,
                Some(Next::LoseReply) => Verdict::LoseReply,
                Some(Next::TurnAway) => {
                    let (id, op_code) = (message.metadata.id, OpCode::Update);
                    Verdict::Answer(
                        Message::error_msg(id, op_code, ResponseCode::ServFail)
                            .to_vec()
                            .unwrap(),
                    )
                }
            }
        });
        Self {
            name,
            server: Mutex::new(server),
            proxy,
            next,
        }
    }

    fn with_key(&self, key: Key) -> Setup {
        Setup::at(self.proxy.address().to_string(), key)
    }
}

#[async_trait]
impl Subject for Real {
    fn name(&self) -> String {
        self.name.into()
    }
    fn apex(&self) -> String {
        APEX.into()
    }
    fn provider(&self) -> Arc<dyn Provider> {
        let key = self.server.lock().unwrap().keys().0[0].clone();
        self.with_key(key).build()
    }
    fn stranger(&self) -> Option<Arc<dyn Provider>> {
        Some(self.with_key(Key::new("stranger", "hmac-sha256")).build())
    }
    async fn zone(&self) -> Vec<String> {
        self.server.lock().unwrap().axfr(APEX)
    }
    async fn serial(&self) -> u32 {
        self.server.lock().unwrap().serial(APEX)
    }
    async fn another_puts(&self, owner: &str, ttl: u32, record: &TxtRecord) {
        let line = format!("update add {owner}. {ttl} TXT {}", presentation(record));
        self.server.lock().unwrap().nsupdate(&line);
    }
    async fn another_takes(&self, owner: &str, record: &TxtRecord) {
        self.server.lock().unwrap().nsupdate(&format!(
            "update delete {owner}. TXT {}",
            presentation(record)
        ));
    }
    fn writes_cname(&self) -> bool {
        true
    }
    async fn another_aliases(&self, owner: &str, target: Option<&str>) {
        let line = match target {
            Some(target) => format!("update add {owner}. 300 CNAME {target}."),
            None => format!("update delete {owner}. CNAME"),
        };
        self.server.lock().unwrap().nsupdate(&line);
    }
    async fn restart(&self) {
        self.server.lock().unwrap().restart();
    }
    async fn lose_next_answer(&self) {
        *self.next.lock().unwrap() = Some(Next::LoseReply);
    }
    async fn turn_next_away(&self) {
        *self.next.lock().unwrap() = Some(Next::TurnAway);
    }
    fn another_process(&self) -> Option<(Command, Value)> {
        let server = self.server.lock().unwrap();
        let table = json!({ "kind": "rfc2136", "server": server.address().to_string(), "key_file": server.tsig_key_file() });
        Some((another_process(), table))
    }
}

/// This test binary once more, running nothing but the test that is a process of its own.
fn another_process() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "providers::another_process_adds_and_removes_values",
    ]);
    command
}

/// Runs as a program of its own for the contract's sake.
#[tokio::test]
async fn another_process_adds_and_removes_values() {
    conformance::another_process().await;
}

struct Memory(MemoryZones);

#[async_trait]
impl Subject for Memory {
    fn name(&self) -> String {
        "memory".into()
    }
    fn apex(&self) -> String {
        APEX.into()
    }
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(MemoryProvider::new(self.0.clone()))
    }
    fn stranger(&self) -> Option<Arc<dyn Provider>> {
        None
    }
    async fn zone(&self) -> Vec<String> {
        self.0.dump(APEX)
    }
    async fn serial(&self) -> u32 {
        self.0.serial(APEX).unwrap()
    }
    async fn another_puts(&self, owner: &str, ttl: u32, record: &TxtRecord) {
        self.0.put(owner, ttl, record.clone());
    }
    async fn another_takes(&self, owner: &str, record: &TxtRecord) {
        self.0
            .take(owner, &String::from_utf8(record.joined()).unwrap());
    }
    fn writes_cname(&self) -> bool {
        true
    }
    async fn another_aliases(&self, owner: &str, target: Option<&str>) {
        match target {
            Some(target) => self.0.put_cname(owner, 300, target),
            None => self.0.take_cname(owner),
        }
    }
    async fn restart(&self) {}
    async fn lose_next_answer(&self) {
        self.0.fail_next(MemoryFault::LoseAnswer);
    }
    async fn turn_next_away(&self) {
        self.0.fail_next(MemoryFault::Unavailable);
    }
    fn another_process(&self) -> Option<(Command, Value)> {
        None
    }
}

#[tokio::test]
async fn bind_keeps_the_contract() {
    conformance::run(&Real::new("BIND", NameServer::bind)).await;
}

#[tokio::test]
async fn knot_keeps_the_contract() {
    conformance::run(&Real::new("Knot", NameServer::knot)).await;
}

#[tokio::test]
async fn powerdns_keeps_the_contract() {
    conformance::run(&Real::new("PowerDNS", NameServer::pdns)).await;
}

#[tokio::test]
async fn powerdns_with_its_packaged_caches_keeps_the_contract() {
    let start = |zones: &[Zone], keys: &Keys| NameServer::pdns_packaged(zones, keys, "");
    conformance::run(&Real::new("PowerDNS as packaged", start)).await;
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    let zones = MemoryZones::new().with_zone(APEX);
    for record in foreign_records() {
        zones.put(APEX, APEX_TTL, record);
    }
    zones.put("mine.example.test", APEX_TTL, TxtRecord::of("foreign"));
    zones.put_alias("alias.example.test");
    zones.put_cut("cut.example.test");
    for owner in ["*.wild", "there.wild", "below.empty.wild"] {
        zones.put_other(&format!("{owner}.{APEX}"));
    }
    conformance::run(&Memory(zones)).await;
}

#[tokio::test]
async fn memory_loses_answers_and_requests_on_demand() {
    let zones = MemoryZones::new().with_zone(APEX);
    let provider = MemoryProvider::new(zones.clone());
    zones.fail_next(MemoryFault::LoseRequest);
    zones.fail_next(MemoryFault::LoseAnswer);
    assert_eq!(
        add(&provider, APEX, "one").await.unwrap_err().kind,
        ErrorKind::Unknown
    );
    assert!(zones.values(APEX).is_empty());
    assert_eq!(
        add(&provider, APEX, "one").await.unwrap_err().kind,
        ErrorKind::Unknown
    );
    assert_eq!(zones.values(APEX), [b"one"]);
    assert!(!add(&provider, APEX, "one").await.unwrap().changed);
    assert_eq!(zones.calls("ensure_present"), 3);
}

#[tokio::test]
async fn bind_and_knot_tell_wrong_secret_unknown_key_wrong_algorithm_and_clock_apart() {
    for start in [NameServer::bind, NameServer::knot] {
        let server = start(&[prepared_zone()], &Keys::of(&["prevalidate"]));
        let (address, key, serial) = (
            server.address().to_string(),
            server.keys().0[0].clone(),
            server.serial(APEX),
        );
        let wrong_algorithm = Key {
            algorithm: "hmac-sha512".into(),
            ..key.clone()
        };
        for (key, expected) in [
            (Key::new("prevalidate", "hmac-sha256"), "BADSIG"),
            (Key::new("stranger", "hmac-sha256"), "BADKEY"),
            (wrong_algorithm, "BADKEY"),
        ] {
            let provider = Setup::at(address.clone(), key.clone()).build();
            for error in [
                provider.preflight(APEX, RecordKind::Txt).await.unwrap_err(),
                add(&*provider, APEX, "x").await.unwrap_err(),
            ] {
                assert!(
                    error.kind == ErrorKind::Denied && error.message.contains(expected),
                    "{}",
                    shown(&error)
                );
                assert!(!shown(&error).contains(&key.secret), "{}", shown(&error));
            }
        }
        for (ahead, expected) in [(1000, "ahead"), (-1000, "behind")] {
            let setup = Setup {
                ahead: SignedDuration::from_secs(ahead),
                ..Setup::at(address.clone(), key.clone())
            };
            let error = setup
                .build()
                .preflight(APEX, RecordKind::Txt)
                .await
                .unwrap_err();
            let seconds = ["999 s", "1000 s", "1001 s"]
                .iter()
                .any(|skew| error.message.contains(skew));
            assert!(
                error.kind == ErrorKind::ClockSkew && seconds,
                "{}",
                shown(&error)
            );
            assert!(error.message.contains(expected), "{}", shown(&error));
        }
        let setup = Setup {
            ahead: SignedDuration::from_secs(200),
            ..Setup::at(address, key)
        };
        setup
            .build()
            .preflight(APEX, RecordKind::Txt)
            .await
            .unwrap();
        assert_eq!(server.serial(APEX), serial);
    }
}

#[tokio::test]
async fn an_unsigned_refusal_of_powerdns_names_its_four_causes() {
    let server = NameServer::pdns(&[prepared_zone()], &Keys::of(&["prevalidate"]));
    let provider = Setup::at(
        server.address().to_string(),
        Key::new("prevalidate", "hmac-sha256"),
    )
    .build();
    let error = provider.preflight(APEX, RecordKind::Txt).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    for word in [
        "unknown key",
        "wrong secret",
        "clock",
        "TSIG-ALLOW-DNSUPDATE",
    ] {
        assert!(shown(&error).contains(word), "{}", shown(&error));
    }
}

#[tokio::test]
async fn a_key_for_the_apex_only_is_shown_what_it_may_not_do() {
    for start in [NameServer::bind, NameServer::knot] {
        let zone = prepared_zone().policy(Policy::ApexTxt("prevalidate".into()));
        let server = start(&[zone], &Keys::of(&["prevalidate"]));
        let provider = Setup::of(&server).build();
        provider.preflight(APEX, RecordKind::Txt).await.unwrap();
        assert!(
            add(&*provider, APEX, "swiss-pki=apex")
                .await
                .unwrap()
                .changed
        );
        let error = provider
            .preflight("www.example.test", RecordKind::Txt)
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{}", shown(&error));
        assert!(
            error.message.contains("may not do this") || error.message.contains("(Knot)"),
            "{}",
            shown(&error)
        );
        // In one call with a name that is refused, the other is still written.
        let values = ["www.example.test", APEX].map(|owner| Record::txt(owner, "both"));
        let results = provider.ensure_present(&values).await;
        assert_eq!(results[0].as_ref().unwrap_err().kind, ErrorKind::Denied);
        assert!(results[1].as_ref().unwrap().changed);
    }
}

#[tokio::test]
async fn what_the_page_says_to_powerdns_is_enough() {
    let mut server = NameServer::pdns(
        &[prepared_zone().policy(Policy::Closed)],
        &Keys::of(&["unused"]),
    );
    let key = Key::new("prevalidate", "hmac-sha256");
    let provider = Setup::at(server.address().to_string(), key.clone()).build();
    assert_eq!(
        provider
            .preflight(APEX, RecordKind::Txt)
            .await
            .unwrap_err()
            .kind,
        ErrorKind::Denied
    );
    let folder = server
        .tsig_key_file()
        .parent()
        .unwrap()
        .display()
        .to_string();
    let lines = documented("pdns", APEX, "prevalidate").replace("\"$SECRET\"", &key.secret);
    for line in lines.lines() {
        let arguments = line.strip_prefix("pdnsutil ").unwrap().split_whitespace();
        let arguments: Vec<&str> = ["--config-dir", &folder]
            .into_iter()
            .chain(arguments)
            .collect();
        process::run("pdnsutil", &arguments, "");
    }
    // It keeps what it read of a zone for a minute.
    server.restart();
    provider.preflight(APEX, RecordKind::Txt).await.unwrap();
    let serial = server.serial(APEX);
    assert!(
        add(&*provider, APEX, "swiss-pki=documented")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(server.serial(APEX), serial + 1);
}

#[tokio::test]
async fn a_secondary_refuses_and_the_hint_names_the_primary() {
    let keys = Keys::of(&["prevalidate"]);
    let primary = NameServer::bind(&[prepared_zone()], &keys);
    for start in [NameServer::bind, NameServer::knot] {
        let secondary = start(&[Zone::secondary(APEX, &primary, Refresh::Asked)], &keys);
        let error = Setup::of(&secondary)
            .build()
            .preflight(APEX, RecordKind::Txt)
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{}", shown(&error));
        assert!(
            shown(&error).contains("names ns1.example.test as primary"),
            "{}",
            shown(&error)
        );
    }
}

#[tokio::test]
async fn a_zone_cut_served_by_the_same_server_is_refused_through_the_parent() {
    for start in [NameServer::bind, NameServer::knot, NameServer::pdns] {
        let parent = Zone::new(
            APEX,
            "@ TXT spf
child NS ns1
",
        );
        let server = start(
            &[parent, Zone::new("child.example.test", "")],
            &Keys::of(&["prevalidate"]),
        );
        let (parent, child) = (server.axfr(APEX), server.axfr("child.example.test"));
        let setup = Setup {
            more: json!({ "zones": [APEX] }),
            ..Setup::of(&server)
        };
        let provider = setup.build();
        for owner in ["child.example.test", "www.child.example.test"] {
            let error = add(&*provider, owner, "x").await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unsafe, "{}", shown(&error));
        }
        assert_eq!(
            (server.axfr(APEX), server.axfr("child.example.test")),
            (parent, child)
        );
        let found = Setup::of(&server)
            .build()
            .find_zone("www.child.example.test")
            .await
            .unwrap();
        assert_eq!(found.apex, "child.example.test");
    }
}

#[tokio::test]
async fn a_wildcard_may_be_shadowed_only_when_that_is_allowed() {
    let server = NameServer::bind(&[prepared_zone()], &Keys::of(&["prevalidate"]));
    let provider = Setup {
        more: json!({ "allow_wildcard_shadow": true }),
        ..Setup::of(&server)
    }
    .build();
    assert!(
        add(&*provider, "shop.wild.example.test", "swiss-pki=x")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(server.txt("shop.wild.example.test"), ["swiss-pki=x"]);
}

#[tokio::test]
async fn a_closed_port_is_unavailable_and_the_error_says_where() {
    let provider = Setup::at("127.0.0.1:1".into(), Key::new("k", "hmac-sha256")).build();
    let error = add(&*provider, APEX, "x").await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Unavailable && error.message.contains("127.0.0.1:1"),
        "{}",
        shown(&error)
    );
}

#[test]
fn the_harness_starts_updates_transfers_and_restarts_each_name_server() {
    let keys = Keys::of(&["prevalidate"]);
    let zones = [
        Zone::new("example.test", "@ TXT \"v=spf1  -all\"\n"),
        Zone::new("closed.test", "@ TXT \"v=spf1 -all\"\n").policy(Policy::Closed),
    ];
    for start in [NameServer::bind, NameServer::knot, NameServer::pdns] {
        let mut primary = start(&zones, &keys);
        assert_eq!(primary.txt("example.test"), ["v=spf1  -all"]);
        let before = primary.axfr("example.test");
        assert!(
            before.contains(&"example.test. 3600 IN TXT \"v=spf1  -all\"".to_owned()),
            "{before:#?}"
        );
        primary.nsupdate("update add example.test. 3600 TXT \"foreign value\"");
        primary.restart();
        assert_eq!(
            primary.txt("example.test"),
            ["foreign value", "v=spf1  -all"]
        );
        primary.nsupdate("update delete example.test. TXT \"foreign value\"");
        assert_eq!(primary.axfr("example.test"), before);
        assert!(primary.serial("example.test") > 1);
    }
    for start in [NameServer::bind, NameServer::knot] {
        let primary = start(&zones, &keys);
        for second in [NameServer::bind, NameServer::knot] {
            let stale = second(
                &[Zone::secondary("example.test", &primary, Refresh::Asked)],
                &keys,
            );
            primary.nsupdate("update add example.test. 3600 TXT \"news\"");
            assert_eq!(stale.txt("example.test"), ["v=spf1  -all"]);
            stale.refresh("example.test");
            assert_eq!(stale.axfr("example.test"), primary.axfr("example.test"));
            primary.nsupdate("update delete example.test. TXT \"news\"");
        }
    }
}
