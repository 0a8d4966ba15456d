//! Small pieces that every page is made of. What comes from a CA, a zone or a person goes through
//! [`said`].

use std::borrow::Cow;

use jiff::Timestamp;
use maud::{Markup, html};
use url::form_urlencoded;

use crate::overview::snapshot::Entry;
use crate::prevalidation::{DomainName, State};
use crate::text::{escape, moment, relative};

/// Another party's words: characters that cannot be seen, or that turn the line around, are shown
/// by their numbers. What means something in HTML is escaped by the template.
pub(super) fn said(text: &str) -> Cow<'_, str> {
    escape(text)
}

/// A moment, for people and for machines.
pub(super) fn time(at: Timestamp) -> Markup {
    html! { time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) { (moment(at)) } }
}

/// How far away a moment is, with the moment itself below a pointer.
pub(super) fn away(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) title=(moment(at)) { (relative(at, now)) } }
}

/// The day of a moment, for people and for machines.
pub(super) fn day(at: Timestamp) -> Markup {
    html! { time datetime=(at.strftime("%Y-%m-%dT%H:%M:%SZ")) title=(moment(at)) { (at.strftime("%Y-%m-%d").to_string()) } }
}

/// How far away a moment is, and its day: a phone has no pointer.
pub(super) fn away_and_day(at: Timestamp, now: Timestamp) -> Markup {
    html! { (away(at, now)) " " span.soft.day { (day(at)) } }
}

/// A text in which back-ticks set off what is typed.
pub(super) fn marked(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    // One without its counterpart is no mark.
    if parts.len().is_multiple_of(2) {
        return html! { (text) };
    }
    html! {
        @for (place, part) in parts.iter().enumerate() {
            @if place % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}

/// A moment, and how far away it is.
pub(super) fn time_and_away(at: Timestamp, now: Timestamp) -> Markup {
    html! { (time(at)) " " span.soft { "(" (relative(at, now)) ")" } }
}

/// A state with its mark.
pub(super) fn state(state: State) -> Markup {
    html! { span class={ "state " (state) } { (state) } }
}

/// A domain as a link to its page.
pub(super) fn link(domain: &DomainName) -> Markup {
    html! { a href={ "/domains/" (domain) } { (said(&domain.unicode())) } }
}

/// The same for an entry of the list: of a domain at several clients, each has a page.
pub(super) fn link_of(entry: &Entry) -> Markup {
    if !entry.further {
        return link(&entry.domain);
    }
    let client: String = form_urlencoded::byte_serialize(entry.client.as_bytes()).collect();
    html! {
        a href={ "/domains/" (entry.domain) "?client=" (client) } { (said(&entry.domain.unicode())) }
        span.soft { " at " (said(&entry.client)) }
    }
}

/// `1'248` is one thing in Zurich and another in London; a thin space is the same everywhere (ISO
/// 80000-1).
pub(super) fn number(count: usize) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + 8);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A text as the beginning of a sentence.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    // A name stays as it is written.
    let is_name = text
        .split(' ')
        .next()
        .is_some_and(|word| word.contains('.'));
    match letters.next() {
        Some(first) if !is_name => first.to_uppercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}

/// `1 domain`, `2 domains`, grouped.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!(
        "{}\u{a0}{}",
        number(count),
        if count == 1 { one } else { many }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped_by_thousands() {
        for (count, shown) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1\u{202f}000"),
            (100_000, "100\u{202f}000"),
            (1_234_567, "1\u{202f}234\u{202f}567"),
        ] {
            assert_eq!(number(count), shown);
        }
    }

    #[test]
    fn back_ticks_become_code_and_an_odd_one_stays() {
        for (text, shown) in [
            (
                "set `mode` to `x`",
                "set <code>mode</code> to <code>x</code>",
            ),
            ("it`s <b>", "it`s &lt;b&gt;"),
            ("`<i>`", "<code>&lt;i&gt;</code>"),
        ] {
            assert_eq!(marked(text).into_string(), shown);
        }
    }

    #[test]
    fn foreign_text_shows_its_hidden_characters() {
        let shown = html! { (said("<b>\u{202e}x\u{0}\n")) }.into_string();
        assert_eq!(shown, "&lt;b&gt;\\u{202e}x\\u{0}\\n");
    }
}
