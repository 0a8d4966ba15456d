//! The pace of an address: some servers count calls by the address of the caller, for all accounts
//! together. Calls of this process to such an address keep a distance from each other, without a
//! burst; with other processes they take turns by what all of them share.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

/// Returns when a call of this process may go, of all processes together, or says why that is not
/// known: then it must not be made.
pub type Shared = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The addresses that are kept to now.
static ADDRESSES: LazyLock<Mutex<HashMap<String, Weak<Address>>>> = LazyLock::new(Mutex::default);

/// An address to which calls keep their distance, as long as this lives.
pub struct Address {
    apart: Duration,
    shared: Option<Shared>,
    last: tokio::sync::Mutex<Option<Instant>>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("apart", &self.apart)
            .finish_non_exhaustive()
    }
}

impl Address {
    /// Has all calls to `address`, a host with its port, keep this distance from now on, and wait for
    /// their turn among all processes where there are others. Where the address is kept to already, that
    /// stays as it is.
    pub fn keep(address: &str, apart: Duration, shared: Option<Shared>) -> Arc<Self> {
        let mut known = ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, kept| kept.strong_count() > 0);
        if let Some(kept) = known.get(address).and_then(Weak::upgrade) {
            return kept;
        }
        let kept = Arc::new(Self {
            apart,
            shared,
            last: tokio::sync::Mutex::default(),
        });
        known.insert(address.to_owned(), Arc::downgrade(&kept));
        kept
    }

    /// Waits until the next call may go; callers go in the order in which they came.
    ///
    /// # Errors
    /// Why it is not known when that is; the call must not be made.
    pub async fn turn(&self) -> Result<(), String> {
        let mut last = self.last.lock().await;
        if let Some(shared) = &self.shared {
            shared().await?;
        }
        if let Some(last) = *last {
            tokio::time::sleep_until(last + self.apart).await;
        }
        *last = Some(Instant::now());
        Ok(())
    }
}

/// Waits for the turn of a call to this address, if the address is kept to.
///
/// # Errors
/// Why it is not known when that is; the call must not be made.
pub async fn turn_at(address: &str) -> Result<(), String> {
    let kept = {
        let known = ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(address).and_then(Weak::upgrade)
    };
    match kept {
        Some(kept) => kept.turn().await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn calls_of_all_processes_to_one_address_keep_their_distance() {
        let apart = Duration::from_millis(20);
        let kept = Address::keep("one.test:443", apart, None);
        let begun = Instant::now();
        for _ in 0..3 {
            assert_eq!(kept.turn().await, Ok(()));
            assert_eq!(turn_at("one.test:443").await, Ok(()));
            assert_eq!(turn_at("two.test:443").await, Ok(()));
        }
        assert!(begun.elapsed() >= apart * 5);
        let again = Address::keep("one.test:443", Duration::from_secs(3600), None);
        assert!(Arc::ptr_eq(&kept, &again), "one address, one pace");
        drop((kept, again));
        let known = ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = known.get("one.test:443").and_then(Weak::upgrade);
        assert!(gone.is_none(), "no caller keeps to it any more");
    }

    #[tokio::test]
    async fn each_call_takes_its_turn_among_all_processes() {
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let shared: Shared = Arc::new(move || {
            let turn = counted.fetch_add(1, Ordering::Relaxed);
            let answer = if turn < 2 {
                Ok(())
            } else {
                Err("the store is gone".to_owned())
            };
            Box::pin(std::future::ready(answer))
        });
        let kept = Address::keep("shared.test:443", Duration::ZERO, Some(shared));
        assert_eq!(kept.turn().await, Ok(()));
        assert_eq!(turn_at("shared.test:443").await, Ok(()));
        turn_at("shared.test:443").await.unwrap_err();
        assert_eq!(turns.load(Ordering::Relaxed), 3);
    }
}
