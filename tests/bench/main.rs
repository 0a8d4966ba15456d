//! What a night costs: time and peak memory of the cases that grow with an organisation, side by
//! side with their aims.
//!
//! `cargo bench --bench night` runs all of it; a name after `--` runs one case. Nothing here is a
//! test: a figure depends on the machine, and a missed aim is printed, not failed. Each case runs
//! in a process of its own, so that its memory is its own; where the program itself is measured it
//! is the program's process that is watched.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and one that cannot continue says so"
)]

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod certificates;
mod checks;
mod daemon;
mod fleet;
mod forecast;
mod hooks;
mod lab;
mod night;
mod one_client;
mod pages;
mod planner;
mod side_by_side;
mod store;
#[allow(dead_code, reason = "a harness is used in parts")]
#[path = "../e2e/world.rs"]
mod world;

use std::process::Command;
use std::time::Duration;

/// One line of the table.
struct Row {
    case: String,
    figure: String,
    aim: String,
    met: bool,
}

impl Row {
    /// A duration that is to stay below another.
    fn below(case: &str, took: Duration, aim: Duration) -> Self {
        Self {
            case: case.into(),
            figure: seconds(took),
            aim: format!("< {}", seconds(aim)),
            met: took < aim,
        }
    }

    /// The peak memory of a process that must stay below this many megabytes.
    fn memory(case: &str, peak_kb: u64, aim_mb: u64) -> Self {
        let met = peak_kb < aim_mb * 1000;
        Self {
            case: case.into(),
            figure: format!("{} MB", peak_kb / 1000),
            aim: format!("< {aim_mb} MB"),
            met,
        }
    }
}

fn seconds(time: Duration) -> String {
    let ms = time.as_millis();
    if ms < 1000 {
        format!("{ms} ms")
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

type Case = fn() -> Vec<Row>;
const CASES: [(&str, Case); 17] = [
    ("quiet", night::quiet),
    ("quiet-at-two", night::quiet_at_two_cas),
    ("one-client", one_client::hundred_thousand),
    ("first", night::first),
    ("looks", checks::thousand),
    ("planner", planner::plan),
    ("planner-at-two", planner::two_cas),
    ("certificates", certificates::quiet),
    ("planner-of-orders", certificates::plan),
    ("forecast", forecast::ten_thousand),
    ("calls", calls::count),
    ("store", store::hundred_thousand),
    ("pages", pages::under_load),
    ("daemon", daemon::hundred_thousand),
    ("hooks", hooks::storm),
    ("fleet", fleet::share),
    ("nsupdate", side_by_side::add_and_remove),
];
/// Says to a child process which case is its own.
const OWN_CASE: &str = "PREVALIDATE_BENCH_CASE";

fn main() {
    if let Ok(store) = std::env::var(pages::SERVE) {
        return pages::serve(&store);
    }
    if let Ok(own) = std::env::var(OWN_CASE) {
        let (_, case) = CASES.iter().find(|(name, _)| *name == own).unwrap();
        for row in case() {
            println!(
                "{:<66} {:>10}   {:>10}   {}",
                row.case,
                row.figure,
                row.aim,
                if row.met { "" } else { "MISSED" }
            );
        }
        return;
    }
    // Cargo adds `--bench`; everything else names a case.
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    println!("{:<66} {:>10}   {:>10}", "case", "figure", "aim");
    for (name, _) in CASES
        .iter()
        .filter(|(name, _)| asked.is_empty() || asked.iter().any(|asked| asked == name))
    {
        let ended = Command::new(std::env::current_exe().unwrap())
            .env(OWN_CASE, name)
            .status()
            .unwrap();
        assert!(ended.success(), "the case `{name}` {ended}");
    }
}
