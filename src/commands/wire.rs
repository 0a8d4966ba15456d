//! From settings to working parts: the only place that names concrete adapters.

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;
use prevalidate_kit::http::trusted;
use prevalidate_kit::pace::Pace;
use prevalidate_providers::Provider;
use prevalidate_providers::provider::LiveNameServers;
use prevalidate_providers::registry::ProviderSettings;
use secrecy::ExposeSecret;

mod certificates;
mod hooks;
mod inventory;
mod notify;
mod pace;
pub(super) mod persistent;
mod server;
mod store;

pub(super) use self::certificates::{
    certificates, issuer, looking_issuer, unfit_directories, wanted_certificates,
};
pub(super) use self::hooks::hook_keys;
pub(super) use self::inventory::{alarm, differs, pretend, sync, wanted};
pub(super) use self::notify::notifier;
use self::pace::FleetPace;
pub(super) use self::persistent::persistent;
pub(super) use self::server::{access, tls};
pub(super) use self::store::{
    Named, open, open_as_it_is, open_or_make, open_to_look, open_to_serve, store_copy,
    store_if_there, store_read_only,
};
use super::{Exit, Failed, Global};
use crate::ca::http::Reach;
use crate::ca::settings::Account;
use crate::ca::{CaError, Failure, Validation};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, CaSettings, Fault, ProviderTable, Settings};
use crate::output::Output;
use crate::prevalidation::policy::Terms;
use crate::prevalidation::{Alarm, Policy, RecordName, ReuseTable};
use crate::propagation::dnssec::Anchors;
use crate::propagation::{Gate, GateSettings};
use crate::rdap::Rdap;
use crate::store::{Store, StoreError};
use crate::worker::{Ports, Target};

/// Finds and reads the configuration; all its faults become one error, its notices are told.
pub(super) fn settings(global: &Global, output: &Output) -> Result<Settings, Failed> {
    settings_by(config::load, global, output)
}

/// The same with files that cannot be used, which the caller tells.
pub(super) fn settings_as_they_stand(global: &Global, output: &Output) -> Result<Settings, Failed> {
    settings_by(config::load_as_it_stands, global, output)
}

fn settings_by(
    load: impl Fn(&Path) -> Result<Settings, config::ConfigError>,
    global: &Global,
    output: &Output,
) -> Result<Settings, Failed> {
    // One that is not UTF-8 names no file, and says so; it is not as good as absent.
    let env = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let refused = |error: config::ConfigError| Failed::new(Exit::Usage, error.to_string());
    let found = config::look_for(global.config.as_deref(), &env).map_err(refused)?;
    if let Some(why) = &found.passed_over {
        output.warn(
            why,
            Some("name it with --config, or make it root's or your own"),
        );
    }
    let settings = load(&found.path).map_err(refused)?;
    let read = format!("the configuration is {}", settings.file.display());
    if found.is_here {
        output.notice(&read);
    } else {
        output.detail(&read);
    }
    let more = |count: usize| format!("and {count} more of the kind");
    for notice in settings.notices.iter().take(MOST_TOLD) {
        output.notice(&notice.to_string());
    }
    if let Some(count) = beyond(&settings.notices) {
        output.notice(&more(count));
    }
    for fault in settings.left_out.iter().take(MOST_TOLD) {
        output.warn(&fault.to_string(), fault.hint.as_deref());
    }
    if let Some(count) = beyond(&settings.left_out) {
        output.warn(&more(count), None);
    }
    if let Some(words) = left_out(&settings) {
        output.warn(&words, None);
    }
    for one in &settings.certificates.unusable {
        let hint = format!("everything goes on but the certificate {}", one.name);
        for fault in &one.faults {
            output.warn(&fault.to_string(), Some(&hint));
        }
    }
    Ok(settings)
}

/// After so many notices or bad lines more of them help nobody.
const MOST_TOLD: usize = 20;

fn beyond(faults: &[Fault]) -> Option<usize> {
    faults.len().checked_sub(MOST_TOLD).filter(|&more| more > 0)
}

/// That lines of the lists of names are bad, where some are: the first, and what follows from it.
pub(super) fn left_out(settings: &Settings) -> Option<String> {
    let first = settings.left_out.first()?;
    let (lines, verb) = match settings.left_out.len() {
        1 => ("1 line".to_owned(), "names"),
        many => (format!("{many} lines"), "name"),
    };
    Some(format!(
        "{lines} of the lists {verb} no domain, first {}:{}; all other domains are kept, and none \
         leaves the inventory until this is mended",
        first.file.display(),
        first.line.unwrap_or_default()
    ))
}

/// Reads it once more, for a process that goes on when it is broken: all its faults, a line each.
pub(super) fn settings_again(global: &Global) -> Result<Settings, Vec<String>> {
    let env = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let found = config::find(global.config.as_deref(), &env);
    if let Ok(path) = &found
        && std::fs::metadata(path).is_ok_and(|what| what.file_type().is_fifo())
    {
        // Opening it would wait for a writer.
        let shown = path.display();
        return Err(vec![format!(
            "{shown} is a pipe, which is read once: restart to change it"
        )]);
    }
    found
        .and_then(|path| config::load(&path))
        .map_err(|error| error.faults.iter().map(ToString::to_string).collect())
}

/// The time. A test may set it ahead, by seconds.
pub(super) fn clock() -> Arc<dyn Clock> {
    #[cfg(feature = "crashpoints")]
    if let Some(seconds) = std::env::var("PREVALIDATE_CLOCK_AHEAD")
        .ok()
        .and_then(|seconds| seconds.parse().ok())
    {
        let clock = crate::sandbox::clock::ShiftedClock::over(Arc::new(SystemClock));
        clock.advance(SignedDuration::from_secs(seconds));
        return clock;
    }
    Arc::new(SystemClock)
}

/// Whether nobody named a configuration and none lies at the usual places.
pub(super) fn names_no_configuration(global: &Global) -> bool {
    let env = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let named = global.config.is_some() || env(config::ENV).is_some_and(|path| !path.is_empty());
    !named && config::find(None, &env).is_err()
}

/// The policy that the settings spell out.
pub(super) fn policy(settings: &Settings) -> Policy {
    let from = &settings.policy;
    let span = |time| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    let mut policy = Policy {
        renew_before: from.renew_before,
        max_at_risk: from.max_at_risk,
        cover: from.cover,
        reuse: if from.reuse.is_empty() {
            ReuseTable::default()
        } else {
            ReuseTable::new(from.reuse.clone())
        },
        settle: span(settings.propagation.settle),
        poll: span(settings.propagation.poll),
        reset_token_before: from.reset_token_before,
        warning: from.warning,
        critical: from.critical,
        ..Policy::new(from.mode)
    };
    for (name, ca) in &settings.cas {
        let kind = ca.kind.kind;
        let terms = Terms {
            reuse: if from.reuse.is_empty() {
                (kind.reuse)()
            } else {
                policy.reuse.clone()
            },
            start_keeps_proof: kind.start_keeps_proof,
            looks_by_itself: kind.looks_by_itself,
            follow_aliases: ca.follow_aliases,
            record: ca.kind.record(&ca.values),
        };
        if terms != policy.terms() {
            policy.differ(name, terms);
        }
    }
    policy
}

/// The clients of the configuration, each once.
pub(super) fn targets(settings: &Settings) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for client in &settings.clients {
        let target = Target::new(&client.ca, client.selector.clone());
        let is_known = targets.iter().any(|known| known.key == target.key);
        if !is_known {
            targets.push(target.for_purpose(client.purpose));
        }
    }
    targets
}

/// What binds a store to its CAs: production and pre-production must not share one (faults C23).
pub(super) fn fingerprint(settings: &Settings) -> String {
    let parts: Vec<_> = settings
        .cas
        .iter()
        .map(|(name, ca)| format!("{name}={}", ca.url.authority()))
        .collect();
    parts.join(" ")
}

/// The guard's refusal as the end of a command.
pub(super) fn refused(alarm: &Alarm) -> Failed {
    Failed::new(Exit::Guard, format!("the guard refuses: {alarm}; nothing was done"))
        .with_hint("look at the configuration first; if it is meant so, `prevalidate run --force` acts all the same")
}

/// One CA by its `[ca.NAME]`, for a command that needs no worker.
pub(super) fn ca(
    settings: &Settings,
    name: &str,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Validation>, Failed> {
    let from = settings
        .cas
        .get(name)
        .ok_or_else(|| Failed::new(Exit::Usage, format!("there is no [ca.{name}]")))?;
    (from.kind.connect)(account(settings, name, from, None)?, clock).map_err(unusable)
}

/// A setting that no call can be made with is wrong here, whatever the CA says.
fn unusable(error: CaError) -> Failed {
    let exit = match error.failure {
        Failure::Settings => Exit::Usage,
        _ => return error.into(),
    };
    Failed {
        exit,
        ..error.into()
    }
}

/// Everything a worker touches.
pub(super) fn ports(settings: &Settings, store: Arc<dyn Store>) -> Result<Ports, Failed> {
    ports_at(settings, store, clock())
}

/// The same by another clock, which tokens and signatures follow.
pub(super) fn ports_at(
    settings: &Settings,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
) -> Result<Ports, Failed> {
    let fleet = FleetPace::of(&store, &clock);
    let mut cas: BTreeMap<String, Arc<dyn Validation>> = BTreeMap::new();
    for (name, from) in &settings.cas {
        let account = account(settings, name, from, fleet.as_ref())?;
        let ca = (from.kind.connect)(account, Arc::clone(&clock)).map_err(unusable)?;
        cas.insert(name.clone(), ca);
    }
    let gate = Arc::new(gate(settings, Arc::clone(&clock))?);
    let mut providers: BTreeMap<String, Arc<dyn Provider>> = BTreeMap::new();
    for (name, table) in &settings.providers {
        providers.insert(
            name.clone(),
            provider(
                name,
                table,
                Arc::clone(&clock),
                &gate,
                fleet.as_ref().map(FleetPace::pace),
            )?,
        );
    }
    Ok(Ports {
        cas,
        providers,
        lookout: gate,
        store,
        clock,
    })
}

/// One provider by its table; where several zones have one name, `gate` finds out which is live.
pub(super) fn provider(
    name: &str,
    table: &ProviderTable,
    clock: Arc<dyn Clock>,
    gate: &Arc<Gate>,
    pace: Option<Pace>,
) -> Result<Arc<dyn Provider>, Failed> {
    // The configuration check has read the same table without a fault.
    let adapter = ProviderSettings::read(&table.table).map_err(|faults| {
        let faults: Vec<_> = faults
            .iter()
            .map(|fault| format!("provider.{name}.{}: {}", fault.key, fault.message))
            .collect();
        Failed::new(Exit::Usage, faults.join("\n"))
    })?;
    adapter
        .build_in(Arc::new(move || clock.now()), Some(live(gate)), pace)
        .map_err(|error| Failed {
            exit: Exit::Usage,
            message: format!("provider.{name}: {error}"),
            hint: error.hint,
        })
}

/// What a zone is delegated to, for providers that see several zones of one name.
fn live(gate: &Arc<Gate>) -> LiveNameServers {
    let gate = Arc::clone(gate);
    Arc::new(move |apex| {
        let gate = Arc::clone(&gate);
        Box::pin(async move {
            // A label such as `_acme` may be a zone, and is no domain name.
            let name = RecordName::parse(&apex).map_err(|why| format!("{apex}: {why}"))?;
            let found = gate
                .responsible_for(&name)
                .await
                .map_err(|error| error.to_string())?;
            if found.zone != name.as_str() {
                return Err(format!(
                    "{apex} is not delegated; it is part of {}",
                    found.zone
                ));
            }
            Ok(found
                .servers
                .into_iter()
                .filter_map(|(name, _)| name)
                .collect())
        })
    })
}

/// The way to the registries, where the settings name one.
pub(super) fn rdap(settings: &Settings) -> Result<Option<Rdap>, Failed> {
    let Some(from) = &settings.rdap else {
        return Ok(None);
    };
    let every = from.rate.per / from.rate.count;
    let rdap = Rdap::new(&from.url, every, from.ca_file.as_deref());
    let rdap = rdap.map_err(|why| Failed::new(Exit::Usage, format!("[rdap]: {why}")))?;
    Ok(Some(rdap))
}

/// The gate; the files that its settings name are read here.
pub(super) fn gate(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Gate, Failed> {
    let from = &settings.propagation;
    let defaults = GateSettings::default();
    let refused = |key: &str, path: &Path, why: &str| {
        Failed::new(
            Exit::Usage,
            format!("propagation.{key} {}: {why}", path.display()),
        )
    };
    let extra_roots = match &from.extra_ca_file {
        Some(path) => trusted(path).map_err(|why| refused("extra_ca_file", path, &why))?,
        None => Vec::new(),
    };
    let trust_anchors = match &from.trust_anchors {
        Some(path) => Anchors::read(path).map_err(|why| refused("trust_anchors", path, &why))?,
        None => defaults.trust_anchors,
    };
    let settings = GateSettings {
        general: from.general.clone(),
        zones: from.zones.clone(),
        roots: if from.roots.is_empty() {
            defaults.roots
        } else {
            from.roots.clone()
        },
        port: defaults.port,
        timeout: from.timeout,
        rate: from.rate.per_second(),
        extra_roots,
        trust_anchors,
    };
    Ok(Gate::new(settings, clock))
}

/// An account as its kind of CA wants it.
fn account<'a>(
    settings: &'a Settings,
    name: &str,
    from: &'a CaSettings,
    fleet: Option<&Arc<FleetPace>>,
) -> Result<Account<'a>, Failed> {
    let caller = (from.kind.caller)(&from.values);
    Ok(Account {
        reach: Reach {
            rate: from.rate.per_second(),
            permit: fleet.map(|fleet| {
                fleet.permit(
                    format!("{} {caller}", from.url.authority()),
                    from.rate.per_second(),
                )
            }),
            ca_file: from.ca_file.clone(),
            proxy: proxy(name, from)?,
            ..Reach::new(name, from.url.clone())
        },
        values: &from.values,
        clients: settings
            .clients
            .iter()
            .filter(|client| client.ca == name)
            .map(|client| (&client.selector, &client.values))
            .collect(),
    })
}

/// The proxy with its user and password, which are in its address in memory only.
fn proxy(name: &str, from: &CaSettings) -> Result<Option<url::Url>, Failed> {
    let (Some(mut proxy), Some((user, source))) = (from.proxy.clone(), &from.proxy_login) else {
        return Ok(from.proxy.clone());
    };
    let refused =
        |why: String| Failed::new(Exit::Usage, format!("ca.{name}.proxy_password: {why}"));
    let password = source.read().map_err(|error| refused(error.to_string()))?;
    let password = password.expose_secret();
    proxy
        .set_username(user)
        .and_then(|()| proxy.set_password(Some(password)))
        .map_err(|()| refused("the proxy's address takes no user".to_owned()))?;
    Ok(Some(proxy))
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unfit { message, hint } => Self::new(Exit::Usage, message).with_hint(hint),
            // The same again ends the same: a person must mend it.
            StoreError::Corrupt(_) => Self::new(Exit::Usage, error.to_string()),
            other => Self::new(Exit::Temporary, other.to_string()),
        }
    }
}

impl From<CaError> for Failed {
    fn from(error: CaError) -> Self {
        let exit = if error.is_retryable() {
            Exit::Temporary
        } else {
            Exit::Ca
        };
        Self {
            exit,
            message: error.to_string(),
            hint: error.hint,
        }
    }
}
