//! The pace that one set of credentials keeps in this process, whichever and however many tables of
//! the configuration use it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use crate::table::Rate;

/// All that are in use. Tables that name different rates go each at its own.
static LOCALS: LazyLock<Mutex<Locals>> = LazyLock::new(Mutex::default);
type Locals = HashMap<(String, Rate), Weak<Local>>;
/// Tells secrets apart without keeping them.
static SECRETS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A number of calls in a time, and none while the server asks for a pause.
#[derive(Debug)]
pub struct Local {
    bucket: DefaultDirectRateLimiter,
    closed: Mutex<Option<Instant>>,
}

impl Local {
    /// The pace of `whom`, which may make `burst` calls at once after a quiet time.
    pub fn of(whom: String, rate: Rate, burst: NonZeroU32) -> Arc<Self> {
        let mut locals = LOCALS.lock().unwrap_or_else(PoisonError::into_inner);
        locals.retain(|_, local| local.strong_count() > 0);
        let key = (whom, rate);
        locals.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
            let (count, per) = rate;
            let quota =
                Quota::with_period(per / count.get()).unwrap_or_else(|| Quota::per_second(count));
            let bucket = RateLimiter::direct(quota.allow_burst(burst));
            let local = Arc::new(Self {
                bucket,
                closed: Mutex::default(),
            });
            locals.insert(key, Arc::downgrade(&local));
            local
        })
    }

    /// Waits until the next call may go.
    pub async fn turn(&self) {
        self.bucket.until_ready().await;
    }

    /// The server asked for a pause of this length; the longest one counts.
    pub fn close(&self, wait: Duration) {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = (*closed).max(Some(Instant::now() + wait));
    }

    /// How long the pause that the server asked for still lasts.
    pub fn closed_for(&self) -> Option<Duration> {
        let closed = *self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed?
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
    }
}

/// A word for some secrets, good in this process only.
pub fn fingerprint(secrets: &[SecretString]) -> String {
    let secrets: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
    format!("{:016x}", SECRETS.hash_one(secrets))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn who_uses_the_same_credentials_shares_a_pace_and_who_does_not_has_another() {
        let rate = (NonZeroU32::new(7).unwrap(), Duration::from_secs(60));
        let of = |secret: &str| {
            Local::of(
                format!(
                    "https://api.test {}",
                    fingerprint(&[secret.to_owned().into()])
                ),
                rate,
                NonZeroU32::MIN,
            )
        };
        let (one, same, other) = (of("one"), of("one"), of("other"));
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
        one.close(Duration::from_secs(60));
        one.close(Duration::from_secs(1));
        assert!(
            same.closed_for().unwrap() > Duration::from_secs(50) && other.closed_for().is_none()
        );
        drop((one, same));
        assert!(of("one").closed_for().is_none(), "a new life");
    }
}
