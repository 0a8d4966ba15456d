//! A network that lets no DNS out: Route 53's own word that its name servers have a change is what
//! the run goes by.

use std::sync::Arc;

use prevalidate::clock::SystemClock;
use prevalidate::sandbox::ca::Call;
use prevalidate::sandbox::dns::{self, Dns};
use serde_json::json;
use tokio::runtime::Runtime;

use super::world::World;
use crate::support::apis::route53::{Fake as FakeRoute53, Key, Operation, Rrset};
use crate::support::name_server::write_secret;

const SPF: &str = "\"v=spf1 mx -all\"";
const DOMAINS: [&str; 3] = ["b.a.test", "c.a.test", "d.a.test"];

/// A policy that lets values be added and not be removed again.
#[test]
fn what_route_53_would_not_let_go_is_neither_registered_nor_published() {
    let runtime = Runtime::new().unwrap();
    let fake = runtime.block_on(FakeRoute53::start());
    let key = Key {
        may_delete: false,
        ..Key::of("ours")
    };
    fake.key("AKIAOURS", key);
    fake.zone("Z0A", "a.test", "ours");
    let before = fake.dump("Z0A");
    let world = World::checking(|_| Vec::new());
    let setup = world.setup_with(&["a.test", "b.a.test"], &[], aws(&world, &fake, ""));
    world.ca.register(&world.client, &["b.a.test".to_owned()]);

    world
        .run(&setup, &["run", "-v", "--wait", "0s"])
        .exits(4)
        .says(&["AccessDenied", "route53:ChangeResourceRecordSets"]);
    assert_eq!(world.ca.count(Call::Register), 0, "nothing is registered");
    assert!(world.ca.domain("a.test").is_none());
    assert_eq!(fake.dump("Z0A"), before, "and nothing is published");
}

/// The section of a provider at `fake`, and `more`.
fn aws(world: &World, fake: &FakeRoute53, more: &str) -> String {
    for (name, text) in [("id", "AKIAOURS"), ("key", "wJalrXUtnFEMI")] {
        write_secret(&world.path(name), text);
    }
    let file = |name: &str| json!(world.path(name).display().to_string());
    format!(
        "provider = \"auto\"\n[provider.aws]\nkind = \"route53\"\nendpoint = \"{}\"\nrate = \"50/s\"\n\
         access_key = {{ file = {} }}\nsecret_key = {{ file = {} }}\n{more}",
        fake.endpoint(),
        file("id"),
        file("key"),
    )
}

#[test]
fn what_route_53_says_of_a_batch_is_asked_once_and_waited_for() {
    let runtime = Runtime::new().unwrap();
    let fake = runtime.block_on(FakeRoute53::start());
    fake.key("AKIAOURS", Key::of("ours"));
    fake.zone("Z0A", "a.test", "ours");
    fake.with("Z0A", |zone| {
        DOMAINS
            .iter()
            .for_each(|name| zone.put(Rrset::new(name, "TXT", 3600, &[SPF])))
    });
    let before = fake.dump("Z0A");
    // What the CA sees.
    let eyes = runtime
        .block_on(Dns::start(
            Arc::new(SystemClock),
            ([127, 0, 0, 1], 0).into(),
            &[],
        ))
        .unwrap();
    let eyes = Arc::new(eyes);
    eyes.add_zone(dns::Zone::new("a.test"));
    let seen = Arc::clone(&eyes);
    let world = World::checking(move |_| vec![seen.address()]);
    let more = aws(
        &world,
        &fake,
        "[propagation.zone.\"a.test\"]\nmode = \"provider\"\ndelay = \"1s\"\n",
    );
    let setup = world.setup_with(&DOMAINS, &[], more);

    world
        .run(&setup, &["run", "--wait", "0s"])
        .exits(4)
        .says(&["the provider's name servers to be in sync"]);
    let calls =
        [Operation::ChangeResourceRecordSets, Operation::GetChange].map(|call| fake.calls(call));
    assert_eq!(
        (calls, world.ca.count(Call::Validate)),
        ([1 + 3, 1], 0),
        "one batch after a rehearsal of each name, one question about it"
    );

    fake.sync();
    for name in DOMAINS {
        let value = world.ca.domain(name).unwrap().random_value.unwrap();
        eyes.edit("a.test", |zone| zone.txt(name, &value));
    }
    world
        .run(&setup, &["run", "--wait", "30s"])
        .exits(0)
        .says(&["3 valid"]);
    assert_eq!(fake.dump("Z0A"), before, "as before, with all TTLs");
    assert_eq!(
        fake.calls(Operation::ChangeResourceRecordSets),
        2 + 3,
        "each name was rehearsed once"
    );
}
