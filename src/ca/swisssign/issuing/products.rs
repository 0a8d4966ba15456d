//! The products of a client: found by key or name, and what each asks of an order.

use jiff::Timestamp;
use serde_json::Value;

use super::super::wire::{date, is_reference};
use super::super::{SwissSign, error};
use crate::ca::csr::KeyKind;
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Kind};
use crate::ca::issuing::{Intent, Product};
use crate::ca::{CaError, Failure};

/// A product as the CA shows it.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) reference: String,
    value: Value,
}

impl SwissSign {
    /// The products of a client.
    pub(super) async fn known_products(&self, client: &str) -> Result<Vec<Known>, CaError> {
        let path = ["client", client];
        let call = Call::new(Kind::Read, "read the products of", clean(client), &path);
        self.check(client, "cli-", &call)?;
        let answer = self.call(&call).await?;
        let value = error::json(&self.http, &call, &answer)?.value;
        let listed = value.get("products").and_then(Value::as_array);
        let products = listed.into_iter().flatten().filter_map(|one| {
            let reference = one.get("uuid")?.as_str()?;
            (reference.starts_with("pma-") && is_reference(reference)).then(|| Known {
                reference: reference.to_owned(),
                value: one.clone(),
            })
        });
        Ok(products.collect())
    }

    /// The product of an order, by its key or its exact name.
    pub(super) async fn known_product(&self, intent: &Intent) -> Result<Known, CaError> {
        let products = self.known_products(&intent.client).await?;
        let wanted = intent.product.trim();
        let is_it =
            |one: &&Known| one.reference.eq_ignore_ascii_case(wanted) || one.name() == wanted;
        let mut found: Vec<_> = products.iter().filter(is_it).collect();
        if found.len() > 1 {
            // Of several with one name those that can still be ordered.
            let now = self.http.clock.now();
            found.retain(|one| one.product(None, now).refusal.is_none());
        }
        let path = ["client", intent.client.as_str()];
        let call = Call::new(
            Kind::Read,
            "find the product",
            format!("`{}`", clean(wanted)),
            &path,
        );
        let names = |found: &mut dyn Iterator<Item = &Known>| {
            let names = found.map(|one| format!("{} ({})", one.name(), one.reference));
            names.collect::<Vec<_>>().join(", ")
        };
        match found[..] {
            [one] => Ok(one.clone()),
            [] => {
                let all = names(&mut products.iter());
                let why = format!("the client may not order it; it may order: {all}");
                let error = self.http.error(Failure::Refused, &call, &why);
                Err(error.with_hint("Give the product's exact name, or its `pma-…`."))
            }
            _ => {
                let why = format!(
                    "several products have this name: {}",
                    names(&mut found.into_iter())
                );
                let error = self.http.error(Failure::Refused, &call, &why);
                Err(error.with_hint("Give the `pma-…` of the one you mean."))
            }
        }
    }
}

impl Known {
    /// A product of which only the key is known.
    pub(super) fn bare(reference: &str) -> Self {
        Self {
            reference: reference.to_owned(),
            value: Value::Null,
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        let text = self.value.get(key).and_then(Value::as_str);
        text.map(str::trim).filter(|text| !text.is_empty())
    }

    fn flag(&self, key: &str) -> bool {
        self.value.get(key).and_then(Value::as_bool) == Some(true)
    }

    /// The API's schema requires `name`, and its property is `productName`.
    fn name(&self) -> String {
        let name = self.text("productName").or_else(|| self.text("name"));
        name.map(clean).unwrap_or_default()
    }

    /// The product in this program's words, and whether an order can be made of it.
    pub(super) fn product(&self, intent: Option<&Intent>, now: Timestamp) -> Product {
        let warnings = [
            (
                "authorization",
                "each order waits until a person approves it in the CA's portal",
            ),
            (
                "isCABDNSEmailLinkValidationRequired",
                "each order waits until the domain's owner opens a link in a mail",
            ),
            (
                "isEmailBoxValidationRequired",
                "each order waits until the owner of the mailbox opens a link",
            ),
            (
                "requiresRegistrationDocuments",
                "each order needs documents, which are handed in by hand in the CA's portal",
            ),
        ];
        let warnings = warnings.iter().filter(|(flag, _)| self.flag(flag));
        let mut warnings: Vec<_> = warnings.map(|(_, words)| (*words).to_owned()).collect();
        if let (Some(intent), Some(wanted)) = (intent, self.text("keyType"))
            && !fits(intent.csr.key(), wanted)
        {
            // The rehearsal tells whether the CA takes it all the same.
            warnings.push(format!(
                "the product names keys of the type {}, and the request has {}",
                clean(wanted),
                words(intent.csr.key())
            ));
        }
        Product {
            brings_records: false,
            reference: self.reference.clone(),
            name: self.name(),
            description: self.text("productDescription").map(clean),
            terms: self.terms(),
            keys: self.text("keyType").map(clean).into_iter().collect(),
            fields: Vec::new(),
            warnings,
            refusal: self.refusal(now),
        }
    }

    fn refusal(&self, now: Timestamp) -> Option<String> {
        let mut faults = Vec::new();
        let name = self.name();
        let makes_key = self.text("keyGenerationType").unwrap_or("PKCS10");
        if !makes_key.to_ascii_uppercase().starts_with("PKCS10") {
            faults.push(format!(
                "the product `{name}` takes no request: the key is made by {}",
                clean(makes_key)
            ));
        }
        if let Some(ended) = self.text("expirationDate").and_then(date)
            && ended <= now
        {
            faults.push(format!("the product `{name}` is retired since {ended}"));
        }
        if self.flag("requiresRegistrationDocumentsOnRegister") {
            faults.push(format!(
                "the product `{name}` takes no order without documents; order it in the CA's portal"
            ));
        }
        (!faults.is_empty()).then(|| faults.join("; "))
    }

    fn terms(&self) -> Vec<String> {
        let Some(validity) = self.value.get("productValidity") else {
            return Vec::new();
        };
        let unit = validity.get("validityType").and_then(Value::as_str);
        let unit = unit.unwrap_or("").to_lowercase();
        let options = validity.get("validityOptions").and_then(Value::as_array);
        let numbers = options
            .into_iter()
            .flatten()
            .chain(validity.get("validity"));
        let mut numbers: Vec<_> = numbers.filter_map(Value::as_u64).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
            .iter()
            .map(|number| format!("{number} {unit}"))
            .collect()
    }

    /// A term in days in the unit of the product.
    pub(super) fn validity(&self, days: u32) -> Result<u32, String> {
        let unit = self.value.get("productValidity");
        let unit = unit.and_then(|validity| validity.get("validityType")?.as_str());
        let exact = |per: u32| days.is_multiple_of(per).then_some(days / per);
        let number = match unit.unwrap_or("DAYS").to_ascii_uppercase().as_str() {
            "YEARS" => exact(365),
            "MONTHS" => exact(365).map(|years| years * 12).or_else(|| exact(30)),
            "DAYS" => Some(days),
            "HOURS" => days.checked_mul(24),
            _ => None,
        };
        number.ok_or_else(|| {
            format!(
                "the product has no term of {days} days; it has: {}",
                self.terms().join(", ")
            )
        })
    }
}

/// Whether a key is of the type that a product names. The type of RSA is the least that it takes.
fn fits(key: KeyKind, wanted: &str) -> bool {
    let wanted = wanted.to_ascii_uppercase();
    match key {
        KeyKind::Rsa(bits) => match wanted.strip_prefix("RSA_") {
            Some(least) => least.parse().is_ok_and(|least: usize| bits >= least),
            None => !wanted.starts_with("EC"),
        },
        KeyKind::P256 => !wanted.starts_with("RSA") && !is_other_curve(&wanted, "SECP256R1"),
        KeyKind::P384 => !wanted.starts_with("RSA") && !is_other_curve(&wanted, "SECP384R1"),
        KeyKind::Other => false,
    }
}

fn is_other_curve(wanted: &str, curve: &str) -> bool {
    wanted.starts_with("EC_") && !wanted.ends_with(curve)
}

fn words(key: KeyKind) -> String {
    match key {
        KeyKind::Rsa(bits) => format!("an RSA key of {bits} bits"),
        KeyKind::P256 => "an ECDSA key on P-256".to_owned(),
        KeyKind::P384 => "an ECDSA key on P-384".to_owned(),
        KeyKind::Other => "a key of another kind".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn known(value: Value) -> Known {
        Known {
            reference: "pma-1".to_owned(),
            value,
        }
    }

    #[test]
    fn a_key_fits_the_type_that_the_product_names() {
        for (key, wanted, is_good) in [
            (KeyKind::Rsa(2048), "RSA_2048", true),
            (KeyKind::Rsa(4096), "RSA_2048", true),
            (KeyKind::Rsa(2048), "RSA_4096", false),
            (KeyKind::P256, "RSA_2048", false),
            (KeyKind::P256, "EC_secp256r1", true),
            (KeyKind::P384, "EC_secp256r1", false),
            (KeyKind::Rsa(2048), "EC_secp256r1", false),
            (KeyKind::P256, "", true),
        ] {
            assert_eq!(fits(key, wanted), is_good, "{key:?} {wanted}");
        }
    }

    #[test]
    fn a_term_is_put_in_the_unit_of_the_product() {
        let years = known(json!({"productValidity": {"validityType": "YEARS", "validity": 1}}));
        assert_eq!(years.validity(365).unwrap(), 1);
        assert!(years.validity(90).unwrap_err().contains("1 years"));
        assert_eq!(known(Value::Null).validity(90).unwrap(), 90);
    }

    #[test]
    fn a_retired_product_and_one_without_request_are_refused() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let retired =
            known(json!({"expirationDate": "2026-01-01T00:00:00Z", "productName": "Old"}));
        assert!(
            retired
                .product(None, now)
                .refusal
                .unwrap()
                .contains("retired")
        );
        let held = known(json!({"keyGenerationType": "PKCS12", "authorization": true}));
        let product = held.product(None, now);
        assert!(product.refusal.unwrap().contains("PKCS12"));
        assert_eq!(product.warnings.len(), 1);
        let both = known(json!({"keyGenerationType": "PKCS10or12withPIN"}));
        assert_eq!(both.product(None, now).refusal, None);
    }
}
