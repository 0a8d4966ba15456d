//! Hooks to the daemon: what waits is checked within a second, and a storm of them is as good as
//! one.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use prevalidate::clock::{Clock as _, SystemClock};
use prevalidate::sandbox::ca::Call;
use serde_json::json;
use tokio::runtime::Runtime;

use super::world::{Setup, World};
use crate::support::daemon::Daemon;
use crate::support::hooks::{SECTIONS, start};
use crate::support::{Keys, NameServer, Zone, process};

const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn until<T>(daemon: &Daemon, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "{what} does not come:\n{}",
            daemon.said()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn sql(world: &World, setup: &Setup, statement: &str) -> String {
    process::run(
        "sqlite3",
        &[
            "-cmd",
            ".timeout 10000",
            &setup.store(world).display().to_string(),
            statement,
        ],
        "",
    )
}

/// When something was first done for a domain after a moment.
fn done_after(
    world: &World,
    setup: &Setup,
    domain: &str,
    kind: &str,
    moment: Timestamp,
) -> Option<Timestamp> {
    let history = world
        .run(setup, &["history", domain, "--output", "json"])
        .exits(0)
        .json();
    let events = history
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["kind"] == json!(kind));
    events
        .map(|event| event["at"].as_str().unwrap().parse().unwrap())
        .find(|at: &Timestamp| *at >= moment)
}

#[test]
fn what_was_held_is_tried_within_a_second_of_the_hook_that_says_it_was_mended() {
    let names = ["one.a.test", "two.a.test", "three.a.test"].map(str::to_owned);
    let aliases = "one CNAME elsewhere\ntwo CNAME elsewhere\nthree CNAME elsewhere";
    let server = NameServer::bind(&[Zone::new("a.test", aliases)], &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    let mut setup = world.setup(&server, &["a.test"]);
    setup.domains = names.to_vec();
    setup.more = SECTIONS.to_owned();
    let (daemon, sender) = start(world.command(&setup, &["serve", "-vvv"]));
    let runtime = Runtime::new().unwrap();
    let waits = "SELECT count(*) FROM domain WHERE attempt LIKE '%alias%'";
    until(&daemon, "the alias", || {
        (sql(&world, &setup, waits).trim() == "3").then_some(())
    });
    let calls = world.ca.log().len();
    // What came right after the last try would wait some seconds; here that was a while ago.
    sql(
        &world,
        &setup,
        "UPDATE domain SET attempt = json_set(attempt, '$.taken_up_at', '2026-01-01T00:00:00Z')",
    );
    let took: Vec<_> = names
        .iter()
        .map(|name| {
            let label = name.split('.').next().unwrap();
            server.nsupdate(&format!(
                "update delete {name}. CNAME\nupdate add {name}. 60 A 192.0.2.1"
            ));
            let sent = SystemClock.now();
            let answer = runtime.block_on(sender.send(&format!("mended-{label}"), name));
            assert_eq!(
                answer,
                json!({ "accepted": [name], "ignored": [], "domains": 1 })
            );
            let tried = until(&daemon, name, || {
                done_after(&world, &setup, name, "published", sent)
            });
            tried.duration_since(sent).as_millis()
        })
        .collect();
    // The machine may be busy; one of three shows that nothing waits for a poll.
    assert!(took.iter().min().unwrap() < &1000, "{took:?} ms");
    until(&daemon, "three proofs", || {
        (world.ca.count(Call::Validate) == 3).then_some(())
    });
    assert!(world.ca.log().len() > calls);
}

#[test]
fn a_storm_of_hooks_makes_each_domain_be_tried_once_and_the_last_hint_is_not_lost() {
    let domains: Vec<String> = (0..10).map(|n| format!("d{n}.test")).collect();
    let zones: Vec<Zone> = domains
        .iter()
        .map(|domain| Zone::new(domain, "@ 3600 TXT \"v=spf1 -all\""))
        .collect();
    let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    let mut setup = world.setup(
        &server,
        &domains.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    setup.provider = None;
    setup.more = format!(
        "[provider.gitops]\nkind = \"manual\"\nzones = {}\n{SECTIONS}",
        json!(domains)
    );
    let (daemon, sender) = start(world.command(&setup, &["serve", "-vvv"]));
    let runtime = Runtime::new().unwrap();
    until(&daemon, "what the pipeline must write", || {
        let printed = world.run(&setup, &["records", "--output", "json"]).json();
        (printed["must_stand"].as_array().unwrap().len() == domains.len()).then_some(())
    });
    let calls = world.ca.log().len();
    runtime.block_on(sender.storm(&domains, 100));
    assert_eq!(world.ca.count(Call::Validate), 0, "a hint is not believed");
    assert_eq!(
        world.ca.log().len(),
        calls,
        "nothing that DNS does not show is asked of the CA"
    );

    // The pipeline writes, and sends a hook for every record, before, while and after it does.
    let key = server.tsig_key_file().display().to_string();
    let printed = world
        .run(&setup, &["records", "--format", "nsupdate"])
        .exits(0)
        .stdout;
    let storm = {
        let (sender, domains) = (sender.clone(), domains.clone());
        runtime.spawn(async move { sender.storm(&domains, 200).await })
    };
    process::run(
        "nsupdate",
        &["-v", "-k", &key],
        &format!("server 127.0.0.1 {}\n{printed}", server.address().port()),
    );
    runtime.block_on(storm).unwrap();
    runtime.block_on(sender.storm(&domains, 10));
    until(&daemon, "ten proofs", || {
        (world.ca.count(Call::Validate) == domains.len() as u64).then_some(())
    });
    until(&daemon, "ten that rest", || {
        let views = world.run(&setup, &["status", "--output", "json"]).json();
        views
            .as_array()?
            .iter()
            .all(|view| view["state"] == json!("valid"))
            .then_some(())
    });
    // Another storm finds nothing to do.
    runtime.block_on(sender.storm(&domains, 100));
    for domain in &domains {
        assert_eq!(
            world.calls_about(domain),
            [Call::Register, Call::Validate],
            "{domain}"
        );
    }
}

#[test]
fn why_a_hook_was_refused_is_told_to_the_operator_and_not_to_the_sender() {
    let server = NameServer::bind(
        &[Zone::new("a.test", "@ 3600 TXT \"v=spf1 -all\"")],
        &Keys::of(&["prevalidate"]),
    );
    let world = World::new(&[&server]);
    let mut setup = world.setup(&server, &["a.test"]);
    setup.more = SECTIONS.to_owned();
    let (mut daemon, _) = start(world.command(&setup, &["serve"]));
    let url = format!("http://{}/hooks/dns", daemon.address());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let runtime = Runtime::new().unwrap();
    let now = SystemClock.now().as_second();
    let ours = format!("v1,{}=", "A".repeat(43));
    for (time, signature, why) in [
        (now - 1000, Some(&ours), "more than five minutes away"),
        (now, Some(&ours), "no secret of [[server.hook_key]]"),
        (now, None, "it has no signature"),
    ] {
        let mut request = client
            .post(&url)
            .body("[\"a.test\"]")
            .header("content-type", "application/json");
        if let Some(signature) = signature {
            request = request
                .header("webhook-id", "x")
                .header("webhook-timestamp", time);
            request = request.header("webhook-signature", signature);
        }
        let answer =
            runtime.block_on(async { request.send().await.unwrap().text().await.unwrap() });
        assert!(
            answer.contains("the signature does not hold") && !answer.contains(why),
            "{answer}"
        );
        daemon.says(&["a hook was refused", why]);
    }
}
