//! A snapshot says the same as the whole rows do, however many of them are in memory at once.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::ca::ClientSelector;
use crate::overview::views;
use crate::prevalidation::{Mode, Policy, Proof, Registration, Sighting, Status};
use crate::store::sqlite::SqliteStore;
use crate::store::{Origin, Seen, Wanted};
use crate::worker::Target;

fn name(text: &str) -> DomainName {
    DomainName::from_a_labels(text).unwrap()
}

/// Registered, with a proof of this many days ago, or with none.
fn registration(domain: &DomainName, proof_days: Option<i64>, now: Timestamp) -> Registration {
    let validated_at = proof_days.map(|days| now - SignedDuration::from_hours(24 * days));
    Registration {
        reference: format!("cld-{domain}"),
        domain: domain.clone(),
        status: if validated_at.is_some() {
            Status::Valid
        } else {
            Status::Pending
        },
        proof: validated_at.map(|at| {
            Box::new(Proof {
                validated_at: Some(at),
                expires_at: None,
                method: None,
                first_seen: None,
                ends: Default::default(),
            })
        }),
        token: None,
        remembered: false,
        challenge: None,
        order: None,
        is_summary: false,
        last_words: None,
        doubt: None,
    }
}

/// What a row may be: of another client, known to the CA or not, with a proof so old, at rest.
type Kind = (bool, u8, i64, bool);

async fn agree(rows: Vec<(&str, Kind)>, strangers: Vec<&str>) {
    let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let store = SqliteStore::open("sqlite::memory:", None).await.unwrap();
    let targets = [
        Target::new("ca", ClientSelector::Name("one".into())),
        Target::new("ca", ClientSelector::Name("two".into())),
    ];
    for target in &targets {
        let own: Vec<_> = rows
            .iter()
            .filter(|(_, kind)| kind.0 == (target.key == targets[1].key))
            .collect();
        let wanted: Vec<_> = own
            .iter()
            .map(|(domain, _)| Wanted {
                domain: name(domain),
                client: target.key.as_str().into(),
                ca: "ca".into(),
                provider: None,
            })
            .collect();
        store.want(Origin::Config, &wanted, now).await.unwrap();
        let seen: Vec<_> = own
            .iter()
            .map(|(domain, (_, known, days, rests))| Seen {
                key: name(domain).into(),
                changed: Some(Box::new(match known % 3 {
                    0 => Sighting::Absent,
                    1 => Sighting::Present(registration(&name(domain), None, now)),
                    _ => Sighting::Present(registration(&name(domain), Some(*days), now)),
                })),
                due_at: (!rests).then_some(now),
            })
            .collect();
        store.record_listing(&target.key, &seen, now).await.unwrap();
        store
            .set_fact(
                &crate::worker::unmanaged_fact(&target.key),
                &strangers.join(" "),
            )
            .await
            .unwrap();
        // Some cover what is below them, some do no longer.
        let above = strangers.iter().zip([1, -1].iter().cycle());
        let above: Vec<_> = above
            .map(|(name, hours)| format!("{name}={}", now.as_second() + hours * 3600))
            .collect();
        store
            .set_fact(&format!("above/{}", target.key), &above.join(" "))
            .await
            .unwrap();
    }
    let (policy, providers) = (
        Policy::new(Mode::Manage),
        BTreeSet::from(["dns".to_owned()]),
    );
    let basis = Basis {
        targets: &targets,
        providers: &providers,
        policy: &policy,
    };
    let mut texts = Shared::default();
    let all = views(
        &store,
        store.domains().await.unwrap(),
        &basis,
        BTreeMap::new(),
        now,
    )
    .await
    .unwrap();
    let whole: Vec<_> = all
        .iter()
        .cloned()
        .map(|view| format!("{:?}", Entry::of(view, &mut texts)))
        .collect();
    for at_once in [1, 3, 1_000] {
        let snapshot = Snapshot::read_by(|| Pages::sized(&store, at_once), &store, &basis, now)
            .await
            .unwrap();
        let entries: Vec<_> = snapshot
            .entries
            .iter()
            .map(|entry| format!("{entry:?}"))
            .collect();
        assert_eq!(entries, whole, "{at_once} at once");
    }
    for view in all {
        let alone = crate::overview::views_of(&store, &view.domain, &basis, now)
            .await
            .unwrap();
        let own = alone.iter().find(|one| one.client == view.client);
        assert_eq!(format!("{own:?}"), format!("{:?}", Some(&view)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_snapshot_says_what_the_rows_say(
        rows in prop::collection::btree_map(
            prop::sample::select(vec!["a.ch", "b.a.ch", "c.b.a.ch", "d.c.b.a.ch", "e.a.ch", "f.ch", "g.f.ch", "h.ch", "i.h.ch"]),
            (prop::bool::weighted(0.2), any::<u8>(), prop::sample::select(vec![10_i64, 150, 195, 300]), any::<bool>()),
            0..9,
        ),
        strangers in prop::sample::subsequence(vec!["a.ch", "f.ch", "h.ch", "z.ch"], 0..=4),
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(agree(rows.into_iter().collect(), strangers));
    }
}
