//! The cause of a trouble in one line of a table. The whole reason has hints, lists of addresses and
//! moments; it goes to `-v`, to the history and to programs.

use jiff::Timestamp;

use super::reason::Reason;
use super::time::relative;

/// This many characters fit beside the other columns.
const LONGEST: usize = 160;
/// Of a longer reason, what was tried is at the beginning, and what the CA or server said at the
/// end.
const HEAD: usize = 64;
const TAIL: usize = 92;

/// The cause alone, with distances in the place of moments.
///
/// ```
/// # use prevalidate::text::cause;
/// let now = "2026-11-29T04:55:00Z".parse().expect("a timestamp");
/// assert_eq!(cause("valid until 2027-03-15T00:00:00Z", now), "valid");
/// assert_eq!(cause("no connection (hint: check the firewall)", now), "no connection");
/// ```
pub fn cause(reason: &str, now: Timestamp) -> String {
    let text = whole(reason, now);
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= LONGEST {
        return text;
    }
    let (head, tail) = (&letters[..HEAD], &letters[letters.len() - TAIL..]);
    // Whole words, where there are any.
    let head = match head.iter().rposition(|letter| *letter == ' ') {
        Some(end) => &head[..end],
        None => head,
    };
    let tail = match tail.iter().position(|letter| *letter == ' ') {
        Some(begin) => &tail[begin + 1..],
        None => tail,
    };
    head.iter()
        .chain(" … ".chars().collect::<Vec<_>>().iter())
        .chain(tail)
        .collect()
}

/// Whether the cause is so long that its middle is left out. A moment that became a distance is no
/// loss.
pub fn is_cut(reason: &str, now: Timestamp) -> bool {
    whole(reason, now).chars().count() > LONGEST
}

/// The cause, however long it is.
fn whole(reason: &str, now: Timestamp) -> String {
    let line = reason.lines().next().unwrap_or_default();
    without_moments(Reason::read(line).words, now)
}

/// `until MOMENT` goes, because the end has a column of its own; other moments become distances, and
/// `on` goes before them.
fn without_moments(text: &str, now: Timestamp) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let bare = word.trim_end_matches([',', ';', ':', ')']);
        match bare.parse::<Timestamp>() {
            Ok(_) if words.last().is_some_and(|last| last == "until") => {
                words.pop();
                if let Some(last) = words.last_mut() {
                    last.push_str(&word[bare.len()..]);
                }
            }
            Ok(at) => {
                // `on MOMENT` is a day; a distance has no such word before it.
                words.pop_if(|last| last == "on");
                let said = relative(at, now);
                let since = words.pop_if(|last| last == "since").is_some();
                // `since` takes a moment, and a distance is a length of time.
                let said = match said.strip_suffix(" ago").filter(|_| since) {
                    Some(length) => format!("for {length}"),
                    None => said,
                };
                words.push(format!("{said}{}", &word[bare.len()..]));
            }
            Err(_) => words.push(word.to_owned()),
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cause_is_one_line_and_has_one_form_of_time() {
        let now = "2026-11-29T04:55:00Z".parse().unwrap();
        for (reason, said) in [
            ("covered by example.ch", "covered by example.ch"),
            (
                "valid until 2027-03-15T00:00:00Z; the CA's answer is in doubt: no date",
                "valid; the CA's answer is in doubt: no date",
            ),
            (
                "withdrawn by hand 2026-11-26T04:55:00Z, and waits",
                "withdrawn by hand 3 d ago, and waits",
            ),
            (
                "renewed then, and ends on 2026-12-29T04:55:00Z",
                "renewed then, and ends in 30 d",
            ),
            (
                "refused since 2026-11-29T01:55:00Z, and waits",
                "refused for 3 h, and waits",
            ),
            ("refused since 2026-11-29T04:55:00Z", "refused now"),
            ("one\ntwo", "one"),
            ("", ""),
        ] {
            assert_eq!(cause(reason, now), said);
        }
        let addresses = "170.247.170.2:53: neither authoritative nor a referral, ".repeat(20);
        let long = format!("port 53 is redirected in this network: {addresses} (hint: set `mode`)");
        let said = cause(&long, now);
        assert!(
            said.chars().count() <= LONGEST && said.contains(" … "),
            "{said}"
        );
        assert!(
            said.starts_with("port 53 is redirected in this network"),
            "{said}"
        );
        assert!(is_cut(&long, now) && !is_cut("said … and no more", now));
        assert_eq!(Reason::read(&long).hint, Some("set `mode`"));
        let letters = "ü".repeat(500);
        assert!(cause(&letters, now).chars().count() <= LONGEST);
        let tried = format!(
            "changing {} at a server: NotAuth with BADKEY",
            "a.test, ".repeat(40)
        );
        assert!(cause(&tried, now).ends_with("NotAuth with BADKEY"));
    }
}
