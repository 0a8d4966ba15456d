//! The contact of an order: found by its data, made once.

use serde_json::{Value, json};

use super::{InterNetX, wire};
use crate::ca::http::redact::clean;
use crate::ca::http::{Body, Call, Kind};
use crate::ca::issuing::Contact;
use crate::ca::{CaError, Failure};

impl InterNetX {
    /// The number of the contact with these data, which is made if there is none. Nothing of an order
    /// has been sent yet, so an answer that was lost is looked for at the next try.
    pub(super) async fn contact(&self, contact: &Contact) -> Result<String, CaError> {
        self.http.redactor.learn_number(&contact.phone);
        let _one_by_one = self.contacts.lock().await;
        if let Some(found) = self.known_contact(contact).await? {
            return Ok(found);
        }
        let path = ["sslcontact"];
        let subject = format!("`{}`", clean(&contact.name));
        let mut call = Call::new(Kind::Effect, "make the contact", subject, &path);
        call.body = Body::Json(written(contact));
        let made = self.call(&call).await.map_err(|mut error| {
            if error.outcome_unknown() {
                error.failure = Failure::Unavailable;
            }
            error
        })?;
        let id = made
            .data
            .first()
            .and_then(|one| one.get("id"))
            .and_then(wire::id);
        let id = id.or_else(|| made.whole.pointer("/object/value").and_then(wire::id));
        id.ok_or_else(|| {
            let why = "the answer names no contact";
            self.http.error(Failure::Unavailable, &call, why)
        })
    }

    async fn known_contact(&self, contact: &Contact) -> Result<Option<String>, CaError> {
        let path = ["sslcontact", "_search"];
        let subject = format!("`{}`", clean(&contact.name));
        let mut call = Call::new(Kind::Read, "look for the contact", subject, &path);
        let keys = ["fname", "lname", "organization", "email"];
        call.query = keys
            .iter()
            .map(|key| ("keys[]", (*key).to_owned()))
            .collect();
        let filter =
            |key: &str, value: &str| json!({"key": key, "value": value, "operator": "EQUAL"});
        call.body = Body::Json(json!({
            "filters": [filter("email", &contact.email), filter("lname", &contact.last_name)],
        }));
        let found = self.call(&call).await?;
        let mut ids: Vec<u64> = found
            .data
            .iter()
            .filter(|row| is_same(row, contact))
            .filter_map(|row| row.get("id").and_then(wire::id)?.parse().ok())
            .collect();
        ids.sort_unstable();
        Ok(ids.first().map(u64::to_string))
    }
}

/// Whether a row is about this person. What a short row does not show does not speak against it.
fn is_same(row: &Value, contact: &Contact) -> bool {
    let same = |key: &str, wanted: &str| match row.get(key).and_then(Value::as_str) {
        Some(text) => text.trim().to_lowercase() == wanted.trim().to_lowercase(),
        None => true,
    };
    same("email", &contact.email)
        && same("fname", &contact.first_name)
        && same("lname", &contact.last_name)
        && same(
            "organization",
            contact.organization.as_deref().unwrap_or_default(),
        )
}

/// A contact as it is sent; what is not there is left out.
fn written(contact: &Contact) -> Value {
    let mut sent = json!({
        "fname": contact.first_name,
        "lname": contact.last_name,
        "address": contact.address,
        "pcode": contact.postal_code,
        "city": contact.city,
        "country": contact.country,
        "phone": contact.phone,
        "email": contact.email,
    });
    if let Some(organization) = &contact.organization {
        sent["organization"] = json!(organization);
    }
    sent
}
