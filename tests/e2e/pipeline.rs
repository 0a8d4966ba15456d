//! Zones that only a pipeline may write, and domains that name no provider.

use std::fs;

use prevalidate::sandbox::ca::Call;
use serde_json::json;

use super::world::{Ran, Setup, World};
use crate::support::{Keys, NameServer, Zone, process};

fn a_pipeline() -> (NameServer, World, Setup) {
    let zones = ["a.test", "b.test"].map(|apex| {
        Zone::new(
            apex,
            "@ 3600 TXT \"v=spf1 -all\"\nsub NS ns.sub\nns.sub A 127.0.0.1",
        )
    });
    let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    let mut setup = world.setup(&server, &["a.test", "b.test"]);
    setup.provider = None;
    setup.more =
        "[provider.gitops]\nkind = \"manual\"\nzones = [\"a.test\", \"b.test\"]\n".to_owned();
    (server, world, setup)
}

/// What a pipeline does with the output for nsupdate.
fn deploy(server: &NameServer, printed: &Ran) {
    let key = server.tsig_key_file().display().to_string();
    let input = format!(
        "server 127.0.0.1 {}\n{}",
        server.address().port(),
        printed.stdout
    );
    process::run("nsupdate", &["-v", "-k", &key], &input);
}

/// The zone as a pipeline plans it: what is there and more lines.
fn plan(world: &World, server: &NameServer, zone: &str, more: &str) -> String {
    let mut records = server.axfr(zone);
    records
        .iter_mut()
        .for_each(|record| *record = record.replace("SERIAL", "1"));
    let path = world.path(&format!("{zone}.zone"));
    fs::write(&path, format!("{}\n{more}", records.join("\n"))).unwrap();
    path.display().to_string()
}

#[test]
fn a_pipeline_writes_what_records_prints_and_everything_else_goes_by_itself() {
    let (server, world, setup) = a_pipeline();
    let before = ["a.test", "b.test"].map(|zone| server.axfr(zone));
    let nothing = world.run(&setup, &["records"]).exits(0);
    assert_eq!(nothing.stdout, "");
    world
        .run(&setup, &["run", "--wait", "0s"])
        .exits(4)
        .says(&["for the zone's own writer to write", "a.test TXT"]);
    assert_eq!(
        ["a.test", "b.test"].map(|zone| server.axfr(zone)),
        before,
        "nothing is written"
    );
    assert_eq!(world.ca.count(Call::Validate), 0);

    // A deployment that does not know of it is told; one that does is good, also for BIND's own
    // tools.
    let bare = plan(&world, &server, "a.test", "");
    let lines = world
        .run(&setup, &["records", "--zone", "a.test"])
        .exits(0)
        .says(&["; zone a.test: must exist"])
        .stdout;
    assert!(
        !lines.contains("b.test") && lines.contains("a.test. 3600 IN TXT \"swiss-pki="),
        "{lines}"
    );
    world
        .run(&setup, &["records", "--check", &bare])
        .exits(4)
        .says(&["lacks 1 of 1", "is needed, and not in"]);
    let good = plan(&world, &server, "a.test", &lines);
    process::run("named-checkzone", &["a.test", &good], "");
    world
        .run(&setup, &["records", "--check", &good])
        .exits(0)
        .says(&["keeps all of 1"]);
    let value = world.ca.domain("a.test").unwrap().random_value.unwrap();
    let path = world.path("plan.json");
    fs::write(
        &path,
        json!({ "zone": "a.test", "txt": { "a.test": [value, "v=spf1 -all"] } }).to_string(),
    )
    .unwrap();
    world
        .run(&setup, &["records", "--check", path.to_str().unwrap()])
        .exits(0);
    let check = |more: &[&str]| {
        world.run(
            &setup,
            &[&["records", "--check", path.to_str().unwrap()], more].concat(),
        )
    };
    for (text, words) in [
        (&b"$INCLUDE other.zone\n"[..], "line 1"),
        (b"", "--zone"),
        (b"{\"zone\": \"a.test\"", "JSON"),
        (b"a.test. TXT \"open", "line 1"),
    ] {
        fs::write(&path, text).unwrap();
        check(&[]).exits(2).says(&[words, "named-compilezone"]);
    }
    fs::write(&path, b"\x00\xff\xfe").unwrap();
    check(&[])
        .exits(2)
        .says(&["is a binary file, not a text", "was the wrong file named?"]);
    fs::write(&path, "$ORIGIN b.test.\n@ SOA ns1 h 1 2 3 4 5\n").unwrap();
    check(&["--zone", "a.test"])
        .exits(2)
        .says(&["the zone b.test, and not a.test"]);
    world
        .run(
            &setup,
            &["records", "--check", world.path("").to_str().unwrap()],
        )
        .exits(2)
        .says(&["cannot be read"]);
    // As BIND's tools write it, with a comment in another encoding.
    let head =
        "$ORIGIN .\n$TTL 3600\na.test IN SOA ns1.a.test. h.a.test. 1 2 3 4 5\n; Z\u{fc}rich\n";
    let latin: Vec<u8> = head.chars().map(|c| u8::try_from(c).unwrap()).collect();
    fs::write(&path, &latin).unwrap();
    check(&[]).exits(4).says(&["a.test TXT", "lacks 1 of 1"]);
    fs::write(
        &path,
        [
            &latin[..],
            format!("a.test IN TXT \"{value}\"\n").as_bytes(),
        ]
        .concat(),
    )
    .unwrap();
    check(&[]).exits(0).says(&["keeps all of 1"]);

    deploy(
        &server,
        &world
            .run(&setup, &["records", "--format", "nsupdate"])
            .exits(0),
    );
    assert!(server.txt("a.test").contains(&value));
    world
        .run(&setup, &["run", "--wait", "30s"])
        .exits(0)
        .says(&["2 valid", "for the zone's own writer"]);

    // It may go, and a plan that still has it is told so, without being refused.
    let stale = plan(&world, &server, "a.test", "");
    world
        .run(&setup, &["records", "--check", &stale])
        .exits(0)
        .says(&["is no longer needed and may go"]);
    let records = world
        .run(&setup, &["records", "--output", "json"])
        .exits(0)
        .json();
    assert_eq!(
        (
            records["must_stand"].as_array().unwrap().len(),
            records["may_go"].as_array().unwrap().len()
        ),
        (0, 2)
    );
    deploy(
        &server,
        &world
            .run(&setup, &["records", "--format", "nsupdate"])
            .exits(0),
    );
    assert_eq!(
        ["a.test", "b.test"].map(|zone| server.axfr(zone)),
        before,
        "as before, with all TTLs"
    );
}

#[test]
fn no_waiting_time_replaces_a_value_that_is_not_written() {
    let (server, world, mut setup) = a_pipeline();
    for zone in ["a.test", "b.test"] {
        setup.more += &format!("[propagation.zone.\"{zone}\"]\nmode = \"delay\"\ndelay = \"1s\"\n");
        let servers = setup.name_servers.remove(zone).unwrap();
        setup.more += &format!("name_servers = {}\n", json!(servers));
    }
    let ran = world
        .run(&setup, &["run", "--wait", "4s"])
        .exits(4)
        .says(&["for the zone's own writer to write"]);
    assert_eq!(world.ca.count(Call::Validate), 0, "{}", ran.said());
    deploy(
        &server,
        &world
            .run(&setup, &["records", "--format", "nsupdate"])
            .exits(0),
    );
    world
        .run(&setup, &["run", "--wait", "30s"])
        .exits(0)
        .says(&["2 valid"]);
}

#[test]
fn every_format_says_the_same() {
    let (_server, world, setup) = a_pipeline();
    world.run(&setup, &["run", "--wait", "0s"]).exits(4);
    let [a, b] =
        ["a.test", "b.test"].map(|name| world.ca.domain(name).unwrap().random_value.unwrap());
    let printed = |format: &str| {
        world
            .run(&setup, &["records", "--format", format])
            .exits(0)
            .stdout
    };
    for (format, expected) in [
        (
            "octodns",
            format!(
                "---\n# a.test.yaml: merge these into what is there\n\"\":\n  ttl: 3600\n  type: TXT\n  values:\n    - \"{a}\"\n"
            ),
        ),
        (
            "dnscontrol",
            format!("D_EXTEND(\"a.test\",\n  TXT(\"@\", \"{a}\", TTL(3600)),\nEND);\n"),
        ),
        (
            "terraform",
            format!(
                "locals {{\n  prevalidate_txt = {{\n    \"a.test\" = [\"{a}\"]\n    \"b.test\" = [\"{b}\"]\n  }}\n}}\n"
            ),
        ),
    ] {
        assert!(
            printed(format).starts_with(&expected),
            "{format}: {}",
            printed(format)
        );
    }
    let read: serde_json::Value = serde_json::from_str(&printed("json")).unwrap();
    assert_eq!(read["must_stand"][1]["value"], json!(b));

    // A pipeline renders from what is printed: what is still needed is printed, whatever became of
    // the name of its provider, and a list that was emptied by mistake prints nothing at all.
    let mut renamed = setup.clone();
    renamed.more = renamed.more.replace("gitops", "pipeline");
    let ran = world.run(&renamed, &["records", "--format", "json"]);
    let read: serde_json::Value = serde_json::from_str(&ran.exits(0).stdout).unwrap();
    assert_eq!(read["must_stand"][1]["value"], json!(b));
    let mut emptied = setup.clone();
    emptied.domains.clear();
    for arguments in [&["records"][..], &["records", "--check", "-"]] {
        let ran = world.run(&emptied, arguments).exits(5);
        assert_eq!(ran.stdout, "", "{}", ran.said());
    }
}

/// octoDNS itself, from one folder of YAML to another, without writing.
#[test]
fn octodns_plans_what_records_prints() {
    let (_server, world, setup) = a_pipeline();
    world.run(&setup, &["run", "--wait", "0s"]).exits(4);
    for folder in ["config", "target"] {
        fs::create_dir(world.path(folder)).unwrap();
    }
    let printed = world
        .run(
            &setup,
            &["records", "--format", "octodns", "--zone", "a.test"],
        )
        .exits(0)
        .stdout;
    fs::write(world.path("config/a.test.yaml"), printed).unwrap();
    let yaml = |folder: &str| json!({ "class": "octodns.provider.yaml.YamlProvider", "directory": world.path(folder) });
    let config = json!({
        "providers": { "config": yaml("config"), "target": yaml("target") },
        "zones": { "a.test.": { "sources": ["config"], "targets": ["target"] } },
    });
    let path = world.path("octodns.json");
    fs::write(&path, config.to_string()).unwrap();
    let sync = process::tool("octodns-sync");
    let ran = std::process::Command::new(sync)
        .arg("--config-file")
        .arg(path)
        .output()
        .unwrap();
    let said = [ran.stdout, ran.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let value = world.ca.domain("a.test").unwrap().random_value.unwrap();
    assert!(
        ran.status.success() && said.contains("Create") && said.contains(&value),
        "{said}"
    );
}

#[test]
fn of_two_servers_with_one_zone_the_live_one_is_found_and_shown() {
    let zone = |name: &str| {
        let head = format!(
            "$ORIGIN a.test.\n$TTL 60\n@ SOA {name} hostmaster 1 60 60 600 60\n@ NS {name}\n{name} A 127.0.0.1\n"
        );
        Zone::file("a.test", &head)
    };
    let keys = Keys::of(&["prevalidate"]);
    let (live, stale) = (
        NameServer::bind(&[zone("ns1")], &keys),
        NameServer::bind(&[zone("ns9")], &keys),
    );
    let world = World::new(&[&live]);
    let mut setup = world.setup(&live, &["a.test"]);
    setup.provider = None;
    setup.name_servers.clear();
    let table = |name: &str, server: &NameServer| {
        let key = json!(server.tsig_key_file().display().to_string());
        format!(
            "[provider.{name}]\nkind = \"rfc2136\"\nserver = \"{}\"\nkey_file = {key}\n",
            server.address()
        )
    };
    setup.more = table("old", &stale) + &table("new", &live);
    // Where the walk begins decides what is live; the name servers' own addresses do not matter
    // here.
    setup.roots = vec![live.address()];
    let serials = (live.serial("a.test"), stale.serial("a.test"));
    let found = world
        .run(&setup, &["providers", "check", "--output", "json"])
        .exits(0)
        .json();
    let rows: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["provider"], &row["zone"]))
        .collect();
    assert_eq!(
        rows,
        [
            (&json!("new"), &json!("a.test")),
            (&json!("old"), &json!(null))
        ]
    );
    assert_eq!(found[0]["checks"][0]["ok"], json!(true));
    assert_eq!(
        (live.serial("a.test"), stale.serial("a.test")),
        serials,
        "nothing was written"
    );

    setup.roots = vec![stale.address()];
    world
        .run(&setup, &["providers"])
        .exits(0)
        .says(&["old rfc2136 a.test"]);
    // Where that is not known, both are named, and nothing is written.
    setup.roots.clear();
    setup
        .name_servers
        .insert("a.test".to_owned(), vec![live.address()]);
    let words = [
        "several providers could write it",
        "old has a.test on ns9.a.test",
        "new has a.test on ns1.a.test",
    ];
    world.run(&setup, &["providers"]).exits(4).says(&words);
    world
        .run(&setup, &["run", "--wait", "0s"])
        .exits(4)
        .says(&["several providers could write it"]);
    assert_eq!((live.serial("a.test"), stale.serial("a.test")), serials);
}

#[test]
fn a_provider_that_cannot_write_is_named_by_providers_check() {
    let zone = Zone::new("a.test", "alias CNAME elsewhere");
    let server = NameServer::bind(&[zone], &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    let mut setup = world.setup(&server, &["a.test"]);
    setup.domains = vec!["a.test".to_owned(), "alias.a.test".to_owned()];
    world
        .run(&setup, &["providers", "check"])
        .exits(0)
        .says(&["can be written", "a.test and 1 more"]);
    world
        .run(&setup, &["providers", "check", "--all"])
        .exits(4)
        .says(&["1 of 2 cannot be written", "is an alias"]);
}
