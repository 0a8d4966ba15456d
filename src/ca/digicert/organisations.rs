//! Finding the organisation that a person means: by its id, or by its name.

use serde_json::Value;

use super::DigiCert;
use super::entry::{is_id, number};
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Kind};
use crate::ca::json;
use crate::ca::selector::{self, Found};
use crate::ca::{CaError, Client, ClientSelector, Failure};

/// No account has this many organisations: a list that continues is answered wrongly.
const MOST_ROWS: usize = 50_000;

impl DigiCert {
    pub(super) async fn organisation(&self, selector: &ClientSelector) -> Result<Client, CaError> {
        let subject = format!("`{}`", clean(&selector.to_string()));
        let path = ["organization"];
        let call = Call::new(Kind::Read, "find organisation", subject, &path).by_get();
        if let ClientSelector::Reference(id) = selector
            && !is_id(id)
        {
            let why = "the id of an organisation is a number";
            let error = self.http.error(Failure::Refused, &call, why);
            return Err(error.with_hint("Give the organisation's name as `name` instead."));
        }
        let known = self.organisations(&call).await?;
        match selector {
            ClientSelector::Reference(id) => {
                let found = known.into_iter().find(|one| one.reference == *id);
                found.ok_or_else(|| {
                    let why = "no organisation of this id is visible to the key";
                    let error = self.http.error(Failure::NotFound, &call, why);
                    error.with_hint(
                        "CertCentral shows the id under Certificates > Organizations; a key of a division sees that division's only.",
                    )
                })
            }
            ClientSelector::Name(name) => match selector::choose(name, known) {
                Found::One(one) => Ok(one),
                Found::None { near } => {
                    let why = format!("no organisation of this name is visible{near}");
                    let error = self.http.error(Failure::NotFound, &call, &why);
                    Err(error.with_hint(
                        "Write the exact name; `?` matches one character, `*` any number.",
                    ))
                }
                Found::Several(why) => {
                    let error = self.http.error(Failure::Refused, &call, &why);
                    Err(error.with_hint("Give the id of the one you mean as `reference`."))
                }
            },
        }
    }

    pub(super) async fn organisations(&self, call: &Call<'_>) -> Result<Vec<Client>, CaError> {
        let mut found: Vec<Client> = Vec::new();
        let mut rows = 0;
        loop {
            let page = self.page(call, "organizations", rows).await?;
            rows += page.rows.len();
            let before = found.len();
            for row in &page.rows {
                let one = json::read(row).ok().and_then(|read| client(&read.value));
                // A list that changes between two pages shows a row twice.
                if let Some(one) = one
                    && !found.iter().any(|known| known.reference == one.reference)
                {
                    found.push(one);
                }
            }
            let is_all = page.total.is_some_and(|total| rows >= total);
            if page.rows.is_empty() || is_all || found.len() == before || rows > MOST_ROWS {
                return Ok(found);
            }
        }
    }
}

fn client(value: &Value) -> Option<Client> {
    let name = value.get("name").and_then(Value::as_str);
    Some(Client {
        reference: number(value.get("id")?)?,
        name: name.unwrap_or_default().to_owned(),
    })
}
