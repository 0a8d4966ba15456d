//! The proof first, and the order after it.

use jiff::Timestamp;
use prevalidate::prevalidation::{Mode, Policy};

use super::*;

/// When a proof was made that counts for some hours only.
fn nearly_over() -> Timestamp {
    let (policy, now) = (Policy::new(Mode::Manage), SystemClock.now());
    let hour = SignedDuration::from_hours(1);
    let made = (1..=400 * 24).map(|hours| now - hour * hours);
    let is_it = |made: &Timestamp| {
        let end = policy.reuse.end_of(*made);
        let left = end.duration_since(now);
        left > hour * 2 && left < hour * 12
    };
    made.into_iter().find(is_it).unwrap()
}

#[test]
fn a_proof_that_ends_soon_is_renewed_before_the_order_in_the_same_run() {
    let lab = Lab::new();
    let setup = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
    let made = nearly_over();
    lab.world.make_validated("alpha.test", made);
    lab.world.run(&setup, &WAIT).exits(0);
    lab.verifies("www", "www.alpha.test");
    let log = lab.world.ca.log();
    let is_new_proof = |one: &prevalidate::sandbox::ca::Request| {
        one.call == Call::Validate && one.subjects.iter().any(|name| name == "alpha.test")
    };
    let proven = log
        .iter()
        .position(is_new_proof)
        .expect("it is proven again");
    let ordered = log.iter().position(|one| one.call == Call::Issue).unwrap();
    assert!(proven < ordered, "{log:?}");
    assert_eq!(lab.world.ca.orders().len(), 1);
}
