//! `forecast` as people and scripts meet it.

use std::collections::BTreeSet;

use prevalidate::clock::{Clock as _, SystemClock};
use serde_json::Value;

use super::{Bench, Said};

/// Twelve domains without a proof, at a CA that does not listen: a forecast asks no CA.
fn bench() -> Bench {
    let bench = Bench::new();
    let names: Vec<String> = (0..12).map(|n| format!("\"d{n}.example.ch\"")).collect();
    let names = format!("[{}]", names.join(", "));
    bench.write("prevalidate.toml", bench.configuration(&names));
    bench
}

fn count(weeks: &Value, key: &str) -> u64 {
    let weeks = weeks.as_array().unwrap().iter();
    weeks.map(|week| week[key].as_u64().unwrap()).sum()
}

#[test]
fn a_forecast_counts_by_week_and_by_period_and_writes_nothing() {
    let bench = bench();
    let said = bench
        .run(&["forecast", "--until", "2029-12-31", "--output", "json"])
        .ends(0);
    let found: Value = serde_json::from_str(&said.out).unwrap();
    let ca = &found["cas"][0];
    assert_eq!(ca["ca"], "lab");
    assert_eq!(ca["domains"], 12);
    assert_eq!(ca["rate_per_second"], 2.0);
    // A proof of 98 days is renewed about every 75 days, one of 8 days about every 6.
    let renewals = ca["renewals"].as_u64().unwrap();
    assert!((500..1_000).contains(&renewals), "{renewals}");
    assert_eq!(count(&ca["weeks"], "renewals"), renewals);
    assert_eq!(count(&ca["weeks"], "calls"), renewals * 3);
    let periods = ca["periods"].as_array().unwrap();
    let days: Vec<_> = periods
        .iter()
        .map(|period| period["proof_days"].as_i64().unwrap())
        .collect();
    assert_eq!(days[days.len() - 2..], [98, 8]);
    let sum: u64 = periods
        .iter()
        .map(|period| period["renewals"].as_u64().unwrap())
        .sum();
    assert_eq!(sum, renewals);
    let per_week: Vec<_> = periods
        .iter()
        .map(|period| period["renewals_per_week"].as_f64().unwrap())
        .collect();
    assert!(per_week[days.len() - 1] > 10.0 * per_week[days.len() - 2]);
    let busiest = &ca["busiest_day"];
    let calls = busiest["calls"].as_f64().unwrap();
    assert_eq!(busiest["seconds_at_rate"], calls / 2.0);
    assert_eq!(ca["lapses"], Value::Array(Vec::new()));
    assert_eq!(bench.leftovers(), [""; 0]);
}

/// The seconds until 6:00 UTC tomorrow.
fn until_six() -> String {
    let now = SystemClock.now().as_second();
    ((now / 86_400 + 1) * 86_400 + 6 * 3600 - now).to_string()
}

#[test]
fn a_rate_that_is_too_low_leaves_domains_without_a_proof_and_says_so() {
    // A night of three hours has nine calls, enough for three renewals. In 2029 ten are due.
    let bench = Bench::new();
    let names: Vec<String> = (0..60).map(|n| format!("\"d{n}.example.ch\"")).collect();
    let names = format!("[{}]", names.join(", "));
    bench.write("prevalidate.toml", bench.configuration(&names));
    let asked = ["forecast", "--rate", "3/h", "--until", "2029-12-31"];
    // The order of the domains depends on the time of day at which a night begins.
    let ahead = until_six();
    let run = |asked: &[&str]| {
        let mut command = bench.command(asked);
        Said::of(command.env("PREVALIDATE_CLOCK_AHEAD", &ahead)).ends(1)
    };
    let said = run(&asked);
    assert!(
        said.out.contains("the limits leave no room"),
        "{}",
        said.out
    );
    assert!(
        said.err.contains("domains lapse in this time"),
        "{}",
        said.err
    );
    // Each of them lapses again and again.
    let found = run(&[&asked[..], &["-o", "json"]].concat());
    let found: Value = serde_json::from_str(&found.out).unwrap();
    let lapses = found["cas"][0]["lapses"].as_array().unwrap();
    let domains: BTreeSet<&str> = lapses
        .iter()
        .map(|lapse| lapse["domain"].as_str().unwrap())
        .collect();
    assert!(lapses.len() > domains.len(), "{found}");
    let words = format!(
        "{} domains lapse in this time, {} times in all",
        domains.len(),
        lapses.len()
    );
    assert!(said.err.contains(&words), "{words}: {}", said.err);
    let title = format!(
        "lab: lapses (the first 20; {} more in JSON)",
        lapses.len() - 20
    );
    assert!(said.out.contains(&title), "{title}: {}", said.out);
}

#[test]
fn a_forecast_is_a_page_of_markdown_and_a_table_with_bars() {
    let bench = bench();
    let page = bench.run(&["forecast", "-o", "markdown"]).ends(0).out;
    assert!(page.starts_with("# Forecast of "), "{page}");
    assert!(page.contains("\n## lab: before and after each change of the rules\n"));
    let width = |line: &str| line.matches('|').count();
    let mut lines = page.lines().filter(|line| line.starts_with("| WEEK"));
    assert_eq!(width(lines.next().unwrap()), 8);
    assert!(page.lines().filter(|line| line.starts_with("| 20")).count() > 150);
    let text = bench.run(&["forecast", "--daemon"]).ends(0).out;
    assert!(text.contains('█') && text.contains("2029-12"), "{text}");
}

#[test]
fn a_forecast_of_the_past_is_refused() {
    let bench = bench();
    let said = bench.run(&["forecast", "--until", "2020-01-01"]).ends(2);
    assert!(said.err.contains("this day is over"), "{}", said.err);
    for wrong in ["tomorrow", "2027-02-30"] {
        bench.run(&["forecast", "--until", wrong]).ends(2);
    }
    bench.run(&["forecast", "--rate", "0/s"]).ends(2);
}
