//! What a call wants: its values checked and grouped by name, and the answers put back into the
//! order of the call.

use std::collections::{BTreeMap, BTreeSet};

use crate::provider::{ErrorKind, ProviderError};
use crate::record::{Receipt, Record, RecordKind, TxtRrset, TxtValue};

/// The values wanted, or not wanted, at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    /// Lower-case A-labels without a trailing dot.
    pub(crate) owner: String,
    /// Never empty, and no value of it is.
    pub(crate) values: BTreeSet<String>,
}

/// What was done for one name.
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

/// One wish per name, of the values that [`check`] lets pass.
pub(crate) fn gather(values: &[TxtValue]) -> Vec<Edit> {
    let mut edits: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for TxtValue { owner, value } in values.iter().filter(|value| check(value).is_ok()) {
        edits.entry(owner).or_default().insert(value.clone());
    }
    edits
        .into_iter()
        .map(|(owner, values)| Edit {
            owner: owner.to_owned(),
            values,
        })
        .collect()
}

/// One answer per value, in the order of the call.
pub(crate) fn receipts(
    values: &[TxtValue],
    outcomes: &BTreeMap<String, Result<Done, ProviderError>>,
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

/// What no provider is asked to write.
pub(crate) fn check(TxtValue { owner, value }: &TxtValue) -> Result<(), ProviderError> {
    if value.is_empty() {
        return Err(ProviderError::new(
            ErrorKind::Settings,
            format!("an empty TXT value for {owner}"),
        ));
    }
    check_owner(owner)
}

/// Whether a name is one that DNS can hold (RFC 1035, section 2.3.4), as the contract writes names.
pub(crate) fn check_owner(owner: &str) -> Result<(), ProviderError> {
    let letter = |octet: u8| {
        octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-' || octet == b'_'
    };
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(letter);
    if owner.len() <= 253 && owner.split('.').all(label) {
        return Ok(());
    }
    let text = format!("{owner:?} is no name in lower-case A-labels without a trailing dot");
    Err(ProviderError::new(ErrorKind::Settings, text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_of_a_name_are_one_change_and_impossible_ones_are_none() {
        let value = |owner: &str, value: &str| TxtValue {
            owner: owner.into(),
            value: value.into(),
        };
        let values = [
            value("b.ch", "2"),
            value("a.ch", "1"),
            value("b.ch", "2"),
            value("b.ch", "3"),
            value("a.ch", ""),
        ];
        let edits = gather(&values);
        assert_eq!(
            edits
                .iter()
                .map(|edit| edit.owner.as_str())
                .collect::<Vec<_>>(),
            ["a.ch", "b.ch"]
        );
        assert_eq!(
            edits[1].values,
            BTreeSet::from(["2".to_owned(), "3".to_owned()])
        );
        for owner in [
            "",
            "A.ch",
            "a.ch.",
            "a..ch",
            "zürich.ch",
            "*.ch",
            &"a".repeat(64),
        ] {
            assert_eq!(
                check_owner(owner).unwrap_err().kind,
                ErrorKind::Settings,
                "{owner}"
            );
        }
        check_owner("_acme-challenge.xn--zrich-kva.ch").unwrap();
    }
}
