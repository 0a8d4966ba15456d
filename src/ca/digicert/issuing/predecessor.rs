//! Whether DigiCert refuses an order because of the one that it comes after. Its codes for that are
//! not documented; its words name the renewal, or the outcome of the order that is reissued.

use crate::ca::issuing::{Intent, Succession};
use crate::ca::{CaError, Failure};

/// The same error, with whether it is about the order before.
pub(super) fn told(intent: &Intent, mut error: CaError) -> CaError {
    let way = intent.after.as_ref().map(|after| after.way);
    // Behind the status: names of hosts may have any word in them.
    let said = error.message.split_once(": HTTP ");
    let said = said.map_or_else(String::new, |(_, said)| said.to_lowercase());
    let is_refusal = matches!(error.failure, Failure::Refused | Failure::NotFound);
    error.is_about_predecessor = is_refusal
        && match way {
            Some(Succession::Renewal) => said.contains("renew"),
            Some(Succession::Reissue) => {
                let is_gone = error.failure == Failure::NotFound;
                is_gone || said.contains("revoked") || said.contains("cancel")
            }
            Some(Succession::Duplicate) | None => false,
        };
    error
}
