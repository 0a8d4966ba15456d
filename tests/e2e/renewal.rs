//! Renewal: the proof is renewed in time, and few are put at risk where a reset costs them.

use std::collections::BTreeSet;

use prevalidate::clock::{Clock, SystemClock};
use prevalidate::sandbox::ca::Call;

use super::world::World;
use crate::support::{Keys, NameServer, Policy, Zone};

#[test]
fn a_domain_inside_its_renewal_window_is_renewed_and_never_without_a_proof() {
    let server = NameServer::bind(
        &[Zone::new("due.test", "@ 3600 TXT \"v=spf1 -all\"")],
        &Keys::of(&["prevalidate"]),
    );
    let world = World::new(&[&server]);
    let made = world.make_due("due.test");
    let ends = world.ca.domain("due.test").unwrap().time_expired.unwrap();
    let before = server.axfr("due.test");
    world
        .run(
            &world.setup(&server, &["due.test"]),
            &["run", "--wait", "30s"],
        )
        .exits(0);

    let domain = world.ca.domain("due.test").unwrap();
    assert!(
        domain.time_validated > Some(made) && domain.time_expired > Some(ends),
        "{domain:?}"
    );
    assert_eq!(
        world.calls_about("due.test"),
        [Call::Get, Call::ResetToken, Call::Validate]
    );
    let proved = world
        .ca
        .log()
        .iter()
        .rfind(|request| request.call == Call::Validate)
        .unwrap()
        .at;
    assert!(
        proved < ends,
        "the reset keeps the old proof, which ended after the new one began"
    );
    assert_eq!(server.axfr("due.test"), before);
}

/// 30 domains, and a CA that ends a proof with the reset of its token.
#[test]
fn where_a_reset_costs_the_proof_a_canary_goes_first_and_then_never_more_than_two() {
    let records: String = (0..30)
        .map(|n| format!("r{n:02} 3600 TXT \"v=spf1 -all\"\n"))
        .collect();
    let server = NameServer::bind(
        &[Zone::new("risk.test", &records)],
        &Keys::of(&["prevalidate"]),
    );
    let world = World::new(&[&server]);
    world
        .ca
        .change(|behaviour| behaviour.reset_keeps_proof = false);
    let mut setup = world.setup(&server, &["risk.test"]);
    setup.domains = (0..30).map(|n| format!("r{n:02}.risk.test")).collect();
    setup.policy = "max_at_risk = 2".to_owned();
    setup
        .domains
        .iter()
        .for_each(|domain| _ = world.make_due(domain));
    let before = server.axfr("risk.test");
    world.run(&setup, &["run", "--wait", "80s"]).exits(0);

    let mut without: BTreeSet<String> = BTreeSet::new();
    let mut renewed = 0;
    for request in world.ca.log() {
        let Some(domain) = request.subjects.last().cloned() else {
            continue;
        };
        match request.call {
            Call::ResetToken => assert!(without.insert(domain), "{request:?} twice"),
            Call::Validate => {
                // Each is validated at the first try, so this is where it has a proof again.
                assert!(
                    without.remove(&domain),
                    "{request:?} without a reset, or twice"
                );
                renewed += 1;
            }
            _ => {}
        }
        assert!(
            without.len() <= if renewed == 0 { 1 } else { 2 },
            "{without:?} without a proof after {renewed}"
        );
    }
    assert_eq!(renewed, 30);
    assert!(
        setup
            .domains
            .iter()
            .all(|domain| world.ca.domain(domain).unwrap().status == "VALID")
    );
    assert_eq!(
        world.ca.count(Call::Get),
        30,
        "a worker that waits for a turn costs the CA nothing"
    );
    assert_eq!(server.axfr("risk.test"), before);
}

#[test]
fn a_renewal_that_dns_refused_is_over_when_another_hand_has_renewed() {
    let zone = Zone::new("due.test", "@ 3600 TXT \"v=spf1 -all\"");
    let closed = zone.policy(Policy::Closed);
    let server = NameServer::bind(&[closed], &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    world.make_due("due.test");
    let setup = world.setup(&server, &["due.test"]);
    let state = || {
        let shown = world.run(&setup, &["status", "--output", "json"]).json();
        shown[0]["state"].as_str().unwrap().to_owned()
    };
    let ran = world.run(&setup, &["run", "--wait", "5s"]);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    assert_eq!(state(), "held");
    // A person has validated it in the portal, with a record of his own.
    world.make_validated("due.test", SystemClock.now());
    world.run(&setup, &["run", "--wait", "5s"]).exits(0);
    assert_eq!(state(), "valid");
}
