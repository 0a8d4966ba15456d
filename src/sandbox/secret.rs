//! Files that only their owner reads, and errors that name what they are about.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub(super) fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let write = || {
        // An old file may be readable by other users, and its mode would stay.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?
            .write_all(text.as_bytes())
    };
    write().map_err(|error| about(error, "write the secret", path.display()))
}

pub(super) fn about(error: io::Error, what: &str, subject: impl std::fmt::Display) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what} {subject}: {error}"))
}
