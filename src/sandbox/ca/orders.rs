//! Orders for certificates: what the CA knows of each, and how far it is. Real certificates come from
//! a throw-away CA that is made at start.

mod caa;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use serde_json::{Value, json};

use super::behaviour::{Behaviour, CaaCheck, ChainOrder, Unproven};
use super::products::products;
use super::wire::Refused;
use crate::ca::authority::{Authority, Contents};
use crate::ca::csr::{Csr, Sight};

/// An order as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderView {
    /// `ord-…`
    pub reference: String,
    /// The word of its state.
    pub status: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The names that its request asks for.
    pub names: Vec<String>,
    /// The serial number of its certificate: upper-case hexadecimal digits.
    pub serial: Option<String>,
    /// The person that asked for its revocation.
    pub revocation_requestor: Option<String>,
}

pub(super) struct Orders {
    authority: Authority,
    products: Vec<Value>,
    /// By their place in time.
    orders: BTreeMap<u64, Order>,
    rng: StdRng,
}

#[derive(Debug)]
pub(super) struct Order {
    pub(super) reference: String,
    pub(super) client: String,
    pub(super) csr: Csr,
    product: Value,
    tags: Vec<String>,
    at: Timestamp,
    /// What a person or a fault made of it.
    decided: Option<String>,
    /// The verdict of CAA, once it was asked for.
    caa: Option<Result<(), String>>,
    serial: Vec<u8>,
    issued: Option<(Vec<u8>, Timestamp)>,
    revoked: Option<Revoked>,
}

#[derive(Debug)]
struct Revoked {
    at: Timestamp,
    reason: String,
    requestor: Option<String>,
}

/// The content of an order.
pub(super) struct New {
    pub(super) client: String,
    pub(super) product: Value,
    pub(super) csr: Csr,
    pub(super) tags: Vec<String>,
}

impl Orders {
    pub(super) fn new(seed: u64, now: Timestamp) -> Result<Self, String> {
        // Of its own, so that orders leave the references of domains as they are.
        let mut rng = StdRng::seed_from_u64(seed ^ 0x6f72_6465_7273);
        Ok(Self {
            authority: Authority::new("Sandbox", now)?,
            products: products(&mut rng),
            orders: BTreeMap::new(),
            rng,
        })
    }

    pub(super) fn root_pem(&self) -> String {
        self.authority.root_pem()
    }

    pub(super) fn products(&self) -> &[Value] {
        &self.products
    }

    pub(super) fn product(&self, reference: &str) -> Result<&Value, Refused> {
        let product = self.products.iter().find(|one| one["uuid"] == reference);
        product.ok_or_else(|| Refused::order("0243", format!("Product {reference} not found")))
    }

    pub(super) fn add(&mut self, new: New, now: Timestamp) -> String {
        let mut serial: [u8; 16] = self.rng.random();
        serial[0] = serial[0] & 0x3f | 0x40;
        let uuid = uuid::Builder::from_random_bytes(self.rng.random()).into_uuid();
        let reference = format!("ord-{uuid}");
        let order = Order {
            reference: reference.clone(),
            client: new.client,
            csr: new.csr,
            product: new.product,
            tags: new.tags,
            at: now,
            decided: None,
            caa: None,
            serial: serial.to_vec(),
            issued: None,
            revoked: None,
        };
        self.orders.insert(self.orders.len() as u64, order);
        reference
    }

    pub(super) fn order(&self, reference: &str) -> Result<&Order, Refused> {
        let order = self.orders.values().find(|one| one.reference == reference);
        order.ok_or_else(|| Refused::not_found(format!("Order {reference} not found")))
    }

    fn order_mut(&mut self, reference: &str) -> Option<&mut Order> {
        self.orders
            .values_mut()
            .find(|one| one.reference == reference)
    }

    /// References of all orders, oldest first.
    pub(super) fn references(&self) -> Vec<String> {
        self.orders
            .values()
            .map(|one| one.reference.clone())
            .collect()
    }

    /// Decides what becomes of an order, as a person in the portal does.
    pub(super) fn decide(&mut self, reference: &str, status: &str) -> bool {
        let order = self.order_mut(reference);
        order
            .map(|order| order.decided = Some(status.to_owned()))
            .is_some()
    }

    /// The word of an order's state now; with it a certificate comes to be. `unproven` is the first
    /// name that no validated domain covers.
    pub(super) fn status(
        &mut self,
        reference: &str,
        unproven: Option<&str>,
        behaviour: &Behaviour,
        now: Timestamp,
    ) -> String {
        let Some(order) = self
            .orders
            .values_mut()
            .find(|one| one.reference == reference)
        else {
            return "UNKNOWN".to_owned();
        };
        let after = |at: Timestamp, seconds: i64| {
            now.duration_since(at) >= SignedDuration::from_secs(seconds)
        };
        if let Some(revoked) = &order.revoked
            && after(revoked.at, behaviour.revoked_after)
        {
            return "REVOKED".to_owned();
        }
        if order.issued.is_some() {
            return "ISSUED".to_owned();
        }
        let mut status = match &order.decided {
            Some(word) => word.clone(),
            None if unproven.is_some() => {
                let word = match behaviour.unproven {
                    Unproven::Waits => return "PRE_VALIDATION".to_owned(),
                    Unproven::Hangs => "PRE_VALIDATION",
                    Unproven::Fails => "FAILED",
                };
                order.decided = Some(word.to_owned());
                word.to_owned()
            }
            None if !after(order.at, behaviour.issued_after) => "KEY_VALIDATION".to_owned(),
            // DNS has not been asked yet.
            None if behaviour.caa != CaaCheck::Off && order.caa.is_none() => {
                "KEY_VALIDATION".to_owned()
            }
            None if matches!(order.caa, Some(Err(_))) => {
                order.decided = Some("FAILED".to_owned());
                "FAILED".to_owned()
            }
            None if order.product["authorization"] == true => "PENDING_AUTH".to_owned(),
            None => behaviour.orders_become.clone(),
        };
        if status == "ISSUED" {
            match issue(&self.authority, order, behaviour, now) {
                Ok(der) => order.issued = Some((der, now)),
                Err(_) => "FAILED".clone_into(&mut status),
            }
            if behaviour.revoked_at_once {
                order.revoked = Some(Revoked {
                    at: now,
                    reason: "UNUSED".to_owned(),
                    requestor: None,
                });
            }
        }
        status
    }

    /// The order as the API shows it.
    pub(super) fn view(&self, order: &Order, status: &str, behaviour: &Behaviour) -> Value {
        let mut view = json!({
            "uuid": order.reference,
            "createdOn": order.at.to_string(),
            "status": behaviour.status_word(status),
            "clientReference": order.client,
            "productReference": order.product["uuid"],
            "tags": order.tags,
            "additionalRecipients": [],
            "issuedBy": "ra@example.test",
        });
        if let Some((der, _)) = &order.issued
            && let Ok(sight) = Sight::of(der)
        {
            let at = |seconds: i64| {
                Timestamp::from_second(seconds)
                    .unwrap_or(Timestamp::MAX)
                    .to_string()
            };
            view["certificate"] = json!({
                "subject": format!("CN={}", sight.names.first().map_or("", String::as_str)),
                "issuer": sight.issuer,
                "serial": hex(&order.serial),
                "startValidity": at(sight.not_after - behaviour.certificate_life),
                "endValidity": at(sight.not_after),
                "certificate": STANDARD.encode(der),
            });
            if let Some(revoked) = order.revoked.as_ref().filter(|_| status == "REVOKED") {
                view["certificate"]["revocationStatus"] = json!({
                    "revokedOn": revoked.at.to_string(),
                    "reason": revoked.reason,
                    "revokedBy": "ra@example.test",
                    "revocationRequestor": revoked.requestor,
                });
            }
        }
        view
    }

    pub(super) fn seen(&self, order: &Order, status: &str) -> OrderView {
        OrderView {
            reference: order.reference.clone(),
            status: status.to_owned(),
            tags: order.tags.clone(),
            names: order.csr.names().to_vec(),
            serial: order.issued.as_ref().map(|_| hex(&order.serial)),
            revocation_requestor: order
                .revoked
                .as_ref()
                .and_then(|revoked| revoked.requestor.clone()),
        }
    }

    /// Certificate and chain, in the order and the form that are switched on.
    pub(super) fn chain(
        &mut self,
        reference: &str,
        behaviour: &Behaviour,
    ) -> Result<Value, Refused> {
        let order = self.order(reference)?;
        let Some((leaf, _)) = &order.issued else {
            return Err(Refused::order("0226", "The certificate is not issued yet"));
        };
        let mut chain = vec![leaf.clone(), self.authority.intermediate()];
        if behaviour.chain_has_root {
            chain.push(self.authority.root());
        }
        match behaviour.chain_order {
            ChainOrder::LeafFirst => {}
            ChainOrder::RootFirst => chain.reverse(),
            ChainOrder::Any => chain.shuffle(&mut self.rng),
        }
        let entries = chain.iter().map(|der| {
            if behaviour.chain_in_pem {
                pem(der)
            } else {
                STANDARD.encode(der)
            }
        });
        Ok(json!(entries.collect::<Vec<_>>()))
    }

    /// What the tasks of an order say.
    pub(super) fn tasks(
        &mut self,
        reference: &str,
        status: &str,
        unproven: Option<&str>,
    ) -> Result<Value, Refused> {
        let order = self.order(reference)?;
        let refused = order.caa.clone().and_then(Result::err);
        let at = order.at.to_string();
        let mut task = |kind: &str, state: &str, error: Option<String>| {
            let uuid = uuid::Builder::from_random_bytes(self.rng.random()).into_uuid();
            json!({
                "uuid": format!("job-{uuid}"), "type": kind, "status": state,
                "numberOfExecutions": 1, "timeCreated": at, "timeStarted": at,
                "response": null, "error": error,
            })
        };
        let mut tasks = vec![task("ISSUE_SUBMIT_CERTIFICATE_ORDER_JOB", "SUCCESS", None)];
        let why = unproven.map(|name| format!("Domain owner check failed for {name}"));
        tasks.extend(match (status, why) {
            ("PRE_VALIDATION", why) => Some(task(
                "ISSUE_DOMAIN_OWNER_CHECK_VALIDATION_JOB",
                "RETRY",
                why,
            )),
            ("FAILED", None) if refused.is_some() => {
                Some(task("ISSUE_CAA_CHECK_JOB", "FAILED", refused))
            }
            ("FAILED", why) => {
                let why =
                    why.unwrap_or_else(|| "Linting failed: the sandbox was told so".to_owned());
                Some(task("ISSUE_PRE_LINTING_JOB", "FAILED", Some(why)))
            }
            ("REJECTED", _) => {
                let why = "Rejected by the RA officer".to_owned();
                Some(task("ISSUE_AUTHORIZATION_JOB", "FAILED", Some(why)))
            }
            ("PENDING_AUTH", _) => Some(task("ISSUE_AUTHORIZATION_JOB", "WAITING", None)),
            _ => None,
        });
        Ok(json!(tasks))
    }

    /// References of the orders that a search finds, newest first.
    pub(super) fn search(
        &mut self,
        wanted: &Value,
        behaviour: &Behaviour,
        now: Timestamp,
    ) -> Vec<String> {
        let texts = |key: &str| -> Vec<String> {
            let list = wanted[key].as_array();
            let texts = list.into_iter().flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        let (clients, tags) = (texts("clientReferences"), texts("tags"));
        let fits = |order: &&Order| {
            let is_tagged = tags.iter().any(|tag| {
                order.tags.iter().any(|own| {
                    own == tag
                        || (!behaviour.tags_are_exact
                            && own[..own.len().min(12)] == tag[..tag.len().min(12)])
                })
            });
            let shown = now.duration_since(order.at)
                >= SignedDuration::from_secs(behaviour.tags_found_after);
            let serial = wanted["serialNumber"].as_str();
            (clients.is_empty() || clients.contains(&order.client))
                && (tags.is_empty() || (is_tagged && shown))
                && wanted["orderReference"]
                    .as_str()
                    .is_none_or(|one| order.reference == one)
                && serial.is_none_or(|one| {
                    one.trim_start_matches('0')
                        .eq_ignore_ascii_case(&hex(&order.serial))
                })
        };
        let found = self.orders.values().rev().filter(fits);
        let mut found: Vec<_> = found.map(|order| order.reference.clone()).collect();
        if behaviour.shuffled {
            found.shuffle(&mut self.rng);
        }
        found
    }

    /// The revocation of a certificate, by serial number and issuer.
    pub(super) fn revoke(
        &mut self,
        request: &Value,
        behaviour: &Behaviour,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let text = |key: &str| request[key].as_str().unwrap_or_default().trim();
        let wanted = text("serialNumber").trim_start_matches('0');
        let order = self.orders.values_mut().find(|order| {
            order.issued.is_some() && hex(&order.serial).eq_ignore_ascii_case(wanted)
        });
        let order =
            order.ok_or_else(|| Refused::order("0230", format!("No certificate {wanted}")))?;
        let issuer = order
            .issued
            .as_ref()
            .and_then(|(der, _)| Sight::of(der).ok());
        if issuer.is_none_or(|sight| sight.issuer != text("issuerName")) {
            return Err(Refused::order("0238", "The issuer is another one"));
        }
        let reasons = [
            "UNUSED",
            "KEY_COMPROMISE",
            "AFFILIATION_CHANGED",
            "SUPERSEDED",
            "CESSATION_OF_OPERATION",
        ];
        if !reasons.contains(&text("revocationReason")) {
            return Err(Refused::order(
                "0226",
                "The revocation reason is not allowed",
            ));
        }
        if behaviour.wants_requestor && text("revocationRequestor").is_empty() {
            return Err(Refused::order("0226", "revocationRequestor must be used"));
        }
        if order.revoked.is_some() {
            return Err(Refused::order("0233", "The certificate is already revoked"));
        }
        order.revoked = Some(Revoked {
            at: now,
            reason: text("revocationReason").to_owned(),
            requestor: request["revocationRequestor"].as_str().map(str::to_owned),
        });
        Ok(())
    }

    pub(super) fn set_tags(&mut self, reference: &str, tags: Vec<String>) {
        if let Some(order) = self.order_mut(reference) {
            order.tags = tags;
        }
    }
}

fn issue(
    authority: &Authority,
    order: &Order,
    behaviour: &Behaviour,
    now: Timestamp,
) -> Result<Vec<u8>, String> {
    let mut names = order.csr.names().to_vec();
    if behaviour.leaves_a_name_out {
        names.pop();
    }
    let contents = Contents {
        common_name: order
            .csr
            .common_name()
            .map(str::to_owned)
            .or_else(|| names.first().cloned()),
        names,
        mailboxes: order.csr.mailboxes().to_vec(),
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

pub(super) fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = (0..text.len())
        .step_by(64)
        .map(|at| &text[at..text.len().min(at + 64)])
        .collect();
    let body = lines.join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}
