//! A CA for a program that is to end: reads that wait for an answer are given up at once, effects are
//! seen through to their answer.
//!
//! A silent CA must not hold a program for minutes that was asked to end: the service manager
//! would kill it, and with it the answers to effects that are under way.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::validation::Kind;
use super::{CaError, Client, ClientSelector, Failure, Listing, Started, Submission, Validation};
use crate::prevalidation::{DomainName, Registration};

/// A CA whose reads end when `stop` is cancelled.
#[derive(Debug)]
pub struct Ending {
    ca: Arc<dyn Validation>,
    stop: CancellationToken,
}

impl Ending {
    /// The same CA, for a program that ends when `stop` is cancelled.
    pub fn new(ca: Arc<dyn Validation>, stop: CancellationToken) -> Self {
        Self { ca, stop }
    }

    async fn read<T>(
        &self,
        what: &str,
        answer: impl Future<Output = Result<T, CaError>>,
    ) -> Result<T, CaError> {
        let given_up = || {
            let message = format!("{what}: not waited for, because the program is ending");
            Err(CaError::new(Failure::Unavailable, message))
        };
        let answer = self.stop.run_until_cancelled(answer).await;
        answer.unwrap_or_else(given_up)
    }
}

#[async_trait]
impl Validation for Ending {
    fn kind(&self) -> &'static Kind {
        self.ca.kind()
    }

    async fn find_client(&self, selector: &ClientSelector) -> Result<Client, CaError> {
        let what = format!("find client `{selector}`");
        self.read(&what, self.ca.find_client(selector)).await
    }

    async fn list(&self, client: &str) -> Result<Listing, CaError> {
        let what = format!("list the domains of {client}");
        self.read(&what, self.ca.list(client)).await
    }

    async fn warnings(&self, asked_at: Option<Timestamp>) -> Result<Option<Vec<String>>, CaError> {
        self.read("read the state of the login", self.ca.warnings(asked_at))
            .await
    }

    async fn register(
        &self,
        client: &str,
        names: &[DomainName],
    ) -> Vec<(DomainName, Result<Registration, CaError>)> {
        self.ca.register(client, names).await
    }

    async fn get(&self, reference: &str) -> Result<Registration, CaError> {
        let what = format!("read {reference}");
        self.read(&what, self.ca.get(reference)).await
    }

    async fn start(&self, reference: &str) -> Result<Started, CaError> {
        self.ca.start(reference).await
    }

    async fn submit(&self, reference: &str) -> Result<Submission, CaError> {
        self.ca.submit(reference).await
    }

    async fn delete(&self, reference: &str) -> Result<(), CaError> {
        self.ca.delete(reference).await
    }
}
