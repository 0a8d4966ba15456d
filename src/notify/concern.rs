//! The present troubles by topic, from a snapshot of all domains. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Pace, Topic};
use crate::overview::certificates::{CertificateState, at_stake};
use crate::overview::clients::Age;
use crate::overview::danger::{Danger, Gravity};
use crate::overview::snapshot::{ClientState, Entry, Snapshot};
use crate::overview::trouble::INVENTORY;
use crate::prevalidation::guard::CLOCK_TOLERANCE;
use crate::prevalidation::{Policy, State};
use crate::text::{moment, relative};
use crate::worker::persist::RECORDS;

/// This long after it happened an event is still reported.
const NEWS: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What is wrong, by topic and by whom it concerns: the key of a domain's row, or of a client. For what happened, a space and the moment follow, so that the next time is another concern.
pub type Concerns<'a> = BTreeMap<Topic, BTreeMap<Cow<'a, str>, Concern<'a>>>;

/// The trouble of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concern<'a> {
    /// When its proof stops counting, where that is what is wrong.
    ends: Option<Timestamp>,
    /// Why, for people; unchecked words of a CA, of name servers and of zones.
    why: Cow<'a, str>,
}

impl<'a> Concern<'a> {
    /// Something that is wrong, in words.
    pub fn of(why: impl Into<Cow<'a, str>>) -> Self {
        Self {
            ends: None,
            why: why.into(),
        }
    }

    /// Why, at `now`.
    pub fn said(&self, now: Timestamp) -> String {
        match self.ends {
            Some(end) => format!(
                "ends {}, on {}; {}",
                relative(end, now),
                moment(end),
                self.why
            ),
            None => self.why.clone().into_owned(),
        }
    }
}

/// All troubles of a snapshot that are old or frequent enough to be reported.
pub fn concerns<'a>(snapshot: &'a Snapshot, policy: &Policy, pace: Pace) -> Concerns<'a> {
    let mut finder = Finder {
        snapshot,
        policy,
        pace,
        found: Concerns::new(),
    };
    let entries = snapshot.entries.iter().enumerate();
    for (place, entry) in entries.filter(|(_, entry)| is_judged(entry)) {
        finder.domain(place, entry);
    }
    for client in &snapshot.clients {
        finder.client(client);
    }
    finder.certificates();
    finder.others();
    finder.found
}

struct Finder<'a, 'p> {
    snapshot: &'a Snapshot,
    policy: &'p Policy,
    pace: Pace,
    found: Concerns<'a>,
}

impl<'a> Finder<'a, '_> {
    fn add(&mut self, topic: Topic, whom: Cow<'a, str>, concern: Concern<'a>) {
        self.found.entry(topic).or_default().insert(whom, concern);
    }

    fn domain(&mut self, place: usize, entry: &'a Entry) {
        let whom = || match entry.further {
            true => Cow::Owned(entry.key().text().to_owned()),
            false => Cow::Borrowed(entry.domain.as_str()),
        };
        let trouble = self.snapshot.troubles.domains.get(&place);
        if trouble.is_some_and(|trouble| trouble.lapsed) {
            self.add(Topic::Lapsed, whom(), Concern::of(&*entry.reason));
        } else if let Some(end) = entry.usable_until {
            let topic = match Danger::of_proof(end, entry.made_at, self.policy, self.snapshot.at) {
                Danger::Critical | Danger::Lapsed => Some(Topic::MarginCritical),
                Danger::Warning => Some(Topic::MarginWarning),
                Danger::None => None,
            };
            topic.into_iter().for_each(|topic| {
                self.add(
                    topic,
                    whom(),
                    Concern {
                        ends: Some(end),
                        why: Cow::Borrowed(&entry.reason),
                    },
                );
            });
        }
        let Some(trouble) = trouble else { return };
        if trouble.held {
            let domain = entry.domain.as_str();
            let (all, until) = (&self.snapshot.certificates, entry.usable_until);
            let why = match at_stake(all, domain, &entry.client, until) {
                // First: a long reason is cut at its end.
                Some(stake) => Cow::Owned(format!("{stake}; {}", entry.reason)),
                None => Cow::Borrowed(&*entry.reason),
            };
            self.add(Topic::Held, whom(), Concern::of(why));
        }
        if trouble.failures >= self.pace.failures {
            self.add(Topic::RenewalFailing, whom(), Concern::of(&*entry.reason));
        }
        if let Some(changed) = trouble
            .others_changed
            .as_ref()
            .filter(|c| self.snapshot.at.duration_since(c.at) < NEWS)
        {
            let whom = Cow::Owned(format!("{} {}", whom(), changed.at));
            self.add(Topic::ForeignTxtChanged, whom, Concern::of(&*changed.what));
        }
    }

    fn client(&mut self, client: &'a ClientState) {
        let whom = || Cow::Borrowed(&*client.key);
        if !client.refusal.is_empty() {
            self.add(Topic::GuardTripped, whom(), Concern::of(&*client.refusal));
        }
        let failing = self.snapshot.troubles.unreachable.get(&client.key);
        // A beginning that is still to come was written by a wrong clock, and puts nothing off.
        let failing = failing.filter(|failing| {
            let lasts = self.snapshot.at.duration_since(failing.since);
            lasts >= self.pace.doubt || lasts < -CLOCK_TOLERANCE
        });
        let said = match (failing, client.listed_at) {
            (Some(failing), _) => Some(Concern::of(&*failing.error)),
            (None, Some(at)) => match Age::of(Some(at), self.snapshot.at) {
                Age::Stale | Age::Dead => {
                    let hours = self.snapshot.at.duration_since(at).as_hours();
                    Some(Concern::of(format!("it was last asked {hours} hours ago")))
                }
                Age::Ahead => Some(Concern::of(
                    "the time it was last asked at is still to come: a clock is wrong",
                )),
                Age::Never | Age::Fresh => None,
            },
            (None, None) => None,
        };
        if let Some(concern) = said {
            self.add(Topic::CaUnreachable, whom(), concern);
        }
    }

    fn certificates(&mut self) {
        for view in &self.snapshot.certificates {
            let topic = match view.state {
                CertificateState::Unmanaged => continue,
                // Servers have none that counts.
                CertificateState::Expired | CertificateState::Revoked => Topic::CertificateExpired,
                _ if view.held => Topic::CertificateHeld,
                _ if view.failing || view.late || view.damaged || view.loose => {
                    Topic::CertificateFailing
                }
                CertificateState::Missing if view.serial.is_some() => Topic::CertificateFailing,
                _ => continue,
            };
            self.add(
                topic,
                Cow::Borrowed(&view.name),
                Concern {
                    ends: view.not_after,
                    why: Cow::Borrowed(&view.reason),
                },
            );
        }
    }

    /// What the CAs warn of, registrations, persistent records, and what the guard refuses.
    fn others(&mut self) {
        for (whom, said) in &self.snapshot.troubles.warnings {
            self.add(Topic::CaWarning, Cow::Borrowed(whom), Concern::of(&**said));
        }
        for ending in &self.snapshot.registrations {
            let concern = Concern::of(ending.said(self.snapshot.at));
            self.add(
                Topic::RegistrationEnds,
                Cow::Borrowed(&ending.domain),
                concern,
            );
        }
        for view in &self.snapshot.persistent {
            let topic = match view.gravity {
                Gravity::Ok => continue,
                Gravity::Warning => Topic::PersistentHeld,
                Gravity::Critical => Topic::PersistentMissing,
            };
            let whom = Cow::Owned(format!("{} {}", view.domain, view.issuer));
            self.add(topic, whom, Concern::of(&*view.reason));
        }
        let troubles = &self.snapshot.troubles;
        for (whom, said) in [
            (INVENTORY, &troubles.inventory),
            (RECORDS, &troubles.persistent),
        ] {
            if !said.is_empty() {
                self.add(
                    Topic::GuardTripped,
                    Cow::Borrowed(whom),
                    Concern::of(&**said),
                );
            }
        }
    }
}

/// Whether a domain has its own proof: one below another shares the other's proof, and its
/// troubles.
fn is_judged(entry: &Entry) -> bool {
    entry.state != State::Unmanaged && !entry.covered
}
