//! A diagnosis for people: the verdict and the next step first, then short sections; 80 columns.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::report::Report;
use crate::output::{Cell, Output, Tone, moment, relative};
use crate::propagation::Answer;
use crate::propagation::caa::Permission;
use crate::propagation::examine::{DnssecStatus, ServerReport};
use crate::propagation::finding::{Code, Severity};

/// A TXT value is shown so far; JSON has all of it.
const LONGEST_VALUE: usize = 100;

/// This many TXT values are shown; JSON has all of them.
const MOST_VALUES: usize = 100;

/// One of `several` about a domain says at which client it is.
pub(super) fn show(report: &Report, several: bool, output: &Output) {
    let place = match (&report.inventory, &report.ca) {
        (Some(view), _) => Some(&view.client),
        (None, ca) => ca.as_ref().map(|ca| &ca.name),
    };
    let domain = report.domain.both_forms();
    output.heading(&match place.filter(|_| several) {
        Some(place) => format!("{domain} at {place}"),
        None => domain,
    });
    headline(report, output);
    asked(report, output);
    delegation(report, output);
    servers(report, output);
    values(report, output);
    dnssec(report, output);
    caa(report, output);
    caches(report, output);
    provider(report, output);
    ca(report, output);
    ledger(report, output);
}

fn word(severity: Severity) -> (&'static str, Tone) {
    match severity {
        Severity::Blocks => ("blocks", Tone::Bad),
        Severity::Warns => ("warns", Tone::Warn),
        Severity::Info => ("info", Tone::Good),
    }
}

/// Whether the CA said no, or waits for another value.
fn ca_objects(report: &Report) -> bool {
    report
        .findings
        .iter()
        .any(|finding| matches!(finding.code, Code::CaLastWords | Code::CaOtherValue))
}

fn headline(report: &Report, output: &Output) {
    let blocks = report
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Blocks);
    let (lead, tone, rest) = if blocks {
        ("BLOCKED: ", Tone::Bad, String::new())
    } else if report.dns.gate.as_ref().is_some_and(|gate| gate.go) && ca_objects(report) {
        (
            "NOT READY: ",
            Tone::Warn,
            "every name server that answers has the value. ".to_owned(),
        )
    } else if report.dns.gate.as_ref().is_some_and(|gate| gate.go) {
        (
            "READY: ",
            Tone::Good,
            "the CA will see the value. ".to_owned(),
        )
    } else if report.value.is_some() {
        (
            "NOTHING BLOCKS: ",
            Tone::Good,
            "whether the value is there cannot be seen from here. ".to_owned(),
        )
    } else {
        (
            "NOTHING BLOCKS: ",
            Tone::Good,
            "no value is searched for. ".to_owned(),
        )
    };
    let verdict = &report.verdict;
    let text = if blocks || verdict.severity != Severity::Info {
        verdict.text.as_str()
    } else {
        ""
    };
    output.paragraph(&Cell::new(lead, tone), &format!("{rest}{text}"));
    if let Some(next) = &verdict.next {
        output.paragraph(&"Next: ".into(), next);
    }
    // The first one is the verdict, said above unless it is only information.
    let said = usize::from(verdict.code.is_some() && !text.is_empty());
    let more = &report.findings[said.min(report.findings.len())..];
    if !more.is_empty() {
        section(output, "Findings");
    }
    for finding in more {
        let (word, tone) = word(finding.severity);
        output.paragraph(&Cell::new(format!("  {word:<7}"), tone), &finding.text);
        if let Some(next) = finding
            .next
            .as_ref()
            .filter(|_| finding.severity != Severity::Info)
        {
            output.paragraph(&"         → ".into(), next);
        }
    }
}

/// The servers that were asked in vain for the name servers.
fn asked(report: &Report, output: &Output) {
    let Some(fault) = report.dns.fault.as_ref().filter(|it| !it.tried.is_empty()) else {
        return;
    };
    section(output, "Asked");
    for tried in &fault.tried {
        output.paragraph(&"  ".into(), tried);
    }
}

fn delegation(report: &Report, output: &Output) {
    let Some(delegation) = &report.dns.delegation else {
        return;
    };
    section(output, "Delegation");
    if delegation.configured {
        let text = format!(
            "zone {}; its name servers are those of the configuration",
            delegation.zone
        );
        output.paragraph(&"  ".into(), &text);
        return;
    }
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    output.paragraph(&"  zone    ".into(), &delegation.zone);
    match &delegation.child {
        Some(child) if *child == delegation.parent => {
            output.paragraph(&"  servers ".into(), &list(child))
        }
        child => {
            let none = "no list of its own: one server holds both zones".to_owned();
            let parent = if delegation.parent.is_empty() {
                none
            } else {
                list(&delegation.parent)
            };
            output.paragraph(&"  parent  ".into(), &parent);
            let own = child
                .as_ref()
                .map_or_else(|| "could not be read".to_owned(), list);
            output.paragraph(&"  zone's  ".into(), &own);
        }
    }
    for warning in &delegation.warnings {
        output.paragraph(&Cell::new("  note    ", Tone::Dim), warning);
    }
}

fn servers(report: &Report, output: &Output) {
    if report.dns.servers.is_empty() {
        return;
    }
    section(output, "Name servers");
    let number = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
    // Those of the configuration have no names.
    let named = report
        .dns
        .servers
        .iter()
        .any(|server| server.name.is_some());
    let row = |server: &ServerReport| {
        let (said, tone) = answered(server.answer);
        let name = named.then(|| server.name.clone().unwrap_or_default().into());
        let rest = [
            server.place().into(),
            Cell::new(said, tone),
            number(server.serial.map(|serial| serial.to_string())).into(),
            number(server.ttl.map(|ttl| ttl.to_string())).into(),
            number(server.octets.map(|octets| octets.to_string())).into(),
            number(server.took_ms.map(|ms| ms.to_string())).into(),
        ];
        name.into_iter().chain(rest).collect()
    };
    let headers = ["SERVER", "ADDRESS", "SAYS", "SERIAL", "TTL", "OCTETS", "MS"];
    let rows = report.dns.servers.iter().map(row).collect();
    output.table(&headers[usize::from(!named)..], rows);
}

fn answered(answer: Option<Answer>) -> (&'static str, Tone) {
    match answer {
        None => ("answers", Tone::Good),
        Some(Answer::Match) => ("has it", Tone::Good),
        Some(Answer::NoMatch) => ("lacks it", Tone::Bad),
        Some(Answer::Lame) => ("lame", Tone::Warn),
        Some(Answer::CutOff) => ("cut off", Tone::Bad),
        Some(Answer::Unreachable) => ("dead", Tone::Warn),
        Some(Answer::NotChecked) => ("no route", Tone::Dim),
    }
}

fn values(report: &Report, output: &Output) {
    let serving: Vec<_> = report
        .dns
        .servers
        .iter()
        .filter(|server| server.serves())
        .collect();
    let mut all: BTreeMap<&str, usize> = BTreeMap::new();
    for server in &serving {
        let values: BTreeSet<&str> = server.values.iter().map(String::as_str).collect();
        for value in values {
            *all.entry(value).or_default() += 1;
        }
    }
    if report.value.is_none() && serving.is_empty() {
        return;
    }
    section(output, "TXT at the name");
    if let (Some(value), Some(from)) = (&report.value, report.value_from) {
        output.paragraph(
            &"  wanted  ".into(),
            &format!("\"{}\", says {from}", short(value)),
        );
    }
    if all.is_empty() && !serving.is_empty() {
        output.paragraph(&"  ".into(), "no TXT values");
    }
    let more = all.len().saturating_sub(MOST_VALUES);
    for (value, on) in all.into_iter().take(MOST_VALUES) {
        let everywhere = on == serving.len();
        let place = if everywhere {
            "everywhere".to_owned()
        } else {
            format!("{on} of {}", serving.len())
        };
        let tone = if everywhere { Tone::Plain } else { Tone::Warn };
        output.paragraph(
            &Cell::new(format!("  {place:<11} "), tone),
            &format!("\"{}\"", short(value)),
        );
    }
    if more > 0 {
        output.paragraph(&"  ".into(), &format!("and {more} more values"));
    }
}

fn dnssec(report: &Report, output: &Output) {
    let Some(dnssec) = &report.dns.dnssec else {
        return;
    };
    section(output, "DNSSEC");
    let (word, tone) = match dnssec.status {
        DnssecStatus::Secure => (
            "signed, and the chain of trust reaches the zone",
            Tone::Good,
        ),
        DnssecStatus::Insecure => ("not validated", Tone::Plain),
        DnssecStatus::Bogus => ("broken", Tone::Bad),
        DnssecStatus::Unchecked => ("not checked", Tone::Dim),
    };
    let why = dnssec
        .why
        .as_ref()
        .map_or_else(String::new, |why| format!("({why})"));
    output.paragraph(&Cell::new(format!("  {word} "), tone), &why);
}

fn caa(report: &Report, output: &Output) {
    let Some(caa) = &report.dns.caa else { return };
    section(
        output,
        "CAA (counts when a certificate is issued, not for the validation)",
    );
    match (&caa.at, &caa.fault) {
        (_, Some(fault)) => output.paragraph(&Cell::new("  not read: ", Tone::Warn), fault),
        (None, None) => output.paragraph(&"  ".into(), "no records: every CA may issue"),
        (Some(at), None) => {
            caa.records
                .iter()
                .for_each(|record| output.paragraph(&"  ".into(), &format!("{at} CAA {record}")));
            let may = |permission| match permission {
                Permission::Allowed => "yes",
                Permission::ProbablyAllowed => "probably (ask the CA)",
                Permission::OtherAccount => "not by this account",
                Permission::OtherMethods => "not by this method",
                Permission::Forbidden => "no",
            };
            let text = format!(
                "may the CA issue? certificates {}, wildcards {}, e-mail {}",
                may(caa.certificates),
                may(caa.wildcards),
                may(caa.mail)
            );
            output.paragraph(&"  ".into(), &text);
        }
    }
    caa.notes
        .iter()
        .for_each(|note| output.paragraph(&Cell::new("  note    ", Tone::Dim), note));
}

fn caches(report: &Report, output: &Output) {
    let caches = &report.dns.caches;
    let ttl = |ttl: Option<u32>| ttl.map_or_else(|| "-".to_owned(), |ttl| format!("{ttl} s"));
    if caches.txt_ttl.is_none() && caches.negative_ttl.is_none() {
        return;
    }
    section(output, "Caches");
    let text = format!(
        "resolvers keep the TXT values for {}, \"not there\" for {}",
        ttl(caches.txt_ttl),
        ttl(caches.negative_ttl)
    );
    output.paragraph(&"  ".into(), &text);
    for said in &caches.resolvers {
        let (word, tone) = answered(Some(said.answer));
        let left = said
            .ttl
            .map_or_else(String::new, |ttl| format!(", for {ttl} s more"));
        let text = format!("{}{left}: {}", said.resolver, said.detail);
        // Nothing was searched for: then only what it holds is of interest.
        let lead = if report.value.is_some() {
            Cell::new(format!("  {word:<8} "), tone)
        } else {
            "  holds    ".into()
        };
        output.paragraph(&lead, &text);
    }
    if let Some(horizon) = caches.horizon {
        let text = format!(
            "none remembers the time before the value after {}",
            at(horizon, report.at)
        );
        output.paragraph(&"  ".into(), &text);
    }
}

fn provider(report: &Report, output: &Output) {
    let Some(provider) = &report.provider else {
        return;
    };
    section(output, &format!("Provider {}", provider.name));
    if let Some(evidence) = &provider.evidence {
        output.paragraph(&Cell::new("  can write ", Tone::Good), evidence);
    }
    if let Some(error) = &provider.error {
        output.paragraph(&Cell::new("  cannot write ", Tone::Bad), error);
    }
    provider
        .warnings
        .iter()
        .for_each(|warning| output.paragraph(&Cell::new("  note    ", Tone::Dim), warning));
    if let Some(holds) = provider.holds_value {
        let text = if holds {
            "the value is there"
        } else {
            "the value is not there"
        };
        output.paragraph(&"  ".into(), text);
    }
}

fn ca(report: &Report, output: &Output) {
    let Some(ca) = &report.ca else { return };
    section(output, &format!("CA {}", ca.name));
    let status = match (&ca.status, &ca.reference) {
        (Some(status), Some(reference)) => format!("{status} ({reference})"),
        _ => "not registered, as far as is known".to_owned(),
    };
    let age = ca.read_at.map_or_else(
        || "never asked".to_owned(),
        |read| format!("asked {}", relative(read, report.at)),
    );
    output.paragraph(&"  ".into(), &format!("{status}; {age}"));
    let dates = [
        ("validated", ca.validated_at),
        ("valid until", ca.expires_at),
        ("token until", ca.token_expires_at),
    ];
    for (what, when) in dates {
        if let Some(when) = when {
            output.paragraph(&"  ".into(), &format!("{what} {}", at(when, report.at)));
        }
    }
    if let Some(words) = &ca.last_words {
        output.paragraph(&"  its last words: ".into(), words);
    }
    if let Some(doubt) = &ca.doubt {
        output.paragraph(&Cell::new("  note    ", Tone::Dim), doubt);
    }
}

fn ledger(report: &Report, output: &Output) {
    if let Some(view) = &report.inventory {
        section(output, "Inventory");
        output.paragraph(
            &"  ".into(),
            &format!("{}; next: {}; {}", view.state, view.next, view.reason),
        );
    }
    if !report.ledger.is_empty() {
        section(output, "Ledger");
    }
    for entry in &report.ledger {
        let since = entry.published_at.map_or_else(String::new, |since| {
            format!(" since {}", at(since, report.at))
        });
        let state = format!("{:?}", entry.state).to_lowercase();
        output.paragraph(
            &"  ".into(),
            &format!(
                "\"{}\" {state}{since}, provider {}",
                short(&entry.value),
                entry.provider
            ),
        );
    }
}

/// The title of a section, after an empty line.
fn section(output: &Output, title: &str) {
    output.line("");
    output.heading(title);
}

fn at(when: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", moment(when), relative(when, now))
}

fn short(value: &str) -> String {
    if value.chars().count() <= LONGEST_VALUE {
        return value.to_owned();
    }
    value.chars().take(LONGEST_VALUE).chain(['…']).collect()
}
