//! The house rules of the source, held by a parser: which module may import which, what stays pure,
//! where things may happen.

mod crates;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use self::functions::Function;
use syn::visit::{self, Visit};
use syn::{Expr, File, Item, ItemMod, Macro, UseTree};

mod citations;
mod functions;
mod words;

/// From the ground up. A module sees the layers below its own and nothing beside it.
const LAYERS: [&[&str]; 10] = [
    &["prevalidation", "clock", "text", "webhook"],
    &["issuance", "persistent"],
    &["ca", "propagation", "store", "metrics"],
    &["certificates", "rdap"],
    &["worker"],
    &["overview"],
    &["notify"],
    &["config", "output", "sandbox", "server"],
    &["commands"],
    &["main", "lib"],
];

/// The modules below which each folder is an adapter, and those of their folders that are none.
const PORTS: [(&str, &[&str]); 2] = [("ca", &["http"]), ("store", &["conformance", "tests"])];
/// What else is behind a trait. Only `commands` may name an adapter, beside the module that it is
/// in.
const ADAPTERS: [(&str, &str); 2] = [
    ("crate::propagation::gate", "propagation"),
    ("crate::propagation::Gate", "propagation"),
];
/// The modules of the providers' crate that are no adapter.
const CONTRACT: [&str; 5] = [
    "presentation",
    "provider",
    "record",
    "registry",
    "conformance",
];

/// What the pure heart may use: values, no time, no files, no network, no other process.
const PURE: [&str; 15] = [
    "std::cmp",
    "std::collections",
    "std::fmt",
    "std::hash",
    "std::iter",
    "std::mem",
    "std::net::IpAddr",
    "std::ops",
    // A text that many share is a value.
    "std::sync::Arc",
    "jiff",
    "serde",
    "idna",
    "psl",
    "unicode_script",
    "prevalidate_providers::record",
];

/// The places that ask the machine for the time of day: the system's clock, and the default of a
/// provider's signatures.
const WALL_CLOCKS: [&str; 2] = ["providers/src/registry.rs", "src/clock.rs"];

/// A longer file has a second check. These are longer since the code has rustfmt's default width;
/// the list may only become shorter.
const LONG: usize = 500;
const LONG_FILES: &[&str] = &[
    "src/commands/summary.rs",
    "src/config/tests.rs",
    "src/config/tree.rs",
    "src/output.rs",
    "src/overview/query.rs",
    "src/propagation/dnssec/tests/chain.rs",
    "src/propagation/finding/tests.rs",
    "src/propagation/rule.rs",
    "src/propagation/tests.rs",
    "src/sandbox/ca/book.rs",
    "src/sandbox/ca/tests.rs",
    "src/server/hooks/tests.rs",
    "src/server/http/tests.rs",
    "src/store.rs",
    "src/store/conformance.rs",
    "src/worker/perform/ca.rs",
    "tests/architecture.rs",
    "tests/cli.rs",
    "tests/cli_run.rs",
    "tests/model/world.rs",
    "tests/page.rs",
    "tests/page/session.rs",
    "tests/providers.rs",
    "tests/support/postgres.rs",
];

/// What one file names, calls and expands, outside its tests unless `with_tests`.
#[derive(Default, Clone)]
struct Seen {
    /// The module the visitor is in, `crate::worker::listing`.
    module: Vec<String>,
    /// The modules below it that the file declares.
    children: BTreeSet<String>,
    paths: BTreeSet<String>,
    macros: BTreeSet<String>,
    asynchronous: bool,
    with_tests: bool,
}

impl Seen {
    fn of(file: &Source, with_tests: bool) -> Self {
        match with_tests {
            true => file.seen_with_tests.clone(),
            false => file.seen.clone(),
        }
    }

    fn read(syntax: &File, module: &[String], with_tests: bool) -> Self {
        let children = syntax.items.iter().filter_map(|item| match item {
            Item::Mod(module) => Some(module.ident.to_string()),
            _ => None,
        });
        let mut seen = Self {
            module: module.to_vec(),
            children: children.collect(),
            with_tests,
            ..Self::default()
        };
        seen.visit_file(syntax);
        seen
    }

    /// Notes a path as it counts from the crate's root: `super::x` in `crate::a::b` is
    /// `crate::a::x`.
    fn note(&mut self, path: &[String]) {
        let mut absolute = match path.first().map(String::as_str) {
            Some("self" | "super") => self.module.clone(),
            Some(first) if self.children.contains(first) => self.module.clone(),
            _ => Vec::new(),
        };
        for segment in path {
            match segment.as_str() {
                "self" => {}
                "super" => drop(absolute.pop()),
                other => absolute.push(other.to_owned()),
            }
        }
        self.paths.insert(absolute.join("::"));
    }

    fn note_use(&mut self, tree: &UseTree, before: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.note_use(&path.tree, before);
                before.pop();
            }
            UseTree::Group(group) => group
                .items
                .iter()
                .for_each(|item| self.note_use(item, before)),
            UseTree::Glob(_) => self.note(before),
            UseTree::Name(syn::UseName { ident })
            | UseTree::Rename(syn::UseRename { ident, .. }) => {
                before.push(ident.to_string());
                self.note(before);
                before.pop();
            }
        }
    }
}

impl<'ast> Visit<'ast> for Seen {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if self.with_tests || !is_test(&module.attrs) {
            self.module.push(module.ident.to_string());
            visit::visit_item_mod(self, module);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_use(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        self.note(&segments);
        visit::visit_path(self, path);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.asynchronous |= signature.asyncness.is_some();
        visit::visit_signature(self, signature);
    }

    fn visit_expr(&mut self, expression: &'ast Expr) {
        self.asynchronous |= matches!(expression, Expr::Async(_) | Expr::Await(_));
        visit::visit_expr(self, expression);
    }

    fn visit_macro(&mut self, used: &'ast Macro) {
        self.macros.extend(
            used.path
                .segments
                .last()
                .map(|segment| segment.ident.to_string()),
        );
        // Arguments of macros are not syntax yet; paths in them are found as text.
        let text = used.tokens.to_string().replace(' ', "");
        for (begin, _) in text.match_indices("crate::") {
            let path = text[begin..]
                .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                .next()
                .unwrap();
            self.paths.insert(path.trim_end_matches(':').to_owned());
        }
        visit::visit_macro(self, used);
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|condition| condition.is_ident("test"))
    })
}

/// One source file, as far as the rules need it: the syntax itself cannot be shared by threads.
struct Source {
    /// From the repository's root: `src/worker/listing.rs`.
    path: String,
    text: String,
    module: Vec<String>,
    is_test: bool,
    seen: Seen,
    seen_with_tests: Seen,
    /// The first words of its imports.
    imported: BTreeSet<String>,
    functions: Vec<Function>,
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let syntax =
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let path = path
            .strip_prefix(root())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let inside = path
            .trim_start_matches("kit/")
            .trim_start_matches("providers/")
            .trim_start_matches("src/")
            .trim_end_matches(".rs");
        let module: Vec<_> = std::iter::once("crate")
            .chain(inside.split('/'))
            .map(str::to_owned)
            .collect();
        let is_test = path.starts_with("tests/")
            || module.iter().any(|part| part == "tests" || part == "lab");
        Self {
            seen: Seen::read(&syntax, &module, false),
            seen_with_tests: Seen::read(&syntax, &module, true),
            imported: imported(&syntax),
            functions: functions::of(&syntax, &text),
            path,
            text,
            module,
            is_test,
        }
    }

    /// The first module of its path: `worker`.
    fn house(&self) -> &str {
        &self.module[1]
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder, of one ending or of any.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            // What is built and what git keeps is not a source.
            if ["target", ".git"].contains(&name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// All files of ours, read once for all tests: to parse them is the dear part.
static ALL: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let folders = ["kit", "providers", "src", "tests"].into_iter();
    let paths: Vec<PathBuf> = folders.flat_map(|folder| files(folder, ".rs")).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let read = |paths: &[PathBuf]| -> Vec<Source> {
        let sources = paths.iter().map(|path| Source::read(path));
        sources.collect()
    };
    std::thread::scope(|scope| {
        let parts = paths.chunks(paths.len().div_ceil(threads));
        let parts: Vec<_> = parts.map(|part| scope.spawn(move || read(part))).collect();
        let parts = parts.into_iter().flat_map(|part| part.join().unwrap());
        parts.collect()
    })
});

fn sources(folder: &str) -> Vec<&'static Source> {
    let is_below = |source: &&Source| {
        let below = source.path.strip_prefix(folder);
        below.is_some_and(|rest| rest.starts_with('/'))
    };
    ALL.iter().filter(is_below).collect()
}

fn layer(house: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&house))
}

/// Whether a path is another one or is below it.
fn is_within(path: &str, other: &str) -> bool {
    path.strip_prefix(other)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Everything that breaks a rule at once, so that one run shows all of it.
fn none(rule: &str, breaches: &[String]) {
    assert!(
        breaches.is_empty(),
        "{rule}:\n  {}\n",
        breaches.join("\n  ")
    );
}

#[test]
fn imports_point_down_only_and_modules_of_one_layer_do_not_see_each_other() {
    let mut breaches = Vec::new();
    for source in sources("src") {
        let Some(own) = layer(source.house()) else {
            breaches.push(format!(
                "{}: `{}` is in no layer; give it one in LAYERS",
                source.path,
                source.house()
            ));
            continue;
        };
        for path in Seen::of(source, true).paths {
            let Some(other) = path
                .strip_prefix("crate::")
                .and_then(|path| path.split("::").next())
            else {
                continue;
            };
            let allowed = other == source.house() || layer(other).is_some_and(|other| other < own);
            // The macro of a test suite is at the root, where Rust puts exported macros.
            if !allowed && other != "store_conformance" {
                breaches.push(format!("{}: {path}", source.path));
            }
        }
    }
    none("a module sees what is below it", &breaches);
}

#[test]
fn only_commands_name_what_is_behind_a_trait() {
    let all = sources("src");
    let mut adapters: Vec<(String, &str)> = ADAPTERS
        .map(|(path, house)| (path.to_owned(), house))
        .into();
    for (port, others) in PORTS {
        let folders = all.iter().filter(|source| {
            source.house() == port
                && source.module.len() > 3
                && !others.contains(&&*source.module[2])
        });
        adapters.extend(folders.map(|source| (source.module[..3].join("::"), port)));
    }
    let mut breaches = Vec::new();
    for source in all
        .iter()
        .filter(|source| !source.is_test && source.house() != "commands")
    {
        for path in Seen::of(source, false).paths {
            let named = adapters
                .iter()
                .find(|(adapter, _)| is_within(&path, adapter));
            let of_providers = path
                .strip_prefix("prevalidate_providers::")
                .and_then(|path| path.split("::").next())
                .is_some_and(|first| {
                    first.starts_with(char::is_lowercase) && !CONTRACT.contains(&first)
                });
            if of_providers || named.is_some_and(|(_, house)| *house != source.house()) {
                breaches.push(format!("{}: {path}", source.path));
            }
        }
    }
    none(
        "every module but `commands` knows the trait only",
        &breaches,
    );
}

/// The kinds of CA: every folder below `src/ca`, but for what they share.
fn kinds_of_ca() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ca");
    let mut kinds = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && name != "http" {
            kinds.push(name);
        }
    }
    assert!(kinds.iter().any(|kind| kind == "swisssign"), "{kinds:?}");
    kinds
}

#[test]
fn only_the_registry_names_the_kinds_of_ca() {
    let kinds = kinds_of_ca();
    let mut breaches = Vec::new();
    for source in sources("src").iter().filter(|source| !source.is_test) {
        for path in Seen::of(source, false).paths {
            for kind in &kinds {
                let own = source.path.starts_with(&format!("src/ca/{kind}"));
                let named = is_within(&path, &format!("crate::ca::{kind}"));
                if named && !own && source.path != "src/ca/registry.rs" {
                    breaches.push(format!("{}: {path}", source.path));
                }
            }
        }
    }
    none("a kind of CA is named in the registry only", &breaches);
}

/// What is fixed for a kind says where its records may be (faults C08).
#[test]
fn a_ca_makes_its_challenges_by_its_kind() {
    let mut breaches = Vec::new();
    let kinds = kinds_of_ca();
    for source in sources("src").iter().filter(|source| !source.is_test) {
        let is_its = |kind: &String| {
            let own = format!("src/ca/{kind}");
            source.path == format!("{own}.rs") || source.path.starts_with(&format!("{own}/"))
        };
        let calls = ["Challenge::txt(", "Challenge::cname("];
        let direct = calls.into_iter().find(|call| source.text.contains(call));
        if let Some(call) = direct.filter(|_| kinds.iter().any(is_its)) {
            breaches.push(format!("{}: {call}", source.path));
        }
    }
    none("an adapter makes its challenges by its `KIND`", &breaches);
}

#[test]
fn the_heart_is_pure() {
    let mut breaches = Vec::new();
    for source in sources("src").iter().filter(|source| {
        !source.is_test && ["prevalidation", "issuance", "persistent"].contains(&source.house())
    }) {
        let seen = Seen::of(source, false);
        if seen.asynchronous {
            breaches.push(format!("{}: async", source.path));
        }
        let outside = &source.imported;
        let impure = seen.paths.iter().filter(|path| {
            let first = path.split("::").next().unwrap_or_default();
            path.contains("::")
                && (outside.contains(first)
                    || [
                        "std",
                        "core",
                        "tokio",
                        "prevalidate_kit",
                        "prevalidate_providers",
                        "crate",
                    ]
                    .contains(&first))
                && !path.starts_with("crate::prevalidation")
                && !path.starts_with("crate::issuance")
                && !path.starts_with("crate::persistent")
                && !PURE.iter().any(|pure| is_within(path, pure))
        });
        breaches.extend(impure.map(|path| format!("{}: {path}", source.path)));
        let clock = seen
            .paths
            .iter()
            .filter(|path| path.ends_with("Timestamp::now") || path.ends_with("Zoned::now"));
        breaches.extend(
            clock.map(|path| format!("{}: {path}; take `now` as an argument", source.path)),
        );
    }
    none("the hearts have no clock, no I/O, no async", &breaches);
}

/// The first words of a file's imports.
fn imported(file: &File) -> BTreeSet<String> {
    let heads = file.items.iter().filter_map(|item| match item {
        Item::Use(item) => match &item.tree {
            UseTree::Path(path) => Some(path.ident.to_string()),
            _ => None,
        },
        _ => None,
    });
    heads.filter(|head| head != "super").collect()
}

#[test]
fn only_output_prints() {
    let printing = ["print", "println", "eprint", "eprintln", "dbg"];
    let mut breaches = Vec::new();
    let all = ["src", "kit/src", "providers/src"].map(sources);
    for source in all.iter().flatten() {
        if source.is_test || source.house() == "output" {
            continue;
        }
        let seen = Seen::of(source, false);
        breaches.extend(
            seen.macros
                .iter()
                .filter(|name| printing.contains(&name.as_str()))
                .map(|name| format!("{}: {name}!", source.path)),
        );
        let streams = seen.paths.iter().filter(|path| {
            ["io::stdout", "io::stderr", "io::Stdout", "io::Stderr"]
                .iter()
                .any(|end| path.ends_with(end))
                || path.starts_with("anstream")
        });
        breaches.extend(streams.map(|path| format!("{}: {path}", source.path)));
    }
    none("what people read goes through `output`", &breaches);
}

/// A test sets the time ahead for every command at once.
#[test]
fn the_commands_have_one_clock() {
    let all = sources("src");
    let names_a_clock = |source: &&&Source| {
        let mut paths = Seen::of(source, false).paths.into_iter();
        paths.any(|path| path == "crate::clock::SystemClock")
    };
    let of_commands = all
        .iter()
        .filter(|source| !source.is_test && source.house() == "commands");
    let named: Vec<&str> = of_commands
        .filter(names_a_clock)
        .map(|source| source.path.as_str())
        .collect();
    assert_eq!(named, ["src/commands/app.rs"]);
}

#[test]
fn two_places_ask_the_machine_for_the_time_of_day() {
    let asks = |source: &Source| {
        let seen = Seen::of(source, false);
        let clocks = ["Timestamp::now", "Zoned::now", "SystemTime::now"];
        seen.paths
            .iter()
            .any(|path| clocks.iter().any(|clock| path.ends_with(clock)))
    };
    let all = ["src", "kit/src", "providers/src"]
        .into_iter()
        .flat_map(sources);
    let places: Vec<_> = all
        .filter(|source| !source.is_test && asks(source))
        .map(|source| source.path.as_str())
        .collect();
    assert_eq!(
        places.into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from(WALL_CLOCKS)
    );
}

#[test]
fn every_file_says_first_what_it_is_for_and_none_grows_without_a_reason() {
    let mut breaches = Vec::new();
    let all = ["src", "kit/src", "providers/src", "tests"]
        .into_iter()
        .flat_map(sources)
        .collect::<Vec<_>>();
    for source in &all {
        if !source.text.starts_with("//! ") {
            breaches.push(format!("{}: begins without `//!`", source.path));
        }
        let lines = source.text.lines().count();
        let listed = LONG_FILES.contains(&source.path.as_str());
        match (lines > LONG, listed) {
            (true, false) => breaches.push(format!(
                "{}: {lines} lines; split it, or give the reason",
                source.path
            )),
            (false, true) => breaches.push(format!(
                "{}: {lines} lines; take it off the list",
                source.path
            )),
            _ => {}
        }
    }
    let gone = LONG_FILES
        .iter()
        .filter(|path| !all.iter().any(|source| source.path == **path));
    breaches.extend(gone.map(|path| format!("{path}: does not exist; take it off the list")));
    none("one thing per file", &breaches);
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let personal = ["/home", "/root", "/Users", "/work"].map(|folder| format!("{folder}/"));
    let mut breaches = Vec::new();
    for path in files("", "") {
        // What is not text holds no path that a reader would follow.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        for (number, line) in text.lines().enumerate() {
            let source = line
                .strip_prefix("source = \"")
                .map(|rest| rest.trim_end_matches('"'));
            let elsewhere = name == "Cargo.lock"
                && source.is_some_and(|source| !source.ends_with("/crates.io-index"));
            // A slash before it belongs to a longer path or to a URL.
            let named = personal.iter().any(|folder| {
                line.match_indices(folder.as_str()).any(|(at, _)| {
                    line[..at].chars().next_back().is_none_or(|before| {
                        !before.is_alphanumeric() && before != '/' && before != '.'
                    })
                })
            });
            if elsewhere || named {
                breaches.push(format!("{name}:{}: {line}", number + 1));
            }
        }
    }
    none(
        "paths and registries of one machine mean nothing on another",
        &breaches,
    );
}

#[test]
fn a_build_without_route53_has_nothing_of_aws() {
    let tree = |features: &[&str]| {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--package",
            "prevalidate",
        ]);
        let output = cargo
            .args(features)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let is_aws = |line: &str| line.starts_with("aws-") && !line.starts_with("aws-lc-");
    assert!(tree(&[]).lines().any(is_aws));
    let without = tree(&[
        "--no-default-features",
        "--features",
        "autodns,cloudflare,exec",
    ]);
    assert_eq!(without.lines().find(|line| is_aws(line)), None);
}
