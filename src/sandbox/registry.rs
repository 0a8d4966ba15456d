//! The kinds of CA that a sandbox has: the only list of them.

use super::ca::kind as swisssign;
use super::digicert::kind as digicert;
use super::internetx::kind as internetx;
use super::kind::Kind;
use super::sectigo::kind as sectigo;

/// Every kind, in the order in which a configuration names them. The first is the one of a sandbox
/// for which no kind was asked.
pub static KINDS: &[&Kind] = &[
    &swisssign::KIND,
    &sectigo::KIND,
    &internetx::KIND,
    &digicert::KIND,
    #[cfg(test)]
    &super::hello::kind::KIND,
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::ca::registry::ADAPTERS;

    #[test]
    fn every_kind_of_the_configuration_has_a_sandbox_and_the_other_way_round() {
        let names = KINDS.iter().map(|kind| kind.name);
        let adapters = ADAPTERS.iter().map(|adapter| adapter.kind.name);
        assert_eq!(names.clone().count(), KINDS.len());
        assert_eq!(
            names.collect::<BTreeSet<_>>(),
            adapters.collect::<BTreeSet<_>>()
        );
    }

    #[test]
    fn every_switch_is_set_to_its_default_by_its_name_and_no_other_is_known() {
        for kind in KINDS {
            let all = (kind.switches)();
            let switches = all.as_object().unwrap();
            assert!(!switches.is_empty(), "{kind:?}");
            for (key, value) in switches {
                let set = (kind.set)(&all, key, &value.to_string());
                assert_eq!(set.as_ref(), Ok(&all), "{kind:?}: {key}");
            }
            let unknown = (kind.set)(&all, "no_such_switch", "1").unwrap_err();
            assert!(unknown.contains("no_such_switch"), "{unknown}");
        }
    }

    #[test]
    fn the_switches_that_are_explained_are_all_there_are_with_their_defaults() {
        for kind in KINDS.iter().filter(|kind| !kind.explained.is_empty()) {
            let all = (kind.switches)();
            let known: BTreeSet<&str> = all
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            let told: BTreeSet<&str> = kind.explained.iter().map(|(key, ..)| *key).collect();
            assert_eq!(told, known, "{kind:?}");
            for (key, values, _) in kind.explained {
                let usual = values.split('|').next().unwrap();
                let set = (kind.set)(&all, key, usual);
                assert_eq!(set.as_ref(), Ok(&all), "{key} names its default first");
                for value in values.split('|').skip(1) {
                    let value = if value == "N" { "7" } else { value };
                    (kind.set)(&all, key, value).unwrap();
                }
            }
        }
    }
}
