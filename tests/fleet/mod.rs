//! Several machines on one PostgreSQL, each a process of its own: what they do together, and what
//! no fault makes them do.

mod database;
mod machines;
mod together;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use prevalidate::ca::ClientSelector;
use prevalidate::sandbox::ca::Call;
use prevalidate::store::Store as _;
use prevalidate::store::postgres::PostgresStore;
use prevalidate::worker::Target;

use crate::e2e::world::{Setup, World};
use crate::support::daemon::Daemon;
use crate::support::postgres::Database;
use crate::support::{Keys, NameServer, Zone, process};

/// For each call to the CA.
const LATENCY_MS: u64 = 50;

/// As long as nothing moves, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A CA that takes its time, one BIND, one database, and domains that are new to all three.
pub struct Fleet {
    pub world: World,
    pub database: Database,
    pub domains: Vec<String>,
    pub server: NameServer,
    /// More lines of `[worker]`, the same for all.
    pub worker: &'static str,
    before: Vec<Vec<String>>,
}

impl Fleet {
    pub fn new(database: Database, count: usize) -> Self {
        let domains: Vec<String> = (0..count).map(|n| format!("f{n:04}.test")).collect();
        let zones: Vec<Zone> = domains
            .iter()
            .map(|domain| Zone::new(domain, "@ 3600 TXT \"v=spf1 -all\""))
            .collect();
        let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
        let world = World::new(&[&server]);
        world
            .ca
            .change(|behaviour| behaviour.latency_ms = LATENCY_MS);
        let before = domains.iter().map(|domain| server.axfr(domain)).collect();
        Self {
            world,
            database,
            domains,
            server,
            worker: "",
            before,
        }
    }

    pub fn setup(&self, machine: usize) -> Setup {
        let domains: Vec<&str> = self.domains.iter().map(String::as_str).collect();
        Setup {
            name: format!("machine{machine}"),
            database: Some(self.database.url.clone()),
            worker: self.worker.to_owned(),
            ..self.world.setup(&self.server, &domains)
        }
    }

    /// One more machine, ready.
    pub fn start(&self, machine: usize) -> Daemon {
        self.start_as(&self.setup(machine))
    }

    /// The same by another way to the database.
    pub fn start_by(&self, machine: usize, address: SocketAddr) -> Daemon {
        self.start_as(&Setup {
            database: Some(self.database.by(address)),
            ..self.setup(machine)
        })
    }

    pub fn start_as(&self, setup: &Setup) -> Daemon {
        Daemon::start(self.world.command(setup, &["serve", "-v"]))
    }

    /// What one statement says, beside the machines.
    pub fn ask(&self, sql: &str) -> String {
        process::run("psql", &[&self.database.url, "-qtAXc", sql], "")
            .trim()
            .to_owned()
    }

    pub fn number(&self, sql: &str) -> i64 {
        self.ask(sql).parse().unwrap()
    }

    /// Checks again until it is so.
    #[track_caller]
    pub fn until(&self, what: &str, so: impl Fn() -> bool) {
        let began = Instant::now();
        while !so() {
            assert!(
                began.elapsed() < PATIENCE,
                "{what} does not come about: {}",
                self.state()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until this query says something, and gives that: the server checks again by itself.
    #[track_caller]
    pub fn until_said(&self, what: &str, query: &str) -> String {
        let began = Instant::now();
        loop {
            let said = self.said_soon(query);
            if !said.is_empty() {
                return said;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{what} does not come about: {}",
                self.state()
            );
        }
    }

    /// What this query says as soon as it says anything; nothing after a second.
    pub fn said_soon(&self, query: &str) -> String {
        self.ask(&format!(
            "DO $$ BEGIN
                 FOR turn IN 1..100 LOOP EXIT WHEN EXISTS ({query}); PERFORM pg_sleep(0.01); END LOOP;
             END $$; {query}"
        ))
    }

    /// How many calls of this kind the CA did.
    pub fn performed(&self, call: Call) -> usize {
        self.world
            .ca
            .log()
            .iter()
            .filter(|request| request.call == call && request.performed)
            .count()
    }

    fn valid(&self) -> usize {
        let is_valid = |domain: &&String| {
            let shown = self.world.ca.domain(domain);
            shown.is_some_and(|shown| shown.status == "VALID")
        };
        self.domains.iter().filter(is_valid).count()
    }

    /// Waits until so many domains are valid, as long as there are more and more of them: the
    /// machines are in the middle of it.
    #[track_caller]
    pub fn until_valid(&self, count: usize) {
        let mut valid = self.valid();
        while valid < count {
            let before = valid;
            self.until(&format!("that {count} domains are valid"), || {
                self.valid() > before
            });
            valid = self.valid();
        }
    }

    /// Waits until everything is proven, and nothing of it is left in DNS or under a lease.
    #[track_caller]
    pub fn until_done(&self) {
        self.until_valid(self.domains.len());
        let closed = "SELECT 'all' WHERE NOT EXISTS (SELECT FROM ledger WHERE state <> 'removed')
                          AND NOT EXISTS (SELECT FROM domain WHERE lease_until > clock_timestamp())";
        self.until_said("the end of all work", closed);
    }

    /// The machines that start from now on find that another machine is listing at the CA, until
    /// one that does not ask has listed.
    pub fn take_the_listing(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            PostgresStore::open(&self.database.url, None, None)
                .await
                .unwrap()
                .close()
                .await
        });
        let client = Target::new(
            "sandbox",
            ClientSelector::Reference(self.world.client.clone()),
        )
        .key;
        self.ask(&format!(
            "INSERT INTO turn VALUES ('{client}', 'another worker', now() + interval '1 hour')"
        ));
    }

    /// How many lines of the history of domains each machine wrote, and how many seconds after the
    /// listing the first of them.
    pub fn shares(&self) -> Vec<(i64, f64)> {
        let said = self.ask(
            "SELECT count(*), (min(at) - (SELECT max(at) FROM look)) / 1e6 FROM history
             WHERE domain IS NOT NULL AND run LIKE 'serve-%' GROUP BY run ORDER BY 1",
        );
        let share = |line: &str| {
            line.split_once('|')
                .map(|(steps, after)| (steps.parse().unwrap(), after.parse().unwrap()))
        };
        said.lines().filter_map(share).collect()
    }

    fn state(&self) -> String {
        let valid = self.valid();
        let rows = "SELECT string_agg(name || ' due ' || coalesce(due_at::text, '-') || ' until '
                || coalesce(lease_until::text, '-') || ' claims ' || claims || ' ' || attempt, E'\\n')
            FROM (SELECT * FROM domain WHERE lease_until IS NOT NULL OR attempt::json ->> 'hold' IS NOT NULL
                OR name IN (SELECT owner FROM ledger WHERE state <> 'removed') LIMIT 20) AS open";
        let last = "SELECT string_agg(kind || ' ' || coalesce(domain, '') || ' ' || detail, E'\\n')
            FROM (SELECT * FROM history ORDER BY id DESC LIMIT 20) AS last";
        let psql = |sql: &str| {
            let output = process::try_run("psql", &[&self.database.url, "-qtAXc", sql], "");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        format!(
            "{valid} of {} valid\n{}\n{}",
            self.domains.len(),
            psql(rows),
            psql(last)
        )
    }

    /// An epoch never becomes smaller (invariant I10). From now on the database refuses a write that
    /// makes it smaller, and the log shows it.
    pub fn guard_epochs(&self) {
        self.ask(
            "CREATE FUNCTION guard_epoch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.lease_epoch < OLD.lease_epoch THEN RAISE EXCEPTION 'an epoch became smaller'; END IF;
                 RETURN NEW; END $$;
             CREATE TRIGGER guard_epoch BEFORE UPDATE ON domain FOR EACH ROW EXECUTE FUNCTION guard_epoch()",
        );
    }

    /// What holds at the end, whatever happened before; prints what it came to.
    #[track_caller]
    pub fn check(&self, case: &str, machines: Vec<Daemon>) {
        let log = self.world.ca.log();
        let mut effects: BTreeMap<&str, Vec<Call>> = BTreeMap::new();
        let changes = |call| {
            matches!(
                call,
                Call::Register
                    | Call::Validate
                    | Call::ResetToken
                    | Call::DeleteToken
                    | Call::Delete
            )
        };
        for request in log
            .iter()
            .filter(|request| request.performed && changes(request.call))
        {
            for subject in &request.subjects {
                effects.entry(subject).or_default().push(request.call);
            }
        }
        for (domain, before) in self.domains.iter().zip(&self.before) {
            // Each need was met once, and nothing else was changed at the CA (invariants I6 to I8).
            assert_eq!(
                effects.remove(domain.as_str()),
                Some(vec![Call::Register, Call::Validate]),
                "{domain}"
            );
            // Foreign records are unchanged and ours are gone (invariants I1, I3, I9).
            assert_eq!(&self.server.axfr(domain), before);
        }
        effects.retain(|subject, _| !subject.starts_with("cld-"));
        assert!(effects.is_empty(), "calls about others: {effects:?}");
        // The ledger has one value for each domain, and knows that it is gone (invariants I2, I4).
        let ledger = "SELECT count(*) || ' ' || count(DISTINCT owner) || ' ' || count(*) FILTER (WHERE state = 'removed') FROM ledger";
        let count = self.domains.len();
        assert_eq!(self.ask(ledger), format!("{count} {count} {count}"));
        // Every domain is valid for long and none waits (invariant I15); the history of each is
        // bounded (invariant I17).
        let soon = "SELECT count(*) FROM domain WHERE due_at IS NULL OR due_at < 1000000 * extract(epoch FROM now() + interval '7 days')";
        assert_eq!(self.number(soon), 0, "{}", self.state());
        let most = self.number(
            "SELECT max(count) FROM (SELECT count(*) FROM history GROUP BY domain HAVING domain IS NOT NULL) AS each",
        );
        assert!(most < 40, "{most} lines of history about one domain");
        // `check` says what the CA says (invariant I18).
        let setup = self.setup(0);
        self.world.run(&setup, &["check"]).exits(0);
        let lost = machines.iter().map(|machine| {
            machine
                .said()
                .matches("another worker has taken the domain over")
                .count()
        });
        let lost: usize = lost.sum();
        for machine in machines {
            let (status, said) = machine.stop();
            assert!(status.success(), "{status}:\n{said}");
            // No secret (invariant I16), and no fault of the program was survived in silence.
            assert!(
                !said.contains(&self.world.api_key)
                    && !said.contains("panic")
                    && !said.contains("smaller"),
                "{said}"
            );
        }
        let calls = |call| log.iter().filter(|request| request.call == call).count();
        let claims = self.number("SELECT sum(lease_epoch) FROM domain");
        let line = format!(
            "{case}: {count} domains; calls: {} register, {} get, {} list, {} validate; {claims} claims, {lost} leases lost\n",
            calls(Call::Register),
            calls(Call::Get),
            calls(Call::List),
            calls(Call::Validate),
        );
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
}
