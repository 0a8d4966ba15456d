//! What an examination means, pure: facts in, findings out, for a DNS administrator. The most
//! severe one is the verdict.

pub mod code;
mod dnssec;
mod resolvers;
mod servers;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use super::GateMode;
use super::caa::Permission;
use super::examine::Examination;
use super::rule::LONGEST_HORIZON;
pub use code::{Code, Finding, Severity};

/// What an examination means: the most severe first, and of equally severe ones the cause before
/// its consequences.
///
/// With a value to search for, and in mode `authoritative`, one of them blocks exactly when the
/// gate does not go.
pub fn findings(seen: &Examination) -> Vec<Finding> {
    let mut found = Vec::new();
    name(seen, &mut found);
    dnssec::findings(seen, &mut found);
    servers::findings(seen, &mut found);
    delegation(seen, &mut found);
    aliases(seen, &mut found);
    resolvers::findings(seen, &mut found);
    wildcard(seen, &mut found);
    caa(seen, &mut found);
    caches(seen, &mut found);
    sort(&mut found);
    found
}

/// The most severe first; when there is only information, that the value is there.
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
            "{domain} is a public suffix: no customer can prove control of it (CA/B Forum BR 3.2.2.6)"
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
            "Give at least one name server glue, or a name in a zone that does not depend on this one."
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
                "no more".to_owned()
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

/// What is between the record's name and the record.
fn aliases(seen: &Examination, found: &mut Vec<Finding>) {
    for alias in &seen.aliases {
        let (owner, target) = (&alias.owner, &alias.target);
        if alias.everywhere {
            let text = format!("{owner} is an alias for {target}: the value is searched for there");
            found.push(Finding::new(Code::Cname, Severity::Info, text));
        } else {
            let text = format!(
                "the alias {owner} to {target} is not on every name server: {}",
                alias.cause
            );
            found.push(
                Finding::new(Code::StaleServer, Severity::Blocks, text).with_next(format!(
                    "Make the CNAME of {owner} the same on all of them."
                )),
            );
        }
    }
}

fn wildcard(seen: &Examination, found: &mut Vec<Finding>) {
    if let Some(wildcard) = &seen.wildcard {
        let (domain, kinds) = (&seen.owner, wildcard.kinds.join(", "));
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
            "the records at {} are made up from a wildcard, as their signature says",
            seen.owner
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
        Permission::Allowed | Permission::ProbablyAllowed => None,
        Permission::OtherAccount => Some(format!(
            "{what} (the CA is named, but only for an account of another system)"
        )),
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
        // A ban on only wildcards or e-mail is mostly meant.
        let severity = if caa.certificates.may() {
            Severity::Info
        } else {
            Severity::Warns
        };
        // What lets the CA issue certificates lets it issue wildcards, unless `issuewild` says
        // otherwise.
        let wildcards = if caa.certificates.may() {
            caa.wildcards
        } else {
            Permission::Allowed
        };
        let tags = [
            ("issue", caa.certificates),
            ("issuewild", wildcards),
            ("issuemail", caa.mail),
        ];
        let missing = tags.iter().filter(|(_, permission)| !permission.may());
        let ca = caa.ca.first().map_or("", String::as_str);
        let added: Vec<&String> = caa
            .changes
            .iter()
            .filter_map(|it| it.add.as_ref())
            .collect();
        let record = |tag: &str| {
            let is_of_tag = |line: &&&String| line.split(' ').nth(3) == Some(tag);
            let narrow = added.iter().find(is_of_tag);
            narrow.map_or_else(
                || format!("{at}. CAA 0 {tag} \"{ca}\""),
                ToString::to_string,
            )
        };
        let records: Vec<_> = missing.map(|(tag, _)| record(tag)).collect();
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
            "resolvers that asked before the value came may answer without it until {}",
            horizon.strftime("%Y-%m-%d %H:%M UTC")
        );
        found.push(
            Finding::new(Code::StillCached, Severity::Info, text)
                .with_next("Nothing: the CA is asked again by itself until then and after."),
        );
    }
}
