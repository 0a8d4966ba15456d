//! What the operator of a daemon asks for by signals.

use tokio::signal::unix::{self, SignalKind};

use crate::commands::{Exit, Failed};

/// What is asked for.
pub(super) enum Signal {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM or SIGINT: end; where there is no time for that, with this status, 128 and the signal's number.
    End(i32),
}

/// From now on no signal ends the process by itself.
pub(super) struct Signals {
    hang_up: unix::Signal,
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Failed> {
        let listen = |kind| {
            let failed = |error| Failed::new(Exit::Temporary, format!("cannot listen for signals: {error}"));
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
            _ = self.interrupt.recv() => Signal::End(130),
            _ = self.terminate.recv() => Signal::End(143),
        }
    }

    /// Returns when the process is to end.
    pub(super) async fn end(&mut self) {
        while let Signal::Reload = self.next().await {}
    }
}
