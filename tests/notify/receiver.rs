//! A receiver over HTTP or HTTPS that reads strictly, remembers everything and answers as it is
//! told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto};

use crate::support::certificate::Certificate;

/// The answers of the receiver.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The status with everything behind it: `204 No Content\r\n\r\n`.
    Status(String),
    /// Nothing: the connection ends when all was read.
    Nothing,
}

/// A request that was read to its end.
#[derive(Debug, Clone)]
pub struct Request {
    /// `POST /hooks HTTP/1.1`
    pub line: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Request>>>,
    reply: Arc<Mutex<Reply>>,
}

impl Receiver {
    /// Listens at a free port of `host`, or at `port`.
    pub fn start(host: [u8; 4], port: u16, tls: Option<&Certificate>) -> Self {
        let listener = TcpListener::bind((std::net::Ipv4Addr::from(host), port)).unwrap();
        let good = Reply::Status("204 No Content\r\n\r\n".to_owned());
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            heard: Arc::default(),
            reply: Arc::new(Mutex::new(good)),
        };
        let (tls, own) = (tls.map(server_config), receiver.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                match &tls {
                    None => own.serve(stream),
                    Some(config) => {
                        let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                        own.serve(StreamOwned::new(connection, stream));
                    }
                }
            }
        });
        receiver
    }

    pub fn replies(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    pub fn heard(&self) -> Vec<Request> {
        self.heard.lock().unwrap().clone()
    }

    fn serve(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        let Some(request) = read(&mut stream) else {
            return;
        };
        self.heard.lock().unwrap().push(request);
        let reply = self.reply.lock().unwrap().clone();
        if let Reply::Status(text) = reply {
            let _ = stream
                .get_mut()
                .write_all(format!("HTTP/1.1 {text}").as_bytes());
            let _ = stream.get_mut().flush();
        }
    }
}

fn read(stream: &mut impl BufRead) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream
            .read_line(&mut line)
            .ok()
            .filter(|&count| count > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |line: &String| {
        line.split_once(": ")
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
    };
    let headers: BTreeMap<String, String> = lines[1..].iter().map(header).collect::<Option<_>>()?;
    assert_eq!(
        headers.len(),
        lines.len() - 1,
        "each header once: {lines:?}"
    );
    let mut body = vec![0; headers["content-length"].parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    Some(Request {
        line: lines.swap_remove(0),
        headers,
        body: String::from_utf8(body).ok()?,
    })
}

fn server_config(certificate: &Certificate) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(&certificate.signed)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(&certificate.key).unwrap();
    let builder =
        ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}
