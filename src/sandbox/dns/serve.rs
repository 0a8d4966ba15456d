//! The wire: UDP and TCP sockets, message in, message out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::tsig::{self, Verdict};
use super::{Follow, Shared, update};

/// The largest UDP answer, octets: what the DNS flag day of 2020 recommends, and BIND's default.
const UDP_LIMIT: u16 = 1232;
/// Room for the TSIG record of a signed answer, octets.
const TSIG_ROOM: usize = 160;
/// How long an idle TCP connection is kept.
const TCP_IDLE: Duration = Duration::from_secs(10);

/// Binds TCP and UDP on one port; for port 0 tries until it finds a port that is free for both.
pub(super) async fn bind(address: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let mut tries = 16;
    loop {
        let tcp = TcpListener::bind(address).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) if address.port() != 0 || tries == 0 => return Err(error),
            Err(_) => tries -= 1,
        }
    }
}

pub(super) async fn udp(shared: Arc<Shared>, server: usize, socket: UdpSocket) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        // A client that has gone away shows up as an error of the next receive; there is nothing to
        // do about it.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        if let Some(answer) = shared.answer(server, &buffer[..length], true) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

pub(super) async fn tcp(shared: Arc<Shared>, server: usize, listener: TcpListener) {
    // The connections end with the listener.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(Arc::clone(&shared), server, stream));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(shared: Arc<Shared>, server: usize, mut stream: TcpStream) -> io::Result<()> {
    while let Ok(length) = tokio::time::timeout(TCP_IDLE, stream.read_u16()).await {
        let mut request = vec![0; usize::from(length?)];
        stream.read_exact(&mut request).await?;
        let Some(answer) = shared.answer(server, &request, false) else {
            return Ok(());
        };
        let Ok(length) = u16::try_from(answer.len()) else {
            return Ok(());
        };
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(answer);
        stream.write_all(&framed).await?;
    }
    Ok(())
}

impl Shared {
    /// Answers one message, or not at all.
    fn answer(&self, server: usize, bytes: &[u8], over_udp: bool) -> Option<Vec<u8>> {
        let follow = {
            let mut state = self.state();
            let server = state.servers.get_mut(server)?;
            server.queries += 1;
            server.follow
        };
        if follow == Follow::Dead {
            return None;
        }
        let Ok(request) = Message::from_vec(bytes) else {
            let id = u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]);
            return Message::error_msg(id, OpCode::Query, ResponseCode::FormErr)
                .to_vec()
                .ok();
        };
        if request.message_type == MessageType::Response {
            return None;
        }
        let mut answer = Message::response(request.id, request.op_code);
        answer.metadata.recursion_desired = request.recursion_desired;
        answer.queries.clone_from(&request.queries);
        if let Some(asked) = &request.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_LIMIT)
                .set_dnssec_ok(asked.flags().dnssec_ok);
            answer.set_edns(edns);
        }
        let verdict = tsig::check(bytes, &request, &self.state().keys, self.clock.now());
        let reply = match verdict {
            // A BIND secondary says REFUSED to an update whatever its signature says.
            Verdict::Bad(code, reply) => {
                let refused = server > 0 && request.op_code == OpCode::Update;
                answer.metadata.response_code = if refused { ResponseCode::Refused } else { code };
                Some(reply)
            }
            _ if follow == Follow::Lame => {
                answer.metadata.response_code = ResponseCode::Refused;
                None
            }
            Verdict::Unsigned => {
                self.act(server, &request, &mut answer, false)?;
                None
            }
            Verdict::Good(reply) => {
                self.act(server, &request, &mut answer, true)?;
                Some(reply)
            }
        };
        if over_udp {
            let asked = request
                .edns
                .as_ref()
                .map_or(512, |edns| edns.max_payload().clamp(512, UDP_LIMIT));
            let room = usize::from(asked) - if reply.is_some() { TSIG_ROOM } else { 0 };
            if answer.to_vec().ok()?.len() > room {
                answer = answer.truncate();
            }
        }
        if let Some(reply) = reply {
            reply.sign(&mut answer).ok()?;
        }
        answer.to_vec().ok()
    }

    /// Does what a message asks for; `None` when the answer is to be lost.
    fn act(
        &self,
        server: usize,
        request: &Message,
        answer: &mut Message,
        signed: bool,
    ) -> Option<()> {
        let code = match request.op_code {
            OpCode::Query => self.query(server, request, answer),
            OpCode::Update => return self.update(server, request, answer, signed),
            _ => ResponseCode::NotImp,
        };
        answer.metadata.response_code = code;
        Some(())
    }

    fn query(&self, server: usize, request: &Message, answer: &mut Message) -> ResponseCode {
        let [query] = request.queries.as_slice() else {
            return ResponseCode::FormErr;
        };
        let kind = query.query_type();
        if query.query_class() != DNSClass::IN
            || matches!(kind, RecordType::AXFR | RecordType::IXFR)
        {
            return ResponseCode::Refused;
        }
        let name = query.name().to_lowercase();
        let Some(zone) = self.state().zone(server, &name, self.clock.now()) else {
            return ResponseCode::Refused;
        };
        let found = zone.find(&name, kind);
        answer.metadata.authoritative = !found.referral;
        answer.answers = found.answers;
        answer.authorities = found.authorities;
        if found.no_such_name {
            ResponseCode::NXDomain
        } else {
            ResponseCode::NoError
        }
    }

    fn update(
        &self,
        server: usize,
        request: &Message,
        answer: &mut Message,
        signed: bool,
    ) -> Option<()> {
        let now = self.clock.now();
        let mut state = self.state();
        state.updates += 1;
        if state.lose_updates > 0 {
            state.lose_updates -= 1;
            return None;
        }
        let outcome = match request.queries.as_slice() {
            _ if !signed || server > 0 => Err(ResponseCode::Refused),
            [zone]
                if zone.query_type() == RecordType::SOA && zone.query_class() == DNSClass::IN =>
            {
                let apex = zone.name().to_lowercase();
                match state.zones.get(&apex).and_then(|versions| versions.last()) {
                    None => Err(ResponseCode::NotAuth),
                    _ if request
                        .authorities
                        .iter()
                        .any(|r| state.refused.contains(&r.name.to_lowercase())) =>
                    {
                        Err(ResponseCode::Refused)
                    }
                    // In an update the sections are prerequisites (answers) and updates
                    // (authorities).
                    Some(version) => {
                        update::apply(&version.zone, &request.answers, &request.authorities)
                    }
                }
            }
            _ => Err(ResponseCode::FormErr),
        };
        match outcome {
            Ok(Some(zone)) => state.publish(zone, now),
            Ok(None) => {}
            Err(code) => answer.metadata.response_code = code,
        }
        if state.lose_answers > 0 {
            state.lose_answers -= 1;
            return None;
        }
        Some(())
    }
}
