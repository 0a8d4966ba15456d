//! The rehearsal before an order is bought whose records the CA names only once it has the order:
//! nothing is ordered for a name that no provider could write.

use std::collections::BTreeSet;

use prevalidate_providers::{ErrorKind, ProviderError};

use super::{in_words, unfit};
use crate::prevalidation::{DomainName, RecordType};
use crate::store::StoreError;
use crate::worker::issue::task::Task;

impl Task<'_> {
    /// Why the records of an order for these names could not be written; `None`: they could, or it
    /// shows only when they are written.
    pub(in super::super) async fn lacks_provider(
        &self,
        names: &[String],
    ) -> Result<Option<ProviderError>, StoreError> {
        let mut proven = BTreeSet::new();
        for name in names {
            let name = name.strip_prefix("*.").unwrap_or(name);
            let Ok(name) = DomainName::from_a_labels(name) else {
                continue;
            };
            if let Some(why) = self.withdrawn(&name).await? {
                return Ok(Some(unfit(&why)));
            }
            if let Some(error) = self.rehearse(&name, &mut proven).await {
                return Ok(Some(error));
            }
        }
        Ok(None)
    }

    /// The CA may want the record at the name, or at any name above it within the registered domain:
    /// one of them must be one that can be written.
    async fn rehearse(
        &self,
        name: &DomainName,
        proven: &mut BTreeSet<DomainName>,
    ) -> Option<ProviderError> {
        let registered = psl::domain_str(name.as_str()).unwrap_or(name.as_str());
        let within = name
            .at_and_above()
            .filter(|one| one.len() >= registered.len());
        let within = within.filter_map(|one| DomainName::from_a_labels(one).ok());
        let mut within: Vec<DomainName> = within.collect();
        within.reverse();
        if within.iter().any(|one| proven.contains(one)) {
            return None;
        }
        let mut first = None;
        for domain in within {
            match self.rehearse_at(&domain).await {
                Ok(()) => {
                    proven.insert(domain);
                    return None;
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        first
    }

    async fn rehearse_at(&self, domain: &DomainName) -> Result<(), ProviderError> {
        let form = &self.terms().record;
        let (owner, kind) = (form.at(domain), form.kind);
        let is_text = kind == RecordType::Txt;
        let (place, _, provider) = self.place(domain, owner, is_text).await?;
        if !provider.writes() {
            return Ok(());
        }
        let asked = provider.preflight(place.as_str(), kind.into()).await;
        asked.map(drop).map_err(|error| {
            let kind = match error.kind {
                ErrorKind::Unknown => ErrorKind::Unavailable,
                kind => kind,
            };
            ProviderError { kind, ..error }
        })
    }

    /// An order that could not be carried out is not bought.
    pub(in super::super) fn not_bought(&mut self, error: &ProviderError) {
        let words = format!(
            "nothing is ordered before its record can be written: {}",
            in_words(error)
        );
        self.failed(words, error.retry_after);
    }
}
