//! What the CA knows: organisations, domains, the validation of each.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How long a validation may be used (Sectigo's notice of March 2026).
const REUSE: SignedDuration = SignedDuration::from_hours(24 * 198);

pub(super) struct Book {
    organisations: Vec<(u64, String)>,
    /// By name, A-labels, lower case.
    domains: BTreeMap<String, Domain>,
    serial: u64,
    random: StdRng,
}

/// A domain with its validation.
#[derive(Debug, Clone)]
pub(super) struct Domain {
    pub(super) id: u64,
    pub(super) organisation: u64,
    /// Waits for a person of the level above.
    pub(super) requested: bool,
    pub(super) validated_at: Option<Timestamp>,
    pub(super) method: Option<&'static str>,
    pub(super) order: Option<Order>,
}

/// A validation that is under way, or what one left behind.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) id: String,
    pub(super) method: &'static str,
    pub(super) host: String,
    pub(super) point: String,
    pub(super) stage: Stage,
    pub(super) submitted_at: Option<Timestamp>,
    pub(super) last_check: Option<Timestamp>,
    pub(super) next_check: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Begun,
    Submitted,
    Rejected,
    /// Fulfilled, and still called submitted.
    LeftOver,
}

impl Domain {
    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.validated_at
            .and_then(|at| at.saturating_add(REUSE).ok())
    }
}

impl Book {
    pub(super) fn new(seed: u64, organisations: Vec<(u64, String)>) -> Self {
        Self {
            organisations,
            domains: BTreeMap::new(),
            serial: 1000,
            random: StdRng::seed_from_u64(seed),
        }
    }

    pub(super) fn organisations(&self) -> &[(u64, String)] {
        &self.organisations
    }

    pub(super) fn add(&mut self, name: &str, organisation: u64, requested: bool) -> u64 {
        self.serial += 1;
        let id = self.serial;
        let domain = Domain {
            id,
            organisation,
            requested,
            validated_at: None,
            method: None,
            order: None,
        };
        self.domains.insert(name.to_ascii_lowercase(), domain);
        id
    }

    pub(super) fn approve(&mut self) {
        for domain in self.domains.values_mut() {
            domain.requested = false;
        }
    }

    pub(super) fn remove(&mut self, id: u64) -> bool {
        let before = self.domains.len();
        self.domains.retain(|_, domain| domain.id != id);
        self.domains.len() < before
    }

    pub(super) fn domains(&self) -> impl Iterator<Item = (&String, &Domain)> {
        self.domains.iter()
    }

    pub(super) fn domain(&self, name: &str) -> Option<&Domain> {
        self.domains.get(&name.to_ascii_lowercase())
    }

    pub(super) fn domain_mut(&mut self, name: &str) -> Option<&mut Domain> {
        self.domains.get_mut(&name.to_ascii_lowercase())
    }

    /// Whether a domain above this one is in the account: then only that one is validated.
    pub(super) fn has_parent(&self, name: &str) -> bool {
        let mut rest = name;
        while let Some((_, above)) = rest.split_once('.') {
            if self.domain(above).is_some() {
                return true;
            }
            rest = above;
        }
        false
    }

    /// A CNAME pair in the shape of the retail scheme: MD5 as the label, SHA-256 in two parts.
    pub(super) fn pair(&mut self, name: &str) -> (String, String) {
        let mut hex = |length: usize| -> String {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let digit = |random: &mut StdRng| char::from(DIGITS[random.random_range(0..16)]);
            (0..length).map(|_| digit(&mut self.random)).collect()
        };
        (
            format!("_{}.{name}.", hex(32)),
            format!("{}.{}.sectigo.com.", hex(32), hex(32)),
        )
    }

    /// A TXT value of 32 printable characters.
    pub(super) fn value(&mut self, hostile: bool) -> String {
        let range = if hostile { 0x21..0x7f } else { 0x61..0x7b };
        let mut value: String = (0..32)
            .map(|_| char::from(self.random.random_range(range.clone())))
            .collect();
        if hostile {
            value.replace_range(0..4, "\\\"`;");
        }
        value
    }

    /// The key of a new order.
    pub(super) fn order_id(&mut self) -> String {
        self.serial += 1;
        self.serial.to_string()
    }
}
