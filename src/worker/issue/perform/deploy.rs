//! The program that tells servers of a change.

use jiff::SignedDuration;

use super::super::task::Task;
use crate::certificates::Deployment as Run;
use crate::worker::crashpoint::reach;

/// Between two runs of a deploy program that fails: at first, and at most.
const DEPLOY_AGAIN: SignedDuration = SignedDuration::from_mins(1);
const DEPLOY_AT_MOST: SignedDuration = SignedDuration::from_hours(6);

impl Task<'_> {
    /// Runs the program that tells the servers.
    pub(super) async fn deploy(&mut self) {
        let (Some(certificate), Some(folder)) = (self.certificate(), self.folder()) else {
            return;
        };
        let Some(open) = self.row.progress.deployment.clone() else {
            return;
        };
        let names = certificate.names();
        let run = Run {
            name: &self.row.name,
            command: &certificate.deploy,
            limit: certificate.deploy_timeout,
            folder: &folder,
            version: open.version,
            names: &names,
            password: certificate.p12_password.as_ref(),
        };
        let outcome = run.run().await;
        reach("certificate-deployed");
        let now = self.now();
        match outcome {
            Ok(()) => {
                // Never its arguments: they may hold secrets.
                let program = certificate.deploy.first().cloned();
                self.say("deployed", program.unwrap_or_default());
                self.progress().deployment = None;
            }
            Err(why) => {
                self.say("deploy-failed", why.clone());
                if let Some(open) = self.progress().deployment.as_mut() {
                    let wait = (DEPLOY_AGAIN * (1 << open.failures.min(10))).min(DEPLOY_AT_MOST);
                    open.failures += 1;
                    open.at = now.saturating_add(wait).unwrap_or(now);
                    open.trouble = Some(why);
                }
                // People hear of it at the end of this run, and the next one tries again. An order
                // under way continues.
                if self.row.progress.order.is_none() {
                    self.leave();
                }
            }
        }
    }
}
