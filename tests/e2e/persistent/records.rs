//! The life of a record: published, kept, replaced, put back, withdrawn.

use super::{ACCOUNT, published, quoted, section, stage};
use crate::support::process;

#[test]
fn a_persistent_record_is_kept_without_any_ca() {
    let (server, world, setup) = stage(&[("a.test", ""), ("b.test", "")]);
    let before = ["a.test", "b.test"].map(|zone| server.axfr(zone));
    world.run(&setup, &["run", "--dry-run"]).exits(0).says(&[
        "PERSISTENT",
        "a.test",
        "publish",
        "it is wanted and not in DNS",
    ]);
    assert_eq!(["a.test", "b.test"].map(|zone| server.axfr(zone)), before);
    world
        .run(&setup, &["run", "--wait", "30s"])
        .exits(0)
        .says(&["2 of 2 persistent records visible"]);
    let first = published(&server, "a.test");
    assert_eq!(first.len(), 1, "{first:?}");
    let start = format!("ca.example; accounturi={ACCOUNT}; persistUntil=");
    assert!(first[0].starts_with(&start), "{first:?}");
    let serial = server.serial("a.test");

    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(server.serial("a.test"), serial, "it is left alone");
    let listed = world
        .run(&setup, &["persistent", "list", "--output", "json"])
        .exits(0)
        .json();
    let one = &listed["persistent"][0];
    assert_eq!(
        [
            &one["domain"],
            &one["state"],
            &one["account"],
            &one["records"][0]["value"]
        ],
        ["a.test", "visible", ACCOUNT, first[0].as_str()]
    );
    world
        .run(&setup, &["check"])
        .exits(0)
        .says(&["2 of 2 persistent records are visible"]);
    world.run(&setup, &["history", "a.test"]).exits(0).says(&[
        "published",
        "visible",
        "persistent record of ca.example",
    ]);

    // Taken out of the configuration, it goes.
    let setup = setup.without("b.test");
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(published(&server, "b.test"), [""; 0]);
    assert_eq!(published(&server, "a.test"), first);
}

#[test]
fn an_account_without_a_client_stops_no_persistent_record() {
    let (server, world, mut setup) = stage(&[("a.test", "")]);
    // No process listens there.
    let key = world.path("api.key").display().to_string();
    let account = format!(
        "[ca.idle]\nkind = \"swisssign\"\nurl = \"http://127.0.0.1:1\"\nuser = \"u\"\n\
         api_key = {{ file = \"{key}\" }}\n"
    );
    let (_, persistent) = setup.instead.take().unwrap();
    setup.instead = Some((account, persistent));
    world.run(&setup, &["config", "check"]).exits(0).says(&[
        "ca.idle: no [[client]] belongs to it, so no domain is validated there; [[persistent]] \
         needs no [ca.NAME]",
    ]);
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(published(&server, "a.test").len(), 1);
    world.run(&setup, &["check"]).exits(0);
}

#[test]
fn a_record_that_a_pipeline_drops_comes_back_and_a_new_account_replaces_it() {
    let other = "_validation-persist 1800 TXT \"other.example; accounturi=acct:1@other.example\"";
    let (server, world, setup) = stage(&[("a.test", other)]);
    let before = server.axfr("a.test");
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    let both = published(&server, "a.test");
    assert_eq!(both.len(), 2, "{both:?}");
    let ours = both[0].clone();
    server.nsupdate(&format!(
        "update delete _validation-persist.a.test. TXT {}",
        quoted(&ours)
    ));
    assert_eq!(published(&server, "a.test").len(), 1);
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(published(&server, "a.test"), both);
    world
        .run(&setup, &["history", "a.test"])
        .says(&["vanished", "another writer", "put back"]);

    let account = "https://acme.ca.example/acct/4712";
    let moved = section(setup.clone(), account, "canary = \"0s\"");
    world.run(&moved, &["run", "--wait", "30s"]).exits(0);
    let now = published(&server, "a.test");
    assert!(now.len() == 2 && now[0].contains("4712"), "{now:?}");

    world
        .run(&moved, &["withdraw", "a.test", "--yes"])
        .exits(0)
        .says(&["resume"]);
    assert_eq!(server.axfr("a.test"), before, "nothing is left");
    world.run(&moved, &["run", "--wait", "10s"]).exits(0);
    assert_eq!(server.axfr("a.test"), before, "and it stays away");
    world
        .run(&moved, &["persistent", "resume", "a.test"])
        .exits(0);
    world.run(&moved, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(published(&server, "a.test").len(), 2);
    world
        .run(&moved, &["persistent", "withdraw", "a.test", "--yes"])
        .exits(0)
        .says(&["withdrawn: _validation-persist.a.test TXT"]);
    assert_eq!(server.axfr("a.test"), before);
}

#[test]
fn a_record_from_before_us_is_never_removed() {
    let until = 1_990_000_000;
    let value = format!("ca.example; accounturi={ACCOUNT}; persistUntil={until}");
    let (server, world, setup) = stage(&[(
        "a.test",
        &format!("_validation-persist 1800 TXT {}", quoted(&value)),
    )]);
    let before = server.axfr("a.test");
    // 1990000000 is 2033-01-22T07:06:40Z, more than five years ahead of the test's day: refused.
    let fixed = |until: &str| section(setup.clone(), ACCOUNT, &format!("until = \"{until}\""));
    world
        .run(&fixed("2033-01-22T07:06:40Z"), &["run", "--wait", "0s"])
        .exits(1)
        .says(&["more than five years"]);
    assert_eq!(server.axfr("a.test"), before);
    world
        .run(&setup, &["persistent", "scan"])
        .exits(1)
        .says(&["wanted", "more than five years"]);
}

#[test]
fn the_writers_of_a_zone_are_told_what_must_be_and_what_may_go() {
    let (server, world, mut setup) = stage(&[("a.test", "")]);
    let before = server.axfr("a.test");
    setup.provider = None;
    setup.more = "[provider.gitops]\nkind = \"manual\"\nzones = [\"a.test\"]\n".to_owned();
    world
        .run(&setup, &["run", "--wait", "0s"])
        .exits(1)
        .says(&["waiting", "prevalidate records"]);
    assert_eq!(server.axfr("a.test"), before);
    let deploy = || {
        let printed = world
            .run(&setup, &["records", "--format", "nsupdate"])
            .exits(0);
        let key = server.tsig_key_file().display().to_string();
        let port = server.address().port();
        let input = format!("server 127.0.0.1 {port}\n{}", printed.stdout);
        process::run("nsupdate", &["-v", "-k", &key], &input);
    };
    deploy();
    world.run(&setup, &["run", "--wait", "10s"]).exits(0);
    assert_eq!(published(&server, "a.test").len(), 1);
    for (format, rule) in [
        ("dnscontrol", "IGNORE(\"_validation-persist\", \"TXT\")"),
        ("octodns", "NameRejectlistFilter"),
    ] {
        let asked = ["records", "--format", format, "--ignore-rules"];
        world.run(&setup, &asked).exits(0).says(&[rule, "a.test"]);
    }
    world.run(&setup, &["records", "--ignore-rules"]).exits(2);
    world
        .run(
            &setup,
            &["persistent", "withdraw", "a.test", "--yes", "--wait", "0s"],
        )
        .exits(4)
        .says(&["is still in DNS"]);
    deploy();
    assert_eq!(server.axfr("a.test"), before);
    // Each run checks whether they have removed it.
    world.run(&setup, &["run", "--wait", "0s"]).exits(0);
    world.run(&setup, &["check"]).exits(0);
    let listed = world.run(&setup, &["persistent", "list", "--output", "json"]);
    let one = listed.exits(0).json()["persistent"][0].clone();
    assert_eq!(
        (&one["state"], &one["reason"]),
        (&"withdrawn".into(), &"withdrawn by hand".into())
    );
    world.run(&setup, &["records"]).exits(0);
}

#[cfg(feature = "crashpoints")]
#[test]
fn a_process_may_be_killed_at_every_point_of_a_persistent_record() {
    use prevalidate::worker::crashpoint::PERSISTENT_POINTS;
    let (server, world, setup) = stage(&[("a.test", "")]);
    let before = server.axfr("a.test");
    for point in PERSISTENT_POINTS {
        let crash = ("PREVALIDATE_CRASH", point);
        // Published, dropped by another writer, put back, withdrawn: each may die.
        let died = world
            .run_with(&setup, &["run", "--wait", "30s"], crash)
            .status
            .code();
        if died.is_some() {
            let ours = published(&server, "a.test");
            assert_eq!(ours.len(), 1, "{point}");
            let line = format!(
                "update delete _validation-persist.a.test. TXT {}",
                quoted(&ours[0])
            );
            server.nsupdate(&line);
            world.run_with(&setup, &["run", "--wait", "30s"], crash);
        }
        world.run(&setup, &["run", "--wait", "30s"]).exits(0);
        assert_eq!(published(&server, "a.test").len(), 1, "{point}");
        let no_domains = super::super::world::Setup {
            domains: Vec::new(),
            ..setup.clone()
        };
        world.run_with(&no_domains, &["run", "--wait", "30s"], crash);
        world.run(&no_domains, &["run", "--wait", "30s"]).exits(0);
        assert_eq!(server.axfr("a.test"), before, "{point}");
    }
}
