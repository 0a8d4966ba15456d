//! Which CA's certificate counts in a folder: a small file beside the link. A rehearsal that uses the
//! directory of production must not put its certificates in the place of those of production.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::{Folder, Trouble, sync, write};
use crate::text::file;

/// The file that names the CA by its host.
const OWNER: &str = ".ca";

impl Folder {
    /// Where the CA is named.
    pub fn owner_path(&self) -> PathBuf {
        self.path.join(OWNER)
    }

    /// The host of the CA whose certificate counts here; `None`: an older program installed it, or
    /// nothing counts.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn owner(&self) -> Result<Option<String>, Trouble> {
        let path = self.owner_path();
        match file::read_text(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Trouble::io("read", &path, &error)),
        }
    }

    /// Notes whose certificate counts here. Nothing is written when it is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_owner(&self, host: &str) -> Result<(), Trouble> {
        if self.owner()?.as_deref() == Some(host) {
            return Ok(());
        }
        let next = self.path.join(format!("{OWNER}.next"));
        let _ = fs::remove_file(&next);
        write(&next, format!("{host}\n").as_bytes())?;
        let path = self.owner_path();
        fs::rename(&next, &path).map_err(|error| Trouble::io("write", &path, &error))?;
        sync(&self.path)
    }
}
