//! `products` and `clients`: what may be ordered at the CAs, and under which client.

use serde::Serialize;

use super::app::App;
use super::{Exit, Failed, Global};
use crate::ca::Client;
use crate::ca::issuing::Product;
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
    /// The products that may be ordered there.
    products: Vec<Product>,
}

pub(super) async fn products(
    global: &Global,
    args: ProductsArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let (mut rows, mut exit, mut is_there) = (Vec::new(), Exit::Done, false);
    let is_meant = |client: &Client| {
        let wanted = args.client.as_ref();
        wanted.is_none_or(|wanted| *wanted == client.name || *wanted == client.reference)
    };
    for ca in issuing(&app.settings, args.ca.as_deref())? {
        match offered(&app, ca, is_meant, output).await {
            Ok((found, worst)) => {
                exit = exit.graver(worst);
                is_there |= !found.is_empty();
                rows.extend(found.into_iter().flat_map(|(client, products)| {
                    products.into_iter().map(move |product| ProductRow {
                        ca: ca.to_owned(),
                        client: client.name.clone(),
                        product,
                    })
                }));
            }
            Err(failed) => exit = exit.graver(failed.tell_of(("ca", ca), output)),
        }
    }
    if let Some(client) = args.client.filter(|_| !is_there && exit == Exit::Done) {
        let message = format!("no CA shows a client `{client}`");
        let failed = Failed::new(Exit::Usage, message);
        return Err(failed.with_hint("`prevalidate clients` lists them"));
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
    let app = App::read(global, output)?;
    let (mut rows, mut exit) = (Vec::new(), Exit::Done);
    for ca in issuing(&app.settings, args.ca.as_deref())? {
        match offered(&app, ca, |_| true, output).await {
            Ok((found, worst)) => {
                exit = exit.graver(worst);
                let found = found.into_iter();
                let has_clients = found.filter(|(client, _)| !client.reference.is_empty());
                rows.extend(has_clients.map(|(client, products)| ClientRow {
                    ca: ca.to_owned(),
                    client,
                    products,
                }));
            }
            Err(failed) => exit = exit.graver(failed.tell_of(("ca", ca), output)),
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

/// The accounts that issue; with a name, the one.
fn issuing<'a>(settings: &'a Settings, only: Option<&str>) -> Result<Vec<&'a str>, Failed> {
    let cas = settings.cas.iter();
    let cas = cas.filter(|(_, ca)| ca.kind.issuing.is_some());
    let names = cas.map(|(name, _)| name.as_str());
    let found: Vec<_> = names
        .filter(|name| only.is_none_or(|only| only == *name))
        .collect();
    if found.is_empty() {
        let message = match only {
            Some(only) => format!("there is no [ca.{only}] that issues certificates"),
            None => "no CA of the configuration issues certificates".to_owned(),
        };
        return Err(Failed::new(Exit::Usage, message));
    }
    Ok(found)
}

/// The products of an account, client by client, and the exit status of a refusal for one client.
/// Where the CA has no clients, there is one without a name.
async fn offered(
    app: &App,
    ca: &str,
    is_meant: impl Fn(&Client) -> bool,
    output: &Output,
) -> Result<(Vec<(Client, Vec<Product>)>, Exit), Failed> {
    let issuer = app.ca(ca)?.issuing();
    let Some(issuer) = issuer else {
        return Ok((Vec::new(), Exit::Done));
    };
    let clients = match issuer.kind().has_clients {
        true => issuer.clients().await?,
        false => vec![Client {
            reference: String::new(),
            name: String::new(),
        }],
    };
    let (mut found, mut exit) = (Vec::new(), Exit::Done);
    for client in clients.into_iter().filter(is_meant) {
        let products = issuer.products(&client.reference).await;
        let products = products.unwrap_or_else(|error| {
            exit = exit.graver(Failed::from(error).tell_of(("ca", ca), output));
            Vec::new()
        });
        found.push((client, products));
    }
    Ok((found, exit))
}
