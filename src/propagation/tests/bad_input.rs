//! Names that are no domains, and answers as large, as slow and as wrong as the wire allows:
//! bounded time, a cause, no panic.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::{TXT, VALUE, alone, good, internet};
use crate::propagation::lab::{
    Lab, Over, PATIENCE, Script, always, answer, domain, gate, once, record,
};
use crate::propagation::resolver::Resolver;
use crate::propagation::{Answer, DnsChecker, GateMode, GateSettings, Judging, Question, Verdict};

/// The domain's servers are at this address.
async fn check_at(server: SocketAddr) -> Verdict {
    let own = Judging {
        name_servers: vec![server],
        ..Judging::default()
    };
    let zones = [("example.test".to_owned(), own)].into();
    gate(GateSettings {
        zones,
        ..GateSettings::default()
    })
    .check(&Question::new(&domain("example.test"), VALUE))
    .await
}

#[tokio::test]
async fn names_that_do_not_exist_and_names_above_any_domain_are_told_apart() {
    let delegation = [
        "example.test NS ns1.example.test",
        "ns1.example.test A 127.0.0.4",
        TXT,
    ];
    for (name, gone, words) in [
        ("nothere.example.test", true, "NXDOMAIN"),
        (
            "exampel.test",
            false,
            "exampel.test is not delegated: the servers of test say",
        ),
        ("tset", false, "tset is not delegated: the servers of . say"),
        ("test", true, "no TXT values there"),
        ("_acme-challenge.example.test", true, "NXDOMAIN"),
    ] {
        let mut scripts = internet(&delegation);
        scripts[1] = crate::propagation::lab::serve(
            "test",
            &[
                "test NS a.nic.test",
                "a.nic.test A 127.0.0.3",
                delegation[0],
                delegation[1],
            ],
        );
        let lab = Lab::of(scripts).await;
        let verdict = lab.gate().check(&Question::new(&domain(name), VALUE)).await;
        assert_eq!(
            (verdict.go, verdict.gone),
            (false, gone),
            "{name}: {verdict:?}"
        );
        assert!(verdict.cause.contains(words), "{name}: {verdict:?}");
    }
}

#[tokio::test]
async fn an_answer_of_64_kib_is_read_to_its_end() {
    let whole: Script = Box::new(|q, over| {
        let mut empty = answer(q, &[]);
        empty.metadata.truncation = over == Over::Udp;
        let mut bytes = empty.to_vec().unwrap();
        if over == Over::Tcp {
            // Two TXT records of the name that was asked for: one that fills up to the limit, then
            // the value.
            let of_value = 12 + 1 + VALUE.len();
            let filler = vec![b'x'; 65_535 - bytes.len() - 12 - of_value];
            let strings = filler.chunks(256).flat_map(|part| {
                let length = u8::try_from(part.len() - 1).unwrap();
                [&[length], &part[1..]].concat()
            });
            let value = [&[u8::try_from(VALUE.len()).unwrap()], VALUE.as_bytes()].concat();
            for data in [strings.collect(), value] {
                bytes.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60]);
                bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
                bytes.extend(data);
            }
            bytes[7] = 2;
            assert_eq!(bytes.len(), 65_535);
        }
        vec![bytes]
    });
    let said = alone(whole).await;
    assert_eq!(said.answer, Answer::Match, "{said:?}");
}

/// A server that truncates over UDP; over TCP it announces 64 KiB and sends a byte every 20 ms, or
/// none and hangs up.
async fn slow_server(hangs_up: bool) -> SocketAddr {
    let (udp, tcp) = loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let address = tcp.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, asker)) = udp.recv_from(&mut buffer).await {
            let mut reply = answer(&Message::from_vec(&buffer[..length]).unwrap(), &[]);
            reply.metadata.truncation = true;
            udp.send_to(&once(&reply)[0], asker).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            tokio::spawn(async move {
                let mut buffer = vec![0; 512];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_u16(u16::MAX).await;
                let mut tick = tokio::time::interval(Duration::from_millis(20));
                while !hangs_up && stream.write_u8(0).await.is_ok() {
                    tick.tick().await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn an_answer_one_byte_at_a_time_is_given_up_in_the_time_of_one_question() {
    for (hangs_up, words) in [
        (false, "no answer in 500ms"),
        (true, "closed before the answer was whole"),
    ] {
        let server = slow_server(hangs_up).await;
        let begun = Instant::now();
        let verdict = check_at(server).await;
        assert!(begun.elapsed() < PATIENCE * 4, "{:?}", begun.elapsed());
        // Over UDP it only truncates, and where TCP fails that is not an answer.
        let said = &verdict.servers[0];
        assert!(
            matches!(said.answer, Answer::CutOff | Answer::Lame) && !verdict.go,
            "{verdict:?}"
        );
        assert!(said.detail.contains(words), "{verdict:?}");

        let general = Judging {
            mode: Some(GateMode::Resolvers),
            resolvers: vec![
                Resolver::Plain(server),
                Resolver::Tls {
                    address: server,
                    name: None,
                },
            ],
            delay: Some(Duration::ZERO),
            ..Judging::default()
        };
        let begun = Instant::now();
        let settings = GateSettings {
            general,
            ..GateSettings::default()
        };
        let verdict = gate(settings)
            .check(&Question::new(&domain("example.test"), VALUE))
            .await;
        // The first TLS connection reads the system's certificates.
        assert!(
            !verdict.go && begun.elapsed() < PATIENCE * 10,
            "{:?}: {verdict:?}",
            begun.elapsed()
        );
        assert_eq!(verdict.warnings.len(), 2, "{verdict:?}");
    }
}

#[tokio::test]
async fn answers_about_another_name_are_ignored() {
    let records = [
        "victim.test TXT \"swiss-pki=0123456789abcdef\"",
        "www.example.test CNAME example.test.",
    ];
    let said = alone(always(move |q| answer(q, &records))).await;
    assert!(
        said.answer == Answer::NoMatch && said.detail.contains("no TXT values there"),
        "{said:?}"
    );
    // A delegation that is answered with another zone's servers leads nowhere.
    let mut scripts = internet(&[TXT]);
    scripts[1] = always(|q| {
        let mut reply = answer(q, &[]);
        reply.metadata.authoritative = false;
        reply.authorities = vec![record("victim.test NS ns1.example.test")];
        reply.additionals = vec![record("ns1.example.test A 127.0.0.4")];
        reply
    });
    scripts[2] = always(good);
    let lab = Lab::of(scripts).await;
    let verdict = lab
        .gate()
        .check(&Question::new(&domain("example.test"), VALUE))
        .await;
    assert!(!verdict.go && verdict.servers.is_empty(), "{verdict:?}");
    assert!(
        verdict
            .cause
            .contains("neither authoritative nor a referral towards the name"),
        "{verdict:?}"
    );
}
