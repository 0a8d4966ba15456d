//! Domains at CertCentral: found by name, created where the configuration says so, submitted,
//! deleted by order of a person.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::wire::{self, Detail};
use super::{DigiCert, Organisation, after_the_call};
use super::{entry, record};
use crate::ca::http::redact::clean;
use crate::ca::http::{Body, Call, Kind};
use crate::ca::json as lenient;
use crate::ca::{CaError, Failure};
use crate::prevalidation::{Challenge, DomainName, Registration};

/// Types for which a domain is submitted whose organisation has no settings and which has none yet.
const USUAL: &str = "ov";

impl DigiCert {
    /// Makes sure that `name` is a domain of the organisation.
    pub(super) async fn add(
        &self,
        client: &str,
        name: &DomainName,
    ) -> Result<Registration, CaError> {
        let call = Call::new(Kind::Effect, "add", name.as_str(), &["domain"]);
        if !entry::is_id(client) {
            let why = "the id of an organisation is a number";
            return Err(self.http.error(Failure::Refused, &call, why));
        }
        if let Some(found) = self.find(name).await? {
            return self.adopt(client, name, found);
        }
        let configured = self.configured(client).await?;
        if !configured.is_some_and(|one| one.creates) {
            let why = format!("DigiCert does not have the domain for organisation {client}");
            return Err(self.http.error(Failure::Refused, &call, &why).with_hint(
                "Add it in CertCentral, or set `create_domains = true` for the client.",
            ));
        }
        let created = self.create(client, name).await;
        let refused = created.as_ref().err();
        let Some(refused) = refused.filter(|error| error.failure == Failure::Refused) else {
            return created;
        };
        // The answer to a name that exists is not documented: it may be 400.
        match self.find(name).await? {
            Some(found) => self.adopt(client, name, found),
            // Its own hint says more.
            None if refused.hint.is_some() => Err(refused.clone()),
            None => Err(refused.clone().with_hint(
                "If DigiCert says that the domain exists, it belongs to a division (container) that the key does not see.",
            )),
        }
    }

    /// A domain that is there already, if it is this organisation's and in use.
    fn adopt(
        &self,
        client: &str,
        name: &DomainName,
        found: Detail,
    ) -> Result<Registration, CaError> {
        let call = Call::new(Kind::Effect, "add", name.as_str(), &[]);
        match &found.organisation {
            Some((id, title)) if id != client => {
                let division = found.container.map(|one| format!(", in division `{one}`"));
                let why = format!(
                    "the domain belongs to organisation {id} (`{title}`){}, not to {client}",
                    division.unwrap_or_default()
                );
                let error = self.http.error(Failure::Forbidden, &call, &why);
                Err(error.with_hint(
                    "A domain belongs to one organisation: list it for that client, or move it in CertCentral.",
                ))
            }
            _ if !found.is_active => Err(self.deactivated(&call)),
            _ => Ok(found.registration),
        }
    }

    fn deactivated(&self, call: &Call<'_>) -> CaError {
        let why = "the domain is deactivated";
        let error = self.http.error(Failure::Forbidden, call, why);
        error.with_hint("In CertCentral, under Certificates > Domains, activate it.")
    }

    /// The domain of exactly this name: the filter finds every name that contains it.
    async fn find(&self, name: &DomainName) -> Result<Option<Detail>, CaError> {
        let mut call = Call::new(Kind::Read, "find", name.as_str(), &["domain"]).by_get();
        call.query = vec![("filters[search]", format!("%{name}"))];
        let mut rows = 0;
        loop {
            let page = self.page(&call, "domains", rows).await?;
            for row in &page.rows {
                let read = lenient::read(row);
                let row = read.and_then(|read| wire::detail(&read, &self.settings.form(), page.at));
                if let Ok(row) = row
                    && row.registration.domain == *name
                {
                    // The row has no token.
                    return self.detail(&row.registration.reference).await.map(Some);
                }
            }
            rows += page.rows.len();
            let is_all = page.total.is_some_and(|total| rows >= total);
            if page.rows.is_empty() || is_all || rows > 100_000 {
                return Ok(None);
            }
        }
    }

    async fn create(&self, client: &str, name: &DomainName) -> Result<Registration, CaError> {
        let mut call = Call::new(Kind::Effect, "create", name.as_str(), &["domain"]);
        let id: u64 = client.parse().unwrap_or_default();
        let mut body = json!({
            "name": name.as_str(),
            "organization": {"id": id},
            "validations": validations(self.configured(client).await?, &[]),
            // Without a method DigiCert sends mail to the domain's addresses at once.
            "dcv_method": self.settings.form().word(),
        });
        if name.as_str().starts_with("www.") {
            // Without it DigiCert registers the name above.
            body["keep_www"] = json!(true);
        }
        call.body = Body::Json(body);
        let answer = self.call(&call).await?;
        let made = self.json(&call, &answer).map_err(after_the_call)?;
        let Some(reference) = made.value.get("id").and_then(entry::number) else {
            let why = "the answer does not say the id of the new domain";
            return Err(self.http.error(Failure::Unknown, &call, why));
        };
        let mut found = self.detail(&reference).await.map_err(after_the_call)?;
        if found.registration.domain != *name {
            let why = format!(
                "DigiCert registered `{}` in its place (id {reference})",
                found.registration.domain
            );
            let error = self.http.error(Failure::Refused, &call, &why);
            return Err(error
                .with_hint("Nothing is published. List that name, or delete it in CertCentral."));
        }
        if found.registration.challenge.is_none() {
            found.registration.challenge = self.given(&call, name, &made.value)?.map(Box::new);
        }
        Ok(found.registration)
    }

    /// Submits a domain for validation, unless a submission with a live token is there: another one
    /// might end the value that is in DNS.
    pub(super) async fn submit_anew(&self, reference: &str) -> Result<Registration, CaError> {
        let known = self.detail(reference).await?;
        let domain = known.registration.domain.clone();
        let path = ["domain", reference, "validation"];
        let verb = "submit the validation of";
        let mut call = Call::new(Kind::Effect, verb, domain.as_str(), &path);
        if !known.is_active {
            return Err(self.deactivated(&call));
        }
        if known.registration.challenge.is_some() {
            return Ok(known.registration);
        }
        let configured = match &known.organisation {
            Some((id, _)) => self.configured(id).await?,
            None => None,
        };
        call.body = Body::Json(json!({
            "validations": validations(configured, &known.types),
            "dcv_method": self.settings.form().word(),
        }));
        let answer = self.call(&call).await?;
        if answer.is_page() {
            return Err(self.http.no_json(&call, &answer));
        }
        // Today's answer has the token; an older one is 204 and empty.
        let said = lenient::read(answer.body.as_bytes()).ok();
        let said = said.map(|read| read.value).unwrap_or_default();
        // The answer does not say its method, which may be that of the submission before.
        let challenge = match known.is_by_other_record {
            true => None,
            false => self.given(&call, &domain, &said)?,
        };
        if let Some(challenge) = challenge {
            let until = challenge.until;
            return Ok(Registration {
                challenge: Some(Box::new(challenge.dated(Some(answer.at), until))),
                ..known.registration
            });
        }
        let found = self.detail(reference).await.map_err(after_the_call)?;
        if found.registration.challenge.is_some() {
            return Ok(found.registration);
        }
        if answer.body.trim().is_empty() && answer.status != StatusCode::NO_CONTENT {
            // An empty answer of the network before the API: nothing was submitted.
            return Err(self.http.no_json(&call, &answer));
        }
        self.set_method(reference, &domain).await
    }

    /// Submitted, and still by another method: sets it. The same method again is answered with `{}`.
    async fn set_method(
        &self,
        reference: &str,
        domain: &DomainName,
    ) -> Result<Registration, CaError> {
        let path = ["domain", reference, "dcv", "method"];
        let mut call = Call::new(Kind::Effect, "set the method of", domain.as_str(), &path);
        call.method = reqwest::Method::PUT;
        call.body = Body::Json(json!({
            "dcv_method": self.settings.form().word(),
            "send_dcv_email_flag": false,
        }));
        let answer = self.call(&call).await?;
        let found = self.detail(reference).await.map_err(after_the_call)?;
        if found.registration.challenge.is_some() {
            return Ok(found.registration);
        }
        if !answer.is_json() || answer.body.trim().is_empty() {
            return Err(self.http.no_json(&call, &answer));
        }
        let ended = found.ended_at;
        let ended = ended.map(|at| format!("the value that DigiCert shows ended at {at:.0}"));
        let why = found.registration.doubt.or(ended);
        let why = why.unwrap_or_else(|| "DigiCert shows no value for DNS".to_owned());
        // Submitting again would give the same: a person must decide.
        let error = self.http.error(Failure::Refused, &call, &why);
        Err(error.with_hint("Nothing is published. Check the domain in CertCentral."))
    }

    /// Deletes the domain with its validation.
    pub(super) async fn remove(&self, reference: &str) -> Result<(), CaError> {
        let path = ["domain", reference];
        let subject = format!("domain {}", clean(reference));
        let mut call = Call::new(Kind::Effect, "delete", subject, &path);
        call.method = reqwest::Method::DELETE;
        self.check(reference, &call)?;
        let answer = self.call(&call).await?;
        // A page with status 200 comes from another server.
        if answer.is_page() {
            return Err(self.http.no_json(&call, &answer));
        }
        Ok(())
    }

    /// The challenge in the answer to a submission. A value of an order (`dcv_random_value`) is none
    /// of the domain's.
    fn given(
        &self,
        call: &Call<'_>,
        domain: &DomainName,
        answer: &Value,
    ) -> Result<Option<Challenge>, CaError> {
        let Some(token) = answer.get("dcv_token") else {
            return Ok(None);
        };
        let (form, now) = (self.settings.form(), self.http.clock.now());
        record::challenge(token, domain, &form, now).map_err(|why| {
            let error = self.http.error(Failure::Refused, call, &why);
            error.with_hint("Nothing is published. Ask DigiCert's support, and name the domain.")
        })
    }

    /// The configuration of an organisation.
    async fn configured(&self, organisation: &str) -> Result<Option<&Organisation>, CaError> {
        self.organisations.of(organisation, self).await
    }
}

/// The types to submit for: those of the configuration, else those that the domain has.
fn validations(
    configured: Option<&Organisation>,
    known: &[(String, Option<jiff::Timestamp>)],
) -> Value {
    let configured = configured.map(|one| one.validations.iter().map(String::as_str).collect());
    let mut types: Vec<&str> = configured.unwrap_or_default();
    if types.is_empty() {
        types = known.iter().map(|(one, _)| one.as_str()).collect();
    }
    if types.is_empty() {
        types.push(USUAL);
    }
    types.iter().map(|one| json!({"type": one})).collect()
}
