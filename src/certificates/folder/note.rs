//! What a version keeps of the order that it was started for: a small file beside the key, so that
//! a store which was lost, or brought back from a backup, buys nothing twice. It holds no secret.

use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::{CERTIFICATE, Folder, KEY, Trouble, sync, write};
use crate::text::file;

/// The file with the order.
const NOTE: &str = ".order";

/// A version that is younger than what counts, and has no certificate, or one whose order is noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Its number.
    pub version: u32,
    /// What it keeps of its order; `None`: an older program began it.
    pub note: Option<String>,
}

/// Writes a note into a version, whole or not at all: what was there stays until then.
pub(super) fn put(folder: &Path, name: &str, text: &str) -> Result<(), Trouble> {
    let next = folder.join(format!("{name}.next"));
    let _ = fs::remove_file(&next);
    write(&next, text.as_bytes())?;
    let path = folder.join(name);
    fs::rename(&next, &path).map_err(|error| Trouble::io("write", &path, &error))?;
    sync(folder)
}

impl Folder {
    /// Notes in a version which order it is for. The version is made where it is missing.
    ///
    /// # Errors
    /// When it cannot be written; the note of before stays.
    pub fn note(&self, version: u32, text: &str) -> Result<(), Trouble> {
        let folder = self.version(version);
        super::make(&folder, 0o700)?;
        put(&folder, NOTE, text)
    }

    /// What a version keeps of its order; `None`: nothing.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn noted(&self, version: u32) -> Result<Option<String>, Trouble> {
        let path = self.version(version).join(NOTE);
        match file::read_text(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Trouble::io("read", &path, &error)),
        }
    }

    /// The versions that were started and are younger than what counts. One that has its
    /// certificate is one of them while that counts and its order is noted: it did not come to be
    /// installed.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn begun_versions(&self, now: Timestamp) -> Result<Vec<Begun>, Trouble> {
        let current = self.current().unwrap_or(0);
        let mut found = Vec::new();
        for version in self.versions()?.into_iter().filter(|&one| one > current) {
            let folder = self.version(version);
            let note = self.noted(version)?;
            let is_begun = match folder.join(CERTIFICATE).exists() {
                true => {
                    let facts = self.facts(version);
                    note.is_some() && facts.is_ok_and(|facts| facts.not_after > now)
                }
                false => note.is_some() || folder.join(KEY).exists(),
            };
            if is_begun {
                found.push(Begun { version, note });
            }
        }
        Ok(found)
    }
}
