//! Writing: guarded updates, repeated on a stale read, proved by reading back.

use std::time::Duration;

use futures::StreamExt;
use hickory_proto::op::ResponseCode;
use rand::Rng;

use super::Rfc2136;
use super::ask::Visit;
use super::cname::beside_others;
use super::edit::{Done, Limits, Next, Open, Plan, Verb};
use super::findings::{Findings, Place};
use super::message::plain_name;
use super::outcome::{found_done, made_up};
use super::plan::{check, plan};
use super::reading::Reading;
use super::send::{About, Sent};
use crate::edit::{Edit, change_zones, gather, in_order, receipts};
use crate::provider::{ErrorKind, ProviderError, only_a_wildcard};
use crate::record::{Receipt, Record, RecordKind, TxtValue, Zone, cname_values, txt_values};

/// How often a change is tried when another writer changes the same zone at the same time, or the
/// server that is read is behind.
const ATTEMPTS: u32 = 8;
/// How often a change is sent again after an answer got lost and a read showed that it was not
/// made.
const REPEATS_AFTER_LOSS: u32 = 1;
/// The pause before a server that lags is read again.
const BEHIND_WAIT: Duration = Duration::from_millis(300);
/// How often the zone that takes the updates must say that it has another SOA before a server that
/// stores another SOA than it shows is taken for such.
pub(super) const OTHERS_BEFORE_INCOMPARABLE: u32 = 3;
/// Octets of one message: a quarter of what DNS allows, so that guards and signature always fit.
const CHUNK_OCTETS: usize = 16 * 1024;
/// Names of one zone that are read together: each message changes the SOA that the next one
/// requires.
const NAMES_AT_ONCE: usize = 64;
/// Names that are read at the same time.
const AT_ONCE: usize = 8;

/// The work that continues after a message.
#[allow(
    clippy::large_enum_variant,
    reason = "one value at a time, which is taken apart at once"
)]
enum Then {
    Again(String),
    /// After a moment: another writer changes the zone at the same time.
    AgainLater(String),
    End(Result<Done, ProviderError>),
}

impl Rfc2136 {
    /// Makes all records present or absent; results in the order of `records`.
    pub(super) async fn change(
        &self,
        records: &[Record],
        verb: Verb,
    ) -> Vec<Result<Receipt, ProviderError>> {
        let (txt, aliases) = (txt_values(records), cname_values(records));
        let txt = self.change_kind(&txt, RecordKind::Txt, verb).await;
        let aliases = self.change_kind(&aliases, RecordKind::Cname, verb).await;
        in_order(records, txt, aliases)
    }

    /// A message is about one type: a CNAME and a TXT value of one name exclude each other, and only
    /// a read in between shows it.
    async fn change_kind(
        &self,
        values: &[TxtValue],
        kind: RecordKind,
        verb: Verb,
    ) -> Vec<Result<Receipt, ProviderError>> {
        let check = |value: &TxtValue| check(value, kind);
        let find = async |owner: String| Visit::new(self).zone_of(&owner).await;
        let change = async |(zone, edits): (Zone, _)| {
            let _turn = self.queues.turn(zone.apex.clone()).await;
            let outcomes = Visit::new(self).change_zone(&zone, edits, verb).await;
            let common = |(owner, outcome): (_, Result<Done, _>)| (owner, outcome.map(Into::into));
            outcomes.into_iter().map(common).collect()
        };
        let outcomes = change_zones(gather(values, kind, check), find, change).await;
        receipts(values, &outcomes, check)
    }
}

/// Whether a removal of TXT values may have failed because an alias is at the name.
fn is_at_alias(error: &ProviderError, edit: &Edit, verb: Verb) -> bool {
    verb == Verb::Absent && edit.kind == RecordKind::Txt && error.kind == ErrorKind::Unsafe
}

/// The outcome of one name.
type Outcome = (String, Result<Done, ProviderError>);

impl Visit<'_> {
    /// One message for as many names as fit; a message that fails for one name's sake is taken
    /// apart.
    async fn change_zone(&self, zone: &Zone, edits: Vec<Edit>, verb: Verb) -> Vec<Outcome> {
        if let [edit] = edits.as_slice() {
            let outcome = self.change_owner(zone, edit, verb, None).await;
            return vec![(edit.owner.clone(), outcome)];
        }
        let mut outcomes = Vec::new();
        let mut edits = edits.into_iter().peekable();
        while edits.peek().is_some() {
            let readings = futures::stream::iter(edits.by_ref().take(NAMES_AT_ONCE))
                .map(async |edit| {
                    let reading = self.read_for(&edit.owner, zone, edit.kind).await;
                    (self.with_room(reading, &edit, verb).await, edit)
                })
                .buffered(AT_ONCE)
                .collect::<Vec<_>>()
                .await;
            let mut chunks: Vec<Vec<Plan>> = Vec::new();
            let mut room = 0;
            for (read, edit) in readings {
                match read.and_then(|(reading, findings)| {
                    self.plan(zone, reading, &edit, verb, &findings)
                }) {
                    // It may be an alias, where a TXT value cannot be any more.
                    Err(error) if is_at_alias(&error, &edit, verb) => {
                        let outcome = self.change_owner(zone, &edit, verb, None).await;
                        outcomes.push((edit.owner, outcome));
                    }
                    Err(error) => outcomes.push((edit.owner, Err(error))),
                    Ok(Next::Nothing(reading)) => {
                        outcomes.push((edit.owner, Ok(Done::nothing(reading))));
                    }
                    Ok(Next::Send(plan)) => {
                        let size = plan.update.size();
                        match chunks.last_mut() {
                            // All that was read for one message is of one state of the zone.
                            Some(chunk)
                                if size <= room && chunk[0].reading.soa == plan.reading.soa =>
                            {
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

    async fn change_chunk(&self, zone: &Zone, plans: Vec<Plan>, verb: Verb) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut plans_left = plans.iter();
        let Some(first) = plans_left.next() else {
            return outcomes;
        };
        let mut message = first.update.clone();
        plans_left.for_each(|plan| message.append(&plan.update));
        let owners: Vec<&str> = plans.iter().map(|plan| plan.edit.owner.as_str()).collect();
        let values = plans.iter().map(|plan| plan.reading.rrset.records.len());
        let about = About {
            zone,
            owners: &owners,
            mname: &first.reading.mname(),
            values: values.max().unwrap_or(0),
            kind: first.reading.kind,
        };
        let sent = self.send(message, &about).await;
        if matches!(sent, Sent::Done) {
            let proofs = futures::stream::iter(plans)
                .map(async |plan| (plan.edit.owner.clone(), self.prove(plan, verb).await));
            return proofs.buffered(AT_ONCE).collect().await;
        }
        for plan in plans {
            let outcome = match &sent {
                Sent::Failed {
                    error,
                    stops_all: true,
                } => Err(error.clone()),
                Sent::Done | Sent::Conflict(_) | Sent::Failed { .. } => {
                    self.change_owner(zone, &plan.edit, verb, None).await
                }
                Sent::Lost(_) => {
                    let open = Open {
                        before: plan.reading.rrset.clone(),
                        losses: 1,
                    };
                    self.change_owner(zone, &plan.edit, verb, Some(open)).await
                }
            };
            outcomes.push((plan.edit.owner, outcome));
        }
        outcomes
    }

    /// Whether a CNAME at the name would take a wildcard's answers away from it, unless the name
    /// exists without records.
    fn shadows(&self, reading: &Reading, edit: &Edit, verb: Verb) -> bool {
        let allowed = self.provider.settings.allow_wildcard_shadow;
        let is_new = edit.kind == RecordKind::Cname && verb != Verb::Absent;
        is_new && reading.shadows_itself() && !allowed
    }

    /// A read with what is known of the name beside it.
    async fn with_room(
        &self,
        reading: Result<Reading, ProviderError>,
        edit: &Edit,
        verb: Verb,
    ) -> Result<(Reading, Findings), ProviderError> {
        let (reading, mut findings) = (reading?, Findings::default());
        if self.shadows(&reading, edit, verb) {
            findings.new_name = self.is_empty_non_terminal(&reading.name).await?;
        }
        Ok((reading, findings))
    }

    /// The effect of an accepted message.
    async fn prove(&self, plan: Plan, verb: Verb) -> Result<Done, ProviderError> {
        if verb == Verb::Rehearsal || plan.is_question() {
            return Ok(Done::nothing(plan.reading));
        }
        self.read_back(&plan, verb).await
    }

    fn plan(
        &self,
        zone: &Zone,
        reading: Reading,
        edit: &Edit,
        verb: Verb,
        findings: &Findings,
    ) -> Result<Next, ProviderError> {
        let limits = Limits {
            ttl: self.provider.settings.ttl,
            wildcard_shadow: self.provider.settings.allow_wildcard_shadow,
        };
        plan(zone, reading, edit, verb, findings, limits)
    }

    /// The outcome of one name. `open`: a message about it was sent, and no answer came.
    pub(super) async fn change_owner(
        &self,
        zone: &Zone,
        edit: &Edit,
        verb: Verb,
        mut open: Option<Open>,
    ) -> Result<Done, ProviderError> {
        let outcome = match self.try_owner(zone, edit, verb, &mut open).await {
            Err(error) if open.is_none() && is_at_alias(&error, edit, verb) => {
                self.replaced_by_alias(zone, edit).await.ok_or(error)
            }
            outcome => outcome,
        };
        // What was lost may still be on its way.
        outcome.map_err(|error| {
            if open.is_some() {
                error.after_loss(&edit.owner)
            } else {
                error
            }
        })
    }

    /// Whether a CNAME took the place of the TXT values at the name: beside it none is stored (RFC
    /// 1034, section 3.6.2). The zone that takes the updates says so itself, signed.
    async fn replaced_by_alias(&self, zone: &Zone, edit: &Edit) -> Option<Done> {
        let reading = self.read_cname(&edit.owner, zone).await.ok()?;
        reading.rrset.cname.as_ref()?;
        // The key may be allowed to write TXT alone, so the question is about TXT.
        let reading = Reading {
            kind: RecordKind::Txt,
            ..reading
        };
        let (owners, mname) = ([edit.owner.as_str()], reading.mname());
        let about = About::one(zone, &owners, &mname, &reading);
        let sent = self.compare_cname(&about, &reading, reading.cname.as_ref());
        match sent.await {
            Sent::Done => Some(Done::nothing(reading)),
            _ => None,
        }
    }

    /// Read, plan, send, read back; again when the read was stale or the answer got lost.
    async fn try_owner(
        &self,
        zone: &Zone,
        edit: &Edit,
        verb: Verb,
        open: &mut Option<Open>,
    ) -> Result<Done, ProviderError> {
        let mut findings = Findings::default();
        let mut last = String::new();
        for attempt in 0..ATTEMPTS {
            let reading = self.read_for(&edit.owner, zone, edit.kind).await?;
            if self.shadows(&reading, edit, verb) {
                findings.new_name = self.is_empty_non_terminal(&reading.name).await?;
            }
            if findings.is_unmoved(&reading) || findings.others >= OTHERS_BEFORE_INCOMPARABLE {
                self.find_place(zone, edit, verb, &reading, &mut findings)
                    .await?;
                if findings.place == Place::Other {
                    if !self.waits() {
                        break;
                    }
                    tokio::time::sleep(BEHIND_WAIT).await;
                    continue;
                }
                if findings.in_use {
                    let server = self.provider.settings.server.to_string();
                    return Err(beside_others(&server, &edit.owner));
                }
            }
            let plan = match self.plan(zone, reading, edit, verb, &findings)? {
                Next::Send(plan) => plan,
                Next::Nothing(reading) => return Ok(found_done(reading, edit, verb, open.take())),
            };
            if let Some(Open { losses, .. }) = open
                && *losses > REPEATS_AFTER_LOSS + u32::from(plan.is_question())
            {
                let text =
                    format!("sent {losses} times without an answer, and not done yet: {last}");
                return Err(ProviderError::undecided(&edit.owner, &text));
            }
            let (owners, mname) = ([edit.owner.as_str()], plan.reading.mname());
            let about = About::one(zone, &owners, &mname, &plan.reading);
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
        Err(self.given_up(zone, edit, verb, &findings, &last).await)
    }

    /// The outcome of a message about one name.
    async fn after(
        &self,
        sent: Sent,
        plan: Plan,
        verb: Verb,
        findings: &mut Findings,
        open: &mut Option<Open>,
    ) -> Then {
        let owner = plan.edit.owner.clone();
        match sent {
            Sent::Done if verb == Verb::Rehearsal => Then::End(Ok(Done::nothing(plan.reading))),
            Sent::Done if plan.is_question() => {
                Then::End(Ok(found_done(plan.reading, &plan.edit, verb, open.take())))
            }
            Sent::Done => Then::End(self.read_back(&plan, verb).await),
            Sent::Lost(what) if verb == Verb::Rehearsal => {
                let server = &self.provider.settings.server;
                let text = format!("checking the permission to write {owner} at {server}: {what}");
                Then::End(Err(ProviderError::new(ErrorKind::Unavailable, text)))
            }
            Sent::Failed { error, .. } => Then::End(Err(error)),
            Sent::Conflict(ResponseCode::NXDomain) => {
                let host = plan.reading.shadowed.as_ref().unwrap_or(&plan.reading.name);
                match self.is_empty_non_terminal(host).await {
                    Err(error) => Then::End(Err(error)),
                    Ok(false) => {
                        let host = plain_name(host);
                        Then::End(Err(only_a_wildcard(&owner, &host, "a wildcard")))
                    }
                    Ok(true) => {
                        findings.new_name = true;
                        Then::Again("NXDomain".to_owned())
                    }
                }
            }
            Sent::Conflict(code) => {
                // Another read shows whether an alias or a cut came between, or just another value.
                let reading = plan.reading.clone();
                findings.refused(plan, code);
                if findings.is_made_up() {
                    let server = self.provider.settings.server.to_string();
                    return Then::End(match verb {
                        Verb::Absent => Ok(Done::nothing(reading)),
                        _ => Err(made_up(&server, &owner)),
                    });
                }
                Then::AgainLater(format!("{code:?}"))
            }
            Sent::Lost(what) => {
                let losses = open.as_ref().map_or(0, |open| open.losses) + 1;
                let before = open.take().map_or(plan.reading.rrset, |open| open.before);
                *open = Some(Open { before, losses });
                Then::Again(what)
            }
        }
    }
}
