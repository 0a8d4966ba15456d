//! Asking resolvers: the same question over UDP and TCP, TLS or HTTPS.
//!
//! TLS and HTTPS are set up when they are first needed, so that a machine without root certificates
//! can use the other modes; what is wrong with them is then each resolver's answer. Every question
//! has a connection of its own.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::join_all;
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};
use prevalidate_kit::causes::chain;
use reqwest::header;
use rustls_pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use url::Url;

use super::reading::{has_answer, is_unclear, judge};
use super::{Resolver, ResolverAnswer};
use crate::propagation::Question as Asked;
use crate::propagation::authority::{Asker, Failure, Question, failed, framed};
use crate::propagation::evidence::rcode;
use crate::propagation::wanted::AsRecordType;

/// The media type of a question and of its answer (RFC 8484, section 6).
const DNS_MESSAGE: &str = "application/dns-message";
/// A DNS message is never longer.
const MOST: usize = 65_535;

/// Asks resolvers, within an [`Asker`]'s limits.
#[derive(Clone)]
pub struct Resolvers {
    asker: Asker,
    extra_roots: Vec<CertificateDer<'static>>,
    tls: OnceLock<Result<TlsConnector, String>>,
    https: OnceLock<Result<reqwest::Client, String>>,
}

impl std::fmt::Debug for Resolvers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolvers")
            .field("asker", &self.asker)
            .finish_non_exhaustive()
    }
}

impl Resolvers {
    /// Resolvers' certificates may come from the system's roots and from `extra_roots`.
    pub fn new(asker: Asker, extra_roots: Vec<CertificateDer<'static>>) -> Self {
        Self {
            asker,
            extra_roots,
            tls: OnceLock::new(),
            https: OnceLock::new(),
        }
    }

    /// Asks each of them for the record of `question` at `owner`, DNSSEC checked there; what is
    /// refused is asked for again unchecked.
    pub async fn ask(
        &self,
        resolvers: &[Resolver],
        owner: &Name,
        question: &Asked<'_>,
    ) -> Vec<ResolverAnswer> {
        join_all(
            resolvers
                .iter()
                .map(|resolver| self.ask_one(resolver, owner, question)),
        )
        .await
    }

    /// The answer of the first of them that has one, in their order.
    ///
    /// # Errors
    /// Each resolver and what it said.
    pub(in crate::propagation) async fn first_of(
        &self,
        resolvers: &[Resolver],
        owner: &Name,
        kind: RecordType,
    ) -> Result<Message, String> {
        let mut tried = Vec::new();
        for resolver in resolvers {
            let question = Question::to_resolver(owner, kind, false);
            match self.exchange(resolver, &question).await.0 {
                Ok(reply) if has_answer(&reply) => return Ok(reply),
                Ok(reply) => tried.push(format!(
                    "{resolver}: {}",
                    rcode(reply.metadata.response_code)
                )),
                Err(failure) => tried.push(format!("{resolver}: {failure}")),
            }
        }
        Err(format!("no resolver gave an answer: {}", tried.join("; ")))
    }

    async fn ask_one(
        &self,
        resolver: &Resolver,
        owner: &Name,
        asked: &Asked<'_>,
    ) -> ResolverAnswer {
        let kind = asked.wanted.kind().record_type();
        let question = |checking_disabled| Question::to_resolver(owner, kind, checking_disabled);
        let (mut reply, address) = self.exchange(resolver, &question(false)).await;
        let mut unchecked = None;
        if is_unclear(&reply) {
            let found = self.exchange(resolver, &question(true)).await.0;
            // A server that was slow to answer makes SERVFAIL, too, and may have answered by now.
            // From its cache a resolver tells less of why it refuses, so the first refusal is kept.
            if found.is_ok() {
                let (again, _) = self.exchange(resolver, &question(false)).await;
                reply = if again.is_ok() && !is_unclear(&again) {
                    again
                } else {
                    reply
                };
            }
            unchecked = Some(found);
        }
        let judged = judge(&reply, unchecked.as_ref(), owner, asked);
        ResolverAnswer {
            resolver: resolver.to_string(),
            address,
            ..judged
        }
    }

    /// The answer, and where it came from.
    async fn exchange(
        &self,
        resolver: &Resolver,
        question: &Question,
    ) -> (Result<Message, Failure>, Option<SocketAddr>) {
        match resolver {
            Resolver::Plain(address) => (
                self.asker.over_both(*address, question).await,
                Some(*address),
            ),
            Resolver::Tls { address, name } => (
                self.over_tls(*address, name.as_deref(), question).await,
                Some(*address),
            ),
            Resolver::Https(url) => match self.over_https(url, question).await {
                Ok((answer, address)) => (Ok(answer), address),
                Err(failure) => (Err(failure), None),
            },
        }
    }

    async fn over_tls(
        &self,
        address: SocketAddr,
        name: Option<&str>,
        question: &Question,
    ) -> Result<Message, Failure> {
        let connector = self
            .tls
            .get_or_init(|| connector(&self.extra_roots))
            .as_ref()
            .map_err(|why| Failure::Silent(why.clone()))?;
        let name = match name {
            Some(name) => ServerName::try_from(name.to_owned())
                .map_err(|error| Failure::Silent(error.to_string()))?,
            None => ServerName::from(address.ip()),
        };
        let exchange = async {
            let stream = TcpStream::connect(address).await.map_err(failed)?;
            framed(
                connector.connect(name, stream).await.map_err(failed)?,
                question,
            )
            .await
        };
        self.asker.in_time(address.ip().to_string(), exchange).await
    }

    async fn over_https(
        &self,
        url: &Url,
        question: &Question,
    ) -> Result<(Message, Option<SocketAddr>), Failure> {
        let client = self
            .https
            .get_or_init(|| client(&self.extra_roots, self.asker.timeout() / 2))
            .as_ref()
            .map_err(|why| Failure::Silent(why.clone()))?;
        let silent = |error: reqwest::Error| Failure::Silent(chain(&error.without_url()));
        let exchange = async {
            let post = client
                .post(url.clone())
                .header(header::CONTENT_TYPE, DNS_MESSAGE)
                .header(header::ACCEPT, DNS_MESSAGE);
            let mut response = post
                .body(question.wire.clone())
                .send()
                .await
                .map_err(silent)?;
            let address = response.remote_addr();
            let media = response
                .headers()
                .get(header::CONTENT_TYPE)
                .and_then(|media| media.to_str().ok());
            let is_dns = media.is_some_and(|media| {
                media
                    .split(';')
                    .next()
                    .is_some_and(|it| it.trim() == DNS_MESSAGE)
            });
            if response.status() != reqwest::StatusCode::OK || !is_dns {
                let what = media.map_or_else(
                    || "no answer".to_owned(),
                    |media| media.chars().take(60).collect(),
                );
                return Err(Failure::Nonsense(format!(
                    "HTTP {}, {what}: no DNS is served there",
                    response.status()
                )));
            }
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(silent)? {
                if body.len() + chunk.len() > MOST {
                    return Err(Failure::Nonsense(
                        "the answer is longer than a DNS message".to_owned(),
                    ));
                }
                body.extend_from_slice(&chunk);
            }
            let answer = question
                .read(&body)
                .map_err(|why| Failure::Nonsense(why.to_owned()))?;
            Ok((answer, address))
        };
        self.asker
            .in_time(url.host_str().unwrap_or_default().to_owned(), exchange)
            .await
    }
}

fn connector(extra_roots: &[CertificateDer<'static>]) -> Result<TlsConnector, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        Verifier::new_with_extra_roots(extra_roots.iter().cloned(), Arc::clone(&provider));
    let config = verifier.and_then(|verifier| {
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(config
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth())
    });
    config
        .map(|config| TlsConnector::from(Arc::new(config)))
        .map_err(|error| format!("TLS cannot be set up: {error}"))
}

/// `patience` is for a connection; the addresses of a host share it.
fn client(
    extra_roots: &[CertificateDer<'static>],
    patience: Duration,
) -> Result<reqwest::Client, String> {
    let failed = |error: reqwest::Error| format!("HTTPS cannot be set up: {}", chain(&error));
    let roots = extra_roots
        .iter()
        .map(|root| reqwest::Certificate::from_der(root))
        .collect::<Result<Vec<_>, _>>();
    reqwest::Client::builder()
        .user_agent(concat!("prevalidate/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .no_gzip()
        .https_only(true)
        .connect_timeout(patience)
        .pool_max_idle_per_host(0)
        .tls_certs_merge(roots.map_err(failed)?)
        .build()
        .map_err(failed)
}
