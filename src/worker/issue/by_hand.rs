//! What a person orders for one certificate, and the rehearsal of an order.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Certificate, IssuePorts, Issuer, Keeper, KeySource, Task, way_out};
use crate::ca::csr::Csr;
use crate::ca::issuing::{Intent, Preflight};
use crate::ca::{CaError, Failure};
use crate::certificates::{KeyKind, PrivateKey};
use crate::issuance::progress::{HoldKind, Order, Progress, Revocation};
use crate::issuance::{Live, OrderState, Proofs, RevocationReason, again};
use crate::store::StoreError;
use crate::store::orders::{CertificateClaim, CertificateRow};
use crate::worker::reference_fact;

/// The orders of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ByHand {
    /// What is held is tried again.
    Afresh,
    /// A new certificate, although nothing is due.
    Again,
    /// What was ordered is fetched once more.
    Fetch,
    /// What is installed is revoked.
    Revoke {
        /// Why.
        reason: RevocationReason,
        /// The person that asks for it.
        requestor: String,
    },
}

/// Why nothing is done of what a person orders.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    /// The reason in words.
    pub why: String,
    /// Whether the same may be taken in a moment, without a change.
    pub may_pass: bool,
}

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self {
            why,
            may_pass: false,
        }
    }
}

impl Issuer {
    /// Notes what a person orders, for the next steps. The inner error says why it cannot be.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn by_hand(
        &self,
        name: &str,
        order: ByHand,
    ) -> Result<Result<(), Refused>, StoreError> {
        if self.options.observes {
            let why = "the policy's mode is `observe`: nothing is done for certificates";
            return Ok(Err(why.to_owned().into()));
        }
        let orders = self.ports.store.orders();
        let now = self.ports.clock.now();
        let names = [name.to_owned()];
        let foreign = |row: &CertificateRow| {
            let home = row.home.clone();
            home.filter(|home| *home != self.options.home)
        };
        let row = orders.certificate(name).await?;
        let home = row.as_ref().and_then(foreign);
        let elsewhere = self.elsewhere(row.as_ref(), now).await?;
        if let Some(why) = elsewhere.clone().filter(|_| order != ByHand::Again) {
            return Ok(Err(why.into()));
        }
        orders.wake_certificates(&names, now).await?;
        let claim = CertificateClaim {
            holder: &self.options.holder,
            home: &self.options.home,
            also_of: home.as_deref(),
            only: Some(&names),
            except_cas: &[],
            now,
            lease: self.options.lease,
        };
        let Some(lease) = orders.claim_certificate(&claim).await? else {
            return Ok(Err(Refused {
                why: format!("another process is working on {name}; try again in a moment"),
                may_pass: true,
            }));
        };
        let mut task = Task::new(self, lease);
        if foreign(&task.row).is_some() {
            // Under the lease: no process at the other directory is at work, or begins to be.
            if let Some(why) = elsewhere.filter(|_| task.row.progress.order.is_some()) {
                task.let_go(now).await?;
                return Ok(Err(why.into()));
            }
            orders
                .move_certificate(&task.fence, &self.options.home)
                .await?;
        }
        let outcome = self.begin_by_hand(&mut task, &order).await?;
        task.let_go(now).await?;
        Ok(outcome.map_err(Refused::from))
    }

    /// Changes what is stored of the certificate as a person wants it. What cannot be done changes
    /// nothing: a hold that went with a refusal would order again.
    async fn begin_by_hand(
        &self,
        task: &mut Task<'_>,
        order: &ByHand,
    ) -> Result<Result<(), String>, StoreError> {
        if let ByHand::Revoke { .. } = order
            && let Some(why) = self.means_another(&task.row).await?
        {
            return Ok(Err(why));
        }
        task.accept_newer().await?;
        if *order == ByHand::Afresh {
            task.accept().await?;
        }
        if *order == ByHand::Fetch
            && let Err(why) = task.fetch_of_before().await?
        {
            return Ok(Err(why));
        }
        let mut changed = task.progress().clone();
        let outcome = change(&mut changed, order, self.ports.clock.now());
        let lacks = match order {
            ByHand::Fetch => task.cannot_fetch(),
            _ => None,
        };
        let outcome = outcome.and(lacks.map_or(Ok(()), Err));
        if outcome.is_ok() {
            *task.progress() = changed;
            let person = self.person.as_ref();
            let person = person.map_or_else(String::new, |person| format!(" (user {person})"));
            task.say("by-hand", format!("{}{person}", words(order)));
        }
        Ok(outcome)
    }

    /// Why nothing is revoked: what servers read is another certificate than the one that this store has
    /// installed, and the person may mean either.
    async fn means_another(&self, row: &CertificateRow) -> Result<Option<String>, StoreError> {
        let Some(installed) = &row.progress.installed else {
            return Ok(None);
        };
        let name = &row.name;
        let (why, way) = match self.live(row, self.ports.clock.now()).await? {
            Live::Newer { why } => {
                let way = format!("`prevalidate certificate issue {name}` takes it over");
                (why, way)
            }
            Live::Foreign { why } => {
                let is_known = !installed.reference.is_empty();
                (why, way_out(name, installed.version, is_known))
            }
            _ => return Ok(None),
        };
        Ok(Some(format!(
            "{why}; this store has installed serial number {}, and nothing was revoked: {way}",
            installed.serial
        )))
    }

    /// The message about a certificate that another machine or another directory keeps. What no
    /// machine keeps is kept here.
    async fn elsewhere(
        &self,
        row: Option<&CertificateRow>,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let Some(row) = row else {
            return Ok(None);
        };
        let Keeper::Other(other) = self.keeper(row, now).await? else {
            return Ok(None);
        };
        let (name, place) = (&row.name, other.words());
        Ok(Some(format!(
            "the files of {name} are kept {place}; {} orders a new one here",
            again(name)
        )))
    }

    /// Why the proofs of a certificate's domains are not enough for an order now; `None`: they are.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn lacking_proofs(
        &self,
        certificate: &Certificate,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        Ok(match self.proofs(certificate, now).await? {
            Proofs::Missing(why) => Some(why),
            Proofs::Enough | Proofs::InOrder => None,
        })
    }

    /// Asks the CA for free whether it would take an order. A key made for it is forgotten at once.
    ///
    /// # Errors
    /// The outer error is the store's, the inner one the CA's.
    pub async fn rehearse(
        &self,
        ports: &IssuePorts,
        certificate: &Certificate,
        make: fn(KeyKind) -> Result<PrivateKey, String>,
    ) -> Result<Result<Preflight, CaError>, StoreError> {
        let name = &certificate.ca;
        let (Some(ca), Some(account)) = (ports.issuers.get(name), ports.cas.get(name)) else {
            let why = format!("[ca.{name}] issues no certificates");
            return Ok(Err(CaError::new(Failure::Settings, why)));
        };
        let client = match &certificate.client {
            Some(target) => match self.ports.store.fact(&reference_fact(&target.key)).await? {
                Some(reference) if !reference.is_empty() => reference,
                _ => match account.find_client(&target.selector).await {
                    Ok(client) => client.reference,
                    Err(error) => return Ok(Err(error)),
                },
            },
            None => String::new(),
        };
        let csr = match &certificate.key {
            KeySource::Request(path) => crate::text::file::read(path)
                .map_err(|error| error.to_string())
                .and_then(|bytes| Csr::read(&bytes)),
            KeySource::Made(kind) => {
                make(*kind).and_then(|key| key.request(&certificate.request_content()))
            }
        };
        let csr = match csr {
            Ok(csr) => csr,
            Err(why) => return Ok(Err(CaError::new(Failure::Settings, why))),
        };
        let intent = Intent {
            tag: format!("prevalidate:{}", uuid::Uuid::new_v4()),
            client,
            product: certificate.product.clone(),
            csr,
            subject: certificate.subject.clone(),
            term: certificate.term,
            comments: certificate.comments.clone(),
            requester: certificate.requester.clone(),
            fields: certificate.fields.clone(),
            contact: certificate.contact.clone(),
            after: None,
            answer: None,
            submitted_at: None,
            ended_at: None,
            tag_is_lost: false,
        };
        let ca = Arc::clone(ca);
        Ok(ca.preflight(&intent).await)
    }
}

fn words(order: &ByHand) -> String {
    match order {
        ByHand::Afresh => "what is held is tried again".to_owned(),
        ByHand::Again => "a new one".to_owned(),
        ByHand::Fetch => "fetch it once more".to_owned(),
        ByHand::Revoke { reason, requestor } => format!("revoke it: {reason}, for {requestor}"),
    }
}

fn change(progress: &mut Progress, order: &ByHand, now: Timestamp) -> Result<(), String> {
    let is_unanswered = |one: &Order| one.submitted_at.is_some() && one.reference.is_none();
    match order {
        ByHand::Afresh => {
            // An order that has ended is made again when a person says just that.
            let hold = progress.hold.take();
            progress.hold = hold.filter(|hold| hold.kind.orders_by_hand_only());
            if let Some(open) = progress.revocation.as_mut() {
                open.refused = None;
            }
        }
        ByHand::Again => {
            let is_held = progress.hold.is_some();
            if let Some(open) = progress.order.as_ref() {
                let is_open = open.submitted_at.is_some() && !open.is_fetched;
                let is_open = is_open && !open.is_fetched_again;
                // Whether there is such an order is not known at all, and people were told.
                let is_unclear = open.is_recovered || open.gone_since.is_some();
                let is_doubtful = is_unclear && open.reference.is_none();
                if !is_doubtful && (is_unanswered(open) || is_open && !is_held) {
                    let reference = open.reference.as_deref().unwrap_or("without an answer yet");
                    return Err(format!(
                        "an order is under way ({reference}); a second one is not made"
                    ));
                }
            }
            if let Some(open) = progress.order.take() {
                let hold = progress.hold.as_ref();
                let is_refused = hold.is_some_and(|hold| hold.kind == HoldKind::Refused);
                // The CA's dry run does not check the predecessor.
                progress.forgets_predecessor = is_refused && open.product.is_some();
                progress.leave_behind(open.records);
            }
            (progress.hold, progress.again) = (None, true);
        }
        ByHand::Fetch => {
            fetch_again(progress)?;
            if let Some(open) = progress.order.as_mut() {
                open.is_again = true;
            }
        }
        ByHand::Revoke { reason, requestor } => {
            let installed = progress.installed.as_ref().ok_or("nothing is installed")?;
            progress.revocation = Some(Box::new(Revocation {
                ca: installed.ca.clone(),
                serial: installed.serial.clone(),
                reference: installed.reference.clone(),
                certificate: installed.certificate.clone(),
                reason: *reason,
                requestor: requestor.clone(),
                since: Some(now),
                asked_at: None,
                next_read_at: None,
                reads: 0,
                not_after: Some(installed.not_after),
                refused: None,
            }));
        }
    }
    (progress.failures, progress.trouble, progress.not_before) = (0, None, None);
    if let Some(open) = progress.deployment.as_mut() {
        open.failures = 0;
    }
    Ok(())
}

/// Has what was ordered fetched once more, as a new version.
pub(super) fn fetch_again(progress: &mut Progress) -> Result<(), String> {
    if let Some(open) = progress.order.as_mut() {
        if open.reference.is_none() {
            return Err("its order has no answer yet: there is nothing to fetch".to_owned());
        }
        open.is_fetched = false;
        if !open.is_fetched_again {
            progress.hold = None;
        }
        return Ok(());
    }
    // What is held orders nothing, and does not block what was ordered: the hold stays.
    let one = progress
        .installed
        .as_ref()
        .ok_or("nothing was ordered: there is nothing to fetch")?;
    if one.reference.is_empty() {
        let why = "its order is not known here, because it was taken over from its directory: `prevalidate certificate list --at-ca` shows what the CA has";
        return Err(why.to_owned());
    }
    let (emails, names): (Vec<&String>, Vec<&String>) =
        one.names.iter().partition(|name| name.contains('@'));
    progress.order = Some(Order {
        ca: one.ca.clone(),
        version: one.version,
        print: one.print.clone(),
        fingerprint: one.fingerprint.clone(),
        names: names.into_iter().cloned().collect(),
        email: emails.first().map(|email| (*email).clone()),
        product: Some(String::new()),
        submitted_at: Some(one.at),
        reference: Some(one.reference.clone()),
        certificate: one.certificate.clone(),
        state: Some(OrderState::Issued),
        paid_until: one.paid_until,
        is_fetched_again: true,
        has_key: one.has_key,
        ..Order::default()
    });
    Ok(())
}
