//! The questions about persistent records: all TXT records of a name, and whether CAA lets a CA use
//! them.

use hickory_proto::rr::{DNSClass, RData};
use jiff::Timestamp;

use super::caa::persistent_records::{Stop, refuses, stops};
use super::examine::CaaSets;
use super::gate::name;
use super::{Gate, GateMode, RecordKind};
use crate::prevalidation::{DomainName, RecordName};

impl Gate {
    /// Every TXT record that any address of the zone's name servers has at the end of `owner`'s
    /// aliases. An old record on one server is one that a CA may see.
    pub(super) async fn all_texts(&self, owner: &RecordName) -> Result<Vec<Vec<Vec<u8>>>, String> {
        let owner = self.end_of_aliases(owner).await?;
        let who = self
            .responsible_for(&owner)
            .await
            .map_err(|error| error.to_string())?;
        let asked = name(owner.as_str()).map_err(|error| error.to_string())?;
        let replies = self.round(&who, &asked, RecordKind::Txt).await;
        let (mut texts, mut answered) = (Vec::new(), false);
        for reply in replies.into_values().flatten() {
            answered |= reply.metadata.authoritative;
            for record in &reply.answers {
                let RData::TXT(text) = &record.data else {
                    continue;
                };
                let strings: Vec<Vec<u8>> =
                    text.txt_data.iter().map(|text| text.to_vec()).collect();
                let is_here = record.name == asked && record.dns_class == DNSClass::IN;
                if is_here && !texts.contains(&strings) {
                    texts.push(strings);
                }
            }
        }
        if !answered {
            return Err(format!(
                "no name server of {} answers for {owner}",
                who.zone
            ));
        }
        texts.sort();
        Ok(texts)
    }

    /// Why CAA does not let `issuer` use a persistent record of `domain`.
    pub(super) async fn caa_against(&self, domain: &DomainName, issuer: &str) -> Option<String> {
        if self.settings().way_at(domain.as_str()).mode != GateMode::Authoritative {
            return None;
        }
        let who = self.responsible(domain).await.ok()?;
        let sets = CaaSets::default();
        // A CA must not issue while the records cannot be read, and that passes by itself.
        let found = self.closest_caa(domain, &who, &sets).await.ok()?;
        refuses(found.at.as_deref()?, &found.set, issuer)
    }

    /// What CAA, as it must be obeyed at `on`, means for certificates of `issuer` that rest on a
    /// persistent record of `domain` with `account`.
    ///
    /// # Errors
    /// Why CAA could not be read.
    pub async fn caa_stops(
        &self,
        domain: &DomainName,
        (issuer, account): (&str, &str),
        on: Timestamp,
        sets: &CaaSets,
    ) -> Result<Option<Stop>, String> {
        let who = self.responsible(domain).await;
        let who = who.map_err(|error| error.to_string())?;
        let found = self.closest_caa(domain, &who, sets).await?;
        let at = found.at.as_deref();
        Ok(at.and_then(|at| stops(at, &found.set, issuer, account, on)))
    }
}
