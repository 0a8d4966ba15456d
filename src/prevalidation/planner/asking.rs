//! When the CA is asked to check, and asked again.

use jiff::{SignedDuration, Timestamp};

use super::super::policy::Policy;
use super::super::reuse::after;
use super::super::upkeep::Attempt;
use super::why::{Again, Why};

/// When the CA is asked, and why then: settled, then 5, 15 and 60 minutes after that, at the cache
/// horizon, then every 6 hours (rule 6). A moment that was missed is not made up for: the next one
/// counts.
pub(super) fn submission(
    attempt: &Attempt,
    visible_at: Timestamp,
    policy: &Policy,
) -> (Timestamp, Why) {
    let settled = after(visible_at, policy.settle);
    let again = |minutes| after(settled, SignedDuration::from_mins(minutes));
    let horizon = attempt.visibility.horizon_at.unwrap_or(visible_at);
    let Some(last) = attempt
        .submission
        .submitted_at
        .filter(|_| attempt.submission.tries > 0)
    else {
        let why = "every name server has the value; the CA is asked after `settle`";
        return (settled, why.into());
    };
    let steps = [
        (again(5), Again::In5Minutes),
        (again(15), Again::In15Minutes),
        (again(60), Again::InAnHour),
        (horizon.max(again(120)), Again::AtHorizon),
        (
            after(last, SignedDuration::from_hours(6)),
            Again::Every6Hours,
        ),
    ];
    // What a resolver still remembers is a better guess at the CA's memory than any step of the
    // schedule, and is no longer one when the horizon has passed.
    let remembered = attempt
        .visibility
        .cached_until
        .map(|until| (until.min(horizon), Again::WhenForgotten));
    let moments = remembered.into_iter().chain(steps);
    let (planned, moment) = moments
        .into_iter()
        .find(|&(at, _)| at > last)
        .unwrap_or(steps[4]);
    // Two calls are never closer than the smallest step of the schedule.
    (
        planned.max(after(last, SignedDuration::from_mins(5))),
        moment.into(),
    )
}
