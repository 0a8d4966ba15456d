//! Persistent records that will not count on the day.

use jiff::Timestamp;

use super::judge::Judged;
use crate::overview::persistent::{PersistentState, PersistentView};
use crate::persistent::{End, Wanted};
use crate::propagation::finding::Severity;

/// What a person must do about persistent records before `on`. One that rolls is replaced by
/// itself.
pub(super) fn persistent(
    views: &[PersistentView],
    wanted: &[Wanted],
    on: Timestamp,
) -> Vec<Judged> {
    let mut found = Vec::new();
    for view in views {
        let is_one = |one: &&Wanted| one.domain == view.domain && one.issuer == view.issuer;
        let Some(one) = wanted.iter().find(is_one) else {
            continue;
        };
        if view.state == PersistentState::Withdrawn {
            continue;
        }
        let mut add = |severity, code, text: String, next: &str| {
            found.push(Judged {
                next: Some(next.to_owned()),
                ..Judged::new(severity, code, &view.domain, &view.issuer, text)
            });
        };
        if let End::Fixed(until) = one.end
            && until < on
        {
            let text = format!(
                "its persistent record at {} ends on {until:.0}",
                view.issuer
            );
            let next = "write a later `until` in [[persistent]], or a length of time";
            add(Severity::Blocks, "persistent-ends", text, next);
        } else if view.needs_attention() {
            let (state, reason) = (view.state.as_str(), &view.reason);
            let text = format!(
                "its persistent record at {} is {state}: {reason}",
                view.issuer
            );
            let next = "`prevalidate persistent list` shows its state";
            add(Severity::Warns, "persistent-trouble", text, next);
        } else if let Some(since) = view.on_its_way_since {
            let (issuer, reason) = (&view.issuer, &view.reason);
            let text = format!(
                "its persistent record at {issuer} has been on its way since {since:.0}: {reason}"
            );
            let next = "nothing, unless it is not visible an hour after that";
            add(Severity::Info, "persistent-on-its-way", text, next);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::SignedDuration;

    use super::*;
    use crate::overview::persistent::views;
    use crate::prevalidation::DomainName;

    #[test]
    fn a_fixed_end_before_the_day_stops_certificates_and_one_that_rolls_does_not() {
        let now: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let on: Timestamp = "2027-03-15T00:00:00Z".parse().unwrap();
        let day = SignedDuration::from_hours(24);
        let rolling = End::Rolling {
            life: day * 30,
            replace_before: day * 10,
        };
        for (end, code) in [
            (
                End::Fixed("2027-03-14T23:59:59Z".parse().unwrap()),
                Some("persistent-ends"),
            ),
            (End::Fixed(on), None),
            (rolling, None),
        ] {
            let wanted = [Wanted {
                domain: DomainName::from_a_labels("a.ch").unwrap(),
                issuer: "ca.example".into(),
                account: "https://ca.example/1".into(),
                end,
                wildcard: false,
                provider: None,
                canary: SignedDuration::ZERO,
                is_canary: true,
            }];
            let found = persistent(&views(&wanted, &[], now), &wanted, on);
            assert_eq!(found.first().map(|one| one.code), code, "{end:?}");
        }
    }
}
