//! The calls to the CA.

use std::sync::Arc;

use jiff::SignedDuration;

use super::super::Certificate;
use super::super::task::Task;
use super::dns::{NO_DUPLICATES, has_records_to_check};
use crate::ca::csr::Csr;
use crate::ca::issuing::{
    Intent, Issuing, Order as Shown, OrderKey, Predecessor, Subject, Succession,
};
use crate::ca::{CaError, Failure};
use crate::issuance::duplicate::First;
use crate::issuance::progress::{After, HoldKind, Order, Record, RecordState};
use crate::issuance::{OrderState, again};
use crate::store::StoreError;
use crate::worker::crashpoint::reach;
use crate::worker::reference_fact;

/// After a call without an answer, the order is first searched for after this time.
pub(super) const FIRST_SEARCH: SignedDuration = SignedDuration::from_secs(2);

impl Task<'_> {
    /// The account of this name; `None` after a hold.
    pub(super) fn issuer_port(&mut self, ca: &str) -> Option<Arc<dyn Issuing>> {
        let found = self.issuer.ports.issuers.get(ca).cloned();
        if found.is_none() {
            let words = format!("[ca.{ca}] issues no certificates, or is not configured");
            match self.certificate() {
                Some(_) => self.hold(HoldKind::Refused, words, None),
                // It continues once the section is back.
                None => self.failed(words, None),
            }
        }
        found
    }

    /// The account at which the order in hand is made.
    pub(super) fn ca_of_order(&self) -> String {
        let order = self.row.progress.order.as_ref();
        let own = order.map(|order| order.ca.clone());
        own.filter(|ca| !ca.is_empty())
            .unwrap_or_else(|| self.row.ca.clone())
    }

    /// The CA's key for the client of the certificate; the stored one while there is one.
    pub(super) async fn client(
        &mut self,
        name: &str,
        ca: &Arc<dyn Issuing>,
    ) -> Result<Option<String>, StoreError> {
        if !ca.kind().has_clients {
            return Ok(Some(String::new()));
        }
        let Some(target) = self.certificate().and_then(|one| one.client.as_ref()) else {
            self.hold(
                HoldKind::Refused,
                "the configuration names no client for it",
                None,
            );
            return Ok(None);
        };
        let fact = self
            .issuer
            .ports
            .store
            .fact(&reference_fact(&target.key))
            .await?;
        if let Some(reference) = fact.filter(|reference| !reference.is_empty()) {
            return Ok(Some(reference));
        }
        let found = match self.issuer.ports.cas.get(name) {
            Some(account) => account.find_client(&target.selector).await,
            None => Err(CaError::new(
                Failure::Settings,
                format!("there is no [ca.{name}]"),
            )),
        };
        match found {
            Ok(client) => Ok(Some(client.reference)),
            Err(error) => {
                self.refused(name, &error);
                Ok(None)
            }
        }
    }

    /// The order as it was written down; `None` after a hold.
    fn intent(&mut self, order: &Order, client: String) -> Option<Intent> {
        // To follow an order to its end, the configuration is not needed.
        let certificate = self.certificate();
        let csr = match Csr::read(order.csr.as_bytes()) {
            Ok(csr) => csr,
            Err(why) => {
                self.hold(HoldKind::Key, format!("the stored request {why}"), None);
                return None;
            }
        };
        let (first_name, last_name) = match certificate.map(|one| &one.subject) {
            Some(Subject::Mailbox {
                first_name,
                last_name,
                ..
            }) => (first_name.clone(), last_name.clone()),
            _ => (None, None),
        };
        let subject = match &order.email {
            Some(email) => Subject::Mailbox {
                email: email.clone(),
                first_name,
                last_name,
            },
            None => Subject::Names(order.names.clone()),
        };
        let after = order.after.as_ref().map(|after| Predecessor {
            key: OrderKey {
                reference: after.reference.clone(),
                certificate: after.certificate.clone(),
            },
            way: match (after.is_duplicate, after.is_reissue) {
                (true, _) => Succession::Duplicate,
                (false, true) => Succession::Reissue,
                (false, false) => Succession::Renewal,
            },
        });
        Some(Intent {
            tag: order.tag.clone(),
            client,
            product: order
                .product
                .clone()
                .or_else(|| certificate.map(|one| one.product.clone()))
                .unwrap_or_default(),
            csr,
            subject,
            term: certificate.and_then(|one| one.term),
            comments: certificate.and_then(|one| one.comments.clone()),
            requester: certificate.and_then(|one| one.requester.clone()),
            fields: certificate.map_or_else(Default::default, |one| one.fields.clone()),
            contact: certificate.and_then(|one| one.contact.clone()),
            after,
            answer: order.answer.clone().filter(|answer| !answer.is_empty()),
            submitted_at: order.submitted_at,
            ended_at: order.ended_at,
            tag_is_lost: order.tag_is_lost,
        })
    }

    /// What a call about the order in hand needs; `None` when it is held or put off.
    pub(super) async fn call(&mut self) -> Result<Option<(Arc<dyn Issuing>, Intent)>, StoreError> {
        let Some(order) = self.row.progress.order.clone() else {
            return Ok(None);
        };
        let name = self.ca_of_order();
        let Some(ca) = self.issuer_port(&name) else {
            return Ok(None);
        };
        let client = match &order.client {
            Some(client) => Some(client.clone()),
            None => self.client(&name, &ca).await?,
        };
        let Some(client) = client else {
            return Ok(None);
        };
        if let Some(order) = self.progress().order.as_mut() {
            order.client = Some(client.clone());
        }
        let order = self.shared_order(order).await?;
        Ok(self.intent(&order, client).map(|intent| (ca, intent)))
    }

    /// The open order. The order of a duplicate names the order of the first certificate until it
    /// is submitted.
    async fn shared_order(&mut self, mut order: Order) -> Result<Order, StoreError> {
        let (Some(certificate), None) = (self.certificate(), order.submitted_at) else {
            return Ok(order);
        };
        let first = self.issuer.first(certificate, self.now()).await?;
        if let Some(First::There { reference }) = first {
            order.after = Some(After {
                reference,
                certificate: None,
                is_reissue: false,
                is_duplicate: true,
            });
            if let Some(known) = self.progress().order.as_mut() {
                known.after.clone_from(&order.after);
            }
        }
        Ok(order)
    }

    pub(super) fn order(&mut self) -> Option<&mut Order> {
        self.progress().order.as_mut()
    }

    pub(super) async fn preflight(&mut self) -> Result<(), StoreError> {
        let Some((ca, intent)) = self.call().await? else {
            return Ok(());
        };
        let name = self.ca_of_order();
        match ca.preflight(&intent).await {
            Ok(_) if self.is_stopped_by_clock(&name, &*ca) => {}
            Ok(found) => {
                self.answered(&name);
                for warning in &found.warnings {
                    self.say("warning", warning.clone());
                }
                let is_duplicate = |one: &Certificate| one.duplicate_of.is_some();
                if found.product.brings_records && self.certificate().is_some_and(is_duplicate) {
                    self.hold(HoldKind::Refused, NO_DUPLICATES, None);
                    return Ok(());
                }
                if found.product.brings_records
                    && let Some(why) = self.lacks_provider(intent.subject.names()).await?
                {
                    self.not_bought(&why);
                    return Ok(());
                }
                if self.has_by_another_spelling(&found.product).await? {
                    return Ok(());
                }
                let product = match found.product.reference.is_empty() {
                    true => intent.product,
                    false => found.product.reference,
                };
                if let Some(order) = self.order() {
                    order.product = Some(product);
                    order.brings_records = found.product.brings_records;
                }
            }
            Err(error) => self.refused(&name, &error),
        }
        Ok(())
    }

    /// The one step that costs money. Its intent is stored before; a call without an answer is
    /// never made again before the order was searched for.
    pub(super) async fn submit(&mut self) -> Result<(), StoreError> {
        if self.is_forestalled().await? || !self.may_be_installed() {
            return Ok(());
        }
        let Some((ca, mut intent)) = self.call().await? else {
            return Ok(());
        };
        let name = self.ca_of_order();
        if self.is_stopped_by_clock(&name, &*ca) {
            return Ok(());
        }
        let is_duplicate = |after: &Predecessor| after.way == Succession::Duplicate;
        let shares = self.certificate().and_then(|one| one.duplicate_of.as_ref());
        if let Some(first) = shares
            && !(ca.kind().duplicates && intent.after.as_ref().is_some_and(is_duplicate))
        {
            // Without the order of the first it would be an order of its own, which costs money.
            let words = format!("certificate {first}, the first, has no order now");
            self.failed(words, None);
            return Ok(());
        }
        let now = self.now();
        if let Some(order) = self.order() {
            (order.submitted_at, order.ended_at) = (Some(now), None);
            order.next_read_at = now.saturating_add(FIRST_SEARCH).ok();
        }
        if !self.is_noted().await? {
            return Ok(());
        }
        self.commit().await?;
        reach("order-intended");
        (intent.submitted_at, intent.ended_at) = (Some(now), None);
        self.issuer.state().ended.remove(&intent.tag);
        let answer = ca.submit(&intent).await;
        reach("order-done");
        match answer {
            Ok(shown) => {
                self.answered(&name);
                self.say("ordered", format!("{} ({})", shown.key, intent.product));
                self.saw(&shown);
            }
            Err(error) if error.outcome_unknown() && !error.is_of_a_read => {
                let (now, steady) = (self.now(), self.issuer.ports.clock.steady());
                self.issuer.state().ended.insert(intent.tag, steady);
                self.say("unanswered", error.message.clone());
                if let Some(order) = self.order() {
                    (order.ended_at, order.words) = (Some(now), Some(error.message.clone()));
                    order.next_read_at = now.saturating_add(FIRST_SEARCH).ok();
                }
                self.progress().trouble = Some(error.message);
            }
            Err(error) => {
                self.not_submitted();
                if !self.does_without_predecessor(&ca, &error).await {
                    self.refused(&name, &error);
                }
            }
        }
        Ok(())
    }

    /// Notes beside its key that the order in hand is about to be made, for other stores on the directory.
    /// False: it cannot be noted, or another store was first.
    async fn is_noted(&mut self) -> Result<bool, StoreError> {
        if let Err(trouble) = self.note_order() {
            self.not_submitted();
            self.trouble(trouble);
            return Ok(false);
        }
        Ok(!self.is_ordered_beside().await?)
    }

    /// The order certainly did not reach the CA, or had no effect there. Its version says so too.
    pub(super) fn not_submitted(&mut self) {
        if let Some(order) = self.order() {
            (order.submitted_at, order.next_read_at) = (None, None);
        }
        self.note_not_submitted();
    }

    pub(super) async fn read(&mut self) -> Result<(), StoreError> {
        let Some(order) = self.row.progress.order.clone() else {
            return Ok(());
        };
        if self.is_without_its_key() {
            return Ok(());
        }
        let Some(key) = key_of(&order) else {
            return Ok(());
        };
        let name = self.ca_of_order();
        let Some(ca) = self.issuer_port(&name) else {
            return Ok(());
        };
        if has_records_to_check(&order)
            && let Err(error) = ca.check_records(&key).await
        {
            // It makes the CA check sooner than it does by itself; the order says what counts.
            tracing::warn!(ca = name, order = %key, %error, "the CA was not asked to check");
        }
        match ca.read(&key).await {
            Ok(shown) => {
                self.answered(&name);
                self.saw(&shown);
                // One that brings its records names them while it wants them.
                let wants = !order.brings_records || !shown.challenges.is_empty();
                let wants = wants && self.certificate().is_some();
                self.see_records(wants && shown.state.is_open()).await?;
            }
            Err(error) if error.failure == Failure::NotFound => self.missed(&key, &error).await,
            Err(error) => self.unread(&name, &error),
        }
        Ok(())
    }

    /// A question without an answer is asked again, whatever the CA says of it.
    pub(super) fn unread(&mut self, ca: &str, error: &CaError) {
        if error.is_account_wide() || error.is_retryable() {
            self.refused(ca, error);
        } else {
            self.failed(error.message.clone(), error.retry_after);
        }
    }

    /// The CA's fresh word on the order.
    pub(super) fn saw(&mut self, shown: &Shown) {
        let now = self.now();
        let Some(order) = self.order() else { return };
        let changed = order.state.as_ref() != Some(&shown.state) || order.words != shown.words;
        order.reference = Some(shown.key.reference.clone());
        if shown.key.certificate.is_some() {
            order.certificate.clone_from(&shown.key.certificate);
        }
        (order.state, order.gone_since) = (Some(shown.state.clone()), None);
        order.words.clone_from(&shown.words);
        order.next_read_is_from_ca = shown.next_read_at.is_some_and(|at| at > now);
        let own = order.next_read(now);
        order.next_read_at = match shown.next_read_at {
            Some(at) if at > now => Some(at),
            _ => Some(own),
        };
        (order.reads, order.last_read_at) = (order.reads + 1, Some(now));
        if shown.paid_until.is_some() {
            order.paid_until = shown.paid_until;
        }
        if order.brings_records {
            self.wants_records(&shown.challenges);
        }
        let is_visible = |record: &Record| record.state == RecordState::Visible;
        if let Some(order) = self
            .order()
            .filter(|one| !one.records.iter().all(is_visible))
        {
            // They come next.
            order.next_read_at = None;
        }
        let words = match &shown.words {
            Some(words) => format!("{}: {}: {words}", shown.key, shown.state),
            None => format!("{}: {}", shown.key, shown.state),
        };
        if shown.state.has_failed() || shown.state == OrderState::Revoked {
            return self.end(words);
        }
        if shown.state == OrderState::Issued {
            let progress = self.progress();
            if let Some(order) = progress.order.as_mut() {
                order.next_read_at = None;
                let records = std::mem::take(&mut order.records);
                progress.leave_behind(records);
            }
            return self.say("issued", words);
        }
        if changed {
            self.say("waiting", words);
        }
    }

    /// The order came to an end without a certificate. A person decides whether another is ordered.
    pub(super) fn end(&mut self, words: String) {
        let progress = self.progress();
        let mut print = String::new();
        if let Some(order) = progress.order.take() {
            print = order.print;
            progress.leave_behind(order.records);
        }
        progress.again = false;
        let hint = format!("{} orders a new one", again(&self.row.name));
        self.hold(HoldKind::Ended, words, Some(hint));
        if self.certificate().is_none()
            && let Some(hold) = self.progress().hold.as_mut()
        {
            // It is held also when the configuration names it again.
            hold.print = print;
        }
    }
}

/// The CA's keys for an order.
pub(super) fn key_of(order: &Order) -> Option<OrderKey> {
    Some(OrderKey {
        reference: order.reference.clone()?,
        certificate: order.certificate.clone(),
    })
}
