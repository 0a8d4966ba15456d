//! The contact of an order: found by its data, made once.

use serde_json::{Value, json};

use super::{InterNetX, wire};
use crate::ca::http::redact::{REDACTED, clean};
use crate::ca::http::{Body, Call, Kind};
use crate::ca::issuing::Contact;
use crate::ca::{CaError, Failure};

/// Data by which no contact is found, and what the configuration calls them.
const DATA: [(&str, &str); 5] = [
    ("phone", "phone"),
    ("address", "address"),
    ("pcode", "postal_code"),
    ("city", "city"),
    ("country", "country"),
];

/// The last digits of a telephone number, without those of a country.
const DIGITS: usize = 8;

impl InterNetX {
    /// The number of the contact with these data, which is made if there is none. Nothing of an order
    /// has been sent yet, so an answer that was lost is searched for at the next try.
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
        let mut call = Call::new(Kind::Read, "search for the contact", subject, &path);
        let keys = ["fname", "lname", "organization", "email"].into_iter();
        let keys = keys.chain(DATA.map(|(key, _)| key));
        call.query = keys.map(|key| ("keys[]", key.to_owned())).collect();
        let filter =
            |key: &str, value: &str| json!({"key": key, "value": value, "operator": "EQUAL"});
        call.body = Body::Json(json!({
            "filters": [filter("email", &contact.email), filter("lname", &contact.last_name)],
        }));
        let found = self.call(&call).await?;
        let known = best(&found.data, contact);
        Ok(known.map(|(id, others)| {
            if !others.is_empty() {
                tracing::warn!(
                    ca = self.http.ca,
                    contact = id,
                    differs = others.join(", "),
                    "the CA has other data of the contact than the configuration, and orders go \
                     on with those of the CA: change the contact there"
                );
            }
            id.to_string()
        }))
    }
}

/// The contact of this person with the fewest data that are others than ours, and which these are.
fn best(rows: &[Value], contact: &Contact) -> Option<(u64, Vec<&'static str>)> {
    let rows = rows.iter().filter(|row| is_same(row, contact));
    let known = rows.filter_map(|row| {
        let id = row.get("id").and_then(wire::id)?.parse().ok()?;
        Some((id, others(row, contact)))
    });
    known.min_by_key(|(id, others)| (others.len(), *id))
}

/// The names of a contact's data that differ between the configuration and the CA. Data that the
/// row does not show, or that were struck out of it, count as equal.
fn others(row: &Value, contact: &Contact) -> Vec<&'static str> {
    let sent = written(contact);
    let differs = |(key, name): (&str, &'static str)| {
        let (ours, shown) = (plain(&sent[key]), plain(&row[key]));
        let is_known = !shown.is_empty() && !shown.contains(&letters(REDACTED));
        let differs = match key {
            // Countries and areas are written in several ways.
            "phone" => !ends_alike(&ours, &shown),
            _ => ours != shown,
        };
        (is_known && differs).then_some(name)
    };
    DATA.into_iter().filter_map(differs).collect()
}

/// A text, or the lines of an address, as letters and digits in lower case.
fn plain(value: &Value) -> String {
    let lines = value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice);
    lines
        .iter()
        .filter_map(Value::as_str)
        .map(letters)
        .collect()
}

fn letters(text: &str) -> String {
    let kept = text.chars().filter(|c| c.is_alphanumeric());
    kept.flat_map(char::to_lowercase).collect()
}

/// Whether two telephone numbers end with the same digits, as many as both must have.
fn ends_alike(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let count = one.len().min(other.len()).min(DIGITS);
    one[one.len() - count..] == other[other.len() - count..]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn petra() -> Contact {
        Contact {
            name: "pki".to_owned(),
            first_name: "Petra".to_owned(),
            last_name: "Muster".to_owned(),
            organization: None,
            address: vec!["Beispielweg 1".to_owned(), "3rd floor".to_owned()],
            postal_code: "8000".to_owned(),
            city: "Zürich".to_owned(),
            country: "CH".to_owned(),
            phone: "+41-44-0000000".to_owned(),
            email: "pki@example.test".to_owned(),
        }
    }

    #[test]
    fn data_that_the_ca_has_otherwise_are_named_and_others_not() {
        for (row, expected) in [
            (json!({"id": 1}), &[][..]),
            (json!({"phone": "0041 44 000 00 00"}), &[]),
            (json!({"phone": "[REDACTED]"}), &[]),
            (json!({"phone": null, "address": []}), &[]),
            (json!({"phone": "+41-44-1111111"}), &["phone"]),
            (json!({"address": ["Beispielweg 1, 3rd Floor"]}), &[]),
            (
                json!({"address": ["Other 2"], "city": "Bern", "country": "ch"}),
                &["address", "city"],
            ),
        ] {
            assert_eq!(others(&row, &petra()), expected, "{row}");
        }
    }

    #[test]
    fn of_two_contacts_of_a_person_the_one_with_our_data_is_taken() {
        let rows = [
            json!({"id": 1, "phone": "+41-44-1111111"}),
            json!({"id": 2, "phone": "+41-44-0000000"}),
            json!({"id": 3, "phone": "+41-44-0000000"}),
            json!({"id": 4, "email": "other@example.test"}),
        ];
        assert_eq!(best(&rows, &petra()), Some((2, Vec::new())));
        assert_eq!(best(&rows[..1], &petra()), Some((1, vec!["phone"])));
        assert_eq!(best(&rows[3..], &petra()), None);
    }
}
