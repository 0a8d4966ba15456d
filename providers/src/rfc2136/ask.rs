//! Asking: one question after the other over one connection to one address, signed where the
//! server takes that.
//!
//! Evidence has a place. A server may choose by the key which view it answers from (BIND's
//! `match-clients { key … }`), and it takes the updates of the key in that view: a question that is
//! not signed then shows another zone. So questions are signed like updates. Knot answers a signed
//! ordinary question with BADKEY unless its ACL has a `query` action; it has no views, and the
//! question is asked again without the key.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, PoisonError};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OnceCell;

use super::exchange::{Line, NoAnswer};
use super::message::{self, plain_name, wire_name};
use super::tsig::{Reply, SignedRequest};
use super::{Rfc2136, SignQuery};
use crate::provider::{ErrorKind, ProviderError};

/// How long a refused signature is remembered, before a signed question is tried again.
const WITHOUT_KEY_FOR: SignedDuration = SignedDuration::from_secs(600);

/// One call's way to the server: every question and every change of it meets the same address, so
/// that a host name with several servers behind it is not read at one and written at another.
pub(super) struct Visit<'a> {
    pub(super) provider: &'a Rfc2136,
    address: OnceLock<SocketAddr>,
    /// Whether the server was behind for as long as it is waited for.
    is_behind: AtomicBool,
    pub(super) is_powerdns: OnceCell<bool>,
}

impl<'a> Visit<'a> {
    pub(super) fn new(provider: &'a Rfc2136) -> Self {
        Self {
            provider,
            address: OnceLock::new(),
            is_behind: AtomicBool::new(false),
            is_powerdns: OnceCell::new(),
        }
    }

    /// Whether a server that is behind is waited for: once in a visit, not once for each name.
    pub(super) fn waits(&self) -> bool {
        !self.is_behind.load(Ordering::Relaxed)
    }

    pub(super) fn waits_no_more(&self) {
        self.is_behind.store(true, Ordering::Relaxed);
    }

    /// Questions over one connection: their answers come from one server, and none is older than
    /// the one before.
    pub(super) fn questions(&self) -> Questions<'_> {
        Questions {
            visit: self,
            line: None,
        }
    }

    /// A new connection to the address of this visit.
    pub(super) async fn connect(&self) -> Result<Line, String> {
        let settings = &self.provider.settings;
        let at = self.address.get().copied();
        let line = Line::open(&settings.server, at, settings.patience.connect).await?;
        Ok(match self.address.get() {
            // Another question of this visit was faster, at another address.
            Some(&first) if first != line.address() => {
                Line::open(&settings.server, Some(first), settings.patience.connect).await?
            }
            Some(_) => line,
            None => {
                let _ = self.address.set(line.address());
                line
            }
        })
    }
}

/// Questions over one connection.
pub(super) struct Questions<'a> {
    pub(super) visit: &'a Visit<'a>,
    line: Option<Line>,
}

/// The outcome of a signed question.
enum Signed {
    /// The answer, signed with our key.
    Answer(Message),
    /// The server does not answer signed questions of this key, and how it says so.
    NotWithKey {
        said: String,
        /// Whether it is the key that it names as the reason.
        is_key: bool,
    },
}

impl Questions<'_> {
    /// Asks the server that is written to. The reply belongs to the question and is whole; nothing
    /// else is known of it.
    pub(super) async fn ask(
        &mut self,
        name: &Name,
        record_type: RecordType,
    ) -> Result<Message, ProviderError> {
        let provider = self.visit.provider;
        let mut refused = None;
        if provider.signs_questions() {
            match self.ask_signed(name, record_type).await? {
                Signed::Answer(message) => return Ok(message),
                Signed::NotWithKey { said, is_key } => refused = Some((said, is_key)),
            }
        }
        if let Some((said, _)) = &refused
            && provider.settings.sign_query == SignQuery::Always
        {
            let text = self.about(name, record_type, said);
            return Err(ProviderError::new(ErrorKind::Denied, text).with_hint(
                "`sign_query = true` allows only signed questions: let the key ask (Knot: an acl \
                 with action query), or set `sign_query = \"auto\"`",
            ));
        }
        let message = self.ask_plain(name, record_type).await?;
        if let Some((said, is_key)) = refused {
            let code = message.metadata.response_code;
            if code == ResponseCode::Refused && is_key {
                let said = format!("{said}; without the key it says {code:?}");
                let text = self.about(name, record_type, &said);
                return Err(ProviderError::new(ErrorKind::Denied, text).with_hint(
                    "compare name, algorithm and secret of the key and the clock with the \
                     server's, or let this host ask without the key (allow-query)",
                ));
            }
            provider.asks_without_key();
        }
        Ok(message)
    }

    /// The software that the server says it is, where it says so.
    pub(super) async fn software(&mut self) -> Option<String> {
        let name = wire_name("version.bind").ok()?;
        let mut question = message::question(&name, RecordType::TXT);
        question.queries[0].set_query_class(DNSClass::CH);
        let octets = self.exchange(&question.to_vec().ok()?).await.ok()?;
        let reply = Message::from_vec(&octets).ok()?;
        reply.answers.iter().find_map(|record| match &record.data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        })
    }

    fn about(&self, name: &Name, record_type: RecordType, what: &str) -> String {
        let server = &self.visit.provider.settings.server;
        let name = plain_name(name);
        format!("asking {server} for {record_type} of {name}: {what}")
    }

    fn failed(&self, name: &Name, record_type: RecordType, what: &str) -> ProviderError {
        let text = self.about(name, record_type, what);
        ProviderError::new(ErrorKind::Unavailable, text)
            .with_hint("check that the server listens on TCP and that no firewall is in between")
    }

    async fn ask_signed(
        &mut self,
        name: &Name,
        record_type: RecordType,
    ) -> Result<Signed, ProviderError> {
        let provider = self.visit.provider;
        let key = &provider.settings.key;
        let question = message::question(name, record_type);
        let request = SignedRequest::sign(question.clone(), key, (provider.now)())
            .map_err(|fault| self.failed(name, record_type, &fault))?;
        let octets = self
            .exchange(&request.octets)
            .await
            .map_err(|error| self.failed(name, record_type, error.reason()))?;
        let key = &key.name;
        Ok(match request.judge(&octets, (provider.now)()) {
            Reply::Verified(_) => {
                Signed::Answer(self.read(&octets, &question, name, record_type)?)
            }
            Reply::Rejected { error, code, .. } => Signed::NotWithKey {
                said: format!("with the key {key} it says {code:?}, {error:?}"),
                is_key: true,
            },
            Reply::Unsigned(code) => Signed::NotWithKey {
                said: format!("with the key {key} it says {code:?}, without a signature"),
                is_key: false,
            },
            Reply::Bogus(what) => Signed::NotWithKey {
                said: format!("with the key {key}: {what}"),
                is_key: false,
            },
        })
    }

    async fn ask_plain(
        &mut self,
        name: &Name,
        record_type: RecordType,
    ) -> Result<Message, ProviderError> {
        let question = message::question(name, record_type);
        let octets = question
            .to_vec()
            .map_err(|error| self.failed(name, record_type, &error.to_string()))?;
        let octets = self
            .exchange(&octets)
            .await
            .map_err(|error| self.failed(name, record_type, error.reason()))?;
        self.read(&octets, &question, name, record_type)
    }

    fn read(
        &self,
        octets: &[u8],
        question: &Message,
        name: &Name,
        record_type: RecordType,
    ) -> Result<Message, ProviderError> {
        let failed = |what: &str| self.failed(name, record_type, what);
        let reply = Message::from_vec(octets)
            .map_err(|error| failed(&format!("not a DNS message: {error}")))?;
        let same_question = reply.queries.len() == 1
            && reply.queries[0].name() == name
            && reply.queries[0].query_type() == record_type
            || reply.queries.is_empty() && reply.metadata.response_code != ResponseCode::NoError;
        if reply.metadata.message_type != MessageType::Response
            || reply.metadata.id != question.metadata.id
            || !same_question
        {
            return Err(failed("an answer to another question"));
        }
        if reply.metadata.truncation {
            return Err(failed("a truncated answer over TCP"));
        }
        Ok(reply)
    }

    /// A question may be asked twice: where the server has closed the connection after an earlier
    /// answer, it is asked over a new one.
    async fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, NoAnswer> {
        let patience = self.visit.provider.settings.patience.total;
        if let Some(mut line) = self.line.take()
            && let Ok(reply) = line.exchange(patience, request).await
        {
            self.line = Some(line);
            return Ok(reply);
        }
        let mut line = self.visit.connect().await.map_err(NoAnswer::NotSent)?;
        let reply = line.exchange(patience, request).await?;
        self.line = Some(line);
        Ok(reply)
    }
}

impl Rfc2136 {
    fn signs_questions(&self) -> bool {
        let without = self
            .without_key_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match self.settings.sign_query {
            SignQuery::Always => true,
            SignQuery::Never => false,
            SignQuery::Auto => without.is_none_or(|until| {
                let left = until.duration_since((self.now)());
                // A moment further away was made by a clock that was ahead.
                !left.is_positive() || left > WITHOUT_KEY_FOR
            }),
        }
    }

    fn asks_without_key(&self) {
        let until = (self.now)().saturating_add(WITHOUT_KEY_FOR);
        *self
            .without_key_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(until.unwrap_or(Timestamp::MAX));
    }
}
