//! Certificate profiles ("types") of an organisation, and the customer's own fields.

use serde_json::Value;

use super::super::Sectigo;
use super::super::error::Endpoint;
use super::wire;
use crate::ca::csr::KeyKind;
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Kind};
use crate::ca::issuing::{Field, Intent, Product, Subject};
use crate::ca::{CaError, Failure};

/// A profile.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub(super) id: String,
    name: String,
    value: Value,
}

impl Sectigo {
    /// The profiles of an organisation.
    pub(super) async fn profiles(&self, client: &str) -> Result<Vec<Profile>, CaError> {
        let path = ["ssl", "v1", "types"];
        let verb = "read the products of organisation";
        let mut call = Call::new(Kind::Read, verb, clean(client), &path).by_get();
        self.check(client, &call)?;
        call.query = vec![("organizationId", client.to_owned())];
        let answer = self.call(Endpoint::Ssl, &call).await?;
        let value = self.json(&call, &answer)?.value;
        let Value::Array(entries) = value else {
            return Err(self.http.no_json(&call, &answer));
        };
        let profiles = entries.into_iter().filter_map(|value| {
            let id = value.get("id").and_then(wire::id)?;
            let name = value.get("name").and_then(Value::as_str);
            Some(Profile {
                id,
                name: name.map(clean).unwrap_or_default(),
                value,
            })
        });
        Ok(profiles.collect())
    }

    /// The fields that an order may carry.
    pub(super) async fn custom_fields(&self) -> Result<Vec<Field>, CaError> {
        let path = ["ssl", "v1", "customFields"];
        let call = Call::new(Kind::Read, "read the fields of", "orders", &path).by_get();
        let answer = match self.call(Endpoint::Ssl, &call).await {
            Ok(answer) => answer,
            // An administrator without this right orders all the same; SCM names what is missing.
            Err(error) if matches!(error.failure, Failure::Forbidden | Failure::NotFound) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let value = self.json(&call, &answer)?.value;
        let fields = value.as_array().into_iter().flatten().filter_map(|field| {
            let mandatory = field.get("mandatory").and_then(Value::as_bool);
            Some(Field {
                name: clean(field.get("name")?.as_str()?),
                mandatory: mandatory == Some(true),
            })
        });
        Ok(fields.collect())
    }

    /// The profile of an order, by its id or its exact name.
    pub(super) async fn profile(&self, intent: &Intent) -> Result<Profile, CaError> {
        let profiles = self.profiles(&intent.client).await?;
        let wanted = intent.product.trim();
        let found = profiles.iter().find(|one| one.id == wanted);
        let found = found.or_else(|| profiles.iter().find(|one| one.name == wanted));
        if let Some(found) = found {
            return Ok(found.clone());
        }
        let all: Vec<_> = profiles
            .iter()
            .map(|one| format!("{} ({})", one.name, one.id))
            .collect();
        let subject = format!("`{}`", clean(wanted));
        let call = Call::new(Kind::Read, "find the product", subject, &[]);
        let why = format!(
            "organisation {} may not order it; it may order: {}",
            intent.client,
            all.join(", ")
        );
        let error = self.http.error(Failure::Refused, &call, &why);
        Err(error.with_hint("Give the exact name of the certificate profile, or its number."))
    }
}

impl Profile {
    pub(super) fn product(&self) -> Product {
        let description = self.value.get("description").and_then(Value::as_str);
        Product {
            reference: self.id.clone(),
            name: self.name.clone(),
            description: description.filter(|text| !text.is_empty()).map(clean),
            terms: self.terms().map(|term| format!("{term} days")).collect(),
            keys: self.keys(),
            ..Product::default()
        }
    }

    /// The field is `terms`; some documents write `term`.
    fn terms(&self) -> impl Iterator<Item = u32> {
        let terms = ["terms", "term"]
            .iter()
            .filter_map(|key| self.value.get(key));
        let terms = terms.flat_map(|terms| match terms {
            Value::Array(terms) => terms.clone(),
            one => vec![one.clone()],
        });
        terms.filter_map(|term| term.as_u64().and_then(|term| u32::try_from(term).ok()))
    }

    pub(super) fn longest_term(&self) -> Option<u32> {
        self.terms().max()
    }

    fn keys(&self) -> Vec<String> {
        let types = self.value.get("keyTypes").and_then(Value::as_object);
        let sizes = |sizes: &Value| -> Vec<String> {
            let sizes = sizes.as_array().cloned().unwrap_or_default();
            let text = |size: &Value| size.as_str().map_or_else(|| size.to_string(), clean);
            sizes.iter().map(text).collect()
        };
        types
            .into_iter()
            .flatten()
            .map(|(name, found)| format!("{} {}", clean(name), sizes(found).join("/")))
            .collect()
    }

    /// All faults of an order.
    pub(super) fn faults(&self, intent: &Intent) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(term) = intent.term
            && self.terms().next().is_some()
            && !self.terms().any(|known| known == term)
        {
            let known: Vec<_> = self.terms().map(|term| term.to_string()).collect();
            faults.push(format!(
                "the product `{}` has no term of {term} days; it has {}",
                self.name,
                known.join(", ")
            ));
        }
        if let Some(types) = self.value.get("keyTypes").and_then(Value::as_object)
            && !types.is_empty()
        {
            let sizes = |name: &str| types.get(name).map(Value::to_string);
            let fits = match intent.csr.key() {
                KeyKind::Rsa(bits) => {
                    sizes("RSA").is_some_and(|all| all.contains(&bits.to_string()))
                }
                KeyKind::P256 => sizes("EC").is_some_and(|all| all.contains("256") || all == "[]"),
                KeyKind::P384 => sizes("EC").is_some_and(|all| all.contains("384") || all == "[]"),
                KeyKind::Other => false,
            };
            if !fits {
                faults.push(format!(
                    "the product `{}` takes keys of the types {}",
                    self.name,
                    self.keys().join(", ")
                ));
            }
        }
        if matches!(intent.subject, Subject::Mailbox { .. }) {
            faults.push("certificates for mailboxes are not ordered at this CA".to_owned());
        }
        faults
    }
}
