//! What a domain waits for between publishing and proof: told, kept, and never ended by a time-out.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use prevalidate::clock::Clock;
use prevalidate::prevalidation::{Effect, Lateness, Upkeep};
use prevalidate::propagation::GateMode;
use prevalidate::store::{Claim, Store, Write};
use prevalidate::worker::Outcome;
use prevalidate_providers::memory::MemoryFault;

use super::ca::Way;
use super::world::World;

/// Works until nothing is due before `span` is over, jumping from one due moment to the next, as a
/// run that stays would.
async fn work(world: &mut World, span: SignedDuration) {
    let until = world.clock.now() + span;
    let worker = world.worker("work");
    loop {
        match worker.step().await.unwrap() {
            Outcome::Idle { next } => match next.filter(|&next| next <= until) {
                Some(next) => world.clock.set(next.max(world.clock.now())),
                None => break,
            },
            Outcome::Listed | Outcome::Worked(_) => {}
        }
        world.check().await;
    }
    world.clock.set(until);
}

/// One domain whose secondary does not get what is written.
async fn one_stale() -> World {
    let world = World::new(1).await;
    world
        .witness
        .lock()
        .unwrap()
        .stale
        .insert("d0.ch".to_owned(), Vec::new());
    world
}

async fn upkeep(world: &World) -> Upkeep {
    world.rows().await.remove(0).upkeep
}

/// The seconds from the first pass of the gate until no cache can remember the time before.
fn horizon(seen: &Upkeep) -> i64 {
    let visibility = &seen.attempt.visibility;
    let horizon = visibility.horizon_at.unwrap();
    horizon
        .duration_since(visibility.visible_at.unwrap())
        .as_secs()
}

async fn told(world: &World, kind: &str) -> Vec<String> {
    let events = world.store.history(&world.domains[0]).await.unwrap();
    events
        .into_iter()
        .filter(|event| event.kind == kind)
        .map(|event| event.detail)
        .collect()
}

fn has_value(world: &World) -> bool {
    world
        .zones
        .values("d0.ch")
        .iter()
        .any(|value| value.starts_with(b"swiss-pki="))
}

/// Minutes from the first sight of the value to each `validate`.
async fn submissions(world: &World) -> Vec<i64> {
    let visible = upkeep(world).await.attempt.visibility.visible_at.unwrap();
    let state = world.ca.state.lock().unwrap();
    let validates = state
        .calls
        .iter()
        .filter(|call| call.effect == Effect::Validate);
    validates
        .map(|call| call.at.duration_since(visible).as_mins())
        .collect()
}

#[tokio::test]
async fn a_run_does_not_wait_for_what_only_another_configuration_can_mend() {
    let mut world = World::new(1).await;
    world.witness.lock().unwrap().lasting = true;
    let begun = world.clock.now();
    let worker = world.worker("night");
    worker.run(SignedDuration::from_mins(30)).await.unwrap();
    world.check().await;
    let waited = world.clock.now().duration_since(begun);
    assert!(waited < SignedDuration::from_secs(30), "{waited}");
    let rows = world.rows().await;
    let setback = &rows[0].upkeep.setback;
    let hold = setback.hold.as_ref().expect("a person is asked");
    assert!(hold.reason.contains("redirected"), "{}", hold.reason);

    world.witness.lock().unwrap().lasting = false;
    world.clock.advance(SignedDuration::from_hours(7));
    world.nights(1).await;
    assert!(world.all_valid());
}

#[tokio::test]
async fn a_wait_is_told_once_then_once_as_late_and_once_as_overdue() {
    let mut world = one_stale().await;
    let published: Timestamp = world.clock.now();
    work(&mut world, SignedDuration::from_mins(59)).await;
    let seen = upkeep(&world).await;
    assert_eq!(
        (seen.wait.since, seen.wait.subject.as_deref()),
        (Some(published), Some("ns2 (stale)"))
    );
    let waiting = told(&world, "waiting").await;
    assert_eq!(
        waiting.len(),
        1,
        "one story, however often it is checked: {waiting:?}"
    );
    for words in [
        "waits for ns2 (stale) since 02:00 UTC",
        "late from 03:00",
        "the token lives until 2026-12-22",
    ] {
        assert!(waiting[0].contains(words), "{words}: {waiting:?}");
    }
    assert_eq!(seen.wait.told, Lateness::InTime);
    work(&mut world, SignedDuration::from_hours(25)).await;
    for kind in ["late", "overdue"] {
        assert_eq!(told(&world, kind).await.len(), 1, "{kind}");
    }
    assert!(
        has_value(&world),
        "no record is removed because of a time-out"
    );
    // A new token at the end of the old one's life does not make it early again.
    work(&mut world, SignedDuration::from_hours(24 * 26)).await;
    let state = world
        .ca
        .state
        .lock()
        .unwrap()
        .calls
        .iter()
        .filter(|c| c.effect == Effect::ResetToken)
        .count();
    assert_eq!(
        (state, upkeep(&world).await.wait.since, has_value(&world)),
        (1, Some(published), true)
    );
    assert_eq!(told(&world, "overdue").await.len(), 1);

    world.witness.lock().unwrap().stale.clear();
    work(&mut world, SignedDuration::from_hours(1)).await;
    assert!(world.all_valid());
    assert_eq!(upkeep(&world).await.wait.since, None);
    let visible = told(&world, "visible").await;
    assert!(
        visible[0].contains("ns3 gave no answer"),
        "what is tolerable is reported all the same: {visible:?}"
    );
    world.is_clean().await;
}

#[tokio::test]
async fn the_ca_is_asked_by_the_schedule_until_no_cache_can_remember_and_on_after_that() {
    let mut world = World::new(1).await;
    world.ca.set(|state| state.behaviour.sees_nothing = true);
    // SPF is there with an hour to live; four would be the horizon of another zone.
    work(&mut world, SignedDuration::from_hours(21)).await;
    assert_eq!(
        submissions(&world).await,
        [1, 6, 16, 61, 121, 481, 841, 1_201]
    );
    let seen = upkeep(&world).await;
    let subject = seen.wait.subject.as_deref().unwrap();
    let is_named = subject.starts_with("the CA (does not see it yet");
    assert!(is_named, "the CA is named");
    assert_eq!(horizon(&seen), 3_600, "the old RRset's TTL");
    world.ca.set(|state| state.behaviour.sees_nothing = false);
    work(&mut world, SignedDuration::from_hours(6)).await;
    assert!(world.all_valid());
}

#[tokio::test]
async fn a_random_value_that_the_ca_forgot_is_replaced_once_and_at_once() {
    let first = "swiss-pki=model00000000000000000001";
    let mut world = World::new(1).await;
    world
        .ca
        .set(|state| state.behaviour.forgot = Some(first.to_owned()));
    work(&mut world, SignedDuration::from_mins(10)).await;
    assert!(world.all_valid());
    let visible = told(&world, "visible").await;
    assert!(
        visible[0].contains("the CA is asked at 02:01:00 UTC, after `settle` of 60 s"),
        "{visible:?}"
    );
    assert_eq!(told(&world, "ordered").await.len(), 1);
    assert_eq!(told(&world, "reset").await.len(), 1);
    world.is_clean().await;

    // One that takes no value at all gets no series of them.
    let mut world = World::new(1).await;
    world
        .ca
        .set(|state| state.behaviour.forgot = Some("*".to_owned()));
    work(&mut world, SignedDuration::from_hours(20)).await;
    assert_eq!(told(&world, "reset").await.len(), 1);
}

#[tokio::test]
async fn a_lost_answer_to_the_write_loses_no_horizon() {
    let mut world = World::new(1).await;
    world.zones.fail_next(MemoryFault::LoseAnswer);
    world.ca.set(|state| state.behaviour.sees_nothing = true);
    work(&mut world, SignedDuration::from_mins(10)).await;
    let seen = upkeep(&world).await;
    assert_eq!(horizon(&seen), 3_600);
}

#[tokio::test]
async fn our_value_is_not_counted_among_the_others_after_a_lost_answer() {
    let mut world = World::new(1).await;
    world.zones.fail_next(MemoryFault::LoseAnswer);
    world.ca.set(|state| state.behaviour.sees_nothing = true);
    work(&mut world, SignedDuration::from_mins(10)).await;
    let events = world.store.history(&world.domains[0]).await.unwrap();
    let said = events.iter().find(|event| event.kind == "published");
    let said = &said.unwrap().detail;
    assert!(said.ends_with("beside 1 other value"), "{said}");
}

#[tokio::test]
async fn a_resolver_that_remembers_moves_the_next_call() {
    let mut world = World::new(1).await;
    world.ca.set(|state| state.behaviour.sees_nothing = true);
    let forgets = world.clock.now() + SignedDuration::from_mins(40);
    world.witness.lock().unwrap().cached_until = Some(forgets);
    work(&mut world, SignedDuration::from_mins(59)).await;
    assert_eq!(
        submissions(&world).await,
        [1, 40],
        "not at 6 and 16 minutes, for nothing"
    );
}

#[tokio::test]
async fn a_call_that_the_ca_did_not_process_does_not_use_up_the_schedule() {
    let mut world = World::new(1).await;
    world.ca.set(|state| state.behaviour.sees_nothing = true);
    work(&mut world, SignedDuration::from_secs(30)).await;
    // Out of order at the first two calls, and back.
    world.ca.set(|state| {
        state
            .ways
            .extend([Way::Unavailable, Way::Throttled, Way::Clear])
    });
    work(&mut world, SignedDuration::from_mins(59)).await;
    assert_eq!(
        submissions(&world).await,
        [1, 3, 4, 9],
        "the budget of an hour counts all, and the registration"
    );
    assert_eq!(
        upkeep(&world).await.attempt.submission.tries,
        2,
        "the schedule counts those that it answered"
    );
}

#[tokio::test]
async fn a_zone_that_turns_bogus_is_told_and_the_ca_is_not_asked() {
    let mut world = World::new(1).await;
    let fault = "the signature of ns1 has expired";
    world
        .witness
        .lock()
        .unwrap()
        .bogus
        .insert("d0.ch".to_owned(), fault.to_owned());
    work(&mut world, SignedDuration::from_mins(30)).await;
    let seen = upkeep(&world).await;
    assert_eq!(seen.wait.bogus.unwrap().fault, fault);
    assert_eq!(told(&world, "bogus").await.len(), 1);
    assert!(seen.wait.subject.unwrap().contains(fault));
    assert!(
        world
            .ca
            .state
            .lock()
            .unwrap()
            .calls
            .iter()
            .all(|call| call.effect == Effect::Register)
    );
    assert!(has_value(&world), "taking it out is for a person to order");
    world.witness.lock().unwrap().deaf = true;
    work(&mut world, SignedDuration::from_mins(30)).await;
    assert!(
        told(&world, "signed-well").await.is_empty(),
        "a check that reaches no server knows nothing of signatures"
    );
    assert!(upkeep(&world).await.wait.bogus.is_some());
    world.witness.lock().unwrap().deaf = false;
    world.witness.lock().unwrap().bogus.clear();
    work(&mut world, SignedDuration::from_mins(30)).await;
    assert_eq!(told(&world, "signed-well").await.len(), 1);
    assert!(world.all_valid());
}

/// What `prevalidate withdraw` writes.
async fn withdraw(world: &World) {
    let now = world.clock.now();
    world
        .witness
        .lock()
        .unwrap()
        .withdrawn
        .extend(world.domains.clone());
    world.store.wake(&world.keys(), now).await.unwrap();
    let lease = SignedDuration::from_secs(30);
    let claim = Claim {
        holder: "hand",
        now,
        lease,
        limit: 9,
        only: None,
        except_clients: &[],
    };
    for lease in world.store.claim(&claim).await.unwrap() {
        let write = Write {
            upkeep: Upkeep {
                withdrawn_at: Some(now),
                ..lease.row.upkeep
            },
            fence: lease.fence,
            sighting: None,
            due_at: Some(now),
            at_risk: None,
            ledger: Vec::new(),
            events: Vec::new(),
            effect: None,
            release: true,
        };
        world
            .store
            .commit(&[write])
            .await
            .unwrap()
            .remove(0)
            .unwrap();
    }
}

#[tokio::test]
async fn a_withdrawn_value_stays_out_until_a_person_resumes_the_domain() {
    let mut world = one_stale().await;
    work(&mut world, SignedDuration::from_mins(5)).await;
    assert!(has_value(&world));
    withdraw(&world).await;
    work(&mut world, SignedDuration::from_mins(1)).await;
    assert!(!has_value(&world));
    world.is_clean().await;
    // Days pass, the name servers are well again, the token dies: nothing of it brings the value
    // back.
    world.witness.lock().unwrap().stale.clear();
    world.nights(32).await;
    world.no_domain_is_forgotten().await;
    assert!(!has_value(&world));
    let seen = upkeep(&world).await;
    let reason = seen.setback.hold.unwrap().reason;
    assert!(reason.contains("withdrawn by hand"));
    assert_eq!(seen.wait.since, None, "nothing is there to be seen");
    let effects: Vec<_> = world
        .ca
        .state
        .lock()
        .unwrap()
        .calls
        .iter()
        .map(|call| call.effect)
        .collect();
    assert_eq!(effects, [Effect::Register]);

    world.witness.lock().unwrap().withdrawn.clear();
    world
        .store
        .wake(&world.keys(), world.clock.now())
        .await
        .unwrap();
    let worker = world.afresh();
    worker.run(SignedDuration::from_mins(10)).await.unwrap();
    assert!(world.all_valid());
    world.is_clean().await;
}

#[tokio::test]
async fn in_mode_provider_the_providers_word_opens_the_gate_and_its_silence_is_told() {
    let mut world = World::new(3).await;
    {
        let mut witness = world.witness.lock().unwrap();
        (witness.mode, witness.in_sync) = (GateMode::Provider, Some(BTreeSet::new()));
    }
    work(&mut world, SignedDuration::from_secs(1)).await;
    let seen = upkeep(&world).await;
    let change = seen.attempt.visibility.change_id.clone().unwrap();
    assert!(seen.attempt.visibility.visible_at.is_none());
    assert_eq!(
        seen.wait.subject.as_deref(),
        Some("the provider's name servers to be in sync")
    );
    let asked = world.witness.lock().unwrap().asked.clone();
    assert_eq!(
        asked.len(),
        asked.iter().collect::<BTreeSet<_>>().len(),
        "once per change and round: {asked:?}"
    );

    world.witness.lock().unwrap().in_sync = None;
    work(&mut world, SignedDuration::from_secs(30)).await;
    let seen = upkeep(&world).await;
    assert!(
        seen.attempt.visibility.visible_at.is_none(),
        "a person who cannot be asked has not said yes"
    );
    assert!(
        seen.setback
            .last_error
            .unwrap()
            .contains("the provider could not be asked: no answer")
    );

    world.witness.lock().unwrap().in_sync = Some([change].into());
    work(&mut world, SignedDuration::from_mins(30)).await;
    assert!(world.all_valid());
    world.is_clean().await;
}

#[tokio::test]
async fn in_mode_provider_a_lost_answer_to_the_write_is_no_reason_to_wait_for_ever() {
    let mut world = World::new(1).await;
    {
        let mut witness = world.witness.lock().unwrap();
        (witness.mode, witness.in_sync) = (GateMode::Provider, Some(BTreeSet::new()));
    }
    world.zones.fail_next(MemoryFault::LoseAnswer);
    work(&mut world, SignedDuration::from_mins(30)).await;
    assert!(
        world.witness.lock().unwrap().asked.is_empty(),
        "the change has no name to ask for"
    );
    assert!(world.all_valid());
    world.is_clean().await;
}

#[tokio::test]
async fn a_withdrawn_domain_that_the_ca_proves_all_the_same_is_not_taken_up_at_its_renewal() {
    let mut world = one_stale().await;
    work(&mut world, SignedDuration::from_mins(5)).await;
    withdraw(&world).await;
    work(&mut world, SignedDuration::from_mins(1)).await;
    assert!(!has_value(&world));
    // A person asks the CA to check while the value is in a cache, or writes it by other means.
    let now = world.clock.now();
    world.ca.set(|state| {
        let entry = state.entries.values_mut().next().unwrap();
        (entry.proof, entry.validated_at) = (true, Some(now));
    });
    world.witness.lock().unwrap().stale.clear();
    world.nights(250).await;
    assert!(
        !has_value(&world),
        "the renewal is due, and only a person takes the domain up"
    );
    let seen = upkeep(&world).await;
    let reason = seen.setback.hold.unwrap().reason;
    assert!(seen.withdrawn_at.is_some() && reason.contains("withdrawn by hand"));
}

#[tokio::test]
async fn a_check_counts_from_its_own_end_not_from_the_slowest_ones() {
    let mut world = World::new(2).await;
    world
        .witness
        .lock()
        .unwrap()
        .slow
        .insert("d1.ch".to_owned(), SignedDuration::from_secs(90));
    // The CA is asked within a minute of a good check, or not at all: that is checked after each
    // step.
    work(&mut world, SignedDuration::from_hours(1)).await;
    assert!(world.all_valid());
}
