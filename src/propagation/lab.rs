//! Name servers of a few lines for the tests: what real ones cannot be made to do, on 127.0.0.x and
//! one free port.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot continue says so by panicking"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, NS};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use jiff::Timestamp;
use rand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::{Gate, GateSettings, Judging};
use crate::clock::SimulatedClock;
use crate::prevalidation::DomainName;

/// How a question came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Udp,
    Tcp,
}

/// What goes back: each entry is one datagram, or one length-framed message over TCP. Nothing is
/// silence, and a closed connection over TCP.
pub(super) type Script = Box<dyn Fn(&Message, Over) -> Vec<Vec<u8>> + Send + Sync>;

/// Servers at 127.0.0.2, .3, … on one port, gone when dropped.
pub(super) struct Lab {
    pub(super) port: u16,
    /// Questions that came in, over all servers.
    questions: Arc<AtomicU32>,
    tasks: JoinSet<()>,
    servers: u8,
}

impl Lab {
    pub(super) async fn of(scripts: Vec<Script>) -> Self {
        let (port, sockets) = loop {
            // Below the range the kernel hands out by itself.
            let port = rand::rng().random_range(12_000..32_000);
            let mut sockets = Vec::new();
            for nth in 0..scripts.len() {
                let address = at(u8::try_from(nth).unwrap(), port);
                if let (Ok(udp), Ok(tcp)) = (
                    UdpSocket::bind(address).await,
                    TcpListener::bind(address).await,
                ) {
                    sockets.push((udp, tcp));
                }
            }
            if sockets.len() == scripts.len() {
                break (port, sockets);
            }
        };
        let questions = Arc::new(AtomicU32::new(0));
        let mut tasks = JoinSet::new();
        let servers = u8::try_from(scripts.len()).unwrap();
        for ((udp, tcp), script) in sockets.into_iter().zip(scripts) {
            let script: Arc<Script> = Arc::new(script);
            tasks.spawn(datagrams(udp, Arc::clone(&script), Arc::clone(&questions)));
            tasks.spawn(connections(tcp, script, Arc::clone(&questions)));
        }
        Self {
            port,
            questions,
            tasks,
            servers,
        }
    }

    /// The nth server's address.
    pub(super) fn server(&self, nth: u8) -> SocketAddr {
        assert!(nth < self.servers && !self.tasks.is_empty());
        at(nth, self.port)
    }

    pub(super) fn questions(&self) -> u32 {
        self.questions.load(Ordering::Relaxed)
    }

    /// A gate whose root is the first server, with a short time-out.
    pub(super) fn gate(&self) -> Gate {
        gate(GateSettings {
            roots: vec![self.server(0)],
            port: self.port,
            ..GateSettings::default()
        })
    }

    /// A gate that asks every server as name servers of example.test, without a walk.
    pub(super) fn gate_without_walk(&self) -> Gate {
        gate(self.without_walk())
    }

    pub(super) fn without_walk(&self) -> GateSettings {
        let name_servers = (0..self.servers).map(|nth| self.server(nth)).collect();
        let zones = [(
            "example.test".to_owned(),
            Judging {
                name_servers,
                ..Judging::default()
            },
        )]
        .into();
        GateSettings {
            zones,
            roots: Vec::new(),
            ..GateSettings::default()
        }
    }
}

/// A gate with a short time-out that lives at the beginning of time.
pub(super) fn gate(settings: GateSettings) -> Gate {
    Gate::new(
        GateSettings {
            timeout: PATIENCE,
            ..settings
        },
        Arc::new(SimulatedClock::at(Timestamp::UNIX_EPOCH)),
    )
}

/// For one try in the lab.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

fn at(nth: u8, port: u16) -> SocketAddr {
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, nth + 2)), port).into()
}

async fn datagrams(socket: UdpSocket, script: Arc<Script>, questions: Arc<AtomicU32>) {
    let mut buffer = [0; 4096];
    while let Ok((length, asker)) = socket.recv_from(&mut buffer).await {
        questions.fetch_add(1, Ordering::Relaxed);
        if let Ok(question) = Message::from_vec(&buffer[..length]) {
            for datagram in script(&question, Over::Udp) {
                let _ = socket.send_to(&datagram, asker).await;
            }
        }
    }
}

async fn connections(listener: TcpListener, script: Arc<Script>, questions: Arc<AtomicU32>) {
    while let Ok((stream, _)) = listener.accept().await {
        questions.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(connection(stream, Arc::clone(&script)));
    }
}

async fn connection(mut stream: TcpStream, script: Arc<Script>) -> std::io::Result<()> {
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    if let Ok(question) = Message::from_vec(&buffer) {
        for message in script(&question, Over::Tcp) {
            stream
                .write_u16(u16::try_from(message.len()).unwrap())
                .await?;
            stream.write_all(&message).await?;
        }
    }
    Ok(())
}

/// An authoritative answer with these records, `owner TYPE data` each.
pub(super) fn answer(question: &Message, records: &[&str]) -> Message {
    let mut reply = Message::response(question.metadata.id, OpCode::Query);
    reply.metadata.authoritative = true;
    reply.queries = question.queries.clone();
    reply.answers = records.iter().map(|text| record(text)).collect();
    reply
}

/// An empty answer with this RCODE.
pub(super) fn refusal(question: &Message, code: ResponseCode) -> Message {
    let mut reply = answer(question, &[]);
    reply.metadata.authoritative = false;
    reply.metadata.response_code = code;
    reply
}

/// As it goes over the wire, alone.
pub(super) fn once(reply: &Message) -> Vec<Vec<u8>> {
    vec![reply.to_vec().unwrap()]
}

/// A script that answers every question the same way over UDP and TCP.
pub(super) fn always(reply: impl Fn(&Message) -> Message + Send + Sync + 'static) -> Script {
    Box::new(move |question, _| once(&reply(question)))
}

/// A well-behaved server of `zone`: NS records below the apex delegate, A and AAAA records of their
/// hosts are glue.
pub(super) fn serve(zone: &str, records: &[&str]) -> Script {
    let (apex, records) = (
        name(zone),
        records.iter().map(|text| record(text)).collect::<Vec<_>>(),
    );
    always(move |question| from_zone(question, &apex, &records))
}

pub(super) fn from_zone(question: &Message, apex: &Name, records: &[Record]) -> Message {
    let asked = question.queries[0].clone();
    if !apex.zone_of(asked.name()) {
        return refusal(question, ResponseCode::Refused);
    }
    let mut reply = answer(question, &[]);
    let is_ns = |record: &&Record| record.record_type() == RecordType::NS;
    let cut = records
        .iter()
        .filter(is_ns)
        .find(|r| r.name != *apex && r.name.zone_of(asked.name()));
    if let Some(cut) = cut {
        reply.metadata.authoritative = false;
        reply.authorities = records
            .iter()
            .filter(is_ns)
            .filter(|r| r.name == cut.name)
            .cloned()
            .collect();
        let hosts: Vec<RData> = reply.authorities.iter().map(|r| r.data.clone()).collect();
        let glue = |r: &&Record| {
            r.data.ip_addr().is_some()
                && hosts
                    .iter()
                    .any(|h| matches!(h, RData::NS(h) if h.0 == r.name))
        };
        reply.additionals = records.iter().filter(glue).cloned().collect();
        return reply;
    }
    let fits = |r: &&Record| {
        r.name == *asked.name()
            && (r.record_type() == asked.query_type() || r.record_type() == RecordType::CNAME)
    };
    reply.answers = records.iter().filter(fits).cloned().collect();
    let soa = record(&format!("{apex} SOA ns. hostmaster. 1 3600 600 86400 300"));
    if asked.query_type() == RecordType::SOA && asked.name() == apex {
        reply.answers.push(soa);
    } else if reply.answers.is_empty() {
        let exists = asked.name() == apex || records.iter().any(|r| asked.name().zone_of(&r.name));
        reply.metadata.response_code = if exists {
            ResponseCode::NoError
        } else {
            ResponseCode::NXDomain
        };
        reply.authorities.push(soa);
    }
    reply
}

/// `owner TYPE data` with a TTL of 300 s.
pub(super) fn record(text: &str) -> Record {
    let mut fields = text.splitn(3, ' ');
    let owner = name(fields.next().unwrap());
    let kind: RecordType = fields.next().unwrap().parse().unwrap();
    let data = fields.next().unwrap();
    let data = match kind {
        RecordType::NS => RData::NS(NS(name(data))),
        RecordType::CNAME => RData::CNAME(CNAME(name(data))),
        kind => RData::try_from_str(kind, data).unwrap(),
    };
    Record::from_rdata(owner, 300, data)
}

pub(super) fn name(text: &str) -> Name {
    Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).unwrap()
}

pub(super) fn domain(text: &str) -> DomainName {
    DomainName::from_a_labels(text).unwrap()
}
