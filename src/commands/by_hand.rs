//! What a person orders on the command line: the question before it, and whose order it was.

use jiff::Timestamp;

use super::app::App;
use super::{Exit, Failed};
use crate::output::Output;
use crate::prevalidation::RowKey;
use crate::store::{Lease, Store};
use crate::worker::by_hand::Orderer;

/// The order by hand, with the name of the person.
pub(super) fn signed(detail: &str) -> String {
    format!("{detail} (user {})", person())
}

/// Asks whether to continue, unless `--yes` has said so. Without agreement the command ends with
/// the status of a usage error. `nothing` says what was not done, and `hint` what to do without a
/// terminal.
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

/// Has `change` write the order of `command` into each row and say it, by its kind and its detail;
/// wakes the domains.
pub(super) async fn order(
    app: &App,
    store: &dyn Store,
    command: &str,
    keys: &[RowKey],
    change: impl Fn(&mut Lease, Timestamp) -> (&'static str, String),
) -> Result<(), Failed> {
    let by = Orderer {
        holder: &format!("{command}/{}", std::process::id()),
        run: command,
        now: app.now(),
    };
    let change = |lease: &mut Lease| {
        let (kind, detail) = change(lease, by.now);
        Some((kind, signed(&detail)))
    };
    let busy = by.order(store, keys, change).await?;
    if busy.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = busy.iter().map(|key| key.domain().both_forms()).collect();
    Err(Failed::new(
        Exit::Temporary,
        format!(
            "a run is working on {}; nothing was ordered",
            shown.join(", ")
        ),
    )
    .with_hint("try again in a moment"))
}
