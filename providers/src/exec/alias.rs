//! CNAME records through the program (protocol 2): read, have it changed, read again.

use std::time::Duration;

use serde::Serialize;

use super::Exec;
use super::change::{READ_BACK_WAITS_MS, Verb};
use super::program::Failure;
use super::protocol::Reading;
use crate::provider::{ErrorKind, ProviderError, no_cname};
use crate::record::{Receipt, Record, RecordData, TxtRrset};

/// What `add` and `remove` are asked for an alias.
#[derive(Debug, Serialize)]
struct Changes<'a> {
    rehearsal: bool,
    changes: [Change<'a>; 1],
}

#[derive(Debug, Serialize)]
struct Change<'a> {
    name: &'a str,
    zone: &'a str,
    zone_id: Option<&'a str>,
    ttl: u32,
    r#type: &'static str,
    target: &'a str,
}

impl Exec {
    /// Makes the aliases among `records` present or absent, one after the other.
    pub(super) async fn change_aliases(
        &self,
        records: &[Record],
        verb: Verb,
    ) -> Vec<Result<Receipt, ProviderError>> {
        let mut answers = Vec::new();
        for record in records {
            if let RecordData::Cname(target) = &record.data {
                let _turn = self.turn.lock().await;
                answers.push(self.change_alias(&record.owner, target, verb).await);
            }
        }
        answers
    }

    async fn change_alias(
        &self,
        owner: &str,
        target: &str,
        verb: Verb,
    ) -> Result<Receipt, ProviderError> {
        let reading = self.read_alias(owner).await?;
        let before = reading.rrset.clone();
        let is_done = |rrset: &TxtRrset| {
            rrset.has(&RecordData::Cname(target.to_owned())) == (verb == Verb::Add)
        };
        if is_done(&before) {
            if verb == Verb::Remove {
                self.remove_unseen_alias(&reading, target).await?;
            }
            return Ok(receipt(&before, reading, false));
        }
        if verb == Verb::Add {
            refuse(&before)?;
        }
        match self.send_alias(&reading, target, verb, false).await {
            Ok(()) => {}
            Err(Failure::Refused(error)) => return Err(error),
            Err(Failure::Changed(what)) => {
                let text =
                    format!("what is at {owner} changed meanwhile; nothing was written ({what})");
                return Err(ProviderError::new(ErrorKind::Unavailable, text).with_hint("try again"));
            }
            Err(Failure::Open(error)) => {
                // A read shows the outcome; the change is never sent again on its own.
                let now = self.read_alias(owner).await;
                let now = now.map_err(|error| error.after_loss(owner))?;
                return if is_done(&now.rrset) {
                    Ok(receipt(&before, now, true))
                } else {
                    Err(error)
                };
            }
        }
        for wait_ms in READ_BACK_WAITS_MS {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            let now = self.read_alias(owner).await;
            let now = now.map_err(|error| error.after_loss(owner))?;
            if is_done(&now.rrset) {
                return Ok(receipt(&before, now, true));
            }
        }
        let text = format!(
            "{} says it changed the CNAME of {owner}, and reads do not show it",
            self.settings.program.display()
        );
        Err(ProviderError::new(ErrorKind::Unavailable, text).after_loss(owner))
    }

    /// Has the program rehearse the addition of an alias; `false`: it cannot.
    pub(super) async fn rehearse_alias(
        &self,
        owner: &str,
    ) -> Result<(Reading, bool), ProviderError> {
        let reading = self.read_alias(owner).await?;
        refuse(&reading.rrset)?;
        if !self.capabilities().await?.rehearsal {
            return Ok((reading, false));
        }
        let target = format!("preflight-{:016x}.invalid", rand::random::<u64>());
        self.send_alias(&reading, &target, Verb::Add, true)
            .await
            .map_err(ProviderError::from)?;
        Ok((reading, true))
    }

    async fn read_alias(&self, owner: &str) -> Result<Reading, ProviderError> {
        if self.capabilities().await?.protocol < 2 {
            let program = self.settings.program.display();
            return Err(no_cname(owner).with_hint(format!(
                "{program} speaks protocol 1, which has no CNAME; protocol 2 has"
            )));
        }
        self.read_one(owner).await
    }

    pub(super) async fn send_alias(
        &self,
        reading: &Reading,
        target: &str,
        verb: Verb,
        rehearsal: bool,
    ) -> Result<(), Failure> {
        let rrset = &reading.rrset;
        let change = Change {
            name: &rrset.owner,
            zone: &rrset.zone.apex,
            zone_id: rrset.zone.id.as_deref(),
            ttl: rrset.ttl.unwrap_or(self.settings.ttl),
            r#type: "CNAME",
            target: target.trim_end_matches('.'),
        };
        let request = Changes {
            rehearsal,
            changes: [change],
        };
        self.run(verb.as_str(), &request, &rrset.owner)
            .await
            .map(drop)
    }
}

/// An alias allows no other record beside it and is never replaced. What `inspect` does not show,
/// records of other types, the program refuses (exit status 5).
fn refuse(there: &TxtRrset) -> Result<(), ProviderError> {
    let owner = &there.owner;
    let what = if *owner == there.zone.apex {
        "the apex of its zone, which cannot be a CNAME".to_owned()
    } else if let Some(target) = &there.cname {
        format!("a CNAME already, to {target}")
    } else if !there.records.is_empty() {
        "a name with TXT records, and a CNAME allows no other record beside it".to_owned()
    } else {
        return Ok(());
    };
    Err(ProviderError::new(
        ErrorKind::Unsafe,
        format!("{owner} is {what}"),
    ))
}

fn receipt(before: &TxtRrset, now: Reading, changed: bool) -> Receipt {
    let serial = now.serial.filter(|_| changed);
    Receipt {
        before: before.clone(),
        after: now.rrset,
        changed,
        change_id: serial.map(|serial| format!("serial {serial}")),
    }
}
