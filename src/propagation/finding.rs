//! What an examination means, pure: facts in, findings out, for a DNS administrator. The gravest
//! one is the verdict.

mod dnssec;
mod resolvers;
mod servers;
#[cfg(test)]
mod tests;

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::GateMode;
use super::caa::Permission;
use super::examine::Examination;
use super::rule::LONGEST_HORIZON;

/// One thing worth saying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// For programs; stable.
    pub code: Code,
    /// How grave it is.
    pub severity: Severity,
    /// What is so, in a sentence.
    pub text: String,
    /// What to do about it.
    pub next: Option<String>,
}

/// How grave a finding is, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// No validation can be counted on while it is so.
    Blocks,
    /// It does not block now; somebody should look.
    Warns,
    /// Good to know.
    Info,
}

macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident = $text:literal,)*) => {
        /// What kind of finding: one word list for findings of DNS, of the provider, of the CA and
        /// of the records here.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$meta])* $name,)* }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As in JSON: stable, kebab-case.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// Every name server that answers has the value.
    Visible = "visible",
    /// No name server has the value.
    ValueMissing = "value-missing",
    /// Some have it, some do not: transfers are late or stuck.
    StaleServer = "stale-server",
    /// A listed server does not answer for the zone.
    LameServer = "lame-server",
    /// A listed server does not answer, or has no address.
    DeadServer = "dead-server",
    /// Nobody responsible answers.
    NoServerReachable = "no-server-reachable",
    /// This machine has no route to an address.
    NoRoute = "no-route",
    /// The parent's and the zone's lists of name servers differ.
    ParentChildDiffer = "parent-child-differ",
    /// The SOA's primary is no listed server.
    HiddenPrimary = "hidden-primary",
    /// The registry does not know the name.
    NotDelegated = "not-delegated",
    /// The name can never be delegated on the Internet.
    ReservedName = "reserved-name",
    /// The zone does not have the name.
    NoSuchName = "no-such-name",
    /// Nobody can prove control of it.
    PublicSuffix = "public-suffix",
    /// The delegation leads nowhere.
    ReferralLoop = "referral-loop",
    /// An alias stands where the TXT value should.
    Cname = "cname",
    /// A wildcard makes up records at the name or beside it.
    Wildcard = "wildcard",
    /// DNSSEC: signatures have ended.
    DnssecExpired = "dnssec-expired",
    /// DNSSEC: signatures begin later.
    DnssecNotYetValid = "dnssec-not-yet-valid",
    /// DNSSEC: the parent has a DS record, the zone no key.
    DnssecNoDnskey = "dnssec-no-dnskey",
    /// DNSSEC: the parent's DS record fits no key of the zone.
    DnssecDsMismatch = "dnssec-ds-mismatch",
    /// DNSSEC: a signature is wrong.
    DnssecBadSignature = "dnssec-bad-signature",
    /// DNSSEC: a signature is missing.
    DnssecNotSigned = "dnssec-not-signed",
    /// DNSSEC: that something is not there is not proven.
    DnssecBadDenial = "dnssec-bad-denial",
    /// DNSSEC: algorithms that validators do not know; they treat the zone as unsigned.
    DnssecUnsupported = "dnssec-unsupported",
    /// DNSSEC: signatures in a zone without a DS record.
    DnssecStray = "dnssec-stray",
    /// A server answers only without EDNS.
    EdnsDropped = "edns-dropped",
    /// The TXT answer needs TCP.
    AnswerLarge = "answer-large",
    /// A server does not answer over TCP.
    TcpBlocked = "tcp-blocked",
    /// The network answers DNS itself.
    Port53Redirected = "port53-redirected",
    /// The CA sees another zone than this machine.
    SplitHorizon = "split-horizon",
    /// CAA lets the CA issue nothing.
    CaaForbids = "caa-forbids",
    /// CAA has a critical tag that nobody knows.
    CaaUnknownCritical = "caa-unknown-critical",
    /// Resolvers may still answer from before the value.
    StillCached = "still-cached",
    /// The other values differ between servers.
    AnswersDiffer = "answers-differ",
    /// The provider says that it cannot write the name.
    ProviderRefuses = "provider-refuses",
    /// The provider could not be asked.
    ProviderUnavailable = "provider-unavailable",
    /// The CA does not let us in, or does not know the registration.
    CaRefuses = "ca-refuses",
    /// The CA has looked and said why it does not accept the value.
    CaLastWords = "ca-last-words",
    /// The CA waits for another value, or for none.
    CaOtherValue = "ca-other-value",
    /// The CA could not be asked.
    CaUnavailable = "ca-unavailable",
    /// The domain waits for a person.
    Held = "held",
    /// A value of ours stands there that has done its work, or could not be removed.
    LeftBehind = "left-behind",
}

impl Code {
    /// Whether it is about DNSSEC.
    pub fn is_dnssec(self) -> bool {
        self.as_str().starts_with("dnssec-")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Finding {
    /// A finding without a next step.
    pub fn new(code: Code, severity: Severity, text: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            text: text.into(),
            next: None,
        }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn with_next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

/// What an examination means: the gravest first, and of equally grave ones the cause before its
/// consequences.
///
/// With a value to look for, and in mode `authoritative`, one of them blocks exactly when the gate
/// does not go.
pub fn findings(seen: &Examination) -> Vec<Finding> {
    let mut found = Vec::new();
    name(seen, &mut found);
    dnssec::findings(seen, &mut found);
    servers::findings(seen, &mut found);
    delegation(seen, &mut found);
    resolvers::findings(seen, &mut found);
    wildcard(seen, &mut found);
    caa(seen, &mut found);
    caches(seen, &mut found);
    sort(&mut found);
    found
}

/// The gravest first; when there is only information, that the value is there.
pub fn sort(found: &mut [Finding]) {
    found.sort_by_key(|finding| {
        (
            finding.severity,
            finding.severity == Severity::Info && finding.code != Code::Visible,
        )
    });
}

fn name(seen: &Examination, found: &mut Vec<Finding>) {
    let domain = &seen.domain;
    if seen.public_suffix {
        let text = format!(
            "{domain} is a public suffix: nobody can prove control of it (CA/B Forum BR 3.2.2.6)"
        );
        found.push(
            Finding::new(Code::PublicSuffix, Severity::Blocks, text)
                .with_next("Take the registered domain below it, such as `www` is below `example.ch`'s suffix `ch`."),
        );
    }
    let Some(fault) = &seen.fault else { return };
    let next = match fault.code {
        Code::ReservedName => {
            "List the addresses of its name servers there, or take the domain out of the configuration."
        }
        Code::NotDelegated => {
            "Check the spelling, and at the registrar whether the domain is registered, paid for and has name servers."
        }
        Code::ReferralLoop => {
            "Give at least one name server glue, or a name in a zone that does not hang on this one."
        }
        Code::Port53Redirected => {
            "Use another network, or set propagation.mode = \"resolvers\" with resolvers over TLS or HTTPS."
        }
        _ => {
            "Check the name servers, and from another network whether DNS (port 53, UDP and TCP) gets out of this one."
        }
    };
    found
        .push(Finding::new(fault.code, unless_elsewhere(seen), fault.text.clone()).with_next(next));
}

/// What only this network keeps from authoritative servers blocks only where the gate asks them.
fn unless_elsewhere(seen: &Examination) -> Severity {
    if seen.mode == GateMode::Authoritative {
        Severity::Blocks
    } else {
        Severity::Warns
    }
}

fn delegation(seen: &Examination, found: &mut Vec<Finding>) {
    let Some(delegation) = &seen.delegation else {
        return;
    };
    let zone = &delegation.zone;
    if let Some(child) = delegation
        .child
        .as_ref()
        .filter(|child| **child != delegation.parent)
        && !delegation.parent.is_empty()
    {
        let only = |these: &std::collections::BTreeSet<String>,
                    others: &std::collections::BTreeSet<String>| {
            let only: Vec<_> = these.difference(others).map(String::as_str).collect();
            if only.is_empty() {
                "nobody more".to_owned()
            } else {
                only.join(", ")
            }
        };
        let text = format!(
            "the delegation of {zone} and the zone itself name different servers; only the parent: {}; only the zone: {}",
            only(&delegation.parent, child),
            only(child, &delegation.parent)
        );
        found.push(
            Finding::new(Code::ParentChildDiffer, Severity::Warns, text).with_next(format!(
                "Make the NS records at the apex of {zone} and those at the registrar the same."
            )),
        );
    }
    for host in &delegation.without_address {
        let text = format!("the listed name server {host} has no address");
        found.push(
            Finding::new(Code::DeadServer, Severity::Warns, text).with_next(format!(
                "Add an address record for {host}, or take it out of the NS records."
            )),
        );
    }
    if !delegation.private.is_empty() {
        let private: Vec<_> = delegation.private.iter().map(ToString::to_string).collect();
        let text = format!(
            "{zone} has name servers at private addresses, which the CA cannot reach ({}): this is an internal view, and the CA may see another one",
            private.join(", ")
        );
        found.push(Finding::new(Code::SplitHorizon, Severity::Warns, text).with_next(
            "Publish the value in the public view, and name its servers: name_servers in [propagation.zone.\"…\"].",
        ));
    }
    let listed = |mname: &&str| {
        seen.servers
            .iter()
            .any(|server| server.name.as_deref() == Some(mname))
    };
    let mnames = seen
        .servers
        .iter()
        .filter_map(|server| server.mname.as_deref());
    if let Some(mname) = mnames
        .filter(|mname| !listed(mname))
        .min()
        .filter(|_| !delegation.configured)
    {
        let text = format!(
            "the primary that the SOA record of {zone} names, {mname}, is no listed name server (a hidden primary, or a wrong name)"
        );
        found.push(Finding::new(Code::HiddenPrimary, Severity::Info, text));
    }
}

fn wildcard(seen: &Examination, found: &mut Vec<Finding>) {
    if let Some(wildcard) = &seen.wildcard {
        let (domain, kinds) = (&seen.domain, wildcard.kinds.join(", "));
        let (text, next) = if wildcard.covers_name {
            (
                format!(
                    "{domain} has no records of its own: the wildcard below {} makes them up ({kinds})",
                    wildcard.below
                ),
                format!(
                    "A TXT value at {domain} hides the wildcard there: give the name its own {kinds} records first, or have {} validated instead.",
                    wildcard.below
                ),
            )
        } else {
            (
                format!(
                    "a wildcard below {} makes up records ({kinds}) at names beside {domain}",
                    wildcard.below
                ),
                String::new(),
            )
        };
        let severity = if wildcard.covers_name {
            Severity::Warns
        } else {
            Severity::Info
        };
        let next = Some(next).filter(|next| !next.is_empty());
        found.push(Finding {
            next,
            ..Finding::new(Code::Wildcard, severity, text)
        });
    } else if seen.servers.iter().any(|server| server.from_wildcard) {
        let text = format!(
            "the TXT values at {} are made up from a wildcard, as their signature says",
            seen.domain
        );
        found.push(Finding::new(Code::Wildcard, Severity::Warns, text));
    }
}

fn caa(seen: &Examination, found: &mut Vec<Finding>) {
    let Some(caa) = &seen.caa else { return };
    let Some(at) = &caa.at else { return };
    if !caa.unknown_critical.is_empty() {
        let text = format!(
            "CAA at {at} has critical tags that no CA knows ({}): no certificate can be issued, though the domain can be validated",
            caa.unknown_critical.join(", ")
        );
        found.push(
            Finding::new(Code::CaaUnknownCritical, Severity::Warns, text)
                .with_next("Take these records away, or their critical flag (128)."),
        );
        return;
    }
    let word = |what: &'static str, permission| match permission {
        Permission::Allowed => None,
        Permission::Forbidden => Some(what.to_owned()),
        Permission::OtherMethods => Some(format!(
            "{what} (the CA is named, but not for the validation method {})",
            super::caa::METHOD
        )),
    };
    let words = [
        word("certificates", caa.certificates),
        word("wildcards", caa.wildcards),
        word("e-mail", caa.mail),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    if !words.is_empty() {
        let text = format!(
            "CAA at {at} does not let the CA issue: {}; the domain can be validated all the same",
            words.join(", ")
        );
        // Who forbids only wildcards or e-mail mostly means it.
        let severity = if caa.certificates == Permission::Allowed {
            Severity::Info
        } else {
            Severity::Warns
        };
        // What lets the CA issue certificates lets it issue wildcards, unless `issuewild` says
        // otherwise.
        let wildcards = if caa.certificates == Permission::Allowed {
            caa.wildcards
        } else {
            Permission::Allowed
        };
        let tags = [
            ("issue", caa.certificates),
            ("issuewild", wildcards),
            ("issuemail", caa.mail),
        ];
        let missing = tags
            .iter()
            .filter(|(_, permission)| *permission != Permission::Allowed);
        let ca = caa.ca.first().map_or("", String::as_str);
        let records: Vec<_> = missing
            .map(|(tag, _)| format!("{at}. CAA 0 {tag} \"{ca}\""))
            .collect();
        found.push(
            Finding::new(Code::CaaForbids, severity, text).with_next(format!(
                "If they are wanted, add: {}",
                records.join(" and ")
            )),
        );
    }
}

fn caches(seen: &Examination, found: &mut Vec<Finding>) {
    // A moment further away than any cache remembers was written down by a wrong clock.
    let last = seen.at.saturating_add(LONGEST_HORIZON);
    let later = |horizon: &Timestamp| *horizon > seen.at && last.is_ok_and(|last| *horizon <= last);
    if let (true, Some(horizon)) = (
        seen.gate.as_ref().is_some_and(|gate| gate.go),
        seen.caches.horizon.filter(later),
    ) {
        let text = format!(
            "resolvers that looked before the value came may answer without it until {}",
            horizon.strftime("%Y-%m-%d %H:%M UTC")
        );
        found.push(
            Finding::new(Code::StillCached, Severity::Info, text)
                .with_next("Nothing: the CA is asked again by itself until then and after."),
        );
    }
}
