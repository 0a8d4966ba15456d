//! The bundle of a version: a check whether it is unchanged, and a new one made of the other files.

use std::fs;
use std::io;

use secrecy::SecretString;

use super::{BUNDLE, CERTIFICATE, CHAIN, Folder, KeyPlace, Trouble, about, sync, write};
use crate::certificates::{Checked, bundle};
use crate::text::{file, pem};

impl Folder {
    /// Why the bundle of a version is not that of its pair; `None`: it is, or it is not known from
    /// here. Without its password only its form is compared.
    pub fn differs_in_bundle(
        &self,
        version: u32,
        pair: &Checked,
        password: Option<&SecretString>,
    ) -> Option<String> {
        let path = self.version(version).join(BUNDLE);
        let bytes = match file::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Some(about(&path, "is not there"));
            }
            Err(error) if file::is_unfit(&error) => {
                return Some(about(&path, "is not a regular file"));
            }
            Err(_) => return None,
        };
        if bytes.is_empty() {
            return Some(about(&path, "is empty"));
        }
        let wrong = bundle::differs(&bytes, &pair.leaf, password)?;
        Some(about(&path, wrong))
    }

    /// Makes the bundle of a version again, of its key, its certificate and its chain.
    ///
    /// # Errors
    /// When one of them cannot be read, or the bundle cannot be written; the one of before stays.
    pub fn bundle_again(
        &self,
        version: u32,
        name: &str,
        password: &SecretString,
    ) -> Result<(), Trouble> {
        let folder = self.version(version);
        let Some(key) = self.key_at(version, KeyPlace::Here)? else {
            return Ok(());
        };
        let mut all = Vec::new();
        for file in [CERTIFICATE, CHAIN] {
            let path = folder.join(file);
            let bytes = file::read(&path).map_err(|error| Trouble::io("read", &path, &error))?;
            let read = pem::certificates(&bytes);
            all.extend(read.map_err(|why| Trouble::lasting(about(&path, &why)))?);
        }
        let all: Vec<&[u8]> = all.iter().map(AsRef::as_ref).collect();
        let bytes = bundle::pkcs12(name, &key, &all, password).map_err(Trouble::lasting)?;
        let (path, next) = (folder.join(BUNDLE), folder.join(format!(".{BUNDLE}.next")));
        let _ = fs::remove_file(&next);
        write(&next, &bytes)?;
        self.settle_file(&next)?;
        if path.is_dir() {
            // One with something in it is a person's.
            let _ = fs::remove_dir(&path);
        }
        fs::rename(&next, &path).map_err(|error| Trouble::io("write", &path, &error))?;
        sync(&folder)
    }
}
