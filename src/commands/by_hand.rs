//! What a person orders for some domains, written into their attempts under their leases: for all
//! of them, or for none.

use jiff::{SignedDuration, Timestamp};

use super::{Exit, Failed};
use crate::output::Output;
use crate::prevalidation::RowKey;
use crate::store::{Claim, Event, Lease, Store, Write};

/// How long the order may take to be written down.
const LEASE: SignedDuration = SignedDuration::from_secs(30);

/// What was ordered, with the name of the person.
pub(super) fn signed(detail: &str) -> String {
    format!("{detail} (user {})", person())
}

/// Asks whether to continue, unless `--yes` has said so. What is not agreed to ends as a wrong use:
/// `nothing` says what was not done, `hint` what else there is without a terminal.
pub(super) fn agreed(
    question: &str,
    yes: bool,
    nothing: &str,
    hint: &str,
    output: &Output,
) -> Result<(), Failed> {
    if yes {
        return Ok(());
    }
    match output.confirm(question) {
        Some(true) => Ok(()),
        Some(false) => Err(Failed::new(Exit::Usage, nothing)),
        None => {
            let message = format!("standard input is not a terminal, so {nothing}");
            Err(Failed::new(Exit::Usage, message).with_hint(hint))
        }
    }
}

/// The one who called sudo, or the user.
pub(super) fn person() -> String {
    let name = |variable| std::env::var(variable).ok().filter(|name| is_name(name));
    let is_root = rustix::process::getuid().is_root();
    let user = name("SUDO_USER")
        .filter(|_| is_root)
        .or_else(|| name("LOGNAME"))
        .or_else(|| name("USER"));
    user.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string())
}

/// A variable may hold anything; a name of a user has these letters.
fn is_name(text: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || "._-@$+\\".contains(c);
    (1..=64).contains(&text.len()) && text.chars().all(letter)
}

/// Has `change` write the order of `command` into each lease and say it, by its kind and its
/// detail; wakes the domains.
pub(super) async fn order(
    store: &dyn Store,
    command: &str,
    keys: &[RowKey],
    now: Timestamp,
    change: impl Fn(&mut Lease, Timestamp) -> (&'static str, String),
) -> Result<(), Failed> {
    let holder = format!("{command}/{}", std::process::id());
    store.wake(keys, now).await?;
    let mut leases = Vec::with_capacity(keys.len());
    while leases.len() < keys.len() {
        let claim = Claim {
            holder: &holder,
            now,
            lease: LEASE,
            limit: keys.len(),
            only: Some(keys),
            except_clients: &[],
        };
        // One claim leases domains of one client.
        let more = store.claim(&claim).await?;
        if more.is_empty() {
            break;
        }
        leases.extend(more);
    }
    let missed: Vec<_> = keys
        .iter()
        .filter(|key| leases.iter().all(|lease| lease.fence.key != **key))
        .collect();
    let writes: Vec<_> = leases
        .into_iter()
        .map(|mut lease| {
            // When not all could be leased, the lease just ends.
            let told = missed.is_empty().then(|| change(&mut lease, now));
            let events = told.map(|(kind, detail)| Event {
                at: now,
                run: command.to_owned(),
                domain: Some(lease.fence.domain.clone()),
                client: Some(lease.row.client.clone()),
                kind: kind.to_owned(),
                detail: signed(&detail),
            });
            Write {
                fence: lease.fence,
                sighting: None,
                attempt: lease.row.attempt,
                due_at: Some(now),
                at_risk: None,
                ledger: lease.ledger,
                events: events.into_iter().collect(),
                effect: None,
                release: true,
            }
        })
        .collect();
    store
        .commit(&writes)
        .await?
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    if missed.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = missed
        .into_iter()
        .map(|key| key.domain().both_forms())
        .collect();
    Err(Failed::new(
        Exit::Temporary,
        format!(
            "a run is working on {}; nothing was ordered",
            shown.join(", ")
        ),
    )
    .with_hint("try again in a moment"))
}
