//! What a run finds and what it makes of it.

use jiff::SignedDuration;
use prevalidate::clock::{Clock, SystemClock};
use prevalidate::sandbox::ca::Call;

use super::world::{Setup, World};
use crate::support::{Keys, NameServer, Zone, process};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn one_zone() -> (NameServer, World, Setup) {
    let zones = ["a.test", "b.test"].map(|apex| Zone::new(apex, "@ 3600 TXT \"v=spf1 -all\""));
    let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    let setup = world.setup(&server, &["a.test"]);
    (server, world, setup)
}

/// The value of ours that is at a name.
fn ours(server: &NameServer, name: &str) -> Vec<String> {
    server
        .txt(name)
        .into_iter()
        .filter(|value| value.starts_with("swiss-pki="))
        .collect()
}

/// Leaves a value in DNS: the gate never opens, and the run ends.
fn publish_only(world: &World, setup: &Setup) {
    let ran = world
        .run(
            &setup.clone().with_dead_name_servers(),
            &["run", "--wait", "0s"],
        )
        .exits(4);
    ran.says(&["stay in DNS"]);
    assert_eq!(
        world.ca.count(Call::Validate),
        0,
        "the CA is not asked before every server has the value"
    );
}

#[test]
fn a_token_of_26_days_that_never_validated_is_replaced_and_its_value_removed() {
    let (server, world, setup) = one_zone();
    let before = server.axfr("a.test");
    publish_only(&world, &setup);
    let old = ours(&server, "a.test");
    assert_eq!(old.len(), 1);
    assert!(world.ca.set_token_age("a.test", DAY * 26));
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(
        world.calls_about("a.test"),
        [Call::Register, Call::Get, Call::ResetToken, Call::Validate]
    );
    assert_ne!(
        world.ca.domain("a.test").unwrap().random_value.unwrap(),
        old[0]
    );
    assert_eq!(server.axfr("a.test"), before);
}

#[test]
fn an_expired_domain_comes_back() {
    let (server, world, setup) = one_zone();
    let before = server.axfr("a.test");
    world.make_validated("a.test", SystemClock.now() - DAY * 3);
    world.ca.expire("a.test");
    assert_eq!(world.ca.domain("a.test").unwrap().status, "EXPIRED");
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(world.ca.domain("a.test").unwrap().status, "VALID");
    assert_eq!(server.axfr("a.test"), before);
}

#[test]
fn a_domain_that_is_valid_already_is_adopted_without_a_reset_or_a_validation() {
    let (server, world, setup) = one_zone();
    let serial = server.serial("a.test");
    world.make_validated("a.test", SystemClock.now() - DAY);
    world
        .run(&setup, &["run", "--wait", "30s"])
        .exits(0)
        .says(&["1 domain: 1 valid"]);
    let calls: Vec<Call> = world.ca.log().iter().map(|request| request.call).collect();
    assert_eq!(calls, [Call::List]);
    assert_eq!(server.serial("a.test"), serial);
}

#[test]
fn a_domain_taken_out_of_the_configuration_is_cleaned_up_by_the_next_run() {
    let (server, world, _) = one_zone();
    let before = server.axfr("a.test");
    let setup = world.setup(&server, &["a.test", "b.test"]);
    publish_only(&world, &setup);
    assert_eq!(ours(&server, "a.test").len(), 1);
    world
        .run(&setup.without("a.test"), &["run", "--wait", "30s"])
        .exits(0);
    assert_eq!(server.axfr("a.test"), before);
    assert!(
        !world.calls_about("a.test").contains(&Call::Validate)
            && !world.calls_about("a.test").contains(&Call::Delete)
    );
}

#[test]
fn a_removed_provider_with_a_record_left_fails_and_names_it() {
    let (server, world, mut setup) = one_zone();
    let before = server.axfr("a.test");
    publish_only(&world, &setup);
    let value = ours(&server, "a.test").remove(0);
    // Valid all the same, by a person: what is left is the record.
    world.ca.set_validated("a.test", SystemClock.now() - DAY);
    let provider = setup.provider.take();
    let ran = world.run(&setup, &["run", "--wait", "0s"]);
    assert_eq!(
        ran.status.code(),
        Some(4),
        "a record that cannot be removed is no success: {}",
        ran.said()
    );
    ran.says(&[
        &value,
        "zone a.test",
        "provider `dns` is no longer in the configuration",
    ]);
    setup.provider = provider;
    // A minute passes: the failed removal is not tried again before.
    let passes = "UPDATE ledger SET retry_at = 0; UPDATE domain SET due_at = 0;";
    process::run(
        "sqlite3",
        &[setup.store(&world).to_str().unwrap(), passes],
        "",
    );
    world.run(&setup, &["run", "--wait", "0s"]).exits(0);
    assert_eq!(server.axfr("a.test"), before);
}
