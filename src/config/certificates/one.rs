//! One `[[certificate]]`, key by key: every fault is found at once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::SignedDuration;

use super::{CertificateSettings, KeySettings, access, names_of, read_host};
use crate::ca::ClientSelector;
use crate::ca::csr::Csr;
use crate::ca::issuing::{self, Contact, Subject};
use crate::certificates::{KeyKind, fingerprint};
use crate::config::fault::{Fault, nearest};
use crate::config::names::read_name;
use crate::config::quantity::{HOUR, SECOND, duration};
use crate::config::tree::Section;
use crate::config::{CaSettings, ClientSettings};
use crate::issuance::Lead;

/// How long a deploy program may take, unless the configuration says otherwise.
const DEPLOY_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);

/// The longest time before its end at which a certificate is renewed.
const YEAR: SignedDuration = SignedDuration::from_hours(24 * 365);

/// Old versions that are kept, unless the configuration says otherwise.
const KEEP: u32 = 5;

/// The most names of one certificate.
const MOST_NAMES: usize = 250;

/// The longest name of a certificate.
const LONGEST_NAME: usize = 64;

/// One `[[certificate]]` being read.
pub(super) struct One<'a> {
    pub(super) section: &'a Section<'a>,
    pub(super) cas: &'a BTreeMap<String, Option<CaSettings>>,
    pub(super) clients: &'a [ClientSettings],
    pub(super) contacts: &'a BTreeMap<String, Contact>,
    pub(super) accept_idn: bool,
    /// What is wrong with the file of the request, which may be another one tomorrow: it costs this
    /// certificate only.
    pub(super) request: RefCell<Vec<Fault>>,
}

impl One<'_> {
    /// Everything is read before anything is given up; `None` only after a fault was reported.
    pub(super) fn read(&self) -> Option<CertificateSettings> {
        let section = self.section;
        let name = self.name();
        let ca = self.ca();
        let account = ca.as_ref().and_then(|name| self.cas.get(name)?.as_ref());
        let kind = account.and_then(|account| account.kind.issuing);
        if let (Some(ca), Some(account), None) = (&ca, account, kind) {
            let kind = account.kind.kind.name;
            section.fault(
                "ca",
                format!("[ca.{ca}] is of the kind \"{kind}\", which issues no certificates here"),
            );
        }
        let client = self.client(ca.as_deref(), kind);
        section.must_have(
            "product",
            "its name at the CA, or the CA's key for it; `prevalidate products` lists them",
        );
        let product = section.text("product").map(str::to_owned);
        let csr = self.csr();
        let subject = self.subject(csr.as_ref().map(|(_, csr)| csr), kind);
        let key = self.key(csr.as_ref());
        let renew_before = self.renew_before();
        let deploy = self.deploy();
        let access = access::read(section);
        let term = section
            .has("term")
            .then(|| section.whole("term", 1..=1_200, 365));
        if term.is_some() && kind.is_some_and(|kind| !kind.takes_term) {
            section.fault("term", "this kind of CA takes no term");
        }
        let contact = self.contact(kind);
        let fields = self.fields(kind);
        let p12_password = section.secret("p12_password");
        if p12_password.is_some() && csr.is_some() {
            section.fault(
                "p12_password",
                "needs the key, and with `csr` the key is not here",
            );
        }
        Some(CertificateSettings {
            name: name?,
            client: client?,
            ca: ca?,
            product: product?,
            duplicate_of: section.text("duplicate_of").map(str::to_owned),
            subject: subject?,
            key: key?,
            reuse_key: section.flag("reuse_key", false),
            renew_before_text: section.text("renew_before").unwrap_or("1/3").to_owned(),
            renew_before,
            deploy,
            deploy_timeout: section.std_duration("deploy_timeout", SECOND..=HOUR, DEPLOY_TIMEOUT),
            access,
            keep: section.whole("keep", 0..=1_000, KEEP),
            p12_password,
            term,
            comments: section.text("comments").map(str::to_owned),
            requester: section.text("requester").map(str::to_owned),
            fields,
            contact,
        })
    }

    fn name(&self) -> Option<String> {
        let section = self.section;
        section.must_have("name", "its folder, and its name in commands");
        let name = section.text("name")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.len() > LONGEST_NAME || name.starts_with('.') || !name.chars().all(plain) {
            section.fault(
                "name",
                format!(
                    "must be at most {LONGEST_NAME} letters, digits, `.`, `_` and `-`, and not begin with `.`"
                ),
            );
            return None;
        }
        Some(name.to_owned())
    }

    fn ca(&self) -> Option<String> {
        let section = self.section;
        if !section.has("ca") {
            let mut names = self.cas.keys();
            return match (names.next(), names.next()) {
                (Some(only), None) => Some(only.clone()),
                (None, _) => None,
                _ => {
                    section.must_have("ca", "there are several: which one issues it?");
                    None
                }
            };
        }
        let text = section.text("ca")?;
        if self.cas.contains_key(text) {
            return Some(text.to_owned());
        }
        let hint = nearest(text, self.cas.keys().map(String::as_str))
            .map(|meant| format!("did you mean \"{meant}\"?"));
        section.reader.absent(
            section.line_of("ca"),
            &section.key("ca"),
            "there is no section [ca.…] of this name",
            hint,
        );
        None
    }

    /// The client, by its name, its key at the CA, or the only one of the CA in this file.
    fn client(
        &self,
        ca: Option<&str>,
        kind: Option<&issuing::Kind>,
    ) -> Option<Option<ClientSelector>> {
        let section = self.section;
        if kind.is_some_and(|kind| !kind.has_clients) {
            if section.has("client") {
                section.fault("client", "this kind of CA has no clients: leave it out");
            }
            return Some(None);
        }
        let of_ca: Vec<&ClientSelector> = self
            .clients
            .iter()
            .filter(|client| Some(client.ca.as_str()) == ca)
            .map(|client| &client.selector)
            .collect();
        if let Some(text) = section.text("client") {
            let known = of_ca.iter().find(|client| client.to_string() == text);
            return match known {
                Some(known) => Some(Some((*known).clone())),
                None => {
                    let hint = match of_ca.is_empty() {
                        true => "write [[client]] with this CA first".to_owned(),
                        false => format!(
                            "there are: {}",
                            of_ca
                                .iter()
                                .map(ToString::to_string)
                                .collect::<Vec<_>>()
                                .join(", ")
                        ),
                    };
                    section.reader.absent(
                        section.line_of("client"),
                        &section.key("client"),
                        "is no [[client]] of this CA",
                        Some(hint),
                    );
                    None
                }
            };
        }
        match of_ca.as_slice() {
            [only] => Some(Some((*only).clone())),
            [] if ca.is_none() || kind.is_none() => None,
            [] => {
                let hint = "write [[client]] with `name` or `reference`, and the domains of the certificate";
                section.reader.absent(
                    section.line,
                    &section.key("client"),
                    "the CA has no [[client]] in this file",
                    Some(hint.to_owned()),
                );
                None
            }
            _ => {
                section.must_have("client", "the CA has several: which one orders it?");
                None
            }
        }
    }

    fn key(&self, csr: Option<&(PathBuf, Csr)>) -> Option<KeySettings> {
        let section = self.section;
        if section.has("csr") {
            for key in ["key", "reuse_key"] {
                if section.has(key) {
                    section.fault(key, "does not go with `csr`: the key is not here");
                }
            }
            let (path, csr) = csr?;
            let print = fingerprint(csr.public_key());
            return Some(KeySettings::Request(path.clone(), print));
        }
        if !section.has("key") {
            return Some(KeySettings::Made(KeyKind::default()));
        }
        section.choice("key", &KeyKind::ALL).map(KeySettings::Made)
    }

    fn subject(&self, csr: Option<&Csr>, kind: Option<&issuing::Kind>) -> Option<Subject> {
        let section = self.section;
        if section.has("email") {
            return self.mailbox(csr, kind);
        }
        for key in ["first_name", "last_name"] {
            if section.has(key) {
                section.fault(key, "goes with `email`: it is for S/MIME");
            }
        }
        if !section.has("names") {
            // With a request of its own the names are there.
            let found = csr.map(names_of).unwrap_or_default();
            if found.is_empty() && (csr.is_some() || !section.has("csr")) {
                section.must_have("names", "the DNS names of the certificate");
                return None;
            }
            return (!found.is_empty()).then_some(Subject::Names(found));
        }
        let mut names = Vec::new();
        let mut whole = true;
        for item in section.texts("names") {
            match read_host(item.text, self.accept_idn) {
                Ok(name) if names.contains(&name) => {
                    whole = false;
                    self.at(item.line, "names", format!("{name} is there twice"));
                }
                Ok(name) => names.push(name),
                Err(why) => {
                    whole = false;
                    self.at(item.line, "names", why);
                }
            }
        }
        if names.is_empty() && whole {
            section.fault("names", "must name at least one DNS name");
        }
        if names.len() > MOST_NAMES {
            section.fault("names", format!("must be at most {MOST_NAMES} names"));
        }
        if let Some(csr) = csr.filter(|_| whole) {
            let own: BTreeSet<String> = names_of(csr).into_iter().collect();
            let wanted: BTreeSet<String> = names.iter().cloned().collect();
            if own != wanted {
                let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
                    a.difference(b).cloned().collect::<Vec<_>>().join(", ")
                };
                let (more, less) = (only(&own, &wanted), only(&wanted, &own));
                let mut words = "the request has other names than `names`".to_owned();
                if !less.is_empty() {
                    words.push_str(&format!("; it lacks {less}"));
                }
                if !more.is_empty() {
                    words.push_str(&format!("; only the request has {more}"));
                }
                self.bad_request(words);
            }
        }
        (!names.is_empty()).then_some(Subject::Names(names))
    }

    fn mailbox(&self, csr: Option<&Csr>, kind: Option<&issuing::Kind>) -> Option<Subject> {
        let section = self.section;
        if section.has("names") {
            section.fault(
                "names",
                "does not go with `email`: a certificate is for hosts or for a mailbox",
            );
        }
        if kind.is_some_and(|kind| !kind.issues_for_mailboxes) {
            section.fault(
                "email",
                "this kind of CA issues no S/MIME certificates here",
            );
        }
        for (key, other) in [("first_name", "last_name"), ("last_name", "first_name")] {
            if section.has(key) && !section.has(other) {
                section.fault(key, format!("goes with `{other}`: a person has both"));
            }
        }
        let email = section.text("email")?;
        let good = email.split_once('@').is_some_and(|(local, host)| {
            !local.is_empty()
                && email.is_ascii()
                && !email.contains(char::is_whitespace)
                && read_name(host, true).is_ok()
        });
        if !good {
            section.fault(
                "email",
                "must be a mail address in ASCII, such as \"joe@example.com\"",
            );
            return None;
        }
        if let Some(csr) = csr
            && !csr.mailboxes().is_empty()
            && !csr
                .mailboxes()
                .iter()
                .any(|own| own.eq_ignore_ascii_case(email))
        {
            self.bad_request("the request is for another mail address");
        }
        Some(Subject::Mailbox {
            email: email.to_owned(),
            first_name: section.text("first_name").map(str::to_owned),
            last_name: section.text("last_name").map(str::to_owned),
        })
    }

    fn at(&self, line: usize, key: &str, message: impl Into<String>) {
        let section = self.section;
        section
            .reader
            .fault(Some(line), &section.key(key), message, None);
    }

    fn renew_before(&self) -> Lead {
        let section = self.section;
        let Some(text) = section.text("renew_before") else {
            return Lead::default();
        };
        if let Some(share) = Lead::share(text) {
            return share;
        }
        match duration(text) {
            Ok(span) if (SECOND..=YEAR).contains(&span) => Lead::Span(span),
            _ => {
                section.fault(
                    "renew_before",
                    "must be a share of its life between 0 and 1, such as \"1/3\" or \"20%\", or a duration up to 365d, such as \"30d\"",
                );
                Lead::default()
            }
        }
    }

    fn deploy(&self) -> Vec<String> {
        let section = self.section;
        let command: Vec<String> = section
            .texts("deploy")
            .into_iter()
            .map(|item| item.text.to_owned())
            .collect();
        match command.first() {
            None if section.has("deploy") && section.is_empty_list("deploy") => {
                section.fault("deploy", "must name the program, then its arguments");
            }
            Some(program) if program.trim().is_empty() => {
                section.fault("deploy", "must begin with the program");
            }
            Some(program) => {
                if let Err(why) = prevalidate_kit::trust::check_program(Path::new(program)) {
                    section.fault("deploy", why);
                }
            }
            None => {}
        }
        command
    }

    fn contact(&self, kind: Option<&issuing::Kind>) -> Option<String> {
        let section = self.section;
        let wants = kind.is_some_and(|kind| kind.wants_contact);
        let Some(text) = section.text("contact") else {
            if wants {
                section.must_have(
                    "contact",
                    "the name of the [[contact]] that the CA asks about the order",
                );
            }
            return None;
        };
        if kind.is_some_and(|kind| !kind.wants_contact) {
            // It does no harm, and configurations that have it continue.
            let words = "this kind of CA takes no contact with an order: it is not used";
            let key = section.key("contact");
            section
                .reader
                .notice(section.line_of("contact"), &key, words);
        }
        if !self.contacts.contains_key(text) {
            section.reader.absent(
                section.line_of("contact"),
                &section.key("contact"),
                "there is no [[contact]] of this name",
                None,
            );
        }
        Some(text.to_owned())
    }

    fn fields(&self, kind: Option<&issuing::Kind>) -> BTreeMap<String, String> {
        let section = self.section;
        let mut fields = BTreeMap::new();
        let table = section.map("fields");
        for (key, line, _) in table.entries() {
            match table.text(key) {
                Some(text) => drop(fields.insert(key.to_owned(), text.to_owned())),
                None => self.at(
                    line,
                    "fields",
                    "must be texts, such as { \"Cost centre\" = \"4711\" }",
                ),
            }
        }
        if kind.is_some_and(|kind| !kind.takes_fields) {
            for key in ["fields", "requester"] {
                if section.has(key) {
                    section.fault(key, "this kind of CA takes none with an order");
                }
            }
        }
        fields
    }
}
