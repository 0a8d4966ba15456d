//! `[certificates]`, `[[certificate]]` and `[[contact]]`: which certificates are kept, where, and
//! on which keys.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use prevalidate_kit::secret::SecretSource;

use super::fault::nearest;
use super::names::read_name;
use super::quantity::duration;
use super::read::{DAY, HOUR};
use super::tree::{Schema, Section};
use super::{CaSettings, ClientSettings, bounded};
use crate::ca::ClientSelector;
use crate::ca::csr::{Csr, KeyKind as CsrKey};
use crate::ca::issuing::{self, Contact, Subject};
use crate::certificates::{Access, KeyKind, fingerprint};
use crate::issuance::Lead;

/// Where certificates are kept, unless the configuration says otherwise.
pub const DIRECTORY: &str = "/var/lib/prevalidate/certificates";

/// How long a deploy program may take, unless the configuration says otherwise.
const DEPLOY_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);

/// Old versions that are kept, unless the configuration says otherwise.
const KEEP: u32 = 5;

/// The most names of one certificate.
const MOST_NAMES: usize = 250;

/// The longest name of a certificate.
const LONGEST_NAME: usize = 64;

pub(super) const CERTIFICATES: Schema = Schema {
    path: "certificates",
    keys: &["directory"],
};
pub(super) const CERTIFICATE: Schema = Schema {
    path: "certificate",
    keys: &[
        "name",
        "ca",
        "client",
        "product",
        "names",
        "key",
        "csr",
        "reuse_key",
        "renew_before",
        "deploy",
        "deploy_timeout",
        "owner",
        "group",
        "mode",
        "keep",
        "p12_password",
        "term",
        "comments",
        "requester",
        "fields",
        "contact",
        "email",
        "first_name",
        "last_name",
    ],
};
pub(super) const CONTACT: Schema = Schema {
    path: "contact",
    keys: &[
        "name",
        "first_name",
        "last_name",
        "organization",
        "address",
        "postal_code",
        "city",
        "country",
        "phone",
        "email",
    ],
};

/// All certificates of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatesSettings {
    /// `[certificates]` `directory`.
    pub directory: PathBuf,
    /// `[[certificate]]`, in the order of the file.
    pub certificates: Vec<CertificateSettings>,
    /// `[[contact]]`, by name.
    pub contacts: BTreeMap<String, Contact>,
}

/// `[[certificate]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSettings {
    /// Its name in commands, and that of its folder.
    pub name: String,
    /// The `[ca.NAME]` that issues it.
    pub ca: String,
    /// The client at that CA, where it has clients.
    pub client: Option<ClientSelector>,
    /// The product: its name at the CA, or the CA's key for it.
    pub product: String,
    /// For what it is.
    pub subject: Subject,
    /// The key.
    pub key: KeySettings,
    /// Whether a renewal takes the same key.
    pub reuse_key: bool,
    /// How long before its end it is renewed.
    pub renew_before: Lead,
    /// `renew_before` as it stands.
    pub renew_before_text: String,
    /// The program that runs after a change, with its arguments; empty: none.
    pub deploy: Vec<String>,
    /// How long it may take.
    pub deploy_timeout: Duration,
    /// Owner, group and mode of the files.
    pub access: Access,
    /// Old versions that are kept.
    pub keep: u32,
    /// The password of `bundle.p12`, where one is wanted.
    pub p12_password: Option<SecretSource>,
    /// How long it should be valid, in days.
    pub term: Option<u32>,
    /// A note for people at the CA.
    pub comments: Option<String>,
    /// Who is told about the order, mail addresses.
    pub requester: Option<String>,
    /// Fields of the customer's own.
    pub fields: BTreeMap<String, String>,
    /// The `[[contact]]` that the CA knows.
    pub contact: Option<String>,
}

/// Where the key of a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySettings {
    /// It is made here.
    Made(KeyKind),
    /// It is somewhere else; this is the request that it signed, and the fingerprint of the key.
    Request(PathBuf, String),
}

impl CertificateSettings {
    /// Everything that makes another certificate of it, in words.
    pub fn print(&self) -> String {
        let client = self
            .client
            .as_ref()
            .map_or_else(String::new, ToString::to_string);
        let subject = match &self.subject {
            Subject::Names(names) => {
                let names: BTreeSet<_> = names.iter().map(String::as_str).collect();
                names.into_iter().collect::<Vec<_>>().join(" ")
            }
            Subject::Mailbox { email, .. } => email.clone(),
        };
        let key = match &self.key {
            KeySettings::Made(kind) => kind.as_str(),
            KeySettings::Request(_, fingerprint) => fingerprint,
        };
        [self.ca.as_str(), &client, &self.product, &subject, key].join("\n")
    }

    /// Its names, for people: DNS names, or the mail address.
    pub fn names(&self) -> Vec<String> {
        match &self.subject {
            Subject::Names(names) => names.clone(),
            Subject::Mailbox { email, .. } => vec![email.clone()],
        }
    }
}

/// Reads all three sections; what is wrong with one key costs no other one.
pub(super) fn read(
    top: &Section<'_>,
    cas: &BTreeMap<String, Option<CaSettings>>,
    clients: &[ClientSettings],
    accept_idn: bool,
) -> CertificatesSettings {
    let section = top.table("certificates", &CERTIFICATES);
    let directory = match section.path("directory") {
        Some(path) => path,
        None => PathBuf::from(DIRECTORY),
    };
    let mut contacts = BTreeMap::new();
    for section in top.tables("contact", &CONTACT) {
        if let Some(contact) = contact(&section)
            && contacts.insert(contact.name.clone(), contact).is_some()
        {
            section.fault("name", "stands in another [[contact]] already");
        }
    }
    let mut certificates: Vec<CertificateSettings> = Vec::new();
    for section in top.tables("certificate", &CERTIFICATE) {
        let one = One {
            section: &section,
            cas,
            clients,
            contacts: &contacts,
            accept_idn,
        };
        if let Some(found) = one.read() {
            if certificates.iter().any(|known| known.name == found.name) {
                section.fault("name", "stands in another [[certificate]] already");
            }
            certificates.push(found);
        }
    }
    CertificatesSettings {
        directory,
        certificates,
        contacts,
    }
}

fn contact(section: &Section<'_>) -> Option<Contact> {
    for (key, hint) in [
        ("name", "what certificates call it"),
        ("first_name", "the person's first name"),
        ("last_name", "the person's last name"),
        ("email", "the person's mail address"),
    ] {
        section.must_have(key, hint);
    }
    let text = |key| section.text(key).map(str::to_owned).unwrap_or_default();
    Some(Contact {
        name: section.text("name")?.to_owned(),
        first_name: section.text("first_name")?.to_owned(),
        last_name: section.text("last_name")?.to_owned(),
        organization: section.text("organization").map(str::to_owned),
        address: section
            .texts("address")
            .into_iter()
            .map(|line| line.text.to_owned())
            .collect(),
        postal_code: text("postal_code"),
        city: text("city"),
        country: text("country"),
        phone: text("phone"),
        email: section.text("email")?.to_owned(),
    })
}

/// One `[[certificate]]` being read.
struct One<'a> {
    section: &'a Section<'a>,
    cas: &'a BTreeMap<String, Option<CaSettings>>,
    clients: &'a [ClientSettings],
    contacts: &'a BTreeMap<String, Contact>,
    accept_idn: bool,
}

impl One<'_> {
    /// Everything is read before anything is given up; `None` only after a fault was reported.
    fn read(&self) -> Option<CertificateSettings> {
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
        let access = self.access();
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
            subject: subject?,
            key: key?,
            reuse_key: section.flag("reuse_key", false),
            renew_before_text: section.text("renew_before").unwrap_or("1/3").to_owned(),
            renew_before,
            deploy,
            deploy_timeout: section
                .duration(
                    "deploy_timeout",
                    SignedDuration::from_secs(1)..=HOUR,
                    DEPLOY_TIMEOUT,
                )
                .unsigned_abs(),
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

    fn csr(&self) -> Option<(PathBuf, Csr)> {
        let section = self.section;
        let path = section.path("csr")?;
        let bytes = match bounded(&path) {
            Ok(bytes) => bytes,
            Err(cause) => {
                section.fault("csr", cause);
                return None;
            }
        };
        let csr = match Csr::read(&bytes) {
            Ok(csr) => csr,
            Err(why) => {
                section.fault("csr", format!("{}: {why}", path.display()));
                return None;
            }
        };
        if let Some(why) = weakness(csr.key()) {
            section.fault("csr", format!("{}: {why}", path.display()));
        }
        Some((path, csr))
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
                    self.at(item.line, "names", format!("{name} stands there twice"));
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
                section.fault("csr", words);
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
            section.fault("csr", "the request is for another mail address");
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
            Ok(span) if (SignedDuration::from_secs(1)..=DAY * 365).contains(&span) => {
                Lead::Span(span)
            }
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

    fn access(&self) -> Access {
        let section = self.section;
        let owner = section.text("owner").and_then(|text| {
            let found = text.parse().ok().or_else(|| {
                let user = nix::unistd::User::from_name(text).ok().flatten();
                user.map(|user| user.uid.as_raw())
            });
            if found.is_none() {
                section.fault("owner", "there is no such user on this machine");
            }
            found
        });
        let group = section.text("group").and_then(|text| {
            let found = text.parse().ok().or_else(|| {
                let group = nix::unistd::Group::from_name(text).ok().flatten();
                group.map(|group| group.gid.as_raw())
            });
            if found.is_none() {
                section.fault("group", "there is no such group on this machine");
            }
            found
        });
        let mode = section.text("mode").map_or(Some(0o600), |text| {
            u32::from_str_radix(text, 8)
                .ok()
                .filter(|mode| mode & 0o600 == 0o600 && mode & !0o640 == 0)
        });
        if mode.is_none() {
            section.fault(
                "mode",
                "must be \"0600\" or \"0640\": a key is for its owner, and at most for one group",
            );
        }
        Access {
            owner,
            group,
            mode: mode.unwrap_or(0o600),
        }
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

/// Why no CA takes a key of this kind, where none does.
pub fn weakness(key: CsrKey) -> Option<String> {
    match key {
        CsrKey::Rsa(bits) if bits < 2048 => Some(format!(
            "its RSA key has {bits} bits, and CAs take 2048 or more"
        )),
        CsrKey::Other => Some("its key is neither RSA nor ECDSA on P-256 or P-384".to_owned()),
        _ => None,
    }
}

/// The DNS names of a request; its common name too where that is one.
pub fn names_of(csr: &Csr) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let common = csr
        .common_name()
        .filter(|name| name.contains('.') && read_host(name, true).is_ok())
        .map(str::to_ascii_lowercase);
    for name in common.into_iter().chain(csr.names().iter().cloned()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A DNS name of a certificate, in A-labels, with `*.` in front for a wildcard.
///
/// # Errors
/// What is wrong with it.
pub fn read_host(text: &str, accept_idn: bool) -> Result<String, String> {
    let (wild, base) = match text.trim().strip_prefix("*.") {
        Some(base) => ("*.", base),
        None => ("", text),
    };
    match read_name(base, accept_idn) {
        Ok(_) if base.contains('*') => Err(format!(
            "`{}` has `*` where it is not the whole first label",
            text.escape_debug()
        )),
        Ok((name, _)) => Ok(format!("{wild}{name}", name = name.as_str())),
        Err((message, _)) => Err(message),
    }
}
