//! Aliases that lead from the name that a CA asks for to a record of ours: a planned zone without one
//! takes the record out of the CA's sight, though the record itself stays.

use std::collections::{BTreeMap, BTreeSet};

use super::Value;
use super::planned::Planned;
use crate::prevalidation::RecordType;

/// This many aliases in a row are followed.
const MOST: usize = 16;

/// An alias that the planned zone decides about.
pub(super) struct Alias {
    /// From the name that the CA asks for to where the record is.
    pub(super) record: Value,
    /// Whether the planned zone leads there, or out of its own reach.
    pub(super) is_kept: bool,
}

/// The aliases at names of the planned zone by which CAs find these records.
pub(super) fn needed(must_stand: &[Value], planned: &Planned) -> Vec<Alias> {
    let mut asked: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for value in must_stand {
        asked.entry(&value.asked).or_default().push(value);
    }
    let alias = |(asked, values): (&str, Vec<&Value>)| {
        let aliased = values.iter().find(|value| value.owner != asked)?;
        planned.decides(asked).then(|| Alias {
            record: Value {
                owner: asked.to_owned(),
                kind: RecordType::Cname,
                value: aliased.owner.clone(),
                zone: planned.apex.clone(),
                ..(*aliased).clone()
            },
            is_kept: leads(asked, &values, planned),
        })
    };
    asked.into_iter().filter_map(alias).collect()
}

/// Whether a CA that asks for this name finds one of the records, as far as the planned zone decides.
/// While an alias moves, records are at both of its ends.
fn leads(asked: &str, values: &[&Value], planned: &Planned) -> bool {
    let owners: BTreeSet<&str> = values.iter().map(|value| value.owner.as_str()).collect();
    let mut at = asked;
    for _ in 0..MOST {
        let is_there = |value: &&Value| match value.kind {
            RecordType::Txt => planned.holds(at, &value.value),
            RecordType::Cname => planned.leads(at, &value.value),
        };
        if owners.contains(at) || !planned.decides(at) || values.iter().any(is_there) {
            return true;
        }
        match planned.alias(at) {
            Some(target) => at = target,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn value(asked: &str, owner: &str) -> Value {
        Value {
            owner: owner.to_owned(),
            kind: RecordType::Txt,
            zone: "one.ch".to_owned(),
            ttl: 300,
            value: "x".to_owned(),
            provider: "p".to_owned(),
            seen: true,
            asked: asked.to_owned(),
        }
    }

    #[test]
    fn a_plan_must_lead_to_one_of_the_records_of_a_name() {
        let moved = [value("l.a.ch", "q.one.ch"), value("l.a.ch", "r.one.ch")];
        let came = [value("l.a.ch", "q.one.ch"), value("l.a.ch", "l.a.ch")];
        for (values, plan, is_kept) in [
            (&moved[..1], "l CNAME q.one.ch.", true),
            (&moved, "l CNAME r.one.ch.", true),
            // Both ends of an alias that moves have a record.
            (&came, "l TXT y", true),
            (&moved[..1], "@ TXT x", false),
            (&moved[..1], "l CNAME m\nm CNAME q.one.ch.", true),
            (&moved[..1], "l CNAME m\nm CNAME l", false),
            (&moved[..1], "*.a.ch. CNAME q.one.ch.", true),
            (&moved[..1], "l TXT y", false),
        ] {
            let planned = Planned::read(plan, Some("a.ch".to_owned())).unwrap();
            let found = needed(values, &planned);
            assert_eq!(found.len(), 1, "{plan}");
            assert_eq!(found[0].is_kept, is_kept, "{plan}");
        }
        // Another zone says nothing of it, and a record at the name itself has no alias.
        let other = Planned::read("@ TXT x", Some("one.ch".to_owned())).unwrap();
        assert!(needed(&moved, &other).is_empty());
        let own = Planned::read("@ TXT x", Some("a.ch".to_owned())).unwrap();
        assert!(needed(&came[1..], &own).is_empty());
    }
}
