//! What the operator of a daemon asks for by signals.

use tokio::signal::unix::{self, SignalKind};

use crate::commands::{Exit, Failed};

/// What is asked for.
pub(super) enum Signal {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM or SIGINT: end; where there is no time for that, with this status, 128 and the
    /// signal's number.
    End(i32),
}

/// 128 and the signal's number.
const INTERRUPTED: i32 = 130;
const TERMINATED: i32 = 143;

/// From now on no signal ends the process by itself.
pub(super) struct Signals {
    hang_up: unix::Signal,
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Failed> {
        let listen = |kind| {
            let failed = |error| {
                Failed::new(
                    Exit::Temporary,
                    format!("cannot listen for signals: {error}"),
                )
            };
            unix::signal(kind).map_err(failed)
        };
        Ok(Self {
            hang_up: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hang_up.recv() => Signal::Reload,
            _ = self.interrupt.recv() => Signal::End(INTERRUPTED),
            _ = self.terminate.recv() => Signal::End(TERMINATED),
        }
    }

    /// Returns when the process is to end, with the status for one that has no time. A reload that
    /// is asked for meanwhile is kept for [`next`](Self::next).
    pub(super) async fn end(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPTED,
            _ = self.terminate.recv() => TERMINATED,
        }
    }
}
