//! Writing: guarded updates, repeated on a stale read, proved by reading back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use hickory_proto::op::ResponseCode;
use rand::Rng;

use super::Rfc2136;
use super::ask::Visit;
use super::findings::{Findings, Place};
use super::look::Look;
use super::message::{Update, wire_name};
use super::outcome::{behind, changing, found_done, made_up, only_a_wildcard};
use super::plan::{Limits, Next, Plan, Verb, Wish, absent_value, check, plan};
use super::proof::{Done, undecided};
use super::send::{About, Sent};
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{Receipt, TxtRecord, TxtRrset, TxtValue, Zone};

/// How often a change is tried when others change the same zone at the same time, or the server
/// that is read is behind.
const ATTEMPTS: u32 = 8;
/// How often a change is sent again after an answer got lost and a read showed that it was not
/// made.
const REPEATS_AFTER_LOSS: u32 = 1;
/// How long a server that is behind is given before it is looked at again.
const BEHIND_WAIT: Duration = Duration::from_millis(300);
/// How often the zone that takes the updates must say that it has another SOA before a server that
/// stores another SOA than it shows is taken for such.
const OTHERS_BEFORE_INCOMPARABLE: u32 = 3;
/// Octets of one message: a quarter of what DNS allows, so that guards and signature always fit.
const CHUNK_OCTETS: usize = 16 * 1024;
/// Names of one zone looked at together: each message changes the SOA that the next one requires.
const NAMES_AT_ONCE: usize = 64;
/// Names looked at, and zones changed, at the same time.
const AT_ONCE: usize = 8;

/// A change of one name whose message may have been done.
pub(super) struct Open {
    pub(super) before: TxtRrset,
    losses: u32,
}

/// What goes on after a message.
#[allow(
    clippy::large_enum_variant,
    reason = "one value at a time, which is taken apart at once"
)]
enum Then {
    Again(String),
    /// After a moment: others write at the same time.
    AgainLater(String),
    End(Result<Done, ProviderError>),
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
            .map(async |wish| (Visit::new(self).zone_of(&wish.owner).await, wish))
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
                Visit::new(self).change_zone(&zone, wishes, verb).await
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
}

impl Visit<'_> {
    /// What a change of `owner` would send, guards, fallbacks and all, with the deletion of a
    /// random value that is not there.
    pub(super) async fn rehearse(&self, zone: &Zone, owner: &str) -> Result<Done, ProviderError> {
        let absent = String::from_utf8_lossy(&absent_value().joined()).into_owned();
        let wish = Wish {
            owner: owner.to_owned(),
            values: BTreeSet::from([absent]),
        };
        self.change_owner(zone, &wish, Verb::Rehearsal, None).await
    }

    /// One message for as many names as fit; a message that fails for one name's sake is taken
    /// apart.
    async fn change_zone(
        &self,
        zone: &Zone,
        wishes: Vec<Wish>,
        verb: Verb,
    ) -> Vec<(String, Result<Done, ProviderError>)> {
        if let [wish] = wishes.as_slice() {
            return vec![(
                wish.owner.clone(),
                self.change_owner(zone, wish, verb, None).await,
            )];
        }
        let mut outcomes = Vec::new();
        let mut wishes = wishes.into_iter().peekable();
        while wishes.peek().is_some() {
            let looks = futures::stream::iter(wishes.by_ref().take(NAMES_AT_ONCE))
                .map(async |wish| (self.look(&wish.owner, zone).await, wish))
                .buffered(AT_ONCE)
                .collect::<Vec<_>>()
                .await;
            let mut chunks: Vec<Vec<Plan>> = Vec::new();
            let mut room = 0;
            for (look, wish) in looks {
                match look.and_then(|look| self.plan(zone, look, &wish, verb, &Findings::default()))
                {
                    Err(error) => outcomes.push((wish.owner, Err(error))),
                    Ok(Next::Nothing(look)) => {
                        outcomes.push((wish.owner, Ok(Done::nothing(look))));
                    }
                    Ok(Next::Send(plan)) => {
                        let size = plan.update.size();
                        match chunks.last_mut() {
                            // All that was read for one message is of one state of the zone.
                            Some(chunk) if size <= room && chunk[0].look.soa == plan.look.soa => {
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
        let values = plans.iter().map(|plan| plan.look.rrset.records.len());
        let about = About {
            zone,
            owners: &owners,
            mname: &first.look.mname(),
            values: values.max().unwrap_or(0),
        };
        let sent = self.send(message, &about).await;
        if matches!(sent, Sent::Done) {
            let proofs = futures::stream::iter(plans)
                .map(async |plan| (plan.wish.owner.clone(), self.prove(plan, verb).await));
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

    /// What an accepted message has done.
    async fn prove(&self, plan: Plan, verb: Verb) -> Result<Done, ProviderError> {
        if verb == Verb::Rehearsal || plan.records.is_empty() {
            return Ok(Done::nothing(plan.look));
        }
        self.read_back(&plan, verb).await
    }

    fn plan(
        &self,
        zone: &Zone,
        look: Look,
        wish: &Wish,
        verb: Verb,
        findings: &Findings,
    ) -> Result<Next, ProviderError> {
        let limits = Limits {
            ttl: self.provider.settings.ttl,
            wildcard_shadow: self.provider.settings.allow_wildcard_shadow,
        };
        plan(zone, look, wish, verb, findings, limits)
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
            if findings.is_unmoved(&look) || findings.others >= OTHERS_BEFORE_INCOMPARABLE {
                self.find_place(zone, &wish.owner, &look, &mut findings)
                    .await?;
                if findings.place == Place::Other {
                    if !self.waits() {
                        break;
                    }
                    tokio::time::sleep(BEHIND_WAIT).await;
                    continue;
                }
            }
            let plan = match self.plan(zone, look, wish, verb, &findings)? {
                Next::Send(plan) => plan,
                Next::Nothing(look) => return Ok(found_done(look, wish, verb, open.take())),
            };
            if let Some(Open { losses, .. }) = open
                && *losses > REPEATS_AFTER_LOSS + u32::from(plan.records.is_empty())
            {
                let text =
                    format!("sent {losses} times without an answer, and not done yet: {last}");
                return Err(undecided(&wish.owner, &text));
            }
            let (owners, mname) = ([wish.owner.as_str()], plan.look.mname());
            let about = About::one(zone, &owners, &mname, &plan.look);
            let sent = self.send(plan.update.clone(), &about).await;
            match self.after(sent, plan, verb, &mut findings, open).await {
                Then::End(outcome) => return outcome,
                Then::Again(said) => last = said,
                Then::AgainLater(said) => {
                    last = said;
                    let wait = rand::rng().random_range(5..=40 << attempt.min(4));
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
            }
        }
        Err(self.given_up(zone, wish, verb, &findings, &last).await)
    }

    /// What a message about one name has led to.
    async fn after(
        &self,
        sent: Sent,
        plan: Plan,
        verb: Verb,
        findings: &mut Findings,
        open: &mut Option<Open>,
    ) -> Then {
        let owner = plan.wish.owner.clone();
        match sent {
            Sent::Done if verb == Verb::Rehearsal => Then::End(Ok(Done::nothing(plan.look))),
            Sent::Done if plan.records.is_empty() => {
                Then::End(Ok(found_done(plan.look, &plan.wish, verb, open.take())))
            }
            Sent::Done => Then::End(self.read_back(&plan, verb).await),
            Sent::Lost(what) if verb == Verb::Rehearsal => {
                let server = &self.provider.settings.server;
                let text = format!("checking the permission to write {owner} at {server}: {what}");
                Then::End(Err(ProviderError::new(ErrorKind::Unavailable, text)))
            }
            Sent::Failed { error, .. } => Then::End(Err(error)),
            Sent::Conflict(ResponseCode::NXDomain) => {
                match self.is_empty_non_terminal(&plan.look.name).await {
                    Err(error) => Then::End(Err(error)),
                    Ok(false) => Then::End(Err(only_a_wildcard(&owner))),
                    Ok(true) => {
                        findings.new_name = true;
                        Then::Again("NXDomain".to_owned())
                    }
                }
            }
            Sent::Conflict(code) => {
                // Looking again says whether an alias or a cut came between, or just another
                // value.
                let look = plan.look.clone();
                findings.refused(plan, code);
                if findings.is_made_up() {
                    let server = self.provider.settings.server.to_string();
                    return Then::End(match verb {
                        Verb::Absent => Ok(Done::nothing(look)),
                        _ => Err(made_up(&server, &owner)),
                    });
                }
                Then::AgainLater(format!("{code:?}"))
            }
            Sent::Lost(what) => {
                let losses = open.as_ref().map_or(0, |open| open.losses) + 1;
                let before = open.take().map_or(plan.look.rrset, |open| open.before);
                *open = Some(Open { before, losses });
                Then::Again(what)
            }
        }
    }

    /// Guards were refused, and the server still shows what they were made from: the zone that
    /// takes the updates is asked whether it is in the state that was read.
    async fn find_place(
        &self,
        zone: &Zone,
        owner: &str,
        look: &Look,
        findings: &mut Findings,
    ) -> Result<(), ProviderError> {
        if matches!(findings.place, Place::Same | Place::Incomparable) {
            return Ok(());
        }
        let (owners, mname) = ([owner], look.mname());
        let about = About::one(zone, &owners, &mname, look);
        findings.place = match self.compare_soa(&about, look, &look.soa).await {
            Sent::Done => Place::Same,
            Sent::Conflict(_) => {
                findings.others += 1;
                if findings.others >= OTHERS_BEFORE_INCOMPARABLE
                    && self.may_store_another_soa(zone).await
                {
                    Place::Incomparable
                } else {
                    Place::Other
                }
            }
            Sent::Failed { error, .. } => return Err(error),
            Sent::Lost(what) => {
                let server = &self.provider.settings.server;
                let text = format!("asking {server} for the state of {}: {what}", zone.apex);
                return Err(ProviderError::new(ErrorKind::Unavailable, text));
            }
        };
        Ok(())
    }

    /// Whether the server may show another SOA than it compares: it signs the zone, or it is
    /// PowerDNS, which can be told to (SOA-EDIT).
    async fn may_store_another_soa(&self, zone: &Zone) -> bool {
        self.is_signed(zone).await || self.is_powerdns().await
    }

    pub(super) async fn is_powerdns(&self) -> bool {
        let software = self.questions().software().await;
        software.is_some_and(|software| software.contains("PowerDNS"))
    }

    /// Why nothing came of all attempts.
    async fn given_up(
        &self,
        zone: &Zone,
        wish: &Wish,
        verb: Verb,
        findings: &Findings,
        last: &str,
    ) -> ProviderError {
        let (owner, server) = (&wish.owner, self.provider.settings.server.to_string());
        if findings.place != Place::Other {
            return changing(&server, owner, last);
        }
        let shown = findings.serial().unwrap_or_default();
        self.waits_no_more();
        if verb != Verb::Absent {
            return behind(&server, zone, owner, shown);
        }
        // The deletion names our value and nothing else, so it is right in every state of the zone.
        // What it did is not known before a read of that zone shows it.
        match self.delete_unseen(zone, wish).await {
            Sent::Done => undecided(
                owner,
                &format!(
                    "{server} took the deletion and shows the zone {} as of before (serial {shown}): it forwards updates to another server and has not got the latest state yet, or answers from another view",
                    zone.apex
                ),
            ),
            Sent::Failed { error, .. } => error,
            Sent::Conflict(code) => changing(&server, owner, &format!("{code:?}")),
            Sent::Lost(what) => undecided(owner, &what),
        }
    }

    async fn delete_unseen(&self, zone: &Zone, wish: &Wish) -> Sent {
        let names = wire_name(&zone.apex).and_then(|apex| Ok((apex, wire_name(&wish.owner)?)));
        let (apex, name) = match names {
            Ok(names) => names,
            Err(fault) => return Sent::Lost(fault),
        };
        let mut update = Update::of(apex);
        update.require_safe_owner(&name);
        for value in &wish.values {
            update.delete(&name, &TxtRecord::of(value));
        }
        let about = About {
            zone,
            owners: &[&wish.owner],
            mname: &zone.apex,
            values: 0,
        };
        self.send(update, &about).await
    }
}
