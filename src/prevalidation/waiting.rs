//! Between publishing and proof: what a domain waits for, since when, until when, and when that is
//! too long (rule 7). Nothing is given up and no record is removed because of a
//! time-out.

use jiff::Timestamp;
use serde::Serialize;

use super::lateness::Lateness;
use super::observed::Observed;
use super::planner::{Decision, Next, Why};
use super::reuse::after;
use super::upkeep::{LATE_AFTER, OVERDUE_AFTER};
use super::words::moment;

/// For what a domain waits, as programs read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The party or event, in a few words.
    #[serde(rename = "for")]
    pub subject: String,
    /// When its value was written.
    pub since: Timestamp,
    /// Whether that is too long.
    pub lateness: Lateness,
    /// When it is late.
    pub late_at: Timestamp,
    /// When a person is needed.
    pub overdue_at: Timestamp,
    /// When it is tried next, by a run that lasts until then or by the next one.
    pub next_at: Timestamp,
    /// What is done then.
    pub next: Next,
    /// Why then.
    pub why: Why,
    /// Until when the CA takes the value; it is replaced some days before.
    pub token_until: Option<Timestamp>,
}

impl Waiting {
    /// What `seen` waits for, while its next step is to check, to ask the CA again or to read an
    /// order that the CA has taken, and no person is waited for.
    pub fn of(seen: &Observed, decision: &Decision, now: Timestamp) -> Option<Self> {
        let upkeep = &seen.upkeep;
        let next = Next::of(&decision.step)?;
        let is_taken =
            upkeep.attempt.submission.next_read_at.is_some() && upkeep.calls.unanswered.is_none();
        let waits = next != Next::Read || is_taken;
        if upkeep.setback.hold.is_some() || !waits {
            return None;
        }
        let since = upkeep.wait.since?;
        Some(Self {
            subject: upkeep.wait.subject.clone()?,
            since,
            lateness: upkeep.wait.lateness(now),
            late_at: after(since, LATE_AFTER),
            overdue_at: after(since, OVERDUE_AFTER),
            next_at: decision.at,
            next,
            why: decision.why.clone(),
            token_until: match &upkeep.attempt.challenge {
                Some(challenge) => challenge.until,
                None => seen
                    .sighting
                    .registration()
                    .and_then(|found| found.token.as_ref()?.expires_at),
            },
        })
    }

    /// One line for people at `now`; all times are UTC.
    pub fn said(&self, now: Timestamp) -> String {
        let when = |at| moment(at, now);
        let verb = match self.next {
            Next::Submit => "asks it again",
            Next::Read => "reads it again",
            Next::Check => "checks again",
        };
        let next = if self.next_at > now {
            format!("at {}", when(self.next_at))
        } else {
            "now".to_owned()
        };
        let what = self
            .why
            .asked_again()
            .map(|what| format!(", {what}"))
            .unwrap_or_default();
        let late = match self.lateness {
            Lateness::InTime => format!("late from {}", when(self.late_at)),
            Lateness::Late => format!("late since {}", when(self.late_at)),
            Lateness::Overdue => format!(
                "overdue since {}: a person should act",
                when(self.overdue_at)
            ),
        };
        let token = self
            .token_until
            .map(|end| format!("; the token lives until {}", when(end)))
            .unwrap_or_default();
        format!(
            "waits for {} since {} UTC, {verb} {next}{what}; {late}{token}",
            self.subject,
            when(self.since)
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::SignedDuration;

    use super::*;
    use crate::prevalidation::planner::Again;
    use crate::prevalidation::upkeep::{Upkeep, Wait};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn waiting(next: Next, why: Why, lateness: Lateness) -> Waiting {
        let since = at("2026-11-22T12:03:00Z");
        Waiting {
            subject: "ns3.example.ch (stale)".to_owned(),
            since,
            lateness,
            late_at: after(since, LATE_AFTER),
            overdue_at: after(since, OVERDUE_AFTER),
            next_at: after(since, SignedDuration::from_mins(5)),
            next,
            why,
            token_until: Some(at("2026-12-22T12:01:00Z")),
        }
    }

    #[test]
    fn a_wait_says_for_what_since_when_and_until_when() {
        let now = at("2026-11-22T12:04:00Z");
        assert_eq!(
            waiting(Next::Check, "waits for it".into(), Lateness::InTime).said(now),
            "waits for ns3.example.ch (stale) since 12:03 UTC, checks again at 12:08; late from 13:03; \
             the token lives until 2026-12-22 12:01"
        );
        let said = waiting(Next::Submit, Again::In5Minutes.into(), Lateness::InTime).said(now);
        assert!(
            said.contains("asks it again at 12:08, 5 minutes after the first time;"),
            "{said}"
        );
        let said =
            waiting(Next::Check, "".into(), Lateness::Overdue).said(at("2026-11-24T09:00:00Z"));
        assert!(
            said.contains(
                "since 2026-11-22 12:03 UTC, checks again now; overdue since 2026-11-23 12:03"
            ),
            "{said}"
        );
    }

    #[test]
    fn an_hour_is_late_and_a_day_is_overdue_and_a_new_token_is_no_excuse() {
        let since = at("2026-11-22T12:00:00Z");
        let mut upkeep = Upkeep {
            wait: Wait {
                since: Some(since),
                ..Wait::default()
            },
            ..Upkeep::default()
        };
        upkeep.restart(since, None);
        for (minutes, lateness) in [
            (0, Lateness::InTime),
            (59, Lateness::InTime),
            (60, Lateness::Late),
            (1_439, Lateness::Late),
            (1_440, Lateness::Overdue),
        ] {
            assert_eq!(
                upkeep
                    .wait
                    .lateness(after(since, SignedDuration::from_mins(minutes))),
                lateness,
                "{minutes} min"
            );
        }
        assert_eq!(Upkeep::default().wait.lateness(since), Lateness::InTime);
    }
}
