//! What resolvers say: what their caches still hold, and, where no other server can be asked,
//! whether they see the value.

use jiff::{SignedDuration, Timestamp};

use super::{Code, Finding, Severity};
use crate::propagation::examine::Examination;
use crate::propagation::resolver::ResolverAnswer;
use crate::propagation::rule::LONGEST_HORIZON;
use crate::propagation::{Answer, GateMode};

pub(super) fn findings(seen: &Examination, found: &mut Vec<Finding>) {
    let answers = &seen.caches.resolvers;
    if let Some(said) = answers.iter().find(|said| said.bogus.is_some()) {
        let known = found
            .iter()
            .any(|finding| finding.severity == Severity::Blocks);
        if let Some(why) = said.bogus.as_ref().filter(|_| !known) {
            let text = format!(
                "resolver {} refuses the zone's answers as forged or broken: {why}",
                said.resolver
            );
            found.push(
                Finding::new(Code::DnssecBadSignature, Severity::Blocks, text)
                    .with_next("Check the zone's signatures and the DS records at the registrar."),
            );
        }
        return;
    }
    let Some(gate) = &seen.gate else { return };
    if gate.mode == GateMode::Resolvers {
        let missing = answers.iter().any(|said| said.answer == Answer::NoMatch);
        let finding = match (gate.go, missing) {
            (true, _) => Finding::new(Code::Visible, Severity::Info, &*gate.cause)
                .with_next("ask the CA to check."),
            (false, true) => Finding::new(Code::StillCached, Severity::Blocks, &*gate.cause)
                .with_next(
                    "Wait until then; if it stays so, check the value where it was written.",
                ),
            (false, false) => Finding::new(Code::NoServerReachable, Severity::Blocks, &*gate.cause)
                .with_next("Check propagation.resolvers, and what this network lets out."),
        };
        found.push(finding);
        return;
    }
    let missing = || answers.iter().filter(|said| said.answer == Answer::NoMatch);
    let (fresh, cached): (Vec<_>, Vec<_>) =
        missing().partition(|said| seen.served().is_denied_to(said));
    if !fresh.is_empty() {
        let text = format!(
            "resolvers that just asked a name server got other TXT values: {}; they may see another zone than this machine",
            list(&fresh)
        );
        let severity = if gate.go {
            Severity::Warns
        } else {
            Severity::Blocks
        };
        found.push(Finding::new(Code::SplitHorizon, severity, text).with_next(
            "Compare the zone as the Internet sees it with the one here (views); publish the value in the public one.",
        ));
    }
    let until = cached
        .iter()
        .filter_map(|said| forgotten(said, seen.at))
        .max();
    if let Some(until) = until {
        let text = format!(
            "caches still answer from before the value, until {}: {}",
            until.strftime("%Y-%m-%d %H:%M UTC"),
            list(&cached)
        );
        found.push(
            Finding::new(Code::StillCached, Severity::Warns, text)
                .with_next("Wait until then: the CA's resolvers may have asked as early as these."),
        );
    }
}

fn forgotten(said: &ResolverAnswer, now: Timestamp) -> Option<Timestamp> {
    let left = SignedDuration::from_secs(said.ttl?.into());
    now.saturating_add(left.min(LONGEST_HORIZON)).ok()
}

fn list(answers: &[&ResolverAnswer]) -> String {
    answers
        .iter()
        .map(|said| said.resolver.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}
