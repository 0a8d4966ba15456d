//! Many records at once: what the guard refuses, for how long, and what ends it.

use super::{Setup, published, quoted, stage};

const ZONES: [&str; 4] = ["a.test", "b.test", "c.test", "d.test"];

#[test]
fn many_records_that_vanish_are_put_back_by_force_only() {
    let zones = ["a.test", "b.test", "c.test", "d.test"];
    let (server, world, setup) = stage(&zones.map(|zone| (zone, "")));
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    for zone in zones {
        server.nsupdate(&format!("update delete _validation-persist.{zone}. TXT"));
    }
    world
        .run(&setup, &["run", "--wait", "10m"])
        .exits(5)
        .says(&["4 of 4 persistent records vanished", "--force"]);
    assert!(zones.iter().all(|zone| published(&server, zone).is_empty()));
    world
        .run(&setup, &["persistent", "resume", "a.test"])
        .says(&["the guard refuses", "`prevalidate run --force`"]);
    let words = ["the guard refuses: 4 of 4 persistent records vanished"];
    world.run(&setup, &["doctor"]).exits(1).says(&words);
    world
        .run(&setup, &["check"])
        .exits(2)
        .says(&["the guard refuses: 4 of 4 persistent records vanished"]);
    world
        .run(&setup, &["run", "--wait", "30s", "--force"])
        .exits(0);
    world.run(&setup, &["check"]).exits(0);
    assert!(zones.iter().all(|zone| published(&server, zone).len() == 1));
}

#[test]
fn a_refusal_remains_until_a_person_or_the_records_end_it() {
    let (server, world, setup) = stage(&ZONES.map(|zone| (zone, "")));
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    let ours = ZONES.map(|zone| published(&server, zone).remove(0));
    let bring = |nth: usize| {
        let (zone, value) = (ZONES[nth], quoted(&ours[nth]));
        server.nsupdate(&format!(
            "update add _validation-persist.{zone}. 60 TXT {value}"
        ));
    };
    let there = || ZONES.map(|zone| published(&server, zone).len());
    for zone in ZONES {
        server.nsupdate(&format!("update delete _validation-persist.{zone}. TXT"));
    }
    world
        .run(&setup, &["run", "--wait", "10m"])
        .exits(5)
        .says(&["all of fewer than 10 records, or more than 30 % of them"]);
    // Fewer are missing now than the guard would speak of.
    bring(0);
    world
        .run(&setup, &["run", "--wait", "10m"])
        .exits(5)
        .says(&["3 of 4 persistent records vanished", "since"]);
    assert_eq!(there(), [1, 0, 0, 0]);
    // A person answers for one domain; the others wait on.
    world.run(
        &setup,
        &["run", "--domain", "b.test", "--force", "--wait", "30s"],
    );
    world.run(&setup, &["check"]).exits(2);
    world.run(&setup, &["run", "--wait", "10m"]).exits(5);
    assert_eq!(there(), [1, 1, 0, 0]);
    bring(2);
    bring(3);
    world.run(&setup, &["run", "--wait", "10m"]).exits(0);
    world.run(&setup, &["check"]).exits(0);
}

#[test]
fn a_refusal_to_remove_remains_when_more_records_are_known() {
    let zones = ["a.test", "b.test", "c.test", "d.test", "e.test"];
    let (server, world, all) = stage(&zones.map(|zone| (zone, "")));
    let setup = all.clone().without("e.test");
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    let emptied = Setup {
        domains: Vec::new(),
        ..setup.clone()
    };
    world.run(&emptied, &["run", "--wait", "10m"]).exits(5);
    // Three of four, and four of five, would be few.
    for named in [&["a.test"][..], &["e.test"]] {
        let fewer = Setup {
            domains: named.iter().map(|&name| name.to_owned()).collect(),
            ..setup.clone()
        };
        world.run(&fewer, &["run", "--wait", "30s"]).exits(5);
        world
            .run(&fewer, &["run", "--wait", "30s"])
            .exits(5)
            .says(&["no longer in the configuration", "since"]);
    }
    let there = || zones.map(|zone| published(&server, zone).len());
    assert_eq!(there(), [1, 1, 1, 1, 1]);
    // All are named again: the cause is gone.
    world.run(&all, &["run", "--wait", "30s"]).exits(0);
    world.run(&all, &["check"]).exits(0);
    assert_eq!(there(), [1, 1, 1, 1, 1]);
    let few = all.clone().without("e.test");
    world.run(&few, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(there(), [1, 1, 1, 1, 0]);
}

#[test]
fn many_records_that_leave_the_configuration_stay_until_force() {
    let zones = ["a.test", "b.test", "c.test", "d.test"];
    let (server, world, setup) = stage(&zones.map(|zone| (zone, "")));
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    let emptied = Setup {
        domains: Vec::new(),
        ..setup.clone()
    };
    let words = ["4 of 4 persistent records are no longer in the configuration"];
    world
        .run(&emptied, &["run", "--wait", "10m"])
        .exits(5)
        .says(&[words[0], "emptied by mistake", "REMOVES from DNS"]);
    assert!(zones.iter().all(|zone| published(&server, zone).len() == 1));
    world.run(&emptied, &["check"]).exits(2).says(&words);
    // Named again, all is as it was.
    world.run(&setup, &["run", "--wait", "10m"]).exits(0);
    world.run(&setup, &["check"]).exits(0);
    world.run(&emptied, &["run", "--wait", "10m"]).exits(5);
    world
        .run(&emptied, &["run", "--wait", "30s", "--force"])
        .exits(0);
    assert!(zones.iter().all(|zone| published(&server, zone).is_empty()));
}
