//! The running lab: servers, resolvers, the CA that checks through them, and the gate and the
//! program set up for its root.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prevalidate::clock::SystemClock;
use prevalidate::propagation::dnssec::Anchors;
use prevalidate::propagation::resolver::Resolver;
use prevalidate::propagation::{Gate, GateMode, GateSettings, Judging};
use prevalidate::sandbox::ca::{Behaviour, Ca, CaOptions, published_lifetimes};
use prevalidate::sandbox::clock::ShiftedClock;
use prevalidate::sandbox::{CLIENT, USER};
use tempfile::TempDir;

use super::internet::{self, Plan, VALUE, dns};
use super::perspectives::{self, Resolvers};
use super::topology::{Case, Runs, Success, UNROUTABLE};
use super::{cases, makes, namespace};
use crate::support::process::Process;

/// How often the CA is asked about each topology: 40 answers of perspectives. With one stale server
/// of four, all of them are right once in 100,000 times.
const CHECKS: usize = 8;
/// When no perspective has seen the value in so many checks, none will: with one stale server of
/// two, this is wrong once in 30,000 times.
const BLIND: usize = 3;

/// Not one of 30,000 was late where the CA always succeeds: a way around dead servers takes 2.3 s
/// at most. Where half of the servers let a resolver hang over TCP, 3 s each time it draws one of
/// them, a third is. One may be late because the machine is: with one perspective missing a check
/// succeeds all the same.
const MOST_LATE: usize = 1;

pub struct Lab {
    pub cases: Vec<Case>,
    pub plan: Plan,
    pub resolvers: Resolvers,
    ca: Ca,
    directory: TempDir,
    _servers: Vec<Process>,
}

/// What the CA made of a topology.
#[derive(Debug)]
pub struct Checks {
    pub success: Success,
    /// How many checks succeeded, of how many.
    pub seen: [usize; 2],
    /// How many perspectives gave no answer in time, in all checks.
    pub late: usize,
    /// Its last words.
    pub words: String,
}

impl Lab {
    pub async fn start() -> Self {
        let begun = Instant::now();
        let cases = cases::all();
        let directory = TempDir::with_prefix("prevalidate-lab-").unwrap();
        let plan = internet::plan(&cases, directory.path());
        let written = begun.elapsed();
        let closed = cases
            .iter()
            .flat_map(|case| &case.zones)
            .flat_map(|zone| &zone.servers);
        let closed = closed
            .filter(|server| server.runs == Runs::Closed)
            .map(|server| server.address);
        let serving = plan
            .loads
            .values()
            .flat_map(|load| load.addresses.clone())
            .filter(|address| *address != UNROUTABLE);
        let all: BTreeSet<_> = serving
            .chain(closed)
            .chain(perspectives::addresses().into_iter().flatten())
            .collect();
        namespace::set_up(all);
        namespace::weather(&weather(&cases), "");
        let servers = makes::start(&plan, directory.path());
        let resolvers = Resolvers::start(&plan, directory.path());
        let ca = Ca::start(CaOptions {
            clock: ShiftedClock::over(Arc::new(SystemClock)),
            listen: ([127, 0, 0, 1], 0).into(),
            user: USER.to_owned(),
            api_key: "k".repeat(64).into(),
            clients: vec![CLIENT.to_owned()],
            lifetimes: published_lifetimes(),
            behaviour: Behaviour {
                resolvers: resolvers.of_the_ca().into(),
                ..Behaviour::default()
            },
            seed: 1,
            name_servers: Arc::new(|_| Vec::new()),
            dns: None,
        });
        let ca = ca.await.unwrap();
        println!(
            "the lab is up after {:.1?}, {written:.1?} of them for keys and signatures",
            begun.elapsed()
        );
        Self {
            cases,
            plan,
            resolvers,
            ca,
            directory,
            _servers: servers,
        }
    }

    /// The settings for the lab's own root, changed by `change`.
    pub fn gate(&self, change: impl FnOnce(&mut GateSettings)) -> Gate {
        let by_resolvers = self
            .cases
            .iter()
            .filter(|case| case.by_resolvers)
            .map(|case| {
                (
                    case.zones[0].apex.clone(),
                    Judging {
                        mode: Some(GateMode::Resolvers),
                        ..Judging::default()
                    },
                )
            });
        let general = Judging {
            resolvers: self.public_resolvers(),
            ..Judging::default()
        };
        let mut settings = GateSettings {
            general,
            zones: by_resolvers.collect(),
            roots: self
                .plan
                .roots
                .iter()
                .map(|&address| dns(address))
                .collect(),
            timeout: Duration::from_secs(1),
            trust_anchors: Anchors::parse(&self.plan.anchor).unwrap(),
            ..GateSettings::default()
        };
        change(&mut settings);
        Gate::new(settings, Arc::new(SystemClock))
    }

    /// One resolver at two ports, one of which no network redirects.
    pub fn public_resolvers(&self) -> Vec<Resolver> {
        self.resolvers.public().map(Resolver::Plain).into()
    }

    /// The same settings as a file for the program.
    pub fn configuration(&self) -> PathBuf {
        let file = self.directory.path().join("prevalidate.toml");
        let roots: Vec<String> = self
            .plan
            .roots
            .iter()
            .map(|&address| dns(address).to_string())
            .collect();
        let resolvers = self.resolvers.public().map(|address| address.to_string());
        let anchors = self.directory.path().join("root.key");
        let store = self.directory.path().join("prevalidate.db");
        // What is there before [propagation] must be there, and is not used.
        let mut text = format!(
            "[policy]\nmode = \"observe\"\n[store]\nurl = \"sqlite:{}\"\n[ca.lab]\nkind = \"swisssign\"\nurl = \"http://127.0.0.1:1\"\nuser = \"{USER}\"\n\
             api_key = {{ file = \"api.key\" }}\n[[client]]\nca = \"lab\"\nname = \"{CLIENT}\"\ndomains = []\n\
             [propagation]\ntimeout = \"1s\"\nroots = {roots:?}\nresolvers = {resolvers:?}\ntrust_anchors = {anchors:?}\n",
            store.display()
        );
        for case in self.cases.iter().filter(|case| case.by_resolvers) {
            text += &format!(
                "[propagation.zone.\"{}\"]\nmode = \"resolvers\"\n",
                case.zones[0].apex
            );
        }
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Asks the CA, each time with empty caches, until it is clear how often it succeeds. Each
    /// perspective counts: the quorum hides much of what is left to chance.
    pub async fn check(&self, case: &Case) -> Checks {
        let (mut seen, mut late, mut dark) = (0, 0, 0);
        for nth in 1..=CHECKS {
            self.resolvers
                .forget(&case.zones, case.ca == Success::Sometimes);
            if nth % 2 == 0 {
                self.resolvers.meet(&case.zones).await;
            }
            let check = self.ca.check(&case.domain, VALUE).await;
            seen += usize::from(check.is_ok());
            let (Ok(words) | Err(words)) = check;
            let perspectives = self
                .resolvers
                .of_the_ca()
                .map(|resolver| words.contains(&resolver.to_string()));
            let blind = perspectives.iter().filter(|blind| **blind).count();
            let silent = words.matches("did not answer").count();
            dark += usize::from(blind == perspectives.len());
            late += if dark == nth { 0 } else { silent };
            let success = match nth {
                BLIND if dark == nth => Success::Never,
                _ if dark == nth => continue,
                _ if dark > 0 || blind > silent || late > MOST_LATE => Success::Sometimes,
                CHECKS => Success::Always,
                _ => continue,
            };
            return Checks {
                success,
                seen: [seen, nth],
                late,
                words,
            };
        }
        unreachable!("the last check decides")
    }
}

/// What the network does to what arrives at servers.
pub fn weather(cases: &[Case]) -> String {
    let mut chain = String::new();
    for case in cases {
        for line in &case.weather {
            let place = |nth: usize| {
                case.zones[0]
                    .servers
                    .get(nth)
                    .map_or(String::new(), |s| s.address.to_string())
            };
            chain += &format!(
                "{}\n",
                line.replace("{1}", &place(0)).replace("{2}", &place(1))
            );
        }
    }
    chain
}
