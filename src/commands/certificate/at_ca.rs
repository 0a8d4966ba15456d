//! `certificate list --at-ca`: the orders that the CAs show, ours and foreign ones.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::product::reference_of;
use crate::ca::issuing::{Issuing, Order, Orders};
use crate::commands::app::App;
use crate::commands::{Exit, Failed};
use crate::issuance::OrderState;
use crate::output::{Output, moment};
use crate::overview::certificates::CertificateView;
use crate::store::Store;

/// This many certificates are read one by one, where a list does not say which are revoked.
const MOST_READ: usize = 200;

#[derive(Serialize)]
struct Row {
    ca: String,
    client: String,
    order: String,
    /// The certificate of the configuration that it was ordered for; none: this program did not
    /// order it.
    certificate: Option<String>,
    state: String,
    names: Vec<String>,
    serial: Option<String>,
    ends_at: Option<Timestamp>,
    product: Option<String>,
}

/// The orders of every account. One that refuses is named, and the others are listed all the same.
pub(super) async fn list(app: &App, output: &Output) -> Result<Exit, Failed> {
    let store = app.open_to_call().await?;
    let known = super::views(app, &store, app.now()).await?;
    let (mut rows, mut exit) = (Vec::new(), Exit::Done);
    let issuing = app
        .settings
        .cas
        .iter()
        .filter(|(_, ca)| ca.kind.issuing.is_some());
    let asked: Vec<&String> = issuing.map(|(name, _)| name).collect();
    for ca in &asked {
        for found in at(app, &store, ca).await {
            match found {
                Ok(found) => {
                    for what in &found.unreadable {
                        output.warn(&format!("{ca}: {what}"), None);
                    }
                    let orders = found.orders.into_iter();
                    rows.extend(orders.map(|order| Row::new(ca, &found.client, order, &known)));
                }
                Err(failed) => exit = exit.graver(failed.tell_of(("ca", ca), output)),
            }
        }
    }
    output.json(&rows);
    if rows.is_empty() && exit == Exit::Done {
        output.line("the CAs show no orders");
        return Ok(exit);
    }
    table(rows, asked.len() > 1, output);
    Ok(exit)
}

/// One client as an account shows it.
struct Found {
    client: String,
    orders: Vec<Order>,
    unreadable: Vec<String>,
}

/// The orders of an account, client by client.
async fn at(app: &App, store: &Arc<dyn Store>, ca: &str) -> Vec<Result<Found, Failed>> {
    let account = match app.ca_in_turn(ca, store) {
        Ok(account) => account,
        Err(failed) => return vec![Err(failed)],
    };
    let Some(issuer) = Arc::clone(&account).issuing() else {
        return Vec::new();
    };
    if !issuer.kind().has_clients {
        return vec![listed(app, &*issuer, String::new(), "").await];
    }
    let mut found = Vec::new();
    for target in app.targets.iter().filter(|one| one.ca == ca) {
        let client = target.selector.to_string();
        found.push(match reference_of(&*account, store, target).await {
            Ok(reference) => listed(app, &*issuer, client, &reference).await,
            Err(failed) => Err(failed),
        });
    }
    found
}

async fn listed(
    app: &App,
    issuer: &dyn Issuing,
    client: String,
    reference: &str,
) -> Result<Found, Failed> {
    let mut found = issuer.orders(reference).await?;
    if !issuer.kind().lists_revoked {
        read(issuer, &mut found, app.now()).await?;
    }
    Ok(Found {
        client,
        orders: found.orders,
        unreadable: found.unreadable,
    })
}

/// Reads each order whose certificate has not ended, where the list does not tell of revocations.
async fn read(issuer: &dyn Issuing, found: &mut Orders, now: Timestamp) -> Result<(), Failed> {
    let counts = |order: &&mut Order| {
        order.state == OrderState::Issued && order.ends_at.is_none_or(|end| end > now)
    };
    let open: Vec<&mut Order> = found.orders.iter_mut().filter(counts).collect();
    let count = open.len();
    for order in open.into_iter().take(MOST_READ) {
        order.state = issuer.read(&order.key).await?.state;
    }
    if count > MOST_READ {
        let words = format!(
            "only the first {MOST_READ} of {count} certificates were asked about revocation"
        );
        found.unreadable.push(words);
    }
    Ok(())
}

impl Row {
    fn new(ca: &str, client: &str, order: Order, known: &[CertificateView]) -> Self {
        let is_it = |view: &&CertificateView| {
            // Two CAs may count from the same number.
            view.ca == ca && view.order.as_ref() == Some(&order.key.reference)
                || view.serial.is_some() && view.serial == order.serial
        };
        Self {
            ca: ca.to_owned(),
            client: client.to_owned(),
            certificate: known.iter().find(is_it).map(|view| view.name.clone()),
            order: order.key.reference,
            state: order.state.to_string(),
            names: order.names,
            serial: order.serial,
            ends_at: order.ends_at,
            product: order.product,
        }
    }
}

/// With the CA where several were asked, whichever answered, and the client where there are several.
fn table(rows: Vec<Row>, with_ca: bool, output: &Output) {
    let with_client = rows.iter().any(|row| row.client != rows[0].client);
    let mut headers = vec!["ORDER", "STATE", "NAMES", "ENDS", "PRODUCT", "CERTIFICATE"];
    if with_client {
        headers.insert(0, "CLIENT");
    }
    if with_ca {
        headers.insert(0, "CA");
    }
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let cells = rows.into_iter().map(|row| {
        let mut cells = vec![
            row.order.into(),
            row.state.into(),
            row.names.join(" ").into(),
            dash(row.ends_at.map(moment)).into(),
            dash(row.product).into(),
            dash(row.certificate).into(),
        ];
        if with_client {
            cells.insert(0, row.client.into());
        }
        if with_ca {
            cells.insert(0, row.ca.into());
        }
        cells
    });
    output.table(&headers, cells.collect());
}
