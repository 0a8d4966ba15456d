//! The same over PostgreSQL: one machine as over a file, two machines at once, and the way from one
//! store to the other.

use prevalidate::sandbox::ca::Call;
use serde_json::{Value, json};

use super::world::{Setup, World, finish};
use crate::support::name_server::write_secret;
use crate::support::postgres::{Bouncer, Cluster};
use crate::support::{Keys, NameServer, Zone};

fn lab(count: usize) -> (Vec<String>, NameServer) {
    let domains: Vec<String> = (0..count).map(|n| format!("f{n:02}.test")).collect();
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

#[test]
fn two_machines_that_run_at_once_do_nothing_twice() {
    let (domains, server) = lab(24);
    let world = World::new(&[&server]);
    let before: Vec<_> = domains.iter().map(|domain| server.axfr(domain)).collect();
    let database = Cluster::shared().database_now();
    let machines: Vec<_> = [
        database.url.clone(),
        database.by(Bouncer::shared().address()),
    ]
    .into_iter()
    .enumerate()
    .map(|(n, url)| {
        let name = format!("machine{n}");
        let setup = Setup {
            name,
            database: Some(url),
            ..setup(&world, &server, &domains)
        };
        world.start(&setup, &["run", "--wait", "60s"])
    })
    .collect();
    for machine in machines {
        finish(machine, &["run"]).exits(0);
    }
    for (domain, zone) in domains.iter().zip(&before) {
        assert_eq!(world.ca.domain(domain).unwrap().status, "VALID", "{domain}");
        let calls = world.calls_about(domain);
        for call in [Call::Register, Call::Validate] {
            assert_eq!(
                calls.iter().filter(|&&made| made == call).count(),
                1,
                "{domain}: {calls:?}"
            );
        }
        assert_eq!(&server.axfr(domain), zone);
    }
}

#[test]
fn a_store_moves_from_a_file_to_postgresql_and_the_nights_go_on() {
    let (domains, server) = lab(3);
    let world = World::new(&[&server]);
    let file = setup(&world, &server, &domains);
    let database = Cluster::shared().database_now();
    let moved = Setup {
        name: "moved".to_owned(),
        database: Some(database.url.clone()),
        ..file.clone()
    };
    let from = file.store_url(&world);
    world
        .run(&moved, &["store", "copy", "--from", &from])
        .exits(2)
        .says(&["there is no store at"]);
    world.run(&file, &["run", "--wait", "30s"]).exits(0);

    let copy = |more: &[&str]| {
        let arguments = [
            &["store", "copy", "--from", &from, "--output", "json"],
            more,
        ]
        .concat();
        world.run(&moved, &arguments)
    };
    let planned = copy(&["--dry-run"])
        .exits(0)
        .says(&["would copy", "nothing was changed"]);
    let planned: Value = planned.json();
    let rows = |table: &str| {
        let content = planned["content"].as_array().unwrap();
        content.iter().find(|one| one["kind"] == table).unwrap()["rows"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(
        (rows("domain"), rows("ledger"), rows("fact") > 0),
        (3, 3, true),
        "{planned}"
    );
    world
        .run(&moved, &["status"])
        .exits(1)
        .says(&["the CA has not been asked yet"]);
    let copied = copy(&[])
        .exits(0)
        .says(&["read it back: it is the same"])
        .json();
    assert_eq!(copied["content"], planned["content"]);
    copy(&[]).exits(2).says(&["is not empty"]);
    copy(&["--dry-run"]).exits(2).says(&["is not empty"]);

    // Nothing is asked twice because the store is another one.
    world.ca.clear_log();
    for command in [&["plan"][..], &["run"], &["check"], &["status"]] {
        world.run(&moved, command).exits(0);
    }
    let calls: Vec<Call> = world.ca.log().iter().map(|request| request.call).collect();
    assert_eq!(
        calls,
        [Call::List; 2],
        "one for the plan and one for the night"
    );
    let history = world
        .run(&moved, &["history", &domains[0], "--output", "json"])
        .exits(0)
        .json();
    assert_eq!(
        history,
        world
            .run(&file, &["history", &domains[0], "--output", "json"])
            .json()
    );

    // And back.
    let back = format!("sqlite:{}", world.path("back.db").display());
    world
        .run(&moved, &["store", "copy", "--to", &back])
        .exits(0)
        .says(&["domain", "read it back"]);
    let again = Setup {
        name: "back".to_owned(),
        ..file
    };
    world.run(&again, &["run"]).exits(0);
}

#[test]
fn a_password_comes_from_where_it_is_kept_and_shows_nowhere() {
    const CANARY: &str = "canary-6c1d-of-the-database";
    let (domains, server) = lab(1);
    let world = World::new(&[&server]);
    let cluster = Cluster::start();
    let database = cluster.database_now();
    cluster.ask_for_passwords(CANARY);
    let with = |url: &str| Setup {
        database: Some(url.to_owned()),
        ..setup(&world, &server, &domains)
    };
    let setup = with(&database.url);

    world
        .run(&setup, &["status"])
        .exits(2)
        .says(&["pg_hba.conf", ".pgpass"]);
    world
        .run_with(&setup, &["run", "--wait", "30s"], ("PGPASSWORD", CANARY))
        .exits(0);
    world
        .run_with(&setup, &["status"], ("PGPASSWORD", "wrong"))
        .exits(2)
        .says(&["password authentication failed"]);
    let secret = world.path("database.password");
    write_secret(&secret, CANARY);
    let kept = Setup {
        store: format!(
            "password = {{ file = {} }}",
            json!(secret.display().to_string())
        ),
        ..setup.clone()
    };
    for command in [&["status", "-vvv"][..], &["config", "show"]] {
        let ran = world.run(&kept, command).exits(0);
        assert!(!ran.said().contains(CANARY), "{}", ran.said());
    }
    let open = with(
        &database
            .url
            .replace("postgres@", &format!("postgres:{CANARY}@")),
    );
    let ran = world
        .run(&open, &["status"])
        .exits(2)
        .says(&["must not hold a password"]);
    assert!(!ran.said().contains(CANARY), "{}", ran.said());
    let url = open.store_url(&world);
    let ran = world.run(&setup, &["store", "copy", "--to", &url]).exits(2);
    assert!(
        !ran.stderr.contains(CANARY) && !ran.stdout.contains(CANARY),
        "{}",
        ran.said()
    );
}

#[test]
fn the_database_is_spoken_to_in_tls_and_known_by_its_name() {
    let (domains, server) = lab(1);
    let world = World::new(&[&server]);
    let cluster = Cluster::start();
    let (database, root) = (cluster.database_now(), world.path("root.pem"));
    cluster.speak_tls(&root);
    let by = |host: &str, tls: &str| {
        let url = database
            .url
            .replace("127.0.0.1", host)
            .replace("sslmode=disable", tls);
        world.run(
            &Setup {
                database: Some(url),
                ..setup(&world, &server, &domains)
            },
            &["status"],
        )
    };
    let known = format!("sslmode=verify-full&sslrootcert={}", root.display());
    let statuses = [
        by("localhost", &known).status.code(),
        by("localhost", "sslmode=require").status.code(),
        by("localhost", "sslmode=prefer").status.code(),
    ];
    assert_eq!(
        statuses,
        [Some(1); 3],
        "a domain is not valid yet, and that was read from the database"
    );
    by("127.0.0.1", &known)
        .exits(2)
        .says(&["certificate", "sslrootcert"]);
    by("localhost", "sslmode=verify-full")
        .exits(2)
        .says(&["certificate", "sslrootcert=FILE"]);
    by("localhost", "sslmode=verify-ca")
        .exits(2)
        .says(&["take sslmode=verify-full"]);
    by("localhost", "sslmode=disable")
        .exits(2)
        .says(&["no encryption"]);
}
