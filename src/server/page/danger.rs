//! What is in danger, before everything else: domains without a proof that counts, and those that
//! lose theirs soon. The numbers are those of `check`, of the metrics and of the notifications.

use jiff::Timestamp;
use maud::{Markup, html};

use super::summary::Summary;
use super::words::{away, capital, counted, day, link_of, marked, number, said};
use crate::overview::danger::Danger;
use crate::overview::snapshot::{Entry, Snapshot};
use crate::prevalidation::Policy;
use crate::text::cause;

/// This many are named here; the list begins with all of them.
const NAMED: usize = 12;

/// The cause of a domain for which nothing was tried: it says nothing new here.
const VALID: &str = "valid";

/// The section, where there is anything to be reported.
pub(super) fn section(
    snapshot: &Snapshot,
    summary: &Summary,
    policy: &Policy,
    now: Timestamp,
) -> Markup {
    let all = &summary.endangered;
    let entries = all.iter().filter_map(|place| snapshot.entries.get(*place));
    html! {
        @if !all.is_empty() {
            section aria-labelledby="danger" {
                div.heading {
                    h2 #danger { "In danger" }
                    @if all.len() > NAMED { a href="/domains" { "All " (number(all.len())) } }
                }
                p.soft { (totals(summary)) }
                ul.cases.card {
                    @for entry in entries.take(NAMED) { (case(entry, policy, now)) }
                }
            }
        }
    }
}

/// `3 have lapsed, 2 lapse very soon, 5 are below the warning margin`
fn totals(summary: &Summary) -> String {
    let (lapsed, margins) = (summary.counts.lapsed, summary.counts.below_margin);
    let (critical, warning) = (
        margins.critical.saturating_sub(lapsed),
        margins.warning.saturating_sub(margins.critical),
    );
    let parts = [
        (lapsed, "has lapsed", "have lapsed"),
        (critical, "lapses very soon", "lapse very soon"),
        (
            warning,
            "is below the warning margin",
            "are below the warning margin",
        ),
    ];
    let parts = parts.iter().filter(|(count, ..)| *count > 0);
    let told: Vec<String> = parts
        .map(|(count, one, many)| {
            counted(*count, &format!("domain {one}"), &format!("domains {many}"))
        })
        .collect();
    told.join(", ") + "."
}

fn case(entry: &Entry, policy: &Policy, now: Timestamp) -> Markup {
    let (danger, why) = (entry.danger_at(policy, now), cause(&entry.reason, now));
    html! {
        li {
            span { (link_of(entry)) }
            (mark(danger))
            p {
                @match entry.usable_until {
                    Some(end) => {
                        "The proof ends " (away(end, now)) ", on " (day(end))
                        @if let Some(since) = since(danger, (end, entry.made_at), policy) { "; in danger since " (day(since)) }
                        "."
                    },
                    None => {
                        "No proof counts"
                        @if let Some(end) = entry.proven_until.filter(|end| *end <= now) { " since " (day(end)) ", " (away(end, now)) }
                        "."
                    },
                }
                @if why != VALID { " " (marked(&capital(&said(&why)))) "." }
                @if let Some(due) = entry.due_at { " Next try " (away(due.max(now), now)) "." }
            }
        }
    }
}

/// When what is left fell below the margin.
fn since(
    danger: Danger,
    (end, made): (Timestamp, Option<Timestamp>),
    policy: &Policy,
) -> Option<Timestamp> {
    let margin = match danger {
        Danger::Critical => policy.critical_margin(end, made),
        Danger::Warning => policy.warning_margin(end, made),
        Danger::None | Danger::Lapsed => return None,
    };
    end.checked_sub(margin).ok()
}

/// The word for a danger, with a mark of its own shape.
pub(super) fn mark(danger: Danger) -> Markup {
    html! { span class={ "danger " (danger.as_str()) } { (danger.as_str()) } }
}
