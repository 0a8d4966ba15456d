//! Connections: how many, how long, how large, in clear or by TLS. What is asked on them is
//! [`super::http`]'s.
//!
//! No client can hold one without asking: header and body have 10 s each, a connection a few
//! minutes, and there is a most of them, for one address too (faults H07).

mod places;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::places::Places;
pub(super) use self::places::network;
use super::seldom::Seldom;
use super::shared::Shared;

/// Connections at once; one more is closed at once. Half of the 1024 files that a process may have
/// open by default (RLIMIT_NOFILE): however many hold one, the database, the name servers and the
/// CA can still be asked.
pub const CONNECTIONS: usize = 512;
/// A header with all its lines; longer ones are answered with 431.
pub const HEADER_BYTES: usize = 32 * 1024;

/// The peer of the connection that a request came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// How long things may take; tests have shorter ones.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The TLS handshake, and from the connection or the last answer to the end of the next header.
    pub header: Duration,
    /// A connection; what is under way then is answered first.
    pub life: Duration,
    /// What is under way when the server stops, or a connection's life ends.
    pub grace: Duration,
    /// Connections at once.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            life: Duration::from_secs(300),
            grace: Duration::from_secs(5),
            connections: CONNECTIONS,
        }
    }
}

/// A socket that is listened on.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    /// Where it listens; never port 0.
    pub address: SocketAddr,
    /// How long things may take.
    pub limits: Limits,
}

/// A listener at work. Dropped without [`end`](Self::end), it continues.
#[derive(Debug)]
pub struct Serving {
    /// Where it listens; never port 0.
    pub address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Serving {
    /// Takes no connection any more, and returns once what was under way is answered or its grace
    /// is over.
    pub async fn end(self) {
        self.stop.cancel();
        // A panic of it has been reported where it happened.
        let _ = self.task.await;
    }
}

impl Listener {
    /// Answers in the background.
    pub fn begin(self, app: Router, shared: Arc<Shared>) -> Serving {
        let (address, stop) = (self.address, CancellationToken::new());
        Serving {
            address,
            task: tokio::spawn(self.serve(app, shared, stop.clone())),
            stop,
        }
    }

    /// Takes the address. The error is the system's: in use, or not this machine's.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            limits: Limits::default(),
        })
    }

    /// Answers until `stop`, then lets what is under way end within the grace.
    ///
    /// By TLS while the settings of the moment have a certificate: every connection begins with
    /// those of its own moment.
    async fn serve(self, app: Router, shared: Arc<Shared>, stop: CancellationToken) {
        let (limits, mut connections) = (self.limits, JoinSet::new());
        let places = Places::new(limits.connections);
        let (failing, full) = (Seldom::default(), Seldom::default());
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
                Err(error) => {
                    // Out of file descriptors, mostly; that passes when others are closed.
                    if let Some(times) = failing.due(Instant::now()) {
                        tracing::warn!(%error, times, "a connection could not be taken");
                    }
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            while connections.try_join_next().is_some() {}
            let place = match places.take(peer) {
                Ok(place) => place,
                Err(refused) => {
                    shared.metrics.http_connection_refused(refused.as_str());
                    if let Some(times) = full.due(Instant::now()) {
                        tracing::warn!(%peer, times, "connections are refused: {refused}");
                    }
                    continue;
                }
            };
            let (app, tls, stop) = (app.clone(), shared.live().tls.clone(), stop.clone());
            connections.spawn(async move {
                let _place = place;
                let tls = tls.map(|tls| TlsAcceptor::from(tls.0));
                answer(stream, Peer(peer), tls, app, limits, stop).await;
            });
        }
        drop(self.socket);
        // Each ends itself within the grace.
        while connections.join_next().await.is_some() {}
    }
}

/// One connection. How it ends does not matter: the client may go away at any moment.
async fn answer(
    stream: TcpStream,
    peer: Peer,
    tls: Option<TlsAcceptor>,
    app: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    match tls {
        None => converse(stream, peer, app, limits, stop).await,
        Some(acceptor) => {
            let shaken = tokio::select! {
                () = stop.cancelled() => return,
                shaken = timeout(limits.header, acceptor.accept(stream)) => shaken,
            };
            if let Ok(Ok(stream)) = shaken {
                converse(stream, peer, app, limits, stop).await;
            }
        }
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    app: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(HEADER_BYTES);
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        app.call(request)
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = sleep(limits.life) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits.grace, connection).await;
}
