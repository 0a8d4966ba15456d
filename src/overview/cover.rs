//! Which names need no registration of their own, because one above them has it: from a few words per row, for 100,000 rows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::prevalidation::{DomainName, Mode, Policy};
use crate::store::DomainRow;
use crate::worker::Target;

/// What all rows say about those below them.
#[derive(Debug)]
pub(super) struct Cover {
    asked: bool,
    clients: Vec<Arc<str>>,
    rows: HashMap<Arc<str>, Standing>,
}

#[derive(Debug, Clone, Copy)]
struct Standing {
    /// Its place in `clients`.
    client: u32,
    desired: bool,
    valid: bool,
    registered: bool,
    /// It was read, and never comes up again.
    rests: bool,
}

impl Cover {
    pub(super) fn new(policy: &Policy) -> Self {
        Self { asked: policy.cover, clients: Vec::new(), rows: HashMap::new() }
    }

    /// Takes one row in.
    pub(super) fn take(&mut self, row: &DomainRow, policy: &Policy, now: Timestamp) {
        let client = self.clients.iter().position(|known| **known == *row.client).unwrap_or_else(|| {
            self.clients.push(row.client.as_str().into());
            self.clients.len() - 1
        });
        let registration = row.sighting.registration();
        let standing = Standing {
            client: u32::try_from(client).unwrap_or(u32::MAX),
            desired: !row.origins.is_empty(),
            valid: registration.is_some_and(|r| r.usable_until(&policy.reuse, now).is_some()),
            registered: registration.is_some(),
            rests: row.read_at.is_some() && row.due_at.is_none() && policy.mode == Mode::Manage,
        };
        self.rows.insert(row.domain.as_str().into(), standing);
    }

    /// Whether the store has a row of this name.
    pub(super) fn has_row(&self, domain: &DomainName) -> bool {
        self.rows.contains_key(domain.as_str())
    }

    /// The highest name above a wanted one that is wanted too (and valid, or this one has no registration), or that the last
    /// look found valid at the CA: the row below such a name was read and never comes up again.
    pub(super) fn above(&self, domain: &DomainName, unmanaged: &BTreeMap<DomainName, Target>) -> Option<DomainName> {
        let own = self.rows.get(domain.as_str()).filter(|own| self.asked && own.desired)?;
        let client = self.clients.get(own.client as usize)?;
        let mut found = None;
        let mut next = domain.parent();
        while let Some(name) = next {
            let parent = self.rows.get(name.as_str()).filter(|parent| parent.desired && parent.client == own.client);
            let known = own.rests && unmanaged.get(&name).is_some_and(|target| *target.key == **client);
            next = name.parent();
            if parent.is_some_and(|parent| parent.valid || !own.registered) || known {
                found = Some(name);
            }
        }
        found
    }
}
