//! Whose the files are, and who may read them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use prevalidate_kit::trust;

use super::{Folder, Trouble, mode_of};

/// Owner, group and mode of the files of a certificate, as the configuration has them. They are
/// given to every version anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The number of the user; `None`: the user that the program runs as.
    pub owner: Option<u32>,
    /// The number of the group; `None`: that of the user.
    pub group: Option<u32>,
    /// The mode of the key, such as 0640. Certificates may be read by all who come into the folder.
    pub mode: u32,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            owner: None,
            group: None,
            mode: 0o600,
        }
    }
}

impl Access {
    /// The mode of the folders: those who may read the key may come in.
    pub(super) fn folder_mode(self) -> u32 {
        0o700 | (self.mode & 0o044) | ((self.mode & 0o044) >> 2)
    }

    /// Gives a file or folder its owner, its group and its mode. The owner comes first, and the
    /// mode last: it opens nothing to the group of before.
    pub(super) fn apply(self, path: &Path, mode: u32) -> Result<(), Trouble> {
        let metadata = fs::metadata(path).map_err(|error| Trouble::io("read", path, &error))?;
        let owner = self.owner.filter(|&owner| owner != metadata.uid());
        let group = self.group.filter(|&group| group != metadata.gid());
        if owner.is_some() || group.is_some() {
            std::os::unix::fs::chown(path, owner, group)
                .map_err(|error| Trouble::io("change the owner of", path, &error))?;
        }
        if mode_of(&metadata) != mode {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
                .map_err(|error| Trouble::io("change the mode of", path, &error))?;
        }
        Ok(())
    }
}

/// The files of a version, and what their mode is by that of the key.
pub(super) const MODES: [(&str, u32); 5] = [
    (super::KEY, 0),
    (super::BUNDLE, 0),
    (super::CERTIFICATE, 0o444),
    (super::CHAIN, 0o444),
    (super::FULL_CHAIN, 0o444),
];

impl Access {
    /// Why a file or folder is not as it should be; `None`: it is, or nobody can tell.
    fn differs(self, path: &Path, mode: u32) -> Option<String> {
        let metadata = fs::metadata(path).ok()?;
        let (shown, own) = (path.display(), mode_of(&metadata));
        if own != mode {
            return Some(match own & !mode & 0o077 {
                0 => format!("{shown} has the mode {own:04o} in the place of {mode:04o}"),
                _ => format!("other users can use {shown} (mode {own:04o}, not {mode:04o})"),
            });
        }
        let is_other = |wanted: Option<u32>, own: u32| wanted.is_some_and(|wanted| wanted != own);
        if is_other(self.owner, metadata.uid()) {
            let owner = metadata.uid();
            return Some(format!("{shown} belongs to the user {owner}"));
        }
        is_other(self.group, metadata.gid()).then(|| {
            let group = metadata.gid();
            format!("{shown} belongs to the group {group}")
        })
    }
}

impl Folder {
    /// Why owner, group or mode of a version's files are not those of the settings; `None`: they are,
    /// or nobody can tell from here.
    pub fn loose(&self, version: u32) -> Option<String> {
        let folder = self.version(version);
        let files = MODES.iter();
        let found = files.filter_map(|(name, more)| {
            let mode = self.access.mode | more;
            self.access.differs(&folder.join(name), mode)
        });
        let own = self.access.differs(&folder, self.access.folder_mode());
        found.chain(own).next()
    }

    /// Gives the files of a version owner, group and mode of the settings.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn restore(&self, version: u32) -> Result<(), Trouble> {
        let folder = self.version(version);
        for (name, more) in MODES {
            let path = folder.join(name);
            if path.exists() {
                self.access.apply(&path, self.access.mode | more)?;
            }
        }
        self.access.apply(&folder, self.access.folder_mode())
    }
}

/// Whether this user may make something in a folder, or in the next one above it that is there.
pub(super) fn may_make_in(folder: &Path) -> Result<(), Trouble> {
    let mut there = folder.ancestors();
    let Some(there) = there.find(|one| fs::symlink_metadata(one).is_ok()) else {
        return Ok(());
    };
    let shown = there.display();
    if !there.is_dir() {
        return Err(Trouble::lasting(format!("{shown} is no folder")));
    }
    let wanted = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(there, wanted)
        .map_err(|error| Trouble::io("write in", there, &std::io::Error::from(error)))?;
    if let Some(kind) = kept_by_the_kernel(there) {
        return Err(Trouble::lasting(format!(
            "cannot write in {shown}: it lies in {kind}, which keeps no files of programs"
        )));
    }
    if let Some(why) = lacks_room(there) {
        return Err(Trouble {
            message: format!("cannot write in {shown}: {why}"),
            may_pass: true,
        });
    }
    trust::check_folders(&there.join("key"))
        .map_err(|why| Trouble::lasting(format!("{shown}: {why}")))
}

/// Files of a version: key, certificate, chain, both, the bundle, the note, and their folders.
const FILES: u64 = 8;

/// Why a version finds no room on the file system of a folder.
fn lacks_room(folder: &Path) -> Option<String> {
    let found = rustix::fs::statvfs(folder).ok()?;
    // Some blocks are kept for the administrator.
    let free = match rustix::process::geteuid().is_root() {
        true => found.f_bfree,
        false => found.f_bavail,
    };
    if found.f_blocks > 0 && free < FILES {
        let left = free.saturating_mul(found.f_frsize);
        return Some(format!(
            "no space is left on its file system ({left} bytes)"
        ));
    }
    // Some file systems count no files.
    (found.f_files > 0 && found.f_favail < FILES)
        .then(|| format!("its file system has room for {} more files", found.f_favail))
}

/// File systems that the kernel makes up (`statfs(2)`, `linux/magic.h`). Their modes let the
/// administrator write, and no file can be made in them.
const OF_THE_KERNEL: [(i128, &str); 14] = [
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x6367_7270, "cgroup2"),
    (0x0027_e0eb, "cgroup"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0x6265_6570, "configfs"),
    (0x6165_676c, "pstore"),
    (0xde5e_81e4, "efivarfs"),
    (0xf97c_ff8c, "selinuxfs"),
    (0x1cd1, "devpts"),
    (0xcafe_4a11, "bpf"),
    (0x6573_5543, "fusectl"),
];

/// The file system of a folder, where nobody can keep files in it.
fn kept_by_the_kernel(folder: &Path) -> Option<&'static str> {
    let found = rustix::fs::statfs(folder).ok()?;
    let kind = i128::from(found.f_type) & 0xffff_ffff;
    let mut all = OF_THE_KERNEL.into_iter();
    all.find(|(magic, _)| *magic == kind).map(|(_, name)| name)
}

/// Refuses a folder in which another user could put a key of their own.
pub(super) fn refuse_open(folder: &Path) -> Result<(), Trouble> {
    let metadata = fs::metadata(folder).map_err(|error| Trouble::io("read", folder, &error))?;
    let mode = mode_of(&metadata);
    let shown = folder.display();
    if mode & 0o022 != 0 {
        return Err(Trouble::lasting(format!(
            "other users may write in {shown} (mode {mode:04o}); `chmod go-w` it"
        )));
    }
    trust::check_folders(&folder.join("key"))
        .map_err(|why| Trouble::lasting(format!("{shown}: {why}")))
}
