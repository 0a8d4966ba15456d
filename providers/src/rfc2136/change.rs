//! Writing: guarded updates, repeated on a stale read, proved by reading back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, RecordType};
use rand::Rng;

use super::findings::Findings;
use super::look::{Look, unencodable};
use super::message::{Update, plain_name, wire_name};
use super::refusal::Request;
use super::tsig::{Reply, SignedRequest};
use super::{Rfc2136, exchange};
use crate::difference::{Difference, compare};
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{Receipt, TxtRecord, TxtRrset, TxtValue, Zone};

/// How often a change is tried when others change the same RRset at the same time.
const ATTEMPTS: u32 = 5;
/// How often a change is sent again after an answer got lost and a read showed that it was not
/// made.
const REPEATS_AFTER_LOSS: u32 = 1;
/// Octets of one message: a quarter of what DNS allows, so that guards and signature always fit.
const CHUNK_OCTETS: usize = 16 * 1024;
/// A read right after an accepted change may miss it where the server signs the zone inline
/// (measured: up to 4 ms).
const READ_BACK_WAITS_MS: [u64; 7] = [0, 10, 20, 50, 120, 300, 800];
/// Names looked at, and zones changed, at the same time.
const AT_ONCE: usize = 8;

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Present,
    Absent,
    /// What `Present` would send, with the deletion of the wished values, which are nowhere,
    /// instead of their addition.
    Rehearsal,
}

/// What became of a message.
#[derive(Debug)]
pub(super) enum Sent {
    /// NOERROR, verified.
    Done,
    /// A guard did not hold; nothing was changed.
    Conflict(ResponseCode),
    /// Sent, and no answer came.
    Lost(String),
    /// Refused or not sent. `everyone`: whatever name it is about, the next message fails the same
    /// way.
    Failed {
        error: ProviderError,
        everyone: bool,
    },
}

/// The values wanted at one name.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    owner: String,
    pub(super) values: BTreeSet<String>,
}

/// What was done for one name.
#[derive(Debug, Clone)]
pub(super) struct Done {
    pub(super) before: TxtRrset,
    after: TxtRrset,
    changed: BTreeSet<String>,
    serial: u32,
    /// The primary that the SOA names.
    pub(super) mname: String,
}

/// A change of one name that is not made yet.
struct Plan {
    look: Look,
    update: Update,
    /// The records that come or go.
    records: Vec<TxtRecord>,
    wish: Wish,
}

/// A change of one name whose message may have been done.
struct Open {
    before: TxtRrset,
    losses: u32,
}

impl Rfc2136 {
    /// Makes all values present or absent; results in the order of `values`.
    pub(super) async fn change(
        &self,
        values: &[TxtValue],
        verb: Verb,
    ) -> Vec<Result<Receipt, ProviderError>> {
        let mut outcomes: BTreeMap<String, Result<Done, ProviderError>> = BTreeMap::new();
        let mut wishes: BTreeMap<String, Wish> = BTreeMap::new();
        for TxtValue { owner, value } in values.iter().filter(|value| check(value).is_ok()) {
            let wish = wishes.entry(owner.clone()).or_insert_with(|| Wish {
                owner: owner.clone(),
                values: BTreeSet::new(),
            });
            wish.values.insert(value.clone());
        }
        let mut zones: BTreeMap<Zone, Vec<Wish>> = BTreeMap::new();
        let found = futures::stream::iter(wishes.into_values())
            .map(async |wish| (self.zone_of(&wish.owner).await, wish))
            .buffered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        for (zone, wish) in found {
            match zone {
                Ok(zone) => zones.entry(zone).or_default().push(wish),
                Err(error) => drop(outcomes.insert(wish.owner, Err(error))),
            }
        }
        let changed = futures::stream::iter(zones)
            .map(async |(zone, wishes)| {
                let queue = self.queue(&zone);
                let _turn = queue.lock().await;
                self.change_zone(&zone, wishes, verb).await
            })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        outcomes.extend(changed.into_iter().flatten());
        values
            .iter()
            .map(|wanted| {
                check(wanted)?;
                let done = outcomes.get(&wanted.owner).cloned().unwrap_or_else(|| {
                    let text = format!("nothing was tried for {}", wanted.owner);
                    Err(ProviderError::new(ErrorKind::Unavailable, text))
                })?;
                let changed = done.changed.contains(&wanted.value);
                let change_id = changed.then(|| format!("serial {}", done.serial));
                Ok(Receipt {
                    before: done.before,
                    after: done.after,
                    changed,
                    change_id,
                })
            })
            .collect()
    }

    /// One message for as many names as fit; a message that fails for one name's sake is taken
    /// apart.
    async fn change_zone(
        &self,
        zone: &Zone,
        wishes: Vec<Wish>,
        verb: Verb,
    ) -> Vec<(String, Result<Done, ProviderError>)> {
        let mut outcomes = Vec::new();
        if let [wish] = wishes.as_slice() {
            return vec![(
                wish.owner.clone(),
                self.change_owner(zone, wish, verb, None).await,
            )];
        }
        let looks = futures::stream::iter(wishes)
            .map(async |wish| (self.look(&wish.owner, zone).await, wish))
            .buffered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        let mut chunks: Vec<Vec<Plan>> = Vec::new();
        let mut room = 0;
        for (look, wish) in looks {
            match look.and_then(|look| self.plan(zone, look, &wish, verb, &Findings::default())) {
                Err(error) => outcomes.push((wish.owner, Err(error))),
                Ok(Err(look)) => outcomes.push((wish.owner, Ok(unchanged(look)))),
                Ok(Ok(plan)) => {
                    let size = plan.update.size();
                    match chunks.last_mut() {
                        Some(chunk) if size <= room => {
                            chunk.push(plan);
                            room -= size;
                        }
                        _ => {
                            chunks.push(vec![plan]);
                            room = CHUNK_OCTETS.saturating_sub(size);
                        }
                    }
                }
            }
        }
        for chunk in chunks {
            outcomes.extend(self.change_chunk(zone, chunk, verb).await);
        }
        outcomes
    }

    async fn change_chunk(
        &self,
        zone: &Zone,
        plans: Vec<Plan>,
        verb: Verb,
    ) -> Vec<(String, Result<Done, ProviderError>)> {
        let mut outcomes = Vec::new();
        let mut plans_left = plans.iter();
        let Some(first) = plans_left.next() else {
            return outcomes;
        };
        let mut message = first.update.clone();
        plans_left.for_each(|plan| message.append(&plan.update));
        let owners: Vec<&str> = plans.iter().map(|plan| plan.wish.owner.as_str()).collect();
        let sent = self.send(message, zone, &owners, &first.look.mname).await;
        if matches!(sent, Sent::Done) {
            let proofs = futures::stream::iter(plans)
                .map(async |plan| (plan.wish.owner.clone(), self.read_back(&plan, verb).await));
            return proofs.buffered(AT_ONCE).collect().await;
        }
        for plan in plans {
            let outcome = match &sent {
                Sent::Failed {
                    error,
                    everyone: true,
                } => Err(error.clone()),
                Sent::Done | Sent::Conflict(_) | Sent::Failed { .. } => {
                    self.change_owner(zone, &plan.wish, verb, None).await
                }
                Sent::Lost(_) => {
                    let open = Open {
                        before: plan.look.rrset.clone(),
                        losses: 1,
                    };
                    self.change_owner(zone, &plan.wish, verb, Some(open)).await
                }
            };
            outcomes.push((plan.wish.owner, outcome));
        }
        outcomes
    }

    /// What a change of `owner` would send, guards, fallbacks and all, with the deletion of a
    /// random value that is not there.
    pub(super) async fn rehearse(&self, zone: &Zone, owner: &str) -> Result<Done, ProviderError> {
        let absent = format!("swiss-pki=preflight-{:016x}", rand::random::<u64>());
        let wish = Wish {
            owner: owner.to_owned(),
            values: BTreeSet::from([absent]),
        };
        self.change_owner(zone, &wish, Verb::Rehearsal, None).await
    }

    /// What became of one name. `open`: a message about it was sent, and no answer came.
    async fn change_owner(
        &self,
        zone: &Zone,
        wish: &Wish,
        verb: Verb,
        mut open: Option<Open>,
    ) -> Result<Done, ProviderError> {
        let outcome = self.try_owner(zone, wish, verb, &mut open).await;
        // What was lost may still be on its way.
        outcome.map_err(|error| {
            if open.is_some() {
                error.after_loss(&wish.owner)
            } else {
                error
            }
        })
    }

    /// Look, plan, send, read back; again when the look was stale or the answer got lost.
    async fn try_owner(
        &self,
        zone: &Zone,
        wish: &Wish,
        verb: Verb,
        open: &mut Option<Open>,
    ) -> Result<Done, ProviderError> {
        let mut findings = Findings::default();
        let mut last = String::new();
        for attempt in 0..ATTEMPTS {
            let look = self.look(&wish.owner, zone).await?;
            let plan = match self.plan(zone, look, wish, verb, &findings)? {
                Ok(plan) => plan,
                Err(look) => {
                    let Some(Open { before, .. }) = open.take() else {
                        return Ok(unchanged(look));
                    };
                    // The lost answer was a success, as far as it was not so before.
                    let was = |value: &String| before.holds(value) == (verb == Verb::Present);
                    let changed = wish
                        .values
                        .iter()
                        .filter(|value| !was(value))
                        .cloned()
                        .collect();
                    let look = if keeps_some(&before, wish, verb) {
                        look.own()
                    } else {
                        look
                    };
                    return Ok(Done {
                        before,
                        after: look.rrset,
                        changed,
                        serial: look.serial,
                        mname: look.mname,
                    });
                }
            };
            if let Some(Open { losses, .. }) = open
                && *losses > REPEATS_AFTER_LOSS
            {
                return Err(undecided(
                    &wish.owner,
                    &format!("sent {losses} times without an answer, and not done yet: {last}"),
                ));
            }
            match self
                .send(plan.update.clone(), zone, &[&wish.owner], &plan.look.mname)
                .await
            {
                Sent::Done if verb == Verb::Rehearsal => return Ok(unchanged(plan.look)),
                Sent::Done => return self.read_back(&plan, verb).await,
                Sent::Lost(what) if verb == Verb::Rehearsal => {
                    let (owner, server) = (&wish.owner, &self.settings.server);
                    let text =
                        format!("checking the permission to write {owner} at {server}: {what}");
                    return Err(ProviderError::new(ErrorKind::Unavailable, text));
                }
                Sent::Failed { error, .. } => return Err(error),
                Sent::Conflict(ResponseCode::NXDomain) => {
                    if !self.is_empty_non_terminal(&plan.look.name).await? {
                        return Err(only_a_wildcard(&wish.owner));
                    }
                    findings.new_name = true;
                }
                Sent::Conflict(code) => {
                    // Looking again says whether an alias or a cut came between, or just another
                    // value.
                    last = format!("{code:?}");
                    findings.refused(plan.look, code);
                    let wait = rand::rng().random_range(5..=40 << attempt);
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                Sent::Lost(what) => {
                    last = what;
                    let losses = open.as_ref().map_or(0, |open| open.losses) + 1;
                    let before = open.take().map_or(plan.look.rrset, |open| open.before);
                    *open = Some(Open { before, losses });
                }
            }
        }
        let text = format!(
            "the TXT values of {} at {} changed under each of {ATTEMPTS} attempts ({last}); nothing was written",
            wish.owner, self.settings.server
        );
        Err(ProviderError::new(ErrorKind::Unavailable, text).with_hint(
            "try again; if it stays so, the server answers this host's reads from another view than the key's updates",
        ))
    }

    /// The guarded update that fulfils `wish`, or the look again when there is nothing to do.
    fn plan(
        &self,
        zone: &Zone,
        look: Look,
        wish: &Wish,
        verb: Verb,
        findings: &Findings,
    ) -> Result<Result<Plan, Look>, ProviderError> {
        let look = findings.read(look, wish, verb);
        let stored = &look.rrset.records;
        let records: Vec<TxtRecord> = match verb {
            Verb::Present => wish
                .values
                .iter()
                .filter(|value| !look.rrset.holds(value))
                .map(|value| TxtRecord::of(value))
                .collect(),
            Verb::Rehearsal => wish
                .values
                .iter()
                .map(|value| TxtRecord::of(value))
                .collect(),
            // In the split they are stored in: servers compare RDATA and say NOERROR to a delete
            // that matches nothing.
            Verb::Absent => {
                let ours = |record: &&TxtRecord| {
                    wish.values
                        .iter()
                        .any(|value| record.joined() == value.as_bytes())
                };
                stored.iter().filter(ours).cloned().collect()
            }
        };
        if records.is_empty() {
            return Ok(Err(look));
        }
        let mut update = Update::of(wire_name(&zone.apex).map_err(unencodable)?);
        update.require_safe_owner(&look.name);
        if findings.any_values(&look.rrset) {
            update.require(&look.name, RecordType::TXT, DNSClass::ANY);
        } else {
            update.require_txt(&look.name, stored);
        }
        // A new name under a wildcard takes the wildcard's answers of every type away from that
        // name (RFC 4592, section 2.2.1). Unless that is allowed, the name must exist already, and
        // the server checks it in the same step.
        let shadow_allowed = self.settings.allow_wildcard_shadow || findings.new_name;
        if verb != Verb::Absent && look.under_wildcard && stored.is_empty() && !shadow_allowed {
            update.require(&look.name, RecordType::ANY, DNSClass::ANY);
        }
        // The TTL is the RRset's (RFC 2181, section 5.2): one record with another TTL changes
        // everybody's.
        let ttl = look.rrset.ttl.unwrap_or(self.settings.ttl);
        match verb {
            Verb::Present => records
                .iter()
                .for_each(|record| update.insert(&look.name, ttl, record)),
            Verb::Absent | Verb::Rehearsal => records
                .iter()
                .for_each(|record| update.delete(&look.name, record)),
        }
        if update.size() > usize::from(u16::MAX) - 1024 {
            let text = format!(
                "the TXT values of {} and the new ones together do not fit into one update",
                wish.owner
            );
            return Err(ProviderError::new(ErrorKind::Unsafe, text));
        }
        Ok(Ok(Plan {
            look,
            update,
            records,
            wish: wish.clone(),
        }))
    }

    /// Signs, sends, judges.
    pub(super) async fn send(
        &self,
        update: Update,
        zone: &Zone,
        owners: &[&str],
        mname: &str,
    ) -> Sent {
        let server = &self.settings.server;
        let request = match SignedRequest::sign(update.message(), &self.settings.key, (self.now)())
        {
            Ok(request) => request,
            Err(fault) => {
                return Sent::Failed {
                    error: unencodable(format!("the update of {}: {fault}", zone.apex)),
                    everyone: false,
                };
            }
        };
        let octets = match exchange::exchange(server, self.settings.patience, &request.octets).await
        {
            Ok(octets) => octets,
            Err(exchange::NoAnswer::Sent(what)) => return Sent::Lost(what),
            Err(exchange::NoAnswer::NotSent(what)) => {
                let text = format!(
                    "updating {} in the zone {} at {server}: {what}",
                    owners.join(", "),
                    zone.apex
                );
                let error = ProviderError::new(ErrorKind::Unavailable, text)
                    .with_hint("check `server`, and that the server listens on TCP and no firewall stands between");
                return Sent::Failed {
                    error,
                    everyone: true,
                };
            }
        };
        let now = (self.now)();
        let reply = request.judge(&octets, now);
        tracing::debug!(%server, zone = zone.apex, owners = owners.join(" "), ?reply, "update");
        match reply {
            Reply::Verified(ResponseCode::NoError) => Sent::Done,
            Reply::Verified(
                code @ (ResponseCode::NXRRSet
                | ResponseCode::YXRRSet
                | ResponseCode::NXDomain
                | ResponseCode::YXDomain),
            ) => Sent::Conflict(code),
            other => {
                use hickory_proto::rr::rdata::tsig::TsigError::{BadSig, BadTime};
                let everyone = matches!(
                    other,
                    Reply::Rejected {
                        error: BadSig | BadTime,
                        ..
                    }
                );
                let (server, owners) = (server.to_string(), owners.join(", "));
                let key = format!(
                    "{} ({})",
                    self.settings.key.name,
                    self.settings.key.algorithm()
                );
                let request = Request {
                    server,
                    key,
                    zone: &zone.apex,
                    owners,
                    mname,
                    now,
                };
                Sent::Failed {
                    error: request.refused(&other),
                    everyone,
                }
            }
        }
    }

    /// Reads until the change shows, and compares everything else with what was there before.
    async fn read_back(&self, plan: &Plan, verb: Verb) -> Result<Done, ProviderError> {
        let before = &plan.look.rrset;
        let owner = &plan.wish.owner;
        let mut damage = String::new();
        for wait_ms in READ_BACK_WAITS_MS {
            if wait_ms > 0 {
                // The timer counts in steps of a millisecond: a sleep of nothing takes one, too.
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            }
            let look = self.look(owner, &before.zone).await.map_err(|error| {
                undecided(
                    owner,
                    &format!("the server accepted the change, and it cannot be read back: {error}"),
                )
            })?;
            let look = if keeps_some(before, &plan.wish, verb) {
                look.own()
            } else {
                look
            };
            let difference = compare(before, &look.rrset, &plan.records, verb == Verb::Present);
            let serials = look.serial.wrapping_sub(plan.look.serial);
            match difference {
                Err(Difference { ours: false, what }) if serials > 1 => {
                    // Somebody else wrote between our two reads, and only that can have done it:
                    // our message adds or removes one exact value. Where each change counts the
                    // serial up by one, our own damage shows as one step.
                    tracing::warn!(
                        owner,
                        serials,
                        "another change came at the same time: {what}"
                    );
                }
                Err(Difference { what, .. }) => {
                    damage = what;
                    continue;
                }
                Ok(()) => {}
            }
            let changed = plan
                .records
                .iter()
                .map(|record| String::from_utf8_lossy(&record.joined()).into_owned());
            let changed = changed.collect();
            return Ok(Done {
                before: before.clone(),
                after: look.rrset,
                changed,
                serial: look.serial,
                mname: look.mname,
            });
        }
        let text = format!(
            "{} accepted a change of {owner}, and a read shows: {damage}",
            self.settings.server
        );
        Err(ProviderError::new(ErrorKind::Damaged, text)
            .with_hint("compare the zone with this message and put back by hand what is missing"))
    }
}

/// Whether TXT records stay at the name, so that no wildcard answers for it after the change from
/// `before`.
fn keeps_some(before: &TxtRrset, wish: &Wish, verb: Verb) -> bool {
    let goes = |record: &TxtRecord| {
        wish.values
            .iter()
            .any(|value| record.joined() == value.as_bytes())
    };
    verb != Verb::Absent || !before.records.iter().all(goes)
}

/// Why a name cannot take a value although the server is willing.
fn only_a_wildcard(owner: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Unsafe,
        format!("{owner} exists only through a wildcard; a TXT value there would take the wildcard's other answers away from it"),
    )
    .with_hint("validate the parent domain instead, it covers this name; or set allow_wildcard_shadow = true")
}

fn undecided(owner: &str, what: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Unknown,
        format!("the change of {owner} is undecided: {what}"),
    )
    .with_hint("it is looked at again before anything else is done; nothing needs to be repaired")
}

fn unchanged(look: Look) -> Done {
    let Look {
        rrset,
        serial,
        mname,
        ..
    } = look;
    Done {
        before: rrset.clone(),
        after: rrset,
        changed: BTreeSet::new(),
        serial,
        mname,
    }
}

/// What no zone is asked about.
fn check(value: &TxtValue) -> Result<(), ProviderError> {
    if value.value.is_empty() {
        return Err(ProviderError::new(
            ErrorKind::Settings,
            format!("an empty TXT value for {}", value.owner),
        ));
    }
    let name = wire_name(&value.owner).map_err(unencodable)?;
    if plain_name(&name) != value.owner {
        let text = format!(
            "{:?} is not in lower case without a trailing dot",
            value.owner
        );
        return Err(ProviderError::new(ErrorKind::Settings, text));
    }
    Ok(())
}
