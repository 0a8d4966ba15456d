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
fn a_record_that_no_writer_writes_is_an_alarm() {
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

#[test]
fn a_record_on_its_way_is_information_for_an_hour() {
    let (_server, world, mut setup) = stage(&[("a.test", ""), ("b.test", "")]);
    setup.provider = None;
    setup.more =
        "[provider.gitops]\nkind = \"manual\"\nzones = [\"a.test\", \"b.test\"]\n".to_owned();
    world.run(&setup, &["run", "--wait", "0s"]).exits(1);
    let listed = world.run(&setup, &["persistent", "list", "--output", "json"]);
    let listed = listed.json();
    let since = listed["persistent"][0]["on_its_way_since"].as_str();
    let since = since.unwrap_or_else(|| panic!("{listed}"));
    let since: jiff::Timestamp = since.parse().unwrap();
    let words = format!(
        "its persistent record at ca.example has been on its way since {since:.0}: a foreign writer"
    );
    world.run(&setup, &["readiness"]).exits(0).says(&[
        "Good to know",
        &format!("a.test: {words}"),
        "b.test: its persistent",
    ]);
    let report = world.run(&setup, &["readiness", "--output", "json"]);
    let report = report.exits(0).json();
    let findings = report["findings"].as_array().unwrap().iter();
    let codes = findings.map(|it| (&it["severity"], &it["code"]));
    let way = ("info".into(), "persistent-on-its-way".into());
    assert_eq!(
        codes.filter(|it| *it == (&way.0, &way.1)).count(),
        2,
        "{report}"
    );
    world.run(&setup, &["doctor"]).exits(0).says(&[
        "2 records are on their way, the first since",
        "`prevalidate persistent list`",
        "all is well",
    ]);
    // After the hour it is a warning, and no more than that.
    let late = ahead(&world, &setup, "7200", &["readiness", "--output", "json"]).exits(1);
    assert!(
        !late.stdout.contains("persistent-on-its-way"),
        "{}",
        late.said()
    );
}
