//! Reading: which zone holds a name, what TXT is at it, and whether a value can be there safely.
//!
//! All questions of one read go over one connection, the SOA first: if the zone that takes the
//! write still has that SOA, the records and the TTL read after it are its own.

use std::collections::BTreeMap;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, RecordType};

use super::ask::{Questions, Visit};
use super::message::{self, parent, plain_name, wire_name};
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{RecordKind, TxtRecord, TxtRrset, Zone, host_of, is_within};

/// The result of one read of a name.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) rrset: TxtRrset,
    /// The other reading of the same answer, if the name has the values of the wildcard beside it.
    pub(super) otherwise: Option<TxtRrset>,
    pub(super) name: Name,
    /// The SOA of the zone, read before everything else.
    pub(super) soa: SOA,
    /// The TTL of each record in the answer: PowerDNS keeps one for each row.
    pub(super) ttls: BTreeMap<TxtRecord, u32>,
    /// The target of the CNAME in the answer, as the server writes it.
    pub(super) cname: Option<Name>,
    /// The type of the record that was asked for.
    pub(super) kind: RecordKind,
    /// The host whose answers from a wildcard would end, if the host does not exist yet: the name
    /// itself, or one above it.
    pub(super) shadowed: Option<Name>,
}

impl Reading {
    /// Whether the name itself is the host that may exist only through a wildcard.
    pub(super) fn shadows_itself(&self) -> bool {
        self.shadowed.as_ref() == Some(&self.name)
    }

    /// The read of a name that is known to have TXT records of its own.
    pub(super) fn own(mut self) -> Self {
        if self.is_taken_for_made_up()
            && let Some(own) = &mut self.otherwise
        {
            std::mem::swap(own, &mut self.rrset);
        }
        self
    }

    /// The primary that the SOA names.
    pub(super) fn mname(&self) -> String {
        plain_name(&self.soa.mname)
    }

    /// The TTLs, when the records have several.
    pub(super) fn unequal_ttls(&self) -> Option<Vec<u32>> {
        let mut ttls: Vec<u32> = self.ttls.values().copied().collect();
        ttls.sort_unstable();
        ttls.dedup();
        (ttls.len() > 1 && !self.rrset.records.is_empty()).then_some(ttls)
    }

    /// Whether the answer may be the name's own or made up, and is taken for made up.
    pub(super) fn is_taken_for_made_up(&self) -> bool {
        self.otherwise.is_some() && !self.shows_some()
    }

    /// Whether the answer may be the name's own or made up, and is taken for the name's own.
    pub(super) fn is_taken_for_own(&self) -> bool {
        self.otherwise.is_some() && self.shows_some()
    }

    /// Whether there are two readings of the answer.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.otherwise.is_some()
    }

    fn shows_some(&self) -> bool {
        !self.rrset.records.is_empty() || self.rrset.cname.is_some()
    }
}

/// What the server says when asked for the SOA at a name.
#[derive(Debug, Clone)]
pub(super) enum Authority {
    Zone {
        apex: String,
        soa: SOA,
        negative_ttl: u32,
    },
    Cut(String),
    Alias(String),
    Nothing(ResponseCode),
}

impl Visit<'_> {
    /// The zone of `owner`: from the configured list, else as the server itself cuts it.
    pub(super) async fn zone_of(&self, owner: &str) -> Result<Zone, ProviderError> {
        let name =
            wire_name(owner).map_err(|fault| ProviderError::new(ErrorKind::NoZone, fault))?;
        let owner = plain_name(&name);
        if !self.provider.settings.zones.is_empty() {
            let longest = self
                .provider
                .settings
                .zones
                .iter()
                .filter(|zone| is_within(&owner, zone))
                .max_by_key(|zone| zone.len());
            return longest.map(Zone::of).ok_or_else(|| {
                let known = self.provider.settings.zones.join(", ");
                ProviderError::new(
                    ErrorKind::NoZone,
                    format!("{owner} is in none of the provider's zones: {known}"),
                )
                .with_hint("add its zone to `zones`, or route the domain to another provider")
            });
        }
        let mut candidate = Some(owner.as_str());
        let mut last = ResponseCode::NoError;
        let mut questions = self.questions();
        while let Some(current) = candidate {
            match questions
                .authority(&wire_name(current).map_err(unencodable)?)
                .await?
            {
                Authority::Zone { apex, .. } => return Ok(Zone::of(apex)),
                Authority::Nothing(code) => last = code,
                Authority::Cut(_) | Authority::Alias(_) => {}
            }
            candidate = parent(current);
        }
        Err(ProviderError::new(
            ErrorKind::NoZone,
            format!("{} serves no zone that holds {owner}; to the SOA question it says {last:?}", self.provider.settings.server),
        )
        .with_hint(
            "check that `server` is the zone's primary and that it answers this host's questions (views, allow-query, `sign_query`)",
        ))
    }

    /// The records at `owner` of the wanted type.
    ///
    /// # Errors
    /// As [`Self::read_name`] and [`Self::read_cname`].
    pub(super) async fn read_for(
        &self,
        owner: &str,
        zone: &Zone,
        kind: RecordKind,
    ) -> Result<Reading, ProviderError> {
        match kind {
            RecordKind::Txt => self.read_name(owner, zone).await,
            RecordKind::Cname => self.read_cname(owner, zone).await,
        }
    }

    /// The TXT RRset at `owner` and what else decides whether a value can be there.
    ///
    /// # Errors
    /// [`ErrorKind::Unsafe`] at an alias and below a zone cut, [`ErrorKind::NoZone`] where the
    /// server has no authority.
    pub(super) async fn read_name(
        &self,
        owner: &str,
        zone: &Zone,
    ) -> Result<Reading, ProviderError> {
        let name = wire_name(owner).map_err(unencodable)?;
        let (owner, apex, server) = (
            plain_name(&name),
            &zone.apex,
            &self.provider.settings.server,
        );
        let mut questions = self.questions();
        let (soa, negative_ttl) = match questions.authority(&name).await? {
            Authority::Zone {
                apex: found,
                soa,
                negative_ttl,
            } if found == *apex => (soa, negative_ttl),
            Authority::Zone { apex: found, .. } if is_within(&found, apex) => {
                return Err(cut(&owner, apex, &found));
            }
            Authority::Cut(found) if found != *apex && is_within(&found, apex) => {
                return Err(cut(&owner, apex, &found));
            }
            Authority::Alias(what) => return Err(alias(&owner, &what)),
            other => {
                let said = match other {
                    Authority::Zone { apex: found, .. } => format!("it serves {found}"),
                    Authority::Cut(found) => format!("it refers to other servers for {found}"),
                    Authority::Nothing(code) => format!("it says {code:?}"),
                    Authority::Alias(what) => what,
                };
                return Err(ProviderError::new(
                    ErrorKind::NoZone,
                    format!("{server} has no authority for {owner} in the zone {apex}: {said}"),
                )
                .with_hint(
                    "check `server` and `zones`, and that the server answers this host's questions (views, allow-query, `sign_query`)",
                ));
            }
        };
        let reply = questions.ask(&name, RecordType::TXT).await?;
        questions.check_answered(&reply, &name)?;
        if let Some(what) = alias_in(&reply, &name) {
            return Err(alias(&owner, &what));
        }
        let ttls = message::txt_at(&reply.answers, &name);
        let (records, ttl) = (ttls.keys().cloned().collect(), ttls.values().min().copied());
        let negative_ttl = Some(negative_ttl);
        let mut rrset = TxtRrset {
            zone: zone.clone(),
            owner,
            ttl,
            records,
            cname: None,
            negative_ttl,
        };
        let mut otherwise = None;
        let mut shadowed = None;
        if rrset.owner != *apex && !rrset.owner.starts_with("*.") {
            let wildcard = wildcard_beside(&name)?;
            let reply = questions.ask(&wildcard, RecordType::TXT).await?;
            // NXDOMAIN for `*.parent` proves that no wildcard, there or higher, answers for names
            // below the parent (RFC 4592).
            let under_wildcard = reply.metadata.response_code == ResponseCode::NoError;
            if under_wildcard {
                shadowed = questions.shadowed(&name, apex).await?;
            }
            let made_of = message::txt_at(&reply.answers, &wildcard);
            if under_wildcard && !made_of.is_empty() && made_of == ttls {
                // Most often the server makes the answer up from the wildcard, and the name has no
                // record. But an existing name may have the same values, such as `v=spf1 -all` at
                // every name. The guards of the update find that out.
                let nothing = TxtRrset {
                    ttl: None,
                    records: Vec::new(),
                    ..rrset.clone()
                };
                otherwise = Some(std::mem::replace(&mut rrset, nothing));
            }
        }
        Ok(Reading {
            rrset,
            otherwise,
            name,
            soa,
            ttls,
            cname: None,
            kind: RecordKind::Txt,
            shadowed,
        })
    }

    /// Whether `name` exists without records of its own because something is below it (an empty
    /// non-terminal).
    ///
    /// A wildcard does not answer for such a name (RFC 4592, section 2.2.2): it lacks what the
    /// wildcard has.
    pub(super) async fn is_empty_non_terminal(&self, name: &Name) -> Result<bool, ProviderError> {
        let wildcard = wildcard_beside(name)?;
        let mut questions = self.questions();
        for record_type in [
            RecordType::A,
            RecordType::AAAA,
            RecordType::MX,
            RecordType::TXT,
            RecordType::CNAME,
        ] {
            let has =
                |reply: Message, at: &Name| reply.answers.iter().any(|record| record.name == *at);
            if has(questions.ask(&wildcard, record_type).await?, &wildcard)
                && !has(questions.ask(name, record_type).await?, name)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The names in the NS RRset at the apex, as the server that is written to has it.
    pub(super) async fn name_servers(&self, zone: &Zone) -> Result<Vec<String>, ProviderError> {
        let apex = wire_name(&zone.apex).map_err(unencodable)?;
        let reply = self.questions().ask(&apex, RecordType::NS).await?;
        let names = reply
            .answers
            .iter()
            .filter(|record| record.name == apex)
            .filter_map(|record| match &record.data {
                RData::NS(host) => Some(plain_name(host)),
                _ => None,
            });
        Ok(names.collect())
    }

    /// Whether the zone is signed (DNSSEC).
    pub(super) async fn is_signed(&self, zone: &Zone) -> bool {
        let Ok(apex) = wire_name(&zone.apex) else {
            return false;
        };
        let reply = self.questions().ask(&apex, RecordType::DNSKEY).await;
        reply.is_ok_and(|reply| {
            reply
                .answers
                .iter()
                .any(|record| record.record_type() == RecordType::DNSKEY)
        })
    }
}

impl Questions<'_> {
    /// The host that a record at `name` would make exist, where a wildcard may answer for that host.
    /// A wildcard answers for a name beside `name`.
    pub(super) async fn shadowed(
        &mut self,
        name: &Name,
        apex: &str,
    ) -> Result<Option<Name>, ProviderError> {
        let owner = plain_name(name);
        let Some(host) = host_of(&owner, apex) else {
            return Ok(None);
        };
        let host = wire_name(host).map_err(unencodable)?;
        if host == *name {
            return Ok(Some(host));
        }
        let reply = self.ask(&wildcard_beside(&host)?, RecordType::TXT).await?;
        let answers = reply.metadata.response_code == ResponseCode::NoError;
        Ok(answers.then_some(host))
    }

    pub(super) async fn authority(&mut self, name: &Name) -> Result<Authority, ProviderError> {
        let reply = self.ask(name, RecordType::SOA).await?;
        let code = reply.metadata.response_code;
        if let Some(what) = alias_in(&reply, name) {
            return Ok(Authority::Alias(what));
        }
        if code == ResponseCode::ServFail {
            self.check_answered(&reply, name)?;
        }
        if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
            return Ok(Authority::Nothing(code));
        }
        if reply.metadata.authoritative {
            let soa = reply
                .answers
                .iter()
                .filter(|record| record.name == *name)
                .chain(&reply.authorities);
            for record in soa {
                let apex = plain_name(&record.name);
                if let RData::SOA(soa) = &record.data
                    && is_within(&plain_name(name), &apex)
                {
                    return Ok(Authority::Zone {
                        apex,
                        soa: soa.clone(),
                        negative_ttl: record.ttl.min(soa.minimum),
                    });
                }
            }
        }
        let cut = reply
            .authorities
            .iter()
            .find(|record| record.record_type() == RecordType::NS && !record.name.is_root());
        Ok(match cut {
            Some(record) if is_within(&plain_name(name), &plain_name(&record.name)) => {
                Authority::Cut(plain_name(&record.name))
            }
            _ => Authority::Nothing(code),
        })
    }

    pub(super) fn check_answered(&self, reply: &Message, name: &Name) -> Result<(), ProviderError> {
        match reply.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(()),
            code => {
                let text = format!(
                    "{} says {code:?} to a question for {}",
                    self.visit.provider.settings.server,
                    plain_name(name)
                );
                Err(ProviderError::new(ErrorKind::Unavailable, text))
            }
        }
    }
}

pub(super) fn wildcard_beside(name: &Name) -> Result<Name, ProviderError> {
    name.base_name()
        .prepend_label("*")
        .map_err(|error| unencodable(error.to_string()))
}

pub(super) fn alias_in(reply: &Message, name: &Name) -> Option<String> {
    reply.answers.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if record.name == *name => {
            Some(format!("a CNAME to {}", plain_name(&target.0)))
        }
        _ if record.record_type() == RecordType::DNAME && record.name != *name => {
            Some(format!("a DNAME at {} above it", plain_name(&record.name)))
        }
        _ => None,
    })
}

pub(super) fn cut(owner: &str, apex: &str, cut: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Unsafe,
        format!(
            "{owner} is not in the zone {apex}: {cut} is delegated, and a value written into {apex} would be invisible"
        ),
    )
    .with_hint(format!("write to the primary of {cut}: give the domain a provider for that zone"))
}

fn alias(owner: &str, what: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Unsafe,
        format!("{owner} is an alias ({what}) and cannot hold a TXT value beside it"),
    )
    .with_hint("validate the parent domain instead; it covers this name")
}

pub(super) fn unencodable(fault: String) -> ProviderError {
    ProviderError::new(ErrorKind::Unsafe, fault)
}
