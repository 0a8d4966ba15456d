//! `certificate list --at-ca`: the orders that the CAs show, ours and others'.

use std::sync::Arc;

use serde::Serialize;

use crate::ca::issuing::Order;
use crate::commands::{Exit, Failed, wire};
use crate::config::Settings;
use crate::output::{Output, moment};
use crate::worker::issue::IssuePorts;
use crate::worker::reference_fact;

#[derive(Serialize)]
struct Row {
    ca: String,
    client: String,
    order: String,
    /// The certificate of the configuration that it was ordered for; none: nobody here ordered it.
    certificate: Option<String>,
    state: String,
    names: Vec<String>,
    serial: Option<String>,
    ends_at: Option<jiff::Timestamp>,
    product: Option<String>,
}

pub(super) async fn list(settings: &Settings, output: &Output) -> Result<Exit, Failed> {
    let store = wire::store_read_only(settings).await?;
    let known = super::views(settings, &store, wire::clock().now()).await?;
    let ours = |order: &Order| {
        let of = |view: &&crate::overview::certificates::CertificateView| {
            view.order.as_ref() == Some(&order.key.reference)
                || view.serial.is_some() && view.serial == order.serial
        };
        known.iter().find(of).map(|view| view.name.clone())
    };
    let ports = wire::ports(settings, Arc::clone(&store))?;
    let issue = IssuePorts::of(&ports);
    let (mut rows, mut exit) = (Vec::new(), Exit::Done);
    for (ca, issuer) in &issue.issuers {
        let mut clients = Vec::new();
        if issuer.kind().has_clients {
            for target in wire::targets(settings)
                .iter()
                .filter(|target| target.ca == *ca)
            {
                let fact = store.fact(&reference_fact(&target.key)).await?;
                let reference = match fact.filter(|text| !text.is_empty()) {
                    Some(reference) => reference,
                    None => ports.cas[ca].find_client(&target.selector).await?.reference,
                };
                clients.push((target.selector.to_string(), reference));
            }
        } else {
            clients.push((String::new(), String::new()));
        }
        for (client, reference) in clients {
            let found = match issuer.orders(&reference).await {
                Ok(found) => found,
                Err(error) => {
                    output.error(&format!("{ca}: {error}"), error.hint.as_deref());
                    exit = exit.max(Failed::from(error).exit);
                    continue;
                }
            };
            for what in &found.unreadable {
                output.warn(&format!("{ca}: {what}"), None);
            }
            rows.extend(found.orders.into_iter().map(|order| Row {
                ca: ca.clone(),
                client: client.clone(),
                certificate: ours(&order),
                order: order.key.reference.clone(),
                state: order.state.to_string(),
                names: order.names.clone(),
                serial: order.serial.clone(),
                ends_at: order.ends_at,
                product: order.product.clone(),
            }));
        }
    }
    output.json(&rows);
    let cells = rows.into_iter().map(|row| {
        vec![
            row.order.into(),
            row.state.into(),
            row.names.join(" ").into(),
            row.ends_at.map_or_else(|| "-".to_owned(), moment).into(),
            row.certificate.unwrap_or_else(|| "-".to_owned()).into(),
        ]
    });
    output.table(
        &["ORDER", "STATE", "NAMES", "ENDS", "CERTIFICATE"],
        cells.collect(),
    );
    Ok(exit)
}
