//! What a call wants: its values checked and grouped by name and by zone, and the answers put back
//! into the order of the call.

#[cfg(any(
    feature = "autodns",
    feature = "cloudflare",
    feature = "exec",
    feature = "route53"
))]
mod check;

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;

#[cfg(any(
    feature = "autodns",
    feature = "cloudflare",
    feature = "exec",
    feature = "route53"
))]
pub(crate) use self::check::{check, check_owner};
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{Receipt, Record, RecordKind, TxtRrset, TxtValue};

/// Zones that are searched, and changed, at the same time.
const AT_ONCE: usize = 8;

/// The values wanted, or not wanted, at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    /// Lower-case A-labels without a trailing dot.
    pub(crate) owner: String,
    pub(crate) kind: RecordKind,
    /// TXT values, or the target of a CNAME. Never empty, and no value of it is.
    pub(crate) values: BTreeSet<String>,
}

/// The outcome for one name.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) before: TxtRrset,
    pub(crate) after: TxtRrset,
    /// The values that came or went by this call.
    pub(crate) changed: BTreeSet<String>,
    /// The provider's name for the change that did it, where it is known.
    pub(crate) change_id: Option<String>,
}

impl Done {
    /// The name was as wanted.
    #[cfg(any(feature = "exec", feature = "route53"))]
    pub(crate) fn nothing(rrset: TxtRrset) -> Self {
        Self {
            before: rrset.clone(),
            after: rrset,
            changed: BTreeSet::new(),
            change_id: None,
        }
    }
}

/// One edit per name, of the values of one type that `check` lets pass.
pub(crate) fn gather(
    values: &[TxtValue],
    kind: RecordKind,
    check: impl Fn(&TxtValue) -> Result<(), ProviderError>,
) -> Vec<Edit> {
    let mut edits: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for wanted in values.iter().filter(|value| check(value).is_ok()) {
        let values = edits.entry(&wanted.owner).or_default();
        values.insert(wanted.value.clone());
    }
    let edit = |(owner, values): (&str, _)| Edit {
        owner: owner.to_owned(),
        kind,
        values,
    };
    edits.into_iter().map(edit).collect()
}

/// The result of each edit. The zone of each is searched, then the edits of a zone are made
/// together.
pub(crate) async fn change_zones<Z: Ord, F, G>(
    edits: Vec<Edit>,
    find: impl FnMut(String) -> F,
    change: impl FnMut((Z, Vec<Edit>)) -> G,
) -> BTreeMap<String, Result<Done, ProviderError>>
where
    F: Future<Output = Result<Z, ProviderError>>,
    G: Future<Output = Vec<(String, Result<Done, ProviderError>)>>,
{
    let owners: Vec<String> = edits.iter().map(|edit| edit.owner.clone()).collect();
    let found = futures::stream::iter(owners)
        .map(find)
        .buffered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let (mut outcomes, mut zones) = (BTreeMap::new(), BTreeMap::<Z, Vec<Edit>>::new());
    for (zone, edit) in found.into_iter().zip(edits) {
        match zone {
            Ok(zone) => zones.entry(zone).or_default().push(edit),
            Err(error) => drop(outcomes.insert(edit.owner, Err(error))),
        }
    }
    let changed = futures::stream::iter(zones)
        .map(change)
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    outcomes.extend(changed.into_iter().flatten());
    outcomes
}

/// One answer per value, in the order of the call.
pub(crate) fn receipts(
    values: &[TxtValue],
    outcomes: &BTreeMap<String, Result<Done, ProviderError>>,
    check: impl Fn(&TxtValue) -> Result<(), ProviderError>,
) -> Vec<Result<Receipt, ProviderError>> {
    let receipt = |wanted: &TxtValue| {
        check(wanted)?;
        let Done {
            before,
            after,
            changed,
            change_id,
        } = outcomes.get(&wanted.owner).cloned().unwrap_or_else(|| {
            Err(ProviderError::new(
                ErrorKind::Unavailable,
                format!("nothing was tried for {}", wanted.owner),
            ))
        })?;
        let changed = changed.contains(&wanted.value);
        Ok(Receipt {
            before,
            after,
            changed,
            change_id: change_id.filter(|_| changed),
        })
    };
    values.iter().map(receipt).collect()
}

/// The results of all `records` in their order, from those of the TXT values and of the aliases
/// among them.
pub(crate) fn in_order<T>(records: &[Record], txt: Vec<T>, aliases: Vec<T>) -> Vec<T> {
    let (mut txt, mut aliases) = (txt.into_iter(), aliases.into_iter());
    let result = |record: &Record| match record.kind() {
        RecordKind::Txt => txt.next(),
        RecordKind::Cname => aliases.next(),
    };
    // One result for each.
    records.iter().filter_map(result).collect()
}
