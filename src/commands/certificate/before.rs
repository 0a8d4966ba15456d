//! What a request was ordered for before: the name of the order that continues with it, and what is
//! said of another one, which `certificate order` does not repeat by itself.

use jiff::Timestamp;

use super::product;
use crate::certificates::fingerprint;
use crate::commands::Failed;
use crate::commands::app::App;
use crate::config::{CertificateSettings, Settings};
use crate::issuance::{BY_HAND, Progress};
use crate::store::orders::CertificateRow;

/// Which line of [`CertificateSettings::print`] has the product; those after it have the names and the
/// key of the request.
const PRODUCT: usize = 2;

/// How an order by hand is called, and what there is of its request.
pub(super) struct Named {
    /// The name.
    pub name: String,
    /// The state of the same order, where it was made before.
    pub same: Option<String>,
    /// An order of the same request by a section of the configuration.
    pub other: Option<String>,
}

/// What it is called: by its key, as older programs called it, or by all that was ordered where
/// another order with the same key has that name. An earlier order by another spelling of the same
/// product counts as this order, and keeps its spelling.
pub(super) async fn name_of(
    app: &App,
    one: &mut CertificateSettings,
    public_key: &[u8],
) -> Result<Named, Failed> {
    let short = |text: &str| format!("{BY_HAND}{}", &text[..16]);
    let (by_key, print) = (short(&fingerprint(public_key)), one.print());
    let rows = match app.store_if_there().await? {
        Some(store) => store.orders().certificates().await?,
        None => Vec::new(),
    };
    let now = app.now();
    let same = |row: &CertificateRow| Named {
        name: row.name.clone(),
        same: same_certificate(&app.settings, row, now).map(|(_, words)| words),
        other: None,
    };
    let by_hand = rows.iter().filter(|row| row.name.starts_with(BY_HAND));
    let known = by_hand.filter_map(|row| Some((row, ordered(&row.progress)?)));
    let known: Vec<(&CertificateRow, &str)> = known.collect();
    if let Some((row, _)) = known.iter().find(|(_, before)| *before == print) {
        return Ok(same(row));
    }
    for (row, before) in &known {
        let Some(product) = but_for_the_product(before, &print) else {
            continue;
        };
        let spellings = [product, &one.product];
        if product::is_same(app, &one.ca, one.client.as_ref(), spellings).await? {
            one.product = product.to_owned();
            return Ok(same(row));
        }
    }
    let is_used = known.iter().any(|(row, _)| row.name == by_key);
    Ok(Named {
        name: match is_used {
            true => short(&fingerprint(print.as_bytes())),
            false => by_key,
        },
        same: None,
        other: rows
            .iter()
            .filter(|row| !row.name.starts_with(BY_HAND))
            .find_map(|row| of_request(&app.settings, row, &print, now)),
    })
}

/// The product of a print that says the same as another one, but for the product.
fn but_for_the_product<'a>(before: &'a str, print: &str) -> Option<&'a str> {
    let (before, print): (Vec<&str>, Vec<&str>) =
        (before.split('\n').collect(), print.split('\n').collect());
    let is_same = before.len() == print.len()
        && (0..print.len()).all(|at| at == PRODUCT || before[at] == print[at]);
    before.get(PRODUCT).copied().filter(|_| is_same)
}

/// What a row was ordered by, as [`CertificateSettings::print`] says it.
pub(super) fn ordered(progress: &Progress) -> Option<&str> {
    let order = progress.order.as_ref().map(|order| order.print.as_str());
    let installed = || progress.installed.as_ref().map(|one| one.print.as_str());
    let held = || progress.hold.as_ref().map(|hold| hold.print.as_str());
    order.or_else(installed).or_else(held)
}

/// The certificate or paid order of a row: the print that it was ordered by, and its state.
fn same_certificate<'a>(
    settings: &Settings,
    row: &'a CertificateRow,
    now: Timestamp,
) -> Option<(&'a str, String)> {
    let progress = &row.progress;
    let installed = progress.installed.as_ref();
    let counts = installed.filter(|one| one.revoked_at.is_none() && one.not_after > now);
    if let Some(one) = counts {
        let place = settings.certificates.directory.join(&row.name);
        // Another machine may have it.
        let place = match place.is_dir() {
            true => format!(" is in {} and", place.display()),
            false => String::new(),
        };
        let words = format!("its certificate{place} counts until {}", one.not_after);
        return Some((&one.print, words));
    }
    let order = progress.order.as_ref();
    let order = order.filter(|one| one.submitted_at.is_some())?;
    let reference = order
        .reference
        .as_deref()
        .unwrap_or("without an answer yet");
    let words = format!("its order is under way ({reference})");
    Some((&order.print, words))
}

/// The state of a row that has a certificate, or an order, for the request of this print.
fn of_request(
    settings: &Settings,
    row: &CertificateRow,
    print: &str,
    now: Timestamp,
) -> Option<String> {
    let (before, words) = same_certificate(settings, row, now)?;
    let request = |print: &str| {
        let lines = print.split('\n').skip(PRODUCT + 1).take(2);
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let product = before.split('\n').nth(PRODUCT).unwrap_or_default();
    let (name, ca) = (&row.name, &row.ca);
    (request(before) == request(print)).then(|| {
        format!("this request is ordered already: {name} has it ({product} at {ca}), and {words}")
    })
}
