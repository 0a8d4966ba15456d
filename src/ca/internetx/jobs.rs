//! Following an order: its job while it runs, the history afterwards, the queue of messages where it
//! is asked for.

use serde_json::Value;

use super::envelope::Envelope;
use super::{InterNetX, wire};
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Kind};
use crate::ca::issuing::{Order, OrderKey};
use crate::ca::{CaError, Failure};
use crate::issuance::OrderState;

impl InterNetX {
    /// See [`crate::ca::issuing::Issuing::read`].
    pub(super) async fn order(&self, key: &OrderKey) -> Result<Order, CaError> {
        if let Some(id) = key.reference.strip_prefix(wire::CERTIFICATE) {
            let value = self.certificate(id).await?;
            let order = wire::certificate(&value);
            return order.ok_or_else(|| self.malformed("read certificate", id));
        }
        if self.confirms_messages
            && let Some(order) = self.message(key).await?
        {
            return Ok(order);
        }
        let entry = match (self.job(&key.reference).await, &key.certificate) {
            // While a job moves to the history it is in neither place. Then its certificate shows
            // its state.
            (Err(error), Some(id)) if error.failure == Failure::NotFound => {
                let order = wire::certificate(&self.certificate(id).await?);
                return order
                    .map(|order| Order {
                        key: key.clone(),
                        ..order
                    })
                    .ok_or(error);
            }
            (found, _) => found?,
        };
        Ok(wire::order(&key.reference, key.certificate.clone(), &entry))
    }

    /// A job, wherever it is: one that has finished moves to the history.
    pub(super) async fn job(&self, reference: &str) -> Result<Value, CaError> {
        let running = ["job", reference];
        match self.job_at(&running, reference).await {
            Err(error) if error.failure == Failure::NotFound => {}
            other => return other,
        }
        let finished = ["job", "history", reference];
        self.job_at(&finished, reference).await
    }

    async fn job_at(&self, path: &[&str], reference: &str) -> Result<Value, CaError> {
        let call = Call::new(Kind::Read, "read job", clean(reference), path).by_get();
        let Envelope { data, .. } = self.call(&call).await?;
        let entry = data.into_iter().next();
        // An answer without data is one about nothing.
        let entry = entry.ok_or_else(|| {
            let why = "the answer holds no job";
            self.http.error(Failure::NotFound, &call, why)
        })?;
        self.is_about(&call, wire::job(&entry), reference)?;
        Ok(entry)
    }

    /// What shows its number must show the one that was asked for.
    fn is_about(&self, call: &Call<'_>, shown: &Value, wanted: &str) -> Result<(), CaError> {
        match shown.get("id").and_then(wire::id) {
            Some(id) if id != wanted => {
                let why = format!("the answer is about {id}");
                Err(self.http.error(Failure::Malformed, call, &why))
            }
            _ => Ok(()),
        }
    }

    /// A certificate with all its data.
    pub(super) async fn certificate(&self, id: &str) -> Result<Value, CaError> {
        let path = ["certificate", id];
        let call = Call::new(Kind::Read, "read certificate", clean(id), &path).by_get();
        let Envelope { data, .. } = self.call(&call).await?;
        let value = data.into_iter().next().ok_or_else(|| {
            let why = "the answer holds no certificate";
            self.http.error(Failure::NotFound, &call, why)
        })?;
        self.is_about(&call, &value, id)?;
        Ok(value)
    }

    /// The number of the certificate of an order.
    pub(super) async fn certificate_of(&self, key: &OrderKey) -> Result<Option<String>, CaError> {
        if key.certificate.is_some() {
            return Ok(key.certificate.clone());
        }
        Ok(self.order(key).await?.key.certificate)
    }

    /// The head of the user's queue, if it is about this order: then it is confirmed. A message about
    /// anything else is not ours to confirm, and the next one shows only behind it.
    async fn message(&self, key: &OrderKey) -> Result<Option<Order>, CaError> {
        let path = ["poll"];
        let call = Call::new(Kind::Read, "read the messages of", "the user", &path).by_get();
        let Envelope { data, .. } = self.call(&call).await?;
        let Some(message) = data.into_iter().next() else {
            return Ok(None);
        };
        let about = wire::job(&message).get("id").and_then(wire::id);
        if message.get("job").is_none() || about.as_deref() != Some(&key.reference) {
            tracing::debug!(
                ca = self.http.ca,
                "the first message of the queue is about something else, and stays there"
            );
            return Ok(None);
        }
        let order = wire::order(&key.reference, key.certificate.clone(), &message);
        if let Some(id) = message.get("id").and_then(wire::id) {
            let path = ["poll", id.as_str()];
            let mut call = Call::new(Kind::Effect, "confirm message", clean(&id), &path);
            call.method = reqwest::Method::PUT;
            if let Err(error) = self.call(&call).await {
                tracing::debug!(ca = self.http.ca, %error, "a message of ours was not confirmed");
            }
        }
        Ok((order.state != OrderState::Working).then_some(order))
    }

    pub(super) fn malformed(&self, verb: &'static str, subject: &str) -> CaError {
        let call = Call::new(Kind::Read, verb, clean(subject), &[]);
        self.http
            .error(Failure::Malformed, &call, "the answer cannot be understood")
    }
}
