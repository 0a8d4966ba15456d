//! The words for what becomes of a change of one name.

use super::edit::{Done, Open, Verb};
use super::reading::Reading;
use crate::edit::Edit;
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{RecordKind, Zone, same_name};

/// The name is as wanted. After a lost answer that answer was a success, as far as it was not so
/// before.
pub(super) fn found_done(reading: Reading, edit: &Edit, verb: Verb, open: Option<Open>) -> Done {
    let Some(Open { before, .. }) = open else {
        return Done::nothing(reading);
    };
    let there = |value: &String| match edit.kind {
        RecordKind::Txt => before.holds(value),
        RecordKind::Cname => before.cname.as_ref().is_some_and(|to| same_name(to, value)),
    };
    let was = |value: &String| there(value) == (verb == Verb::Present);
    let changed = edit.values.iter().filter(|value| !was(value));
    let changed = changed.cloned().collect();
    let reading = if edit.keeps_some(&before, verb) {
        reading.own()
    } else {
        reading
    };
    let mname = reading.mname();
    Done {
        before,
        after: reading.rrset,
        changed,
        serial: reading.soa.serial,
        mname,
    }
}

/// The server answers for TXT, and stores none.
pub(super) fn made_up(server: &str, owner: &str) -> ProviderError {
    let text = format!(
        "{server} shows TXT values at {owner} and stores none there: the server makes this answer \
         up (PowerDNS: a LUA or ALIAS record), and a value beside it would replace the answer; \
         nothing was written"
    );
    ProviderError::new(ErrorKind::Unsafe, text).with_hint(format!(
        "put the value into what makes the answer of {owner} up, by a provider of the kind \
         `manual`, or make it plain TXT records"
    ))
}

/// The zone that takes the updates is not in the state that the server shows.
pub(super) fn behind(server: &str, zone: &Zone, owner: &str, serial: u32) -> ProviderError {
    let apex = &zone.apex;
    let text = format!(
        "{server} shows the zone {apex} with serial {serial}, and the zone that takes the updates \
         has another state; what is at {owner}, and with which TTL, is not known for certain, \
         and nothing was written"
    );
    ProviderError::new(ErrorKind::Unavailable, text).with_hint(
        "either the server forwards updates to a primary and has not got its latest state yet: \
         wait, or name the primary as `server`; or it answers questions and takes updates in \
         different views: let the key ask, too (`sign_query`)",
    )
}

/// PowerDNS does not show the state that it stores.
pub(super) fn kept(server: &str, zone: &Zone, owner: &str, serial: u32) -> ProviderError {
    let apex = &zone.apex;
    let text = format!(
        "{server} (PowerDNS) shows the zone {apex} with serial {serial} and stores another state: it \
         answers from its caches, or changes the SOA in its answers (SOA-EDIT); which TTL the values \
         at {owner} have is not known for certain, and nothing was written"
    );
    ProviderError::new(ErrorKind::Unavailable, text).with_hint(
        "it is tried again: the caches last up to 40 s as packaged (packet-cache-ttl, \
         query-cache-ttl), and after a minute SOA-EDIT is taken for the reason",
    )
}

/// Another writer changes the values faster than this program.
pub(super) fn changing(server: &str, owner: &str, last: &str) -> ProviderError {
    let text = format!(
        "the TXT values of {owner} at {server} changed under each attempt ({last}); nothing was \
         written"
    );
    ProviderError::new(ErrorKind::Unavailable, text).with_hint("try again")
}
