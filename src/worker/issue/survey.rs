//! The check of all certificates: what has become due without a moment of its own.

use super::Issuer;
use super::perform::with_orders;
use crate::issuance::{Decision, Step};
use crate::store::StoreError;
use crate::store::orders::CertificateRow;

/// Whether a certificate is due in the store only after the moment of its next step, or never.
fn is_later(row: &CertificateRow, is_fresh: bool, decision: &Decision) -> bool {
    row.due_at.is_none_or(|due| is_fresh && due > decision.at)
}

impl Issuer {
    /// Reads every certificate, asks no CA, and makes those due that have something to do: open
    /// orders, what the configuration changed, what a proof now allows.
    pub async fn survey(&self) -> Result<(), StoreError> {
        let now = self.ports.clock.now();
        self.note_home(now).await?;
        self.state().notes = None;
        let mut due = Vec::new();
        let (rows, told) = self.told_rows().await?;
        let open: Vec<_> = with_orders(&rows).collect();
        for row in &rows {
            if !self.concerns(&row.name) || !self.keeps(row, now).await? {
                continue;
            }
            self.mark_what_is_ours(row);
            let is_fresh = !self.state().asked.contains(&row.name);
            let decision = self.decide(row, is_fresh, now).await?;
            let is_due_in_store = row.due_at.is_some_and(|at| at <= now);
            let waits = decision.step == Step::Prove;
            if waits {
                self.state()
                    .waiting
                    .insert(row.name.clone(), decision.why.clone());
            }
            let acts = decision.is_due(now) || waits || told.contains(&row.name);
            let acts = acts || self.is_unquiet(row, &open).await?;
            if acts && !is_due_in_store {
                due.push(row.name.clone());
            } else if decision.is_due(decision.at) && is_later(row, is_fresh, &decision) {
                // It left the configuration, and what is left of it has a next moment; or a run before
                // has left it to this one, which waits until the step is due.
                let orders = self.ports.store.orders();
                orders
                    .wake_certificates(std::slice::from_ref(&row.name), decision.at)
                    .await?;
            }
        }
        if !due.is_empty() {
            self.ports
                .store
                .orders()
                .wake_certificates(&due, now)
                .await?;
        }
        Ok(())
    }
}
