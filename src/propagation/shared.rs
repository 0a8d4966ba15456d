//! What walks of many domains share: the addresses of name servers that lie outside the domain's
//! own zone, for a minute.
//!
//! A thousand domains on four name servers then ask for these addresses once. Nothing about the
//! domain's own zone is ever shared: its delegation, its list of name servers and their addresses
//! inside it are read afresh by every check.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::rr::Name;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// How long they are shared: about as long as a batch of checks takes.
const SHARED: Duration = Duration::from_secs(60);
/// Name servers that are remembered before the forgotten ones are thrown away.
const MOST: usize = 4096;

/// Addresses by the name server's name.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<HashMap<Name, (Instant, Found)>>);

type Found = Arc<OnceCell<Vec<IpAddr>>>;

impl Addresses {
    /// The addresses of `host` that were found within the last minute, or else by `find`; a
    /// question in the meantime waits for that. So `find` must not come here itself: two that wait
    /// for each other would wait for ever.
    ///
    /// # Errors
    /// Those of `find`; nothing is remembered then.
    pub(super) async fn of<E>(
        &self,
        host: &Name,
        find: impl Future<Output = Result<Vec<IpAddr>, E>>,
    ) -> Result<Vec<IpAddr>, E> {
        let found = self.cell(host, Instant::now());
        found.get_or_try_init(|| find).await.cloned()
    }

    fn cell(&self, host: &Name, now: Instant) -> Found {
        let fresh = |at: &Instant| now.saturating_duration_since(*at) < SHARED;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, (at, _)| fresh(at));
        }
        // Thousands within a minute are more than any batch has: begin again.
        if known.len() >= MOST {
            known.clear();
        }
        match known.get(host) {
            Some((at, found)) if fresh(at) => Arc::clone(found),
            _ => {
                let found = Found::default();
                known.insert(host.clone(), (now, Arc::clone(&found)));
                found
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::future::join_all;

    use super::*;
    use crate::propagation::lab::name;

    #[tokio::test]
    async fn many_that_ask_at_once_share_one_search_and_a_failed_one_is_not_remembered() {
        let (addresses, searches) = (Addresses::default(), AtomicU32::new(0));
        let host = name("ns.hoster.test");
        let find = |result: Result<Vec<IpAddr>, ()>| {
            let searches = &searches;
            async move {
                searches.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                result
            }
        };
        assert!(addresses.of(&host, find(Err(()))).await.is_err());
        let address: IpAddr = [192, 0, 2, 1].into();
        let found = join_all((0..100).map(|_| addresses.of(&host, find(Ok(vec![address]))))).await;
        assert!(found.iter().all(|found| *found == Ok(vec![address])));
        assert_eq!(searches.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn after_a_minute_they_are_searched_again_and_never_are_too_many_kept() {
        let (addresses, now) = (Addresses::default(), Instant::now());
        let at = |nth: usize, now: Instant| addresses.cell(&name(&format!("ns{nth}.test")), now);
        assert!(Arc::ptr_eq(
            &at(0, now),
            &at(0, now + SHARED - Duration::from_millis(1))
        ));
        assert!(!Arc::ptr_eq(&at(0, now), &at(0, now + SHARED)));
        for nth in 0..2 * MOST {
            at(nth, now);
            assert!(addresses.0.lock().unwrap().len() <= MOST);
        }
    }
}
