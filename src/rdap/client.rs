//! One question to an RDAP server (RFC 7480): `domain/NAME`, by the redirects that lead to the
//! registry.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use prevalidate_kit::http::{Client, Way};
use prevalidate_kit::json;
use reqwest::header::{ACCEPT, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use tokio::sync::Mutex;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use url::Url;

use super::answer::end;

/// For a connection, and for one exchange.
const CONNECT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(20);
/// Redirects that are followed: from a common entry to the registry, and on to the registrar.
const REDIRECTS: usize = 3;
/// Octets of an answer that are read.
const CAP: usize = 1024 * 1024;

/// The outcome of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The registration ends then.
    Ends(Timestamp),
    /// The registry knows the domain, and does not say when the registration ends.
    NoEnd,
    /// No registry that the server knows has the domain, or its registry has no RDAP.
    Unknown,
    /// The server asks for a pause, in its words.
    Busy(String),
    /// Nothing was learned, and why.
    Failed(String),
}

impl Asked {
    /// Why nothing was learned, where a later question may bring more.
    pub fn fault(&self) -> Option<&str> {
        match self {
            Self::Ends(_) | Self::NoEnd | Self::Unknown => None,
            Self::Busy(why) | Self::Failed(why) => Some(why),
        }
    }
}

/// The way to an RDAP server.
#[derive(Debug)]
pub struct Rdap {
    base: Url,
    client: Client,
    pace: Mutex<Interval>,
}

impl Rdap {
    /// Asks at `base`, at most once in `every`.
    ///
    /// # Errors
    /// Which setting cannot work, and why.
    pub fn new(base: &Url, every: Duration, ca_file: Option<&Path>) -> Result<Self, String> {
        let client = Client::new(&Way {
            connect: CONNECT,
            is_plain: base.scheme() == "http",
            ca_file,
            identity: None,
            proxy: None,
            proxy_login: None,
            pinned: None,
            user_agent: None,
        })?;
        let mut pace = interval_at(Instant::now(), every);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            base: base.clone(),
            client,
            pace: Mutex::new(pace),
        })
    }

    /// When the registration of `name` ends; waits for its turn first.
    pub async fn ask(&self, name: &str) -> Asked {
        self.pace.lock().await.tick().await;
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut path) => drop(path.pop_if_empty().extend(["domain", name])),
            Err(()) => return Asked::Failed("the URL of the RDAP server has no path".into()),
        }
        match tokio::time::timeout(TIMEOUT, self.follow(name, url)).await {
            Ok(asked) => asked.unwrap_or_else(Asked::Failed),
            Err(_) => Asked::Failed(format!("no answer within {} s", TIMEOUT.as_secs())),
        }
    }

    async fn follow(&self, name: &str, mut url: Url) -> Result<Asked, String> {
        for _ in 0..=REDIRECTS {
            let host = url.host_str().unwrap_or_default().to_owned();
            let request = self.client.inner().get(url.clone());
            let answer = request.header(ACCEPT, "application/rdap+json").send().await;
            let answer =
                answer.map_err(|error| format!("{host}: {}", self.client.words(error, &host)))?;
            let status = answer.status();
            if status.is_redirection() {
                url = target(&url, &answer).map_err(|why| format!("{host}: {why}"))?;
                continue;
            }
            return match status {
                StatusCode::OK => read(name, answer)
                    .await
                    .map_err(|why| format!("{host}: {why}")),
                StatusCode::NOT_FOUND => Ok(Asked::Unknown),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Ok(Asked::Busy(
                    format!("{host}: HTTP {status}{}", wait(&answer)),
                )),
                _ => Err(format!("{host}: HTTP {status}")),
            };
        }
        Err(format!("more than {REDIRECTS} redirects"))
    }
}

/// Where a redirect leads: never from HTTPS to anything else.
fn target(from: &Url, answer: &Response) -> Result<Url, String> {
    let location = answer
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    let location = location.ok_or("a redirect without an address")?;
    let to = from
        .join(location)
        .map_err(|_| "a redirect to what is not a URL")?;
    if to.scheme() != from.scheme() || !to.has_host() {
        return Err("a redirect away from HTTPS, which is not followed".to_owned());
    }
    Ok(to)
}

async fn read(name: &str, mut answer: Response) -> Result<Asked, String> {
    let mut body = Vec::new();
    let broken = |_| "the answer broke off".to_owned();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > CAP {
            return Err(format!("an answer larger than {} MiB", CAP >> 20));
        }
        body.extend_from_slice(&chunk);
    }
    let answer = json::read(&body).map_err(|_| "the answer is not JSON")?;
    Ok(match end(name, &answer)? {
        Some(at) => Asked::Ends(at),
        None => Asked::NoEnd,
    })
}

fn wait(answer: &Response) -> String {
    let wait = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let seconds = wait.and_then(|text| text.trim().parse::<u32>().ok());
    seconds
        .map(|seconds| format!(", try again after {seconds} s"))
        .unwrap_or_default()
}
