//! By a program of the user's own: the notice on its standard input as one JSON object, the one a
//! webhook gets.
//!
//! No shell; `PATH` and `HOME` are all of its environment, `/` its directory. Status 0 means
//! delivered. After 30 seconds its whole process group is killed.

use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::said;
use crate::notify::{Carrier, Failure, Notice};
use crate::text::in_json;

/// For one run; a little less than is waited for a carrier.
const TIMEOUT: Duration = Duration::from_secs(29);

/// How long, after its end, what it started and left behind may continue saying something.
const ECHO: Duration = Duration::from_millis(200);

/// Octets of what it says on standard error that are read.
const HEARD: u64 = 4_096;

/// A program and its arguments, at least the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(pub Vec<String>);

#[async_trait]
impl Carrier for Program {
    async fn carry(&self, notice: &Notice) -> Result<(), Failure> {
        let (program, arguments) = self
            .0
            .split_first()
            .ok_or_else(|| Failure::refused("`command` is empty"))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir("/")
            .env_clear()
            .process_group(0)
            .kill_on_drop(true);
        for name in ["PATH", "HOME"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| Failure::refused(format!("{program} does not start: {error}")))?;
        let mut group = Group(
            child
                .id()
                .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)),
        );
        let input = in_json(&notice.json().to_string()).into_owned();
        let ended = timeout(TIMEOUT, converse(&mut child, input.as_bytes())).await;
        match ended {
            Ok(Ok((status, words))) => {
                group.0 = None;
                let words = if words.is_empty() {
                    String::new()
                } else {
                    format!(": {words}")
                };
                // Its exit status is believed: only the program knows whether it delivered the
                // message.
                if status.success() {
                    Ok(())
                } else {
                    Err(Failure::refused(format!(
                        "{program} ended with {status}{words}"
                    )))
                }
            }
            Ok(Err(error)) => Err(Failure::open(format!(
                "{program}: its end cannot be seen: {error}"
            ))),
            Err(_) => Err(Failure::open(format!(
                "{program} did not end within {} s and was killed",
                TIMEOUT.as_secs()
            ))),
        }
    }
}

async fn converse(
    child: &mut Child,
    input: &[u8],
) -> std::io::Result<(std::process::ExitStatus, String)> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let ask = async {
        if let Some(mut stdin) = stdin {
            // One that ends without reading says why by its status.
            let _ = stdin.write_all(input).await;
        }
    };
    let mut words = Vec::new();
    let hear = async {
        if let Some(mut stderr) = stderr {
            let _ = (&mut stderr).take(HEARD).read_to_end(&mut words).await;
            // The rest is read and forgotten, so that it can continue to its end.
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        }
    };
    // Its end counts, not that of what it left running with the same standard error: else it would
    // be reported again and again.
    let status = {
        let talk = async { tokio::join!(ask, hear) };
        tokio::pin!(talk);
        tokio::select! {
            _ = &mut talk => child.wait().await?,
            status = child.wait() => {
                let _ = timeout(ECHO, &mut talk).await;
                status?
            }
        }
    };
    Ok((status, said(&String::from_utf8_lossy(&words))))
}

/// The process group of a run that has not come to its end: killed as a whole.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // If it is gone already, the effect is the same. It is waited for last, or its group
            // still has a process in it: the number means this group.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
