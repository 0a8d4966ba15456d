//! What the answers of the name servers mean: which have the value, which are stale, dead or lame,
//! and over which transports.

use std::collections::BTreeSet;

use super::{Code, Finding, Severity, unless_elsewhere};
use crate::propagation::examine::{Edns, Examination, ServerReport};
use crate::propagation::rule::LAME_GRACE;
use crate::propagation::{Answer, RecordKind};

/// Answers above this need TCP: what fits every path without fragments (DNS flag day 2020).
const LARGE: usize = 1232;

pub(super) fn findings(seen: &Examination, found: &mut Vec<Finding>) {
    if seen.fault.is_some() {
        return;
    }
    let all = Answers::of(seen);
    redirected(seen, &all, found);
    alias(seen, &all, found);
    value(seen, &all, found);
    silent(seen, &all, found);
    transports(seen, &all, found);
    foreign(seen, &all, found);
}

/// The servers by what they said.
struct Answers<'a> {
    matching: Vec<&'a ServerReport>,
    stale: Vec<&'a ServerReport>,
    lame: Vec<&'a ServerReport>,
    dead: Vec<&'a ServerReport>,
    /// Dead to resolvers, because EDNS is dropped there.
    deaf: Vec<&'a ServerReport>,
    unchecked: Vec<&'a ServerReport>,
    serving: Vec<&'a ServerReport>,
    /// Lame for no other reason than that the answer does not come through without TCP.
    cut_off: Vec<&'a ServerReport>,
    /// Validating resolvers pass over what it says.
    faulty: Vec<&'a ServerReport>,
    /// Nothing more can be expected of the servers: the gate passes, or, with no value, a server
    /// answers.
    good: bool,
}

impl<'a> Answers<'a> {
    fn of(seen: &'a Examination) -> Self {
        let by = |test: &dyn Fn(&ServerReport) -> bool| {
            seen.servers.iter().filter(|server| test(server)).collect()
        };
        let is = |wanted| move |server: &ServerReport| server.answer == Some(wanted);
        let cut_off = |server: &ServerReport| {
            server.answer == Some(Answer::CutOff) || server.truncated && server.tcp_fault.is_some()
        };
        let serving: Vec<_> = by(&ServerReport::serves);
        Self {
            matching: by(&is(Answer::Match)),
            stale: by(&is(Answer::NoMatch)),
            lame: by(&|server| {
                is(Answer::Lame)(server) && !cut_off(server) && server.dnssec_fault.is_none()
            }),
            dead: by(&|server| is(Answer::Unreachable)(server) && !is_deaf(server)),
            deaf: by(&|server| is(Answer::Unreachable)(server) && is_deaf(server)),
            unchecked: by(&is(Answer::NotChecked)),
            cut_off: by(&|server| {
                !server.serves() && cut_off(server) && server.dnssec_fault.is_none()
            }),
            faulty: by(&|server| server.dnssec_fault.is_some()),
            good: seen
                .gate
                .as_ref()
                .map_or(!serving.is_empty(), |gate| gate.go),
            serving,
        }
    }
}

impl Answers<'_> {
    /// No server says anything that a resolver hears.
    fn all_are_silent(&self) -> bool {
        self.serving.is_empty()
            && self.lame.is_empty()
            && self.cut_off.is_empty()
            && self.faulty.is_empty()
    }
}

fn is_deaf(server: &ServerReport) -> bool {
    server.edns == Some(Edns::Dropped)
}

fn redirected(seen: &Examination, all: &Answers<'_>, found: &mut Vec<Finding>) {
    let mut answering = all.serving.iter().chain(&all.lame).peekable();
    if answering.peek().is_some()
        && answering.all(|server| server.recursive && !server.authoritative)
    {
        let text = "every name server answers as a resolver would (recursion offered, no authority): this network answers DNS questions itself";
        found.push(Finding::new(Code::Port53Redirected, unless_elsewhere(seen), text).with_next(
            "Use another network, or set propagation.mode = \"resolvers\" with resolvers over TLS or HTTPS.",
        ));
    }
}

fn alias(seen: &Examination, all: &Answers<'_>, found: &mut Vec<Finding>) {
    let owner = &seen.owner;
    let beside = all
        .serving
        .iter()
        .filter(|_| seen.record_type == RecordKind::Txt);
    if let Some(target) = beside
        .into_iter()
        .find_map(|server| server.cname.as_deref())
    {
        let text = format!(
            "{owner} is an alias (CNAME to {target}), and no TXT value can be beside a CNAME (RFC 1034, section 3.6.2)"
        );
        let next = match seen.domain.parent() {
            Some(above) if seen.domain.as_str() == owner => format!(
                "Replace the CNAME by the records it points to, or have {above} validated: its proof covers {owner}."
            ),
            _ => "Replace the CNAME by the records it points to.".to_owned(),
        };
        found.push(Finding::new(Code::Cname, Severity::Blocks, text).with_next(next));
    } else if !all.serving.is_empty()
        && all
            .serving
            .iter()
            .all(|server| server.rcode.as_deref() == Some("NXDOMAIN"))
    {
        let severity = if seen.value.is_some() {
            Severity::Blocks
        } else {
            Severity::Info
        };
        let text = format!("{owner} does not exist: every name server that answers says NXDOMAIN");
        found.push(
            Finding::new(Code::NoSuchName, severity, text).with_next(format!(
                "Check the spelling; a record at {owner} makes the name exist."
            )),
        );
    }
}

fn value(seen: &Examination, all: &Answers<'_>, found: &mut Vec<Finding>) {
    let explained = |code: Code| {
        found
            .iter()
            .any(|finding| finding.code == code && finding.severity == Severity::Blocks)
    };
    let (serving, stale) = (all.serving.len(), all.stale.len());
    if all.matching.is_empty() && stale > 0 {
        if explained(Code::Cname) || explained(Code::NoSuchName) {
            return;
        }
        let elsewhere = all.stale.iter().find_map(|server| server.cname.as_deref());
        let others = match elsewhere {
            Some(target) if seen.record_type == RecordKind::Cname => {
                format!("; the CNAME there points to {target}")
            }
            _ if all.stale.iter().any(|server| !server.values.is_empty()) => {
                ", only other ones".to_owned()
            }
            _ => String::new(),
        };
        let text = format!(
            "none of {} that answer has the value{others}",
            addresses(serving)
        );
        let zone = seen
            .delegation
            .as_ref()
            .map_or("the zone", |delegation| &delegation.zone);
        found.push(Finding::new(Code::ValueMissing, Severity::Blocks, text).with_next(format!(
            "Check that the value is in {zone} at {} itself, in one piece, and that the primary has loaded it.",
            seen.owner
        )));
    } else if stale > 0 {
        let serials = |servers: &[&ServerReport]| {
            let serials: BTreeSet<u32> =
                servers.iter().filter_map(|server| server.serial).collect();
            serials
                .iter()
                .map(u32::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let text = format!(
            "{stale} of {} that answer do not have the value: {}; serial there {}, elsewhere {}{}",
            addresses(serving),
            list(&all.stale, |_| None),
            or_unknown(&serials(&all.stale)),
            or_unknown(&serials(&all.matching)),
            seen.chance_percent
                .map_or_else(String::new, |percent| format!(
                    "; a check from several places would pass with {percent:.0} %"
                ))
        );
        found.push(Finding::new(Code::StaleServer, Severity::Blocks, text).with_next(
            "Check NOTIFY and zone transfers from the primary to these servers; or take them out of the NS records, at the registrar too.",
        ));
    } else if all.good && seen.value.is_some() && serving > 0 {
        let text = format!(
            "every name server that answers has the value ({})",
            addresses(serving)
        );
        found.push(
            Finding::new(Code::Visible, Severity::Info, text).with_next("ask the CA to check."),
        );
    }
}

fn silent(seen: &Examination, all: &Answers<'_>, found: &mut Vec<Finding>) {
    let all_are_silent = all.all_are_silent() && all.deaf.is_empty();
    if all_are_silent && (all.unchecked.is_empty() || !all.dead.is_empty()) {
        let text = match seen.servers.len() {
            0 => "no listed name server has an address".to_owned(),
            count => format!(
                "none of {} could be reached: {}",
                addresses(count),
                list(&all.dead, detail)
            ),
        };
        found.push(Finding::new(Code::NoServerReachable, unless_elsewhere(seen), text).with_next(
            "Check the name servers, and from another network whether DNS (port 53, UDP and TCP) gets out of this one.",
        ));
    } else if !all.dead.is_empty() {
        let text = format!("no answer from {}", list(&all.dead, detail));
        found.push(
            Finding::new(Code::DeadServer, Severity::Warns, text).with_next(
                "Repair it or take it out of the NS records; resolvers pass over it meanwhile.",
            ),
        );
    }
    if !all.lame.is_empty() {
        let blocks =
            !all.good && all.stale.is_empty() && all.cut_off.is_empty() && all.faulty.is_empty();
        let redirected = found
            .iter()
            .any(|finding| finding.code == Code::Port53Redirected);
        let alone = if blocks && !all.matching.is_empty() {
            format!(
                "; one server alone counts {} minutes after the write",
                LAME_GRACE.as_secs() / 60
            )
        } else {
            String::new()
        };
        let text = format!(
            "listed, but not answering for the zone: {}{alone}",
            list(&all.lame, detail)
        );
        let severity = if blocks && !redirected {
            Severity::Blocks
        } else {
            Severity::Warns
        };
        found.push(Finding::new(Code::LameServer, severity, text).with_next(
            "Configure the zone on these servers, or take them out of the NS records, at the registrar too.",
        ));
    }
    if !all.unchecked.is_empty() {
        let only = all_are_silent && all.dead.is_empty();
        let severity = if only {
            unless_elsewhere(seen)
        } else {
            Severity::Info
        };
        let text = format!(
            "this machine has no route to {}; not checked",
            list(&all.unchecked, |_| None)
        );
        let finding = Finding::new(Code::NoRoute, severity, text);
        found.push(if only {
            finding.with_next("Run it on a machine that reaches these addresses.")
        } else {
            finding
        });
    }
}

fn transports(seen: &Examination, all: &Answers<'_>, found: &mut Vec<Finding>) {
    if !all.cut_off.is_empty() {
        let blocks = !all.good && all.stale.is_empty();
        let text = format!(
            "the answer is too large for UDP, and TCP does not work: {}",
            list(&all.cut_off, |server| server.tcp_fault.clone())
        );
        let severity = if blocks {
            Severity::Blocks
        } else {
            Severity::Warns
        };
        found
            .push(Finding::new(Code::TcpBlocked, severity, text).with_next(
                "Open port 53 for TCP at these servers, or take old TXT values away until the answer fits.",
            ));
    }
    let dropped: Vec<_> = seen
        .servers
        .iter()
        .filter(|s| matches!(s.edns, Some(Edns::Dropped | Edns::Refused)))
        .collect();
    if !dropped.is_empty() {
        let word = |server: &ServerReport| {
            Some(
                if server.edns == Some(Edns::Dropped) {
                    "drops it"
                } else {
                    "refuses it"
                }
                .to_owned(),
            )
        };
        let blocks = !all.deaf.is_empty() && all.all_are_silent() && !all.good;
        let severity = if blocks {
            unless_elsewhere(seen)
        } else {
            Severity::Warns
        };
        let text = format!(
            "no EDNS with {}: resolvers do without an answer, or without signatures, or take longer",
            list(&dropped, word)
        );
        found.push(
            Finding::new(Code::EdnsDropped, severity, text)
                .with_next("Update the server, or the firewall before it (dnsflagday.net)."),
        );
    }
    let no_tcp: Vec<_> = all
        .serving
        .iter()
        .copied()
        .filter(|server| server.tcp_fault.is_some())
        .collect();
    if !no_tcp.is_empty() && all.cut_off.is_empty() {
        let text = format!(
            "no TCP with {}",
            list(&no_tcp, |server| server.tcp_fault.clone())
        );
        found.push(
            Finding::new(Code::TcpBlocked, Severity::Warns, text).with_next(
                "Open port 53 for TCP there: an answer that outgrows UDP will be lost without it (RFC 7766).",
            ),
        );
    }
    let large: Vec<_> = seen
        .servers
        .iter()
        .filter(|s| s.truncated || s.octets.is_some_and(|octets| octets > LARGE))
        .collect();
    if let Some(octets) = large.iter().filter_map(|server| server.octets).max() {
        let text = format!(
            "the answer has {octets} octets, more than fit into a datagram everywhere ({LARGE})"
        );
        found.push(
            Finding::new(Code::AnswerLarge, Severity::Info, text)
                .with_next("Take away TXT values that are no longer needed."),
        );
    }
}

fn foreign(seen: &Examination, all: &Answers<'_>, found: &mut Vec<Finding>) {
    let sets: BTreeSet<Vec<&str>> = all
        .serving
        .iter()
        .map(|server| server.foreign(seen.value.as_deref()))
        .collect();
    if sets.len() > 1 {
        let word = |server: &ServerReport| {
            let count = server.foreign(seen.value.as_deref()).len();
            Some(format!(
                "{count} value{}",
                if count == 1 { "" } else { "s" }
            ))
        };
        let text = format!(
            "the other TXT values differ between servers: {}",
            list(&all.serving, word)
        );
        found.push(
            Finding::new(Code::AnswersDiffer, Severity::Warns, text).with_next(
                "Compare the zone on these servers; one may be out of date, or edited by hand.",
            ),
        );
    }
}

fn detail(server: &ServerReport) -> Option<String> {
    Some(server.detail.clone())
}

fn addresses(count: usize) -> String {
    if count == 1 {
        "1 address".to_owned()
    } else {
        format!("{count} addresses")
    }
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

/// The first three, with a word on each, and how many more.
fn list(servers: &[&ServerReport], word: impl Fn(&ServerReport) -> Option<String>) -> String {
    let one = |server: &&ServerReport| match word(server) {
        Some(word) => format!("{}: {word}", server.label()),
        None => server.label(),
    };
    let mut shown: Vec<String> = servers.iter().take(3).map(one).collect();
    if servers.len() > 3 {
        shown.push(format!("and {} more", servers.len() - 3));
    }
    shown.join("; ")
}
