//! `products` and `clients`: what may be ordered at the CAs, and under which client.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::{Exit, Failed, Global, wire};
use crate::ca::issuing::{Issuing, Product};
use crate::ca::{CaError, Client};
use crate::config::Settings;
use crate::output::{Cell, Output, Tone};

#[derive(Debug, clap::Args)]
pub(super) struct ProductsArgs {
    /// Only those of this [ca.NAME]
    #[arg(long, value_name = "NAME")]
    ca: Option<String>,
    /// Only those of this client: its name or the CA's key for it
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ClientsArgs {
    /// Only those of this [ca.NAME]
    #[arg(long, value_name = "NAME")]
    ca: Option<String>,
}

#[derive(Serialize)]
struct ProductRow {
    ca: String,
    client: String,
    #[serde(flatten)]
    product: Product,
}

#[derive(Serialize)]
struct ClientRow {
    ca: String,
    #[serde(flatten)]
    client: Client,
    /// What may be ordered there.
    products: Vec<Product>,
}

pub(super) async fn products(
    global: &Global,
    args: ProductsArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let settings = wire::settings(global, output)?;
    let (mut rows, mut exit) = (Vec::new(), Exit::Done);
    for (ca, issuer) in issuers(&settings, args.ca.as_deref())? {
        for client in clients_of(&*issuer).await? {
            let wanted = args.client.as_ref();
            if wanted.is_some_and(|wanted| *wanted != client.name && *wanted != client.reference) {
                continue;
            }
            match issuer.products(&client.reference).await {
                Ok(found) => rows.extend(found.into_iter().map(|product| ProductRow {
                    ca: ca.clone(),
                    client: client.name.clone(),
                    product,
                })),
                Err(error) => exit = exit.max(told(&ca, error, output)),
            }
        }
    }
    output.json(&rows);
    let cells = rows.iter().map(|row| {
        let product = &row.product;
        let (note, tone) = match (&product.refusal, product.warnings.first()) {
            (Some(why), _) => (why.as_str(), Tone::Bad),
            (None, Some(why)) => (why.as_str(), Tone::Warn),
            (None, None) => ("", Tone::Plain),
        };
        vec![
            row.ca.clone().into(),
            row.client.clone().into(),
            product.name.clone().into(),
            product.reference.clone().into(),
            product.terms.join(", ").into(),
            Cell::new(note, tone),
        ]
    });
    output.table(
        &["CA", "CLIENT", "PRODUCT", "REFERENCE", "TERMS", "NOTE"],
        cells.collect(),
    );
    Ok(exit)
}

pub(super) async fn clients(
    global: &Global,
    args: ClientsArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let settings = wire::settings(global, output)?;
    let (mut rows, mut exit) = (Vec::new(), Exit::Done);
    for (ca, issuer) in issuers(&settings, args.ca.as_deref())? {
        let found = match issuer.clients().await {
            Ok(found) => found,
            Err(error) => {
                exit = exit.max(told(&ca, error, output));
                continue;
            }
        };
        for client in found {
            let products = match issuer.products(&client.reference).await {
                Ok(products) => products,
                Err(error) => {
                    exit = exit.max(told(&ca, error, output));
                    Vec::new()
                }
            };
            rows.push(ClientRow {
                ca: ca.clone(),
                client,
                products,
            });
        }
    }
    output.json(&rows);
    let cells = rows.iter().map(|row| {
        let products = row.products.iter().map(|one| one.name.as_str());
        vec![
            row.ca.clone().into(),
            row.client.name.clone().into(),
            row.client.reference.clone().into(),
            products.collect::<Vec<_>>().join(", ").into(),
        ]
    });
    output.table(&["CA", "CLIENT", "REFERENCE", "PRODUCTS"], cells.collect());
    Ok(exit)
}

fn told(ca: &str, error: CaError, output: &Output) -> Exit {
    output.error(&format!("{ca}: {error}"), error.hint.as_deref());
    Failed::from(error).exit
}

/// The accounts that issue; with a name, the one.
fn issuers(
    settings: &Settings,
    only: Option<&str>,
) -> Result<BTreeMap<String, Arc<dyn Issuing>>, Failed> {
    let mut found = BTreeMap::new();
    for name in settings.cas.keys() {
        if only.is_none_or(|only| only == name)
            && let Some(issuer) = wire::ca(settings, name, wire::clock())?.issuing()
        {
            found.insert(name.clone(), issuer);
        }
    }
    if found.is_empty() {
        let message = match only {
            Some(only) => format!("there is no [ca.{only}] that issues certificates"),
            None => "no CA of the configuration issues certificates".to_owned(),
        };
        return Err(Failed::new(Exit::Usage, message));
    }
    Ok(found)
}

/// The clients of an account; one without a name where the CA has none.
async fn clients_of(issuer: &dyn Issuing) -> Result<Vec<Client>, CaError> {
    if !issuer.kind().has_clients {
        return Ok(vec![Client {
            reference: String::new(),
            name: String::new(),
        }]);
    }
    issuer.clients().await
}
