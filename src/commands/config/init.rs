//! `config init` and `config reference`: a first file, and what every setting means.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::commands::{Exit, Failed, Global};
use crate::config::nearest;
use crate::config::starter::{Starter, kinds, reference as sections_of, sections};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct InitArgs {
    /// The kind of CA [default: the first of the reference]
    #[arg(long, value_name = "KIND")]
    ca: Option<String>,
    /// The name of the client as the CA shows it [default: *, the only one]
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// A domain; may be given more than once
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<String>,
    /// The kind of provider that writes the zones [default: the first of the reference]
    #[arg(long, value_name = "KIND")]
    provider: Option<String>,
    /// Where it is written; `-` prints it [default: --config, or ./prevalidate.toml]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn init(global: &Global, args: InitArgs, output: &Output) -> Result<Exit, Failed> {
    let file = args.file.clone().or_else(|| global.config.clone());
    let file = file.unwrap_or_else(|| PathBuf::from("prevalidate.toml"));
    let prints = file.as_os_str() == "-";
    if !prints && file.exists() {
        let text = format!("{} is there already, and is not touched", file.display());
        return Err(Failed::new(Exit::Usage, text).with_hint("--file names another one"));
    }
    let starter = answers(args, output)?;
    let kind = starter.ca.clone();
    let place = if prints {
        Path::new("prevalidate.toml")
    } else {
        &file
    };
    let place = std::path::absolute(place).unwrap_or_else(|_| place.to_owned());
    let text = starter
        .text(&place)
        .map_err(|error| Failed::new(Exit::Usage, error.to_string()))?;
    if prints {
        output.text(&text);
        output.json(&json!({ "file": null, "configuration": text }));
        return Ok(Exit::Done);
    }
    write(&file, &text)?;
    let secrets = secrets_of(&text);
    let files: Vec<_> = secrets.iter().map(|(_, file)| file).collect();
    output.json(&json!({ "file": file, "configuration": text, "secrets": files }));
    output.line(&format!("wrote {}", file.display()));
    if !text.contains("\n[[client]]") {
        output.notice(&format!(
            "a CA of the kind {kind} validates no domain in advance, so no domain is in the file; \
             `prevalidate config reference certificate` shows how to order certificates"
        ));
    }
    output.line("Next:");
    output.line("  1. put in your own values; every line says what it means");
    for (step, (key, secret)) in (2..).zip(&secrets) {
        output.line(&format!(
            "  {step}. write the secret for `{key}` into {secret}, mode 0600"
        ));
    }
    let (step, shown) = (secrets.len() + 2, file.display());
    output.line(&format!(
        "  {step}. prevalidate --config {shown} doctor     tries all of it"
    ));
    output.line(&format!(
        "  {}. prevalidate --config {shown} plan       shows what a run would do",
        step + 1
    ));
    output.line(&format!(
        "  {}. set mode = \"manage\" when the plan is right: until then nothing is written",
        step + 2
    ));
    Ok(Exit::Done)
}

/// What was given, what a person says, or the default. An answer is refused before the next question
/// is asked.
fn answers(args: InitArgs, output: &Output) -> Result<Starter, Failed> {
    let (cas, providers) = (kinds("ca"), kinds("provider"));
    let first = |kinds: &[&'static str]| kinds.first().copied().unwrap_or_default();
    let (usual_ca, usual_provider) = (first(&cas), first(&providers));
    let given = [
        ("--ca", args.ca.as_deref(), &cas),
        ("--provider", args.provider.as_deref(), &providers),
    ];
    let wrong = given
        .into_iter()
        .filter_map(|(option, kind, known)| is_known(option, kind?, known).err());
    let mut faults: Vec<String> = wrong.collect();
    if !faults.is_empty() && args.domains.is_empty() {
        faults.push(NO_DOMAIN.to_owned());
    }
    refuse(faults)?;
    let ca = args.ca.or_else(|| {
        // One that is the only one needs no answer.
        let question = format!("Which kind of CA ({})?", cas.join(", "));
        (cas.len() > 1)
            .then(|| output.ask(&question, "swisssign"))
            .flatten()
    });
    let ca = ca.unwrap_or_else(|| usual_ca.to_owned());
    refuse(is_known("--ca", &ca, &cas).err())?;
    let client = args.client.or_else(|| {
        output.ask(
            "The client's name as the CA shows it (* for the only one)?",
            "*",
        )
    });
    let mut domains = args.domains;
    if domains.is_empty() {
        let said = output.ask("Which domains, with blanks between them?", "");
        domains.extend(
            said.iter()
                .flat_map(|said| said.split_whitespace())
                .map(str::to_owned),
        );
    }
    refuse(domains.is_empty().then(|| NO_DOMAIN.to_owned()))?;
    let mut starter = Starter {
        ca,
        client: client.unwrap_or_else(|| "*".to_owned()),
        domains,
        provider: usual_provider.to_owned(),
    };
    if args.provider.is_none() {
        // With the usual provider all is known but the answer to the last question.
        let trial = starter.text(Path::new("prevalidate.toml"));
        refuse(trial.err().map(|error| error.to_string()))?;
    }
    let provider = args.provider.or_else(|| {
        let question = format!("What writes the zones ({})?", providers.join(", "));
        output.ask(&question, usual_provider)
    });
    starter.provider = provider.unwrap_or_else(|| usual_provider.to_owned());
    refuse(is_known("--provider", &starter.provider, &providers).err())?;
    Ok(starter)
}

const NO_DOMAIN: &str = "--domain: give at least one";

fn is_known(option: &str, kind: &str, known: &[&'static str]) -> Result<(), String> {
    if known.contains(&kind) {
        return Ok(());
    }
    let meant = nearest(kind, known.iter().copied());
    let meant = meant
        .map(|meant| format!("; did you mean {meant}?"))
        .unwrap_or_default();
    Err(format!(
        "{option} {kind}: there is {}{meant}",
        known.join(", ")
    ))
}

fn refuse(faults: impl IntoIterator<Item = String>) -> Result<(), Failed> {
    let faults: Vec<String> = faults.into_iter().collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Failed::new(Exit::Usage, faults.join("\n"))),
    }
}

/// A file that was there a moment ago is not touched, either.
fn write(file: &Path, text: &str) -> Result<(), Failed> {
    let made = OpenOptions::new().write(true).create_new(true).open(file);
    made.and_then(|mut made| made.write_all(text.as_bytes()))
        .map_err(|error| {
            let text = format!("cannot write {}: {error}", file.display());
            Failed::new(Exit::Usage, text)
        })
}

/// The secrets that the configuration names, by key and file, each file once.
fn secrets_of(text: &str) -> Vec<(String, String)> {
    let mut secrets: Vec<(String, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let source = line
            .split_once("{ file = \"")
            .or_else(|| line.split_once("key_file = \""));
        let path = source.and_then(|(_, rest)| rest.split('"').next());
        let key = line.split('=').next().unwrap_or_default().trim();
        if let Some(path) = path.filter(|path| secrets.iter().all(|(_, known)| known != path)) {
            secrets.push((key.to_owned(), path.to_owned()));
        }
    }
    secrets
}

pub(super) fn reference(section: Option<&str>, output: &Output) -> Result<Exit, Failed> {
    let Some(text) = sections_of(section) else {
        let known: Vec<&str> = sections().into_iter().collect();
        let text = format!("there is no section `{}`", section.unwrap_or_default());
        return Err(
            Failed::new(Exit::Usage, text).with_hint(format!("there are: {}", known.join(", ")))
        );
    };
    output.text(&text);
    output.json(&json!({ "reference": text }));
    Ok(Exit::Done)
}
