//! The sandbox as a whole, through its public face: secrets from its files, the CA over HTTP,
//! months by its clock.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use jiff::SignedDuration;
use prevalidate::clock::{Clock, SimulatedClock};
use prevalidate::prevalidation::DomainName;
use prevalidate::sandbox::ca::Call;
use prevalidate::sandbox::{Options, Sandbox, USER};
use serde_json::Value;

async fn start(directory: &Path, clock: &SimulatedClock) -> Sandbox {
    let domain = DomainName::from_a_labels("example.test").unwrap();
    Sandbox::start(Options::new(
        directory,
        Arc::new(clock.clone()),
        vec![domain],
    ))
    .await
    .unwrap()
}

async fn jwt(sandbox: &Sandbox, directory: &Path) -> String {
    let key = std::fs::read_to_string(directory.join("api.key")).unwrap();
    let helper = reqwest::Client::new().post(format!("{}/v2/jwt/{USER}", sandbox.ca.url()));
    helper
        .form(&[("userSecret", key.trim())])
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}

async fn call(sandbox: &Sandbox, directory: &Path, path: &str, body: Option<Value>) -> Value {
    let url = format!("{}/v2/client/domain/{path}", sandbox.ca.url());
    let mut request = reqwest::Client::new()
        .post(url)
        .bearer_auth(jwt(sandbox, directory).await);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.json().await.unwrap()
}

/// From the year of 198 days into the year of 98 and to the days of 8.
#[tokio::test]
async fn three_years_of_renewals_pass_in_a_moment() {
    let directory = tempfile::tempdir().unwrap();
    let clock = SimulatedClock::at("2026-04-01T00:00:00Z".parse().unwrap());
    let sandbox = start(directory.path(), &clock).await;
    let (client, _) = sandbox.ca.clients().remove(0);
    let names = Some(serde_json::json!(["example.test"]));
    let mut domain = call(
        &sandbox,
        directory.path(),
        &format!("{client}/register"),
        names,
    )
    .await[0]
        .take();
    let reference = domain["uuid"].as_str().unwrap().to_owned();
    let mut lifetimes = Vec::new();
    while clock.now() < "2029-04-01T00:00:00Z".parse().unwrap() {
        let value = domain["randomValue"].as_str().unwrap().to_owned();
        sandbox
            .dns
            .edit("example.test", |zone| zone.txt("example.test", &value));
        domain = call(
            &sandbox,
            directory.path(),
            &format!("{reference}/validate"),
            None,
        )
        .await;
        assert_eq!(domain["status"], "VALID", "{domain}");
        sandbox.dns.edit("example.test", |zone| {
            zone.without_txt("example.test", &value)
        });
        let ends: jiff::Timestamp = domain["timeExpired"].as_str().unwrap().parse().unwrap();
        lifetimes.push(ends.duration_since(clock.now()).as_hours() / 24);
        clock.set(ends - SignedDuration::from_hours(24));
        domain = call(
            &sandbox,
            directory.path(),
            &format!("{reference}/token/reset"),
            None,
        )
        .await;
        assert_eq!(
            domain["status"], "VALID",
            "a reset keeps the proof by default"
        );
    }
    assert_eq!(
        lifetimes[..3],
        [198, 151, 98],
        "the second is cut by the rule of 2027-03-15"
    );
    assert_eq!(lifetimes.last(), Some(&8));
    assert_eq!(sandbox.ca.count(Call::Validate), lifetimes.len() as u64);
    assert_eq!(sandbox.dns.txt("example.test"), ["v=spf1 mx -all"]);
}

/// The second one's keys would lock the users of the first out.
#[test]
fn a_directory_belongs_to_one_sandbox_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let sandbox = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prevalidate"));
        command
            .args(["sandbox", "--dir"])
            .arg(directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    };
    let mut first = sandbox().spawn().unwrap();
    // The configuration comes out when everything is there.
    let mut said = BufReader::new(first.stdout.take().unwrap()).lines();
    said.next().unwrap().unwrap();
    let key = std::fs::read(directory.path().join("api.key")).unwrap();
    let second = sandbox().output().unwrap();
    let told = String::from_utf8(second.stderr).unwrap();
    assert!(
        second.status.code() == Some(2) && told.contains("a sandbox is running in"),
        "{told}"
    );
    assert_eq!(
        std::fs::read(directory.path().join("api.key")).unwrap(),
        key
    );

    first.kill().unwrap();
    first.wait().unwrap();
    let mut third = sandbox().spawn().unwrap();
    let mut said = BufReader::new(third.stdout.take().unwrap()).lines();
    assert!(
        said.next().unwrap().unwrap().starts_with('#'),
        "however the first one ended"
    );
    third.kill().unwrap();
    third.wait().unwrap();
}
