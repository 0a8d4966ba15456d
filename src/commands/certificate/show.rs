//! Certificates on paper.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::certificates::folder;
use crate::config::Settings;
use crate::output::{Cell, Output, Tone, cause, is_cut, moment, relative};
use crate::overview::certificates::{CertificateState, CertificateView};

/// The state of a certificate, for a reader of a table.
pub(in crate::commands) fn tone(view: &CertificateView) -> Tone {
    match view.state {
        CertificateState::Unmanaged => Tone::Dim,
        _ if view.held || view.damaged => Tone::Bad,
        CertificateState::Expired | CertificateState::Revoked => Tone::Bad,
        _ if view.needs_attention() => Tone::Warn,
        CertificateState::Ordering => Tone::Warn,
        _ => Tone::Good,
    }
}

/// How many of them are in which state, in the words of the table: `2 valid`, `1 held`.
pub(super) fn words<'a>(views: impl Iterator<Item = &'a CertificateView>) -> Vec<String> {
    let mut counts: BTreeMap<(bool, CertificateState, &str), usize> = BTreeMap::new();
    for view in views {
        let word = view.word();
        // Those come last that are not as their state says.
        let key = match word == view.state.as_str() {
            true => (false, view.state, word),
            false => (true, CertificateState::Valid, word),
        };
        *counts.entry(key).or_default() += 1;
    }
    let counts = counts.into_iter();
    counts
        .map(|((.., word), count)| format!("{count} {word}"))
        .collect()
}

/// With the CA and the product where there are several.
pub(in crate::commands) fn table(views: &[CertificateView], now: Timestamp, output: &Output) {
    let with_ca = views.iter().any(|view| view.ca != views[0].ca);
    let with_product = views.iter().any(|view| view.product != views[0].product);
    let rows = views.iter().map(|view| {
        let ends = view
            .not_after
            .map_or_else(|| "-".to_owned(), |at| relative(at, now));
        let when = view
            .due_at
            .map_or_else(|| "-".to_owned(), |at| relative(at.max(now), now));
        let names = match view.names.split_first() {
            Some((first, [])) => first.clone(),
            Some((first, more)) => format!("{first} +{}", more.len()),
            None => "-".to_owned(),
        };
        let mut row = vec![
            view.name.clone().into(),
            Cell::new(view.word(), tone(view)),
            names.into(),
            ends.into(),
            view.next.into(),
            when.into(),
            cause(&view.reason, now).into(),
        ];
        if with_product {
            let product = view.product.clone().unwrap_or_else(|| "-".to_owned());
            row.insert(1, product.into());
        }
        if with_ca {
            row.insert(1, view.ca.clone().into());
        }
        row
    });
    let mut headers = vec![
        "CERTIFICATE",
        "STATE",
        "NAMES",
        "ENDS",
        "NEXT",
        "WHEN",
        "REASON",
    ];
    if with_product {
        headers.insert(1, "PRODUCT");
    }
    if with_ca {
        headers.insert(1, "CA");
    }
    output.table(&headers, rows.collect());
    let cut = |view: &&CertificateView| is_cut(&view.reason, now);
    for view in views.iter().filter(cut) {
        output.detail(&format!("{}: {}", view.name, view.reason));
    }
    if views.iter().any(|view| cut(&view)) && !output.is_verbose() {
        output.notice("-v shows the whole reasons");
    }
}

pub(super) fn one(settings: &Settings, view: &CertificateView, output: &Output) {
    output.json(view);
    let line = |key: &str, text: &str| output.line(&format!("{key:<12}{text}"));
    line("name", &view.name);
    line("state", view.word());
    line("names", &view.names.join(", "));
    line("ca", &view.ca);
    let texts = [
        ("client", &view.client),
        ("product", &view.product),
        ("order", &view.order),
        ("order state", &view.order_state),
        ("serial", &view.serial),
        ("issuer", &view.issuer),
    ];
    for (key, text) in texts {
        text.iter().for_each(|text| line(key, text));
    }
    let times = [
        ("from", view.not_before),
        ("until", view.not_after),
        ("renewal", view.renew_at),
        ("ordered", view.ordered_at),
        ("revoked", view.revoked_at),
    ];
    for (key, at) in times {
        at.iter().for_each(|at| line(key, &moment(*at)));
    }
    let folder = settings.certificates.directory.join(&view.name);
    if view.version.is_some() && !view.elsewhere {
        line("files", &folder.join(folder::CURRENT).display().to_string());
    }
    line("next", view.next);
    line("reason", &view.reason);
    view.hint.iter().for_each(|hint| line("to do", hint));
}

/// What a pass says of the certificates that want attention.
pub(in crate::commands) fn attention(views: &[CertificateView], now: Timestamp, output: &Output) {
    let open = |view: &&CertificateView| {
        let under_way = matches!(
            view.state,
            CertificateState::Ordering | CertificateState::Renewing
        );
        view.state != CertificateState::Unmanaged && (view.needs_attention() || under_way)
    };
    let rows: Vec<CertificateView> = views.iter().filter(open).cloned().collect();
    if !rows.is_empty() {
        table(&rows, now, output);
    }
    for view in rows.iter().filter(|view| view.held) {
        output.error(
            &format!("the certificate {}: {}", view.name, view.reason),
            view.hint.as_deref(),
        );
    }
}
