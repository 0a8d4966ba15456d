//! `config check` and `config show`: what is wrong with the configuration, and what it comes to.

mod init;

use std::sync::Arc;

use prevalidate_providers::registry::ProviderSettings;
use serde_json::{Value, json};

use self::init::InitArgs;
use super::app::App;
use super::{Exit, Failed, Global, persistent};
use crate::ca::settings::read_secret;
use crate::config::{Fault, NotifyBy, Settings};
use crate::notify::carrier::mail::Letter;
use crate::notify::carrier::web::Receiver;
use crate::output::Output;
use crate::webhook::Secret;

#[derive(Debug, clap::Subcommand)]
pub(super) enum ConfigCommand {
    /// Lists all that is wrong with the configuration, at once; asks no server and changes nothing
    Check {
        /// Does not read the secrets, for machines that do not have them
        #[arg(long)]
        without_secrets: bool,
    },
    /// Prints what is in force with all defaults, secrets redacted
    Show,
    /// Writes a first configuration; asks for what is not given, on a terminal
    Init(InitArgs),
    /// Prints every setting with its default and its meaning
    Reference {
        /// Only this section: `policy`, `ca`, `provider.internal`, or a kind such as `cloudflare`
        section: Option<String>,
    },
}

pub(super) fn config(
    global: &Global,
    command: ConfigCommand,
    output: &Output,
) -> Result<Exit, Failed> {
    match command {
        ConfigCommand::Check { without_secrets } => {
            let app = App::read_as_written(global, output)?;
            check(&app, !without_secrets, output)
        }
        ConfigCommand::Show => show(&App::read(global, output)?.settings, output),
        ConfigCommand::Init(args) => init::init(global, args, output),
        ConfigCommand::Reference { section } => init::reference(section.as_deref(), output),
    }
}

/// The fault for which `config check` would refuse the configuration.
pub(super) fn fault(app: &App) -> Option<Failed> {
    let store = app.named().check().err().map(Failed::from);
    store.or_else(|| {
        let faults = unreadable_secrets(app);
        (!faults.is_empty()).then(|| Failed::new(Exit::Usage, faults.join("\n")))
    })
}

fn check(app: &App, read_secrets: bool, output: &Output) -> Result<Exit, Failed> {
    if let Some(doubt) = app.named().check()? {
        output.warn(&format!("store.url: {doubt}"), None);
    }
    if !app.settings.left_out.is_empty() {
        // Each line was reported when the configuration was read.
        return Err(Failed::new(
            Exit::Usage,
            "a list holds lines that name no domain; `run` and `serve` keep the domains of the others",
        ));
    }
    refuse_faults(app, read_secrets)?;
    let doubts = if read_secrets {
        doubtful_keys(&app.settings)
    } else {
        Vec::new()
    };
    for doubt in &doubts {
        output.warn(doubt, None);
    }
    let ends = persistent::doubtful_ends(&app.settings, app.now());
    for (end, hint) in &ends {
        output.warn(end, Some(hint));
    }
    let domains: usize = app
        .settings
        .clients
        .iter()
        .map(|client| client.domains.len())
        .sum();
    let count =
        |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let persistent: usize = app
        .settings
        .persistent
        .iter()
        .map(|one| one.domains.len())
        .sum();
    let staying = match persistent {
        0 => String::new(),
        records => format!(", {}", count(records, "persistent record")),
    };
    output.line(&format!(
        "{} is in order: {}, {}, {}{staying}",
        app.settings.file.display(),
        count(app.settings.clients.len(), "client"),
        count(domains, "domain"),
        count(app.settings.providers.len(), "provider"),
    ));
    let notices = app.settings.notices.iter().map(ToString::to_string);
    let ends = ends.into_iter().map(|(end, _)| end);
    let notices: Vec<_> = notices.chain(doubts).chain(ends).collect();
    output.json(&json!({
        "file": app.settings.file, "clients": app.settings.clients.len(), "domains": domains,
        "providers": app.settings.providers.len(), "persistent": persistent, "notices": notices,
    }));
    Ok(Exit::Done)
}

/// Certificates that cannot be ordered so, and, unless they are left out, secrets and directories.
fn refuse_faults(app: &App, read_secrets: bool) -> Result<(), Failed> {
    let requests = app.settings.certificates.unusable.iter();
    let requests: Vec<String> = requests
        .flat_map(|one| {
            let named = |fault: &Fault| format!("{fault} (the certificate {})", one.name);
            one.faults.iter().map(named).collect::<Vec<_>>()
        })
        .collect();
    if !requests.is_empty() && !read_secrets {
        return Err(Failed::new(Exit::Usage, requests.join("\n")));
    }
    let faults = if read_secrets {
        [requests, unreadable_secrets(app), app.unfit_directories()].concat()
    } else {
        Vec::new()
    };
    if faults.is_empty() {
        return Ok(());
    }
    let failed = Failed::new(Exit::Usage, faults.join("\n"));
    // Another user may be able to read what this one cannot.
    let unreadable = [
        "cannot be read",
        "cannot be found",
        "is not set",
        "its mode is",
        "cannot write in",
    ];
    let is_unreadable = |fault: &String| unreadable.iter().any(|words| fault.contains(words));
    Err(if faults.iter().any(is_unreadable) {
        failed.with_hint(
            "run it as the user of the service; on another machine, with --without-secrets",
        )
    } else {
        failed
    })
}

/// The API keys that can be read and do not have the form of the CA's.
fn doubtful_keys(settings: &Settings) -> Vec<String> {
    let mut doubts = Vec::new();
    for (name, ca) in &settings.cas {
        for (key, source) in ca.values.secrets() {
            let read = read_secret(key, source).ok();
            let doubt = read.and_then(|secret| (ca.kind.doubt)(key, &secret));
            let place = settings.place(&format!("ca.{name}.{key}"));
            doubts.extend(doubt.map(|doubt| format!("{place}: {doubt}")));
        }
    }
    doubts
}

/// Every secret and file that `run` and `serve` would not get at, with the key that names it.
fn unreadable_secrets(app: &App) -> Vec<String> {
    let mut faults: Vec<_> = app
        .settings
        .unusable
        .iter()
        .map(ToString::to_string)
        .collect();
    let told = |failed: Failed| {
        let hint = failed
            .hint
            .map(|hint| format!("\n  hint: {hint}"))
            .unwrap_or_default();
        format!("{}{hint}", failed.message)
    };
    faults.extend(app.named().secret().err().map(told));
    for (name, ca) in &app.settings.cas {
        for (key, source) in ca.values.secrets() {
            if let Err(error) = read_secret(key, source) {
                let hint = error
                    .hint()
                    .map(|hint| format!("\n  hint: {hint}"))
                    .unwrap_or_default();
                let place = app.settings.place(&format!("ca.{name}.{key}"));
                faults.push(format!("{place}: {error}{hint}"));
            }
        }
    }
    // What is made of a file that cannot be used fails by it.
    let is_news = |failed: &Failed| {
        let mut known = app.settings.unusable.iter();
        !known.any(|fault| failed.message.contains(file_of(fault)))
    };
    let cas = app.settings.cas.keys();
    let cas = cas.filter_map(|name| app.ca(name).err());
    let gate = app.gate().err();
    faults.extend(cas.chain(gate).filter(is_news).map(told));
    for (name, provider) in &app.settings.providers {
        // What the tables themselves get wrong was said when the configuration was read.
        let built = ProviderSettings::read(&provider.table).map(|adapter| {
            let clock = Arc::clone(&app.clock);
            adapter.build_at(Arc::new(move || clock.now()))
        });
        if let Ok(Err(error)) = built {
            let hint = error
                .hint
                .as_ref()
                .map(|hint| format!("\n  hint: {hint}"))
                .unwrap_or_default();
            let (file, line) = (app.settings.file.display(), provider.line);
            faults.push(format!("{file}:{line}: provider.{name}: {error}{hint}"));
        }
    }
    for notify in &app.settings.notify {
        let (key, source) = match &notify.by {
            NotifyBy::Web(Receiver::Webhook { secret, .. }) => ("secret", secret),
            NotifyBy::Web(Receiver::Chat { url, .. }) => ("url", url),
            NotifyBy::Mail(Letter {
                login: Some((_, password)),
                ..
            }) => ("password", password),
            NotifyBy::Mail(_) | NotifyBy::Program(_) => continue,
        };
        let read = source.read().map_err(|error| error.to_string());
        let signs = key == "secret";
        let usable = read.and_then(|text| {
            if signs {
                Secret::read(&text).map(drop)
            } else {
                Ok(())
            }
        });
        faults.extend(usable.err().map(|error| {
            let place = app
                .settings
                .place(&format!("notify.{key} of {}", notify.name));
            format!("{place}: {error}")
        }));
    }
    let certificates = app.certificates().into_iter();
    faults.extend(certificates.filter_map(|one| {
        let place = app.settings.place("certificate");
        let (why, name) = (one.unreadable_password()?, one.wanted.name);
        Some(format!("{place}: {why} (the certificate {name})"))
    }));
    faults.extend(app.access().err().unwrap_or_default());
    faults.extend(app.hook_keys().err().unwrap_or_default());
    faults.extend(app.tls().err());
    faults
}

/// The file that such a fault begins with.
fn file_of(fault: &Fault) -> &str {
    let message = fault.message.as_str();
    message.split_once(": ").map_or(message, |(file, _)| file)
}

fn show(settings: &Settings, output: &Output) -> Result<Exit, Failed> {
    let text = settings.redacted_toml();
    output.text(&text);
    if output.is_json() {
        let tree: Value = toml::from_str(&text).map_err(|error| {
            Failed::new(
                Exit::Temporary,
                format!("the settings cannot be shown as JSON: {error}"),
            )
        })?;
        output.json(&tree);
    }
    Ok(Exit::Done)
}
