//! Records that an order brings with it: asked for, published before the order is made, removed
//! when it has come to its end. What is remembered of them is written before a zone is.

use std::time::Duration;

use jiff::SignedDuration;
use prevalidate_providers::{Provider, ProviderError, Record as DnsRecord};
use std::sync::Arc;

use super::super::task::Task;
use crate::issuance::progress::{HoldKind, Order, Record, RecordState};
use crate::prevalidation::{Challenge, ChallengeData, DomainName, RecordName};
use crate::propagation::{Question, Wanted};
use crate::store::StoreError;
use crate::worker::crashpoint::reach;
use crate::worker::memory::with_memory;
use crate::worker::route::route;

/// Between two looks at name servers that do not have the record yet.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// After a removal that failed.
const REMOVE_AGAIN: SignedDuration = SignedDuration::from_mins(1);

impl Task<'_> {
    /// Asks the CA which records the order wants.
    pub(super) async fn challenge(&mut self) {
        let (ca, intent) = match self.call().await {
            Ok(Some(call)) => call,
            Ok(None) => return,
            Err(error) => return self.failed(error.to_string(), None),
        };
        let name = self.ca_of_order();
        match ca.challenges(&intent).await {
            Ok(wanted) => {
                self.answered(&name);
                let records: Vec<Record> = wanted.challenges.iter().map(wished).collect();
                self.say_challenges(&records);
                if let Some(order) = self.progress().order.as_mut() {
                    order.records = records;
                    order.answer = Some(wanted.answer.unwrap_or_default());
                }
            }
            Err(error) => self.refused(&name, &error),
        }
    }

    fn say_challenges(&mut self, records: &[Record]) {
        for record in records {
            self.say(
                "challenge",
                format!("{} {} {}", record.owner, record.kind, record.data),
            );
        }
    }

    /// What an order that the CA has wants in DNS now. A record that it does not name any more has to
    /// leave; while it names none, those that are there stay.
    pub(super) fn wants_records(&mut self, challenges: &[Challenge]) {
        let wanted: Vec<Record> = challenges.iter().map(wished).collect();
        let progress = self.progress();
        let Some(order) = progress.order.as_mut().filter(|_| !wanted.is_empty()) else {
            return;
        };
        let is_in = |one: &Record, all: &[Record]| all.iter().any(|other| is_same(one, other));
        let known = std::mem::take(&mut order.records).into_iter();
        let (kept, gone): (Vec<_>, Vec<_>) = known.partition(|one| is_in(one, &wanted));
        let fresh: Vec<_> = wanted
            .into_iter()
            .filter(|one| !is_in(one, &kept))
            .collect();
        order.records = [kept, fresh.clone()].concat();
        if !fresh.is_empty() {
            order.look_at = None;
        }
        progress.leftovers.extend(gone);
        self.say_challenges(&fresh);
    }

    /// Writes the records, and looks whether every name server has them.
    pub(super) async fn publish(&mut self) -> Result<(), StoreError> {
        let Some(order) = self.row.progress.order.clone() else {
            return Ok(());
        };
        let mut is_all = true;
        for (at, record) in order.records.iter().enumerate() {
            let Some(domain) = domain_of(record, &order.names) else {
                let words = format!(
                    "the CA wants a record at {}, which is below no name of the order",
                    record.owner
                );
                self.hold(HoldKind::Refused, words, None);
                return Ok(());
            };
            if record.state == RecordState::Intended {
                let named = self.named_provider(&domain).await?;
                let (name, provider) = match self.provider(&domain, named.as_deref()).await {
                    Ok(found) => found,
                    Err(error) => {
                        self.failed(error.to_string(), None);
                        return Ok(());
                    }
                };
                if let Some(order) = self.progress().order.as_mut() {
                    order.records[at].provider = Some(name.clone());
                }
                self.commit().await?;
                let wanted = [in_dns(record)];
                let asked = provider.ensure_present(&wanted);
                let answers =
                    with_memory(&*self.issuer.ports.store, &name, &*provider, asked).await;
                reach("order-record-done");
                match answers.into_iter().next() {
                    Some(Ok(_)) => {
                        self.say(
                            "published",
                            format!("{} {} by {name}", record.owner, record.kind),
                        );
                        if let Some(order) = self.progress().order.as_mut() {
                            order.records[at].state = RecordState::Published;
                        }
                        self.commit().await?;
                    }
                    Some(Err(error)) => {
                        self.failed(format!("{}: {error}", record.owner), None);
                        return Ok(());
                    }
                    None => {
                        self.failed(format!("{}: the provider said nothing", record.owner), None);
                        return Ok(());
                    }
                }
            }
            if record.state == RecordState::Visible {
                continue;
            }
            match self.is_visible(record, &domain).await {
                Ok(()) => {
                    self.say("visible", record.owner.clone());
                    if let Some(order) = self.progress().order.as_mut() {
                        order.records[at].state = RecordState::Visible;
                    }
                }
                Err(_) => is_all = false,
            }
        }
        let now = self.now();
        if let Some(order) = self.progress().order.as_mut() {
            order.look_at = match is_all {
                true => None,
                false => now.saturating_add(LOOK_AGAIN).ok(),
            };
        }
        self.stepped();
        Ok(())
    }

    /// The provider that the configuration names for the domain, where the client keeps it.
    async fn named_provider(&self, domain: &DomainName) -> Result<Option<String>, StoreError> {
        let Some(certificate) = self.certificate() else {
            return Ok(None);
        };
        let rows = self.issuer.rows_above(domain.as_str(), certificate).await?;
        Ok(rows.into_iter().find_map(|row| row.provider))
    }

    async fn provider(
        &self,
        domain: &DomainName,
        named: Option<&str>,
    ) -> Result<(String, Arc<dyn Provider>), ProviderError> {
        let ports = &self.issuer.ports;
        let unfit =
            |words: &str| ProviderError::new(prevalidate_providers::ErrorKind::Settings, words);
        let lookout = ports
            .lookout
            .as_ref()
            .ok_or_else(|| unfit("no gate is configured"))?;
        let name = route(&ports.providers, &**lookout, domain, named).await?;
        let provider = ports.providers.get(&name).cloned();
        provider
            .map(|one| (name, one))
            .ok_or_else(|| unfit("there is no such provider"))
    }

    async fn is_visible(&self, record: &Record, domain: &DomainName) -> Result<(), String> {
        let lookout = self
            .issuer
            .ports
            .lookout
            .as_ref()
            .ok_or("no gate is configured")?;
        let owner = RecordName::parse(&record.owner)?;
        let wanted = match record.kind.as_str() {
            "CNAME" => Wanted::Cname(&record.data),
            _ => Wanted::Txt(&record.data),
        };
        let question = Question {
            owner: Some(&owner),
            wanted,
            published_for: Duration::ZERO,
            ..Question::new(domain, "")
        };
        let verdict = lookout.look(&question).await;
        match verdict.go {
            true => Ok(()),
            false => Err(verdict.cause),
        }
    }

    /// Removes the records of orders that have come to their end.
    pub(super) async fn withdraw(&mut self) {
        let now = self.now();
        let mut left = Vec::new();
        for record in self.row.progress.leftovers.clone() {
            let provider = record.provider.as_ref();
            let provider = provider
                .and_then(|name| self.issuer.ports.providers.get(name))
                .cloned();
            let answer = match (&record.provider, provider) {
                // It was never written.
                (None, _) => Ok(()),
                (Some(name), None) => Err(format!(
                    "provider `{name}` is no longer in the configuration"
                )),
                (Some(_), Some(provider)) => match provider
                    .ensure_absent(&[in_dns(&record)])
                    .await
                    .into_iter()
                    .next()
                {
                    Some(Ok(_)) => Ok(()),
                    Some(Err(error)) => Err(error.to_string()),
                    None => Err("the provider said nothing".to_owned()),
                },
            };
            match answer {
                Ok(()) => self.say("removed", format!("{} {}", record.owner, record.kind)),
                Err(why) => {
                    self.say("removal-failed", format!("{}: {why}", record.owner));
                    left.push(record);
                }
            }
        }
        let progress = self.progress();
        progress.leftovers_at = match left.is_empty() {
            true => None,
            false => now.saturating_add(REMOVE_AGAIN).ok(),
        };
        progress.leftovers = left;
    }
}

/// A challenge as a record that is not written yet.
fn wished(challenge: &Challenge) -> Record {
    let (kind, data) = match &challenge.data {
        ChallengeData::Txt(value) => ("TXT", value.clone()),
        ChallengeData::Cname(target) => ("CNAME", target.as_str().to_owned()),
    };
    Record {
        owner: challenge.owner.as_str().to_owned(),
        kind: kind.to_owned(),
        data,
        state: RecordState::Intended,
        provider: None,
    }
}

fn is_same(one: &Record, other: &Record) -> bool {
    let told = |record: &Record| {
        (
            record.owner.clone(),
            record.kind.clone(),
            record.data.clone(),
        )
    };
    told(one) == told(other)
}

/// Whether the CA has to be told that the records of an order are there.
pub(super) fn has_records_to_check(order: &Order) -> bool {
    let mut records = order.records.iter();
    let are_visible = records.all(|record| record.state == RecordState::Visible);
    order.brings_records && !order.records.is_empty() && are_visible
}

fn in_dns(record: &Record) -> DnsRecord {
    match record.kind.as_str() {
        "CNAME" => DnsRecord::cname(&record.owner, &record.data),
        _ => DnsRecord::txt(&record.owner, &record.data),
    }
}

/// The name of the order that the record lies at or below.
fn domain_of(record: &Record, names: &[String]) -> Option<DomainName> {
    let owner = RecordName::parse(&record.owner).ok()?;
    let mut found: Vec<DomainName> = Vec::new();
    for name in names {
        let name = name.strip_prefix("*.").unwrap_or(name);
        // The record may stand at the registered domain, above the name.
        let name = DomainName::from_a_labels(name).ok()?;
        let above: Vec<String> = name.at_and_above().map(str::to_owned).collect();
        for one in above
            .iter()
            .filter(|one| one.contains('.') && owner.is_within(one))
        {
            found.extend(DomainName::from_a_labels(one).ok());
        }
    }
    found.into_iter().max_by_key(|name| name.as_str().len())
}
