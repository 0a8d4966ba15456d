//! What a change of the inventory comes to: which rows of the store differ from what an origin
//! wants.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::row::bit;
use super::{Origin, Wanted};
use crate::prevalidation::RowKey;

/// What an origin wants from now on.
pub(super) struct WantedRows<'a> {
    pub origin: Origin,
    pub wanted: &'a [Wanted],
    pub dropped: Dropped<'a>,
}

/// The domains that an origin no longer wants.
pub(super) enum Dropped<'a> {
    AllOthers,
    These(&'a [RowKey]),
}

/// A wanted domain as it is stored.
#[derive(sqlx_macros::FromRow)]
pub(super) struct Held {
    name: String,
    client: String,
    ca: String,
    provider: Option<String>,
    origins: i64,
}

impl Held {
    fn domain(&self) -> &str {
        let name = self.name.as_str();
        name.split_once(' ').map_or(name, |(domain, _)| domain)
    }
}

/// A domain at a client.
type At<'a> = (&'a str, &'a str);

/// The rows to write, each with its key, and the keys of those that are no longer wanted.
type Difference<'a> = (Vec<(RowKey, &'a Wanted)>, Vec<String>);

impl<'a> WantedRows<'a> {
    /// What is to be written, in order; `None` when nothing differs.
    pub fn difference(&self, rows: &[Held]) -> Option<Difference<'a>> {
        let by_name: HashMap<&str, &Held> =
            rows.iter().map(|row| (row.name.as_str(), row)).collect();
        let placed = self.placed(rows, &by_name);
        let set: Vec<_> = placed
            .iter()
            .filter(|(key, wanted)| self.differs(by_name.get(key.text()), wanted))
            .map(|(key, wanted)| (key.clone(), *wanted))
            .collect();
        let holds = |name: &str| {
            by_name
                .get(name)
                .is_some_and(|row| row.origins & bit(self.origin) != 0)
        };
        let mut drop: Vec<String> = match self.dropped {
            Dropped::AllOthers => {
                let kept: HashSet<&str> = placed.iter().map(|(key, _)| key.text()).collect();
                let others = by_name.keys().filter(|name| !kept.contains(*name));
                others
                    .filter(|name| holds(name))
                    .map(|&name| name.to_owned())
                    .collect()
            }
            Dropped::These(keys) => keys
                .iter()
                .map(|key| key.text().to_owned())
                .filter(|name| holds(name))
                .collect(),
        };
        drop.sort_unstable();
        (!set.is_empty() || !drop.is_empty()).then_some((set, drop))
    }

    /// The row of each wanted domain: that of its domain and client, else the first row of the
    /// domain, where there is none yet or it is not wanted where it is any more, else a further
    /// one.
    fn placed(&self, rows: &[Held], by_name: &HashMap<&str, &Held>) -> Vec<(RowKey, &'a Wanted)> {
        let by_place: HashMap<At<'_>, &Held> = rows
            .iter()
            .map(|row| ((row.domain(), row.client.as_str()), row))
            .collect();
        // The last of several entries for one place counts, so that a second sync finds nothing to
        // do.
        let wanted: BTreeMap<At<'_>, &'a Wanted> = self
            .wanted
            .iter()
            .map(|w| ((w.domain.as_str(), &*w.client), w))
            .collect();
        let mut given: HashSet<&str> = HashSet::new();
        let mut placed = Vec::with_capacity(wanted.len());
        for (&(domain, client), &wanted_rows) in &wanted {
            let first = by_name.get(domain);
            let key = match by_place.get(&(domain, client)) {
                Some(row) if row.name == domain => RowKey::from(&wanted_rows.domain),
                Some(_) => RowKey::further(&wanted_rows.domain, client),
                None if first.is_none_or(|row| self.leaves(row, &wanted))
                    && given.insert(domain) =>
                {
                    RowKey::from(&wanted_rows.domain)
                }
                None => RowKey::further(&wanted_rows.domain, client),
            };
            placed.push((key, wanted_rows));
        }
        placed
    }

    /// Whether a first row is not wanted at its client once this change is in force.
    fn leaves(&self, row: &Held, wanted: &BTreeMap<At<'_>, &Wanted>) -> bool {
        let stays = match self.dropped {
            Dropped::AllOthers => row.origins & !bit(self.origin),
            Dropped::These(_) => row.origins,
        };
        stays == 0 && !wanted.contains_key(&(row.domain(), row.client.as_str()))
    }

    fn differs(&self, row: Option<&&Held>, wanted: &Wanted) -> bool {
        let Some(row) = row else { return true };
        let overruled = self.origin != Origin::Config && row.origins & bit(Origin::Config) != 0;
        let same = *row.client == *wanted.client
            && *row.ca == *wanted.ca
            && row.provider.as_deref() == wanted.provider.as_deref();
        row.origins & bit(self.origin) == 0 || !(same || overruled)
    }
}
