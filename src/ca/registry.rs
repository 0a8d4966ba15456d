//! The kinds of CA that this program knows: the only list of them. A kind brings its own settings,
//! and makes the adapter for an account of them.

pub use super::adapter::{Adapter, Connect};
use super::digicert::table as digicert;
use super::internetx::table as internetx;
use super::sectigo::table as sectigo;
use super::swisssign::table as swisssign;

/// Every kind, in the order in which the documentation names them.
pub static ADAPTERS: &[&Adapter] = &[
    &swisssign::ADAPTER,
    &sectigo::ADAPTER,
    &internetx::ADAPTER,
    &digicert::ADAPTER,
    #[cfg(test)]
    &super::hello::table::ADAPTER,
];

/// The keys of the kind that the reference configuration shows.
pub const REFERENCE_KEYS: &[&str] = swisssign::KEYS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_a_method_and_a_name_in_caa_records() {
        for (at, one) in ADAPTERS.iter().enumerate() {
            let kind = one.kind;
            assert!(ADAPTERS[at + 1..].iter().all(|other| other != one));
            assert!(
                (!kind.methods.is_empty() || one.issuing.is_some()) && !kind.caa_names.is_empty(),
                "{one:?}"
            );
            assert!(kind.register_batch > 0 && !one.hosts.is_empty(), "{one:?}");
        }
    }

    #[test]
    fn the_keys_and_the_rows_of_every_kind_are_the_same_and_the_common_ones_are_there() {
        for one in ADAPTERS {
            let rows: Vec<_> = one.settings.iter().map(|row| row.key).collect();
            assert_eq!(rows, one.keys, "{one:?}");
            for common in ["kind", "url", "rate", "caa_names", "ca_file", "proxy"] {
                assert!(rows.contains(&common), "{one:?}: {common}");
            }
        }
    }
}
