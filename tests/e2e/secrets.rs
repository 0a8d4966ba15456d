//! No secret in anything that the binary leaves (invariant I16).

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;

use base64::Engine;

use super::world::{Ran, World, finish, kill};
use crate::support::name_server::write_secret;
use crate::support::zones::Key;
use crate::support::{Keys, NameServer, Zone};

/// Everything that the commands left, and what must not be in it.
struct Search {
    secrets: Vec<(&'static str, Vec<u8>)>,
    searched: usize,
}

impl Search {
    fn new(api_key: &str, tsig: &[&Key]) -> Self {
        // A part of a secret is one too; and a JWT begins with `{"` in base64.
        let mut secrets = vec![
            ("the API key", api_key.as_bytes()[..24].to_vec()),
            ("a JWT", b"eyJ".to_vec()),
        ];
        for key in tsig {
            let raw = base64::engine::general_purpose::STANDARD
                .decode(&key.secret)
                .unwrap();
            secrets.push(("a TSIG secret", key.secret.as_bytes()[..24].to_vec()));
            secrets.push(("a TSIG secret in octets", raw[..12].to_vec()));
        }
        Self {
            secrets,
            searched: 0,
        }
    }

    #[track_caller]
    fn check(&mut self, what: &str, content: &[u8]) {
        self.searched += content.len();
        for (name, secret) in &self.secrets {
            let found = content
                .windows(secret.len())
                .position(|window| window == secret);
            if let Some(at) = found {
                let around = &content[at.saturating_sub(120)..(at + 60).min(content.len())];
                panic!("{name} is in {what}: …{}…", String::from_utf8_lossy(around));
            }
        }
    }

    #[track_caller]
    fn ran(&mut self, ran: &Ran) {
        self.check(&ran.said(), ran.said().as_bytes());
    }
}

#[test]
fn no_secret_is_in_output_log_store_or_command_line() {
    let server = NameServer::bind(
        &[Zone::new("canary.test", "@ 3600 TXT \"v=spf1 -all\"")],
        &Keys::of(&["prevalidate"]),
    );
    let world = World::new(&[&server]);
    let wrong = Key::new("prevalidate", "hmac-sha256");
    let mut search = Search::new(&world.api_key, &[server.keys().key("prevalidate"), &wrong]);
    let mut setup = world.setup(&server, &["canary.test"]);
    let stored = |search: &mut Search, setup: &super::world::Setup| {
        for file in ["", "-wal", "-shm"] {
            let path = format!("{}{file}", setup.store(&world).display());
            if let Ok(content) = std::fs::read(&path) {
                search.check(&path, &content);
            }
        }
    };

    // In the middle of the wait: the command line, and the store with its log as a killed process
    // leaves it.
    let blocked = setup.clone().with_dead_name_servers();
    let mut child = world.start(&blocked, &["run", "-vvv"]);
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains(" waiting: ") {
        assert_ne!(
            told.read_line(&mut said).unwrap(),
            0,
            "ended before it waited: {said}"
        );
    }
    search.check(
        "the command line",
        &std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap(),
    );
    search.check(
        "the environment",
        &std::fs::read(format!("/proc/{}/environ", child.id())).unwrap(),
    );
    search.check("the log", said.as_bytes());
    kill(child.id(), "-KILL");
    assert_eq!(finish(child, &["run"]).status.signal(), Some(9));
    stored(&mut search, &blocked);
    let wal = format!("{}-wal", setup.store(&world).display());
    assert!(
        std::fs::metadata(wal).is_ok_and(|wal| wal.len() > 0),
        "a killed process leaves its write-ahead log"
    );

    // Another store each: the killed one holds its leases for five minutes.
    for (name, auth) in [("local", "local"), ("helper", "helper")] {
        (setup.name, setup.auth) = (name.to_owned(), auth);
        search.ran(
            &world
                .run(&setup, &["run", "-vvv", "--wait", "30s"])
                .exits(0),
        );
        for command in [
            &["plan"][..],
            &["status"],
            &["config", "show"],
            &["config", "check"],
            &["history"],
        ] {
            search.ran(&world.run(&setup, command));
            search.ran(&world.run(&setup, &[command, &["-vvv", "--output", "json"]].concat()));
        }
        stored(&mut search, &setup);
    }

    // DNS refuses the key, then the CA does.
    write_secret(&world.path("wrong.key"), &wrong.file_text());
    setup.name = "refused".to_owned();
    world.ca.delete("canary.test");
    setup.provider = Some((server.address(), world.path("wrong.key")));
    search.ran(&world.run(&setup, &["run", "-vvv", "--wait", "0s"]).exits(4));
    stored(&mut search, &setup);
    world.ca.replace_key("x".repeat(64).into());
    for auth in ["local", "helper"] {
        setup.auth = auth;
        search.ran(&world.run(&setup, &["run", "-vvv", "--wait", "0s"]).exits(3));
        stored(&mut search, &setup);
    }

    let help = world.run(&setup, &["--help"]).exits(0);
    let commands: Vec<&str> = help
        .stdout
        .lines()
        .take_while(|line| !line.starts_with("Global options:"))
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() >= 12, "{commands:?}");
    for command in commands {
        search.ran(&world.run(&setup, &[command, "--help"]).exits(0));
    }
    assert!(
        search.searched > 50_000,
        "only {} octets were searched",
        search.searched
    );
}
