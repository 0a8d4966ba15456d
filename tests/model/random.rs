//! Random histories of two workers, meddling people and a failing world, by seed. `MODEL_SEED`
//! repeats one, `MODEL_CASES` asks for more.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use prevalidate::clock::Clock;
use prevalidate::prevalidation::Effect;
use prevalidate::store::Store;
use prevalidate::worker::{Outcome, Worker};
use prevalidate_providers::TxtRecord;
use prevalidate_providers::memory::MemoryFault;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::ca::{ModelCa, Way};
use super::crash::Side;
use super::shape::Shape;
use super::world::World;

const CASES: u64 = 300;
const STEPS: usize = 80;

/// What must have happened somewhere in a campaign, or it tested nothing.
type Coverage = BTreeMap<&'static str, usize>;

#[tokio::test]
async fn random_histories_of_two_workers_keep_the_invariants() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seeds = match number("MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MODEL_CASES").unwrap_or(CASES),
    };
    let mut coverage = Coverage::new();
    let whole = seeds.end - seeds.start > 1;
    for seed in seeds {
        let told = Told(seed);
        let mut world = world_of(seed).await;
        // In some of them the second client's zones are written through a section of its own.
        world.two_sections = seed % 24 >= 12;
        world.sync().await;
        history(world, seed, &mut coverage).await;
        std::mem::forget(told);
    }
    for must in [
        "crash",
        "freeze",
        "answer lost",
        "validated",
        "reset",
        "vanished",
        "another TTL",
        "unwanted",
        "deleted at the CA",
        "begun again in the portal",
        "needed at another client",
        "waited for its turn",
    ] {
        assert!(
            !whole || coverage.get(must).copied().unwrap_or(0) > 0,
            "never happened: {must}; {coverage:?}"
        );
    }
}

/// Every third world has a CA that carries orders out by itself; in every second one the domains
/// are at two clients.
async fn world_of(seed: u64) -> World {
    match seed % 12 {
        0 | 4 | 6 => World::new(3).await,
        2 | 8 => World::by_orders(3).await,
        1 => World::of_two_kinds(2, Shape::OwnLabel).await,
        7 => World::of_two_kinds(2, Shape::OneLabel).await,
        3 => World::at_two_cas(2, false).await,
        9 => World::at_two_cas(2, true).await,
        5 => World::at_two_cas_by_orders(2, Shape::OwnLabel, true).await,
        11 => World::at_two_cas_by_orders(2, Shape::OneLabel, false).await,
        _ => World::at_two_cas_by_orders(2, Shape::OneLabel, true).await,
    }
}

/// Names the seed when a history fails.
pub struct Told(pub u64);

impl Drop for Told {
    fn drop(&mut self) {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "repeat it with MODEL_SEED={}", self.0);
    }
}

async fn history(mut world: World, seed: u64, coverage: &mut Coverage) {
    let mut rng = StdRng::seed_from_u64(seed);
    world.compares_five = seed.is_multiple_of(3);
    let may_freeze = rng.random_bool(0.3);
    for (ca, _) in world.cas() {
        ca.set(|state| {
            state.behaviour.reset_keeps_proof = rng.random_bool(0.5);
            state.behaviour.unseen_is_an_error = rng.random_bool(0.5);
            state.behaviour.duplicates = !may_freeze && rng.random_bool(0.5);
        });
    }
    let mut workers = [world.worker("w0"), world.worker("w1")];
    let mut hit = |what: &'static str| *coverage.entry(what).or_default() += 1;
    for _ in 0..STEPS {
        let who = rng.random_range(0..2);
        match rng.random_range(0..100) {
            0..52 => step(&world, &mut workers, who).await,
            52..66 => {
                let seconds = *[1, 20, 61, 300, 3_600, 86_400, 20 * 86_400]
                    .choose(&mut rng)
                    .unwrap();
                world.clock.advance(SignedDuration::from_secs(seconds));
            }
            66..74 => {
                let side = *[Side::Before, Side::After].choose(&mut rng).unwrap();
                world.fuse.set(Some((rng.random_range(0..6), side)));
                step(&world, &mut workers, who).await;
                world.fuse.set(None);
                hit("crash");
            }
            74..77 if may_freeze => {
                world.thawed = true;
                freeze(&world, &mut workers, who, rng.random_range(0..6)).await;
                hit("freeze");
            }
            77..82 => {
                let way = *[
                    Way::RequestLost,
                    Way::AnswerLost,
                    Way::Unavailable,
                    Way::Throttled,
                ]
                .choose(&mut rng)
                .unwrap();
                one_of(&world, &mut rng).set(|state| state.ways.push(way));
                if way == Way::AnswerLost {
                    hit("answer lost");
                }
            }
            82..86 => {
                let fault = *[
                    MemoryFault::LoseAnswer,
                    MemoryFault::LoseRequest,
                    MemoryFault::Refuse,
                    MemoryFault::Unavailable,
                ]
                .choose(&mut rng)
                .unwrap();
                world.zones.fail_next(fault);
            }
            86..96 => meddle(&mut world, &mut rng, &mut hit).await,
            // A new night: fresh processes list again.
            _ => workers = [world.worker("w0"), world.worker("w1")],
        }
        world.check().await;
    }
    settle(&mut world, &mut hit).await;
}

async fn step(world: &World, workers: &mut [Worker; 2], who: usize) {
    match world.step(&workers[who]).await {
        None => workers[who] = world.worker(["w0", "w1"][who]),
        Some(Outcome::Idle { next: Some(next) }) if next > world.clock.now() => {
            // What is not waited for never comes: the next due moment, if it is near.
            if next.duration_since(world.clock.now()) <= SignedDuration::from_hours(1) {
                world.clock.set(next);
            }
        }
        Some(_) => {}
    }
}

/// One of the CAs.
fn one_of(world: &World, rng: &mut StdRng) -> ModelCa {
    let mut cas = world.cas();
    let place = rng.random_range(0..cas.len());
    cas.swap_remove(place).0
}

/// A worker stops before an effect; the other works on past its lease; then it wakes.
async fn freeze(world: &World, workers: &mut [Worker; 2], who: usize, effect: usize) {
    world.fuse.set(Some((effect, Side::FrozenBefore)));
    let sleeper = std::mem::replace(&mut workers[who], world.worker("sleeper"));
    let mut asleep = Box::pin(sleeper.step());
    let meanwhile = async {
        world.fuse.blown.notified().await;
        world.fuse.set(None);
        world.clock.advance(SignedDuration::from_mins(6));
        let other = world.worker("other");
        for _ in 0..4 {
            let _ = other.step().await.unwrap();
        }
        world.fuse.resume.notify_one();
    };
    // Only the one effect sleeps: what else the step has under way continues, as threads of a
    // process would.
    tokio::select! {
        biased;
        outcome = &mut asleep => { let _ = outcome.unwrap(); }
        () = meanwhile => { let _ = asleep.await.unwrap(); }
    }
    world.fuse.set(None);
}

async fn meddle(world: &mut World, rng: &mut StdRng, hit: &mut impl FnMut(&'static str)) {
    let domain = world.domains.choose(rng).unwrap().clone();
    let owner = domain.as_str();
    match rng.random_range(0..10) {
        0 => {
            let value = format!("site-verification={}", rng.random_range(0..1000));
            world
                .zones
                .put(owner, world.ttls[&domain], TxtRecord::of(&value));
            let foreign = world.foreign.get_mut(&domain).unwrap();
            if !foreign.contains(&value) {
                foreign.push(value);
            }
        }
        1 => {
            // A person tidies up unknown records.
            for value in world.zones.values(owner) {
                let value = String::from_utf8(value).unwrap();
                if value.starts_with("swiss-pki=model") {
                    world.zones.take(owner, &value);
                    hit("vanished");
                }
            }
            for (owner, _) in world.cnames_below(&domain) {
                world.zones.take_cname(&owner);
                hit("vanished");
            }
        }
        2 => {
            let values = world.zones.values(owner);
            let mut witness = world.witness.lock().unwrap();
            witness.stale.insert(owner.to_owned(), values);
            let one_label = format!("_dnsauth.{domain}");
            let target = world.zones.cname(&one_label).map(String::into_bytes);
            witness
                .stale
                .insert(one_label, target.into_iter().collect());
        }
        3 | 4 => {
            let mut witness = world.witness.lock().unwrap();
            witness.stale.remove(owner);
            witness.stale.remove(&format!("_dnsauth.{domain}"));
        }
        5 => {
            one_of(world, rng).set(|state| state.entries.retain(|_, entry| entry.domain != domain));
            hit("deleted at the CA");
        }
        8 => {
            // A colleague begins the validation again: the random value that is there dies.
            one_of(world, rng).begin_anew(&domain);
            hit("begun again in the portal");
        }
        6 => {
            // A foreign writer gives all values at the name another TTL, ours among them.
            let ttl = *[30, 300, 86_400].choose(rng).unwrap();
            let value = TxtRecord::of(&world.foreign[&domain][0]);
            world.zones.put(owner, ttl, value);
            world.ttls.insert(domain, ttl);
            hit("another TTL");
        }
        7 => {
            world.witness.lock().unwrap().desired.remove(&domain);
            world.sync().await;
            hit("unwanted");
        }
        _ => {
            world.witness.lock().unwrap().desired.insert(domain);
            world.sync().await;
        }
    }
}

/// The faults end: in bounded time everything wanted is valid and every zone as if we had never
/// been there.
async fn settle(world: &mut World, hit: &mut impl FnMut(&'static str)) {
    for (ca, _) in world.cas() {
        ca.set(|state| state.ways.clear());
    }
    world.zones.heal();
    world.witness.lock().unwrap().stale.clear();
    let all = world.domains.clone();
    world.witness.lock().unwrap().desired.extend(all);
    world.sync().await;
    world.no_domain_is_forgotten().await;
    for night in 0.. {
        // A colleague deleted entries on purpose: after the first night a person has decided, and
        // forces the run.
        let worker = if night > 0 {
            world.forced()
        } else {
            world.worker("night")
        };
        worker.run(SignedDuration::from_mins(10)).await.unwrap();
        world.check().await;
        let open = world.open_values().await;
        if world.all_valid() && open == 0 {
            break;
        }
        assert!(night < 6, "not settled: {:#?}", world.rows().await);
        world.clock.advance(SignedDuration::from_hours(7));
    }
    world.is_clean().await;
    for (ca, _) in world.cas() {
        for call in &ca.state.lock().unwrap().calls {
            match call.effect {
                Effect::Validate if call.valid_after => hit("validated"),
                Effect::ResetToken => hit("reset"),
                _ => {}
            }
        }
    }
    for domain in &world.domains {
        for event in world.store.history(domain).await.unwrap() {
            if event.kind == "needed" {
                hit("needed at another client");
            }
            if event.detail.contains("its turn comes first") {
                hit("waited for its turn");
            }
        }
    }
}
