//! `[certificates]`, `[[certificate]]` and `[[contact]]`: which certificates are kept, where, and
//! on which keys.

mod access;
mod one;
mod request;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use prevalidate_kit::secret::SecretSource;

use self::one::One;
use super::fault::Fault;
use super::names::read_name;
use super::tree::{Schema, Section};
use super::{CaSettings, ClientSettings};
use crate::ca::ClientSelector;
use crate::ca::csr::{Csr, KeyKind as CsrKey};
use crate::ca::issuing::{Contact, Subject};
use crate::certificates::{Access, KeyKind};
use crate::config::fault::nearest;
use crate::issuance::Lead;
use crate::issuance::wanted::as_duplicate;

/// Where certificates are kept, unless the configuration says otherwise.
pub const DIRECTORY: &str = "/var/lib/prevalidate/certificates";

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
        "duplicate_of",
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
    /// Those whose request cannot be used now. Nothing else waits for them.
    pub unusable: Vec<UnusableCertificate>,
}

/// A `[[certificate]]` whose request cannot be used now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableCertificate {
    /// Its name.
    pub name: String,
    /// The `[ca.NAME]`.
    pub ca: String,
    /// Why.
    pub faults: Vec<Fault>,
}

impl UnusableCertificate {
    /// Why, in words.
    pub fn why(&self) -> String {
        let words = self.faults.iter().map(|fault| fault.message.as_str());
        words.collect::<Vec<_>>().join("; ")
    }
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
    /// The `[[certificate]]` whose order it shares, with a key of its own.
    pub duplicate_of: Option<String>,
    /// For what it is.
    pub subject: Subject,
    /// The key.
    pub key: KeySettings,
    /// Whether a renewal takes the same key.
    pub reuse_key: bool,
    /// How long before its end it is renewed.
    pub renew_before: Lead,
    /// `renew_before` as it is.
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
    /// The mail addresses that the CA tells about the order.
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
        let print = [self.ca.as_str(), &client, &self.product, &subject, key].join("\n");
        match &self.duplicate_of {
            Some(first) => as_duplicate(&print, first),
            None => print,
        }
    }

    /// Its names, for people: DNS names, or the mail address.
    pub fn names(&self) -> Vec<String> {
        match &self.subject {
            Subject::Names(names) => names.clone(),
            Subject::Mailbox { email, .. } => vec![email.clone()],
        }
    }
}

/// Reads all three sections. A fault of one key affects no other key.
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
            section.fault("name", "is in another [[contact]] already");
        }
    }
    let mut certificates: Vec<CertificateSettings> = Vec::new();
    let mut unusable = Vec::new();
    let mut names = BTreeSet::new();
    for section in top.tables("certificate", &CERTIFICATE) {
        let one = One {
            section: &section,
            cas,
            clients,
            contacts: &contacts,
            accept_idn,
            request: RefCell::default(),
        };
        let read = section.telling(|| one.read());
        certificates.extend(read.filter(|_| one.request.borrow().is_empty()));
        unusable.extend(one.unusable());
        if section.has("name")
            && let Some(name) = section.text("name")
            && !names.insert(name)
        {
            section.fault("name", "is in another [[certificate]] already");
        }
    }
    for section in top.tables("certificate", &CERTIFICATE) {
        duplicate(&section, cas, &certificates);
    }
    CertificatesSettings {
        directory,
        certificates,
        contacts,
        unusable,
    }
}

/// A duplicate shares the order of another certificate of the file, at a CA that makes duplicates.
fn duplicate(
    section: &Section<'_>,
    cas: &BTreeMap<String, Option<CaSettings>>,
    certificates: &[CertificateSettings],
) {
    const KEY: &str = "duplicate_of";
    let (Some(text), Some(name)) = (section.text(KEY), section.text("name")) else {
        return;
    };
    let of_name = |name: &str| certificates.iter().find(|one| one.name == name);
    let Some(first) = of_name(text) else {
        let names = certificates.iter().map(|one| one.name.as_str());
        let hint = nearest(text, names).map(|meant| format!("did you mean \"{meant}\"?"));
        let (line, key) = (section.line_of(KEY), section.key(KEY));
        let words = "there is no [[certificate]] of this name";
        return section.reader.absent(line, &key, words, hint);
    };
    let Some(own) = of_name(name) else {
        return;
    };
    let account = cas.get(&own.ca).and_then(Option::as_ref);
    let issuing = account.and_then(|account| account.kind.issuing);
    let is_other =
        (&first.ca, &first.client, &first.product) != (&own.ca, &own.client, &own.product);
    for (is_wrong, words) in [
        (
            issuing.is_some_and(|kind| !kind.duplicates),
            "this kind of CA makes no duplicates of a certificate here: leave it out",
        ),
        (
            first.duplicate_of.is_some(),
            "is a duplicate itself, or the same certificate: name the first one",
        ),
        (
            is_other,
            "must have the same `ca`, `client` and `product`: it shares the order",
        ),
        (
            own.reuse_key,
            "makes a new key at each renewal: leave `reuse_key` out",
        ),
    ] {
        if is_wrong {
            section.fault(KEY, words);
        }
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
/// The fault in the name.
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
