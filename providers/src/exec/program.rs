//! Running the program: bounded in time and size, in a process group of its own that never outlives
//! its turn.

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use prevalidate_kit::json;
use prevalidate_kit::text::in_one_line;
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::ExposeSecret;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::protocol::{Answer, Request};
use super::{Exec, ExecSettings};
use crate::provider::{ErrorKind, ProviderError};

/// Of an answer; of 1,000 names with 10 values of 100 octets.
const MAX_ANSWER: u64 = 1024 * 1024;
/// Of what it says to people; the rest is read and forgotten.
const MAX_SAID: usize = 16 * 1024;
/// Characters of that in a message.
const SHOWN: usize = 400;

/// Why a run brought no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// It refused, or never ran: nothing was done.
    Refused(ProviderError),
    /// The records were not those that it was told (status 7).
    Changed(String),
    /// Something may have been done.
    Open(ProviderError),
}

impl From<Failure> for ProviderError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) | Failure::Open(error) => error,
            Failure::Changed(said) => Self::new(ErrorKind::Unavailable, said),
        }
    }
}

/// An answer as any program writes it: with a byte order mark, or with another party's text that
/// was cut in the middle of a character.
fn read<T: Answer>(answer: &[u8]) -> Result<T, String> {
    match json::read(answer) {
        Ok(value) => T::of(value),
        Err(error) if answer.trim_ascii().is_empty() => Err(format!("it is empty ({error})")),
        Err(error) => Err(format!("it is not JSON: {error}")),
    }
}

impl Exec {
    /// Runs a verb that only reads; `what` for people.
    pub(super) async fn ask<T: Answer>(
        &self,
        verb: &str,
        request: &impl Serialize,
        what: &str,
    ) -> Result<T, ProviderError> {
        let answer = self.run(verb, request, what).await.map_err(|failure| {
            let error = ProviderError::from(failure);
            // A read leaves nothing open.
            let kind = if error.kind == ErrorKind::Unknown {
                ErrorKind::Unavailable
            } else {
                error.kind
            };
            ProviderError { kind, ..error }
        })?;
        read(&answer).map_err(|error| {
            // The error repeats what it stumbled over.
            let error = self.harmless(&error);
            let text = format!(
                "{} {verb}, for {what}: its answer cannot be read: {error}",
                self.settings.program.display()
            );
            ProviderError::new(ErrorKind::Settings, text)
                .with_hint("run it by hand with the same verb and read its output")
        })
    }

    /// What the program says, as it may be in an error: one line of bounded length, without the
    /// values of its environment.
    pub(super) fn harmless(&self, text: &str) -> String {
        in_one_line(&self.redacted(text), SHOWN)
    }

    fn redacted(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self
            .settings
            .environment
            .values()
            .map(|value| value.expose_secret())
        {
            // Short ones are words and numbers, and are in many texts.
            if secret.len() >= 8 {
                text = text.replace(secret, "[REDACTED]");
            }
        }
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    }

    /// Runs a verb and gives what it answered.
    pub(super) async fn run(
        &self,
        verb: &str,
        request: &impl Serialize,
        what: &str,
    ) -> Result<Vec<u8>, Failure> {
        let program = self.settings.program.display();
        let tried = format!("{program} {verb}, for {what}");
        let request = serde_json::to_vec(&Request {
            protocol: self.version(),
            verb,
            rest: request,
        })
        .map_err(|error| {
            Failure::Refused(ProviderError::new(
                ErrorKind::Settings,
                format!("{tried}: cannot be asked: {error}"),
            ))
        })?;
        let mut child = start(&self.settings, verb).map_err(|error| {
            let text = format!("{tried}: it does not start: {error}");
            let hint = "`program` must be an executable file with its interpreter in place";
            Failure::Refused(ProviderError::new(ErrorKind::Settings, text).with_hint(hint))
        })?;
        let mut group = Group(
            child
                .id()
                .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)),
        );
        let ended = timeout(self.settings.timeout, converse(&mut child, &request)).await;
        let open = |what: String| {
            Failure::Open(ProviderError::new(
                ErrorKind::Unknown,
                format!("{tried}: {what}"),
            ))
        };
        let (status, answer, said) = match ended {
            Ok(Ok(ended)) => ended,
            Ok(Err(what)) => return Err(open(what)),
            Err(_) => {
                return Err(open(format!(
                    "it did not end within {} s and was killed",
                    self.settings.timeout.as_secs()
                )));
            }
        };
        group.0 = None;
        let said = self.shown(&said);
        tracing::debug!(%program, verb, ?status, said, "ran");
        judge(status, &tried, &said).map(|()| answer)
    }

    /// The end of what it said to people.
    fn shown(&self, said: &[u8]) -> String {
        let text = String::from_utf8_lossy(said);
        let lines: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let last = self.redacted(&lines[lines.len().saturating_sub(3)..].join("; "));
        last.chars()
            .skip(last.chars().count().saturating_sub(SHOWN))
            .collect()
    }
}

/// The table of [`Exec`].
fn judge(status: ExitStatus, tried: &str, said: &str) -> Result<(), Failure> {
    let said = if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    };
    let error = |kind, what: &str| ProviderError::new(kind, format!("{tried}: {what}{said}"));
    Err(match status.code() {
        Some(0) => return Ok(()),
        Some(1) => Failure::Open(error(
            ErrorKind::Unavailable,
            "something passing (status 1)",
        )),
        Some(2) => Failure::Refused(error(
            ErrorKind::Settings,
            "its settings are wrong (status 2)",
        )),
        Some(3) => Failure::Refused(error(ErrorKind::Denied, "it may not (status 3)")),
        Some(4) => Failure::Refused(error(ErrorKind::NoZone, "it has no such zone (status 4)")),
        Some(5) => Failure::Refused(error(ErrorKind::Unsafe, "it is not safe (status 5)")),
        Some(6) => Failure::Open(error(
            ErrorKind::Unknown,
            "it does not know whether it was done (status 6)",
        )),
        Some(7) => Failure::Changed(format!(
            "{tried}: the records changed meanwhile (status 7){said}"
        )),
        Some(code @ (126 | 127)) => {
            let what = format!("it, or a program that it runs, cannot be run (status {code})");
            let hint = "its PATH is ours unless `environment` names another";
            Failure::Refused(error(ErrorKind::Settings, &what).with_hint(hint))
        }
        _ => Failure::Open(error(
            ErrorKind::Unknown,
            &format!("it ended with {status}"),
        )),
    })
}

fn start(settings: &ExecSettings, verb: &str) -> std::io::Result<Child> {
    let mut command = Command::new(&settings.program);
    command
        .arg(verb)
        .current_dir(Path::new("/"))
        .env_clear()
        .process_group(0)
        .kill_on_drop(true);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.envs(
        settings
            .environment
            .iter()
            .map(|(name, value)| (name, value.expose_secret())),
    );
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Everything at once: a program that answers before it has read all must not wait for us, nor we
/// for it.
async fn converse(
    child: &mut Child,
    request: &[u8],
) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), String> {
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err("it is not connected".into());
    };
    let ask = async {
        // One that ends without reading says why by its status.
        let _ = stdin.write_all(request).await;
        drop(stdin);
        Ok(())
    };
    let answer = async {
        let mut answer = Vec::new();
        stdout
            .take(MAX_ANSWER + 1)
            .read_to_end(&mut answer)
            .await
            .map_err(|error| format!("its answer broke: {error}"))?;
        if answer.len() as u64 > MAX_ANSWER {
            return Err(format!(
                "its answer is longer than {MAX_ANSWER} octets, and it was killed"
            ));
        }
        Ok(answer)
    };
    let ((), answer, said) = tokio::try_join!(ask, answer, last(stderr))?;
    let status = child
        .wait()
        .await
        .map_err(|error| format!("its end cannot be seen: {error}"))?;
    Ok((status, answer, said))
}

/// The last [`MAX_SAID`] octets, give or take a buffer.
async fn last(mut from: impl AsyncRead + Unpin) -> Result<Vec<u8>, String> {
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(said),
            Ok(count) => {
                said.extend_from_slice(&buffer[..count]);
                if said.len() > 2 * MAX_SAID {
                    said.drain(..MAX_SAID);
                }
            }
        }
    }
}

/// The process group of a run that has not come to its end: killed as a whole.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // If it is gone already, the effect is the same. The leader has not been waited for, so
            // the number still means this group.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
