//! Domains that another process works on: nothing else is done for them before it lets go. This is
//! shown in the place of the next step, because the other process takes that step.

use jiff::Timestamp;

use super::Failed;
use super::app::App;
use super::names::several;
use crate::output::{Output, moment};
use crate::overview::DomainView;
use crate::prevalidation::{Plan, RowKey};
use crate::store::{Held, Store, StoreError};

/// `the process 21216 (run-20261129T054422Z-58xj) works on it since 2026-11-29 05:44:22, until …`
fn said(held: &Held) -> String {
    let who = match held.holder.rsplit_once('/') {
        Some((name, pid)) => format!("the process {pid} ({name})"),
        None => held.holder.clone(),
    };
    let since = held
        .since
        .map(|since| format!(" since {}", moment(since)))
        .unwrap_or_default();
    format!(
        "{who} works on it{since}, until {} at the latest",
        moment(held.until)
    )
}

/// Says it of one row; `None` when no worker works on it.
pub(super) async fn tell_of(
    store: &dyn Store,
    key: &RowKey,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let held = store.held(now).await?;
    Ok(held.iter().find(|held| held.key == *key).map(said))
}

/// Says it of views whose next step is due.
pub(super) fn tell_views(held: &[Held], views: &mut [DomainView], now: Timestamp) {
    for held in held {
        // The views come by name.
        let domain = held.key.domain();
        let from = views.partition_point(|view| view.domain < *domain);
        let mut own = views[from..]
            .iter_mut()
            .take_while(|view| view.domain == *domain);
        let Some(view) = own.find(|view| view.key() == held.key) else {
            continue;
        };
        if view.is_managed() && view.due_at.is_none_or(|due| due <= now) {
            view.due_at = Some(held.until);
            view.reason = said(held);
        }
    }
}

/// Says it of the steps of a plan.
pub(super) async fn tell_plan(app: &App, plan: &mut Plan) -> Result<(), Failed> {
    let Some(store) = app.store_if_there().await? else {
        return Ok(());
    };
    let held = store.held(plan.made_at).await?;
    store.close().await;
    let mut moved = false;
    for held in held {
        let steps = plan
            .steps
            .iter_mut()
            .filter(|step| step.key == held.key && step.decision.at <= plan.made_at);
        for step in steps {
            step.decision.at = held.until;
            step.decision.why = said(&held).into();
            moved = true;
        }
    }
    if moved {
        let steps = std::mem::take(&mut plan.steps);
        let alarms = std::mem::take(&mut plan.alarms);
        *plan = Plan::new(plan.made_at, alarms, steps);
    }
    Ok(())
}

/// A run that begins says which process it waits for.
pub(super) async fn tell_run(
    store: &dyn Store,
    asked: impl Fn(&RowKey) -> bool,
    now: Timestamp,
    output: &Output,
) -> Result<(), StoreError> {
    let mut held = store.held(now).await?;
    held.retain(|held| asked(&held.key));
    let Some(last) = held.iter().max_by_key(|held| held.until) else {
        return Ok(());
    };
    let names: Vec<_> = held.iter().map(|held| held.key.domain().clone()).collect();
    output.notice(&format!(
        "{}: {}; this run continues with {} as soon as it lets go",
        several(&names),
        said(last),
        if names.len() == 1 { "it" } else { "them" },
    ));
    Ok(())
}
