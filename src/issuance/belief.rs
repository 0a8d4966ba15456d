//! Which stored moments can be true. A clock that was ahead for a moment leaves moments that lie
//! further ahead than any pause is long. They are not believed, so that no certificate waits for a
//! day that a wrong clock has made up.

use jiff::{SignedDuration, Timestamp};

use super::progress::{Hold, HoldKind, Progress};

/// So far ahead may a moment of the past be: the clocks of several machines differ a little.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// No order whose certificate lives is older (398 days and what a CA adds).
const LIFE: SignedDuration = SignedDuration::from_hours(24 * 500);
/// No pause before the next try of anything is longer.
const PAUSE: SignedDuration = SignedDuration::from_hours(25);

impl Progress {
    /// Without the moments that cannot be true at `now`: one of the past counts as `now`, and a wait
    /// ends at once. So does a hold about time that a clock made which was ahead. A moment that the CA
    /// named is its own. An order that was submitted by a wrong clock may be as old as any, and is
    /// searched for among all.
    #[must_use]
    pub fn believed(mut self, now: Timestamp) -> Self {
        let is_of_another_clock = |hold: &mut Hold| {
            let by_time = matches!(hold.kind, HoldKind::Check | HoldKind::Short);
            by_time && is_ahead(hold.since, now, SKEW)
        };
        if self.hold.take_if(is_of_another_clock).is_some() {
            self.was_due_at_once = false;
        }
        for wait in [&mut self.not_before, &mut self.leftovers_at] {
            clamp(wait, now, PAUSE);
        }
        if let Some(order) = &mut self.order {
            if order.submitted_at.is_some_and(|at| is_ahead(at, now, SKEW)) {
                order.submitted_at = now.checked_sub(LIFE).ok();
                order.ended_at = Some(now);
            }
            clamp(&mut order.ended_at, now, SKEW);
            clamp(&mut order.last_read_at, now, SKEW);
            for record in &mut order.records {
                clamp(&mut record.stood_at, now, SKEW);
            }
            if !order.next_read_is_from_ca {
                clamp(&mut order.next_read_at, now, PAUSE);
            }
        }
        if let Some(deployment) = &mut self.deployment
            && is_ahead(deployment.at, now, PAUSE)
        {
            deployment.at = now;
        }
        if let Some(revocation) = &mut self.revocation {
            clamp(&mut revocation.since, now, SKEW);
            clamp(&mut revocation.asked_at, now, SKEW);
            clamp(&mut revocation.next_read_at, now, PAUSE);
        }
        self
    }
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
    use super::super::RevocationReason;
    use super::super::progress::{Deployment, Order, Revocation};
    use super::*;

    fn progress(at: Timestamp) -> Progress {
        let some = Some(at);
        Progress {
            order: Some(Order {
                submitted_at: some,
                ended_at: some,
                next_read_at: some,
                last_read_at: some,
                ..Order::default()
            }),
            deployment: Some(Deployment {
                version: 1,
                failures: 1,
                at,
                trouble: None,
            }),
            revocation: Some(Box::new(Revocation {
                ca: "ca".to_owned(),
                serial: "1".to_owned(),
                reference: "1".to_owned(),
                certificate: None,
                reason: RevocationReason::Superseded,
                requestor: "me".to_owned(),
                since: some,
                asked_at: some,
                next_read_at: some,
                reads: 1,
                not_after: None,
                refused: None,
            })),
            leftovers_at: some,
            not_before: some,
            ..Progress::default()
        }
    }

    #[test]
    fn no_wait_that_a_wrong_clock_made_up_is_believed_and_no_other_is_touched() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        for days in [2, 400, 30_000] {
            let wrong = now + SignedDuration::from_hours(24 * days);
            let mut right = progress(now);
            right.order.as_mut().unwrap().submitted_at = Some(now - LIFE);
            assert_eq!(progress(wrong).believed(now), right, "{days}");
        }
        for seconds in [-86_400 * 500, -1, 0, 240] {
            let right = progress(now + SignedDuration::from_secs(seconds));
            assert_eq!(right.clone().believed(now), right, "{seconds} s");
        }
        let named = now + SignedDuration::from_hours(24 * 5);
        let mut of_the_ca = progress(now);
        let order = of_the_ca.order.as_mut().unwrap();
        (order.next_read_at, order.next_read_is_from_ca) = (Some(named), true);
        assert_eq!(of_the_ca.clone().believed(now), of_the_ca);
    }
}
