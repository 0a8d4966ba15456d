//! The README against the program: its commands parse, its configuration is accepted, its files
//! exist, its words are ours.

use std::path::Path;
use std::process::Command;

use clap::Parser;
use prevalidate::commands::Cli;
use prevalidate::prevalidation::State;

const README: &str = include_str!("../README.md");
const RUNBOOK: &str = include_str!("../config/operations.md");

/// The contents of all blocks of one language.
fn blocks(page: &'static str, language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    page.split(&begin)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

#[test]
fn its_commands_are_commands() {
    let mut seen = 0;
    let lines = [README, RUNBOOK]
        .into_iter()
        .flat_map(|page| blocks(page, "sh"))
        .flat_map(str::lines);
    let inline = [README, RUNBOOK]
        .into_iter()
        .flat_map(|page| page.split('`').skip(1).step_by(2));
    for line in lines.chain(inline.filter(|text| !text.contains('\n'))) {
        let line = line
            .split('#')
            .next()
            .unwrap()
            .trim()
            .trim_start_matches("sudo -u prevalidate ");
        let Some(arguments) = line.strip_prefix("prevalidate ") else {
            continue;
        };
        // `--fault help` and a metavariable are values like any other.
        let parsed =
            Cli::try_parse_from(std::iter::once("prevalidate").chain(arguments.split_whitespace()));
        assert!(parsed.is_ok(), "`{line}`: {}", parsed.unwrap_err());
        seen += 1;
    }
    assert!(seen >= 20, "{seen} commands found");
}

#[test]
fn its_configuration_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let [text] = blocks(README, "toml")[..] else {
        panic!("one configuration")
    };
    let store = format!("sqlite:{}/rehearsal.db", folder.path().display());
    let file = folder.path().join("prevalidate.toml");
    std::fs::write(
        &file,
        text.replace("sqlite:/var/lib/prevalidate/rehearsal.db", &store),
    )
    .unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_prevalidate"))
        .args(["config", "check", "--without-secrets", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

/// The page about providers: what is called a key is one, in the section of its kind, and what it
/// links is there.
#[test]
fn the_page_about_providers_names_keys_and_files_that_exist() {
    let page = include_str!("../config/providers.md");
    let reference = include_str!("../config/prevalidate.toml");
    let mut seen = 0;
    for row in page
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("`: `"))
    {
        let here = row.trim_start_matches("| ").split(" | ").next().unwrap();
        let (kind, keys) = here.split_once(": ").unwrap();
        let heading = format!("# \"{}\": ", kind.trim_matches('`'));
        let section = reference
            .split(&heading)
            .nth(1)
            .unwrap_or_else(|| panic!("{kind} is not in the reference"));
        let section = section.split("\n# \"").next().unwrap();
        for key in keys.split(", ").map(|key| key.trim_matches('`')) {
            let there =
                section.contains(&format!("{key} = ")) || section.contains(&format!("`{key}`"));
            assert!(there, "{kind} has no `{key}`");
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} keys found");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let linked = page
        .split("](")
        .skip(1)
        .map(|rest| root.join("config").join(rest.split(')').next().unwrap()));
    let named = page.split('`').skip(1).step_by(2).filter(|text| {
        ["providers/", "tests/", "config/"]
            .iter()
            .any(|folder| text.starts_with(folder))
            && !text.contains("NAME")
    });
    for file in linked.chain(named.map(|text| root.join(text))) {
        assert!(file.exists(), "{}", file.display());
    }
}

#[test]
fn its_files_exist_and_its_states_are_all_of_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = README.split('`').skip(1).step_by(2).filter(|text| {
        ["src/", "providers/", "tests/", "config/", ".ci/"]
            .iter()
            .any(|folder| text.starts_with(folder))
    });
    let linked = README
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap());
    for file in named.chain(linked) {
        assert!(
            root.join(file.split('#').next().unwrap()).exists(),
            "{file}"
        );
    }
    for state in State::ALL {
        assert!(README.contains(&format!("{state} ")), "{state}");
    }
}
