//! What servers read, and what follows where it is not what was installed.

use jiff::Timestamp;

use super::progress::{Installed, Progress};
use super::{Decision, Observed, Step, again};

/// The pair in the place that servers read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Live {
    /// Not checked here: another machine keeps the files.
    Unknown,
    /// Nothing.
    Nothing,
    /// Nothing, and what was installed is gone with its key.
    Gone {
        /// The reason in words, with the place.
        why: String,
    },
    /// What was installed, with these dates, by its serial number.
    There {
        /// Its serial number.
        serial: String,
        /// From when it counts.
        not_before: Timestamp,
        /// Until when it counts.
        not_after: Timestamp,
        /// Why owner, group or mode of its files are not those of the settings.
        loose: Option<String>,
    },
    /// What was installed, and servers cannot use it.
    Damaged {
        /// The reason in words.
        why: String,
        /// The version of the files that has its key; `None`: its key is gone.
        key: Option<u32>,
    },
    /// It is not known whether servers can use it: reading it failed.
    Unreadable {
        /// The reason in words.
        why: String,
    },
    /// What was installed, and its bundle is not what was written.
    Unbundled {
        /// The reason in words.
        why: String,
    },
    /// A later one, which this program has installed and the store does not know: it was brought back
    /// from an older copy, or another store was at work.
    Newer {
        /// Which, in words.
        why: String,
    },
    /// Other files than those that were installed.
    Foreign {
        /// The reason in words.
        why: String,
    },
}

impl Live {
    /// The fault of the pair, in words.
    pub fn fault(&self) -> Option<&str> {
        match self {
            Self::Damaged { why, .. }
            | Self::Foreign { why }
            | Self::Gone { why }
            | Self::Unreadable { why }
            | Self::Unbundled { why } => Some(why),
            _ => None,
        }
    }
}

impl Live {
    /// What is wrong with owner, group or mode of its files, in words.
    pub fn loose(&self) -> Option<&str> {
        match self {
            Self::There { loose, .. } => loose.as_deref(),
            _ => None,
        }
    }
}

/// Sets owner, group and mode of the files as configured, and makes the bundle again. It comes
/// last: where it fails, all else continues.
pub(super) fn restoration(observed: Observed<'_>, now: Timestamp) -> Option<Decision> {
    observed.wanted?;
    let why = match observed.live {
        Live::Unbundled { why } => why,
        live => live.loose()?,
    };
    let at = observed.progress.not_before.unwrap_or(now);
    Some(Decision::new(
        Step::Restore,
        at,
        format!("{why}: it is restored"),
    ))
}

/// Fetching once more what is damaged, where the CA has it and its key is here. It orders nothing. An
/// order under way brings the next one anyway.
pub(super) fn repair(observed: Observed<'_>, now: Timestamp) -> Option<Decision> {
    let progress = observed.progress;
    observed.wanted?;
    let Live::Damaged { why, key: Some(_) } = observed.live else {
        return None;
    };
    let installed = progress.installed.as_ref()?;
    is_mendable(progress, installed, now).then(|| {
        let at = progress.not_before.unwrap_or(now);
        Decision::new(Step::Repair, at, format!("{why}: it is fetched once more"))
    })
}

fn is_mendable(progress: &Progress, installed: &Installed, now: Timestamp) -> bool {
    let is_wanted = !progress.again && progress.order.is_none() && progress.revocation.is_none();
    let counts = installed.revoked_at.is_none() && installed.not_after > now;
    is_wanted && counts && !installed.reference.is_empty()
}

/// What a person must do where nothing can be repaired here; `None`: nothing.
pub(super) fn obstacle(
    observed: Observed<'_>,
    installed: &Installed,
    name: &str,
    now: Timestamp,
) -> Option<String> {
    let counts = installed.not_after > now;
    match observed.live {
        Live::Nothing => Some(format!(
            "its files are gone; {} orders a new one",
            again(name)
        )),
        Live::Gone { why } => Some(format!(
            "{why}: put them back, or {} orders a new one",
            again(name)
        )),
        Live::Foreign { why } => Some(why.clone()),
        Live::Damaged { why, key: None } if counts => Some(format!(
            "{why}, and its key is not here; {} orders a new one",
            again(name)
        )),
        Live::Damaged { why, .. } if counts && installed.reference.is_empty() => Some(format!(
            "{why}, and its order is not known here; {} orders a new one",
            again(name)
        )),
        _ => None,
    }
}
