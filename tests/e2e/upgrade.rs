//! A store of version 0.1.0 with attempts under way is taken over: nothing is lost, nothing is
//! published twice, and the run after that is as quiet as it would have been.

use std::collections::BTreeSet;
use std::path::Path;

use prevalidate::clock::{Clock, SystemClock};
use prevalidate::sandbox::ca::{Call, Request};
use serde_json::Value;

use super::world::{Setup, World};
use crate::support::postgres::Cluster;
use crate::support::{Keys, NameServer, Zone, process};

/// How many domains the store has; nothing is to be done for most of them.
const DOMAINS: usize = 10_000;

const VALID: &str = "valid.test";
/// Never proven; its value is in DNS.
const WAITING: &str = "waiting.test";
/// Proven, its renewal is under way; the new value is in DNS.
const RENEWING: &str = "renewing.test";
/// Proven since the value was published, which is still in DNS.
const LEAVING: &str = "leaving.test";
const NAMED: [&str; 4] = [VALID, WAITING, RENEWING, LEAVING];

/// What version 0.1.0 knows of an attempt: a key beside these is lost when it writes the row.
const KNOWN: [&str; 31] = [
    "since",
    "renews",
    "replaces",
    "value",
    "change_id",
    "visible_at",
    "seen_at",
    "horizon_at",
    "cached_until",
    "waits_since",
    "waits_for",
    "told",
    "bogus",
    "withdrawn_at",
    "others",
    "others_changed",
    "looks",
    "tries",
    "submitted_at",
    "vanished",
    "preflight_at",
    "unanswered",
    "failures",
    "last_error",
    "not_before",
    "hold",
    "taken_up_at",
    "word_waits",
    "effects",
    "ordered",
    "proved_at",
];

fn migrations(folder: &str, count: usize) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let read = |n: usize| std::fs::read_to_string(folder.join(format!("{n:04}.sql"))).unwrap();
    (1..=count).map(read).collect()
}

/// What an `INSERT` has for each row of a table: its columns, and each of them as SQL.
fn inserts(file: &Path, table: &str, columns: &[&str]) -> String {
    let quoted = columns.iter().map(|&column| match column {
        "at_risk" | "retry" => format!("CASE WHEN {column} THEN 'true' ELSE 'false' END"),
        _ => format!("quote({column})"),
    });
    let quoted: Vec<String> = quoted.collect();
    let columns = columns.join(", ");
    let sql = format!(
        "SELECT 'INSERT INTO {table} ({columns}) VALUES (' || {} || ');' FROM {table};",
        quoted.join(" || ', ' || ")
    );
    process::run("sqlite3", &[file.to_str().unwrap()], &sql)
}

/// One value.
fn value(file: &Path, sql: &str) -> String {
    let said = process::run("sqlite3", &[file.to_str().unwrap()], sql);
    said.trim().to_owned()
}

/// The world in which the four domains have come as far as their names say, by a program whose gate
/// never opened; the rows as version 0.1.0 has them, and all the others.
struct Before {
    world: World,
    zones: Vec<Vec<String>>,
    rows: String,
    file: std::path::PathBuf,
}

impl Before {
    fn new(server: &NameServer) -> Self {
        let world = World::new(&[server]);
        let zones = NAMED.iter().map(|zone| server.axfr(zone)).collect();
        let setup = world.setup(server, &NAMED);
        world
            .run(&setup, &["run", "--domain", VALID, "--wait", "30s"])
            .exits(0);
        world.make_due(RENEWING);
        let silent = setup.clone().with_dead_name_servers();
        let ran = world.run(&silent, &["run", "--wait", "1s"]);
        assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
        for name in [WAITING, RENEWING, LEAVING] {
            assert!(ours(server, name), "{name}: {}", ran.said());
        }
        world.make_validated(LEAVING, SystemClock.now());

        let file = setup.store(&world);
        // What is new says nothing here, so that it can be left out.
        let attempts = value(&file, "SELECT attempt FROM domain;");
        let mut unknown = BTreeSet::new();
        for attempt in attempts.lines() {
            let attempt: Value = serde_json::from_str(attempt).unwrap();
            for (key, value) in attempt.as_object().unwrap() {
                if !KNOWN.contains(&key.as_str()) {
                    assert!(value.is_null() || value == false, "{key} is new: {value}");
                    unknown.insert(format!("'$.{key}'"));
                }
            }
        }
        for key in unknown {
            let sql = format!("UPDATE domain SET attempt = json_remove(attempt, {key});");
            value(&file, &sql);
        }
        let rows = Self::rows(&world, &file);
        Self {
            world,
            zones,
            rows,
            file,
        }
    }

    fn rows(world: &World, file: &Path) -> String {
        let mut rows = inserts(
            file,
            "domain",
            &[
                "name",
                "client",
                "ca",
                "provider",
                "origins",
                "due_at",
                "at_risk",
                "lease_epoch",
                "read_at",
                "sighting",
                "attempt",
            ],
        );
        rows += &inserts(
            file,
            "ledger",
            &[
                "id",
                "owner",
                "value",
                "provider",
                "zone",
                "state",
                "ttl_before",
                "negative_ttl",
                "created_at",
                "published_at",
                "removal_tries",
                "retry_at",
            ],
        );
        rows += &inserts(file, "look", &["client", "at"]);
        rows += &inserts(file, "effect", &["at", "domain", "retry"]);
        rows += &inserts(file, "history", &["at", "run", "domain", "kind", "detail"]);
        let client = value(file, "SELECT client FROM look;");
        let host = world.ca.url();
        let host = host.split("://").nth(1).unwrap().split('/').next().unwrap();
        for (key, value) in [
            ("endpoint".to_owned(), host),
            (format!("reset/{client}"), "keeps"),
            (format!("above/{client}"), ""),
            (format!("client-reference/{client}"), &world.client),
        ] {
            rows += &format!("INSERT INTO fact (key, value) VALUES ('{key}', '{value}');\n");
        }

        // All the others are as the valid one.
        let names: Vec<String> = (NAMED.len()..DOMAINS)
            .map(|n| format!("d{n}.bulk.test"))
            .collect();
        assert_eq!(world.ca.register(&world.client, &names), names.len());
        let of_valid = |column: &str| {
            let sql = format!("SELECT {column} FROM domain WHERE name = '{VALID}';");
            value(file, &sql)
        };
        let (sighting, attempt) = (of_valid("sighting"), of_valid("attempt"));
        let proven = world.ca.domain(VALID).unwrap();
        let due_at = of_valid("due_at");
        let read_at = of_valid("read_at");
        for name in &names {
            assert!(world.ca.set_validated(name, proven.time_validated.unwrap()));
            let reference = world.ca.domain(name).unwrap().uuid;
            let own = sighting
                .replace(VALID, name)
                .replace(&proven.uuid, &reference);
            rows += &format!(
                "INSERT INTO domain (name, client, ca, origins, due_at, at_risk, lease_epoch, \
                 read_at, sighting, attempt) VALUES ('{name}', '{client}', 'sandbox', 1, {due_at}, \
                 false, 3, {read_at}, '{own}', '{attempt}');\n"
            );
        }
        rows
    }

    /// The same operator with all the domains and the old store.
    fn setup(&self, server: &NameServer, database: Option<String>) -> Setup {
        let list = self.world.path("domains.txt");
        let names = (NAMED.len()..DOMAINS).map(|n| format!("d{n}.bulk.test\n"));
        let named = NAMED.iter().map(|name| format!("{name}\n"));
        std::fs::write(&list, named.chain(names).collect::<String>()).unwrap();
        Setup {
            name: "old".to_owned(),
            list: Some(list),
            database,
            ..self.world.setup(server, &NAMED)
        }
    }
}

fn ours(server: &NameServer, name: &str) -> bool {
    let values = server.txt(name);
    values.iter().any(|value| value.starts_with("swiss-pki="))
}

fn name_server() -> NameServer {
    let zones = NAMED.map(|apex| Zone::new(apex, "@ 3600 TXT \"v=spf1 mx -all\""));
    NameServer::bind(&zones, &Keys::of(&["prevalidate"]))
}

fn is_taken_over(server: &NameServer, before: &Before, setup: &Setup) {
    let world = &before.world;
    world.run(setup, &["store", "upgrade"]).exits(0);

    // Nothing is lost.
    let shown = world.run(setup, &["status", "--output", "json"]).json();
    let shown = shown.as_array().unwrap();
    assert_eq!(shown.len(), DOMAINS);
    let of = |name: &str| {
        let mut rows = shown.iter().filter(|row| row["domain"] == name);
        rows.next().unwrap()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        [of(VALID), of(WAITING), of(RENEWING)],
        ["valid", "pending", "renewing"]
    );
    let published = |name: &str| {
        let history = world.run(setup, &["history", name, "--output", "json"]);
        let text = history.stdout;
        text.matches("\"published\"").count()
    };
    let known: Vec<usize> = NAMED.iter().map(|name| published(name)).collect();
    assert!(known.iter().all(|&count| count > 0), "{known:?}");

    // What was under way is finished with the calls that were left.
    world.ca.clear_log();
    let serials: Vec<u32> = NAMED.iter().map(|zone| server.serial(zone)).collect();
    let ran = world.run(setup, &["run", "--wait", "30s"]).exits(0);
    ran.says(&[&format!("{DOMAINS} domains: {DOMAINS} valid")]);
    let zones: Vec<_> = NAMED.iter().map(|zone| server.axfr(zone)).collect();
    assert_eq!(zones, before.zones, "every zone is as before");
    let changes = NAMED.iter().zip(&serials);
    let changes: Vec<u32> = changes
        .map(|(zone, before)| server.serial(zone) - before)
        .collect();
    assert_eq!(
        changes,
        [0, 1, 1, 1],
        "one removal each, and no other write"
    );
    assert_eq!(
        NAMED.map(published).to_vec(),
        known,
        "nothing is published twice"
    );
    let calls = |log: Vec<Request>| -> Vec<Call> {
        let calls = log.iter().map(|request| request.call);
        calls.filter(|&call| call != Call::List).collect()
    };
    assert_eq!(calls(world.ca.log()), [Call::Validate, Call::Validate]);

    // And then there is nothing to do.
    world.ca.clear_log();
    world.run(setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(calls(world.ca.log()), []);
    let zones: Vec<_> = NAMED.iter().map(|zone| server.axfr(zone)).collect();
    assert_eq!(zones, before.zones);
}

#[test]
fn a_file_of_version_0_1_0_with_ten_thousand_domains_is_taken_over() {
    let server = name_server();
    let before = Before::new(&server);
    let setup = before.setup(&server, None);
    let path = setup.store(&before.world);
    let schema = migrations("src/store/migrations", 3);
    let stamp = "PRAGMA application_id = 1886806380; PRAGMA user_version = 3;";
    let rows = &before.rows;
    let sql = format!("BEGIN;\n{schema}\n{rows}\nCOMMIT;\n{stamp}");
    process::run("sqlite3", &["-bail", path.to_str().unwrap()], &sql);
    private(&path);
    assert!(before.file.exists());
    is_taken_over(&server, &before, &setup);
}

#[test]
fn a_database_of_version_0_1_0_with_ten_thousand_domains_is_taken_over() {
    let server = name_server();
    let before = Before::new(&server);
    let database = Cluster::shared().database_now();
    let schema = migrations("src/store/postgres/migrations", 2);
    let rows = &before.rows;
    before.world.wait_for(async {
        database.run(&schema).await;
        database.run(&format!("BEGIN;\n{rows}\nCOMMIT;")).await;
    });
    let setup = before.setup(&server, Some(database.url));
    is_taken_over(&server, &before, &setup);
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
