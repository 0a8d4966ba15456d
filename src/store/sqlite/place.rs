//! Where the database lies: no other user may read it, and no second host may reach it.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::store::StoreError;
use crate::store::url::Named;

/// The place that a store URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// `sqlite::memory:`: gone with the process.
    Memory,
    /// `sqlite:PATH`.
    File(PathBuf),
}

impl Place {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        match Named::read(url) {
            Ok(Named::Memory) => Ok(Self::Memory),
            Ok(Named::File(path)) => Ok(Self::File(path)),
            Ok(Named::Postgres) => Err(StoreError::Unfit {
                message: format!("`{url}` names no SQLite database"),
                hint: "write it as `sqlite:/var/lib/prevalidate/prevalidate.db`".to_owned(),
            }),
            Err(unreadable) => Err(StoreError::Unfit {
                message: format!("the store's URL `{url}` {}", unreadable.message),
                hint: unreadable.hint,
            }),
        }
    }

    /// For messages.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Memory => "the database in memory".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

/// Whether a file is there. A path that can never lead to one is refused.
pub(super) fn is_there(path: &Path) -> Result<bool, StoreError> {
    refuse_no_file(path)?;
    match fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => Err(wrong(
            path,
            "cannot be there: a part of the path is a file, not a folder",
            "correct `url` of [store]",
        )),
        Err(e) => Err(unreachable_file(
            &format!("reading {}", path.display()),
            &e,
            path,
        )),
    }
}

/// Refuses a folder, a device or a socket in the place of the file.
pub(super) fn refuse_no_file(path: &Path) -> Result<(), StoreError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            let inside = path.join("prevalidate.db");
            let hint = format!("name a file in it: url = \"sqlite:{}\"", inside.display());
            Err(wrong(path, "is a folder, not a file", &hint))
        }
        Ok(found) if !found.is_file() => Err(wrong(
            path,
            "is not a regular file",
            "correct `url` of [store]",
        )),
        _ => Ok(()),
    }
}

/// How many links lead to a file at most.
const LINKS: usize = 40;

/// Refuses files, and links that lead to them, that another user has put into the place of a store.
/// Root can open them all. The owner of the folder may own the store: root reads the store of a
/// service so.
pub(super) fn refuse_foreign(path: &Path) -> Result<(), StoreError> {
    let caller = rustix::process::geteuid().as_raw();
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut file = beside(path, suffix);
        for _ in 0..LINKS {
            let Ok(found) = fs::symlink_metadata(&file) else {
                break;
            };
            let what = if found.is_symlink() {
                "the link to the store"
            } else {
                "the store"
            };
            let folder = fs::metadata(directory(&file));
            let keeper = folder.map_or(0, |folder| folder.uid());
            if ![0, caller, keeper].contains(&found.uid()) {
                return Err(foreign(&file, what, found.uid(), caller));
            }
            match fs::read_link(&file) {
                Ok(target) => file = directory(&file).join(target),
                Err(_) => break,
            }
        }
    }
    Ok(())
}

fn foreign(path: &Path, what: &str, owner: u32, caller: u32) -> StoreError {
    let shown = path.display();
    StoreError::Unfit {
        message: format!(
            "{what} {shown} belongs to user {owner}, and this process is user {caller}"
        ),
        hint: format!(
            "run it as that user (sudo -u '#{owner}' prevalidate …), or, if it is yours: chown -h {caller} {shown}"
        ),
    }
}

fn wrong(path: &Path, what: &str, hint: &str) -> StoreError {
    StoreError::Unfit {
        message: format!("the store {} {what}", path.display()),
        hint: hint.to_owned(),
    }
}

/// A file that this user may not reach stays so until a person changes it.
fn unreachable_file(what: &str, error: &io::Error, path: &Path) -> StoreError {
    let advice = format!(
        "check that the user of this process owns {}",
        directory(path).display()
    );
    if error.kind() == io::ErrorKind::PermissionDenied {
        return StoreError::Unfit {
            message: format!("{what}: {error}"),
            hint: advice,
        };
    }
    StoreError::Unavailable {
        message: format!("{what}: {error} ({advice})"),
    }
}

/// Creates the file (0600) before any content is written, tightens one that other users can read,
/// and refuses a place where other users can replace the file or other hosts can open it (faults
/// B03, B04). A folder that is missing is more likely mistyped than meant.
pub(super) fn prepare(path: &Path) -> Result<(), StoreError> {
    let dir = directory(path);
    let failed = |what: &str, error: io::Error| unreachable_file(what, &error, path);
    if fs::metadata(dir).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
        return Err(StoreError::Unfit {
            message: format!("the folder of the store is not there: {}", dir.display()),
            hint: format!(
                "correct `url` of [store], or make it: mkdir -m 700 -p {}",
                dir.display()
            ),
        });
    }
    check_host(dir)?;
    let mode = fs::metadata(dir)
        .map_err(|e| failed(&format!("reading {}", dir.display()), e))?
        .permissions()
        .mode();
    if mode & 0o002 != 0 && mode & 0o1000 == 0 {
        return Err(StoreError::Unfit {
            message: format!(
                "any user may replace files in {} (mode {:04o})",
                dir.display(),
                mode & 0o7777
            ),
            hint: format!("chmod 0700 {}", dir.display()),
        });
    }
    match fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => tighten(path),
        Err(e) => Err(failed(&format!("creating {}", path.display()), e)),
    }
}

/// SQLite gives `-wal` and `-shm` the mode of the database, so only files that another program made
/// need this.
fn tighten(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm"] {
        let file = beside(path, suffix);
        let Ok(meta) = fs::metadata(&file) else {
            continue;
        };
        let mode = meta.permissions().mode() & 0o7777;
        if !meta.is_file() || mode & 0o077 == 0 {
            continue;
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).map_err(|e| {
            StoreError::Unfit {
                message: format!(
                    "other users may read {} (mode {mode:04o}), and it cannot be changed: {e}",
                    file.display()
                ),
                hint: format!("as its owner: chmod 0600 {}", file.display()),
            }
        })?;
        tracing::warn!(file = %file.display(), mode = format!("{mode:04o}"), "the store was open to other users; it is 0600 now");
    }
    Ok(())
}

/// The file next to the database, such as `state.db-wal`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// WAL needs memory shared by all processes that open the database (<https://sqlite.org/wal.html>,
/// "does not work over a network filesystem").
#[cfg(target_os = "linux")]
fn check_host(dir: &Path) -> Result<(), StoreError> {
    let stat = rustix::fs::statfs(dir).map_err(|e| StoreError::Unavailable {
        message: format!("asking for the file system of {}: {e}", dir.display()),
    })?;
    // The type's width and sign differ between architectures; the magics have 32 bits.
    match network((stat.f_type as u64 & 0xffff_ffff) as u32) {
        None => Ok(()),
        Some(name) => Err(StoreError::Unfit {
            message: format!(
                "{} is on {name}, where SQLite loses data when two hosts write",
                dir.display()
            ),
            hint: "put the store on a local disk".to_owned(),
        }),
    }
}

#[cfg(not(target_os = "linux"))]
fn check_host(_dir: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// File systems that several hosts share, by the magic of `statfs(2)`.
fn network(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517b | 0xfe53_4d42 | 0xff53_4d42 => "SMB",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x00c3_6400 => "Ceph",
        0x0bd0_0bd0 => "Lustre",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x7375_7245 => "Coda",
        _ => return None,
    })
}

/// Makes an empty file that only we can read.
pub(super) fn make_private(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_url_names_a_path_or_memory() {
        assert_eq!(Place::parse("sqlite::memory:").unwrap(), Place::Memory);
        for url in ["sqlite:/var/lib/p/s.db", "sqlite:///var/lib/p/s.db"] {
            assert_eq!(
                Place::parse(url).unwrap(),
                Place::File("/var/lib/p/s.db".into()),
                "{url}"
            );
        }
        for url in ["", "sqlite:", "postgres://db/p", "sqlite:/x?mode=ro"] {
            assert!(
                matches!(Place::parse(url), Err(StoreError::Unfit { .. })),
                "{url}"
            );
        }
    }

    #[test]
    fn shared_file_systems_are_known_and_local_ones_pass() {
        assert_eq!(network(0x6969), Some("NFS"));
        assert_eq!(network(0xfe53_4d42), Some("SMB"));
        for local in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630] {
            assert_eq!(network(local), None, "{local:x}");
        }
    }
}
