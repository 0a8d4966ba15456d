//! `[propagation]`: when a value counts as visible, in general and in single zones.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

use super::quantity::{DAY, HOUR, MINUTE, Rate, SECOND, dns_address};
use super::rows::settings;
use super::tree::{Schema, Section};
use crate::prevalidation::DomainName;
use crate::propagation::{GateMode, Judging};

pub(super) const PROPAGATION: Schema = Schema {
    path: "propagation",
    keys: PropagationSettings::KEYS,
};
pub(super) const ZONE: Schema = Schema {
    path: "propagation.zone.NAME",
    keys: &["mode", "name_servers", "resolvers", "delay", "rounds"],
};

const TENTH: SignedDuration = SignedDuration::from_millis(100);

settings! {
    /// `[propagation]`: when a value counts as visible.
    pub struct PropagationSettings {
        ["mode"],
        /// The first interval between two listings.
        poll: Duration = std_duration(SECOND..=HOUR, SECOND * 10),
        /// From the gate to the call to the CA.
        settle: Duration = std_duration(SignedDuration::ZERO..=DAY, MINUTE),
        ["delay", "rounds", "resolvers"],
        /// Root certificates in PEM for resolvers, beside the system's.
        extra_ca_file: Option<PathBuf> = trusted_file(),
        /// For one try at one address.
        timeout: Duration = std_duration(TENTH..=SECOND * 10, SECOND * 3),
        // A listing asks a server two or three questions, and a batch is 64 checks.
        /// The most questions to one server.
        rate: Rate = rate(10, Rate::a_second(300)),
        /// Root name servers; empty: the built-in hints.
        roots: Vec<SocketAddr> = each(dns_address),
        /// DNSSEC trust anchors in zone-file form instead of IANA's.
        trust_anchors: Option<PathBuf> = anchors_file(),
        ["zone"],
    }
    by hand {
        /// How domains are judged that no zone of `zones` holds.
        general: Judging,
        /// `[propagation.zone.NAME]`, in A-labels: what is different there.
        zones: BTreeMap<String, Judging>,
    }
}

pub(super) fn read(top: &Section<'_>) -> PropagationSettings {
    let section = &top.table("propagation", &PROPAGATION);
    let own = judging(section);
    let general = Judging {
        mode: own.mode.or(Some(GateMode::default())),
        rounds: own.rounds.or(Some(Judging::ROUNDS)),
        ..own
    };
    must_know_resolvers(section, &general, &general);
    let zones = zones(section, &general);
    let mode_of = |judging: &Judging| judging.mode.or(general.mode).unwrap_or_default();
    if section.has("delay")
        && zones
            .values()
            .chain([&general])
            .all(|one| mode_of(one) == GateMode::Authoritative)
    {
        let message = "does not count in mode = \"authoritative\"";
        section
            .reader
            .notice(section.line_of("delay"), &section.key("delay"), message);
    }
    PropagationSettings::read(section, general, zones)
}

fn zones(section: &Section<'_>, general: &Judging) -> BTreeMap<String, Judging> {
    let mut zones = BTreeMap::new();
    for (zone, own) in section.sections("zone") {
        let own = own.check(&ZONE);
        let judging = judging(&own);
        must_know_resolvers(&own, &judging, general);
        // A zone need not be a name that a CA would validate; a reverse or internal parent is fine.
        match DomainName::parse(zone)
            .map(|parsed| parsed.name)
            .or_else(|_| DomainName::from_a_labels(zone))
        {
            Ok(name) => {
                if zones.insert(name.as_str().to_owned(), judging).is_some() {
                    section.reader.fault(
                        own.line,
                        &own.path,
                        "the same zone has two sections",
                        None,
                    );
                }
            }
            Err(_) => section.reader.fault(
                own.line,
                &own.path,
                "a section here must be named after a zone",
                None,
            ),
        }
    }
    zones
}

/// The keys that are both in `[propagation]` and in its zones.
fn judging(section: &Section<'_>) -> Judging {
    Judging {
        mode: section.choice("mode", &GateMode::ALL.map(|mode| (mode.as_str(), mode))),
        name_servers: section.each("name_servers", dns_address),
        resolvers: section.each("resolvers", str::parse),
        delay: section
            .has("delay")
            .then(|| section.std_duration("delay", SECOND..=DAY * 7, SECOND)),
        rounds: section
            .has("rounds")
            .then(|| section.whole("rounds", 1..=5, Judging::ROUNDS)),
    }
}

fn must_know_resolvers(section: &Section<'_>, own: &Judging, general: &Judging) {
    let known = if own.resolvers.is_empty() {
        &general.resolvers
    } else {
        &own.resolvers
    };
    match known.len() {
        _ if own.mode.or(general.mode) != Some(GateMode::Resolvers) => {}
        0 if section.texts("resolvers").is_empty() => section.fault_hint(
            "mode",
            "needs `resolvers`",
            "name two, such as resolvers = [\"tls://9.9.9.9#dns.quad9.net\", \"https://dns.google/dns-query\"]",
        ),
        1 => section.reader.notice(
            section.line_of("resolvers"),
            &section.key("resolvers"),
            "is one only: what it says is believed without a second one",
        ),
        _ => {}
    }
}
