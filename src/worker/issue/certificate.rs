//! A certificate of the configuration, in the terms of the job.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use prevalidate_kit::secret::SecretSource;

use crate::ca::issuing::{Contact, Subject};
use crate::certificates::key::RequestContent;
use crate::certificates::{Access, KeyKind};
use crate::issuance::Wanted;
use crate::worker::Target;

/// Everything that is wanted of a certificate.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// What decisions are made of.
    pub wanted: Wanted,
    /// The `[ca.NAME]`.
    pub ca: String,
    /// The client, where the CA has clients.
    pub client: Option<Target>,
    /// The product, by name or by the CA's key.
    pub product: String,
    /// The certificate whose order it shares.
    pub duplicate_of: Option<String>,
    /// Whether its CA validates within the order.
    pub validates_in_order: bool,
    /// For what it is.
    pub subject: Subject,
    /// Where its key comes from.
    pub key: KeySource,
    /// The program that runs after a change; empty: none.
    pub deploy: Vec<String>,
    /// How long that may take.
    pub deploy_timeout: Duration,
    /// Owner, group and mode of its files.
    pub access: Access,
    /// Old versions that are kept.
    pub keep: u32,
    /// The password of its bundle, where one is wanted.
    pub p12_password: Option<SecretSource>,
    /// How long it should be valid, in days.
    pub term: Option<u32>,
    /// A note for people at the CA.
    pub comments: Option<String>,
    /// The mail addresses that the CA tells about the order.
    pub requester: Option<String>,
    /// Fields of the customer's own.
    pub fields: BTreeMap<String, String>,
    /// The person that the CA asks.
    pub contact: Option<Contact>,
}

impl Certificate {
    /// What the request of the certificate asks for.
    pub(super) fn request_content(&self) -> RequestContent {
        match &self.subject {
            Subject::Names(names) => RequestContent {
                common_name: names.first().cloned().unwrap_or_default(),
                dns_names: names.clone(),
                email: None,
            },
            Subject::Mailbox {
                email,
                first_name,
                last_name,
            } => {
                let person: Vec<&str> = [first_name, last_name]
                    .into_iter()
                    .flatten()
                    .map(String::as_str)
                    .collect();
                RequestContent {
                    common_name: match person.is_empty() {
                        true => email.clone(),
                        false => person.join(" "),
                    },
                    dns_names: Vec::new(),
                    email: Some(email.clone()),
                }
            }
        }
    }

    /// Whether its key is made here.
    pub(super) fn makes_key(&self) -> bool {
        matches!(self.key, KeySource::Made(_))
    }

    /// Whether a certificate with these names is for none of those that are wanted.
    pub fn is_not_for(&self, names: &[String]) -> bool {
        let serves = |name: &String| {
            let above = name.split_once('.').map(|(_, above)| format!("*.{above}"));
            names.iter().any(|own| {
                let is_above = above
                    .as_ref()
                    .is_some_and(|one| own.eq_ignore_ascii_case(one));
                own.eq_ignore_ascii_case(name) || is_above
            })
        };
        !names.is_empty() && !self.names().iter().any(serves)
    }

    /// Its names, for people and programs.
    pub fn names(&self) -> Vec<String> {
        match &self.subject {
            Subject::Names(names) => names.clone(),
            Subject::Mailbox { email, .. } => vec![email.clone()],
        }
    }
}

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// It is made here.
    Made(KeyKind),
    /// The key is somewhere else; this file has the request.
    Request(PathBuf),
}
