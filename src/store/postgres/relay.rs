//! The way to a database whose host name has several addresses.
//!
//! The database library tries the addresses of a name one after the other and without a limit of
//! its own, so that one which swallows packets uses up the time of all. It can be given a Unix
//! socket instead: this module listens at one, in a folder that only this user may enter, and leads
//! each connection to the address that takes it first. TLS goes through it untouched and is checked
//! against the host's name.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use prevalidate_kit::dial;
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// A socket that leads to the database as long as this lives.
#[derive(Debug)]
pub(super) struct Relay {
    folder: TempDir,
    work: JoinHandle<()>,
    trouble: Trouble,
}

/// Why the last connection did not come about.
type Trouble = Arc<Mutex<Option<String>>>;

/// Finds the addresses of the host.
type Find = Arc<dyn Fn() -> BoxFuture<'static, Result<Vec<SocketAddr>, String>> + Send + Sync>;

impl Relay {
    /// A relay where `options` name a host with several addresses. `None`: there is nothing to
    /// choose, or no socket can be made; then the library connects by itself.
    pub(super) async fn to(options: &PgConnectOptions, patience: Duration) -> Option<Self> {
        let (host, port) = (options.get_host().to_owned(), options.get_port());
        let is_path = options.get_socket().is_some() || host.starts_with('/');
        if is_path || dial::addresses(&host, port, patience).await.ok()?.len() < 2 {
            return None;
        }
        let find: Find = Arc::new(move || {
            let host = host.clone();
            Box::pin(async move { dial::addresses(&host, port, patience).await })
        });
        match Self::listen(find, port, patience) {
            Ok(relay) => Some(relay),
            Err(error) => {
                tracing::debug!(%error, "no socket for the way to the database");
                None
            }
        }
    }

    fn listen(find: Find, port: u16, patience: Duration) -> io::Result<Self> {
        let folder = TempDir::with_prefix("prevalidate-way-")?;
        // libpq's name for the socket of a port; the library searches for it.
        let listener = UnixListener::bind(folder.path().join(format!(".s.PGSQL.{port}")))?;
        let trouble = Trouble::default();
        let told = Arc::clone(&trouble);
        let work = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let (find, told) = (Arc::clone(&find), Arc::clone(&told));
                        tokio::spawn(async move { lead(stream, &find, patience, &told).await });
                    }
                    Err(error) => {
                        // Out of descriptors: others end their connections meanwhile.
                        tracing::debug!(%error, "a connection to the database is not taken");
                        tokio::task::yield_now().await;
                    }
                }
            }
        });
        Ok(Self {
            folder,
            work,
            trouble,
        })
    }

    /// The folder of the socket.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Why the last connection did not come about: every address with its reason.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// Leads one connection to the address that takes it first. The name is resolved for each: it may
/// lead to another machine after a failover.
async fn lead(mut near: UnixStream, find: &Find, patience: Duration, told: &Trouble) {
    let reached = match find().await {
        Ok(addresses) => dial::tcp(&addresses, patience)
            .await
            .map_err(|unreached| format!("no connection: {unreached}")),
        Err(why) => Err(why),
    };
    let (reached, trouble) = match reached {
        Ok((_, stream)) => (Some(stream), None),
        Err(why) => (None, Some(why)),
    };
    *told.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    if let Some(mut far) = reached {
        // Requests are small and answered one by one: to wait for more to send would only delay.
        let _ = far.set_nodelay(true);
        // However it ends, both sides see that it has ended.
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket, TcpStream};
    use tokio::time::timeout;

    use super::*;

    async fn connection(addresses: Vec<SocketAddr>) -> (Relay, UnixStream) {
        let find: Find = Arc::new(move || {
            let addresses = addresses.clone();
            Box::pin(async move { Ok(addresses) })
        });
        let relay = Relay::listen(find, 5432, Duration::from_secs(2)).unwrap();
        let socket = relay.folder().join(".s.PGSQL.5432");
        let stream = UnixStream::connect(socket).await.unwrap();
        (relay, stream)
    }

    #[tokio::test]
    async fn a_silent_address_does_not_hide_the_database() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let full = socket.listen(1).unwrap();
        let silent = full.local_addr().unwrap();
        let mut held = Vec::new();
        let moment = Duration::from_millis(200);
        while let Ok(stream) = timeout(moment, TcpStream::connect(silent)).await {
            held.push(stream.unwrap());
        }
        let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = database.local_addr().unwrap();
        let (relay, mut near) = connection(vec![silent, good]).await;
        let (mut far, _) = database.accept().await.unwrap();
        near.write_all(b"question").await.unwrap();
        let mut octets = [0; 8];
        far.read_exact(&mut octets).await.unwrap();
        far.write_all(b"reply").await.unwrap();
        drop(far);
        let mut reply = String::new();
        near.read_to_string(&mut reply).await.unwrap();
        assert_eq!((&octets, reply.as_str()), (b"question", "reply"));
        assert_eq!(relay.trouble(), None);
    }

    #[tokio::test]
    async fn when_no_address_takes_a_connection_each_is_named_with_its_reason() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refuses = closed.local_addr().unwrap();
        drop(closed);
        let (relay, mut near) = connection(vec![refuses]).await;
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).await.unwrap();
        let trouble = relay.trouble().unwrap();
        assert!(
            trouble.contains(&format!("{refuses}: Connection refused")),
            "{trouble}"
        );
    }
}
