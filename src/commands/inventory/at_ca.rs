//! What `import --from-ca` finds at the CA, and what `remove --at-ca` deletes there: the only
//! deletion there is, by order of a person, one registration at a time.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::json;

use super::{event, let_go, say_what_stays};
use crate::ca::{CaError, ClientSelector, Failure, Listing, Validation};
use crate::commands::app::App;
use crate::commands::{Exit, Failed, by_hand};
use crate::config::Settings;
use crate::output::{Output, counted};
use crate::prevalidation::{DomainName, Mode, Registration, RowKey, Sighting, Upkeep};
use crate::store::{DomainRow, Lease, Store, Write};
use crate::worker::Target;
use crate::worker::by_hand::Orderer;

/// How long a deletion may take.
const LEASE: SignedDuration = SignedDuration::from_mins(5);

/// What the CA holds for a client; with `valid`, only what has a proof that counts now.
pub(super) async fn registered(
    app: &App,
    target: &Target,
    valid: bool,
    output: &Output,
) -> Result<Vec<DomainName>, Failed> {
    let (_, listing) = list(app, target).await?;
    for what in &listing.unreadable {
        output.warn(&format!("{}: {what}", target.key), None);
    }
    let reuse = &app.policy.reuse;
    let counts =
        |found: &Registration| !valid || found.usable_until(reuse, listing.read_at).is_some();
    let names: Vec<_> = listing
        .registrations
        .iter()
        .filter(counts)
        .map(|found| found.domain)
        .collect();
    output.detail(&format!(
        "{}: {} of {} registrations",
        target.key,
        names.len(),
        listing.registrations.len()
    ));
    Ok(names)
}

async fn list(app: &App, target: &Target) -> Result<(Arc<dyn Validation>, Listing), Failed> {
    let ca = app.ca(&target.ca)?;
    let reference = match &target.selector {
        ClientSelector::Reference(reference) => reference.clone(),
        ClientSelector::Name(_) => ca.find_client(&target.selector).await?.reference,
    };
    let listing = ca.list(&reference).await?;
    Ok((ca, listing))
}

impl Doomed {
    /// For people: the domain, and its client where it is at several.
    fn shown(&self) -> String {
        let key = self.key.as_ref();
        match key.and_then(RowKey::further_client) {
            Some(client) => format!("{} at {client}", self.domain.both_forms()),
            None => self.domain.both_forms(),
        }
    }
}

/// The domains to remove: their names, and the rows of these names that are meant.
pub(super) struct Asked<'a> {
    pub names: &'a [DomainName],
    pub meant: &'a [&'a DomainRow],
    pub rows: &'a [DomainRow],
    /// Where an unknown name is searched for.
    pub targets: Vec<Target>,
}

/// A registration that is to go.
struct Doomed {
    domain: DomainName,
    client: String,
    /// Of the domains that the store knows.
    key: Option<RowKey>,
    registration: Registration,
    ca: Arc<dyn Validation>,
}

/// Removes domains from the inventory and deletes their registrations, after a person has agreed to
/// the loss.
pub(super) async fn remove(
    app: &App,
    asked: &Asked<'_>,
    yes: bool,
    output: &Output,
) -> Result<Exit, Failed> {
    if app.settings.policy.mode == Mode::Observe {
        return Err(Failed::new(
            Exit::Usage,
            "the policy's mode is `observe`: nothing is deleted at the CA",
        ));
    }
    let doomed = find(app, asked).await?;
    let gone: Vec<_> = asked
        .names
        .iter()
        .filter(|name| doomed.iter().all(|one| one.domain != **name))
        .collect();
    gone.iter().for_each(|name| {
        output.notice(&format!(
            "{} is not registered at the CA",
            name.both_forms()
        ))
    });
    refuse_shared(&app.settings, &doomed, asked.rows)?;
    if !doomed.is_empty() {
        warn(app, &doomed, asked.rows, output);
        let question = format!(
            "Delete {} at the CA?",
            doomed
                .iter()
                .map(Doomed::shown)
                .collect::<Vec<_>>()
                .join(", ")
        );
        let hint = "use `--yes` to delete without a question";
        by_hand::agreed(&question, yes, "nothing was deleted", hint, output)?;
    }
    let (store, _) = app.open().await?;
    // First the store, or the next run would register again what is deleted here.
    let dropped = let_go(&*store, asked.meant, app.now()).await?;
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    for one in &doomed {
        match delete(app, &*store, one).await {
            Ok(()) => deleted.push(one),
            Err(error) => failed.push((one, error)),
        }
    }
    deleted
        .iter()
        .for_each(|one| output.line(&format!("deleted at the CA: {}", one.shown())));
    failed.iter().for_each(|(one, error)| {
        output.error(
            &format!("{} was not deleted: {}", one.shown(), error.message),
            error.hint.as_deref(),
        );
    });
    let failures: Vec<_> = failed
        .iter()
        .map(|(one, error)| json!({ "domain": one.domain, "client": one.client, "error": error.message }))
        .collect();
    let deleted: Vec<_> = deleted.iter().map(|one| &one.domain).collect();
    output.json(&json!({ "removed": dropped, "deleted": deleted, "not_registered": gone, "failed": failures }));
    say_what_stays(&*store, asked.meant, output).await?;
    Ok(failed
        .into_iter()
        .map(|(_, error)| error.exit)
        .max()
        .unwrap_or(Exit::Done))
}

/// The registrations as the CA shows them now; an unknown name is searched for at every client.
async fn find(app: &App, asked: &Asked<'_>) -> Result<Vec<Doomed>, Failed> {
    let mut doomed = Vec::new();
    for target in &asked.targets {
        let row_of = |name: &DomainName| {
            let mut own = asked.meant.iter().filter(|row| row.domain == *name);
            own.find(|row| row.client == target.key).copied()
        };
        let is_strange = |name: &DomainName| asked.meant.iter().all(|row| row.domain != *name);
        let names: Vec<_> = asked
            .names
            .iter()
            .filter(|name| is_strange(name) || row_of(name).is_some())
            .collect();
        if names.is_empty() {
            continue;
        }
        let (ca, listing) = list(app, target).await?;
        for name in names {
            let row = row_of(name);
            let listed = listing.registrations.find(name);
            let found = match (listed, row.and_then(|row| row.sighting.registration())) {
                (Some(found), _) => Some(found),
                // A list that does not show it proves nothing (faults C11).
                (None, Some(known)) => read(&*ca, &known.reference).await?,
                (None, None) => None,
            };
            if let Some(registration) = found {
                doomed.push(Doomed {
                    domain: name.clone(),
                    client: target.key.clone(),
                    key: row.map(|row| row.key.clone()),
                    registration,
                    ca: Arc::clone(&ca),
                });
            }
        }
    }
    Ok(doomed)
}

async fn read(ca: &dyn Validation, reference: &str) -> Result<Option<Registration>, CaError> {
    match ca.get(reference).await {
        Ok(registration) => Ok(Some(registration)),
        Err(error) if error.failure == Failure::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Refuses what another client wants too: some CAs keep one entry of a domain for all clients of an
/// account, so that its deletion would end the proof for all of them.
fn refuse_shared(settings: &Settings, doomed: &[Doomed], rows: &[DomainRow]) -> Result<(), Failed> {
    let host = |key: &str| {
        let account = settings.cas.get(key.split('/').next()?)?;
        Some(account.url.authority().to_owned())
    };
    let shares = |one: &Doomed, row: &&DomainRow| {
        let registration = row.sighting.registration();
        let is_same = registration.is_some_and(|known| {
            known.domain == one.domain && known.reference == one.registration.reference
        });
        let is_elsewhere = row.client != one.client && !row.origins.is_empty();
        is_elsewhere && is_same && host(&row.client) == host(&one.client)
    };
    let is_meant = |row: &DomainRow| {
        let mut all = doomed.iter();
        all.any(|one| one.client == row.client && one.domain == row.domain)
    };
    let mut lines = Vec::new();
    for one in doomed {
        let others = rows.iter().filter(|row| shares(one, row) && !is_meant(row));
        let others: Vec<&str> = others.map(|row| row.client.as_str()).collect();
        if !others.is_empty() {
            lines.push(format!(
                "{} is also wanted at {}, and the CA keeps one entry for both: its deletion would end \
                 the proof there too",
                one.domain.both_forms(),
                others.join(", ")
            ));
        }
    }
    match lines.is_empty() {
        true => Ok(()),
        false => Err(Failed::new(Exit::Usage, lines.join("\n")).with_hint(
            "`prevalidate remove` without --at-ca takes the domain out of one client's inventory only",
        )),
    }
}

/// Says what is lost.
fn warn(app: &App, doomed: &[Doomed], rows: &[DomainRow], output: &Output) {
    let (reuse, now) = (&app.policy.reuse, app.now());
    for one in doomed {
        let name = &one.domain;
        let reference = &one.registration.reference;
        output.warn(
            &match one.registration.usable_until(reuse, now) {
                Some(end) => format!(
                    "{} ({reference}) has a proof that counts until {end:.0}; deleting it loses the proof, and no certificate can be \
                     issued for it or for names below it until it is validated again",
                    name.both_forms()
                ),
                None => format!("{} ({reference}) has no proof that counts; its registration is lost", name.both_forms()),
            },
            None,
        );
        let below: Vec<_> = rows
            .iter()
            .filter(|row| row.client == one.client)
            .filter(|row| !row.origins.is_empty() && row.domain.is_below(name))
            .map(|row| &row.domain)
            .collect();
        if let Some(first) = below.first() {
            let message = format!(
                "{} below it, such as {}",
                counted(
                    below.len(),
                    "domain of the inventory lies",
                    "domains of the inventory lie"
                ),
                first.both_forms()
            );
            output.warn(
                &message,
                Some("the next run registers those that it covered on their own"),
            );
        }
    }
}

/// Deletes one registration. A domain that the store knows is leased meanwhile, so that no run
/// works on it.
async fn delete(app: &App, store: &dyn Store, doomed: &Doomed) -> Result<(), Failed> {
    let holder = format!("remove/{}", std::process::id());
    let by = |now| Orderer {
        holder: &holder,
        run: "remove",
        now,
    };
    let lease = match &doomed.key {
        Some(key) => lease(&by(app.now()), store, key).await?,
        None => None,
    };
    let of = (&doomed.domain, &doomed.client);
    let reference = &doomed.registration.reference;
    let outcome = match doomed.ca.delete(reference).await {
        Err(error) if error.failure == Failure::NotFound => Ok(()),
        // The answer was lost, not necessarily the call.
        Err(error) if error.outcome_unknown() => match read(&*doomed.ca, reference).await {
            Ok(None) => Ok(()),
            _ => Err(error),
        },
        outcome => outcome,
    };
    let by = by(app.now());
    let (kind, detail) = match &outcome {
        Ok(()) => ("deleted", format!("the registration {reference}, by hand")),
        Err(error) => ("failed", error.to_string()),
    };
    let event = event(by.now, by.run, Some(of), kind, detail);
    let Some(lease) = lease else {
        store.note(&[event]).await?;
        return Ok(outcome?);
    };
    // The values that are in DNS are removed by the next run.
    let mut write = Write {
        events: vec![event],
        ..by.back(lease)
    };
    if outcome.is_ok() {
        write.sighting = Some((Sighting::Absent, by.now));
        (write.upkeep, write.at_risk) = (Upkeep::default(), Some(false));
    }
    let stored = store.commit(&[write]).await?;
    stored.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(outcome?)
}

async fn lease(by: &Orderer<'_>, store: &dyn Store, key: &RowKey) -> Result<Option<Lease>, Failed> {
    let (mut leases, _) = by.take(store, std::slice::from_ref(key), LEASE).await?;
    if let Some(lease) = leases.pop() {
        return Ok(Some(lease));
    }
    // Without a first listing there is no due date, and no worker works on it.
    let row = store.domain(key).await?;
    if row.is_some_and(|row| row.due_at.is_some()) {
        return Err(Failed::new(Exit::Temporary, "a run is working on it")
            .with_hint("try again in a few minutes"));
    }
    Ok(None)
}
