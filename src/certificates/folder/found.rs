//! A pair that is in the place that servers read while nothing is remembered of it: whether it is
//! what is wanted. It is read only.

use std::fs;
use std::io;

use jiff::Timestamp;

use super::{CERTIFICATE, CHAIN, CURRENT, FULL_CHAIN, Folder, KeyPlace, Live, Trouble, about};
use crate::certificates::{Expected, Wrong, check};
use crate::text::{file, pem};

/// What is wanted of a pair.
#[derive(Debug, Clone, Copy)]
pub struct Sought<'a> {
    /// The fingerprint of the key of the request, where the key is elsewhere; `None`: the key must
    /// lie beside the certificate.
    pub fingerprint: Option<&'a str>,
    /// DNS names in A-labels and lower case.
    pub dns_names: &'a [String],
    /// E-mail addresses.
    pub emails: &'a [String],
}

/// The result of the search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A certificate that has ended then: it is of no use any more.
    Ended(Timestamp),
    /// A pair that counts, for all names that are wanted, with its chain.
    Fit(Live),
    /// Something else; the reason in words.
    Unfit(String),
}

impl Folder {
    /// What servers read here, compared with what is wanted.
    ///
    /// # Errors
    /// When a file cannot be read for a reason that may pass.
    pub fn found(&self, sought: Sought<'_>, now: Timestamp) -> Result<Found, Trouble> {
        let link = self.path.join(CURRENT);
        match fs::symlink_metadata(&link) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(Trouble::io("read", &link, &error)),
            Ok(_) => {}
        }
        let Some(version) = self.current() else {
            let why = || format!("{} is not a link to a version", link.display());
            return Ok(Found::Unfit(self.blocked().unwrap_or_else(why)));
        };
        match self.examined(version, sought, now) {
            Ok(found) => Ok(found),
            Err(trouble) if trouble.may_pass => Err(trouble),
            Err(trouble) => Ok(Found::Unfit(trouble.message)),
        }
    }

    fn examined(&self, version: u32, sought: Sought<'_>, now: Timestamp) -> Result<Found, Trouble> {
        let folder = self.version(version);
        if !self.has_certificate(version) {
            return Ok(Found::Nothing);
        }
        let facts = self.facts(version)?;
        if facts.not_after <= now {
            return Ok(Found::Ended(facts.not_after));
        }
        let own = match sought.fingerprint {
            Some(fingerprint) => fingerprint.to_owned(),
            None => match self.key_at(version, KeyPlace::Here)? {
                Some(key) => key.fingerprint(),
                None => return Ok(Found::Unfit("its key is not there".to_owned())),
            },
        };
        let mut all = Vec::new();
        for file in [CERTIFICATE, CHAIN] {
            let path = folder.join(file);
            let bytes = match file::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Trouble::io("read", &path, &error)),
            };
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let read = pem::certificates(&bytes);
            let read = read.map_err(|why| Trouble::lasting(about(&path, &why)))?;
            all.extend(read.into_iter().map(|der| der.to_vec()));
        }
        let expected = Expected {
            fingerprint: &own,
            dns_names: sought.dns_names,
            emails: sought.emails,
        };
        Ok(match check(&all, expected, now) {
            Ok(came) => match self.differs_in_full(version, &all)? {
                Some(why) => Found::Unfit(why),
                None => Found::Fit(Live {
                    version,
                    facts: came.facts,
                }),
            },
            Err(wrong) => {
                let words: Vec<_> = wrong.iter().map(Wrong::to_string).collect();
                let shown = folder.display();
                Found::Unfit(format!("{shown}: {}", words.join("; ")))
            }
        })
    }

    /// Why the file that most servers read is not the certificate with its chain; `None`: it is.
    fn differs_in_full(&self, version: u32, all: &[Vec<u8>]) -> Result<Option<String>, Trouble> {
        let path = self.version(version).join(FULL_CHAIN);
        let shown = path.display();
        let bytes = match file::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(format!("{shown} is not there")));
            }
            Err(error) => return Err(Trouble::io("read", &path, &error)),
        };
        let read = pem::certificates(&bytes);
        let read = read.map_err(|why| Trouble::lasting(about(&path, &why)))?;
        let is_same = read
            .iter()
            .map(|der| der.as_ref())
            .eq(all.iter().map(Vec::as_slice));
        Ok((!is_same).then(|| format!("{shown} is not the certificate with its chain")))
    }
}
