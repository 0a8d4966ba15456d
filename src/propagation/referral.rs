//! What a reply says about zones and servers, pure: the only place where a walk believes anything,
//! and how little it believes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::dnssec::is_signed;
use super::evidence::{rcode, text};

/// Name servers of one zone that are asked. Registries allow 13 or fewer; hostile delegations name
/// thousands.
pub(super) const MOST_SERVERS: usize = 32;
/// Addresses of one name server that are asked.
pub(super) const MOST_ADDRESSES: usize = 16;
/// Records about a zone's keys that are kept of a referral. Ordinary ones have 2 to 8.
const MOST_PROOF: usize = 64;

/// Where "`name` SOA?" leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Further down: a referral to a zone on the way to the name, with the glue that its sender may
    /// give.
    Down(Down),
    /// The server answers for the name itself; its SOA record says where the zone begins.
    Here {
        /// The zone's apex.
        apex: Name,
        /// Whether the name exists.
        exists: bool,
        /// Whether the SOA record came with a signature.
        signed: bool,
    },
    /// The server answers for the name itself, and there is a CNAME or DNAME, so that no SOA record
    /// shows.
    Alias,
}

/// A referral.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Down {
    /// The zone that is delegated.
    pub(super) zone: Name,
    /// Its servers and their glue.
    pub(super) hosts: BTreeMap<Name, Vec<IpAddr>>,
    /// Servers that were named beside these, more than are read.
    pub(super) others: BTreeSet<Name>,
    /// What it says about the zone's keys: DS, NSEC and NSEC3 records and their signatures.
    pub(super) proof: Vec<Record>,
}

/// Reads the reply of a server of `above` to "`name` SOA?". Whatever does not lead down, towards
/// `name`, is not followed.
///
/// # Errors
/// In words, why the reply leads nowhere.
pub(super) fn step(reply: &Message, name: &Name, above: &Name) -> Result<Step, String> {
    let told = checked(reply)?;
    if reply.metadata.authoritative {
        for record in internet(&reply.answers) {
            match record.data {
                RData::SOA(_) if record.name == *name => {
                    return Ok(Step::Here {
                        apex: name.clone(),
                        exists: true,
                        signed: is_signed(&reply.answers),
                    });
                }
                RData::CNAME(_) if record.name == *name => return Ok(Step::Alias),
                _ if is_dname(record) && record.name.zone_of(name) => return Ok(Step::Alias),
                _ => {}
            }
        }
        let denies = |r: &&Record| {
            matches!(r.data, RData::SOA(_)) && above.zone_of(&r.name) && r.name.zone_of(name)
        };
        if let Some(soa) = internet(&reply.authorities).find(denies) {
            let (apex, exists) = (soa.name.clone(), told == ResponseCode::NoError);
            return Ok(Step::Here {
                apex,
                exists,
                signed: is_signed(&reply.authorities),
            });
        }
        return Err("its authoritative answer has no SOA record of a zone on the way".to_owned());
    }
    let leads_down = |r: &&Record| {
        matches!(r.data, RData::NS(_))
            && r.name != *above
            && above.zone_of(&r.name)
            && r.name.zone_of(name)
    };
    let Some(zone) = internet(&reply.authorities)
        .find(leads_down)
        .map(|record| record.name.clone())
    else {
        return Err("neither authoritative nor a referral towards the name".to_owned());
    };
    let (hosts, others) = named(reply, &zone, above);
    let of_keys = [
        RecordType::DS,
        RecordType::RRSIG,
        RecordType::NSEC,
        RecordType::NSEC3,
    ];
    let proof =
        internet(&reply.authorities).filter(|record| of_keys.contains(&record.record_type()));
    Ok(Step::Down(Down {
        zone: zone.to_lowercase(),
        hosts,
        others,
        proof: proof.take(MOST_PROOF).cloned().collect(),
    }))
}

/// The servers that a referral names, with their glue, and those that are too many.
fn named(
    reply: &Message,
    zone: &Name,
    above: &Name,
) -> (BTreeMap<Name, Vec<IpAddr>>, BTreeSet<Name>) {
    let all: BTreeSet<Name> = internet(&reply.authorities)
        .filter(|record| record.name == *zone)
        .filter_map(|record| match &record.data {
            RData::NS(host) => Some(host.0.to_lowercase()),
            _ => None,
        })
        .collect();
    let mut all = all.into_iter();
    let mut hosts: BTreeMap<Name, Vec<IpAddr>> = all
        .by_ref()
        .take(MOST_SERVERS)
        .map(|host| (host, Vec::new()))
        .collect();
    for record in internet(&reply.additionals) {
        // Glue from above its own zone is hearsay (RFC 5452, section 6): such names are resolved.
        if let (Some(address), true) = (record.data.ip_addr(), above.zone_of(&record.name))
            && let Some(glue) = hosts.get_mut(&record.name)
            && glue.len() < MOST_ADDRESSES
            && !glue.contains(&address)
        {
            glue.push(address);
        }
    }
    (hosts, all.collect())
}

/// Reads a server's reply to "`zone` NS?": the zone's own list.
///
/// # Errors
/// In words, why the reply is no such list.
pub(super) fn own_servers(reply: &Message, zone: &Name) -> Result<BTreeSet<Name>, String> {
    authoritative(reply)?;
    let names: BTreeSet<Name> = internet(&reply.answers)
        .filter(|record| record.name == *zone)
        .filter_map(|record| {
            if let RData::NS(host) = &record.data {
                Some(host.0.to_lowercase())
            } else {
                None
            }
        })
        .collect();
    if names.is_empty() {
        Err(format!("no NS records at {}", text(zone)))
    } else {
        Ok(names)
    }
}

/// Reads a server's reply to "`host` A?" or "`host` AAAA?". A name server's name may be no alias
/// (RFC 2181, section 10.3), so only records at the name itself count.
///
/// # Errors
/// In words, why the reply is no authoritative answer.
pub(super) fn addresses(reply: &Message, host: &Name) -> Result<Vec<IpAddr>, String> {
    authoritative(reply)?;
    Ok(internet(&reply.answers)
        .filter(|record| record.name == *host)
        .filter_map(|record| record.data.ip_addr())
        .take(MOST_ADDRESSES)
        .collect())
}

fn checked(reply: &Message) -> Result<ResponseCode, String> {
    match reply.metadata.response_code {
        told @ (ResponseCode::NoError | ResponseCode::NXDomain) => Ok(told),
        other => Err(rcode(other)),
    }
}

/// Whether a reply is an authoritative answer: that there is something, or that there is nothing.
///
/// # Errors
/// In words, why it is none.
pub(super) fn authoritative(reply: &Message) -> Result<(), String> {
    checked(reply)?;
    if reply.metadata.authoritative {
        Ok(())
    } else {
        Err("its answer is not authoritative (AA is not set)".to_owned())
    }
}

fn internet(records: &[Record]) -> impl Iterator<Item = &Record> {
    records
        .iter()
        .filter(|record| record.dns_class == DNSClass::IN)
}

/// DNAME (RFC 6672) is type 39, which the message library leaves undecoded.
fn is_dname(record: &Record) -> bool {
    u16::from(record.record_type()) == 39
}
