//! Stops a run when an unplanned change concerns many domains at once (invariant I14).
//!
//! Renewals that are simply due are never refused; they are spread and throttled. The guard is
//! about the *unexpected*.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::name::DomainName;
use super::observed::{Observed, Sighting};
use super::policy::Policy;
use super::registration::Registration;
use super::upkeep::Effect;
use super::words::share;

/// Something unexpected and large enough that a person must decide first. `--force` overrides it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "alarm")]
pub enum Alarm {
    /// Registrations that were there are not in the CA's list.
    RegistrationsVanished(Count),
    /// Proofs that counted do not any more, long before their end.
    ProofsVanished(Count),
    /// Proofs end earlier than the CA said, with no rule behind it.
    ProofsShortened(Count),
    /// The inventory is suddenly much smaller.
    InventoryShrank(Count),
    /// The inventory wants many domains at another client than before.
    ClientsChanged(Count),
    /// Our clock and the CA's differ.
    ClockSkew {
        /// Seconds our clock is ahead; negative: behind.
        ahead_seconds: i64,
    },
    /// The store has seen a later time than now.
    ClockWentBack {
        /// The latest time it saw.
        latest: Timestamp,
    },
}

/// How many of how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The client, or what was counted.
    pub among: String,
    /// Concerned.
    pub affected: usize,
    /// All that were known.
    pub known: usize,
    /// What could not be read in the first entry that is concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

impl Count {
    fn share(&self, noun: &str, verb: (&str, &str)) -> String {
        share(self.affected, self.known, noun, verb)
    }
}

impl Count {
    fn in_doubt(&self) -> String {
        let doubt = self.doubt.as_ref();
        doubt.map_or_else(String::new, |doubt| {
            format!(" (the CA's answer is in doubt: {doubt})")
        })
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RegistrationsVanished(c) => {
                write!(
                    f,
                    "{} no longer in the CA's list for {}{}",
                    c.share("registration", ("is", "are")),
                    c.among,
                    c.in_doubt()
                )
            }
            Self::ProofsVanished(c) => {
                write!(
                    f,
                    "{}, of {}, before the end{}",
                    c.share("proof", ("stopped counting", "stopped counting")),
                    c.among,
                    c.in_doubt()
                )
            }
            Self::ProofsShortened(c) => {
                let share = c.share("proof", ("ends", "end"));
                write!(
                    f,
                    "{share} earlier than the CA said, of {}, and no rule explains it",
                    c.among
                )
            }
            Self::InventoryShrank(c) => {
                write!(
                    f,
                    "{} gone from the inventory ({})",
                    c.share("domain", ("is", "are")),
                    c.among
                )
            }
            Self::ClientsChanged(c) => {
                let share = c.share("domain", ("is wanted", "are wanted"));
                write!(f, "{share} at another client than before ({})", c.among)
            }
            Self::ClockSkew { ahead_seconds } if *ahead_seconds < 0 => {
                write!(f, "the local clock is {} s behind the CA's", -ahead_seconds)
            }
            Self::ClockSkew { ahead_seconds } => {
                write!(f, "the local clock is {ahead_seconds} s ahead of the CA's")
            }
            Self::ClockWentBack { latest } => {
                write!(f, "the clock went back: the store has seen {latest:.0}")
            }
        }
    }
}

/// Clocks may differ by this much before nothing is done (faults T01).
pub const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// More than 30 % of ten or more, or all of fewer (faults C12, G01).
pub fn is_mass(affected: usize, known: usize) -> bool {
    affected > 0
        && if known >= 10 {
            affected * 10 > known * 3
        } else {
            affected >= known
        }
}

/// An end that is shown by its day alone is read as the beginning of that day. So where a CA cuts its
/// proofs to what a rule has, the shown end is up to a day before the rule's.
const SHOWN_DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a list call means against what was known before it, for one client: domain by domain, none
/// of which is kept.
#[derive(Debug, Default)]
pub struct Comparison {
    registered: usize,
    vanished: usize,
    proved: usize,
    lost: usize,
    shortened: usize,
    /// What could not be read in the first entry whose proof is gone.
    doubt: Option<String>,
}

impl Comparison {
    /// Takes in one domain: what was observed, and what is seen now.
    pub fn take(&mut self, before: &Observed, seen: &Sighting, policy: &Policy, now: Timestamp) {
        let Sighting::Present(old) = &before.sighting else {
            return;
        };
        self.registered += 1;
        let new = match seen {
            Sighting::Present(new) => new,
            Sighting::Unread | Sighting::Absent | Sighting::Missing(_) => {
                self.vanished += 1;
                return;
            }
        };
        let Some(end) = old.usable_until(&policy.reuse, now) else {
            return;
        };
        self.proved += 1;
        // A reset of our own may have cost the proof; that is the canary's business, not the
        // guard's.
        let by_own_hand = before.upkeep.calls.unanswered == Some(Effect::ResetToken);
        match new.usable_until(&policy.reuse, now) {
            None if !by_own_hand => {
                self.lost += 1;
                self.doubt = self.doubt.take().or_else(|| new.doubt.clone());
            }
            Some(new_end)
                if end.duration_since(new_end) >= SHOWN_DAY && is_dated_alike(new, old) =>
            {
                self.shortened += 1;
            }
            _ => {}
        }
    }

    /// What of it concerns too many of the client's domains. `unreadable`: the first entry of the
    /// list that could not be read, and may be one of those that vanished.
    pub fn alarms(&self, client: &str, unreadable: Option<&String>) -> Vec<Alarm> {
        let count = |affected, known| Count {
            among: client.to_owned(),
            affected,
            known,
            doubt: None,
        };
        let mut alarms = Vec::new();
        if is_mass(self.vanished, self.registered) {
            alarms.push(Alarm::RegistrationsVanished(Count {
                doubt: unreadable.cloned(),
                ..count(self.vanished, self.registered)
            }));
        }
        if is_mass(self.lost, self.proved) {
            alarms.push(Alarm::ProofsVanished(Count {
                doubt: self.doubt.clone(),
                ..count(self.lost, self.proved)
            }));
        }
        if is_mass(self.shortened, self.proved) {
            alarms.push(Alarm::ProofsShortened(count(self.shortened, self.proved)));
        }
        alarms
    }
}

/// Whether the inventory shrank too much: of `known` domains of one origin, these are no longer
/// wanted.
pub fn examine_inventory(origin: &str, known: usize, gone: &[DomainName]) -> Option<Alarm> {
    is_mass(gone.len(), known).then(|| {
        Alarm::InventoryShrank(Count {
            among: origin.to_owned(),
            affected: gone.len(),
            known,
            doubt: None,
        })
    })
}

/// Whether both are dated alike: a list may leave out the day that a read of the domain shows. A
/// proof that this program has just dated by its first read is left out, because the CA did not
/// change its end.
fn is_dated_alike(new: &Registration, old: &Registration) -> bool {
    let Some((new, old)) = new.proof.as_ref().zip(old.proof.as_ref()) else {
        return false;
    };
    let days = new.validated_at.zip(old.validated_at);
    days.is_none_or(|(new, old)| new == old) && new.made_at() == old.made_at()
}

/// Whether too much of the inventory went to other clients: of `known` domains of one origin, so
/// many `moved`.
pub fn examine_moves(origin: &str, known: usize, moved: usize) -> Option<Alarm> {
    is_mass(moved, known).then(|| {
        Alarm::ClientsChanged(Count {
            among: origin.to_owned(),
            affected: moved,
            known,
            doubt: None,
        })
    })
}

/// Whether the clock can be trusted, by what the CA and the store say.
pub fn examine_clock(
    now: Timestamp,
    latest: Option<Timestamp>,
    ahead: Option<SignedDuration>,
) -> Option<Alarm> {
    if let Some(ahead) = ahead.filter(|ahead| ahead.abs() > CLOCK_TOLERANCE) {
        return Some(Alarm::ClockSkew {
            ahead_seconds: ahead.as_secs(),
        });
    }
    let latest = latest.filter(|&latest| latest.duration_since(now) > CLOCK_TOLERANCE)?;
    // A CA that shows the same time as we do says that it was the store's moment that was wrong.
    ahead.is_none().then_some(Alarm::ClockWentBack { latest })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::prevalidation::{Mode, Proof, Status, Upkeep};

    #[test]
    fn a_mass_is_a_third_of_many_or_all_of_few() {
        for (affected, known, mass) in [
            (0, 0, false),
            (0, 5, false),
            (1, 1, true),
            (4, 5, false),
            (5, 5, true),
            (9, 9, true),
            (3, 10, false),
            (4, 10, true),
            (30, 100, false),
            (31, 100, true),
        ] {
            assert_eq!(is_mass(affected, known), mass, "{affected} of {known}");
        }
    }

    #[test]
    fn a_day_that_a_rule_explains_is_no_shortening_and_an_earlier_one_is() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let policy = Policy::new(Mode::Manage);
        let shown = |expires_at: &str| {
            let domain = DomainName::from_a_labels("example.ch").unwrap();
            let proof = Proof {
                validated_at: Some("2026-07-13T09:18:00Z".parse().unwrap()),
                expires_at: Some(expires_at.parse().unwrap()),
                method: None,
                first_seen: None,
                ends: Default::default(),
            };
            Registration {
                proof: Some(Box::new(proof)),
                ..Registration::bare("1", domain, Status::Valid)
            }
        };
        let alarms = |ends: &str| {
            let found = shown("2027-08-14T00:00:00Z");
            let before = Observed {
                domain: found.domain.clone(),
                desired: true,
                covered_by: None,
                has_provider: true,
                sighting: Sighting::Present(found),
                read_at: None,
                upkeep: Upkeep::default(),
                ledger: Vec::new(),
            };
            let mut comparison = Comparison::default();
            let seen = Sighting::Present(shown(ends));
            comparison.take(&before, &seen, &policy, now);
            comparison.alarms("client", None).len()
        };
        // 198 days end in the morning of the 27th.
        let rule = policy.reuse.end_of("2026-07-13T09:18:00Z".parse().unwrap());
        assert_eq!(rule.to_string(), "2027-01-27T09:18:00Z");
        assert_eq!(alarms("2027-01-27T00:00:00Z"), 0, "its day");
        assert_eq!(alarms("2027-01-26T00:00:00Z"), 1);
    }

    #[test]
    fn a_proof_that_is_shortened_is_seen_where_the_list_leaves_its_day_out() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let policy = Policy::new(Mode::Manage);
        let day = |text: &str| Some(format!("{text}T00:00:00Z").parse().unwrap());
        let shown = |validated_at, expires_at, first_seen| {
            let domain = DomainName::from_a_labels("example.ch").unwrap();
            let proof = Proof {
                validated_at,
                expires_at,
                first_seen,
                ..Proof::default()
            };
            Sighting::Present(Registration {
                proof: Some(Box::new(proof)),
                ..Registration::bare("1", domain, Status::Valid)
            })
        };
        let alarms = |old: Sighting, mut new: Sighting| {
            let before = Observed {
                domain: DomainName::from_a_labels("example.ch").unwrap(),
                desired: true,
                covered_by: None,
                has_provider: true,
                sighting: old,
                read_at: None,
                upkeep: Upkeep::default(),
                ledger: Vec::new(),
            };
            new.keep_first_seen(&before.sighting);
            let mut comparison = Comparison::default();
            comparison.take(&before, &new, &policy, now);
            comparison.alarms("client", None).len()
        };
        let (made, end) = (day("2026-11-21"), day("2027-06-07"));
        let status = || shown(made, end, None);
        assert_eq!(
            alarms(status(), shown(None, day("2026-12-10"), Some(now))),
            1
        );
        assert_eq!(alarms(status(), shown(None, end, Some(now))), 0);
        // The day that the rules count from is this program's: the CA has shortened nothing.
        let undated = shown(None, day("2027-12-01"), None);
        assert_eq!(
            alarms(undated, shown(None, day("2027-12-01"), Some(now))),
            0
        );
    }

    #[test]
    fn a_clock_that_jumped_either_way_is_an_alarm() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let hour = SignedDuration::from_hours(1);
        assert_eq!(
            examine_clock(now, Some(now - hour), Some(SignedDuration::from_secs(200))),
            None
        );
        assert_eq!(
            examine_clock(now, None, Some(-hour)),
            Some(Alarm::ClockSkew {
                ahead_seconds: -3600
            })
        );
        assert_eq!(
            examine_clock(now, Some(now + hour), Some(SignedDuration::ZERO)),
            None,
            "the CA shows the same time: it was the store's moment that was wrong"
        );
        assert_eq!(
            examine_clock(now, Some(now + hour), None),
            Some(Alarm::ClockWentBack { latest: now + hour })
        );
    }
}
