//! Domains whose name servers cannot be found: they cost only themselves, and the reason says what to
//! do.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, OpCode};
use hickory_proto::rr::rdata::NS;
use hickory_proto::rr::{Name, RData, Record};

use super::life::Lab;

const SPF: &str = "v=spf1 mx -all";

/// A root server that refers every question to `count` name servers without glue, each in a zone
/// that is delegated in the same way.
fn hostile_root(count: usize) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, asker)) = socket.recv_from(&mut buffer) {
            let question = Message::from_vec(&buffer[..length]).unwrap();
            let mut reply = Message::response(question.metadata.id, OpCode::Query);
            let zone = question.queries[0].name().trim_to(2);
            reply.queries = question.queries;
            reply.authorities = (0..count)
                .map(|nth| {
                    let host = Name::from_ascii(format!("n.v{nth}.example.")).unwrap();
                    Record::from_rdata(zone.clone(), 300, RData::NS(NS(host)))
                })
                .collect();
            socket.send_to(&reply.to_vec().unwrap(), asker).unwrap();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_delegation_costs_its_own_domain_and_no_other() {
    let lab = Lab::of(&["one.test", "evil.example"]).await;
    let roots = format!("settle = \"0s\"\nroots = [\"{}\"]", hostile_root(100));
    lab.configure("settle = \"0s\"", &roots);
    let own = "\n[propagation.zone.\"evil.example\"]\nname_servers";
    lab.configure(own, &own.replace("evil", "other"));
    let begun = Instant::now();
    let (status, report) = lab.diagnose(&["www.evil.example", "--dns-only"]).await;
    assert_eq!(status, Some(4), "{report}");
    assert_eq!(report["verdict"]["code"], "referral-loop", "{report}");
    let said = lab.run(&["run", "--wait", "15s"]).await;
    assert_eq!(lab.sandbox.dns.txt("one.test"), [SPF], "{said:?}");
    let status = lab
        .run(&["status", "one.test", "--output", "json"])
        .await
        .json();
    assert!(
        status.to_string().contains("\"state\":\"valid\""),
        "{status}"
    );
    // Without a budget one such walk takes forty minutes.
    assert!(
        begun.elapsed() < Duration::from_secs(120),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserved_name_without_name_servers_is_held_at_once_and_says_what_is_missing() {
    let lab = Lab::of(&["one.test"]).await;
    lab.configure(
        "\n[propagation.zone.\"one.test\"]\nname_servers",
        "\n[propagation.zone.\"other.test\"]\nname_servers",
    );
    let begun = Instant::now();
    let said = lab.run(&["run", "--wait", "5m"]).await;
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
    let said = said
        .says("one.test does not exist on the Internet")
        .says("[propagation.zone.\"one.test\"] name_servers");
    assert_ne!(said.status, Some(0), "{said:?}");
    let (status, report) = lab.diagnose(&["one.test"]).await;
    assert_eq!(
        (status, &report["verdict"]["code"]),
        (Some(4), &"reserved-name".into())
    );
    let text = report["verdict"]["text"].as_str().unwrap();
    assert!(text.len() < 250 && text.contains("name_servers"), "{text}");
    // Once the name servers are listed, the domain continues.
    lab.configure(
        "[propagation.zone.\"other.test\"]",
        "[propagation.zone.\"one.test\"]",
    );
    lab.run(&["run", "--domain", "one.test", "--wait", "20s"])
        .await
        .ends(0);
}
