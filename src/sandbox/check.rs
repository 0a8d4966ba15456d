//! The CA's own check of DNS, UDP first, then TCP: either every name server of the domain is asked
//! by itself, or perspectives check through recursive resolvers of their own, as the CA's do
//! (CA/Browser Forum BR, section 3.2.2.9).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures::future::join_all;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::persistent::Validator;

/// How long one exchange with one server may take: everything is on this machine.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a resolver may take, which must find servers that live among those that do not, and how
/// often it is asked: what stub resolvers do unless they are told otherwise (resolv.conf(5); RFC
/// 1035, section 4.2.1, allows 2 to 5 seconds).
///
/// Asked only once, resolvers are silent sometimes: since CVE-2024-33655 unbound finishes what
/// takes it longer than 1.9 s (`discard-timeout`), but sends the answer only to a repeated
/// question. Measured with 1.17.1: it takes 2.3 s when it tries a dead server four times before the
/// one beside it.
const RESOLVER_PATIENCE: Duration = Duration::from_secs(5);
const RESOLVER_ATTEMPTS: u32 = 2;

/// The answer of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sight {
    Match,
    NoMatch,
    Lame(ResponseCode),
    Unreachable,
}

/// The record that the CA checks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Data<'a> {
    Txt(&'a str),
    /// A TXT record that has this among its text.
    Contains(&'a str),
    /// The target, compared without case.
    Cname(&'a str),
    /// A persistent record that these validators take for one of the accounts.
    Persistent(&'a Persistent<'a>),
}

impl Data<'_> {
    fn record_type(self) -> RecordType {
        match self {
            Self::Txt(_) | Self::Contains(_) | Self::Persistent(_) => RecordType::TXT,
            Self::Cname(_) => RecordType::CNAME,
        }
    }

    fn is_in(self, data: &RData) -> bool {
        match (self, data) {
            (Self::Txt(value), RData::TXT(txt)) => txt.txt_data.concat() == value.as_bytes(),
            (Self::Contains(value), RData::TXT(txt)) => {
                let text = txt.txt_data.concat();
                text.windows(value.len())
                    .any(|part| part == value.as_bytes())
            }
            (Self::Persistent(wanted), RData::TXT(txt)) => {
                let strings: Vec<Vec<u8>> = txt.txt_data.iter().map(|text| text.to_vec()).collect();
                wanted.takes(&strings)
            }
            (Self::Cname(target), RData::CNAME(name)) => {
                let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
                plain(&name.0.to_ascii()) == plain(target)
            }
            _ => false,
        }
    }
}

/// The persistent record that a CA checks (BR 3.2.2.4.22).
#[derive(Debug)]
pub(super) struct Persistent<'a> {
    pub(super) validators: &'a [Validator],
    pub(super) issuer: &'a str,
    pub(super) accounts: &'a [String],
    pub(super) now: Timestamp,
}

impl Persistent<'_> {
    fn takes(&self, strings: &[Vec<u8>]) -> bool {
        self.validators.iter().all(|validator| {
            self.accounts.iter().any(|account| {
                validator
                    .judge(strings, self.issuer, account, self.now)
                    .is_ok()
            })
        })
    }
}

/// How the answers of the name servers are judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Perspectives {
    /// 0: every server that can be reached must show the value.
    pub(super) count: u32,
    pub(super) may_fail: u32,
    pub(super) seed: u64,
}

/// Checks for `value` at `name`: the CA's words, in `Ok` when it was seen.
pub(super) async fn check(
    name: &str,
    data: Data<'_>,
    servers: &[SocketAddr],
    perspectives: Perspectives,
) -> Result<String, String> {
    if servers.is_empty() {
        return Err(format!("No name server found for {name}"));
    }
    let sights = join_all(servers.iter().map(|&server| ask(server, name, data, false))).await;
    words(
        name,
        data,
        servers,
        &sights,
        judge(name, &sights, perspectives),
    )
}

/// The same through `resolvers`, one for each perspective: the first must see the value, and at
/// most `may_fail` of the others may not. A resolver validates (or not) by itself: SERVFAIL is a
/// failure like any other.
pub(super) async fn check_through(
    name: &str,
    data: Data<'_>,
    resolvers: &[SocketAddr],
    may_fail: u32,
) -> Result<String, String> {
    let sights = join_all(
        resolvers
            .iter()
            .map(|&resolver| ask(resolver, name, data, true)),
    )
    .await;
    words(name, data, resolvers, &sights, quorum(&sights, may_fail))
}

fn quorum(sights: &[Sight], may_fail: u32) -> bool {
    let blind = sights
        .iter()
        .skip(1)
        .filter(|sight| **sight != Sight::Match)
        .count();
    sights.first() == Some(&Sight::Match) && blind <= may_fail as usize
}

fn words(
    name: &str,
    data: Data<'_>,
    asked: &[SocketAddr],
    sights: &[Sight],
    seen: bool,
) -> Result<String, String> {
    let sought = match data {
        Data::Persistent(_) => "DNS TXT record with the account",
        _ => "DNS TXT record with the random value",
    };
    let failed = asked
        .iter()
        .zip(sights)
        .filter_map(|(server, sight)| match sight {
            Sight::Match => None,
            Sight::NoMatch => Some(format!("{server} does not have the value")),
            Sight::Lame(code) => Some(format!("{server} answered {code}")),
            Sight::Unreachable => Some(format!("{server} did not answer")),
        });
    let failed = failed.collect::<Vec<String>>().join(", ");
    match (seen, failed.is_empty()) {
        (true, true) => Ok(format!("Validated {name}")),
        (true, false) => Ok(format!("Validated {name}, although {failed}")),
        (false, _) => Err(format!("{sought} not found at {name}: {failed}")),
    }
}

fn judge(name: &str, sights: &[Sight], perspectives: Perspectives) -> bool {
    if perspectives.count == 0 {
        return sights.contains(&Sight::Match) && !sights.contains(&Sight::NoMatch);
    }
    // As a resolver does, a perspective begins anywhere and continues to the next server when one
    // is dead or lame.
    let sees = |perspective: u32| {
        let mut hasher = DefaultHasher::new();
        (perspectives.seed, name, perspective).hash(&mut hasher);
        let start = usize::try_from(hasher.finish() % sights.len() as u64).unwrap_or(0);
        let mut answers = sights.iter().cycle().skip(start).take(sights.len());
        answers.find(|sight| matches!(sight, Sight::Match | Sight::NoMatch)) == Some(&Sight::Match)
    };
    let blind = (1..perspectives.count)
        .filter(|&perspective| !sees(perspective))
        .count();
    sees(0) && blind <= perspectives.may_fail as usize
}

/// What `name` is an alias of, by the first server that answers.
pub(super) async fn alias(name: &str, servers: &[SocketAddr]) -> Option<String> {
    let query = question(name, RecordType::CNAME, false)?;
    for &server in servers {
        let Ok(answer) = udp(server, &query, PATIENCE, 1).await else {
            continue;
        };
        return answer.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) => Some(target.0.to_ascii().trim_end_matches('.').to_owned()),
            _ => None,
        });
    }
    None
}

fn question(name: &str, kind: RecordType, recursive: bool) -> Option<Message> {
    let mut owner = Name::from_ascii(name).ok()?;
    owner.set_fqdn(true);
    let mut query = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = recursive;
    let mut edns = Edns::new();
    edns.set_max_payload(1232).set_dnssec_ok(true);
    query.add_query(Query::query(owner, kind)).set_edns(edns);
    Some(query)
}

async fn ask(server: SocketAddr, name: &str, data: Data<'_>, recursive: bool) -> Sight {
    match reply(server, name, data.record_type(), recursive).await {
        Ok(answer) if answer.answers.iter().any(|record| data.is_in(&record.data)) => Sight::Match,
        Ok(_) => Sight::NoMatch,
        Err(sight) => sight,
    }
}

/// What a server says about a name; without an answer that counts, what was seen in its place.
pub(super) async fn reply(
    server: SocketAddr,
    name: &str,
    kind: RecordType,
    recursive: bool,
) -> Result<Message, Sight> {
    let query = question(name, kind, recursive).ok_or(Sight::NoMatch)?;
    let (patience, attempts) = if recursive {
        (RESOLVER_PATIENCE, RESOLVER_ATTEMPTS)
    } else {
        (PATIENCE, 1)
    };
    let answer = match udp(server, &query, patience, attempts).await {
        Ok(answer) if !answer.truncation => answer,
        Err(error) if recursive && error.kind() == io::ErrorKind::TimedOut => {
            return Err(Sight::Unreachable);
        }
        _ => match timeout(patience, tcp(server, &query)).await {
            Ok(Ok(answer)) => answer,
            _ => return Err(Sight::Unreachable),
        },
    };
    let existing = matches!(
        answer.response_code,
        ResponseCode::NoError | ResponseCode::NXDomain
    );
    match existing && (answer.authoritative || recursive) {
        true => Ok(answer),
        false => Err(Sight::Lame(answer.response_code)),
    }
}

async fn udp(
    server: SocketAddr,
    query: &Message,
    patience: Duration,
    attempts: u32,
) -> io::Result<Message> {
    let any: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    let question = wire(query)?;
    for _ in 0..attempts {
        socket.send(&question).await?;
        if let Ok(answer) = timeout(patience, answer(&socket, query.id)).await {
            return answer;
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// The first datagram that answers the question with this id.
async fn answer(socket: &UdpSocket, id: u16) -> io::Result<Message> {
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Ok(answer) = Message::from_vec(&buffer[..length])
            && answer.id == id
        {
            return Ok(answer);
        }
    }
}

async fn tcp(server: SocketAddr, query: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let bytes = wire(query)?;
    let mut framed = u16::try_from(bytes.len())
        .map_err(io::Error::other)?
        .to_be_bytes()
        .to_vec();
    framed.extend(bytes);
    stream.write_all(&framed).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Message::from_vec(&answer).map_err(io::Error::other)
}

fn wire(message: &Message) -> io::Result<Vec<u8>> {
    message.to_vec().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_stale_server_of_two_makes_it_a_lottery_and_a_dead_one_does_not() {
        let passes = |sights: &[Sight]| {
            let at = |seed| Perspectives {
                count: 5,
                may_fail: 1,
                seed,
            };
            (0..1000)
                .filter(|&seed| judge("example.test", sights, at(seed)))
                .count()
        };
        let stale = passes(&[Sight::Match, Sight::NoMatch]);
        // The primary and three of four others must choose the good server: 5/32.
        assert!((100..220).contains(&stale), "{stale} of 1000");
        assert_eq!(passes(&[Sight::Match, Sight::Unreachable]), 1000);
        assert_eq!(passes(&[Sight::NoMatch, Sight::NoMatch]), 0);
    }

    #[tokio::test]
    async fn a_resolver_that_answers_only_the_repeated_question_is_heard() {
        let resolver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = resolver.local_addr().unwrap();
        let query = Message::new(7, MessageType::Query, OpCode::Query);
        let serving = async {
            let mut buffer = [0; 512];
            resolver.recv_from(&mut buffer).await.unwrap();
            let (length, asker) = resolver.recv_from(&mut buffer).await.unwrap();
            resolver.send_to(&buffer[..length], asker).await.unwrap();
        };
        let (answer, ()) = tokio::join!(
            udp(at, &query, Duration::from_secs(1), RESOLVER_ATTEMPTS),
            serving
        );
        assert_eq!(answer.unwrap().id, 7);
    }

    #[test]
    fn the_first_resolver_must_see_it_and_one_other_may_not() {
        use Sight::{Lame, Match, NoMatch};
        let bogus = Lame(ResponseCode::ServFail);
        assert!(quorum(&[Match, Match, bogus.clone(), Match, Match], 1));
        assert!(!quorum(&[Match, NoMatch, bogus.clone(), Match, Match], 1));
        assert!(!quorum(&[bogus, Match, Match, Match, Match], 1));
        assert!(!quorum(&[], 1));
    }
}
