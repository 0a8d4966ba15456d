//! What is known about a domain beside DNS: the inventory, the ledger, what its provider and its CA
//! say when they are asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use prevalidate_providers::{ProviderError, RecordData, RecordKind};
use serde::Serialize;

use crate::ca::{CaError, Validation};
use crate::clock::Clock;
use crate::commands::app::{App, Providers, clock, names_no_configuration};
use crate::commands::asked;
use crate::commands::{Exit, Failed, Global, held, persistent};
use crate::config;
use crate::output::Output;
use crate::overview::DomainView;
use crate::overview::persistent::PersistentView;
use crate::prevalidation::{DomainName, LedgerEntry, Policy, RecordName, Registration, RowKey};
use crate::propagation::caa::CA_NAMES;
use crate::propagation::{Gate, GateSettings};
use crate::store::{DomainRow, Store};
use crate::worker::place::{next_owner, route_owner};

/// The configuration and what it leads to; empty without one.
pub(super) struct Surroundings {
    app: Option<App>,
    pub(super) clock: Arc<dyn Clock>,
    /// By the configuration, or with the default settings.
    pub(super) gate: Arc<Gate>,
    inside: Option<Inside>,
}

/// The parts that are read beside DNS.
struct Inside {
    store: Arc<dyn Store>,
    views: BTreeMap<(DomainName, String), DomainView>,
    providers: Providers,
    cas: BTreeMap<String, Result<Arc<dyn Validation>, Failed>>,
}

/// What is known about one domain without a question to the CA or DNS.
#[derive(Default)]
pub(super) struct Known {
    pub(super) row: Option<DomainRow>,
    pub(super) view: Option<DomainView>,
    pub(super) ledger: Vec<LedgerEntry>,
    /// Which process works on it, in words.
    pub(super) held: Option<String>,
    /// Its persistent records.
    pub(super) persistent: Vec<PersistentView>,
}

/// What the provider of a domain says. Absent parts are `null`.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct ProviderReport {
    /// The `[provider.NAME]`.
    pub(super) name: String,
    /// The zone that it would write.
    pub(super) zone: Option<String>,
    /// The facts that its preflight proved.
    pub(super) evidence: Option<String>,
    pub(super) warnings: Vec<String>,
    /// The TXT values where they are written, and the RRset's TTL in seconds.
    pub(super) values: Vec<String>,
    pub(super) ttl: Option<u32>,
    /// Whether the value is where it is written; `null` without a value, or when that could not be
    /// read.
    pub(super) holds_value: Option<bool>,
    /// Why it could not write the name now.
    pub(super) error: Option<String>,
    pub(super) hint: Option<String>,
    /// It may pass without a person.
    pub(super) temporary: bool,
}

/// What the CA says about a domain, now or when it was last asked.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CaReport {
    /// The `[ca.NAME]`.
    pub(super) name: String,
    pub(super) reference: Option<String>,
    pub(super) status: Option<String>,
    pub(super) validated_at: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) token_expires_at: Option<Timestamp>,
    /// What it says about its last listing, in its own words.
    pub(super) last_words: Option<String>,
    /// A contradiction in its answer.
    pub(super) doubt: Option<String>,
    /// When it said so.
    pub(super) read_at: Option<Timestamp>,
    /// Why it could not be asked now: what is here is from the store.
    pub(super) error: Option<String>,
    pub(super) hint: Option<String>,
    /// It may pass without a person.
    pub(super) temporary: bool,
}

impl Surroundings {
    /// Reads the configuration and the store. Without a configuration, or `dns_only`, there is only
    /// DNS.
    pub(super) async fn open(
        global: &Global,
        dns_only: bool,
        output: &Output,
    ) -> Result<Self, Failed> {
        let app = match App::read(global, output) {
            Ok(app) => Some(app),
            Err(failed) if dns_only => {
                output.warn(
                    &failed.message,
                    Some("DNS is examined with the default settings"),
                );
                None
            }
            Err(_) if names_no_configuration(global) => {
                output.notice(
                    "no configuration was found: only DNS is examined, with the default settings",
                );
                None
            }
            Err(failed) => {
                return Err(failed.with_hint(
                    "`--dns-only` examines DNS alone and does without a configuration",
                ));
            }
        };
        let clock = app
            .as_ref()
            .map_or_else(clock, |app| Arc::clone(&app.clock));
        let gate = match &app {
            Some(app) => app.gate()?,
            None => Arc::new(Gate::new(GateSettings::default(), Arc::clone(&clock))),
        };
        let inside = match &app {
            Some(app) if !dns_only => Some(Inside::open(app, &gate).await?),
            _ => None,
        };
        Ok(Self {
            app,
            clock,
            gate,
            inside,
        })
    }

    /// The clients that `part` names.
    pub(super) fn clients(&self, part: &asked::Part) -> Result<asked::Clients, Failed> {
        match &self.app {
            Some(app) => part.clients(app),
            None => Ok(asked::Clients::default()),
        }
    }

    /// Each of the clients that a domain is at; an unknown one is checked once all the same.
    pub(super) fn places(
        &self,
        domain: &DomainName,
        clients: &asked::Clients,
    ) -> Vec<Option<String>> {
        let views = self.inside.iter().flat_map(|inside| inside.views.keys());
        let own = views.filter(|(name, client)| name == domain && clients.contain(client));
        let places: Vec<_> = own.map(|(_, client)| Some(client.clone())).collect();
        if places.is_empty() {
            vec![None]
        } else {
            places
        }
    }

    /// What is known about a domain at a client without a question to the CA or DNS.
    pub(super) async fn known(
        &self,
        domain: &DomainName,
        client: Option<&str>,
    ) -> Result<Known, Failed> {
        let Some(inside) = &self.inside else {
            return Ok(Known::default());
        };
        let view = client
            .and_then(|client| inside.views.get(&(domain.clone(), client.to_owned())))
            .cloned();
        let key = view
            .as_ref()
            .map_or_else(|| RowKey::from(domain), DomainView::key);
        Ok(Known {
            row: inside.store.domain(&key).await?,
            ledger: inside.store.open_entries(Some(&key)).await?,
            held: held::tell_of(&*inside.store, &key, self.clock.now()).await?,
            persistent: self.persistent(inside, domain).await?,
            view,
        })
    }

    /// The persistent records of a domain, as the store knows them.
    async fn persistent(
        &self,
        inside: &Inside,
        domain: &DomainName,
    ) -> Result<Vec<PersistentView>, Failed> {
        let Some(app) = &self.app else {
            return Ok(Vec::new());
        };
        let mut views = persistent::views(app, &*inside.store, app.now()).await?;
        views.retain(|view| view.domain == *domain);
        Ok(views)
    }

    /// What the CA is called in CAA records: the domain's CA, or all of the configuration.
    pub(super) fn caa_names(&self, view: Option<&DomainView>) -> Vec<String> {
        let Some(settings) = self.app.as_ref().map(|app| &app.settings) else {
            return CA_NAMES.map(str::to_owned).to_vec();
        };
        match view.and_then(|view| settings.cas.get(&view.ca)) {
            Some(ca) => ca.caa_names.clone(),
            None => settings
                .cas
                .values()
                .flat_map(|ca| ca.caa_names.clone())
                .collect(),
        }
    }

    /// Whether a registration of a domain has a proof that counts now.
    pub(super) fn is_proven(
        &self,
        known: &Known,
        registration: &Registration,
        now: Timestamp,
    ) -> bool {
        let reuse = self.policy(known).map(|policy| &policy.reuse);
        reuse.is_some_and(|reuse| registration.usable_until(reuse, now).is_some())
    }

    /// What holds for the domain's CA.
    fn policy(&self, known: &Known) -> Option<&Policy> {
        let policy = &self.app.as_ref().filter(|_| self.inside.is_some())?.policy;
        let view = known.view.as_ref();
        Some(view.map_or(policy, |view| policy.of(&view.ca)))
    }

    /// The name and the type of the record that the domain's CA will ask for.
    pub(super) async fn place(
        &self,
        known: &Known,
        domain: &DomainName,
    ) -> (RecordName, RecordKind) {
        let Some(policy) = self.policy(known) else {
            return (domain.into(), RecordKind::Txt);
        };
        // An alias that cannot be followed is told of by the examination itself.
        let owner = next_owner(policy, &*self.gate, domain).await;
        let owner = owner.unwrap_or_else(|_| policy.record.at(domain));
        (owner, policy.record.kind.into())
    }

    /// Asks the CA for the registration of a domain: one read.
    pub(super) async fn ask_ca(&self, known: &Known) -> Option<(CaReport, Option<Registration>)> {
        let inside = self.inside.as_ref()?;
        let view = known.view.as_ref()?;
        let row = known.row.as_ref();
        let stored = row.and_then(|row| row.sighting.registration()).cloned();
        let read_at = row.and_then(|row| row.read_at);
        let fresh = match (&stored, inside.cas.get(&view.ca)) {
            (None, _) | (_, None) => Ok(None),
            (Some(_), Some(Err(failed))) => Err(CaTrouble::from(failed)),
            (Some(stored), Some(Ok(ca))) => ca
                .get(&stored.reference)
                .await
                .map(Some)
                .map_err(CaTrouble::from),
        };
        Some(match fresh {
            Ok(Some(fresh)) => (
                CaReport::of(&view.ca, Some(&fresh), Some(self.clock.now())),
                Some(fresh),
            ),
            Ok(None) => (CaReport::of(&view.ca, None, read_at), None),
            Err(trouble) => {
                let report = CaReport::of(&view.ca, stored.as_ref(), read_at);
                let CaTrouble {
                    message,
                    hint,
                    temporary,
                } = trouble;
                (
                    CaReport {
                        error: Some(message),
                        hint,
                        temporary,
                        ..report
                    },
                    stored,
                )
            }
        })
    }

    /// Whether a provider of the configuration writes this domain.
    pub(super) fn writes(&self, known: &Known) -> bool {
        let any = self
            .inside
            .as_ref()
            .is_some_and(|inside| !inside.providers.is_empty());
        known
            .view
            .as_ref()
            .is_some_and(|view| view.provider.is_some() || any)
    }

    /// Asks the provider of a domain whether it could write the name, and what is there. Changes
    /// nothing.
    pub(super) async fn ask_provider(
        &self,
        known: &Known,
        domain: &DomainName,
        (owner, kind): (RecordName, RecordKind),
        value: Option<&str>,
    ) -> Option<ProviderReport> {
        let inside = self.inside.as_ref()?;
        let named = known
            .view
            .as_ref()
            .filter(|_| self.writes(known))?
            .provider
            .as_deref();
        let usable = inside
            .providers
            .iter()
            .filter_map(|(name, made)| Some((name.clone(), made.as_ref().ok()?.clone())));
        let usable = usable.collect();
        let name = match route_owner(&usable, &*self.gate, domain, &owner, named).await {
            Ok(name) => name,
            Err(error) => {
                let mut report = ProviderReport {
                    name: config::AUTO.to_owned(),
                    ..ProviderReport::default()
                };
                report.fails(&error);
                return Some(report);
            }
        };
        let mut report = ProviderReport {
            name: name.clone(),
            ..ProviderReport::default()
        };
        match inside.providers.get(&name) {
            None => {
                report.error = Some(format!(
                    "provider `{name}` is no longer in the configuration"
                ))
            }
            Some(Err(failed)) => {
                (report.error, report.hint) = (Some(failed.message.clone()), failed.hint.clone())
            }
            Some(Ok(provider)) => {
                let (proof, there) = tokio::join!(
                    provider.preflight(owner.as_str(), kind),
                    provider.inspect(owner.as_str())
                );
                match proof {
                    Ok(proof) => {
                        (report.zone, report.evidence) =
                            (Some(proof.zone.apex), Some(proof.evidence));
                        report.warnings = proof.warnings;
                    }
                    Err(error) => report.fails(&error),
                }
                if let Ok(there) = there {
                    report.values = there
                        .records
                        .iter()
                        .map(|record| record.display())
                        .collect();
                    report.ttl = there.ttl;
                    report.holds_value = value.map(|value| match kind {
                        RecordKind::Txt => there.holds(value),
                        RecordKind::Cname => there.has(&RecordData::Cname(value.to_owned())),
                    });
                }
            }
        }
        Some(report)
    }
}

impl Inside {
    async fn open(app: &App, gate: &Arc<Gate>) -> Result<Self, Failed> {
        let store = app.store_read_only().await?;
        let views = asked::walk(app, &*store, BTreeMap::new(), app.now()).await?;
        let ca = |name: &String| (name.clone(), app.ca(name));
        Ok(Self {
            views: (views.all().await?.into_iter())
                .map(|view| (view.at(), view))
                .collect(),
            providers: app.providers(gate, None),
            cas: app.settings.cas.keys().map(ca).collect(),
            store,
        })
    }
}

impl ProviderReport {
    fn fails(&mut self, error: &ProviderError) {
        self.error = Some(error.to_string());
        self.hint.clone_from(&error.hint);
        self.temporary = error.is_retryable();
    }
}

/// Why the CA could not be asked.
struct CaTrouble {
    message: String,
    hint: Option<String>,
    temporary: bool,
}

impl From<CaError> for CaTrouble {
    fn from(error: CaError) -> Self {
        Self {
            message: error.to_string(),
            temporary: error.is_retryable(),
            hint: error.hint,
        }
    }
}

impl From<&Failed> for CaTrouble {
    fn from(failed: &Failed) -> Self {
        let Failed {
            message,
            hint,
            exit,
        } = failed;
        Self {
            message: message.clone(),
            hint: hint.clone(),
            temporary: *exit == Exit::Temporary,
        }
    }
}

impl CaReport {
    fn of(name: &str, registration: Option<&Registration>, read_at: Option<Timestamp>) -> Self {
        let proof = registration.and_then(|registration| registration.proof.as_ref());
        let token = registration.and_then(|registration| registration.token.as_ref());
        Self {
            name: name.to_owned(),
            reference: registration.map(|registration| registration.reference.clone()),
            status: registration.map(|registration| registration.status.to_string()),
            validated_at: proof.and_then(|proof| proof.validated_at),
            expires_at: proof.and_then(|proof| proof.expires_at),
            token_expires_at: token.and_then(|token| token.expires_at),
            last_words: registration.and_then(|registration| registration.last_words.clone()),
            doubt: registration.and_then(|registration| registration.doubt.clone()),
            read_at,
            error: None,
            hint: None,
            temporary: false,
        }
    }
}
