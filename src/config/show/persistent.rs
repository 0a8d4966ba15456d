//! The persistent records of the configuration in the form of the file.

use super::{Page, list};
use crate::config::PersistentSettings;
use crate::persistent::End;

impl Page {
    pub(super) fn persistent(&mut self, one: &PersistentSettings) {
        self.heading("[[persistent]]");
        self.text("issuer", &one.issuer);
        self.text("accounturi", &one.account);
        if let Some(host) = &one.account_host {
            self.text("account_host", host);
        }
        match one.end {
            End::Fixed(until) => self.text("until", &until.to_string()),
            End::Rolling {
                life,
                replace_before,
            } => {
                self.row("until", &life);
                self.row("replace_before", &replace_before);
            }
        }
        if one.wildcard {
            self.text("policy", "wildcard");
        }
        self.row("canary", &one.canary);
        if let Some(provider) = &one.provider {
            self.text("provider", provider);
        }
        let names = one.domains.iter().map(ToString::to_string);
        self.plain("domains", list(names));
    }
}
