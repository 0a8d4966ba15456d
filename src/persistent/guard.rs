//! Many persistent records that vanish at once, or leave the configuration at once, are for a
//! person first: a pipeline that was told to drop them would drop them again, a zone that is being
//! moved is not to be written, and a list may have been emptied by mistake (invariant I14).

use jiff::Timestamp;

use super::kept::Kept;
use crate::prevalidation::guard::is_mass;

/// Why a record waits for a person: many vanished with it.
pub const VANISHED: &str = "vanished";
/// The same: many left the configuration with it.
pub const LEAVING: &str = "leaving";

/// What many are, in words: [`is_mass`].
const LIMIT: &str = "the guard refuses all of fewer than 10 records, or more than 30 % of them, from \
                     4 on";

/// Fewer records than this are put back or removed whatever their share is: a pipeline that drops
/// the records of one zone is everyday.
const FEW: usize = 3;

/// How many records are concerned, and since when the guard refuses to act on them: a refusal
/// remains until a person says so, or until its cause is gone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Records that are concerned now.
    pub affected: usize,
    /// All that are known.
    pub known: usize,
    /// Since when the guard refuses, where it did so before.
    pub refused_since: Option<Timestamp>,
}

impl Tally {
    /// Of all records, each with whether the configuration names it: those that leave.
    pub fn of_leaving<'a>(all: impl Iterator<Item = (&'a Kept, bool)>) -> Self {
        let mut tally = Self::default();
        for (kept, is_wanted) in all {
            if kept.withdrawn_at.is_some() || kept.current().is_none() {
                continue;
            }
            tally.known += 1;
            if !is_wanted {
                tally.affected += 1;
                let since = kept.hold_since(LEAVING);
                tally.refused_since = tally.refused_since.into_iter().chain(since).min();
            }
        }
        tally
    }

    /// The words of a refusal; `None` where nothing is refused.
    fn refusal(self, words: &str) -> Option<String> {
        let Self {
            affected, known, ..
        } = self;
        let of = format!("{affected} of {known} persistent records {words}");
        match self.refused_since.filter(|_| affected > 0) {
            Some(since) => Some(format!("{of} (refused since {since:.0})")),
            None => (affected > FEW && is_mass(affected, known)).then(|| format!("{of} ({LIMIT})")),
        }
    }
}

/// What the guard says of records that are on no name server any more; `None` where they are put
/// back.
pub fn alarm(vanished: Tally) -> Option<String> {
    vanished.refusal("vanished from DNS, so none is put back")
}

/// What the guard says of records that the configuration does not name any more; `None` where they
/// are removed.
pub fn shrunk(leaving: Tally) -> Option<String> {
    leaving.refusal("are no longer in the configuration, so none is removed")
}

/// What a person does about it: `--force` continues with everything that the guard refused.
pub fn hint(has_vanished: bool, has_shrunk: bool) -> String {
    let vanished = has_vanished
        .then_some("find what dropped them first; `prevalidate run --force` puts them back");
    let shrunk = has_shrunk.then_some(
        "see whether `domains` of [[persistent]] was emptied by mistake; `prevalidate run --force` \
         REMOVES from DNS the records that the configuration does not name",
    );
    let said: Vec<&str> = vanished.into_iter().chain(shrunk).collect();
    said.join("; ")
}
