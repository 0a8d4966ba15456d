//! What the domains come to, one after another.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{CheckArgs, Word};
use crate::output::{cause, moment};
use crate::overview::DomainView;
use crate::overview::danger::Danger;
use crate::prevalidation::{DomainName, Policy};
use crate::store::KEPT_DAYS;

/// No step is planned further ahead: no proof counts for longer.
const FARTHEST: SignedDuration = SignedDuration::from_hours(24 * KEPT_DAYS);

/// The proof that ends first.
pub(super) struct Soonest {
    pub(super) end: Timestamp,
    pub(super) made: Option<Timestamp>,
    pub(super) domain: DomainName,
}

pub(super) struct Tally<'a> {
    args: &'a CheckArgs,
    policy: &'a Policy,
    now: Timestamp,
    pub(super) wanted: usize,
    pub(super) valid: usize,
    /// The proof that ends first.
    pub(super) soonest: Option<Soonest>,
    pub(super) findings: Vec<(Word, String)>,
    pub(super) clients: BTreeSet<String>,
    /// What is planned for a day that no rule could have put it to: the first, its day, and how
    /// many.
    far: Option<(DomainName, Timestamp, usize)>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(args: &'a CheckArgs, policy: &'a Policy, now: Timestamp) -> Self {
        Self {
            args,
            policy,
            now,
            wanted: 0,
            valid: 0,
            soonest: None,
            findings: Vec::new(),
            clients: BTreeSet::new(),
            far: None,
        }
    }

    /// One wanted domain.
    pub(super) fn take(&mut self, view: &DomainView) {
        self.wanted += 1;
        if !self.clients.contains(&view.client) {
            self.clients.insert(view.client.clone());
        }
        self.valid += usize::from(view.usable_until().is_some() || view.with_margin);
        if let Some(end) = view.usable_until()
            && self.soonest.as_ref().is_none_or(|first| end < first.end)
        {
            self.soonest = Some(Soonest {
                end,
                made: view.made_at(),
                domain: view.domain.clone(),
            });
        }
        if let Some(due) = view.due_at.filter(|&due| due < Timestamp::MAX)
            && due.duration_since(self.now) > FARTHEST
        {
            let far = self
                .far
                .get_or_insert_with(|| (view.domain.clone(), due, 0));
            far.2 += 1;
        }
        self.judge(view);
    }

    /// Below what a proof that ends then is a warning, and critical.
    pub(super) fn margins(
        &self,
        end: Timestamp,
        made: Option<Timestamp>,
    ) -> (SignedDuration, SignedDuration) {
        let (args, policy) = (self.args, self.policy);
        let warning = args.warning;
        let warning = warning.unwrap_or_else(|| policy.warning_margin(end, made));
        let critical = args.critical;
        let critical = critical.unwrap_or_else(|| policy.critical_margin(end, made));
        (warning, critical)
    }

    fn judge(&mut self, view: &DomainView) {
        if let Some(bogus) = &view.bogus {
            let name = view.domain.both_forms();
            let fault = cause(&bogus.fault, self.now);
            let text = format!("{name}: resolvers refuse its zone: {fault}");
            self.findings.insert(0, (Word::Critical, text));
        }
        let danger = match view.usable_until() {
            Some(end) => {
                let margins = self.margins(end, view.made_at());
                danger_within(end.duration_since(self.now), margins)
            }
            None => view.danger,
        };
        let found = view.finding(danger, self.now);
        self.findings
            .extend(found.map(|(gravity, text)| (gravity.into(), text)));
    }

    /// The finding about what a wrong clock has put off.
    pub(super) fn put_off(&self) -> Option<(Word, String)> {
        let (first, due, count) = self.far.as_ref()?;
        let more = match count {
            1 => String::new(),
            more => format!(" and {} more", more - 1),
        };
        let finding = format!(
            "{}{more}: the next step is at {}, which a wrong clock has put there; the next listing of the CA repairs it",
            first.both_forms(),
            moment(*due)
        );
        Some((Word::Warning, finding))
    }
}

/// The danger of a proof with so much left, by margins that may be those of the command line.
fn danger_within(
    left: SignedDuration,
    (warning, critical): (SignedDuration, SignedDuration),
) -> Danger {
    match () {
        () if left <= critical => Danger::Critical,
        () if left <= warning => Danger::Warning,
        () => Danger::None,
    }
}
