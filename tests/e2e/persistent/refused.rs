//! A provider that refuses: its words, and when it is asked again.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::super::world::{Setup, World};
use super::{ACCOUNT, published, section};
use crate::support::name_server::write_secret;
use crate::support::zones::{Key, Keys};
use crate::support::{NameServer, Zone};

const ZONES: [&str; 3] = ["a.test", "b.test", "c.test"];

/// A server with two keys: `weak` may change TXT at the domains alone, `strong` everything. The two
/// configurations of one operator: before and after the key was repaired.
fn stage() -> (NameServer, World, Setup, Setup) {
    let keys = Keys::of(&["weak", "strong"]);
    let zones = ZONES.map(|apex| Zone::new(apex, ""));
    let files = ZONES.map(|apex| format!("{apex}.zone"));
    let mut stanzas = String::new();
    for (apex, file) in ZONES.iter().zip(&files) {
        stanzas.push_str(&format!(
            "zone \"{apex}\" {{ type primary; file \"{file}\"; update-policy {{ \
             grant weak. name {apex}. TXT; grant strong. zonesub ANY; }}; }};\n"
        ));
    }
    let files: Vec<(&str, &Zone)> = files.iter().map(String::as_str).zip(&zones).collect();
    let server = NameServer::bind_as(&zones, &keys, &stanzas, &files);
    let world = World::new(&[&server]);
    let with = |name: &str| -> (SocketAddr, PathBuf) {
        let path = world.path(&format!("{name}.key"));
        let key: Key = keys.key(name).clone();
        write_secret(&path, &Keys(vec![key]).file_text());
        (server.address(), path)
    };
    let setup = section(world.setup(&server, &ZONES), ACCOUNT, "canary = \"0s\"");
    let weak = Setup {
        provider: Some(with("weak")),
        ..setup.clone()
    };
    let strong = Setup {
        provider: Some(with("strong")),
        ..setup
    };
    (server, world, weak, strong)
}

#[test]
fn a_refusal_that_was_mended_is_tried_again_at_a_persons_word() {
    let (server, world, weak, strong) = stage();
    let there = || ZONES.map(|zone| published(&server, zone).len());
    world.run(&weak, &["run", "--wait", "0s"]).exits(1).says(&[
        "REFUSED",
        "grant weak. name _validation-persist.a.test. TXT",
    ]);
    assert_eq!(there(), [0, 0, 0]);

    // A run that no person ordered keeps to the wait.
    world
        .run(&strong, &["run", "--wait", "0s"])
        .exits(1)
        .says(&[
            "REFUSED",
            "it is tried again in ",
            "`prevalidate run --domain a.test` tries at once",
        ]);
    assert_eq!(there(), [0, 0, 0]);
    world.run(&strong, &["run", "--domain", "a.test", "--wait", "30s"]);
    assert_eq!(there(), [1, 0, 0]);
    world
        .run(&strong, &["persistent", "resume", "b.test"])
        .exits(0)
        .says(&["the persistent record of b.test at ca.example was not withdrawn"]);
    world.run(&strong, &["run", "--wait", "0s"]).exits(1);
    assert_eq!(there(), [1, 1, 0]);
    world
        .run(&strong, &["run", "--force", "--wait", "30s"])
        .exits(0);
    assert_eq!(there(), [1, 1, 1]);

    // A removal that was refused is tried again in the same way.
    let fewer = |setup: &Setup| setup.clone().without("c.test");
    let said = world.run(&fewer(&weak), &["run", "--wait", "0s"]);
    said.says(&["cannot remove", "REFUSED"]);
    world
        .run(&fewer(&strong), &["run", "--force", "--wait", "30s"])
        .exits(0);
    assert_eq!(there(), [1, 1, 0]);
    // Nothing is left of it in words either.
    let withdraw = ["persistent", "withdraw", "a.test", "--yes", "--wait", "0s"];
    world
        .run(&weak, &withdraw)
        .exits(4)
        .says(&["is still in DNS"]);
    world.run(&strong, &["run", "--force", "--wait", "30s"]);
    assert_eq!(there()[..2], [0, 1]);
    let listed = world.run(&strong, &["persistent", "list", "--output", "json"]);
    let one = listed.json()["persistent"][0].clone();
    assert_eq!(
        (&one["state"], &one["reason"]),
        (&"withdrawn".into(), &"withdrawn by hand".into())
    );
}

#[test]
fn a_withdrawn_record_keeps_no_trouble_of_before() {
    let (_server, world, weak, _) = stage();
    world.run(&weak, &["run", "--wait", "0s"]).exits(1);
    world
        .run(&weak, &["persistent", "withdraw", "a.test", "--yes"])
        .exits(0);
    let listed = world.run(&weak, &["persistent", "list", "--output", "json"]);
    let one = listed.json()["persistent"][0].clone();
    assert_eq!(
        (&one["domain"], &one["state"]),
        (&"a.test".into(), &"withdrawn".into())
    );
    assert_eq!(one["reason"], "withdrawn by hand");
    let checked = world.run(&weak, &["check"]).said();
    let names_it = checked.contains("the persistent record of a.test");
    assert!(!names_it, "{checked}");
}

/// A key that may write one zone and not the other, and a key for all.
fn stage_of_two() -> (NameServer, World, Setup) {
    let keys = Keys::of(&["strong", "weak"]);
    let names = ["a.test", "one.test"];
    let zones = names.map(|apex| Zone::new(apex, ""));
    let files = names.map(|apex| format!("{apex}.zone"));
    let stanza = |(apex, grant): (&str, &str)| {
        format!(
            "zone \"{apex}\" {{ type primary; file \"{apex}.zone\"; update-policy {{ \
             grant strong. zonesub ANY; {grant} }}; }};\n"
        )
    };
    let grants = [("a.test", "grant weak. zonesub ANY;"), ("one.test", "")];
    let stanzas: String = grants.map(stanza).concat();
    let files: Vec<(&str, &Zone)> = files.iter().map(String::as_str).zip(&zones).collect();
    let server = NameServer::bind_as(&zones, &keys, &stanzas, &files);
    let world = World::new(&[&server]);
    let path = world.path("weak.key");
    let key: Key = keys.key("weak").clone();
    write_secret(&path, &Keys(vec![key]).file_text());
    let setup = section(world.setup(&server, &names), ACCOUNT, "canary = \"0s\"");
    let setup = Setup {
        provider: Some((server.address(), path)),
        ..setup.without("one.test")
    };
    (server, world, setup)
}

#[test]
fn an_alias_to_a_name_that_the_key_may_not_write_is_told_with_the_refusal() {
    let (server, world, setup) = stage_of_two();
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    let value = published(&server, "a.test").remove(0);
    server.nsupdate(
        "update delete _validation-persist.a.test. TXT\n\
         update add _validation-persist.a.test. 60 CNAME a.one.test.",
    );
    let words = ["missing", "it cannot be written: ", "REFUSED"];
    let hint = "grant weak. name a.one.test. TXT";
    // The second run tries nothing, and knows the cause all the same.
    for _ in 0..2 {
        let said = world.run(&setup, &["run", "--wait", "0s"]).exits(1);
        said.says(&words).says(&[hint]);
        world.run(&setup, &["check"]).exits(1).says(&words);
    }
    let listed = world.run(&setup, &["persistent", "list", "--output", "json"]);
    let reason = listed.exits(1).json()["persistent"][0]["reason"].to_string();
    assert!(
        reason.contains("REFUSED") && reason.contains(hint),
        "{reason}"
    );
    let blocked = [
        "BLOCKED: its persistent record at ca.example is missing",
        "REFUSED",
    ];
    let said = world.run(&setup, &["diagnose", "a.test"]).exits(4);
    said.says(&blocked).says(&[hint]);
    let said = world.run(&setup, &["doctor"]);
    said.says(&["a.test: its record at ca.example is missing", "REFUSED"]);

    // The alias goes, the record is brought back by hand, and nothing of it stays.
    let value = super::quoted(&value);
    server.nsupdate(&format!(
        "update delete _validation-persist.a.test. CNAME\n\
         update add _validation-persist.a.test. 60 TXT {value}"
    ));
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    world.run(&setup, &["check"]).exits(0);
}

/// What would be written and is refused.
fn refusals(world: &World, setup: &Setup) -> Vec<String> {
    let report = world.run(setup, &["readiness", "--output", "json"]).json();
    let all = report["findings"].as_array().unwrap().iter();
    let refused = all.filter(|it| it["code"] == "provider-refuses");
    refused.map(|it| it["text"].to_string()).collect()
}

#[test]
fn a_foreign_record_behind_an_alias_is_not_said_to_be_refused() {
    let (server, world, mut setup) = stage_of_two();
    server.nsupdate("update add _validation-persist.a.test. 60 CNAME a.one.test.");
    let (address, key) = setup.provider.take().unwrap();
    setup.more = format!(
        "provider = \"gitops\"\n[provider.gitops]\nkind = \"manual\"\n[provider.bind]\n\
         kind = \"rfc2136\"\nserver = \"{address}\"\nkey_file = \"{}\"\nzones = [\"one.test\"]\n",
        key.display()
    );
    let words = ["waiting", "a foreign writer writes its zone"];
    world
        .run(&setup, &["run", "--wait", "0s"])
        .exits(1)
        .says(&words);
    assert_eq!(refusals(&world, &setup), [""; 0]);
    world.run(&setup, &["doctor"]).exits(0);
    world.run(&setup, &["providers", "check"]).exits(0);
}

#[test]
fn what_a_person_withdrew_is_not_said_to_be_refused() {
    let (_server, world, weak, _) = stage();
    world.run(&weak, &["run", "--wait", "0s"]).exits(1);
    assert_eq!(refusals(&world, &weak).len(), 3);
    world.run(&weak, &["doctor"]).exits(4);
    let withdraw = ["persistent", "withdraw", "--yes"];
    let withdraw: Vec<&str> = withdraw.into_iter().chain(ZONES).collect();
    world.run(&weak, &withdraw).exits(0);
    assert_eq!(refusals(&world, &weak), [""; 0]);
    world.run(&weak, &["doctor"]).exits(0);
}

#[test]
fn a_refusal_is_one_line_of_the_table_and_whole_with_v() {
    let (_server, world, weak, _strong) = stage();
    world.run(&weak, &["run", "--wait", "0s"]).exits(1);
    let listed = world.run(&weak, &["persistent", "list", "--output", "json"]);
    let one = listed.exits(1).json()["persistent"][0].clone();
    let reason = one["reason"].as_str().unwrap();
    let (_, hint) = reason.split_once(" (hint: ").unwrap();
    let hint = hint.trim_end_matches(')');
    let short = world.run(&weak, &["persistent", "list"]).exits(1).says(&[
        &format!("Hint for a.test: {hint}"),
        "-v shows the whole reasons",
    ]);
    assert!(!short.said().contains(reason), "{}", short.said());
    let long = world.run(&weak, &["-v", "persistent", "list"]).exits(1);
    let long = long.says(&[&format!("a.test: {reason}")]).said();
    assert!(!long.contains("-v shows"), "{long}");
}
