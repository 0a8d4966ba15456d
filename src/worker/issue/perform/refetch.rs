//! A certificate that is installed under an earlier name and cannot be taken over from its files.
//! It is held, and a person has it fetched for the new name, with its own key: nothing is ordered.

use super::super::by_hand::fetch_again;
use super::super::certificate::Certificate;
use super::super::live::known;
use super::super::lying::order_in;
use super::super::task::{Alone, Task};
use super::lost::begun_words;
use super::moved::brought;
use super::spelled::respelled;
use crate::certificates::Folder;
use crate::issuance::Step;
use crate::issuance::again;
use crate::issuance::progress::{HoldKind, Installed, Order, Progress};
use crate::store::StoreError;

impl Task<'_> {
    /// Holds the certificate because the pair of another folder cannot be taken over.
    pub(super) fn cannot_take(
        &mut self,
        certificate: &Certificate,
        (there, name): (&Folder, &str),
        pair: &Installed,
        why: &str,
    ) {
        let words = format!(
            "{name}, as it was called before, has a certificate for the same (serial number {}), and it cannot be taken over: {why}",
            pair.serial
        );
        let has_key = there.version_of_key(known(pair, certificate)).is_some();
        let fetch = match has_key && !pair.reference.is_empty() {
            true => format!(
                "`prevalidate certificate fetch {}` fetches that certificate once more; ",
                self.row.name
            ),
            false => String::new(),
        };
        let hint = format!(
            "repair {}, and the next run continues; {fetch}{} orders a new one",
            there.path().display(),
            again(&self.row.name)
        );
        self.hold(HoldKind::Folder, words, Some(hint));
    }

    /// Begins to fetch the certificate that is installed under an earlier name, if nothing is
    /// installed or ordered here. The inner error says why it cannot be.
    pub(in crate::worker::issue) async fn fetch_of_before(
        &mut self,
    ) -> Result<Result<(), String>, StoreError> {
        let progress = &self.row.progress;
        let order = progress.order.as_ref();
        let is_made = order.is_some_and(|order| order.submitted_at.is_some());
        let is_bare = progress.installed.is_none() && !is_made;
        let Some(certificate) = self.certificate().filter(|_| is_bare) else {
            return Ok(Ok(()));
        };
        let Some((name, pair)) = self.pair_to_fetch(certificate).await? else {
            return Ok(Ok(()));
        };
        let there = Folder::at(&self.issuer.options.directory, &name, certificate.access);
        Ok(self.begin_to_fetch(certificate, (&there, &name), pair))
    }

    /// The newest pair under a name of before. One of another spelling of the product is meant where it
    /// is why nothing is ordered: the CA has said then that it is the same.
    async fn pair_to_fetch(
        &self,
        certificate: &Certificate,
    ) -> Result<Option<(String, Installed)>, StoreError> {
        let rows = self.issuer.ports.store.orders().certificates().await?;
        let (wanted, hold) = (&certificate.wanted, self.row.progress.hold.as_ref());
        let is_meant = |pair: &Installed| {
            let is_told = hold.is_some_and(|hold| hold.words.contains(&pair.serial));
            pair.print == wanted.print || is_told && wanted.differs_in_product_from(&pair.print)
        };
        let left = self.left_pairs(&rows);
        Ok(left.into_iter().find(|(_, pair)| is_meant(pair)))
    }

    pub(super) fn begin_to_fetch(
        &mut self,
        certificate: &Certificate,
        (there, name): (&Folder, &str),
        pair: Installed,
    ) -> Result<(), String> {
        let known = known(&pair, certificate);
        let Some(version) = there.version_of_key(known) else {
            return Err(self.lacks_key(there, pair.version));
        };
        let has_key = known.has_key;
        let noted = order_in(there, version);
        let tag = noted.map_or_else(|| format!("installed:{}", pair.serial), |one| one.tag);
        let print = respelled(&certificate.wanted, &pair.print);
        let mut progress = Progress {
            installed: Some(pair),
            ..Progress::default()
        };
        fetch_again(&mut progress)?;
        let fetched = progress.order.take().unwrap_or_default();
        // It is this certificate's own order from now on, and nothing is ordered if the fetch fails.
        let order = Order {
            tag,
            version,
            print,
            is_fetched_again: false,
            ..fetched
        };
        if self.is_alone(Step::Key) == Alone::No {
            let why = self.row.progress.trouble.clone();
            return Err(why.unwrap_or_else(|| "its folder cannot be used".to_owned()));
        }
        let folder = self.issuer.folder(certificate);
        let brought = brought(there, &folder, &order, has_key);
        let Some(number) = brought.map_err(|trouble| trouble.message)? else {
            return Err(self.lacks_key(there, version));
        };
        let reference = order.reference.clone().unwrap_or_default();
        self.say(
            "taken-over",
            format!("{reference}, of {name}: it is fetched, and nothing was ordered"),
        );
        self.say("key", begun_words(number, &order.tag));
        let begun = self.row.progress.order.as_ref().map(|one| one.version);
        self.begin_with(Order {
            version: number,
            ..order
        });
        if let Some(begun) = begun {
            self.discard_unless_in_hand(&folder, begun);
        }
        Ok(())
    }
}
