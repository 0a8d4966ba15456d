//! The table: what gate and CA say about each topology, and what they should.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use prevalidate::clock::SystemClock;
use prevalidate::prevalidation::DomainName;
use prevalidate::propagation::dnssec::Anchors;
use prevalidate::propagation::{Gate, GateSettings, Lookout, Question, Verdict};
use prevalidate::sandbox::ca::{Behaviour, Ca, CaOptions, published_lifetimes};
use prevalidate::sandbox::clock::ShiftedClock;
use tempfile::TempDir;

use super::internet::{self, Plan, VALUE, dns};
use super::perspectives::{self, Resolvers};
use super::topology::{Case, Runs, Success};
use super::{cases, makes, namespace};
use crate::support::process::Process;

/// How often the CA is asked about each topology. With one stale server of four, all of these succeed once in 10,000 times.
const LOOKS: usize = 16;
/// When no perspective has seen the value in so many looks, none will: with one stale server of two, this is wrong once in
/// 30,000 times.
const BLIND: usize = 3;

/// A running lab.
struct Lab {
    cases: Vec<Case>,
    plan: Plan,
    resolvers: Resolvers,
    ca: Ca,
    _servers: Vec<Process>,
    _directory: TempDir,
}

/// What came out for one topology.
struct Row<'a> {
    case: &'a Case,
    verdicts: [Verdict; 2],
    looks: Looks,
}

/// What the CA made of it.
struct Looks {
    success: Success,
    /// How many looks succeeded, of how many.
    seen: [usize; 2],
    /// Its words when one did not.
    words: String,
}

pub async fn run() {
    let lab = Lab::start().await;
    let begun = Instant::now();
    let gate = lab.gate();
    let (now, later) = (lab.verdicts(&gate, 0).await, lab.verdicts(&gate, 86_400).await);
    println!("the gate took {:.1?} for {} topologies, twice", begun.elapsed(), lab.cases.len());
    let begun = Instant::now();
    let looks = lab.looks().await;
    println!("up to {LOOKS} looks of the CA at each took {:.1?}", begun.elapsed());
    let verdicts = now.into_iter().zip(later).map(<[Verdict; 2]>::from);
    let rows: Vec<Row<'_>> = lab
        .cases
        .iter()
        .zip(verdicts)
        .zip(looks)
        .map(|((case, verdicts), looks)| Row { case, verdicts, looks })
        .collect();
    judge(&rows);
}

impl Lab {
    async fn start() -> Self {
        let begun = Instant::now();
        let cases = cases::all();
        let directory = TempDir::with_prefix("prevalidate-lab-").unwrap();
        let plan = internet::plan(&cases, directory.path());
        let signed = begun.elapsed();
        let servers = plan.loads.values().flat_map(|load| load.addresses.clone());
        let closed = cases
            .iter()
            .flat_map(|case| &case.zones)
            .flat_map(|zone| &zone.servers)
            .filter(|server| server.runs == Runs::Closed);
        let closed = closed.map(|server| server.address);
        let all: std::collections::BTreeSet<_> =
            servers.chain(closed).chain(perspectives::addresses().into_iter().flatten()).collect();
        namespace::set_up(all.into_iter().filter(|address| !address.to_string().contains("bad")));
        namespace::weather(&weather(&cases));
        let network = begun.elapsed();
        let servers = makes::start(&plan, directory.path());
        let serving = begun.elapsed();
        let resolvers = Resolvers::start(&plan, directory.path());
        let behaviour = Behaviour { resolvers: resolvers.of_the_ca(), ..Behaviour::default() };
        let ca = Ca::start(CaOptions {
            clock: ShiftedClock::over(Arc::new(SystemClock)),
            listen: ([127, 0, 0, 1], 0).into(),
            user: prevalidate::sandbox::USER.to_owned(),
            api_key: "k".repeat(64).into(),
            clients: vec![prevalidate::sandbox::CLIENT.to_owned()],
            lifetimes: published_lifetimes(),
            behaviour,
            seed: 1,
            name_servers: Arc::new(|_| Vec::new()),
            dns: None,
        });
        let ca = ca.await.unwrap();
        println!(
            "the lab is up after {:.1?}: {signed:.1?} for keys and signatures, {:.1?} for the network, {:.1?} for the servers",
            begun.elapsed(),
            network - signed,
            serving - network
        );
        Self { cases, plan, resolvers, ca, _servers: servers, _directory: directory }
    }

    fn gate(&self) -> Gate {
        let settings = GateSettings {
            roots: self.plan.roots.iter().map(|&address| dns(address)).collect(),
            timeout: Duration::from_secs(1),
            trust_anchors: Anchors::parse(&self.plan.anchor).unwrap(),
            ..GateSettings::default()
        };
        Gate::new(settings, Arc::new(SystemClock))
    }

    async fn verdicts(&self, gate: &Gate, published_for: u64) -> Vec<Verdict> {
        join_all(self.cases.iter().map(async |case| {
            let domain = DomainName::from_a_labels(&case.domain).unwrap();
            let published_for = Duration::from_secs(published_for);
            gate.look(&Question { published_for, ..Question::new(&domain, VALUE) }).await
        }))
        .await
    }

    async fn looks(&self) -> Vec<Looks> {
        join_all(self.cases.iter().map(async |case| {
            let b = Instant::now();
            let l = self.look(case).await;
            if b.elapsed().as_secs() > 10 {
                println!("SLOW {} {:.1?}", case.domain, b.elapsed());
            }
            l
        }))
        .await
    }

    /// Asks the CA, each time with empty caches, until it is clear how often it succeeds.
    async fn look(&self, case: &Case) -> Looks {
        let perspectives: Vec<String> = self.resolvers.of_the_ca().iter().map(ToString::to_string).collect();
        let (mut seen, mut blind, mut words) = (0, 0, String::new());
        for nth in 1..=LOOKS {
            self.resolvers.forget(&case.zones);
            if nth % 2 == 0 {
                self.resolvers.meet(&case.zones).await;
            }
            match self.ca.look(&case.domain, VALUE).await {
                Ok(_) => seen += 1,
                Err(said) => {
                    blind += usize::from(perspectives.iter().all(|perspective| said.contains(perspective)));
                    words = said;
                    let success = if blind < nth { Success::Sometimes } else { Success::Never };
                    if success == Success::Sometimes || blind == BLIND {
                        return Looks { success, seen: [seen, nth], words };
                    }
                }
            }
        }
        Looks { success: Success::Always, seen: [seen, LOOKS], words }
    }
}

fn weather(cases: &[Case]) -> String {
    let mut chain = String::new();
    for case in cases {
        for line in &case.weather {
            let servers = &case.zones[0].servers;
            let line = line.replace("{1}", &servers[0].address.to_string());
            chain += &line.replace("{2}", &servers.get(1).map_or(String::new(), |server| server.address.to_string()));
            chain += "\n";
        }
    }
    format!("table inet lab {{ chain in {{ type filter hook input priority 0; policy accept;\n{chain}}}\n}}")
}

impl Row<'_> {
    fn go(&self) -> [bool; 2] {
        [self.verdicts[0].go, self.verdicts[1].go]
    }

    fn is_as_expected(&self) -> bool {
        self.go() == self.case.go && self.looks.success == self.case.ca
    }
}

/// Prints the table and holds it against what is true.
fn judge(rows: &[Row<'_>]) {
    println!("{:<26} {:<5} {:<5} {:<22} {:<9}", "topology", "now", "later", "cause", "the CA");
    for row in rows {
        let [now, later] = row.go().map(|go| if go { "go" } else { "wait" });
        let ca = format!("{:?}", row.looks.success).to_lowercase();
        println!(
            "{:<26} {now:<5} {later:<5} {:<22} {ca:<10}{} of {}",
            row.case.domain, row.case.cause, row.looks.seen[0], row.looks.seen[1]
        );
        if !row.is_as_expected() {
            println!(
                "  ^ expected {:?} {:?}; the gate: {}; {:?}; the CA: {}",
                row.case.go, row.case.ca, row.verdicts[1].cause, row.verdicts[1].warnings, row.looks.words
            );
        }
    }
    let early = rows.iter().filter(|row| row.go().contains(&true) && row.looks.success != Success::Always).count();
    let for_ever = rows.iter().filter(|row| !row.go()[1] && row.looks.success == Success::Always).count();
    println!(
        "{} topologies: {early} times go where the CA does not always succeed, {for_ever} times no go after a day where it does",
        rows.len()
    );
    let wrong: Vec<&str> =
        rows.iter().filter(|row| !row.is_as_expected()).map(|row| row.case.domain.as_str()).collect();
    assert_eq!((early, for_ever, wrong), (0, 0, Vec::new()));
}
