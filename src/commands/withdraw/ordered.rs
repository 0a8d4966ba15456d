//! The records that open orders of certificates have in DNS. They leave it as the values of proofs do,
//! by the run that keeps the order.

use std::fmt;

use serde::Serialize;

use crate::prevalidation::DomainName;
use crate::prevalidation::name::is_within;
use crate::store::{Store, StoreError};

/// A record of an open order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Ordered {
    /// The domain that is asked about.
    #[serde(skip)]
    pub(super) domain: DomainName,
    /// The certificate whose order it is.
    pub(super) certificate: String,
    owner: String,
    kind: String,
    data: String,
}

impl fmt::Display for Ordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (owner, kind, data) = (&self.owner, &self.kind, &self.data);
        let certificate = &self.certificate;
        write!(
            f,
            "{owner} {kind} {data}, of the open order of certificate {certificate}"
        )
    }
}

/// The records that open orders have at some domains and below.
pub(super) async fn ordered(
    store: &dyn Store,
    domains: &[DomainName],
) -> Result<Vec<Ordered>, StoreError> {
    let mut found = Vec::new();
    for row in store.orders().certificates().await? {
        let order = row.progress.order.into_iter();
        let records = order.flat_map(|order| order.records);
        for record in records.filter(|record| record.may_stand() && !record.is_foreign) {
            let mut domains = domains.iter();
            let domain = domains.find(|domain| is_within(&record.owner, domain.as_str()));
            if let Some(domain) = domain {
                found.push(Ordered {
                    domain: domain.clone(),
                    certificate: row.name.clone(),
                    owner: record.place().to_owned(),
                    kind: record.kind.clone(),
                    data: record.data.clone(),
                });
            }
        }
    }
    Ok(found)
}
