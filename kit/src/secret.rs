//! Where a secret comes from, and reading it. A secret is never in the configuration itself, and
//! never in an error.

mod command;
mod text;

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::trust;

/// No key, token or password of any provider comes near it; a wrong path (a log, an image) does.
const MAX_BYTES: u64 = 64 * 1024;
/// A password manager that asks a person who is not there must not hold up the nightly run.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer runs of key-like characters than a path component or a name has: a 64-character API key,
/// a JWT, a TSIG secret.
const LONGEST_NAME: usize = 32;

/// Where a secret comes from; holds no secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// `{ file = "/etc/prevalidate/api.key" }`: a regular file that only its owner can read.
    File(PathBuf),
    /// `{ env = "NAME" }`
    Env(String),
    /// `{ command = ["pass", "show", "api"] }`: its standard output; no shell, 10 s, 64 KiB, an
    /// environment of `PATH` and `HOME` only.
    Command(Vec<String>),
    /// `{ credential = "name" }`: a file in systemd's `$CREDENTIALS_DIRECTORY` (systemd.exec(5),
    /// `LoadCredential=`).
    Credential(String),
}

/// Why a secret could not be read: the source and the cause, never the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret from {origin} {cause}")]
pub struct SecretError {
    origin: String,
    cause: String,
    hint: Option<String>,
}

impl SecretError {
    /// The hint: how a person can solve it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// A cause and a hint, before the source is known.
type Cause = (String, Option<String>);

impl SecretSource {
    /// Reads `{ file | env | command | credential = … }`. The error says what is wrong and never
    /// repeats a value: what is where a source was expected may well be the secret.
    pub fn read_json(value: &Value) -> Result<Self, String> {
        const FORMS: &str = "give { file = \"…\" }, { env = \"…\" }, { command = [\"…\"] } or { credential = \"…\" } instead";
        let Value::Object(table) = value else {
            return Err(format!(
                "a secret is never in the configuration itself; {FORMS}"
            ));
        };
        let mut entries = table.iter();
        let (Some((kind, value)), None) = (entries.next(), entries.next()) else {
            return Err(format!("needs exactly one source; {FORMS}"));
        };
        let text = |what: &str| match value.as_str() {
            None | Some("") => Err(format!(
                "`{kind}` must be {what}, as a string that is not empty"
            )),
            Some(text) if looks_like_a_secret(text) => Err(format!(
                "`{kind}` must be {what}; the value seems to be the secret itself"
            )),
            Some(text) => Ok(text.to_owned()),
        };
        match kind.as_str() {
            "file" => Ok(Self::File(text("the path of a file")?.into())),
            "env" => match text("the name of an environment variable")? {
                name if is_variable_name(&name) => Ok(Self::Env(name)),
                _ => Err(
                    "`env` must be the name of an environment variable: letters, digits and `_`"
                        .to_owned(),
                ),
            },
            "credential" => match text("the name of a systemd credential")? {
                name if !name.contains('/') && !name.starts_with('.') => Ok(Self::Credential(name)),
                _ => Err("`credential` must be a name, not a path".to_owned()),
            },
            "command" => {
                match value.as_array().map(|args| args.iter().map(Value::as_str).collect::<Option<Vec<_>>>()) {
                    Some(Some(args)) if args.first().is_some_and(|program| !program.is_empty()) => {
                        Ok(Self::Command(args.into_iter().map(str::to_owned).collect()))
                    }
                    _ => Err("`command` must be a list of strings: the program, then its arguments; no shell reads it"
                        .to_owned()),
                }
            }
            _ => Err(format!("names no known source; {FORMS}")),
        }
    }

    /// Reads a secret of one line now: a password, a passphrase. Blocks up to 10 s for a command.
    ///
    /// A byte order mark in front and line ends behind are removed. A second line, blanks at either
    /// end, quotes around it and `PASSWORD=` before it are refused: with them, the server would
    /// refuse the secret, and the fault in the file would be hard to find.
    ///
    /// # Errors
    /// The source and what is wrong, never the content.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        self.accepted(text::password)
    }

    /// Reads a key or token now: visible ASCII characters. As [`read`](Self::read), and blanks
    /// around it are removed, since no token has any.
    ///
    /// # Errors
    /// The source and what is wrong, never the content.
    pub fn read_token(&self) -> Result<SecretString, SecretError> {
        self.accepted(text::token)
    }

    /// Reads a text of several lines that holds a secret, like a key file: only a byte order mark
    /// in front and one line end behind are removed.
    ///
    /// # Errors
    /// The source and what is wrong, never the content.
    pub fn read_text(&self) -> Result<SecretString, SecretError> {
        self.accepted(text::lines)
    }

    fn accepted(
        &self,
        accept: impl FnOnce(Zeroizing<Vec<u8>>) -> Result<SecretString, Cause>,
    ) -> Result<SecretString, SecretError> {
        self.bytes()
            .and_then(accept)
            .map_err(|(cause, hint)| SecretError {
                origin: self.to_string(),
                cause,
                hint,
            })
    }

    fn bytes(&self) -> Result<Zeroizing<Vec<u8>>, Cause> {
        match self {
            Self::File(path) => read_file(path, false),
            Self::Env(name) => std::env::var(name)
                .map(|text| Zeroizing::new(text.into_bytes()))
                .map_err(|_| (String::from("is not set, or not UTF-8"), None)),
            Self::Command(args) => command::run(args, COMMAND_TIMEOUT),
            Self::Credential(name) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
                // systemd makes the directory unreadable for other users and the files 0440
                // (systemd.exec(5)).
                Some(directory) => read_file(&Path::new(&directory).join(name), true),
                None => Err((
                    "cannot be found: $CREDENTIALS_DIRECTORY is not set".to_owned(),
                    Some(
                        "systemd sets it for a unit with LoadCredential=; in a container, set it to the folder of the mounted secret"
                            .to_owned(),
                    ),
                )),
            },
        }
    }
}

impl fmt::Display for SecretSource {
    /// For errors and `config show`. A command is shown without its arguments: a person may have
    /// put a secret there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Command(args) => write!(f, "command {}", args.first().map_or("", String::as_str)),
            Self::Credential(name) => write!(f, "credential {name}"),
        }
    }
}

/// Whether a secret may be in an HTTP header. Checked before it gets there, because HTTP libraries
/// print what they refuse.
pub fn is_header_safe(secret: &SecretString) -> bool {
    secret
        .expose_secret()
        .bytes()
        .all(|byte| byte.is_ascii_graphic())
}

/// Whether a text is more likely a secret than a name, a path or a word: then it is neither
/// accepted nor shown.
pub fn looks_like_a_secret(text: &str) -> bool {
    // A `/` is a letter of base64, unless the text is clearly a path.
    let is_path = text.starts_with(['/', '.', '~']);
    text.split(|c: char| {
        !(c.is_ascii_alphanumeric() || c == '+' || c == '=' || (c == '/' && !is_path))
    })
    .any(|run| run.len() > LONGEST_NAME && !run.starts_with("xn--"))
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn read_file(path: &Path, is_credential: bool) -> Result<Zeroizing<Vec<u8>>, Cause> {
    let cannot = |error: io::Error| (format!("cannot be read: {error}"), None);
    // Before opening: opening a FIFO would wait for a writer. Symbolic links are followed: secret
    // managers use them.
    is_regular(&std::fs::metadata(path).map_err(cannot)?)?;
    let file = File::open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    is_regular(&metadata)?;
    let refused = |(what, hint): Cause| (format!("is not used: {what}"), hint);
    check_mode(path, &metadata, is_credential).map_err(refused)?;
    trust::check_owner(&metadata)
        .and_then(|()| trust::check_folders(path))
        .and_then(|()| trust::check_group(path))
        .map_err(|what| {
            let hint = "keep it in a folder that only root and the service may change";
            refused((what, Some(hint.to_owned())))
        })?;
    bounded(file).map_err(cannot)?.ok_or_else(too_long)
}

/// Refuses a file that other users can read or change.
///
/// The group of a file of root may read it where the service is not root: its owner has decided
/// so, and the service could not change the mode. That is how Kubernetes makes the files of a
/// secret for a pod with `fsGroup` (0440, whatever is asked for), and systemd those of credentials.
fn check_mode(path: &Path, metadata: &Metadata, is_credential: bool) -> Result<(), Cause> {
    let mode = metadata.mode() & 0o7777;
    let is_roots = metadata.uid() == 0 && !rustix::process::geteuid().is_root();
    let forbidden = if is_credential || is_roots {
        0o037
    } else {
        0o077
    };
    if mode & forbidden == 0 {
        return Ok(());
    }
    // What to do is in the cause: not every caller has a place for a hint.
    let cause = format!(
        "its mode is {mode:04o}, so other users can read or change it; chmod 600 {}",
        path.display()
    );
    let hint = if mode & 0o037 == 0 {
        "where the mode cannot be changed (Kubernetes with fsGroup), set CREDENTIALS_DIRECTORY to \
         the folder of the files and write { credential = \"NAME\" } for { file = \"…\" }"
    } else {
        "replace the secret, too, if it was open"
    };
    Err((cause, Some(hint.to_owned())))
}

fn is_regular(metadata: &Metadata) -> Result<(), Cause> {
    if metadata.is_file() {
        Ok(())
    } else {
        Err(("cannot be read: it is not a regular file".to_owned(), None))
    }
}

fn too_long() -> Cause {
    (format!("is longer than {MAX_BYTES} bytes"), None)
}

/// All of `source`, or `None` when it is longer than [`MAX_BYTES`].
fn bounded(source: impl Read) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    // Room for all of it at once: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize + 2));
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_BYTES).then_some(bytes))
}

#[cfg(test)]
mod tests;
