//! Finding the CAA records that count: from the domain upwards, the first name that has any (RFC
//! 8659, section 3).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hickory_proto::op::Message;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::prevalidation::{DomainName, RecordName};
use crate::propagation::caa::{CaaAdvice, Property, evaluate};
use crate::propagation::delegation::Walk;
use crate::propagation::evidence::text;
use crate::propagation::gate::name;
use crate::propagation::{Gate, Responsible};

/// Aliases in a row that are followed; CAs follow 8 at least (RFC 8659 leaves it to resolvers).
const MOST_ALIASES: usize = 8;

/// CAA record sets by the name they were asked for.
#[derive(Debug, Default)]
pub struct CaaSets(Mutex<HashMap<Name, Found>>);

type Found = Arc<OnceCell<Result<Vec<Property>, String>>>;

impl CaaSets {
    /// The set at `owner`: what is known, or else what `find` brings.
    async fn of(
        &self,
        owner: &Name,
        find: impl Future<Output = Result<Vec<Property>, String>>,
    ) -> Result<Vec<Property>, String> {
        let found = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(owner.clone()).or_default())
        };
        found.get_or_init(|| find).await.clone()
    }
}

/// The CAA records that count for a domain.
#[derive(Debug, Default)]
pub(in crate::propagation) struct Closest {
    /// The name that has them; `None`: no name has any.
    pub(in crate::propagation) at: Option<String>,
    pub(in crate::propagation) set: Vec<Property>,
    /// The servers that were not asked.
    note: Option<String>,
}

impl Gate {
    /// What CAA records say about `domain`. Authoritative servers are asked; where the configuration
    /// names the servers of a zone, the zones above it are asked only if it names theirs too, for
    /// they may be out of reach.
    pub(in crate::propagation) async fn caa(
        &self,
        domain: &DomainName,
        who: &Responsible,
        ca_names: &[String],
        now: Timestamp,
        sets: &CaaSets,
    ) -> CaaAdvice {
        match self.closest_caa(domain, who, sets).await {
            Ok(Closest { at, set, note }) => {
                let mut advice = evaluate(at, &set, ca_names, now);
                advice.notes.extend(note);
                advice
            }
            Err(fault) => CaaAdvice {
                fault: Some(fault),
                ..evaluate(None, &[], ca_names, now)
            },
        }
    }

    /// The CAA records that count for `domain`: those of the first name that has any.
    ///
    /// # Errors
    /// Why they could not all be read, in words.
    pub(in crate::propagation) async fn closest_caa(
        &self,
        domain: &DomainName,
        who: &Responsible,
        sets: &CaaSets,
    ) -> Result<Closest, String> {
        let mut at = name(domain.as_str()).ok();
        // One walk, and so one budget, for all names and aliases.
        let walk = self.walker.walk();
        while let Some(owner) = at.filter(|owner| !owner.is_root()) {
            let zone = self.zone_of(&owner, who);
            let set = sets.of(&owner, self.properties(&owner, who, &walk));
            match set.await {
                Ok(set) if set.is_empty() => {}
                Ok(set) => {
                    let at = Some(text(&owner));
                    return Ok(Closest {
                        at,
                        set,
                        note: None,
                    });
                }
                Err(fault) => return Err(format!("CAA at {}: {fault}", text(&owner))),
            }
            let above = owner.base_name();
            if who.delegation.is_none() && text(&owner) == zone && !self.is_configured(&above) {
                let note = format!(
                    "the zones above {zone} were not asked: its name servers are configured"
                );
                return Ok(Closest {
                    note: Some(note),
                    ..Closest::default()
                });
            }
            at = Some(above);
        }
        Ok(Closest::default())
    }

    /// The CAA records of one name, through aliases.
    async fn properties(
        &self,
        owner: &Name,
        who: &Responsible,
        walk: &Walk<'_>,
    ) -> Result<Vec<Property>, String> {
        let mut asked = owner.clone();
        for _ in 0..MOST_ALIASES {
            let reply = self.reply(&asked, who, walk).await?;
            let set: Vec<Property> = at(&reply, &asked)
                .filter_map(|record| match &record.data {
                    RData::CAA(caa) => Some(Property {
                        critical: caa.issuer_critical,
                        tag: caa.tag.clone(),
                        value: caa.value.clone(),
                    }),
                    _ => None,
                })
                .collect();
            let alias = at(&reply, &asked).find_map(|record| match &record.data {
                RData::CNAME(target) if set.is_empty() => Some(target.0.clone()),
                _ => None,
            });
            match alias {
                Some(target) => asked = target,
                None => return Ok(set),
            }
        }
        Err(format!("more than {MOST_ALIASES} aliases in a row"))
    }

    /// An authoritative answer about CAA at one name: of the known servers for names in their zone,
    /// else after a walk.
    async fn reply(
        &self,
        owner: &Name,
        who: &Responsible,
        walk: &Walk<'_>,
    ) -> Result<Message, String> {
        if self.is_configured(owner) {
            let asked = RecordName::parse(&text(owner)).map_err(|error| error.to_string())?;
            let who = self.responsible_for(&asked).await;
            let who = who.map_err(|error| error.to_string())?;
            return self.first_of(&who, owner, RecordType::CAA).await;
        }
        let zone = Name::from_ascii(format!("{}.", who.zone)).map_err(|error| error.to_string())?;
        if who.delegation.is_some() || !zone.zone_of(owner) {
            return walk
                .answer(owner, RecordType::CAA)
                .await
                .map_err(|error| error.to_string());
        }
        self.first_of(who, owner, RecordType::CAA).await
    }

    /// Whether the configuration names the name servers of a name.
    fn is_configured(&self, owner: &Name) -> bool {
        let way = self.settings().way_at(&text(owner));
        way.name_servers.is_some()
    }

    /// The zone that holds a name, where the configuration names its servers.
    fn zone_of(&self, owner: &Name, who: &Responsible) -> String {
        let shown = text(owner);
        let way = self.settings().way_at(&shown);
        way.name_servers
            .map_or_else(|| who.zone.clone(), |(zone, _)| zone.to_owned())
    }
}

fn at<'a>(reply: &'a Message, owner: &'a Name) -> impl Iterator<Item = &'a Record> {
    reply
        .answers
        .iter()
        .filter(move |record| record.name == *owner && record.dns_class == DNSClass::IN)
}
