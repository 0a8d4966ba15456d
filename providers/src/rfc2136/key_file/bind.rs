//! BIND's form, in a file of its own or among the statements of a `named.conf` or `rndc.conf`.

use super::{Statement, other_form};

/// All `key` statements. Other statements are passed over, whatever they hold: a key that is only
/// meant for one view is none of the file's.
pub(super) fn statements(text: &str) -> Result<Vec<Statement>, String> {
    let mut tokens = Tokens {
        rest: text,
        line: 1,
    };
    let mut keys = Vec::new();
    while let Some(word) = tokens.next()? {
        if word.eq_ignore_ascii_case("key") {
            keys.push(key(&mut tokens)?);
            continue;
        }
        let begins_statement = !word.is_empty()
            && word
                .bytes()
                .all(|octet| octet.is_ascii_alphabetic() || octet == b'-');
        if !begins_statement || tokens.pass_over().is_err() {
            return Err(other_form(&format!(
                "line {}: expected `key \"name\" {{`",
                tokens.line
            )));
        }
    }
    Ok(keys)
}

fn key(tokens: &mut Tokens<'_>) -> Result<Statement, String> {
    let name = tokens.word()?.to_owned();
    let is_name = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
    if name.is_empty() || !name.bytes().all(is_name) {
        let fault = format!("line {}: the key's name is not a domain name", tokens.line);
        return Err(other_form(&fault));
    }
    tokens.expect("{")?;
    let mut key = Statement {
        name,
        algorithm: None,
        secret: None,
    };
    loop {
        match tokens.word()?.to_ascii_lowercase().as_str() {
            "}" => break,
            "algorithm" => key.algorithm = Some(tokens.word()?.to_owned()),
            "secret" => key.secret = Some(tokens.word()?.into()),
            _ => {
                return Err(format!(
                    "line {}: expected `algorithm`, `secret` or `}}`",
                    tokens.line
                ));
            }
        }
        tokens.expect(";")?;
    }
    tokens.expect(";")?;
    Ok(key)
}

/// Words, quoted strings and the marks `{ } ;`, with comments in the three styles that `named.conf`
/// knows skipped.
struct Tokens<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Result<Option<&'a str>, String> {
        loop {
            let trimmed = self
                .rest
                .trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            self.advance(self.rest.len() - trimmed.len());
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                let end = self
                    .rest
                    .find("*/")
                    .ok_or_else(|| format!("line {}: the comment has no end", self.line))?;
                self.advance(end + 2);
            } else {
                break;
            }
        }
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        if "{};".contains(first) {
            return Ok(Some(self.advance(1)));
        }
        if first == '"' {
            let end = self.rest[1..]
                .find('"')
                .ok_or_else(|| format!("line {}: the string has no end", self.line))?;
            return Ok(Some(&self.advance(end + 2)[1..=end]));
        }
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || "{};\"#".contains(c))
            .unwrap_or(self.rest.len());
        Ok(Some(self.advance(end)))
    }

    fn word(&mut self) -> Result<&'a str, String> {
        self.next()?
            .ok_or_else(|| format!("line {}: the file ends in the middle of a key", self.line))
    }

    fn expect(&mut self, mark: &str) -> Result<(), String> {
        if self.word()? == mark {
            Ok(())
        } else {
            Err(format!("line {}: expected `{mark}`", self.line))
        }
    }

    fn advance(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    /// The rest of a statement, to its `;` outside of all braces.
    fn pass_over(&mut self) -> Result<(), String> {
        let mut depth = 0_u32;
        loop {
            match self.word()? {
                "{" => depth += 1,
                "}" => depth = depth.checked_sub(1).ok_or("a brace too many")?,
                ";" if depth == 0 => return Ok(()),
                _ => {}
            }
        }
    }
}
