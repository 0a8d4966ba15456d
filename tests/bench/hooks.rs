//! Hooks in: how soon one is followed by a call, and what of a storm of 10,000 about 100 domains
//! reaches CA and name server; by one daemon, and by three that share a database.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use prevalidate::clock::{Clock as _, SystemClock};
use prevalidate::sandbox::ca::Call;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::Row;
use crate::support::daemon::Daemon;
use crate::support::hooks::{SECTIONS, Sender, start};
use crate::support::postgres::Cluster;
use crate::support::{Keys, NameServer, Zone};
use crate::world::{Setup, World};

const HOOKS: usize = 10_000;
const DOMAINS: usize = 100;
/// Hooks of which each is waited for.
const ALONE: usize = 20;

pub fn storm() -> Vec<Row> {
    let database = || Some(Cluster::shared().database_now().url);
    let mut rows = Vec::new();
    for (name, daemons, database) in [
        ("1 daemon", 1, None),
        ("3 daemons, PostgreSQL", 3, database()),
    ] {
        rows.extend(stormed(name, daemons, database));
    }
    for (name, daemons, database) in [
        ("1 daemon", 1, None),
        ("3 daemons, PostgreSQL", 3, database()),
    ] {
        rows.push(first_call(name, daemons, database));
    }
    rows
}

fn launch(world: &World, setup: &Setup, daemons: usize) -> (Vec<Daemon>, Vec<Sender>) {
    (0..daemons)
        .map(|_| start(world.command(setup, &["serve"])))
        .unzip()
}

/// All hooks at once, while the domains are on their way from nothing to their proofs.
fn stormed(name: &str, daemons: usize, database: Option<String>) -> Vec<Row> {
    let domains: Vec<String> = (0..DOMAINS).map(|n| format!("d{n:03}.test")).collect();
    let zones: Vec<Zone> = domains
        .iter()
        .map(|domain| Zone::new(domain, "@ 3600 TXT \"v=spf1 -all\""))
        .collect();
    let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
    let serials = || {
        domains
            .iter()
            .map(|domain| u64::from(server.serial(domain)))
            .sum::<u64>()
    };
    let before = serials();
    let world = World::new(&[&server]);
    let mut setup = world.setup(
        &server,
        &domains.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    (setup.more, setup.database) = (SECTIONS.to_owned(), database);
    let (mut machines, senders) = launch(&world, &setup, daemons);
    for daemon in &mut machines {
        daemon.hears(&format!("{DOMAINS} domains"));
    }
    let began = Instant::now();
    let storms = senders
        .iter()
        .map(|sender| sender.storm(&domains, HOOKS.div_ceil(daemons)));
    Runtime::new()
        .unwrap()
        .block_on(futures::future::join_all(storms));
    let took = began.elapsed();
    loop {
        let status = world.run(&setup, &["status", "--output", "json"]).json();
        let is_done =
            |view: &serde_json::Value| view["state"] == json!("valid") && view["attempt"].is_null();
        if status.as_array().unwrap().iter().all(is_done)
            && serials() >= before + 2 * DOMAINS as u64
        {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(300), "{status}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let registered = |request: &prevalidate::sandbox::ca::Request| {
        if request.call == Call::Register {
            request.subjects.len() as u64
        } else {
            0
        }
    };
    let count = |case: &str, figure: u64, aim: usize| Row {
        case: format!("  {case}"),
        figure: figure.to_string(),
        aim: format!("≤ {aim}"),
        met: figure <= aim as u64,
    };
    let case = format!("{name}: {HOOKS} hooks about {DOMAINS} domains, stored");
    vec![
        Row::below(&case, took, Duration::from_secs(60)),
        count(
            "domains registered",
            world.ca.log().iter().map(registered).sum(),
            DOMAINS,
        ),
        count("validate calls", world.ca.count(Call::Validate), DOMAINS),
        count(
            "writes to the zones, one to add and one to remove",
            serials() - before,
            2 * DOMAINS,
        ),
    ]
}

/// One hook after the other, each about a domain that was held and is repaired: until its value is
/// written, which is more than the first call. The longest of them.
fn first_call(name: &str, daemons: usize, database: Option<String>) -> Row {
    let domains: Vec<String> = (0..ALONE).map(|n| format!("d{n}.a.test")).collect();
    let aliases: String = (0..ALONE)
        .map(|n| format!("d{n} CNAME elsewhere\n"))
        .collect();
    let server = NameServer::bind(
        &[Zone::new("a.test", &aliases)],
        &Keys::of(&["prevalidate"]),
    );
    let world = World::new(&[&server]);
    let mut setup = world.setup(&server, &["a.test"]);
    (setup.domains, setup.more, setup.database) = (domains.clone(), SECTIONS.to_owned(), database);
    let (mut machines, senders) = launch(&world, &setup, daemons);
    for daemon in &mut machines {
        daemon.hears(&format!("{ALONE} domains: {ALONE} held"));
    }
    // What comes right after the last try is answered some seconds later, on purpose.
    std::thread::sleep(Duration::from_secs(15));
    let runtime = Runtime::new().unwrap();
    let mut took = Vec::new();
    for (number, domain) in domains.iter().enumerate() {
        server.nsupdate(&format!(
            "update delete {domain}. CNAME\nupdate add {domain}. 60 A 192.0.2.1"
        ));
        let sent = SystemClock.now();
        runtime.block_on(senders[number % daemons].send(&format!("mended-{number}"), domain));
        let began = Instant::now();
        let written: Timestamp = loop {
            let history = world
                .run(&setup, &["history", domain, "--output", "json"])
                .json();
            let event = history
                .as_array()
                .unwrap()
                .iter()
                .find(|event| event["kind"] == json!("published"));
            if let Some(event) = event {
                break event["at"].as_str().unwrap().parse().unwrap();
            }
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{domain}: {history}"
            );
            std::thread::sleep(Duration::from_millis(50));
        };
        took.push(Duration::try_from(written.duration_since(sent)).unwrap());
    }
    let case = format!("{name}: hook to the value in DNS, longest of {ALONE}");
    Row::below(
        &case,
        took.into_iter().max().unwrap(),
        Duration::from_secs(1),
    )
}
