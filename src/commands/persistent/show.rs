//! Persistent records on paper.

use jiff::Timestamp;

use crate::commands::reasons::Cut;
use crate::output::{Cell, Output, Tone, cause, relative, share};
use crate::overview::danger::Gravity;
use crate::overview::persistent::{PersistentState, PersistentView};
use crate::text::Reason;

/// This many records are shown with their whole reason and what to do.
const MOST_TOLD: usize = 20;

fn tone(view: &PersistentView) -> Tone {
    match (view.gravity, view.state) {
        (Gravity::Critical, _) => Tone::Bad,
        (Gravity::Warning, _) => Tone::Warn,
        (_, PersistentState::Visible) => Tone::Good,
        (_, PersistentState::Withdrawn | PersistentState::Removing) => Tone::Dim,
        _ => Tone::Warn,
    }
}

/// A row for each record, and below them what is cut from the reasons.
pub(super) fn listing(views: &[PersistentView], now: Timestamp, output: &Output) {
    table(views, now, output);
    cut(&views.iter().collect::<Vec<_>>(), now).tell(output);
}

fn cut(views: &[&PersistentView], now: Timestamp) -> Cut {
    let mut cut = Cut::default();
    for view in views {
        cut.take_reason(&view.domain, &view.reason, now);
    }
    cut
}

/// A row for each record.
fn table(views: &[PersistentView], now: Timestamp, output: &Output) {
    let when = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| relative(at, now));
    let rows = views.iter().map(|view| {
        vec![
            view.domain.both_forms().into(),
            view.issuer.clone().into(),
            Cell::new(view.state.as_str(), tone(view)),
            when(view.until).into(),
            when(view.verified_at).into(),
            view.account.clone().into(),
            told(view, now).into(),
        ]
    });
    output.table(
        &[
            "DOMAIN", "ISSUER", "RECORD", "ENDS", "SEEN", "ACCOUNT", "REASON",
        ],
        rows.collect(),
    );
    for view in views {
        for record in &view.records {
            output.detail(&format!(
                "{} TXT \"{}\" ({}, by {})",
                record.owner, record.value, record.state, record.provider
            ));
        }
    }
}

/// What a pass says of the records that are not at rest.
pub(in crate::commands) fn attention(views: &[PersistentView], now: Timestamp, output: &Output) {
    let open: Vec<PersistentView> = views
        .iter()
        .filter(|view| view.needs_attention() || !view.is_settled())
        .cloned()
        .collect();
    let words = "visible on every name server";
    let noun = "persistent record";
    output.line(&share(visible(views), views.len(), noun, (words, words)));
    if !open.is_empty() {
        table(&open, now, output);
    }
    // What the guard says is shown once, for all of them.
    let is_told = |view: &&PersistentView| {
        view.state == PersistentState::Held || Reason::read(&view.reason).hint.is_some()
    };
    let (told, untold): (Vec<_>, Vec<_>) = open
        .iter()
        .filter(|view| !view.is_guarded)
        .partition(is_told);
    cut(&untold, now).tell(output);
    for view in told.iter().take(MOST_TOLD) {
        let shown = view.domain.both_forms();
        let reason = Reason::read(&view.reason);
        let mut words = format!("{shown} at {}: {}", view.issuer, reason.words);
        let mut next = reason.hint.map(str::to_owned);
        if let Some(at) = view.retry_at {
            words.push_str(&format!("; it is tried again {}", relative(at, now)));
            let once = format!("`prevalidate run --domain {}` tries at once", view.domain);
            next = Some(next.map_or(once.clone(), |next| format!("{next}; then {once}")));
        }
        output.error(&words, next.as_deref());
    }
    if let Some(more) = told.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        output.notice(&format!(
            "{more} more: `prevalidate persistent list --output json` has all reasons"
        ));
    }
    let first = views
        .iter()
        .filter(|view| view.state == PersistentState::Waiting);
    if first.count() > 0 && views.iter().any(|view| view.waits_for_canary) {
        output.notice(
            "ask the users of ACME at this CA before the other domains follow: at one CA their \
             orders asked for challenges again after domains had moved to persistent records",
        );
    }
}

/// How many are visible, as the end of a sentence; empty where there are none.
pub(in crate::commands) fn counted(views: &[PersistentView]) -> String {
    if views.is_empty() {
        return String::new();
    }
    let words = ("is visible", "are visible");
    let (all, good) = (views.len(), visible(views));
    format!("; {}", share(good, all, "persistent record", words))
}

/// How many have a record that every name server has.
fn visible(views: &[PersistentView]) -> usize {
    let is_visible = |view: &&PersistentView| {
        matches!(
            view.state,
            PersistentState::Visible | PersistentState::Replacing
        )
    };
    views.iter().filter(is_visible).count()
}

/// Why a record is as it is, and how often it was put back.
fn told(view: &PersistentView, now: Timestamp) -> String {
    let reason = cause(&view.reason, now);
    match view.put_back {
        0 => reason,
        1 => format!("{reason}; put back once"),
        count => format!("{reason}; put back {count} times"),
    }
}
