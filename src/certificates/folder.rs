//! The folder of one certificate: numbered versions, and `current`, a link to the one that counts.
//!
//! ```text
//! /var/lib/prevalidate/certificates/www/
//!   0001/ privkey.pem cert.pem chain.pem fullchain.pem [bundle.p12]
//!   0002/ …
//!   current -> 0002
//! ```
//!
//! A new version is written completely beside the one that counts, and one rename of the link makes
//! it count. So a server that starts never finds a key and a certificate that do not match.

mod above;
mod access;
mod bundled;
mod found;
mod link;
mod live_state;
mod lock;
mod note;
mod owner;
mod revoked;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

pub use self::access::Access;
pub use self::found::{Found, Sought};
pub use self::live_state::{Known, LiveState};
pub use self::lock::Held;
pub use self::note::Begun;
use super::{Checked, Facts, PrivateKey, bundle};
use crate::text::{file, pem};

/// The link to the version that counts.
pub const CURRENT: &str = "current";
/// The private key, in PEM.
pub const KEY: &str = "privkey.pem";
/// The certificate alone.
pub const CERTIFICATE: &str = "cert.pem";
/// The certificates between it and the root.
pub const CHAIN: &str = "chain.pem";
/// The certificate and the chain.
pub const FULL_CHAIN: &str = "fullchain.pem";
/// Key, certificate and chain under a password.
pub const BUNDLE: &str = "bundle.p12";

/// The link before it is moved into its place.
const NEXT: &str = ".current.next";

/// Why a folder cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Trouble {
    /// The failed action, and its file.
    pub message: String,
    /// Whether the same may succeed later without a person: a full disk.
    pub may_pass: bool,
}

impl Trouble {
    fn lasting(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            may_pass: false,
        }
    }

    fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self {
            message: format!("cannot {doing} {}: {error}", path.display()),
            may_pass: !file::is_unfit(error)
                && !matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ),
        }
    }
}

/// The folder of one certificate.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    access: Access,
}

/// Where the key of a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    /// In its version of the folder.
    Here,
    /// Where its request came from.
    Elsewhere,
}

/// The pair in the place that servers read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The number of the version.
    pub version: u32,
    /// The facts in its certificate.
    pub facts: Facts,
}

impl Folder {
    /// The folder `name` of `directory`, for reading only: nothing is made.
    pub fn at(directory: &Path, name: &str, access: Access) -> Self {
        Self {
            path: directory.join(name),
            access,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it where it is missing, and refuses it where other users may write.
    ///
    /// # Errors
    /// Why no certificate can be kept there.
    pub fn prepare(&self) -> Result<(), Trouble> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        make(directory, 0o711)?;
        access::refuse_open(directory)?;
        make(&self.path, self.access.folder_mode())?;
        access::refuse_open(&self.path)?;
        self.refuse_a_stranger()?;
        self.access.apply(&self.path, self.access.folder_mode())
    }

    /// Whether [`Folder::prepare`] would do; nothing is made.
    ///
    /// # Errors
    /// Why no certificate can be kept there.
    pub fn examine(&self) -> Result<(), Trouble> {
        for folder in self.path.parent().into_iter().chain([&*self.path]) {
            if folder.is_dir() {
                access::refuse_open(folder)?;
            }
            access::may_make_in(folder)?;
        }
        self.refuse_a_stranger()
    }

    /// The number of the next version: one that no earlier step has begun, and that nothing leads to.
    pub fn next_version(&self) -> Result<u32, Trouble> {
        let last = self.versions()?.last().copied();
        Ok(last.max(self.current()).unwrap_or(0) + 1)
    }

    /// Makes the folder of a new version, of this number at least. Only this process uses it: one
    /// that is there already is never taken.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new_version(&self, least: u32) -> Result<u32, Trouble> {
        let mut version = self.next_version()?.max(least);
        loop {
            let folder = self.version(version);
            match fs::DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => return Ok(version),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => version += 1,
                Err(error) => return Err(Trouble::io("make", &folder, &error)),
            }
        }
    }

    /// All versions, from the oldest on.
    fn versions(&self) -> Result<Vec<u32>, Trouble> {
        let read = |error| Trouble::io("read", &self.path, &error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(read)? {
            let name = entry.map_err(read)?.file_name();
            let number = name.to_str().filter(|name| name.len() >= 4);
            found.extend(number.and_then(|name| name.parse::<u32>().ok()));
        }
        found.sort_unstable();
        Ok(found)
    }

    fn version(&self, number: u32) -> PathBuf {
        self.path.join(format!("{number:04}"))
    }

    /// Begins a version. Its key, where it is made here, can be read by no other user from its
    /// first byte on.
    ///
    /// # Errors
    /// When it cannot be written; then nothing of it is left.
    pub fn begin(&self, version: u32, key: Option<&PrivateKey>) -> Result<(), Trouble> {
        let folder = self.version(version);
        let is_new = !folder.is_dir();
        let begun = self.begun(&folder, key);
        if begun.is_err() && is_new {
            // Else each try on a full disk would leave a folder behind.
            let _ = fs::remove_dir_all(&folder);
        }
        begun
    }

    fn begun(&self, folder: &Path, key: Option<&PrivateKey>) -> Result<(), Trouble> {
        make(folder, 0o700)?;
        if let Some(key) = key {
            write(&folder.join(KEY), key.pem().expose_secret().as_bytes())?;
        }
        sync(folder)?;
        sync(&self.path)
    }

    /// Removes a version that this process has made, and that came to nothing. What counts stays.
    pub fn discard(&self, version: u32) {
        if self.current() != Some(version) {
            let _ = fs::remove_dir_all(self.version(version));
        }
    }

    /// Begins another version for the key of this one: what servers read is never written over.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin_again(&self, version: u32) -> Result<u32, Trouble> {
        let key = self.key(version)?;
        let next = self.new_version(1)?;
        // It is started for no order.
        let begun = self.note(next, "{}");
        let begun = begun.and_then(|()| self.begin(next, key.as_ref()));
        if begun.is_err() {
            self.discard(next);
        }
        begun.map(|()| next)
    }

    /// The key of a version, where it must have one.
    fn key_at(&self, version: u32, place: KeyPlace) -> Result<Option<PrivateKey>, Trouble> {
        let key = self.key(version)?;
        if key.is_none() && place == KeyPlace::Here {
            let path = self.version(version).join(KEY);
            let shown = path.display();
            return Err(Trouble::lasting(format!(
                "{shown} is gone: a certificate without its key is of no use"
            )));
        }
        Ok(key)
    }

    /// The key of a version, where it has one.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn key(&self, version: u32) -> Result<Option<PrivateKey>, Trouble> {
        let path = self.version(version).join(KEY);
        match file::read(&path) {
            Ok(bytes) => PrivateKey::read(&bytes)
                .map(Some)
                .map_err(|why| Trouble::lasting(about(&path, &why))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Trouble::io("read", &path, &error)),
        }
    }

    /// Puts what came into a version that does not count yet.
    ///
    /// # Errors
    /// When it cannot be written, its key is not there, or the version counts; the key of the
    /// version stays.
    pub fn put(
        &self,
        version: u32,
        name: &str,
        came: &Checked,
        place: KeyPlace,
        password: Option<&SecretString>,
    ) -> Result<(), Trouble> {
        let folder = self.version(version);
        if self.current() == Some(version) {
            let shown = folder.display();
            return Err(Trouble::lasting(format!(
                "{shown} counts already and is not written over"
            )));
        }
        let own = self.key_at(version, place)?;
        if !folder.is_dir() {
            // With a request from a file nothing was put there before.
            self.begin(version, None)?;
        }
        let leaf = pem::write("CERTIFICATE", &came.leaf);
        let chain: String = came
            .chain
            .iter()
            .map(|der| pem::write("CERTIFICATE", der))
            .collect();
        let mut files: Vec<(&str, Vec<u8>)> = vec![
            (CERTIFICATE, leaf.clone().into_bytes()),
            (CHAIN, chain.clone().into_bytes()),
            (FULL_CHAIN, (leaf + &chain).into_bytes()),
        ];
        if let (Some(password), Some(key)) = (password, own) {
            let mut all: Vec<&[u8]> = vec![&came.leaf];
            all.extend(came.chain.iter().map(Vec::as_slice));
            let bytes = bundle::pkcs12(name, &key, &all, password).map_err(Trouble::lasting)?;
            files.push((BUNDLE, bytes));
        }
        for (name, bytes) in &files {
            let path = folder.join(name);
            let _ = fs::remove_file(&path);
            write(&path, bytes)?;
        }
        sync(&folder)
    }

    /// Makes a version count, by one rename, once its key is there and matches its certificate.
    ///
    /// # Errors
    /// When it cannot be; what counted before continues to count.
    pub fn switch(&self, version: u32, place: KeyPlace) -> Result<(), Trouble> {
        let facts = self.facts(version)?;
        if let Some(key) = self.key_at(version, place)?
            && key.fingerprint() != facts.fingerprint
        {
            let folder = self.version(version);
            let shown = folder.display();
            return Err(Trouble::lasting(format!(
                "{shown}: key and certificate do not match"
            )));
        }
        if let Some(why) = self.blocked() {
            return Err(Trouble::lasting(why));
        }
        self.settle(version)?;
        let next = self.path.join(NEXT);
        let _ = fs::remove_file(&next);
        std::os::unix::fs::symlink(format!("{version:04}"), &next)
            .map_err(|error| Trouble::io("make", &next, &error))?;
        let current = self.path.join(CURRENT);
        fs::rename(&next, &current).map_err(|error| Trouble::io("switch", &current, &error))?;
        sync(&self.path)
    }

    /// The version that counts; `None` while there is none.
    pub fn current(&self) -> Option<u32> {
        let target = fs::read_link(self.path.join(CURRENT)).ok()?;
        // Written with its whole path it is the same version.
        let within = target.strip_prefix(&self.path).unwrap_or(&target);
        let mut parts = within.components();
        match (parts.next()?, parts.next(), parts.next()) {
            (Component::Normal(one), None, _) => one.to_str()?.parse().ok(),
            (Component::CurDir, Some(Component::Normal(one)), None) => one.to_str()?.parse().ok(),
            _ => None,
        }
    }

    /// What counts, read from its files; `None` while there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn live(&self) -> Result<Option<Live>, Trouble> {
        let Some(version) = self.current() else {
            return Ok(None);
        };
        let path = self.version(version).join(CERTIFICATE);
        if fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(None);
        }
        let facts = self.facts(version)?;
        Ok(Some(Live { version, facts }))
    }

    fn facts(&self, version: u32) -> Result<Facts, Trouble> {
        let path = self.version(version).join(CERTIFICATE);
        let bytes = file::read(&path).map_err(|error| Trouble::io("read", &path, &error))?;
        let unfit = |why: String| Trouble::lasting(about(&path, &why));
        let certificates = pem::certificates(&bytes).map_err(unfit)?;
        Facts::read(&certificates[0]).map_err(unfit)
    }

    /// Removes old versions beyond `keep`, from the oldest on. The version that counts stays, and
    /// so do newer ones, because an order may be under way for them. So does an older one without a
    /// certificate where `is_open` says of its note that the order may still bring one: it may be
    /// another store's. So does one with a certificate of which `is_needed` says that it is still
    /// to be taken from there.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn prune(
        &self,
        keep: u32,
        is_open: impl Fn(&str) -> bool,
        is_needed: impl Fn(u32) -> bool,
    ) -> Result<(), Trouble> {
        let Some(current) = self.current() else {
            return Ok(());
        };
        let mut old = self.versions()?;
        old.retain(|&version| {
            let is_bare = || !self.version(version).join(CERTIFICATE).exists();
            let note = || self.noted(version).unwrap_or_default();
            let stays = || match is_bare() {
                true => note().is_some_and(|note| is_open(&note)),
                false => is_needed(version),
            };
            version < current && !stays()
        });
        let excess = old
            .len()
            .saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
        for version in &old[..excess] {
            let folder = self.version(*version);
            fs::remove_dir_all(&folder).map_err(|error| Trouble::io("remove", &folder, &error))?;
        }
        Ok(())
    }

    /// What is told to the deploy program and to people: the path of a file that counts.
    pub fn live_path(&self, file: &str) -> PathBuf {
        self.path.join(CURRENT).join(file)
    }
}

fn make(folder: &Path, mode: u32) -> Result<(), Trouble> {
    make_directory(folder, mode).map_err(|error| Trouble::io("make", folder, &error))
}

/// Makes a folder, and those above it, where they are missing: with this mode, whatever the umask is.
/// One that is there keeps its own.
///
/// # Errors
/// The error of the system.
pub fn make_directory(folder: &Path, mode: u32) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent().filter(|one| !one.as_os_str().is_empty()) {
        make_directory(above, mode)?;
    }
    match fs::DirBuilder::new().mode(mode).create(folder) {
        Ok(()) => fs::set_permissions(folder, fs::Permissions::from_mode(mode)),
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes a new file that only its owner may read, down to the disk, or leaves none.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
    written.map_err(|error| {
        if error.kind() != io::ErrorKind::AlreadyExists {
            let _ = fs::remove_file(path);
        }
        Trouble::io("write", path, &error)
    })
}

fn sync(folder: &Path) -> Result<(), Trouble> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Trouble::io("write", folder, &error))
}

/// What is wrong with a file, as a sentence: some of what readers say needs a colon before it.
fn about(path: &Path, why: &str) -> String {
    let own = ["the ", "there ", "it ", "its "];
    let colon = match own.iter().any(|own| why.starts_with(own)) {
        true => ":",
        false => "",
    };
    format!("{}{colon} {why}", path.display())
}

/// The mode of a file, without its type.
fn mode_of(metadata: &fs::Metadata) -> u32 {
    metadata.permissions().mode() & 0o7777
}

#[cfg(test)]
mod tests;
