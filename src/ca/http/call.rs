//! One call to a CA, with the words that its errors begin with.

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use secrecy::SecretString;

use super::answer::Answer;
use crate::ca::Failure;

/// What a call does, which decides how often and how patiently it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ca) enum Kind {
    /// Changes nothing: may be repeated.
    Read,
    /// A read whose answer may be large and slow.
    List,
    /// Changes something: never repeated here.
    Effect,
    /// An effect during which the CA checks DNS from several places.
    SlowEffect,
    /// Orders what costs money, as slowly: only the CA's own words prove that nothing was ordered.
    Order,
}

/// One call, with the words that its errors begin with.
#[derive(Debug)]
pub(in crate::ca) struct Call<'a> {
    /// `validate`, as in "could not validate cld-…".
    pub(in crate::ca) verb: &'static str,
    pub(in crate::ca) subject: String,
    pub(in crate::ca) method: Method,
    /// Segments after the base, not yet encoded.
    pub(in crate::ca) path: &'a [&'a str],
    pub(in crate::ca) query: Vec<(&'static str, String)>,
    pub(in crate::ca) body: Body,
    /// The form of a reply that is not JSON.
    pub(in crate::ca) accept: Option<&'static str>,
    pub(in crate::ca) kind: Kind,
}

/// The content of a call.
#[derive(Debug)]
pub(in crate::ca) enum Body {
    Nothing,
    Json(serde_json::Value),
    /// Plain text.
    Text(String),
    /// A form whose answer is a secret: only there may an answer keep a token.
    Login(Vec<(&'static str, SecretString)>),
}

impl<'a> Call<'a> {
    pub(in crate::ca) fn new(
        kind: Kind,
        verb: &'static str,
        subject: impl Into<String>,
        path: &'a [&'a str],
    ) -> Self {
        Self {
            verb,
            subject: subject.into(),
            method: Method::POST,
            path,
            query: Vec::new(),
            body: Body::Nothing,
            accept: None,
            kind,
        }
    }

    /// The same call by GET.
    pub(in crate::ca) fn by_get(mut self) -> Self {
        self.method = Method::GET;
        self
    }

    pub(in crate::ca) fn is_read(&self) -> bool {
        matches!(self.kind, Kind::Read | Kind::List)
    }

    /// What it means that the CA itself did not answer: a server before it did, or none.
    pub(in crate::ca) fn lost(&self) -> Failure {
        match self.is_read() {
            true => Failure::Unavailable,
            false => Failure::Unknown,
        }
    }

    /// Whether an order may have been made although the answer is an error: the answer is not in
    /// the CA's `own` words, and a proxy or a gateway that answered in its place may have passed
    /// the call on. Servers that count calls do so before.
    pub(in crate::ca) fn may_have_ordered(&self, answer: &Answer, own: bool) -> bool {
        self.kind == Kind::Order && !own && answer.status != StatusCode::TOO_MANY_REQUESTS
    }

    /// The same for any other effect: a refusal that is not in the CA's `own` words proves nothing,
    /// and the outcome of the effect is read. A refused login (401) and a
    /// limit on calls (429) are judged before.
    pub(in crate::ca) fn may_have_taken_effect(&self, answer: &Answer, own: bool) -> bool {
        let comes_before = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS];
        let is_refusal = answer.status.is_client_error() && !comes_before.contains(&answer.status);
        !self.is_read() && !own && is_refusal
    }
}

/// Takes an answer that is too large to be held, piece by piece.
pub(in crate::ca) trait Sink: Send {
    /// An answer begins; what was taken of an earlier try counts no more.
    fn begin(&mut self, at: Timestamp);
    /// The next piece, or why no more of it is wanted.
    fn take(&mut self, piece: &[u8]) -> Result<(), String>;
}
