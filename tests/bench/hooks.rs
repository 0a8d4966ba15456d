//! A storm of hooks: 10,000 about 100 domains that are on their way to their proofs, and what of it reaches CA and name server.

use std::time::{Duration, Instant};

use prevalidate::sandbox::ca::Call;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::Row;
use crate::support::hooks::{SECTIONS, start};
use crate::support::{Keys, NameServer, Zone};
use crate::world::World;

const HOOKS: usize = 10_000;
const DOMAINS: usize = 100;

pub fn storm() -> Vec<Row> {
    let domains: Vec<String> = (0..DOMAINS).map(|n| format!("d{n:03}.test")).collect();
    let zones: Vec<Zone> = domains.iter().map(|domain| Zone::new(domain, "@ 3600 TXT \"v=spf1 -all\"")).collect();
    let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
    let serials = || domains.iter().map(|domain| u64::from(server.serial(domain))).sum::<u64>();
    let before = serials();
    let world = World::new(&[&server]);
    let mut setup = world.setup(&server, &domains.iter().map(String::as_str).collect::<Vec<_>>());
    setup.more = SECTIONS.to_owned();
    let (mut daemon, sender) = start(world.command(&setup, &["serve"]));
    daemon.hears(&format!("{DOMAINS} domains"));
    let began = Instant::now();
    Runtime::new().unwrap().block_on(sender.storm(&domains, HOOKS));
    let took = began.elapsed();
    loop {
        let status = world.run(&setup, &["status", "--output", "json"]).json();
        let is_done = |view: &serde_json::Value| view["state"] == json!("valid") && view["attempt"].is_null();
        if status.as_array().unwrap().iter().all(is_done) && serials() >= before + 2 * DOMAINS as u64 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(300), "{status}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let count = |case: &str, figure: u64, aim: usize| Row {
        case: format!("{HOOKS} hooks about {DOMAINS} domains: {case}"),
        figure: figure.to_string(),
        aim: format!("≤ {aim}"),
        met: figure <= aim as u64,
    };
    vec![
        Row::below(&format!("{HOOKS} hooks, each stored before it is answered"), took, Duration::from_secs(60)),
        count("validate calls", world.ca.count(Call::Validate), DOMAINS),
        count("writes to the zones, one to add and one to remove", serials() - before, 2 * DOMAINS),
    ]
}
