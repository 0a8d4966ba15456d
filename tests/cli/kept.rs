//! Persistent records over months: the built binary, the sandbox's name servers, and its CA, which
//! asks them for the record again and again.

use serde_json::Value;

use super::life::Lab;
use super::{Said, command};

/// As the sandbox knows us.
const ISSUER: &str = "swisssign.com";
const ACCOUNT: &str = "acct:sandbox@swisssign.com";
const NEXT_ACCOUNT: &str = "acct:next@swisssign.com";
const SPF: [&str; 1] = ["v=spf1 mx -all"];
const HOUR: i64 = 3600;

/// A lab whose configuration has persistent records and no CA.
async fn stage(domains: &[&str], more: &str) -> Lab {
    let lab = Lab::of(domains).await;
    let text = lab.sandbox.configuration();
    let (head, rest) = text.split_once("[ca.sandbox]").unwrap();
    let (_, tail) = rest.split_once("[provider.sandbox]").unwrap();
    let domains = serde_json::json!(domains);
    let text = format!(
        "{head}[[persistent]]\nissuer = \"{ISSUER}\"\naccounturi = \"{ACCOUNT}\"\n{more}\n\
         domains = {domains}\n\n[provider.sandbox]{tail}"
    );
    std::fs::write(lab.folder.path().join("prevalidate.toml"), text).unwrap();
    lab
}

/// Runs a command at the time of the sandbox, which is a number of seconds ahead.
async fn at(lab: &Lab, ahead: i64, args: &[&str]) -> Said {
    let folder = lab.folder.path().to_owned();
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    let run = move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ahead = ahead.to_string();
        Said::of(command(&folder, &args).env("PREVALIDATE_CLOCK_AHEAD", ahead))
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn published(lab: &Lab, domain: &str) -> Vec<String> {
    lab.sandbox
        .dns
        .txt(&format!("_validation-persist.{domain}"))
}

/// What the back door shows of the checks of persistent records.
async fn listings(lab: &Lab) -> Vec<Value> {
    let url = format!("{}/_sandbox/persistent", lab.sandbox.ca.url());
    let answer = reqwest::Client::new().get(url).send().await.unwrap();
    let shown: Value = answer.json().await.unwrap();
    shown["looks"].as_array().unwrap().clone()
}

/// Moves the time of the sandbox by its back door.
async fn advance(lab: &Lab, by: &str) {
    let url = format!("{}/_sandbox/clock", lab.sandbox.ca.url());
    let body = format!("{{\"advance\": \"{by}\"}}");
    let answer = reqwest::Client::new().post(url).body(body).send().await;
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_checks_every_8_days_for_400_days_by_both_readings_never_fails() {
    const DOMAINS: [&str; 3] = ["a.test", "b.test", "c.test"];
    let more = "canary = \"0s\"\nuntil = \"130d\"\nreplace_before = \"30d\"";
    let lab = stage(&DOMAINS, more).await;
    let (client, _) = lab.sandbox.ca.clients().remove(0);
    let names = DOMAINS.map(str::to_owned);
    assert_eq!(lab.sandbox.ca.register(&client, &names), DOMAINS.len());
    at(&lab, 0, &["run", "--wait", "20s"]).await.ends(0);
    for domain in DOMAINS {
        let url = format!("{}/_sandbox/persistent", lab.sandbox.ca.url());
        let body = format!("{{\"domain\": \"{domain}\"}}");
        let answer = reqwest::Client::new().post(url).body(body).send().await;
        let said: Value = answer.unwrap().json().await.unwrap();
        assert_eq!(said["found"], true, "{domain}: {said}");
    }
    let mut values = published(&lab, DOMAINS[0]);
    let mut replaced = 0;
    let mut ahead = 0;
    for step in 1..=50 {
        // The run of the eighth night comes before the CA's check.
        ahead += 8 * 24 * HOUR;
        lab.sandbox
            .clock
            .advance(jiff::SignedDuration::from_hours(8 * 24));
        if matches!(step, 11 | 25) {
            // A pipeline drops records that it does not know.
            let owner = format!("_validation-persist.{}", DOMAINS[1]);
            for dropped in published(&lab, DOMAINS[1]) {
                lab.sandbox
                    .dns
                    .edit(DOMAINS[1], |zone| zone.without_txt(&owner, &dropped));
            }
        }
        if step == 31 {
            lab.configure(ACCOUNT, NEXT_ACCOUNT);
            // The CA takes the old account until the user has moved.
            lab.sandbox
                .ca
                .change(|one| one.persistent_accounts.push(NEXT_ACCOUNT.to_owned()));
        }
        at(&lab, ahead, &["run", "--wait", "20s"]).await.ends(0);
        advance(&lab, "0s").await;
        let listings = listings(&lab).await;
        let failed: Vec<_> = listings
            .iter()
            .filter(|check| check["found"] != true)
            .collect();
        assert!(failed.is_empty(), "step {step}: {failed:?}");
        assert_eq!(listings.len(), DOMAINS.len() * (step + 1), "step {step}");
        for domain in DOMAINS {
            assert!(lab.sandbox.ca.domain(domain).unwrap().validated, "{domain}");
            assert_eq!(published(&lab, domain).len(), 1, "step {step}: {domain}");
            assert_eq!(lab.sandbox.dns.txt(domain), SPF);
        }
        let now = published(&lab, DOMAINS[0]);
        replaced += usize::from(now != values);
        values = now;
    }
    assert!(
        replaced >= 4,
        "three replacements and an account: {replaced}"
    );
    assert!(values[0].contains(NEXT_ACCOUNT), "{values:?}");
    let listed = at(&lab, ahead, &["persistent", "list", "--output", "json"]).await;
    assert_eq!(listed.json()["persistent"][1]["put_back"], 2);

    let withdrawn = [&["persistent", "withdraw", "--yes"], &DOMAINS[..]].concat();
    at(&lab, ahead, &withdrawn).await.ends(0);
    assert!(
        DOMAINS
            .iter()
            .all(|domain| published(&lab, domain).is_empty())
    );
    advance(&lab, "8d").await;
    let listings = listings(&lab).await;
    let last = &listings[listings.len() - DOMAINS.len()..];
    assert!(last.iter().all(|check| check["found"] == false), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_follow_their_canary_and_wait_while_it_is_withdrawn() {
    let lab = stage(&["a.test", "b.test"], "canary = \"1d\"").await;
    let count = || ["a.test", "b.test"].map(|domain| published(&lab, domain).len());
    let passed = std::sync::atomic::AtomicI64::new(0);
    // The name servers have the time of the sandbox, and take no update of another time.
    let run = async |hours: i64, more: &[&str]| {
        let before = passed.swap(hours, std::sync::atomic::Ordering::Relaxed);
        let step = jiff::SignedDuration::from_hours(hours - before);
        lab.sandbox.clock.advance(step);
        at(
            &lab,
            hours * HOUR,
            &[&["run", "--wait", "10s"], more].concat(),
        )
        .await
    };
    // While the time passes, cron mails nothing.
    let first = run(0, &["--quiet"]).await.ends(0);
    assert_eq!((first.out.as_str(), first.err.as_str()), ("", ""));
    assert_eq!(count(), [1, 0]);
    at(&lab, 0, &["check"]).await.ends(0);
    at(&lab, 0, &["persistent", "list"])
        .await
        .ends(0)
        .says("waits until the record of a.test was visible for 24 h");

    at(&lab, 0, &["persistent", "withdraw", "a.test", "--yes"])
        .await
        .ends(0);
    assert_eq!(count(), [0, 0]);
    // Its time alone lets no domain follow, and only a person can continue.
    run(48, &[])
        .await
        .ends(1)
        .says("waits for a.test, which is withdrawn")
        .says("persistent resume a.test");
    assert_eq!(count(), [0, 0]);

    at(&lab, 48 * HOUR, &["persistent", "resume", "a.test"])
        .await
        .ends(0);
    run(48, &[]).await.ends(0);
    assert_eq!(count(), [1, 0], "its time begins again");
    run(71, &[]).await.ends(0);
    assert_eq!(count(), [1, 0]);
    run(73, &[]).await.ends(0);
    assert_eq!(count(), [1, 1]);
    run(74, &["--quiet"]).await.ends(0);
}
