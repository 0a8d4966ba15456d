//! Twenty persistent records at BIND, Route 53, Cloudflare and a zone that a foreign writer writes.

use super::*;
use crate::support::process;

/// Names in the zones of each provider; those of `b2.test` are for the zone's own writer to write.
const NAMES: [&str; 20] = [
    "b0.test",
    "w0.b0.test",
    "w1.b0.test",
    "b1.test",
    "w0.b1.test",
    "w1.b1.test",
    "r0.test",
    "w0.r0.test",
    "w1.r0.test",
    "r1.test",
    "w0.r1.test",
    "c0.test",
    "w0.c0.test",
    "w1.c0.test",
    "c1.test",
    "w0.c1.test",
    "sub.parent.test",
    "w0.sub.parent.test",
    "b2.test",
    "w0.b2.test",
];

#[test]
fn twenty_persistent_records_are_at_three_providers_and_one_writer() {
    if namespace::is_inside() {
        run_all();
    } else {
        namespace::rerun(
            "e2e::mixed::persistent::twenty_persistent_records_are_at_three_providers_and_one_writer",
        );
    }
}

fn head(more: &str) -> String {
    format!(
        "[[persistent]]\nissuer = \"ca.example\"\naccounturi = \"acct:org-1@ca.example\"\n\
         canary = \"0s\"\n{more}"
    )
}

fn run_all() {
    namespace::set_up([ROOT, BIND, AWS, CLOUDFLARE].map(address));
    let stage = Stage::start();
    let world = World::checking(|name| vec![port_53(whose(name))]);
    let mut setup = stage.setup(&world);
    let before = stage.zones();
    setup.domains = NAMES[..18].iter().map(|&name| name.to_owned()).collect();
    setup.instead = Some((String::new(), head("")));
    let others = format!(
        "{}provider = \"gitops\"\ndomains = {}\n[provider.gitops]\nkind = \"manual\"\nzones = [\"b2.test\"]\n",
        head(""),
        json!(NAMES[18..])
    );
    setup.more.push_str(&others);
    let visible = |count: usize| format!("{count} of 20 persistent records visible");

    world
        .run(&setup, &["run", "--wait", "30s"])
        .exits(1)
        .says(&[&visible(18), "prevalidate records"]);
    let deploy = || {
        let printed = world
            .run(&setup, &["records", "--format", "nsupdate"])
            .exits(0);
        let key = stage.bind.tsig_key_file().display().to_string();
        let port = stage.bind.address().port();
        let input = format!("server 127.0.0.1 {port}\n{}", printed.stdout);
        process::run("nsupdate", &["-v", "-k", &key], &input);
    };
    deploy();
    world
        .run(&setup, &["run", "--wait", "30s"])
        .exits(0)
        .says(&[&visible(20)]);
    let is_ours = |line: &String| line.contains("_validation-persist");
    let without = |zones: Vec<Vec<String>>| -> Vec<Vec<String>> {
        let zones = zones.into_iter();
        let rest = |zone: Vec<String>| zone.into_iter().filter(|line| !is_ours(line)).collect();
        zones.map(rest).collect()
    };
    let published = stage.zones().concat();
    assert_eq!(published.iter().filter(|line| is_ours(line)).count(), 20);
    assert_eq!(
        without(stage.zones()),
        before,
        "everything else is as it was"
    );

    // A pipeline drops three of them.
    for name in ["b0.test", "w0.b0.test", "b1.test"] {
        stage
            .bind
            .nsupdate(&format!("update delete _validation-persist.{name}. TXT"));
    }
    world
        .run(&setup, &["run", "--wait", "30s"])
        .exits(0)
        .says(&[&visible(20)]);
    let scanned = world
        .run(&setup, &["persistent", "scan", "--output", "json"])
        .exits(0)
        .json();
    let found = scanned["records"].as_array().unwrap();
    assert_eq!(found.len(), 20);
    assert!(found.iter().all(|one| one["whose"] == "ours"), "{found:?}");

    let withdraw = [
        &["persistent", "withdraw", "--yes", "--wait", "0s"],
        &NAMES[..],
    ]
    .concat();
    world
        .run(&setup, &withdraw)
        .exits(4)
        .says(&["is still in DNS"]);
    deploy();
    assert_eq!(stage.zones(), before, "nothing is left");
}
