//! An order that the store does not know, because it was lost or brought back from a backup while the
//! order was open. The version that has its key tells of it. Such an order is searched for at its
//! CA, as one whose answer was lost is, before another one is made.

use jiff::SignedDuration;

use super::super::certificate::{Certificate, KeySource};
use super::super::lying::{order_in, parsed, read_note};
use super::super::task::Task;
use crate::ca::issuing::Subject;
use crate::certificates::folder::Begun;
use crate::certificates::{Folder, PrivateKey, Trouble, fingerprint};
use crate::issuance::progress::{HoldKind, Installed, Order};
use crate::issuance::{OrderState, again};
use crate::store::StoreError;
use crate::store::orders::CertificateEvent;

/// What a version is to the order in hand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kinship {
    /// It is the version of the order in hand.
    InHand,
    /// It is, and the order was made since: the store is an older copy, or the process died meanwhile.
    MadeSince,
    /// It is that of another order.
    Other,
}

/// What is not known is searched for among all orders: none whose certificate lives is older.
pub(super) const LIFE: SignedDuration = SignedDuration::from_hours(24 * 500);

/// What a version keeps of its order, beside its key.
pub(super) fn noted(order: &Order) -> String {
    serde_json::to_string(order).unwrap_or_default()
}

/// What is written down of a certificate that is installed, where its version keeps nothing: an older
/// program installed it.
pub(in crate::worker::issue) fn as_noted(installed: &Installed) -> String {
    let (emails, names): (Vec<_>, Vec<_>) = installed
        .names
        .iter()
        .cloned()
        .partition(|name| name.contains('@'));
    noted(&Order {
        ca: installed.ca.clone(),
        tag: format!("installed:{}", installed.serial),
        version: installed.version,
        print: installed.print.clone(),
        fingerprint: installed.fingerprint.clone(),
        names,
        email: emails.into_iter().next(),
        submitted_at: Some(installed.at),
        reference: Some(installed.reference.clone()),
        certificate: installed.certificate.clone(),
        state: Some(OrderState::Issued),
        paid_until: installed.paid_until,
        is_fetched: true,
        is_fetched_again: true,
        has_key: installed.has_key,
        ..Order::default()
    })
}

/// How the history tells of a version that was started: by its number, and by the tag of its order.
pub(super) fn begun_words(version: u32, tag: &str) -> String {
    format!("version {version:04}, {tag}")
}

/// Whether an event of the history is the beginning of this version for this order. Older programs
/// did not write the tag; another store may have used the number for an order of its own.
pub(super) fn is_beginning(event: &CertificateEvent, version: u32, tag: Option<&str>) -> bool {
    let words = format!("version {version:04}");
    let rest = event.detail.strip_prefix(&words);
    let is_it = |rest: &str| match rest.strip_prefix(", ") {
        Some(own) => tag.is_none_or(|tag| own == tag),
        None => rest.is_empty(),
    };
    event.kind == "key" && rest.is_some_and(is_it)
}

impl Task<'_> {
    /// Notes beside the key of the order in hand what is about to be submitted.
    pub(super) fn note_order(&self) -> Result<(), Trouble> {
        let (Some(certificate), Some(order)) = (self.certificate(), &self.row.progress.order)
        else {
            return Ok(());
        };
        let folder = self.issuer.folder(certificate);
        folder.note(order.version, &noted(order))
    }

    /// Notes beside the key of the order in hand that it is not submitted. Where that fails, it is
    /// searched for before it is submitted again.
    pub(super) fn note_not_submitted(&self) {
        let (Some(certificate), Some(order)) = (self.certificate(), &self.row.progress.order)
        else {
            return;
        };
        let noted = order_in(&self.issuer.folder(certificate), order.version);
        if noted.is_some_and(|noted| noted.tag == order.tag)
            && let Err(trouble) = self.note_order()
        {
            tracing::warn!(%trouble, "the note of an order could not be written");
        }
    }

    /// Searches the folder for an order that this store has never begun. True: it is searched for
    /// at its CA now, or held.
    pub(super) async fn has_one_in_folder(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
    ) -> Result<bool, StoreError> {
        if self.row.progress.again {
            return Ok(false);
        }
        let begun = match folder.begun_versions(self.now()) {
            Ok(begun) => begun,
            Err(trouble) => {
                self.trouble(trouble);
                return Ok(true);
            }
        };
        if begun.is_empty() {
            return Ok(false);
        }
        let history = self.issuer.ports.store.orders();
        let history = history.certificate_history(&self.row.name).await?;
        for one in begun {
            let words = format!("version {:04}", one.version);
            let noted = one.note.as_deref().and_then(read_note);
            let kinship = self.kinship(one.version, noted.as_ref());
            if kinship == Kinship::InHand {
                continue;
            }
            let tag = noted.map(|order| order.tag);
            let is_known =
                |event: &CertificateEvent| is_beginning(event, one.version, tag.as_deref());
            if kinship == Kinship::Other && history.iter().any(is_known) {
                continue;
            }
            match self.order_of(certificate, folder, &one) {
                Ok(None) => {}
                Ok(Some(order)) => {
                    self.goes_on_with(order, kinship);
                    return Ok(true);
                }
                Err(why) => {
                    let words = format!(
                        "{words} was started for an order that this store does not know, and it cannot be searched for: {why}"
                    );
                    let hint = format!(
                        "`prevalidate certificate list --at-ca` shows what the CA has; move {} away, and the next run continues; {} orders a new one",
                        folder.path().join(format!("{:04}", one.version)).display(),
                        again(&self.row.name)
                    );
                    self.hold(HoldKind::Folder, words, Some(hint));
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether the version of the open order says that the order was made, or that another store
    /// has it now. True: that order goes on.
    pub(super) fn was_made_since(
        &mut self,
        certificate: &Certificate,
        folder: &Folder,
        version: u32,
    ) -> bool {
        let note = folder.noted(version).ok().flatten();
        let noted = note.as_deref().and_then(read_note);
        let kinship = self.kinship(version, noted.as_ref());
        if kinship == Kinship::InHand {
            return false;
        }
        match self.order_of(certificate, folder, &Begun { version, note }) {
            Ok(Some(order)) => self.goes_on_with(order, kinship),
            Ok(None) | Err(_) => return false,
        }
        true
    }

    /// Goes on with an order that a version was begun for: it is searched for at its CA.
    fn goes_on_with(&mut self, mut order: Order, kinship: Kinship) {
        if kinship == Kinship::MadeSince
            && let Some(own) = self.order()
        {
            // The order that goes on wants these records.
            let records = std::mem::take(&mut own.records);
            if order.records.is_empty() {
                order.records = records;
            }
        }
        self.say("key", begun_words(order.version, &order.tag));
        self.say(
            "lost",
            format!(
                "version {:04} was begun for an order that this store does not know; it is searched for at {}",
                order.version, order.ca
            ),
        );
        self.stepped();
        self.begin_with(order);
    }

    /// What the note of a version is to the order in hand.
    fn kinship(&self, version: u32, noted: Option<&Order>) -> Kinship {
        let own = self.row.progress.order.as_ref();
        let Some(own) = own.filter(|own| own.version == version) else {
            return Kinship::Other;
        };
        match noted {
            Some(noted) if noted.tag != own.tag => Kinship::Other,
            Some(noted) if noted.submitted_at.is_some() && own.submitted_at.is_none() => {
                Kinship::MadeSince
            }
            _ => Kinship::InHand,
        }
    }

    /// The order that a version was started for; `None`: it was certainly not submitted.
    fn order_of(
        &self,
        certificate: &Certificate,
        folder: &Folder,
        begun: &Begun,
    ) -> Result<Option<Order>, String> {
        let now = self.now();
        let Some(note) = &begun.note else {
            return self.order_by_key(certificate, folder, begun).map(Some);
        };
        let why = "what the version keeps of it cannot be read";
        let order = parsed(note).ok_or_else(|| why.to_owned())?;
        if order.submitted_at.is_none() || order.is_fetched_again {
            return Ok(None);
        }
        if !self.issuer.ports.issuers.contains_key(&order.ca) {
            let ca = &order.ca;
            return Err(format!("it was made at [ca.{ca}], which is not configured"));
        }
        Ok(Some(Order {
            version: begun.version,
            ended_at: Some(now),
            next_read_at: None,
            is_recovered: true,
            is_fetched: false,
            ..order
        }))
    }

    /// The order that may have used a key without a note. An older program made the key.
    fn order_by_key(
        &self,
        certificate: &Certificate,
        folder: &Folder,
        begun: &Begun,
    ) -> Result<Order, String> {
        let now = self.now();
        let key = folder
            .key(begun.version)
            .map_err(|trouble| trouble.message)?;
        let key: PrivateKey = key.ok_or("its key is gone")?;
        let live = folder.live().ok().flatten();
        if live.is_some_and(|live| live.facts.fingerprint == key.fingerprint()) {
            return Err("its key is that of the certificate in use".to_owned());
        }
        if !matches!(certificate.key, KeySource::Made(_)) {
            return Err("its key was made here, and the configuration has a request".to_owned());
        }
        let csr = key.request(&certificate.request_content())?;
        Ok(Order {
            ca: certificate.ca.clone(),
            tag: format!("prevalidate:{}", uuid::Uuid::new_v4()),
            version: begun.version,
            print: certificate.wanted.print.clone(),
            fingerprint: fingerprint(csr.public_key()),
            csr: csr.pem(),
            names: certificate.subject.names().to_vec(),
            email: match &certificate.subject {
                Subject::Mailbox { email, .. } => Some(email.clone()),
                Subject::Names(_) => None,
            },
            has_key: Some(true),
            submitted_at: now.checked_sub(LIFE).ok(),
            ended_at: Some(now),
            is_recovered: true,
            tag_is_lost: true,
            ..Order::default()
        })
    }

    /// The message while the CA does not say whether it has an order that the store has lost.
    pub(super) fn doubt(&self, order: &Order) -> String {
        format!(
            "version {:04} was started for an order that this store does not know, and the CA does not tell whether it has one; nothing is ordered before that is known. `prevalidate certificate list --at-ca` shows what the CA has; if it has none, {} orders a new one",
            order.version,
            again(&self.row.name)
        )
    }
}
