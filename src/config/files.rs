//! Files that a setting names. What must hold certificates is read with the configuration, so that
//! a file that cannot be used is reported with all that is wrong, and before anything is started.
//! Only `config check` continues without it, to name the secrets that are wrong too.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use prevalidate_kit::http::{check_identity, check_trusted, is_forbidden};

use super::tree::Section;
use crate::propagation::dnssec::Anchors;

impl Section<'_> {
    /// The path of a file that is there.
    pub fn file(&self, key: &str) -> Option<PathBuf> {
        let path = self.path(key)?;
        let why = match std::fs::metadata(&path) {
            Ok(found) if found.is_file() => return Some(path),
            Ok(found) if found.is_dir() => "is a folder, not a file".to_owned(),
            Ok(_) => "is not a regular file".to_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = self.reader.folder.display();
                format!("there is no such file (relative to {folder})")
            }
            Err(error) => format!("cannot be reached: {error}"),
        };
        self.fault(key, why);
        Some(path)
    }

    /// The path of a file of certificates that are to be trusted.
    pub fn trusted_file(&self, key: &str) -> Option<PathBuf> {
        let path = self.file(key)?;
        if path.is_file()
            && let Err(why) = check_trusted(&path)
        {
            self.unusable(key, format!("{}: {why}", path.display()));
        }
        Some(path)
    }

    /// The path of a file of trust anchors.
    pub fn anchors_file(&self, key: &str) -> Option<PathBuf> {
        let path = self.file(key)?;
        if path.is_file()
            && !is_forbidden(&path)
            && let Err(why) = Anchors::read(&path)
        {
            self.unusable(key, format!("{}: {why}", path.display()));
        }
        Some(path)
    }
}

/// A certificate and its key, by which this program authenticates itself.
pub(super) fn identity(section: &Section<'_>, certificate: &Path, key: &Path) {
    let both = [certificate, key];
    if both.iter().all(|path| path.is_file())
        && let Err(why) = check_identity(certificate, key)
    {
        section.unusable("certificate", why);
    }
}
