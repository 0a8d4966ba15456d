//! Certificates on paper.

use jiff::Timestamp;

use crate::certificates::folder;
use crate::config::Settings;
use crate::output::{Cell, Output, Tone, cause, moment, relative};
use crate::overview::certificates::{CertificateState, CertificateView};

/// How a certificate stands, for whoever reads a table.
pub(in crate::commands) fn tone(view: &CertificateView) -> Tone {
    match view.state {
        CertificateState::Unmanaged => Tone::Dim,
        _ if view.held => Tone::Bad,
        CertificateState::Expired | CertificateState::Revoked => Tone::Bad,
        _ if view.needs_attention() => Tone::Warn,
        CertificateState::Ordering => Tone::Warn,
        _ => Tone::Good,
    }
}

fn word(view: &CertificateView) -> &'static str {
    match view.held {
        true => "held",
        false => view.state.as_str(),
    }
}

pub(in crate::commands) fn table(views: &[CertificateView], now: Timestamp, output: &Output) {
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
        vec![
            view.name.clone().into(),
            Cell::new(word(view), tone(view)),
            names.into(),
            ends.into(),
            view.next.into(),
            when.into(),
            cause(&view.reason, now).into(),
        ]
    });
    output.table(
        &[
            "CERTIFICATE",
            "STATE",
            "NAMES",
            "ENDS",
            "NEXT",
            "WHEN",
            "REASON",
        ],
        rows.collect(),
    );
    let cut = |view: &&CertificateView| cause(&view.reason, now).contains(" … ");
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
    line("state", word(view));
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
