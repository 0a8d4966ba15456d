//! A proxy before PostgreSQL that breaks a connection at a chosen message.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What happens to the next COMMIT; once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Nothing,
    /// It never arrives, and both sides find the connection broken.
    BeforeCommit,
    /// It is done, and the answer is lost.
    AfterCommit,
    /// The client finds the connection broken; the server keeps waiting for the COMMIT, which
    /// arrives when it is let go.
    CommitLate,
}

/// A running proxy.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    cut: Arc<Mutex<Cut>>,
    late: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Wire {
    /// Starts one before `upstream`.
    pub async fn before(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, late) = (Arc::new(Mutex::new(Cut::Nothing)), Arc::new(Notify::new()));
        let (rule, gate) = (Arc::clone(&cut), Arc::clone(&late));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(
                    client,
                    upstream,
                    Arc::clone(&rule),
                    Arc::clone(&gate),
                ));
            }
        });
        Self {
            address,
            cut,
            late,
            task,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks at the next COMMIT.
    pub fn cut(&self, how: Cut) {
        *self.cut.lock().unwrap() = how;
    }

    /// Whether the cut was made.
    pub fn is_done(&self) -> bool {
        *self.cut.lock().unwrap() == Cut::Nothing
    }

    /// Lets a COMMIT that was held back arrive.
    pub fn let_go(&self) {
        self.late.notify_one();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A simple query with its length, as PostgreSQL's protocol has it.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

async fn serve(
    client: TcpStream,
    upstream: SocketAddr,
    rule: Arc<Mutex<Cut>>,
    late: Arc<Notify>,
) -> Option<()> {
    let server = TcpStream::connect(upstream).await.ok()?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
        // Both halves go, so that the client sees the end.
        (from_server, to_client)
    });
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = from_client
            .read(&mut buffer)
            .await
            .ok()
            .filter(|&length| length > 0)?;
        let sent = &buffer[..length];
        let cut = match sent.ends_with(COMMIT) {
            true => std::mem::replace(&mut *rule.lock().unwrap(), Cut::Nothing),
            false => Cut::Nothing,
        };
        match cut {
            Cut::Nothing => to_server.write_all(sent).await.ok()?,
            Cut::BeforeCommit => {
                back.abort();
                return None;
            }
            Cut::AfterCommit => {
                back.abort();
                let _ = back.await;
                to_server.write_all(sent).await.ok()?;
                // The answer is not read. The server closes once it has done what came before
                // this.
                to_server.write_all(b"X\0\0\0\x04").await.ok()?;
                return None;
            }
            Cut::CommitLate => {
                back.abort();
                let _ = back.await;
                drop(from_client);
                late.notified().await;
                let _ = to_server.write_all(sent).await;
                return None;
            }
        }
    }
}
