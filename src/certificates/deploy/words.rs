//! The part of a deploy program's output that may be shown: it has read the private key, and its
//! output goes into the history, the store and alarms.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};
use base64::engine::{DecodePaddingMode, general_purpose};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::super::folder::Folder;
use super::super::hex;
use crate::text::file;

/// Characters of its last line that are told.
const TOLD: usize = 200;

/// An argument of so many characters, or the value of one, is never shown.
const LONG: usize = 12;

/// A secret of so few characters is found in words that have nothing to do with it.
const SHORT: usize = 4;

/// So many characters of a key, in Base64 or hexadecimal, are a piece of it.
const PIECE: usize = 16;

/// The same in octets.
const OCTETS: usize = PIECE / 2;

/// A word of so many characters may be a key or a token.
const CODE: usize = 32;

/// In the place of words that show a key.
pub(super) const WITHHELD: &str = "its words hold a piece of the private key and are not told";

/// In the place of a word that is not told.
const STRUCK: &str = "[…]";

/// Base64 of a file, whatever its last bits and its padding are.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a program can read and must not say.
#[derive(Default)]
pub(super) struct Secrets {
    /// The private keys.
    keys: Vec<Zeroizing<Vec<u8>>>,
    /// The files with a private key. They say other things, too, which are no secret as they are.
    files: Vec<Zeroizing<Vec<u8>>>,
    /// The password of the bundle.
    password: Option<SecretString>,
}

impl Secrets {
    /// Of all versions of a certificate.
    pub(super) fn of(folder: &Folder, password: Option<SecretString>) -> Self {
        let mut secrets = Self {
            password,
            ..Self::default()
        };
        for path in folder.key_files() {
            if let Ok(bytes) = file::read(&path) {
                secrets.learn(bytes);
            }
        }
        secrets
    }

    /// Remembers a file with a key, and what its PEM encodes.
    fn learn(&mut self, bytes: Vec<u8>) {
        let bytes = Zeroizing::new(bytes);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let lines = text.lines().filter(|line| !line.starts_with('-'));
            let body: Zeroizing<String> = Zeroizing::new(lines.map(str::trim).collect());
            self.keys.extend(LENIENT.decode(&*body).map(Zeroizing::new));
        }
        self.files.push(bytes);
    }

    /// Whether the last line of the output, alone or with the lines before it, shows a piece of a
    /// key: as octets, in Base64 from any place on, or in hexadecimal.
    fn show_in(&self, said: &[u8], last: usize) -> bool {
        let octets: Vec<_> = said.iter().copied().enumerate().collect();
        let raw = windows(&octets, OCTETS, last);
        let (base64, digits) = (base64_of(said), hex_of(said));
        let base64 = windows(&base64, PIECE, last);
        let digits = windows(&digits, PIECE, last);
        let is_in = |text: String, wanted| {
            let text = Zeroizing::new(text);
            has_one(text.as_bytes(), wanted, PIECE)
        };
        let is_written = |key: &Zeroizing<Vec<u8>>| {
            let mut starts = 0..key.len().min(3);
            starts.any(|start| is_in(STANDARD_NO_PAD.encode(&key[start..]), &base64))
                || is_in(hex(key), &digits)
        };
        self.keys.iter().any(|key| has_one(key, &raw, OCTETS))
            || self.keys.iter().chain(&self.files).any(is_written)
    }
}

/// Every piece of so many characters that ends in the last line.
fn windows(found: &[(usize, u8)], piece: usize, last: usize) -> HashSet<Vec<u8>> {
    let ends_there = |window: &&[(usize, u8)]| {
        let (end, is_whole) = (window[piece - 1].0, !window.iter().any(|one| one.1 == 0));
        end >= last && is_whole
    };
    let windows = found.windows(piece).filter(ends_there);
    windows
        .map(|window| window.iter().map(|one| one.1).collect())
        .collect()
}

fn has_one(text: &[u8], wanted: &HashSet<Vec<u8>>, piece: usize) -> bool {
    !wanted.is_empty() && text.windows(piece).any(|window| wanted.contains(window))
}

/// The characters of Base64 in a text, each with its place. White space between them counts for
/// nothing; anything else is a 0, which is in no piece.
fn base64_of(said: &[u8]) -> Vec<(usize, u8)> {
    let places = said.iter().enumerate();
    let kept = places.filter(|(_, octet)| !octet.is_ascii_whitespace());
    kept.map(|(at, &octet)| match octet {
        b'-' => (at, b'+'),
        b'_' => (at, b'/'),
        b'+' | b'/' => (at, octet),
        _ if octet.is_ascii_alphanumeric() => (at, octet),
        _ => (at, 0),
    })
    .collect()
}

/// The hexadecimal digits in a text, as [`base64_of`] has those of Base64: what dumps write between
/// octets counts for nothing.
fn hex_of(said: &[u8]) -> Vec<(usize, u8)> {
    let mut found = Vec::new();
    let mut places = said.iter().enumerate().peekable();
    while let Some((at, &octet)) = places.next() {
        let is_x =
            |next: Option<&(usize, &u8)>| next.is_some_and(|(_, x)| matches!(x, b'x' | b'X'));
        match octet {
            b'0' | b'\\' if is_x(places.peek()) => {
                places.next();
            }
            _ if octet.is_ascii_hexdigit() => found.push((at, octet.to_ascii_lowercase())),
            b':' | b'-' | b',' | b';' | b'.' => {}
            _ if octet.is_ascii_whitespace() => {}
            _ => found.push((at, 0)),
        }
    }
    found
}

/// The last line of what a program said, for logs and the history: one that shows the arguments of
/// the program, or a word that may be a secret, does not show it there. Empty: it said nothing.
pub(super) fn told(said: &[u8], arguments: &[String], secrets: &Secrets) -> String {
    let lines = said.split(|&octet| octet == b'\n');
    let mut end = said.len();
    let mut last = None;
    for line in lines.rev() {
        let start = end - line.len();
        if !line.trim_ascii().is_empty() {
            last = Some((start, line));
            break;
        }
        end = start.saturating_sub(1);
    }
    let Some((start, line)) = last else {
        return String::new();
    };
    if secrets.show_in(&said[..start + line.len()], start) {
        return WITHHELD.to_owned();
    }
    harmless(
        &String::from_utf8_lossy(line),
        arguments,
        secrets.password.as_ref(),
    )
}

/// A line without the arguments of the program, and without words that may be secrets.
fn harmless(line: &str, arguments: &[String], password: Option<&SecretString>) -> String {
    let mut line: String = line
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let mut values: Vec<Cow<'_, str>> = Vec::new();
    for argument in arguments {
        let value = argument.split_once('=').map(|(_, value)| value);
        let both = [Some(argument.as_str()), value].into_iter().flatten();
        values.extend(both.map(Cow::from));
    }
    values.retain(|value| value.chars().count() >= LONG);
    if let Some(password) = password.map(|one| one.expose_secret()) {
        let written = [
            password.to_owned(),
            general_purpose::STANDARD_NO_PAD.encode(password),
            general_purpose::URL_SAFE_NO_PAD.encode(password),
            hex(password.as_bytes()),
        ];
        let written = written.into_iter().filter(|text| text.len() >= SHORT);
        values.extend(written.map(Cow::from));
    }
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    for value in values {
        line = line.replace(&*value, STRUCK);
    }
    let mut is_next = false;
    let words: Vec<String> = line
        .split_whitespace()
        .map(|word| {
            let is_secret = std::mem::take(&mut is_next);
            let lower = word.to_ascii_lowercase();
            is_next = matches!(lower.trim_end_matches(':'), "bearer" | "basic" | "password");
            if is_secret {
                return STRUCK.to_owned();
            }
            let named = ["password", "passwd", "secret", "token", "key"];
            match word.split_once('=') {
                Some((name, _)) if named.iter().any(|one| lower.contains(one)) => {
                    format!("{name}={STRUCK}")
                }
                _ if is_code(word) => STRUCK.to_owned(),
                _ => word.to_owned(),
            }
        })
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(TOLD) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// Whether a word may be a key or a token: long, and nothing but letters, digits and the signs
/// of Base64. With a `/`, or with other signs around it, it may be a path or a name, which has no
/// such mixture of letters.
fn is_code(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+=_-".contains(c);
    let is_plain = word.len() >= CODE && word.chars().all(plain);
    let mut runs = word.split(|c: char| !plain(c) && c != '/');
    is_plain || runs.any(|run| run.len() >= CODE && is_mixed(run))
}

/// Whether upper and lower case and digits are mixed in a text as they are in Base64.
fn is_mixed(text: &str) -> bool {
    let count = |is_one: fn(&u8) -> bool| text.bytes().filter(is_one).count();
    count(u8::is_ascii_uppercase) * 8 >= text.len()
        && count(u8::is_ascii_lowercase) * 8 >= text.len()
        && count(|c| c.is_ascii_digit() || *c == b'+') > 0
}

#[cfg(test)]
mod tests;
