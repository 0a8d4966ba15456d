//! Certificates: products, orders, their requests, and what becomes of them. Real certificates come
//! from a throw-away CA that is made at start.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::book;
use crate::ca::authority::{Authority, Contents};
use crate::ca::csr::Csr;

/// An order as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OrderView {
    /// Its id.
    pub id: u64,
    /// The word of its state.
    pub status: String,
    /// The `name_id` of its product.
    pub product: String,
    /// The content of the order.
    pub comments: String,
    /// Its names; the first is the common name.
    pub names: Vec<String>,
    /// The order that it renewed.
    pub renews: Option<u64>,
    /// How many certificates it has.
    pub certificates: usize,
    /// How many duplicates.
    pub duplicates: usize,
    /// The reason of each revocation.
    pub revocations: Vec<String>,
    /// How often a reissue was asked for.
    pub reissues: usize,
}

pub(super) struct Orders {
    authority: Authority,
    pub(super) orders: BTreeMap<u64, Order>,
    pub(super) requests: BTreeMap<u64, Request>,
    serial: u64,
    rng: StdRng,
}

/// One order.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) id: u64,
    pub(super) product: String,
    pub(super) organisation: Option<u64>,
    pub(super) comments: String,
    pub(super) method: String,
    pub(super) days: i64,
    pub(super) at: Timestamp,
    pub(super) renews: Option<u64>,
    /// The certificates, the newest last. One that is not issued is what the order waits for.
    pub(super) certificates: Vec<Certificate>,
    /// Certificates beside those, each with its own key.
    pub(super) duplicates: Vec<Certificate>,
    pub(super) decided: Option<String>,
    pub(super) waits_for_approval: bool,
    /// The random value of the order, and the names that were validated by it.
    pub(super) value: Option<book::Value>,
    pub(super) proven: BTreeSet<String>,
    pub(super) next_check: Option<Timestamp>,
}

/// One certificate of an order.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) id: u64,
    pub(super) csr: Csr,
    pub(super) names: Vec<String>,
    pub(super) serial: Vec<u8>,
    pub(super) ordered_at: Timestamp,
    pub(super) issued: Option<(Vec<u8>, Timestamp)>,
    pub(super) revoked: Option<String>,
}

/// A request that an administrator decides.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) order: u64,
    /// `new_request`, `reissue`, `duplicate` or `revoke`
    pub(super) kind: &'static str,
    pub(super) status: &'static str,
    pub(super) comments: String,
    /// The certificate and the reason of a revocation.
    pub(super) revokes: Option<(u64, String)>,
    /// What is reissued once it is approved.
    pub(super) reissues: Option<(Csr, Vec<String>)>,
}

/// The content of an order.
pub(super) struct New {
    pub(super) product: String,
    pub(super) organisation: Option<u64>,
    pub(super) comments: String,
    pub(super) method: String,
    pub(super) days: i64,
    pub(super) renews: Option<u64>,
    pub(super) csr: Csr,
    pub(super) names: Vec<String>,
    pub(super) waits_for_approval: bool,
}

/// `name_id`, name, group, validation, hash.
const PRODUCTS: [(&str, &str, &str, &str, &str); 5] = [
    ("ssl_basic", "Basic OV", "ssl_certificate", "OV", "sha256"),
    (
        "ssl_securesite_flex",
        "Secure Site OV",
        "ssl_certificate",
        "OV",
        "sha384",
    ),
    (
        "ssl_ev_basic",
        "Basic EV",
        "ssl_certificate",
        "EV",
        "sha256",
    ),
    (
        "ssl_dv_geotrust",
        "GeoTrust Standard DV",
        "dv_ssl_certificate",
        "DV",
        "sha256",
    ),
    (
        "code_signing",
        "Code Signing",
        "code_signing_certificate",
        "CS",
        "sha256",
    ),
];

/// A row of `GET /product`.
pub(super) fn products() -> Vec<Value> {
    let one = |&(id, name, group, _, hash): &(&str, &str, &str, &str, &str)| {
        json!({
            "group_name": group, "name_id": id, "name": name, "type": group,
            "allowed_validity_years": [1], "allowed_order_validity_years": ["1"],
            "signature_hash_types": {"allowed_hash_types": [{"id": hash, "name": hash}],
                "default_hash_type_id": hash},
            "csr_required": group.contains("ssl"),
        })
    };
    PRODUCTS.iter().map(one).collect()
}

/// `GET /product/{name_id}`
pub(super) fn product(id: &str) -> Option<Value> {
    let known = PRODUCTS.iter().find(|known| known.0 == id)?;
    let mut all = products();
    all.retain(|one| one["name_id"] == id);
    let mut found = all.pop()?;
    found["validation_type"] = json!(known.3);
    found["additional_dns_names_allowed"] = json!(id != "ssl_ev_basic");
    Some(found)
}

/// Whether orders of it are validated by a value of their own.
pub(super) fn is_dv(product: &str) -> bool {
    let mut all = PRODUCTS.iter();
    all.any(|known| known.0 == product && known.3 == "DV")
}

impl Orders {
    pub(super) fn new(seed: u64, now: Timestamp) -> Result<Self, String> {
        Ok(Self {
            authority: Authority::new("Sandbox CertCentral", now)?,
            orders: BTreeMap::new(),
            requests: BTreeMap::new(),
            serial: 700_000,
            rng: StdRng::seed_from_u64(seed ^ 0x0063_6372),
        })
    }

    pub(super) fn root_pem(&self) -> String {
        self.authority.root_pem()
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn certificate(&mut self, csr: Csr, names: Vec<String>, now: Timestamp) -> Certificate {
        let mut serial: [u8; 16] = self.rng.random();
        serial[0] = serial[0] & 0x3f | 0x40;
        Certificate {
            id: self.next_id(),
            csr,
            names,
            serial: serial.to_vec(),
            ordered_at: now,
            issued: None,
            revoked: None,
        }
    }

    pub(super) fn add(&mut self, new: New, now: Timestamp) -> u64 {
        let id = self.next_id();
        let certificate = self.certificate(new.csr, new.names, now);
        let order = Order {
            id,
            product: new.product,
            organisation: new.organisation,
            comments: new.comments,
            method: new.method,
            days: new.days,
            at: now,
            renews: new.renews,
            certificates: vec![certificate],
            duplicates: Vec::new(),
            decided: None,
            waits_for_approval: new.waits_for_approval,
            value: None,
            proven: BTreeSet::new(),
            next_check: Some(now),
        };
        let comments = order.comments.clone();
        self.orders.insert(id, order);
        let status = if new.waits_for_approval {
            "pending"
        } else {
            "approved"
        };
        self.ask(id, "new_request", status, comments, None);
        id
    }

    /// Another certificate of an order.
    pub(super) fn reissue(&mut self, id: u64, csr: Csr, names: Vec<String>, now: Timestamp) {
        let certificate = self.certificate(csr, names, now);
        if let Some(order) = self.orders.get_mut(&id) {
            order.certificates.push(certificate);
            (order.decided, order.next_check) = (None, Some(now));
        }
    }

    /// Every order, the oldest first.
    pub(super) fn views(&self, behaviour: &Behaviour) -> Vec<OrderView> {
        let all = self.orders.values();
        all.map(|order| {
            let requests = self.requests_of(order.id);
            let reissues = requests.filter(|one| one.kind == "reissue").count();
            order.view(behaviour, reissues)
        })
        .collect()
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        self.orders.keys().copied().collect()
    }

    pub(super) fn order(&self, id: u64) -> Option<&Order> {
        self.orders.get(&id)
    }

    pub(super) fn order_mut(&mut self, id: u64) -> Option<&mut Order> {
        self.orders.get_mut(&id)
    }

    /// A certificate beside the others, with its own key.
    pub(super) fn duplicate(&mut self, id: u64, csr: Csr, names: Vec<String>, now: Timestamp) {
        let certificate = self.certificate(csr, names, now);
        if let Some(order) = self.orders.get_mut(&id) {
            order.duplicates.push(certificate);
        }
    }

    /// The order of a certificate, by the id or the serial number of the certificate.
    pub(super) fn of_certificate(&self, text: &str) -> Option<(u64, u64)> {
        let fits = |one: &Certificate| {
            one.id.to_string() == text
                || one.issued.is_some() && hex(&one.serial).eq_ignore_ascii_case(text)
        };
        self.orders.values().find_map(|order| {
            let found = order.all().find(|one| fits(one))?;
            Some((order.id, found.id))
        })
    }

    /// Issues what an order waits for. Nothing may be missing any more.
    pub(super) fn issue(&mut self, id: u64, behaviour: &Behaviour, now: Timestamp) {
        let Some(order) = self.orders.get_mut(&id) else {
            return;
        };
        let days = order.days;
        let all = order.certificates.iter_mut().chain(&mut order.duplicates);
        let open = all.filter(|one| one.issued.is_none());
        for one in open {
            let waited = now.duration_since(one.ordered_at);
            if waited < SignedDuration::from_secs(behaviour.issued_after) {
                continue;
            }
            let longest = SignedDuration::from_hours(24 * days);
            let life = SignedDuration::from_secs(behaviour.certificate_life).min(longest);
            let mut names = one.names.clone();
            if behaviour.leaves_a_name_out {
                names.pop();
            }
            let contents = Contents {
                common_name: one.names.first().cloned(),
                names,
                mailboxes: Vec::new(),
                from: now,
                life,
                serial: one.serial.clone(),
                issuer_url: None,
            };
            let issued = match behaviour.for_another_key {
                true => self.authority.issue_for_another_key(&contents),
                false => self.authority.issue(&one.csr, &contents),
            };
            if let Ok(issued) = issued {
                one.issued = Some((issued.der, now));
            }
        }
    }

    /// The certificate with its chain, PEM; `None` while it is not there.
    pub(super) fn download(
        &self,
        id: u64,
        format: &str,
        behaviour: &Behaviour,
        now: Timestamp,
    ) -> Option<String> {
        let of = |order: &Order| order.all().any(|one| one.id == id);
        let order = self.orders.values().find(|order| of(order))?;
        let mut all = order.all();
        let found = match behaviour.same_certificate_for_all {
            true => all.next()?,
            false => all.find(|one| one.id == id)?,
        };
        let (leaf, at) = found.issued.as_ref()?;
        if now.duration_since(*at) < SignedDuration::from_secs(behaviour.download_lags) {
            return None;
        }
        let mut chain = vec![pem(leaf), pem(&self.authority.intermediate())];
        if format == "pem_all" {
            chain.push(pem(&self.authority.root()));
        }
        if behaviour.chain_root_first {
            chain.reverse();
        }
        Some(chain.concat())
    }

    /// `certificate_chain` of an answer.
    pub(super) fn chain(&self, leaf: &[u8]) -> Value {
        let one = |name: &str, der: &[u8]| json!({"subject_common_name": name, "pem": pem(der)});
        json!([
            one("leaf", leaf),
            one("issuing", &self.authority.intermediate()),
            one("root", &self.authority.root()),
        ])
    }
}

impl Order {
    /// Its certificates and duplicates.
    pub(super) fn all(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.iter().chain(&self.duplicates)
    }

    /// The certificate that counts, or is waited for.
    pub(super) fn newest(&self) -> &Certificate {
        &self.certificates[self.certificates.len() - 1]
    }

    /// The certificate that the order shows: the newest that was issued, else the one that is waited
    /// for.
    pub(super) fn shown(&self) -> &Certificate {
        let issued = self.certificates.iter().rev();
        let mut issued = issued.filter(|one| one.issued.is_some());
        issued.next().unwrap_or_else(|| self.newest())
    }

    pub(super) fn is_open(&self) -> bool {
        self.decided.is_none() && self.newest().issued.is_none()
    }

    pub(super) fn revoke(&mut self, certificate: u64, reason: &str) {
        let mut all = self.certificates.iter_mut().chain(&mut self.duplicates);
        let found = all.find(|one| one.id == certificate);
        if let Some(found) = found {
            found.revoked = Some(reason.to_owned());
        }
    }

    /// The word of its state.
    pub(super) fn status(&self, behaviour: &Behaviour) -> String {
        if let Some(word) = &self.decided {
            return word.clone();
        }
        let mut issued = self.certificates.iter().filter(|one| one.issued.is_some());
        if self.is_open() {
            return match (self.waits_for_approval, issued.next()) {
                (true, _) => "needs_approval".to_owned(),
                (_, Some(_)) => "reissue_pending".to_owned(),
                _ => behaviour.waiting_word.clone(),
            };
        }
        let all_revoked = issued.all(|one| one.revoked.is_some());
        match all_revoked && !behaviour.revoking_keeps_orders {
            true => "revoked".to_owned(),
            false => "issued".to_owned(),
        }
    }

    fn view(&self, behaviour: &Behaviour, reissues: usize) -> OrderView {
        let revoked = self.all().filter_map(|one| one.revoked.clone());
        OrderView {
            id: self.id,
            status: self.status(behaviour),
            product: self.product.clone(),
            comments: self.comments.clone(),
            names: self.certificates[0].names.clone(),
            renews: self.renews,
            certificates: self.certificates.len(),
            duplicates: self.duplicates.len(),
            revocations: revoked.collect(),
            reissues,
        }
    }
}

fn pem(der: &[u8]) -> String {
    crate::text::pem::write("CERTIFICATE", der)
}

pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}
