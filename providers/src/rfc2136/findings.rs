//! Learning: what a refused guard shows about a name that no read can show.

use hickory_proto::op::ResponseCode;

use super::change::{Verb, Wish};
use super::look::Look;
use crate::record::TxtRrset;

/// What refused guards have shown about the name.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The name has no records and still exists, so no wildcard answers for it.
    pub(super) new_name: bool,
    /// Whether records equal to the wildcard's are the name's own; `None`: not found out.
    own: Option<bool>,
    /// What the last refused guards were about.
    stale: Option<TxtRrset>,
}

impl Findings {
    /// The reading of `look` to plan with: made up where that is possible, unless shown otherwise
    /// or a value to remove is in it. The guards refuse the wrong reading.
    pub(super) fn read(&self, look: Look, wish: &Wish, verb: Verb) -> Look {
        let own = look.clone().own();
        let at_stake =
            verb == Verb::Absent && wish.values.iter().any(|value| own.rrset.holds(value));
        if self.own.unwrap_or(at_stake) {
            own
        } else {
            look
        }
    }

    /// "There are TXT values" must do instead of "the TXT values are these" when a guard failed
    /// although nothing changed: the server compares it wrongly. What is written is one value more
    /// or less in either case; only the TTL could be stale. PowerDNS 4.7 says NXRRSET to its own
    /// records when one has octets that are not ASCII or characters that it escapes (measured).
    pub(super) fn any_values(&self, rrset: &TxtRrset) -> bool {
        !rrset.records.is_empty() && self.stale.as_ref() == Some(rrset)
    }

    /// Takes in that the guards made from `look` were refused with `code`.
    pub(super) fn refused(&mut self, look: Look, code: ResponseCode) {
        if code == ResponseCode::YXRRSet && look.is_taken_for_made_up() {
            self.own = Some(true);
        } else if code == ResponseCode::NXRRSet
            && look.is_taken_for_own()
            && self.any_values(&look.rrset)
        {
            self.own = Some(false);
        }
        self.stale = Some(look.rrset);
    }
}
