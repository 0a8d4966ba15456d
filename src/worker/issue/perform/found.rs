//! A pair that lies in the directory while the store knows nothing of it: the store was lost, or is
//! another one. What fits is taken over, and nothing is ordered for it.

use super::super::certificate::{Certificate, KeySource};
use super::super::task::Task;
use crate::ca::authority::is_of_a_sandbox;
use crate::ca::csr::Csr;
use crate::ca::issuing::Subject;
use crate::certificates::folder::{Found, Live, Sought};
use crate::certificates::{Folder, fingerprint};
use crate::issuance::again;
use crate::issuance::progress::{HoldKind, Installed};

impl Task<'_> {
    /// Looks at what servers read, before a first order. True: nothing is ordered now.
    pub(super) fn has_found(&mut self, certificate: &Certificate, folder: &Folder) -> bool {
        let progress = &self.row.progress;
        let is_first = progress.installed.is_none() && progress.order.is_none();
        if !is_first || progress.again {
            return false;
        }
        let request = match &certificate.key {
            KeySource::Made(_) => None,
            // What is wrong with the request is told when the order is begun.
            KeySource::Request(path) => match std::fs::read(path).map(|all| Csr::read(&all)) {
                Ok(Ok(csr)) => Some(fingerprint(csr.public_key())),
                _ => return false,
            },
        };
        let emails = match &certificate.subject {
            Subject::Mailbox { email, .. } => vec![email.clone()],
            Subject::Names(_) => Vec::new(),
        };
        let sought = Sought {
            fingerprint: request.as_deref(),
            dns_names: certificate.subject.names(),
            emails: &emails,
        };
        match folder.found(sought, self.now()) {
            Ok(Found::Nothing) => false,
            Ok(Found::Ended(at)) => {
                self.say("ended", format!("what lies in the directory ended on {at}"));
                false
            }
            Ok(Found::Fit(live)) if !self.is_of_a_rehearsal(certificate, &live) => {
                self.take_over(certificate, live, request.is_none());
                true
            }
            Ok(Found::Fit(live)) => {
                let why = format!("it was issued by \"{}\"", live.facts.issuer);
                self.is_unfit(folder, why)
            }
            Ok(Found::Unfit(why)) => self.is_unfit(folder, why),
            Err(trouble) => {
                self.trouble(trouble);
                true
            }
        }
    }

    /// Whether a sandbox issued it and the configuration is for a real CA, or the other way round.
    fn is_of_a_rehearsal(&self, certificate: &Certificate, live: &Live) -> bool {
        let host = self.issuer.options.hosts.get(&certificate.ca);
        host.is_some_and(|host| is_loopback(host) != is_of_a_sandbox(&live.facts.issuer))
    }

    fn is_unfit(&mut self, folder: &Folder, why: String) -> bool {
        let words = format!(
            "a certificate that this store does not know lies in the directory, and is not what is wanted: {why}"
        );
        let hint = format!(
            "mend or move {}, and the next run goes on; {} orders a new one in its place",
            folder.path().display(),
            again(&self.row.name)
        );
        self.hold(HoldKind::Folder, words, Some(hint));
        true
    }

    /// What lies there is installed from now on. Its order is not known here.
    fn take_over(&mut self, certificate: &Certificate, live: Live, has_key: bool) {
        let (now, facts) = (self.now(), live.facts);
        self.stepped();
        self.say(
            "adopted",
            format!(
                "version {:04}, serial number {}, until {}: it lay in the directory, and nothing was ordered",
                live.version, facts.serial, facts.not_after
            ),
        );
        let mut names = facts.dns_names;
        names.extend(facts.emails);
        let progress = self.progress();
        progress.hold = None;
        progress.installed = Some(Installed {
            ca: certificate.ca.clone(),
            version: live.version,
            serial: facts.serial,
            issuer: facts.issuer,
            not_before: facts.not_before,
            not_after: facts.not_after,
            names,
            fingerprint: facts.fingerprint,
            print: certificate.wanted.print.clone(),
            reference: String::new(),
            certificate: None,
            at: now,
            revoked_at: None,
            paid_until: None,
            has_key: Some(has_key),
        });
    }
}

/// Whether a host, as a URL names it with its port, is this machine: only sandboxes are called there.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, _)) if !host.ends_with(']') => name,
        _ => host,
    };
    let address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
