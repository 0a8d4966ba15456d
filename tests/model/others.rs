//! Values that a foreign writer writes, and domains that name no provider.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use prevalidate::prevalidation::LedgerState;
use prevalidate::propagation::GateMode;
use prevalidate::store::Store;
use prevalidate_providers::TxtRecord;
use prevalidate_providers::manual::Manual;
use prevalidate_providers::memory::{MemoryProvider, MemoryZones};

use super::world::{SPF_TTL, World};

const MINUTES: SignedDuration = SignedDuration::from_mins(10);

/// A world in which a pipeline writes all zones.
async fn with_a_pipeline(domains: usize) -> World {
    let mut world = World::new(domains).await;
    world.beside.insert(
        "pipeline".to_owned(),
        Arc::new(Manual { zones: Vec::new() }),
    );
    world.provider = Some("pipeline".to_owned());
    world.sync().await;
    world
}

/// The pipeline writes what must be and removes what may go.
async fn deploy(world: &World) {
    for entry in world.store.open_entries(None).await.unwrap() {
        match entry.state {
            LedgerState::Published => {
                world
                    .zones
                    .put(&entry.owner, SPF_TTL, TxtRecord::of(&entry.value))
            }
            LedgerState::Removing => world.zones.take(&entry.owner, &entry.value),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_a_pipeline_writes_is_waited_for_submitted_and_let_go_without_a_person() {
    let mut world = with_a_pipeline(3).await;
    let serials: Vec<_> = world
        .domains
        .iter()
        .map(|domain| world.zones.serial(domain.as_str()))
        .collect();
    world.nights(2).await;
    let open = world.store.open_entries(None).await.unwrap();
    assert!(
        open.len() == 3 && open.iter().all(|entry| entry.is_awaited()),
        "{open:?}"
    );
    assert_eq!(
        (open[0].ttl_before, open[0].negative_ttl),
        (Some(SPF_TTL), Some(300))
    );
    assert!(world.witness.lock().unwrap().go.is_empty());
    let now: Vec<_> = world
        .domains
        .iter()
        .map(|domain| world.zones.serial(domain.as_str()))
        .collect();
    assert_eq!(now, serials, "nothing was written");
    for row in world.rows().await {
        assert_eq!(
            row.upkeep.setback.hold, None,
            "no person is needed: {row:?}"
        );
    }
    let history = world.store_history(0).await;
    assert_eq!(
        history.iter().filter(|kind| *kind == "announced").count(),
        1,
        "{history:?}"
    );

    deploy(&world).await;
    world.nights(1).await;
    assert!(world.all_valid());
    let open = world.store.open_entries(None).await.unwrap();
    assert!(
        open.len() == 3
            && open
                .iter()
                .all(|entry| entry.state == LedgerState::Removing),
        "{open:?}"
    );
    assert!(
        open.iter().all(|entry| entry.removal_tries == 0),
        "it is no failure: {open:?}"
    );
    world.nights(2).await;
    deploy(&world).await;
    world.nights(1).await;
    world.is_clean().await;
    let history = world.store_history(0).await;
    assert_eq!(
        history.iter().filter(|kind| *kind == "may-go").count(),
        1,
        "{history:?}"
    );
}

#[tokio::test]
async fn what_a_pipeline_has_not_written_is_submitted_in_no_mode() {
    for mode in GateMode::ALL {
        let mut world = with_a_pipeline(2).await;
        world.witness.lock().unwrap().mode = mode;
        world.nights(2).await;
        let open = world.store.open_entries(None).await.unwrap();
        assert!(
            open.len() == 2 && open.iter().all(|entry| entry.is_awaited()),
            "{mode:?}: {open:?}"
        );
        assert!(
            world.witness.lock().unwrap().go.is_empty(),
            "{mode:?}: nothing was written"
        );
        deploy(&world).await;
        world.nights(1).await;
        assert!(world.all_valid(), "{mode:?}");
        deploy(&world).await;
        world.nights(2).await;
        world.is_clean().await;
    }
}

#[tokio::test]
async fn a_value_that_a_pipeline_takes_away_too_early_is_waited_for_again() {
    let mut world = with_a_pipeline(1).await;
    world.policy.settle = SignedDuration::from_hours(1);
    world.nights(1).await;
    deploy(&world).await;
    world
        .worker("one")
        .run(SignedDuration::from_mins(1))
        .await
        .unwrap();
    assert_eq!(world.witness.lock().unwrap().go.len(), 1);
    let value = world.store.open_entries(None).await.unwrap().remove(0);
    assert!(!value.is_awaited());
    world.zones.take(&value.owner, &value.value);
    world.clock.advance(SignedDuration::from_hours(2));
    world.worker("two").run(MINUTES).await.unwrap();
    assert!(!world.all_valid() && world.store.open_entries(None).await.unwrap()[0].is_awaited());
    deploy(&world).await;
    world.clock.advance(SignedDuration::from_hours(1));
    world
        .worker("three")
        .run(SignedDuration::from_hours(3))
        .await
        .unwrap();
    assert!(world.all_valid());
    world.check().await;
}

#[tokio::test]
async fn of_two_providers_with_the_zone_the_one_that_is_live_writes_and_removes() {
    let mut world = World::new(2).await;
    let names = |zones: MemoryZones, server: &str| {
        let apexes = ["d0.ch", "d1.ch"];
        apexes.into_iter().fold(zones, |zones, apex| {
            zones.with_name_servers(apex, &[server])
        })
    };
    names(world.zones.clone(), "ns1.live");
    let stale = names(
        MemoryZones::new().with_zone("d0.ch").with_zone("d1.ch"),
        "ns1.stale",
    );
    world.beside.insert(
        "stale".to_owned(),
        Arc::new(MemoryProvider::new(stale.clone())),
    );
    world.beside.insert(
        "other".to_owned(),
        Arc::new(MemoryProvider::new(MemoryZones::new().with_zone("ch.ch"))),
    );
    world.witness.lock().unwrap().live =
        BTreeSet::from(["ns1.live".to_owned(), "ns2.live".to_owned()]);
    world.provider = None;
    world.sync().await;
    world.nights(1).await;
    assert!(world.all_valid());
    world.is_clean().await;
    assert_eq!(
        (stale.calls("ensure_present"), stale.calls("ensure_absent")),
        (0, 0)
    );
    assert_eq!(stale.calls("find_zone"), 2, "once for each domain");

    // The delegation moves to where no provider is: nothing is written, and a person hears of all
    // candidates.
    world.witness.lock().unwrap().live = BTreeSet::from(["ns1.new".to_owned()]);
    world.clock.advance(SignedDuration::from_hours(24 * 180));
    world.nights(1).await;
    let hold = world
        .rows()
        .await
        .remove(0)
        .upkeep
        .setback
        .hold
        .expect("held");
    for words in [
        "stale has d0.ch on ns1.stale",
        "memory has d0.ch on ns1.live",
        "live is the zone d0.ch with ns1.new",
    ] {
        assert!(hold.reason.contains(words), "{}", hold.reason);
    }
    world.is_clean().await;
}
