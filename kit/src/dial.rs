//! Reaching a host by any of its addresses (RFC 8305, "happy eyeballs"): the attempts begin one
//! after the other, a quarter of a second apart, and the first that succeeds is taken.
//!
//! An address that swallows packets costs that quarter of a second and nothing else: it does not
//! use up the time of the others. The HTTP client has the same for its own connections; name
//! servers and databases are reached by this module.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// Between the beginnings of two attempts (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses of one host that are tried. A name with more of them is no host.
const MOST: usize = 16;

/// No address could be used: each with the reason, in the order of the attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached(Vec<(SocketAddr, String)>);

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (address, why)) in self.0.iter().enumerate() {
            let mark = if index == 0 { "" } else { "; " };
            write!(f, "{mark}{address}: {why}")?;
        }
        Ok(())
    }
}

/// The addresses of a host in the order in which they are tried: as the machine sorts them, the two
/// families in turn (RFC 8305, section 4).
///
/// # Errors
/// Says that the name does not resolve, or has no address.
pub async fn addresses(
    host: &str,
    port: u16,
    patience: Duration,
) -> Result<Vec<SocketAddr>, String> {
    let found = timeout(patience, tokio::net::lookup_host((host, port)))
        .await
        .map_err(|_| format!("its name does not resolve within {} s", seconds(patience)))?
        .map_err(|error| format!("its name does not resolve: {error}"))?;
    let found = in_turn(found);
    if found.is_empty() {
        return Err("its name has no address".to_owned());
    }
    Ok(found)
}

/// The families in turn, beginning with that of the first address; each address once.
pub fn in_turn(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut unique: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if !unique.contains(&address) && unique.len() < MOST {
            unique.push(address);
        }
    }
    let Some(first) = unique.first().copied() else {
        return unique;
    };
    let (preferred, other): (Vec<_>, Vec<_>) = unique
        .into_iter()
        .partition(|address| address.is_ipv4() == first.is_ipv4());
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut sorted = Vec::new();
    loop {
        let pair = (preferred.next(), other.next());
        sorted.extend(pair.0.into_iter().chain(pair.1));
        if pair == (None, None) {
            return sorted;
        }
    }
}

/// Makes `attempt` at each address until one succeeds. Each begins a quarter of a second after the
/// one before, or when no other is under way; all of them end after `patience`.
///
/// # Errors
/// [`Unreached`] with the reason of every address.
pub async fn race<T, F>(
    addresses: &[SocketAddr],
    patience: Duration,
    attempt: impl Fn(SocketAddr) -> F,
) -> Result<(SocketAddr, T), Unreached>
where
    F: Future<Output = Result<T, String>>,
{
    // The last address, too, must have time to answer.
    let rounds = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let stagger = STAGGER.min(patience / (rounds + 1));
    let deadline = Instant::now() + patience;
    let mut waiting = addresses.iter().copied();
    let mut failed: Vec<(SocketAddr, String)> = Vec::new();
    let mut begun = Vec::new();
    let mut under_way = FuturesUnordered::new();
    loop {
        let next = waiting.next();
        if let Some(address) = next {
            let outcome = attempt(address);
            begun.push(address);
            under_way.push(async move { (address, outcome.await) });
        }
        let until = match waiting.len() {
            0 => deadline,
            _ => deadline.min(Instant::now() + stagger),
        };
        // Until one succeeds, all have failed, or it is time to begin the next.
        loop {
            match timeout_at(until, under_way.next()).await {
                Ok(Some((address, Ok(reached)))) => return Ok((address, reached)),
                Ok(Some((address, Err(why)))) => failed.push((address, why)),
                Ok(None) | Err(_) => break,
            }
            if under_way.is_empty() {
                break;
            }
        }
        if waiting.len() == 0 {
            let why = |address: &SocketAddr| {
                let known = failed.iter().find(|(failed, _)| failed == address);
                known.map_or_else(
                    || format!("no answer within {} s", seconds(patience)),
                    |(_, why)| why.clone(),
                )
            };
            return Err(Unreached(
                begun
                    .iter()
                    .map(|address| (*address, why(address)))
                    .collect(),
            ));
        }
    }
}

/// To a tenth, for words.
fn seconds(time: Duration) -> f32 {
    (time.as_secs_f32() * 10.0).round() / 10.0
}

/// A TCP connection to the address that takes one first.
///
/// # Errors
/// [`Unreached`] with the reason of every address.
pub async fn tcp(
    addresses: &[SocketAddr],
    patience: Duration,
) -> Result<(SocketAddr, TcpStream), Unreached> {
    race(addresses, patience, |address| async move {
        TcpStream::connect(address)
            .await
            .map_err(|error| error.to_string())
    })
    .await
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::net::{TcpListener, TcpSocket, UdpSocket};

    use super::*;

    /// An address of this machine that swallows connections: its queue is full.
    pub(crate) struct Silent {
        pub(crate) address: SocketAddr,
        _held: (TcpListener, Vec<TcpStream>),
    }

    impl Silent {
        /// On the port of another listener, so that both are one host's.
        pub(crate) async fn at(address: SocketAddr) -> Self {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(address).unwrap();
            let listener = socket.listen(1).unwrap();
            let address = listener.local_addr().unwrap();
            let mut held = Vec::new();
            // The queue is full when a connection is no longer taken.
            while let Ok(stream) =
                timeout(Duration::from_millis(200), TcpStream::connect(address)).await
            {
                held.push(stream.unwrap());
            }
            Self {
                address,
                _held: (listener, held),
            }
        }
    }

    /// An address that refuses.
    async fn closed() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    #[tokio::test]
    async fn a_silent_first_address_costs_a_moment_and_the_second_is_used() {
        let silent = Silent::at("127.0.0.2:0".parse().unwrap()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let before = Instant::now();
        let (address, _) = tcp(&[silent.address, good], Duration::from_secs(5))
            .await
            .unwrap();
        assert_eq!(address, good);
        assert!(before.elapsed() < Duration::from_secs(4));
    }

    #[tokio::test]
    async fn every_address_that_failed_is_named_with_its_reason() {
        let silent = Silent::at("127.0.0.2:0".parse().unwrap()).await;
        let closed = closed().await;
        let error = tcp(&[silent.address, closed], Duration::from_millis(600))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("{}: no answer within 0.6 s; ", silent.address)),
            "{error}"
        );
        assert!(
            error.contains(&format!("{closed}: Connection refused")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_silent_address_does_not_use_up_the_time_of_the_others() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let talks = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addresses = [silent.local_addr().unwrap(), talks.local_addr().unwrap()];
        let echo = async {
            let mut octets = [0; 8];
            let (length, from) = talks.recv_from(&mut octets).await.unwrap();
            talks.send_to(&octets[..length], from).await.unwrap();
            std::future::pending::<()>().await;
        };
        let asked = race(&addresses, Duration::from_secs(5), |address| async move {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            socket.connect(address).await.unwrap();
            socket.send(b"question").await.unwrap();
            let mut octets = [0; 8];
            socket
                .recv(&mut octets)
                .await
                .map_err(|error| error.to_string())?;
            Ok(octets)
        });
        let (address, said) = tokio::select! {
            answer = asked => answer.unwrap(),
            () = echo => unreachable!(),
        };
        assert_eq!((address, &said), (addresses[1], b"question"));
    }

    #[tokio::test]
    async fn the_last_of_many_addresses_is_tried_in_time() {
        let addresses: Vec<SocketAddr> = (1..=12)
            .map(|last| SocketAddr::from(([192, 0, 2, last], 53)))
            .collect();
        let last = addresses[11];
        let reached = race(&addresses, Duration::from_secs(1), |address| async move {
            if address != last {
                std::future::pending::<()>().await;
            }
            Ok::<_, String>(())
        });
        assert_eq!(reached.await.unwrap().0, last);
    }

    #[test]
    fn families_take_turns_and_each_address_is_tried_once() {
        let read = |text: &str| text.parse::<SocketAddr>().unwrap();
        let found = ["[::1]:1", "[::2]:1", "[::1]:1", "[::3]:1", "1.1.1.1:1"].map(read);
        assert_eq!(
            in_turn(found),
            ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"].map(read)
        );
        assert!(in_turn([]).is_empty());
    }
}
