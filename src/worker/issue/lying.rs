//! What is in a folder, compared with what is wanted there.

use jiff::Timestamp;

use super::certificate::{Certificate, KeySource};
use crate::ca::csr::Csr;
use crate::ca::issuing::Subject;
use crate::certificates::folder::{Found, Live, Sought};
use crate::certificates::{Folder, Trouble, fingerprint};
use crate::issuance::progress::{Installed, Order};
use crate::text::file;

/// What a note says, also where a version was started for no order; `None`: it cannot be read.
pub(super) fn parsed(note: &str) -> Option<Order> {
    serde_json::from_str(note).ok()
}

/// The order of a note; `None`: it was started for no order, or cannot be read.
pub(super) fn read_note(note: &str) -> Option<Order> {
    parsed(note).filter(|order| !order.tag.is_empty())
}

/// The order of the note in a version.
pub(super) fn order_in(folder: &Folder, version: u32) -> Option<Order> {
    read_note(&folder.noted(version).ok()??)
}

/// The request of a certificate, where its key is elsewhere.
fn request_of(certificate: &Certificate) -> Result<Option<String>, ()> {
    match &certificate.key {
        KeySource::Made(_) => Ok(None),
        KeySource::Request(path) => match file::read(path).map(|all| Csr::read(&all)) {
            Ok(Ok(csr)) => Ok(Some(fingerprint(csr.public_key()))),
            // What is wrong with the request is reported when the order is started.
            _ => Err(()),
        },
    }
}

/// Whether a key is that of the request, where the key of a certificate is elsewhere.
pub(super) fn suits_request(certificate: &Certificate, fingerprint: &str) -> bool {
    match request_of(certificate) {
        Ok(None) => true,
        Ok(Some(own)) => own == fingerprint,
        Err(()) => false,
    }
}

/// The pair in the place that servers read, compared with the wanted certificate. `None`: the
/// request to compare with cannot be read.
pub(super) fn compared(
    certificate: &Certificate,
    folder: &Folder,
    now: Timestamp,
) -> Option<Result<Found, Trouble>> {
    let request = request_of(certificate).ok()?;
    let emails = match &certificate.subject {
        Subject::Mailbox { email, .. } => vec![email.clone()],
        Subject::Names(_) => Vec::new(),
    };
    let sought = Sought {
        fingerprint: request.as_deref(),
        dns_names: certificate.subject.names(),
        emails: &emails,
    };
    Some(folder.found(sought, now))
}

/// Whether this program installed what is there for something else than what is wanted.
fn is_for_other(certificate: &Certificate, folder: &Folder, live: &Live) -> bool {
    order_in(folder, live.version).is_some_and(|noted| {
        let is_its = noted.fingerprint == live.facts.fingerprint && noted.ca == certificate.ca;
        is_its && !certificate.wanted.is_met_by(&noted.print)
    })
}

/// Whether the note beside the pair says that this program installed it for the wanted certificate.
pub(super) fn is_ours_for(certificate: &Certificate, folder: &Folder, live: &Live) -> bool {
    order_in(folder, live.version).is_some_and(|noted| {
        let is_its = noted.fingerprint == live.facts.fingerprint && noted.ca == certificate.ca;
        is_its && noted.submitted_at.is_some() && certificate.wanted.is_met_by(&noted.print)
    })
}

/// What is wanted, where it is in the place of what was installed for something else: its folder
/// was moved to a name of before.
pub(super) fn moved_here(
    certificate: &Certificate,
    folder: &Folder,
    installed: &Installed,
    now: Timestamp,
) -> Option<Live> {
    if certificate.wanted.is_met_by(&installed.print) {
        return None;
    }
    let live = is_wanted_there(certificate, folder, now)?;
    let is_another = live.facts.serial != installed.serial;
    (is_another && !is_for_other(certificate, folder, &live)).then_some(live)
}

/// What is there, if it is what is wanted.
pub(super) fn is_wanted_there(
    certificate: &Certificate,
    folder: &Folder,
    now: Timestamp,
) -> Option<Live> {
    match compared(certificate, folder, now)? {
        Ok(Found::Fit(live)) => Some(live),
        _ => None,
    }
}
