//! The pace of a credential: what uses it in this process keeps to its `rate` ([`local`]), and
//! several machines together to the same one.

pub mod address;
mod local;

use std::sync::Arc;

use futures::future::BoxFuture;

/// Returns when one more call may be made, or says why that is not known: then it must not be made.
pub type Pace = Arc<dyn Fn(Allowance) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// How often the server may be called with one credential.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowance {
    /// The server and the credential, the same text on every machine, never a secret.
    pub whose: String,
    /// Calls per second in the long run.
    pub per_second: f64,
    /// The number of calls that may go at once after a pause.
    pub burst: u32,
}

pub use {address::Address, local::fingerprint, paced::Paced};

mod paced {
    use std::num::NonZeroU32;
    use std::sync::Arc;
    use std::time::Duration;

    use super::local::Local;
    use super::{Allowance, Pace};
    use crate::table::Rate;

    /// The pace of one credential, in this process and in all others.
    #[derive(Clone)]
    pub struct Paced {
        local: Arc<Local>,
        pace: Option<Pace>,
        allowance: Allowance,
    }

    impl Paced {
        /// `whose` is the same text on every machine and no secret; `here` tells credentials apart
        /// in this process.
        pub fn new(
            pace: Option<Pace>,
            whose: String,
            here: String,
            rate: Rate,
            burst: NonZeroU32,
        ) -> Self {
            let per_second = f64::from(rate.0.get()) / rate.1.as_secs_f64();
            let allowance = Allowance {
                whose,
                per_second,
                burst: burst.get(),
            };
            Self {
                local: Local::of(here, rate, burst),
                pace,
                allowance,
            }
        }

        /// Waits until the next call may go.
        pub async fn turn(&self) -> Result<(), String> {
            self.local.turn().await;
            match &self.pace {
                Some(pace) => pace(self.allowance.clone()).await,
                None => Ok(()),
            }
        }

        /// The server asks for a pause of this length.
        pub fn close(&self, wait: Duration) {
            self.local.close(wait);
        }

        /// How long the pause that the server asked for still lasts.
        pub fn closed_for(&self) -> Option<Duration> {
            self.local.closed_for()
        }
    }
}
