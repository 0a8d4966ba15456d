//! The store under a run and a daemon: killed processes, held locks, full disks, files that go away,
//! and configurations that are not its own.

use std::path::Path;
use std::time::{Duration, Instant};

use prevalidate::sandbox::ca::Call;

use super::world::{Setup, World, finish};
use crate::support::daemon::Daemon;
use crate::support::{Keys, NameServer, Zone, process};

fn lab(domains: &[&str]) -> (NameServer, World) {
    let zones: Vec<Zone> = domains
        .iter()
        .map(|domain| Zone::new(domain, "@ 3600 TXT \"v=spf1 -all\""))
        .collect();
    let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    (server, world)
}

fn listening(world: &World, server: &NameServer, domains: &[&str]) -> Setup {
    let mut setup = world.setup(server, domains);
    setup.more.push_str("[server]\nlisten = \"127.0.0.1:0\"\n");
    setup
}

fn sql(file: &Path, statement: &str) -> String {
    let arguments = [
        "-cmd",
        ".timeout 9000",
        &file.display().to_string(),
        statement,
    ];
    process::run("sqlite3", &arguments, "").trim().to_owned()
}

/// Asks again until it is so; nothing that is waited for takes longer.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::yield_now();
    }
}

#[cfg(feature = "crashpoints")]
#[test]
fn after_a_run_that_was_killed_the_next_one_on_the_same_machine_goes_on_at_once() {
    let (server, world) = lab(&["held.test"]);
    let setup = world.setup(&server, &["held.test"]);
    let first = world.run_with(&setup, &["run"], ("PREVALIDATE_CRASH", "register-intended"));
    assert_eq!(first.status.code(), None, "{}", first.said());
    let until = "SELECT lease_until > 0 FROM domain";
    assert_eq!(sql(&setup.store(&world), until), "1", "it holds a lease");
    let began = Instant::now();
    world.run(&setup, &["run", "--wait", "60s"]).exits(0);
    assert!(began.elapsed() < Duration::from_secs(60), "five minutes");
    assert_eq!(
        world.calls_about("held.test"),
        [Call::Register, Call::Validate]
    );
}

#[test]
fn what_a_living_process_holds_is_said_to_be_held_by_it() {
    let (server, world) = lab(&["held.test"]);
    let setup = world.setup(&server, &["held.test"]);
    world.ca.change(|behaviour| behaviour.latency_ms = 2_000);
    let holder = world.start(&setup, &["run"]);
    let pid = holder.id().to_string();
    let file = setup.store(&world);
    let leases = "SELECT count(*) FROM domain WHERE lease_until IS NOT NULL";
    until("a lease", || {
        file.exists()
            && process::try_run("sqlite3", &[&file.display().to_string(), leases], "").stdout
                == b"1\n"
    });
    process::run("kill", &["-STOP", &pid], "");
    world.ca.change(|behaviour| behaviour.latency_ms = 0);
    let who = format!("the process {pid}");
    for arguments in [
        &["run", "--wait", "0s"][..],
        &["status", "-v"],
        &["plan", "-v"],
        &["check"],
        &["diagnose", "held.test"],
    ] {
        let said = world.run(&setup, arguments).said();
        assert!(
            said.contains(&who) && said.contains("until") && said.contains("since"),
            "{arguments:?}: {said}"
        );
    }
    let rows = world.run(&setup, &["status", "--output", "json"]).json();
    let due = rows[0]["due_at"].as_str().unwrap().to_owned();
    assert!(due.as_str() > rows[0]["ca_read_at"].as_str().unwrap());
    process::run("kill", &["-KILL", &pid], "");
    finish(holder, &["run"]);
    world.run(&setup, &["run", "--wait", "60s"]).exits(0);
}

#[test]
fn a_daemon_whose_store_cannot_be_written_is_not_ready_and_goes_on_when_it_can() {
    let (server, world) = lab(&["a.test"]);
    let setup = listening(&world, &server, &["a.test"]);
    let mut daemon = Daemon::start(world.command(&setup, &["serve"]));
    daemon.says(&["removed"]);
    until("ready", || daemon.get("/readyz").0 == 200);
    let file = setup.store(&world);
    // As a full disk does: SQLite ends the transaction by itself.
    for table in ["fact", "domain"] {
        for verb in ["INSERT", "UPDATE"] {
            let trigger = format!(
                "CREATE TRIGGER full_{table}_{verb} BEFORE {verb} ON {table}
                 BEGIN SELECT RAISE(ROLLBACK, 'database or disk is full'); END"
            );
            sql(&file, &trigger);
        }
    }
    until("not ready", || daemon.get("/readyz").0 == 503);
    assert_eq!(daemon.get("/healthz").0, 200, "a restart would not help");
    daemon.says(&["the store does not answer"]);
    for table in ["fact", "domain"] {
        for verb in ["INSERT", "UPDATE"] {
            sql(&file, &format!("DROP TRIGGER full_{table}_{verb}"));
        }
    }
    until("ready again", || daemon.get("/readyz").0 == 200);
    daemon.says(&["the store answers again"]);
    assert!(daemon.get("/metrics").1.contains("prevalidate_store_up 1"));
    daemon.stop();
}

#[test]
fn a_daemon_whose_store_is_deleted_ends_and_is_started_again() {
    let (server, world) = lab(&["a.test"]);
    let setup = listening(&world, &server, &["a.test"]);
    let mut daemon = Daemon::start(world.command(&setup, &["serve"]));
    daemon.says(&["removed"]);
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", setup.store(&world).display());
        std::fs::remove_file(file).unwrap();
    }
    let (status, said) = daemon.ends();
    assert_eq!(status.code(), Some(75), "{said}");
    assert!(said.contains("was deleted under this process"), "{said}");
}

#[test]
fn a_store_that_is_damaged_or_a_folder_ends_run_and_serve_with_status_2() {
    let (server, world) = lab(&["a.test"]);
    let setup = world.setup(&server, &["a.test"]);
    world.run(&setup, &["run", "--wait", "60s"]).exits(0);
    let file = setup.store(&world);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[4096..].fill(0x5a);
    std::fs::write(&file, bytes).unwrap();
    for command in [&["run"][..], &["serve"]] {
        let said = world.run(&setup, command).exits(2).said();
        assert!(said.contains("restore a backup"), "{said}");
    }
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    for command in [
        &["run"][..],
        &["serve"],
        &["config", "check"],
        &["add", "b.test"],
    ] {
        let said = world.run(&setup, command).exits(2).said();
        assert!(said.contains("is a folder"), "{command:?}: {said}");
    }
}

#[test]
fn no_configuration_with_a_client_that_does_not_exist_takes_the_domains_of_a_daemon_along() {
    let domains = ["a.test", "b.test"];
    let (server, world) = lab(&domains);
    let setup = world.setup(&server, &domains);
    world.run(&setup, &["run", "--wait", "60s"]).exits(0);
    let file = setup.store(&world);
    let dump = || {
        let rows = sql(&file, "SELECT * FROM domain ORDER BY name");
        let facts = sql(&file, "SELECT * FROM fact ORDER BY key");
        (rows, facts)
    };
    let before = dump();
    let wrong = Setup {
        client: "cli-00000000-0000-4000-8000-000000000000".to_owned(),
        database: Some(setup.store_url(&world)),
        name: "wrong".to_owned(),
        ..setup.clone()
    };
    let refreshed = world.run(&wrong, &["status", "--refresh"]);
    assert_ne!(refreshed.status.code(), Some(0), "{}", refreshed.said());
    for checks in [
        &["status"][..],
        &["plan"],
        &["check"],
        &["config", "check"],
        &["records"],
        &["diagnose", "a.test"],
        &["providers"],
    ] {
        world.run(&wrong, checks);
    }
    assert_eq!(
        dump(),
        before,
        "nothing that other machines act on was written"
    );
    let said = world.run(&wrong, &["run", "--wait", "1s"]).exits(5).said();
    assert!(said.contains("at another client"), "{said}");
    assert_eq!(dump().0, before.0, "the inventory stays");
    world
        .run(&wrong, &["run", "--wait", "1s", "--force"])
        .exits(3);
    let clients = "SELECT DISTINCT client = 'sandbox/' || '";
    assert_eq!(
        sql(&file, &format!("{clients}{}' FROM domain", setup.client)),
        "1",
        "a client that the CA does not know gets no domain"
    );
    world.run(&setup, &["run", "--wait", "60s"]).exits(0);
    world.run(&setup, &["check"]).exits(0);
}

#[test]
fn an_older_store_is_brought_up_to_date_by_no_listing() {
    let (server, world) = lab(&["a.test"]);
    let setup = world.setup(&server, &["a.test"]);
    world.run(&setup, &["store", "upgrade"]).exits(2);
    world.run(&setup, &["run", "--wait", "60s"]).exits(0);
    let file = setup.store(&world);
    let version = || sql(&file, "PRAGMA user_version");
    let newest = version();
    let older = "DROP TABLE hook; DROP TABLE notice; DROP TABLE turn; DROP TABLE certificate; DROP TABLE certificate_history;
        DROP TABLE persistent;
        DROP INDEX ledger_row; ALTER TABLE ledger DROP COLUMN domain; ALTER TABLE ledger DROP COLUMN record;
        ALTER TABLE ledger DROP COLUMN kind; ALTER TABLE history DROP COLUMN client; PRAGMA user_version = 2";
    sql(&file, older);
    for (check, status) in [(&["status"][..], 2), (&["check"], 3), (&["plan"], 2)] {
        let said = world.run(&setup, check).exits(status).said();
        assert!(said.contains("older prevalidate"), "{check:?}: {said}");
        assert_eq!(version(), "2", "{check:?}");
    }
    let said = world.run(&setup, &["store", "upgrade"]).exits(0).said();
    assert!(said.contains("was brought up to date"), "{said}");
    assert_eq!(version(), newest);
    let said = world.run(&setup, &["store", "upgrade"]).exits(0).said();
    assert!(said.contains("is up to date"), "{said}");
    world.run(&setup, &["check"]).exits(0);
}
