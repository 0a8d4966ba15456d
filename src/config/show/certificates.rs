//! The certificates of the configuration in the form of the file.

use super::{Page, inline, list, quote, source};
use crate::ca::issuing::{Contact, Subject};
use crate::config::certificates::DIRECTORY;
use crate::config::{CertificateSettings, CertificatesSettings, KeySettings};

impl Page {
    pub(super) fn certificates(&mut self, settings: &CertificatesSettings) {
        let directory = settings.directory.to_string_lossy();
        if settings.certificates.is_empty() && directory == DIRECTORY {
            return;
        }
        self.heading("[certificates]");
        self.text("directory", &directory);
        for one in &settings.certificates {
            self.certificate(one);
        }
        for contact in settings.contacts.values() {
            self.contact(contact);
        }
    }

    fn certificate(&mut self, one: &CertificateSettings) {
        self.heading("[[certificate]]");
        self.text("name", &one.name);
        self.text("ca", &one.ca);
        if let Some(client) = &one.client {
            self.text("client", &client.to_string());
        }
        self.text("product", &one.product);
        let first = one.duplicate_of.iter();
        first.for_each(|first| self.text("duplicate_of", first));
        match &one.subject {
            Subject::Names(names) => self.plain("names", list(names.iter().cloned())),
            Subject::Mailbox {
                email,
                first_name,
                last_name,
            } => {
                self.text("email", email);
                for (key, text) in [("first_name", first_name), ("last_name", last_name)] {
                    text.iter().for_each(|text| self.text(key, text));
                }
            }
        }
        match &one.key {
            KeySettings::Made(kind) => {
                self.text("key", kind.as_str());
                self.plain("reuse_key", one.reuse_key);
            }
            KeySettings::Request(path, _) => self.text("csr", &path.to_string_lossy()),
        }
        self.text("renew_before", &one.renew_before_text);
        if !one.deploy.is_empty() {
            self.plain("deploy", list(one.deploy.iter().cloned()));
            self.row("deploy_timeout", &one.deploy_timeout);
        }
        for (key, number) in [("owner", one.access.owner), ("group", one.access.group)] {
            number
                .iter()
                .for_each(|number| self.text(key, &number.to_string()));
        }
        self.text("mode", &format!("{:04o}", one.access.mode));
        self.plain("keep", one.keep);
        if let Some(password) = &one.p12_password {
            self.plain("p12_password", source(password));
        }
        one.term.iter().for_each(|term| self.plain("term", term));
        for (key, text) in [
            ("comments", &one.comments),
            ("requester", &one.requester),
            ("contact", &one.contact),
        ] {
            text.iter().for_each(|text| self.text(key, text));
        }
        if !one.fields.is_empty() {
            let fields = one.fields.iter();
            let table = fields.map(|(key, text)| (key.clone(), text.clone().into()));
            self.plain(
                "fields",
                inline(&serde_json::Value::Object(table.collect())),
            );
        }
    }

    fn contact(&mut self, contact: &Contact) {
        self.heading("[[contact]]");
        self.text("name", &contact.name);
        self.text("first_name", &contact.first_name);
        self.text("last_name", &contact.last_name);
        contact
            .organization
            .iter()
            .for_each(|text| self.text("organization", text));
        let lines: Vec<_> = contact.address.iter().map(|line| quote(line)).collect();
        if !lines.is_empty() {
            self.plain("address", format!("[{}]", lines.join(", ")));
        }
        for (key, text) in [
            ("postal_code", &contact.postal_code),
            ("city", &contact.city),
            ("country", &contact.country),
            ("phone", &contact.phone),
        ] {
            if !text.is_empty() {
                self.text(key, text);
            }
        }
        self.text("email", &contact.email);
    }
}
