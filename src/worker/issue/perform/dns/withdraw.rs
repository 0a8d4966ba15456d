//! Removing the records of orders that have come to their end.

use jiff::SignedDuration;
use prevalidate_providers::ErrorKind;

use super::{in_dns, in_words};
use crate::issuance::planner::backoff;
use crate::issuance::progress::Record;
use crate::prevalidation::DomainName;
use crate::store::StoreError;
use crate::worker::issue::task::Task;
use crate::worker::memory::with_memory;

/// After a removal that failed, at least; and while something else needs the record.
const REMOVE_AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// How a removal went that did not remove the record.
enum Left {
    /// Something else needs it.
    Needed(String),
    Failed(String),
}

impl Task<'_> {
    /// Removes the records of orders that have come to their end, and those of an order that is not
    /// wanted any more.
    pub(in super::super) async fn withdraw(&mut self) -> Result<(), StoreError> {
        let order = self.row.progress.order.as_ref();
        if self.certificate().is_none() && order.is_some_and(|one| one.submitted_at.is_none()) {
            // It is not in the configuration any more, and was never ordered.
            let progress = self.progress();
            let order = progress.order.take();
            let written = order.map(|mut order| order.give_up_records());
            progress.leave_behind(written.unwrap_or_default());
            self.commit().await?;
        }
        let (mut left, mut needed, mut failed) = (Vec::new(), None, None);
        for record in self.row.progress.leftovers.clone() {
            match self.remove(&record).await? {
                Ok(words) => self.say("removed", words),
                Err(reason) => {
                    left.push(record);
                    match reason {
                        Left::Needed(words) => needed = needed.or(Some(words)),
                        Left::Failed(words) => failed = failed.or(Some(words)),
                    }
                }
            }
        }
        let now = self.now();
        let before = self.row.progress.leftovers_trouble.clone();
        let was_waiting = self.row.progress.leftovers_at.is_some();
        if let Some(words) = failed
            .clone()
            .filter(|words| before.as_ref() != Some(words))
        {
            self.say("removal-failed", words);
        }
        if let Some(words) = needed.filter(|_| !was_waiting) {
            self.say("needed", words);
        }
        let progress = self.progress();
        progress.leftovers_tries = match failed.is_some() {
            true => progress.leftovers_tries.saturating_add(1),
            false => 0,
        };
        let pause = backoff(progress.leftovers_tries).max(REMOVE_AGAIN);
        progress.leftovers_at = match left.is_empty() {
            true => None,
            false => now.saturating_add(pause).ok(),
        };
        (progress.leftovers, progress.leftovers_trouble) = (left, failed);
        Ok(())
    }

    /// What is said of a record that is gone, or why it stays.
    async fn remove(&self, record: &Record) -> Result<Result<String, Left>, StoreError> {
        let shown = format!("{} {}", record.owner, record.kind);
        let Some(name) = record.provider.as_ref() else {
            return Ok(Ok(format!("{shown}: it was never written")));
        };
        if record.is_foreign {
            return Ok(Ok(format!(
                "{shown} stays: it was there before, and is not ours to remove"
            )));
        }
        if let Some((why, takes_over)) = self.needed(record).await? {
            let words = format!("{shown} stays: {why}");
            return Ok(match takes_over {
                true => Ok(words),
                false => Err(Left::Needed(words)),
            });
        }
        let Some(provider) = self.issuer.ports.providers.get(name).cloned() else {
            return Ok(Err(Left::Failed(format!(
                "{shown} {} is still in DNS: provider `{name}` is no longer in the configuration (bring it back until a run has removed the record)",
                record.data
            ))));
        };
        let wanted = [in_dns(record)];
        let asked = provider.ensure_absent(&wanted);
        let answers = with_memory(&*self.issuer.ports.store, name, &*provider, asked).await;
        let why = match answers.into_iter().next() {
            Some(Ok(_)) => return Ok(Ok(shown)),
            Some(Err(error)) if error.kind == ErrorKind::ByOthers => {
                if self.is_gone(record).await {
                    return Ok(Ok(shown));
                }
                format!(
                    "the zone's own writer must remove {} {}",
                    record.kind, record.data
                )
            }
            Some(Err(error)) => in_words(&error),
            None => "the provider said nothing".to_owned(),
        };
        Ok(Err(Left::Failed(format!("{}: {why}", record.owner))))
    }

    /// Whether no name server that answers has a record that a foreign writer removes.
    async fn is_gone(&self, record: &Record) -> bool {
        let mut host = record.owner.as_str();
        while let Some(rest) = host.strip_prefix('_').and_then(|rest| rest.split_once('.')) {
            host = rest.1;
        }
        let Ok(domain) = DomainName::from_a_labels(host) else {
            return false;
        };
        self.is_visible(record, &domain).await.is_err()
    }
}
