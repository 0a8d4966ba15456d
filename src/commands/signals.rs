//! The orders of an operator to a process, by signals.

use std::future::pending;

use tokio::signal::unix::{self, SignalKind};

use super::{Exit, Failed};

/// A signal and its meaning.
pub(super) enum Signal {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM or SIGINT: end; where there is no time for that, with this status, 128 and the
    /// signal's number.
    End(i32),
}

/// 128 and the signal's number.
const HUNG_UP: i32 = 129;
const INTERRUPTED: i32 = 130;
const TERMINATED: i32 = 143;

/// From now on no signal ends the process by itself.
pub(super) struct Signals {
    /// `None`: the process was started to ignore it, as by nohup.
    hang_up: Option<unix::Signal>,
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    /// For a daemon, which takes SIGHUP for an order.
    pub(super) fn of_a_daemon() -> Result<Self, Failed> {
        Self::new(true)
    }

    /// For a command that ends by itself: SIGHUP of a closed terminal ends it, except below
    /// `nohup`.
    pub(super) fn of_a_command() -> Result<Self, Failed> {
        Self::new(!is_ignored(SignalKind::hangup()))
    }

    fn new(hears_hang_up: bool) -> Result<Self, Failed> {
        let listen = |kind| {
            let failed = |error| {
                Failed::new(
                    Exit::Temporary,
                    format!("cannot listen for signals: {error}"),
                )
            };
            unix::signal(kind).map_err(failed)
        };
        let hang_up = hears_hang_up.then(|| listen(SignalKind::hangup()));
        Ok(Self {
            hang_up: hang_up.transpose()?,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn hung_up(hang_up: &mut Option<unix::Signal>) {
        match hang_up {
            Some(hang_up) => drop(hang_up.recv().await),
            None => pending().await,
        }
    }

    /// What a daemon is asked for next.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            () = Self::hung_up(&mut self.hang_up) => Signal::Reload,
            code = Self::ended(&mut self.interrupt, &mut self.terminate) => Signal::End(code),
        }
    }

    /// Returns when a daemon is to end, with the status for one that has no time. A reload that is
    /// asked for meanwhile is kept for [`next`](Self::next).
    pub(super) async fn end(&mut self) -> i32 {
        Self::ended(&mut self.interrupt, &mut self.terminate).await
    }

    /// Returns when a command is to end, with the status for one that has no time.
    pub(super) async fn end_of_command(&mut self) -> i32 {
        tokio::select! {
            () = Self::hung_up(&mut self.hang_up) => HUNG_UP,
            code = Self::ended(&mut self.interrupt, &mut self.terminate) => code,
        }
    }

    async fn ended(interrupt: &mut unix::Signal, terminate: &mut unix::Signal) -> i32 {
        tokio::select! {
            _ = interrupt.recv() => INTERRUPTED,
            _ = terminate.recv() => TERMINATED,
        }
    }
}

/// Whether the process was started to ignore a signal: a handler of ours would end that.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (kind.as_raw_value() - 1)) != 0)
}
