//! From unknown to valid in one night, and the nights after it.

use prevalidate::sandbox::ca::Call;

use super::world::World;
use crate::support::proxy::{Proxy, Verdict};
use crate::support::{Keys, NameServer, Zone};

/// 20 zones: SPF with TTL 3600 in all but two, an IDN, a foreign value of 300 octets, and one
/// without any TXT.
fn zones() -> Vec<Zone> {
    let mut zones: Vec<Zone> = (1..=17)
        .map(|n| Zone::new(&format!("z{n:02}.test"), "@ 3600 TXT \"v=spf1 mx -all\""))
        .collect();
    let long = format!(
        "@ 3600 TXT \"v=spf1 mx -all\"\n@ 3600 TXT \"{}\" \"{}\"",
        "k".repeat(250),
        "p".repeat(50)
    );
    zones.push(Zone::new("long.test", &long));
    zones.push(Zone::new("bare.test", "@ 300 MX 10 mail"));
    zones.push(Zone::new(
        "xn--dj-kia8a.vu.test",
        "@ 3600 TXT \"v=spf1 mx -all\"",
    ));
    zones
}

fn twenty_domains_in_one_run(server: &NameServer) {
    let world = World::new(&[server]);
    let zones = zones();
    let apexes: Vec<&str> = zones.iter().map(|zone| zone.apex.as_str()).collect();
    let contents = || {
        apexes
            .iter()
            .map(|apex| server.axfr(apex))
            .collect::<Vec<_>>()
    };
    let serials = || {
        apexes
            .iter()
            .map(|apex| server.serial(apex))
            .collect::<Vec<_>>()
    };
    let (before, first) = (contents(), serials());
    let proxy = Proxy::before(server.address(), |_, _| Verdict::Pass);
    let mut setup = world.setup(server, &apexes);
    setup.provider = Some((proxy.address(), server.tsig_key_file()));
    // As people write it.
    *setup.domains.last_mut().unwrap() = "déjà.vu.test".to_owned();

    world
        .run(&setup, &["run", "--wait", "30s"])
        .exits(0)
        .says(&["20 domains: 20 valid"]);
    for apex in &apexes {
        assert_eq!(world.ca.domain(apex).unwrap().status, "VALID", "{apex}");
    }
    assert_eq!(contents(), before, "every record and TTL is as before");
    let twice: Vec<u32> = first.iter().map(|serial| serial + 2).collect();
    assert_eq!(
        serials(),
        twice,
        "one change to publish and one to remove, in each zone"
    );

    world.ca.clear_log();
    let asked = proxy.requests();
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    let calls: Vec<Call> = world.ca.log().iter().map(|request| request.call).collect();
    assert_eq!(calls, [Call::List], "the second night is one call");
    assert_eq!(proxy.requests(), asked, "and nothing at the primary");
    assert_eq!(serials(), twice);
}

#[test]
fn on_bind_twenty_domains_are_valid_after_one_run_and_the_next_is_one_list_call() {
    twenty_domains_in_one_run(&NameServer::bind(&zones(), &Keys::of(&["prevalidate"])));
}

#[test]
fn on_knot_twenty_domains_are_valid_after_one_run_and_the_next_is_one_list_call() {
    twenty_domains_in_one_run(&NameServer::knot(&zones(), &Keys::of(&["prevalidate"])));
}

#[test]
fn a_first_run_of_120_domains_costs_one_list_three_register_and_120_validate_calls() {
    let names: Vec<String> = (0..120).map(|n| format!("n{n:03}.big.test")).collect();
    let records: String = (0..120)
        .map(|n| format!("n{n:03} 3600 TXT \"v=spf1 -all\"\n"))
        .collect();
    let server = NameServer::bind(
        &[Zone::new("big.test", &records)],
        &Keys::of(&["prevalidate"]),
    );
    let before = server.axfr("big.test");
    let world = World::new(&[&server]);
    let proxy = Proxy::before(server.address(), |_, _| Verdict::Pass);
    let mut setup = world.setup(&server, &["big.test"]);
    setup.domains = names;
    setup.provider = Some((proxy.address(), server.tsig_key_file()));
    world.run(&setup, &["run", "--wait", "60s"]).exits(0);

    let count = |call| world.ca.count(call);
    assert!(
        count(Call::List) <= 1 && count(Call::Register) <= 3,
        "{} {}",
        count(Call::List),
        count(Call::Register)
    );
    assert_eq!(count(Call::Validate), 120);
    for call in [
        Call::Get,
        Call::SearchClients,
        Call::SearchClientsPaged,
        Call::Client,
        Call::Jwt,
        Call::ResetToken,
    ] {
        assert_eq!(count(call), 0, "{call:?}");
    }
    assert_eq!(server.axfr("big.test"), before);
    assert!(
        proxy.updates().len() <= 16,
        "{} updates for 240 changes in one zone",
        proxy.updates().len()
    );
}
