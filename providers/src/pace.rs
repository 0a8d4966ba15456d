//! The pace of a credential that several machines use: each keeps to its own `rate`, and all of them together to the same one.

use std::sync::Arc;

use futures::future::BoxFuture;

/// Returns when one more call may be made, or says why nobody can tell: then it must not be made.
pub type Pace = Arc<dyn Fn(Allowance) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// How often the other side may be called with one credential.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowance {
    /// The other side and the credential, the same text on every machine, never a secret.
    pub whose: String,
    /// Calls per second in the long run.
    pub per_second: f64,
    /// Calls at once after a rest.
    pub burst: u32,
}

#[cfg(any(feature = "autodns", feature = "cloudflare", feature = "route53"))]
pub(crate) use paced::Paced;

#[cfg(any(feature = "autodns", feature = "cloudflare", feature = "route53"))]
mod paced {
    use super::{Allowance, Pace};
    use crate::settings::reader::Rate;

    /// An allowance with whoever keeps it, if anybody does.
    #[derive(Clone)]
    pub(crate) struct Paced {
        pace: Option<Pace>,
        allowance: Allowance,
    }

    impl Paced {
        pub(crate) fn new(pace: Option<Pace>, whose: String, (count, per): Rate, burst: u32) -> Self {
            let per_second = f64::from(count.get()) / per.as_secs_f64();
            Self { pace, allowance: Allowance { whose, per_second, burst } }
        }

        pub(crate) async fn turn(&self) -> Result<(), String> {
            match &self.pace {
                Some(pace) => pace(self.allowance.clone()).await,
                None => Ok(()),
            }
        }
    }
}
