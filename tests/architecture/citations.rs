//! Every tag of the catalogue that a comment cites is in `docs/faults.md` or `docs/invariants.md`,
//! and comments cite in one form: `(faults C08)`, `(invariant I5)`, `(rule 7)`.

use std::collections::BTreeSet;

use super::{files, none, root};

const FAULTS: &str = include_str!("../../docs/faults.md");
const INVARIANTS: &str = include_str!("../../docs/invariants.md");

/// The letters of the groups in `docs/faults.md`; `L` are its measurements.
const GROUPS: &str = "CJDPBWKTGNHSL";

/// The first cells of the rows of a document's tables.
fn rows(document: &'static str) -> BTreeSet<&'static str> {
    let cells = document
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    cells
        .filter(|cell| cell.bytes().any(|b| b.is_ascii_digit()))
        .collect()
}

/// The comments of a file, each block as one line with the number of its first line.
fn comments(text: &str) -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // A `//` inside a string, such as a URL, is not at the beginning of a line or after space.
        let Some(comment) = line
            .find("//")
            .filter(|&at| {
                line[..at]
                    .chars()
                    .next_back()
                    .is_none_or(char::is_whitespace)
            })
            .map(|at| line[at..].trim_start_matches(['/', '!']).trim())
        else {
            continue;
        };
        match blocks.last_mut() {
            Some((_, last, block)) if *last + 1 == number && !comment.is_empty() => {
                *last = number;
                block.push(' ');
                block.push_str(comment);
            }
            _ => blocks.push((number, number, comment.to_owned())),
        }
    }
    blocks
        .into_iter()
        .map(|(first, _, block)| (first + 1, block))
        .collect()
}

/// `C08`, `I5`: a letter and its digits. Groups of faults have two digits, and so `C0`, the control
/// characters, is none.
fn is_tag(word: &str) -> bool {
    let Some(letter) = word.chars().next().filter(char::is_ascii_uppercase) else {
        return false;
    };
    let digits = &word[1..];
    let numbered = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    numbered
        && match letter {
            'I' | 'L' => digits.len() <= 2,
            _ => GROUPS.contains(letter) && digits.len() == 2,
        }
}

/// Takes the citations out of a block: the rows that they name, and the text without them.
fn cited(block: &str) -> (Vec<String>, String) {
    let (mut named, mut rest) = (Vec::new(), String::new());
    let mut remaining = block;
    while let Some(begin) = remaining.find('(') {
        rest.push_str(&remaining[..begin]);
        remaining = &remaining[begin..];
        let end = remaining.find(')').unwrap_or(remaining.len() - 1);
        let inside = &remaining[1..end];
        let (kind, list) = inside.split_once(' ').unwrap_or((inside, ""));
        let tags: Vec<&str> = list
            .split([',', ' '])
            .filter(|word| !["", "and", "to"].contains(word))
            .collect();
        let is_list = match kind {
            "faults" => tags.iter().all(|tag| is_tag(tag) && !tag.starts_with('I')),
            "invariant" | "invariants" => {
                tags.iter().all(|tag| is_tag(tag) && tag.starts_with('I'))
            }
            "rule" | "rules" => tags
                .iter()
                .all(|tag| tag.bytes().all(|b| b.is_ascii_digit())),
            _ => false,
        };
        if is_list && !tags.is_empty() {
            let row = |tag: &&str| match kind {
                "rule" | "rules" => format!("rule {tag}"),
                _ => (*tag).to_owned(),
            };
            named.extend(tags.iter().map(row));
            remaining = &remaining[(end + 1).min(remaining.len())..];
        } else {
            rest.push('(');
            remaining = &remaining[1..];
        }
    }
    rest.push_str(remaining);
    (named, rest)
}

/// What is wrong with the citations of one block of comments, and how many there are.
fn faults_of(block: &str, known: &BTreeSet<&str>) -> (usize, Vec<String>) {
    let (named, rest) = cited(block);
    let mut faults: Vec<String> = named
        .iter()
        .filter(|row| !known.contains(row.as_str()))
        .map(|row| format!("{row} is in no document"))
        .collect();
    let bare = rest
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| is_tag(word));
    faults.extend(bare.map(|tag| {
        format!("{tag} is cited in another form; write `(faults {tag})`, `(invariant {tag})`")
    }));
    for other in ["(faults", "(invariant", "(rule", "rule ", "point "] {
        for (at, _) in rest.match_indices(other) {
            let after = rest[at + other.len()..]
                .trim_start_matches('s')
                .trim_start();
            let number = after.split(|c: char| !c.is_ascii_alphanumeric()).next();
            if number.is_some_and(|word| {
                is_tag(word) || word.len() <= 2 && word.parse::<u8>().is_ok_and(|rule| rule <= 10)
            }) {
                faults.push(format!("`{other}{after:.20}` is cited in another form"));
            }
        }
    }
    (named.len(), faults)
}

fn known() -> BTreeSet<&'static str> {
    &rows(FAULTS) | &rows(INVARIANTS)
}

#[test]
fn every_tag_that_a_comment_cites_is_in_the_catalogue() {
    let known = known();
    let (mut breaches, mut seen) = (Vec::new(), 0);
    let all = ["src", "providers", "kit", "tests"]
        .into_iter()
        .filter(|folder| root().join(folder).exists())
        .flat_map(|folder| files(folder, ".rs"));
    for path in all.filter(|path| !path.ends_with("architecture/citations.rs")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for (line, block) in comments(&text) {
            let (count, faults) = faults_of(&block, &known);
            seen += count;
            let name = path.strip_prefix(root()).unwrap().display();
            breaches.extend(faults.iter().map(|fault| format!("{name}:{line}: {fault}")));
        }
    }
    none(
        "the catalogue is docs/faults.md and docs/invariants.md",
        &breaches,
    );
    assert!(seen > 100, "{seen} citations");
}

#[test]
fn no_tag_of_the_catalogue_is_used_twice() {
    for (document, least) in [(FAULTS, 170), (INVARIANTS, 30)] {
        let cells: Vec<&str> = document
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
            .filter(|cell| cell.bytes().any(|b| b.is_ascii_digit()))
            .collect();
        assert_eq!(cells.len(), rows(document).len());
        assert!(cells.len() >= least, "{} rows", cells.len());
        for cell in cells {
            assert!(
                is_tag(cell.trim_start_matches("rule ")) || cell.starts_with("rule "),
                "{cell}"
            );
        }
    }
}

#[test]
fn a_tag_without_a_row_or_in_another_form_is_a_breach() {
    let known = known();
    let count = |block: &str| faults_of(block, &known).1.len();
    for good in [
        "read by reference (faults C11).",
        "(faults C01, C02, C05 to C07) and (invariants I5, I8); never a guess (rule 7).",
        "control characters (C0, DEL, C1), a rule of the house, X25519, P256",
    ] {
        assert_eq!(count(good), 0, "{good}: {:?}", faults_of(good, &known));
    }
    for bad in [
        "read by reference (C11).",
        "(P99)",
        "(faults C99)",
        "(I5)",
        "I5: submitted only when visible",
        "(invariant I99)",
        "(rule 11)",
        "(compare faults C11)",
        "propagation, point 7",
        "see rule 7",
    ] {
        assert!(count(bad) > 0, "{bad}");
    }
}
