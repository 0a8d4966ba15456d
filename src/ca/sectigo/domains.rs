//! Domains as SCM keeps them beside their validations: found by name, created and delegated where
//! the configuration says so, deleted by order of a person.

use serde_json::{Value, json};

use super::error::Endpoint;
use super::wire::{name_of, word};
use super::{Creation, Sectigo};
use crate::ca::http::redact::clean;
use crate::ca::http::{Body, Call, Kind};
use crate::ca::json as lenient;
use crate::ca::{CaError, Failure};
use crate::prevalidation::{DomainName, Registration};

/// What decides whether a domain can be validated for an organisation.
struct Domain {
    id: String,
    /// An administrator of the level above must approve.
    is_requested: bool,
    is_suspended: bool,
    /// The organisations it is delegated to, and whether each delegation still waits.
    delegations: Vec<(String, bool)>,
}

impl Sectigo {
    /// Makes sure that `name` is a domain of the organisation that can be validated.
    pub(super) async fn add(
        &self,
        client: &str,
        name: &DomainName,
    ) -> Result<Registration, CaError> {
        let creation = self.creation.of(client, self).await?;
        let call = Call::new(Kind::Effect, "add", name.as_str(), &[]);
        let mut domain = self.find(name).await?;
        if domain.is_none() {
            let Some(creation) = creation else {
                let why = format!("Sectigo does not have the domain for organisation {client}");
                return Err(self.http.error(Failure::Refused, &call, &why).with_hint(
                    "Create and delegate it in SCM, or set `create_domains = true` for the client.",
                ));
            };
            if let Some(above) = self.above(name).await? {
                let why = format!(
                    "Sectigo has {above}, and validates no domain below it by itself; nothing was \
                     created"
                );
                let hint =
                    format!("List {above} in the place of this domain: it is valid with it.");
                return Err(self
                    .http
                    .error(Failure::Refused, &call, &why)
                    .with_hint(hint));
            }
            self.create(client, name, creation).await?;
            domain = self.find(name).await.map_err(super::after_the_call)?;
        }
        let Some(domain) = domain else {
            let why = "it was created, and Sectigo does not show it";
            return Err(self.http.error(Failure::Unknown, &call, why));
        };
        let delegation = domain.delegations.iter().find(|(id, _)| id == client);
        if delegation.is_none() && !domain.delegations.is_empty() {
            let Some(creation) = creation else {
                let why = format!("the domain is not delegated to organisation {client}");
                return Err(self.http.error(Failure::Forbidden, &call, &why).with_hint(
                    "Delegate it in SCM, or set `create_domains = true` for the client.",
                ));
            };
            self.delegate(&domain.id, client, name, creation).await?;
        }
        if domain.is_suspended {
            let error = self
                .http
                .error(Failure::Forbidden, &call, "the domain is suspended");
            return Err(error.with_hint("In SCM, activate the domain."));
        }
        if domain.is_requested || delegation.is_some_and(|(_, waits)| *waits) {
            let why = "its delegation waits for approval by an administrator above (REQUESTED)";
            return Err(self.http.error(Failure::Forbidden, &call, why).with_hint(
                "In SCM, an administrator with `approveDomainDelegation` approves it; then this continues by itself.",
            ));
        }
        self.status(name).await
    }

    /// The closest domain above `name` that Sectigo has: with one, it refuses a validation of the
    /// domain itself (-723), which would stay behind.
    async fn above(&self, name: &DomainName) -> Result<Option<DomainName>, CaError> {
        let mut above = name.parent();
        while let Some(candidate) = above.filter(|one| one.as_str().contains('.')) {
            if self.find(&candidate).await?.is_some() {
                return Ok(Some(candidate));
            }
            above = candidate.parent();
        }
        Ok(None)
    }

    /// Deletes the domain with its validation.
    pub(super) async fn remove(&self, name: &DomainName) -> Result<(), CaError> {
        let Some(domain) = self.find(name).await? else {
            let call = Call::new(Kind::Effect, "delete", name.as_str(), &[]);
            let why = "there is no such domain";
            return Err(self.http.error(Failure::NotFound, &call, why));
        };
        let path = ["domain", "v1", domain.id.as_str()];
        let mut call = Call::new(Kind::Effect, "delete", name.as_str(), &path);
        if domain.delegations.len() > 1 {
            let ids: Vec<&str> = domain.delegations.iter().map(|(id, _)| &**id).collect();
            let why = format!(
                "the domain is delegated to the organisations {}, and all of them would lose it",
                ids.join(", ")
            );
            return Err(self.http.error(Failure::Refused, &call, &why).with_hint(
                "Take the other delegations away in SCM first, or delete the domain there.",
            ));
        }
        call.method = reqwest::Method::DELETE;
        let answer = self.call(Endpoint::Domain, &call).await?;
        // A page with status 200 comes from another server.
        if answer.is_page() {
            return Err(self.http.no_json(&call, &answer));
        }
        Ok(())
    }

    /// The domain of exactly this name: the filter finds every name that contains it. An entry that
    /// cannot be read may be the domain. Then the answer does not say whether the domain exists.
    async fn find(&self, name: &DomainName) -> Result<Option<Domain>, CaError> {
        const PAGE: usize = 200;
        let path = ["domain", "v1"];
        let (mut position, mut unreadable) = (0, Vec::new());
        loop {
            let mut call = Call::new(Kind::Read, "find", name.as_str(), &path).by_get();
            call.query = vec![
                ("size", PAGE.to_string()),
                ("position", position.to_string()),
                ("name", name.as_str().to_owned()),
            ];
            let answer = self.call(Endpoint::Domain, &call).await?;
            if !answer.is_json() {
                return Err(self.http.no_json(&call, &answer));
            }
            let entries = lenient::elements(answer.body.as_bytes())
                .map_err(|_| self.http.no_json(&call, &answer))?;
            if let Some(id) = sought(&entries, name, &mut unreadable) {
                return self.read_domain(name, &id).await.map(Some);
            }
            position += entries.len();
            let total = answer.total.and_then(|total| usize::try_from(total).ok());
            if entries.len() < PAGE || total.is_some_and(|total| position >= total) {
                let Some(first) = unreadable.first() else {
                    return Ok(None);
                };
                let why = format!(
                    "{} of the entries that Sectigo shows for this name cannot be read, and one may \
                     be the domain: {first}",
                    unreadable.len()
                );
                let error = self.http.error(Failure::Malformed, &call, &why);
                return Err(
                    error.with_hint("Nothing was created. Ask Sectigo's support about the entry.")
                );
            }
            if position > 200_000 {
                let why = "a list of domains without an end";
                return Err(self.http.error(Failure::Malformed, &call, why));
            }
        }
    }

    async fn read_domain(&self, name: &DomainName, id: &str) -> Result<Domain, CaError> {
        let path = ["domain", "v1", id];
        let call = Call::new(Kind::Read, "read the domain", name.as_str(), &path).by_get();
        let answer = self.call(Endpoint::Domain, &call).await?;
        let value = self.json(&call, &answer)?.value;
        let is = |key: &str, wanted: &str| {
            value.get(key).and_then(Value::as_str).map(word).as_deref() == Some(wanted)
        };
        let delegations = value.get("delegations").and_then(Value::as_array);
        let delegations = delegations.map(Vec::as_slice).unwrap_or_default();
        let delegation = |one: &Value| {
            let waits = one.get("status").and_then(Value::as_str).map(word);
            let waits = waits.is_some_and(|word| word == "REQUESTED" || word == "AWAITINGME");
            Some((number(one.get("orgId")?)?, waits))
        };
        Ok(Domain {
            id: id.to_owned(),
            is_requested: is("delegationStatus", "REQUESTED")
                || is("delegationStatus", "AWAITINGME"),
            is_suspended: is("state", "SUSPENDED"),
            delegations: delegations.iter().filter_map(delegation).collect(),
        })
    }

    async fn create(
        &self,
        client: &str,
        name: &DomainName,
        creation: &Creation,
    ) -> Result<(), CaError> {
        let path = ["domain", "v1"];
        let mut call = Call::new(Kind::Effect, "create", name.as_str(), &path);
        let mut delegation = body(client, creation);
        call.body = Body::Json(json!({
            "name": name.as_str(),
            "active": true,
            "delegations": [delegation.take()],
        }));
        let answer = self.call(Endpoint::Domain, &call).await?;
        if answer.status.as_u16() == 201 || answer.location.is_some() {
            return Ok(());
        }
        let why = format!(
            "HTTP {}, but {} sent {}",
            answer.status,
            self.http.host(),
            answer.described()
        );
        Err(self.http.error(Failure::Unknown, &call, &clean(&why)))
    }

    async fn delegate(
        &self,
        id: &str,
        client: &str,
        name: &DomainName,
        creation: &Creation,
    ) -> Result<(), CaError> {
        let path = ["domain", "v1", id, "delegation"];
        let mut call = Call::new(Kind::Effect, "delegate", name.as_str(), &path);
        call.body = Body::Json(body(client, creation));
        self.call(Endpoint::Domain, &call).await.map(drop)
    }
}

fn body(client: &str, creation: &Creation) -> Value {
    let id: i64 = client.parse().unwrap_or_default();
    let mut body = json!({"orgId": id, "certTypes": creation.cert_types});
    if !creation.privileges.is_empty() {
        body["domainCertificateRequestPrivileges"] = json!(creation.privileges);
    }
    body
}

/// The id of the entry with exactly this name. Entries that may be it and cannot be read are
/// reported.
fn sought(entries: &[Vec<u8>], name: &DomainName, unreadable: &mut Vec<String>) -> Option<String> {
    for entry in entries {
        let value = lenient::read(entry).map_or(Value::Null, |read| read.value);
        match value.get("name").and_then(Value::as_str) {
            Some(written) if name_of(written).as_ref() != Some(name) => {}
            Some(_) if id_of(&value).is_some() => return id_of(&value),
            _ => {
                let shown = clean(&String::from_utf8_lossy(entry));
                unreadable.push(shown.chars().take(80).collect());
            }
        }
    }
    None
}

fn id_of(value: &Value) -> Option<String> {
    number(value.get("id")?)
}

fn number(value: &Value) -> Option<String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    super::organisations::is_id(&text).then_some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_entry_that_cannot_be_read_is_told_and_not_taken_for_another_domain() {
        let name = DomainName::from_a_labels("a.test").unwrap();
        for (entry, id, told) in [
            (r#"{"id":7,"name":"A.test"}"#, Some("7"), None),
            (r#"{"id":7,"name":"aa.test"}"#, None, None),
            (r#"{"id":"x","name":"aa.test"}"#, None, None),
            (r#"{"id":"x","name":"a.test"}"#, None, Some("a.test")),
            (r#"{"name":"a.test"}"#, None, Some("a.test")),
            (r#"{"id":7,"name":7}"#, None, Some("7")),
            (r#"{"id":7}"#, None, Some("7")),
            ("7", None, Some("7")),
        ] {
            let mut unreadable = Vec::new();
            let found = sought(&[entry.as_bytes().to_vec()], &name, &mut unreadable);
            assert_eq!(found.as_deref(), id, "{entry}");
            match told {
                None => assert!(unreadable.is_empty(), "{entry}: {unreadable:?}"),
                Some(words) => assert!(unreadable[0].contains(words), "{entry}: {unreadable:?}"),
            }
        }
    }
}
