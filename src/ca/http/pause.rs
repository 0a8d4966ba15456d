//! When an account is left alone: after "too many requests" no call of it is made for a while, whatever
//! domain or order it is about.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::answer::Answer;

/// How long the first, the second and each further pause in a row is where the CA does not say:
/// DigiCert has windows of 5 s and of 3 minutes, and sends no waiting time.
const WAITS: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(180),
];

/// No CA asks for a longer pause: what seems to be one was made by a clock that was wrong.
const LONGEST: SignedDuration = SignedDuration::from_hours(6);

/// The pause of one account.
#[derive(Debug, Default)]
pub(super) struct Pause(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How many pauses there were in a row.
    count: usize,
    until: Option<Timestamp>,
}

impl Pause {
    /// How long it lasts from now on; `None`: calls are made.
    pub(super) fn rest(&self, now: Timestamp) -> Option<Duration> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = state.until?.duration_since(now);
        (SignedDuration::ZERO < rest && rest <= LONGEST)
            .then(|| Duration::try_from(rest).ok())
            .flatten()
    }

    /// Takes the answer to a call that was started then. Calls that were under way when a pause
    /// began make it no longer, and their success does not end it. A 429 that names no wait gets
    /// ours.
    pub(super) fn heard(&self, begun: Timestamp, answer: &mut Answer, now: Timestamp) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = state
            .until
            .is_none_or(|until| begun >= until || until.duration_since(begun) > LONGEST);
        let is_throttled = answer.status.as_u16() == 429
            || answer.status.as_u16() == 503 && answer.retry_after.is_some();
        if !is_throttled {
            if is_new && answer.status.is_success() {
                *state = State::default();
            }
            return;
        }
        if is_new {
            state.count += 1;
        }
        let own = WAITS[(state.count - 1).min(WAITS.len() - 1)];
        let wait = *answer.retry_after.get_or_insert(own);
        let until = now.saturating_add(wait).unwrap_or(now);
        state.until = match is_new {
            true => Some(until),
            false => state.until.max(Some(until)),
        };
    }
}
