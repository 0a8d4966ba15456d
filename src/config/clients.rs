//! `[[client]]`: whose domains, which CA, which provider; and that every name occurs once at each
//! client (faults G04).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use super::fault::{Fault, nearest};
use super::names::{Listed, read_lines, read_name};
use super::persistent::{METHOD_PERSISTENT, PERSISTENT_INSTEAD};
use super::tree::{Schema, Section, shown_key};
use super::urls::is_loopback;
use super::{AUTO, CaSettings, ClientDomain, ClientSettings, ProviderTable, bounded};
use crate::ca::registry::Adapter;
use crate::ca::settings::Values;
use crate::ca::{ClientSelector, registry};
use crate::prevalidation::{DomainName, Notice, Purpose};

pub(super) const CLIENT: Schema = Schema {
    path: "client",
    keys: &[
        "ca",
        "name",
        "reference",
        "provider",
        "purpose",
        "method",
        "domains",
        "domains_file",
        "domain",
    ],
};
/// The same with the keys that only some kinds of CA have.
static ANY_CLIENT: LazyLock<Schema> = LazyLock::new(|| {
    let own = registry::ADAPTERS.iter();
    let own = own.flat_map(|adapter| adapter.client_settings.iter().map(|setting| setting.key));
    let own: BTreeSet<&'static str> = own.collect();
    let keys: Vec<&'static str> = CLIENT.keys.iter().copied().chain(own).collect();
    Schema {
        path: CLIENT.path,
        keys: keys.leak(),
    }
});
pub(super) const CLIENT_DOMAIN: Schema = Schema {
    path: "client.domain",
    keys: &["name", "provider", "method"],
};

/// The settings of the client that its kind of CA has. Those of another kind are a fault.
fn own_settings(section: &Section<'_>, kind: &Adapter) -> Values {
    let mut values = Values::default();
    for setting in kind.client_settings {
        if let Some(value) = super::ca::own(section, setting) {
            values.set(setting.key, value);
        }
    }
    let own = |key: &str| kind.client_settings.iter().any(|own| own.key == key);
    let all = registry::ADAPTERS.iter();
    let others: BTreeSet<&str> = all
        .flat_map(|other| other.client_settings.iter().map(|setting| setting.key))
        .filter(|key| section.has(key) && !own(key))
        .collect();
    for key in others {
        let kinds = registry::ADAPTERS.iter().filter(|other| {
            let mut known = other.client_settings.iter();
            known.any(|setting| setting.key == key)
        });
        let kinds: Vec<_> = kinds
            .map(|other| format!("\"{}\"", other.kind.name))
            .collect();
        let message = format!("is for clients of the kind {}", kinds.join(" or "));
        section.fault(key, message);
    }
    values
}

/// The client of a section: its account at a CA, and which client it is there.
type AtHand = (Option<String>, Option<ClientSelector>);

/// How the CA validates. No supported API offers persistent records, so the word is only
/// recognised.
fn method(section: &Section<'_>, kind: Option<&Adapter>) {
    let words = [("random-value", false), (METHOD_PERSISTENT, true)];
    if !section.has("method") || section.choice("method", &words) != Some(true) {
        return;
    }
    let ca = kind.map_or_else(
        || "this CA".to_owned(),
        |kind| format!("a CA of the kind \"{}\"", kind.kind.name),
    );
    let words = format!("{ca} does not offer persistent records by its API");
    section.fault_hint("method", words, PERSISTENT_INSTEAD);
}

/// The first place of a name at its client. Of 100,000 names each has one: the texts are shared.
struct First {
    file: Arc<Path>,
    line: usize,
    provider: Option<Arc<str>>,
}

/// The place of a list of names, and the provider of the names in it.
struct Origin<'a> {
    file: Arc<Path>,
    /// The key of the configuration; empty for a line of a file.
    key: &'a str,
    provider: Option<Arc<str>>,
}

/// Reads `[[client]]` and makes sure that every name occurs once at each client.
pub(super) struct Clients<'a> {
    top: &'a Section<'a>,
    cas: &'a BTreeMap<String, Option<CaSettings>>,
    /// The kinds of the accounts, of those with faults too.
    kinds: &'a BTreeMap<String, &'static Adapter>,
    providers: &'a BTreeMap<String, ProviderTable>,
    accept_idn: bool,
    /// Where each name was found first, at each client.
    seen: HashMap<AtHand, HashMap<DomainName, First>>,
    /// The client at hand.
    at_hand: AtHand,
    /// Whether the notice on names below `test` was given: once is enough.
    lab: bool,
    /// Whether the client at hand is a sandbox's.
    is_sandbox: bool,
}

impl<'a> Clients<'a> {
    pub(super) fn new(
        top: &'a Section<'a>,
        cas: &'a BTreeMap<String, Option<CaSettings>>,
        kinds: &'a BTreeMap<String, &'static Adapter>,
        providers: &'a BTreeMap<String, ProviderTable>,
        accept_idn: bool,
    ) -> Self {
        Self {
            top,
            cas,
            kinds,
            providers,
            accept_idn,
            seen: HashMap::new(),
            at_hand: (None, None),
            lab: false,
            is_sandbox: false,
        }
    }

    pub(super) fn read(mut self) -> Vec<ClientSettings> {
        let reader = self.top.reader;
        let sections = self.top.tables("client", &ANY_CLIENT);
        if sections.is_empty() {
            self.without_clients();
        }
        let mut used = Vec::new();
        let clients: Vec<_> = sections
            .iter()
            .filter_map(|section| self.client(section, &mut used))
            .collect();
        for (place, client) in clients.iter().enumerate() {
            let is_same = |other: &&ClientSettings| {
                (&other.ca, &other.selector) == (&client.ca, &client.selector)
            };
            let first = clients[..place].iter().find(is_same);
            if first.is_some_and(|first| first.purpose != client.purpose) {
                let why = "differs from that of another [[client]] of the same client";
                reader.fault(None, "client.purpose", why, None);
            }
        }
        // A domain that names none may be any provider's, and so may the record of an order.
        let has_certificates = self.top.has("certificate");
        let brings_records = self.cas.values().flatten().any(|account| {
            let issuing = account.kind.issuing;
            issuing.is_some_and(|kind| {
                kind.validates_in_order || has_certificates && kind.orders_bring_records
            })
        });
        let auto = |client: &ClientSettings| {
            client.provider.is_none() || client.domains.iter().any(|d| d.provider.is_none())
        };
        let kept = super::persistent::providers_used(self.top);
        used.extend(kept.iter().flatten().cloned());
        let unused = self
            .providers
            .iter()
            .filter(|(name, _)| !used.contains(name) && !brings_records)
            .filter(|_| !clients.iter().any(auto) && !kept.contains(&None));
        for (name, table) in unused {
            reader.notice(
                Some(table.line),
                &format!("provider.{}", shown_key(name)),
                "no client or domain names it; it writes only where an alias leads into its zones",
            );
        }
        clients
    }

    /// No `[[client]]` is a fault, unless nothing needs one.
    fn without_clients(&self) {
        let reader = self.top.reader;
        // A CA that only issues has no clients.
        let only_issues = |account: &Option<CaSettings>| {
            let issuing = account.as_ref().and_then(|account| account.kind.issuing);
            issuing.is_some_and(|kind| !kind.has_clients)
        };
        let idle: Vec<&String> = self
            .cas
            .iter()
            .filter(|(_, account)| !only_issues(account))
            .map(|(name, _)| name)
            .collect();
        // Nor does a persistent record need one, which needs no account at all.
        if self.top.has("persistent") {
            for name in idle {
                let words = "no [[client]] belongs to it, so no domain is validated there; \
                             [[persistent]] needs no [ca.NAME]";
                reader.notice(None, &format!("ca.{}", shown_key(name)), words);
            }
        } else if self.cas.is_empty() || !idle.is_empty() {
            let hint = "write [[client]] with `name` or `reference`, and its `domains`";
            let words = "no client is configured";
            reader.absent(None, "client", words, Some(hint.to_owned()));
        }
    }

    fn client(&mut self, section: &Section<'_>, used: &mut Vec<String>) -> Option<ClientSettings> {
        let ca = self.ca(section);
        let account = ca.as_ref().and_then(|name| self.cas.get(name)?.as_ref());
        self.is_sandbox = account.is_some_and(|account| is_loopback(&account.url));
        let kind = ca.as_ref().and_then(|name| self.kinds.get(name).copied());
        if kind.is_some_and(|kind| kind.issuing.is_some_and(|kind| !kind.has_clients)) {
            let why = "needs no [[client]]: each order there brings its own record";
            section.fault("ca", why);
        }
        let selector = match (section.has("reference"), section.has("name")) {
            (true, true) => {
                section.fault("reference", "give `name` or `reference`, not both");
                None
            }
            (true, false) => {
                let text = section.text("reference")?;
                match kind.map_or(Ok(()), |kind| (kind.check_client)(text)) {
                    Ok(()) => Some(ClientSelector::Reference(text.to_owned())),
                    Err(why) => {
                        section.fault("reference", why);
                        None
                    }
                }
            }
            _ => {
                section.must_have(
                    "name",
                    "the client's name at the CA, or reference = \"cli-…\"",
                );
                section
                    .text("name")
                    .map(|text| ClientSelector::Name(text.to_owned()))
            }
        };
        self.at_hand = (ca.clone(), selector.clone());
        let values = kind.map_or_else(Values::default, |kind| own_settings(section, kind));
        let provider = self.provider(section, used).flatten();
        let purpose = section
            .choice("purpose", &Purpose::WORDS)
            .unwrap_or_default();
        method(section, kind);
        let mut domains = Vec::new();
        let here: Arc<Path> = section.reader.path.as_path().into();
        let shared = provider.as_deref().map(Arc::from);
        let origin = Origin {
            file: Arc::clone(&here),
            key: &section.key("domains"),
            provider: shared.clone(),
        };
        for item in section.texts("domains") {
            self.listed(section, &origin, item.text, item.line, &mut domains);
        }
        for entry in section.tables("domain", &CLIENT_DOMAIN) {
            entry.must_have("name", "the domain");
            let own = self.provider(&entry, used);
            let origin = Origin {
                file: Arc::clone(&here),
                key: &entry.key("name"),
                provider: own.map_or_else(|| shared.clone(), |own| own.map(Arc::from)),
            };
            method(&entry, kind);
            if let Some(text) = entry.text("name") {
                let line = entry.line_of("name").unwrap_or_default();
                self.listed(&entry, &origin, text, line, &mut domains);
            }
        }
        self.file(section, shared, &mut domains);
        if domains.is_empty() {
            section
                .reader
                .notice(section.line, "client", "names no domain");
        }
        Some(ClientSettings {
            ca: ca?,
            selector: selector?,
            provider,
            domains,
            purpose,
            values,
        })
    }

    fn ca(&self, section: &Section<'_>) -> Option<String> {
        if !section.has("ca") {
            let mut names = self.cas.keys();
            return match (names.next(), names.next()) {
                (Some(only), None) => Some(only.clone()),
                (None, _) => None,
                _ => {
                    section.must_have(
                        "ca",
                        "there are several: which one does this client belong to?",
                    );
                    None
                }
            };
        }
        self.known(section, "ca", self.cas.keys())
    }

    /// `None`: nothing is said. `Some(None)`: whichever has the zone.
    fn provider(&self, section: &Section<'_>, used: &mut Vec<String>) -> Option<Option<String>> {
        if section.text("provider") == Some(AUTO) {
            return Some(None);
        }
        let name = self.known(section, "provider", self.providers.keys())?;
        if !used.contains(&name) {
            used.push(name.clone());
        }
        Some(Some(name))
    }

    /// The value of `key`, when there is a section `[key.VALUE]`.
    fn known<'k>(
        &self,
        section: &Section<'_>,
        key: &str,
        names: impl Iterator<Item = &'k String> + Clone,
    ) -> Option<String> {
        let text = section.text(key)?;
        if names.clone().any(|name| name == text) {
            return Some(text.to_owned());
        }
        let hint = match nearest(text, names.clone().map(String::as_str)) {
            Some(meant) => format!("did you mean \"{}\"?", shown_key(meant)),
            None => format!(
                "defined: {}",
                names
                    .map(|name| shown_key(name))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        section.reader.absent(
            section.line_of(key),
            &section.key(key),
            format!("there is no section [{key}.…] of this name"),
            Some(hint),
        );
        None
    }

    fn listed(
        &mut self,
        section: &Section<'_>,
        origin: &Origin<'_>,
        text: &str,
        line: usize,
        domains: &mut Vec<ClientDomain>,
    ) {
        match read_name(text, self.accept_idn) {
            Ok((name, notices)) => {
                let listed = Listed {
                    name,
                    notices,
                    line,
                };
                self.add(section, origin, listed, domains);
            }
            Err((message, hint)) => section.reader.fault(Some(line), origin.key, message, hint),
        }
    }

    fn file(
        &mut self,
        section: &Section<'_>,
        provider: Option<Arc<str>>,
        domains: &mut Vec<ClientDomain>,
    ) {
        let (Some(path), Some(text)) = (section.path("domains_file"), section.text("domains_file"))
        else {
            return;
        };
        let bytes = match bounded(&path) {
            Ok(bytes) => bytes,
            Err(cause) => {
                let folder = section.reader.folder.display();
                return section.fault_hint(
                    "domains_file",
                    cause,
                    format!("a relative path starts from {folder}"),
                );
            }
        };
        let shown = section
            .reader
            .path
            .parent()
            .unwrap_or(Path::new(""))
            .join(text);
        let list = read_lines(&shown, &bytes, self.accept_idn);
        if list.names.is_empty() && list.faults.is_empty() {
            section.reader.notice(
                section.line_of("domains_file"),
                &section.key("domains_file"),
                "the file names no domain",
            );
        }
        if list.is_unbelievable() {
            section.reader.faults.borrow_mut().extend(list.faults);
            return;
        }
        // A bad line costs only itself: the other domains must not lapse for it.
        section.reader.left_out.borrow_mut().extend(list.faults);
        let origin = Origin {
            file: shown.into(),
            key: "",
            provider,
        };
        for listed in list.names {
            self.add(section, &origin, listed, domains);
        }
    }

    fn add(
        &mut self,
        section: &Section<'_>,
        origin: &Origin<'_>,
        listed: Listed,
        domains: &mut Vec<ClientDomain>,
    ) {
        let Listed {
            name,
            notices,
            line,
        } = listed;
        let place = |message: String, hint: Option<String>| Fault {
            file: origin.file.to_path_buf(),
            line: Some(line),
            key: origin.key.to_owned(),
            message,
            hint,
        };
        let names = self.seen.entry(self.at_hand.clone()).or_default();
        if let Some(first) = names.get(&name) {
            let message = format!(
                "{} is listed twice; first at {}:{}",
                name.both_forms(),
                first.file.display(),
                first.line
            );
            let hint = "at one client a domain has one provider: leave one of the two out";
            let (list, hint) = match first.provider == origin.provider {
                true => (&section.reader.notices, None),
                false => (&section.reader.faults, Some(hint.to_owned())),
            };
            list.borrow_mut().push(place(message, hint));
            return;
        }
        for notice in notices {
            let lab = matches!(notice, Notice::Lab(_));
            if !(lab && (self.lab || self.is_sandbox)) {
                section
                    .reader
                    .notices
                    .borrow_mut()
                    .push(place(notice.to_string(), None));
                self.lab |= lab;
            }
        }
        let first = First {
            file: Arc::clone(&origin.file),
            line,
            provider: origin.provider.clone(),
        };
        names.insert(name.clone(), first);
        domains.push(ClientDomain {
            name,
            provider: origin.provider.clone(),
        });
    }
}
