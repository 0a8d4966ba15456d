//! Writing the records of an order, and waiting until every name server has them.

use std::sync::Arc;

use jiff::SignedDuration;
use prevalidate_providers::{ErrorKind, Provider, ProviderError, Receipt};

use super::{domain_of, in_dns, in_words};
use crate::issuance::progress::{HoldKind, Record, RecordState};
use crate::prevalidation::{DomainName, RecordName};
use crate::store::StoreError;
use crate::worker::crashpoint::reach;
use crate::worker::issue::task::Task;
use crate::worker::memory::with_memory;

/// Between two checks at name servers that do not have the record yet, and at what a record waits
/// for.
const CHECK_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// While name servers do not have a record, its provider is asked this often whether it has it.
const WRITE_AGAIN: SignedDuration = SignedDuration::from_mins(1);

impl Task<'_> {
    /// Writes the records, and checks whether every name server has them.
    pub(in super::super) async fn publish(&mut self) -> Result<(), StoreError> {
        let Some(order) = self.row.progress.order.clone() else {
            return Ok(());
        };
        let (mut is_all, mut awaited) = (true, None);
        for (at, record) in order.records.iter().enumerate() {
            let Some(domain) = domain_of(record, &order.names) else {
                let words = format!(
                    "the CA wants a record at {}, which is below no name of the order",
                    record.owner
                );
                self.hold(HoldKind::Refused, words, None);
                return Ok(());
            };
            if let Some(why) = self.issuer.withdrawn(&domain).await? {
                self.pause(&why);
                self.progress().trouble = Some(why);
                return Ok(());
            }
            if self.is_to_be_written(record) {
                match self.write_record(at, record, &domain).await? {
                    Wrote::Nothing => return Ok(()),
                    Wrote::Record => {}
                    Wrote::ByOthers(words) => awaited = Some(words),
                }
            }
            if record.state == RecordState::Visible {
                continue;
            }
            if self.is_visible(record, &domain).await.is_err() {
                is_all = false;
                continue;
            }
            self.say("visible", record.owner.clone());
            let now = self.now();
            if let Some(order) = self.progress().order.as_mut() {
                order.records[at].state = RecordState::Visible;
                order.records[at].stood_at = Some(now);
            }
        }
        self.stepped();
        let next = self.now().saturating_add(CHECK_AGAIN).ok();
        if let Some(order) = self.progress().order.as_mut() {
            order.next_read_at = next.filter(|_| !is_all);
            if is_all || awaited.is_some() {
                order.pause = awaited.filter(|_| !is_all);
            }
        }
        Ok(())
    }

    /// Whether the provider is told to write it, for the first time or once more: a person may have
    /// removed it before every name server had it.
    fn is_to_be_written(&self, record: &Record) -> bool {
        let now = self.now();
        let is_old = |at| now.duration_since(at) >= WRITE_AGAIN;
        match record.state {
            RecordState::Intended => true,
            RecordState::Published => record.stood_at.is_none_or(is_old),
            RecordState::Visible | RecordState::Removed => false,
        }
    }

    /// The order waits before it writes anything.
    fn pause(&mut self, why: &str) {
        self.stepped();
        let at = self.now().saturating_add(CHECK_AGAIN).ok();
        let Some(order) = self.progress().order.as_mut() else {
            return;
        };
        order.next_read_at = at;
        if order.pause.as_deref() != Some(why) {
            order.pause = Some(why.to_owned());
            self.say("waiting", why);
        }
    }

    /// Writes one record. The intent is stored before.
    async fn write_record(
        &mut self,
        at: usize,
        record: &Record,
        domain: &DomainName,
    ) -> Result<Wrote, StoreError> {
        let (target, provider) = match self.target(record, domain).await {
            Ok(found) => found,
            Err(error) => {
                self.failed(in_words(&error), error.retry_after);
                return Ok(Wrote::Nothing);
            }
        };
        let (is_first, was_begun) = (record.state == RecordState::Intended, record.may_stand());
        if is_first && !self.takes_turn(at, record, &target).await? {
            return Ok(Wrote::Nothing);
        }
        let (store, wanted) = (&*self.issuer.ports.store, [in_dns(&target)]);
        let name = target.provider.clone().unwrap_or_default();
        let asked = provider.ensure_present(&wanted);
        let answers = with_memory(store, &name, &*provider, asked).await;
        reach("order-record-done");
        let answer = answers.into_iter().next();
        let (owner, kind) = (&record.owner, &record.kind);
        match answer {
            Some(Ok(receipt)) => {
                let is_ours = was_begun || receipt.changed || self.is_shared(&target).await?;
                self.is_there(at, target, &receipt, is_first, is_ours);
                self.commit().await?;
                Ok(Wrote::Record)
            }
            Some(Err(error)) if error.kind == ErrorKind::ByOthers => {
                let words = format!(
                    "{owner} {kind} {} is for the zone's own writer to write",
                    record.data
                );
                if is_first {
                    self.say("announced", words.clone());
                }
                self.keep(at, target, RecordState::Published);
                Ok(Wrote::ByOthers(words))
            }
            Some(Err(error)) => {
                self.failed(format!("{owner}: {}", in_words(&error)), error.retry_after);
                Ok(Wrote::Nothing)
            }
            None => {
                self.failed(format!("{owner}: the provider said nothing"), None);
                Ok(Wrote::Nothing)
            }
        }
    }

    /// The record with its place. One that was written stays where it is, while its provider is there.
    async fn target(
        &self,
        record: &Record,
        domain: &DomainName,
    ) -> Result<(Record, Arc<dyn Provider>), ProviderError> {
        let known = record.provider.as_ref();
        let known = known.and_then(|name| self.issuer.ports.providers.get(name));
        if let Some(provider) = known.filter(|_| record.state != RecordState::Intended) {
            return Ok((record.clone(), Arc::clone(provider)));
        }
        let owner = RecordName::parse(&record.owner).map_err(super::unfit)?;
        let (place, name, provider) = self.place(domain, owner, !record.is_alias()).await?;
        let target = Record {
            at: (place.as_str() != record.owner).then(|| place.as_str().to_owned()),
            provider: Some(name),
            ..record.clone()
        };
        Ok((target, provider))
    }

    /// Stores the intent to write a record for the first time; false where something else has its
    /// name and comes first.
    async fn takes_turn(
        &mut self,
        at: usize,
        record: &Record,
        target: &Record,
    ) -> Result<bool, StoreError> {
        if let Some(why) = self.in_the_way(target, false).await? {
            self.pause(&why);
            return Ok(false);
        }
        let is_moved = record.place() != target.place() || record.provider != target.provider;
        let progress = self.progress();
        if record.may_stand() && is_moved {
            progress.leave_behind(vec![record.clone()]);
        }
        if let Some(order) = progress.order.as_mut() {
            order.records[at] = target.clone();
        }
        self.commit().await?;
        if record.may_stand() {
            return Ok(true);
        }
        let why = self.in_the_way(target, true).await?;
        let Some(why) = why else {
            return Ok(true);
        };
        // Nothing was written.
        if let Some(order) = self.progress().order.as_mut() {
            order.records[at] = record.clone();
        }
        self.pause(&why);
        Ok(false)
    }

    /// A receipt has shown that the record is.
    fn is_there(
        &mut self,
        at: usize,
        mut target: Record,
        receipt: &Receipt,
        is_first: bool,
        is_ours: bool,
    ) {
        let (owner, kind) = (&target.owner, &target.kind);
        let by = target.provider.clone().unwrap_or_default();
        let words = match target.at.as_deref() {
            Some(place) => format!("{owner} {kind} by {by}, where its alias leads: {place}"),
            None => format!("{owner} {kind} by {by}"),
        };
        if is_first && !is_ours {
            self.say("published", format!("{words}; it was there already"));
        } else if is_first {
            self.say("published", words);
        } else if receipt.changed {
            let words = format!("{words}: it was gone, and is written again");
            self.say("vanished", words);
        }
        if is_first {
            target.is_foreign = !is_ours;
        }
        target.is_foreign &= !receipt.changed;
        self.keep(at, target, RecordState::Published);
    }

    fn keep(&mut self, at: usize, target: Record, state: RecordState) {
        let now = self.now();
        if let Some(order) = self.progress().order.as_mut() {
            order.records[at] = Record {
                state,
                stood_at: Some(now),
                ..target
            };
        }
    }
}

/// The outcome of writing a record.
enum Wrote {
    /// It was not written, and what happens next is noted.
    Nothing,
    Record,
    /// The message that the zone's own writer must write it.
    ByOthers(String),
}
