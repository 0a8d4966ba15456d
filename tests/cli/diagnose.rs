//! `diagnose` as people and programs meet it: the built binary against a sandbox with servers that
//! lag, lie or are silent.

use prevalidate::clock::{Clock, SystemClock};
use std::collections::BTreeMap;
use std::path::Path;

use prevalidate::sandbox::ca::Call;
use prevalidate::sandbox::dns::Follow;
use serde_json::Value;

use super::life::Lab;
use crate::support::process;

const SPF: &str = "v=spf1 mx -all";

impl Lab {
    /// The only report about `domain`, and the exit status.
    pub(super) async fn diagnose(&self, args: &[&str]) -> (Option<i32>, Value) {
        let said = self
            .run(&[&["diagnose", "--output", "json"], args].concat())
            .await;
        let mut reports = said.json();
        assert_eq!(reports.as_array().unwrap().len(), 1, "{reports}");
        (said.status, reports[0].take())
    }

    /// A record of ours is in the zone, on the primary alone.
    async fn with_a_stale_secondary() -> Self {
        let lab = Self::of(&["one.test"]).await;
        lab.sandbox.dns.follow(1, Follow::Never);
        lab.run(&["run", "--wait", "0s"]).await;
        lab.run(&["run", "--wait", "0s"]).await;
        assert_eq!(
            lab.sandbox.dns.txt("one.test").len(),
            2,
            "the value is published"
        );
        lab
    }

    /// Everything on disk, in the zones, and that was done at the CA.
    fn state(&self) -> (BTreeMap<String, Vec<u8>>, Vec<String>, u64) {
        let effects = [
            Call::Register,
            Call::Validate,
            Call::ResetToken,
            Call::Delete,
            Call::DeleteToken,
        ];
        let effects = effects
            .iter()
            .map(|call| self.sandbox.ca.count(*call))
            .sum();
        let zone = self.sandbox.dns.zone(0, "one.test").unwrap();
        let records = [zone.records(), vec![zone.serial().to_string()]].concat();
        (files(self.folder.path()), records, effects)
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

fn codes(report: &Value) -> Vec<&str> {
    report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_server_is_named_and_nothing_is_changed_anywhere() {
    let lab = Lab::with_a_stale_secondary().await;
    let before = lab.state();
    let (status, report) = lab.diagnose(&["one.test"]).await;
    assert_eq!(
        (status, &report["verdict"]["code"]),
        (Some(4), &"stale-server".into()),
        "{report}"
    );
    assert_eq!(report["verdict"]["severity"], "blocks");
    let stale = lab.sandbox.dns.addresses()[1].to_string();
    assert!(
        report["verdict"]["text"].as_str().unwrap().contains(&stale),
        "{report}"
    );
    assert_eq!(
        report["dns"]["chance_percent"]
            .as_f64()
            .map(|percent| percent < 20.0),
        Some(true)
    );
    assert_eq!(report["dns"]["gate"]["go"], false);
    assert_eq!(
        (
            &report["provider"]["holds_value"],
            &report["provider"]["error"]
        ),
        (&true.into(), &Value::Null)
    );
    assert_eq!(
        (&report["ca"]["status"], &report["ledger"][0]["state"]),
        (&"PENDING".into(), &"published".into())
    );
    assert_eq!(report["value_from"], "the attempt that is under way");
    assert_eq!(report["inventory"]["state"], "pending");

    let said = lab
        .run(&["diagnose", "one.test"])
        .await
        .ends(4)
        .says("BLOCKED: 1 of 2 addresses")
        .says("Next: ");
    for section in [
        "Name servers",
        "TXT at the name",
        "CAA",
        "Caches",
        "Provider sandbox",
        "CA sandbox",
        "Ledger",
    ] {
        assert!(
            said.out.lines().any(|line| line.starts_with(section)),
            "no `{section}` in {said:#?}"
        );
    }
    assert!(
        said.out.lines().all(|line| line.chars().count() <= 80),
        "{said:#?}"
    );
    assert_eq!(lab.state(), before);

    lab.sandbox.dns.follow(1, Follow::Now);
    let (status, report) = lab.diagnose(&["one.test"]).await;
    assert_eq!(
        (status, codes(&report)),
        (Some(0), vec!["visible", "still-cached"]),
        "{report}"
    );
    assert!(
        report["verdict"]["next"]
            .as_str()
            .unwrap()
            .contains("prevalidate run --domain one.test")
    );
    lab.run(&["diagnose", "one.test"])
        .await
        .ends(0)
        .says("READY: the CA will see the value");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_and_lame_servers_and_a_missing_value_have_their_codes() {
    let lab = Lab::of(&["one.test"]).await;
    let check = async |first: Follow, second: Follow, value: &'static str| {
        lab.sandbox.dns.follow(0, first);
        lab.sandbox.dns.follow(1, second);
        let (status, report) = lab
            .diagnose(&["one.test", "--dns-only", "--value", value])
            .await;
        (
            status,
            report["verdict"]["code"].as_str().unwrap().to_owned(),
        )
    };
    let table = [
        (Follow::Now, Follow::Now, SPF, 0, "visible"),
        (Follow::Now, Follow::Dead, SPF, 0, "dead-server"),
        (Follow::Now, Follow::Lame, SPF, 0, "lame-server"),
        (Follow::Lame, Follow::Lame, SPF, 4, "lame-server"),
        (Follow::Dead, Follow::Dead, SPF, 4, "no-server-reachable"),
        (Follow::Now, Follow::Now, "another", 4, "value-missing"),
    ];
    lab.configure("settle = \"0s\"", "settle = \"0s\"\ntimeout = \"300ms\"");
    for (first, second, value, status, code) in table {
        assert_eq!(
            check(first, second, value).await,
            (Some(status), code.to_owned()),
            "{first:?} {second:?} {value}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_and_ca_have_their_say() {
    let lab = Lab::of(&["one.test"]).await;
    lab.run(&["run", "--wait", "20s"]).await.ends(0);
    let (status, report) = lab.diagnose(&["one.test"]).await;
    assert_eq!(
        (status, &report["verdict"]["code"], &report["value"]),
        (Some(0), &Value::Null, &Value::Null),
        "{report}"
    );
    assert_eq!(report["ca"]["status"], "VALID");

    lab.sandbox.dns.refuse_updates_at("one.test");
    let (status, report) = lab.diagnose(&["one.test"]).await;
    assert_eq!(
        (status, codes(&report)),
        (Some(4), vec!["provider-refuses"]),
        "{report}"
    );
    let (status, report) = lab.diagnose(&["one.test", "--value", SPF]).await;
    assert_eq!(
        (status, codes(&report)),
        (Some(0), vec!["provider-refuses", "visible"]),
        "what is there need not be written"
    );
    let (status, report) = lab.diagnose(&["one.test", "--dns-only"]).await;
    assert_eq!(
        (status, &report["provider"], &report["ca"]),
        (Some(0), &Value::Null, &Value::Null),
        "{report}"
    );

    let key = lab.folder.path().join("api.key");
    std::fs::write(&key, "x".repeat(64)).unwrap();
    let (status, report) = lab.diagnose(&["one.test", "--value", SPF]).await;
    assert_eq!(
        (status, &report["verdict"]["code"]),
        (Some(3), &"ca-refuses".into()),
        "{report}"
    );

    lab.sandbox.ca.stop();
    let (status, report) = lab.diagnose(&["one.test", "--value", SPF]).await;
    assert_eq!(status, Some(0), "{report}");
    assert!(codes(&report).contains(&"ca-unavailable"));
    assert_eq!(report["ca"]["status"], "VALID", "the store knows it");
    assert!(report["ca"]["read_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_resolver_is_asked_about_a_value_that_was_never_written() {
    let lab = Lab::of(&["one.test"]).await;
    lab.sandbox.dns.refuse_updates_at("one.test");
    // A colleague has registered it: what cannot be written is not registered by a run.
    let client = lab.sandbox.ca.clients().remove(0).0;
    let one = ["one.test".to_owned()];
    assert_eq!(lab.sandbox.ca.register(&client, &one), 1);
    lab.run(&["run", "--wait", "0s"]).await;
    lab.run(&["run", "--wait", "0s"]).await;
    assert_eq!(
        lab.sandbox.dns.txt("one.test").len(),
        1,
        "the CA waits for a value, and none could be written"
    );
    // Name servers are out of reach; the resolvers are not.
    let resolvers: Vec<String> = lab
        .sandbox
        .dns
        .addresses()
        .iter()
        .map(|address| format!("\"{address}\""))
        .collect();
    let mode = format!(
        "mode = \"resolvers\"\nresolvers = [{}]\nroots = [\"127.0.0.1:9\"]",
        resolvers.join(", ")
    );
    lab.configure("mode = \"authoritative\"", &mode);
    lab.configure(
        "\n[propagation.zone.\"one.test\"]\nname_servers",
        "\n[propagation.zone.\"other.test\"]\nname_servers",
    );
    let (_, report) = lab.diagnose(&["one.test"]).await;
    assert!(
        report["value"].is_string() && report["ledger"] == Value::Array(Vec::new()),
        "{report}"
    );
    assert_eq!(
        report["dns"]["caches"]["resolvers"],
        Value::Array(Vec::new()),
        "they would keep \"not there\""
    );
    assert_eq!(report["verdict"]["code"], "provider-refuses", "{report}");
    // A person who names a value says that it is there.
    let (_, report) = lab.diagnose(&["one.test", "--value", SPF]).await;
    assert!(
        !report["dns"]["caches"]["resolvers"]
            .as_array()
            .unwrap()
            .is_empty(),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_outside_the_inventory_are_examined_and_the_worst_of_several_counts() {
    let lab = Lab::of(&["one.test", "xn--bcher-kva.test"]).await;
    // No server listens there: a walk ends at once.
    lab.configure(
        "settle = \"0s\"",
        "settle = \"0s\"\nroots = [\"127.0.0.1:9\"]",
    );
    lab.configure(r#""one.test","xn--bcher-kva.test"]"#, "]");
    let (status, report) = lab.diagnose(&["bücher.test", "--value", SPF]).await;
    assert_eq!(
        (status, codes(&report)),
        (Some(0), vec!["visible"]),
        "{report}"
    );
    assert_eq!(
        (&report["inventory"], &report["ca"], &report["unicode"]),
        (&Value::Null, &Value::Null, &"bücher.test".into())
    );

    let said = lab
        .run(&[
            "diagnose",
            "bücher.test",
            "one.test",
            "gone.example",
            "--dns-only",
        ])
        .await
        .ends(4);
    let said = said
        .says("bücher.test (xn--bcher-kva.test)")
        .says("NOTHING BLOCKS")
        .says("BLOCKED: ");
    assert_eq!(
        said.out.matches("\nDelegation\n").count(),
        2,
        "no server serves the third: {said:#?}"
    );

    let (status, report) = lab.diagnose(&["co.uk"]).await;
    assert_eq!(
        (status, &report["verdict"]["code"]),
        (Some(4), &"public-suffix".into())
    );
    lab.run(&["diagnose", "localhost"])
        .await
        .ends(2)
        .says("localhost");
    lab.run(&["diagnose"]).await.ends(2);
    lab.configure("[policy]", "[polcy]");
    lab.run(&["diagnose", "one.test"])
        .await
        .ends(2)
        .says("is not a key")
        .says("--dns-only");
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_values_drive_no_terminal() {
    let lab = Lab::of(&["one.test"]).await;
    let long = "y".repeat(3000);
    lab.sandbox.dns.edit("one.test", |zone| {
        zone.txt("one.test", "evil\u{1b}[2J\u{9b}\n\u{202e}")
            .txt("one.test", &long)
    });
    let said = lab
        .run(&["diagnose", "one.test", "--dns-only"])
        .await
        .ends(0)
        .says("evil\\027[2J");
    assert!(
        said.out.lines().all(|line| line.chars().count() <= 80),
        "{said:#?}"
    );
    let said = said.says("answer has 3");
    assert!(
        !said.out.contains(&"y".repeat(200)),
        "long values are cut for people"
    );
    let (_, report) = lab.diagnose(&["one.test", "--dns-only"]).await;
    let values = report["dns"]["servers"][0]["values"].as_array().unwrap();
    assert!(
        values.contains(&long.as_str().into()),
        "and whole for programs"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_ca_has_refused_is_not_called_ready() {
    let lab = Lab::of(&["one.test"]).await;
    // The CA checks through a resolver that does not exist; every name server has the value.
    let no_resolver = "127.0.0.1:9".parse().unwrap();
    lab.sandbox.ca.change(|ca| ca.resolvers = vec![no_resolver]);
    lab.run(&["run", "--wait", "2s"]).await;
    assert!(lab.sandbox.ca.count(Call::Validate) > 0, "the CA was asked");
    let (_, report) = lab.diagnose(&["one.test"]).await;
    assert_eq!(report["verdict"]["code"], "ca-last-words", "{report}");
    let words = report["ca"]["last_words"].as_str().unwrap();
    assert!(
        report["verdict"]["text"].as_str().unwrap().contains(words),
        "{report}"
    );
    let said = lab
        .run(&["diagnose", "one.test"])
        .await
        .says("NOT READY: every name server");
    assert!(!said.out.contains("\nREADY"), "{said:?}");

    // A person resets the token at the CA: it waits for another value now.
    assert!(lab.sandbox.ca.reset_token("one.test"));
    let (_, report) = lab.diagnose(&["one.test"]).await;
    assert_eq!(report["verdict"]["code"], "ca-other-value", "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_another_process_works_on_is_said_to_be_held_by_it() {
    let lab = Lab::with_a_stale_secondary().await;
    let until = SystemClock.now().as_microsecond() + 200_000_000;
    let hold = format!("UPDATE domain SET lease_until = {until}, lease_holder = 'run-other/4711'");
    let file = lab.folder.path().join("prevalidate.db");
    process::run("sqlite3", &[&file.display().to_string(), &hold], "");
    let (_, report) = lab.diagnose(&["one.test"]).await;
    assert!(codes(&report).contains(&"worked-on"), "{report}");
    lab.run(&["diagnose", "one.test"])
        .await
        .says("the process 4711 (run-other) works on it");
}
