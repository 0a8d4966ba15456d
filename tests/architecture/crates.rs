//! The layers of the kit and of the providers, adapters by their place, and circles.

use std::collections::{BTreeMap, BTreeSet};

use super::{Seen, Source, is_within, none, sources};

/// The kit, from the ground up. A module sees the layers below its own and nothing beside it.
const KIT: [&[&str]; 4] = [
    &[
        "causes", "dial", "fault", "json", "nearest", "text", "trust",
    ],
    &["secret"],
    &["table"],
    &["pace"],
];
/// What uses all of these.
const KIT_TOP: [&str; 2] = ["http", "lib"];

/// The providers, from the ground up. Adapters are known by their place: each folder that is not
/// named here, and `manual`, which has none.
const PROVIDERS: [&[&str]; 5] = [
    &["record"],
    &["presentation", "provider", "recent"],
    &["difference", "kind", "queues", "edit"],
    &["records"],
    &[ADAPTER],
];
const PROVIDERS_TOP: [&str; 3] = ["registry", "conformance", "lib"];
const ADAPTER: &str = "an adapter";

/// Files that import each other in a circle, whichever is the parent. The list may only become
/// shorter.
const CIRCLES: &[&[&str]] = &[];

/// The modules of a crate that are in folders of their own: `cloudflare`.
fn folders<'a>(all: &[&'a Source]) -> BTreeSet<&'a str> {
    all.iter()
        .filter(|source| source.module.len() > 2)
        .map(|source| source.house())
        .collect()
}

fn check_layers(folder: &str, layers: &[&[&str]], top: &[&str], adapter: impl Fn(&str) -> bool) {
    let all = sources(folder);
    let layer = |house: &str| {
        let house = if adapter(house) { ADAPTER } else { house };
        let below = layers.iter().position(|layer| layer.contains(&house));
        below.or_else(|| {
            let place = top.iter().position(|name| *name == house)?;
            Some(layers.len() + place)
        })
    };
    let mut breaches = Vec::new();
    for source in all.iter().filter(|source| !source.is_test) {
        let Some(own) = layer(source.house()) else {
            breaches.push(format!("{}: is in no layer", source.path));
            continue;
        };
        for path in Seen::of(source, false).paths {
            let Some(other) = path
                .strip_prefix("crate::")
                .and_then(|path| path.split("::").next())
            else {
                continue;
            };
            // What the root exports once more has a place of its own below.
            let is_exported = other.starts_with(char::is_uppercase);
            let is_below = layer(other).is_some_and(|other| other < own);
            if other != source.house() && !is_exported && !is_below {
                breaches.push(format!("{}: {path}", source.path));
            }
        }
    }
    none("a module sees what is below it", &breaches);
}

#[test]
fn the_kit_has_layers_and_knows_no_other_crate_of_ours() {
    check_layers("kit/src", &KIT, &KIT_TOP, |_| false);
    let mut breaches = Vec::new();
    for source in sources("kit/src") {
        let seen = Seen::of(source, true);
        let ours = seen.paths.iter().filter(|path| {
            is_within(path, "prevalidate_providers") || is_within(path, "prevalidate")
        });
        breaches.extend(ours.map(|path| format!("{}: {path}", source.path)));
    }
    none("the kit is the ground floor", &breaches);
}

#[test]
fn adapters_of_providers_see_neither_each_other_nor_the_list_that_names_them() {
    let all = sources("providers/src");
    let known: Vec<&str> = PROVIDERS
        .iter()
        .flat_map(|layer| layer.iter())
        .copied()
        .collect();
    let folders = folders(&all);
    let is_adapter = |house: &str| {
        (folders.contains(house) || ["manual", "memory"].contains(&house))
            && !known.contains(&house)
            && !PROVIDERS_TOP.contains(&house)
    };
    check_layers("providers/src", &PROVIDERS, &PROVIDERS_TOP, is_adapter);
}

/// The file of a module, `crate::worker::listing`, and those that it imports. A parent and its
/// descendants see each other by nature: the arrows from a child up to its own parents are left out.
fn arrows(all: &[&Source]) -> BTreeMap<String, BTreeSet<String>> {
    let name = |source: &Source| source.module.join("::");
    let modules: BTreeSet<String> = all.iter().map(|source| name(source)).collect();
    let mut arrows = BTreeMap::new();
    for source in all.iter().filter(|source| !source.is_test) {
        let own = name(source);
        let to = Seen::of(source, false)
            .paths
            .into_iter()
            .filter_map(|path| {
                let mut path = path.as_str();
                loop {
                    if modules.contains(path) {
                        break Some(path.to_owned());
                    }
                    path = path.rsplit_once("::")?.0;
                }
            });
        let to = to.filter(|to| *to != own && *to != "crate" && !is_within(&own, to));
        arrows.insert(own.clone(), to.collect());
    }
    arrows
}

/// All that can be reached from a module.
fn reached(from: &str, arrows: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(module) = open.pop() {
        for to in arrows.get(&module).into_iter().flatten() {
            if found.insert(to.clone()) {
                open.push(to.clone());
            }
        }
    }
    found
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut breaches = Vec::new();
    let mut seen_circles = BTreeSet::new();
    for folder in ["src", "kit/src", "providers/src"] {
        let arrows = arrows(&sources(folder));
        let reach: BTreeMap<&String, BTreeSet<String>> = arrows
            .keys()
            .map(|module| (module, reached(module, &arrows)))
            .collect();
        for (module, reached) in &reach {
            let circle: BTreeSet<&str> = reached
                .iter()
                .filter(|other| reach.get(other).is_some_and(|back| back.contains(*module)))
                .map(String::as_str)
                .collect();
            if circle.len() > 1 {
                let place = folder.trim_end_matches("/src");
                let text = circle.iter().copied().collect::<Vec<_>>().join(" ");
                seen_circles.insert(format!("{place}: {text}"));
            }
        }
    }
    for circle in &seen_circles {
        let listed = CIRCLES.iter().any(|known| {
            let members: Vec<&str> = circle.split(' ').skip(1).collect();
            members.iter().all(|member| known.contains(member))
        });
        if !listed {
            breaches.push(format!("a circle: {circle}"));
        }
    }
    for known in CIRCLES {
        let is_there = seen_circles.iter().any(|circle| {
            circle
                .split(' ')
                .skip(1)
                .all(|member| known.contains(&member))
        });
        if !is_there {
            breaches.push(format!(
                "no circle any more, take it off: {}",
                known.join(" ")
            ));
        }
    }
    none("imports form no circles", &breaches);
}
