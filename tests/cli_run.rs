//! `run`, `plan`, `status`, `check` as people and cron see them: the built program against a
//! sandbox on loopback.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use prevalidate::clock::SystemClock;
use prevalidate::prevalidation::DomainName;
use prevalidate::sandbox::ca::{Call, Fault, What};
use prevalidate::sandbox::dns::Follow;
use prevalidate::sandbox::{CLIENT, Options, Sandbox};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

const FIVE: [&str; 5] = ["a.test", "b.test", "c.test", "d.test", "xn--bcher-kva.test"];
const SPF: &str = "v=spf1 mx -all";

struct World {
    folder: TempDir,
    sandbox: Sandbox,
}

/// How the program ended and what it said.
#[derive(Debug)]
struct Told {
    code: Option<i32>,
    out: String,
    err: String,
}

impl World {
    async fn of(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let domains = names
            .iter()
            .map(|name| DomainName::from_a_labels(name).unwrap())
            .collect();
        let sandbox = Sandbox::start(Options::new(folder.path(), Arc::new(SystemClock), domains))
            .await
            .unwrap();
        let world = Self { folder, sandbox };
        world.configure(|text| text);
        world
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("prevalidate.toml")
    }

    fn configure(&self, change: impl Fn(String) -> String) {
        std::fs::write(self.config(), change(self.sandbox.configuration())).unwrap();
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prevalidate"));
        command
            .env_clear()
            .args(["--config".as_ref(), self.config().as_os_str()])
            .args(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command.spawn().unwrap()
    }

    async fn tell(&self, arguments: &[&str]) -> Told {
        told(self.start(arguments).wait_with_output().await.unwrap())
    }

    async fn json(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let told = self
            .tell(&[arguments, &["--output", "json"]].concat())
            .await;
        (
            told.code,
            serde_json::from_str(&told.out).unwrap_or_else(|error| panic!("{error}: {told:?}")),
        )
    }

    fn files(&self) -> Vec<String> {
        let mut files: Vec<_> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        files
    }

    /// Calls that change something at the CA.
    fn effects(&self) -> u64 {
        [
            Call::Register,
            Call::Validate,
            Call::ResetToken,
            Call::Delete,
            Call::DeleteToken,
        ]
        .map(|call| self.sandbox.ca.count(call))
        .iter()
        .sum()
    }

    fn ours(&self, name: &str) -> Vec<String> {
        self.sandbox
            .dns
            .txt(name)
            .into_iter()
            .filter(|value| value.starts_with("swiss-pki="))
            .collect()
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let patience = async {
            while !holds(self) {
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), patience)
            .await
            .unwrap_or_else(|_| panic!("never: {what}"));
    }
}

fn told(output: Output) -> Told {
    Told {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn without_domains(configuration: String) -> String {
    let line = configuration
        .lines()
        .find(|line| line.starts_with("domains = "))
        .unwrap()
        .to_owned();
    configuration.replace(&line, "domains = []")
}

fn terminate(child: &Child) {
    let pid = child.id().unwrap().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_run_brings_five_domains_to_valid_and_leaves_the_zones_as_they_were() {
    let world = World::of(&FIVE).await;
    let told = world.tell(&["run", "--wait", "1m", "-v"]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.out.contains("5 domains: 5 valid"), "{told:?}");
    assert!(
        told.err.contains("validated: valid until"),
        "each event is a line: {told:?}"
    );
    assert!(!told.out.contains("stay in DNS"), "{told:?}");
    for name in FIVE {
        assert_eq!(
            world.sandbox.ca.domain(name).map(|domain| domain.status),
            Some("VALID".to_owned())
        );
        assert_eq!(world.sandbox.dns.txt(name), [SPF], "{name}");
    }

    let effects = world.effects();
    let (code, summary) = world.json(&["run"]).await;
    assert_eq!(
        (code, world.effects()),
        (Some(0), effects),
        "a second run finds nothing to do"
    );
    assert_eq!(
        (
            &summary["exit"],
            &summary["domains"],
            &summary["counts"]["valid"]
        ),
        (&0.into(), &5.into(), &5.into())
    );
    assert_eq!(
        (
            summary["attention"].as_array().unwrap().len(),
            summary["in_dns"].as_array().unwrap().len()
        ),
        (0, 0)
    );

    let (code, plan) = world.json(&["plan"]).await;
    assert_eq!(code, Some(0));
    assert!(
        plan["steps"]
            .as_array()
            .unwrap()
            .iter()
            .all(|step| step["step"] == "renew" && step["due"] == false)
    );

    let told = world.tell(&["check"]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    assert_eq!(told.out.lines().count(), 1);
    assert!(
        told.out
            .starts_with("PREVALIDATE OK - 5 of 5 domains are valid"),
        "{told:?}"
    );
    assert!(
        told.out.contains(" | 'valid'=5;;;0;5 'soonest'="),
        "{told:?}"
    );
    let told = world.tell(&["check", "--warning", "400d"]).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.out.contains("; and 2 more"), "{told:?}");

    assert!(world.sandbox.ca.expire("a.test"));
    let told = world.tell(&["status", "--refresh"]).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(
        told.out.contains("expired") && told.out.contains("bücher.test (xn--bcher-kva.test)"),
        "{told:?}"
    );
    let told = world.tell(&["check"]).await;
    assert_eq!(told.code, Some(2), "{told:?}");
    assert!(
        told.out.starts_with("PREVALIDATE CRITICAL - 4 of 5")
            && told.out.contains("a.test is expired"),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_in_json_has_the_documented_fields_and_null_for_what_is_not_there() {
    let world = World::of(&["a.test", "b.test"]).await;
    assert_eq!(
        world
            .json(&["run", "--domain", "a.test", "--wait", "30s"])
            .await
            .0,
        Some(0),
        "only what was asked for"
    );
    assert_eq!(
        (
            world.ours("b.test").len(),
            world.sandbox.ca.domain("b.test").is_none()
        ),
        (0, true)
    );
    let (code, status) = world.json(&["status"]).await;
    assert_eq!(code, Some(1), "b.test is not valid");
    let [a, b] = status.as_array().unwrap().as_slice() else {
        panic!("{status}")
    };
    for object in [a, b] {
        for field in [
            "domain",
            "unicode",
            "client",
            "ca",
            "provider",
            "state",
            "proof",
            "token",
            "attempt",
            "due_at",
            "reason",
            "ca_read_at",
        ] {
            assert!(object.get(field).is_some(), "{field}: {object}");
        }
    }
    assert_eq!((&a["state"], &b["state"]), (&"valid".into(), &"new".into()));
    for field in ["validated_at", "expires_at", "usable_until"] {
        assert!(
            a["proof"][field].as_str().unwrap().ends_with('Z'),
            "{field}: {a}"
        );
    }
    assert_eq!(a["proof"]["method"], "cabdns");
    assert!(a["attempt"].is_null() && b["proof"].is_null() && b["token"].is_null());
    let (code, status) = world
        .json(&["status", "--expiring-within", "1d", "--state", "valid"])
        .await;
    assert_eq!((code, status), (Some(0), Value::Array(Vec::new())));
    let told = world.tell(&["status", "a.test", "A.TEST."]).await;
    assert_eq!(
        (
            told.code,
            told.out
                .lines()
                .filter(|line| line.contains("a.test"))
                .count()
        ),
        (Some(0), 1),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_at_the_ca_and_not_in_the_inventory_is_shown_when_asked_for() {
    let world = World::of(&["a.test"]).await;
    let (client, _) = world.sandbox.ca.clients().remove(0);
    world
        .sandbox
        .ca
        .register(&client, &["stranger.test".to_owned()]);
    assert!(
        !world
            .tell(&["status", "--refresh"])
            .await
            .out
            .contains("stranger.test")
    );
    assert_eq!(world.effects(), 0, "a refresh only lists");
    let (code, status) = world
        .json(&["status", "--refresh", "--state", "unmanaged"])
        .await;
    assert_eq!(
        (code, &status[0]["domain"], &status[0]["state"]),
        (Some(0), &"stranger.test".into(), &"unmanaged".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_creates_no_store_and_changes_nothing_at_the_ca_or_in_dns() {
    let world = World::of(&FIVE).await;
    let before = world.files();
    let told = world.tell(&["plan"]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(
        told.out.contains("5 of 5 domains have something to do now"),
        "{told:?}"
    );
    assert_eq!(
        told.out.matches("register").count(),
        10,
        "step and reason: {told:?}"
    );
    let told = world.tell(&["plan", "--output", "markdown"]).await;
    assert!(
        told.out.starts_with("# Plan of ")
            && told.out.contains("| a.test | new | register | now |"),
        "{told:?}"
    );
    let (code, plan) = world
        .json(&["run", "--dry-run", "--domain", "bücher.test"])
        .await;
    assert_eq!(
        (code, plan["steps"].as_array().unwrap().len()),
        (Some(0), 1),
        "{plan}"
    );
    assert_eq!(world.files(), before);
    assert_eq!((world.effects(), world.sandbox.dns.updates()), (0, 0));

    assert_eq!(world.tell(&["run", "--wait", "30s"]).await.code, Some(0));
    let store = std::fs::read(world.folder.path().join("prevalidate.db")).unwrap();
    world.configure(without_domains);
    let (code, plan) = world.json(&["plan"]).await;
    assert_eq!((code, &plan["refused"]), (Some(5), &true.into()), "{plan}");
    assert_eq!(
        std::fs::read(world.folder.path().join("prevalidate.db")).unwrap(),
        store
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guard_refuses_an_empty_list_of_the_ca_and_a_shrunken_inventory() {
    let world = World::of(&FIVE).await;
    assert_eq!(world.tell(&["run", "--wait", "30s"]).await.code, Some(0));
    let effects = world.effects();
    world.configure(without_domains);
    let told = world.tell(&["run"]).await;
    assert_eq!(told.code, Some(5), "{told:?}");
    assert!(
        told.err
            .contains("5 of 5 domains are gone from the inventory")
            && told.err.contains("--force"),
        "{told:?}"
    );
    world.configure(|text| text);
    FIVE.iter()
        .for_each(|name| assert!(world.sandbox.ca.delete(name)));
    let told = world.tell(&["run"]).await;
    assert_eq!(told.code, Some(5), "{told:?}");
    assert!(
        told.err.contains("5 of 5 registrations") && told.err.contains("--force"),
        "{told:?}"
    );
    assert_eq!(world.effects(), effects, "nothing was done");
    let told = world.tell(&["check"]).await;
    assert_eq!(told.code, Some(2), "{told:?}");
    assert!(
        told.out.contains("CRITICAL") && told.out.contains("the guard refused to act: 5 of 5"),
        "{told:?}"
    );
    let told = world.tell(&["run", "--force", "--wait", "30s"]).await;
    assert_eq!(
        (told.code, world.effects() > effects),
        (Some(0), true),
        "{told:?}"
    );
    assert_eq!(world.tell(&["check"]).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_is_3_and_a_ca_that_is_down_is_75() {
    let world = World::of(&["a.test"]).await;
    std::fs::write(world.folder.path().join("api.key"), "x".repeat(64)).unwrap();
    for command in ["run", "plan"] {
        let told = world.tell(&[command]).await;
        assert_eq!(told.code, Some(3), "{told:?}");
        assert!(
            told.err.contains(CLIENT) && !told.err.contains("xxxx"),
            "{told:?}"
        );
    }
    world.sandbox.ca.stop();
    let (run, plan) = tokio::join!(world.tell(&["run", "--wait", "1s"]), world.tell(&["plan"]));
    assert_eq!(
        (run.code, plan.code),
        (Some(75), Some(75)),
        "{run:?} {plan:?}"
    );
    assert!(run.out.contains("1 domain: 1 new"), "{run:?}");
    let port = world.sandbox.ca.address();
    assert!(
        run.err.contains(&format!("no connection to {port}")),
        "a firewall knows ports: {run:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_is_refused_in_the_middle_of_a_run_is_3_as_well() {
    let world = World::of(&["a.test", "b.test"]).await;
    world.sandbox.dns.follow(1, Follow::Never);
    let child = world.start(&["run", "--wait", "1m"]);
    world
        .until("published", |world| {
            !world.ours("a.test").is_empty() && !world.ours("b.test").is_empty()
        })
        .await;
    world.sandbox.ca.replace_key("y".repeat(64).into());
    world.sandbox.dns.follow(1, Follow::Now);
    let told = told(child.wait_with_output().await.unwrap());
    assert_eq!(told.code, Some(3), "{told:?}");
    assert!(
        told.err.contains(CLIENT) && told.out.contains("2 domains: 2 pending"),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_refuses_is_4_and_the_summary_says_which_and_why() {
    let world = World::of(&["a.test"]).await;
    world.sandbox.dns.remove_keys();
    let (code, summary) = world.json(&["run", "--wait", "2s"]).await;
    assert_eq!(code, Some(4), "{summary}");
    assert_eq!(summary["attention"][0]["domain"], "a.test");
    assert!(
        summary["attention"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("BADKEY"),
        "{summary}"
    );
    let told = world.tell(&["run", "--wait", "1s"]).await;
    assert_eq!(told.code, Some(4), "{told:?}");
    assert!(
        told.out.contains("a.test") && told.out.contains("register"),
        "nothing is registered that could not be written: {told:?}"
    );
    assert_eq!(
        summary["in_dns"],
        Value::Array(Vec::new()),
        "what was never written stays nowhere"
    );
    assert!(told.out.contains("tried again by itself"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_cannot_be_removed_is_4_says_why_and_is_a_warning() {
    let world = World::of(&["a.test"]).await;
    world.sandbox.dns.follow(1, Follow::Never);
    assert_eq!(
        world.tell(&["run", "--wait", "2s"]).await.code,
        Some(4),
        "published, and one server is late"
    );
    world.sandbox.dns.follow(1, Follow::Now);
    world.sandbox.dns.remove_keys();
    let told = world.tell(&["run", "--wait", "10s"]).await;
    assert_eq!(told.code, Some(4), "valid, and our value stays: {told:?}");
    assert!(
        told.out.contains("could not be removed") && told.out.contains("BADKEY"),
        "{told:?}"
    );
    let told = world.tell(&["check"]).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(
        told.out.contains("WARNING") && told.out.contains("could not be removed from a.test"),
        "{told:?}"
    );

    // A question about one client is answered for that client.
    world.configure(|text| {
        format!(
            "{text}\n[[client]]\nca = \"sandbox\"\nname = \"Other AG\"\ndomains = [\"b.test\"]\n"
        )
    });
    let told = world.tell(&["check", "--client", CLIENT]).await;
    assert!(told.out.contains("could not be removed"), "{told:?}");
    let told = world.tell(&["check", "--client", "Other AG"]).await;
    assert!(
        told.out.contains("0 of 1 domain") && !told.out.contains("could not be removed"),
        "{told:?}"
    );
    world.configure(|text| {
        format!(
            "{text}\n[[certificate]]\nname = \"www\"\nca = \"sandbox\"\n\
             product = \"OV SSL Gold Multi-Domain\"\nnames = [\"www.a.test\"]\n"
        )
    });
    for (part, counts) in [(["--ca", "sandbox"], true), (["--client", CLIENT], false)] {
        let told = world.tell(&["check", part[0], part[1]]).await;
        assert_eq!(told.out.contains("0 of 1 certificate"), counts, "{told:?}");
    }
}

/// Dates the waiting back and breaks the zone, as far as the store knows.
fn remember(world: &World, path: &str, value: &str) {
    let store = world.folder.path().join("prevalidate.db");
    let change = format!(
        "UPDATE domain SET attempt = json_set(attempt, '$.{path}', json('{value}')) WHERE name = 'a.test'"
    );
    crate::support::process::run("sqlite3", &[store.to_str().unwrap(), &change], "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_too_long_is_told_and_a_bogus_zone_before_everything_else() {
    let world = World::of(&["a.test", "b.test"]).await;
    world.sandbox.dns.follow(1, Follow::Never);
    let told = world.tell(&["run", "--wait", "1s"]).await;
    assert!(
        told.code == Some(4) && !told.err.contains("late"),
        "{told:?}"
    );
    let (_, status) = world.json(&["status"]).await;
    assert!(
        status[0]["waiting"]["for"]
            .as_str()
            .unwrap()
            .ends_with("(stale)"),
        "{status}"
    );
    assert_eq!(
        (&status[0]["waiting"]["lateness"], &status[0]["bogus"]),
        (&"in_time".into(), &Value::Null)
    );

    remember(&world, "waits_since", "\"2026-01-01T12:00:00Z\"");
    let (_, status) = world.json(&["status"]).await;
    assert_eq!(
        (
            &status[0]["waiting"]["lateness"],
            &status[1]["waiting"]["lateness"]
        ),
        (&"overdue".into(), &"in_time".into())
    );
    let told = world.tell(&["run", "-v", "--wait", "1s"]).await;
    assert!(
        told.err.contains("1 domain is late")
            && told.out.contains("overdue: waits for")
            && told.err.contains("overdue since 2026-01-02 12:00"),
        "{told:?}"
    );
    assert!(
        world
            .tell(&["history", "a.test"])
            .await
            .out
            .contains("overdue")
    );
    assert_eq!(
        world.ours("a.test").len(),
        1,
        "nothing is removed because of it"
    );

    remember(
        &world,
        "bogus",
        "{\"since\": \"2026-01-01T12:00:00Z\", \"fault\": \"its signatures have expired\"}",
    );
    let told = world.tell(&["status"]).await;
    let first = "error: a.test: validating resolvers refuse its zone, seen since 2026-01-01 12:00 UTC: its signatures have expired";
    assert!(
        told.err.starts_with(first) && told.err.contains("prevalidate withdraw a.test"),
        "{told:?}"
    );
    let told = world.tell(&["check"]).await;
    assert!(
        told.code == Some(2) && told.out.contains("a.test: resolvers refuse its zone"),
        "{told:?}"
    );
    world.sandbox.dns.follow(1, Follow::Now);
    assert_eq!(
        world.tell(&["run", "--wait", "1m"]).await.code,
        Some(0),
        "a check knows better"
    );
    assert!(!world.tell(&["status"]).await.err.contains("refuse"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_run_prints_nothing_when_all_is_well() {
    let world = World::of(&["a.test"]).await;
    let told = world.tell(&["run", "--quiet", "--wait", "30s"]).await;
    assert_eq!(
        (told.code, told.out.as_str(), told.err.as_str()),
        (Some(0), "", "")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_during_the_wait_says_what_stays_in_dns_and_the_next_run_removes_it() {
    let world = World::of(&["a.test"]).await;
    world.sandbox.dns.follow(1, Follow::Never);
    let child = world.start(&["run", "--wait", "10m"]);
    world
        .until("published and checked", |world| {
            !world.ours("a.test").is_empty() && world.sandbox.dns.queries(1) > 0
        })
        .await;
    terminate(&child);
    let told = told(child.wait_with_output().await.unwrap());
    assert_eq!(told.code, Some(4), "the name servers are late: {told:?}");
    let value = world.ours("a.test").remove(0);
    assert!(
        told.out
            .contains("stay in DNS; the next run continues with them and removes them"),
        "{told:?}"
    );
    assert!(
        told.out.contains(&format!("a.test TXT \"{value}\"")),
        "{told:?}"
    );
    world.sandbox.dns.follow(1, Follow::Now);
    assert_eq!(world.tell(&["run", "--wait", "1m"]).await.code, Some(0));
    assert_eq!(world.sandbox.dns.txt("a.test"), [SPF]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once() {
    let world = World::of(&["a.test"]).await;
    // After the first signal a call with an effect still continues to its end.
    let slow = Fault::nth(Call::Register, 1, What::Delay(8_000));
    world.sandbox.ca.fault(slow);
    let mut child = world.start(&["run", "--quiet"]);
    world
        .until("a call is under way", |world| {
            !world.sandbox.ca.has_faults()
        })
        .await;
    terminate(&child);
    let mut said = [0; 8];
    child
        .stderr
        .as_mut()
        .unwrap()
        .read_exact(&mut said)
        .await
        .unwrap();
    assert_eq!(&said, b"warning:");
    terminate(&child);
    let ended = tokio::time::timeout(Duration::from_secs(4), child.wait())
        .await
        .expect("ends at once")
        .unwrap();
    assert_eq!(ended.code(), Some(143));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_signal_ends_a_run_that_waits_for_a_silent_ca_to_answer_a_read() {
    let world = World::of(&["a.test"]).await;
    let slow = Fault::nth(Call::List, 1, What::Delay(60_000));
    world.sandbox.ca.fault(slow);
    let mut child = world.start(&["run", "--quiet"]);
    world
        .until("the list is asked for", |world| {
            !world.sandbox.ca.has_faults()
        })
        .await;
    terminate(&child);
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait())
        .await
        .expect("does not wait for the CA")
        .unwrap();
    assert_eq!(ended.code(), Some(75));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_gets_a_bar_and_a_pipe_gets_none() {
    let world = World::of(&["a.test", "b.test"]).await;
    world
        .sandbox
        .ca
        .change(|behaviour| behaviour.latency_ms = 100);
    let line = format!(
        "{} --config {} run --wait 30s",
        env!("CARGO_BIN_EXE_prevalidate"),
        world.config().display()
    );
    let terminal = Command::new("script")
        .env("TERM", "xterm")
        .args(["-qec", &line, "/dev/null"])
        .output();
    let terminal = told(
        terminal
            .await
            .expect("script (package bsdutils) is installed"),
    );
    assert_eq!(terminal.code, Some(0), "{terminal:?}");
    assert!(
        terminal.out.contains("valid domains") && terminal.out.contains("2/2"),
        "{terminal:?}"
    );
    assert!(terminal.out.contains("2 domains: 2 valid"), "{terminal:?}");
    let pipe = world.tell(&["run"]).await;
    assert!(
        pipe.code == Some(0) && !pipe.err.contains("valid domains") && !pipe.err.contains('\u{1b}'),
        "{pipe:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_are_wrong_or_unknown_are_all_told_and_leave_no_trace() {
    let world = World::of(&["a.test"]).await;
    let before = world.files();
    for command in ["run", "plan"] {
        let told = world
            .tell(&[
                command, "--domain", "co.uk", "--domain", "a b", "--domain", "a.test",
            ])
            .await;
        assert_eq!(told.code, Some(2), "{told:?}");
        assert!(
            told.err.contains("`co.uk` is a public suffix") && told.err.contains("`a b`"),
            "{told:?}"
        );
        let told = world
            .tell(&[command, "--domain", "b.test", "--domain", "c.test"])
            .await;
        assert_eq!(told.code, Some(2), "{told:?}");
        assert!(
            told.err.contains("b.test is not in") && told.err.contains("c.test is not in"),
            "{told:?}"
        );
        assert!(told.err.contains("prevalidate add"), "{told:?}");
        let told = world.tell(&[command, "--client", "Unknown"]).await;
        assert!(
            told.code == Some(2) && told.err.contains(CLIENT),
            "{told:?}"
        );
    }
    let told = world.tell(&["status", "b.test"]).await;
    assert!(
        told.code == Some(2) && told.err.contains("prevalidate add b.test"),
        "{told:?}"
    );
    let told = world.tell(&["check"]).await;
    assert!(
        told.code == Some(3)
            && told
                .out
                .starts_with("PREVALIDATE UNKNOWN - there is no store"),
        "{told:?}"
    );
    assert_eq!(world.files(), before);
    assert_eq!(world.sandbox.ca.log().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_made_by_a_run_which_says_so_and_never_where_no_folder_is() {
    let world = World::of(&["a.test"]).await;
    let before = world.files();
    let told = world.tell(&["status", "--refresh"]).await;
    assert!(
        told.code == Some(1) && told.out.contains("a.test"),
        "{told:?}"
    );
    for command in [
        ["hook", "a.test"],
        ["reset", "a.test"],
        ["withdraw", "a.test"],
        ["remove", "b.test"],
    ] {
        let told = world.tell(&command).await;
        assert!(matches!(told.code, Some(0 | 2)), "{told:?}");
        assert_eq!(world.files(), before, "{command:?}");
    }
    let told = world.tell(&["hook", "a.test"]).await;
    assert!(
        told.code == Some(2) && told.err.contains("there is no store at"),
        "{told:?}"
    );

    let lost = world.folder.path().join("lost");
    let there = format!("{}/prevalidate.db", world.folder.path().display());
    world.configure(|text| text.replace(&there, &format!("{}/prevalidate.db", lost.display())));
    for command in ["run", "plan"] {
        let told = world.tell(&[command]).await;
        let fits = if command == "run" {
            told.code == Some(2) && told.err.contains("mkdir -m 700 -p")
        } else {
            told.code == Some(0)
        };
        assert!(fits && !lost.exists(), "{told:?}");
    }
    world.configure(|text| text);
    let told = world.tell(&["run", "--wait", "30s"]).await;
    assert!(
        told.code == Some(0) && told.err.contains(&format!("made a new store, {there}")),
        "{told:?}"
    );
    assert!(!world.tell(&["run"]).await.err.contains("made a new store"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_below_a_wanted_one_counts_with_it() {
    let world = World::of(&["a.test", "b.test"]).await;
    world.configure(|text| text.replace("domains = [", "domains = [\"www.a.test\", "));
    assert_eq!(world.tell(&["run", "--wait", "30s"]).await.code, Some(0));
    assert_eq!(
        world
            .sandbox
            .ca
            .domain("www.a.test")
            .map(|domain| domain.status),
        None
    );
    let (code, status) = world.json(&["status", "www.a.test"]).await;
    assert_eq!(
        (code, &status[0]["state"], &status[0]["covered_by"]),
        (Some(0), &"valid".into(), &"a.test".into())
    );
    let (_, plan) = world.json(&["plan", "--domain", "www.a.test"]).await;
    assert_eq!(
        plan["steps"][0]["state"], "valid",
        "plan and status say the same: {plan}"
    );
    assert!(world.sandbox.ca.expire("a.test"));
    world.tell(&["status", "--refresh"]).await;
    let (code, status) = world.json(&["status", "www.a.test"]).await;
    assert_eq!(
        (code, &status[0]["state"]),
        (Some(1), &"expired".into()),
        "{status}"
    );
}
