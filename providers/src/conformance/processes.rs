//! Two processes that write the same name at the same time: no lock, no memory and no queue is
//! shared.

use std::io::{BufRead, Write};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::{APEX_TTL, SPF, Subject, foreign_records, value};
use crate::provider::{Provider, ProviderError};
use crate::record::{Receipt, Record};
use crate::registry::ProviderSettings;

/// What the other process is to do: `{"table", "owner", "name"}`.
const ORDER: &str = "PREVALIDATE_CONFORMANCE_ORDER";
/// What it says when it only waits for a line on standard input.
const READY: &str = "the other process is ready";
/// How often each adds and removes a value.
const ROUNDS: usize = 8;
/// How often what is busy is tried again; as patient as a worker is.
const TRIES: usize = 50;

pub(super) async fn two_processes_at_once_lose_nothing(subject: &dyn Subject) {
    let mut children = Vec::new();
    for name in ["one", "two"] {
        let Some((mut command, table)) = subject.another_process() else {
            return;
        };
        let order = json!({ "table": table, "owner": subject.apex(), "name": name }).to_string();
        command
            .env(ORDER, order)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .kill_on_drop(true)
            .spawn()
            .expect("the other process starts");
        let mut said = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        while !line.contains(READY) {
            line.clear();
            let count = said
                .read_line(&mut line)
                .await
                .expect("the other process speaks UTF-8");
            assert!(
                count > 0,
                "{}: the other process ended before it began",
                subject.name()
            );
        }
        children.push((child, said));
    }
    for (child, _) in &mut children {
        let mut stdin = child.stdin.take().expect("piped");
        stdin
            .write_all(b"go\n")
            .await
            .expect("the other process listens");
    }
    let ends = children.into_iter().map(|(child, mut said)| async move {
        let mut text = String::new();
        let (_, output) = futures::join!(said.read_to_string(&mut text), child.wait_with_output());
        let output = output.expect("the other process ends");
        (
            output.status,
            text + &String::from_utf8_lossy(&output.stderr),
        )
    });
    for (status, said) in futures::future::join_all(ends).await {
        assert!(
            status.success(),
            "{}: the other process: {status}\n{said}",
            subject.name()
        );
    }
}

/// What the other process does: adds a value of its own and removes it, over and over, and checks
/// whether all others stay. To be called by a test of its own in the binary of the suite; without
/// an order there is nothing to do.
pub async fn another_process() {
    let Ok(order) = std::env::var(ORDER) else {
        return;
    };
    let order: Value = serde_json::from_str(&order).expect("the order is JSON");
    let table = order["table"].as_object().expect("a table");
    let settings = ProviderSettings::read(table).unwrap_or_else(|faults| panic!("{faults:?}"));
    let provider = settings.build().unwrap_or_else(|error| panic!("{error}"));
    let text = |key: &str| order[key].as_str().expect("a text").to_owned();
    let (owner, name) = (text("owner"), text("name"));
    writeln!(std::io::stdout(), "{READY}").expect("the parent process reads");
    std::io::stdin()
        .lock()
        .read_line(&mut String::new())
        .expect("a person says when");
    for round in 0..ROUNDS {
        let ours = value(&owner, &format!("swiss-pki={name}-{round}"));
        assert!(
            patiently(&*provider, &ours, true).await.changed,
            "{name}: only we add {}",
            ours
        );
        let seen = provider
            .inspect(&owner)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            seen.has(&ours.data) && seen.holds(SPF) && seen.ttl == Some(APEX_TTL),
            "{name}: {seen:#?}"
        );
        assert!(
            foreign_records()
                .iter()
                .all(|record| seen.records.contains(record)),
            "{name}: {seen:#?}"
        );
        assert!(
            patiently(&*provider, &ours, false).await.changed,
            "{name}: only we remove {}",
            ours
        );
    }
}

/// Until it is done, or fails for a reason that does not pass.
async fn patiently(provider: &dyn Provider, ours: &Record, adds: bool) -> Receipt {
    let mut errors: Vec<ProviderError> = Vec::new();
    while errors.len() < TRIES {
        let wanted = std::slice::from_ref(ours);
        let mut results = if adds {
            provider.ensure_present(wanted).await
        } else {
            provider.ensure_absent(wanted).await
        };
        match results.remove(0) {
            Ok(receipt) => return receipt,
            Err(error) if error.is_retryable() => errors.push(error),
            Err(error) => panic!("{}: {error}", ours),
        }
    }
    panic!("{}: never: {errors:?}", ours);
}
