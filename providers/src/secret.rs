//! Where a secret comes from, and reading it. A secret never stands in the configuration itself,
//! and never in an error.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// No key, token or password of any provider comes near it; a wrong path (a log, an image) does.
const MAX_BYTES: u64 = 64 * 1024;
/// A password manager that asks somebody who is not there must not hold up the nightly run.
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
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// A cause and a hint, before the source is known.
type Cause = (String, Option<String>);

impl SecretSource {
    /// Reads `{ file | env | command | credential = … }`. The error says what is wrong and never
    /// repeats a value: what stands where a source was expected may well be the secret.
    pub fn read_json(value: &Value) -> Result<Self, String> {
        const FORMS: &str = "give { file = \"…\" }, { env = \"…\" }, { command = [\"…\"] } or { credential = \"…\" } instead";
        let Value::Object(table) = value else {
            return Err(format!(
                "a secret never stands in the configuration itself; {FORMS}"
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
                "`{kind}` must be {what}; what stands there looks like the secret itself"
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

    /// Reads the secret now: blocks up to 10 s for a command.
    ///
    /// One byte order mark in front and one line end behind are taken away; nothing else is.
    pub fn read(&self) -> Result<SecretString, SecretError> {
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
            Self::File(path) => read_file(path, true),
            Self::Env(name) => std::env::var(name)
                .map(|text| Zeroizing::new(text.into_bytes()))
                .map_err(|_| (String::from("is not set, or not UTF-8"), None)),
            Self::Command(args) => run(args, COMMAND_TIMEOUT),
            Self::Credential(name) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
                // systemd makes the directory unreadable for others and the files 0440
                // (systemd.exec(5)).
                Some(directory) => read_file(&Path::new(&directory).join(name), false),
                None => Err((
                    "cannot be found: $CREDENTIALS_DIRECTORY is not set".to_owned(),
                    Some("systemd sets it for a unit with LoadCredential= or LoadCredentialEncrypted=".to_owned()),
                )),
            },
        }
    }
}

impl fmt::Display for SecretSource {
    /// For errors and `config show`. A command is shown without its arguments: somebody may have
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

/// Whether a secret may stand in an HTTP header. Checked before it gets there, because HTTP
/// libraries print what they refuse.
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

fn accept(bytes: Zeroizing<Vec<u8>>) -> Result<SecretString, Cause> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let bytes = bytes
        .strip_suffix(b"\n")
        .map_or(bytes, |rest| rest.strip_suffix(b"\r").unwrap_or(rest));
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(("is empty".to_owned(), None));
    }
    if bytes.contains(&0) {
        return Err((
            "holds a NUL byte".to_owned(),
            Some("is it a binary file, or UTF-16?".to_owned()),
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ("is not UTF-8 text".to_owned(), None))?;
    Ok(SecretString::from(text))
}

fn read_file(path: &Path, owner_only: bool) -> Result<Zeroizing<Vec<u8>>, Cause> {
    let cannot = |error: io::Error| (format!("cannot be read: {error}"), None);
    // Before opening: opening a FIFO would wait for a writer. Symbolic links are followed: secret
    // managers use them.
    is_regular(&std::fs::metadata(path).map_err(cannot)?)?;
    let file = File::open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    is_regular(&metadata)?;
    #[cfg(unix)]
    if owner_only {
        use std::os::unix::fs::MetadataExt;
        let mode = metadata.mode() & 0o7777;
        if mode & 0o077 != 0 {
            // What to do stands in the cause: not every caller has a place for a hint.
            return Err((
                format!(
                    "is not used: its mode is {mode:04o}, so others can read or change it; chmod 600 {}",
                    path.display()
                ),
                Some("replace the secret, too, if it stood open".to_owned()),
            ));
        }
    }
    bounded(file).map_err(cannot)?.ok_or_else(too_long)
}

fn is_regular(metadata: &std::fs::Metadata) -> Result<(), Cause> {
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

fn run(args: &[String], timeout: Duration) -> Result<Zeroizing<Vec<u8>>, Cause> {
    let Some((program, rest)) = args.split_first() else {
        return Err(("cannot be read: the command is empty".to_owned(), None));
    };
    let deadline = Instant::now() + timeout;
    let mut command = Command::new(program);
    command
        .args(rest)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .env_clear();
    // A group of its own, so that what it started ends with it.
    command.process_group(0);
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let mut child = command
        .spawn()
        .map_err(|error| (format!("cannot be read: it does not start: {error}"), None))?;
    let outcome = answer(&mut child, deadline);
    if outcome.is_err() {
        end_group(&child);
        // What left its group; already gone is as good as killed.
        let _ = child.kill();
        let _ = child.wait();
    }
    outcome
}

/// Kills the command and whatever it started: a grandchild that asks somebody who is not there
/// would stay for ever.
fn end_group(child: &std::process::Child) {
    // One that failed was reaped a moment ago: its number is nobody else's yet.
    if let Some(group) = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

/// The output and a good exit status, both before `deadline`. A grandchild that holds the pipe open
/// does not hold us.
fn answer(child: &mut std::process::Child, deadline: Instant) -> Result<Zeroizing<Vec<u8>>, Cause> {
    let late = || ("did not come in time".to_owned(), None);
    let Some(stdout) = child.stdout.take() else {
        return Err((
            "cannot be read: its output is not connected".to_owned(),
            None,
        ));
    };
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(bounded(stdout)));
    let left = deadline.saturating_duration_since(Instant::now());
    let output = receiver.recv_timeout(left).map_err(|_| late())?;
    let output = output
        .map_err(|error| (format!("cannot be read: {error}"), None))?
        .ok_or_else(too_long)?;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(output),
            Ok(Some(status)) => {
                let hint =
                    "run it by hand to see what it says; its standard error is not shown here";
                return Err((format!("was not given: {status}"), Some(hint.to_owned())));
            }
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            Ok(None) => return Err(late()),
            Err(error) => return Err((format!("cannot be read: {error}"), None)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    const CANARY: &str = "c4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4";

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir()
                .join(format!("prevalidate-secret-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, content: &[u8], mode: u32) -> SecretSource {
            let path = self.0.join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            SecretSource::File(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn command(args: &[&str]) -> SecretSource {
        SecretSource::Command(args.iter().map(|&arg| arg.to_owned()).collect())
    }

    fn read(source: &SecretSource) -> Result<String, String> {
        source
            .read()
            .map(|secret| secret.expose_secret().to_owned())
            .map_err(|error| {
                let text = format!("{error} {error:?} {:?}", error.hint());
                assert!(!text.contains(CANARY), "{text}");
                text
            })
    }

    #[test]
    fn exactly_one_line_end_and_a_byte_order_mark_are_taken_away() {
        let scratch = Scratch::new("trim");
        for (content, secret) in [
            (&b"key"[..], "key"),
            (b"key\n", "key"),
            (b"key\r\n", "key"),
            (b"\xef\xbb\xbfkey\n", "key"),
            (b"key\n\n", "key\n"),
            (b" key \n", " key "),
            (b"key\r", "key\r"),
        ] {
            assert_eq!(read(&scratch.file("key", content, 0o600)).unwrap(), secret);
        }
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused_without_its_content() {
        let scratch = Scratch::new("content");
        let big = CANARY.repeat(1100);
        for (content, cause) in [
            (Vec::new(), "is empty"),
            (b"\r\n".to_vec(), "is empty"),
            (format!("{CANARY}\0").into_bytes(), "NUL"),
            ([CANARY.as_bytes(), b"\xff"].concat(), "not UTF-8"),
            (big.into_bytes(), "longer than"),
        ] {
            let error = read(&scratch.file("key", &content, 0o600)).unwrap_err();
            assert!(error.contains(cause), "{error}");
        }
        let error = read(&SecretSource::File(scratch.0.clone())).unwrap_err();
        assert!(error.contains("not a regular file"), "{error}");
        let error = read(&SecretSource::File("/dev/zero".into())).unwrap_err();
        assert!(error.contains("not a regular file"), "{error}");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let scratch = Scratch::new("mode");
        for mode in [0o640, 0o604, 0o644, 0o620] {
            let error = read(&scratch.file("key", CANARY.as_bytes(), mode)).unwrap_err();
            assert!(
                error.contains(&format!("{mode:04o}")) && error.contains("chmod 600"),
                "{error}"
            );
        }
        for mode in [0o600, 0o400] {
            assert_eq!(
                read(&scratch.file(&format!("{mode:o}"), b"key", mode)).unwrap(),
                "key"
            );
        }
    }

    #[test]
    fn a_command_gets_no_shell_and_no_environment_of_ours() {
        assert_eq!(
            read(&command(&["printf", "%s\\n", "$HOME;id"])).unwrap(),
            "$HOME;id"
        );
        let seen = read(&command(&["env"])).unwrap();
        let names: Vec<_> = seen
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, _)| name)
            .collect();
        assert!(
            names.iter().all(|name| ["PATH", "HOME"].contains(name)),
            "{names:?}"
        );
        assert!(
            std::env::vars_os().count() > names.len(),
            "the test itself runs with more variables than that"
        );
    }

    #[test]
    fn a_failing_command_shows_its_exit_status_and_nothing_it_said() {
        let script = format!("echo {CANARY}; echo {CANARY} >&2; exit 7");
        let error = read(&command(&["sh", "-c", &script])).unwrap_err();
        assert!(
            error.contains("exit status: 7") && error.contains("command sh"),
            "{error}"
        );
        assert!(
            read(&command(&["/nonexistent/program"]))
                .unwrap_err()
                .contains("does not start")
        );
        assert!(
            read(&command(&["yes", CANARY]))
                .unwrap_err()
                .contains("longer than")
        );
    }

    #[test]
    fn a_command_that_hangs_is_ended_and_so_is_one_that_leaves_its_pipe_to_a_child() {
        for script in [
            "exec sleep 600",
            "sleep 2 & exit 0",
            "exec >&-; exec sleep 600",
        ] {
            let args = ["sh".to_owned(), "-c".to_owned(), script.to_owned()];
            let before = Instant::now();
            let (cause, _) = run(&args, Duration::from_millis(50)).unwrap_err();
            assert!(cause.contains("in time"), "{script}: {cause}");
            assert!(before.elapsed() < Duration::from_secs(60), "{script}");
        }
    }

    #[test]
    fn what_a_command_started_ends_with_it() {
        let scratch = Scratch::new("group");
        for ending in ["wait", "exit 0"] {
            let pid_file = scratch.0.join("pid");
            let script = format!("sleep 600 & echo $! > {}; {ending}", pid_file.display());
            run(
                &["sh".to_owned(), "-c".to_owned(), script],
                Duration::from_millis(500),
            )
            .unwrap_err();
            let pid = std::fs::read_to_string(pid_file).unwrap();
            // Its parent is gone: whoever inherited it reaps it in a moment.
            let stat = format!("/proc/{}/stat", pid.trim());
            let lives = || std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z "));
            let before = Instant::now();
            while lives() {
                assert!(
                    before.elapsed() < Duration::from_secs(20),
                    "{ending}: the grandchild {pid} lives on"
                );
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_credential_may_be_readable_by_its_group() {
        let scratch = Scratch::new("credential");
        let SecretSource::File(path) = scratch.file("api.key", b"key", 0o440) else {
            unreachable!()
        };
        assert_eq!(read_file(&path, false).unwrap().as_slice(), b"key");
    }

    #[test]
    fn the_four_sources_are_read_and_everything_else_is_refused_without_echo() {
        for (value, source) in [
            (
                json!({"file": "/etc/prevalidate/api.key"}),
                SecretSource::File("/etc/prevalidate/api.key".into()),
            ),
            (
                json!({"env": "API_KEY"}),
                SecretSource::Env("API_KEY".into()),
            ),
            (
                json!({"command": ["pass", "api"]}),
                command(&["pass", "api"]),
            ),
            (
                json!({"credential": "api.key"}),
                SecretSource::Credential("api.key".into()),
            ),
        ] {
            assert_eq!(SecretSource::read_json(&value), Ok(source));
        }
        for value in [
            json!(CANARY),
            json!({"value": CANARY}),
            json!({"file": CANARY}),
            json!({"env": CANARY}),
            json!({"env": "A B"}),
            json!({"credential": CANARY}),
            json!({"credential": "../../etc/shadow"}),
            json!({"command": CANARY}),
            json!({"command": []}),
            json!({"command": ["pass", 1]}),
            json!({"file": "/a", "env": "B"}),
            json!({CANARY: "x"}),
            json!({}),
            json!([CANARY]),
            json!(4711),
        ] {
            let error = SecretSource::read_json(&value).unwrap_err();
            assert!(!error.contains(CANARY), "{error}");
        }
        assert!(
            SecretSource::read_json(&json!(CANARY))
                .unwrap_err()
                .starts_with("a secret never stands in the conf")
        );
    }

    #[test]
    fn only_visible_ascii_is_safe_in_a_header() {
        for (text, safe) in [
            ("abc-._~+/=", true),
            ("a b", false),
            ("a\n", false),
            ("ä", false),
            ("a\u{7f}", false),
        ] {
            assert_eq!(is_header_safe(&SecretString::from(text)), safe, "{text:?}");
        }
    }
}
