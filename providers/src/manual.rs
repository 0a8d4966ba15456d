//! Zones that only a foreign writer may write: a pipeline, another team, a person.
//!
//! Nothing is written. Each value comes back as [`ErrorKind::ByOthers`]; the caller checks until it
//! is there, or gone.

use std::sync::Arc;

use async_trait::async_trait;

use crate::kind::{Kind, Table, World};
use crate::provider::{ErrorKind, Preflight, Provider, ProviderError};
use crate::record::{Receipt, Record, RecordData, RecordKind, TxtRrset, Zone, is_within};

/// `kind = "manual"`.
pub(crate) const KIND: Kind = Kind {
    name: "manual",
    keys: &[&["zones"]],
    read: |reader| {
        Some(Arc::new(Manual {
            zones: reader.names("zones"),
        }))
    },
};

/// The provider.
#[derive(Debug, Clone)]
pub struct Manual {
    /// The zones that foreign writers write, lower case, no trailing dot; empty: any name that is
    /// routed here by name.
    pub zones: Vec<String>,
}

impl Table for Manual {
    fn build(&self, _: &World) -> Result<Arc<dyn Provider>, ProviderError> {
        Ok(Arc::new(self.clone()))
    }
}

impl Manual {
    fn zone_of(&self, owner: &str) -> Result<Zone, ProviderError> {
        let within = |zone: &&String| is_within(owner, zone);
        self.zones
            .iter()
            .filter(within)
            .max_by_key(|zone| zone.len())
            .map(Zone::of)
            .ok_or_else(|| {
                let known = if self.zones.is_empty() {
                    "none is named".to_owned()
                } else {
                    self.zones.join(", ")
                };
                ProviderError::new(
                    ErrorKind::NoZone,
                    format!("{owner} is in none of the zones that foreign writers write: {known}"),
                )
                .with_hint("add its zone to `zones`, or route the domain to another provider")
            })
    }

    /// Where a zone is cut is not known here; without `zones` the name itself is taken.
    fn place(&self, owner: &str) -> Result<Zone, ProviderError> {
        if self.zones.is_empty() {
            Ok(Zone::of(owner))
        } else {
            self.zone_of(owner)
        }
    }

    fn others(&self, records: &[Record], what: &str) -> Vec<Result<Receipt, ProviderError>> {
        let one = |record: &Record| {
            let (owner, kind) = (&record.owner, record.kind());
            let (RecordData::Txt(data) | RecordData::Cname(data)) = &record.data;
            if data.is_empty() {
                return Err(ProviderError::new(
                    ErrorKind::Settings,
                    format!("an empty {kind} value for {owner}"),
                ));
            }
            self.place(owner)?;
            let text = format!("the writer of the zone of {owner} must {what} the {kind} record");
            Err(ProviderError::new(ErrorKind::ByOthers, text)
                .with_hint("`prevalidate records` prints it"))
        };
        records.iter().map(one).collect()
    }
}

#[async_trait]
impl Provider for Manual {
    fn kind(&self) -> &'static str {
        "manual"
    }

    fn writes(&self) -> bool {
        false
    }

    async fn find_zone(&self, owner: &str) -> Result<Zone, ProviderError> {
        self.zone_of(owner)
    }

    async fn inspect(&self, owner: &str) -> Result<TxtRrset, ProviderError> {
        let text = format!("the zone of {owner} is not read here: a foreign writer writes it");
        Err(ProviderError::new(ErrorKind::ByOthers, text).with_hint("ask its name servers"))
    }

    async fn ensure_present(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.others(records, "write")
    }

    async fn ensure_absent(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.others(records, "take away")
    }

    async fn preflight(&self, owner: &str, _kind: RecordKind) -> Result<Preflight, ProviderError> {
        let zone = self.place(owner)?;
        Ok(Preflight {
            zone,
            evidence: "written by a foreign writer: nothing could be proven".into(),
            warnings: vec![format!(
                "a renewal of {owner} takes as long as the foreign writer needs to write its value"
            )],
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn everything_is_left_to_the_writer_and_a_zone_ends_at_a_label() {
        let manual = Manual {
            zones: vec!["example.ch".into(), "sub.example.ch".into()],
        };
        assert_eq!(
            manual.find_zone("www.sub.example.ch").await.unwrap().apex,
            "sub.example.ch"
        );
        assert_eq!(
            manual.find_zone("notexample.ch").await.unwrap_err().kind,
            ErrorKind::NoZone
        );
        let value = |owner: &str, value: &str| Record::txt(owner, value);
        let wanted = [
            value("example.ch", "swiss-pki=1"),
            value("example.com", "swiss-pki=1"),
            value("example.ch", ""),
            Record::cname("_x.example.ch", "target.example"),
        ];
        for results in [
            manual.ensure_present(&wanted).await,
            manual.ensure_absent(&wanted).await,
        ] {
            let kinds: Vec<_> = results
                .into_iter()
                .map(|result| result.unwrap_err().kind)
                .collect();
            assert_eq!(
                kinds,
                [
                    ErrorKind::ByOthers,
                    ErrorKind::NoZone,
                    ErrorKind::Settings,
                    ErrorKind::ByOthers
                ]
            );
        }
        let any = Manual { zones: Vec::new() };
        assert_eq!(
            any.find_zone("example.ch").await.unwrap_err().kind,
            ErrorKind::NoZone,
            "never found by searching"
        );
        let routed = any
            .ensure_present(&[value("example.ch", "swiss-pki=1")])
            .await
            .remove(0);
        assert_eq!(routed.unwrap_err().kind, ErrorKind::ByOthers);
    }
}
