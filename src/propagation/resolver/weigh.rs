//! The rule of mode `resolvers`, and what resolvers add to the verdict about the name servers:
//! pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::ResolverAnswer;
use crate::propagation::rule::{LAME_GRACE, LONGEST_HORIZON, moment};
use crate::propagation::{Answer, GateMode, ServerAnswer, Verdict};

/// An answer so young was fetched for our own question.
const JUST_NOW: Duration = Duration::from_secs(2);

/// Judges by what resolvers said at `now` (rule 8). It goes when all that answer have the value,
/// and at least two answered; one is enough when one is configured. A resolver that gave no answer
/// is a warning, one that calls the zone bogus blocks.
pub fn weigh(answers: &[ResolverAnswer], published_for: Duration, now: Timestamp) -> Verdict {
    let count = |wanted| answers.iter().filter(|said| said.answer == wanted).count();
    let (there, missing, asked) = (count(Answer::Match), count(Answer::NoMatch), answers.len());
    let first = |wanted| {
        answers
            .iter()
            .find(|said| said.answer == wanted)
            .map(words)
            .unwrap_or_default()
    };
    let cached_until = cached_until(answers, now);
    let bogus = bogus(answers);

    let cause = if let Some(bogus) = &bogus {
        format!("validating resolvers refuse the zone's answers: {bogus}")
    } else if missing > 0 {
        let until = cached_until
            .map(|at| format!("; it may come from a cache until {}", moment(at)))
            .unwrap_or_default();
        format!(
            "{missing} of {asked} resolvers do not see the value: {}{until}",
            first(Answer::NoMatch)
        )
    } else if there == 0 {
        let said = answers.first().map(words).unwrap_or_default();
        format!(
            "none of {asked} resolvers gave an answer: {said}; check propagation.resolvers and what this network lets out"
        )
    } else if there < asked.min(2) {
        format!(
            "only one of {asked} resolvers answered, and one alone is no evidence: {}",
            first(Answer::Match)
        )
    } else {
        let validated = answers
            .iter()
            .filter(|said| said.answer == Answer::Match && said.validated)
            .count();
        let checked = if validated > 0 {
            format!(", {validated} of them validated (AD)")
        } else {
            String::new()
        };
        format!("{there} of {asked} resolvers see the value{checked}; no name server was asked")
    };
    let go = bogus.is_none() && missing == 0 && there > 0 && there >= asked.min(2);
    // What a cache says is late; only after the longest memory is it gone.
    let gone = missing > 0 && there == 0 && published_for >= LONGEST_HORIZON.unsigned_abs();
    Verdict {
        gone,
        bogus,
        cached_until,
        warnings: warnings(answers),
        servers: servers(answers),
        ..Verdict::new(GateMode::Resolvers, go, cause)
    }
}

/// Holds resolvers' second answers against a verdict that went, as
/// [`crate::propagation::rule::compare`] does.
pub fn compare(first: Verdict, second: Verdict) -> Verdict {
    if second.bogus.is_none()
        && !second
            .servers
            .iter()
            .any(|server| server.answer == Answer::NoMatch)
    {
        return first;
    }
    Verdict {
        cause: format!("asked again, {}", second.cause),
        ..second
    }
}

/// What name servers said of the value that resolvers are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// The whole TTLs of its RRset and of "not there", seconds.
    pub ttls: [Option<u32>; 2],
    /// How long it has been there; zero when that is not known.
    pub published_for: Duration,
}

impl Served {
    /// Whether a resolver that does not have the value asked for it when it was there already: just
    /// now, or long after the write, as the age of its answer tells. Then no cache is to blame: it
    /// is shown another zone (a split horizon).
    pub fn is_denied_to(&self, said: &ResolverAnswer) -> bool {
        let ages = self
            .ttls
            .iter()
            .flatten()
            .filter_map(|whole| whole.checked_sub(said.ttl?));
        let later = |age: u32| {
            let age = Duration::from_secs(age.into());
            age <= JUST_NOW || age + LAME_GRACE < self.published_for
        };
        said.answer == Answer::NoMatch && ages.into_iter().any(later)
    }
}

/// Adds what resolvers said after the name servers all had the value: how long caches continue
/// without it, who is shown another zone, and whether the zone validates. Their silence changes
/// nothing.
pub fn advise(
    verdict: Verdict,
    answers: &[ResolverAnswer],
    served: Served,
    now: Timestamp,
) -> Verdict {
    let mut verdict = Verdict {
        cached_until: cached_until(answers, now),
        ..verdict
    };
    verdict.warnings.extend(warnings(answers));
    let missing = answers
        .iter()
        .filter(|said| said.answer == Answer::NoMatch && !served.is_denied_to(said));
    verdict.warnings.extend(missing.map(|said| {
        let until = now
            .saturating_add(SignedDuration::from_secs(said.ttl.unwrap_or(0).into()))
            .unwrap_or(now);
        format!("{}, from a cache until {}", words(said), moment(until))
    }));
    if let Some(denied) = answers.iter().find(|said| served.is_denied_to(said)) {
        verdict.go = false;
        verdict.cause = format!(
            "{}, but not the zone that the Internet sees: {}, not from an old cache; is this an internal view (split horizon)?",
            verdict.cause,
            words(denied)
        );
    }
    if let Some(bogus) = bogus(answers) {
        verdict.go = false;
        verdict.cause = format!(
            "{}, but validating resolvers refuse the zone's answers: {bogus}",
            verdict.cause
        );
        verdict.bogus = Some(bogus);
    }
    verdict
}

/// When the last of them will have forgotten the time before the value; at most a day.
pub fn cached_until(answers: &[ResolverAnswer], now: Timestamp) -> Option<Timestamp> {
    let left = answers
        .iter()
        .filter(|said| said.answer == Answer::NoMatch)
        .filter_map(|said| said.ttl)
        .max()?;
    now.saturating_add(SignedDuration::from_secs(left.into()).min(LONGEST_HORIZON))
        .ok()
}

fn bogus(answers: &[ResolverAnswer]) -> Option<String> {
    answers.iter().find_map(|said| {
        said.bogus
            .as_ref()
            .map(|why| format!("{}: {why}", said.resolver))
    })
}

fn words(said: &ResolverAnswer) -> String {
    format!("{}: {}", said.resolver, said.detail)
}

fn warnings(answers: &[ResolverAnswer]) -> Vec<String> {
    let no_answer =
        |said: &&ResolverAnswer| !matches!(said.answer, Answer::Match | Answer::NoMatch);
    answers
        .iter()
        .filter(no_answer)
        .map(|said| format!("resolver {}", words(said)))
        .collect()
}

fn servers(answers: &[ResolverAnswer]) -> Vec<ServerAnswer> {
    let asked = answers.iter().filter_map(|said| {
        let (name, detail) = (Some(said.resolver.clone()), said.detail.clone());
        Some(ServerAnswer {
            name,
            address: said.address?,
            answer: said.answer,
            detail,
        })
    });
    asked.collect()
}

#[cfg(test)]
mod tests {
    use Answer::{Lame, Match, NoMatch, Unreachable};

    use super::*;

    fn said(answers: &[(Answer, u32)]) -> Vec<ResolverAnswer> {
        let one = |(nth, &(answer, ttl)): (u8, &(Answer, u32))| ResolverAnswer {
            resolver: format!("r{nth}"),
            address: Some(([192, 0, 2, nth], 53).into()),
            answer,
            detail: "as asked".to_owned(),
            ttl: matches!(answer, Match | NoMatch).then_some(ttl),
            validated: false,
            bogus: (ttl == 666).then(|| "signature expired (EDE 7)".to_owned()),
        };
        (1..).zip(answers).map(one).collect()
    }

    #[test]
    fn all_that_answer_must_have_it_and_two_must_answer() {
        let (now, day) = (Timestamp::UNIX_EPOCH, 86_400);
        // Answers with their TTLs, age of the value in seconds; goes, is gone, cached for so long,
        // warnings.
        type Row = (
            &'static [(Answer, u32)],
            u64,
            bool,
            bool,
            Option<i64>,
            usize,
        );
        let table: &[Row] = &[
            (&[(Match, 60), (Match, 60)], 0, true, false, None, 0),
            (&[(Match, 60)], 0, true, false, None, 0),
            (&[(Match, 60), (Unreachable, 0)], 0, false, false, None, 1),
            (
                &[(Match, 60), (Match, 60), (Lame, 0)],
                0,
                true,
                false,
                None,
                1,
            ),
            (&[(Match, 60), (NoMatch, 30)], 0, false, false, Some(30), 0),
            (
                &[(NoMatch, 3600), (NoMatch, 30)],
                0,
                false,
                false,
                Some(3600),
                0,
            ),
            (
                &[(NoMatch, 3600), (NoMatch, 30)],
                day,
                false,
                true,
                Some(3600),
                0,
            ),
            (&[(NoMatch, u32::MAX)], 0, false, false, Some(86_400), 0),
            (
                &[(Match, 60), (Match, 60), (Lame, 666)],
                0,
                false,
                false,
                None,
                1,
            ),
            (&[(Unreachable, 0), (Lame, 0)], day, false, false, None, 2),
            (&[], day, false, false, None, 0),
        ];
        for &(answers, age, go, gone, cached, warnings) in table {
            let verdict = weigh(&said(answers), Duration::from_secs(age), now);
            let until = verdict.cached_until.map(Timestamp::as_second);
            let shown = (verdict.go, verdict.gone, until, verdict.warnings.len());
            assert_eq!(
                shown,
                (go, gone, cached, warnings),
                "{answers:?}: {verdict:?}"
            );
            assert_eq!(
                (verdict.mode, verdict.servers.len()),
                (GateMode::Resolvers, answers.len()),
                "{verdict:?}"
            );
            assert_eq!(
                verdict.bogus.is_some(),
                answers.iter().any(|(_, ttl)| *ttl == 666),
                "{verdict:?}"
            );
        }
        let waits = weigh(&said(&[(Match, 60), (NoMatch, 30)]), Duration::ZERO, now).cause;
        assert!(
            waits.contains("r2: as asked; it may come from a cache until 1970-01-01 00:01 UTC"),
            "{waits}"
        );
    }

    #[test]
    fn advice_after_the_rule_adds_the_caches_and_stops_for_a_bogus_zone() {
        let rule = || {
            Verdict::new(
                GateMode::Authoritative,
                true,
                "2 of 2 name servers have the value".to_owned(),
            )
        };
        let served = Served {
            ttls: [Some(300), None],
            published_for: Duration::ZERO,
        };
        let cached = advise(
            rule(),
            &said(&[(Match, 9), (NoMatch, 90), (Unreachable, 0)]),
            served,
            Timestamp::UNIX_EPOCH,
        );
        assert!(
            cached.go && cached.cached_until.is_some() && cached.warnings.len() == 2,
            "{cached:?}"
        );
        let bogus = advise(
            rule(),
            &said(&[(Match, 9), (Lame, 666)]),
            served,
            Timestamp::UNIX_EPOCH,
        );
        assert!(
            !bogus.go && bogus.bogus.as_deref() == Some("r2: signature expired (EDE 7)"),
            "{bogus:?}"
        );
        assert_eq!(bogus.mode, GateMode::Authoritative);
    }

    #[test]
    fn a_resolver_that_asked_after_the_write_and_has_not_the_value_sees_another_zone() {
        // The whole TTL, what is left of it, how long the value has been there; goes.
        let table = [
            (Some(300), 300, 0, false),
            (Some(300), 200, 0, true),
            (Some(300), 200, 600, true),
            (Some(300), 200, 86_400, false),
            (Some(300), 400, 86_400, true),
            (None, 200, 86_400, true),
        ];
        for (ttl, left, age, go) in table {
            let served = Served {
                ttls: [ttl, None],
                published_for: Duration::from_secs(age),
            };
            let rule = Verdict::new(GateMode::Authoritative, true, "all have it".to_owned());
            let verdict = advise(
                rule,
                &said(&[(Match, 9), (NoMatch, left)]),
                served,
                Timestamp::UNIX_EPOCH,
            );
            assert_eq!(verdict.go, go, "{ttl:?} {left} {age}: {verdict:?}");
        }
    }

    #[test]
    fn a_second_answer_without_the_value_takes_the_first_back() {
        let weighed = |answers| weigh(&said(answers), Duration::ZERO, Timestamp::UNIX_EPOCH);
        let first = || weighed(&[(Match, 60), (Match, 60)]);
        assert!(compare(first(), weighed(&[(Match, 59), (Unreachable, 0)])).go);
        let changed = compare(first(), weighed(&[(Match, 59), (NoMatch, 10)]));
        assert!(
            !changed.go && changed.cause.starts_with("asked again, 1 of 2"),
            "{changed:?}"
        );
    }
}
