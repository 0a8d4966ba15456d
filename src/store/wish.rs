//! What a change of the inventory comes to: which rows of the store differ from what an origin
//! wants.

use std::collections::{BTreeMap, HashMap};

use super::row::bit;
use super::{Origin, Wanted};
use crate::prevalidation::DomainName;

/// What an origin wants from now on.
pub(super) struct Wish<'a> {
    pub origin: Origin,
    pub wanted: &'a [Wanted],
    pub dropped: Dropped<'a>,
}

/// Whose wish an origin takes back.
pub(super) enum Dropped<'a> {
    AllOthers,
    These(&'a [DomainName]),
}

/// A wish as it is stored.
#[derive(sqlx::FromRow)]
pub(super) struct Held {
    name: String,
    client: String,
    ca: String,
    provider: Option<String>,
    origins: i64,
}

impl<'a> Wish<'a> {
    /// The rows to write and the names whose wish is taken back, by name; `None` when nothing
    /// differs.
    pub fn difference(&self, rows: &[Held]) -> Option<(Vec<&'a Wanted>, Vec<String>)> {
        // The last of several wishes for one name counts, so that a second sync finds nothing to
        // do.
        let wanted: BTreeMap<&str, &Wanted> =
            self.wanted.iter().map(|w| (w.domain.as_str(), w)).collect();
        let rows: HashMap<&str, &Held> = rows.iter().map(|row| (row.name.as_str(), row)).collect();
        let set: Vec<_> = wanted
            .values()
            .filter(|w| self.differs(rows.get(w.domain.as_str()), w))
            .copied()
            .collect();
        let holds = |name: &str| {
            rows.get(name)
                .is_some_and(|row| row.origins & bit(self.origin) != 0)
        };
        let mut drop: Vec<String> = match self.dropped {
            Dropped::AllOthers => rows
                .keys()
                .filter(|name| holds(name) && !wanted.contains_key(*name))
                .map(|&name| name.to_owned())
                .collect(),
            Dropped::These(names) => names
                .iter()
                .map(|n| n.as_str().to_owned())
                .filter(|n| holds(n))
                .collect(),
        };
        drop.sort_unstable();
        (!set.is_empty() || !drop.is_empty()).then_some((set, drop))
    }

    fn differs(&self, row: Option<&&Held>, wanted: &Wanted) -> bool {
        let Some(row) = row else { return true };
        let overruled = self.origin != Origin::Config && row.origins & bit(Origin::Config) != 0;
        let same =
            row.client == wanted.client && row.ca == wanted.ca && row.provider == wanted.provider;
        row.origins & bit(self.origin) == 0 || !(same || overruled)
    }
}
