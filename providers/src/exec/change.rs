//! Changing through the program: read, have it changed, read again; nothing is believed that a read
//! does not show.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::Rng;

use super::Exec;
use super::program::Failure;
use super::protocol::{Change, Changes, Inspected, Name, Names, Reading};
use crate::difference::{Difference, compare};
use crate::edit::{Done, check, gather, receipts};
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{Receipt, RecordKind, TxtRecord, TxtRrset, TxtValue};

/// How often a change is tried when another writer changes the same RRset at the same time.
const ATTEMPTS: u32 = 5;
/// Names of one `inspect`.
const NAMES_AT_ONCE: usize = 200;
/// What is read may lag behind what was written for a moment.
pub(super) const READ_BACK_WAITS_MS: [u64; 6] = [0, 20, 100, 300, 800, 2000];

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Add,
    Remove,
}

impl Verb {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
        }
    }
}

type Readings = BTreeMap<String, Result<Reading, ProviderError>>;
/// The wanted values of each name.
pub(super) type Desired = BTreeMap<String, BTreeSet<String>>;

/// A change of one name that is not made yet.
pub(super) struct Plan {
    pub(super) reading: Reading,
    pub(super) records: Vec<TxtRecord>,
}

impl Exec {
    /// Makes all values present or absent; results in the order of `values`.
    pub(super) async fn change(
        &self,
        values: &[TxtValue],
        verb: Verb,
    ) -> Vec<Result<Receipt, ProviderError>> {
        let desired = gather(values, RecordKind::Txt, check).into_iter();
        let desired: Desired = desired
            .map(|values| (values.owner, values.values))
            .collect();
        let _turn = self.turn.lock().await;
        let outcomes = self.change_names(&desired, verb).await;
        receipts(values, &outcomes, check)
    }

    /// One call per zone for as many names as fit; what fails together is tried one by one.
    async fn change_names(
        &self,
        desired: &Desired,
        verb: Verb,
    ) -> BTreeMap<String, Result<Done, ProviderError>> {
        let batch = match self.capabilities().await {
            Ok(capabilities) => capabilities.batch.max(1),
            Err(error) => {
                return desired
                    .keys()
                    .map(|name| (name.clone(), Err(error.clone())))
                    .collect();
            }
        };
        let mut outcomes = BTreeMap::new();
        let names: Vec<String> = desired.keys().cloned().collect();
        let mut zones: BTreeMap<String, Vec<Plan>> = BTreeMap::new();
        for (name, reading) in self.read_names(&names).await {
            let Some(values) = desired.get(&name) else {
                continue;
            };
            match reading.and_then(|reading| plan(reading, values, verb)) {
                Err(error) => drop(outcomes.insert(name, Err(error))),
                Ok(plan) if plan.records.is_empty() => {
                    drop(outcomes.insert(name, Ok(Done::nothing(plan.reading.rrset))))
                }
                Ok(plan) => zones
                    .entry(plan.reading.rrset.zone.apex.clone())
                    .or_default()
                    .push(plan),
            }
        }
        for plans in zones.into_values() {
            for plans in plans.chunks(batch) {
                outcomes.extend(self.change_chunk(plans, desired, verb).await);
            }
        }
        if verb == Verb::Remove {
            self.remove_unseen(desired, &mut outcomes).await;
        }
        outcomes
    }

    async fn change_chunk(
        &self,
        plans: &[Plan],
        desired: &Desired,
        verb: Verb,
    ) -> Vec<(String, Result<Done, ProviderError>)> {
        let name = |plan: &Plan| plan.reading.rrset.owner.clone();
        let sent = match plans {
            [_] => None,
            many => Some(self.send(many, verb, false).await),
        };
        let mut outcomes = Vec::with_capacity(plans.len());
        match sent {
            Some(Ok(())) => outcomes = self.read_back(plans, verb).await,
            // Whatever name it is about, the next run fails the same way.
            Some(Err(Failure::Refused(error))) if error.kind == ErrorKind::Settings => {
                outcomes.extend(plans.iter().map(|plan| (name(plan), Err(error.clone()))));
            }
            Some(Err(_)) | None => {
                let may_be_done = matches!(sent, Some(Err(Failure::Open(_))));
                for plan in plans {
                    let name = name(plan);
                    let Some(values) = desired.get(&name) else {
                        continue;
                    };
                    let before = may_be_done.then(|| plan.reading.rrset.clone());
                    let outcome = self.change_one(&name, values, verb, before).await;
                    // What a run of unknown outcome began may still take effect.
                    let outcome = outcome.map_err(|error| {
                        if may_be_done {
                            error.after_loss(&name)
                        } else {
                            error
                        }
                    });
                    outcomes.push((name, outcome));
                }
            }
        }
        outcomes
    }

    /// Read, change, read again. `before`: a change from there may have been made.
    async fn change_one(
        &self,
        name: &str,
        values: &BTreeSet<String>,
        verb: Verb,
        mut before: Option<TxtRrset>,
    ) -> Result<Done, ProviderError> {
        let mut said = String::new();
        for attempt in 0..ATTEMPTS {
            let reading = self.read_one(name).await?;
            let plan = plan(reading, values, verb)?;
            if plan.records.is_empty() {
                return Ok(match before {
                    Some(before) => done_after_all(before, plan.reading, values, verb),
                    None => Done::nothing(plan.reading.rrset),
                });
            }
            match self.send(std::slice::from_ref(&plan), verb, false).await {
                Ok(()) => {
                    let mut proofs = self.read_back(std::slice::from_ref(&plan), verb).await;
                    // One plan, one outcome.
                    return proofs
                        .pop()
                        .map_or_else(|| Err(not_asked(name)), |(_, outcome)| outcome);
                }
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Changed(what)) => {
                    said = what;
                    let wait = rand::rng().random_range(10..=80_u64 << attempt);
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                Err(Failure::Open(error)) => {
                    // A read shows the outcome; the change is never sent again on its own.
                    let reading = self
                        .read_one(name)
                        .await
                        .map_err(|error| error.after_loss(name))?;
                    let was = before.take().unwrap_or(plan.reading.rrset);
                    let now = self::plan(reading, values, verb)?;
                    return if now.records.is_empty() {
                        Ok(done_after_all(was, now.reading, values, verb))
                    } else {
                        Err(error)
                    };
                }
            }
        }
        let text = format!(
            "the TXT values of {name} changed under each of {ATTEMPTS} attempts; nothing was written ({said})"
        );
        Err(ProviderError::new(ErrorKind::Unavailable, text).with_hint("try again"))
    }

    /// Has the program rehearse the addition of a random value.
    pub(super) async fn rehearse(&self, reading: &Reading) -> Result<(), ProviderError> {
        let absent = format!("swiss-pki=preflight-{:016x}", rand::random::<u64>());
        let plan = Plan {
            reading: reading.clone(),
            records: vec![TxtRecord::of(&absent)],
        };
        self.send(&[plan], Verb::Add, true)
            .await
            .map_err(|failure| {
                let error = ProviderError::from(failure);
                let kind = if error.kind == ErrorKind::Unknown {
                    ErrorKind::Unavailable
                } else {
                    error.kind
                };
                ProviderError { kind, ..error }
            })
    }

    pub(super) async fn send(
        &self,
        plans: &[Plan],
        verb: Verb,
        rehearsal: bool,
    ) -> Result<(), Failure> {
        let changes = plans
            .iter()
            .map(|plan| Change::new(&plan.reading, &plan.records, self.settings.ttl));
        let names: Vec<&str> = plans
            .iter()
            .map(|plan| plan.reading.rrset.owner.as_str())
            .take(3)
            .collect();
        let more = if plans.len() > 3 {
            format!(" and {} more", plans.len() - 3)
        } else {
            String::new()
        };
        let request = Changes {
            rehearsal,
            changes: changes.collect(),
        };
        self.run(
            verb.as_str(),
            &request,
            &format!("{}{more}", names.join(", ")),
        )
        .await
        .map(drop)
    }

    /// Reads until the changes show, and compares everything else with what was there before.
    async fn read_back(
        &self,
        plans: &[Plan],
        verb: Verb,
    ) -> Vec<(String, Result<Done, ProviderError>)> {
        let mut outcomes: BTreeMap<String, Result<Done, ProviderError>> = BTreeMap::new();
        for wait_ms in READ_BACK_WAITS_MS {
            let open = plans.iter().filter(|plan| {
                let outcome = outcomes.get(&plan.reading.rrset.owner);
                outcome.is_none_or(|outcome| {
                    outcome.as_ref().is_err_and(|error| {
                        matches!(error.kind, ErrorKind::Damaged | ErrorKind::Unknown)
                    })
                })
            });
            let open: Vec<&Plan> = open.collect();
            if open.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            let names: Vec<String> = open
                .iter()
                .map(|plan| plan.reading.rrset.owner.clone())
                .collect();
            let mut readings = self.read_names(&names).await;
            for (plan, name) in open.into_iter().zip(names) {
                let reading = readings
                    .remove(&name)
                    .unwrap_or_else(|| Err(not_asked(&name)));
                let outcome = reading
                    .map_err(|error| error.after_loss(&name))
                    .and_then(|reading| self.proven(plan, reading, verb));
                outcomes.insert(name, outcome);
            }
        }
        outcomes.into_iter().collect()
    }

    /// Whether `reading` shows what was planned, and nothing else changed.
    fn proven(&self, plan: &Plan, reading: Reading, verb: Verb) -> Result<Done, ProviderError> {
        let before = &plan.reading.rrset;
        let steps = plan
            .reading
            .serial
            .zip(reading.serial)
            .map_or(1, |(old, new)| new.wrapping_sub(old));
        match compare(before, &reading.rrset, &plan.records, verb == Verb::Add) {
            Err(Difference { ours: false, what }) if steps > 1 => {
                // Another writer changed the zone between the two reads.
                tracing::warn!(
                    name = before.owner,
                    steps,
                    "another change came at the same time: {what}"
                );
            }
            // By the program's own version of the zone the read is older than the change.
            Err(Difference { ours: true, what }) if steps == 0 => {
                let (program, name) = (self.settings.program.display(), &before.owner);
                let text = format!(
                    "{program} says it changed {name}, and a read of the same serial shows: {what}"
                );
                return Err(ProviderError::new(ErrorKind::Unavailable, text).after_loss(name));
            }
            Err(Difference { what, .. }) => {
                let (program, name) = (self.settings.program.display(), &before.owner);
                let text = format!("{program} says it changed {name}, and a read shows: {what}");
                return Err(ProviderError::new(ErrorKind::Damaged, text).with_hint(
                    "compare the zone with this message and put back by hand what is missing",
                ));
            }
            Ok(()) => {}
        }
        let changed = plan
            .records
            .iter()
            .map(|record| String::from_utf8_lossy(&record.joined()).into_owned());
        Ok(Done {
            before: before.clone(),
            changed: changed.collect(),
            change_id: reading.serial.map(|serial| format!("serial {serial}")),
            after: reading.rrset,
        })
    }

    pub(super) async fn read_one(&self, name: &str) -> Result<Reading, ProviderError> {
        let found = self.read_names(&[name.to_owned()]).await.remove(name);
        found.unwrap_or_else(|| Err(not_asked(name)))
    }

    async fn read_names(&self, names: &[String]) -> Readings {
        let mut readings = Readings::new();
        for names in names.chunks(NAMES_AT_ONCE) {
            let more = if names.len() > 1 {
                format!(" and {} more", names.len() - 1)
            } else {
                String::new()
            };
            let what = format!("{}{more}", names[0]);
            match self
                .ask::<Inspected>("inspect", &Names { names }, &what)
                .await
            {
                Err(error) => {
                    readings.extend(names.iter().map(|name| (name.clone(), Err(error.clone()))))
                }
                Ok(answer) => {
                    let reading = |name: &str, entry| {
                        let read = Name::read(name, entry).and_then(Name::reading);
                        read.map_err(|error| ProviderError {
                            message: self.harmless(&error.message),
                            hint: error.hint.map(|hint| self.harmless(&hint)),
                            ..error
                        })
                    };
                    let mut found = Readings::new();
                    for (name, entry) in answer.about(names) {
                        // Which of the two is true, and which TTL, is not known.
                        let reading = match found.contains_key(&name) {
                            true => Err(told_twice(&name)),
                            false => reading(&name, entry),
                        };
                        found.insert(name, reading);
                    }
                    readings.extend(names.iter().map(|name| {
                        (
                            name.clone(),
                            found.remove(name).unwrap_or_else(|| Err(not_asked(name))),
                        )
                    }));
                }
            }
        }
        readings
    }
}

fn plan(reading: Reading, values: &BTreeSet<String>, verb: Verb) -> Result<Plan, ProviderError> {
    if let (Verb::Add, Some(target)) = (verb, &reading.rrset.cname) {
        let text = format!(
            "{} is an alias (a CNAME to {target}) and cannot hold a TXT value beside it",
            reading.rrset.owner
        );
        return Err(ProviderError::new(ErrorKind::Unsafe, text)
            .with_hint("validate the parent domain instead; it covers this name"));
    }
    let records = match verb {
        Verb::Add => values
            .iter()
            .filter(|value| !reading.rrset.holds(value))
            .map(|value| TxtRecord::of(value))
            .collect(),
        Verb::Remove => {
            let ours = |record: &&TxtRecord| {
                values
                    .iter()
                    .any(|value| record.joined() == value.as_bytes())
            };
            reading.rrset.records.iter().filter(ours).cloned().collect()
        }
    };
    Ok(Plan { reading, records })
}

/// A run of unknown outcome did its work.
fn done_after_all(
    before: TxtRrset,
    reading: Reading,
    values: &BTreeSet<String>,
    verb: Verb,
) -> Done {
    let changed = values
        .iter()
        .filter(|value| before.holds(value) != (verb == Verb::Add))
        .cloned()
        .collect();
    Done {
        before,
        after: reading.rrset,
        changed,
        change_id: reading.serial.map(|serial| format!("serial {serial}")),
    }
}

fn told_twice(name: &str) -> ProviderError {
    let text = format!("the program told of {name} twice in one answer");
    ProviderError::new(ErrorKind::Settings, text).with_hint(
        "give each name once, with all its values and one TTL; where the zone has several TTLs for \
         one name, refuse the change",
    )
}

fn not_asked(name: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Settings,
        format!("the program gave no answer for {name}"),
    )
}
