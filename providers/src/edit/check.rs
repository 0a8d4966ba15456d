//! What the providers refuse whose API names records by their text. `rfc2136` refuses what no message
//! can hold.

use crate::provider::{ErrorKind, ProviderError};
use crate::record::TxtValue;

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
    use super::super::gather;
    use super::*;
    use crate::record::RecordKind;
    use std::collections::BTreeSet;

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
        let edits = gather(&values, RecordKind::Txt, check);
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
