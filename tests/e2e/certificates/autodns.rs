//! Orders at InterNetX whose records are in zones of AutoDNS: one address, one pace for both.

use std::sync::Arc;

use jiff::SignedDuration;
use prevalidate::clock::{Clock, SystemClock};
use prevalidate::sandbox::dns::{Dns, Zone as Served};
use serde_json::Value;

use super::internetx::{PASSWORD, account, robot};
use super::{key_matches, verify};
use crate::e2e::world::World;
use crate::support::apis::autodns::FakeAutodns;
use crate::support::door::Door;
use crate::support::name_server::write_secret;

const ZONES: [&str; 2] = ["alpha.test", "beta.test"];

/// What name servers serve of a zone at AutoDNS: they have each change at once.
fn served(fake: &FakeAutodns, zone: &str) -> Served {
    let mut served = Served::new(zone);
    for record in fake.dump(zone) {
        let record: Value = serde_json::from_str(&record).unwrap();
        let text = |key: &str| record[key].as_str().unwrap().trim_matches('"').to_owned();
        let owner = match text("name").as_str() {
            "" => zone.to_owned(),
            label => format!("{label}.{zone}"),
        };
        served = match text("type").as_str() {
            "CNAME" => served.cname(&owner, text("value").trim_end_matches('.')),
            _ => served.txt(&owner, &text("value")),
        };
    }
    served
}

#[test]
fn records_of_orders_go_through_autodns_at_one_pace_and_are_gone_afterwards() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (fake, eyes) = runtime.block_on(async {
        let eyes = Dns::start(Arc::new(SystemClock), ([127, 0, 0, 1], 0).into(), &[]);
        (Arc::new(FakeAutodns::start().await), eyes.await.unwrap())
    });
    let address = eyes.address();
    let eyes = Arc::new(eyes);
    fake.user("dns-user", "canary-dns-90b1", 4);
    for zone in ZONES {
        fake.zone(zone);
        fake.put(zone, "", "TXT", 3600, "v=spf1 -all");
        eyes.add_zone(served(&fake, zone));
    }
    let before = ZONES.map(|zone| fake.dump(zone));
    let robot = runtime.block_on(robot(address));
    let (zones, shown) = (Arc::clone(&fake), Arc::clone(&eyes));
    let copy = move || {
        for zone in ZONES {
            shown.add_zone(served(&zones, zone));
        }
    };
    let door = runtime.block_on(Door::before(&fake.url(), &robot.url(), copy));

    let world = World::checking(move |_| vec![address]);
    for zone in ZONES {
        world.make_validated(zone, SystemClock.now() - SignedDuration::from_hours(24));
    }
    write_secret(&world.path("dns.password"), "canary-dns-90b1");
    write_secret(&world.path("robot.password"), PASSWORD);
    let directory = world.path("certificates");
    let more = format!(
        "provider = \"auto\"\n[provider.ix]\nkind = \"autodns\"\nurl = \"{}\"\nuser = \"dns-user\"\n\
         password = {{ file = \"{}\" }}\n[certificates]\ndirectory = \"{}\"\n{}",
        door.url(),
        world.path("dns.password").display(),
        directory.display(),
        account(
            &door.url(),
            &world.path("robot.password"),
            &[
                ("by-txt", "BASIC_SSL", "names = [\"www.alpha.test\"]"),
                ("by-cname", "COMODO_SSL", "names = [\"beta.test\"]"),
            ],
        ),
    );
    let mut setup = world.setup_with(&ZONES, &[], more);
    let servers = ZONES.map(|zone| (zone.to_owned(), vec![address]));
    setup.name_servers = servers.into();
    let ran = world.run(&setup, &["run", "--wait", "60s"]).exits(0);
    ran.says(&["2 certificates: 2 valid"]);

    let root = world.path("robot.pem");
    std::fs::write(&root, robot.root_pem()).unwrap();
    for (name, host) in [("by-txt", "www.alpha.test"), ("by-cname", "beta.test")] {
        let file = |file: &str| directory.join(name).join("current").join(file);
        verify(&root, &file("chain.pem"), &file("cert.pem"), host);
        key_matches(&file("privkey.pem"), &file("cert.pem"));
    }
    let writes = door.calls();
    for zone in ZONES {
        let write = format!("POST /v1/zone/{zone}/_stream");
        let count = writes.iter().filter(|call| **call == write).count();
        assert_eq!(count, 2, "published and removed: {writes:#?}");
    }
    assert_eq!(ZONES.map(|zone| fake.dump(zone)), before, "gone afterwards");
    assert_eq!((robot.jobs().len(), robot.contacts()), (2, 1));
    assert!(door.busiest_second() <= 3, "{}", door.busiest_second());
    let came = door.calls().len();
    world.run(&setup, &["run", "--wait", "60s"]).exits(0);
    assert_eq!(door.calls().len(), came, "a quiet run asks nothing");
}
