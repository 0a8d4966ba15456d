//! Reading a zone: what is at the names, and whether a value can be there safely.
//!
//! The first page of a zone has up to 300 RRsets and begins with the apex, so one call reads most
//! zones whole, and the apex of every zone. Of a large zone either the rest is listed or its names
//! are read one by one, whichever takes fewer calls.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_route53::types::{ResourceRecordSet, RrType};

use super::Route53;
use super::api::{RECORDS_PAGE, Start};
use super::text::{read_name, read_value};
use super::zones::Known;
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{TxtRrset, host_of, is_within};

/// RRsets of a zone by name: all of them, or at least those of every name that was asked for and of
/// whatever follows it.
#[derive(Debug, Default)]
pub(super) struct Listing(BTreeMap<String, Vec<ResourceRecordSet>>);

/// The records at one name.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) rrset: TxtRrset,
    /// The same as Route 53 has it, for the DELETE that must match it literally.
    pub(super) stored: Option<ResourceRecordSet>,
    /// The host that would begin to exist with the record, and the wildcard that answers for it until
    /// then.
    pub(super) shadowed: Option<(String, String)>,
}

impl Route53 {
    /// Reads what [`Listing::read_name`] needs to know about `owners`.
    pub(super) async fn list(
        &self,
        zone: &Known,
        owners: &[&str],
    ) -> Result<Listing, ProviderError> {
        let listed = self.list_owners(zone, owners).await;
        if listed
            .as_ref()
            .is_err_and(|error| error.kind == ErrorKind::NoZone)
        {
            self.remembered.forget().await;
        }
        listed
    }

    async fn list_owners(&self, zone: &Known, owners: &[&str]) -> Result<Listing, ProviderError> {
        let mut listing = Listing::default();
        let mut next = self
            .list_name(zone, Start::default(), &zone.apex, &mut listing)
            .await?;
        if next.is_none() {
            return Ok(listing);
        }
        let names: BTreeSet<&str> = owners
            .iter()
            .flat_map(|owner| up_to(owner, &zone.apex))
            .collect();
        // Each new name may take one more call, for the wildcard beside it.
        let calls = names.len() + owners.iter().filter(|owner| **owner != zone.apex).count();
        if calls as u64
            >= zone
                .records
                .saturating_sub(RECORDS_PAGE)
                .div_ceil(RECORDS_PAGE)
        {
            while let Some(start) = next {
                let page = self.api.records(&zone.id, &zone.apex, &start).await?;
                listing.take(page.sets);
                next = page.next;
            }
            return Ok(listing);
        }
        for name in names {
            self.list_name(zone, Start::at(name), name, &mut listing)
                .await?;
        }
        let wildcards: BTreeSet<String> = owners
            .iter()
            .filter(|owner| !listing.exists(owner))
            .map(|owner| wildcard_at(listing.closest(owner, &zone.apex)))
            .collect();
        for wildcard in wildcards {
            self.list_name(zone, Start::at(&wildcard), &wildcard, &mut listing)
                .await?;
        }
        Ok(listing)
    }

    /// Reads from `start` until nothing more of `name` can follow.
    async fn list_name(
        &self,
        zone: &Known,
        start: Start,
        name: &str,
        listing: &mut Listing,
    ) -> Result<Option<Start>, ProviderError> {
        let mut start = start;
        loop {
            let page = self.api.records(&zone.id, &zone.apex, &start).await?;
            listing.take(page.sets);
            match page.next {
                Some(next) if next.name.as_deref().map(read_name).as_deref() == Some(name) => {
                    start = next
                }
                next => return Ok(next),
            }
        }
    }
}

impl Listing {
    fn take(&mut self, sets: Vec<ResourceRecordSet>) {
        for set in sets {
            let sets = self.0.entry(read_name(&set.name)).or_default();
            // Pages of names that are read one by one overlap; what was read last is the truth.
            let is_same = |other: &&mut ResourceRecordSet| {
                (&other.r#type, &other.set_identifier) == (&set.r#type, &set.set_identifier)
            };
            match sets.iter_mut().find(is_same) {
                Some(earlier) => *earlier = set,
                None => sets.push(set),
            }
        }
    }

    pub(super) fn at(&self, name: &str) -> &[ResourceRecordSet] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether something is at a name or below it (RFC 4592, section 2.2.2).
    fn exists(&self, name: &str) -> bool {
        self.0.contains_key(name) || self.0.keys().any(|other| is_within(other, name))
    }

    /// The nearest name above `owner` that exists (RFC 4592, section 3.3.1).
    fn closest<'a>(&self, owner: &'a str, apex: &'a str) -> &'a str {
        up_to(owner, apex)
            .skip(1)
            .find(|name| self.exists(name))
            .unwrap_or(apex)
    }

    /// The records at `owner`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsafe`] at an alias, below a zone cut, and where an answer depends on who
    /// asks.
    pub(super) fn read_name(&self, zone: &Known, owner: &str) -> Result<Reading, ProviderError> {
        let refused = |what: String, hint: String| {
            Err(ProviderError::new(
                ErrorKind::Unsafe,
                format!("{owner} in {}: {what}", zone.shown()),
            )
            .with_hint(hint))
        };
        self.refuse_cut(zone, owner)?;
        if self.is_alias(owner) {
            return refused(
                "a CNAME, which cannot have a TXT value beside it".to_owned(),
                "validate the parent domain instead; it covers this name".to_owned(),
            );
        }
        let txt: Vec<_> = self
            .at(owner)
            .iter()
            .filter(|set| set.r#type == RrType::Txt)
            .collect();
        for set in &txt {
            let simple =
                "replace it by one simple TXT record set, or validate the parent domain".to_owned();
            if let Some(target) = &set.alias_target {
                return refused(
                    format!("its TXT is a Route 53 alias to {}", target.dns_name),
                    simple,
                );
            }
            if let Some(identifier) = &set.set_identifier {
                let policy = routing_policy(set);
                return refused(
                    format!(
                        "its TXT is routed by {policy} (set identifier {identifier:?}): some would not see a new value"
                    ),
                    simple,
                );
            }
            if let Some(policy) = &set.traffic_policy_instance_id {
                return refused(
                    format!("its TXT is made by the traffic policy instance {policy}"),
                    simple,
                );
            }
        }
        let stored = txt.first().map(|set| (*set).clone());
        let records = stored
            .as_ref()
            .and_then(|set| set.resource_records.as_ref());
        let rrset = TxtRrset {
            ttl: stored
                .as_ref()
                .and_then(|set| set.ttl)
                .and_then(|ttl| ttl.try_into().ok()),
            records: records
                .into_iter()
                .flatten()
                .map(|record| read_value(&record.value))
                .collect(),
            ..self.nothing_at(zone, owner)
        };
        Ok(Reading {
            rrset,
            stored,
            shadowed: self.shadowed(zone, owner),
        })
    }

    /// Whether a CNAME is at the name.
    pub(super) fn is_alias(&self, owner: &str) -> bool {
        let mut sets = self.at(owner).iter();
        sets.any(|set| set.r#type == RrType::Cname)
    }

    /// The TXT values at a name where a CNAME is: none can be beside it (RFC 1034, section 3.6.2).
    ///
    /// # Errors
    /// [`ErrorKind::Unsafe`] below a zone cut.
    pub(super) fn read_behind_alias(
        &self,
        zone: &Known,
        owner: &str,
    ) -> Result<Reading, ProviderError> {
        self.refuse_cut(zone, owner)?;
        Ok(Reading {
            rrset: self.nothing_at(zone, owner),
            stored: None,
            shadowed: None,
        })
    }

    /// Refuses a name below a zone cut.
    pub(super) fn refuse_cut(&self, zone: &Known, owner: &str) -> Result<(), ProviderError> {
        let is_cut = |name: &&str| self.at(name).iter().any(|set| set.r#type == RrType::Ns);
        let Some(cut) = up_to(owner, &zone.apex).find(is_cut) else {
            return Ok(());
        };
        let text = format!(
            "{owner} in the zone {} ({}): {cut} is delegated, and a value written into {} would be invisible",
            zone.apex, zone.id, zone.apex
        );
        Err(
            ProviderError::new(ErrorKind::Unsafe, text).with_hint(format!(
                "write to the servers of {cut}: give the domain the provider that has this zone"
            )),
        )
    }

    /// The host that would begin to exist with a record at `owner`, and the wildcard that answers for
    /// it until then.
    pub(super) fn shadowed(&self, zone: &Known, owner: &str) -> Option<(String, String)> {
        let host = host_of(owner, &zone.apex)?;
        let wildcard = self.wildcard_of(zone, host)?;
        Some((host.to_owned(), wildcard))
    }

    /// The wildcard that answers for a name that does not exist.
    fn wildcard_of(&self, zone: &Known, owner: &str) -> Option<String> {
        (owner != zone.apex && !self.exists(owner))
            .then(|| wildcard_at(self.closest(owner, &zone.apex)))
            .filter(|wildcard| self.exists(wildcard))
    }

    /// A name with neither TXT nor CNAME.
    pub(super) fn nothing_at(&self, zone: &Known, owner: &str) -> TxtRrset {
        TxtRrset {
            zone: zone.zone(),
            owner: owner.to_owned(),
            ttl: None,
            records: Vec::new(),
            cname: None,
            negative_ttl: self.negative_ttl(&zone.apex),
        }
    }

    /// Seconds that the SOA lets a resolver remember "not there" (RFC 2308, section 5).
    fn negative_ttl(&self, apex: &str) -> Option<u32> {
        let soa = self.at(apex).iter().find(|set| set.r#type == RrType::Soa)?;
        let minimum: u32 = soa
            .resource_records
            .as_ref()?
            .first()?
            .value
            .split_whitespace()
            .last()?
            .parse()
            .ok()?;
        Some(minimum.min(soa.ttl?.try_into().ok()?))
    }
}

fn routing_policy(set: &ResourceRecordSet) -> &'static str {
    match set {
        set if set.weight.is_some() => "weight",
        set if set.multi_value_answer.is_some() => "multivalue answer",
        set if set.region.is_some() => "latency",
        set if set.failover.is_some() => "failover",
        set if set.geo_location.is_some() || set.geo_proximity_location.is_some() => "geography",
        set if set.cidr_routing_config.is_some() => "client address",
        _ => "a policy",
    }
}

/// `owner` and the names above it, without the apex.
fn up_to<'a>(owner: &'a str, apex: &'a str) -> impl Iterator<Item = &'a str> {
    let up = std::iter::successors(Some(owner), |name| {
        name.split_once('.').map(|(_, parent)| parent)
    });
    up.take_while(move |name| *name != apex && is_within(name, apex))
}

fn wildcard_at(name: &str) -> String {
    format!("*.{name}")
}
