//! A secret that a program prints: no shell, little time, an environment of two variables.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use secrecy::zeroize::Zeroizing;

use super::{Cause, bounded, too_long};
use crate::trust;

pub(super) fn run(args: &[String], timeout: Duration) -> Result<Zeroizing<Vec<u8>>, Cause> {
    let Some((program, rest)) = args.split_first() else {
        return Err(("cannot be read: the command is empty".to_owned(), None));
    };
    trust::check_program(Path::new(program)).map_err(|cause| {
        let hint =
            "a user who may change the program gets the secret; `chown root` and `chmod 755` it";
        (format!("is not asked for: {cause}"), Some(hint.to_owned()))
    })?;
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

/// Kills the command and all processes that it started: a grandchild that waits for the input of a
/// person would stay for ever.
fn end_group(child: &std::process::Child) {
    // One that failed was reaped a moment ago: its number is not used again yet.
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
