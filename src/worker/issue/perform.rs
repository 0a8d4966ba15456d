//! The steps themselves. Each stores its intent before its effect, where it has one.

mod alone;
mod ca;
mod deploy;
mod dns;
mod files;
mod found;
mod gone;
mod lost;
mod moved;
mod nearby;
mod newest;
mod noted;
mod owner;
mod predecessor;
mod ready;
mod refetch;
mod renamed;
mod repair;
mod rest;
mod revocation;
mod search;
mod spelled;
mod strays;
mod unnoted;

pub use self::dns::Against;
pub(super) use self::noted::Notes;
pub use self::repair::way_out;
pub(super) use self::rest::with_orders;
pub(super) use self::revocation::noted_request;
use super::task::Task;
use crate::issuance::Step;
use crate::store::StoreError;

impl Task<'_> {
    /// Performs one step. What comes of it is in the working copy; an error is the store's.
    pub(super) async fn perform(&mut self, step: Step) -> Result<(), StoreError> {
        match step {
            Step::Key => return self.make_key().await,
            Step::Preflight => return self.preflight().await,
            Step::Submit => return self.submit().await,
            Step::Drop => self.leave_what_is_early(),
            Step::Find => self.find().await,
            Step::Read => return self.read().await,
            Step::Watch => return self.watch().await,
            Step::Fetch => self.fetch().await,
            Step::Repair => return self.repair().await,
            Step::Restore => return self.restore().await,
            Step::Install => return self.install().await,
            Step::Deploy => self.deploy().await,
            Step::Revoke => return self.revoke().await,
            Step::Confirm => self.confirm().await,
            Step::Challenge => self.challenge().await,
            Step::Publish => return self.publish().await,
            Step::Withdraw => return self.withdraw().await,
            Step::Rest | Step::Held | Step::Prove => {}
        }
        Ok(())
    }
}
