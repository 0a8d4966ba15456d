//! A second opinion: moto, an independent emulator of AWS, on the shape of requests and answers,
//! and on pages.
//!
//! It is no judge of what matters most here (measured with 5.2.5). It takes a DELETE that matches
//! anything ever written, so a stale one, too; it takes CREATE beside an RRset that is there, but
//! not of one that was ever created just so; it keeps the first changes of a batch whose later ones
//! fail; it takes duplicate values, TXT without quotes and of any length; every change has the same
//! id and is INSYNC at once; it neither throttles nor checks what a signature covers. For all of
//! that there is the fake.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

struct Moto {
    process: Child,
    endpoint: String,
    client: reqwest::Client,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Moto {
    fn start() -> Self {
        // Beside what Cargo builds: target/debug/deps/route53-….
        let program = std::env::current_exe()
            .unwrap()
            .ancestors()
            .nth(3)
            .unwrap()
            .join("tools/bin/moto_server");
        assert!(
            program.exists(),
            "{} is missing: run tests/install",
            program.display()
        );
        let mut command = Command::new(program);
        command
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap()).lines();
        let endpoint = said.find_map(|line| {
            let line = line.ok()?;
            let at = line.find("http://127.0.0.1:")?;
            Some(line[at..].trim_end().to_owned())
        });
        // It writes a line per request and must not wait for a reader.
        std::thread::spawn(move || said.for_each(drop));
        Self {
            process,
            endpoint: endpoint.expect("moto says where it listens"),
            client: reqwest::Client::new(),
        }
    }

    /// A call past the adapter. moto takes the service from the scope of the signature.
    async fn call(&self, path: &str, body: Option<String>) -> String {
        let scope = "AWS4-HMAC-SHA256 Credential=AKIAMOTO/20260101/us-east-1/route53/aws4_request, SignedHeaders=host, Signature=0";
        let url = format!("{}/2013-04-01/{path}", self.endpoint);
        let request = match body {
            Some(body) => self.client.post(url).body(body),
            None => self.client.get(url),
        };
        let answer = request.header("authorization", scope).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        text
    }

    async fn zone(&self, apex: &str) -> String {
        let body = format!(
            "<CreateHostedZoneRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Name>{apex}</Name>\
             <CallerReference>{apex}</CallerReference></CreateHostedZoneRequest>"
        );
        let answer = self.call("hostedzone", Some(body)).await;
        answer
            .split_once("<Id>/hostedzone/")
            .unwrap()
            .1
            .split('<')
            .next()
            .unwrap()
            .to_owned()
    }

    async fn put(&self, zone: &str, sets: &[Rrset]) {
        let changes: String = sets
            .iter()
            .map(|set| format!("<Change><Action>CREATE</Action>{}</Change>", set.write()))
            .collect();
        let body = format!(
            "<ChangeResourceRecordSetsRequest xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch><Changes>\
             {changes}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
        );
        self.call(&format!("hostedzone/{zone}/rrset"), Some(body))
            .await;
    }

    async fn records(&self, zone: &str) -> String {
        self.call(&format!("hostedzone/{zone}/rrset?maxitems=1000"), None)
            .await
    }

    fn provider(&self) -> Arc<dyn Provider> {
        let folder = Folder::new();
        let table = json!({
            "kind": "route53", "endpoint": self.endpoint, "rate": "50/s",
            "access_key": folder.secret("id", "AKIAMOTO"), "secret_key": folder.secret("secret", "secret"),
        });
        ProviderSettings::read(table.as_object().unwrap())
            .unwrap()
            .build()
            .unwrap()
    }
}

#[tokio::test]
async fn moto_understands_what_we_send_and_we_what_it_answers() {
    let moto = Moto::start();
    // More zones and more records than fit on one page.
    for number in 0..101 {
        moto.zone(&format!("zone{number:03}.test")).await;
    }
    let zone = moto.zone(APEX).await;
    let mut sets: Vec<_> = (0..650)
        .map(|number| Rrset::new(&format!("n{number:03}.{APEX}."), "A", 60, &["192.0.2.9"]))
        .collect();
    sets.push(Rrset::new(
        &format!("{APEX}."),
        "TXT",
        APEX_TTL,
        &[&format!("\"{SPF}\""), "\"a\" \"b\\303\\274\""],
    ));
    moto.put(&zone, &sets).await;
    let before = moto.records(&zone).await;
    let provider = moto.provider();
    let found = provider.find_zone(APEX).await.unwrap();
    assert_eq!(
        (found.id.as_deref(), found.name_servers.is_empty()),
        (Some(zone.as_str()), false)
    );
    provider
        .preflight(APEX, RecordKind::Txt)
        .await
        .unwrap_or_else(|error| panic!("{}", shown(&error)));
    assert_eq!(moto.records(&zone).await, before);

    let receipt = add(&*provider, APEX, "swiss-pki=moto")
        .await
        .unwrap_or_else(|error| panic!("{}", shown(&error)));
    assert!(receipt.changed && receipt.before.holds(SPF) && receipt.before.holds("abü"));
    assert_eq!(
        provider.in_sync(&receipt.change_id.unwrap()).await.unwrap(),
        Some(true)
    );
    let now = provider.inspect(APEX).await.unwrap();
    assert!(
        now.holds(SPF)
            && now.holds("abü")
            && now.holds("swiss-pki=moto")
            && now.ttl == Some(APEX_TTL)
    );
    // What is there then has never been there before, or moto would not create it.
    assert!(
        add(&*provider, APEX, "swiss-pki=second")
            .await
            .unwrap()
            .changed
    );
    assert!(
        remove(&*provider, APEX, "swiss-pki=moto")
            .await
            .unwrap()
            .changed
    );
    let ours = "<ResourceRecord><Value>\"swiss-pki=second\"</Value></ResourceRecord>";
    let now = moto.records(&zone).await;
    assert!(
        now.contains(ours) && now.replacen(ours, "", 1) == before,
        "{now}"
    );

    // Names beyond the first pages, one of which exists.
    let values = ["n649", "new"].map(|label| value(&format!("{label}.{APEX}"), "swiss-pki=moto"));
    for results in [
        provider.ensure_present(&values).await,
        provider.ensure_absent(&values).await,
    ] {
        assert!(
            results
                .iter()
                .all(|result| result.as_ref().unwrap().changed),
            "{results:?}"
        );
    }
    assert_eq!(moto.records(&zone).await, now);
}
