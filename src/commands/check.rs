//! `check`: a monitoring plug-in. Reads the store only, which says when the CA was last asked: a
//! verdict on old knowledge is a warning however good it was.

mod tally;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use self::tally::{Soonest, Tally};
use super::app::App;
use super::asked::{Part, walk};
use super::{Exit, Failed, Global, persistent};
use crate::config;
use crate::notify::Pace;
use crate::output::{Output, moment, relative, share};
use crate::overview::DomainView;
use crate::overview::certificates::{CertificateState, CertificateView};
use crate::overview::clients::{Age, DEAD, STALE, age_in_words};
use crate::overview::danger::Gravity;
use crate::overview::persistent::PersistentView;
use crate::overview::trouble::{self, INVENTORY};
use crate::prevalidation::RowKey;
use crate::rdap;
use crate::store::Store;
use crate::worker::persist::RECORDS;
use crate::worker::refusal_fact;

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
    #[command(flatten)]
    part: Part,
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
        // Monitoring shows one line; the person on call needs the cause in it.
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
    let app = App::read(global, output)?;
    let clients = args.part.clients(&app)?;
    let unknown = |text: &str| Failed::new(Exit::Ca, text);
    let store = app.store_if_there().await?;
    let store =
        store.ok_or_else(|| unknown("there is no store yet: `prevalidate run` has never run"))?;
    let now = app.now();
    let mut tally = Tally::new(args, &app.policy, now);
    let is_whole = args.part == Part::default();
    let book = rdap::book(&*store).await?;
    let mut walked = Walked {
        keys: (!is_whole).then(HashSet::new),
        registrable: BTreeSet::new(),
    };
    let mut pages = walk(&app, &*store, Default::default(), now).await?;
    while let Some(page) = pages.next().await? {
        let asked = page.iter().filter(|view| clients.contain(&view.client));
        asked.for_each(|view| walked.take(view, &mut tally, &book));
    }
    let (certificates, left) = certificates(&app, &store, &args.part, now).await?;
    let mut records = persistent::views(&app, &*store, now).await?;
    records.retain(|_| is_whole);
    let is_empty = certificates.is_empty() && records.is_empty() && left.is_empty();
    if tally.wanted == 0 && is_empty {
        return Err(unknown(match is_whole {
            true => "the inventory is empty",
            false => "the inventory has no domain at this CA or client",
        }));
    }
    let mut findings = std::mem::take(&mut tally.findings);
    findings.extend(left_undone(&app, &store, walked.keys.as_ref()).await?);
    findings.extend(tally.put_off());
    findings.extend(said_by_cas(&app, &*store, &tally.clients).await?);
    findings.extend(certificates.iter().filter_map(|view| judged(view, now)));
    let ending = book.ending(&walked.registrable, now);
    findings.extend(ending.iter().map(|ending| ending_judged(ending, now)));
    findings.extend(records.iter().filter_map(record_judged));
    findings.extend(left);
    if let Some(words) = app.left_out() {
        findings.insert(0, (Word::Warning, words));
    }
    let oldest = ages(&*store, &app, &tally.clients, now, &mut findings).await?;
    let refused = store.fact(&refusal_fact(RECORDS)).await?;
    if let Some(refused) = refused.filter(|said| is_whole && !said.is_empty()) {
        let words = format!("the guard refuses: {refused}");
        findings.insert(0, (Word::Critical, words));
    }

    findings.sort_by_key(|(word, _)| std::cmp::Reverse(*word));
    let status = findings.first().map_or(Word::Ok, |(word, _)| *word);
    let mut text = stand(&tally, &certificates, now);
    text.push_str(&persistent::counted(&records));
    text.push_str(&gravest(&findings));
    Ok(Report {
        status,
        text,
        performance: performance(&tally, oldest, now),
    })
}

/// The states of the asked domains besides a tally.
struct Walked {
    /// The rows that the ledger's entries are for, where only some are asked about.
    keys: Option<HashSet<RowKey>>,
    /// The domains whose registrations the registries told of.
    registrable: BTreeSet<String>,
}

impl Walked {
    fn take(&mut self, view: &DomainView, tally: &mut Tally<'_>, book: &rdap::Book) {
        if let Some(keys) = &mut self.keys {
            keys.insert(view.key());
        }
        if view.is_managed() {
            tally.take(view);
            let known = rdap::registrable(&view.domain).filter(|name| book.of(name).is_some());
            self.registrable.extend(known.map(str::to_owned));
        }
    }
}

/// The certificates that are asked about, and what is wrong with those that the configuration does
/// not name any more.
async fn certificates(
    app: &App,
    store: &Arc<dyn Store>,
    part: &Part,
    now: Timestamp,
) -> Result<(Vec<CertificateView>, Vec<(Word, String)>), Failed> {
    let mut all = super::certificate::views(app, store, now).await?;
    all.retain(|view| part.concerns_certificate(view));
    let (unmanaged, certificates): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|view| view.state == CertificateState::Unmanaged && view.record_left.is_none());
    let unrenewed = unmanaged.iter().filter(|view| view.ends_for_good);
    let unrenewed = unrenewed.filter_map(|view| unrenewed_by(view, &certificates));
    let left = unmanaged.iter().filter_map(left_behind).chain(unrenewed);
    let left = left.collect();
    Ok((certificates, left))
}

/// The warnings of the CAs of these clients.
async fn said_by_cas(
    app: &App,
    store: &dyn Store,
    clients: &BTreeSet<String>,
) -> Result<Vec<(Word, String)>, Failed> {
    let warnings = trouble::warnings(store, &app.targets).await?;
    let concerned = |whom: &String| {
        let is_account = |key: &String| key.split('/').next() == Some(whom.as_str());
        clients.contains(whom) || clients.iter().any(is_account)
    };
    let warnings = warnings.into_iter().filter(|(whom, _)| concerned(whom));
    Ok(warnings
        .map(|(whom, said)| (Word::Warning, format!("{whom}: {said}")))
        .collect())
}

/// Records that could not be removed and people who could not be told; `keys` are the rows that are
/// asked about, where only some are.
async fn left_undone(
    app: &App,
    store: &Arc<dyn Store>,
    keys: Option<&HashSet<RowKey>>,
) -> Result<Vec<(Word, String)>, Failed> {
    let entries = store.open_entries(None).await?;
    let entries = entries
        .iter()
        .filter(|entry| entry.removal_tries > 0)
        .filter(|entry| keys.is_none_or(|keys| keys.contains(&entry.key)));
    let unremoved = entries.map(|entry| {
        let (kind, value, owner) = (&entry.kind, &entry.value, &entry.owner);
        format!("{kind} {value} could not be removed from {owner}")
    });
    let mut undone: Vec<String> = unremoved.collect();
    let told = app
        .notifier(Arc::clone(store), Arc::default(), Pace::NIGHTLY)
        .open()
        .await?;
    undone.extend(told.iter().filter_map(|open| {
        let error = open.error.as_ref()?;
        Some(format!(
            "{} could not be told of {}: {error}",
            open.sink, open.topic
        ))
    }));
    Ok(undone
        .into_iter()
        .map(|words| (Word::Warning, words))
        .collect())
}

/// How many domains and certificates are valid.
fn stand(tally: &Tally<'_>, certificates: &[CertificateView], now: Timestamp) -> String {
    let words = ("is valid", "are valid");
    let mut text = share(tally.valid, tally.wanted, "domain", words);
    if let Some(Soonest { end, domain, .. }) = &tally.soonest {
        text.push_str(&format!(
            ", the first ends {} ({})",
            relative(*end, now),
            domain.both_forms()
        ));
    }
    if !certificates.is_empty() {
        let good = |view: &&CertificateView| {
            matches!(
                view.state,
                CertificateState::Valid | CertificateState::Renewing
            )
        };
        let (all, good) = (certificates.len(), certificates.iter().filter(good).count());
        text.push_str(&format!("; {}", share(good, all, "certificate", words)));
    }
    text
}

/// One line: the most severe first, and not more than fit on a screen.
fn gravest(findings: &[(Word, String)]) -> String {
    let first = findings.iter().take(3);
    let mut text: String = first.map(|(_, finding)| format!("; {finding}")).collect();
    if findings.len() > 3 {
        text.push_str(&format!("; and {} more", findings.len() - 3));
    }
    text
}

/// The performance data of the plug-in interface.
fn performance(tally: &Tally<'_>, oldest: Option<SignedDuration>, now: Timestamp) -> String {
    let mut performance = format!("'valid'={};;;0;{}", tally.valid, tally.wanted);
    if let Some(Soonest { end, made, .. }) = &tally.soonest {
        let (end, (warning, critical)) = (*end, tally.margins(*end, *made));
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
    performance
}

/// A registration that ends soon or has ended.
fn ending_judged(ending: &rdap::Ending, now: Timestamp) -> (Word, String) {
    let word = match ending.has_ended(now) {
        true => Word::Critical,
        false => Word::Warning,
    };
    (word, ending.said(now))
}

/// What is left of a certificate that the configuration does not name any more.
fn left_behind(view: &CertificateView) -> Option<(Word, String)> {
    let words = || format!("the certificate {}: {}", view.name, view.reason);
    view.left_behind.then(|| (Word::Warning, words()))
}

/// What is wrong with a certificate that was ordered by hand, unless another one has all of its names
/// for longer.
fn unrenewed_by(view: &CertificateView, others: &[CertificateView]) -> Option<(Word, String)> {
    let has_all =
        |other: &CertificateView| view.names.iter().all(|name| other.names.contains(name));
    let is_replaced = |other: &&CertificateView| other.not_after > view.not_after && has_all(other);
    if others.iter().any(|other| is_replaced(&other)) {
        return None;
    }
    let (name, names) = (&view.name, view.names.join(" "));
    let end = view.not_after.map_or_else(String::new, moment);
    let words = format!(
        "the certificate {name} ({names}), ordered by hand, ends on {end}, and nothing renews it"
    );
    Some((Word::Warning, words))
}

/// What is wrong with a certificate. One that servers cannot use is critical.
fn judged(view: &CertificateView, now: Timestamp) -> Option<(Word, String)> {
    if !view.needs_attention() {
        return None;
    }
    let (name, reason) = (&view.name, &view.reason);
    let critical = |what: &str| Some((Word::Critical, format!("the certificate {name} {what}")));
    match view.state {
        CertificateState::Expired => return critical("has ended"),
        CertificateState::Revoked => return critical("is revoked"),
        _ if view.damaged => return critical(&format!("cannot be used by servers: {reason}")),
        CertificateState::Missing if view.serial.is_some() => {
            return critical(&format!("is not in its directory: {reason}"));
        }
        _ => {}
    }
    let is_near = view.late
        && view
            .left(now)
            .zip(view.not_after.zip(view.renew_at))
            .is_some_and(|(left, (end, renewal))| left < end.duration_since(renewal) / 5);
    let word = match is_near {
        true => Word::Critical,
        false => Word::Warning,
    };
    let what = match view.state {
        _ if view.held => "is held",
        _ if view.revoking => "is not revoked yet",
        CertificateState::Valid | CertificateState::Unmanaged if view.record_left.is_some() => {
            "has left a record in DNS"
        }
        _ if view.loose => "has files that are not as the settings say",
        _ if view.doubt.is_some() && view.deploy_error.is_none() => view.doubt.unwrap_or_default(),
        _ if view.deploy_error.is_some() => "is not known to its servers",
        CertificateState::Missing | CertificateState::Ordering => "is not there yet",
        _ => "is not renewed",
    };
    Some((word, format!("the certificate {name} {what}: {reason}")))
}

/// The trouble of a persistent record.
fn record_judged(view: &PersistentView) -> Option<(Word, String)> {
    let (domain, issuer) = (view.domain.both_forms(), &view.issuer);
    let (state, reason) = (view.state.as_str(), &view.reason);
    view.needs_attention().then(|| {
        let words = format!("the persistent record of {domain} at {issuer} is {state}: {reason}");
        (view.gravity.into(), words)
    })
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

/// The age of the oldest last listing of a client that has wanted domains; findings about it go
/// first among their like.
async fn ages(
    store: &dyn Store,
    app: &App,
    clients: &BTreeSet<String>,
    now: Timestamp,
    findings: &mut Vec<(Word, String)>,
) -> Result<Option<SignedDuration>, Failed> {
    let listings = store.listings().await?;
    let mut oldest = None;
    for target in &app.targets {
        if !clients.contains(&target.key) {
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
        let at = listings.get(&target.key).copied();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::overview::certificates::tests::{now, samples};

    #[test]
    fn a_check_finds_each_certificate_that_needs_attention_and_no_other() {
        for (what, view, expected) in samples() {
            let found = judged(&view, now());
            assert_eq!(found.is_some(), expected, "{what}: {found:?}");
        }
    }

    #[test]
    fn a_certificate_that_servers_cannot_use_is_critical() {
        for (what, view, _) in samples() {
            let is_critical = judged(&view, now()).is_some_and(|(word, _)| word == Word::Critical);
            let expected = matches!(
                what,
                "damaged"
                    | "damaged without its key"
                    | "damaged while it is renewed"
                    | "files gone"
                    | "files gone while it is fetched"
                    | "revoked"
                    | "ended"
            );
            assert_eq!(is_critical, expected, "{what}");
        }
    }
}
