//! Questions and answers over TCP (RFC 7766): two octets of length, then the message.
//!
//! TCP always: an update that is repeated because a datagram got lost is a second update, and
//! PowerDNS does not take large ones over UDP (measured).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use prevalidate_kit::dial;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// The name server that takes the updates: host name or address, and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    host: String,
    port: u16,
}

impl ServerAddress {
    /// Reads `ns1.example.ch`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`; the port is
    /// 53 if none is said.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn read(text: &str) -> Result<Self, String> {
        let expected =
            || "expected a host name or an address, with `:port` if it is not 53".to_owned();
        // An address of IPv6 has its port after the bracket.
        if let Some((_, port)) = text.split_once("]:")
            && let Some(Err(too_large)) = read_port(port)
        {
            return Err(too_large);
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Self {
                host: address.ip().to_string(),
                port: address.port(),
            }
            .checked();
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(address) = bare.parse::<Ipv6Addr>() {
            return Ok(Self {
                host: address.to_string(),
                port: 53,
            });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, read_port(port).ok_or_else(expected)??),
            None => (text, 53),
        };
        let is_name = !host.is_empty()
            && host.len() <= 253
            && host
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet));
        let looks_like_an_address = host
            .bytes()
            .all(|octet| octet.is_ascii_digit() || octet == b'.');
        if !is_name || (looks_like_an_address && host.parse::<IpAddr>().is_err()) {
            return Err(expected());
        }
        Self {
            host: host.trim_end_matches('.').to_owned(),
            port,
        }
        .checked()
    }

    fn checked(self) -> Result<Self, String> {
        if self.port == 0 {
            Err("port 0 is not a port".into())
        } else {
            Ok(self)
        }
    }

    /// The name or address without the port.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// `None`: no number.
fn read_port(text: &str) -> Option<Result<u16, String>> {
    let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then(|| {
        text.parse()
            .map_err(|_| format!("port {text} is too large; ports end at {}", u16::MAX))
    })
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How long the server may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For everything together.
    pub total: Duration,
}

impl Patience {
    /// `total`, of which a connection may take half.
    pub fn of(total: Duration) -> Self {
        Self {
            connect: total / 2,
            total,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// The request cannot have reached the server.
    NotSent(String),
    /// The request was on its way: the server may have seen it.
    Sent(String),
}

impl NoAnswer {
    /// The event, for people.
    pub fn reason(&self) -> &str {
        let (Self::NotSent(reason) | Self::Sent(reason)) = self;
        reason
    }
}

/// A connection to the server, for one question after the other.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    address: SocketAddr,
}

impl Line {
    /// A connection to `server`, at the address `at` if one is given, else at the address that
    /// answers first.
    ///
    /// # Errors
    /// The outcome at each address.
    pub async fn open(
        server: &ServerAddress,
        at: Option<SocketAddr>,
        patience: Duration,
    ) -> Result<Self, String> {
        let (stream, address) = connect(server, at, patience).await?;
        Ok(Self { stream, address })
    }

    /// The other end.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends `request` and gives the octets of the reply, which may be anything.
    ///
    /// # Errors
    /// [`NoAnswer`] tells whether the server may have seen the request.
    pub async fn exchange(
        &mut self,
        patience: Duration,
        request: &[u8],
    ) -> Result<Vec<u8>, NoAnswer> {
        let deadline = Instant::now() + patience;
        let length = u16::try_from(request.len()).map_err(|_| {
            NoAnswer::NotSent(format!(
                "a message of {} octets is longer than DNS allows",
                request.len()
            ))
        })?;
        let stream = &mut self.stream;
        let work = async {
            let framed = [&length.to_be_bytes()[..], request].concat();
            stream
                .write_all(&framed)
                .await
                .map_err(|error| format!("the connection broke while sending: {error}"))?;
            let closed = |error: std::io::Error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => {
                    "it closed the connection without a whole answer".to_owned()
                }
                _ => format!("the connection broke: {error}"),
            };
            let length = stream.read_u16().await.map_err(closed)?;
            let mut reply = vec![0; usize::from(length)];
            stream.read_exact(&mut reply).await.map_err(closed)?;
            Ok(reply)
        };
        match timeout_at(deadline, work).await {
            Ok(result) => result.map_err(NoAnswer::Sent),
            Err(_) => Err(NoAnswer::Sent(format!(
                "no answer from {} within {} s",
                self.address,
                patience.as_secs_f32()
            ))),
        }
    }
}

async fn connect(
    server: &ServerAddress,
    at: Option<SocketAddr>,
    patience: Duration,
) -> Result<(TcpStream, SocketAddr), String> {
    let deadline = Instant::now() + patience;
    let addresses = match at {
        Some(address) => vec![address],
        None => dial::addresses(&server.host, server.port, patience).await?,
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let (address, stream) = dial::tcp(&addresses, left)
        .await
        .map_err(|unreached| format!("no connection (TCP): {unreached}"))?;
    Ok((stream, address))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_server_is_a_name_or_an_address_with_or_without_port() {
        for (text, shown) in [
            ("ns1.example.ch", "ns1.example.ch:53"),
            ("ns1.example.ch.:5353", "ns1.example.ch:5353"),
            ("192.0.2.1", "192.0.2.1:53"),
            ("192.0.2.1:5353", "192.0.2.1:5353"),
            ("2001:db8::1", "[2001:db8::1]:53"),
            ("[2001:db8::1]", "[2001:db8::1]:53"),
            ("[2001:db8::1]:5353", "[2001:db8::1]:5353"),
        ] {
            assert_eq!(ServerAddress::read(text).unwrap().to_string(), shown);
        }
        for text in [
            "",
            "ns1:",
            "ns1:x",
            "ns1:70000",
            "ns1:0",
            "300.1.1.1",
            "https://ns1/",
            "ns1 ns2",
            "[::1",
            "192.0.2",
        ] {
            assert!(ServerAddress::read(text).is_err(), "{text}");
        }
        for text in ["ns1:99999", "192.0.2.1:65536", "[2001:db8::1]:99999999999"] {
            let said = ServerAddress::read(text).unwrap_err();
            assert!(said.contains("is too large"), "{text}: {said}");
        }
    }
}
