//! One question to one address, and what that very address says: uncached, unretried elsewhere
//! (rule 2).
//!
//! The sockets are our own: docs/architecture.md names what `hickory-net`'s client would lose.
//! Messages are `hickory-proto`'s.

use std::fmt;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::{join, select_ok};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::pace::Pace;
use super::readable;

/// The UDP payload we offer: fits every path without fragments (DNS flag day 2020).
const PAYLOAD: u16 = 1232;

/// Datagrams that answer something else, before UDP is given up: a flood must cost neither the
/// time-out nor the processor.
const MOST_STRANGERS: u32 = 32;

/// How often a server that is known to live is asked again over UDP, twice at once each time: of
/// its datagrams a third may get lost, and it is heard in 997 of 1,000 rounds all the same.
const TRIES_TO_BE_HEARD: usize = 2;

/// Linux and macOS: the machine has no such address family at all.
const NO_FAMILY: [i32; 2] = [97, 47];

/// Asks single addresses. Clones share the limits on open sockets and on what one address is asked.
#[derive(Debug, Clone)]
pub struct Asker {
    timeout: Duration,
    sockets: Arc<Semaphore>,
    pace: Arc<Pace>,
    asked: Arc<AtomicU64>,
}

/// Why an address has no answer to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// This machine has no route to it or no such address family. It says nothing about the server.
    NoRoute(String),
    /// Nothing came back over any transport.
    Silent(String),
    /// The reply is no answer to the question.
    Nonsense(String),
    /// Its answer does not fit into a datagram, and TCP connections to it hang.
    CutOff(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoute(text)
            | Self::Silent(text)
            | Self::Nonsense(text)
            | Self::CutOff(text) => f.write_str(text),
        }
    }
}

impl Asker {
    /// Each try gets `timeout`; at most `sockets` tries are on the way at once, and no address gets
    /// more than `rate` of them in a second.
    pub fn new(timeout: Duration, sockets: usize, rate: f64) -> Self {
        Self {
            timeout,
            sockets: Arc::new(Semaphore::new(sockets)),
            pace: Arc::new(Pace::new(rate)),
            asked: Arc::default(),
        }
    }

    /// How long one try may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Questions that were sent so far, every try over every transport.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Asks `address` as resolvers do: RD=0, DO=1, EDNS 1232 over UDP; TCP when the answer is
    /// truncated; without EDNS when the server does not know it (FORMERR, NOTIMP, BADVERS). At most
    /// eight tries.
    ///
    /// A server that keeps silent over UDP is dead to resolvers, even if it answers over TCP, or to
    /// a question without EDNS: since the DNS flag day of 2019 no resolver asks it that way
    /// (measured with unbound 1.17). So it is silent here, too, and told apart. Only a lost
    /// datagram must not make it so.
    ///
    /// Source ports are the kernel's ephemeral ones, a new one for every try; the socket is
    /// connected, so that the kernel drops datagrams of other addresses. Id, question and opcode
    /// are compared (RFC 5452, section 9.1).
    ///
    /// # Errors
    /// [`Failure`], after every try that could still bring an answer.
    pub async fn ask(
        &self,
        address: SocketAddr,
        name: &Name,
        kind: RecordType,
    ) -> Result<Message, Failure> {
        let [question, plain] = [true, false].map(|edns| Question::new(name, kind, edns));
        let answer = match self.over_udp(address, &question).await {
            Err(Failure::Silent(why)) => self.insist(address, &question, &plain, why).await?,
            // An attacker may be guessing, which TCP makes hard.
            Err(Failure::Nonsense(udp)) => return self.after_udp(address, &question, &udp).await,
            other => other?,
        };
        if answer.metadata.truncation {
            return self.whole(address, &question).await;
        }
        if !knows_no_edns(&answer) {
            return Ok(answer);
        }
        match self.over_udp(address, &plain).await {
            Ok(answer) if answer.metadata.truncation => self.whole(address, &plain).await,
            other => Ok(other.unwrap_or(answer)),
        }
    }

    /// Finds out whether a server that did not answer over UDP is dead, or only its packets were
    /// lost.
    async fn insist(
        &self,
        address: SocketAddr,
        question: &Question,
        plain: &Question,
        why: String,
    ) -> Result<Message, Failure> {
        let (over_tcp, without_edns) = join(
            self.over_tcp(address, question),
            self.over_udp(address, plain),
        )
        .await;
        let otherwise = match (&over_tcp, &without_edns) {
            (Err(Failure::Nonsense(tcp)), Err(_)) => {
                return Err(Failure::Nonsense(format!("UDP: {why}; TCP: {tcp}")));
            }
            (Err(tcp), Err(_)) => return Err(Failure::Silent(format!("UDP: {why}; TCP: {tcp}"))),
            (_, Ok(_)) => "only to what has no EDNS",
            (Ok(_), Err(_)) => "only over TCP",
        };
        for _ in 0..TRIES_TO_BE_HEARD {
            let twice = [(); 2].map(|()| Box::pin(self.over_udp(address, question)));
            if let Ok((answer, _)) = select_ok(twice).await {
                return Ok(answer);
            }
        }
        Err(Failure::Silent(format!(
            "UDP: {why}; it answers {otherwise}, which resolvers do not try"
        )))
    }

    /// The whole of a truncated answer.
    async fn whole(&self, address: SocketAddr, question: &Question) -> Result<Message, Failure> {
        self.over_tcp(address, question).await.map_err(|failure| {
            let hangs = failure == self.late();
            let why = format!("the answer is truncated over UDP and TCP does not work: {failure}");
            if hangs {
                Failure::CutOff(why)
            } else {
                Failure::Nonsense(why)
            }
        })
    }

    /// Over UDP, and over TCP when the answer is truncated or does not come.
    pub(super) async fn over_both(
        &self,
        address: SocketAddr,
        question: &Question,
    ) -> Result<Message, Failure> {
        let udp = match self.over_udp(address, question).await {
            Ok(answer) if !answer.metadata.truncation => return Ok(answer),
            Ok(_) => "truncated".to_owned(),
            Err(failure @ Failure::NoRoute(_)) => return Err(failure),
            Err(failure) => failure.to_string(),
        };
        self.after_udp(address, question, &udp).await
    }

    /// Over TCP, after `udp`.
    async fn after_udp(
        &self,
        address: SocketAddr,
        question: &Question,
        udp: &str,
    ) -> Result<Message, Failure> {
        self.over_tcp(address, question)
            .await
            .map_err(|failure| match failure {
                Failure::Nonsense(tcp) => Failure::Nonsense(format!("UDP: {udp}; TCP: {tcp}")),
                no_route @ Failure::NoRoute(_) => no_route,
                other => Failure::Silent(format!("UDP: {udp}; TCP: {other}")),
            })
    }

    pub(super) async fn over_udp(
        &self,
        address: SocketAddr,
        question: &Question,
    ) -> Result<Message, Failure> {
        let _permit = self.turn(address.ip().to_string()).await;
        let mut strangers = 0;
        let exchange = async {
            let local: SocketAddr = if address.is_ipv4() {
                (Ipv4Addr::UNSPECIFIED, 0).into()
            } else {
                (Ipv6Addr::UNSPECIFIED, 0).into()
            };
            let socket = UdpSocket::bind(local).await.map_err(failed)?;
            socket.connect(address).await.map_err(failed)?;
            socket.send(&question.wire).await.map_err(failed)?;
            let mut buffer = vec![0; 4096];
            while strangers < MOST_STRANGERS {
                let length = socket.recv(&mut buffer).await.map_err(failed)?;
                match question.read(&buffer[..length]) {
                    Ok(answer) => return Ok(answer),
                    // An attacker may be guessing: the true answer may still come.
                    Err(_) => strangers += 1,
                }
            }
            Err(Failure::Nonsense(
                "nothing but datagrams that do not answer the question".to_owned(),
            ))
        };
        match timeout(self.timeout, exchange).await {
            Ok(result) => result,
            Err(_) if strangers > 0 => Err(Failure::Nonsense(format!(
                "no answer in {:?}, {strangers} other datagrams",
                self.timeout
            ))),
            Err(_) => Err(self.late()),
        }
    }

    fn late(&self) -> Failure {
        Failure::Silent(format!("no answer in {:?}", self.timeout))
    }

    pub(super) async fn over_tcp(
        &self,
        address: SocketAddr,
        question: &Question,
    ) -> Result<Message, Failure> {
        self.in_time(address.ip().to_string(), async {
            let stream = TcpStream::connect(address).await.map_err(failed)?;
            framed(stream, question).await
        })
        .await
    }

    /// An exchange with `whom` over any transport, in its turn, on one of our sockets, and as a
    /// whole within the time-out: one that answers a byte at a time gains nothing.
    pub(super) async fn in_time<T>(
        &self,
        whom: String,
        exchange: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let _permit = self.turn(whom).await;
        timeout(self.timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(self.late()))
    }

    /// Waits until `whom` may be asked again and a socket is free.
    async fn turn(&self, whom: String) -> Option<SemaphorePermit<'_>> {
        self.pace.turn(whom).await;
        self.asked.fetch_add(1, Ordering::Relaxed);
        // It is never closed.
        self.sockets.acquire().await.ok()
    }
}

/// The question and its answer on a stream, each behind its length (RFC 1035, section 4.2.2).
pub(super) async fn framed(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    question: &Question,
) -> Result<Message, Failure> {
    let length = u16::try_from(question.wire.len()).unwrap_or(u16::MAX);
    stream
        .write_all(&[&length.to_be_bytes(), question.wire.as_slice()].concat())
        .await
        .map_err(failed)?;
    // TLS writes nothing before it is told to.
    stream.flush().await.map_err(failed)?;
    let length = stream.read_u16().await.map_err(failed)?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await.map_err(failed)?;
    match question.read(&buffer) {
        Ok(answer) if answer.metadata.truncation => Err(Failure::Nonsense(
            "truncated over TCP, where there is no limit to keep to".to_owned(),
        )),
        Ok(answer) => Ok(answer),
        Err(why) => Err(Failure::Nonsense(why.to_owned())),
    }
}

/// A question as it goes over the wire, and the test whether something answers it.
pub(super) struct Question {
    id: u16,
    query: Query,
    pub(super) wire: Vec<u8>,
}

impl Question {
    /// For a name server: no recursion.
    pub(super) fn new(name: &Name, kind: RecordType, edns: bool) -> Self {
        let mut message = Message::query();
        message.metadata.recursion_desired = false;
        Self::of(message, Query::query(name.clone(), kind), edns)
    }

    /// For a validating resolver: recursion, and what does not validate too when
    /// `checking_disabled` (RFC 4035, section 3.2.2).
    pub(super) fn to_resolver(name: &Name, kind: RecordType, checking_disabled: bool) -> Self {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.metadata.checking_disabled = checking_disabled;
        Self::of(message, Query::query(name.clone(), kind), true)
    }

    fn of(mut message: Message, query: Query, edns: bool) -> Self {
        message.add_query(query.clone());
        if edns {
            let mut offer = Edns::new();
            offer.set_max_payload(PAYLOAD).set_dnssec_ok(true);
            message.set_edns(offer);
        }
        let wire = message.to_vec().unwrap_or_default();
        Self {
            id: message.metadata.id,
            query,
            wire,
        }
    }

    /// The answer in `bytes`, or why it is none.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Message, &'static str> {
        let &[high, low, flags, ..] = bytes else {
            return Err("the answer is shorter than a header");
        };
        if u16::from_be_bytes([high, low]) != self.id {
            return Err("the answer has another query's id");
        }
        let answer = match Message::from_vec(bytes) {
            Ok(answer) => answer,
            // Some servers cut the message in the middle of a record and set TC: only the flag
            // matters then.
            Err(_) if flags & 0x82 == 0x82 => {
                let mut cut = Message::response(self.id, OpCode::Query);
                cut.metadata.truncation = true;
                return Ok(cut);
            }
            Err(_) => {
                readable::without_unreadable(bytes).ok_or("the answer is not a DNS message")?
            }
        };
        if answer.metadata.message_type != MessageType::Response
            || answer.metadata.op_code != OpCode::Query
        {
            return Err("what came back is not a response to a query");
        }
        let told = answer.metadata.response_code;
        match answer.queries.as_slice() {
            [asked] if *asked == self.query && asked.query_class() == DNSClass::IN => Ok(answer),
            // A server that could not or would not read the question need not repeat it (RFC 1035,
            // section 4.1.1).
            [] if !matches!(told, ResponseCode::NoError | ResponseCode::NXDomain) => Ok(answer),
            _ => Err("the answer is to another question"),
        }
    }
}

pub(super) fn knows_no_edns(answer: &Message) -> bool {
    matches!(
        answer.metadata.response_code,
        ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS
    )
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
pub(super) fn failed(error: std::io::Error) -> Failure {
    let no_family = error
        .raw_os_error()
        .is_some_and(|code| NO_FAMILY.contains(&code));
    match error.kind() {
        ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable => {
            Failure::NoRoute(format!("no route ({error})"))
        }
        _ if no_family => Failure::NoRoute(format!("no route ({error})")),
        ErrorKind::ConnectionRefused => {
            Failure::Silent("nothing listens there (connection refused)".to_owned())
        }
        ErrorKind::UnexpectedEof => {
            Failure::Silent("the connection was closed before the answer was whole".to_owned())
        }
        _ => Failure::Silent(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_route_is_told_from_no_answer() {
        // Linux: ENETUNREACH, EADDRNOTAVAIL, EAFNOSUPPORT.
        for code in [101, 99, 97] {
            assert!(
                matches!(
                    failed(std::io::Error::from_raw_os_error(code)),
                    Failure::NoRoute(_)
                ),
                "{code}"
            );
        }
        // EHOSTUNREACH, ECONNREFUSED, EMFILE.
        for code in [113, 111, 24] {
            assert!(
                matches!(
                    failed(std::io::Error::from_raw_os_error(code)),
                    Failure::Silent(_)
                ),
                "{code}"
            );
        }
    }
}
