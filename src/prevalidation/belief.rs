//! Which stored moments can be true. A clock that was wrong for a moment leaves times in the store
//! that are later than the rules allow. They are not believed, wherever they are, so that nothing
//! waits for a day that a wrong clock has made up.

use jiff::{SignedDuration, Timestamp};

use super::ledger::LedgerEntry;
use super::observed::{Observed, Sighting};
use super::registration::{Registration, Status};
use super::upkeep::Upkeep;

/// So far ahead may a moment of the past be: the clocks of several machines differ a little.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// No pause before the next try of anything is longer.
const PAUSE: SignedDuration = SignedDuration::from_hours(25);
/// No resolver remembers anything for longer (RFC 8767, section 4, names a week as the most).
const MEMORY: SignedDuration = SignedDuration::from_hours(24 * 8);

impl Observed {
    /// Without the moments that cannot be true at `now`. A moment of the past counts as `now`, or as
    /// unknown where that is the careful reading; a wait ends at once.
    pub fn believed(mut self, now: Timestamp) -> Self {
        if let Sighting::Present(found) | Sighting::Missing(found) = &mut self.sighting {
            believe_sighting(found, self.read_at, now);
        }
        self.read_at = self.read_at.filter(|&at| !is_ahead(at, now, SKEW));
        believe(&mut self.upkeep, now);
        self.ledger
            .iter_mut()
            .for_each(|entry| believe_entry(entry, now));
        self
    }
}

/// A reading compares the end of a proof with the clock. A process whose clock was past an end in
/// the future stored "expired", although the CA did not.
fn believe_sighting(found: &mut Registration, read_at: Option<Timestamp>, now: Timestamp) {
    let Some(proof) = &mut found.proof else {
        return;
    };
    clamp(&mut proof.first_seen, now, SKEW);
    let read_at = read_at.filter(|&at| is_ahead(at, now, SKEW));
    let is_passed_by =
        |read: Timestamp| proof.expires_at.is_some_and(|end| now < end && end <= read);
    if found.status == Status::Expired && read_at.is_some_and(is_passed_by) {
        (found.status, found.doubt) = (Status::Valid, None);
    }
}

fn believe(upkeep: &mut Upkeep, now: Timestamp) {
    upkeep.past.false_lapse = upkeep.past.lapsed_at.filter(|&at| is_ahead(at, now, SKEW));
    let proofs = [&mut upkeep.past.last_proof, &mut upkeep.attempt.renews];
    for proof in proofs.into_iter().flatten() {
        clamp(&mut proof.first_seen, now, SKEW);
    }
    for past in [
        &mut upkeep.attempt.since,
        &mut upkeep.wait.since,
        &mut upkeep.attempt.submission.submitted_at,
        &mut upkeep.attempt.visibility.visible_at,
        &mut upkeep.withdrawn_at,
        &mut upkeep.past.proved_at,
    ] {
        clamp(past, now, SKEW);
    }
    // These prove something only while they are young; a lapse that is still to come has not been
    // noted.
    for proof in [
        &mut upkeep.past.lapsed_at,
        &mut upkeep.attempt.visibility.seen_at,
        &mut upkeep.preflight_at,
        &mut upkeep.wake.taken_up_at,
    ] {
        *proof = proof.filter(|&at| !is_ahead(at, now, SKEW));
    }
    for effect in &mut upkeep.calls.made {
        if is_ahead(*effect, now, SKEW) {
            *effect = now;
        }
    }
    clamp(&mut upkeep.setback.not_before, now, PAUSE);
    clamp(&mut upkeep.attempt.submission.next_read_at, now, PAUSE);
    clamp(&mut upkeep.attempt.visibility.horizon_at, now, MEMORY);
    clamp(&mut upkeep.attempt.visibility.cached_until, now, MEMORY);
    if let Some(hold) = &mut upkeep.setback.hold {
        if is_ahead(hold.since, now, SKEW) {
            hold.since = now;
        }
        if is_ahead(hold.again_at, now, PAUSE) {
            hold.again_at = now;
        }
    }
}

fn believe_entry(entry: &mut LedgerEntry, now: Timestamp) {
    clamp(&mut entry.published_at, now, SKEW);
    clamp(&mut entry.retry_at, now, PAUSE);
}

fn clamp(moment: &mut Option<Timestamp>, now: Timestamp, most: SignedDuration) {
    if moment.is_some_and(|at| is_ahead(at, now, most)) {
        *moment = Some(now);
    }
}

fn is_ahead(at: Timestamp, now: Timestamp, most: SignedDuration) -> bool {
    at.duration_since(now) > most
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::prevalidation::upkeep::{
        Attempt, Calls, Past, Setback, Submission, Visibility, Wait, Wake,
    };
    use crate::prevalidation::{DomainName, Hold, LedgerState, Proof, RecordType, ReuseTable};

    fn upkeep(at: Timestamp) -> Upkeep {
        let some = Some(at);
        Upkeep {
            attempt: Attempt {
                since: some,
                visibility: Visibility {
                    visible_at: some,
                    seen_at: some,
                    horizon_at: some,
                    cached_until: some,
                    ..Visibility::default()
                },
                submission: Submission {
                    submitted_at: some,
                    next_read_at: some,
                    ..Submission::default()
                },
                ..Attempt::default()
            },
            wait: Wait {
                since: some,
                ..Wait::default()
            },
            withdrawn_at: some,
            preflight_at: some,
            setback: Setback {
                not_before: some,
                hold: Some(Hold {
                    since: at,
                    reason: String::new(),
                    again_at: at,
                }),
                ..Setback::default()
            },
            wake: Wake {
                taken_up_at: some,
                ..Wake::default()
            },
            past: Past {
                proved_at: some,
                lapsed_at: some,
                ..Past::default()
            },
            calls: Calls {
                made: vec![at, at],
                ..Calls::default()
            },
            ..Upkeep::default()
        }
    }

    fn observed(at: Timestamp) -> Observed {
        let some = Some(at);
        let entry = LedgerEntry {
            id: 1,
            key: DomainName::from_a_labels("a.ch").unwrap().into(),
            owner: "a.ch".to_owned(),
            kind: RecordType::Txt,
            value: "v".to_owned(),
            provider: "p".to_owned(),
            zone: None,
            state: LedgerState::Removing,
            ttl_before: None,
            negative_ttl: None,
            created_at: at,
            published_at: some,
            removal_tries: 1,
            retry_at: some,
        };
        Observed {
            domain: DomainName::from_a_labels("a.ch").unwrap(),
            desired: true,
            covered_by: None,
            has_provider: true,
            sighting: Sighting::Unread,
            read_at: some,
            upkeep: upkeep(at),
            ledger: vec![entry],
        }
    }

    /// All moments but `created_at`, which nothing is decided by.
    fn moments(observed: &Observed) -> Vec<Timestamp> {
        let text = serde_json::to_value(observed).unwrap();
        let mut found = Vec::new();
        collect(&text, &mut found);
        found
    }

    fn collect(value: &serde_json::Value, found: &mut Vec<Timestamp>) {
        match value {
            serde_json::Value::String(text) => found.extend(text.parse::<Timestamp>().ok()),
            serde_json::Value::Array(all) => all.iter().for_each(|one| collect(one, found)),
            serde_json::Value::Object(all) => all
                .iter()
                .filter(|(key, _)| *key != "created_at")
                .for_each(|(_, one)| collect(one, found)),
            _ => {}
        }
    }

    #[test]
    fn no_moment_that_a_wrong_clock_has_left_is_believed_and_none_that_can_be_true_is_touched() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        for days in [9, 400, 30_000] {
            let seen = observed(now + SignedDuration::from_hours(24 * days)).believed(now);
            assert!(
                moments(&seen).iter().all(|&at| at <= now),
                "{days}: {seen:?}"
            );
        }
        for seconds in [-86_400 * 500, -1, 0, 240] {
            let right = observed(now + SignedDuration::from_secs(seconds));
            assert_eq!(right.clone().believed(now), right, "{seconds} s");
        }
    }

    #[test]
    fn a_lapse_that_a_clock_noted_which_was_ahead_is_known_to_be_none() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let noted = now + SignedDuration::from_hours(24 * 400);
        let seen = observed(noted).believed(now).upkeep;
        assert_eq!(
            (seen.past.lapsed_at, seen.past.false_lapse),
            (None, Some(noted))
        );
        let right = now - SignedDuration::from_mins(1);
        let seen = observed(right).believed(now).upkeep;
        assert_eq!(
            (seen.past.lapsed_at, seen.past.false_lapse),
            (Some(right), None)
        );
    }

    #[test]
    fn a_reading_by_a_clock_that_had_passed_the_end_makes_no_proof_expired() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let day = |days: i64| now + SignedDuration::from_hours(24 * days);
        let counts = |status: Status, ends: i64, read: i64| {
            let mut seen = observed(now);
            let name = seen.domain.clone();
            seen.read_at = Some(day(read));
            seen.sighting = Sighting::Present(Registration {
                proof: Some(Box::new(Proof {
                    validated_at: Some(day(-10)),
                    expires_at: Some(day(ends)),
                    ..Proof::default()
                })),
                ..Registration::bare("cld-1", name, status)
            });
            let seen = seen.believed(now);
            seen.usable_until(&ReuseTable::default(), now).is_some()
        };
        assert!(counts(Status::Expired, 100, 400), "the clock said it");
        assert!(!counts(Status::Expired, 100, 50), "the CA said it");
        assert!(!counts(Status::Expired, 100, -1), "the CA said it");
        assert!(
            !counts(Status::Expired, -2, 400),
            "it is over by every clock"
        );
        assert!(
            !counts(Status::Pending, 100, 400),
            "the CA shows no proof that counts"
        );
    }
}
