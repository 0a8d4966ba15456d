//! Where the gate asks no name server, the provider is read: a record that another writer dropped
//! is seen all the same.

use serde_json::json;
use tokio::runtime::Runtime;

use super::super::world::World;
use super::{ACCOUNT, ISSUER, published, quoted, stage};
use crate::support::apis::route53::{Fake, Key};
use crate::support::name_server::write_secret;

#[test]
fn a_dropped_record_is_seen_in_mode_delay_and_a_provider_that_cannot_be_read_is_told() {
    let (server, world, mut setup) = stage(&[("a.test", "")]);
    setup.name_servers.clear();
    setup.more = "[propagation.zone.\"a.test\"]\nmode = \"delay\"\ndelay = \"1s\"\n".to_owned();
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    let ours = published(&server, "a.test");
    assert_eq!(ours.len(), 1, "{ours:?}");
    world
        .run(&setup, &["persistent", "list"])
        .exits(0)
        .says(&["its provider has it; the gate's mode asks no name server"]);
    server.nsupdate(&format!(
        "update delete _validation-persist.a.test. TXT {}",
        quoted(&ours[0])
    ));
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(published(&server, "a.test"), ours, "it is put back");

    let mut blind = setup.clone();
    let key = blind.provider.take().unwrap().1;
    blind.provider = Some((([127, 0, 0, 1], 1).into(), key));
    // What was seen an hour ago is believed until then.
    #[cfg(feature = "crashpoints")]
    {
        let later = ("PREVALIDATE_CLOCK_AHEAD", "7200");
        world
            .run_with(&blind, &["run", "--wait", "0s"], later)
            .exits(1)
            .says(&["the gate's mode `delay` asks no name server"]);
        let listed = world.run(&blind, &["persistent", "list", "--output", "json"]);
        let reason = listed.exits(1).json()["persistent"][0]["reason"].clone();
        let words = "so it is not known whether the record is there";
        assert!(reason.as_str().unwrap().contains(words), "{reason}");
    }
}

#[test]
fn a_dropped_record_is_seen_in_mode_provider() {
    let runtime = Runtime::new().unwrap();
    let fake = runtime.block_on(Fake::start());
    fake.key("AKIAOURS", Key::of("ours"));
    fake.zone("Z0A", "a.test", "ours");
    let before = fake.dump("Z0A");
    let world = World::checking(|_| Vec::new());
    for (name, text) in [("id", "AKIAOURS"), ("key", "wJalrXUtnFEMI")] {
        write_secret(&world.path(name), text);
    }
    let file = |name: &str| json!(world.path(name).display().to_string());
    let more = format!(
        "[provider.aws]\nkind = \"route53\"\nendpoint = \"{}\"\nrate = \"50/s\"\n\
         access_key = {{ file = {} }}\nsecret_key = {{ file = {} }}\n\
         [propagation.zone.\"a.test\"]\nmode = \"provider\"\ndelay = \"1s\"\n",
        fake.endpoint(),
        file("id"),
        file("key"),
    );
    let setup = world.setup_with(&["a.test"], &[], more);
    let setup = super::section(setup, ACCOUNT, "canary = \"0s\"");
    world
        .run(&setup, &["run", "--wait", "0s"])
        .exits(1)
        .says(&["the provider's name servers to be in sync"]);
    let ours = || {
        let mut lines = fake.dump("Z0A");
        lines.retain(|line| line.contains(ISSUER));
        lines
    };
    let published = ours();
    assert_eq!(published.len(), 1, "{published:?}");
    fake.sync();
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);

    let owner = "_validation-persist.a.test";
    fake.with("Z0A", |zone| {
        zone.sets.retain(|set| !set.name.starts_with(owner))
    });
    assert_eq!(fake.dump("Z0A"), before);
    world.run(&setup, &["run", "--wait", "0s"]);
    assert_eq!(ours(), published, "it is put back");
    fake.sync();
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    world
        .run(&setup, &["persistent", "withdraw", "a.test", "--yes"])
        .exits(0);
    assert_eq!(fake.dump("Z0A"), before);
}

#[cfg(feature = "crashpoints")]
#[test]
fn a_record_that_cannot_be_verified_has_the_time_of_the_evidence() {
    let (mut server, world, setup) = stage(&[("a.test", "")]);
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    let ahead = |seconds: &'static str, arguments: &[&str]| {
        let later = ("PREVALIDATE_CLOCK_AHEAD", seconds);
        world.run_with(&setup, arguments, later)
    };
    let listed = |seconds| ahead(seconds, &["persistent", "list", "--output", "json"]);
    let seen = |seconds| listed(seconds).json()["persistent"][0]["verified_at"].clone();
    // No run has checked since.
    ahead("72000", &["persistent", "list"])
        .exits(0)
        .says(&["every name server had it 20 h ago; no run has checked since"]);
    // Each run is a check, and its time is reported.
    let first = seen("0");
    ahead("600", &["run", "--wait", "0s"]).exits(0);
    assert_ne!(seen("600"), first);
    // No server answers.
    server.stop();
    ahead("1200", &["run", "--wait", "0s"]).exits(1);
    let one = listed("1200").exits(1).json()["persistent"][0].clone();
    assert_eq!(one["state"], "missing", "{one}");
    let reason = one["reason"].as_str().unwrap();
    let words = ["waits for", "every name server had it"];
    assert!(words.iter().all(|word| reason.contains(word)), "{one}");
}

#[test]
fn what_cannot_be_verified_is_told_a_minute_after_a_good_check() {
    let (mut server, world, setup) = stage(&[("a.test", "")]);
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    server.stop();
    world.run(&setup, &["run", "--wait", "0s"]).exits(1);
    let listed = world.run(&setup, &["persistent", "list", "--output", "json"]);
    let one = listed.exits(1).json()["persistent"][0].clone();
    assert_eq!(one["state"], "missing", "{one}");
}
