//! The lock of a folder: one process at a time works in it, whatever store it has. Two stores that
//! share a directory would each order, because neither knows what the other one has begun.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{Folder, Trouble};

/// The file that is locked. It names the process that has it, or had it last.
const LOCK: &str = ".lock";

/// This much is read of what the process with the lock wrote there.
const SHOWN: u64 = 500;

/// The folder is this process's until it is dropped.
#[derive(Debug)]
pub struct Held {
    file: File,
}

impl Drop for Held {
    /// A child that was forked for another program has the same open file until it runs that program: to
    /// close it here would not be enough.
    fn drop(&mut self) {
        // A file system without locks has none to give back.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

impl Folder {
    /// Has the folder for itself, under this name. The inner error is the name of the process that
    /// has it.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn lock(&self, holder: &str) -> Result<Result<Held, String>, Trouble> {
        let path = self.path.join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Trouble::io("open", &path, &error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(error) if error == Errno::WOULDBLOCK || error == Errno::AGAIN => {
                let mut text = String::new();
                let read = file.take(SHOWN).read_to_string(&mut text);
                let text = text.trim();
                return Ok(Err(match read.is_ok() && !text.is_empty() {
                    true => text.escape_debug().to_string(),
                    false => "it has not said its name".to_owned(),
                }));
            }
            Err(error) if has_no_locks(error) => {
                // What is in the folder still tells of other orders.
                tracing::warn!(path = %path.display(), "this file system has no locks");
            }
            Err(error) => return Err(Trouble::io("lock", &path, &io::Error::from(error))),
        }
        // On a full disk the name is not told; the lock counts all the same.
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{holder} on {host}"));
        Ok(Ok(Held { file }))
    }
}

fn has_no_locks(error: Errno) -> bool {
    [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP].contains(&error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::certificates::Access;

    #[test]
    fn a_folder_has_one_holder_at_a_time_whose_name_is_told() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::at(root.path(), "www", Access::default());
        folder.lock("too early").unwrap_err();
        folder.prepare().unwrap();
        let held = folder.lock("run-1/4711").unwrap().unwrap();
        let who = folder.lock("run-2/4712").unwrap().unwrap_err();
        assert!(who.starts_with("run-1/4711 on "), "{who}");
        drop(held);
        let held = folder.lock("run-2/4712").unwrap().unwrap();
        let who = folder.lock("run-1/4711").unwrap().unwrap_err();
        assert!(who.starts_with("run-2/4712 on "), "{who}");
        drop(held);
    }

    #[test]
    fn a_folder_is_free_although_a_child_has_the_open_file_for_a_moment() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::at(root.path(), "www", Access::default());
        folder.prepare().unwrap();
        let held = folder.lock("run-1/4711").unwrap().unwrap();
        let of_child = held.file.try_clone().unwrap();
        drop(held);
        folder.lock("run-2/4712").unwrap().unwrap();
        drop(of_child);
    }
}
