//! When a run does nothing, and says so.

use prevalidate::sandbox::ca::Call;

use super::world::World;
use crate::support::{Keys, NameServer, Zone};

const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

fn server() -> NameServer {
    let records: String = NAMES
        .iter()
        .map(|name| format!("{name} 3600 TXT \"v=spf1 -all\"\n"))
        .collect();
    NameServer::bind(
        &[Zone::new("guard.test", &records)],
        &Keys::of(&["prevalidate"]),
    )
}

fn domains(count: usize) -> Vec<String> {
    NAMES[..count]
        .iter()
        .map(|name| format!("{name}.guard.test"))
        .collect()
}

#[test]
fn an_empty_list_stops_the_run_until_a_person_forces_it() {
    let server = server();
    let world = World::new(&[&server]);
    let mut setup = world.setup(&server, &["guard.test"]);
    setup.domains = domains(12);
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    let (before, serial) = (server.axfr("guard.test"), server.serial("guard.test"));
    setup
        .domains
        .iter()
        .for_each(|domain| assert!(world.ca.delete(domain)));
    world.ca.clear_log();

    world
        .run(&setup, &["run", "--wait", "30s"])
        .exits(5)
        .says(&["12 of 12 registrations", "nothing was done"]);
    let calls: Vec<Call> = world.ca.log().iter().map(|request| request.call).collect();
    assert_eq!(calls, [Call::List]);
    assert_eq!(server.serial("guard.test"), serial);

    world
        .run(&setup, &["run", "--wait", "30s", "--force"])
        .exits(0)
        .says(&["12 domains: 12 valid"]);
    assert!(
        setup
            .domains
            .iter()
            .all(|domain| world.ca.domain(domain).unwrap().status == "VALID")
    );
    assert_eq!(server.axfr("guard.test"), before);
}

#[test]
fn an_inventory_file_that_lost_half_or_all_of_its_names_removes_nothing() {
    let server = server();
    let world = World::new(&[&server]);
    let mut setup = world.setup(&server, &["guard.test"]);
    let list = world.path("domains.txt");
    setup.list = Some(list.clone());
    std::fs::write(&list, domains(12).join("\n")).unwrap();
    let before = server.axfr("guard.test");
    // Values of all domains are in DNS, and a run that believed the file would remove them.
    world
        .run(
            &setup.clone().with_dead_name_servers(),
            &["run", "--wait", "0s"],
        )
        .exits(4);
    let (published, calls) = (server.axfr("guard.test"), world.ca.log());
    assert_eq!(published.len(), before.len() + 12);
    for left in [0, 6] {
        std::fs::write(&list, domains(left).join("\n")).unwrap();
        let gone = format!("{} of 12 domains are gone from the inventory", 12 - left);
        world
            .run(&setup, &["run", "--wait", "30s"])
            .exits(5)
            .says(&[&gone, "nothing was done"]);
        assert_eq!(server.axfr("guard.test"), published);
        assert_eq!(world.ca.log(), calls, "not one call");
        if left > 0 {
            world
                .run(&setup, &["check"])
                .exits(2)
                .says(&["the guard refuses the configuration", &gone]);
        }
    }
    std::fs::write(&list, domains(12).join("\n")).unwrap();
    world
        .run(&setup, &["run", "--wait", "30s"])
        .exits(0)
        .says(&["12 domains: 12 valid"]);
    world.run(&setup, &["check"]).exits(0);
    assert_eq!(server.axfr("guard.test"), before);
}

/// A machine whose clock is two days off, either way: it does nothing, says why, and leaves nothing
/// behind that the right clock would stumble over.
#[test]
fn a_wrong_clock_stops_a_run_and_the_right_one_goes_on_as_if_nothing_had_been() {
    let keys = Keys::of(&["prevalidate"]);
    let zone = Zone::new("clock.test", "@ 3600 TXT \"v=spf1 -all\"");
    let server = NameServer::bind(&[zone], &keys);
    let world = World::new(&[&server]);
    let setup = world.setup(&server, &["clock.test"]);
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    let (before, zone) = (world.calls_about("clock.test"), server.axfr("clock.test"));
    for ahead in ["172800", "-172800"] {
        let ran = world.run_with(
            &setup,
            &["run", "--wait", "0s"],
            ("PREVALIDATE_CLOCK_AHEAD", ahead),
        );
        assert_ne!(ran.status.code(), Some(0), "{ahead}: {}", ran.said());
        let ran = ran.says(&["clock"]);
        assert_eq!(
            world.calls_about("clock.test"),
            before,
            "{ahead}: {}",
            ran.said()
        );
        assert_eq!(server.axfr("clock.test"), zone, "{ahead}");
        world.run(&setup, &["run", "--wait", "0s"]).exits(0);
        world.run(&setup, &["check"]).exits(0);
        assert_eq!(world.calls_about("clock.test"), before, "{ahead}");
    }
}

/// What is older than 400 days is forgotten; a clock that is ahead makes nothing old.
#[test]
fn a_clock_that_is_a_year_ahead_costs_no_history_and_counts_as_no_lapse() {
    let keys = Keys::of(&["prevalidate"]);
    let zone = Zone::new("clock.test", "@ 3600 TXT \"v=spf1 -all\"");
    let server = NameServer::bind(&[zone], &keys);
    let world = World::new(&[&server]);
    let setup = world.setup(&server, &["clock.test"]);
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    let history = || {
        let told = world.run(&setup, &["history", "clock.test", "-o", "json"]);
        told.json().as_array().unwrap().clone()
    };
    let before = history();
    assert!(before.iter().any(|entry| entry["kind"] == "validated"));
    for entry in &before {
        let detail = entry["detail"].as_str().unwrap();
        assert!(!has_fraction(detail), "a part of a second: {detail}");
    }
    let ahead = ("PREVALIDATE_CLOCK_AHEAD", "34560000");
    let ran = world.run_with(&setup, &["run", "--wait", "0s"], ahead);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    assert_eq!(history(), before);

    world.run(&setup, &["run", "--wait", "0s"]).exits(0);
    world.run(&setup, &["check"]).exits(0);
    assert_eq!(history(), before);
}

/// Whether `12:00:00.123Z` or the like is in it.
fn has_fraction(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').collect();
    parts.windows(2).any(|pair| {
        let before = pair[0].chars().rev().take(6).collect::<String>();
        let digits = pair[1].chars().take_while(char::is_ascii_digit).count();
        let ends = pair[1][digits..].starts_with('Z');
        digits > 0 && ends && before.chars().filter(|c| *c == ':').count() == 2
    })
}
