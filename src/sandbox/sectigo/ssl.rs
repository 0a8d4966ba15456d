//! Certificates: the profiles of an organisation, orders, and what becomes of them. Real
//! certificates come from a throw-away CA that is made at start.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::wire::day;
use crate::ca::authority::{Authority, Contents};
use crate::ca::csr::{Csr, KeyKind, Sight};

/// An order as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SslView {
    /// `sslId`
    pub id: u64,
    /// The word of its state.
    pub status: String,
    /// The content of the order.
    pub comments: String,
    /// Its names; the first is the common name.
    pub names: Vec<String>,
    /// The order that it renewed.
    pub renews: Option<u64>,
    /// The code of its revocation.
    pub revocation: Option<i64>,
}

pub(super) struct Ssl {
    authority: Authority,
    orders: BTreeMap<u64, Order>,
    next: u64,
    rng: StdRng,
}

/// One order.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) id: u64,
    pub(super) organisation: u64,
    pub(super) profile: u64,
    pub(super) names: Vec<String>,
    pub(super) comments: String,
    fields: Value,
    term: u64,
    csr: Csr,
    at: Timestamp,
    decided: Option<String>,
    renews: Option<u64>,
    serial: Vec<u8>,
    issued: Option<(Vec<u8>, Timestamp)>,
    revoked: Option<(Timestamp, i64)>,
}

/// The content of an order.
pub(super) struct New {
    pub(super) organisation: u64,
    pub(super) profile: u64,
    pub(super) names: Vec<String>,
    pub(super) comments: String,
    pub(super) fields: Value,
    pub(super) term: u64,
    pub(super) csr: Csr,
    pub(super) renews: Option<u64>,
}

/// Id, name, terms, types of keys.
pub(super) fn profiles() -> Value {
    let keys = json!({"RSA": ["2048", "3072", "4096"], "EC": ["P-256", "P-384"]});
    json!([
        {"id": 4100, "name": "OV Multi-Domain SSL", "description": "", "terms": [90, 199],
         "keyTypes": keys, "useSecondaryOrgName": false},
        {"id": 4101, "name": "OV SSL", "description": "one name", "terms": [199],
         "keyTypes": keys, "useSecondaryOrgName": false},
        {"id": 4102, "name": "RSA only", "description": "", "terms": [199],
         "keyTypes": {"RSA": ["2048"]}, "useSecondaryOrgName": false},
    ])
}

impl Ssl {
    pub(super) fn new(seed: u64, now: Timestamp) -> Result<Self, String> {
        Ok(Self {
            authority: Authority::new("Sandbox SCM", now)?,
            orders: BTreeMap::new(),
            next: 60_001,
            rng: StdRng::seed_from_u64(seed ^ 0x0073_736c),
        })
    }

    pub(super) fn root_pem(&self) -> String {
        self.authority.root_pem()
    }

    pub(super) fn add(&mut self, new: New, now: Timestamp) -> u64 {
        let id = self.next;
        self.next += 1;
        let order = Order {
            id,
            organisation: new.organisation,
            profile: new.profile,
            names: new.names,
            comments: new.comments,
            fields: new.fields,
            term: new.term,
            csr: new.csr,
            at: now,
            decided: None,
            renews: new.renews,
            serial: self.serial(),
            issued: None,
            revoked: None,
        };
        self.orders.insert(id, order);
        id
    }

    fn serial(&mut self) -> Vec<u8> {
        let mut serial: [u8; 16] = self.rng.random();
        serial[0] = serial[0] & 0x3f | 0x40;
        serial.to_vec()
    }

    /// Takes another request for the same order, whose certificate gives way to the next.
    pub(super) fn replace(&mut self, id: u64, csr: Csr, names: Vec<String>, now: Timestamp) {
        let serial = self.serial();
        if let Some(order) = self.orders.get_mut(&id) {
            (order.csr, order.at, order.serial) = (csr, now, serial);
            if !names.is_empty() {
                order.names = names;
            }
            (order.issued, order.decided) = (None, None);
        }
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        self.orders.keys().copied().collect()
    }

    pub(super) fn order(&self, id: &str) -> Option<&Order> {
        self.orders.get(&id.parse().ok()?)
    }

    /// Decides what becomes of an order, as a person in the portal does.
    pub(super) fn decide(&mut self, id: u64, word: Option<&str>) -> bool {
        let order = self.orders.get_mut(&id);
        order
            .map(|order| order.decided = word.map(str::to_owned))
            .is_some()
    }

    /// The word of an order's state now; with it a certificate comes to be.
    pub(super) fn status(&mut self, id: u64, behaviour: &Behaviour, now: Timestamp) -> String {
        let Some(order) = self.orders.get_mut(&id) else {
            return "Invalid".to_owned();
        };
        let after = |at: Timestamp, seconds: i64| {
            now.duration_since(at) >= SignedDuration::from_secs(seconds)
        };
        if let Some((at, _)) = order.revoked
            && after(at, behaviour.revoked_after)
        {
            return "Revoked".to_owned();
        }
        if order.issued.is_some() {
            return "Issued".to_owned();
        }
        let mut word = match &order.decided {
            Some(word) => word.clone(),
            None if behaviour.waits_for_approval => "Requested".to_owned(),
            None => behaviour.certificates_become.clone(),
        };
        if word == "Issued" && !after(order.at, behaviour.issued_after) {
            return "Applied".to_owned();
        }
        if word == "Issued" {
            match issue(&self.authority, order, behaviour, now) {
                Ok(der) => order.issued = Some((der, now)),
                Err(_) => "Invalid".clone_into(&mut word),
            }
        }
        word
    }

    /// A row of the list: no state in it.
    pub(super) fn row(order: &Order) -> Value {
        let mut row = json!({
            "sslId": order.id,
            "commonName": order.names.first(),
            "subjectAlternativeNames": order.names,
        });
        if order.issued.is_some() {
            row["serialNumber"] = json!(hex(&order.serial));
        }
        row
    }

    pub(super) fn details(order: &Order, status: &str, behaviour: &Behaviour) -> Value {
        let mut details = json!({
            "id": order.id,
            "commonName": order.names.first(),
            "orgId": order.organisation,
            "status": status,
            "backendCertId": order.id.to_string(),
            "certType": {"id": order.profile, "name": "a profile"},
            "term": order.term,
            "requested": day(order.at, behaviour),
            "subjectAlternativeNames": order.names,
            "customFields": order.fields,
            "renewed": false,
        });
        if behaviour.shows_comments {
            details["comments"] = json!(order.comments);
        }
        if let Some((der, at)) = &order.issued {
            let end = Sight::of(der).map_or(0, |sight| sight.not_after);
            let end = Timestamp::from_second(end).unwrap_or(Timestamp::MAX);
            details["issued"] = json!(day(*at, behaviour));
            details["expires"] = json!(day(end, behaviour));
            details["serialNumber"] = json!(hex(&order.serial));
        }
        details
    }

    /// The certificate with its chain, PEM; `None` while it is not ready.
    pub(super) fn collect(
        &self,
        order: &Order,
        behaviour: &Behaviour,
        now: Timestamp,
    ) -> Option<String> {
        let (leaf, at) = order.issued.as_ref()?;
        if now.duration_since(*at) < SignedDuration::from_secs(behaviour.collect_lags) {
            return None;
        }
        let mut chain = vec![pem(leaf), pem(&self.authority.intermediate())];
        if behaviour.chain_has_root {
            chain.push(pem(&self.authority.root()));
        }
        if behaviour.chain_root_first {
            chain.reverse();
        }
        Some(chain.concat())
    }

    /// Notes a revocation; why it cannot be.
    pub(super) fn revoke(
        &mut self,
        id: u64,
        code: i64,
        now: Timestamp,
    ) -> Result<(), (i64, &'static str)> {
        let order = self
            .orders
            .get_mut(&id)
            .ok_or((-5101, "Certificate not found"))?;
        if order.issued.is_none() || order.revoked.is_some() {
            return Err((-102, "The certificate cannot be revoked in this state"));
        }
        order.revoked = Some((now, code));
        Ok(())
    }

    /// The order whose certificate has this serial number.
    pub(super) fn by_serial(&self, serial: &str) -> Option<u64> {
        let plain: String = serial.chars().filter(char::is_ascii_hexdigit).collect();
        let found = self.orders.values().find(|order| {
            order.issued.is_some()
                && hex(&order.serial)
                    .replace(':', "")
                    .eq_ignore_ascii_case(&plain)
        });
        found.map(|order| order.id)
    }

    pub(super) fn seen(&self, id: u64, status: String) -> Option<SslView> {
        let order = self.orders.get(&id)?;
        Some(SslView {
            id,
            status,
            comments: order.comments.clone(),
            names: order.names.clone(),
            renews: order.renews,
            revocation: order.revoked.map(|(_, code)| code),
        })
    }
}

fn issue(
    authority: &Authority,
    order: &Order,
    behaviour: &Behaviour,
    now: Timestamp,
) -> Result<Vec<u8>, String> {
    let mut names = order.names.clone();
    if behaviour.leaves_a_name_out {
        names.pop();
    }
    let contents = Contents {
        common_name: order.names.first().cloned(),
        names,
        mailboxes: Vec::new(),
        from: now,
        life: SignedDuration::from_secs(behaviour.certificate_life),
        serial: order.serial.clone(),
        issuer_url: None,
    };
    let issued = if behaviour.for_another_key {
        authority.issue_for_another_key(&contents)
    } else {
        authority.issue(&order.csr, &contents)
    };
    issued.map(|issued| issued.der)
}

/// Reads a request, and refuses keys that no CA takes.
pub(super) fn read_csr(value: &Value) -> Result<Csr, (i64, String)> {
    let text = value.as_str().unwrap_or_default();
    let csr = Csr::read(text.as_bytes()).map_err(|why| (-9, format!("The CSR {why}")))?;
    match csr.key() {
        KeyKind::Rsa(bits) if bits < 2048 => Err((-138, "The key is too short".to_owned())),
        KeyKind::Other => Err((-170, "The key's algorithm is not allowed".to_owned())),
        _ => Ok(csr),
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for at in (0..text.len()).step_by(64) {
        pem += &text[at..text.len().min(at + 64)];
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

fn hex(octets: &[u8]) -> String {
    let pairs: Vec<_> = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    pairs.join(":")
}
