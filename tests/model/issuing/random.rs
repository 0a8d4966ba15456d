//! Random histories of one certificate, by seed: deaths, lost answers, a CA that waits, refuses and
//! rejects, people who order by hand. `MODEL_SEED` repeats one, `MODEL_CASES` asks for more.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use prevalidate::ca::Failure;
use prevalidate::ca::in_memory::{Verb, Way};
use prevalidate::issuance::{OrderState, RevocationReason};
use prevalidate::worker::issue::ByHand;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::super::crash::Side;
use super::World;

const CASES: u64 = 40;
const STEPS: usize = 24;

/// What must have happened somewhere in a campaign, or it tested nothing.
type Coverage = BTreeMap<&'static str, usize>;

#[tokio::test]
async fn random_histories_of_orders_keep_the_invariants() {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        text.parse::<u64>().ok()
    };
    let seeds = match number("MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("MODEL_CASES").unwrap_or(CASES),
    };
    let whole = seeds.end - seeds.start > 1;
    let mut coverage = Coverage::new();
    for seed in seeds {
        let told = super::super::random::Told(seed);
        history(seed, &mut coverage).await;
        std::mem::forget(told);
    }
    for must in [
        "died",
        "renewed",
        "held",
        "rejected",
        "found",
        "ordered by hand",
        "revoked",
    ] {
        let count = coverage.get(must).copied().unwrap_or(0);
        assert!(!whole || count > 0, "never happened: {must}; {coverage:?}");
    }
}

async fn history(seed: u64, coverage: &mut Coverage) {
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::new().await;
    let mut hit = |what: &'static str| *coverage.entry(what).or_default() += 1;
    for _ in 0..STEPS {
        match rng.random_range(0..100) {
            0..45 => drop(run(&world, &mut rng).await),
            45..60 => {
                let seconds = *[1, 20, 61, 3_600, 86_400, 40 * 86_400]
                    .choose(&mut rng)
                    .unwrap();
                world.clock.advance(SignedDuration::from_secs(seconds));
            }
            60..72 => {
                let side = *[Side::Before, Side::After].choose(&mut rng).unwrap();
                world.fuse.set(Some((rng.random_range(0..20), side)));
                if !run(&world, &mut rng).await {
                    hit("died");
                }
                world.fuse.set(None);
            }
            72..84 => trouble(&world, &mut rng),
            84..90 => behave(&world, &mut rng),
            90..93 => {
                world.ca.decide(&OrderState::Rejected);
                hit("rejected");
            }
            _ => by_hand(&world, &mut rng, &mut hit).await,
        }
        world.check();
        assert!(world.open().await <= 1, "two orders are open at once");
        if world.progress().await.hold.is_some() {
            hit("held");
        }
    }
    end(&world, &mut hit).await;
}

async fn run(world: &World, rng: &mut StdRng) -> bool {
    let wait = *[0, 5, 40].choose(rng).unwrap();
    world.run(SignedDuration::from_secs(wait)).await
}

/// Something goes wrong with the next call of a kind.
fn trouble(world: &World, rng: &mut StdRng) {
    let refused = |failure| Way::Refused(failure, "no".to_owned());
    let verbs = [
        Verb::Submit,
        Verb::Find,
        Verb::Read,
        Verb::Fetch,
        Verb::Revoke,
    ];
    let verb = *verbs.choose(rng).unwrap();
    let ways = [Way::RequestLost, Way::AnswerLost];
    let way = match rng.random_bool(0.6) {
        true => ways.choose(rng).unwrap().clone(),
        false if verb == Verb::Submit => refused(Failure::Refused),
        false => refused(Failure::Unavailable),
    };
    world.ca.next(verb, way);
}

/// The CA behaves otherwise from now on.
fn behave(world: &World, rng: &mut StdRng) {
    let becomes = [
        OrderState::Issued,
        OrderState::Issued,
        OrderState::AwaitsPerson,
    ];
    let becomes = becomes.choose(rng).unwrap().clone();
    let seconds =
        |rng: &mut StdRng, all: &[i64]| SignedDuration::from_secs(*all.choose(rng).unwrap());
    let works_for = seconds(rng, &[0, 3, 120]);
    // It keeps its word: what it has is found before it says no.
    let found_after = seconds(rng, &[0, 10, 25]);
    let submit_takes = seconds(rng, &[0, 0, 100]);
    let for_another_key = rng.random_bool(0.15);
    world.ca.change(|ca| {
        (ca.becomes, ca.works_for) = (becomes, works_for);
        (ca.found_after, ca.submit_takes) = (found_after, submit_takes);
        ca.for_another_key = for_another_key;
    });
}

async fn by_hand(world: &World, rng: &mut StdRng, hit: &mut impl FnMut(&'static str)) {
    let revoke = ByHand::Revoke {
        reason: RevocationReason::Superseded,
        requestor: "a person".to_owned(),
    };
    let orders = [ByHand::Afresh, ByHand::Again, ByHand::Fetch, revoke];
    let order = orders.choose(rng).unwrap().clone();
    if world.by_hand(order.clone()).await == Some(Ok(())) && order == ByHand::Again {
        hit("ordered by hand");
    }
}

/// Several runs, an hour apart: no wait after a failure is longer.
async fn rest(world: &World) {
    for _ in 0..6 {
        world.run(SignedDuration::from_secs(10)).await;
        world.check();
        world.clock.advance(SignedDuration::from_hours(1));
    }
}

/// Once the CA is friendly and a person has decided what is held, there is a certificate.
async fn end(world: &World, hit: &mut impl FnMut(&'static str)) {
    world.ca.forgive();
    world.ca.change(|ca| {
        (ca.becomes, ca.works_for) = (OrderState::Issued, SignedDuration::ZERO);
        (ca.found_after, ca.submit_takes) = (SignedDuration::ZERO, SignedDuration::ZERO);
        ca.for_another_key = false;
    });
    rest(world).await;
    let progress = world.progress().await;
    let is_revoked = progress.installed.as_ref();
    let is_revoked = is_revoked.is_some_and(|one| one.revoked_at.is_some());
    if progress.hold.is_some() || is_revoked {
        let again = world.by_hand(ByHand::Again).await;
        assert_eq!(again, Some(Ok(())), "{progress:?}");
        rest(world).await;
    }
    let progress = world.progress().await;
    assert_eq!((&progress.order, &progress.hold), (&None, &None));
    assert_eq!((&progress.deployment, &progress.revocation), (&None, &None));
    let live = world.live().expect("a certificate is there");
    assert!(live.facts.not_after > prevalidate::clock::Clock::now(&*world.clock));
    assert!(world.is_clean());
    assert_eq!(world.open().await, 0);
    if world.ca.held().len() > 1 {
        hit("renewed");
    }
    if world.ca.count(Verb::Find) > 0 {
        hit("found");
    }
    if world.revoked().await > 0 {
        hit("revoked");
    }
}
