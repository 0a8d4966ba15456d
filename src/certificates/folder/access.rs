//! The owner of the files, and the users that may read them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use prevalidate_kit::trust;

use super::{Folder, Trouble, mode_of};

/// Owner, group and mode of the files of a certificate, as the configuration has them. They are
/// given to every version again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The number of the user; `None`: the user that the program runs as.
    pub owner: Option<u32>,
    /// The number of the group; `None`: that of the user.
    pub group: Option<u32>,
    /// The mode of the key, such as 0640. All users that can enter the folder may read
    /// certificates.
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

    /// Gives a file or folder its owner, its group and its mode. The owner is set first and the
    /// mode last, so that the mode does not open the file to the former group.
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

/// The owners that the files of a certificate may have.
struct Owners {
    /// The users that may each be the owner.
    users: Vec<u32>,
    /// The groups, where the group may read the key.
    groups: Vec<u32>,
}

impl Owners {
    fn have(&self, metadata: &fs::Metadata) -> Result<(), String> {
        let (user, group) = (metadata.uid(), metadata.gid());
        if !self.users.contains(&user) {
            return Err(format!("belongs to the user {user}"));
        }
        match self.groups.is_empty() || self.groups.contains(&group) {
            true => Ok(()),
            false => Err(format!("belongs to the group {group}")),
        }
    }
}

impl Folder {
    /// The owners that the files of the version that counts may have. Without a setting it is the
    /// user that the program runs as: the owner of the directory of all certificates, or this user.
    fn owners(&self) -> Owners {
        let users = match self.access.owner {
            Some(owner) => vec![owner],
            None => self.workers(),
        };
        let groups = match self.access.group {
            Some(group) => vec![group],
            None if self.access.mode & 0o070 != 0 => {
                let of_folder = fs::metadata(&self.path).ok().map(|one| one.gid());
                let own = rustix::process::getegid().as_raw();
                of_folder.into_iter().chain([own]).collect()
            }
            None => Vec::new(),
        };
        Owners { users, groups }
    }

    /// Why owner, group or mode of files are not those of the settings: of the version that counts,
    /// and of every other key, which may be the same one. `None`: they are, or it is not known from
    /// here.
    pub fn loose(&self, version: u32) -> Option<String> {
        let (folder, owners) = (self.version(version), self.owners());
        let files = MODES.iter();
        let found = files.filter_map(|(name, more)| {
            let mode = self.access.mode | more;
            differs(&folder.join(name), mode, &owners)
        });
        let own = differs(&folder, self.access.folder_mode(), &owners);
        let others = self.other_keys(version).into_iter();
        let others = others.filter_map(|path| self.exposed(&path, &owners));
        let whole = self.open_to_writers().or_else(|| self.of_a_stranger());
        whole
            .into_iter()
            .chain(found)
            .chain(own)
            .chain(others)
            .next()
            .or_else(|| self.closed_above())
    }

    /// Why other users may put files into the folder of all versions.
    fn open_to_writers(&self) -> Option<String> {
        let mode = mode_of(&fs::metadata(&self.path).ok()?);
        let wanted = self.access.folder_mode();
        (mode & 0o022 != 0).then(|| open_to_others(&self.path, mode, wanted))
    }

    /// The owner of the folder of all versions, where that is not root, a user that the program
    /// runs as, or the one of the setting.
    fn of_a_stranger(&self) -> Option<String> {
        let uid = fs::metadata(&self.path).ok()?.uid();
        let known = self.workers().into_iter().chain(self.access.owner);
        let mut known = known.chain([0]);
        let shown = self.path.display();
        (!known.any(|one| one == uid)).then(|| format!("{shown} belongs to the user {uid}"))
    }

    /// Keys, and bundles with a key, of all versions.
    pub(in crate::certificates) fn key_files(&self) -> Vec<PathBuf> {
        // No version has this number.
        self.other_keys(0)
    }

    /// Keys, and bundles with a key, of all versions but this one.
    fn other_keys(&self, version: u32) -> Vec<PathBuf> {
        let all = self.versions().unwrap_or_default().into_iter();
        all.filter(|&one| one != version)
            .flat_map(|one| [super::KEY, super::BUNDLE].map(|name| self.version(one).join(name)))
            .filter(|path| fs::symlink_metadata(path).is_ok())
            .collect()
    }

    /// Whether more users may read a key that does not count than the settings say. One of an order
    /// that is under way has not got its owner yet.
    fn exposed(&self, path: &Path, owners: &Owners) -> Option<String> {
        let metadata = fs::metadata(path).ok()?;
        let (shown, mode) = (path.display(), mode_of(&metadata));
        let wanted = self.access.mode;
        if mode & !wanted & 0o077 != 0 {
            return Some(open_to_others(path, mode, wanted));
        }
        let is_begun = self.workers().contains(&metadata.uid()) && mode & 0o077 == 0;
        match owners.have(&metadata) {
            Err(why) if !is_begun => Some(format!("{shown} {why}")),
            _ => None,
        }
    }

    /// The users that the program may run as: the owner of the directory of all certificates, and this
    /// one.
    fn workers(&self) -> Vec<u32> {
        let of_directory = self.path.parent().map(fs::metadata);
        let of_directory = of_directory.and_then(Result::ok).map(|one| one.uid());
        let own = rustix::process::geteuid().as_raw();
        of_directory.into_iter().chain([own]).collect()
    }

    /// Gives the files of a version, and all other keys, owner, group and mode of the settings. A
    /// link is not followed: what it leads to is no file of this folder.
    ///
    /// # Errors
    /// When the system refuses it, or a file is a link.
    pub fn restore(&self, version: u32) -> Result<(), Trouble> {
        let mut wrong = self.settle(version).err();
        let owners = self.owners();
        for path in self.other_keys(version) {
            if self.exposed(&path, &owners).is_some() {
                let own = fs::metadata(&path).map_or(0, |one| mode_of(&one));
                let mode = self.access.mode & (own | 0o700);
                wrong = wrong.or(self.give(&path, mode, &owners).err());
            }
        }
        wrong.map_or(Ok(()), Err)
    }

    /// Gives the files of a version owner, group and mode of the settings.
    pub(super) fn settle(&self, version: u32) -> Result<(), Trouble> {
        let (folder, owners) = (self.version(version), self.owners());
        let mut wrong = None;
        for (name, more) in MODES {
            let path = folder.join(name);
            if fs::symlink_metadata(&path).is_ok() {
                let given = self.give(&path, self.access.mode | more, &owners);
                wrong = wrong.or(given.err());
            }
        }
        let given = self.give(&folder, self.access.folder_mode(), &owners);
        wrong = wrong.or(given.err());
        if self.open_to_writers().is_some() || self.of_a_stranger().is_some() {
            let given = self.give(&self.path, self.access.folder_mode(), &owners);
            wrong = wrong.or(given.err());
        }
        wrong.map_or(Ok(()), Err)
    }

    /// Refuses the folder of all versions if another user owns it, because that user can change its
    /// content.
    ///
    /// # Errors
    /// Its owner.
    pub(super) fn refuse_a_stranger(&self) -> Result<(), Trouble> {
        match self.of_a_stranger() {
            None => Ok(()),
            Some(why) => Err(Trouble::lasting(format!(
                "{why}, who can change what is in it; give it to the user of this program"
            ))),
        }
    }

    /// Gives a file that is only written yet what the key of a version has.
    pub(super) fn settle_file(&self, path: &Path) -> Result<(), Trouble> {
        self.give(path, self.access.mode, &self.owners())
    }

    /// Gives a file or folder of a version its owner, its group and its mode.
    fn give(&self, path: &Path, mode: u32, owners: &Owners) -> Result<(), Trouble> {
        if differs(path, mode, owners).is_none() {
            return Ok(());
        }
        let metadata =
            fs::symlink_metadata(path).map_err(|error| Trouble::io("read", path, &error))?;
        if metadata.is_symlink() {
            return Err(linked(path));
        }
        let own = |allowed: &[u32], own: u32, is: u32| {
            (!allowed.is_empty() && !allowed.contains(&is)).then_some(own)
        };
        let user = rustix::process::geteuid().as_raw();
        let group = rustix::process::getegid().as_raw();
        let access = Access {
            owner: self
                .access
                .owner
                .or(own(&owners.users, user, metadata.uid())),
            group: self
                .access
                .group
                .or(own(&owners.groups, group, metadata.gid())),
            ..self.access
        };
        access.apply(path, mode)
    }
}

/// The difference of a file or folder from the settings. `None`: there is none, or it is not known.
fn differs(path: &Path, mode: u32, owners: &Owners) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    let (shown, own) = (path.display(), mode_of(&metadata));
    if own != mode {
        return Some(match own & !mode & 0o077 {
            0 => format!("{shown} has the mode {own:04o} in the place of {mode:04o}"),
            _ => open_to_others(path, own, mode),
        });
    }
    let other = owners.have(&metadata).err()?;
    Some(format!("{shown} {other}"))
}

fn open_to_others(path: &Path, own: u32, mode: u32) -> String {
    let shown = path.display();
    format!("other users can use {shown} (mode {own:04o}, not {mode:04o})")
}

/// A link in the place of a file is not followed: a person has put it there.
fn linked(path: &Path) -> Trouble {
    let shown = path.display();
    Trouble::lasting(format!(
        "{shown} is a link, and what it leads to is not changed: put the file itself there, or give that one its owner and mode"
    ))
}

/// Whether this user may make something in a folder, or in the next one above it that is there.
pub(super) fn may_make_in(folder: &Path) -> Result<(), Trouble> {
    let mut there = folder.ancestors();
    let Some(there) = there.find(|one| fs::symlink_metadata(one).is_ok()) else {
        return Ok(());
    };
    let shown = there.display();
    if !there.is_dir() {
        return Err(Trouble::lasting(format!("{shown} is not a folder")));
    }
    let wanted = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(there, wanted)
        .map_err(|error| Trouble::io("write in", there, &std::io::Error::from(error)))?;
    if let Some(kind) = kept_by_the_kernel(there) {
        return Err(Trouble::lasting(format!(
            "cannot write in {shown}: it is in {kind}, which keeps no files of programs"
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

/// The file system of a folder in which no files can be kept.
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
