//! The recent changes of this process. An API's list may show a change later; until then the list
//! is older than the change and proves nothing against it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

/// How long a list may lag behind a change that the API has confirmed.
const LAG: Duration = Duration::from_secs(300);
/// Before each further read of a list that does not show what the API has confirmed.
pub(crate) const WAITS_MS: [u64; 3] = [250, 1000, 3000];

/// The last change of one value at one name.
#[derive(Debug, Clone)]
struct Last {
    at: Instant,
    /// The entry that was removed, as it was listed; `None`: the value was added.
    removed: Option<Value>,
}

/// By zone, name and value.
type Key = (String, String, Vec<u8>);

/// The changes of the last minutes.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<HashMap<Key, Last>>);

impl Recent {
    /// Notes a change that the API has confirmed; of one that was removed the entry.
    pub(crate) fn note(&self, zone: &str, owner: &str, value: &[u8], removed: Option<Value>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, last| last.at.elapsed() < LAG);
        let at = Instant::now();
        all.insert(key(zone, owner, value), Last { at, removed });
    }

    /// How long ago a change was confirmed that the list contradicts: a value was added and no
    /// entry holds it, or the very entry that was removed is there. A change that the list shows is
    /// forgotten: what a later list shows was done by another writer. `listed`: the entries that
    /// hold the value.
    pub(crate) fn contradicted_by<'a>(
        &self,
        zone: &str,
        owner: &str,
        value: &[u8],
        mut listed: impl Iterator<Item = &'a Value>,
    ) -> Option<Duration> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(zone, owner, value);
        let last = all.get(&key)?;
        let contradicts = match &last.removed {
            None => listed.next().is_none(),
            Some(removed) => listed.any(|entry| entry == removed),
        };
        let ago = last.at.elapsed();
        if contradicts && ago < LAG {
            return Some(ago);
        }
        all.remove(&key);
        None
    }
}

fn key(zone: &str, owner: &str, value: &[u8]) -> Key {
    (zone.to_owned(), owner.to_owned(), value.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_older_than_a_change_until_it_has_shown_it() {
        let recent = Recent::default();
        let is_older = |entries: &[Value]| {
            let found = recent.contradicted_by("z", "a.ch", b"x", entries.iter());
            found.is_some()
        };
        let (old, new) = (Value::from("old"), Value::from("new"));
        assert!(!is_older(&[]));
        recent.note("z", "a.ch", b"x", None);
        assert!(is_older(&[]) && is_older(&[]));
        assert!(!is_older(std::slice::from_ref(&new)));
        // Another writer has removed it since.
        assert!(!is_older(&[]));
        recent.note("z", "a.ch", b"x", Some(old.clone()));
        assert!(is_older(std::slice::from_ref(&old)));
        // Another writer has added it since, as another entry.
        assert!(!is_older(&[new]) && !is_older(&[old]));
    }
}
