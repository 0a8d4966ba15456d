//! A server that answers each request as a closure says, and keeps what it was sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) line: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Request {
    /// The raw path with its query.
    pub(super) fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }

    pub(super) fn bearer(&self) -> &str {
        self.headers["authorization"]
            .strip_prefix("Bearer ")
            .unwrap()
    }

    pub(super) fn names(&self) -> Vec<String> {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Status, headers, body.
    Full(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The same, closed after so many bytes of the body.
    Cut(u16, Vec<u8>, usize),
    /// Takes the request and closes.
    Drop,
    /// Takes the request and says nothing more.
    Silence,
}

pub(super) fn json(status: u16, body: impl Into<String>) -> Reply {
    Reply::Full(
        status,
        vec![("content-type", "application/json".into())],
        body.into().into_bytes(),
    )
}

pub(super) fn text(status: u16, media: &str, body: &str) -> Reply {
    Reply::Full(
        status,
        vec![("content-type", media.to_owned())],
        body.as_bytes().to_vec(),
    )
}

impl Reply {
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Full(_, headers, _) = &mut self {
            headers.push((name, value.into()));
        }
        self
    }
}

type Script = Arc<dyn Fn(&Request, usize) -> Reply + Send + Sync>;

/// The server; it ends with the runtime of the test.
pub(super) struct Server {
    pub(super) url: String,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `script` gets each request and how many came before it.
    pub(super) async fn start(
        script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (script, kept): (Script, _) = (Arc::new(script), Arc::clone(&log));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&kept)));
            }
        });
        Self { url, log }
    }

    /// Answers every request alike.
    pub(super) async fn always(reply: Reply) -> Self {
        Self::start(move |_, _| reply.clone()).await
    }

    /// Answers in turn; the last answer stays.
    pub(super) async fn turns(replies: Vec<Reply>) -> Self {
        Self::start(move |_, nth| replies[nth.min(replies.len() - 1)].clone()).await
    }

    pub(super) fn log(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.log()
            .iter()
            .map(|request| request.path().to_owned())
            .collect()
    }
}

async fn serve(mut stream: TcpStream, script: Script, log: Arc<Mutex<Vec<Request>>>) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    let reply = {
        let mut log = log.lock().unwrap();
        let nth = log.len();
        log.push(request.clone());
        script(&request, nth)
    };
    let (status, headers, body, sent) = match reply {
        Reply::Full(status, headers, body) => {
            let all = body.len();
            (status, headers, body, all)
        }
        Reply::Cut(status, body, sent) => (
            status,
            vec![("content-type", "application/json".to_owned())],
            body,
            sent,
        ),
        Reply::Drop => return,
        Reply::Silence => return std::future::pending().await,
    };
    let mut head = format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    // The client may have hung up by now, which is its right.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&body[..sent]).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |value| value.parse().unwrap());
    while bytes.len() < head_end + 4 + length {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    Some(Request {
        line,
        headers,
        body: String::from_utf8(bytes[head_end + 4..].to_vec()).unwrap(),
    })
}
