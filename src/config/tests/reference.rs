//! The reference file against the rows.

use super::*;

#[test]
fn the_reference_states_the_default_of_every_row() {
    let rows = |settings: &Settings| {
        [
            ("policy", settings.policy.shown()),
            ("worker", settings.worker.shown()),
            ("propagation", settings.propagation.shown()),
        ]
    };
    let folder = Folder::new();
    let defaults = rows(&folder.load(GOOD).unwrap());
    assert_eq!(defaults, rows(&folder.load(REFERENCE).unwrap()));
    let stated: toml::Table = REFERENCE.parse().unwrap();
    for (section, rows) in defaults {
        for (key, default) in rows {
            assert!(
                stated[section].get(key).is_some(),
                "[{section}] {key} = {default} is a comment in the reference, or not there"
            );
        }
    }
}
