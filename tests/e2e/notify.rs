//! What a nightly run tells, and what it does not tell again.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::world::{Setup, World};
use crate::support::name_server::write_secret;
use crate::support::zones::Key;
use crate::support::{Keys, NameServer, Zone};

/// A program that keeps each message as a line of `heard`.
fn told(mut setup: Setup, heard: &Path) -> Setup {
    let script = format!("cat >>{0}; echo >>{0}", heard.display());
    setup.more.push_str(&format!(
        "[[notify]]\nname = \"team\"\nkind = \"command\"\ncommand = {}\n",
        json!(["/bin/sh", "-c", script])
    ));
    setup
}

/// The titles of the messages since the last time.
fn heard(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let _ = fs::remove_file(path);
    let title = |line: &str| {
        let said: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        said["data"]["title"].as_str().unwrap().to_owned()
    };
    text.lines()
        .filter(|line| !line.is_empty())
        .map(title)
        .collect()
}

fn start() -> (NameServer, World) {
    let zone = Zone::new("notify.test", "@ 3600 TXT \"v=spf1 -all\"");
    let server = NameServer::bind(&[zone], &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    (server, world)
}

#[test]
fn a_held_domain_is_told_once_and_once_more_when_it_is_well() {
    let (server, world) = start();
    let path = world.path("heard");
    let good = told(world.setup(&server, &["notify.test"]), &path);
    let key_file = world.path("wrong.key");
    write_secret(
        &key_file,
        &Key::new("prevalidate", "hmac-sha256").file_text(),
    );
    let wrong = Setup {
        provider: Some((server.address(), key_file)),
        ..good.clone()
    };

    world.run(&wrong, &["run", "--wait", "5s"]).exits(4);
    assert_eq!(heard(&path), ["1 held domain"]);
    world.run(&wrong, &["run", "--wait", "5s"]).exits(4);
    assert_eq!(heard(&path), Vec::<String>::new());
    world
        .run(&wrong, &["notify", "list"])
        .exits(0)
        .says(&["team", "held", "notify.test"]);

    world
        .run(&good, &["run", "--wait", "30s", "--domain", "notify.test"])
        .exits(0);
    assert_eq!(heard(&path), ["over: 1 held domain"]);
    world
        .run(&good, &["notify", "list"])
        .exits(0)
        .says(&["nothing is open"]);
    world
        .run(&good, &["notify", "test"])
        .exits(0)
        .says(&["team: sent"]);
    assert_eq!(heard(&path), ["a test message"]);
}

#[test]
fn a_foreign_change_beside_our_value_is_noticed_and_told() {
    let (server, world) = start();
    let path = world.path("heard");
    let setup = told(world.setup(&server, &["notify.test"]), &path);
    world
        .run(
            &setup.clone().with_dead_name_servers(),
            &["run", "--wait", "0s"],
        )
        .exits(4);
    assert_eq!(heard(&path), Vec::<String>::new(), "it only waits");
    server.nsupdate(
        "update delete notify.test. TXT \"v=spf1 -all\"\nupdate add notify.test. 3600 TXT \"v=spf1 mx -all\"",
    );
    let ran = world
        .run(&setup, &["run", "--wait", "30s", "--domain", "notify.test"])
        .exits(0);
    assert_eq!(
        heard(&path),
        ["1 name where foreign TXT values changed"],
        "{}",
        ran.said()
    );
    world
        .run(&setup, &["history", "notify.test"])
        .exits(0)
        .says(&[
            "others-changed",
            "gone: \"v=spf1 -all\"",
            "new: \"v=spf1 mx -all\"",
        ]);
    world.run(&setup, &["run", "--wait", "5s"]).exits(0);
    assert_eq!(heard(&path), Vec::<String>::new());
}

#[test]
fn a_run_that_the_guard_refuses_or_that_finds_no_ca_tells_so_and_ends_as_before() {
    let (server, world) = start();
    let path = world.path("heard");
    let setup = told(world.setup(&server, &["notify.test"]), &path);
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    world
        .run(
            &Setup {
                domains: Vec::new(),
                ..setup.clone()
            },
            &["run"],
        )
        .exits(5);
    assert_eq!(heard(&path), ["1 refusal by the guard"]);
    assert!(world.ca.delete("notify.test"));
    world.run(&setup, &["run"]).exits(5);
    // The inventory is as it was, and what the CA shows is refused now.
    assert_eq!(
        heard(&path),
        ["1 refusal by the guard (1 new, 1 over)"].map(str::to_owned)
    );
    world
        .run(&setup, &["run", "--wait", "30s", "--force"])
        .exits(0);
    assert_eq!(heard(&path), ["over: 1 refusal by the guard"]);
}

#[test]
fn a_sink_that_fails_is_a_warning_and_seen_by_the_check_and_changes_nothing_else() {
    let (server, world) = start();
    let mut setup = world.setup(&server, &["notify.test"]);
    setup
        .more
        .push_str("[[notify]]\nname = \"dead\"\nkind = \"command\"\ncommand = [\"/bin/false\"]\n");
    setup.more.push_str("topics = [\"daily_summary\"]\n");
    let warning = "dead could not be told of daily_summary: /bin/false ended with exit status: 1";
    let ran = world
        .run(&setup, &["run", "--wait", "30s"])
        .exits(0)
        .says(&["warning:", warning]);
    assert!(!ran.stderr.contains("WARN"), "said twice: {}", ran.said());
    world
        .run(&setup, &["check"])
        .exits(1)
        .says(&["WARNING", "dead could not be told of daily_summary"]);
    world
        .run(&setup, &["notify", "list"])
        .exits(1)
        .says(&["dead could not be told of daily_summary"]);
    world
        .run(&setup, &["notify", "test", "--sink", "deed"])
        .exits(2)
        .says(&["did you mean `dead`?"]);
}
