//! What the CA knows: organisations, domains, the validation of each.

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How long a random value lives.
const LIFE: SignedDuration = SignedDuration::from_hours(24 * 30);

/// What a CNAME points at, behind the value.
pub(super) const TARGET: &str = "dcv.digicert.com";

pub(super) struct Book {
    /// Id, name, division.
    organisations: Vec<(u64, String, String)>,
    /// By id.
    domains: Vec<Domain>,
    serial: u64,
    random: StdRng,
}

/// A domain with its validation.
#[derive(Debug, Clone)]
pub(super) struct Domain {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) organisation: u64,
    pub(super) is_active: bool,
    pub(super) types: Vec<String>,
    pub(super) method: String,
    pub(super) approved_at: Option<Timestamp>,
    pub(super) is_pending: bool,
    pub(super) submitted_at: Option<Timestamp>,
    /// When the CA checks by itself next.
    pub(super) next_check: Option<Timestamp>,
    /// The last one of the domain itself is the one that is shown.
    pub(super) values: Vec<Value>,
}

/// A random value.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) until: Timestamp,
    /// It was given for an order, and is never shown with the domain.
    pub(super) of_order: bool,
    pub(super) is_used: bool,
}

impl Value {
    pub(super) fn new(text: &str, now: Timestamp, of_order: bool) -> Self {
        Self {
            text: text.to_owned(),
            until: now.saturating_add(LIFE).unwrap_or(Timestamp::MAX),
            of_order,
            is_used: false,
        }
    }
}

impl Domain {
    /// The value that is shown.
    pub(super) fn value(&self) -> Option<&Value> {
        self.values.iter().rev().find(|value| !value.of_order)
    }

    /// Whether its validation counts.
    pub(super) fn is_valid(&self, reuse_days: i64, now: Timestamp) -> bool {
        self.is_active && self.expires(reuse_days).is_some_and(|end| end > now)
    }

    pub(super) fn expires(&self, reuse_days: i64) -> Option<Timestamp> {
        let life = SignedDuration::from_hours(24 * reuse_days);
        self.approved_at.and_then(|at| at.saturating_add(life).ok())
    }
}

impl Book {
    pub(super) fn new(seed: u64, organisations: Vec<(u64, String, String)>) -> Self {
        Self {
            organisations,
            domains: Vec::new(),
            serial: 4_000_000,
            random: StdRng::seed_from_u64(seed),
        }
    }

    pub(super) fn organisations(&self) -> &[(u64, String, String)] {
        &self.organisations
    }

    pub(super) fn organisation(&self, id: u64) -> Option<&(u64, String, String)> {
        self.organisations.iter().find(|(known, ..)| *known == id)
    }

    pub(super) fn add(&mut self, name: &str, organisation: u64) -> u64 {
        self.serial += 1;
        self.domains.push(Domain {
            id: self.serial,
            name: name.to_ascii_lowercase(),
            organisation,
            is_active: true,
            types: vec!["ov".to_owned()],
            method: "email".to_owned(),
            approved_at: None,
            is_pending: false,
            submitted_at: None,
            next_check: None,
            values: Vec::new(),
        });
        self.serial
    }

    pub(super) fn remove(&mut self, id: u64) -> bool {
        let before = self.domains.len();
        self.domains.retain(|domain| domain.id != id);
        self.domains.len() < before
    }

    pub(super) fn domains(&self) -> &[Domain] {
        &self.domains
    }

    pub(super) fn domain(&self, id: u64) -> Option<&Domain> {
        self.domains.iter().find(|domain| domain.id == id)
    }

    pub(super) fn domain_mut(&mut self, id: u64) -> Option<&mut Domain> {
        self.domains.iter_mut().find(|domain| domain.id == id)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Domain> {
        self.domains.iter().find(|domain| domain.name == name)
    }

    pub(super) fn named_mut(&mut self, name: &str) -> Option<&mut Domain> {
        self.domains.iter_mut().find(|domain| domain.name == name)
    }

    /// 32 characters, lower case and digits; the first may be an underscore.
    pub(super) fn value(&mut self, hostile: bool) -> String {
        const SIGNS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = if self.random.random_bool(0.5) {
            "_"
        } else {
            ""
        }
        .to_owned();
        if hostile {
            text.push_str("\"a\\b;c ");
        }
        while text.len() < 32 {
            let at = self.random.random_range(0..SIGNS.len());
            text.push(char::from(SIGNS[at]));
        }
        text
    }
}
