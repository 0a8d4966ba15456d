//! The table: what the gate, `diagnose` and the CA say about each topology, and what they should.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{join, join_all};
use prevalidate::prevalidation::DomainName;
use prevalidate::propagation::{DnsChecker, Gate, Question, Verdict};
use serde_json::Value;
use tokio::process::Command;

use super::internet::VALUE;
use super::topology::{Case, Success};
use super::world::{Checks, Lab};

/// What came out for one topology.
pub struct Row<'a> {
    pub case: &'a Case,
    /// Right after the write, and a day later.
    verdicts: [Verdict; 2],
    /// Of all findings of `diagnose`, the most severe first.
    codes: Vec<String>,
    pub checks: Checks,
}

/// Checks everything in every way.
pub async fn fill(lab: &Lab) -> Vec<Row<'_>> {
    let begun = Instant::now();
    let gate = lab.gate(|_| ());
    let (now, later) = join(verdicts(lab, &gate, 0), verdicts(lab, &gate, 86_400)).await;
    let judged = begun.elapsed();
    lab.resolvers.flush();
    let mut codes = diagnose(lab).await;
    let diagnosed = begun.elapsed();
    let checks = checks(lab).await;
    println!(
        "{} topologies: the gate took {judged:.1?} for two checks at each, `diagnose` {:.1?}, the CA {:.1?}\n",
        lab.cases.len(),
        diagnosed - judged,
        begun.elapsed() - diagnosed
    );
    let found = lab.cases.iter().zip(now.into_iter().zip(later)).zip(checks);
    let row = |((case, (now, later)), checks): ((_, _), _)| {
        let case: &Case = case;
        Row {
            case,
            verdicts: [now, later],
            codes: codes.remove(&case.domain).unwrap_or_default(),
            checks,
        }
    };
    found.map(row).collect()
}

async fn verdicts(lab: &Lab, gate: &Gate, published_for: u64) -> Vec<Verdict> {
    join_all(lab.cases.iter().map(async |case| {
        let domain = DomainName::from_a_labels(&case.domain).unwrap();
        gate.check(&Question {
            published_for: Duration::from_secs(published_for),
            ..Question::new(&domain, VALUE)
        })
        .await
    }))
    .await
}

async fn diagnose(lab: &Lab) -> BTreeMap<String, Vec<String>> {
    diagnose_these(
        lab,
        &lab.cases
            .iter()
            .map(|case| case.domain.as_str())
            .collect::<Vec<_>>(),
    )
    .await
}

/// Sixteen topologies at a time. Where perspectives wait in vain it takes longest: these begin, and
/// the others do not wait for them.
async fn checks(lab: &Lab) -> Vec<Checks> {
    let (short, long): (Vec<_>, Vec<_>) = lab
        .cases
        .iter()
        .enumerate()
        .partition(|(_, case)| case.ca == Success::Always);
    let checks = long
        .into_iter()
        .chain(short)
        .map(async |(nth, case)| (nth, lab.check(case).await));
    let mut checks: Vec<_> = futures::stream::iter(checks)
        .buffer_unordered(16)
        .collect()
        .await;
    checks.sort_by_key(|(nth, _)| *nth);
    checks.into_iter().map(|(_, checks)| checks).collect()
}

/// The codes of the findings for each domain, the most severe first, by the program itself.
pub async fn diagnose_these(lab: &Lab, domains: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prevalidate"));
    command.env_clear().arg("--config").arg(lab.configuration());
    command.args([
        "diagnose",
        "--dns-only",
        "--output",
        "json",
        "--value",
        VALUE,
    ]);
    command.args(domains).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    let reports: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("diagnose: {error}: {complaints}"));
    let codes = |report: &Value| {
        let findings = report["findings"].as_array().unwrap().iter();
        findings
            .map(|finding| finding["code"].as_str().unwrap().to_owned())
            .collect()
    };
    reports
        .iter()
        .map(|report| (report["domain"].as_str().unwrap().to_owned(), codes(report)))
        .collect()
}

impl Row<'_> {
    pub fn go(&self) -> [bool; 2] {
        [self.verdicts[0].go, self.verdicts[1].go]
    }

    /// The most severe finding is the cause; where nothing is in the way, a tolerable fault may be
    /// behind `visible`.
    fn cause(&self) -> &str {
        match self.codes.iter().find(|code| *code == self.case.cause) {
            Some(code) if self.case.go[1] => code,
            _ => self.codes.first().map_or("nothing", String::as_str),
        }
    }

    fn is_as_expected(&self) -> bool {
        self.go() == self.case.go
            && self.checks.success == self.case.ca
            && self.cause() == self.case.cause
    }
}

/// Prints the table and holds it against what is true.
pub fn judge(rows: &[Row<'_>]) {
    println!(
        "{:<24} {:<5} {:<5} {:<21} THE CA",
        "TOPOLOGY", "NOW", "LATER", "CAUSE"
    );
    for row in rows {
        let [now, later] = row.go().map(|go| if go { "go" } else { "wait" });
        let ca = format!("{:?}", row.checks.success).to_lowercase();
        let [seen, of] = row.checks.seen;
        let late = if row.checks.late > 0 {
            format!(", {} answers late", row.checks.late)
        } else {
            String::new()
        };
        println!(
            "{:<24} {now:<5} {later:<5} {:<21} {ca}, {seen} of {of}{late}",
            row.case.domain,
            row.cause()
        );
        if !row.is_as_expected() {
            let Case { go, ca, cause, .. } = row.case;
            let verdict = &row.verdicts[1];
            println!("  NOT AS EXPECTED: {go:?} {cause} {ca:?}");
            println!("  the gate: {}; {:?}", verdict.cause, verdict.warnings);
            println!(
                "  diagnose: {}\n  the CA: {}",
                row.codes.join(", "),
                row.checks.words
            );
        }
    }
    let always = |row: &&Row<'_>| row.checks.success == Success::Always;
    let early = rows
        .iter()
        .filter(|row| row.go().contains(&true) && !always(row))
        .count();
    let for_ever = rows
        .iter()
        .filter(|row| !row.go()[1] && always(row))
        .count();
    let late: usize = rows.iter().filter(always).map(|row| row.checks.late).sum();
    println!(
        "\n{} topologies; {late} answers late where the CA always succeeds",
        rows.len()
    );
    println!("{early} times go where the CA does not always succeed");
    println!("{for_ever} times no go after a day where the CA always succeeds\n");
    let wrong: Vec<&str> = rows
        .iter()
        .filter(|row| !row.is_as_expected())
        .map(|row| row.case.domain.as_str())
        .collect();
    assert_eq!((early, for_ever, wrong), (0, 0, Vec::new()));
}
