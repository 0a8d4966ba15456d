//! Contacts: made without a check of those that are there, found by filters.

use serde_json::{Value, json};

use super::Shared;
use super::asked::{Answer, Refused};

/// Makes a contact.
pub(super) fn make(shared: &Shared, body: &Value) -> Answer {
    let needed = [
        "fname", "lname", "pcode", "city", "country", "phone", "email",
    ];
    let missing = needed
        .iter()
        .find(|key| body[**key].as_str().is_none_or(str::is_empty));
    if let Some(key) = missing {
        // It repeats what it was sent, and writes a number in its own way.
        let phone = body["phone"].as_str().unwrap_or_default();
        let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
        let text = format!("{key} fehlt, Telefon {phone}, {digits}");
        return Err(Refused::new(400, "EF4002001", text));
    }
    if !body["address"].is_array() {
        return Err(Refused::new(400, "EF4002001", "address fehlt"));
    }
    let mut state = shared.state();
    let id = 1000 + state.book.contacts.len() as u64;
    state.book.contacts.insert(id, body.clone());
    Ok(vec![json!({"id": id})])
}

/// The filters of a search, which know some keys only.
fn filters<'a>(body: &'a Value, known: &[&str]) -> Result<Vec<(&'a str, &'a str)>, Refused> {
    let filters = body["filters"].as_array().into_iter().flatten();
    let read = filters.map(|filter| {
        let key = filter["key"].as_str().unwrap_or_default();
        if !known.contains(&key) {
            let text = format!("Der Schluessel {key} ist nicht erlaubt");
            return Err(Refused::new(400, "EF00022", text));
        }
        Ok((key, filter["value"].as_str().unwrap_or_default()))
    });
    read.collect()
}

/// The contacts that fit the filters, in short rows.
pub(super) fn search(shared: &Shared, body: &Value) -> Answer {
    let known = [
        "email",
        "lname",
        "fname",
        "organization",
        "city",
        "country",
        "id",
    ];
    let filters = filters(body, &known)?;
    let state = shared.state();
    let found = state
        .book
        .contacts
        .iter()
        .filter(|(_, contact)| filters.iter().all(|(key, value)| contact[*key] == **value));
    let rows = found.map(|(id, contact)| {
        json!({"id": id, "fname": contact["fname"], "lname": contact["lname"],
            "organization": contact["organization"], "email": contact["email"],
            "phone": contact["phone"], "address": contact["address"],
            "pcode": contact["pcode"], "city": contact["city"], "country": contact["country"]})
    });
    Ok(rows.collect())
}
