//! The label is an alias into another zone, and the alias moves.

use jiff::SignedDuration;
use prevalidate::clock::{Clock as _, SystemClock};

use super::super::world::{Setup, World};
use super::{ACCOUNT, quoted, section, stage};
use crate::support::NameServer;

/// The values of persistent records in a zone, with their owners.
fn values(server: &NameServer, zone: &str) -> Vec<String> {
    let lines = server.axfr(zone).into_iter();
    lines.filter(|line| line.contains("accounturi=")).collect()
}

#[test]
fn a_record_goes_where_its_alias_leads_and_leaves_the_old_place() {
    let fixed = SystemClock.now() + SignedDuration::from_hours(24 * 200);
    let fixed = fixed.strftime("%Y-%m-%d").to_string();
    for until in ["365d", fixed.as_str()] {
        let (server, world, setup) = stage(&[
            ("a.test", "_validation-persist 60 CNAME a.one.test."),
            ("one.test", ""),
            ("two.test", ""),
        ]);
        let more = format!("canary = \"0s\"\nuntil = \"{until}\"");
        let setup = section(setup, ACCOUNT, &more);
        let setup = setup.without("one.test").without("two.test");
        let zones = || ["a.test", "one.test", "two.test"].map(|zone| values(&server, zone).len());
        let before = server.axfr("one.test");
        world.run(&setup, &["run", "--wait", "30s"]).exits(0);
        assert_eq!(zones(), [0, 1, 0], "{until}");
        assert!(values(&server, "one.test")[0].starts_with("a.one.test."));

        server.nsupdate(
            "update delete _validation-persist.a.test. CNAME\n\
             update add _validation-persist.a.test. 60 CNAME a.two.test.",
        );
        world
            .run(&setup, &["run", "--dry-run"])
            .says(&["the alias leads to a.two.test now, and the record is at a.one.test"]);
        world.run(&setup, &["run", "--wait", "30s"]).exits(0);
        assert_eq!(zones(), [0, 0, 1], "{until}");
        assert_eq!(server.axfr("one.test"), before);
        // Nothing was dropped, so nothing was put back.
        let listed = world.run(&setup, &["persistent", "list", "--output", "json"]);
        assert_eq!(listed.exits(0).json()["persistent"][0]["put_back"], 0);

        // The alias goes, and the record comes to the label itself.
        server.nsupdate("update delete _validation-persist.a.test. CNAME");
        world.run(&setup, &["run", "--wait", "30s"]).exits(0);
        assert_eq!(zones(), [1, 0, 0], "{until}");
        let serial = server.serial("a.test");
        world.run(&setup, &["run", "--wait", "30s"]).exits(0);
        assert_eq!(server.serial("a.test"), serial, "it is left alone");
    }
}

#[test]
fn a_record_whose_name_becomes_an_alias_goes_there_and_nothing_is_left() {
    let (server, world, setup) = stage(&[("a.test", ""), ("one.test", "")]);
    let setup = setup.without("one.test");
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    let zones = || ["a.test", "one.test"].map(|zone| values(&server, zone).len());
    assert_eq!(zones(), [1, 0]);
    server.nsupdate(
        "update delete _validation-persist.a.test. TXT\n\
         update add _validation-persist.a.test. 60 CNAME a.one.test.",
    );
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(zones(), [0, 1]);
    let listed = world.run(&setup, &["persistent", "list", "--output", "json"]);
    let one = listed.exits(0).json()["persistent"][0].clone();
    assert_eq!(one["records"].as_array().unwrap().len(), 1, "{one}");
    assert_eq!(one["state"], "visible", "{one}");
    world
        .run(&setup, &["persistent", "withdraw", "a.test", "--yes"])
        .exits(0);
    assert_eq!(zones(), [0, 0]);
}

#[test]
fn the_writers_of_an_alias_are_told_its_zone_and_its_name() {
    let (server, world, mut setup) = stage(&[
        ("a.test", "_validation-persist 60 CNAME a.dcv.one.test."),
        ("b.test", ""),
        ("one.test", ""),
    ]);
    setup.provider = None;
    setup.more = "[provider.gitops]\nkind = \"manual\"\n".to_owned();
    let setup = setup.without("one.test");
    world.run(&setup, &["run", "--wait", "0s"]).exits(1);
    for (format, words) in [
        ("zone", "; zone one.test: must exist"),
        ("nsupdate", "zone one.test."),
        ("octodns", "# one.test.yaml"),
        ("octodns", "\"a.dcv\":"),
        ("dnscontrol", "D_EXTEND(\"one.test\","),
    ] {
        world
            .run(&setup, &["records", "--format", format])
            .exits(0)
            .says(&[words]);
    }
    for (format, rule, zone) in [
        (
            "dnscontrol",
            "IGNORE(\"a.dcv\", \"TXT\")",
            "D_EXTEND(\"one.test\",",
        ),
        ("octodns", "- /^a\\.dcv$/", "  one.test.:"),
    ] {
        let asked = ["records", "--format", format, "--ignore-rules"];
        world.run(&setup, &asked).exits(0).says(&[rule, zone]);
    }
    // octoDNS lists processors by zone: the name in one zone is managed in the others.
    let asked = ["records", "--format", "octodns", "--ignore-rules"];
    let printed = world.run(&setup, &asked).exits(0).stdout;
    let expected = r"# config.yaml: merge these into what is there; every type at these names is left alone
processors:
  prevalidate-persistent:
    class: octodns.processor.filter.NameRejectlistFilter
    rejectlist:
      - /^_validation-persist(\..+)?$/
  prevalidate-persistent-one.test:
    class: octodns.processor.filter.NameRejectlistFilter
    rejectlist:
      - /^_validation-persist(\..+)?$/
      - /^a\.dcv$/
zones:
  b.test.:
    processors:
      - prevalidate-persistent
  one.test.:
    processors:
      - prevalidate-persistent-one.test
";
    assert_eq!(printed, expected);
    assert_eq!(values(&server, "one.test"), [""; 0]);
}

/// The names that `records` says must have a record, and those that may lose one.
fn told(world: &World, setup: &Setup) -> [Vec<String>; 2] {
    let told = world.run(setup, &["records", "--output", "json"]);
    let told = told.exits(0).json();
    ["must_stand", "may_go"].map(|list| {
        let all = told[list].as_array().unwrap().iter();
        let owner = |value: &serde_json::Value| value["owner"].as_str().unwrap().to_owned();
        let mut owners: Vec<String> = all.map(owner).collect();
        owners.sort();
        owners
    })
}

#[test]
fn the_writers_of_a_zone_are_not_told_a_txt_where_an_alias_is() {
    let (server, world, mut setup) = stage(&[("a.test", ""), ("one.test", "")]);
    setup.provider = None;
    setup.more = "[provider.gitops]\nkind = \"manual\"\n".to_owned();
    let setup = setup.without("one.test");
    let told = || told(&world, &setup);
    let value = || {
        let listed = world.run(&setup, &["persistent", "list", "--output", "json"]);
        let records = listed.json()["persistent"][0]["records"].clone();
        let last = records.as_array().unwrap().last().unwrap().clone();
        quoted(last["value"].as_str().unwrap())
    };
    let keeps = || {
        let file = world.path("a.test.zone");
        std::fs::write(&file, server.axfr("a.test").join("\n")).unwrap();
        let file = file.display().to_string();
        world.run(&setup, &["records", "--check", &file]).exits(0);
    };
    let check = || {
        world.run(&setup, &["run", "--wait", "0s"]).exits(1);
    };
    const LABEL: &str = "_validation-persist.a.test";
    world.run(&setup, &["run", "--wait", "0s"]).exits(1);
    server.nsupdate(&format!("update add {LABEL}. 60 TXT {}", value()));
    world.run(&setup, &["run", "--wait", "0s"]).exits(0);
    assert_eq!(told(), [vec![LABEL], vec![]]);

    // An alias takes the place of the record.
    server.nsupdate(&format!(
        "update delete {LABEL}. TXT\nupdate add {LABEL}. 60 CNAME q.one.test."
    ));
    check();
    assert_eq!(told(), [vec!["q.one.test"], vec![]]);
    keeps();
    server.nsupdate(&format!("update add q.one.test. 60 TXT {}", value()));
    world.run(&setup, &["run", "--wait", "0s"]);
    assert_eq!(told(), [vec!["q.one.test"], vec![]]);
    world.run(&setup, &["run", "--wait", "0s"]).exits(0);

    // The target of the alias becomes an alias too.
    server.nsupdate("update delete q.one.test. TXT\nupdate add q.one.test. 60 CNAME r.one.test.");
    check();
    assert_eq!(told(), [vec!["r.one.test"], vec![]]);
    server.nsupdate(&format!("update add r.one.test. 60 TXT {}", value()));
    world.run(&setup, &["run", "--wait", "0s"]);

    // The alias goes: what it led to stays until the label has the record.
    server.nsupdate(&format!("update delete {LABEL}. CNAME"));
    check();
    assert_eq!(told(), [vec![LABEL, "r.one.test"], vec![]]);
    server.nsupdate(&format!("update add {LABEL}. 60 TXT {}", value()));
    world.run(&setup, &["run", "--wait", "0s"]);
    assert_eq!(told(), [vec![LABEL], vec!["r.one.test"]]);
    keeps();
}

#[test]
fn a_plan_without_the_alias_of_a_record_lacks_it() {
    const LABEL: &str = "_validation-persist.a.test.";
    let (server, world, setup) = stage(&[
        ("a.test", "_validation-persist 60 CNAME a.one.test."),
        ("one.test", ""),
    ]);
    let setup = setup.without("one.test");
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    let value = &values(&server, "one.test")[0];
    let (_, value) = value.split_once("TXT").unwrap();
    let without = server.axfr("a.test").into_iter();
    let without: Vec<String> = without.filter(|line| !line.starts_with(LABEL)).collect();
    let file = world.path("a.test.zone").display().to_string();
    for (more, exit, words) in [
        (
            format!("{LABEL} 60 CNAME a.one.test."),
            0,
            "keeps all of 1 values",
        ),
        (
            String::new(),
            4,
            "_validation-persist.a.test CNAME a.one.test. leads to a record that is needed, and \
             the planned zone drops it",
        ),
        // Through a name of the same zone, or to one that has no record.
        (
            format!("{LABEL} 60 CNAME x.a.test.\nx.a.test. 60 CNAME a.one.test."),
            0,
            "keeps all of 1 values",
        ),
        (format!("{LABEL} 60 CNAME x.a.test."), 4, "lacks 1 of 1"),
        (format!("{LABEL} 60 CNAME {LABEL}"), 4, "lacks 1 of 1"),
        // Where another zone's alias leads, this plan does not say.
        (format!("{LABEL} 60 CNAME a.two.test."), 0, "keeps all of 1"),
        (
            "*.a.test. 60 CNAME a.one.test.".to_owned(),
            0,
            "keeps all of 1",
        ),
        (format!("{LABEL} 60 TXT {value}"), 0, "keeps all of 1"),
    ] {
        std::fs::write(&file, without.join("\n") + "\n" + &more + "\n").unwrap();
        let checked = world.run(&setup, &["records", "--check", &file]);
        checked.exits(exit).says(&[words]);
    }
    std::fs::write(&file, without.join("\n")).unwrap();
    let checked = world.run(&setup, &["records", "--check", &file, "--output", "json"]);
    let missing = checked.exits(4).json()["missing"][0].clone();
    assert_eq!(
        [&missing["owner"], &missing["type"], &missing["value"]],
        ["_validation-persist.a.test", "CNAME", "a.one.test"]
    );
}
