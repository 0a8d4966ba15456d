//! Records of an order: requested and published before the order is made, removed after its end.
//! What is remembered of them is written before a zone is.

mod beside;
mod publish;
mod rehearse;
mod withdraw;

pub use rehearse::Against;
pub(super) use rehearse::NO_DUPLICATES;

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use prevalidate_providers::{ErrorKind, Provider, ProviderError, Record as DnsRecord};

use super::super::task::Task;
use crate::issuance::progress::{Order, Record, RecordState};
use crate::prevalidation::{Challenge, ChallengeData, DomainName, Policy, RecordName};
use crate::propagation::{DnsChecker, Question, Wanted};
use crate::store::StoreError;
use crate::worker::issue::{Certificate, IssuePorts, Issuer};
use crate::worker::place::{route_owner, written_at};

/// A record that was seen so recently is not checked again.
const SEEN: SignedDuration = SignedDuration::from_secs(30);

/// Where the records of an order at a CA are written.
struct Place<'a> {
    issuer: &'a Issuer,
    ports: &'a IssuePorts,
    ca: &'a str,
    certificate: Option<&'a Certificate>,
}

impl IssuePorts {
    fn gate(&self) -> Result<&Arc<dyn DnsChecker>, ProviderError> {
        let checker = self.checker.as_ref();
        checker.ok_or_else(|| unfit("no gate is configured"))
    }
}

impl Place<'_> {
    fn terms(&self) -> &Policy {
        self.issuer.policy.of(self.ca)
    }

    /// Where the record is written, and by which provider: at its name, or where a person has made
    /// an alias of that name lead.
    async fn of(
        &self,
        domain: &DomainName,
        owner: RecordName,
        is_text: bool,
    ) -> Result<(RecordName, String, Arc<dyn Provider>), ProviderError> {
        let (providers, checker) = (&self.ports.providers, &**self.ports.gate()?);
        let place = written_at(self.terms(), checker, domain, owner, is_text).await?;
        let named = self.named_provider(domain).await;
        let named = named.map_err(|error| unfit(&error.to_string()))?;
        let name = route_owner(providers, checker, domain, &place, named.as_deref()).await?;
        match providers.get(&name).cloned() {
            Some(provider) => Ok((place, name, provider)),
            None => Err(unfit(&format!("there is no [provider.{name}]"))),
        }
    }

    /// The provider that the configuration names for the domain, where the client keeps it.
    async fn named_provider(&self, domain: &DomainName) -> Result<Option<String>, StoreError> {
        let Some(certificate) = self.certificate else {
            return Ok(None);
        };
        let rows = self.issuer.rows_above(domain.as_str(), certificate).await?;
        Ok(rows.into_iter().find_map(|row| row.provider))
    }
}

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
                let records: Vec<Record> = wanted.challenges.iter().map(record_of).collect();
                self.say_challenges(&records);
                if let Some(order) = self.progress().order.as_mut() {
                    order.records = records;
                    order.answer = Some(wanted.answer.unwrap_or_default());
                }
            }
            Err(error) if self.does_without_predecessor(&ca, &error).await => {}
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

    /// What an order that the CA has wants in DNS now. A record that the order no longer names must
    /// be removed. While the order names none, the published ones stay.
    pub(super) fn wants_records(&mut self, challenges: &[Challenge]) {
        let wanted: Vec<Record> = challenges.iter().map(record_of).collect();
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
        progress.leave_behind(gone);
        self.say_challenges(&fresh);
    }

    /// Checks whether the records of an open order are still there. What is not is written again,
    /// as long as the CA wants it: `wants`.
    pub(super) async fn see_records(&mut self, wants: bool) -> Result<(), StoreError> {
        let Some(order) = self.row.progress.order.clone().filter(|_| wants) else {
            return Ok(());
        };
        let now = self.now();
        for (at, record) in order.records.iter().enumerate() {
            let is_fresh = |seen| now.duration_since(seen) <= SEEN;
            let is_seen = record.stood_at.is_some_and(is_fresh);
            let Some(domain) = domain_of(record, &order.names) else {
                continue;
            };
            if record.may_stand() && self.issuer.withdrawn(&domain).await?.is_some() {
                self.take_out(at);
                continue;
            }
            if record.state != RecordState::Visible || is_seen {
                continue;
            }
            let is_there = self.is_visible(record, &domain).await.is_ok();
            let Some(order) = self.progress().order.as_mut() else {
                return Ok(());
            };
            let known = &mut order.records[at];
            known.stood_at = is_there.then_some(now);
            if !is_there {
                (known.state, order.next_read_at) = (RecordState::Published, None);
            }
        }
        Ok(())
    }

    /// The same for an order whose CA is asked later.
    pub(super) async fn watch(&mut self) -> Result<(), StoreError> {
        self.see_records(true).await?;
        let now = self.now();
        let order = self.progress().order.as_mut();
        for record in order.into_iter().flat_map(|order| &mut order.records) {
            if record.state == RecordState::Visible {
                record.stood_at = Some(now);
            }
        }
        Ok(())
    }

    /// A record leaves DNS, and is written again when its domain may be written.
    fn take_out(&mut self, at: usize) {
        let progress = self.progress();
        let Some(order) = progress.order.as_mut() else {
            return;
        };
        let afresh = order.records[at].afresh();
        let written = std::mem::replace(&mut order.records[at], afresh);
        progress.leave_behind(vec![written]);
    }

    /// What is decided for the CA of the order.
    fn terms(&self) -> &Policy {
        self.issuer.policy.of(&self.ca_of_order())
    }

    fn checker(&self) -> Result<&Arc<dyn DnsChecker>, ProviderError> {
        self.issuer.ports.gate()
    }

    /// See [`Place::of`].
    async fn place(
        &self,
        domain: &DomainName,
        owner: RecordName,
        is_text: bool,
    ) -> Result<(RecordName, String, Arc<dyn Provider>), ProviderError> {
        let ca = self.ca_of_order();
        let place = Place {
            issuer: self.issuer,
            ports: &self.issuer.ports,
            ca: &ca,
            certificate: self.certificate(),
        };
        place.of(domain, owner, is_text).await
    }

    async fn is_visible(&self, record: &Record, domain: &DomainName) -> Result<(), String> {
        let checker = self.checker().map_err(|error| error.message)?;
        let owner = RecordName::parse(&record.owner)?;
        let wanted = match record.is_alias() {
            true => Wanted::Cname(&record.data),
            false => Wanted::Txt(&record.data),
        };
        let question = Question {
            owner: Some(&owner),
            wanted,
            follow_aliases: self.terms().follow_aliases,
            published_for: Duration::ZERO,
            ..Question::new(domain, "")
        };
        let verdict = checker.check(&question).await;
        match verdict.go {
            true => Ok(()),
            false => Err(verdict.cause),
        }
    }
}

fn unfit(words: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Settings, words)
}

/// What a provider said, with what to do.
fn in_words(error: &ProviderError) -> String {
    match &error.hint {
        Some(hint) => format!("{} ({hint})", error.message),
        None => error.message.clone(),
    }
}

/// A challenge as a record that is not written yet.
fn record_of(challenge: &Challenge) -> Record {
    let (kind, data) = match &challenge.data {
        ChallengeData::Txt(value) => ("TXT", value.clone()),
        ChallengeData::Cname(target) => ("CNAME", target.as_str().to_owned()),
    };
    Record {
        owner: challenge.owner.as_str().to_owned(),
        kind: kind.to_owned(),
        data,
        ..Record::default()
    }
}

fn is_same(one: &Record, other: &Record) -> bool {
    (&one.owner, &one.kind, &one.data) == (&other.owner, &other.kind, &other.data)
}

/// Whether the CA must be told that the records of an order are there.
pub(super) fn has_records_to_check(order: &Order) -> bool {
    let mut records = order.records.iter();
    let are_visible = records.all(|record| record.state == RecordState::Visible);
    order.brings_records && !order.records.is_empty() && are_visible
}

fn in_dns(record: &Record) -> DnsRecord {
    match record.is_alias() {
        true => DnsRecord::cname(record.place(), &record.data),
        false => DnsRecord::txt(record.place(), &record.data),
    }
}

/// The name of the order that the record is at or below.
fn domain_of(record: &Record, names: &[String]) -> Option<DomainName> {
    let owner = RecordName::parse(&record.owner).ok()?;
    let mut found: Vec<DomainName> = Vec::new();
    for name in names {
        let name = name.strip_prefix("*.").unwrap_or(name);
        // The record may be at the registered domain, above the name.
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
