//! The folders above that of a certificate: whether those who may read its key come to it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Folder, mode_of};

/// Access control lists of POSIX: with one, the mode alone does not tell which users may enter.
const LIST: &str = "system.posix_acl_access";

impl Folder {
    /// Why the group or the owner of the settings cannot come to the files of the certificate: a folder
    /// above them does not let them in. It may be a person's, so its mode is never changed. `None`: they
    /// can, or this cannot be known.
    pub(super) fn closed_above(&self) -> Option<String> {
        let group = self.access.group.filter(|_| self.access.mode & 0o040 != 0);
        let owner = self.access.owner.filter(|owner| *owner != 0);
        // A group is told first: that of an owner who comes in by a group is not known.
        let shut = |folder: &Path| {
            let metadata = fs::metadata(folder).ok()?;
            let mode = mode_of(&metadata);
            // The other members of the folder's group are not known either.
            let others = mode & 0o001 != 0 || (mode & 0o010 != 0 && metadata.gid() != 0);
            let is_shut = |is_its: bool, own: u32| match is_its {
                true => mode & own == 0,
                false => !others,
            };
            let of_group = |group: &u32| is_shut(metadata.gid() == *group, 0o010);
            let of_owner = |owner: &u32| is_shut(metadata.uid() == *owner, 0o100);
            let group = group.filter(of_group).map(|one| format!("group {one}"));
            let owner = || owner.filter(of_owner).map(|one| format!("user {one}"));
            let whom = group.or_else(owner).filter(|_| !has_list(folder))?;
            let shown = folder.display();
            Some(format!(
                "the {whom} cannot enter {shown} (mode {mode:04o}): `chmod o+x` it, or where \
                 systemd makes it set StateDirectoryMode=0711"
            ))
        };
        self.path.ancestors().skip(1).find_map(shut)
    }
}

fn has_list(folder: &Path) -> bool {
    rustix::fs::getxattr(folder, LIST, &mut [0_u8; 0][..]).is_ok_and(|length| length > 0)
}
