//! Products of the account, the customer's own fields, and what can be checked of an order for free.

use jiff::Timestamp;
use serde_json::Value;

use super::super::DigiCert;
use super::super::entry::{moment, number};
use super::wire::is_dv_product;
use crate::ca::csr::KeyKind;
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Kind};
use crate::ca::issuing::{Field, Intent, Product, Subject};
use crate::ca::json;
use crate::ca::{CaError, Failure};

/// The hash that a request is signed with where the product does not say.
const USUAL_HASH: &str = "sha256";

/// A product: a row of `GET /product`, or all of it by `GET /product/{name_id}`.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) id: String,
    name: String,
    value: Value,
}

/// A field of the customer's own.
pub(super) struct Metadata {
    pub(super) id: String,
    pub(super) field: Field,
}

impl Offer {
    fn of(value: Value) -> Option<Self> {
        let id = value["name_id"].as_str().filter(|id| !id.is_empty())?;
        let name = value["name"].as_str().unwrap_or(id);
        Some(Self {
            id: id.to_owned(),
            name: clean(name),
            value,
        })
    }

    fn text(&self, key: &str) -> String {
        let text = self.value[key].as_str().unwrap_or_default();
        text.to_ascii_lowercase()
    }

    pub(super) fn is_dv(&self) -> bool {
        is_dv_product(
            &self.text("validation_type"),
            &[&self.text("type"), &self.text("group_name")],
            &[&self.id.to_ascii_lowercase()],
        )
    }

    fn is_ev(&self) -> bool {
        self.text("validation_type") == "ev" || self.id.contains("_ev_") || self.id.ends_with("_ev")
    }

    /// The type of validation that the organisation must have.
    fn validation(&self) -> Option<&'static str> {
        match (self.is_dv(), self.is_ev()) {
            (true, _) => None,
            (_, true) => Some("ev"),
            _ => Some("ov"),
        }
    }

    /// What `signature_hash` must say.
    pub(super) fn hash(&self) -> String {
        let hash = self
            .value
            .pointer("/signature_hash_types/default_hash_type_id");
        let hash = hash.and_then(Value::as_str);
        hash.unwrap_or(USUAL_HASH).to_owned()
    }

    /// Years for which an order may be made; they are numbers or texts.
    fn years(&self) -> Vec<u32> {
        let keys = ["allowed_order_validity_years", "allowed_validity_years"];
        let list = keys.iter().find_map(|key| self.value[*key].as_array());
        let year = |value: &Value| number(value)?.parse().ok();
        list.into_iter().flatten().filter_map(year).collect()
    }

    pub(super) fn product(&self) -> Product {
        let (group, kind) = (self.text("group_name"), self.text("type"));
        let is_for_hosts = group.contains("ssl") || kind.contains("ssl");
        // `term` is in days, and so is what an order says.
        let terms = self.years().into_iter();
        let terms = terms.map(|years| format!("up to {} days", years.saturating_mul(365)));
        let mut warnings = Vec::new();
        if self.is_ev() {
            let words = "the order needs contacts of the organisation that are verified for EV";
            warnings.push(words.to_owned());
        }
        Product {
            reference: self.id.clone(),
            name: self.name.clone(),
            terms: terms.collect(),
            brings_records: self.is_dv(),
            warnings,
            refusal: (!is_for_hosts).then(|| "it is not for host names".to_owned()),
            ..Product::default()
        }
    }

    /// All faults of an order.
    pub(super) fn faults(&self, intent: &Intent) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(why) = self.product().refusal {
            faults.push(format!(
                "the product `{}` cannot be ordered: {why}",
                self.name
            ));
        }
        if matches!(intent.subject, Subject::Mailbox { .. }) {
            faults.push("certificates for mailboxes are not ordered at this CA".to_owned());
        }
        match intent.csr.key() {
            KeyKind::Rsa(bits) if bits < 2048 => {
                faults.push(format!(
                    "the RSA key has {bits} bits, and DigiCert takes 2048 or more"
                ));
            }
            KeyKind::Other => {
                faults.push("the key is neither RSA nor ECDSA on P-256 or P-384".to_owned());
            }
            _ => {}
        }
        let most = self.years().into_iter().max();
        if let (Some(term), Some(most)) = (intent.term, most)
            && term > most.saturating_mul(366)
        {
            faults.push(format!(
                "`term` is longer than the product allows, {} days",
                most.saturating_mul(366)
            ));
        }
        let takes_more = self.value["additional_dns_names_allowed"].as_bool();
        if takes_more == Some(false) && !is_one_host(intent.subject.names()) {
            faults.push(format!("the product `{}` takes one name", self.name));
        }
        faults
    }
}

/// Whether a product is meant by DigiCert's key for it, which the rehearsal has found.
pub(super) fn is_name_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    !text.is_empty() && text.bytes().all(plain)
}

/// Whether the names are one host, with `www.` and without.
fn is_one_host(names: &[String]) -> bool {
    let bare = |name: &String| name.strip_prefix("www.").unwrap_or(name).to_owned();
    let first = names.first().map(bare);
    names.iter().all(|name| Some(bare(name)) == first)
}

impl DigiCert {
    /// The products that the account may order.
    pub(super) async fn offers(&self) -> Result<Vec<Offer>, CaError> {
        let path = ["product"];
        let call = Call::new(Kind::Read, "read the products of", "the account", &path).by_get();
        let answer = self.order_call(&call).await?;
        if !answer.is_json() {
            return Err(self.http.no_json(&call, &answer));
        }
        let rows = json::elements_of(answer.body.as_bytes(), "products")
            .map_err(|_| self.http.no_json(&call, &answer))?;
        let read = |row: &Vec<u8>| Offer::of(json::read(row).ok()?.value);
        Ok(rows.iter().filter_map(read).collect())
    }

    /// The product of an order by its exact name or its `name_id`, with all that DigiCert says of it.
    pub(super) async fn offer(&self, intent: &Intent) -> Result<Offer, CaError> {
        let offers = self.offers().await?;
        let wanted = intent.product.trim();
        let found = offers.iter().find(|one| one.id == wanted);
        let found = found.or_else(|| offers.iter().find(|one| one.name == wanted));
        if let Some(found) = found {
            return self.product_info(&found.id).await;
        }
        let all: Vec<_> = offers
            .iter()
            .map(|one| format!("{} ({})", one.name, one.id))
            .collect();
        let call = Call::new(
            Kind::Read,
            "find the product",
            format!("`{}`", clean(wanted)),
            &[],
        );
        let why = format!(
            "the account may not order it; it may order: {}",
            all.join(", ")
        );
        let error = self.http.error(Failure::Refused, &call, &why);
        Err(error.with_hint("Give the exact name of the product, or its `name_id`."))
    }

    /// All that DigiCert says of a product.
    pub(super) async fn product_info(&self, id: &str) -> Result<Offer, CaError> {
        let path = ["product", id];
        let call = Call::new(Kind::Read, "read product", clean(id), &path).by_get();
        let answer = self.order_call(&call).await?;
        let value = self.json(&call, &answer)?.value;
        Offer::of(value)
            .filter(|offer| offer.id == id)
            .ok_or_else(|| {
                let why = "the answer is about another product";
                self.http.error(Failure::Malformed, &call, why)
            })
    }

    /// The customer's own fields that an order must or may carry.
    pub(super) async fn metadata(&self) -> Result<Vec<Metadata>, CaError> {
        let path = ["account", "metadata"];
        let call = Call::new(Kind::Read, "read the fields of", "orders", &path).by_get();
        let answer = match self.order_call(&call).await {
            Ok(answer) => answer,
            // A key without this right orders all the same; DigiCert names what is missing.
            Err(error) if matches!(error.failure, Failure::Forbidden | Failure::NotFound) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let value = self.json(&call, &answer)?.value;
        let list = value["metadata"].as_array().cloned().unwrap_or_default();
        let is = |field: &Value, key: &str| field[key] == true || field[key] == "1";
        let active = list.iter().filter(|field| {
            field
                .get("is_active")
                .is_none_or(|_| is(field, "is_active"))
        });
        let one = |field: &Value| {
            Some(Metadata {
                id: number(&field["id"])?,
                field: Field {
                    name: clean(field["label"].as_str()?),
                    mandatory: is(field, "is_required"),
                },
            })
        };
        Ok(active.filter_map(one).collect())
    }

    /// Why the organisation is not validated for a product, by what DigiCert shows for free.
    pub(super) async fn lacks_validation(
        &self,
        client: &str,
        offer: &Offer,
        now: Timestamp,
    ) -> Result<Option<String>, CaError> {
        let Some(kind) = offer.validation() else {
            return Ok(None);
        };
        let path = ["organization", client, "validation"];
        let subject = format!("organisation {}", clean(client));
        let verb = "read the validations of";
        let call = Call::new(Kind::Read, verb, subject, &path).by_get();
        let answer = match self.order_call(&call).await {
            Ok(answer) => answer,
            Err(error) if matches!(error.failure, Failure::Forbidden | Failure::NotFound) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let value = self.json(&call, &answer)?.value;
        let Some(list) = value["validations"].as_array() else {
            return Ok(None);
        };
        let counts = |one: &Value| {
            let until = one["validated_until"].as_str().and_then(moment);
            let word = one["status"].as_str().unwrap_or("active");
            one["type"] == kind && word == "active" && until.is_none_or(|until| until > now)
        };
        Ok((!list.iter().any(counts)).then(|| {
            format!(
                "organisation {client} is not validated for `{kind}`: submit it in CertCentral, under Certificates > Organizations"
            )
        }))
    }
}
