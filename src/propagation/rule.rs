//! The rule, pure: what was answered goes in, whether the CA may be asked comes out.
//!
//! **Stale is fatal, dead is tolerable.** One authoritative "not there" blocks, because the CA may
//! ask just that server. A dead or lame server does not: the CA's resolver continues to the next
//! one, as ours did, and a zone with one broken secondary must not wait for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::dnssec::{Fault, Trust};
use super::{Answer, GateMode, InSync, ServerAnswer, Verdict};

/// How long a server that answers, but not for the zone, keeps a lone matching one from being
/// enough. A secondary that reloads says SERVFAIL for seconds; one that was never configured says
/// REFUSED for years.
pub const LAME_GRACE: Duration = Duration::from_secs(600);

/// No cache horizon lies further away: resolvers cap what they keep at a day (BIND, unbound:
/// `cache-max-ttl` 86400).
pub const LONGEST_HORIZON: SignedDuration = SignedDuration::from_hours(24);

/// What to do where name servers cannot be asked.
pub(super) const OTHER_WAY: &str = "set propagation.mode = \"resolvers\" and propagation.resolvers to two that are asked over \
    TLS or HTTPS, such as \"tls://9.9.9.9#dns.quad9.net\" and \"https://dns.google/dns-query\"";

/// The slowest poll, unless a slower one is configured.
const SLOWEST_POLL: Duration = Duration::from_secs(300);

/// Judges the answers of one check in mode `authoritative` (rules 3, 4).
///
/// It goes when no address says [`Answer::NoMatch`] or is [`Answer::CutOff`] and two name servers
/// match. One is enough when only one answers, and, `LAME_GRACE` after the write, when all others
/// that answer are lame. [`Answer::NotChecked`] counts neither way. Answers without a name are name
/// servers of their own. `warnings` are those of the delegation; more are added.
pub fn weigh(
    servers: Vec<ServerAnswer>,
    mut warnings: Vec<String>,
    published_for: Duration,
) -> Verdict {
    let count = |wanted: Answer| {
        servers
            .iter()
            .filter(|server| server.answer == wanted)
            .count()
    };
    let mut by_name: BTreeMap<String, Vec<&ServerAnswer>> = BTreeMap::new();
    for server in &servers {
        by_name.entry(server.label()).or_default().push(server);
    }
    let having = |wanted: &[Answer]| {
        by_name
            .values()
            .filter(|all| all.iter().any(|s| wanted.contains(&s.answer)))
            .count()
    };

    let (listed, stale, cut_off) = (by_name.len(), count(Answer::NoMatch), count(Answer::CutOff));
    let matching = having(&[Answer::Match]);
    let answering = having(&[Answer::Match, Answer::NoMatch, Answer::Lame]);
    let needed = if published_for >= LAME_GRACE {
        1
    } else {
        answering.clamp(1, 2)
    };

    warnings.extend(doubts(&servers, &by_name));
    let addresses = servers.len();
    let cause = if stale > 0 && matching == 0 {
        format!(
            "no name server has the value: {}",
            first_of(&servers, Answer::NoMatch)
        )
    } else if stale > 0 {
        format!(
            "{stale} of {addresses} addresses do not have the value yet: {}",
            first_of(&servers, Answer::NoMatch)
        )
    } else if cut_off > 0 {
        format!(
            "{cut_off} of {addresses} addresses cannot give their answer, and resolvers that ask them wait in vain: {}",
            first_of(&servers, Answer::CutOff)
        )
    } else if matching >= needed {
        let seen = count(Answer::Match);
        format!(
            "{matching} of {listed} name servers have the value ({seen} of {addresses} addresses say so themselves)"
        )
    } else if matching > 0 {
        format!(
            "one name server has the value, and every other that answers does not answer for the zone ({}); \
             one alone is enough {} minutes after the value was written",
            first_of(&servers, Answer::Lame),
            LAME_GRACE.as_secs() / 60
        )
    } else if count(Answer::Lame) > 0 {
        format!(
            "no name server answers for the zone: {}",
            first_of(&servers, Answer::Lame)
        )
    } else if addresses == 0 {
        "no name server has an address".to_owned()
    } else {
        format!(
            "none of {addresses} addresses of {listed} name servers could be reached: {}; if this network lets no DNS \
             out, {OTHER_WAY}",
            servers
                .first()
                .map_or_else(String::new, |server| format!("{server}: {}", server.detail))
        )
    };
    let go = stale == 0 && cut_off == 0 && matching >= needed;
    let gone = stale > 0 && cut_off == 0 && matching == 0;
    Verdict {
        gone,
        warnings,
        servers,
        ..Verdict::new(GateMode::Authoritative, go, cause)
    }
}

/// Servers that gave no answer that counts, and those that were not asked.
fn doubts(servers: &[ServerAnswer], by_name: &BTreeMap<String, Vec<&ServerAnswer>>) -> Vec<String> {
    let mut warnings = Vec::new();
    for server in servers {
        match server.answer {
            Answer::Lame => warnings.push(format!(
                "{server} does not answer for the zone: {}",
                server.detail
            )),
            Answer::Unreachable => {
                warnings.push(format!("{server} gave no answer: {}", server.detail))
            }
            Answer::Match | Answer::NoMatch | Answer::CutOff | Answer::NotChecked => {}
        }
    }
    for (name, all) in by_name {
        // Its other addresses speak for a server that has some; one that was not asked at all may
        // be stale.
        if let (true, Some(one)) = (
            all.iter().all(|server| server.answer == Answer::NotChecked),
            all.first(),
        ) {
            warnings.push(format!(
                "{name} was not asked, and the CA may ask it: {}",
                one.detail
            ));
        }
    }
    warnings
}

/// Compares a second round with a first round that passed. All servers were asked again. An address
/// of many machines (anycast) may answer from one that is stale. One that is stale or cut off is
/// enough to stay, and one server must still have the value.
pub fn compare(first: Verdict, second: Vec<ServerAnswer>) -> Verdict {
    let any = |wanted| second.iter().any(|server| server.answer == wanted);
    let cause = if any(Answer::NoMatch) {
        format!(
            "anycast: asked again, {}; there are several servers behind such an address, and not all have the value yet",
            first_of(&second, Answer::NoMatch)
        )
    } else if any(Answer::CutOff) {
        format!("asked again, {}", first_of(&second, Answer::CutOff))
    } else if !any(Answer::Match) {
        let said = second.first().map_or_else(String::new, |server| {
            format!(": {server}: {}", server.detail)
        });
        format!("asked again, no name server gave an answer that counts{said}")
    } else {
        return first;
    };
    Verdict {
        go: false,
        cause,
        servers: second,
        ..first
    }
}

/// What validating resolvers make of the answers, each with what they would not accept of it.
///
/// They pass over an answer that does not validate and ask the next server, so such an answer
/// counts as [`Answer::Lame`], with its fault. When that leaves no answer with the value although
/// some had it, or no answer at all, the zone is bogus and the fault is returned; so it is when its
/// chain of trust is broken, and then the answers stay as they are, because they are all the same
/// to a resolver.
pub fn validate(
    servers: Vec<(ServerAnswer, Option<Fault>)>,
    trust: &Trust,
) -> (Vec<ServerAnswer>, Option<Fault>) {
    let authoritative =
        |server: &ServerAnswer| matches!(server.answer, Answer::Match | Answer::NoMatch);
    if let Trust::Bogus(fault) = trust {
        let servers: Vec<_> = servers.into_iter().map(|(server, _)| server).collect();
        // Servers that do not answer at all break more than the chain: that is reported first.
        let bogus = servers.iter().any(authoritative).then(|| fault.clone());
        return (servers, bogus);
    }
    let (mut refused_match, mut refused) = (None, None);
    let judge = |(mut server, fault): (ServerAnswer, Option<Fault>)| {
        if let Some(fault) = fault.filter(|_| authoritative(&server)) {
            server.detail = fault.to_string();
            let refused = if server.answer == Answer::Match {
                &mut refused_match
            } else {
                &mut refused
            };
            refused.get_or_insert(fault);
            server.answer = Answer::Lame;
        }
        server
    };
    let servers: Vec<_> = servers.into_iter().map(judge).collect();
    let bogus = if servers.iter().any(|server| server.answer == Answer::Match) {
        None
    } else if servers.iter().any(authoritative) {
        refused_match
    } else {
        refused_match.or(refused)
    };
    (servers, bogus)
}

/// The same check, of a zone whose answers validating resolvers refuse: that comes before
/// everything else.
pub fn refuse(verdict: Verdict, fault: &Fault) -> Verdict {
    let fault = fault.to_string();
    let cause = format!("validating resolvers, as the CA's, refuse the answers: {fault}");
    Verdict {
        go: false,
        bogus: Some(fault),
        cause,
        ..verdict
    }
}

/// Judges by the time since the write alone, in mode `delay` (rule 8). Its verdict says that it is
/// no evidence.
pub fn wait_out(delay: Duration, published_for: Duration, now: Timestamp) -> Verdict {
    if let Some(moment) = left_until(delay, published_for, now) {
        let cause = format!(
            "waits until {moment}, {} s after the value was written, and asks no server",
            delay.as_secs()
        );
        return Verdict::new(GateMode::Delay, false, cause);
    }
    let cause = format!(
        "{} s have passed since the value was written; no name server was asked, so this is no evidence",
        delay.as_secs()
    );
    Verdict::new(GateMode::Delay, true, cause)
}

/// Judges by the provider's answer about its own name servers and by a delay after the write: mode
/// `provider` (rule 8).
///
/// Where it cannot be asked about the change, time alone counts, as in mode `delay`: no domain
/// waits for ever.
pub fn trust_provider(
    in_sync: InSync,
    delay: Duration,
    published_for: Duration,
    now: Timestamp,
) -> Verdict {
    let unnamed =
        "the answer to the write was lost, so the provider cannot be asked about that change";
    let delay = if in_sync == InSync::Unnamed {
        delay.max(GateMode::Delay.default_delay())
    } else {
        delay
    };
    let (go, cause) = match (in_sync, left_until(delay, published_for, now)) {
        (InSync::Unnamed, Some(moment)) => (false, format!("{unnamed}; waits until {moment}")),
        (InSync::Unnamed, None) => {
            (true, format!("{unnamed}; {} s have passed since then, which is no evidence", delay.as_secs()))
        }
        (InSync::Untold, _) => (
            false,
            "this provider cannot tell whether its name servers have the value; set propagation.mode = \"authoritative\" \
             (or \"resolvers\", or \"delay\") for this zone in [propagation.zone.\"…\"]"
                .to_owned(),
        ),
        (InSync::No, _) => (false, "the provider says that not all of its name servers have the value yet".to_owned()),
        (InSync::Yes, Some(moment)) => (
            false,
            format!("the provider says that its name servers have the value; waits until {moment} to be on the safe side"),
        ),
        (InSync::Yes, None) => {
            (true, "the provider says that its name servers have the value; no name server was asked".to_owned())
        }
    };
    Verdict::new(GateMode::Provider, go, cause)
}

/// When a delay after the write ends, while it has not: in words, to the minute, so that they stay
/// the same from check to check.
pub(super) fn left_until(
    delay: Duration,
    published_for: Duration,
    now: Timestamp,
) -> Option<String> {
    let left = delay
        .checked_sub(published_for)
        .filter(|left| !left.is_zero())?;
    Some(moment(now.saturating_add(left).unwrap_or(Timestamp::MAX)))
}

/// A moment that a person waits for: never shown earlier than it is.
pub(super) fn moment(at: Timestamp) -> String {
    at.saturating_add(SignedDuration::from_secs(59))
        .unwrap_or(Timestamp::MAX)
        .strftime("%Y-%m-%d %H:%M UTC")
        .to_string()
}

/// How long to wait before the next check (rule 7): `poll` for the first minute's checks, six times
/// that for the next ten, then thirty times. With the default `poll` of 10 s that is 10 s, 60 s, 5
/// min. Never slower than 5 min or `poll`.
pub fn polling_interval(poll: Duration, checks: u32) -> Duration {
    let factor = match checks {
        0..6 => 1,
        6..16 => 6,
        16.. => 30,
    };
    poll.saturating_mul(factor).min(SLOWEST_POLL.max(poll))
}

/// When no resolver can remember the time before the value any more (rule 6): the gate's passing
/// plus the longer of the replaced RRset's TTL and the negative TTL, at most 24 h. Both TTLs in
/// seconds, as they were before the write.
///
/// `negative_ttl` is the smaller of the SOA's own TTL and its MINIMUM field (RFC 2308, section 5).
pub fn horizon(
    gate_passed_at: Timestamp,
    old_txt_ttl: Option<u32>,
    negative_ttl: u32,
) -> Timestamp {
    let remembered =
        SignedDuration::from_secs(i64::from(old_txt_ttl.unwrap_or(0).max(negative_ttl)));
    gate_passed_at
        .saturating_add(remembered.min(LONGEST_HORIZON))
        .unwrap_or(Timestamp::MAX)
}

fn first_of(servers: &[ServerAnswer], wanted: Answer) -> String {
    let mut found = servers.iter().filter(|server| server.answer == wanted);
    let first = found
        .next()
        .map_or_else(String::new, |server| format!("{server}: {}", server.detail));
    match found.count() {
        0 => first,
        more => format!("{first}, and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use Answer::{CutOff, Lame, Match, NoMatch, NotChecked, Unreachable};

    use super::*;

    /// `("a", Match)` is one address of the name server `a`; no name is `""`.
    fn check(answers: &[(&str, Answer)], published_for: u64) -> Verdict {
        let servers = answers
            .iter()
            .enumerate()
            .map(|(nth, &(name, answer))| ServerAnswer {
                name: (!name.is_empty()).then(|| name.to_owned()),
                address: ([192, 0, 2, u8::try_from(nth).unwrap_or(0)], 53).into(),
                answer,
                detail: "as asked".to_owned(),
            })
            .collect();
        weigh(servers, Vec::new(), Duration::from_secs(published_for))
    }

    #[test]
    fn stale_is_fatal_and_dead_is_tolerable() {
        // (answers, seconds since the write, go, gone, warnings)
        type Row = (&'static [(&'static str, Answer)], u64, bool, bool, usize);
        let table: &[Row] = &[
            (&[("a", Match), ("b", Match)], 0, true, false, 0),
            (
                &[("a", Match), ("b", Match), ("c", NoMatch)],
                0,
                false,
                false,
                0,
            ),
            (
                &[("a", Match), ("b", Match), ("b", NoMatch)],
                0,
                false,
                false,
                0,
            ),
            (
                &[("a", Match), ("b", Match), ("c", NoMatch)],
                999_999,
                false,
                false,
                0,
            ),
            (
                &[("a", Match), ("b", Match), ("c", Unreachable), ("d", Lame)],
                0,
                true,
                false,
                2,
            ),
            (&[("a", Match), ("b", Unreachable)], 0, true, false, 1),
            (
                &[("a", Match), ("b", Match), ("c", CutOff)],
                999_999,
                false,
                false,
                0,
            ),
            (&[("a", NoMatch), ("b", CutOff)], 0, false, false, 0),
            (&[("a", Match), ("a", Match)], 0, true, false, 0),
            (&[("a", Match)], 0, true, false, 0),
            (&[("a", Match), ("b", NotChecked)], 0, true, false, 1),
            (&[("a", Match), ("a", NotChecked)], 0, true, false, 0),
            (&[("a", NotChecked), ("b", NotChecked)], 0, false, false, 2),
            (
                &[("a", NoMatch), ("b", NotChecked), ("c", Unreachable)],
                0,
                false,
                true,
                2,
            ),
            (&[("a", NoMatch), ("b", NoMatch)], 0, false, true, 0),
            (&[("a", NoMatch), ("b", Lame)], 0, false, true, 1),
            (&[("a", Lame), ("b", Lame)], 999_999, false, false, 2),
            (&[("a", Unreachable)], 999_999, false, false, 1),
            (&[("", Match), ("", Match)], 0, true, false, 0),
            (&[("", Match), ("", NoMatch)], 0, false, false, 0),
            (&[], 999_999, false, false, 0),
        ];
        for &(answers, published_for, go, gone, warnings) in table {
            let verdict = check(answers, published_for);
            assert_eq!(
                (verdict.go, verdict.gone, verdict.warnings.len()),
                (go, gone, warnings),
                "{answers:?}: {verdict:?}"
            );
            assert!(!verdict.cause.is_empty());
        }
    }

    #[test]
    fn a_lone_match_beside_a_lame_server_waits_out_the_grace_and_not_longer() {
        let answers = [("a", Match), ("b", Lame)];
        assert!(!check(&answers, LAME_GRACE.as_secs() - 1).go);
        assert!(check(&answers, LAME_GRACE.as_secs()).go);
        assert!(
            check(&[("a", Match), ("a", Lame)], 0).go,
            "one server of two addresses, one of them lame, is one server"
        );
    }

    #[test]
    fn the_cause_names_the_stale_server_and_a_blocked_network() {
        let stale = check(&[("a", Match), ("ns2.example.ch", NoMatch)], 0).cause;
        assert!(stale.contains("ns2.example.ch (192.0.2.1:53)"), "{stale}");
        let silent = check(&[("a", Unreachable)], 0).cause;
        assert!(
            silent.contains("propagation.mode = \"resolvers\"") && silent.contains("tls://"),
            "{silent}"
        );
    }

    #[test]
    fn a_delay_is_no_evidence_and_says_so_and_until_when_it_waits() {
        let (delay, now) = (Duration::from_secs(600), Timestamp::UNIX_EPOCH);
        let waits = wait_out(delay, Duration::from_secs(599), now);
        assert!(
            !waits.go && waits.cause.contains("until 1970-01-01 00:01 UTC"),
            "{waits:?}"
        );
        let verdict = wait_out(delay, delay, now);
        assert!(
            verdict.go && verdict.mode == GateMode::Delay && verdict.cause.contains("no evidence"),
            "{verdict:?}"
        );
    }

    #[test]
    fn a_provider_is_believed_when_it_can_tell_and_after_a_delay() {
        let table = [
            (InSync::Untold, 999, false, "cannot tell"),
            (InSync::No, 999, false, "not all of its name servers"),
            (InSync::Yes, 0, false, "until 1970-01-01 00:01 UTC"),
            (InSync::Yes, 60, true, "no name server was asked"),
            (
                InSync::Unnamed,
                599,
                false,
                "lost, so the provider cannot be asked",
            ),
            (InSync::Unnamed, 600, true, "no evidence"),
        ];
        for (in_sync, age, go, words) in table {
            let verdict = trust_provider(
                in_sync,
                Duration::from_secs(60),
                Duration::from_secs(age),
                Timestamp::UNIX_EPOCH,
            );
            assert_eq!(
                (verdict.mode, verdict.go, verdict.gone),
                (GateMode::Provider, go, false),
                "{verdict:?}"
            );
            assert!(verdict.cause.contains(words), "{verdict:?}");
        }
    }

    #[test]
    fn one_that_lacks_the_value_in_the_second_round_keeps_the_gate_shut() {
        let first = || check(&[("a", Match), ("b", Match), ("c", Unreachable)], 0);
        assert!(first().go);
        for (second, go) in [
            ([("a", Match), ("b", Match), ("c", Match)], true),
            ([("a", Match), ("b", Unreachable), ("c", Unreachable)], true),
            ([("a", Match), ("b", Lame), ("c", Lame)], true),
            ([("a", Lame), ("b", Unreachable), ("c", Unreachable)], false),
            ([("a", Match), ("b", NoMatch), ("c", Unreachable)], false),
            ([("a", Match), ("b", Match), ("c", CutOff)], false),
            ([("a", NoMatch), ("b", NoMatch), ("c", NoMatch)], false),
        ] {
            let verdict = compare(first(), check(&second, 0).servers);
            assert_eq!(
                (verdict.go, verdict.gone),
                (go, false),
                "{second:?}: {verdict:?}"
            );
            let anycast = second.iter().any(|(_, answer)| *answer == NoMatch);
            assert_eq!(
                verdict.cause.contains("anycast: asked again, "),
                anycast,
                "{verdict:?}"
            );
            assert_eq!(verdict.cause.contains("asked again, "), !go, "{verdict:?}");
        }
    }

    #[test]
    fn polls_slow_down_from_ten_seconds_to_five_minutes() {
        let default = Duration::from_secs(10);
        let seconds: Vec<u64> = [0, 5, 6, 15, 16, u32::MAX]
            .into_iter()
            .map(|checks| polling_interval(default, checks).as_secs())
            .collect();
        assert_eq!(seconds, [10, 10, 60, 60, 300, 300]);
        assert_eq!(
            polling_interval(Duration::from_secs(900), 99),
            Duration::from_secs(900)
        );
        assert_eq!(
            polling_interval(Duration::from_secs(60), 6),
            Duration::from_secs(300)
        );
    }

    #[test]
    fn the_horizon_is_the_longest_memory_but_at_most_a_day() {
        let gate = Timestamp::UNIX_EPOCH;
        let after = |old, negative| horizon(gate, old, negative).as_second();
        assert_eq!(after(Some(3600), 300), 3600);
        assert_eq!(after(Some(60), 300), 300);
        assert_eq!(after(None, 0), 0);
        assert_eq!(after(Some(604_800), 300), 86_400);
        assert_eq!(after(None, u32::MAX), 86_400);
        assert_eq!(horizon(Timestamp::MAX, Some(1), 1), Timestamp::MAX);
    }
}
