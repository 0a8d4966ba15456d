//! Finding the organisation that a person means: by its id, or by its name.

use serde_json::Value;

use super::Sectigo;
use super::error::Endpoint;
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Kind};
use crate::ca::json;
use crate::ca::selector::{self, Found};
use crate::ca::{CaError, Client, ClientSelector, Failure};

const HINT: &str = "The id of an organisation is a number; SCM shows it under Organizations.";

impl Sectigo {
    pub(super) async fn organisation(&self, selector: &ClientSelector) -> Result<Client, CaError> {
        match selector {
            ClientSelector::Reference(id) => self.organisation_by_id(id).await,
            ClientSelector::Name(name) => self.organisation_by_name(name).await,
        }
    }

    async fn organisation_by_id(&self, id: &str) -> Result<Client, CaError> {
        let path = ["organization", "v1", id];
        let call = Call::new(Kind::Read, "read organisation", clean(id), &path).by_get();
        if !is_id(id) {
            let why = "the id of an organisation is a number";
            let error = self.http.error(Failure::Refused, &call, why);
            return Err(error.with_hint("Give the organisation's name instead."));
        }
        let answer = self.call(Endpoint::Organisation, &call).await;
        let answer = answer.map_err(|error| match error.failure {
            Failure::NotFound | Failure::Refused => error.with_hint(HINT),
            _ => error,
        })?;
        let read = self.json(&call, &answer)?;
        organisation(&read.value)
            .filter(|found| found.reference == id)
            .ok_or_else(|| {
                let why = "the answer is about no organisation of this id";
                self.http.error(Failure::Malformed, &call, why)
            })
    }

    /// Every organisation that the account sees.
    pub(super) async fn organisations(&self) -> Result<Vec<Client>, CaError> {
        let path = ["organization", "v1"];
        let call = Call::new(
            Kind::Read,
            "list the organisations of",
            "the account",
            &path,
        );
        self.listed(&call.by_get()).await
    }

    async fn listed(&self, call: &Call<'_>) -> Result<Vec<Client>, CaError> {
        let answer = self.call(Endpoint::Organisation, call).await?;
        if !answer.is_json() {
            return Err(self.http.no_json(call, &answer));
        }
        let entries =
            json::elements(answer.body.as_bytes()).map_err(|_| self.http.no_json(call, &answer))?;
        let found = entries
            .iter()
            .filter_map(|entry| organisation(&json::read(entry).ok()?.value))
            .collect();
        Ok(found)
    }

    async fn organisation_by_name(&self, name: &str) -> Result<Client, CaError> {
        let path = ["organization", "v1"];
        let subject = format!("`{}`", clean(name));
        let call = Call::new(Kind::Read, "find organisation", subject, &path).by_get();
        let found = self.listed(&call).await?;
        match selector::choose(name, found) {
            Found::One(one) => Ok(one),
            Found::None { near } => {
                let why = format!("no organisation of this name is visible{near}");
                let error = self.http.error(Failure::NotFound, &call, &why);
                Err(error
                    .with_hint("Write the exact name; `?` matches one character, `*` any number."))
            }
            Found::Several(why) => {
                let error = self.http.error(Failure::Refused, &call, &why);
                Err(error.with_hint("Give the id of the one you mean as `reference`."))
            }
        }
    }
}

/// What may be in a path as the id of an organisation.
pub(super) fn is_id(text: &str) -> bool {
    (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn organisation(value: &Value) -> Option<Client> {
    let reference = match value.get("id")? {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let name = value.get("name").and_then(Value::as_str);
    is_id(&reference).then(|| Client {
        reference,
        name: name.unwrap_or_default().to_owned(),
    })
}
