//! A gentle check of many domains for what will bind on a day to come: CAA, DNSSEC, and over which
//! address families the name servers answer.
//!
//! One survey asks each address one question. CAA records are asked for once per name, however many
//! domains are below it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use futures::FutureExt;
use futures::future::BoxFuture;
use hickory_proto::rr::RecordType;
use jiff::Timestamp;
use serde::Serialize;

use super::caa::CaaAdvice;
use super::dnssec::Trust;
pub use super::examine::CaaSets;
use super::examine::DnssecReport;
use super::gate::apex;
use super::referral::authoritative;
use super::{Gate, Responsible, race};
use crate::prevalidation::DomainName;

/// The result of one check of a domain.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Survey {
    /// Why no responsible server was found.
    pub fault: Option<String>,
    /// The zone that holds the domain.
    pub zone: Option<String>,
    /// The verdict of CAA on the day.
    pub caa: Option<CaaAdvice>,
    /// Whether validating resolvers believe the zone now.
    pub dnssec: Option<DnssecReport>,
    /// Addresses by family, and how many of them answer for the zone.
    pub families: Families,
}

/// Addresses of a zone's name servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Families {
    /// IPv4 addresses that are listed, and that answer.
    pub ipv4: Answering,
    /// IPv6 addresses that are listed, and that answer.
    pub ipv6: Answering,
}

/// Addresses of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Answering {
    /// Listed addresses.
    pub listed: usize,
    /// Those that this machine has a route to.
    pub asked: usize,
    /// Those that answer for the zone.
    pub answering: usize,
}

impl Gate {
    /// Checks one domain. CAA is judged as it must be obeyed at `on`, signatures as of now.
    pub async fn survey(
        &self,
        domain: &DomainName,
        ca_names: &[String],
        on: Timestamp,
        sets: &CaaSets,
    ) -> Survey {
        let who = match self.responsible(domain).await {
            Ok(who) => who,
            Err(error) => {
                return Survey {
                    fault: Some(error.to_string()),
                    zone: None,
                    caa: None,
                    dnssec: None,
                    families: Families::default(),
                };
            }
        };
        let (trust, caa, families) = futures::join!(
            self.trust(&who),
            self.caa(domain, &who, ca_names, on, sets),
            self.families(&who)
        );
        let bogus = match &trust {
            Trust::Bogus(fault) => Some(fault),
            _ => None,
        };
        Survey {
            fault: None,
            zone: Some(who.zone),
            caa: Some(caa),
            dnssec: Some(DnssecReport::of(&trust, bogus)),
            families,
        }
    }

    async fn families(&self, who: &Responsible) -> Families {
        let Ok(zone) = apex(who) else {
            return Families::default();
        };
        let addresses: BTreeSet<SocketAddr> = who.servers.iter().map(|&(_, it)| it).collect();
        let zone = &zone;
        let ask = |address: SocketAddr| -> BoxFuture<'_, (bool, Answering)> {
            async move {
                let reply = self.asker.ask(address, zone, RecordType::SOA).await;
                let no_route = matches!(reply, Err(super::authority::Failure::NoRoute(_)));
                let answers = reply.is_ok_and(|reply| authoritative(&reply).is_ok());
                let said = Answering {
                    listed: 1,
                    asked: usize::from(!no_route),
                    answering: usize::from(answers),
                };
                (address.is_ipv4(), said)
            }
            .boxed()
        };
        let mut sums: BTreeMap<bool, Answering> = BTreeMap::new();
        for (is_ipv4, said) in race::all(addresses.into_iter().map(ask).collect()).await {
            let sum = sums.entry(is_ipv4).or_default();
            sum.listed += said.listed;
            sum.asked += said.asked;
            sum.answering += said.answering;
        }
        let of = |family| sums.get(&family).copied().unwrap_or_default();
        Families {
            ipv4: of(true),
            ipv6: of(false),
        }
    }
}
