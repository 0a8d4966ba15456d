//! The daemon: no cron, no person, and a service manager that listens.

use std::time::{Duration, Instant};

use prevalidate::sandbox::ca::Call;
use prevalidate::store::Store as _;
use prevalidate::store::postgres::PostgresStore;

use super::world::{Setup, World, finish};
use crate::support::daemon::Daemon;
use crate::support::name_server::write_secret;
use crate::support::postgres::Cluster;
use crate::support::{Keys, NameServer, Refresh, Zone, process};

fn lab(count: usize) -> (Vec<String>, NameServer) {
    let domains: Vec<String> = (0..count).map(|n| format!("d{n:02}.test")).collect();
    let zones: Vec<Zone> = domains
        .iter()
        .map(|domain| Zone::new(domain, "@ 3600 TXT \"v=spf1 -all\""))
        .collect();
    (
        domains,
        NameServer::bind(&zones, &Keys::of(&["prevalidate"])),
    )
}

fn setup(world: &World, server: &NameServer, domains: &[String]) -> Setup {
    world.setup(
        server,
        &domains.iter().map(String::as_str).collect::<Vec<_>>(),
    )
}

fn serve(world: &World, setup: &Setup) -> Daemon {
    Daemon::start(world.command(setup, &["serve"]))
}

/// Each was done once, and is no longer needed.
#[track_caller]
fn all_proven_once(world: &World, server: &NameServer, domains: &[String], before: &[Vec<String>]) {
    for (domain, zone) in domains.iter().zip(before) {
        assert_eq!(world.ca.domain(domain).unwrap().status, "VALID", "{domain}");
        assert_eq!(
            world.calls_about(domain),
            [Call::Register, Call::Validate],
            "{domain}"
        );
        assert_eq!(&server.axfr(domain), zone);
    }
}

fn zones(server: &NameServer, domains: &[String]) -> Vec<Vec<String>> {
    domains.iter().map(|domain| server.axfr(domain)).collect()
}

fn leases(world: &World, setup: &Setup) -> String {
    let file = setup.store(world).display().to_string();
    process::run(
        "sqlite3",
        &[
            &file,
            "SELECT count(*) FROM domain WHERE lease_until IS NOT NULL",
        ],
        "",
    )
    .trim()
    .to_owned()
}

#[test]
fn twenty_domains_become_valid_without_cron_and_the_service_manager_knows() {
    let (domains, server) = lab(20);
    let before = zones(&server, &domains);
    let world = World::new(&[&server]);
    let mut setup = setup(&world, &server, &domains);
    setup.more.push_str("[server]\nlisten = \"127.0.0.1:0\"\n");
    let mut daemon = serve(&world, &setup);
    daemon.says(&[
        "keeps the domains of its configuration",
        "domains=20",
        "clients=1",
        "prevalidate.db",
    ]);
    daemon.says_times(20, &["removed"]);
    all_proven_once(&world, &server, &domains, &before);
    daemon.hears("STATUS=20 domains: 20 valid");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(daemon.get(path).0, 200, "{path}");
    }
    let (_, metrics) = daemon.get("/metrics");
    for line in [
        "prevalidate_domains{state=\"valid\"} 20",
        "prevalidate_events_total{kind=\"validated\"} 20",
        "prevalidate_ca_calls_total{ca=\"sandbox\",call=\"validate\",outcome=\"ok\"} 20",
        "prevalidate_store_up 1",
        "prevalidate_leases_lost_total 0",
    ] {
        assert!(
            metrics.lines().any(|told| told == line),
            "{line}\n{metrics}"
        );
    }
    for _ in 0..3 {
        daemon.hears("WATCHDOG=1");
    }
    // Beside it, a run and a hook find nothing to do.
    world.run(&setup, &["run"]).exits(0);
    world.run(&setup, &["hook", &domains[0]]).exits(0);
    all_proven_once(&world, &server, &domains, &before);

    let asked = Instant::now();
    daemon.signal("-TERM");
    daemon.hears("STOPPING=1");
    let (status, said) = daemon.ends();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(asked.elapsed() < Duration::from_secs(5), "{said}");
    assert!(said.contains("nothing is left under way"), "{said}");
    assert_eq!(leases(&world, &setup), "0");
    let lists = world
        .ca
        .log()
        .iter()
        .filter(|request| request.call == Call::List)
        .count();
    assert_eq!(
        lists, 3,
        "one listing of the daemon in six hours, one of the run, one of the hook"
    );
}

#[test]
fn a_reload_that_waits_for_a_secret_hears_that_the_process_is_to_end() {
    let (domains, server) = lab(1);
    let world = World::new(&[&server]);
    let quick = setup(&world, &server, &domains);
    let mut slow = quick.clone();
    let fifo = world.path("asked");
    let mode = rustix::fs::Mode::from_bits_truncate(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
    let script = format!("echo asked >{}; exec sleep 600", fifo.display());
    let command = serde_json::json!(["/bin/sh", "-c", script]);
    slow.more.push_str(&format!(
        "[provider.slow]\nkind = \"cloudflare\"\ntoken = {{ command = {command} }}\n"
    ));
    let mut daemon = serve(&world, &quick);
    daemon.says(&["removed", &domains[0]]);
    world.write_config(&slow);
    daemon.signal("-HUP");
    // Opens once the command runs.
    assert_eq!(std::fs::read_to_string(&fifo).unwrap(), "asked\n");
    let (status, said) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("nothing is left under way"), "{said}");
    assert!(
        !said.contains("did not come in time"),
        "the command was waited for: {said}"
    );
}

#[test]
fn a_new_configuration_is_taken_up_by_sighup_and_a_broken_one_keeps_the_old() {
    let (domains, server) = lab(2);
    let before = zones(&server, &domains);
    let world = World::new(&[&server]);
    let both = setup(&world, &server, &domains);
    let one = both.clone().without(&domains[1]);
    let mut daemon = serve(&world, &one);
    daemon.says(&["removed", &domains[0]]);

    let broken = Setup {
        policy: "wraning = \"1d\"\ncritical = \"5\"".to_owned(),
        ..both.clone()
    };
    world.write_config(&broken);
    daemon.signal("-HUP");
    daemon.says(&["policy.wraning"]);
    daemon.says(&["policy.critical"]);
    daemon.says(&["not reloaded", "stay in force"]);

    world.write_config(&Setup {
        store: String::new(),
        ..both.clone()
    });
    daemon.signal("-HUP");
    let message = daemon.hears("RELOADING=1");
    assert!(message.contains("MONOTONIC_USEC="), "{message}");
    daemon.hears("READY=1");
    daemon.says(&["reloaded"]);
    daemon.says(&["removed", &domains[1]]);
    all_proven_once(&world, &server, &domains, &before);

    // All gone at once is not meant so.
    world.write_config(&one.clone().without(&domains[0]));
    daemon.signal("-HUP");
    daemon.says(&["the guard refuses", "2 domains"]);
    daemon.says(&["not reloaded"]);
    let (status, said) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{said}");
}

#[test]
fn sigterm_in_the_middle_of_a_wait_leaves_no_lease_and_the_next_one_goes_on() {
    let keys = Keys::of(&["prevalidate"]);
    let primary = NameServer::bind(
        &[Zone::new("stale.test", "@ 3600 TXT \"v=spf1 -all\"")],
        &keys,
    );
    let secondary = NameServer::knot(
        &[Zone::secondary("stale.test", &primary, Refresh::Asked)],
        &keys,
    );
    let before = primary.axfr("stale.test");
    let world = World::new(&[&primary, &secondary]);
    let mut setup = world.setup(&primary, &["stale.test"]);
    setup.name_servers.insert(
        "stale.test".into(),
        vec![primary.address(), secondary.address()],
    );

    let mut daemon = serve(&world, &setup);
    daemon.says(&["waiting", &secondary.address().to_string()]);
    let asked = Instant::now();
    let (status, said) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(asked.elapsed() < Duration::from_secs(10), "{said}");
    assert_eq!(leases(&world, &setup), "0");
    assert!(
        primary
            .txt("stale.test")
            .iter()
            .any(|value| value.starts_with("swiss-pki="))
    );

    secondary.refresh("stale.test");
    let mut daemon = serve(&world, &setup);
    daemon.says(&["removed", "stale.test"]);
    assert_eq!(
        world.calls_about("stale.test"),
        [Call::Register, Call::Validate]
    );
    assert_eq!(primary.axfr("stale.test"), before);
    daemon.stop();
}

#[test]
fn a_hook_beside_a_daemon_makes_no_second_attempt() {
    let keys = Keys::of(&["prevalidate"]);
    let domains = ["a.test".to_owned(), "b.test".to_owned()];
    let all: Vec<Zone> = domains
        .iter()
        .map(|domain| Zone::new(domain, "@ 3600 TXT \"v=spf1 -all\""))
        .collect();
    let primary = NameServer::bind(&all, &keys);
    let stale: Vec<Zone> = domains
        .iter()
        .map(|domain| Zone::secondary(domain, &primary, Refresh::Asked))
        .collect();
    let secondary = NameServer::knot(&stale, &keys);
    let before = zones(&primary, &domains);
    let world = World::new(&[&primary, &secondary]);
    let mut setup = setup(&world, &primary, &domains);
    for servers in setup.name_servers.values_mut() {
        servers.push(secondary.address());
    }
    let mut daemon = serve(&world, &setup);
    daemon.says(&["waiting"]);
    daemon.says(&["waiting"]);
    let hook = ["hook", "a.test", "b.test", "--wait", "45s"];
    // All are written down before the first one reads the configuration.
    let beside: Vec<_> = [&hook[..], &hook, &["run", "--wait", "45s"]]
        .map(|words| world.command(&setup, words))
        .into();
    let beside: Vec<_> = beside
        .into_iter()
        .map(|mut command| command.spawn().unwrap())
        .collect();
    domains.iter().for_each(|domain| secondary.refresh(domain));
    for child in beside {
        finish(child, &["beside"]).exits(0);
    }
    all_proven_once(&world, &primary, &domains, &before);
    daemon.stop();
}

#[test]
fn a_refused_credential_pauses_its_account_and_not_the_process() {
    let (domains, server) = lab(1);
    let before = zones(&server, &domains);
    let world = World::new(&[&server]);
    let setup = setup(&world, &server, &domains);
    let key = world.path("api.key");
    write_secret(&key, &"x".repeat(64));
    let mut daemon = serve(&world, &setup);
    daemon.says(&["look-failed"]);
    let asked = world.ca.log().len();
    daemon.hears("STATUS=1 domains: 1 new");
    write_secret(&key, &world.api_key);
    assert_eq!(
        world.ca.log().len(),
        asked,
        "a refused credential is not tried again and again"
    );
    daemon.signal("-HUP");
    daemon.says(&["reloaded"]);
    daemon.says(&["removed"]);
    all_proven_once(&world, &server, &domains, &before);
    daemon.stop();
}

#[test]
fn two_daemons_share_a_database_and_do_nothing_twice() {
    let (mut domains, server) = lab(25);
    let before = zones(&server, &domains);
    let world = World::new(&[&server]);
    let all = setup(&world, &server, &domains);
    let late = domains.pop().unwrap();
    let database = Cluster::shared().database_now();
    let one = Setup {
        name: "one".into(),
        database: Some(database.url.clone()),
        ..all.without(&late)
    };
    let two = Setup {
        name: "two".into(),
        ..one.clone()
    };
    let mut daemons = [serve(&world, &one), serve(&world, &two)];
    let removed = |daemons: &[Daemon; 2]| -> usize {
        daemons
            .iter()
            .map(|daemon| {
                daemon
                    .said()
                    .lines()
                    .filter(|line| line.contains("kind=\"removed\""))
                    .count()
            })
            .sum()
    };
    // Whichever of them does it, both see it.
    daemons
        .iter_mut()
        .for_each(|daemon| drop(daemon.hears("24 valid")));
    let lists = || {
        world
            .ca
            .log()
            .iter()
            .filter(|request| request.call == Call::List)
            .count()
    };
    assert!(
        lists() <= 2,
        "one search for both, or one each when neither had stored it yet: {}",
        lists()
    );
    // A domain that comes in beside them needs neither a signal nor a restart.
    world
        .run(&one, &["add", &late, "--provider", "dns"])
        .exits(0);
    daemons
        .iter_mut()
        .for_each(|daemon| drop(daemon.hears("25 valid")));
    while removed(&daemons) < 25 {
        daemons
            .iter_mut()
            .for_each(|daemon| drop(daemon.hears("=")));
    }
    for daemon in &daemons {
        daemon.signal("-TERM");
    }
    for daemon in daemons {
        let (status, said) = daemon.ends();
        assert_eq!(status.code(), Some(0), "{said}");
    }
    domains.push(late);
    all_proven_once(&world, &server, &domains, &before);
}

#[test]
fn a_database_that_goes_away_and_comes_back_is_waited_for() {
    let (domains, server) = lab(3);
    let before = zones(&server, &domains);
    let world = World::new(&[&server]);
    let mut cluster = Cluster::start();
    let database = cluster.database_now();
    let all = Setup {
        database: Some(database.url.clone()),
        ..setup(&world, &server, &domains)
    };
    let mut daemon = serve(&world, &all.clone().without(&domains[2]));
    daemon.says_times(2, &["removed"]);
    cluster.stop();
    daemon.says(&["the store does not answer"]);
    daemon.hears("STATUS=tries again");
    // While it is gone a reload is taken over all the same; its inventory follows.
    world.write_config(&all);
    daemon.signal("-HUP");
    daemon.says(&["reloaded"]);
    daemon.hears("WATCHDOG=1");
    cluster.crash_and_restart();
    daemon.says(&["the store answers again"]);
    daemon.says(&["removed", &domains[2]]);
    all_proven_once(&world, &server, &domains, &before);
    let (_, said) = daemon.stop();
    assert_eq!(
        said.matches("the store does not answer").count(),
        1,
        "{said}"
    );
}

#[test]
fn a_database_that_is_not_there_yet_is_waited_for() {
    let (domains, server) = lab(1);
    let world = World::new(&[&server]);
    let mut cluster = Cluster::start();
    let database = cluster.database_now();
    cluster.stop();
    let setup = Setup {
        database: Some(database.url),
        ..setup(&world, &server, &domains)
    };
    let mut daemon = Daemon::spawn(world.command(&setup, &["serve"]));
    daemon.says(&["the store does not answer"]);
    cluster.crash_and_restart();
    daemon.hears("READY=1");
    daemon.says(&["removed"]);
    daemon.stop();
}

#[cfg(feature = "crashpoints")]
#[test]
fn a_fault_of_the_program_is_survived_and_shows_nothing_of_what_was_at_hand() {
    let (domains, server) = lab(2);
    let before = zones(&server, &domains);
    let world = World::new(&[&server]);
    let setup = Setup {
        worker: "lease = \"3s\"".into(),
        ..setup(&world, &server, &domains)
    };
    let mut command = world.command(&setup, &["serve"]);
    command.env("PREVALIDATE_PANIC", "publish-intended");
    let mut daemon = Daemon::start(command);
    daemon.says(&["a fault of the program", "crashpoint.rs"]);
    daemon.says(&["continues"]);
    daemon.says_times(2, &["removed"]);
    let (_, said) = daemon.stop();
    assert!(!said.contains("at hand"), "{said}");
    assert_eq!(zones(&server, &domains), before);
}

/// While the first read of the store hangs, as when an administrator rebuilds a table of it.
#[test]
fn sigterm_is_heard_before_the_store_has_answered() {
    let (domains, server) = lab(1);
    let world = World::new(&[&server]);
    let database = Cluster::shared().database_now();
    let setup = Setup {
        database: Some(database.url.clone()),
        ..setup(&world, &server, &domains)
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let holder = runtime.block_on(async {
        PostgresStore::open(&database.url, None, None)
            .await
            .unwrap()
            .close()
            .await;
        let mut holder = database.connect().await;
        sqlx::raw_sql("BEGIN; LOCK TABLE prevalidate_schema")
            .execute(&mut holder)
            .await
            .unwrap();
        holder
    });
    let daemon = Daemon::spawn(world.command(&setup, &["serve"]));
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let began = Instant::now();
    while runtime.block_on(database.number(waits)) == 0 {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{}",
            daemon.said()
        );
    }
    let asked = Instant::now();
    let (status, said) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(asked.elapsed() < Duration::from_secs(5), "{said}");
    drop(holder);
}
