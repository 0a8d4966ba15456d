//! The database is lost. What is true is at the CA and in DNS: the next run finds it out.

use prevalidate::sandbox::ca::Call;

use super::world::World;
use crate::support::{Keys, NameServer, Zone};

const SPF: &str = "@ 3600 TXT \"v=spf1 mx -all\"";

#[test]
fn a_lost_store_costs_no_proof_and_nothing_in_dns() {
    let zones = ["valid.test", "waiting.test", "new.test"].map(|apex| Zone::new(apex, SPF));
    let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    let before = server.axfr("valid.test");
    let setup = world.setup(&server, &["valid.test", "waiting.test", "new.test"]);

    world
        .run(&setup, &["run", "--domain", "valid.test", "--wait", "30s"])
        .exits(0);
    let silent = world
        .setup(&server, &["valid.test", "waiting.test", "new.test"])
        .with_dead_name_servers();
    world
        .run(
            &silent,
            &["run", "--domain", "waiting.test", "--wait", "1s"],
        )
        .exits(4);
    let token = world
        .ca
        .domain("waiting.test")
        .unwrap()
        .random_value
        .unwrap();
    let is_published = || {
        server
            .axfr("waiting.test")
            .iter()
            .any(|record| record.contains(&token))
    };
    assert!(
        is_published(),
        "the value was published and not checked yet"
    );
    let proven = world.ca.domain("valid.test").unwrap();
    for file in ["prevalidate.db", "prevalidate.db-wal", "prevalidate.db-shm"] {
        let _ = std::fs::remove_file(world.path(file));
    }
    assert!(!setup.store(&world).exists(), "it is lost");

    world.ca.clear_log();
    world
        .run(&setup, &["run", "--wait", "30s"])
        .exits(0)
        .says(&["3 domains: 3 valid"]);
    assert_eq!(
        world.ca.domain("valid.test").unwrap().time_validated,
        proven.time_validated,
        "adopted as it was"
    );
    assert_eq!(
        world.calls_about("waiting.test"),
        [Call::Validate],
        "it continued with the token that the CA has"
    );
    assert_eq!(server.axfr("valid.test"), before);
    // The writer is no longer known, so the value is not removed; a person is told where it is.
    assert!(is_published());
    let told = world.run(&setup, &["diagnose", "waiting.test"]);
    assert!(told.said().contains(&token), "{}", told.said());
}
