//! `add`, `remove`, `import`: the inventory beside the configuration. What the configuration names
//! stays its own business.

mod at_ca;
mod found;
mod list;
mod place;
mod removed;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;

use super::app::App;
use super::by_hand::signed;
use super::names::several;
use super::{Exit, Failed, Global, asked};
use crate::config::Settings;
use crate::output::Output;
use crate::prevalidation::{DomainName, Mode};
use crate::store::{DomainRow, Event, Origin, Store, Wanted};

use found::{Found, others};
use place::{Place, PlaceArgs, one_client};

/// In the history: a person took the domain out of the inventory.
const DROPPED: &str = "dropped";

pub(super) use list::{bytes as list_bytes, names as list_names};

#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    /// The domains, as people write them
    #[arg(required = true, value_name = "DOMAIN")]
    domains: Vec<String>,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    /// The domains
    #[arg(required = true, value_name = "DOMAIN")]
    domains: Vec<String>,
    #[command(flatten)]
    part: asked::Part,
    /// Deletes them at the CA too, with their proofs
    #[arg(long)]
    at_ca: bool,
    /// Does not ask before it deletes
    #[arg(long, requires = "at_ca")]
    yes: bool,
}

#[derive(Debug, clap::Args)]
#[command(
    group(clap::ArgGroup::new("source").required(true).args(["from_ca", "list"])),
    after_help = "Exit status: 0 done · 1 some lines of the list name no domain, and all other lines are taken in · \
2 usage or configuration, or most of the list is bad and nothing is taken in · 3 CA or authentication · \
75 temporary, try again."
)]
pub(super) struct ImportArgs {
    /// Takes in what is registered at the CA: at all of the configuration, or at the one that is
    /// named, by its [ca.NAME] or by a client
    #[arg(long, value_name = "CA", num_args = 0..=1, default_missing_value = "")]
    from_ca: Option<String>,
    /// Takes it in for this other CA or client, and leaves alone where it is
    #[arg(long, value_name = "CA", requires = "from_ca", conflicts_with_all = ["client", "ca"])]
    to: Option<String>,
    /// Of these only the domains with a proof that counts now
    #[arg(long, requires = "from_ca")]
    valid: bool,
    /// A list of names, one a line with # comments, or JSON; `-` is standard input
    #[arg(value_name = "FILE")]
    list: Option<std::path::PathBuf>,
    /// Says what would be taken in, and takes nothing in
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

pub(super) async fn add(global: &Global, args: AddArgs, output: &Output) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let accept_idn = args.place.accept_idn || app.settings.policy.accept_idn;
    let is_lab = app.settings.is_sandboxed();
    let names = asked::names_with(&args.domains, accept_idn, is_lab, output)?;
    let place = Place::one(&app, &args.place)?;
    let found = Found::new(vec![(place, names)]);
    take_in(&app, "add", found, output).await
}

pub(super) async fn import(
    global: &Global,
    args: ImportArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let Some(list) = &args.list else {
        let provider = args.place.provider.as_deref();
        let sources = match args.from_ca.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => {
                let clients = args.place.part().clients(&app)?;
                let mut targets = asked::at(&app, name)?;
                targets.retain(|target| clients.contain(&target.key));
                targets
            }
            None => args.place.part().targets(&app)?,
        };
        let (mut found, mut refused) = (Vec::new(), Vec::new());
        for source in sources {
            let names = match at_ca::registered(&app, &source, args.valid, output).await {
                Ok(names) => names,
                Err(failed) => {
                    refused.push((source.key, failed));
                    continue;
                }
            };
            let target = match &args.to {
                Some(to) => one_client(&app, to, &source)?,
                None => source,
            };
            let place = Place::new(&app.settings, target, provider)?;
            let named = place.named || args.to.is_some();
            found.push((Place { named, ..place }, names));
        }
        let exit = others(refused, found.is_empty(), output)?;
        removed::leave_out(&app, &mut found, output).await?;
        let found = Found {
            exit,
            ..Found::new(found)
        };
        return match args.dry_run {
            true => would_take_in(&app, found, output).await,
            false => take_in(&app, "import", found, output).await,
        };
    };
    let place = Place::one(&app, &args.place)?;
    let (listed, faults) = list::read(
        list,
        args.place.accept_idn || app.settings.policy.accept_idn,
        output,
    )?;
    let found = Found {
        faults,
        ..Found::new(vec![(place, listed)])
    };
    match args.dry_run {
        true => would_take_in(&app, found, output).await,
        false => take_in(&app, "import", found, output).await,
    }
}

/// Says which domains would be taken in, and changes nothing.
async fn would_take_in(app: &App, found: Found, output: &Output) -> Result<Exit, Failed> {
    let store = app.store_read_only().await?;
    let rows = app.rows(&*store).await?;
    let rows = rows.into_iter().filter(|row| !row.origins.is_empty());
    let there: BTreeSet<(DomainName, String)> = rows.map(|row| (row.domain, row.client)).collect();
    let (mut known, mut new) = (BTreeSet::new(), BTreeSet::new());
    for (place, names) in &found.places {
        for name in names {
            let is_there = match place.named {
                true => there.contains(&(name.clone(), place.target.key.clone())),
                false => there.iter().any(|(domain, _)| domain == name),
            };
            if is_there {
                known.insert(name);
            } else {
                new.insert(name);
            }
        }
    }
    output.json(
        &json!({ "dry_run": true, "would_add": new, "known": known, "left_out": found.faults }),
    );
    for name in &new {
        output.line(&format!("would be taken in: {}", name.both_forms()));
    }
    let (new, known) = (new.len(), known.len());
    output.notice(&format!(
        "{new} would be taken in, {known} are in the inventory; nothing was changed"
    ));
    Ok(found.end(output))
}

/// Takes domains in as far as they are not there yet; the same again changes nothing.
async fn take_in(
    app: &App,
    command: &'static str,
    found: Found,
    output: &Output,
) -> Result<Exit, Failed> {
    let (store, _) = app.open_or_make(false, output).await?;
    let now = app.now();
    let rows = store.domains().await?;
    let mut by_name: BTreeMap<&DomainName, Vec<&DomainRow>> = BTreeMap::new();
    for row in &rows {
        by_name.entry(&row.domain).or_default().push(row);
    }
    let (mut added, mut known, mut configured) = (Vec::new(), Vec::new(), Vec::new());
    let (mut wants, mut events) = (Vec::new(), Vec::new());
    for (place, names) in &found.places {
        for name in names.iter().cloned().collect::<BTreeSet<_>>() {
            let of_name = by_name.get(&name).map(Vec::as_slice).unwrap_or_default();
            // Without a client that a person chose, a domain that is known stays where it is.
            let here = of_name.iter().find(|row| row.client == place.target.key);
            let row = here.or_else(|| {
                let mut kept = of_name.iter().filter(|row| !row.origins.is_empty());
                kept.next().filter(|_| !place.named)
            });
            let has = |origin| row.is_some_and(|row| row.origins.contains(&origin));
            if has(Origin::Config) {
                configured.push(name);
                continue;
            }
            let want = place.wanted(name.clone());
            let stays = row.is_some_and(|row| {
                !place.named
                    || *row.client == *want.client
                        && row.provider.as_deref() == want.provider.as_deref()
            });
            if has(Origin::Added) && stays {
                known.push(name);
                continue;
            }
            let verb = if has(Origin::Added) { "moved" } else { "added" };
            events.push(event(
                now,
                command,
                Some((&name, &place.target.key)),
                verb,
                format!("by hand, to {}", place.shown()),
            ));
            wants.push(want);
            added.push(name);
        }
    }
    store.want(Origin::Added, &wants, now).await?;
    store.note(&events).await?;

    for name in &added {
        output.detail(&format!("taken in: {}", name.both_forms()));
    }
    output.json(&json!({
        "added": added, "known": known, "configured": configured, "left_out": found.faults,
    }));
    let counts = [
        (&added, "taken in"),
        (&known, "known before"),
        (&configured, "in the configuration anyway"),
    ];
    for (names, what) in counts.into_iter().filter(|(names, _)| !names.is_empty()) {
        output.line(&format!("{what}: {}", several(names)));
    }
    if added.is_empty() {
        output.notice("nothing new");
    } else {
        say_what_follows(&app.settings, &rows, &wants, output);
    }
    Ok(found.end(output))
}

/// What the next run will make of new domains.
fn say_what_follows(settings: &Settings, rows: &[DomainRow], wants: &[Wanted], output: &Output) {
    let desired = rows
        .iter()
        .filter(|row| !row.origins.is_empty())
        .map(|row| (row.client.as_str(), &row.domain));
    let new = wants.iter().map(|want| (&*want.client, &want.domain));
    let all: BTreeSet<(&str, &DomainName)> = desired.chain(new).collect();
    let above = |want: &Wanted| {
        std::iter::successors(want.domain.parent(), DomainName::parent)
            .find(|up| all.contains(&(&*want.client, up)))
    };
    let covered: Vec<_> = wants
        .iter()
        .filter_map(|want| Some((&want.domain, above(want)?)))
        .collect();
    if let Some((name, up)) = covered.first().filter(|_| settings.policy.cover) {
        let (name, up) = (name.both_forms(), up.both_forms());
        output.notice(&match covered.len() {
            1 => format!("{name} needs no registration of its own: {up} covers it"),
            more => {
                format!("{more} of them need no registration of their own, as {up} covers {name}")
            }
        });
    }
    if settings.providers.is_empty() && !wants.is_empty() {
        output.warn(
            "no provider writes their zones",
            Some("write a [provider.NAME] into the configuration"),
        );
    }
    output.notice(match settings.policy.mode {
        Mode::Manage => {
            "the next `prevalidate run` registers, publishes and validates them; `prevalidate plan` shows it"
        }
        Mode::Observe => "the policy's mode is `observe`: they are checked, and nothing is done for them",
    });
}

pub(super) async fn remove(
    global: &Global,
    args: RemoveArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    // What is to go was accepted before it came.
    let names = asked::names(&app, &args.domains, output)?;
    let clients = args.part.clients(&app)?;
    let rows = app.rows(&*app.store_read_only().await?).await?;
    let is_meant = |row: &&DomainRow| names.contains(&row.domain) && clients.contain(&row.client);
    let meant: Vec<&DomainRow> = rows.iter().filter(is_meant).collect();
    refuse_strangers(&names, &meant, args.at_ca, &app.settings)?;
    if args.at_ca {
        let asked = at_ca::Asked {
            names: &names,
            meant: &meant,
            rows: &rows,
            targets: args.part.targets(&app)?,
        };
        return at_ca::remove(&app, &asked, args.yes, output).await;
    }
    let (store, _) = app.open().await?;
    let removed = let_go(&*store, &meant, app.now()).await?;
    let before: Vec<_> = names
        .iter()
        .filter(|name| !removed.contains(name))
        .cloned()
        .collect();
    output.json(&json!({ "removed": removed, "removed_before": before }));
    for (names, what) in [(&removed, "removed"), (&before, "removed before")] {
        if !names.is_empty() {
            output.line(&format!("{what}: {}", several(names)));
        }
    }
    say_what_stays(&*store, &meant, output).await?;
    let registered = |row: &&DomainRow| row.sighting.registration().is_some();
    if meant.iter().any(registered) {
        output.notice(
            "what is registered at the CA stays there, with its proof; `remove --at-ca` deletes it",
        );
    }
    Ok(Exit::Done)
}

/// Nothing is touched while one name is wrong.
fn refuse_strangers(
    names: &[DomainName],
    meant: &[&DomainRow],
    at_ca: bool,
    settings: &Settings,
) -> Result<(), Failed> {
    let (mut faults, mut elsewhere) = (Vec::new(), false);
    for name in names {
        let rows: Vec<_> = meant.iter().filter(|row| row.domain == *name).collect();
        let configured = |row: &&&&DomainRow| row.origins.contains(&Origin::Config);
        if let Some(row) = rows.iter().find(configured) {
            let at = match rows.len() {
                1 => String::new(),
                _ => format!(" for {}", row.client),
            };
            elsewhere |= rows.len() > 1;
            faults.push(format!(
                "{} is in the configuration{at}; take it out of {} or its `domains_file` first",
                name.both_forms(),
                settings.file.display()
            ));
        } else if rows.is_empty() && !at_ca {
            faults.push(format!("{} is not in the inventory", name.both_forms()));
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let failed = Failed::new(Exit::Usage, faults.join("\n"));
    Err(match elsewhere {
        true => failed.with_hint("--client or --ca names the one that is to go"),
        false => failed,
    })
}

/// Withdraws the domains; returns the domains that were wanted until now.
async fn let_go(
    store: &dyn Store,
    meant: &[&DomainRow],
    now: Timestamp,
) -> Result<Vec<DomainName>, Failed> {
    let added = |row: &&&DomainRow| row.origins.contains(&Origin::Added);
    let wanted: Vec<&&DomainRow> = meant.iter().filter(added).collect();
    let keys: Vec<_> = wanted.iter().map(|row| row.key.clone()).collect();
    store.unwant(Origin::Added, &keys, now).await?;
    let word = "no longer in the inventory, by hand";
    let of = |row: &&&DomainRow| {
        let at = (&row.domain, &row.client);
        event(now, "remove", Some(at), DROPPED, word.into())
    };
    let events: Vec<_> = wanted.iter().map(of).collect();
    store.note(&events).await?;
    let mut names: Vec<_> = wanted.iter().map(|row| row.domain.clone()).collect();
    names.dedup();
    Ok(names)
}

/// Names the values that are in DNS until the next run.
async fn say_what_stays(
    store: &dyn Store,
    meant: &[&DomainRow],
    output: &Output,
) -> Result<(), Failed> {
    let entries = store.open_entries(None).await?;
    for entry in entries.iter().filter(|entry| entry.state.is_open()) {
        if meant.iter().any(|row| row.key == entry.key) {
            output.notice(&format!(
                "{} {} \"{}\" stays in DNS until the next run removes it",
                entry.owner, entry.kind, entry.value
            ));
        }
    }
    Ok(())
}

/// A line of history about something that a person did, for a domain at a client.
fn event(
    now: Timestamp,
    command: &str,
    of: Option<(&DomainName, &String)>,
    kind: &str,
    detail: String,
) -> Event {
    Event {
        at: now,
        run: command.to_owned(),
        domain: of.map(|(domain, _)| domain.clone()),
        client: of.map(|(_, client)| client.clone()),
        kind: kind.to_owned(),
        detail: signed(&detail),
    }
}
