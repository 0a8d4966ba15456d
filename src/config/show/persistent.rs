//! The persistent records of the configuration in the form of the file.

use super::{Page, list};
use crate::config::{PersistentSettings, show_duration};
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
                self.text("until", &show_duration(life));
                self.text("replace_before", &show_duration(replace_before));
            }
        }
        if one.wildcard {
            self.text("policy", "wildcard");
        }
        self.text("canary", &show_duration(one.canary));
        if let Some(provider) = &one.provider {
            self.text("provider", provider);
        }
        let names = one.domains.iter().map(ToString::to_string);
        self.plain("domains", list(names));
    }
}
