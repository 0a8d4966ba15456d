//! What is wrong now, topic by topic, read off a picture of all domains. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Pace, Topic};
use crate::overview::certificates::{CertificateState, at_stake};
use crate::overview::clients::Age;
use crate::overview::danger::{Danger, Gravity};
use crate::overview::snapshot::{Entry, Snapshot};
use crate::overview::trouble::INVENTORY;
use crate::prevalidation::guard::CLOCK_TOLERANCE;
use crate::prevalidation::{Policy, State};
use crate::text::{moment, relative};
use crate::worker::persist::RECORDS;

/// For so long something that happened is news.
const NEWS: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What is wrong, by topic and by whom it concerns: the key of a domain's row, or of a client. For what happened, a space and the moment follow, so that the next time is another concern.
pub type Concerns<'a> = BTreeMap<Topic, BTreeMap<Cow<'a, str>, Concern<'a>>>;

/// What is wrong with one of them.
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

/// All that is wrong in a picture and old or frequent enough to be told.
pub fn concerns<'a>(picture: &'a Snapshot, policy: &Policy, pace: Pace) -> Concerns<'a> {
    let mut found = Concerns::new();
    let mut add = |topic: Topic, whom: Cow<'a, str>, concern: Concern<'a>| {
        found.entry(topic).or_default().insert(whom, concern);
    };
    for (place, entry) in picture
        .entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| is_judged(entry))
    {
        let whom = || match entry.further {
            true => Cow::Owned(entry.key().text().to_owned()),
            false => Cow::Borrowed(entry.domain.as_str()),
        };
        let trouble = picture.troubles.domains.get(&place);
        if trouble.is_some_and(|trouble| trouble.lapsed) {
            add(Topic::Lapsed, whom(), Concern::of(&*entry.reason));
        } else if let Some(end) = entry.usable_until {
            let topic = match Danger::of_proof(end, entry.made_at, policy, picture.at) {
                Danger::Critical | Danger::Lapsed => Some(Topic::MarginCritical),
                Danger::Warning => Some(Topic::MarginWarning),
                Danger::None => None,
            };
            topic.into_iter().for_each(|topic| {
                add(
                    topic,
                    whom(),
                    Concern {
                        ends: Some(end),
                        why: Cow::Borrowed(&entry.reason),
                    },
                );
            });
        }
        let Some(trouble) = trouble else { continue };
        if trouble.held {
            let domain = entry.domain.as_str();
            let (all, until) = (&picture.certificates, entry.usable_until);
            let why = match at_stake(all, domain, &entry.client, until) {
                // First: a long reason is cut at its end.
                Some(stake) => Cow::Owned(format!("{stake}; {}", entry.reason)),
                None => Cow::Borrowed(&*entry.reason),
            };
            add(Topic::Held, whom(), Concern::of(why));
        }
        if trouble.failures >= pace.failures {
            add(Topic::RenewalFailing, whom(), Concern::of(&*entry.reason));
        }
        if let Some(changed) = trouble
            .others_changed
            .as_ref()
            .filter(|c| picture.at.duration_since(c.at) < NEWS)
        {
            let whom = Cow::Owned(format!("{} {}", whom(), changed.at));
            add(Topic::ForeignTxtChanged, whom, Concern::of(&*changed.what));
        }
    }
    for client in &picture.clients {
        let whom = || Cow::Borrowed(&*client.key);
        if !client.refusal.is_empty() {
            add(Topic::GuardTripped, whom(), Concern::of(&*client.refusal));
        }
        let failing = picture.troubles.unreachable.get(&client.key);
        // A beginning that is still to come was written by a wrong clock, and puts nothing off.
        let failing = failing.filter(|failing| {
            let lasts = picture.at.duration_since(failing.since);
            lasts >= pace.doubt || lasts < -CLOCK_TOLERANCE
        });
        let said = match (failing, client.looked_at) {
            (Some(failing), _) => Some(Concern::of(&*failing.error)),
            (None, Some(at)) => match Age::of(Some(at), picture.at) {
                Age::Stale | Age::Dead => {
                    let hours = picture.at.duration_since(at).as_hours();
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
            add(Topic::CaUnreachable, whom(), concern);
        }
    }
    for (whom, said) in &picture.troubles.warnings {
        add(Topic::CaWarning, Cow::Borrowed(whom), Concern::of(&**said));
    }
    for view in &picture.certificates {
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
        add(
            topic,
            Cow::Borrowed(&view.name),
            Concern {
                ends: view.not_after,
                why: Cow::Borrowed(&view.reason),
            },
        );
    }
    for ending in &picture.registrations {
        let concern = Concern::of(ending.said(picture.at));
        add(
            Topic::RegistrationEnds,
            Cow::Borrowed(&ending.domain),
            concern,
        );
    }
    for view in &picture.persistent {
        let topic = match view.gravity {
            Gravity::Ok => continue,
            Gravity::Warning => Topic::PersistentHeld,
            Gravity::Critical => Topic::PersistentMissing,
        };
        let whom = Cow::Owned(format!("{} {}", view.domain, view.issuer));
        add(topic, whom, Concern::of(&*view.reason));
    }
    let troubles = &picture.troubles;
    for (whom, said) in [
        (INVENTORY, &troubles.inventory),
        (RECORDS, &troubles.persistent),
    ] {
        if !said.is_empty() {
            add(
                Topic::GuardTripped,
                Cow::Borrowed(whom),
                Concern::of(&**said),
            );
        }
    }
    found
}

/// Whether a domain stands for itself: one below another shares its proof, and its troubles.
fn is_judged(entry: &Entry) -> bool {
    entry.state != State::Unmanaged && !entry.covered
}
