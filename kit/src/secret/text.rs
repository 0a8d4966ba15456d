//! What of a text is the secret, and which texts are none: people copy secrets with the line around
//! them, and programs write them in their own form.

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::{Cause, is_variable_name};

/// In the name of a variable that holds a secret.
const SECRET_WORDS: [&str; 6] = ["KEY", "TOKEN", "SECRET", "PASS", "PWD", "CREDENTIAL"];
const BARE: &str =
    "write the bare secret on one line, without quotes, `NAME=`, `Bearer` or a second line";

/// A text of several lines.
pub(super) fn lines(bytes: Zeroizing<Vec<u8>>) -> Result<SecretString, Cause> {
    let text = decoded(&bytes)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(text.strip_suffix('\r').unwrap_or(text).into())
}

/// One line, of any characters.
pub(super) fn password(bytes: Zeroizing<Vec<u8>>) -> Result<SecretString, Cause> {
    let text = one_line(decoded(&bytes)?)?;
    if text.trim() != text {
        return Err(refused("holds a blank at its beginning or end"));
    }
    bare(text, |name| {
        let name = name.to_ascii_uppercase();
        SECRET_WORDS.iter().any(|word| name.contains(word))
    })
}

/// Visible ASCII characters.
pub(super) fn token(bytes: Zeroizing<Vec<u8>>) -> Result<SecretString, Cause> {
    let text = one_line(decoded(&bytes)?.trim_matches([' ', '\t']))?;
    let text = text.trim_matches([' ', '\t']);
    if text.contains(char::is_whitespace) {
        return Err(refused("holds a blank"));
    }
    if !text.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err(refused("holds a character that no token has"));
    }
    // Base64 ends in `=`; a name comes before one, and other text behind it.
    bare(text, |_| true)
}

fn refused(cause: &str) -> Cause {
    (cause.to_owned(), Some(BARE.to_owned()))
}

fn decoded(bytes: &[u8]) -> Result<&str, Cause> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let hint = "save it as UTF-8: iconv -f utf-16 -t utf-8";
        return Err(("is UTF-16 text".to_owned(), Some(hint.to_owned())));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(("is empty".to_owned(), None));
    }
    if bytes.contains(&0) {
        let hint = "is it a binary file, or UTF-16?";
        return Err(("holds a NUL byte".to_owned(), Some(hint.to_owned())));
    }
    std::str::from_utf8(bytes).map_err(|_| ("is not UTF-8 text".to_owned(), None))
}

/// Without the line ends behind it.
fn one_line(text: &str) -> Result<&str, Cause> {
    let text = text.trim_end_matches(['\n', '\r']);
    if text.contains(['\n', '\r']) {
        return Err(refused("holds a line end inside"));
    }
    Ok(text)
}

/// Refuses what is around a secret in a file of settings.
fn bare(text: &str, is_name: impl Fn(&str) -> bool) -> Result<SecretString, Cause> {
    let is_quoted =
        |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    if ['"', '\'', '`'].into_iter().any(is_quoted) {
        return Err(refused("holds quotes around the secret"));
    }
    let line = text.strip_prefix("export ").unwrap_or(text);
    if let Some((name, value)) = line.split_once('=') {
        let name = name.trim();
        let is_assigned = !name.is_empty()
            && is_variable_name(name)
            && is_name(name)
            && !value.trim_matches('=').is_empty();
        if is_assigned {
            return Err(refused(
                "holds the name of a variable and `=` before the secret",
            ));
        }
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::ExposeSecret;

    use super::*;

    const KEY: &str = "abcdEFGH0123abcdEFGH0123abcdEFGH0123abcdEFGH0123abcdEFGH01230123";

    fn read(
        accept: fn(Zeroizing<Vec<u8>>) -> Result<SecretString, Cause>,
        text: &[u8],
    ) -> Result<String, String> {
        accept(Zeroizing::new(text.to_vec()))
            .map(|secret| secret.expose_secret().to_owned())
            .map_err(|(cause, hint)| {
                let words = format!("{cause} {hint:?}");
                assert!(!words.contains(KEY), "{words}");
                cause
            })
    }

    #[test]
    fn white_space_around_a_token_and_line_ends_behind_any_secret_are_taken_away() {
        for around in ["KEY\n\n", "KEY\r\n\r\n", "KEY", "\u{feff}KEY\n"] {
            let text = around.replace("KEY", KEY);
            assert_eq!(read(password, text.as_bytes()).unwrap(), KEY, "{around:?}");
            assert_eq!(read(token, text.as_bytes()).unwrap(), KEY, "{around:?}");
        }
        for around in [" KEY", "KEY \n", "\tKEY\t\n", " KEY \r\n\n"] {
            let text = around.replace("KEY", KEY);
            assert_eq!(read(token, text.as_bytes()).unwrap(), KEY, "{around:?}");
        }
    }

    #[test]
    fn text_around_a_secret_in_a_file_of_settings_is_refused_by_name() {
        for (text, cause) in [
            ("KEY\nlogin: me\n", "line end"),
            ("\nKEY", "line end"),
            ("\"KEY\"\n", "quotes"),
            ("'KEY'", "quotes"),
            ("API_KEY=KEY", "name of a variable"),
            ("export PASSWORD=KEY\n", "name of a variable"),
            ("smtp_password = KEY", "name of a variable"),
        ] {
            let text = text
                .replace("KEY", KEY)
                .replace(&format!("API_{KEY}"), "API_KEY");
            let found = read(password, text.as_bytes()).unwrap_err();
            assert!(found.contains(cause), "{text:?}: {found}");
            read(token, text.as_bytes()).unwrap_err();
        }
        assert!(read(password, b" secret").unwrap_err().contains("a blank"));
        assert!(read(token, b"Bearer abc").unwrap_err().contains("a blank"));
        assert!(
            read(token, "schlüssel".as_bytes())
                .unwrap_err()
                .contains("no token has")
        );
        for mark in [b"\xff\xfeK\0", b"\xfe\xff\0K"] {
            assert_eq!(read(password, mark).unwrap_err(), "is UTF-16 text");
        }
    }

    #[test]
    fn a_password_may_hold_what_passwords_hold() {
        for text in [
            "a b=c",
            "x=y",
            "AbC=1\"2",
            "\"",
            "correct horse",
            "AAECAwQFBgc=",
            "===",
        ] {
            assert_eq!(read(password, text.as_bytes()).unwrap(), text);
        }
        for text in ["AAECAwQFBgc=", "AAECAwQFBg==", "whsec_abc+/=", "a.b-c_d~e"] {
            assert_eq!(read(token, text.as_bytes()).unwrap(), text);
        }
    }

    #[test]
    fn a_text_of_several_lines_stays_as_it_is() {
        assert_eq!(
            read(lines, b"\xef\xbb\xbfkey {\n \"x\"\n};\r\n").unwrap(),
            "key {\n \"x\"\n};"
        );
    }
}
