//! Plain questions to a name server, without any code of the product.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};

const PATIENCE: Duration = Duration::from_secs(2);

/// A query as it goes out.
pub fn query(name: &str, record_type: RecordType) -> Message {
    let name = Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).unwrap();
    let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    message.add_query(Query::query(name, record_type));
    message
}

/// The answer over TCP, `None` when there is none.
pub fn tcp(server: SocketAddr, message: &Message) -> Option<Message> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let bytes = message.to_vec().unwrap();
    let framed = [
        &u16::try_from(bytes.len()).unwrap().to_be_bytes()[..],
        &bytes[..],
    ]
    .concat();
    stream.write_all(&framed).ok()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply).ok()?;
    Message::from_vec(&reply).ok()
}

/// The answer over UDP, `None` when there is none.
pub fn udp(server: SocketAddr, message: &Message) -> Option<Message> {
    let socket = UdpSocket::bind(if server.is_ipv4() {
        "127.0.0.1:0"
    } else {
        "[::]:0"
    })
    .ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.send_to(&message.to_vec().unwrap(), server).ok()?;
    let mut reply = vec![0; 65_535];
    let (length, _) = socket.recv_from(&mut reply).ok()?;
    Message::from_vec(&reply[..length]).ok()
}

/// The serial of `zone` at `server`, if it answers with authority.
pub fn serial(server: SocketAddr, zone: &str) -> Option<u32> {
    let reply = tcp(server, &query(zone, RecordType::SOA))?;
    let found = reply.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    });
    found.filter(|_| reply.metadata.authoritative)
}
