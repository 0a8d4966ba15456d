//! Checks that a CA sells the product of an order. A wrong name is a wrong input, and is reported
//! before an order.

use std::sync::Arc;

use crate::ca::issuing::Product;
use crate::ca::{CaError, ClientSelector, Issuing, Validation};
use crate::certificates::PrivateKey;
use crate::commands::app::App;
use crate::commands::{Exit, Failed};
use crate::config::nearest;
use crate::store::Store;
use crate::worker::issue::{Certificate, IssuePorts};
use crate::worker::{Target, reference_fact};

/// This many products are named if none is similar to the given one.
const MOST_NAMED: usize = 12;

/// The CA's key for a client: as the store remembers it, else as the CA says.
pub(super) async fn reference_of(
    account: &dyn Validation,
    store: &Arc<dyn Store>,
    target: &Target,
) -> Result<String, Failed> {
    let known = store.fact(&reference_fact(&target.key)).await?;
    match known.filter(|text| !text.is_empty()) {
        Some(reference) => Ok(reference),
        None => Ok(account.find_client(&target.selector).await?.reference),
    }
}

/// Refuses a product that the CA does not have for the client. Where the CA has no catalogue, or does
/// not answer, nothing is known: the order itself tells.
pub(super) async fn check(app: &App, one: &Certificate) -> Result<(), Failed> {
    let account = app.ca(&one.ca)?;
    let Some(issuer) = Arc::clone(&account).issuing() else {
        return Ok(());
    };
    let client = match &one.client {
        None => String::new(),
        Some(target) => match account.find_client(&target.selector).await {
            Ok(client) => client.reference,
            Err(_) => return Ok(()),
        },
    };
    let products = issuer.products(&client).await.unwrap_or_default();
    if products.is_empty() {
        return rehearsed(app, one, &*issuer).await;
    }
    match unknown(&one.product, &products) {
        None => Ok(()),
        Some(hint) => {
            let message = format!("[ca.{}] sells no product `{}`", one.ca, one.product.trim());
            let message = match &one.client {
                Some(target) => format!("{message} to {}", target.selector),
                None => message,
            };
            Err(Failed::new(Exit::Usage, message).with_hint(hint))
        }
    }
}

/// The same by a free rehearsal, at a CA without a catalogue. What else it refuses, the order tells.
async fn rehearsed(app: &App, one: &Certificate, issuer: &dyn Issuing) -> Result<(), Failed> {
    let (store, _folder) = app.store_copy().await?;
    let ports = IssuePorts::of(&app.ports(Arc::clone(&store))?);
    let reader = app.reading_issuer(&store);
    match reader.rehearse(&ports, one, PrivateKey::generate).await? {
        Err(error) if issuer.is_about_the_product(&error) => Err(refused(error)),
        _ => Ok(()),
    }
}

/// A product that the CA does not sell is a wrong input.
fn refused(error: CaError) -> Failed {
    let failed = Failed::new(Exit::Usage, error.message);
    match error.hint {
        Some(hint) => failed.with_hint(hint),
        None => failed,
    }
}

/// Whether a rehearsal was refused because the CA does not sell the product.
pub(super) fn is_refused(app: &App, one: &Certificate, error: &CaError) -> bool {
    let account = app.ca(&one.ca).ok();
    let issuer = account.and_then(Validation::issuing);
    issuer.is_some_and(|issuer| issuer.is_about_the_product(error))
}

/// Whether two spellings mean one product: by its name and by the CA's key for it.
pub(super) async fn is_same(
    app: &App,
    ca: &str,
    client: Option<&ClientSelector>,
    spellings: [&str; 2],
) -> Result<bool, Failed> {
    let [one, other] = spellings.map(str::trim);
    if one.eq_ignore_ascii_case(other) {
        return Ok(true);
    }
    let account = app.ca(ca)?;
    let Some(issuer) = Arc::clone(&account).issuing() else {
        return Ok(false);
    };
    let client = match client {
        Some(selector) => account.find_client(selector).await?.reference,
        None => String::new(),
    };
    let products = issuer.products(&client).await?;
    let place = |wanted: &str| products.iter().position(|one| is_it(one, wanted));
    Ok(place(one).is_some_and(|place_of_one| place(other) == Some(place_of_one)))
}

fn is_it(product: &Product, wanted: &str) -> bool {
    product.name == wanted || product.reference.eq_ignore_ascii_case(wanted)
}

/// What to write in its place, where a catalogue does not have a product; `None`: it has it, or there
/// is no catalogue.
fn unknown(wanted: &str, products: &[Product]) -> Option<String> {
    let wanted = wanted.trim();
    if products.is_empty() || products.iter().any(|one| is_it(one, wanted)) {
        return None;
    }
    let lower: Vec<String> = products.iter().map(|one| one.name.to_lowercase()).collect();
    let near = nearest(wanted, lower.iter().map(String::as_str));
    let near = near.and_then(|near| lower.iter().position(|name| name == near));
    let shown = |one: &Product| match one.name == one.reference {
        true => format!("`{}`", one.name),
        false => format!("`{}` ({})", one.name, one.reference),
    };
    if let Some(one) = near.and_then(|at| products.get(at)) {
        return Some(format!(
            "did you mean {}? `prevalidate products` lists all",
            shown(one)
        ));
    }
    let mut names: Vec<String> = products.iter().map(shown).take(MOST_NAMED).collect();
    if products.len() > MOST_NAMED {
        names.push("more, which `prevalidate products` lists".to_owned());
    }
    Some(format!("there is {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn product(name: &str, reference: &str) -> Product {
        Product {
            name: name.to_owned(),
            reference: reference.to_owned(),
            ..Product::default()
        }
    }

    #[test]
    fn a_product_that_no_catalogue_has_is_told_with_what_it_may_be() {
        let all = [
            product("OV SSL Gold Multi-Domain", "pma-1"),
            product("DV SSL Silver", "pma-2"),
        ];
        for known in ["DV SSL Silver", " DV SSL Silver ", "PMA-2"] {
            assert_eq!(unknown(known, &all), None, "{known}");
        }
        let near = unknown("dv ssl sliver", &all).unwrap();
        assert!(
            near.starts_with("did you mean `DV SSL Silver` (pma-2)?"),
            "{near}"
        );
        let far = unknown("wildcard", &all).unwrap();
        assert!(far.contains("Multi-Domain` (pma-1), `DV SSL"), "{far}");
        assert_eq!(unknown("anything", &[]), None, "the CA has no catalogue");
    }
}
