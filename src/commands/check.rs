//! `check`: a monitoring plug-in. Reads the store only, which says when the CA was last asked: a
//! verdict on old knowledge is a warning however good it was.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::asked::views;
use super::status::STALE;
use super::{Exit, Failed, Global, wire};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Settings};
use crate::notify::Pace;
use crate::output::{Output, moment, relative, share};
use crate::overview::DomainView;
use crate::overview::trouble::INVENTORY;
use crate::prevalidation::{Lateness, State};
use crate::store::{KEPT_DAYS, Store};
use crate::worker::refusal_fact;

/// Two nightly runs are missing.
const DEAD: SignedDuration = SignedDuration::from_hours(50);

/// So far ahead may a moment of the past be: clocks differ a little.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// No step is planned further ahead: no proof counts for longer.
const FARTHEST: SignedDuration = SignedDuration::from_hours(24 * KEPT_DAYS);

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 OK · 1 WARNING · 2 CRITICAL · 3 UNKNOWN.")]
pub(super) struct CheckArgs {
    /// Less left than this is a warning [default: `warning` of [policy], at most a fifth of what a
    /// proof counts]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    warning: Option<SignedDuration>,
    /// Less left than this is critical [default: `critical` of [policy], at most a tenth of what a
    /// proof counts]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    critical: Option<SignedDuration>,
}

/// The four words of the plug-in interface, by gravity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Word {
    Ok,
    Warning,
    Critical,
    Unknown,
}

#[derive(Debug, Serialize)]
struct Report {
    status: Word,
    text: String,
    performance: String,
}

pub(super) async fn check(
    global: &Global,
    args: CheckArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let report = match examine(global, &args, output).await {
        Ok(report) => report,
        // Monitoring shows one line; whoever looks after it needs the cause in it.
        Err(failed) => {
            let text = failed
                .message
                .lines()
                .map(str::trim)
                .collect::<Vec<_>>()
                .join("; ");
            Report {
                status: Word::Unknown,
                text,
                performance: String::new(),
            }
        }
    };
    let word = match report.status {
        Word::Ok => "OK",
        Word::Warning => "WARNING",
        Word::Critical => "CRITICAL",
        Word::Unknown => "UNKNOWN",
    };
    // A bar would begin the performance data.
    let text = report.text.replace('|', "/");
    let performance = if report.performance.is_empty() {
        String::new()
    } else {
        format!(" | {}", report.performance)
    };
    output.line(&format!("PREVALIDATE {word} - {text}{performance}"));
    output.json(&report);
    Ok(match report.status {
        Word::Ok => Exit::Done,
        Word::Warning => Exit::Incomplete,
        Word::Critical => Exit::Usage,
        Word::Unknown => Exit::Ca,
    })
}

async fn examine(global: &Global, args: &CheckArgs, output: &Output) -> Result<Report, Failed> {
    let settings = wire::settings(global, output)?;
    let unknown = |text: &str| Failed::new(Exit::Ca, text);
    let store = wire::store_if_there(&settings).await?;
    let store =
        store.ok_or_else(|| unknown("there is no store yet: `prevalidate run` has never run"))?;
    let now = SystemClock.now();
    let policy = wire::policy(&settings);
    let all = views(&*store, &settings, &policy, Default::default(), now).await?;
    let wanted: Vec<&DomainView> = all.iter().filter(|view| view.is_managed()).collect();
    if wanted.is_empty() {
        return Err(unknown("the inventory is empty"));
    }
    let margin = |view: &DomainView| {
        let end = view.usable_until()?;
        let warning = args.warning.unwrap_or_else(|| policy.warning_margin(end));
        let critical = args.critical.unwrap_or_else(|| policy.critical_margin(end));
        Some((end.duration_since(now), warning, critical))
    };
    let mut findings: Vec<(Word, String)> = Vec::new();
    for view in &wanted {
        let name = view.domain.both_forms();
        if let Some(bogus) = &view.bogus {
            findings.insert(
                0,
                (
                    Word::Critical,
                    format!("{name}: resolvers refuse its zone: {}", bogus.fault),
                ),
            );
        }
        match margin(view) {
            // Valid by a domain above it that nobody here wants: only the last look knows, and its
            // age counts below.
            None if view.with_margin => {}
            None => findings.push((
                Word::Critical,
                format!("{name} is {}: {}", view.state, view.reason),
            )),
            Some((left, _, critical)) if left <= critical => {
                findings.push((
                    Word::Critical,
                    format!("{name} ends {}: {}", relative(now + left, now), view.reason),
                ));
            }
            Some((left, warning, _)) if left <= warning => {
                findings.push((
                    Word::Warning,
                    format!("{name} ends {}: {}", relative(now + left, now), view.reason),
                ));
            }
            Some(_) if view.state == State::Held => {
                findings.push((Word::Warning, format!("{name} is held: {}", view.reason)));
            }
            Some(_) if view.lateness() > Lateness::InTime => {
                findings.push((
                    Word::Warning,
                    format!("{name} is {}: {}", view.lateness(), view.reason),
                ));
            }
            Some(_) => {}
        }
    }
    for entry in store
        .open_entries(None)
        .await?
        .iter()
        .filter(|entry| entry.removal_tries > 0)
    {
        findings.push((
            Word::Warning,
            format!(
                "TXT {} could not be removed from {}",
                entry.value, entry.owner
            ),
        ));
    }
    let told = wire::notifier(&settings, Arc::clone(&store), Arc::default(), Pace::NIGHTLY)
        .open()
        .await?;
    for (open, error) in told
        .iter()
        .filter_map(|open| Some((open, open.error.as_ref()?)))
    {
        findings.push((
            Word::Warning,
            format!("{} could not be told of {}: {error}", open.sink, open.topic),
        ));
    }
    findings.extend(put_off(&wanted, now));
    let oldest = ages(&*store, &settings, &wanted, now, &mut findings).await?;

    findings.sort_by_key(|(word, _)| std::cmp::Reverse(*word));
    let valid = wanted
        .iter()
        .filter(|view| margin(view).map_or(view.with_margin, |(left, ..)| !left.is_negative()));
    let valid = valid.count();
    let soonest = wanted
        .iter()
        .filter_map(|view| Some((margin(view)?, &view.domain)))
        .min_by_key(|((left, ..), _)| *left);
    let mut text = share(valid, wanted.len(), "domain", ("is valid", "are valid"));
    if let Some(((left, ..), domain)) = &soonest {
        text.push_str(&format!(
            ", the first ends {} ({})",
            relative(now + *left, now),
            domain.both_forms()
        ));
    }
    // One line: the gravest first, and not more than fit on a screen.
    findings
        .iter()
        .take(3)
        .for_each(|(_, finding)| text.push_str(&format!("; {finding}")));
    if findings.len() > 3 {
        text.push_str(&format!("; and {} more", findings.len() - 3));
    }
    let mut performance = format!("'valid'={valid};;;0;{}", wanted.len());
    if let Some(((left, warning, critical), _)) = soonest {
        let (left, warning, critical) = (left.as_secs(), warning.as_secs(), critical.as_secs());
        // `20:` alerts below 20.
        performance.push_str(&format!(" 'soonest'={left}s;{warning}:;{critical}:"));
    }
    if let Some(age) = oldest {
        performance.push_str(&format!(
            " 'look_age'={}s;{};{};0",
            age.as_secs(),
            STALE.as_secs(),
            DEAD.as_secs()
        ));
    }
    let status = findings.first().map_or(Word::Ok, |(word, _)| *word);
    Ok(Report {
        status,
        text,
        performance,
    })
}

/// What is planned for a day that no rule could have put it to.
fn put_off(wanted: &[&DomainView], now: Timestamp) -> Option<(Word, String)> {
    let is_far = |view: &&&DomainView| {
        let due = view.due_at.filter(|&due| due < Timestamp::MAX);
        due.is_some_and(|due| due.duration_since(now) > FARTHEST)
    };
    let mut far = wanted.iter().filter(is_far);
    let first = far.next()?;
    let more = match far.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let due = first.due_at.map(moment).unwrap_or_default();
    Some((
        Word::Warning,
        format!(
            "{}{more}: the next step stands at {due}, which a wrong clock has put there; the next look at the CA mends it",
            first.domain.both_forms()
        ),
    ))
}

/// The age of the oldest last look at a client that has wanted domains; findings about it go first
/// among their like.
async fn ages(
    store: &dyn Store,
    settings: &Settings,
    wanted: &[&DomainView],
    now: Timestamp,
    findings: &mut Vec<(Word, String)>,
) -> Result<Option<SignedDuration>, Failed> {
    let looks = store.looks().await?;
    let mut oldest = None;
    for target in wire::targets(settings) {
        if !wanted.iter().any(|view| view.client == target.key) {
            continue;
        }
        let Some(&at) = looks.get(&target.key) else {
            findings.insert(
                0,
                (
                    Word::Critical,
                    format!("the CA was never asked about {}", target.key),
                ),
            );
            continue;
        };
        let refused = store
            .fact(&refusal_fact(&target.key))
            .await?
            .unwrap_or_default();
        if !refused.is_empty() {
            findings.insert(
                0,
                (
                    Word::Critical,
                    format!("the guard refused to act: {refused}"),
                ),
            );
        }
        let age = now.duration_since(at);
        if age < -AHEAD {
            let doubt = format!(
                "{} was last asked about {}, which is still to come: the clock was wrong then, or is now",
                moment(at),
                target.key
            );
            findings.insert(0, (Word::Warning, doubt));
        }
        oldest = oldest.max(Some(age));
        if age > STALE {
            let word = if age > DEAD {
                Word::Critical
            } else {
                Word::Warning
            };
            findings.insert(
                0,
                (
                    word,
                    format!("{} was last asked about {}", relative(at, now), target.key),
                ),
            );
        }
    }
    let refused = store
        .fact(&refusal_fact(INVENTORY))
        .await?
        .unwrap_or_default();
    if !refused.is_empty() {
        findings.insert(
            0,
            (
                Word::Critical,
                format!("the guard refuses the configuration: {refused}"),
            ),
        );
    }
    Ok(oldest)
}
