//! The frame of every page: head, navigation, the session, and the age of the shown data.

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFRESH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use maud::{DOCTYPE, Markup, html};

use super::POLICY_WITH_SCRIPT;
use super::assets::{ICON, script_path, style_path};
use super::visitor::{Visitor, word_field};
use super::words::{away, said, time};

/// A snapshot is renewed every 30 seconds; one that is older than this is no longer being renewed.
const OLD_SNAPSHOT: SignedDuration = SignedDuration::from_mins(2);

/// How often a page on a wall screen is loaded again, in seconds.
const TAKEN_ANEW: u32 = 60;

/// Lets the browser reload the page by itself, from an address without the note of an order.
pub(super) fn by_itself(mut page: Response, path: &str) -> Response {
    let value = format!("{TAKEN_ANEW}; url={path}");
    if let Ok(value) = HeaderValue::from_str(&value) {
        page.headers_mut().insert(REFRESH, value);
    }
    page
}

/// Where a page is in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Here {
    Overview,
    Domains,
    Elsewhere,
}

/// All that a page shows around its own.
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    pub(super) here: Here,
    /// `None`: a client of which nothing is known.
    pub(super) visitor: Option<&'a Visitor>,
    /// The moment of the snapshot that it shows.
    pub(super) snapshot: Option<Timestamp>,
    pub(super) now: Timestamp,
    /// It has values with a button to copy them: the one thing that needs a script.
    pub(super) copies: bool,
}

impl Frame<'_> {
    /// The whole page.
    pub(super) fn page(&self, status: StatusCode, content: Markup) -> Response {
        let document = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex, nofollow";
                    title { (self.title) " · prevalidate" }
                    link rel="stylesheet" href=(style_path());
                    link rel="icon" type="image/svg+xml" href=(ICON);
                    @if self.copies { script defer src=(script_path()) {} }
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header.top {
                        a.brand href="/" { "prevalidate" }
                        nav aria-label="Pages" { ul {
                            li { (self.way("/", "Overview", Here::Overview)) }
                            li { (self.way("/domains", "Domains", Here::Domains)) }
                        } }
                        (self.who())
                    }
                    main #content tabindex="-1" {
                        (self.age_warning())
                        (content)
                    }
                    footer.foot {
                        span { "prevalidate" @if self.visitor.is_some() { " " (env!("CARGO_PKG_VERSION")) } }
                        @if let Some(at) = self.snapshot { span { "As of " (time(at)) ", " (away(at, self.now)) } }
                        span { "All times are UTC" }
                    }
                }
            }
        };
        let mut response = (status, document.into_string()).into_response();
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        if self.copies {
            response.headers_mut().insert(
                CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(POLICY_WITH_SCRIPT),
            );
        }
        response
    }

    fn way(&self, to: &str, name: &str, place: Here) -> Markup {
        html! { a href=(to) aria-current=[(self.here == place).then_some("page")] { (name) } }
    }

    fn who(&self) -> Markup {
        let Some(visitor) = self.visitor else {
            return html! {};
        };
        html! {
            div.who {
                @if let Some(name) = visitor.name() {
                    span { (said(name)) " · " (visitor.role()) }
                }
                @if let Some(word) = visitor.word() {
                    form.inline method="post" action="/session/end" {
                        (word_field(word))
                        button.button.quiet.slim type="submit" { "Sign out" }
                    }
                }
            }
        }
    }

    fn age_warning(&self) -> Markup {
        match self.snapshot {
            Some(at) if self.now.duration_since(at).abs() > OLD_SNAPSHOT => html! {
                div.note.wrong role="status" {
                    p { strong { "This snapshot is old." } " It was taken " (away(at, self.now))
                        ": the store could not be read since. The log says why." }
                }
            },
            _ => html! {},
        }
    }
}
