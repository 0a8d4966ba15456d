//! `readiness`: what will stop certificates, or the proofs that they rest on, on a day to come; with
//! the records to change, ready to paste.

mod judge;
mod persistent_records;
mod reads;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use prevalidate_providers::Provider;
use serde::Serialize;

use super::app::{App, Providers};
use super::{Exit, Failed, Global, asked, notify, persistent};
use crate::output::{Cell, Output, Tone};
use crate::overview::DomainView;
use crate::persistent::Wanted;
use crate::prevalidation::{DomainName, Policy};
use crate::propagation::Gate;
use crate::propagation::caa::METHODS_COUNT_FROM;
use crate::propagation::finding::Severity;
use crate::propagation::survey::CaaSets;
use crate::rdap;
use crate::worker::place::{next_owner, route_owner};
use judge::{Judged, Seen, judge};
use reads::Reader;

/// From then on a proof counts for 10 days (BR 4.2.1).
const TEN_DAYS_FROM: Timestamp = Timestamp::constant(1_868_227_200, 0);

/// Domains that are asked about at once: name servers are asked gently.
const AT_ONCE: usize = 8;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 ready · 1 a person should check something · 2 usage or configuration · \
    4 something will stop certificates.", after_long_help = LONG_HELP)]
pub(super) struct ReadinessArgs {
    /// The day, at 00:00 UTC [default: 2027-03-15, when CAA's `accounturi` and `validationmethods`
    /// bind and a proof counts for 100 days; after that day 2029-03-15, when it counts for 10]
    #[arg(long, value_name = "DATE")]
    on: Option<Date>,
    /// Only these domains
    #[arg(value_name = "DOMAIN")]
    domains: Vec<String>,
    /// Tells the sinks of [[notify]] what blocks or warns, and what is over; for a weekly job
    #[arg(long, conflicts_with_all = ["domains", "ca", "client"])]
    notify: bool,
    #[command(flatten)]
    part: asked::Part,
}

const LONG_HELP: &str = "\
Asks DNS about every managed domain, a few questions to each name server, and reads the store. Asks no CA, and changes \
nothing anywhere.

`--output json` prints one object:
  on, asked_at, domains
  counts     {blocks, warns, info}
  findings   [{severity, code, domain, unicode, ca, text, changes, next}], the gravest first
  changes    [{remove, add}], lines of a zone file; null where nothing is to be removed or added
severity is blocks (certificates stop), warns (a person should check) or info.
Codes: caa-forbids, caa-other-methods, caa-other-account, caa-ask-the-ca, caa-unknown-critical, caa-wildcards, caa-mail, \
caa-unreadable, not-delegated, dnssec-bogus, dnssec-oddity, one-family, proof-ends, no-proof, method-ends, method-ended, \
provider-refuses, registration-ends, persistent-caa, persistent-ends, persistent-foreign, persistent-on-its-way, \
persistent-trouble.

Exit status: 0 ready · 1 a person should check something · 2 usage or configuration · 4 something will stop certificates.";

/// The document of `--output json`.
#[derive(Debug, Serialize)]
struct Report {
    on: Timestamp,
    asked_at: Timestamp,
    domains: usize,
    counts: Counts,
    findings: Vec<Judged>,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    blocks: usize,
    warns: usize,
    info: usize,
}

pub(super) async fn readiness(
    global: &Global,
    args: ReadinessArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    if args.notify && app.settings.notify.is_empty() {
        return Err(
            Failed::new(Exit::Usage, "--notify: no message is to be sent")
                .with_hint("write a [[notify]] into the configuration"),
        );
    }
    let now = app.now();
    let on = day(args.on, now)?;
    let names = asked::names(&app, &args.domains, output)?;
    let views = asked_for(&app, &args, &names, now).await?;
    let gate = app.gate()?;
    let providers = app.providers(&gate, None);
    let sets = CaaSets::default();
    let book = rdap::book(&*app.store_read_only().await?).await?;

    let progress = output.progress(views.len() as u64, "domains");
    let mut examined = stream::iter(&views)
        .map(|view| {
            let (app, gate, providers, sets) = (&app, &gate, &providers, &sets);
            let (policy, book) = (&app.policy, &book);
            async move {
                let ca_names = app
                    .settings
                    .cas
                    .get(&view.ca)
                    .map(|ca| ca.caa_names.clone());
                let ca_names = ca_names.unwrap_or_default();
                let (survey, provider) = futures::join!(
                    gate.survey(&view.domain, &ca_names, on, sets),
                    refusal(providers, gate, view, policy.of(&view.ca))
                );
                let seen = Seen {
                    domain: &view.domain,
                    ca: &view.ca,
                    proof: view.proof.clone(),
                    covered: view.covered_by.is_some(),
                    renew_at: view.renew_at,
                    survey: &survey,
                    provider,
                    registered_until: rdap::registrable(&view.domain)
                        .and_then(|name| book.end_of(name, now)),
                };
                judge(&seen, on, now)
            }
        })
        .buffer_unordered(AT_ONCE);
    let mut findings = Vec::new();
    let mut done = 0;
    while let Some(found) = examined.next().await {
        findings.extend(found);
        done += 1;
        progress.done(done);
    }
    drop(examined);
    let is_whole = args.domains.is_empty() && args.part == asked::Part::default();
    let asked: BTreeSet<DomainName> = views.iter().map(|view| view.domain.clone()).collect();
    let meant: BTreeSet<DomainName> = asked.iter().chain(&names).cloned().collect();
    let only = (!is_whole).then_some(&meant);
    findings.extend(persistent_findings(&app, only, on, now).await?);
    let kept = kept(app.persistent(), &args, is_whole, &names);
    let reader = Reader {
        settings: &app.settings,
        gate: &gate,
        providers: &providers,
        sets: &sets,
        book: &book,
        examined: &asked,
        on,
        now,
    };
    let store = app.store_read_only().await?;
    findings.extend(reader.read(&kept, &*store).await?);
    findings.extend(reader.read_beside(&views, &kept, &*store).await?);
    drop(progress);
    findings.sort_by(|one, other| {
        let key = |it: &Judged| (it.severity, it.domain.clone(), it.code);
        key(one).cmp(&key(other))
    });
    let count = |wanted| findings.iter().filter(|it| it.severity == wanted).count();
    let report = Report {
        on,
        asked_at: now,
        domains: asked
            .iter()
            .chain(kept.iter().map(|one| &one.domain))
            .collect::<BTreeSet<_>>()
            .len(),
        counts: Counts {
            blocks: count(Severity::Blocks),
            warns: count(Severity::Warns),
            info: count(Severity::Info),
        },
        findings,
    };
    output.json(&report);
    show(&report, output);
    if args.notify {
        notify::tell_readiness(&app, told(&report), output).await?;
    }
    Ok(match report.counts {
        Counts { blocks: 1.., .. } => Exit::Dns,
        Counts { warns: 1.., .. } => Exit::Incomplete,
        _ => Exit::Done,
    })
}

/// The text of the notices by domain: all that a person should change before the day.
fn told(report: &Report) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let grave = report
        .findings
        .iter()
        .filter(|it| it.severity != Severity::Info);
    for finding in grave {
        let why = found.entry(finding.domain.to_string()).or_default();
        // At several CAs most findings are the same.
        if why.split("; ").any(|known| known == finding.text) {
            continue;
        }
        if !why.is_empty() {
            why.push_str("; ");
        }
        why.push_str(&finding.text);
    }
    found
}

/// The day's first moment; without a date, that of the next change of the rules.
fn day(date: Option<Date>, now: Timestamp) -> Result<Timestamp, Failed> {
    let Some(date) = date else {
        return Ok(match now < METHODS_COUNT_FROM {
            true => METHODS_COUNT_FROM,
            false => TEN_DAYS_FROM.max(now),
        });
    };
    let wrong = |why: String| Failed::new(Exit::Usage, format!("--on {date}: {why}"));
    let zoned = date.to_zoned(TimeZone::UTC);
    let on = zoned.map_err(|error| wrong(error.to_string()))?.timestamp();
    match now.duration_since(on) >= SignedDuration::from_hours(24) {
        true => Err(wrong("the day is over".to_owned())
            .with_hint("it is asked what will be on a day to come: name today or a later day")),
        false => Ok(on),
    }
}

/// The findings about the persistent records of these domains, or of all. They belong to no client.
async fn persistent_findings(
    app: &App,
    only: Option<&BTreeSet<DomainName>>,
    on: Timestamp,
    now: Timestamp,
) -> Result<Vec<Judged>, Failed> {
    let store = app.store_read_only().await?;
    let mut views = persistent::views(app, &*store, now).await?;
    views.retain(|view| only.is_none_or(|only| only.contains(&view.domain)));
    Ok(persistent_records::persistent(&views, app.persistent(), on))
}

/// The persistent records that the arguments mean: those of a client's domains are reported with
/// it.
fn kept<'a>(
    wanted: &'a [Wanted],
    args: &ReadinessArgs,
    is_whole: bool,
    names: &[DomainName],
) -> Vec<&'a Wanted> {
    let is_part = args.part != asked::Part::default();
    let is_meant = |one: &&Wanted| is_whole || (!is_part && names.contains(&one.domain));
    wanted.iter().filter(is_meant).collect()
}

/// The managed domains that the arguments mean.
async fn asked_for(
    app: &App,
    args: &ReadinessArgs,
    names: &[DomainName],
    now: Timestamp,
) -> Result<Vec<DomainView>, Failed> {
    let targets = args.part.targets(app)?;
    let store = app.store_read_only().await?;
    let rows = app.rows(&*store).await?;
    // A domain may have a persistent record and nothing else.
    let kept = app.persistent();
    let is_kept = |name: &&DomainName| kept.iter().any(|one| one.domain == **name);
    let others = names.iter().filter(|name| !is_kept(name)).cloned();
    asked::in_inventory(&others.collect::<Vec<_>>(), &rows)?;
    let views = asked::walk(app, &*store, BTreeMap::new(), now).await?;
    let mut views = views.all().await?;
    views.retain(|view| {
        let of_client = targets.iter().any(|target| target.key == view.client);
        let named = names.is_empty() || names.contains(&view.domain);
        view.is_managed() && of_client && named
    });
    Ok(views)
}

/// Why the domain's provider could not write it now; `None` where it could, or where it may pass
/// without a person.
async fn refusal(
    providers: &Providers,
    gate: &Arc<Gate>,
    view: &DomainView,
    policy: &Policy,
) -> Option<String> {
    let usable: BTreeMap<String, Arc<dyn Provider>> = providers
        .iter()
        .filter_map(|(name, made)| Some((name.clone(), Arc::clone(made.as_ref().ok()?))))
        .collect();
    let named = view.provider.as_deref();
    let owner = match next_owner(policy, &**gate, &view.domain).await {
        Ok(owner) => owner,
        Err(error) => return (!error.is_retryable()).then(|| error.to_string()),
    };
    let name = match route_owner(&usable, &**gate, &view.domain, &owner, named).await {
        Ok(name) => name,
        Err(error) => return (!error.is_retryable()).then(|| error.to_string()),
    };
    match providers.get(&name)? {
        Err(failed) => Some(format!("provider `{name}`: {}", failed.message)),
        Ok(provider) => match provider
            .preflight(owner.as_str(), policy.record.kind.into())
            .await
        {
            Err(error) if !error.is_retryable() => Some(format!("provider `{name}`: {error}")),
            _ => None,
        },
    }
}

fn show(report: &Report, output: &Output) {
    let day = report.on.strftime("%Y-%m-%d");
    let Counts { blocks, warns, .. } = report.counts;
    let domains = match report.domains {
        1 => "1 domain".to_owned(),
        count => format!("{count} domains"),
    };
    let stop = if blocks == 1 {
        "1 finding stops".to_owned()
    } else {
        format!("{blocks} findings stop")
    };
    let summary = if blocks + warns == 0 {
        format!("{domains}: ready for {day}")
    } else {
        format!("{domains}: on {day}, {stop} certificates, {warns} should be checked by a person")
    };
    output.line(&summary);
    let sections = [
        (Severity::Blocks, "Stops certificates", Tone::Bad),
        (Severity::Warns, "Should be checked", Tone::Warn),
        (Severity::Info, "Good to know", Tone::Dim),
    ];
    for (severity, title, tone) in sections {
        let all = report.findings.iter().filter(|it| it.severity == severity);
        let mut found: Vec<&Judged> = all.collect();
        // At several CAs most findings are the same.
        found.dedup_by(|one, other| {
            (&one.domain, &one.text, &one.changes) == (&other.domain, &other.text, &other.changes)
        });
        for (nth, finding) in found.into_iter().enumerate() {
            if nth == 0 {
                output.line("");
                output.heading(title);
            }
            let lead = Cell::new(format!("  {}: ", finding.unicode), tone);
            output.paragraph(&lead, &finding.text);
            for change in &finding.changes {
                if let Some(remove) = &change.remove {
                    output.line(&format!("    - {remove}"));
                }
                if let Some(add) = &change.add {
                    output.line(&format!("    + {add}"));
                }
            }
            if let Some(next) = &finding.next {
                output.paragraph(&"    → ".into(), next);
            }
        }
    }
}
