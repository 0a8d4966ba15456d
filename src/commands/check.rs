//! `check`: a monitoring plug-in. Reads the store only, which says when the CA was last asked: a
//! verdict on old knowledge is a warning however good it was.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::asked::views;
use super::{Exit, Failed, Global, wire};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Settings};
use crate::notify::Pace;
use crate::output::{Output, moment, relative, share};
use crate::overview::DomainView;
use crate::overview::clients::{Age, DEAD, STALE, age_in_words};
use crate::overview::danger::{Danger, Gravity};
use crate::overview::trouble::INVENTORY;
use crate::store::{KEPT_DAYS, Store};
use crate::worker::refusal_fact;

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
    let margins = |end: Timestamp| {
        let warning = args.warning.unwrap_or_else(|| policy.warning_margin(end));
        let critical = args.critical.unwrap_or_else(|| policy.critical_margin(end));
        (warning, critical)
    };
    let mut findings: Vec<(Word, String)> = Vec::new();
    for view in &wanted {
        let name = view.domain.both_forms();
        if let Some(bogus) = &view.bogus {
            let text = format!("{name}: resolvers refuse its zone: {}", bogus.fault);
            findings.insert(0, (Word::Critical, text));
        }
        let danger = match view.usable_until() {
            Some(end) => danger_within(end.duration_since(now), margins(end)),
            None => view.danger,
        };
        let found = view.finding(danger, now);
        findings.extend(found.map(|(gravity, text)| (gravity.into(), text)));
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
    if let Some(words) = wire::left_out(&settings) {
        findings.insert(0, (Word::Warning, words));
    }
    let oldest = ages(&*store, &settings, &wanted, now, &mut findings).await?;

    findings.sort_by_key(|(word, _)| std::cmp::Reverse(*word));
    let valid = wanted
        .iter()
        .filter(|view| view.usable_until().is_some() || view.with_margin);
    let valid = valid.count();
    let soonest = wanted
        .iter()
        .filter_map(|view| Some((view.usable_until()?, &view.domain)))
        .min_by_key(|(end, _)| *end);
    let mut text = share(valid, wanted.len(), "domain", ("is valid", "are valid"));
    if let Some((end, domain)) = &soonest {
        text.push_str(&format!(
            ", the first ends {} ({})",
            relative(*end, now),
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
    if let Some((end, _)) = soonest {
        let (warning, critical) = margins(end);
        let left = end.duration_since(now).as_secs();
        let (warning, critical) = (warning.as_secs(), critical.as_secs());
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

/// The danger of a proof with so much left, by margins that may be those of the command line.
fn danger_within(
    left: SignedDuration,
    (warning, critical): (SignedDuration, SignedDuration),
) -> Danger {
    match () {
        () if left <= critical => Danger::Critical,
        () if left <= warning => Danger::Warning,
        () => Danger::None,
    }
}

impl From<Gravity> for Word {
    fn from(gravity: Gravity) -> Self {
        match gravity {
            Gravity::Ok => Self::Ok,
            Gravity::Warning => Self::Warning,
            Gravity::Critical => Self::Critical,
        }
    }
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
        let at = looks.get(&target.key).copied();
        oldest = oldest.max(at.map(|at| now.duration_since(at)));
        if let Some(said) = age_in_words(&target.key, at, now) {
            findings.insert(0, (Age::of(at, now).gravity().into(), said));
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
