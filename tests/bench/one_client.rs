//! One client of 100,000 domains: all of it comes in one answer of the CA.

use std::time::Duration;

use jiff::SignedDuration;
use prevalidate::clock::{Clock, SystemClock};

use crate::Row;
use crate::lab::{Lab, names};

/// A quiet night, and the commands that show all domains.
pub fn hundred_thousand() -> Vec<Row> {
    let (lab, domains) = (Lab::start(Vec::new()), names(100_000));
    let (client, _) = lab.ca.clients().remove(0);
    assert_eq!(lab.ca.register(&client, &domains), domains.len());
    let now = SystemClock.now();
    for (number, domain) in (0_i64..).zip(&domains) {
        // Proofs of the last month: all of them far from their end, no two alike.
        lab.ca
            .set_validated(domain, now - SignedDuration::from_secs(20 * number + 3600));
    }
    lab.configure(&domains, None);
    let (first, first_kb) = lab.run();
    let (took, peak_kb) = lab.run();
    let mut rows = vec![
        Row::below(
            "quiet night, one client of 100,000",
            took,
            Duration::from_secs(5),
        ),
        Row::memory("  peak memory", peak_kb, 250),
        Row::below(
            "the night they were first seen",
            first,
            Duration::from_secs(60),
        ),
        Row::memory("  peak memory", first_kb, 250),
    ];
    for (case, arguments) in [
        ("status --output json", &["status", "--output", "json"][..]),
        ("check", &["check"]),
        ("plan --output json", &["plan", "--output", "json"]),
        ("records --all", &["records", "--all"]),
        ("forecast", &["forecast"]),
    ] {
        let (took, peak_kb) = lab.program(arguments);
        rows.push(Row::below(case, took, Duration::from_secs(10)));
        rows.push(Row::memory("  peak memory", peak_kb, 100));
    }
    rows
}
