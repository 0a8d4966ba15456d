//! Which machines work with the store, and how the last run ended: two facts of the store, of which
//! each daemon writes one every minute and each run the other at its end.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::store::{Store, StoreError};

const DAEMONS: &str = "machines/daemons";
const LAST_RUN: &str = "machines/last-run";
/// A daemon that has not written for this time does not work.
const SILENT: SignedDuration = SignedDuration::from_mins(5);
/// A daemon that was silent for this time was removed.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The most daemons that are kept.
const MOST: usize = 100;

/// The machines that work with a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machines {
    /// When each daemon wrote last, by the name of its machine.
    pub daemons: BTreeMap<String, Timestamp>,
    /// The last run that came to its end, on any of them.
    pub last_run: Option<LastRun>,
}

/// A run that came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// The name of its machine.
    pub host: String,
    /// When.
    pub ended_at: Timestamp,
    /// Its exit status.
    pub exit: u8,
}

impl Machines {
    /// Reads both. What cannot be understood was written by another version, and is not known.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn read(store: &dyn Store, now: Timestamp) -> Result<Self, StoreError> {
        let last_run = store.fact(LAST_RUN).await?;
        Ok(Self {
            daemons: daemons(store.fact(DAEMONS).await?.as_deref(), now),
            last_run: last_run.and_then(|text| serde_json::from_str(&text).ok()),
        })
    }

    /// Whether a daemon works, as far as it wrote.
    pub fn works(seen_at: Timestamp, now: Timestamp) -> bool {
        now.duration_since(seen_at) < SILENT
    }
}

/// The name of this machine.
pub fn host() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}

/// Notes that the daemon of a machine works. Of two that write at one moment, one is noted with its
/// next time.
///
/// # Errors
/// An error of the store.
pub async fn note_daemon(store: &dyn Store, host: &str, now: Timestamp) -> Result<(), StoreError> {
    let mut all = daemons(store.fact(DAEMONS).await?.as_deref(), now);
    all.insert(host.to_owned(), now);
    while all.len() > MOST {
        let oldest = all.iter().min_by_key(|(_, at)| **at);
        let Some(oldest) = oldest.map(|(host, _)| host.clone()) else {
            break;
        };
        all.remove(&oldest);
    }
    // Names and moments: nothing in it can fail.
    let text = serde_json::to_string(&all).unwrap_or_default();
    store.set_fact(DAEMONS, &text).await
}

/// Notes how a run ended.
///
/// # Errors
/// An error of the store.
pub async fn note_run(store: &dyn Store, run: &LastRun) -> Result<(), StoreError> {
    let text = serde_json::to_string(run).unwrap_or_default();
    store.set_fact(LAST_RUN, &text).await
}

fn daemons(text: Option<&str>, now: Timestamp) -> BTreeMap<String, Timestamp> {
    let all = text.and_then(|text| serde_json::from_str(text).ok());
    let mut all: BTreeMap<String, Timestamp> = all.unwrap_or_default();
    all.retain(|_, at| now.duration_since(*at) < FORGOTTEN);
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::sqlite::SqliteStore;

    #[tokio::test]
    async fn each_daemon_is_known_until_it_was_silent_for_a_week() {
        let store = SqliteStore::open("sqlite::memory:", None).await.unwrap();
        let at = |hour: i64| Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap();
        for (host, hour) in [("a", 0), ("b", 1), ("a", 2)] {
            note_daemon(&store, host, at(hour)).await.unwrap();
        }
        let run = LastRun {
            host: "b".to_owned(),
            ended_at: at(2),
            exit: 4,
        };
        note_run(&store, &run).await.unwrap();
        let known = Machines::read(&store, at(3)).await.unwrap();
        let expected = [("a".to_owned(), at(2)), ("b".to_owned(), at(1))];
        assert_eq!(known.daemons, expected.into());
        assert_eq!(known.last_run, Some(run));
        let later = Machines::read(&store, at(2 + 7 * 24 - 1)).await.unwrap();
        assert_eq!(later.daemons.len(), 1);
        assert!(Machines::works(at(0), at(0)) && !Machines::works(at(0), at(1)));
        store
            .set_fact(DAEMONS, "[of another version]")
            .await
            .unwrap();
        let known = Machines::read(&store, at(3)).await.unwrap();
        assert_eq!(known.daemons.len(), 0);
    }
}
