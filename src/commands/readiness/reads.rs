//! What DNS and providers say of the domains of `[[persistent]]`: CAA against each record, foreign
//! records, and whether the provider would write now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use prevalidate_providers::{Provider, RecordKind};

use super::AT_ONCE;
use super::judge::{Judged, Seen, judge};
use crate::commands::app::Providers;
use crate::commands::persistent::{ours, whose, withdrawn};
use crate::config::Settings;
use crate::overview::DomainView;
use crate::persistent::lint::{accepted, allows};
use crate::persistent::{Wanted, owner_of};
use crate::prevalidation::{DomainName, RecordName};
use crate::propagation::finding::Severity;
use crate::propagation::survey::{CaaSets, Survey};
use crate::propagation::{DnsChecker as _, Gate};
use crate::rdap::{self, Book};
use crate::store::{Store, StoreError};
use crate::worker::route::route_record;

/// By what is asked, and about when.
pub(super) struct Reader<'a> {
    pub(super) settings: &'a Settings,
    pub(super) gate: &'a Arc<Gate>,
    pub(super) providers: &'a Providers,
    pub(super) sets: &'a CaaSets,
    pub(super) book: &'a Book,
    /// Domains that were examined for a client.
    pub(super) examined: &'a BTreeSet<DomainName>,
    pub(super) on: Timestamp,
    pub(super) now: Timestamp,
}

impl Reader<'_> {
    /// What is found about these records, domain by domain.
    ///
    /// # Errors
    /// An error of the store.
    pub(super) async fn read(
        &self,
        wanted: &[&Wanted],
        store: &dyn Store,
    ) -> Result<Vec<Judged>, StoreError> {
        let ours = ours(store).await?;
        let withdrawn = withdrawn(store).await?;
        let mut domains: BTreeMap<&DomainName, Vec<&Wanted>> = BTreeMap::new();
        for one in wanted {
            let of_domain = domains.entry(&one.domain).or_default();
            // No run writes what a person withdrew.
            if !withdrawn.contains(&(one.domain.clone(), one.issuer.clone())) {
                of_domain.push(one);
            }
        }
        let ours = &ours;
        let found = stream::iter(domains)
            .map(async |(domain, wanted)| self.domain(domain, &wanted, ours).await)
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        Ok(found.into_iter().flatten().collect())
    }

    async fn domain(
        &self,
        domain: &DomainName,
        wanted: &[&Wanted],
        ours: &BTreeSet<(DomainName, String)>,
    ) -> Vec<Judged> {
        let issuers: Vec<&str> = wanted.iter().map(|one| one.issuer.as_str()).collect();
        let issuers = issuers.join(", ");
        let mut found = Vec::new();
        if !self.examined.contains(domain) {
            let survey = self.gate.survey(domain, &[], self.on, self.sets).await;
            let is_lost = survey.fault.is_some();
            found.extend(self.zone(domain, &issuers, survey));
            if is_lost {
                return found;
            }
        }
        for one in wanted {
            found.extend(self.caa(one).await);
            found.extend(self.provider(one).await);
        }
        found.extend(self.foreign(domain, &issuers, ours, |_| true).await);
        found
    }

    /// What is wrong with the zone; CAA is asked for record by record.
    fn zone(&self, domain: &DomainName, issuers: &str, survey: Survey) -> Vec<Judged> {
        let survey = Survey {
            caa: None,
            ..survey
        };
        let seen = Seen {
            domain,
            ca: issuers,
            proof: None,
            // Its proofs are the CA's, and not shown here.
            covered: true,
            renew_at: None,
            survey: &survey,
            provider: None,
            registered_until: rdap::registrable(domain)
                .and_then(|name| self.book.end_of(name, self.now)),
        };
        judge(&seen, self.on, self.now)
    }

    async fn caa(&self, one: &Wanted) -> Option<Judged> {
        let names = (one.issuer.as_str(), one.account.as_str());
        let stop = self
            .gate
            .caa_stops(&one.domain, names, self.on, self.sets)
            .await;
        let told = |severity, code, text: String| {
            Judged::new(severity, code, &one.domain, &one.issuer, text)
        };
        match stop {
            Ok(None) => None,
            Ok(Some(stop)) => {
                let severity = match stop.is_certain {
                    true => Severity::Blocks,
                    false => Severity::Warns,
                };
                let text = format!(
                    "its persistent record at {} does not count: {}",
                    one.issuer, stop.words
                );
                let next = match (stop.is_certain, stop.changes.is_empty()) {
                    (true, _) => None,
                    (false, true) => Some("Compare both with the account at the CA."),
                    (false, false) => Some("Ask the CA, or make the change."),
                };
                Some(Judged {
                    changes: stop.changes,
                    next: next.map(str::to_owned),
                    ..told(severity, "persistent-caa", text)
                })
            }
            // The report about the client of the domain has it.
            Err(_) if self.examined.contains(&one.domain) => None,
            Err(fault) => {
                let text = format!("CAA cannot be read, and a CA must not issue then: {fault}");
                Some(told(Severity::Blocks, "caa-unreadable", text))
            }
        }
    }

    /// Why the provider would not write the record now. The current record stays.
    async fn provider(&self, one: &Wanted) -> Option<Judged> {
        let owner = owner_of(&one.domain)?;
        let owner = self.gate.target(&owner).await.ok()?;
        let why = self.refusal(one, &owner).await?;
        let text = format!(
            "its persistent record at {} cannot be written: {why}",
            one.issuer
        );
        let (domain, issuer) = (&one.domain, &one.issuer);
        let judged = Judged::new(Severity::Warns, "provider-refuses", domain, issuer, text);
        Some(judged)
    }

    async fn refusal(&self, one: &Wanted, owner: &RecordName) -> Option<String> {
        let usable: BTreeMap<String, Arc<dyn Provider>> = self
            .providers
            .iter()
            .filter_map(|(name, made)| Some((name.clone(), Arc::clone(made.as_ref().ok()?))))
            .collect();
        // As a run does, which writes by the named provider wherever the alias leads.
        let (named, shown) = (one.provider.as_deref(), one.domain.both_forms());
        let final_word = |error: prevalidate_providers::ProviderError| {
            (!error.is_retryable()).then(|| error.to_string())
        };
        let name = match route_record(&usable, &**self.gate, owner, &shown, named).await {
            Ok(name) => name,
            Err(error) => return final_word(error),
        };
        match self.providers.get(&name)? {
            Err(failed) => Some(format!("provider `{name}`: {}", failed.message)),
            Ok(provider) => match provider.preflight(owner.as_str(), RecordKind::Txt).await {
                Err(error) => final_word(error).map(|why| format!("provider `{name}`: {why}")),
                Ok(_) => None,
            },
        }
    }

    /// Foreign records of our own issuers, for the domains of clients that have no record of ours.
    ///
    /// # Errors
    /// An error of the store.
    pub(super) async fn read_beside(
        &self,
        views: &[DomainView],
        wanted: &[&Wanted],
        store: &dyn Store,
    ) -> Result<Vec<Judged>, StoreError> {
        let ours = ours(store).await?;
        let of_sections = self.settings.persistent.iter().map(|one| &one.issuer);
        let of_sections: BTreeSet<&String> = of_sections.collect();
        let mut domains: BTreeMap<&DomainName, (&str, BTreeSet<&String>)> = BTreeMap::new();
        for view in views {
            if wanted.iter().any(|one| one.domain == view.domain) {
                continue;
            }
            let (_, issuers) = domains
                .entry(&view.domain)
                .or_insert_with(|| (&view.ca, of_sections.clone()));
            let ca = self.settings.cas.get(&view.ca);
            issuers.extend(ca.into_iter().flat_map(|ca| &ca.caa_names));
        }
        let ours = &ours;
        let found = stream::iter(domains)
            .map(async |(domain, (ca, issuers))| {
                let is_ours = |name: &str| issuers.iter().any(|issuer| *issuer == name);
                self.foreign(domain, ca, ours, is_ours).await
            })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        Ok(found.into_iter().flatten().collect())
    }

    /// Foreign records that let an account of these issuers have certificates.
    async fn foreign(
        &self,
        domain: &DomainName,
        issuers: &str,
        ours: &BTreeSet<(DomainName, String)>,
        is_asked_about: impl Fn(&str) -> bool,
    ) -> Vec<Judged> {
        let Some(owner) = owner_of(domain) else {
            return Vec::new();
        };
        let records = self.gate.texts(&owner).await.unwrap_or_default();
        let foreign = records.iter().filter_map(|record| {
            let read = accepted(record);
            let is_foreign = whose(self.settings, ours, domain, record) == "foreign"
                && read.iter().any(|one| is_asked_about(&one.issuer));
            let allowed = allows(record, domain.as_str(), self.now).filter(|_| is_foreign)?;
            let text = format!("a foreign persistent record is at {owner}: {allowed}");
            let warns = Severity::Warns;
            Some(Judged {
                next: Some(
                    "Remove it, unless it is known: `prevalidate persistent scan` shows it."
                        .to_owned(),
                ),
                ..Judged::new(warns, "persistent-foreign", domain, issuers, text)
            })
        });
        foreign.collect()
    }
}
