//! Writes that are undecided, and removals of what no read shows. A read may be older than a write,
//! or come from another server than the one that is written to: "not seen" is not "removed". So the
//! program is told to remove the record all the same, and its word counts.
//!
//! A program that cannot remove what is not there is believed only if no write of the record is
//! undecided. Undecided changes are kept for the next process ([`Provider::memory`]).
//!
//! [`Provider::memory`]: crate::provider::Provider::memory

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::Exec;
use super::change::{Desired, Plan, Verb};
use super::program::Failure;
use super::protocol::Reading;
use crate::edit::Done;
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{Receipt, Record, RecordData, TxtRecord, TxtRrset};

/// At most this many are kept.
const MOST: usize = 1_000;

/// Name, type and data of each record.
#[derive(Debug, Default)]
pub(super) struct Undecided(Mutex<BTreeSet<[String; 3]>>);

fn key(owner: &str, data: &RecordData) -> [String; 3] {
    let (kind, data) = match data {
        RecordData::Txt(value) => ("TXT", value.as_str()),
        RecordData::Cname(target) => ("CNAME", target.trim_end_matches('.')),
    };
    [owner.to_owned(), kind.to_owned(), data.to_owned()]
}

impl Undecided {
    fn all(&self) -> MutexGuard<'_, BTreeSet<[String; 3]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, owner: &str, data: &RecordData) -> bool {
        self.all().contains(&key(owner, data))
    }

    /// Takes in what came of a change.
    pub(super) fn learn(
        &self,
        record: &Record,
        verb: Verb,
        answer: &Result<Receipt, ProviderError>,
    ) {
        let key = key(&record.owner, &record.data);
        let mut all = self.all();
        match answer {
            Ok(_) => {
                all.remove(&key);
            }
            Err(error) if verb == Verb::Add => {
                let is_open = matches!(error.kind, ErrorKind::Unknown | ErrorKind::Damaged);
                if is_open && all.len() < MOST {
                    all.insert(key);
                }
            }
            Err(_) => {}
        }
    }

    /// As text; empty without any.
    pub(super) fn remembered(&self) -> String {
        let all = self.all();
        match all.is_empty() {
            true => String::new(),
            false => json!({ "undecided": *all }).to_string(),
        }
    }

    /// Takes over what an earlier process has remembered.
    pub(super) fn remember(&self, memory: &str) {
        let memory = serde_json::from_str(memory).unwrap_or(Value::Null);
        let mut all = self.all();
        for one in memory["undecided"].as_array().into_iter().flatten() {
            if let Ok(key) = serde_json::from_value(one.clone())
                && all.len() < MOST
            {
                all.insert(key);
            }
        }
    }
}

impl Exec {
    /// Has values removed that no read has shown, and reads again.
    pub(super) async fn remove_unseen(
        &self,
        desired: &Desired,
        outcomes: &mut BTreeMap<String, Result<Done, ProviderError>>,
    ) {
        for (name, outcome) in outcomes {
            let (Ok(done), Some(values)) = (&*outcome, desired.get(name)) else {
                continue;
            };
            let unseen = values.iter().filter(|value| !done.before.holds(value));
            let unseen: Vec<&String> = unseen.collect();
            if unseen.is_empty() {
                continue;
            }
            let plan = Plan {
                reading: Reading {
                    rrset: done.after.clone(),
                    serial: None,
                },
                records: unseen.iter().map(|value| TxtRecord::of(value)).collect(),
            };
            let sent = self.send(&[plan], Verb::Remove, false).await;
            let is_open = unseen.iter().any(|value| {
                let data = RecordData::Txt((*value).clone());
                self.undecided.has(name, &data)
            });
            let is_there = |rrset: &TxtRrset| values.iter().any(|value| rrset.holds(value));
            if let Err(error) = self.judged(name, sent, is_open, is_there).await {
                *outcome = Err(error);
            }
        }
    }

    /// The same for an alias.
    pub(super) async fn remove_unseen_alias(
        &self,
        reading: &Reading,
        target: &str,
    ) -> Result<(), ProviderError> {
        let (owner, data) = (&reading.rrset.owner, RecordData::Cname(target.to_owned()));
        let sent = self.send_alias(reading, target, Verb::Remove, false).await;
        let is_open = self.undecided.has(owner, &data);
        self.judged(owner, sent, is_open, |rrset| rrset.has(&data))
            .await
    }

    /// Whether the record is gone, by the word of the program and by a read.
    async fn judged(
        &self,
        name: &str,
        sent: Result<(), Failure>,
        is_open: bool,
        is_there: impl Fn(&TxtRrset) -> bool,
    ) -> Result<(), ProviderError> {
        if let Err(failure) = sent {
            // What was read is not what is there.
            let is_open = is_open || matches!(failure, Failure::Changed(_));
            let error = ProviderError::from(failure);
            if is_open {
                return Err(error.after_loss(name));
            }
            tracing::debug!(name, %error, "what is not there could not be removed");
        }
        let reading = self.read_one(name).await;
        let reading = reading.map_err(|error| error.after_loss(name))?;
        if is_there(&reading.rrset) {
            let text = format!("{name}: a record came after its removal");
            return Err(ProviderError::new(ErrorKind::Unavailable, text).after_loss(name));
        }
        Ok(())
    }
}
