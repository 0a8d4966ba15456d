//! Certificates on this machine: keys made here, what a CA delivers checked against what was
//! ordered, the files that servers read, and the program that tells servers of a change.

pub mod bundle;
pub mod check;
pub mod deploy;
pub mod facts;
pub mod folder;
pub mod key;

pub use check::{Checked, Expected, Wrong, check};
pub use deploy::Deployment;
pub use facts::Facts;
pub use folder::{Access, Folder, KeyPlace, Trouble};
pub use key::{KeyKind, PrivateKey};

use sha2::{Digest, Sha256};

/// SHA-256 of a public key in its X.509 form, in hexadecimal: by this a certificate and its key
/// are recognised.
pub fn fingerprint(public_key_info: &[u8]) -> String {
    hex(&Sha256::digest(public_key_info))
}

/// Lower-case hexadecimal digits.
fn hex(octets: &[u8]) -> String {
    use std::fmt::Write as _;
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
