//! What is in the place of the link to the version that counts. A folder or a file there is a
//! person's: it is named, and never removed.

use std::fs;

use super::{CURRENT, Folder};

impl Folder {
    /// Why no version can be made to count: what is in the place of the link is not a link. `None`:
    /// one can.
    pub fn blocked(&self) -> Option<String> {
        let link = self.path.join(CURRENT);
        let kind = fs::symlink_metadata(&link).ok()?.file_type();
        let what = match (kind.is_symlink(), kind.is_dir()) {
            (true, _) => return None,
            (false, true) => "folder",
            (false, false) => "file",
        };
        let shown = link.display();
        Some(format!(
            "{shown} is a {what}, and is not a link to a version: move it away, and the next run continues"
        ))
    }
}
