//! Finding the client that a person means: by reference, by its exact name, or by a pattern that
//! fits one only.

use std::collections::BTreeMap;

use serde_json::Value;

use super::listing::no_entry;
use super::{SwissSign, error, wire};
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Kind};
use crate::ca::selector::{self, Found};
use crate::ca::{CaError, Client, ClientSelector, Failure, json};

/// The CA cuts a page at 300 however many are asked for.
const PAGE: usize = 300;
/// No account has this many clients: a search that continues is answered wrongly.
const PAGES: usize = 100;

impl SwissSign {
    /// See [`crate::ca::Validation::find_client`].
    pub(super) async fn the_client(&self, selector: &ClientSelector) -> Result<Client, CaError> {
        match selector {
            ClientSelector::Reference(reference) => self.client_by_reference(reference).await,
            ClientSelector::Name(name) => self.client_by_name(name).await,
        }
    }

    async fn client_by_reference(&self, reference: &str) -> Result<Client, CaError> {
        let path = ["client", reference];
        let call = Call::new(Kind::Read, "read client", clean(reference), &path);
        if !(reference.starts_with("cli-") && wire::is_reference(reference)) {
            let why = "a client's reference begins with `cli-`";
            return Err(self
                .http
                .error(Failure::Refused, &call, why)
                .with_hint("Give the client's name instead."));
        }
        let answer = self.call(&call).await?;
        let client = error::json(&self.http, &call, &answer).map_err(|error| match error.failure {
            Failure::NotFound | Failure::Forbidden => error.with_hint(
                "Check the reference, and that this service account may see the client; its name may be given instead.",
            ),
            _ => error,
        })?;
        wire::client(&client.value).map_err(|why| self.http.error(Failure::Malformed, &call, &why))
    }

    async fn client_by_name(&self, name: &str) -> Result<Client, CaError> {
        let found = self.search(name).await?;
        let path = ["clients", "paged"];
        let call = Call::new(
            Kind::Read,
            "find client",
            format!("`{}`", clean(name)),
            &path,
        );
        match selector::choose(name, found) {
            Found::One(one) => Ok(one),
            Found::None { near } => {
                let why = format!(
                    "no client of this name is visible to `{}`{near}",
                    self.credentials.user()
                );
                Err(self
                    .http
                    .error(Failure::NotFound, &call, &why)
                    .with_hint("Write the exact name; `?` matches one character, `*` any number."))
            }
            Found::Several(why) => Err(self
                .http
                .error(Failure::Refused, &call, &why)
                .with_hint("Give the reference of the one you mean.")),
        }
    }

    /// All clients that the CA finds for `search`, page by page.
    pub(super) async fn search(&self, search: &str) -> Result<Vec<Client>, CaError> {
        let mut found = BTreeMap::new();
        let mut start = 0;
        let path = ["clients", "paged"];
        for _ in 0..PAGES {
            let mut call = Call::new(
                Kind::Read,
                "search clients for",
                format!("`{}`", clean(search)),
                &path,
            );
            call.query = vec![
                ("search", search.to_owned()),
                ("length", PAGE.to_string()),
                ("start", start.to_string()),
            ];
            let answer = self.call(&call).await?;
            let entries = error::entries(&self.http, &call, &answer, Some("data"))?;
            // The page's totals are a help; they may be as broken as an entry.
            let page = json::read(answer.body.as_bytes()).map(|page| page.value);
            let before = found.len();
            for entry in &entries {
                let read = json::read(entry).map_err(|why| no_entry("client", &why, entry));
                match read.and_then(|client| wire::client(&client.value)) {
                    Ok(client) => drop(found.insert(client.reference.clone(), client)),
                    Err(why) => tracing::warn!(
                        ca = self.http.ca,
                        why,
                        "the search found a client that cannot be read"
                    ),
                }
            }
            start += entries.len();
            let total = page
                .ok()
                .and_then(|page| page.get("recordsFiltered").and_then(Value::as_u64));
            if entries.is_empty()
                || found.len() == before
                || total.is_some_and(|total| start as u64 >= total)
            {
                break;
            }
        }
        Ok(found.into_values().collect())
    }
}
