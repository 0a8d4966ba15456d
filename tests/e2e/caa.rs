//! CAA through real name servers: for each shape of record sets what `readiness` foretells, what an
//! independent reading of the RFCs gives (the table), and what the sandbox CA then does.

#![allow(clippy::print_stdout, reason = "the counts are what the test is for")]

mod shapes;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use prevalidate::clock::Clock as _;
use prevalidate::prevalidation::DomainName;
use prevalidate::sandbox::ca::{CaaCheck, Call};
use prevalidate::sandbox::caa::Subject;
use serde_json::Value;

use self::shapes::{SHAPES, Shape};
use super::world::{Setup, World};
use crate::support::{Keys, NameServer, Zone, process};

const APEX: &str = "caa.test";
/// A zone of its own below the other one.
const CUT: &str = "cut.up9.caa.test";
/// The account of this world at its CA, and the codes of findings about host names.
const ACCOUNT: &str = "acct:muster@swisssign.com";
const ABOUT_HOSTS: [&str; 6] = [
    "caa-forbids",
    "caa-other-methods",
    "caa-other-account",
    "caa-ask-the-ca",
    "caa-unknown-critical",
    "caa-unreadable",
];

/// The lines of all shapes in the zone that holds them.
fn zones() -> Vec<Zone> {
    let mut texts = BTreeMap::from([(APEX, String::new()), (CUT, String::new())]);
    texts.get_mut(APEX).unwrap().push_str("cut.up9 NS ns1\n");
    for shape in SHAPES.iter() {
        for line in shape.lines {
            let (owner, rest) = line.split_once(' ').unwrap();
            let owner = full(if owner == "=" { shape.domain } else { owner });
            let zone = if owner.ends_with(CUT) { CUT } else { APEX };
            writeln!(texts.get_mut(zone).unwrap(), "{owner}. {rest}").unwrap();
        }
    }
    let zone = |(apex, text): (&str, String)| Zone::new(apex, &text);
    texts.into_iter().map(zone).collect()
}

fn full(owner: &str) -> String {
    format!("{owner}.{APEX}")
}

/// A world whose inventory has a domain for each shape.
fn stage() -> (NameServer, World, Setup) {
    let server = NameServer::bind(&zones(), &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    let names: Vec<String> = SHAPES.iter().map(|shape| full(shape.domain)).collect();
    assert_eq!(world.ca.register(&world.client, &names), names.len());
    let mut setup = world.setup(&server, &[APEX, CUT]);
    setup.domains = names;
    // The others come into the inventory, and nothing is done about them.
    let first = full(SHAPES[0].domain);
    world.run(&setup, &["run", "--wait", "0s", "--domain", &first]);
    (server, world, setup)
}

/// What `readiness` foretells for a day: the code about host names, and whether it warns of
/// wildcards and of mail.
fn foretold(world: &World, setup: &Setup, on: &str) -> BTreeMap<String, [String; 3]> {
    let asked = ["readiness", "--on", on, "--output", "json"];
    let report = world.run(setup, &asked).json();
    let mut said: BTreeMap<String, [String; 3]> = BTreeMap::new();
    for shape in SHAPES.iter() {
        said.insert(full(shape.domain), Default::default());
    }
    for finding in report["findings"].as_array().unwrap() {
        let text = |key: &str| finding[key].as_str().unwrap().to_owned();
        let code = text("code");
        let place = match code.as_str() {
            "caa-wildcards" => 1,
            "caa-mail" => 2,
            known if ABOUT_HOSTS.contains(&known) => 0,
            other => {
                assert!(!other.starts_with("caa-"), "{other}");
                continue;
            }
        };
        said.get_mut(&text("domain")).unwrap()[place] = code;
    }
    said
}

/// Every domain has the random value that the CA waits for, where it finds it.
fn publish(world: &World, server: &NameServer) {
    for zone in [APEX, CUT] {
        let mut lines = format!(
            "server 127.0.0.1 {}\nzone {zone}\n",
            server.address().port()
        );
        for shape in SHAPES.iter() {
            let owner = full(shape.txt_at.unwrap_or(shape.domain));
            if owner.ends_with(CUT) != (zone == CUT) {
                continue;
            }
            let domain = world.ca.domain(&full(shape.domain)).unwrap();
            let value = domain.random_value.unwrap();
            writeln!(lines, "update delete {owner}. TXT").unwrap();
            writeln!(lines, "update add {owner}. 60 TXT \"{value}\"").unwrap();
        }
        lines.push_str("send\n");
        let key = server.tsig_key_file().display().to_string();
        process::run("nsupdate", &["-v", "-k", &key], &lines);
    }
}

/// What the CA does on a day with each shape, as one of its two readings: host names are validated
/// or refused by the call, wildcards and mailboxes by the question before an order.
fn done(world: &World, server: &NameServer, at: &str, is_lenient: bool) -> Vec<[bool; 3]> {
    world.ca.change(|behaviour| {
        behaviour.caa = CaaCheck::Validate;
        behaviour.caa_accounts = vec![ACCOUNT.to_owned()];
        behaviour.caa_lenient = is_lenient;
    });
    let at: Timestamp = at.parse().unwrap();
    let clock = world.ca.clock();
    clock.advance(at.duration_since(clock.now()));
    for shape in SHAPES.iter() {
        assert!(world.ca.reset_token(&full(shape.domain)));
    }
    publish(world, server);
    let permits = |shape: &Shape| {
        let domain = full(shape.domain);
        let other = |subject| world.wait_for(world.ca.caa(&domain, subject)).is_ok();
        let host = match shape.can_be_validated() {
            true => {
                let said = world.wait_for(world.ca.validate(&domain));
                let words = said.as_ref().err();
                let is_seen = !words.is_some_and(|why| why.contains("random value"));
                assert!(is_seen, "{domain}: {said:?}");
                said.is_ok()
            }
            false => other(Subject::Host),
        };
        [host, other(Subject::Wildcard), other(Subject::Mail)]
    };
    SHAPES.iter().map(permits).collect()
}

/// Counts what differs, and says it.
struct Tally(Vec<String>);

impl Tally {
    fn hold<T: PartialEq + std::fmt::Debug>(&mut self, shape: &Shape, what: &str, is: T, be: T) {
        if is != be {
            let domain = full(shape.domain);
            self.0
                .push(format!("{domain}: {what}: {is:?} in the place of {be:?}"));
        }
    }
}

#[test]
fn readiness_foretells_what_a_ca_does_that_obeys_the_rules_of_the_day() {
    assert!(SHAPES.len() >= 40, "{}", SHAPES.len());
    let (server, world, setup) = stage();
    let (mut told, mut obeyed) = (Tally(Vec::new()), Tally(Vec::new()));
    let mut verdicts = 0;
    for (day, binds) in [("2027-03-14", false), ("2027-03-15", true)] {
        let said = foretold(&world, &setup, day);
        let at = format!("{day}T12:00:00Z");
        let strict = done(&world, &server, &at, false);
        let lenient = done(&world, &server, &at, true);
        for (nth, shape) in SHAPES.iter().enumerate() {
            let said = &said[&full(shape.domain)];
            let expected = shape.on(binds);
            told.hold(shape, day, said[0].as_str(), expected.code);
            for subject in 0..3 {
                let ca = (strict[nth][subject], lenient[nth][subject]);
                let what = format!("{day}, subject {subject}");
                obeyed.hold(shape, &what, ca, expected.permits[subject]);
                verdicts += 1;
                if let Some(foretold) = foretells(said, subject) {
                    obeyed.hold(shape, &format!("{what}, foretold"), ca, foretold);
                }
                // Where host names may not be issued for, nothing is said about the others.
                if said[0].is_empty() && subject > 0 {
                    let be = match subject {
                        1 => expected.permits[1] != (true, true),
                        _ => expected.permits[2] == (false, false),
                    };
                    told.hold(shape, &what, !said[subject].is_empty(), be);
                }
            }
        }
    }
    println!(
        "{} shapes, {verdicts} verdicts: readiness differs from the table in {}, the sandbox CA \
         from what was foretold in {}",
        SHAPES.len(),
        told.0.len(),
        obeyed.0.len()
    );
    assert!(
        told.0.is_empty() && obeyed.0.is_empty(),
        "{:#?}\n{:#?}",
        told.0,
        obeyed.0
    );
}

/// What a reader of the findings expects of a strict and of a lenient CA. `None`: only the CA
/// knows, or nothing is said.
fn foretells(said: &[String; 3], subject: usize) -> Option<(bool, bool)> {
    match (subject, said[0].as_str(), said[subject].as_str()) {
        (0, "caa-ask-the-ca", _) => None,
        (0, "", _) | (1, "", "") => Some((true, true)),
        (0, ..) | (2, "", "caa-mail") => Some((false, false)),
        _ => None,
    }
}

#[test]
fn a_ca_that_obeys_caa_says_why_it_does_not_validate() {
    let zones = ["yes.test", "no.test"].map(|apex| {
        let of = if apex == "no.test" {
            "other.example"
        } else {
            "swisssign.com"
        };
        Zone::new(apex, &format!("@ CAA 0 issue \"{of}\""))
    });
    let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    world
        .ca
        .change(|behaviour| behaviour.caa = CaaCheck::Validate);
    let setup = world.setup(&server, &["yes.test", "no.test"]);
    world.run(&setup, &["run", "--wait", "10s"]);
    assert!(world.calls_about("no.test").contains(&Call::Validate));
    assert!(world.ca.domain("yes.test").unwrap().validated);
    assert!(!world.ca.domain("no.test").unwrap().validated);
    world
        .run(&setup, &["status", "no.test"])
        .says(&["CAA at no.test: only other.example may issue"]);
    world
        .run(&setup, &["readiness"])
        .exits(4)
        .says(&["no.test", "does not let swisssign.com issue"]);
    let report: Value = world
        .run(&setup, &["readiness", "no.test", "--output", "json"])
        .exits(4)
        .json();
    assert_eq!(report["findings"][0]["code"], "caa-forbids");
    let name = DomainName::from_a_labels("yes.test").unwrap();
    assert_eq!(
        world.wait_for(world.ca.caa(name.as_str(), Subject::Host)),
        Ok(())
    );
}
