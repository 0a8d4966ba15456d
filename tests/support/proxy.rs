//! A proxy between a DNS client and a server over TCP that misbehaves on purpose and remembers what
//! it saw.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, OpCode};

/// What the proxy does with one request.
pub enum Verdict {
    /// Forwards it and gives the server's reply.
    Pass,
    /// Closes the connection, the server never sees the request.
    LoseRequest,
    /// Lets the server do it and closes the connection instead of answering.
    LoseReply,
    /// Lets the server do it and gives the reply after this change.
    Alter(fn(Vec<u8>) -> Vec<u8>),
    /// Answers by itself, these octets as one message; the server never sees the request.
    Answer(Vec<u8>),
    /// Answers by itself with raw octets, the length is up to the test.
    Raw(Vec<u8>),
    /// Keeps the connection open and never answers.
    Stall,
}

type Rule = dyn Fn(&Message, usize) -> Verdict + Send + Sync;

/// A running proxy. Its threads end with the test process.
#[derive(Clone)]
pub struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Message>>>,
}

impl Proxy {
    /// Starts one before `upstream`; `rule` sees each request and how many of the same opcode came
    /// before it.
    pub fn before(
        upstream: SocketAddr,
        rule: impl Fn(&Message, usize) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
        };
        let (seen, rule): (_, Arc<Rule>) = (Arc::clone(&proxy.seen), Arc::new(rule));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, rule) = (Arc::clone(&seen), Arc::clone(&rule));
                std::thread::spawn(move || serve(stream, upstream, &seen, &*rule));
            }
        });
        proxy
    }

    /// Where it listens, TCP only.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many messages of any kind reached it.
    pub fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The update messages that reached it.
    pub fn updates(&self) -> Vec<Message> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|message| message.metadata.op_code == OpCode::Update)
            .cloned()
            .collect()
    }
}

fn serve(
    mut client: TcpStream,
    upstream: SocketAddr,
    seen: &Mutex<Vec<Message>>,
    rule: &Rule,
) -> Option<()> {
    loop {
        let bytes = read(&mut client)?;
        let request = Message::from_vec(&bytes).ok()?;
        let earlier = {
            let mut seen = seen.lock().unwrap();
            let same = |message: &&Message| message.metadata.op_code == request.metadata.op_code;
            let earlier = seen.iter().filter(same).count();
            seen.push(request.clone());
            earlier
        };
        match rule(&request, earlier) {
            Verdict::Pass => write(&mut client, &forward(upstream, &bytes)?)?,
            Verdict::LoseRequest => return None,
            Verdict::LoseReply => {
                forward(upstream, &bytes)?;
                return None;
            }
            Verdict::Alter(change) => write(&mut client, &change(forward(upstream, &bytes)?))?,
            Verdict::Answer(reply) => write(&mut client, &reply)?,
            Verdict::Raw(octets) => {
                client.write_all(&octets).ok()?;
                return None;
            }
            Verdict::Stall => std::thread::sleep(Duration::from_secs(600)),
        }
    }
}

/// What `upstream` answers, `None` when it does not.
pub fn forward(upstream: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    let mut server = TcpStream::connect(upstream).ok()?;
    write(&mut server, request)?;
    read(&mut server)
}

/// One message of a TCP stream.
pub fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

/// Sends one message.
pub fn write(stream: &mut TcpStream, message: &[u8]) -> Option<()> {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], message].concat()).ok()
}
