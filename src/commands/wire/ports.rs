//! What a worker touches, made of the settings: accounts at CAs, providers, the gate. What cannot
//! be made is reported with all the rest that cannot.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use prevalidate_kit::http::trusted;
use prevalidate_kit::pace::Pace;
use prevalidate_providers::Provider;
use prevalidate_providers::provider::LiveNameServers;
use prevalidate_providers::registry::ProviderSettings;
use secrecy::{ExposeSecret, SecretString};

use super::clock;
use super::pace::FleetPace;
use crate::ca::http::{Permit, Reach};
use crate::ca::settings::Account;
use crate::ca::{CaError, Failure, Validation};
use crate::clock::Clock;
use crate::commands::{Exit, Failed};
use crate::config::{CaSettings, ProviderTable, Settings};
use crate::prevalidation::RecordName;
use crate::propagation::dnssec::Anchors;
use crate::propagation::{Gate, GateSettings, Lookout};
use crate::store::Store;
use crate::worker::Ports;

/// One CA by its `[ca.NAME]`, for a command that needs no worker.
pub(in crate::commands) fn ca(
    settings: &Settings,
    name: &str,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Validation>, Failed> {
    let from = settings
        .cas
        .get(name)
        .ok_or_else(|| Failed::new(Exit::Usage, format!("there is no [ca.{name}]")))?;
    (from.kind.connect)(account(settings, name, from, None)?, clock).map_err(unfit)
}

/// The same for a command that reads while other processes are at work: with them it keeps the pace
/// of the account and of its address.
pub(in crate::commands) fn ca_in_turn(
    settings: &Settings,
    name: &str,
    store: &Arc<dyn Store>,
) -> Result<Arc<dyn Validation>, Failed> {
    let clock = clock();
    let missing = || Failed::new(Exit::Usage, format!("there is no [ca.{name}]"));
    let from = settings.cas.get(name).ok_or_else(missing)?;
    let pace = Arc::new(FleetPace::new(Arc::clone(store), Arc::clone(&clock)));
    let fleet = store.keeps_limits().then_some(&pace);
    let account = account(settings, name, from, permit(from, &pace, fleet))?;
    (from.kind.connect)(account, clock).map_err(unfit)
}

/// A setting that no call can be made with is wrong here, whatever the CA says.
fn unfit(error: CaError) -> Failed {
    let exit = match error.failure {
        Failure::Settings => Exit::Usage,
        _ => return error.into(),
    };
    Failed {
        exit,
        ..error.into()
    }
}

/// Everything a worker touches; all that nothing can be made of is one error.
pub(in crate::commands) fn ports(
    settings: &Settings,
    store: Arc<dyn Store>,
) -> Result<Ports, Failed> {
    ports_at(settings, store, clock())
}

/// The same by another clock, which tokens and signatures follow.
pub(in crate::commands) fn ports_at(
    settings: &Settings,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
) -> Result<Ports, Failed> {
    let Usable {
        ports, unusable, ..
    } = usable_at(settings, store, clock);
    match unusable.into_iter().map(|one| one.failed).reduce(and) {
        None => Ok(ports),
        Some(failed) => Err(failed),
    }
}

fn and(one: Failed, other: Failed) -> Failed {
    Failed {
        exit: one.exit.graver(other.exit),
        message: format!("{}\n{}", one.message, other.message),
        hint: one.hint.or(other.hint),
    }
}

/// A part of the settings that nothing can be made of.
pub(in crate::commands) struct Unusable {
    /// `ca`, `provider`, `name servers`.
    pub(in crate::commands) what: &'static str,
    pub(in crate::commands) name: String,
    pub(in crate::commands) failed: Failed,
}

/// Everything that can be used, and what cannot.
pub(in crate::commands) struct Usable {
    pub(in crate::commands) ports: Ports,
    pub(in crate::commands) gate: Arc<Gate>,
    pub(in crate::commands) unusable: Vec<Unusable>,
}

/// The ports as far as there are any.
pub(in crate::commands) fn usable_ports(settings: &Settings, store: Arc<dyn Store>) -> Usable {
    usable_at(settings, store, clock())
}

fn usable_at(settings: &Settings, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Usable {
    let pace = Arc::new(FleetPace::new(Arc::clone(&store), Arc::clone(&clock)));
    // Where no other machine can be at work, each process keeps to its own rate, and no call costs a
    // write; but for addresses that several processes call.
    let fleet = store.keeps_limits().then(|| Arc::clone(&pace));
    let mut unusable = Vec::new();
    let mut refuse = |what, name: &str, failed| {
        let name = name.to_owned();
        unusable.push(Unusable { what, name, failed });
    };
    let mut cas: BTreeMap<String, Arc<dyn Validation>> = BTreeMap::new();
    for (name, from) in &settings.cas {
        let account = account(settings, name, from, permit(from, &pace, fleet.as_ref()));
        let connected = account
            .and_then(|account| (from.kind.connect)(account, Arc::clone(&clock)).map_err(unfit));
        match connected {
            Ok(ca) => drop(cas.insert(name.clone(), ca)),
            Err(failed) => refuse("ca", name, failed),
        }
    }
    let (gate, faults) = gate_as_far(settings, Arc::clone(&clock));
    let gate = Arc::new(gate);
    for failed in faults {
        refuse("name servers", "-", failed);
    }
    let mut providers: BTreeMap<String, Arc<dyn Provider>> = BTreeMap::new();
    for (name, table) in &settings.providers {
        let pace = fleet.as_ref().map(FleetPace::pace);
        match provider(name, table, Arc::clone(&clock), &gate, pace) {
            Ok(provider) => drop(providers.insert(name.clone(), provider)),
            Err(failed) => refuse("provider", name, failed),
        }
    }
    let ports = Ports {
        cas,
        providers,
        lookout: Arc::clone(&gate) as Arc<dyn Lookout>,
        store,
        clock,
    };
    Usable {
        ports,
        gate,
        unusable,
    }
}

/// One provider by its table; where several zones have one name, `gate` finds out which is live.
pub(in crate::commands) fn provider(
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
            // A label such as `_acme` may be a zone, and is not a domain name.
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

/// The gate; the files that its settings name are read here.
pub(in crate::commands) fn gate(
    settings: &Settings,
    clock: Arc<dyn Clock>,
) -> Result<Gate, Failed> {
    let (gate, faults) = gate_as_far(settings, clock);
    match faults.into_iter().reduce(and) {
        None => Ok(gate),
        Some(failed) => Err(failed),
    }
}

/// The gate without the files that cannot be used, each with its fault.
fn gate_as_far(settings: &Settings, clock: Arc<dyn Clock>) -> (Gate, Vec<Failed>) {
    let from = &settings.propagation;
    let defaults = GateSettings::default();
    let mut faults = Vec::new();
    let mut refuse = |key: &str, path: &Path, why: &str| {
        let text = format!("propagation.{key} {}: {why}", path.display());
        faults.push(Failed::new(Exit::Usage, text));
    };
    let mut extra_roots = Vec::new();
    if let Some(path) = &from.extra_ca_file {
        match trusted(path) {
            Ok(roots) => extra_roots = roots,
            Err(why) => refuse("extra_ca_file", path, &why),
        }
    }
    let mut trust_anchors = defaults.trust_anchors;
    if let Some(path) = &from.trust_anchors {
        match Anchors::read(path) {
            Ok(anchors) => trust_anchors = anchors,
            Err(why) => refuse("trust_anchors", path, &why),
        }
    }
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
    (Gate::new(settings, clock), faults)
}

/// What the calls of an account wait for beside their own rate.
fn permit(
    from: &CaSettings,
    pace: &Arc<FleetPace>,
    fleet: Option<&Arc<FleetPace>>,
) -> Option<Permit> {
    let per_second = from.rate.per_second();
    let authority = from.url.authority();
    if let Some(apart) = from.kind.address_pace {
        let most = 1.0 / apart.as_secs_f64();
        return Some(pace.turns(authority, per_second.min(most)));
    }
    let caller = (from.kind.caller)(&from.values);
    fleet.map(|fleet| fleet.permit(format!("{authority} {caller}"), per_second))
}

/// An account as its kind of CA wants it.
fn account<'a>(
    settings: &'a Settings,
    name: &str,
    from: &'a CaSettings,
    permit: Option<Permit>,
) -> Result<Account<'a>, Failed> {
    let contacts = settings.certificates.contacts.values();
    let numbers = contacts.map(|one| SecretString::from(one.phone.as_str()));
    Ok(Account {
        reach: Reach {
            rate: from.rate.per_second(),
            permit,
            numbers: numbers.collect(),
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
