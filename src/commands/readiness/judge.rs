//! What is known about one domain, and what of it stops certificates on the day; pure.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::output::moment;
use crate::overview::ProofView;
use crate::prevalidation::DomainName;
use crate::propagation::caa::{CaaAdvice, Change, METHOD, Permission};
use crate::propagation::examine::DnssecStatus;
use crate::propagation::finding::Severity;
use crate::propagation::survey::{Families, Survey};

/// The known facts about one domain.
pub(super) struct Seen<'a> {
    pub(super) domain: &'a DomainName,
    /// The `[ca.NAME]`.
    pub(super) ca: &'a str,
    /// Its last proof; `None` where it needs none, because a name above it covers it.
    pub(super) proof: Option<ProofView>,
    /// A name above it covers it.
    pub(super) covered: bool,
    /// When its renewal is planned.
    pub(super) renew_at: Option<Timestamp>,
    pub(super) survey: &'a Survey,
    /// Why its provider refuses to write it.
    pub(super) provider: Option<String>,
    /// When its registration ends, as its registry said.
    pub(super) registered_until: Option<Timestamp>,
}

/// One thing that a person should know before the day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Judged {
    pub(super) severity: Severity,
    /// Stable, for programs.
    pub(super) code: &'static str,
    pub(super) domain: DomainName,
    pub(super) unicode: String,
    /// The `[ca.NAME]`.
    pub(super) ca: String,
    pub(super) text: String,
    /// Records to change, ready to paste.
    pub(super) changes: Vec<Change>,
    pub(super) next: Option<String>,
}

impl Judged {
    pub(super) fn new(
        severity: Severity,
        code: &'static str,
        domain: &DomainName,
        ca: &str,
        text: String,
    ) -> Self {
        Self {
            severity,
            code,
            domain: domain.clone(),
            unicode: domain.unicode(),
            ca: ca.to_owned(),
            text,
            changes: Vec::new(),
            next: None,
        }
    }
}

/// Words in a CA's name of a method, and the first day on which the method no longer counts (CA/B
/// Forum BR 3.2.2.4: .4, .13 and .14 by e-mail; .16 and .17 by telephone; .8 by IP address).
const ENDING: [(&str, &str, Timestamp); 3] = [
    ("mail", "e-mail", Timestamp::constant(1_836_691_200, 0)),
    ("phone", "telephone", Timestamp::constant(1_805_068_800, 0)),
    (
        "ipaddress",
        "IP address",
        Timestamp::constant(1_773_532_800, 0),
    ),
];

/// All that should be known about one domain.
pub(super) fn judge(seen: &Seen<'_>, on: Timestamp, now: Timestamp) -> Vec<Judged> {
    let mut found = Findings {
        seen,
        day: on.strftime("%Y-%m-%d").to_string(),
        all: Vec::new(),
    };
    let survey = seen.survey;
    if let Some(fault) = &survey.fault {
        found.add(Severity::Blocks, "not-delegated", fault.clone());
    }
    if let Some(caa) = &survey.caa {
        found.caa(caa);
    }
    found.dnssec(survey);
    found.families(&survey.families);
    found.proof(on, now);
    found.method(on);
    found.registration(on, now);
    if let Some(refusal) = &seen.provider {
        let text = format!("the next validation cannot be published: {refusal}");
        found.add(Severity::Blocks, "provider-refuses", text);
    }
    found.all
}

struct Findings<'a> {
    seen: &'a Seen<'a>,
    day: String,
    all: Vec<Judged>,
}

impl Findings<'_> {
    fn add(&mut self, severity: Severity, code: &'static str, text: String) -> &mut Judged {
        let Seen { domain, ca, .. } = self.seen;
        self.all.push(Judged::new(severity, code, domain, ca, text));
        let last = self.all.len() - 1;
        &mut self.all[last]
    }

    fn caa(&mut self, caa: &CaaAdvice) {
        if let Some(fault) = &caa.fault {
            let text = format!("CAA cannot be read, and a CA must not issue then: {fault}");
            self.add(Severity::Blocks, "caa-unreadable", text);
            return;
        }
        let Some(at) = &caa.at else { return };
        let day = self.day.clone();
        if !caa.unknown_critical.is_empty() {
            let tags = caa.unknown_critical.join(", ");
            let text = format!("CAA at {at} has critical tags that no CA knows: {tags}");
            let added = self.add(Severity::Blocks, "caa-unknown-critical", text);
            added.changes.clone_from(&caa.changes);
            return;
        }
        let (severity, code, why) = match caa.certificates {
            Permission::Allowed => {
                self.wildcards_and_mail(at, caa);
                return;
            }
            Permission::ProbablyAllowed => (
                Severity::Warns,
                "caa-ask-the-ca",
                "names the CA under a condition that only the CA can judge".to_owned(),
            ),
            Permission::OtherAccount => (
                Severity::Blocks,
                "caa-other-account",
                format!("lets only an account of another system issue, which binds on {day}"),
            ),
            Permission::OtherMethods => (
                Severity::Blocks,
                "caa-other-methods",
                format!("names the CA, but not the validation method {METHOD}"),
            ),
            Permission::Forbidden => (
                Severity::Blocks,
                "caa-forbids",
                format!("does not let {} issue", caa.ca.join(" or ")),
            ),
        };
        let text = format!("CAA at {at} {why}: {}", caa.records.join(", "));
        let added = self.add(severity, code, text);
        added.changes.clone_from(&caa.changes);
        let ask = (severity == Severity::Warns).then_some("Ask the CA, or make the change.");
        let admits = caa.admits_other_accounts().then_some(
            "The line to add lets every account at the CA issue after this validation: write your \
             account into it as `accounturi`, if the CA has told you its URI.",
        );
        let next: Vec<&str> = ask.into_iter().chain(admits).collect();
        added.next = (!next.is_empty()).then(|| next.join(" "));
    }

    /// Where certificates are allowed, a ban on the rest is mostly meant.
    fn wildcards_and_mail(&mut self, at: &str, caa: &CaaAdvice) {
        if caa.wildcards != Permission::Allowed {
            let text = format!("CAA at {at} does not let the CA issue wildcard certificates");
            let added = self.add(Severity::Info, "caa-wildcards", text);
            added.changes.clone_from(&caa.changes);
        }
        if !caa.mail.may() {
            let text = format!("CAA at {at} does not let the CA issue e-mail certificates");
            self.add(Severity::Info, "caa-mail", text);
        }
    }

    fn dnssec(&mut self, survey: &Survey) {
        let Some(dnssec) = &survey.dnssec else { return };
        if let Some(bogus) = &dnssec.bogus {
            let text = format!(
                "validating resolvers, as the CA's, refuse the zone: {}",
                bogus.text
            );
            self.add(Severity::Blocks, "dnssec-bogus", text);
        } else if let (Some(_), Some(why)) = (dnssec.oddity, &dnssec.why) {
            self.add(Severity::Warns, "dnssec-oddity", format!("DNSSEC {why}"));
        } else if let (DnssecStatus::Unchecked, Some(why)) = (dnssec.status, &dnssec.why) {
            let text = format!("DNSSEC was not checked: {why}");
            self.add(Severity::Info, "dnssec-oddity", text);
        }
    }

    fn families(&mut self, families: &Families) {
        let Families { ipv4, ipv6 } = families;
        let text = match (ipv4.answering, ipv6.answering) {
            (0, 0) | (1.., 1..) => return,
            (0, _) => {
                "the name servers answer over IPv6 only: a CA that checks from a place \
                without IPv6 sees nothing"
            }
            (_, 0) if ipv6.asked > 0 => {
                "the name servers answer over IPv4 only, though they list IPv6 addresses"
            }
            (_, 0) if ipv6.listed > 0 => {
                let text = "this machine has no route to the IPv6 addresses of the name servers";
                self.add(Severity::Info, "one-family", text.to_owned());
                return;
            }
            _ => {
                let text = "the name servers have no IPv6 address";
                self.add(Severity::Info, "one-family", text.to_owned());
                return;
            }
        };
        self.add(Severity::Warns, "one-family", text.to_owned());
    }

    fn proof(&mut self, on: Timestamp, now: Timestamp) {
        // A name that another one covers rests on that one's proof.
        if self.seen.covered {
            return;
        }
        let proof = self.seen.proof.as_ref();
        let Some(end) = proof
            .and_then(|proof| proof.usable_until)
            .filter(|end| *end > now)
        else {
            let text = "no proof counts now".to_owned();
            let added = self.add(Severity::Warns, "no-proof", text);
            added.next = Some("`prevalidate status` says what it waits for.".to_owned());
            return;
        };
        let next_day = on.saturating_add(SignedDuration::from_hours(24));
        if on <= end && next_day.is_ok_and(|next| end < next) {
            let renewal = match self.seen.renew_at {
                Some(at) => format!("its renewal is planned for {}", moment(at)),
                None => "no renewal is planned yet".to_owned(),
            };
            let text = format!("its proof ends on {}, as many do; {renewal}", self.day);
            self.add(Severity::Info, "proof-ends", text);
        }
    }

    /// Most registrars renew by themselves, so an end that is far away is no fault.
    fn registration(&mut self, on: Timestamp, now: Timestamp) {
        let Some(end) = self.seen.registered_until.filter(|end| *end <= on) else {
            return;
        };
        let day = end.strftime("%Y-%m-%d");
        let (severity, text) = if end <= now {
            let text = format!("the registration of the domain ended on {day}");
            (Severity::Blocks, text)
        } else {
            let text = format!("the registration of the domain ends on {day}, before that day");
            let is_near = end.duration_since(now) <= SignedDuration::from_hours(24 * 30);
            (
                if is_near {
                    Severity::Warns
                } else {
                    Severity::Info
                },
                text,
            )
        };
        let added = self.add(severity, "registration-ends", text);
        added.next = Some("Renew it at its registrar.".to_owned());
    }

    fn method(&mut self, on: Timestamp) {
        let Some(method) = self.seen.proof.as_ref().and_then(|it| it.method.clone()) else {
            return;
        };
        let plain: String = method
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_lowercase())
            .collect();
        let Some((_, what, end)) = ENDING.iter().find(|(word, ..)| plain.contains(word)) else {
            return;
        };
        let day = end.strftime("%Y-%m-%d");
        let (severity, code, text) = if *end <= on {
            let text = format!(
                "it was validated by {what} (`{method}`), which no longer counts from {day} on"
            );
            (Severity::Blocks, "method-ended", text)
        } else {
            let text = format!("it was validated by {what} (`{method}`), which ends on {day}");
            (Severity::Warns, "method-ends", text)
        };
        let added = self.add(severity, code, text);
        added.next = Some("Validate it by DNS: `prevalidate run` does.".to_owned());
    }
}
