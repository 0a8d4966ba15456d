//! The provider of the zones in memory.

use std::sync::MutexGuard;

use async_trait::async_trait;

use super::{Inside, MemoryFault, MemoryZones};
use crate::provider::{ErrorKind, Preflight, Provider, ProviderError};
use crate::record::{Receipt, Record, RecordKind, TxtRrset, Zone};

/// The provider of [`MemoryZones`].
#[derive(Debug, Clone)]
pub struct MemoryProvider(MemoryZones);

impl MemoryProvider {
    /// A provider that may write all of `zones`.
    pub fn new(zones: MemoryZones) -> Self {
        Self(zones)
    }

    fn called(&self, verb: &'static str) -> MutexGuard<'_, Inside> {
        let mut inside = self.0.inside();
        *inside.calls.entry(verb).or_default() += 1;
        inside
    }

    fn change(
        &self,
        verb: &'static str,
        records: &[Record],
        present: bool,
    ) -> Vec<Result<Receipt, ProviderError>> {
        let mut inside = self.called(verb);
        let all = |kind: ErrorKind, what: &str| {
            records
                .iter()
                .map(|record| {
                    Err(ProviderError::new(
                        kind,
                        format!("{}: {what}", record.owner),
                    ))
                })
                .collect()
        };
        let fault = inside.faults.pop_front();
        match fault {
            Some(MemoryFault::Refuse) => return all(ErrorKind::Denied, "the key may not do this"),
            Some(MemoryFault::Unavailable) => return all(ErrorKind::Unavailable, "no connection"),
            Some(MemoryFault::LoseRequest) => return all(ErrorKind::Unknown, "no answer"),
            Some(MemoryFault::LoseAnswer) | None => {}
        }
        let befores: Vec<_> = records
            .iter()
            .map(|record| inside.read_to_change(record, present))
            .collect();
        let results: Vec<_> = records
            .iter()
            .map(|record| inside.change(record, present))
            .collect();
        // One change for all records of a name: each receipt shows the name before the first and
        // after the last.
        let results = results
            .into_iter()
            .zip(befores.into_iter().zip(records))
            .map(|(result, (before, record))| {
                let receipt = result?;
                Ok(Receipt {
                    before: before?,
                    after: inside.read_to_change(record, present)?,
                    ..receipt
                })
            })
            .collect();
        if fault.is_some() {
            all(ErrorKind::Unknown, "no answer")
        } else {
            results
        }
    }
}

#[async_trait]
impl Provider for MemoryProvider {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn find_zone(&self, owner: &str) -> Result<Zone, ProviderError> {
        let inside = self.called("find_zone");
        let found = inside.zone_of(owner).map(|apex| Zone {
            name_servers: inside.name_servers.get(apex).cloned().unwrap_or_default(),
            ..Zone::of(apex)
        });
        found.ok_or_else(|| {
            ProviderError::new(
                ErrorKind::NoZone,
                format!("no zone in memory holds {owner}"),
            )
        })
    }

    async fn inspect(&self, owner: &str) -> Result<TxtRrset, ProviderError> {
        self.called("inspect").rrset(owner)
    }

    async fn ensure_present(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.change("ensure_present", records, true)
    }

    async fn ensure_absent(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.change("ensure_absent", records, false)
    }

    async fn preflight(&self, owner: &str, kind: RecordKind) -> Result<Preflight, ProviderError> {
        let inside = self.called("preflight");
        let zone = inside.read_name(owner, kind)?.zone;
        inside.refuse_shadow(owner, &zone.apex)?;
        match inside.faults.front() {
            Some(MemoryFault::Refuse) => Err(ProviderError::new(
                ErrorKind::Denied,
                format!("{owner}: the key may not do this"),
            )),
            Some(MemoryFault::Unavailable) => Err(ProviderError::new(
                ErrorKind::Unavailable,
                format!("{owner}: no connection"),
            )),
            _ => Ok(Preflight {
                zone,
                evidence: "zones in memory take everything".into(),
                warnings: Vec::new(),
            }),
        }
    }
}
