//! The rehearsal before an order is bought whose records the CA names only once it has the order:
//! nothing is ordered for a name that no provider could write.

use std::collections::BTreeSet;

use prevalidate_providers::{ErrorKind, ProviderError};

use super::{Place, in_words, unfit};
use crate::ca::issuing::Preflight;
use crate::prevalidation::{DomainName, RecordType};
use crate::store::StoreError;
use crate::worker::issue::task::Task;
use crate::worker::issue::{Certificate, IssuePorts, Issuer};

/// What a certificate is told that is a duplicate of one with records of its own.
pub(in super::super) const NO_DUPLICATES: &str =
    "an order that brings its own records has no duplicates: leave `duplicate_of` out";

impl Task<'_> {
    /// Why the records of an order for these names could not be written; `None`: they could, or it
    /// shows only when they are written.
    pub(in super::super) async fn lacks_provider(
        &self,
        names: &[String],
    ) -> Result<Option<ProviderError>, StoreError> {
        let (ports, ca) = (&self.issuer.ports, self.ca_of_order());
        let certificate = self.certificate();
        self.issuer
            .lacks_provider(ports, &ca, certificate, names)
            .await
    }

    /// An order that could not be carried out is not bought.
    pub(in super::super) fn not_bought(&mut self, error: &ProviderError) {
        self.failed(not_bought(error), error.retry_after);
    }
}

/// Why nothing is ordered although the CA would take the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Against {
    /// The configuration asks for what no CA makes.
    Configuration(String),
    /// Its record could not be written.
    Dns(String),
}

fn not_bought(error: &ProviderError) -> String {
    let words = in_words(error);
    format!("nothing is ordered before its record can be written: {words}")
}

impl Issuer {
    /// What holds an order back whose rehearsal the CA passed.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn obstacles(
        &self,
        ports: &IssuePorts,
        certificate: &Certificate,
        found: &Preflight,
    ) -> Result<Option<Against>, StoreError> {
        if !found.product.brings_records {
            return Ok(None);
        }
        if certificate.duplicate_of.is_some() {
            return Ok(Some(Against::Configuration(NO_DUPLICATES.to_owned())));
        }
        let (ca, names) = (&certificate.ca, certificate.subject.names());
        let lacks = self.lacks_provider(ports, ca, Some(certificate), names);
        let lacks = lacks.await?;
        Ok(lacks.map(|error| Against::Dns(in_words(&error))))
    }

    /// See [`Task::lacks_provider`]: at a CA by its name, for a certificate of the configuration.
    pub(in crate::worker::issue) async fn lacks_provider(
        &self,
        ports: &IssuePorts,
        ca: &str,
        certificate: Option<&Certificate>,
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
            let place = Place {
                issuer: self,
                ports,
                ca,
                certificate,
            };
            if let Some(error) = place.rehearse(&name, &mut proven).await {
                return Ok(Some(error));
            }
        }
        Ok(None)
    }
}

impl Place<'_> {
    /// The CA may want the record at the name, or at any name above it within the registered
    /// domain. At least one of these names must be writable.
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
        let (place, _, provider) = self.of(domain, owner, is_text).await?;
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
}
