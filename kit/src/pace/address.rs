//! The pace of an address: some sides count calls by the address that they come from, whoever makes
//! them. Calls of this process to such an address keep a distance from each other, without a burst.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

/// The addresses that are kept to now.
static ADDRESSES: LazyLock<Mutex<HashMap<String, Weak<Address>>>> = LazyLock::new(Mutex::default);

/// An address to which calls keep their distance, as long as this lives.
#[derive(Debug)]
pub struct Address {
    apart: Duration,
    last: tokio::sync::Mutex<Option<Instant>>,
}

impl Address {
    /// Has all calls to `address`, a host with its port, keep this distance from now on. Where the
    /// address is kept to already, the distance stays as it is.
    pub fn keep(address: &str, apart: Duration) -> Arc<Self> {
        let mut known = ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, kept| kept.strong_count() > 0);
        if let Some(kept) = known.get(address).and_then(Weak::upgrade) {
            return kept;
        }
        let kept = Arc::new(Self {
            apart,
            last: tokio::sync::Mutex::default(),
        });
        known.insert(address.to_owned(), Arc::downgrade(&kept));
        kept
    }

    /// Waits until the next call may go; callers go in the order in which they came.
    pub async fn turn(&self) {
        let mut last = self.last.lock().await;
        if let Some(last) = *last {
            tokio::time::sleep_until(last + self.apart).await;
        }
        *last = Some(Instant::now());
    }
}

/// Waits for the turn of a call to this address, if the address is kept to.
pub async fn turn_at(address: &str) {
    let kept = {
        let known = ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(address).and_then(Weak::upgrade)
    };
    if let Some(kept) = kept {
        kept.turn().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_of_everybody_to_one_address_keep_their_distance() {
        let apart = Duration::from_millis(20);
        let kept = Address::keep("one.test:443", apart);
        let begun = Instant::now();
        for _ in 0..3 {
            kept.turn().await;
            turn_at("one.test:443").await;
            turn_at("two.test:443").await;
        }
        assert!(begun.elapsed() >= apart * 5);
        let again = Address::keep("one.test:443", Duration::from_secs(3600));
        assert!(Arc::ptr_eq(&kept, &again), "one address, one pace");
        drop((kept, again));
        let known = ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = known.get("one.test:443").and_then(Weak::upgrade);
        assert!(gone.is_none(), "nobody keeps to it any more");
    }
}
