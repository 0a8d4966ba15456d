//! `prevalidate sandbox`: a CA and its name servers on loopback, until it is stopped, and a
//! configuration that uses them.

mod switches;

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use secrecy::SecretString;
use serde_json::json;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::switches::{Switches, listed};
use super::app::clock;
use super::{Exit, Failed};
use crate::output::Output;
use crate::prevalidation::DomainName;
use crate::sandbox::ca::REQUESTS;
use crate::sandbox::dns::Follow;
use crate::sandbox::door;
use crate::sandbox::kind::Kind;
use crate::sandbox::registry::KINDS;
use crate::sandbox::{Options, Sandbox};

/// The zones of a sandbox without other ones on the command line.
const DOMAINS: [&str; 2] = ["example.test", "déjà-vu.example"];

#[derive(Debug, clap::Args)]
#[command(after_long_help = help())]
pub(super) struct SandboxArgs {
    /// Where the CA listens: a loopback address; port 0 means any port. Of several CAs this is the
    /// first one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = loopback)]
    ca: SocketAddr,
    /// Which kind of CA; may be repeated, then each has the domains
    #[arg(long = "ca-kind", value_name = "KIND", default_value = KINDS[0].name, value_parser = kinds())]
    kinds: Vec<&'static Kind>,
    /// Where the primary name server listens: a loopback address; port 0 means any port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = loopback)]
    dns: SocketAddr,
    /// The secret of the CA's account, an API key or a password; a random one otherwise. Of several
    /// CAs this is the first one's
    #[arg(long, value_name = "KEY", value_parser = |text: &str| Ok::<_, String>(SecretString::from(text)))]
    key: Option<SecretString>,
    /// A domain, with a zone of its own that holds SPF; may be repeated [default: example.test,
    /// déjà-vu.example]
    #[arg(long = "domain", value_name = "NAME")]
    domains: Vec<String>,
    /// One more name server, and how it follows the primary: now, never, dead, lame, or how late
    /// (30s); may be repeated
    #[arg(long = "secondary", value_name = "HOW", default_value = "now")]
    secondaries: Vec<Follow>,
    /// How the CA behaves: KEY=VALUE for swisssign, KIND.KEY=VALUE for the others, such as
    /// `sectigo.orders=hang`; `--fault help` lists the switches; may be repeated
    #[arg(long = "fault", value_name = "KEY=VALUE")]
    faults: Vec<String>,
    /// How long every call of the CA takes at least, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency: u64,
    /// Where the secrets are written, and where the configuration has its store; otherwise a
    /// temporary directory, which is removed at the end
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) async fn sandbox(args: SandboxArgs, output: &Output) -> Result<Exit, Failed> {
    if args.faults.iter().any(|fault| fault == "help") {
        output.text(&listed());
        output.json(&Switches::new().json());
        return Ok(Exit::Done);
    }
    let (switches, domains) = (switched(&args)?, domains(&args.domains)?);
    let kinds = KINDS.iter().filter(|kind| {
        let mut asked_for = args.kinds.iter();
        asked_for.any(|asked| asked.name == kind.name)
    });
    let kinds = kinds.map(|kind| (*kind, switches.of(kind))).collect();
    let stop = stop_on_signal()?;
    let place = Place::make(args.dir.as_deref(), "sandbox")?;
    if place.path().join("prevalidate.db").exists() {
        output.warn(
            &format!("{} holds the store of an earlier sandbox", place.path().display()),
            Some("this CA does not know what it remembers: take another --dir, or remove prevalidate.db* and certificates"),
        );
    }
    let options = Options {
        ca: args.ca,
        dns: args.dns,
        api_key: args.key,
        secondaries: args.secondaries,
        kinds,
        ..Options::new(place.path(), clock(), domains)
    };
    let sandbox = Sandbox::start(options)
        .await
        .map_err(|error| Failed::new(Exit::Usage, error.to_string()))?;
    // Whole or not at all: a reader may begin at once.
    let file = place.path().join("prevalidate.toml");
    let next = place.path().join(".prevalidate.toml.new");
    std::fs::write(&next, sandbox.configuration())
        .and_then(|()| std::fs::rename(&next, &file))
        .map_err(|error| Failed::new(Exit::Usage, format!("{}: {error}", file.display())))?;
    introduce(&sandbox, place.path(), output);
    stop.cancelled().await;
    drop(sandbox);
    place.close()?;
    Ok(Exit::Done)
}

/// The configuration goes to standard output, so that it can be kept; what people need to know to
/// standard error.
fn introduce(sandbox: &Sandbox, directory: &Path, output: &Output) {
    let (urls, servers) = (sandbox.urls(), sandbox.dns.addresses());
    let ca = urls.first().map(|(_, url)| url.clone()).unwrap_or_default();
    let configuration = sandbox.configuration();
    output.line("# Uses a sandbox of `prevalidate`; good as long as that runs.");
    output.text(&configuration);
    output.json(&json!({
        "ca": ca, "name_servers": servers, "directory": directory, "configuration": configuration,
    }));
    let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
    let cas: Vec<_> = match urls.as_slice() {
        [(_, url)] => vec![format!("a CA at {url}")],
        several => several
            .iter()
            .map(|(kind, url)| format!("{kind} at {url}"))
            .collect(),
    };
    output.notice(&format!(
        "{}, name servers at {} (the first is the primary)",
        cas.join(", "),
        servers.join(", ")
    ));
    output.notice(&format!(
        "secrets and store in {}; Ctrl-C ends the sandbox",
        directory.display()
    ));
    let program = program();
    let file = shell_word(&directory.join("prevalidate.toml").display().to_string());
    output.notice("the configuration is on standard output and in the folder of the secrets:");
    output.notice(&format!(
        "  {program} --config {file} plan     shows what would be done"
    ));
    output.notice(&format!("  {program} --config {file} run      does it"));
    for url in sandbox
        .guests
        .iter()
        .filter_map(|(_, guest)| guest.back_door())
    {
        output.notice(&format!(
            "  curl {url}     what the CA knows; `sandbox --help` lists what else it takes"
        ));
    }
}

/// This program as it was called, so that a line with it can be pasted.
pub(super) fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    shell_word(if called.is_empty() {
        "prevalidate"
    } else {
        &called
    })
}

fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:".contains(c);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Reads the name of a kind.
fn kinds() -> impl TypedValueParser<Value = &'static Kind> {
    let names = PossibleValuesParser::new(KINDS.iter().map(|kind| kind.name));
    names.try_map(|name| {
        let found = KINDS.iter().find(|kind| kind.name == name);
        found.copied().ok_or("there is no such kind")
    })
}

/// How each kind behaves.
fn switched(args: &SandboxArgs) -> Result<Switches, Failed> {
    let mut switches = Switches::new();
    switches.slow_down(args.latency);
    for fault in &args.faults {
        switches.set(fault).map_err(|why| {
            Failed::new(Exit::Usage, format!("--fault {fault}: {why}"))
                .with_hint("`--fault help` lists the switches")
        })?;
    }
    Ok(switches)
}

fn domains(written: &[String]) -> Result<Vec<DomainName>, Failed> {
    let written: Vec<&str> = if written.is_empty() {
        DOMAINS.to_vec()
    } else {
        written.iter().map(String::as_str).collect()
    };
    let mut domains = Vec::new();
    for text in written {
        let parsed = DomainName::parse(text)
            .map_err(|why| Failed::new(Exit::Usage, format!("--domain: {why}")))?;
        if !domains.contains(&parsed.name) {
            domains.push(parsed.name);
        }
    }
    Ok(domains)
}

/// A sandbox has no real passwords, and it has a back door, so it is for this machine only.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "give an address with a port, such as 127.0.0.1:8080")?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err("a sandbox listens on loopback only, such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}

fn help() -> String {
    format!(
        "Switches for --fault, the default first:\n{}\n\nMore while it runs, at each CA under /_sandbox/ \
         (curl -X POST CA/_sandbox/clock -d '{{\"advance\": \"30d\"}}'):\n{}\n\nTry it, in two terminals:\n  \
         prevalidate sandbox --dir lab\n  prevalidate --config lab/prevalidate.toml run",
        listed(),
        requests()
    )
}

/// What may be asked of a running sandbox, one a line.
fn requests() -> String {
    let line = |(method, path, body, meaning): &(&str, &str, &str, &str)| {
        let asked = format!("{method:<6} {path} {body}");
        format!("  {}\n         {meaning}", asked.trim_end())
    };
    let list = |requests: &mut dyn Iterator<Item = &(&str, &str, &str, &str)>| {
        requests.map(line).collect::<Vec<_>>().join("\n")
    };
    let is_own = |(method, path, ..): &&(&str, &str, &str, &str)| {
        let is_common = |one: &(&str, &str, &str, &str)| (one.0, one.1) == (*method, *path);
        // Its faults are named otherwise.
        (*method, *path) == ("POST", "faults") || !door::REQUESTS.iter().any(is_common)
    };
    format!(
        "{}\n  At SwissSign also:\n{}",
        list(&mut door::REQUESTS.iter()),
        list(&mut REQUESTS.iter().filter(is_own))
    )
}

/// A directory for a sandbox: one that the user names, or a temporary one.
pub(super) enum Place {
    /// With the lock that says it is in use; the operating system lets go of it when the process
    /// ends, however it ends.
    Kept {
        path: PathBuf,
        _lock: File,
    },
    Passing(TempDir),
}

/// The process that holds the lock of a directory's sandbox.
const LOCK: &str = "sandbox.lock";

impl Place {
    /// `dir`, made for the owner only when it is not there, or a temporary directory for `what`.
    pub(super) fn make(dir: Option<&Path>, what: &str) -> Result<Self, Failed> {
        use std::os::unix::fs::DirBuilderExt;
        let failed = |path: &Path, error| {
            Failed::new(
                Exit::Usage,
                format!("cannot make {}: {error}", path.display()),
            )
        };
        let Some(dir) = dir else {
            let made = tempfile::Builder::new()
                .prefix(&format!("prevalidate-{what}-"))
                .tempdir();
            let hint = "TMPDIR, `sandbox --dir DIR` and `demo --keep DIR` name another place";
            return made
                .map(Self::Passing)
                .map_err(|error| failed(&std::env::temp_dir(), error).with_hint(hint));
        };
        let dir = std::path::absolute(dir).map_err(|error| failed(dir, error))?;
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir);
        made.map_err(|error| failed(&dir, error))?;
        let lock = File::create(dir.join(LOCK)).map_err(|error| failed(&dir.join(LOCK), error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self::Kept {
                path: dir,
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => {
                let message = format!(
                    "a sandbox is running in {}, with keys of its own",
                    dir.display()
                );
                Err(Failed::new(Exit::Usage, message)
                    .with_hint("end it first, or take another --dir"))
            }
            Err(TryLockError::Error(error)) => Err(failed(&dir.join(LOCK), error)),
        }
    }

    /// Absolute.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Kept { path, .. } => path,
            Self::Passing(directory) => directory.path(),
        }
    }

    /// Removes what was only for the moment.
    pub(super) fn close(self) -> Result<(), Failed> {
        let Self::Passing(directory) = self else {
            return Ok(());
        };
        let path = directory.path().to_owned();
        directory.close().map_err(|error| {
            Failed::new(
                Exit::Temporary,
                format!("cannot remove the directory {}: {error}", path.display()),
            )
        })
    }
}

/// Cancelled by Ctrl-C, by `kill`, and by a terminal that is closed.
pub(super) fn stop_on_signal() -> Result<CancellationToken, Failed> {
    let stop = CancellationToken::new();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        let mut signal = signal(kind).map_err(|error| {
            Failed::new(
                Exit::Temporary,
                format!("cannot listen for signals: {error}"),
            )
        })?;
        let stop = stop.clone();
        tokio::spawn(async move {
            signal.recv().await;
            stop.cancel();
        });
    }
    Ok(stop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::app::App;
    use super::*;

    /// What the list of the sandbox and that of the configuration say fits together.
    #[tokio::test]
    async fn the_configuration_of_every_kind_is_read_and_its_account_knows_its_client() {
        let folder = tempfile::tempdir().unwrap();
        let domain = DomainName::from_a_labels("example.test").unwrap();
        let kinds = KINDS.iter().map(|kind| (*kind, (kind.switches)()));
        let options = Options {
            kinds: kinds.collect(),
            ..Options::new(folder.path(), clock(), vec![domain])
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        let file = folder.path().join("prevalidate.toml");
        std::fs::write(&file, sandbox.configuration()).unwrap();
        let settings = crate::config::load(&file).unwrap();
        let named: Vec<_> = settings.cas.values().map(|ca| ca.kind.kind.name).collect();
        assert!(
            KINDS.iter().all(|kind| named.contains(&kind.name)),
            "{named:?}"
        );
        let app = App::new(settings, clock());
        for target in &app.targets {
            let ca = app.ca(&target.ca).unwrap();
            ca.find_client(&target.selector).await.unwrap();
        }
        assert_eq!(app.targets.len(), KINDS.len() - 1, "InterNetX has none");
    }

    #[test]
    fn only_loopback_is_listened_on() {
        assert!(loopback("127.0.0.1:0").is_ok() && loopback("[::1]:8080").is_ok());
        for address in [
            "0.0.0.0:80",
            "192.0.2.1:53",
            "[::]:0",
            "localhost:80",
            "127.0.0.1",
        ] {
            assert!(loopback(address).is_err(), "{address}");
        }
    }
}
