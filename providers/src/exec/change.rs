//! Changing through the program: read, have it changed, read again; nothing is believed that a read
//! does not show.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::Rng;

use super::Exec;
use super::program::Failure;
use super::protocol::{Change, Changes, Inspected, Look, Name, Names};
use crate::difference::{Difference, compare};
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{Receipt, TxtRecord, TxtRrset, TxtValue};
use crate::wish::{Done, gather, receipts};

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

type Looks = BTreeMap<String, Result<Look, ProviderError>>;
/// What each name's values are wanted to be.
pub(super) type Wishes = BTreeMap<String, BTreeSet<String>>;

/// A change of one name that is not made yet.
pub(super) struct Plan {
    pub(super) look: Look,
    pub(super) records: Vec<TxtRecord>,
}

impl Exec {
    /// Makes all values present or absent; results in the order of `values`.
    pub(super) async fn change(
        &self,
        values: &[TxtValue],
        verb: Verb,
    ) -> Vec<Result<Receipt, ProviderError>> {
        let wishes = gather(values).into_iter();
        let wishes: Wishes = wishes.map(|wish| (wish.owner, wish.values)).collect();
        let _turn = self.turn.lock().await;
        let outcomes = self.change_names(&wishes, verb).await;
        receipts(values, &outcomes)
    }

    /// One call per zone for as many names as fit; what fails together is tried one by one.
    async fn change_names(
        &self,
        wishes: &Wishes,
        verb: Verb,
    ) -> BTreeMap<String, Result<Done, ProviderError>> {
        let batch = match self.capabilities().await {
            Ok(capabilities) => capabilities.batch.max(1),
            Err(error) => {
                return wishes
                    .keys()
                    .map(|name| (name.clone(), Err(error.clone())))
                    .collect();
            }
        };
        let mut outcomes = BTreeMap::new();
        let names: Vec<String> = wishes.keys().cloned().collect();
        let mut zones: BTreeMap<String, Vec<Plan>> = BTreeMap::new();
        for (name, look) in self.looks(&names).await {
            let Some(wish) = wishes.get(&name) else {
                continue;
            };
            match look.and_then(|look| plan(look, wish, verb)) {
                Err(error) => drop(outcomes.insert(name, Err(error))),
                Ok(plan) if plan.records.is_empty() => {
                    drop(outcomes.insert(name, Ok(Done::nothing(plan.look.rrset))))
                }
                Ok(plan) => zones
                    .entry(plan.look.rrset.zone.apex.clone())
                    .or_default()
                    .push(plan),
            }
        }
        for plans in zones.into_values() {
            for plans in plans.chunks(batch) {
                outcomes.extend(self.change_chunk(plans, wishes, verb).await);
            }
        }
        if verb == Verb::Remove {
            self.remove_unseen(wishes, &mut outcomes).await;
        }
        outcomes
    }

    async fn change_chunk(
        &self,
        plans: &[Plan],
        wishes: &Wishes,
        verb: Verb,
    ) -> Vec<(String, Result<Done, ProviderError>)> {
        let name = |plan: &Plan| plan.look.rrset.owner.clone();
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
                    let Some(wish) = wishes.get(&name) else {
                        continue;
                    };
                    let before = may_be_done.then(|| plan.look.rrset.clone());
                    let outcome = self.change_one(&name, wish, verb, before).await;
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
        wish: &BTreeSet<String>,
        verb: Verb,
        mut before: Option<TxtRrset>,
    ) -> Result<Done, ProviderError> {
        let mut said = String::new();
        for attempt in 0..ATTEMPTS {
            let look = self.look_one(name).await?;
            let plan = plan(look, wish, verb)?;
            if plan.records.is_empty() {
                return Ok(match before {
                    Some(before) => done_after_all(before, plan.look, wish, verb),
                    None => Done::nothing(plan.look.rrset),
                });
            }
            match self.send(std::slice::from_ref(&plan), verb, false).await {
                Ok(()) => {
                    let mut proofs = self.read_back(std::slice::from_ref(&plan), verb).await;
                    // One plan, one outcome.
                    return proofs
                        .pop()
                        .map_or_else(|| Err(nobody_asked(name)), |(_, outcome)| outcome);
                }
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Changed(what)) => {
                    said = what;
                    let wait = rand::rng().random_range(10..=80_u64 << attempt);
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                Err(Failure::Open(error)) => {
                    // A read shows the outcome; the change is never sent again on its own.
                    let look = self
                        .look_one(name)
                        .await
                        .map_err(|error| error.after_loss(name))?;
                    let was = before.take().unwrap_or(plan.look.rrset);
                    let now = self::plan(look, wish, verb)?;
                    return if now.records.is_empty() {
                        Ok(done_after_all(was, now.look, wish, verb))
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
    pub(super) async fn rehearse(&self, look: &Look) -> Result<(), ProviderError> {
        let absent = format!("swiss-pki=preflight-{:016x}", rand::random::<u64>());
        let plan = Plan {
            look: look.clone(),
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
            .map(|plan| Change::new(&plan.look, &plan.records, self.settings.ttl));
        let names: Vec<&str> = plans
            .iter()
            .map(|plan| plan.look.rrset.owner.as_str())
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
                let outcome = outcomes.get(&plan.look.rrset.owner);
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
                .map(|plan| plan.look.rrset.owner.clone())
                .collect();
            let mut looks = self.looks(&names).await;
            for (plan, name) in open.into_iter().zip(names) {
                let look = looks
                    .remove(&name)
                    .unwrap_or_else(|| Err(nobody_asked(&name)));
                let outcome = look
                    .map_err(|error| error.after_loss(&name))
                    .and_then(|look| self.proven(plan, look, verb));
                outcomes.insert(name, outcome);
            }
        }
        outcomes.into_iter().collect()
    }

    /// Whether `look` shows what was planned, and nothing else changed.
    fn proven(&self, plan: &Plan, look: Look, verb: Verb) -> Result<Done, ProviderError> {
        let before = &plan.look.rrset;
        let steps = plan
            .look
            .serial
            .zip(look.serial)
            .map_or(1, |(old, new)| new.wrapping_sub(old));
        match compare(before, &look.rrset, &plan.records, verb == Verb::Add) {
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
            change_id: look.serial.map(|serial| format!("serial {serial}")),
            after: look.rrset,
        })
    }

    pub(super) async fn look_one(&self, name: &str) -> Result<Look, ProviderError> {
        let found = self.looks(&[name.to_owned()]).await.remove(name);
        found.unwrap_or_else(|| Err(nobody_asked(name)))
    }

    async fn looks(&self, names: &[String]) -> Looks {
        let mut looks = Looks::new();
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
                    looks.extend(names.iter().map(|name| (name.clone(), Err(error.clone()))))
                }
                Ok(answer) => {
                    let look = |name: &str, entry| {
                        let read = Name::read(name, entry).and_then(Name::look);
                        read.map_err(|error| ProviderError {
                            message: self.harmless(&error.message),
                            hint: error.hint.map(|hint| self.harmless(&hint)),
                            ..error
                        })
                    };
                    let mut found = Looks::new();
                    for (name, entry) in answer.about(names) {
                        // Which of the two is true, and which TTL, is not known.
                        let look = match found.contains_key(&name) {
                            true => Err(told_twice(&name)),
                            false => look(&name, entry),
                        };
                        found.insert(name, look);
                    }
                    looks.extend(names.iter().map(|name| {
                        (
                            name.clone(),
                            found
                                .remove(name)
                                .unwrap_or_else(|| Err(nobody_asked(name))),
                        )
                    }));
                }
            }
        }
        looks
    }
}

fn plan(look: Look, wish: &BTreeSet<String>, verb: Verb) -> Result<Plan, ProviderError> {
    if let (Verb::Add, Some(target)) = (verb, &look.rrset.cname) {
        let text = format!(
            "{} is an alias (a CNAME to {target}) and cannot hold a TXT value beside it",
            look.rrset.owner
        );
        return Err(ProviderError::new(ErrorKind::Unsafe, text)
            .with_hint("validate the parent domain instead; it covers this name"));
    }
    let records = match verb {
        Verb::Add => wish
            .iter()
            .filter(|value| !look.rrset.holds(value))
            .map(|value| TxtRecord::of(value))
            .collect(),
        Verb::Remove => {
            let ours =
                |record: &&TxtRecord| wish.iter().any(|value| record.joined() == value.as_bytes());
            look.rrset.records.iter().filter(ours).cloned().collect()
        }
    };
    Ok(Plan { look, records })
}

/// A run of unknown outcome did its work.
fn done_after_all(before: TxtRrset, look: Look, wish: &BTreeSet<String>, verb: Verb) -> Done {
    let changed = wish
        .iter()
        .filter(|value| before.holds(value) != (verb == Verb::Add))
        .cloned()
        .collect();
    Done {
        before,
        after: look.rrset,
        changed,
        change_id: look.serial.map(|serial| format!("serial {serial}")),
    }
}

fn told_twice(name: &str) -> ProviderError {
    let text = format!("the program told of {name} twice in one answer");
    ProviderError::new(ErrorKind::Settings, text).with_hint(
        "give each name once, with all its values and one TTL; where the zone has several TTLs for \
         one name, refuse the change",
    )
}

fn nobody_asked(name: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Settings,
        format!("the program gave no answer for {name}"),
    )
}
