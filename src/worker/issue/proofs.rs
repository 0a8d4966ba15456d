//! Whether the domains of a certificate are proven at its CA, for long enough.

use jiff::{SignedDuration, Timestamp};

use super::{Certificate, Issuer};
use crate::ca::issuing::Subject;
use crate::issuance::duplicate::First;
use crate::issuance::{Lead, Proofs};
use crate::prevalidation::DomainName;
use crate::store::{DomainRow, StoreError};

/// An order is made while a proof that is held counts for at least this time.
const LEAST: SignedDuration = SignedDuration::from_mins(10);

impl Issuer {
    /// The states of a certificate's domains at its CA.
    pub(super) async fn proofs(
        &self,
        certificate: &Certificate,
        now: Timestamp,
    ) -> Result<Proofs, StoreError> {
        if let Some(First::Lacking(why)) = self.first(certificate, now).await? {
            return Ok(Proofs::Missing(why));
        }
        if certificate.validates_in_order {
            return Ok(Proofs::InOrder);
        }
        let names = match &certificate.subject {
            Subject::Names(names) => names,
            // The CA asks the owner of a mailbox itself, and issues for domains of the client only.
            Subject::Mailbox { email, .. } => return self.mailbox(email, certificate).await,
        };
        let mut missing: Vec<String> = Vec::new();
        for name in names {
            let base = name.strip_prefix("*.").unwrap_or(name);
            if let Some(why) = self.lacking(base, certificate, now).await?
                && !missing.contains(&why)
            {
                missing.push(why);
            }
        }
        Ok(match missing.is_empty() {
            true => Proofs::Enough,
            false => Proofs::Missing(missing.join("; ")),
        })
    }

    /// How the certificate is whose order this one shares; `None`: it has its own.
    pub(super) async fn first(
        &self,
        certificate: &Certificate,
        now: Timestamp,
    ) -> Result<Option<First>, StoreError> {
        let Some(name) = &certificate.duplicate_of else {
            return Ok(None);
        };
        let row = self.ports.store.orders().certificate(name).await?;
        let lead = self.certificates.get(name);
        let lead = lead.map_or_else(Lead::default, |one| one.wanted.renew_before);
        let progress = row.map(|row| row.progress.believed(now));
        let progress = progress.unwrap_or_default();
        Ok(Some(First::of(name, &certificate.ca, &progress, lead, now)))
    }

    /// The certificates that share the order of this one.
    pub(super) fn duplicates_of(&self, name: &str) -> Vec<String> {
        let all = self.certificates.values();
        let is_one = |one: &&Certificate| one.duplicate_of.as_deref() == Some(name);
        all.filter(is_one)
            .map(|one| one.wanted.name.clone())
            .collect()
    }

    /// Whether the domain of a mailbox is one of the client: an order for another one would wait at the
    /// CA for ever.
    async fn mailbox(&self, email: &str, certificate: &Certificate) -> Result<Proofs, StoreError> {
        let host = email.rsplit_once('@').map_or(email, |(_, host)| host);
        let host = DomainName::parse(host).map(|parsed| parsed.name);
        let host = host.map_or_else(|_| email.to_owned(), |name| name.as_str().to_owned());
        let rows = self.rows_above(&host, certificate).await?;
        let is_kept = rows.iter().any(|row| !row.origins.is_empty());
        Ok(match is_kept {
            true => Proofs::Enough,
            false => Proofs::Missing(not_kept(&host)),
        })
    }

    /// Why a name may not be ordered now; `None`: it may.
    async fn lacking(
        &self,
        name: &str,
        certificate: &Certificate,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let rows = self.rows_above(name, certificate).await?;
        let mut why = None;
        for row in &rows {
            match self.lacks(row, now) {
                None => return Ok(None),
                Some(lacks) => why = why.or(Some(lacks)),
            }
        }
        Ok(Some(why.unwrap_or_else(|| not_kept(name))))
    }

    /// The rows of the client at a name and above it, the nearest first.
    pub(super) async fn rows_above(
        &self,
        name: &str,
        certificate: &Certificate,
    ) -> Result<Vec<DomainRow>, StoreError> {
        let Ok(name) = DomainName::from_a_labels(name) else {
            return Ok(Vec::new());
        };
        let above = name.at_and_above();
        let above: Vec<_> = above
            .into_iter()
            .filter_map(|one| DomainName::from_a_labels(one).ok())
            .collect();
        let mut found = self.ports.store.rows_of(&above).await?;
        let client = certificate.client.as_ref();
        found.retain(|row| client.is_some_and(|client| client.key == row.client));
        found.sort_by_key(|row| std::cmp::Reverse(row.domain.as_str().len()));
        Ok(found)
    }

    /// The missing part of one domain.
    fn lacks(&self, row: &DomainRow, now: Timestamp) -> Option<String> {
        let domain = row.domain.both_forms();
        let registration = row.sighting.registration();
        let until = registration.and_then(|one| one.usable_until(&self.policy.reuse, now));
        let held = row.upkeep.setback.hold.is_some();
        let Some(until) = until else {
            return Some(match held {
                true => format!(
                    "{domain} is not proven, and is held: `prevalidate diagnose {}` says why",
                    row.domain
                ),
                false => format!("{domain} is not proven yet"),
            });
        };
        let left = until.duration_since(now);
        let proof = registration.and_then(|one| one.proof.as_ref());
        let renewal = proof.and_then(|proof| self.policy.renew_at(&row.domain, proof));
        let is_renewed_first = renewal.is_some_and(|at| at <= now)
            && left
                < self
                    .policy
                    .critical_margin(until, proof.and_then(|one| one.validated_at))
            && !(held && left >= LEAST);
        is_renewed_first
            .then(|| format!("the proof of {domain} ends on {until:.0} and is renewed first"))
    }
}

fn not_kept(name: &str) -> String {
    format!("{name} is not kept at this client: add it to the domains of the [[client]]")
}
