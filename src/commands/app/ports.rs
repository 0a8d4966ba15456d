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

use super::App;
use super::pace::FleetPace;
use crate::ca::http::{Permit, Reach};
use crate::ca::settings::Account;
use crate::ca::{CaError, Failure, Validation};
use crate::clock::Clock;
use crate::commands::{Exit, Failed};
use crate::config::{CaSettings, ProviderTable};
use crate::prevalidation::RecordName;
use crate::propagation::dnssec::Anchors;
use crate::propagation::{DnsChecker, Gate, GateSettings};
use crate::store::Store;
use crate::worker::Ports;

impl App {
    /// One CA by its `[ca.NAME]`, for a command that needs no worker.
    pub fn ca(&self, name: &str) -> Result<Arc<dyn Validation>, Failed> {
        self.connect(name, self.known_ca(name)?, None)
    }

    /// The same for a command that reads while other processes are at work: with them it keeps the pace of the
    /// account and of its address.
    pub fn ca_in_turn(
        &self,
        name: &str,
        store: &Arc<dyn Store>,
    ) -> Result<Arc<dyn Validation>, Failed> {
        let from = self.known_ca(name)?;
        let pace = self.pace(store);
        let fleet = store.keeps_limits().then_some(&pace);
        self.connect(name, from, permit(from, &pace, fleet))
    }

    fn known_ca(&self, name: &str) -> Result<&CaSettings, Failed> {
        let missing = || Failed::new(Exit::Usage, format!("there is no [ca.{name}]"));
        self.settings.cas.get(name).ok_or_else(missing)
    }

    /// The client of a CA.
    fn connect(
        &self,
        name: &str,
        from: &CaSettings,
        permit: Option<Permit>,
    ) -> Result<Arc<dyn Validation>, Failed> {
        let account = self.account(name, from, permit)?;
        (from.kind.connect)(account, Arc::clone(&self.clock)).map_err(unfit)
    }

    fn pace(&self, store: &Arc<dyn Store>) -> Arc<FleetPace> {
        Arc::new(FleetPace::new(Arc::clone(store), Arc::clone(&self.clock)))
    }

    /// Everything a worker touches; all that nothing can be made of is one error.
    pub fn ports(&self, store: Arc<dyn Store>) -> Result<Ports, Failed> {
        let Usable {
            ports, unusable, ..
        } = self.usable_ports(store);
        match unusable.into_iter().map(|one| one.failed).reduce(and) {
            None => Ok(ports),
            Some(failed) => Err(failed),
        }
    }

    /// The ports as far as there are any.
    pub fn usable_ports(&self, store: Arc<dyn Store>) -> Usable {
        let pace = self.pace(&store);
        // Where no other machine can be at work, each process keeps to its own rate, and no call costs a
        // write; but for addresses that several processes call.
        let fleet = store.keeps_limits().then(|| Arc::clone(&pace));
        let mut unusable = Vec::new();
        let mut refuse = |what, name: &str, failed| {
            let name = name.to_owned();
            unusable.push(Unusable { what, name, failed });
        };
        let mut cas = BTreeMap::new();
        for (name, from) in &self.settings.cas {
            match self.connect(name, from, permit(from, &pace, fleet.as_ref())) {
                Ok(ca) => drop(cas.insert(name.clone(), ca)),
                Err(failed) => refuse("ca", name, failed),
            }
        }
        let (gate, faults) = self.gate_as_far();
        for failed in faults {
            refuse("name servers", "-", failed);
        }
        let mut providers = BTreeMap::new();
        let pace = fleet.as_ref().map(FleetPace::pace);
        for (name, provider) in self.providers(&gate, pace.as_ref()) {
            match provider {
                Ok(provider) => drop(providers.insert(name, provider)),
                Err(failed) => refuse("provider", &name, failed),
            }
        }
        let ports = Ports {
            cas,
            providers,
            checker: Arc::clone(&gate) as Arc<dyn DnsChecker>,
            store,
            clock: Arc::clone(&self.clock),
        };
        Usable {
            ports,
            gate,
            unusable,
        }
    }

    /// Every provider, or why there is none; where several zones have one name, `gate` finds out which
    /// is live.
    pub fn providers(&self, gate: &Arc<Gate>, pace: Option<&Pace>) -> Providers {
        let all = self.settings.providers.iter();
        let made = all.map(|(name, table)| {
            let clock = Arc::clone(&self.clock);
            let made = provider(name, table, clock, gate, pace.cloned());
            (name.clone(), made)
        });
        made.collect()
    }

    /// The gate; the files that its settings name are read here.
    pub fn gate(&self) -> Result<Arc<Gate>, Failed> {
        let (gate, faults) = self.gate_as_far();
        match faults.into_iter().reduce(and) {
            None => Ok(gate),
            Some(failed) => Err(failed),
        }
    }

    /// The gate without the files that cannot be used, each with its fault.
    fn gate_as_far(&self) -> (Arc<Gate>, Vec<Failed>) {
        let from = &self.settings.propagation;
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
                Err(why) => refuse("extra_ca_file", path, &why.to_string()),
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
        (
            Arc::new(Gate::new(settings, Arc::clone(&self.clock))),
            faults,
        )
    }

    /// An account as its kind of CA wants it.
    fn account<'a>(
        &'a self,
        name: &str,
        from: &'a CaSettings,
        permit: Option<Permit>,
    ) -> Result<Account<'a>, Failed> {
        let contacts = self.settings.certificates.contacts.values();
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
            clients: self
                .settings
                .clients
                .iter()
                .filter(|client| client.ca == name)
                .map(|client| (&client.selector, &client.values))
                .collect(),
        })
    }
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

fn and(one: Failed, other: Failed) -> Failed {
    Failed {
        exit: one.exit.graver(other.exit),
        message: format!("{}\n{}", one.message, other.message),
        hint: one.hint.or(other.hint),
    }
}

/// Every provider by its name, or why there is none.
pub type Providers = BTreeMap<String, Result<Arc<dyn Provider>, Failed>>;

/// A part of the settings that nothing can be made of.
pub struct Unusable {
    /// `ca`, `provider`, `name servers`.
    pub what: &'static str,
    pub name: String,
    pub failed: Failed,
}

/// Everything that can be used, and what cannot.
pub struct Usable {
    pub ports: Ports,
    pub gate: Arc<Gate>,
    pub unusable: Vec<Unusable>,
}

/// One provider by its table.
fn provider(
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
