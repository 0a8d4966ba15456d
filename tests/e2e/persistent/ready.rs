//! `readiness` holds persistent records against CAA as it binds on the day.

use serde_json::Value;

use super::super::world::World;
use super::{ACCOUNT, SPF, Setup, section, stage};
use crate::support::{Keys, NameServer, Zone};

const LONG: &str = "canary = \"0s\"\nuntil = \"300d\"";

fn findings(report: &Value) -> Vec<String> {
    let all = report["findings"].as_array().unwrap().iter();
    let persistent = all.filter(|it| it["code"].as_str().unwrap().starts_with("persistent"));
    persistent
        .map(|it| {
            let word = |key: &str| it[key].as_str().unwrap().to_owned();
            format!("{} {} {}", word("domain"), word("severity"), word("code"))
        })
        .collect()
}

#[test]
fn caa_that_stops_a_visible_record_on_the_day_is_foretold() {
    let other = "https://acme.ca.example/acct/1";
    let issue = |value: &str| format!("@ CAA 0 issue \"{value}\"");
    let zones = [
        ("free.test", String::new()),
        ("issuer.test", issue("other.example")),
        (
            "method.test",
            issue("ca.example; validationmethods=ca-tbr-7"),
        ),
        (
            "account.test",
            issue(&format!("ca.example; accounturi={other}")),
        ),
        (
            "ours.test",
            issue(&format!(
                "ca.example; accounturi={ACCOUNT}; validationmethods=ca-tbr-22"
            )),
        ),
        (
            "spelling.test",
            issue("ca.example; validationmethods=dns-persist-01"),
        ),
    ];
    let names = zones.each_ref().map(|(name, _)| *name);
    let (server, world, setup) = stage(&names.map(|name| (name, "")));
    let setup = section(setup, ACCOUNT, LONG);
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    // CAA comes after the records.
    for (name, caa) in &zones {
        if let Some(data) = caa.strip_prefix("@ ") {
            server.nsupdate(&format!("update add {name}. 60 {data}"));
        }
    }
    let on = |day: &str| {
        let asked = ["readiness", "--on", day, "--output", "json"];
        world.run(&setup, &asked).json()
    };
    let report = on("2027-03-15");
    assert_eq!(report["domains"], 6, "{report}");
    assert_eq!(
        findings(&report),
        [
            "account.test blocks persistent-caa",
            "issuer.test blocks persistent-caa",
            "method.test blocks persistent-caa",
            "spelling.test warns persistent-caa",
        ]
    );
    // Before that day parameters stop no CA.
    let report = on("2027-03-14");
    assert_eq!(findings(&report), ["issuer.test blocks persistent-caa"]);
    let all = report["findings"].as_array().unwrap();
    let of = |name: &str| {
        let mut all = all.iter();
        all.find(|it| it["domain"] == name && it["code"] == "persistent-caa")
    };
    let added = &of("issuer.test").unwrap()["changes"][0]["add"];
    assert_eq!(added, "issuer.test. CAA 0 issue \"ca.example\"");
    world
        .run(&setup, &["readiness", "--on", "2027-03-15"])
        .exits(4)
        .says(&["6 domains: on 2027-03-15, 3 findings stop certificates"]);
}

#[test]
fn a_record_that_waits_in_vain_and_a_foreign_account_are_findings() {
    let foreign = "ca.example; accounturi=https://acme.ca.example/acct/1";
    let label = format!("_validation-persist 60 TXT \"{foreign}\"");
    let (server, world, setup) = stage(&[("a.test", label.as_str()), ("b.test", "")]);
    let setup = section(setup, ACCOUNT, LONG);
    let setup = setup.without("b.test");
    // No server accepts this key.
    let key = world.path("other.key");
    let other = "key \"other.\" { algorithm hmac-sha256; secret \"AAECAwQFBgcICQoLDA0ODw==\"; };\n";
    crate::support::name_server::write_secret(&key, other);
    let refused = Setup {
        provider: Some((server.address(), key)),
        ..setup.clone()
    };
    world.run(&refused, &["run", "--wait", "0s"]).exits(1);
    let asked = ["readiness", "--on", "2027-03-14", "--output", "json"];
    let report = world.run(&refused, &asked).json();
    assert_eq!(
        findings(&report),
        [
            "a.test warns persistent-foreign",
            "a.test warns persistent-trouble",
        ],
        "{report}"
    );
    let text = |code: &str| {
        let all = report["findings"].as_array().unwrap().iter();
        let mut found = all.filter(|it| it["code"] == code);
        found.next().unwrap()["text"].as_str().unwrap().to_owned()
    };
    let said = text("persistent-foreign");
    assert!(said.contains("https://acme.ca.example/acct/1"), "{said}");
    let said = text("persistent-trouble");
    assert!(
        said.contains("is waiting") && said.contains("other"),
        "{said}"
    );
}

#[test]
fn a_foreign_account_is_told_for_the_domains_of_clients_too() {
    let record = |issuer: &str, account: u32| {
        format!("_validation-persist 60 TXT \"{issuer}; accounturi=acct:{account}@{issuer}\"\n")
    };
    // Of the client's CA, and of one that is not ours.
    let both = record("swisssign.com", 7) + &record("other.example", 8);
    let zone = Zone::new("a.test", &format!("{SPF}\n{both}"));
    let server = NameServer::bind(&[zone], &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    let setup = world.setup(&server, &["a.test"]);
    world.run(&setup, &["run", "--wait", "30s"]);
    let asked = ["readiness", "--output", "json"];
    let report = world.run(&setup, &asked).json();
    assert_eq!(findings(&report), ["a.test warns persistent-foreign"]);
    assert!(report.to_string().contains("acct:7@swisssign.com"));
    // With a section of the other issuer for another domain, both are ours.
    let mut setup = setup;
    setup.more = "[[persistent]]\nissuer = \"other.example\"\n\
                  accounturi = \"acct:9@other.example\"\ndomains = [\"b.a.test\"]\n"
        .to_owned();
    let report = world.run(&setup, &asked).json();
    let of_domain = findings(&report);
    let of_domain = of_domain.iter().filter(|it| it.starts_with("a.test"));
    assert_eq!(of_domain.count(), 2, "{report}");
}

#[test]
fn a_day_in_the_past_is_refused() {
    let (_server, world, setup) = stage(&[("a.test", "")]);
    world
        .run(&setup, &["readiness", "--on", "2026-01-01"])
        .exits(2)
        .says(&["--on 2026-01-01: the day is over"]);
}
