//! The words that `STYLE.md` replaces are in no text of the repository: not in code, messages,
//! comments, documents or names. An identifier counts by its parts: `look_at` and `LookAt` alike.

use std::collections::BTreeSet;

use super::{files, none, root};

/// The words that the table of `STYLE.md` replaces, if they have no other sense here.
const REPLACED: &str = "everybody everyone look looked looking looks nobody nobodys picture \
    pictures somebody somebodys someone standing stands stuck whoever wish wishes";

/// Beginnings of paths: the files that list these words, and stored ones. SQL is stored too.
const LEFT_OUT: [&str; 3] = ["STYLE.md", "tests/architecture/words.rs", "tests/fixtures/"];

/// Beginnings of paths, and the phrases that may be there. The list may only become shorter.
const ALLOWED: &[(&str, &str)] = &[
    // Scripts read these: configuration, JSON, paths, metrics, alerts, events, crash points.
    ("", r#"look_every, look_at, looked_at, "look", "looks""#),
    ("", r#""looking", note=looking, clients/look, 'look_age'"#),
    (
        "",
        "client_looked_timestamp, PrevalidateLook, SchedulerStuck",
    ),
    ("", "look-failed, look-stored, look-done"),
    ("src/notify/notice.rs", r#""standing""#),
    ("src/propagation/gate.rs", r#""looked""#),
    ("src/server/api/openapi.json", "ClientStanding"),
    // Stored rows, and switches of the sandbox.
    ("", "missed_look, look_after, first_look, next_look"),
    ("", "sync_looks"),
    ("src/prevalidation/upkeep/", "looks"),
    ("src/sandbox/internetx/", "looks"),
    ("src/store/", r#" look , look.at, 'look', FROM look""#),
    ("tests/", "FROM look"),
    // Terms of Unicode, an example of GitHub, a user of Unix.
    ("docs/faults.md", "look-alike"),
    ("src/prevalidation/name.rs", "look-alike"),
    ("src/server/hooks/", "Secret to Everybody"),
    ("tests/store/owners.rs", "NOBODY, of_nobody"),
    ("tests/support/postgres.rs", "`nobody`"),
    // Ordinary English: a name is looked up, a text looks like a secret.
    ("", "look_up, looks_like_a"),
];

fn allowed() -> impl Iterator<Item = (&'static str, &'static str)> {
    let phrases = ALLOWED
        .iter()
        .map(|(place, phrases)| (*place, phrases.split(", ")));
    phrases.flat_map(|(place, phrases)| phrases.map(move |phrase| (place, phrase)))
}

/// The replaced words of a line. A word ends where an identifier has `_` or a capital.
fn replaced(line: &str) -> Vec<&'static str> {
    let mut parts = String::with_capacity(line.len() + 8);
    let mut before = ' ';
    for letter in line.chars() {
        if letter.is_ascii_uppercase() && before.is_ascii_lowercase() {
            parts.push(' ');
        }
        parts.push(letter.to_ascii_lowercase());
        before = letter;
    }
    let words = parts.split(|letter: char| !letter.is_ascii_lowercase());
    let same = |word: &str| REPLACED.split(' ').find(|replaced| *replaced == word);
    words.filter_map(same).collect()
}

/// The text of a file of ours; an entry of an earlier version in the CHANGELOG is history.
fn text_of(path: &std::path::Path, name: &str) -> Option<String> {
    if name.ends_with(".sql") || LEFT_OUT.iter().any(|out| name.starts_with(out)) {
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    match name {
        "CHANGELOG.md" => Some(text.split("\n## ").take(2).collect()),
        _ => Some(text),
    }
}

#[test]
fn the_words_that_the_style_replaces_do_not_come_back() {
    let (mut breaches, mut used, mut read) = (Vec::new(), BTreeSet::new(), 0);
    for path in files("", "") {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        let Some(text) = text_of(&path, name) else {
            continue;
        };
        read += 1;
        for (number, line) in text.lines().enumerate() {
            if replaced(line).is_empty() {
                continue;
            }
            let mut rest = line.to_owned();
            for exception in allowed().filter(|(place, _)| name.starts_with(place)) {
                if rest.contains(exception.1) {
                    rest = rest.replace(exception.1, " ");
                    used.insert(exception);
                }
            }
            let words = replaced(&rest).into_iter();
            breaches.extend(words.map(|word| format!("{name}:{}: `{word}`", number + 1)));
        }
    }
    let unused = allowed().filter(|exception| !used.contains(exception));
    breaches.extend(unused.map(|(place, phrase)| format!("take off the list: {place} {phrase}")));
    none("STYLE.md has a better word", &breaches);
    assert!(read > 900, "{read} files");
}

#[test]
fn a_replaced_word_is_found_in_any_form() {
    for line in [
        "Look!",
        "fn look_at()",
        "struct LookAt",
        "nobody's",
        "NOBODY",
        "a wish",
    ] {
        assert_eq!(replaced(line).len(), 1, "{line}");
    }
    for line in [
        "an outlook",
        "it overlooks",
        "lookup",
        "wishful",
        "fn check()",
    ] {
        assert!(replaced(line).is_empty(), "{line}");
    }
}
