//! The documents against the program: their commands parse, their configuration is accepted, their
//! links and files exist, their words are ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use clap::error::ErrorKind;
use prevalidate::commands::Cli;
use prevalidate::prevalidation::State;

const README: &str = include_str!("../README.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every document of the repository that people read, with its path.
fn pages() -> Vec<(PathBuf, String)> {
    let folders = ["", "docs", "config", "config/pipelines"];
    let files = folders.iter().flat_map(|folder| {
        std::fs::read_dir(root().join(folder))
            .unwrap()
            .map(|file| file.unwrap().path())
    });
    let mut pages: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect();
    pages.sort();
    pages
}

/// The contents of all blocks of one language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    page.split(&begin)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

/// What is between single backticks, outside of blocks.
fn inline(page: &str) -> Vec<&str> {
    let outside = page.split("```").step_by(2);
    outside
        .flat_map(|text| text.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn its_commands_are_commands() {
    let mut seen = 0;
    for (path, page) in pages() {
        let lines = blocks(&page, "sh").into_iter().flat_map(str::lines);
        let spans: Vec<String> = inline(&page)
            .iter()
            .map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        for line in lines.chain(spans.iter().map(String::as_str)) {
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
            let words = arguments.split_whitespace();
            if let Err(error) = Cli::try_parse_from(std::iter::once("prevalidate").chain(words)) {
                let shows = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion];
                assert!(
                    shows.contains(&error.kind()),
                    "{}: `{line}`: {error}",
                    path.display()
                );
            }
            seen += 1;
        }
    }
    assert!(seen >= 50, "{seen} commands found");
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

/// The page about providers: what is called a key is one, in the section of its kind.
#[test]
fn the_page_about_providers_names_keys_that_exist() {
    let page = include_str!("../docs/providers.md");
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
}

/// The name that a heading has in a link.
fn anchor(heading: &str) -> String {
    let letters = heading.trim().chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => letter
            .is_alphanumeric()
            .then(|| letter.to_lowercase().next().unwrap_or(letter)),
    });
    letters.collect()
}

#[test]
fn every_link_leads_somewhere_and_every_file_that_is_named_exists() {
    let (mut links, mut names) = (0, 0);
    for (path, page) in pages() {
        let shown = path.display();
        for target in page.split("](").skip(1) {
            let target = target.split(')').next().unwrap();
            if target.starts_with("http") {
                continue;
            }
            let (file, section) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            assert!(file.exists(), "{shown}: {target}");
            if !section.is_empty() {
                let text = std::fs::read_to_string(&file).unwrap();
                let found = text.lines().any(|line| {
                    line.starts_with('#') && anchor(line.trim_start_matches('#')) == section
                });
                assert!(found, "{shown}: {target}: no such section");
            }
            links += 1;
        }
        // The log of changes names files that have moved.
        if ["CHANGELOG.md", "upgrading.md"]
            .iter()
            .any(|name| path.ends_with(name))
        {
            continue;
        }
        let folders = [
            "src/",
            "providers/",
            "tests/",
            "config/",
            "docs/",
            "packaging/",
            ".ci/",
        ];
        for name in inline(&page)
            .into_iter()
            .filter(|name| folders.iter().any(|folder| name.starts_with(folder)))
            .filter(|name| !name.contains("NAME"))
        {
            assert!(root().join(name).exists(), "{shown}: {name}");
            names += 1;
        }
    }
    assert!(links > 60 && names > 40, "{links} links, {names} names");
}

/// The pages of one repository: each is reached from the README.
#[test]
fn the_readme_leads_to_every_page() {
    for (path, _) in pages() {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let linked = README.contains(&format!("]({name})"));
        let below = name.starts_with("config/") || name == "README.md";
        assert!(linked || below, "{name}");
    }
    let snapshot = include_str!("../docs/overview.svg");
    assert!(README.contains("](docs/overview.svg)"));
    assert!(snapshot.contains("prefers-color-scheme: dark"));
}

#[test]
fn the_glossary_explains_every_state() {
    let glossary = include_str!("../docs/glossary.md");
    for state in State::ALL {
        assert!(glossary.contains(&format!("| {state} | ")), "{state}");
    }
}
