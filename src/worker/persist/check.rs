//! One check of a record that is or should be in DNS.

use std::time::Duration;

use super::Keeper;
use crate::persistent::{KeptRecord, KeptState, Seen, owner_of};
use crate::prevalidation::{DomainName, RecordName};
use crate::propagation::{GateMode, InSync, Question, Verdict, Wanted as Sought};

/// One check of a record.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    pub(super) seen: Seen,
    /// Where the aliases of the label lead, where that was found out.
    pub(super) end: Option<String>,
    /// Whether an alias is at the record's own name, where that was found out.
    pub(super) is_displaced: Option<bool>,
    /// The provider was asked, and no name server.
    pub(super) is_by_provider: bool,
}

impl Sight {
    fn by_provider(seen: Seen) -> Self {
        Self {
            seen,
            end: None,
            is_displaced: None,
            is_by_provider: true,
        }
    }

    /// Whether it is not known whether the record is there.
    pub(super) fn is_unclear(&self) -> bool {
        matches!(self.seen, Seen::Unclear(_))
    }

    /// Whether the record is gone from the name where it is wanted, and not only from the former
    /// target of an alias.
    pub(super) fn has_vanished(&self, owner: &str) -> bool {
        let is_in_place = self.end.as_deref().is_none_or(|end| end == owner);
        self.seen == Seen::Gone && is_in_place
    }
}

impl Keeper {
    /// Checks one record: asks the name servers at the name where a CA checks. If the gate asks no
    /// servers, asks the provider that wrote it.
    pub(super) async fn check(&self, domain: &DomainName, record: &KeptRecord) -> Sight {
        let mode = self.ports.checker.mode(domain);
        if matches!(mode, GateMode::Provider | GateMode::Delay) && !record.by_others {
            return Sight::by_provider(self.read(domain, record, mode).await);
        }
        let verdict = self.ask(domain, record, InSync::default()).await;
        let mut end = verdict.end.clone();
        let seen = judged(verdict);
        if mode == GateMode::Resolvers && seen != Seen::Everywhere {
            let owner = owner_of(domain);
            end = match owner {
                Some(owner) => self.ports.checker.target(&owner).await.ok(),
                None => None,
            };
        }
        Sight {
            is_displaced: self.is_displaced(domain, record, end.as_ref()).await,
            seen,
            end: end.map(|end| end.to_string()),
            is_by_provider: false,
        }
    }

    /// Whether an alias is at the record's own name; `end` is where the label leads.
    async fn is_displaced(
        &self,
        domain: &DomainName,
        record: &KeptRecord,
        end: Option<&RecordName>,
    ) -> Option<bool> {
        let end = end?;
        if end.as_str() == record.owner {
            return Some(false);
        }
        if owner_of(domain).is_some_and(|label| label.as_str() == record.owner) {
            return Some(true);
        }
        let owner = RecordName::parse(&record.owner).ok()?;
        let leads = self.ports.checker.target(&owner).await.ok()?;
        Some(leads != owner)
    }

    /// Whether no name server has the record at its own name any more, or an alias took its place.
    /// The label may lead elsewhere by now, where an equal record may be.
    pub(super) async fn is_gone(&self, domain: &DomainName, record: &KeptRecord) -> bool {
        let Ok(owner) = RecordName::parse(&record.owner) else {
            return false;
        };
        let verdict = self.ask_at(domain, Some(&owner), record).await;
        let is_alias = verdict.end.as_ref().is_some_and(|end| *end != owner);
        verdict.gone || is_alias
    }

    /// Reads the zone of the provider. Another writer may have dropped the record, and in these
    /// modes no other check would notice.
    async fn read(&self, domain: &DomainName, record: &KeptRecord, mode: GateMode) -> Seen {
        let name = &record.provider;
        let blind = |why: &str| {
            Seen::Unclear(format!(
                "the gate's mode `{}` asks no name server, and provider `{name}` cannot be read, \
                 so it is not known whether the record is there: {why}",
                mode.as_str()
            ))
        };
        let Some(provider) = self.ports.providers.get(name) else {
            return blind("it is no longer in the configuration");
        };
        match provider.inspect(&record.owner).await {
            Err(error) => return blind(&error.message),
            Ok(set) if !set.holds(&record.value) => return Seen::Gone,
            // Its name servers have had it.
            Ok(_) if record.state == KeptState::Visible => return Seen::Everywhere,
            Ok(_) => {}
        }
        let in_sync = match (&record.change_id, mode) {
            (Some(change), GateMode::Provider) => match provider.in_sync(change).await {
                Ok(told) => InSync::from(told),
                Err(error) => return Seen::Unclear(error.message),
            },
            _ => InSync::Unnamed,
        };
        judged(self.ask(domain, record, in_sync).await)
    }

    async fn ask(&self, domain: &DomainName, record: &KeptRecord, in_sync: InSync) -> Verdict {
        let owner = owner_of(domain);
        let asked = self.question(domain, owner.as_ref(), record);
        let question = Question { in_sync, ..asked };
        self.ports.checker.check(&question).await
    }

    async fn ask_at(
        &self,
        domain: &DomainName,
        owner: Option<&RecordName>,
        record: &KeptRecord,
    ) -> Verdict {
        let question = self.question(domain, owner, record);
        self.ports.checker.check(&question).await
    }

    fn question<'a>(
        &self,
        domain: &'a DomainName,
        owner: Option<&'a RecordName>,
        record: &'a KeptRecord,
    ) -> Question<'a> {
        let now = self.ports.clock.now();
        let since = record.published_at.unwrap_or(now);
        Question {
            owner,
            wanted: Sought::Txt(&record.value),
            published_for: Duration::try_from(now.duration_since(since)).unwrap_or_default(),
            by_others: record.by_others,
            ..Question::new(domain, "")
        }
    }
}

fn judged(verdict: Verdict) -> Seen {
    if verdict.go && verdict.bogus.is_none() {
        Seen::Everywhere
    } else if verdict.gone {
        Seen::Gone
    } else {
        Seen::Unclear(format!("waits for {}", verdict.waits_for()))
    }
}
