//! The program itself, as cron starts it.

use std::fs;
use std::time::Duration;

use jiff::SignedDuration;
use prevalidate::clock::{Clock, SystemClock};

use crate::Row;
use crate::lab::{Lab, names};
use crate::support::{Keys, NameServer, Zone};

/// 10,000 domains are valid and none is due: as in every night but a few.
pub fn quiet() -> Vec<Row> {
    let (lab, domains) = (Lab::start(Vec::new()), names(10_000));
    let (client, _) = lab.ca.clients().remove(0);
    assert_eq!(lab.ca.register(&client, &domains), domains.len());
    let now = SystemClock.now();
    for (number, domain) in (0_i64..).zip(&domains) {
        // Proofs of the last month: all of them far from their end, no two alike.
        lab.ca
            .set_validated(domain, now - SignedDuration::from_mins(4 * number + 60));
    }
    lab.configure(&domains, None);
    // The first night writes ten thousand rows; the others find them.
    let (first, first_kb) = lab.run();
    lab.ca.clear_log();
    let (took, peak_kb) = lab.run();
    let calls = lab.ca.log().len();
    vec![
        Row::below(
            "quiet night, 10,000 valid domains",
            took,
            Duration::from_secs(2),
        ),
        Row::memory("  peak memory", peak_kb, 150),
        Row {
            case: "  calls to the CA".into(),
            figure: calls.to_string(),
            aim: "few".into(),
            met: calls < 5,
        },
        Row::below(
            "the night they were first seen",
            first,
            Duration::from_secs(10),
        ),
        Row::memory("  peak memory", first_kb, 150),
    ]
}

/// The same domains at a second CA as well: the night costs no more than one at each of them.
pub fn quiet_at_two_cas() -> Vec<Row> {
    const ORGANISATION: u64 = 12345;
    let (lab, domains) = (Lab::start(Vec::new()), names(10_000));
    let (client, _) = lab.ca.clients().remove(0);
    assert_eq!(lab.ca.register(&client, &domains), domains.len());
    let scm = lab.sectigo(ORGANISATION);
    let now = SystemClock.now();
    for (number, domain) in (0_i64..).zip(&domains) {
        let age = SignedDuration::from_mins(4 * number + 60);
        lab.ca.set_validated(domain, now - age);
        scm.add_domain(domain, ORGANISATION);
        scm.prove(domain, age);
    }
    // Three configurations with a store each: one CA, the other, both.
    let folder = lab.folder.path().to_owned();
    lab.configure(&domains, None);
    let text = fs::read_to_string(folder.join("prevalidate.toml")).unwrap();
    let (head, one) = text.split_once("[ca.bench]").unwrap();
    let (one, tail) = one.split_once("[provider.bench]").unwrap();
    let one = format!("[ca.bench]{one}");
    let other = lab.sectigo_sections(&scm, ORGANISATION);
    let mut nights = Vec::new();
    for (name, sections) in [
        ("one", one.clone()),
        ("other", other.clone()),
        ("both", format!("{one}{other}")),
    ] {
        let head = head.replace("prevalidate.db", &format!("{name}.db"));
        lab.reconfigure(|_| format!("{head}{sections}[provider.bench]{tail}"));
        lab.run();
        // The better of two: other programs use the machine too.
        let (first, second) = (lab.run(), lab.run());
        nights.push(first.min(second));
    }
    let sum = nights[0].0 + nights[1].0;
    vec![
        Row::below(
            "quiet night, 10,000 domains at two CAs",
            nights[2].0,
            sum * 11 / 10,
        ),
        Row::memory(
            "  peak memory",
            nights[2].1,
            (nights[0].1 + nights[1].1).div_ceil(1000),
        ),
    ]
}

/// 1,000 domains from nothing to valid and cleaned up: register, publish, check, validate, remove;
/// one BIND, one zone each.
pub fn first() -> Vec<Row> {
    const DOMAINS: u32 = 1_000;
    let domains = names(DOMAINS as usize);
    let zones: Vec<_> = domains
        .iter()
        .map(|domain| Zone::new(domain, "@ TXT \"v=spf1 -all\""))
        .collect();
    let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
    let lab = Lab::start(vec![server.address()]);
    lab.configure(&domains, Some(&server));
    let (took, peak_kb) = lab.run();
    for domain in [
        &domains[0],
        &domains[domains.len() / 2],
        &domains[domains.len() - 1],
    ] {
        assert!(
            lab.ca.domain(domain).is_some_and(|shown| shown.validated),
            "{domain} is valid"
        );
        assert_eq!(server.txt(domain), ["v=spf1 -all"], "{domain} is as it was");
    }
    let rate = f64::from(DOMAINS) / took.as_secs_f64();
    vec![
        Row {
            case: "first run, 1,000 domains on one BIND".into(),
            figure: format!("{rate:.0}/s"),
            aim: "> 100/s".into(),
            met: rate > 100.0,
        },
        Row::memory("  peak memory", peak_kb, 150),
    ]
}
