//! Over HTTP: a signed webhook for programs (Standard Webhooks, specification 1.0.0), and a text
//! for a chat (Slack, Teams, Mattermost, Zulip and what understands their incoming webhooks).
//!
//! Redirects are not followed, proxies of the environment are not used, and the connection goes to
//! an address that was judged.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use percent_encoding::percent_decode_str;
use prevalidate_kit::secret::SecretSource;
use reqwest::header::{self, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

use super::door::Door;
use super::{said, secret};
use crate::clock::Clock;
use crate::notify::{Carrier, Failure, Notice};
use crate::text::in_json;
use crate::webhook::Secret;
use prevalidate_kit::http::{Client, Way, is_not_sent};

/// For the connection, and for the whole exchange.
const CONNECT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(20);

/// Octets of an answer that are read.
const HEARD: usize = 4_096;

/// The longest text for a chat, in characters; some show no more than 4,000.
const LONGEST: usize = 3_500;

/// One receiver.
pub struct Web {
    /// Where and how.
    pub to: Receiver,
    /// The way there.
    pub door: Door,
    /// Root certificates instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// For the moment that is signed.
    pub clock: Arc<dyn Clock>,
}

/// Where a notice goes and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    /// As an object, signed.
    Webhook {
        /// Where; nothing in it is secret.
        url: Url,
        /// The key that signs it.
        secret: SecretSource,
    },
    /// As one text in an object.
    Chat {
        /// Where; a person who knows it may write there.
        url: SecretSource,
        /// The name of the text in the object.
        field: String,
    },
}

#[async_trait]
impl Carrier for Web {
    async fn carry(&self, notice: &Notice) -> Result<(), Failure> {
        let (url, body, headers) = match &self.to {
            Receiver::Webhook { url, secret } => {
                let body = in_json(&notice.json().to_string()).into_owned();
                let headers = self.signed(notice, secret, body.as_bytes()).await?;
                (url.clone(), body, headers)
            }
            Receiver::Chat { url, field } => {
                let text = secret("`url`", url).await?;
                let url = Url::parse(text.expose_secret());
                let url = url.map_err(|_| {
                    Failure::refused("`url` is not a URL; its secret holds something else")
                })?;
                (
                    url,
                    json!({ field: chat_text(notice) }).to_string(),
                    HeaderMap::new(),
                )
            }
        };
        self.post(&url, body, headers).await
    }
}

impl Web {
    async fn signed(
        &self,
        notice: &Notice,
        source: &SecretSource,
        body: &[u8],
    ) -> Result<HeaderMap, Failure> {
        let text: SecretString = secret("`secret`", source).await?;
        let secret =
            Secret::read(&text).map_err(|what| Failure::refused(format!("`secret` {what}")))?;
        let timestamp = self.clock.now().as_second().to_string();
        let signature = secret.sign(&notice.id, &timestamp, body);
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("webhook-id", notice.id.as_str()),
            ("webhook-timestamp", &timestamp),
            ("webhook-signature", &signature),
        ] {
            let value = HeaderValue::from_str(value)
                .map_err(|_| Failure::refused("the id is not fit for a header"))?;
            headers.insert(name, value);
        }
        Ok(headers)
    }

    async fn post(&self, url: &Url, body: String, headers: HeaderMap) -> Result<(), Failure> {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Failure::refused("the URL names no host"));
        };
        let is_plain = url.scheme() == "http" && self.door.allows_private();
        if url.scheme() != "https" && !is_plain {
            let what = format!(
                "{host}: the URL must begin with https:// (http:// only with `allow_private = true`)"
            );
            return Err(Failure::refused(what));
        }
        let addresses = self.door.find(&host.to_owned(), port).await?;
        let name = host.to_string();
        let client = Client::new(&Way {
            connect: CONNECT,
            is_plain,
            ca_file: self.ca_file.as_deref(),
            identity: None,
            proxy: None,
            proxy_login: None,
            pinned: Some((&name, &addresses)),
            user_agent: None,
        })
        .map_err(|why| Failure::refused(format!("{host}: {why}")))?;
        let request = client
            .inner()
            .post(url.clone())
            .timeout(TIMEOUT)
            .headers(headers)
            .header(header::CONTENT_TYPE, "application/json");
        let answer = request.body(body).send().await.map_err(|error| {
            let refused = is_not_sent(&error);
            let message = format!("{host}: {}", client.words(error, &name));
            if refused {
                Failure::refused(message)
            } else {
                Failure::open(message)
            }
        })?;
        judge(&host.to_string(), url, answer).await
    }
}

/// The reply of the receiver.
async fn judge(host: &str, url: &Url, mut answer: reqwest::Response) -> Result<(), Failure> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let retry_after = answer
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let mut words = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        words.extend_from_slice(&chunk);
        if words.len() >= HEARD {
            break;
        }
    }
    let words = said(&without_secrets(&String::from_utf8_lossy(&words), url));
    let words = if words.is_empty() {
        String::new()
    } else {
        format!(": {words}")
    };
    let message = match status {
        status if status.is_redirection() => {
            format!(
                "{host} answers {status} and points elsewhere, which is not followed; correct the URL"
            )
        }
        status => format!("{host} answers {status}{words}"),
    };
    let retry_after = retry_after.map(Duration::from_secs);
    // A gateway in between may have passed it on.
    Err(Failure {
        retry_after,
        is_open: status.is_server_error(),
        ..Failure::refused(message)
    })
}

/// The path of a chat's URL is its secret, and a helpful receiver may repeat it: as it was sent, or
/// decoded. Before the words are cut: half of a secret is one, too.
fn without_secrets(words: &str, url: &Url) -> String {
    let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let values = url.query_pairs().map(|(_, value)| value.into_owned());
    let parts = url
        .path_segments()
        .into_iter()
        .flatten()
        .chain(url.query())
        .chain([url.username()])
        .chain(url.password());
    let parts = parts
        .flat_map(|part| [part.to_owned(), decoded(part)])
        .chain(values)
        .filter(|part| part.len() >= 8);
    let mut parts: Vec<String> = parts.collect();
    // What holds another goes first, and wholly.
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    parts.iter().fold(words.to_owned(), |words, part| {
        words.replace(part.as_str(), "[REDACTED]")
    })
}

/// The message for people, without anything that a chat takes for a mention, a link or markup: what
/// is not ours in it must not call the whole company.
fn chat_text(notice: &Notice) -> String {
    let text = format!(
        "{} [{}]\n{}",
        notice.headline(),
        notice.severity,
        notice.text
    );
    let mut plain: String = text
        .trim_end()
        .replace("://", "：//")
        .chars()
        .map(without_meaning)
        .collect();
    if let Some((end, _)) = plain.char_indices().nth(LONGEST) {
        plain.truncate(end);
        plain.push('…');
    }
    plain
}

/// Characters of markup in their full-width forms (Unicode, block "Halfwidth and Fullwidth Forms"),
/// which read alike.
fn without_meaning(c: char) -> char {
    match c {
        '<' | '>' | '&' | '@' | '#' | '*' | '_' | '~' | '`' | '[' | ']' | '|' | '\\' | '!'
        | '$' => char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c),
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_chat_gets_no_mention_no_link_and_no_markup_and_not_too_much() {
        let mut notice = Notice::test(Timestamp::UNIX_EPOCH);
        notice.text = format!(
            "<!channel> @all [x](https://evil.test) `a` {}",
            "*".repeat(5_000)
        );
        let text = chat_text(&notice);
        assert!(
            text.starts_with(
                "prevalidate: a test message ［info］\n＜！channel＞ ＠all ［x］(https："
            ),
            "{text}"
        );
        assert!(
            !text.contains(['<', '>', '@', '[', '`', '*']) && !text.contains("://"),
            "{text}"
        );
        assert_eq!(text.chars().count(), LONGEST + 1);
    }
}
