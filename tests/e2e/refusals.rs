//! When DNS refuses: exit status 4, and words that help.

use prevalidate::sandbox::ca::Call;

use super::world::{Ran, Setup, World};
use crate::support::name_server::write_secret;
use crate::support::zones::Key;
use crate::support::{Keys, NameServer, Policy, Zone};

fn start() -> (NameServer, World, Setup) {
    let zone = Zone::new(
        "refused.test",
        "@ 3600 TXT \"v=spf1 -all\"\nwww 3600 CNAME web.elsewhere.test.",
    );
    let server = NameServer::bind(&[zone], &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    let setup = world.setup(&server, &["refused.test"]);
    (server, world, setup)
}

/// The CA hears of no domain that cannot be written.
fn refused(world: &World, setup: &Setup, words: &[&str]) -> Ran {
    let ran = world
        .run(setup, &["run", "--wait", "5s"])
        .exits(4)
        .says(words);
    assert_eq!(world.ca.count(Call::Register), 0);
    ran
}

#[test]
fn a_wrong_tsig_secret_ends_with_status_4_and_names_the_key() {
    let (server, world, mut setup) = start();
    let before = server.serial("refused.test");
    let key_file = world.path("wrong.key");
    write_secret(
        &key_file,
        &Key::new("prevalidate", "hmac-sha256").file_text(),
    );
    setup.provider = Some((server.address(), key_file));
    refused(&world, &setup, &["refused.test", "prevalidate", "secret"]);
    assert_eq!(server.serial("refused.test"), before);
}

#[test]
fn a_cname_at_the_name_ends_with_status_4_and_says_where_it_points() {
    let (server, world, mut setup) = start();
    let before = server.axfr("refused.test");
    setup.domains = vec!["www.refused.test".to_owned()];
    refused(
        &world,
        &setup,
        &["www.refused.test", "CNAME", "web.elsewhere.test"],
    );
    assert_eq!(server.axfr("refused.test"), before);
}

#[test]
fn a_server_that_is_down_ends_with_status_4_and_names_its_address() {
    let (mut server, world, setup) = start();
    server.stop();
    refused(
        &world,
        &setup,
        &["refused.test", &server.address().to_string()],
    );
}

#[test]
fn a_refusal_that_a_frozen_zone_may_cause_says_so_and_is_tried_again_within_minutes() {
    let zone = Zone::new("refused.test", "@ 3600 TXT \"v=spf1 -all\"").policy(Policy::Closed);
    let server = NameServer::bind(&[zone], &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    let setup = world.setup(&server, &["refused.test"]);
    let ran = refused(&world, &setup, &["refused.test", "rndc thaw"]);
    // A distance is cut to whole minutes, and a second may have gone by.
    let soon = ["in 15 min", "in 14 min"];
    assert!(
        soon.iter().any(|soon| ran.stdout.contains(soon)),
        "{}",
        ran.said()
    );
    assert!(!ran.stdout.contains("in 6 h"), "{}", ran.said());
}

/// PowerDNS that changes the SOA in its answers is told from one that answers from its caches by the
/// time that passes, also where no process lasts so long.
#[cfg(feature = "crashpoints")]
#[test]
fn runs_that_end_before_the_caches_of_powerdns_write_a_zone_with_soa_edit() {
    let apex = "refused.test";
    let keys = Keys::of(&["prevalidate"]);
    let edit = "INSERT INTO domainmetadata (domain_id, kind, content) \
         SELECT id, 'SOA-EDIT', 'INCEPTION-INCREMENT' FROM domains;\n";
    let zone = Zone::new(apex, "@ 3600 TXT \"v=spf1 -all\"");
    let server = NameServer::pdns_packaged(&[zone], &keys, edit);
    let world = World::new(&[&server]);
    let mut setup = world.setup(&server, &[apex]);
    // A token that the CA makes is good by any clock.
    setup.auth = "helper";
    for _ in 0..2 {
        world
            .run(&setup, &["run", "--wait", "0s"])
            .exits(4)
            .says(&["SOA-EDIT", "nothing was written"]);
    }
    let a_minute_later = ("PREVALIDATE_CLOCK_AHEAD", "90");
    world
        .run_with(&setup, &["run", "--wait", "30s"], a_minute_later)
        .exits(0);
    assert!(ours(&server, apex).is_empty());
}

/// The records of ours that are at a name.
#[cfg(feature = "crashpoints")]
fn ours(server: &NameServer, name: &str) -> Vec<String> {
    let values = server.txt(name).into_iter();
    values
        .filter(|value| value.starts_with("swiss-pki="))
        .collect()
}
