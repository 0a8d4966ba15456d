//! Whether a file is our own: the users that may change it, and the folders that lead to it.
//!
//! A secret that a stranger put in place, or a program that any user may change, gives away what
//! the service may do. Owners may be root and the user that the service runs as.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Other users may write.
const OTHERS_WRITE: u32 = 0o002;
/// The group may write.
const GROUP_WRITES: u32 = 0o020;
/// Only the owner of an entry may rename or remove it.
const STICKY: u32 = 0o1000;

/// Refuses a file of another user than root and the one that asks.
///
/// # Errors
/// Its owner, and the hint.
pub fn check_owner(metadata: &Metadata) -> Result<(), String> {
    let (owner, ours) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == 0 || owner == ours {
        return Ok(());
    }
    Err(format!(
        "it belongs to user {owner}, who can change it; its owner must be root or user {ours}: chown it"
    ))
}

/// Refuses a path through a folder in which any user may replace what the path names. Links are
/// followed first.
///
/// # Errors
/// Names the folder.
pub fn check_folders(path: &Path) -> Result<(), String> {
    // One that cannot be followed is the reader's to complain about.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    for folder in real.ancestors().skip(1) {
        let Ok(metadata) = folder.metadata() else {
            continue;
        };
        let mode = metadata.mode();
        if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
            return Err(format!(
                "any user may write in the folder {} (mode {:04o}); chmod o-w it",
                folder.display(),
                mode & 0o7777
            ));
        }
    }
    Ok(())
}

/// Refuses a folder of secrets in which a group may replace them: the members of a group change,
/// and the key is forgotten then. The group of root is root.
///
/// # Errors
/// Names the folder.
pub fn check_group(path: &Path) -> Result<(), String> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let Some((folder, metadata)) = real
        .parent()
        .and_then(|folder| Some((folder, folder.metadata().ok()?)))
    else {
        return Ok(());
    };
    let mode = metadata.mode();
    if mode & GROUP_WRITES == 0 || mode & STICKY != 0 || metadata.gid() == 0 {
        return Ok(());
    }
    Err(format!(
        "the group {} may replace it in the folder {} (mode {:04o}); chmod g-w it",
        metadata.gid(),
        folder.display(),
        mode & 0o7777
    ))
}

/// Refuses a program that a user other than root and the one that asks may change. One that is not
/// there is left to the attempt to start it.
///
/// # Errors
/// The fault, with the path.
pub fn check_program(program: &Path) -> Result<(), String> {
    let Some(path) = found(program) else {
        return Ok(());
    };
    let Ok(metadata) = path.metadata() else {
        return Ok(());
    };
    let mode = metadata.mode() & 0o7777;
    let refused = |why: String| Err(format!("the program {}: {why}", path.display()));
    if mode & OTHERS_WRITE != 0 {
        return refused(format!(
            "any user may change it (mode {mode:04o}); chmod o-w it"
        ));
    }
    check_owner(&metadata)
        .and_then(|()| check_folders(&path))
        .or_else(refused)
}

/// Where a program is, as it is searched for when it is started.
fn found(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return Some(program.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir()
                .join(format!("prevalidate-trust-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn chmod(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.0.join(name);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_program_that_any_user_may_change_or_replace_is_refused() {
        let scratch = Scratch::new("program");
        std::fs::write(scratch.0.join("hook"), "#!/bin/sh\n").unwrap();
        for mode in [0o755, 0o700, 0o775] {
            check_program(&scratch.chmod("hook", mode)).unwrap();
        }
        let said = check_program(&scratch.chmod("hook", 0o777)).unwrap_err();
        assert!(
            said.contains("hook: any user may change it (mode 0777)"),
            "{said}"
        );
        let hook = scratch.chmod("hook", 0o755);
        scratch.chmod("", 0o777);
        let said = check_program(&hook).unwrap_err();
        assert!(said.contains("any user may write in the folder"), "{said}");
        // As in /tmp: no user may rename what belongs to another user.
        scratch.chmod("", 0o1777);
        check_program(&hook).unwrap();
        check_program(Path::new("sh")).unwrap();
        check_program(Path::new("/nonexistent/program")).unwrap();
    }

    #[test]
    fn a_file_of_another_user_is_refused_with_both_numbers() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let scratch = Scratch::new("owner");
        let path = scratch.0.join("key");
        std::fs::write(&path, "x").unwrap();
        check_owner(&path.metadata().unwrap()).unwrap();
        std::os::unix::fs::chown(&path, Some(4711), None).unwrap();
        let said = check_owner(&path.metadata().unwrap()).unwrap_err();
        assert!(
            said.contains("user 4711") && said.contains("user 0"),
            "{said}"
        );
    }
}
