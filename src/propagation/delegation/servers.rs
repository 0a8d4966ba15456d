//! What a walk found, put together: the zone's servers with their addresses, the two lists of them,
//! what is wrong with them, and the delegations on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::join_all;
use hickory_proto::rr::{Name, RecordType};
use tokio::time::{Instant, timeout_at};

use super::{Cut, Delegation, Place, Trail, Walk, WalkError, locked};
use crate::propagation::dnssec::{Chain, Link};
use crate::propagation::evidence::text;
use crate::propagation::referral::{self, MOST_ADDRESSES, MOST_SERVERS};

/// Addresses of all servers of one zone that are asked, and at least one of each server.
const MOST_OF_ZONE: usize = 128;

impl Walk<'_> {
    pub(super) async fn delegation(&self, name: &Name) -> Result<Delegation, WalkError> {
        let (mut place, child) = self.find(name).await?;
        let mut parent = self.find_above(&mut place).await;
        if !parent.is_empty() {
            parent.extend(place.cut.others.iter().cloned());
        }
        let Place {
            cut,
            apex: zone,
            signed,
        } = place;
        let silent = child.is_err();
        let lists = (shown(&parent), child.as_ref().ok().map(shown));
        let mut warnings = Vec::new();
        // Those with glue come first.
        let mut hosts: Vec<Name> = cut.hosts.keys().cloned().collect();
        match child {
            Ok(child) => {
                warnings.extend(differ(&zone, &parent, &child));
                hosts.extend(child);
            }
            Err(error) if hosts.is_empty() => return Err(error),
            Err(error) => warnings.push(format!(
                "the zone's own list of name servers could not be read: {error}"
            )),
        }
        hosts.extend(cut.others.iter().cloned());
        let mut known = BTreeSet::new();
        hosts.retain(|host| known.insert(host.clone()));
        if hosts.len() > MOST_SERVERS {
            warnings.push(format!(
                "{} lists {} name servers; {MOST_SERVERS} were asked",
                text(&zone),
                hosts.len()
            ));
            hosts.truncate(MOST_SERVERS);
        }
        let found = self.look_up(&hosts, &zone, silent).await;
        let servers = addressed(&cut, &hosts, found, &mut warnings);
        let asked = servers
            .values()
            .flatten()
            .map(|&ip| SocketAddr::from((ip, self.walker.port)))
            .collect();
        let chain = Chain {
            links: self.links(&cut, &zone, asked),
            signed,
        };
        let (parent, child) = lists;
        Ok(Delegation {
            zone: text(&zone),
            servers,
            parent,
            child,
            warnings,
            chain,
        })
    }

    /// Where the walk ends, and the zone's own list of name servers.
    async fn find(
        &self,
        name: &Name,
    ) -> Result<(Place, Result<BTreeSet<Name>, WalkError>), WalkError> {
        let trail = Trail::begin(&self.effort);
        match self.descend(name, &trail).await {
            Ok(place) => {
                let zone = &place.apex;
                let question = (zone, RecordType::NS);
                let list = self.first(&place.cut, question, &trail, |reply| {
                    referral::own_servers(reply, zone)
                });
                let list = list.await;
                Ok((place, list))
            }
            // The zone is delegated, and no server there answers: each server shall be asked by
            // itself and show how it fails.
            Err(error @ WalkError::NoAnswer { .. }) => {
                let cut = Arc::unwrap_or_clone(self.nearest(name));
                if cut.zone.iter().len() < 2 {
                    return Err(error);
                }
                let place = Place {
                    apex: cut.zone.clone(),
                    cut,
                    signed: false,
                };
                Ok((place, Err(error)))
            }
            Err(error) => Err(error),
        }
    }

    /// The addresses of the hosts beside their glue; `None` where the search took too long, or
    /// cannot bring anything.
    async fn look_up(
        &self,
        hosts: &[Name],
        zone: &Name,
        silent: bool,
    ) -> Vec<Option<Result<Vec<IpAddr>, WalkError>>> {
        let trail = &Trail::begin(&self.effort);
        // Addresses that are not found by then are left out, so that the other addresses are not
        // lost.
        let spare = self.walker.time / 10;
        let last = self.deadline.checked_sub(spare).unwrap_or(self.deadline);
        let by = last.min(Instant::now() + self.walker.time / 2);
        let found = hosts.iter().map(async |host| {
            // No server would answer for a name inside a silent zone; a host that takes long must
            // not cost the others.
            if silent && zone.zone_of(host) {
                return None;
            }
            let search = self.addresses_outside(zone, host, trail);
            timeout_at(by, search).await.ok()
        });
        join_all(found).await
    }

    /// The zones from the root to `apex`, whose servers are `servers`; `cut` is the last one that
    /// was delegated to.
    fn links(&self, cut: &Cut, apex: &Name, servers: Vec<SocketAddr>) -> Vec<Link> {
        let mut cuts: BTreeMap<usize, Cut> = BTreeMap::new();
        let top = locked(&self.walker.top)
            .get(&cut.zone.trim_to(1))
            .map(|(_, top)| Cut::clone(top));
        let walked: Vec<Cut> = locked(&self.cuts)
            .values()
            .filter(|walked| walked.zone.zone_of(&cut.zone))
            .map(|walked| Cut::clone(walked))
            .collect();
        let all = top
            .into_iter()
            .chain(walked)
            .chain([self.root(), cut.clone()]);
        cuts.extend(all.map(|cut| (cut.zone.iter().len(), cut)));
        let found = locked(&self.found);
        let link = |cut: Cut| {
            let also = cut
                .hosts
                .keys()
                .filter_map(|host| found.get(host))
                .flatten();
            let addresses: BTreeSet<IpAddr> =
                cut.hosts.values().flatten().chain(also).copied().collect();
            let with_port = addresses
                .into_iter()
                .map(|ip| SocketAddr::from((ip, self.walker.port)));
            Link {
                zone: cut.zone,
                servers: with_port.chain(cut.fixed).collect(),
                proof: cut.proof,
            }
        };
        let mut links: Vec<Link> = cuts.into_values().map(link).collect();
        match links.last_mut() {
            Some(last) if last.zone == *apex => last.servers = servers,
            _ => links.push(Link {
                zone: apex.clone(),
                servers,
                proof: Vec::new(),
            }),
        }
        links
    }
}

/// Each host with its glue and its addresses by its own zone; what is wrong with them goes to
/// `warnings`.
fn addressed(
    cut: &Cut,
    hosts: &[Name],
    found: Vec<Option<Result<Vec<IpAddr>, WalkError>>>,
    warnings: &mut Vec<String>,
) -> BTreeMap<String, BTreeSet<IpAddr>> {
    let most = (MOST_OF_ZONE / hosts.len().max(1)).clamp(1, MOST_ADDRESSES);
    let mut servers = BTreeMap::new();
    for (host, found) in hosts.iter().zip(found) {
        let mut addresses: BTreeSet<IpAddr> =
            cut.hosts.get(host).into_iter().flatten().copied().collect();
        let host = text(host);
        match found {
            Some(Ok(more)) => addresses.extend(more),
            // The glue is enough to ask the server itself.
            _ if !addresses.is_empty() => {}
            Some(Err(error)) => {
                warnings.push(format!("name server {host} has no address: {error}"));
            }
            None => warnings.push(format!(
                "name server {host}: its address was not found in time"
            )),
        }
        if addresses.len() > most {
            warnings.push(format!(
                "{host} has {} addresses; {most} were asked",
                addresses.len()
            ));
        }
        let addresses: BTreeSet<IpAddr> = addresses.into_iter().take(most).collect();
        if let Some(inside) = addresses.iter().find(|address| is_private(**address)) {
            warnings.push(format!(
                "name server {host} has the private address {inside}, which the CA cannot reach: \
                 is this an internal view of the zone?"
            ));
        }
        servers.insert(host, addresses);
    }
    servers
}

fn differ(zone: &Name, parent: &BTreeSet<Name>, child: &BTreeSet<Name>) -> Option<String> {
    (!parent.is_empty() && parent != child).then(|| {
        format!(
            "the delegation of {} and the zone itself name different servers: {} in the parent, {} \
             in the zone",
            text(zone),
            list(parent),
            list(child)
        )
    })
}

fn shown(names: &BTreeSet<Name>) -> BTreeSet<String> {
    names.iter().take(MOST_SERVERS).map(text).collect()
}

fn list(names: &BTreeSet<Name>) -> String {
    let names: Vec<String> = names.iter().take(MOST_SERVERS).map(text).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// Whether an address only works inside a network, so that the CA cannot reach it.
pub(in crate::propagation) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}
