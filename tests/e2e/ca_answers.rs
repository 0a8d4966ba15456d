//! Answers of the CA that say yes and no at once, or of which a part cannot be read: the words of a
//! command never contradict the CA's, and what was not understood is named.

use prevalidate::sandbox::ca::Known;
use serde_json::Value;

use super::world::{Setup, World};
use crate::support::between::Between;
use crate::support::{Keys, NameServer, Zone};

fn one_zone() -> (NameServer, World, Setup) {
    let zone = Zone::new("a.test", "@ 3600 TXT \"v=spf1 -all\"");
    let server = NameServer::bind(&[zone], &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    let setup = world.setup(&server, &["a.test"]);
    (server, world, setup)
}

/// Each entry of an answer: the answer itself, or those of its list.
fn each_entry(answer: &mut Value, change: impl Fn(&mut Value)) {
    match answer {
        Value::Array(entries) => entries.iter_mut().for_each(change),
        entry => change(entry),
    }
}

#[test]
fn a_pending_entry_that_is_validated_is_told_in_the_words_of_both_fields() {
    let (_server, world, setup) = one_zone();
    let between = world.wait_for(Between::start(world.ca.url(), |_, answer| {
        each_entry(answer, |entry| {
            if entry["status"] == "VALID" {
                entry["status"] = "PENDING".into();
            }
        });
    }));
    let setup = setup.with_ca_at(&world, &between.url());
    let words = "the status is PENDING but `validated` is true";
    let ran = world.run(&setup, &["run", "--wait", "5s"]).exits(1);
    assert!(
        !ran.said().contains("does not see it yet"),
        "{}",
        ran.said()
    );
    ran.says(&[words]);
    world.run(&setup, &["status"]).says(&[words]);
    world.run(&setup, &["diagnose", "a.test"]).says(&[words]);
    let history = world
        .run(&setup, &["history", "a.test", "-v"])
        .says(&[words]);
    assert!(
        !history.said().contains("does not see it yet"),
        "{}",
        history.said()
    );
}

#[test]
fn an_unreadable_entry_of_a_domain_that_the_ca_knows_already_is_named() {
    let (server, world, setup) = one_zone();
    let before = server.axfr("a.test");
    assert_eq!(world.ca.register(&world.client, &["a.test".to_owned()]), 1);
    world
        .ca
        .change(|behaviour| behaviour.register_known = Known::Error);
    let between = world.wait_for(Between::start(world.ca.url(), |path, answer| {
        if path.ends_with("/list") {
            each_entry(answer, |entry| entry["uuid"] = Value::Null);
        }
    }));
    let setup = setup.with_ca_at(&world, &between.url());
    let words = "its entry in the list cannot be used: an entry of a.test without a usable `uuid`";
    world
        .run(&setup, &["run", "--wait", "2s"])
        .says(&["registered already"]);
    world
        .run(&setup, &["status", "-v"])
        .says(&["already registered", words]);
    world.run(&setup, &["history", "a.test"]).says(&[words]);
    assert_eq!(server.axfr("a.test"), before);
}
