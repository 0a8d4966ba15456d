//! That the certificate of a version was revoked, or that its CA is asked for it: small files beside it,
//! so that a store which was lost does not take it for one that counts.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::note::put;
use super::{Access, CERTIFICATE, Folder, Trouble};
use crate::text::file;

/// The file with the moment.
const REVOKED: &str = ".revoked";
/// The file with what is asked for.
const REVOKING: &str = ".revoking";

impl Folder {
    /// The folders of a directory, by name.
    pub fn all_in(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.path().is_dir());
        let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort_unstable();
        names
    }

    /// Notes wherever this certificate is in a directory that it was revoked.
    ///
    /// # Errors
    /// When one of the notes cannot be written; the others are.
    pub fn mark_revoked(directory: &Path, serial: &str, at: Timestamp) -> Result<(), Trouble> {
        Self::mark(directory, serial, REVOKED, &format!("{at}\n"))
    }

    /// Notes wherever this certificate is in a directory that its CA is about to be asked to revoke
    /// it; `note` says how.
    ///
    /// # Errors
    /// When one of the notes cannot be written; the others are.
    pub fn mark_revoking(directory: &Path, serial: &str, note: &str) -> Result<(), Trouble> {
        Self::mark(directory, serial, REVOKING, note)
    }

    fn mark(directory: &Path, serial: &str, file: &str, text: &str) -> Result<(), Trouble> {
        let mut marked = Ok(());
        for place in Self::places_of(directory, serial) {
            marked = marked.and(place.and_then(|place| match place.join(file).exists() {
                true => Ok(()),
                false => put(&place, file, text),
            }));
        }
        marked
    }

    /// Takes these notes away: the CA has refused it. One that stays has the CA asked once more.
    pub fn unmark_revoking(directory: &Path, serial: &str) {
        for place in Self::places_of(directory, serial).into_iter().flatten() {
            match fs::remove_file(place.join(REVOKING)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(%error, "the note of a revocation could not be removed");
                }
                _ => {}
            }
        }
    }

    /// The versions in a directory that have this certificate, and the folders that cannot be read.
    fn places_of(directory: &Path, serial: &str) -> Vec<Result<PathBuf, Trouble>> {
        let mut places = Vec::new();
        for name in Self::all_in(directory) {
            let folder = Self::at(directory, &name, Access::default());
            match folder.versions() {
                Ok(mut versions) => {
                    versions.retain(|&one| folder.facts(one).is_ok_and(|one| one.serial == serial));
                    places.extend(versions.into_iter().map(|one| Ok(folder.version(one))));
                }
                Err(trouble) => places.push(Err(trouble)),
            }
        }
        places
    }

    /// How the CA was asked to revoke the certificate of a version; `None`: it was not noted here.
    pub fn revoking(&self, version: u32) -> Option<String> {
        file::read_text(&self.version(version).join(REVOKING)).ok()
    }

    /// Whether the certificate of a version was revoked, or may have been.
    pub fn may_be_revoked(&self, version: u32) -> bool {
        self.revoked(version).is_some() || self.revoking(version).is_some()
    }

    /// Whether a certificate with this public key was revoked, or may have been: no other one may have its
    /// key. A version without a certificate that can be read counts by its key.
    pub fn has_revoked_key(&self, fingerprint: &str) -> bool {
        let of_key = |version| {
            self.key(version)
                .ok()
                .flatten()
                .map(|key| key.fingerprint())
        };
        let versions = self.versions().unwrap_or_default().into_iter();
        versions.filter(|&one| self.may_be_revoked(one)).any(|one| {
            let facts = self.facts_of(one).map(|facts| facts.fingerprint);
            facts.or_else(|| of_key(one)).as_deref() == Some(fingerprint)
        })
    }

    /// When the certificate of a version was revoked; `None`: it was not noted here.
    pub fn revoked(&self, version: u32) -> Option<Timestamp> {
        let path = self.version(version).join(REVOKED);
        let text = file::read_text(&path).ok()?;
        // One that was cut off tells as much.
        Some(text.trim().parse().unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// The versions with what each keeps of its order, and whether it has a certificate. What cannot
    /// be read is left out.
    pub fn noted_versions(&self) -> Vec<(u32, String, bool)> {
        let versions = self.versions().unwrap_or_default().into_iter();
        let noted = versions.filter_map(|version| {
            let note = self.noted(version).ok().flatten()?;
            let has_certificate = self.version(version).join(CERTIFICATE).exists();
            Some((version, note, has_certificate))
        });
        noted.collect()
    }

    /// Whether a version has a certificate, as far as can be seen from here.
    pub fn has_certificate(&self, version: u32) -> bool {
        let path = self.version(version).join(CERTIFICATE);
        let gone = |error: std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        !fs::symlink_metadata(path).is_err_and(gone)
    }

    /// What the certificate of a version says of itself; `None`: there is none that can be read.
    pub fn facts_of(&self, version: u32) -> Option<crate::certificates::Facts> {
        self.facts(version).ok()
    }
}
