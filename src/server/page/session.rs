//! From a token to a session: a form takes the token once, a cookie says it again for eight hours.
//!
//! The cookie holds no secret and nothing is kept in memory: it names the token, its end and a
//! random number, under a code (HMAC) that only the token's own digest makes. So every machine of a
//! fleet takes it, a restart ends no session, and a token that is taken out of the configuration or
//! replaced ends all sessions that began with it. A consequence: `Sign out` removes the cookie from
//! this browser, but a copy of the cookie stays valid. Replace the token to end it.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, Form, FromRequestParts, RawQuery, State};
use axum::http::header::{COOKIE, LOCATION, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use maud::html;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq as _;
use url::form_urlencoded;

use super::Pages;
use super::doorkeeper::{TRY_EVERY, Visit};
use super::layout::{Frame, Here};
use super::visitor::Visitor;
use super::words::capital;
use crate::server::access::{Access, Denied, Role};
use crate::server::listener::Peer;
use crate::server::shared::Live;

/// A working day.
const LIFE: SignedDuration = SignedDuration::from_hours(8);
const COOKIE_NAME: &str = "prevalidate_session";
/// The name of a cookie that a browser accepts only over TLS and only from this host (RFC
/// 6265bis, section 4.1.3.2).
const SECURE_COOKIE_NAME: &str = "__Host-prevalidate_session";
impl Visitor {
    /// Passes an order that was given in this session, by a person who may give it: the form
    /// repeats the word.
    pub(super) fn may_order(&self, pages: &Pages, word: &str) -> Result<(), Box<Response>> {
        let denied = |status, advice| {
            let title = "This was not done";
            Err(Box::new(pages.trouble_for(self, status, title, advice)))
        };
        let Some(own) = self.word() else {
            return denied(
                StatusCode::FORBIDDEN,
                "Orders are given on a page, by a person who has signed in.",
            );
        };
        if !bool::from(own.as_bytes().ct_eq(word.as_bytes())) {
            return denied(
                StatusCode::FORBIDDEN,
                "The form was of another session. Open the page again and repeat it.",
            );
        }
        if !self.role().includes(Role::Operate) {
            let advice = "The token you signed in with may read only. Sign in with one of the role `operate`.";
            return denied(StatusCode::FORBIDDEN, advice);
        }
        Ok(())
    }
}

impl FromRequestParts<Arc<Pages>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, pages: &Arc<Pages>) -> Result<Self, Response> {
        let live = pages.shared.live();
        if let Some(visitor) = of_cookie(&live, &parts.headers, pages.now()) {
            return Ok(visitor);
        }
        let identity = live
            .access
            .identify(&parts.headers)
            .and_then(|identity| identity.require(Role::Read));
        identity
            .map(|identity| Self {
                identity,
                word: None,
            })
            .map_err(|denied| match denied {
                Denied::Missing => {
                    let next = if parts.method == Method::GET {
                        parts.uri.path_and_query().map_or("/", |p| p.as_str())
                    } else {
                        "/"
                    };
                    let query = form_urlencoded::Serializer::new(String::new())
                        .append_pair("next", next)
                        .finish();
                    see_other(&format!("/session?{query}"))
                }
                Denied::Role { .. } => pages.trouble(
                    denied.status(),
                    "These pages are not for this token",
                    "It has the role `hook`; sign in with another.",
                ),
                Denied::Wrong | Denied::Malformed => {
                    let mut response = pages.trouble(
                        denied.status(),
                        "This token is not configured",
                        &format!("{}.", capital(&denied.to_string())),
                    );
                    response
                        .headers_mut()
                        .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                    response
                }
            })
    }
}

/// The fields of the form of a session.
#[derive(Debug, Deserialize)]
pub(super) struct Login {
    #[serde(deserialize_with = "secret")]
    token: SecretString,
    #[serde(default)]
    next: String,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::from)
}

/// The fields of every form with an order.
#[derive(Debug, Deserialize)]
pub(super) struct Word {
    pub(super) word: String,
}

/// `GET /session`
pub(super) async fn form(
    State(pages): State<Arc<Pages>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let next = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "next");
    let next = next.map_or_else(|| "/".to_owned(), |(_, next)| inside(&next).to_owned());
    if of_cookie(&pages.shared.live(), &headers, pages.now()).is_some() {
        return see_other(&next);
    }
    login_page(&pages, StatusCode::OK, &next, None)
}

/// `POST /session`
pub(super) async fn begin(
    State(pages): State<Arc<Pages>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    form: Result<Form<Login>, FormRejection>,
) -> Response {
    let Ok(Form(login)) = form else {
        return login_page(
            &pages,
            StatusCode::BAD_REQUEST,
            "/",
            Some("That was no token. Paste the whole of it."),
        );
    };
    let next = inside(&login.next).to_owned();
    if is_from_elsewhere(&headers) {
        return login_page(
            &pages,
            StatusCode::FORBIDDEN,
            &next,
            Some("Another site sent this form. Fill in this one."),
        );
    }
    let visit = Visit::of(peer.map(|Extension(peer)| peer), &headers);
    if pages.doorkeeper.bars(visit, Instant::now()) {
        pages.doorkeeper.tell(visit, Instant::now());
        return too_many(&pages, &next);
    }
    let live = pages.shared.live();
    let identity = live.access.holder(login.token.expose_secret().trim());
    let found = identity.and_then(|identity| identity.require(Role::Read));
    let now = pages.now();
    let session = found.and_then(|identity| {
        let name = identity.name.ok_or(Denied::Wrong)?;
        Session::begin(name, now)
            .signed(&live.access)
            .ok_or(Denied::Wrong)
    });
    match session {
        Ok(cookie) => with_cookie(
            see_other(&next),
            &cookie,
            LIFE,
            live.tls.is_some() || is_by_tls(&headers),
        ),
        Err(denied) if pages.doorkeeper.refuse(visit, denied, Instant::now()) => {
            too_many(&pages, &next)
        }
        Err(denied) => {
            let message = match denied {
                Denied::Role { .. } => "This token is for hooks; it opens no page.",
                _ => {
                    "This token is not known here. It is one of [[server.token]] in the configuration."
                }
            };
            login_page(&pages, denied.status(), &next, Some(message))
        }
    }
}

fn too_many(pages: &Pages, next: &str) -> Response {
    let message = "Too many tries. Wait a minute, then try once more.";
    let mut response = login_page(pages, StatusCode::TOO_MANY_REQUESTS, next, Some(message));
    let wait = HeaderValue::from(TRY_EVERY.as_secs());
    response.headers_mut().insert(RETRY_AFTER, wait);
    response
}

/// `POST /session/end`
pub(super) async fn end(
    State(pages): State<Arc<Pages>>,
    headers: HeaderMap,
    form: Result<Form<Word>, FormRejection>,
) -> Response {
    let live = pages.shared.live();
    let visitor = of_cookie(&live, &headers, pages.now());
    let word = form.map(|Form(form)| form.word).unwrap_or_default();
    // No other client may sign people out.
    if visitor.is_some_and(|visitor| {
        !bool::from(
            visitor
                .word()
                .unwrap_or_default()
                .as_bytes()
                .ct_eq(word.as_bytes()),
        )
    }) {
        return pages.trouble(
            StatusCode::FORBIDDEN,
            "You are still signed in",
            "The form was of another session.",
        );
    }
    with_cookie(
        see_other("/session"),
        "",
        SignedDuration::ZERO,
        live.tls.is_some() || is_by_tls(&headers),
    )
}

pub(super) fn see_other(to: &str) -> Response {
    let location = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// Whether a browser says that a form came from another site.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none")
}

/// Whether a proxy says that it was reached by TLS. A client that makes that up only keeps the
/// cookie from itself.
fn is_by_tls(headers: &HeaderMap) -> bool {
    headers
        .get("x-forwarded-proto")
        .is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// The content of a cookie.
struct Session {
    name: Arc<str>,
    /// Seconds since 1970.
    ends_at: i64,
    nonce: String,
}

impl Session {
    fn begin(name: Arc<str>, now: Timestamp) -> Self {
        let ends_at = now
            .saturating_add(LIFE)
            .unwrap_or(Timestamp::MAX)
            .as_second();
        Self {
            name,
            ends_at,
            nonce: URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>()),
        }
    }

    fn read(text: &str) -> Option<(Self, &str)> {
        let (said, code) = text.rsplit_once('.')?;
        let mut parts = said.split('.');
        let (ends_at, nonce, name) = (
            parts.next()?.parse().ok()?,
            parts.next()?.to_owned(),
            parts.next()?,
        );
        let name = String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok()?;
        parts.next().is_none().then(|| {
            (
                Self {
                    name: name.into(),
                    ends_at,
                    nonce,
                },
                code,
            )
        })
    }

    fn said(&self) -> String {
        format!(
            "{}.{}.{}",
            self.ends_at,
            self.nonce,
            URL_SAFE_NO_PAD.encode(self.name.as_bytes())
        )
    }

    /// A code over it for one use; `None` when the token is not in force.
    fn code(&self, access: &Access, use_: &str) -> Option<String> {
        access
            .code(&self.name, format!("{use_} {}", self.said()).as_bytes())
            .map(|code| URL_SAFE_NO_PAD.encode(code))
    }

    fn signed(&self, access: &Access) -> Option<String> {
        Some(format!("{}.{}", self.said(), self.code(access, "session")?))
    }
}

/// The session of a request. By TLS only the cookie counts that no other host name can set
/// (RFC 6265bis, section 4.1.3.2).
fn of_cookie(live: &Live, headers: &HeaderMap, now: Timestamp) -> Option<Visitor> {
    let access = &live.access;
    let is_by_tls = live.tls.is_some() || is_by_tls(headers);
    let cookies = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let pairs = cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .filter(|(name, _)| *name == SECURE_COOKIE_NAME || !is_by_tls && *name == COOKIE_NAME)
        .find_map(|(_, value)| {
            let (session, code) = Session::read(value)?;
            let right = session.code(access, "session")?;
            let holds = bool::from(right.as_bytes().ct_eq(code.as_bytes()))
                && now.as_second() < session.ends_at;
            let identity = access
                .named(&session.name)
                .filter(|_| holds)?
                .require(Role::Read)
                .ok()?;
            Some(Visitor {
                identity,
                word: session.code(access, "word"),
            })
        })
}

fn with_cookie(
    mut response: Response,
    value: &str,
    life: SignedDuration,
    secure: bool,
) -> Response {
    let (name, secure) = if secure {
        (SECURE_COOKIE_NAME, "; Secure")
    } else {
        (COOKIE_NAME, "")
    };
    let cookie = format!(
        "{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}",
        life.as_secs()
    );
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// A place on this server, or its root: a login leads nowhere else.
fn inside(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//") && next.len() <= 2048;
    if is_path
        && next
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    {
        next
    } else {
        "/"
    }
}

fn login_page(pages: &Pages, status: StatusCode, next: &str, fault: Option<&str>) -> Response {
    let frame = Frame {
        title: "Sign in",
        here: Here::Elsewhere,
        visitor: None,
        snapshot: None,
        now: pages.now(),
        copies: false,
    };
    frame.page(
        status,
        html! {
            div.lead {
                h1 { "Sign in" }
                p { "With a token of " code { "[[server.token]]" } ": one of the role " code { "read" } " to read, one of the role "
                    code { "operate" } " to give orders too. You stay signed in for eight hours." }
                p { "If you have no token, ask the administrator of this service: tokens are in its configuration." }
            }
            form.card.login method="post" action="/session" {
                @if let Some(fault) = fault { p.note.wrong #fault role="alert" { (fault) } }
                // What a browser that remembers passwords files it under.
                input type="text" name="username" value="prevalidate" autocomplete="username" hidden;
                div.field {
                    label for="token" { "Token" }
                    input #token type="password" name="token" required autocomplete="current-password" spellcheck="false"
                        autofocus aria-describedby=[fault.map(|_| "fault")] aria-invalid=[fault.map(|_| "true")];
                }
                input type="hidden" name="next" value=(next);
                div.actions { button.button type="submit" { "Sign in" } }
            }
            @if next != "/" {
                // A link from another site brings no cookie along (SameSite); one on this page
                // does.
                p.soft { "Signed in already in this browser? " a href=(next) { "Continue to the page" } "." }
            }
        },
    )
}
