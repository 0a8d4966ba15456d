//! Records that never become visible: nothing that watches says that all is well.

use super::super::world::{Ran, Setup, World};
use super::{ACCOUNT, SPF, section, stage};
use crate::support::{Keys, NameServer, Zone};

fn ahead(world: &World, setup: &Setup, seconds: &str, arguments: &[&str]) -> Ran {
    world.run_with(setup, arguments, ("PREVALIDATE_CLOCK_AHEAD", seconds))
}

/// After an hour all say so, and after two days it is critical.
fn alarms(world: &World, setup: &Setup, words: &str) {
    world.run(setup, &["check"]).exits(0);
    let at = |seconds, arguments: &[&str]| ahead(world, setup, seconds, arguments);
    for (seconds, exit) in [("7200", 1), ("180000", 2)] {
        at(seconds, &["check"])
            .exits(exit)
            .says(&["the persistent record of a.test at ca.example is", words]);
        at(seconds, &["readiness"])
            .exits(1)
            .says(&["a.test: its persistent record at ca.example is", words]);
        at(seconds, &["doctor"])
            .says(&["persistent records a.test: its record at ca.example", words]);
        at(seconds, &["diagnose", "a.test"])
            .exits(4)
            .says(&["BLOCKED: its persistent record at ca.example", words]);
    }
}

#[test]
fn a_secondary_that_never_follows_is_an_alarm_and_its_followers_are_none() {
    let (server, world, setup) = stage(&[("a.test", ""), ("b.test", "")]);
    let second = NameServer::bind(&[Zone::new("a.test", SPF)], &Keys::of(&["prevalidate"]));
    let mut setup = section(setup, ACCOUNT, "");
    let both = vec![server.address(), second.address()];
    setup.name_servers.insert("a.test".to_owned(), both);
    let words = ["publishing", "(stale)"];
    world
        .run(&setup, &["run", "--wait", "0s"])
        .exits(1)
        .says(&words);
    alarms(&world, &setup, "(stale)");
    let checked = ahead(&world, &setup, "7200", &["check"]).said();
    assert!(!checked.contains("record of b.test"), "{checked}");
}

#[test]
fn a_record_that_nobody_writes_is_an_alarm() {
    let (_server, world, mut setup) = stage(&[("a.test", "")]);
    setup.provider = None;
    setup.more = "[provider.gitops]\nkind = \"manual\"\nzones = [\"a.test\"]\n".to_owned();
    world.run(&setup, &["run", "--wait", "0s"]).exits(1);
    alarms(&world, &setup, "`prevalidate records` prints the record");
    ahead(&world, &setup, "7200", &["doctor"]).exits(1);
    // Later runs change nothing of that.
    ahead(&world, &setup, "7200", &["run", "--wait", "0s"]).exits(1);
    ahead(&world, &setup, "180000", &["check"]).exits(2);
}
