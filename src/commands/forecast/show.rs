//! The forecast for people: a few tables with a bar for each month or week, as text or as Markdown.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::report::{Busiest, CaReport, Report, WeekReport};
use crate::output::{Output, counted, moment};

/// The longest bar, in characters.
const BAR: usize = 30;
/// This many lapses are listed; JSON has all.
const LISTED: usize = 20;

/// A table of the report.
struct Table {
    title: String,
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

pub(super) fn text(report: &Report, by_week: bool, output: &Output) {
    for line in sentences(report) {
        output.line(&line);
    }
    for table in tables(report, by_week) {
        output.heading(&table.title);
        let rows = table.rows.into_iter();
        output.table(
            &table.headers,
            rows.map(|row| row.into_iter().map(Into::into).collect())
                .collect(),
        );
    }
    if report.lapses() > 0 {
        let domains = counted(report.lapsing(), "domain lapses", "domains lapse");
        let times = match report.lapses() {
            all if all == report.lapsing() => String::new(),
            all => format!(", {all} times in all"),
        };
        output.warn(
            &format!("{domains} in this time{times}"),
            Some(match report.daemon {
                false => {
                    "repair the domains that wait for a person; run the daemon (`--daemon` shows the \
                     difference); raise `worker.wait`, `policy.max_at_risk` or the CA's `rate`"
                }
                true => {
                    "repair the domains that wait for a person; raise `policy.max_at_risk` or the \
                     CA's `rate`"
                }
            }),
        );
    }
}

pub(super) fn markdown(report: &Report, output: &Output) {
    output.line(&format!("# Forecast of {}", moment(report.from)));
    for line in sentences(report) {
        output.line("");
        output.line(&line);
    }
    for table in tables(report, true) {
        output.line("");
        output.line(&format!("## {}", table.title));
        output.line("");
        output.line(&format!("| {} |", table.headers.join(" | ")));
        output.line(&format!("|{}", "---|".repeat(table.headers.len())));
        for row in table.rows {
            output.line(&format!("| {} |", row.join(" | ")));
        }
    }
}

fn sentences(report: &Report) -> Vec<String> {
    let date = |at: jiff::Timestamp| at.to_zoned(TimeZone::UTC).date();
    let rhythm = if report.daemon {
        "the daemon"
    } else {
        "a run each night"
    };
    let mut lines = vec![format!(
        "From {} to before {}, with {rhythm}; at most {} of a client at risk at a time.",
        date(report.from),
        date(report.until),
        counted(report.max_at_risk as usize, "domain", "domains"),
    )];
    for ca in &report.cas {
        let mut line = format!(
            "{}: {}, {}",
            ca.ca,
            counted(ca.domains, "domain", "domains"),
            counted(ca.renewals as usize, "renewal", "renewals"),
        );
        if ca.late > 0 {
            line.push_str(&format!(", {} of them below the critical margin", ca.late));
        }
        if let Some(day) = &ca.busiest_day {
            line.push_str(&format!("; the busiest day is {}", busiest(day)));
        }
        if ca.waiting_for_person > 0 {
            let held = counted(ca.waiting_for_person, "domain waits", "domains wait");
            line.push_str(&format!("; {held} for a person"));
        }
        lines.push(line);
    }
    if report.cas.iter().any(|ca| ca.late > 0) {
        lines.push(late(report.daemon).to_owned());
    }
    for provider in &report.providers {
        if let (Some(day), Some(_)) = (&provider.busiest_day, provider.rate_per_second) {
            lines.push(format!(
                "provider {}: the busiest day is {}",
                provider.provider,
                busiest(day)
            ));
        }
    }
    lines
}

/// What helps against renewals that come late.
fn late(daemon: bool) -> &'static str {
    match daemon {
        false => {
            "LATE: the renewal gets its turn when less than the critical margin is left. A daemon \
             takes turns all day: compare with `--daemon`, and with a higher `--rate` if the CA \
             allows it."
        }
        true => {
            "LATE: the renewal gets its turn when less than the critical margin is left. Compare \
             with a higher `--rate` if the CA allows it, or set a longer `renew_before` or a higher \
             `max_at_risk` in [policy]."
        }
    }
}

fn busiest(day: &Busiest) -> String {
    let mut text = format!(
        "{} with {}, {}",
        day.day,
        counted(day.renewals as usize, "renewal", "renewals"),
        counted(day.calls as usize, "call", "calls"),
    );
    if let Some(seconds) = day.seconds_at_rate {
        let minutes = (seconds / 60.0).ceil();
        text.push_str(&format!(" ({minutes} min at the rate)"));
    }
    text
}

fn tables(report: &Report, by_week: bool) -> Vec<Table> {
    let mut tables = Vec::new();
    for ca in &report.cas {
        tables.push(periods(ca));
        tables.push(chart(ca, by_week));
        if !ca.lapses.is_empty() {
            tables.push(lapses(ca));
        }
    }
    tables
}

/// Before and after each change of the rules.
fn periods(ca: &CaReport) -> Table {
    let row = |period: &super::report::Period| {
        vec![
            format!("{} to {}", period.from, period.to),
            format!("{} d", period.proof_days),
            period.renewals.to_string(),
            period.renewals_per_week.to_string(),
            period.busiest_day.as_ref().map_or_else(
                || "-".to_owned(),
                |day| format!("{}: {}", day.day, day.renewals),
            ),
        ]
    };
    Table {
        title: format!("{}: before and after each change of the rules", ca.ca),
        headers: vec![
            "PERIOD",
            "A PROOF COUNTS",
            "RENEWALS",
            "PER WEEK",
            "BUSIEST DAY",
        ],
        rows: ca.periods.iter().map(row).collect(),
    }
}

/// One line for each week or month, with a bar for the renewals.
fn chart(ca: &CaReport, by_week: bool) -> Table {
    let name = |date: Date| {
        if by_week {
            date.to_string()
        } else {
            date.strftime("%Y-%m").to_string()
        }
    };
    // Ends, renewals, late, lapses, calls.
    let mut lines: Vec<(String, [u64; 5])> = Vec::new();
    for week in &ca.weeks {
        let name = name(week.week);
        if lines.last().is_none_or(|(last, _)| *last != name) {
            lines.push((name, [0; 5]));
        }
        if let Some((_, sums)) = lines.last_mut() {
            let WeekReport {
                ends,
                renewals,
                late,
                lapses,
                calls,
                ..
            } = *week;
            for (sum, count) in sums.iter_mut().zip([ends, renewals, late, lapses, calls]) {
                *sum += count;
            }
        }
    }
    let most = lines.iter().map(|(_, sums)| sums[1]).max().unwrap_or(0);
    let row = |(name, sums): (String, [u64; 5])| {
        let mut cells = vec![name];
        cells.extend(sums.iter().map(ToString::to_string));
        cells.push(bar(sums[1], most));
        cells
    };
    Table {
        title: if by_week {
            format!("{}: by week, from Monday", ca.ca)
        } else {
            format!("{}: by month of the week's Monday (-v: by week)", ca.ca)
        },
        headers: vec![
            if by_week { "WEEK" } else { "MONTH" },
            "PROOFS END",
            "RENEWALS",
            "LATE",
            "LAPSES",
            "CA CALLS",
            "RENEWALS",
        ],
        rows: lines.into_iter().map(row).collect(),
    }
}

/// A bar of full blocks; what is more than nothing has one at least.
fn bar(count: u64, most: u64) -> String {
    if count == 0 || most == 0 {
        return String::new();
    }
    let length = (count as f64 / most as f64 * BAR as f64).round() as usize;
    "█".repeat(length.max(1))
}

fn lapses(ca: &CaReport) -> Table {
    let row = |lapse: &super::report::LapseReport| {
        vec![
            lapse.domain.both_forms(),
            moment(lapse.at),
            lapse.until.map_or_else(|| "-".to_owned(), moment),
            match lapse.reason {
                "limits" => "the limits leave no room".to_owned(),
                _ => "waits for a person".to_owned(),
            },
        ]
    };
    let more = match ca.lapses.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" (the first {LISTED}; {more} more in JSON)"),
    };
    Table {
        title: format!("{}: lapses{more}", ca.ca),
        headers: vec!["DOMAIN", "SINCE", "UNTIL", "WHY"],
        rows: ca.lapses.iter().take(LISTED).map(row).collect(),
    }
}
