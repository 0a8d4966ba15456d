//! Which directory keeps the files of a certificate, and whether any machine still has it.
//!
//! A store that one machine uses has one directory: where that lost its name, or is another one
//! now, its certificates are kept in the directory of today, and files that are gone are reported.
//! Machines that share a store do not touch the certificates of another machine while that machine
//! lives.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::live::known;
use super::{Issuer, Task};
use crate::certificates::folder::LiveState;
use crate::store::StoreError;
use crate::store::orders::{CertificateClaim, CertificateRow};

/// How often a machine notes that it keeps its directory.
const NOTED_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// A directory that was not seen for this time is kept by no machine.
const SILENT: SignedDuration = SignedDuration::from_hours(3 * 24);
/// The same for one in the place of this machine's own directory.
const REPLACED: SignedDuration = SignedDuration::from_hours(2);
/// How long a note is remembered.
const READ_AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// The machine that keeps the files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// This directory, or none yet.
    Here,
    /// No machine: the directory that did is gone.
    NoMachine,
    /// Another machine, or another directory.
    Other(Other),
}

/// Another machine, or another directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Where it is, in words; `None`: it was not noted.
    pub place: Option<String>,
    /// Since when no machine has seen it, where it is kept no more.
    pub silent_since: Option<Timestamp>,
}

impl Other {
    /// Where it is, in words.
    pub fn words(&self) -> String {
        let place = self.place.as_deref();
        let place = place.unwrap_or("by another machine, or in another directory");
        match self.silent_since {
            Some(at) => format!("{place}, which no machine has seen since {at:.0}"),
            None => place.to_owned(),
        }
    }
}

/// What a machine notes of the directory that it keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Noted {
    host: String,
    directory: String,
    seen_at: Timestamp,
}

fn fact(home: &str) -> String {
    format!("certificates/home/{home}")
}

impl Issuer {
    /// The machine that keeps the files of a certificate.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn keeper(&self, row: &CertificateRow, now: Timestamp) -> Result<Keeper, StoreError> {
        let home = row.home.as_ref();
        let Some(home) = home.filter(|home| **home != self.options.home) else {
            return Ok(Keeper::Here);
        };
        if !self.options.shares {
            return Ok(Keeper::NoMachine);
        }
        let Some(noted) = self.noted_home(home, now).await? else {
            return Ok(Keeper::Other(Other {
                place: None,
                silent_since: None,
            }));
        };
        let silence = now.duration_since(noted.seen_at);
        let is_own_place =
            noted.host == self.options.host && noted.directory == self.directory_name();
        if is_own_place && silence >= REPLACED {
            return Ok(Keeper::NoMachine);
        }
        Ok(Keeper::Other(Other {
            place: Some(format!("by {} in {}", noted.host, noted.directory)),
            silent_since: (silence >= SILENT).then_some(noted.seen_at),
        }))
    }

    fn directory_name(&self) -> String {
        self.options.directory.display().to_string()
    }

    async fn noted_home(&self, home: &str, now: Timestamp) -> Result<Option<Noted>, StoreError> {
        let is_young = |at: Timestamp| now.duration_since(at).abs() < READ_AGAIN;
        let known = self.state().homes.get(home).cloned();
        if let Some((_, noted)) = known.filter(|(at, _)| is_young(*at)) {
            return Ok(noted);
        }
        let text = self.ports.store.fact(&fact(home)).await?;
        // What cannot be understood was written by another version.
        let noted: Option<Noted> = text.and_then(|text| serde_json::from_str(&text).ok());
        let known = (now, noted.clone());
        self.state().homes.insert(home.to_owned(), known);
        Ok(noted)
    }

    /// Notes that this machine keeps its directory, for the other machines of the store.
    pub(super) async fn note_home(&self, now: Timestamp) -> Result<(), StoreError> {
        let home = &self.options.home;
        if !self.options.shares || home.is_empty() {
            return Ok(());
        }
        let noted = self.noted_home(home, now).await?;
        if noted.is_some_and(|one| now.duration_since(one.seen_at).abs() < NOTED_AGAIN) {
            return Ok(());
        }
        let noted = Noted {
            host: self.options.host.clone(),
            directory: self.directory_name(),
            seen_at: now,
        };
        // Names and a moment: nothing in it can fail.
        let text = serde_json::to_string(&noted).unwrap_or_default();
        self.ports.store.set_fact(&fact(home), &text).await?;
        let known = (now, Some(noted));
        self.state().homes.insert(home.clone(), known);
        Ok(())
    }

    /// Whether this directory keeps a certificate, from now on where no machine does. It orders
    /// nothing: files that are gone are reported.
    pub(super) async fn keeps(
        &self,
        row: &CertificateRow,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        match self.keeper(row, now).await? {
            Keeper::Here => Ok(true),
            Keeper::NoMachine => self.adopt(row, now).await,
            Keeper::Other(other) if other.silent_since.is_some() && self.has_pair(row, now) => {
                self.adopt(row, now).await
            }
            Keeper::Other(_) => Ok(false),
        }
    }

    /// Whether the pair that was installed is in this directory.
    fn has_pair(&self, row: &CertificateRow, now: Timestamp) -> bool {
        let installed = row.progress.installed.as_ref();
        let certificate = self.certificate(&row.name);
        let Some((certificate, installed)) = certificate.zip(installed) else {
            return false;
        };
        let live = self
            .folder(certificate)
            .live_state(known(installed, certificate), now);
        matches!(live, Ok(LiveState::Whole(_)))
    }

    async fn adopt(&self, row: &CertificateRow, now: Timestamp) -> Result<bool, StoreError> {
        let is_needed = self.certificate(&row.name).is_some() || row.progress.order.is_some();
        let is_needed = is_needed || !row.progress.leftovers.is_empty();
        if !is_needed || self.options.home.is_empty() {
            return Ok(false);
        }
        let (orders, names) = (self.ports.store.orders(), [row.name.clone()]);
        orders.wake_certificates(&names, now).await?;
        let claim = CertificateClaim {
            holder: &self.options.holder,
            home: &self.options.home,
            also_of: row.home.as_deref(),
            only: Some(&names),
            except_cas: &[],
            now,
            lease: self.options.lease,
        };
        let Some(lease) = orders.claim_certificate(&claim).await? else {
            return Ok(false);
        };
        let mut task = Task::new(self, lease);
        if task.row.home.as_ref() != Some(&self.options.home) {
            let home = &self.options.home;
            orders.move_certificate(&task.fence, home).await?;
            let directory = self.options.directory.display();
            task.say("kept-here", format!("its files are kept in {directory}"));
        }
        task.let_go(now).await?;
        Ok(true)
    }
}
