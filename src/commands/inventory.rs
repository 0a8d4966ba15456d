//! `add`, `remove`, `import`: the inventory beside the configuration. What the configuration names
//! stays its own business.

mod at_ca;
mod list;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;

use super::{Exit, Failed, Global, asked, wire};
use crate::clock::{Clock, SystemClock};
use crate::config::{AUTO, Settings, nearest};
use crate::output::Output;
use crate::prevalidation::{DomainName, Mode};
use crate::store::{DomainRow, Event, Origin, Store, Wanted};
use crate::worker::Target;

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
struct PlaceArgs {
    /// Their client: its name, its `cli-…`, or CA/CLIENT; needed when the configuration has several
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// The [provider.NAME] that writes their zones, or `auto` [default: that of the client]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Accepts names that older software reads as another domain (ß, ς, mixed scripts)
    #[arg(long)]
    accept_idn: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    /// The domains
    #[arg(required = true, value_name = "DOMAIN")]
    domains: Vec<String>,
    /// Deletes them at the CA too, with their proofs
    #[arg(long)]
    at_ca: bool,
    /// Does not ask before it deletes
    #[arg(long, requires = "at_ca")]
    yes: bool,
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["from_ca", "list"])))]
pub(super) struct ImportArgs {
    /// Takes in what is registered at the CA
    #[arg(long)]
    from_ca: bool,
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
    let settings = wire::settings(global, output)?;
    let names = asked::names(
        Some(&settings),
        &args.domains,
        args.place.accept_idn || settings.policy.accept_idn,
        output,
    )?;
    let place = Place::one(&settings, &args.place)?;
    take_in(&settings, "add", vec![(place, names)], output).await
}

pub(super) async fn import(
    global: &Global,
    args: ImportArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let settings = wire::settings(global, output)?;
    let Some(list) = &args.list else {
        let mut found = Vec::new();
        for target in asked::targets(&settings, args.place.client.as_deref())? {
            let place = Place::new(&settings, target, args.place.provider.as_deref())?;
            let names = at_ca::registered(&settings, &place.target, args.valid, output).await?;
            found.push((place, names));
        }
        if args.dry_run {
            return would_take_in(&settings, &found, output).await;
        }
        return take_in(&settings, "import", found, output).await;
    };
    let place = Place::one(&settings, &args.place)?;
    let listed = list::read(
        list,
        args.place.accept_idn || settings.policy.accept_idn,
        output,
    )?;
    let found = vec![(place, listed)];
    if args.dry_run {
        return would_take_in(&settings, &found, output).await;
    }
    take_in(&settings, "import", found, output).await
}

/// Where new domains go.
struct Place {
    target: Target,
    provider: Option<String>,
    /// Whether somebody chose it; else a domain that is known stays where it is.
    named: bool,
}

impl Place {
    fn one(settings: &Settings, args: &PlaceArgs) -> Result<Self, Failed> {
        let mut targets = asked::targets(settings, args.client.as_deref())?;
        match (targets.pop(), targets.len()) {
            (Some(target), 0) => {
                let place = Self::new(settings, target, args.provider.as_deref())?;
                Ok(Self {
                    named: place.named || args.client.is_some(),
                    ..place
                })
            }
            (Some(last), _) => {
                let keys: Vec<_> = targets
                    .iter()
                    .chain([&last])
                    .map(|target| target.key.as_str())
                    .collect();
                Err(Failed::new(
                    Exit::Usage,
                    "the configuration has several clients: which one are they for?",
                )
                .with_hint(format!("name one with --client: {}", keys.join(", "))))
            }
            (None, _) => Err(Failed::new(Exit::Usage, "the configuration has no client")),
        }
    }

    fn new(settings: &Settings, target: Target, provider: Option<&str>) -> Result<Self, Failed> {
        if provider == Some(AUTO) {
            return Ok(Self {
                target,
                provider: None,
                named: true,
            });
        }
        if let Some(name) = provider {
            if settings.providers.contains_key(name) {
                return Ok(Self {
                    target,
                    provider: Some(name.to_owned()),
                    named: true,
                });
            }
            let known: Vec<_> = settings.providers.keys().map(String::as_str).collect();
            let hint = nearest(name, known.iter().copied()).map_or_else(
                || format!("there are: {}", known.join(", ")),
                |meant| format!("did you mean {meant}?"),
            );
            return Err(Failed::new(
                Exit::Usage,
                format!("no [provider.{name}] in the configuration"),
            )
            .with_hint(hint));
        }
        let sections = settings
            .clients
            .iter()
            .filter(|c| c.ca == target.ca && c.selector == target.selector);
        let providers: BTreeSet<_> = sections
            .filter_map(|client| client.provider.as_ref())
            .collect();
        if providers.len() > 1 {
            let message = format!(
                "several [[client]] sections of {} name different providers",
                target.key
            );
            return Err(Failed::new(Exit::Usage, message).with_hint("name one with --provider"));
        }
        Ok(Self {
            provider: providers.first().map(|name| (*name).clone()),
            target,
            named: false,
        })
    }

    fn wanted(&self, domain: DomainName) -> Wanted {
        Wanted {
            domain,
            client: self.target.key.clone(),
            ca: self.target.ca.clone(),
            provider: self.provider.clone(),
        }
    }

    fn shown(&self) -> String {
        format!(
            "client {}, provider {}",
            self.target.key,
            self.provider.as_deref().unwrap_or(AUTO)
        )
    }
}

/// Says which domains would be taken in, and changes nothing.
async fn would_take_in(
    settings: &Settings,
    places: &[(Place, Vec<DomainName>)],
    output: &Output,
) -> Result<Exit, Failed> {
    let store = wire::store_read_only(settings).await?;
    let rows = asked::inventory(store.domains().await?, settings);
    let rows = rows.into_iter().filter(|row| !row.origins.is_empty());
    let there: BTreeSet<DomainName> = rows.map(|row| row.domain).collect();
    let names = places.iter().flat_map(|(_, names)| names);
    let (known, new): (BTreeSet<_>, BTreeSet<_>) = names.partition(|name| there.contains(name));
    output.json(&json!({ "dry_run": true, "would_add": new, "known": known }));
    for name in &new {
        output.line(&format!("would be taken in: {}", name.both_forms()));
    }
    let (new, known) = (new.len(), known.len());
    output.notice(&format!(
        "{new} would be taken in, {known} are in the inventory; nothing was changed"
    ));
    Ok(Exit::Done)
}

/// Takes domains in as far as they are not there yet; the same again changes nothing.
async fn take_in(
    settings: &Settings,
    command: &'static str,
    places: Vec<(Place, Vec<DomainName>)>,
    output: &Output,
) -> Result<Exit, Failed> {
    let (store, _) = wire::open_or_make(settings, false, output).await?;
    let now = SystemClock.now();
    let rows: BTreeMap<DomainName, DomainRow> = store
        .domains()
        .await?
        .into_iter()
        .map(|row| (row.domain.clone(), row))
        .collect();
    let (mut added, mut known, mut configured) = (Vec::new(), Vec::new(), Vec::new());
    let (mut wishes, mut events) = (Vec::new(), Vec::new());
    for (place, names) in &places {
        for name in names.iter().cloned().collect::<BTreeSet<_>>() {
            let row = rows.get(&name);
            let has = |origin| row.is_some_and(|row| row.origins.contains(&origin));
            if has(Origin::Config) {
                configured.push(name);
                continue;
            }
            let wish = place.wanted(name.clone());
            let stays = row.is_some_and(|row| {
                !place.named || (&row.client, &row.provider) == (&wish.client, &wish.provider)
            });
            if has(Origin::Added) && stays {
                known.push(name);
                continue;
            }
            let verb = if has(Origin::Added) { "moved" } else { "added" };
            events.push(event(
                now,
                command,
                Some(&name),
                verb,
                format!("by hand, to {}", place.shown()),
            ));
            wishes.push(wish);
            added.push(name);
        }
    }
    store.want(Origin::Added, &wishes, now).await?;
    store.note(&events).await?;

    for name in &added {
        output.detail(&format!("taken in: {}", name.both_forms()));
    }
    output.json(&json!({ "added": added, "known": known, "configured": configured }));
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
        say_what_follows(settings, &rows, &added, &wishes, output);
    }
    Ok(Exit::Done)
}

/// What the next run will make of new domains.
fn say_what_follows(
    settings: &Settings,
    rows: &BTreeMap<DomainName, DomainRow>,
    added: &[DomainName],
    wishes: &[Wanted],
    output: &Output,
) {
    let desired = rows
        .values()
        .filter(|row| !row.origins.is_empty())
        .map(|row| &row.domain);
    let all: BTreeSet<&DomainName> = desired.chain(added).collect();
    let above = |name: &DomainName| {
        std::iter::successors(name.parent(), DomainName::parent).find(|up| all.contains(up))
    };
    let covered: Vec<_> = added
        .iter()
        .filter_map(|name| Some((name, above(name)?)))
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
    if settings.providers.is_empty() && !wishes.is_empty() {
        output.warn(
            "no provider writes their zones",
            Some("write a [provider.NAME] into the configuration"),
        );
    }
    output.notice(match settings.policy.mode {
        Mode::Manage => {
            "the next `prevalidate run` registers, publishes and validates them; `prevalidate plan` shows it"
        }
        Mode::Observe => "the policy's mode is `observe`: they are looked at, and nothing is done for them",
    });
}

pub(super) async fn remove(
    global: &Global,
    args: RemoveArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let settings = wire::settings(global, output)?;
    // What is to go was accepted before it came.
    let names = asked::names(Some(&settings), &args.domains, true, output)?;
    let known = wire::store_read_only(&settings).await?.domains().await?;
    let rows: BTreeMap<DomainName, DomainRow> = asked::inventory(known, &settings)
        .into_iter()
        .map(|row| (row.domain.clone(), row))
        .collect();
    refuse_strangers(&names, &rows, args.at_ca, &settings)?;
    if args.at_ca {
        return at_ca::remove(&settings, &names, &rows, args.yes, output).await;
    }
    let (store, _) = wire::open(&settings, false).await?;
    let removed = let_go(&*store, &names, &rows).await?;
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
    say_what_stays(&*store, &names, output).await?;
    let registered = |name| {
        rows.get(name)
            .is_some_and(|row| row.sighting.registration().is_some())
    };
    if names.iter().any(registered) {
        output.notice(
            "what is registered at the CA stays there, with its proof; `remove --at-ca` deletes it",
        );
    }
    Ok(Exit::Done)
}

/// Nothing is touched while one name is wrong.
fn refuse_strangers(
    names: &[DomainName],
    rows: &BTreeMap<DomainName, DomainRow>,
    at_ca: bool,
    settings: &Settings,
) -> Result<(), Failed> {
    let mut faults = Vec::new();
    for name in names {
        match rows.get(name) {
            Some(row) if row.origins.contains(&Origin::Config) => faults.push(format!(
                "{} stands in the configuration; take it out of {} or its `domains_file` first",
                name.both_forms(),
                settings.file.display()
            )),
            None if !at_ca => faults.push(format!("{} is not in the inventory", name.both_forms())),
            _ => {}
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Failed::new(Exit::Usage, faults.join("\n")))
    }
}

/// Takes the wish back; returns the domains that were wanted until now.
async fn let_go(
    store: &dyn Store,
    names: &[DomainName],
    rows: &BTreeMap<DomainName, DomainRow>,
) -> Result<Vec<DomainName>, Failed> {
    let now = SystemClock.now();
    let added = |name: &&DomainName| {
        rows.get(name)
            .is_some_and(|row| row.origins.contains(&Origin::Added))
    };
    let wanted: Vec<DomainName> = names.iter().filter(added).cloned().collect();
    store.unwant(Origin::Added, &wanted, now).await?;
    let word = "no longer in the inventory, by hand";
    let events: Vec<_> = wanted
        .iter()
        .map(|name| event(now, "remove", Some(name), "dropped", word.into()))
        .collect();
    store.note(&events).await?;
    Ok(wanted)
}

/// Names the values that stand in DNS until the next run.
async fn say_what_stays(
    store: &dyn Store,
    names: &[DomainName],
    output: &Output,
) -> Result<(), Failed> {
    for entry in store
        .open_entries(None)
        .await?
        .iter()
        .filter(|entry| entry.state.is_open())
    {
        if names.iter().any(|name| name.as_str() == entry.owner) {
            output.notice(&format!(
                "{} TXT \"{}\" stays in DNS until the next run removes it",
                entry.owner, entry.value
            ));
        }
    }
    Ok(())
}

/// A line of history about something that a person did.
fn event(
    now: Timestamp,
    command: &str,
    domain: Option<&DomainName>,
    kind: &str,
    detail: String,
) -> Event {
    Event {
        at: now,
        run: command.to_owned(),
        domain: domain.cloned(),
        kind: kind.to_owned(),
        detail,
    }
}

/// All of a few names, or some of many and their number.
pub(super) fn several(names: &[DomainName]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<_> = names
        .iter()
        .take(SHOWN)
        .map(DomainName::both_forms)
        .collect();
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!(
            "{} and {more} more ({} in all)",
            shown.join(", "),
            names.len()
        ),
    }
}
