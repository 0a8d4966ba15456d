//! `store`: what is done with the database as a whole.

use serde::Serialize;

use super::app::{App, Named};
use super::{Exit, Failed, Global};
use crate::output::Output;
use crate::store::record::content;
use crate::store::{Content, Kind, Store, StoreError};

#[derive(Debug, clap::Subcommand)]
pub(super) enum StoreCommand {
    /// Copies everything from one store into another, empty one: from a file to PostgreSQL, or back
    Copy(CopyArgs),
    /// Brings a store of an older version up to date, and does nothing else; the same again changes
    /// nothing
    Upgrade,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "URL is what `url` of [store] may be: sqlite:/var/lib/prevalidate/prevalidate.db, or \
postgres://prevalidate@db.example.com/prevalidate?sslmode=verify-full without a password, which comes from PGPASSWORD or \
~/.pgpass; that of the configuration's store from `password` of [store].\n\n\
Stop every run first. Afterwards, only the new store may be used: the old one knows nothing of what happens from then on."
)]
pub(super) struct CopyArgs {
    /// The store to read [default: the configuration's]
    #[arg(long, value_name = "URL", required_unless_present = "to")]
    from: Option<String>,
    /// The store to fill; it must be empty [default: the configuration's]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Says what would be copied; changes nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    from: String,
    to: String,
    dry_run: bool,
    content: Vec<Content>,
}

pub(super) async fn store(
    global: &Global,
    command: StoreCommand,
    output: &Output,
) -> Result<Exit, Failed> {
    match command {
        StoreCommand::Copy(args) => copy_all(global, args, output).await,
        StoreCommand::Upgrade => upgrade(global, output).await,
    }
}

async fn upgrade(global: &Global, output: &Output) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let named = app.named();
    let shown = named.shown()?;
    if !named.is_there().await? {
        return Err(
            Failed::new(Exit::Usage, format!("there is no store at {shown}")).with_hint(
                "`prevalidate run` makes one; if it did already, correct `url` of [store]",
            ),
        );
    }
    let upgraded = named.is_older().await?;
    app.open_as_it_is().await?.close().await;
    output.json(&serde_json::json!({ "store": shown, "upgraded": upgraded }));
    output.line(&if upgraded {
        format!("{shown} was brought up to date")
    } else {
        format!("{shown} is up to date")
    });
    Ok(Exit::Done)
}

async fn copy_all(global: &Global, args: CopyArgs, output: &Output) -> Result<Exit, Failed> {
    let app = match (&args.from, &args.to) {
        (Some(_), Some(_)) => None,
        _ => Some(App::read(global, output)?),
    };
    let (from, to) = (
        named(args.from.as_deref(), app.as_ref())?,
        named(args.to.as_deref(), app.as_ref())?,
    );
    let (shown_from, shown_to) = (from.shown()?, to.shown()?);
    if shown_from == shown_to {
        return Err(Failed::new(
            Exit::Usage,
            format!("{shown_from} cannot be copied into itself"),
        ));
    }
    let source = from.open_to_copy().await?;
    let (source, _folder) = source
        .ok_or_else(|| Failed::new(Exit::Usage, format!("there is no store at {shown_from}")))?;
    let before = contents(&*source).await?;
    if args.dry_run {
        if let Some(target) = to.open_read_only(None).await? {
            must_be_empty(&*target, &shown_to).await?;
        }
        output.notice(&format!(
            "would copy this from {shown_from} to {shown_to}; nothing was changed"
        ));
    } else {
        // Bound to no CA environment here: the copy brings that along.
        let target = to.open(None).await?;
        copy(&*source, &*target, &before, output).await?;
        let after = contents(&*target).await?;
        if let Some((was, is)) = before.iter().zip(&after).find(|(was, is)| was != is) {
            let message = format!(
                "the copy in {shown_to} is not what {shown_from} was: {} rows of `{}` in place of {}, SHA-256 {} in place of {}",
                is.rows,
                is.kind.as_str(),
                was.rows,
                is.digest,
                was.digest
            );
            return Err(Failed::new(Exit::Temporary, message).with_hint(
                "something changed the source meanwhile: stop every run, empty the target, and copy again",
            ));
        }
        target.close().await;
        output.notice(&format!(
            "copied {shown_from} to {shown_to}, and read it back: it is the same; now let `url` of [store] name the new one, \
             everywhere"
        ));
    }
    source.close().await;
    let rows = before.iter().map(|content| {
        vec![
            content.kind.as_str().into(),
            content.rows.to_string().into(),
            content.digest.as_str().into(),
        ]
    });
    output.table(&["TABLE", "ROWS", "SHA-256"], rows.collect());
    output.json(&Report {
        from: shown_from,
        to: shown_to,
        dry_run: args.dry_run,
        content: before,
    });
    Ok(Exit::Done)
}

/// The value of the command line, else of the configuration.
fn named<'a>(url: Option<&'a str>, app: Option<&'a App>) -> Result<Named<'a>, Failed> {
    match (url, app) {
        (Some(url), _) => Ok(Named {
            url,
            password: None,
        }),
        (None, Some(app)) => Ok(app.named()),
        (None, None) => Err(Failed::new(Exit::Usage, "name a store with --from or --to")),
    }
}

async fn contents(store: &dyn Store) -> Result<Vec<Content>, StoreError> {
    let mut all = Vec::with_capacity(Kind::ALL.len());
    for kind in Kind::ALL {
        all.push(content(store, kind).await?);
    }
    Ok(all)
}

async fn must_be_empty(target: &dyn Store, shown: &str) -> Result<(), Failed> {
    for kind in Kind::ALL {
        if !target.records(kind, None).await?.rows.is_empty() {
            let message = format!(
                "{shown} is not empty: there are rows of `{}`",
                kind.as_str()
            );
            return Err(Failed::new(Exit::Usage, message).with_hint("copy into a new store"));
        }
    }
    Ok(())
}

async fn copy(
    source: &dyn Store,
    target: &dyn Store,
    all: &[Content],
    output: &Output,
) -> Result<(), StoreError> {
    let progress = output.progress(all.iter().map(|content| content.rows).sum(), "copying");
    let done = std::sync::atomic::AtomicU64::new(0);
    let tell = |kind: Kind, rows: usize| {
        progress.say(kind.as_str());
        progress
            .done(done.fetch_add(rows as u64, std::sync::atomic::Ordering::Relaxed) + rows as u64);
    };
    target.restore(source, &Kind::ALL, &tell).await
}
