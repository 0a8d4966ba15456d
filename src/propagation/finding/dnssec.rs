//! What validating resolvers, the CA's among them, will not believe.

use super::{Code, Finding, Severity};
use crate::propagation::Answer;
use crate::propagation::examine::{Examination, ServerReport};

pub(super) fn findings(seen: &Examination, found: &mut Vec<Finding>) {
    let Some(dnssec) = &seen.dnssec else { return };
    if let Some(fault) = &dnssec.bogus {
        let text = format!(
            "validating resolvers, as the CA's, refuse all answers of the zone: {}",
            fault.text
        );
        found.push(Finding::new(fault.code, Severity::Blocks, text).with_next(remedy(fault.code)));
        return;
    }
    let faulty: Vec<&ServerReport> = seen
        .servers
        .iter()
        .filter(|server| server.dnssec_fault.is_some())
        .collect();
    if let Some(fault) = faulty
        .first()
        .and_then(|server| server.dnssec_fault.as_ref())
    {
        let stale = seen
            .servers
            .iter()
            .any(|server| server.answer == Some(Answer::NoMatch));
        let enough = seen.gate.as_ref().is_none_or(|gate| gate.go) || stale;
        let names: Vec<String> = faulty.iter().map(|server| server.label()).collect();
        let text = format!(
            "validating resolvers, as the CA's, pass over the answer of {}: {}",
            names.join(", "),
            fault.text
        );
        let severity = if enough {
            Severity::Warns
        } else {
            Severity::Blocks
        };
        found.push(Finding::new(fault.code, severity, text).with_next(format!(
            "Compare these servers with the others, and transfer the zone again. {}",
            remedy(fault.code)
        )));
    }
    if let (Some(code), Some(why)) = (dnssec.oddity, &dnssec.why) {
        let (severity, next) = match code {
            Code::DnssecStray => (
                Severity::Info,
                "Give the registrar the DS record, or stop signing.",
            ),
            _ => (
                Severity::Warns,
                "Ask a validating resolver (`--resolver`): it may know more. ECDSAP256SHA256 is known everywhere.",
            ),
        };
        found.push(Finding::new(code, severity, format!("DNSSEC {why}")).with_next(next));
    }
}

/// The hint for a DNS administrator.
fn remedy(code: Code) -> &'static str {
    match code {
        Code::DnssecExpired => "Sign the zone again, and find out why its signer stopped.",
        Code::DnssecNotYetValid => "Check the clock of the signer, and of this machine.",
        Code::DnssecNoDnskey => {
            "Publish the zone's DNSKEY records, or have the registrar take the DS records away."
        }
        Code::DnssecDsMismatch => {
            "Give the registrar the DS record of the key that signs now, or have the DS records removed."
        }
        _ => "Sign the zone again with the keys that its DNSKEY records show.",
    }
}
