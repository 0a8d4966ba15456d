//! A CA and a provider that count their calls and time them, around the real ones.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use prevalidate_providers::Provider;
use prevalidate_providers::provider::{ErrorKind, Preflight, ProviderError};
use prevalidate_providers::record::{Receipt, Record, RecordKind, TxtRrset, Zone};

use crate::ca::validation::Kind;
use crate::ca::{
    CaError, Client, ClientSelector, Failure, Listing, Started, Submission, Validation,
};
use crate::metrics::Metrics;
use crate::prevalidation::{DomainName, Registration};
use crate::worker::Ports;

const OK: &str = "ok";

/// The same ports, with every call to a CA and to a provider counted under the name of its section.
pub fn metered(mut ports: Ports, metrics: &Arc<Metrics>) -> Ports {
    let metrics = || Arc::clone(metrics);
    for (name, ca) in &mut ports.cas {
        *ca = Arc::new(Metered {
            inner: Arc::clone(ca),
            name: name.clone(),
            metrics: metrics(),
            note: Metrics::ca_call,
        });
    }
    for (name, provider) in &mut ports.providers {
        let (inner, note) = (Arc::clone(provider), Metrics::provider_call as Note);
        *provider = Arc::new(Metered {
            inner,
            name: name.clone(),
            metrics: metrics(),
            note,
        });
    }
    ports
}

type Note = fn(&Metrics, &str, &'static str, &'static str, Duration);

struct Metered<T: ?Sized> {
    inner: Arc<T>,
    name: String,
    metrics: Arc<Metrics>,
    note: Note,
}

impl<T: fmt::Debug + ?Sized> fmt::Debug for Metered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T: ?Sized> Metered<T> {
    async fn call<A>(
        &self,
        call: &'static str,
        work: impl Future<Output = A>,
        outcome: fn(&A) -> &'static str,
    ) -> A {
        let began = Instant::now();
        let answer = work.await;
        (self.note)(
            &self.metrics,
            &self.name,
            call,
            outcome(&answer),
            began.elapsed(),
        );
        answer
    }
}

#[async_trait]
impl Validation for Metered<dyn Validation> {
    fn kind(&self) -> &'static Kind {
        self.inner.kind()
    }

    async fn find_client(&self, selector: &ClientSelector) -> Result<Client, CaError> {
        self.call("find_client", self.inner.find_client(selector), of_ca)
            .await
    }

    async fn list(&self, client: &str) -> Result<Listing, CaError> {
        self.call("list", self.inner.list(client), of_ca).await
    }

    async fn warnings(&self, asked_at: Option<Timestamp>) -> Result<Option<Vec<String>>, CaError> {
        self.inner.warnings(asked_at).await
    }

    async fn register(
        &self,
        client: &str,
        names: &[DomainName],
    ) -> Vec<(DomainName, Result<Registration, CaError>)> {
        self.call("register", self.inner.register(client, names), |answers| {
            // One call for many names. The fault of one name is counted, because it is worth
            // knowing.
            answers
                .iter()
                .map(|(_, answer)| of_ca(answer))
                .find(|word| *word != OK)
                .unwrap_or(OK)
        })
        .await
    }

    async fn get(&self, reference: &str) -> Result<Registration, CaError> {
        self.call("get", self.inner.get(reference), of_ca).await
    }

    // The names in the metrics are older than the port's: dashboards go by them.
    async fn start(&self, reference: &str) -> Result<Started, CaError> {
        self.call("reset_token", self.inner.start(reference), of_ca)
            .await
    }

    async fn submit(&self, reference: &str) -> Result<Submission, CaError> {
        self.call("validate", self.inner.submit(reference), of_ca)
            .await
    }

    async fn delete(&self, reference: &str) -> Result<(), CaError> {
        self.call("delete", self.inner.delete(reference), of_ca)
            .await
    }
}

#[async_trait]
impl Provider for Metered<dyn Provider> {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn writes(&self) -> bool {
        self.inner.writes()
    }

    fn rehearses(&self) -> bool {
        self.inner.rehearses()
    }

    fn memory(&self) -> Option<String> {
        self.inner.memory()
    }

    fn recall(&self, memory: &str) {
        self.inner.recall(memory);
    }

    async fn find_zone(&self, owner: &str) -> Result<Zone, ProviderError> {
        self.call("find_zone", self.inner.find_zone(owner), of_provider)
            .await
    }

    async fn inspect(&self, owner: &str) -> Result<TxtRrset, ProviderError> {
        self.call("inspect", self.inner.inspect(owner), of_provider)
            .await
    }

    async fn ensure_present(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.call(
            "ensure_present",
            self.inner.ensure_present(records),
            |answers| of_all(answers),
        )
        .await
    }

    async fn ensure_absent(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.call(
            "ensure_absent",
            self.inner.ensure_absent(records),
            |answers| of_all(answers),
        )
        .await
    }

    async fn preflight(&self, owner: &str, kind: RecordKind) -> Result<Preflight, ProviderError> {
        self.call("preflight", self.inner.preflight(owner, kind), of_provider)
            .await
    }

    async fn in_sync(&self, change_id: &str) -> Result<Option<bool>, ProviderError> {
        self.call("in_sync", self.inner.in_sync(change_id), of_provider)
            .await
    }
}

fn of_ca<A>(answer: &Result<A, CaError>) -> &'static str {
    match answer {
        Ok(_) => OK,
        Err(error) => match error.failure {
            Failure::Unavailable => "unavailable",
            Failure::Unknown => "unknown",
            Failure::Untrusted => "untrusted",
            Failure::Throttled => "throttled",
            Failure::Unauthenticated => "unauthenticated",
            Failure::Forbidden => "forbidden",
            Failure::NotFound => "not_found",
            Failure::Refused => "refused",
            Failure::Malformed => "malformed",
            Failure::Settings => "settings",
        },
    }
}

fn of_provider<A>(answer: &Result<A, ProviderError>) -> &'static str {
    match answer.as_ref().map_err(|error| error.kind) {
        Ok(_) => OK,
        Err(ErrorKind::Unavailable) => "unavailable",
        Err(ErrorKind::Unknown) => "unknown",
        Err(ErrorKind::Denied) => "denied",
        Err(ErrorKind::ClockSkew) => "clock_skew",
        Err(ErrorKind::NoZone) => "no_zone",
        Err(ErrorKind::Unsafe) => "unsafe",
        Err(ErrorKind::Damaged) => "damaged",
        Err(ErrorKind::Settings) => "settings",
        Err(ErrorKind::ByOthers) => "by_others",
        Err(_) => "other",
    }
}

fn of_all(answers: &[Result<Receipt, ProviderError>]) -> &'static str {
    answers
        .iter()
        .map(of_provider)
        .find(|word| *word != OK)
        .unwrap_or(OK)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use prevalidate_providers::memory::{MemoryProvider, MemoryZones};
    use prometheus_client::registry::Registry;

    use super::*;

    #[tokio::test]
    async fn a_call_is_counted_by_what_came_of_it_and_its_answer_is_the_same() {
        let metrics = Arc::new(Metrics::new());
        let inner: Arc<dyn Provider> = Arc::new(MemoryProvider::new(
            MemoryZones::new().with_zone("example.ch"),
        ));
        let provider: Arc<dyn Provider> = Arc::new(Metered {
            inner: Arc::clone(&inner),
            name: "internal".to_owned(),
            metrics: Arc::clone(&metrics),
            note: Metrics::provider_call,
        });
        assert_eq!(provider.kind(), inner.kind());
        assert_eq!(
            provider.find_zone("example.ch").await.unwrap(),
            inner.find_zone("example.ch").await.unwrap()
        );
        assert_eq!(
            provider.find_zone("example.org").await.unwrap_err().kind,
            ErrorKind::NoZone
        );
        let text = metrics.encode(&Registry::default()).unwrap();
        for outcome in ["ok", "no_zone"] {
            let line = format!(
                "prevalidate_provider_calls_total{{provider=\"internal\",call=\"find_zone\",outcome=\"{outcome}\"}} 1"
            );
            assert!(text.contains(&line), "{text}");
        }
    }
}
