//! `notify`: tries the sinks of the configuration, and shows what they know; and the telling at the
//! end of a `run`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::app::App;
use super::{Exit, Failed, Global, persistent};
use crate::config::nearest;
use crate::notify::concern::Concern;
use crate::notify::{Open, Pace, Undelivered};
use crate::output::{Cell, Output, Tone, counted, moment, relative};
use crate::overview::certificates;
use crate::overview::snapshot::Snapshot;
use crate::store::{Store, StoreError};

/// The pause before a run sends an undelivered notice again: most such troubles pass in seconds,
/// and the next run is tomorrow.
const PAUSE: Duration = Duration::from_secs(5);

/// This many names of a topic are listed.
const LISTED: usize = 10;

#[derive(Debug, clap::Subcommand)]
pub(super) enum NotifyCommand {
    /// Sends a test message to every [[notify]], and says the outcome
    Test {
        /// Only to this one
        #[arg(long, value_name = "NAME")]
        sink: Option<String>,
    },
    /// What was reported and is not over, and what could not be delivered
    List,
}

pub(super) async fn notify(
    global: &Global,
    command: NotifyCommand,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    if app.settings.notify.is_empty() && matches!(command, NotifyCommand::List) {
        output.json(&serde_json::json!([]));
        output.line("nothing is open: there is no [[notify]] in the configuration");
        return Ok(Exit::Done);
    }
    if app.settings.notify.is_empty() {
        return Err(Failed::new(
            Exit::Usage,
            "there is no [[notify]] in the configuration: no message is sent",
        )
        .with_hint("`prevalidate config reference notify` shows the kinds there are"));
    }
    match command {
        NotifyCommand::Test { sink } => test(&app, sink.as_deref(), output).await,
        NotifyCommand::List => list(&app, output).await,
    }
}

async fn test(app: &App, only: Option<&str>, output: &Output) -> Result<Exit, Failed> {
    if let Some(only) =
        only.filter(|only| !app.settings.notify.iter().any(|sink| sink.name == *only))
    {
        let names = || app.settings.notify.iter().map(|sink| sink.name.as_str());
        let hint = match nearest(only, names()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are: {}", names().collect::<Vec<_>>().join(", ")),
        };
        return Err(Failed::new(
            Exit::Usage,
            format!("there is no [[notify]] named `{only}`"),
        )
        .with_hint(hint));
    }
    let store = app.store_read_only().await?;
    let notifier = app.notifier(store, Arc::default(), Pace::NIGHTLY);
    let outcomes = notifier.test(only).await;
    output.json(&outcomes.iter().map(|(sink, outcome)| {
        serde_json::json!({ "sink": sink, "error": outcome.as_ref().err().map(ToString::to_string) })
    }).collect::<Vec<_>>());
    let mut exit = Exit::Done;
    for (sink, outcome) in outcomes {
        match outcome {
            Ok(()) => output.line(&format!("{sink}: sent; check whether it has arrived")),
            Err(failure) => {
                exit = Exit::Incomplete;
                output.error(&format!("{sink}: {failure}"), None);
            }
        }
    }
    Ok(exit)
}

async fn list(app: &App, output: &Output) -> Result<Exit, Failed> {
    let store = app.store_read_only().await?;
    let now = app.now();
    let mut known = app
        .notifier(store, Arc::default(), Pace::NIGHTLY)
        .open()
        .await?;
    known.retain(|open| !open.open.is_empty() || open.error.is_some());
    output.json(&known);
    for Open {
        sink,
        topic,
        error,
        next_at,
        ..
    } in &known
    {
        if let Some(error) = error {
            let again = next_at
                .map(|at| format!("; tried again {}", relative(at.max(now), now)))
                .unwrap_or_default();
            output.error(
                &format!("{sink} could not be told of {topic}: {error}{again}"),
                None,
            );
        }
    }
    let rows: Vec<Vec<Cell>> = known
        .iter()
        .filter(|known| !known.open.is_empty())
        .map(row)
        .collect();
    if rows.is_empty() {
        output.line("nothing is open");
    } else {
        output.table(&["SINK", "TOPIC", "TOLD", "ABOUT"], rows);
    }
    Ok(if known.iter().any(|known| known.error.is_some()) {
        Exit::Incomplete
    } else {
        Exit::Done
    })
}

fn row(known: &Open) -> Vec<Cell> {
    let tone = if known.error.is_some() {
        Tone::Bad
    } else {
        Tone::Warn
    };
    let mut about: Vec<String> = known
        .open
        .iter()
        .take(LISTED)
        .map(|item| item.shown.clone())
        .collect();
    if known.open.len() > LISTED {
        about.push(format!(
            "and {}",
            counted(known.open.len() - LISTED, "other", "others")
        ));
    }
    vec![
        known.sink.clone().into(),
        Cell::new(known.topic.as_str(), tone),
        known
            .told_at
            .map_or_else(|| "not yet".to_owned(), moment)
            .into(),
        about.join(", ").into(),
    ]
}

/// Tells the sinks the states at the end of a run. That it could not be done is said, and changes
/// nothing else.
pub(super) async fn tell(app: &App, store: Arc<dyn Store>, output: &Output) {
    if app.settings.notify.is_empty() {
        return;
    }
    let told = match try_tell(app, &store).await {
        Ok(mut failed) if failed.iter().any(|failed| failed.again) => {
            failed.retain(|failed| !failed.again);
            tokio::time::sleep(PAUSE).await;
            try_tell(app, &store)
                .await
                .map(|again| failed.into_iter().chain(again).collect())
        }
        told => told,
    };
    say(told, output);
}

/// Tells the sinks what `readiness` found about each domain.
pub(super) async fn tell_readiness(
    app: &App,
    found: BTreeMap<String, String>,
    output: &Output,
) -> Result<(), Failed> {
    let store = app.open_as_it_is().await?;
    let notifier = app.notifier(Arc::clone(&store), Arc::default(), Pace::NIGHTLY);
    let found = found.into_iter();
    let found = found.map(|(domain, why)| (Cow::Owned(domain), Concern::of(why)));
    say(notifier.tell_readiness(found.collect()).await, output);
    store.close().await;
    Ok(())
}

/// The notices that could not be sent.
fn say(told: Result<Vec<Undelivered>, StoreError>, output: &Output) {
    match told {
        Ok(failed) => failed.iter().for_each(|failed| {
            let Undelivered {
                sink,
                topic,
                error,
                again,
            } = failed;
            let (told, hint) = if *again {
                (
                    "could not be told",
                    "the next run tries again; `prevalidate notify test` tries it now",
                )
            } else {
                (
                    "was told only in part",
                    "correct `to`; `prevalidate notify test` tries it",
                )
            };
            output.warn(&format!("{sink} {told} of {topic}: {error}"), Some(hint));
        }),
        Err(error) => output.warn(&format!("no message could be sent: {error}"), None),
    }
}

async fn try_tell(app: &App, store: &Arc<dyn Store>) -> Result<Vec<Undelivered>, StoreError> {
    let now = app.now();
    let mut snapshot = Snapshot::read(&**store, &app.basis(), now).await?;
    let issuer = app.reading_issuer(store);
    snapshot.certificates = certificates::read(&issuer, now).await?;
    snapshot.persistent = persistent::views(app, &**store, now).await?;
    app.notifier(Arc::clone(store), Arc::default(), Pace::NIGHTLY)
        .tell(&snapshot)
        .await
}

/// The same for a run that the guard ended before it began: for many that is the first they hear of
/// it.
pub(super) async fn tell_refusal(app: &App, output: &Output) {
    if app.settings.notify.is_empty() {
        return;
    }
    match app.open_as_it_is().await {
        Ok(store) => {
            tell(app, Arc::clone(&store), output).await;
            store.close().await;
        }
        Err(failed) => output.warn(
            &format!("no message could be sent: {}", failed.message),
            None,
        ),
    }
}
