//! What an organisation decided: how early to renew, how much to risk, how often to ask. Defaults
//! are the product's own advice.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::ledger::RecordForm;
use super::name::DomainName;
use super::proof::Proof;
use super::reuse::{ReuseTable, after, before, days_long};

/// Whether anything may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Registers, publishes, validates, cleans up.
    Manage,
    /// Reads and reports; nothing is written anywhere but in the store.
    Observe,
}

/// Everything a decision depends on besides what was observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Whether anything may be written.
    pub mode: Mode,
    /// The longest lead of a renewal; a third of the reuse limit when that is shorter.
    pub renew_before: SignedDuration,
    /// How many domains of a client may be without a finished renewal at a time.
    pub max_at_risk: u32,
    /// Whether a name below a registered or desired one is skipped.
    pub cover: bool,
    /// How long proofs count.
    pub reuse: ReuseTable,
    /// Whether beginning a validation keeps the proof that counts: a contract of the kind of CA, or
    /// `None` where only observation can tell.
    #[serde(default)]
    pub start_keeps_proof: Option<bool>,
    /// Whether the CA checks DNS by itself once a validation was submitted.
    #[serde(default)]
    pub checks_by_itself: bool,
    /// Whether a TXT value below the domain may be where an alias of its name leads.
    #[serde(default = "yes")]
    pub follow_aliases: bool,
    /// The record by which the CA validates.
    #[serde(default)]
    pub record: RecordForm,
    /// The same for CAs where something differs, by their names.
    #[serde(default)]
    pub of_ca: BTreeMap<String, Policy>,
    /// How long after the gate the CA is first asked to check.
    pub settle: SignedDuration,
    /// The first interval between two checks of the name servers; it grows to five minutes.
    pub poll: SignedDuration,
    /// A token with no more than this left is replaced; it lives 30 days.
    pub reset_token_before: SignedDuration,
    /// CA effects (register, validate, reset) per domain in an hour and in a day (faults C14).
    pub effects_per_domain: (usize, usize),
    /// Repeated CA effects over all domains in an hour; first tries are not counted, they are the
    /// work itself.
    pub retries_per_hour: u64,
    /// Below this much left, `check` warns; a fifth of the proof's life when that is shorter.
    pub warning: SignedDuration,
    /// Below this much left, a domain is without margin; a tenth of the proof's life when that is
    /// shorter.
    pub critical: SignedDuration,
}

/// The part that depends on the CA: the constants of its kind, and its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// See [`Policy::reuse`].
    pub reuse: ReuseTable,
    /// See [`Policy::start_keeps_proof`].
    pub start_keeps_proof: Option<bool>,
    /// See [`Policy::checks_by_itself`].
    pub checks_by_itself: bool,
    /// See [`Policy::follow_aliases`].
    pub follow_aliases: bool,
    /// See [`Policy::record`].
    pub record: RecordForm,
}

fn yes() -> bool {
    true
}

impl Policy {
    /// The policy for the domains at one CA.
    #[must_use]
    pub fn of(&self, ca: &str) -> &Self {
        self.of_ca.get(ca).unwrap_or(self)
    }

    /// What depends on the CA, of those that are not named.
    pub fn terms(&self) -> Terms {
        Terms {
            reuse: self.reuse.clone(),
            start_keeps_proof: self.start_keeps_proof,
            checks_by_itself: self.checks_by_itself,
            follow_aliases: self.follow_aliases,
            record: self.record.clone(),
        }
    }

    /// Sets what depends on the CA, for the domains at one of them.
    pub fn differ(&mut self, ca: &str, terms: Terms) {
        let own = Self {
            reuse: terms.reuse,
            start_keeps_proof: terms.start_keeps_proof,
            checks_by_itself: terms.checks_by_itself,
            follow_aliases: terms.follow_aliases,
            record: terms.record,
            of_ca: BTreeMap::new(),
            ..self.clone()
        };
        self.of_ca.insert(ca.to_owned(), own);
    }

    /// The same in another mode.
    #[must_use]
    pub fn in_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        for own in self.of_ca.values_mut() {
            own.mode = mode;
        }
        self
    }

    /// The policy with this mode and the default of everything else.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            renew_before: days_long(30),
            max_at_risk: 20,
            cover: true,
            reuse: ReuseTable::default(),
            start_keeps_proof: None,
            checks_by_itself: false,
            follow_aliases: true,
            record: RecordForm::default(),
            of_ca: BTreeMap::new(),
            settle: SignedDuration::from_secs(60),
            poll: SignedDuration::from_secs(10),
            reset_token_before: days_long(5),
            effects_per_domain: (5, 20),
            retries_per_hour: 60,
            warning: days_long(20),
            critical: days_long(7),
        }
    }

    /// When the renewal of `proof` is due, or `None` when its end is not known.
    ///
    /// The lead is `min(renew_before, limit / 3)`, with the limit that holds when the proof ends:
    /// renewing earlier than that before a rule change would win nothing. The second half of the
    /// lead is jitter, the same for a domain each time it is asked, so that proofs of one day are
    /// renewed over many (a herd ends on 2027-03-15).
    pub fn renew_at(&self, domain: &DomainName, proof: &Proof) -> Option<Timestamp> {
        let end = self.reuse.usable_until(proof)?;
        let mut limit = self.reuse.limit_at(end);
        // Where the CA shows no date, the first reading says nothing about the proof's life: a listing
        // would put off every renewal.
        let made = proof.validated_at.and(proof.made_at());
        if let Some(made) = made {
            limit = limit.min(end.duration_since(made));
        }
        let lead = self.renew_before.min(limit / 3);
        let jitter = (lead / 2).as_secs().max(0).unsigned_abs();
        let shift = if jitter == 0 {
            0
        } else {
            spread(domain) % jitter
        };
        let due = after(
            before(end, lead),
            SignedDuration::from_secs(i64::try_from(shift).unwrap_or(0)),
        );
        // Never a new cycle within a day of a success, whatever the limits become.
        Some(made.map_or(due, |made| due.max(after(made, days_long(1)))))
    }

    /// How much of a proof's life must be left for a domain to count as safe at `end`; never less
    /// than until after the next nightly run. `made`: the proof's day, where the CA shows it.
    pub fn critical_margin(&self, end: Timestamp, made: Option<Timestamp>) -> SignedDuration {
        let limit = self.life(end, made);
        self.critical.min(limit / 10).max(NIGHT.min(limit / 2))
    }

    /// How much must be left for no message to be sent.
    pub fn warning_margin(&self, end: Timestamp, made: Option<Timestamp>) -> SignedDuration {
        self.warning
            .min(self.life(end, made) / 5)
            .max(self.critical_margin(end, made))
    }

    /// How long a proof lives: by the rules, or shorter by the CA's date, as one by a persistent
    /// record, which counts for 10 days (BR 3.2.2.4.22).
    fn life(&self, end: Timestamp, made: Option<Timestamp>) -> SignedDuration {
        let limit = self.reuse.limit_at(end);
        let own = made.map(|made| end.duration_since(made));
        own.filter(|own| own.is_positive())
            .map_or(limit, |own| own.min(limit))
    }

    /// The first moment not before `now` at which one more CA effect is within the domain's budget.
    pub fn next_effect_at(&self, effects: &[Timestamp], now: Timestamp) -> Timestamp {
        let (per_hour, per_day) = self.effects_per_domain;
        let freed = |limit: usize, window: SignedDuration| {
            let mut recent: Vec<_> = effects
                .iter()
                .copied()
                .filter(|&at| at > before(now, window))
                .collect();
            recent.sort_unstable();
            // With `limit` or more in the window, the one that must leave it first makes room.
            recent
                .len()
                .checked_sub(limit)
                .and_then(|index| recent.get(index))
                .map_or(now, |&at| after(at, window))
        };
        now.max(freed(per_hour, SignedDuration::from_hours(1)))
            .max(freed(per_day, SignedDuration::from_hours(24)))
    }
}

/// From one nightly run to the end of the next.
const NIGHT: SignedDuration = SignedDuration::from_hours(26);

/// How long to wait after the `failures`-th failure in a row (faults C14).
pub fn backoff(failures: u32) -> SignedDuration {
    const MINUTES: [i64; 10] = [1, 2, 5, 10, 20, 30, 60, 120, 240, 360];
    let index = usize::try_from(failures.saturating_sub(1))
        .unwrap_or(usize::MAX)
        .min(MINUTES.len() - 1);
    SignedDuration::from_mins(MINUTES[index])
}

/// A number that is the same for a domain on every machine and in every release.
fn spread(domain: &DomainName) -> u64 {
    // FNV-1a, 64 bits: the standard library's hashers promise nothing across releases.
    let hash = domain
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    // FNV's low bits of similar names are similar; one round of mixing spreads them.
    (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 11
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn proof(made: Timestamp) -> Proof {
        Proof {
            validated_at: Some(made),
            expires_at: None,
            method: None,
            first_seen: None,
            ends: Default::default(),
        }
    }

    fn name(index: usize) -> DomainName {
        DomainName::from_a_labels(&format!("d{index}.example.ch")).unwrap()
    }

    #[test]
    fn ten_thousand_proofs_of_one_day_are_renewed_over_many_days() {
        let policy = Policy::new(Mode::Manage);
        let mut per_day: BTreeMap<i64, usize> = BTreeMap::new();
        for index in 0..10_000 {
            let due = policy
                .renew_at(&name(index), &proof(at("2026-11-21T09:00:00Z")))
                .unwrap();
            *per_day.entry(due.as_second() / 86_400).or_default() += 1;
        }
        assert!(per_day.len() >= 14, "over {} days", per_day.len());
        assert!(per_day.values().all(|&count| count < 1_000), "{per_day:?}");
    }

    #[test]
    fn a_renewal_lies_inside_the_life_of_its_proof_and_a_day_after_its_start() {
        let policy = Policy::new(Mode::Manage);
        for day in 0..2_000 {
            let made = after(at("2025-06-01T00:00:00Z"), days_long(day));
            let end = policy.reuse.end_of(made);
            for index in 0..20 {
                let due = policy.renew_at(&name(index), &proof(made)).unwrap();
                assert!(due < end, "{made}: due {due}, ends {end}");
                assert!(due >= after(made, days_long(1)), "{made}: due {due}");
                assert!(end.duration_since(due) <= days_long(30));
            }
        }
    }

    #[test]
    fn a_renewal_before_a_rule_change_waits_until_it_wins_something() {
        let policy = Policy::new(Mode::Manage);
        let due = policy
            .renew_at(&name(1), &proof(at("2029-01-05T00:00:00Z")))
            .unwrap();
        assert!(
            policy.reuse.end_of(due) > at("2029-03-17T00:00:00Z"),
            "due {due}"
        );
    }

    #[test]
    fn the_sixth_effect_in_an_hour_waits_for_the_first_to_leave_it() {
        let policy = Policy::new(Mode::Manage);
        let now = at("2026-11-22T12:00:00Z");
        let effects: Vec<_> = (0..5)
            .map(|n| before(now, SignedDuration::from_mins(50 - n)))
            .collect();
        assert_eq!(policy.next_effect_at(&effects[..4], now), now);
        assert_eq!(
            policy.next_effect_at(&effects, now),
            after(now, SignedDuration::from_mins(10))
        );
    }
}
