//! Whether what servers read is still what was installed. It is read only, and judged by its content:
//! the certificate, the key, the chain, and the file that most servers read.

use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;

use super::{CERTIFICATE, CHAIN, CURRENT, FULL_CHAIN, Folder, KEY, Trouble, about};
use crate::certificates::{Checked, Expected, Facts, PrivateKey, Wrong, check};
use crate::text::{file, pem};

/// What is remembered of the pair that was installed.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The number of its version.
    pub version: u32,
    /// Its serial number.
    pub serial: &'a str,
    /// The fingerprint of its key; empty where it is not remembered.
    pub fingerprint: &'a str,
    /// Whether its key is beside it.
    pub has_key: bool,
}

impl Known<'_> {
    fn is(&self, facts: &Facts) -> bool {
        self.serial == facts.serial
            && (self.fingerprint.is_empty() || self.fingerprint == facts.fingerprint)
    }
}

/// What servers read, compared with what was installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveState {
    /// It is that, and whole.
    Whole(Box<Checked>),
    /// It is that, and servers cannot use it; the reason.
    Damaged(String),
    /// It is another certificate, or leads elsewhere; the reason.
    Foreign(String),
}

/// Why a step came to its end early.
enum End {
    Damaged(String),
    Foreign(String),
    Unknown(Trouble),
}

impl Folder {
    /// The files that servers read here, compared with the installed version.
    ///
    /// # Errors
    /// When it cannot be read from here: it is not known.
    pub fn live_state(&self, known: Known<'_>, now: Timestamp) -> Result<LiveState, Trouble> {
        let judged = self
            .target()
            .and_then(|version| self.compared(version, known, now));
        match judged {
            Ok(whole) => Ok(LiveState::Whole(Box::new(whole))),
            Err(End::Damaged(why)) => Ok(LiveState::Damaged(why)),
            Err(End::Foreign(why)) => Ok(LiveState::Foreign(why)),
            Err(End::Unknown(trouble)) => Err(trouble),
        }
    }

    /// The pair of a version, where it is whole and the one that is remembered; else why not.
    ///
    /// # Errors
    /// When it cannot be read from here.
    pub fn pair(
        &self,
        known: Known<'_>,
        now: Timestamp,
    ) -> Result<Result<Checked, String>, Trouble> {
        match self.compared(known.version, known, now) {
            Ok(whole) => Ok(Ok(whole)),
            Err(End::Damaged(why) | End::Foreign(why)) => Ok(Err(why)),
            Err(End::Unknown(trouble)) => Err(trouble),
        }
    }

    /// The version that has the key of what was installed, whichever counts now.
    pub fn version_of_key(&self, known: Known<'_>) -> Option<u32> {
        if !known.has_key {
            return Some(known.version);
        }
        let is_it = |version: &u32| {
            let key = self.key(*version).ok().flatten();
            key.is_some_and(|key| key.fingerprint() == known.fingerprint)
        };
        let all = self.versions().unwrap_or_default().into_iter().rev();
        std::iter::once(known.version).chain(all).find(is_it)
    }

    /// Whether this user may not see what is here: then it is not known whether a key is there.
    pub fn keeps_from_us(&self) -> bool {
        let denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        let is_denied = |path: &Path| fs::read_dir(path).is_err_and(|error| denied(&error));
        let versions = self.versions().unwrap_or_default();
        let mut versions = versions.into_iter().map(|one| self.version(one));
        is_denied(&self.path)
            || versions.any(|folder| {
                let key = file::open(&folder.join(KEY));
                key.is_err_and(|error| denied(&error))
            })
    }

    /// The version that the link leads to.
    fn target(&self) -> Result<u32, End> {
        let link = self.path.join(CURRENT);
        let shown = link.display();
        match fs::read_link(&link) {
            Ok(target) => self.current().ok_or_else(|| {
                let target = target.display();
                match fs::metadata(&link) {
                    Err(error) if is_absent(&error) => {
                        End::Damaged(format!("{shown} leads to {target}, which is not there"))
                    }
                    Err(error) if file::is_unfit(&error) => {
                        End::Damaged(format!("{shown} leads to {target}, which leads nowhere"))
                    }
                    _ => End::Foreign(format!(
                        "{shown} leads to {target}, which is not a version of this folder"
                    )),
                }
            }),
            Err(error) if is_absent(&error) => Err(End::Damaged(format!("{shown} is not there"))),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                let why = || format!("{shown} is not a link to a version");
                let why = self.blocked().unwrap_or_else(why);
                // Servers find something in a folder that has a certificate.
                match fs::symlink_metadata(link.join(CERTIFICATE)) {
                    Err(error) if is_absent(&error) => Err(End::Damaged(why)),
                    _ => Err(End::Foreign(why)),
                }
            }
            Err(error) => Err(End::Unknown(Trouble::io("read", &link, &error))),
        }
    }

    fn compared(&self, version: u32, known: Known<'_>, now: Timestamp) -> Result<Checked, End> {
        let folder = self.version(version);
        let path = folder.join(CERTIFICATE);
        let own = certificates(&path);
        let leaf = match own {
            Err(End::Damaged(why)) if version != known.version => {
                let link = self.path.join(CURRENT);
                if fs::symlink_metadata(&path).is_err_and(|error| is_absent(&error)) {
                    // Servers find nothing there.
                    return Err(End::Damaged(format!(
                        "{} leads to version {version:04}: {why}",
                        link.display()
                    )));
                }
                return Err(End::Foreign(format!(
                    "{} leads to version {version:04}, which is not what was installed: {why}",
                    link.display()
                )));
            }
            other => other?.swap_remove(0),
        };
        let damaged = |path: &Path, why: &str| End::Damaged(about(path, why));
        let facts = Facts::read(&leaf).map_err(|why| damaged(&path, &why))?;
        if !known.is(&facts) {
            return Err(End::Foreign(another(&path, &facts, known)));
        }
        let (chain_path, full_path) = (folder.join(CHAIN), folder.join(FULL_CHAIN));
        let (chain, full) = (certificates(&chain_path), certificates(&full_path));
        if let Ok(full) = &full {
            begins_with(&full_path, &full[0], &leaf, chain.as_ref().ok())?;
        }
        if known.has_key {
            key_fits(&folder.join(KEY), &facts)?;
        }
        let all = [vec![leaf], chain?].concat();
        let expected = Expected {
            fingerprint: &facts.fingerprint,
            dns_names: &[],
            emails: &[],
        };
        let came = match check(&all, expected, now) {
            Ok(came) => came,
            // When it ends is known, and told elsewhere.
            Err(wrong) if wrong.iter().all(Wrong::is_about_time) => Checked {
                leaf: all[0].clone(),
                chain: all[1..].to_vec(),
                facts,
            },
            Err(wrong) => {
                let wrong = wrong.iter().filter(|one| !one.is_about_time());
                let words: Vec<_> = wrong.map(Wrong::to_string).collect();
                return Err(damaged(
                    &chain_path,
                    &format!("is no use: {}", words.join("; ")),
                ));
            }
        };
        match full? == all {
            true => Ok(came),
            false => Err(damaged(&full_path, "is not the certificate with its chain")),
        }
    }
}

/// Whether the file that most servers read begins with the installed certificate, or one of its
/// chain: else this program did not write it.
fn begins_with(
    path: &Path,
    first: &Vec<u8>,
    leaf: &Vec<u8>,
    chain: Option<&Vec<Vec<u8>>>,
) -> Result<(), End> {
    let is_known = first == leaf || chain.is_some_and(|chain| chain.contains(first));
    match Facts::read(first) {
        Ok(facts) if !is_known => Err(End::Foreign(format!(
            "{} begins with another certificate than the installed one: serial number {}, issued by \"{}\"",
            path.display(),
            facts.serial,
            facts.issuer
        ))),
        _ => Ok(()),
    }
}

fn another(path: &Path, facts: &Facts, known: Known<'_>) -> String {
    format!(
        "{} is another certificate (serial number {}, until {}) than the installed one ({}, version {:04})",
        path.display(),
        facts.serial,
        facts.not_after,
        known.serial,
        known.version
    )
}

/// The certificates of a file, of which there is one at least.
fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, End> {
    let damaged = |why: &str| End::Damaged(about(path, why));
    let bytes = match file::read(path) {
        Ok(bytes) => bytes,
        Err(error) if is_absent(&error) => return Err(damaged("is not there")),
        Err(error) => return Err(unreadable(path, &error)),
    };
    if bytes.trim_ascii().is_empty() {
        return Err(damaged("is empty"));
    }
    let read = pem::certificates(&bytes).map_err(|why| damaged(&why))?;
    Ok(read.into_iter().map(|der| der.to_vec()).collect())
}

/// Whether a key is that of a certificate. A user that may not read keys cannot tell.
fn key_fits(path: &Path, facts: &Facts) -> Result<(), End> {
    let damaged = |why: &str| End::Damaged(about(path, why));
    let bytes = match file::read(path) {
        Ok(bytes) => bytes,
        Err(error) if is_absent(&error) => return Err(damaged("is gone")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let key = PrivateKey::read(&bytes).map_err(|why| damaged(&why))?;
    match key.fingerprint() == facts.fingerprint {
        true => Ok(()),
        false => Err(damaged("is not the key of the certificate")),
    }
}

/// A file that is there and was not read: whether servers cannot read it either is known of some.
fn unreadable(path: &Path, error: &io::Error) -> End {
    match file::is_unfit(error) {
        true => End::Damaged(about(path, "is not a regular file")),
        false => End::Unknown(Trouble::io("read", path, error)),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
