//! Places for connections: a number at once, a number from one address, and some that only this
//! machine may take, so that a flood of the port keeps neither a proxy nor monitoring out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a connection has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("all places are taken")]
    Full,
    #[error("all places for other machines are taken; the rest is for this one")]
    FullForOthers,
    #[error("this address has as many as one address may have")]
    Address,
}

impl Refused {
    /// The word in the metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Full | Self::FullForOthers => "full",
            Self::Address => "address",
        }
    }
}

/// The places of a listener.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Mutex<Taken>>);

#[derive(Debug)]
struct Taken {
    most: usize,
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Taken {
            most,
            all: 0,
            by_address: HashMap::new(),
        })))
    }

    /// A place for a connection from `peer`. Loopback addresses may have all of them: a proxy is
    /// there. Others leave an eighth free, and one address has at most an eighth.
    pub(super) fn take(&self, peer: IpAddr) -> Result<Place, Refused> {
        let mut taken = self.taken();
        let address = network(peer);
        let part = (taken.most / 8).max(1);
        if taken.all >= taken.most {
            return Err(Refused::Full);
        }
        if !peer.is_loopback() {
            if taken.all >= taken.most - part {
                return Err(Refused::FullForOthers);
            }
            if taken
                .by_address
                .get(&address)
                .is_some_and(|&count| count >= part)
            {
                return Err(Refused::Address);
            }
        }
        taken.all += 1;
        *taken.by_address.entry(address).or_default() += 1;
        Ok(Place {
            places: self.clone(),
            address,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(count) = taken.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// A site has a whole /64 of IPv6.
pub(in crate::server) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_address_takes_its_part_and_this_machine_always_finds_a_place() {
        let places = Places::new(16);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let greedy = address("192.0.2.1");
        let mut held: Vec<Place> = (0..2).map(|_| places.take(greedy).unwrap()).collect();
        assert_eq!(places.take(greedy).unwrap_err(), Refused::Address);
        // Addresses of one site count together.
        held.push(places.take(address("2001:db8::1")).unwrap());
        held.push(places.take(address("2001:db8::2")).unwrap());
        assert_eq!(
            places.take(address("2001:db8::3")).unwrap_err(),
            Refused::Address
        );
        for n in 10..20 {
            held.push(places.take(address(&format!("192.0.2.{n}"))).unwrap());
        }
        let stranger = address("198.51.100.1");
        assert_eq!(places.take(stranger).unwrap_err(), Refused::FullForOthers);
        let local = address("127.0.0.1");
        let proxy: Vec<_> = (0..2).map(|_| places.take(local).unwrap()).collect();
        assert_eq!(places.take(local).unwrap_err(), Refused::Full);
        drop((proxy, held.swap_remove(0)));
        assert!(places.take(greedy).is_ok() && places.take(stranger).is_ok());
        drop(held);
        assert!(places.taken().by_address.is_empty());
    }
}
