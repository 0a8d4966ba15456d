//! The command line as people read it: groups of commands, an example for each, exit statuses where
//! scripts need them, and no tip that destroys something.

use std::ffi::{OsStr, OsString};

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches};

use super::Cli;

/// The heading of the options that every command has.
pub(super) const GLOBAL: &str = "Global options";

/// What is said to a person who knows the word from other programs.
pub(super) const RENEW: &str =
    "`renew` is `run`: it renews what is due; `reset` asks for a new token before that";

const RUN: &str = "0 every domain asked for is valid with margin · 1 some are not, or a list holds a bad line · \
2 usage or configuration · 3 CA or authentication · 4 only DNS is in the way · 5 the guard refused · \
75 temporary, try again";

/// The commands in the order of the help page.
const GROUPS: [(&str, &[&str]); 8] = [
    ("Every night", &["run", "serve", "check"]),
    (
        "Show",
        &[
            "plan",
            "status",
            "history",
            "diagnose",
            "forecast",
            "readiness",
        ],
    ),
    ("Inventory", &["add", "remove", "import"]),
    ("Records that stay in DNS", &["persistent"]),
    ("Certificates", &["certificate", "products", "clients"]),
    ("By hand", &["reset", "withdraw"]),
    ("Pipelines", &["hook", "records", "providers", "notify"]),
    (
        "Set up and try",
        &[
            "config",
            "doctor",
            "store",
            "sandbox",
            "demo",
            "completions",
            "version",
        ],
    ),
];

/// An example of each command, and its exit statuses where they are not said elsewhere.
const EXAMPLES: [(&str, &str, Option<&str>); 29] = [
    ("persistent", "prevalidate persistent scan", None),
    (
        "run",
        "prevalidate run --domain example.ch --wait 30m",
        Some(RUN),
    ),
    ("serve", "prevalidate serve --log json", None),
    (
        "check",
        "prevalidate check --warning 20d --critical 7d",
        None,
    ),
    ("plan", "prevalidate plan --output markdown", None),
    (
        "status",
        "prevalidate status --expiring-within 30d",
        Some("as `run`; nothing is tried in DNS, so never 4"),
    ),
    ("history", "prevalidate history example.ch", None),
    ("diagnose", "prevalidate diagnose example.ch", None),
    (
        "forecast",
        "prevalidate forecast --until 2027-06-30 --output markdown",
        None,
    ),
    ("readiness", "prevalidate readiness --on 2027-03-15", None),
    (
        "add",
        "prevalidate add example.ch --provider internal",
        None,
    ),
    ("remove", "prevalidate remove example.ch", None),
    ("import", "prevalidate import --from-ca --dry-run", None),
    (
        "reset",
        "prevalidate reset example.ch",
        Some("as `run`, for the domains that were named"),
    ),
    (
        "withdraw",
        "prevalidate withdraw example.ch --yes",
        Some(
            "0 no record of ours is left · 2 usage · 4 a value could not be removed · 75 temporary",
        ),
    ),
    (
        "hook",
        "prevalidate hook --zone example.ch",
        Some("as `run`, for the domains that it covers; 1 also where a name is none"),
    ),
    (
        "records",
        "prevalidate records --check planned.zone --zone example.ch",
        None,
    ),
    (
        "certificate",
        "prevalidate certificate issue --dry-run",
        Some(
            "0 every certificate asked for is installed and valid, or revoked · 1 some are not, or not yet · 2 usage \
             or configuration · 3 CA or authentication · 75 temporary, try again",
        ),
    ),
    ("products", "prevalidate products --output json", None),
    ("clients", "prevalidate clients --output json", None),
    ("providers", "prevalidate providers check", None),
    ("notify", "prevalidate notify test", None),
    (
        "config",
        "prevalidate config init --ca swisssign --provider rfc2136 --domain example.ch",
        None,
    ),
    ("doctor", "prevalidate doctor --output json", None),
    (
        "store",
        "prevalidate store copy --from sqlite:/var/lib/prevalidate/prevalidate.db --dry-run",
        None,
    ),
    ("sandbox", "prevalidate sandbox --dir lab", None),
    ("demo", "prevalidate demo", None),
    ("completions", "prevalidate completions bash", None),
    ("version", "prevalidate version --verbose", None),
];

/// Commands that take something away: no tip for a typing error names them.
const DESTRUCTIVE: [&str; 4] = ["remove", "reset", "revoke", "withdraw"];

/// The command line with its help pages.
pub(super) fn command() -> clap::Command {
    let mut command = Cli::command();
    let groups = groups(&command);
    for (name, example, exit) in EXAMPLES {
        command = command.mut_subcommand(name, |command| {
            let after = |before: Option<&StyledStr>| {
                let mut parts: Vec<String> = Vec::new();
                parts.extend(before.map(ToString::to_string));
                parts.push(format!("Example:\n  {example}"));
                parts.extend(exit.map(|exit| format!("Exit status: {exit}.")));
                parts.join("\n\n")
            };
            let short = after(command.get_after_help());
            // `--help` prints this one in the place of the other, where there is one.
            let long = command.get_after_long_help();
            let long = long.map_or_else(|| short.clone(), |long| after(Some(long)));
            command.after_help(short).after_long_help(long)
        });
    }
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}\n{GLOBAL}:\n{{options}}{{after-help}}"
    ))
}

fn groups(command: &clap::Command) -> String {
    let about = |name: &str| {
        let found = command
            .find_subcommand(name)
            .and_then(clap::Command::get_about);
        found.map(ToString::to_string).unwrap_or_default()
    };
    let mut text = String::new();
    for (title, names) in GROUPS {
        text.push_str(&format!("{title}:\n"));
        for name in names {
            text.push_str(&format!("  {name:<12} {}\n", about(name)));
        }
        text.push('\n');
    }
    text.push_str("`prevalidate COMMAND --help` says more of each.\n");
    text
}

/// Reads the command line.
///
/// # Errors
/// The fault of the command line, or the requested help.
pub(super) fn parse<T>(args: impl IntoIterator<Item = T>) -> Result<Cli, clap::Error>
where
    T: Into<OsString> + Clone,
{
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let matches = command().try_get_matches_from(&args).or_else(|error| {
        // After `help`, clap takes every word for a command's name.
        if !matches!(
            error.get(ContextKind::InvalidSubcommand),
            Some(ContextValue::String(word)) if is_help(word.as_ref())
        ) {
            return Err(error);
        }
        let words = args.iter().filter(|word| !is_help(word));
        command().try_get_matches_from(words)
    });
    Cli::from_arg_matches(&matches.map_err(without_harm)?)
}

fn is_help(word: &OsStr) -> bool {
    word == "--help" || word == "-h"
}

fn without_harm(mut error: clap::Error) -> clap::Error {
    let kind = ContextKind::SuggestedSubcommand;
    let kept = match error.get(kind) {
        Some(ContextValue::Strings(names)) => names
            .iter()
            .filter(|name| !DESTRUCTIVE.contains(&name.as_str()))
            .cloned()
            .collect(),
        Some(ContextValue::String(name)) if !DESTRUCTIVE.contains(&name.as_str()) => {
            vec![name.clone()]
        }
        Some(_) => Vec::new(),
        None => return error,
    };
    // An empty list would be a tip without words.
    match kept.is_empty() {
        true => drop(error.remove(kind)),
        false => drop(error.insert(kind, ContextValue::Strings(kept))),
    }
    error
}

/// Whether `run`, which it is, was called by the word of other programs.
pub(super) fn is_renew() -> bool {
    std::env::args().skip(1).any(|arg| arg == "renew")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_command_has_its_group_its_example_and_exit_statuses_where_scripts_need_them() {
        let command = command();
        let page = command.clone().render_long_help().to_string();
        let (groups, _) = page.split_once(GLOBAL).unwrap();
        for sub in command
            .get_subcommands()
            .filter(|sub| sub.get_name() != "help" && !sub.is_hide_set())
        {
            let name = sub.get_name();
            assert!(groups.contains(&format!("\n  {name} ")), "{name}: {page}");
            let example = format!("prevalidate {name}");
            let mut sub = sub.clone();
            for help in [sub.render_help(), sub.render_long_help()] {
                let help = help.to_string();
                assert!(
                    help.contains("Example:\n") && help.contains(&example),
                    "{name}: {help}"
                );
            }
        }
        for name in [
            "run", "serve", "plan", "status", "check", "hook", "records", "reset", "withdraw",
        ] {
            let sub = command.find_subcommand(name).unwrap();
            let help = sub.clone().render_help().to_string();
            assert!(help.contains("Exit status: "), "{name}: {help}");
        }
    }

    #[test]
    fn every_example_is_a_command_line() {
        for (name, example, _) in EXAMPLES {
            let outcome = parse(example.split(' '));
            let is_help = |error: &clap::Error| error.kind() == clap::error::ErrorKind::DisplayHelp;
            assert!(
                outcome.as_ref().err().is_none_or(is_help),
                "{name}: {outcome:?}"
            );
        }
    }

    #[test]
    fn help_may_be_asked_for_twice() {
        let said = |line: &str| parse(line.split(' ')).unwrap_err();
        for (twice, once) in [
            ("prevalidate help --help", "prevalidate help"),
            ("prevalidate help -h", "prevalidate help"),
            ("prevalidate help run --help", "prevalidate help run"),
        ] {
            let (twice, once) = (said(twice), said(once));
            assert_eq!(twice.kind(), clap::error::ErrorKind::DisplayHelp);
            assert_eq!(twice.to_string(), once.to_string());
        }
    }

    #[test]
    fn no_tip_names_a_command_that_takes_something_away() {
        for line in [
            "renw",
            "reseat",
            "removed",
            "withdrw",
            "rest",
            "delete",
            "resat",
            "man",
            "certificate revok",
            "certificate removed",
            "persistent withdrw",
        ] {
            let words = ["prevalidate"].into_iter().chain(line.split(' '));
            let said = parse(words).unwrap_err().to_string();
            assert!(
                !DESTRUCTIVE
                    .iter()
                    .any(|name| said.contains(&format!("'{name}'"))),
                "{said}"
            );
            assert!(!said.lines().any(|line| line.trim() == "tip:"), "{said}");
        }
        let said = parse(["prevalidate", "statsu"]).unwrap_err().to_string();
        assert!(said.contains("'status'"), "{said}");
        assert!(parse(["prevalidate", "renew", "--dry-run"]).is_ok());
        assert!(parse(["prevalidate", "list"]).is_ok());
    }
}
