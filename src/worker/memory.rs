//! What a provider has seen and a later process must know. Some things show only after a minute, and
//! a process of the night may end sooner.

use prevalidate_providers::Provider;

use crate::store::{Store, StoreError};

/// Lets the provider work with what earlier processes have seen, and keeps what it has seen itself.
/// Without the store it works by what it knows.
pub(super) async fn with_memory<T>(
    store: &dyn Store,
    name: &str,
    provider: &dyn Provider,
    work: impl Future<Output = T>,
) -> T {
    if provider.memory().is_none() {
        return work.await;
    }
    let key = memory_fact(name);
    let known = store.fact(&key).await;
    if let Ok(Some(known)) = &known {
        provider.recall(known);
    }
    let done = work.await;
    if let Err(error) = keep(store, &key, known, provider).await {
        tracing::debug!(provider = name, %error, "what the provider has seen is not kept");
    }
    done
}

async fn keep(
    store: &dyn Store,
    key: &str,
    known: Result<Option<String>, StoreError>,
    provider: &dyn Provider,
) -> Result<(), StoreError> {
    let (known, seen) = (known?.unwrap_or_default(), provider.memory());
    match seen {
        Some(seen) if seen != known => store.set_fact(key, &seen).await,
        _ => Ok(()),
    }
}

/// What a provider has seen over time; empty when there is nothing to know.
fn memory_fact(name: &str) -> String {
    format!("provider/{name}")
}
