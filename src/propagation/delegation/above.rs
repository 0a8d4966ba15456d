//! Servers that hold a zone and the one above it: they answer for both, so no referral shows where
//! the one ends.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::join_all;
use hickory_proto::rr::{Name, RecordType};

use super::{Cut, Place, Trail, Walk};
use crate::propagation::referral::{self, Step};

impl Walk<'_> {
    /// Finds the answer of the zone above about `place`, if a server that holds both zones answered
    /// in its place. Each server of that zone is asked. One may refer to the zone, as it should;
    /// then that is the delegation. Those that answer for the zone themselves are believed by
    /// resolvers and stay; the others have nothing to do with it.
    ///
    /// Returns the names that the delegation lists; none when no server referred.
    pub(super) async fn find_above(&self, place: &mut Place) -> BTreeSet<Name> {
        let (zone, above) = (place.apex.clone(), place.cut.zone.clone());
        if zone == above {
            return place.cut.hosts.keys().cloned().collect();
        }
        let trail = &Trail::begin(&self.effort);
        let found = join_all(place.cut.hosts.iter().map(async |(host, glue)| {
            match glue.as_slice() {
                [] => self
                    .addresses_outside(&above, host, trail)
                    .await
                    .unwrap_or_default(),
                glue => glue.to_vec(),
            }
        }));
        let addresses: Vec<(&Name, IpAddr)> = place
            .cut
            .hosts
            .keys()
            .zip(found.await)
            .flat_map(|(host, found)| found.into_iter().map(move |ip| (host, ip)))
            .collect();
        let asked = join_all(addresses.into_iter().map(async |(host, ip)| {
            if !self.effort.question() {
                return None;
            }
            let address = SocketAddr::from((ip, self.walker.port));
            let reply = self
                .walker
                .asker
                .ask(address, &zone, RecordType::SOA)
                .await
                .ok()?;
            Some((host.clone(), referral::step(&reply, &zone, &above).ok()?))
        }));
        let (mut holders, mut delegation) = (BTreeSet::new(), None);
        for (host, step) in asked.await.into_iter().flatten() {
            match step {
                Step::Here { apex, .. } if apex == zone => drop(holders.insert(host)),
                Step::Down(down) if down.zone == zone => delegation = Some(down),
                _ => {}
            }
        }
        place.cut.hosts.retain(|host, _| holders.contains(host));
        let Some(delegation) = delegation else {
            return BTreeSet::new();
        };
        let listed = delegation.hosts.keys().cloned().collect();
        let mut cut = Cut::from(delegation);
        for (host, glue) in std::mem::take(&mut place.cut.hosts) {
            cut.hosts.entry(host).or_insert(glue);
        }
        self.remember(&Arc::new(cut.clone()));
        place.cut = cut;
        listed
    }
}
