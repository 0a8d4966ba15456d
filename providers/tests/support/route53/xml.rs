//! As much XML as Route 53 speaks: elements and text. Attributes are skipped, comments and the rest
//! are refused.

/// One element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    pub name: String,
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }
}

/// Reads a document.
pub fn read(text: &str) -> Result<Element, String> {
    let text = text.trim_start();
    let text = text.strip_prefix("<?xml").map_or(Some(text), |rest| {
        rest.split_once("?>").map(|(_, rest)| rest)
    });
    let (element, rest) = element(text.ok_or("an open declaration")?.trim_start())?;
    if rest.trim().is_empty() {
        Ok(element)
    } else {
        Err(format!("after the document: {rest:?}"))
    }
}

fn element(text: &str) -> Result<(Element, &str), String> {
    let (tag, mut rest) = text
        .strip_prefix('<')
        .and_then(|text| text.split_once('>'))
        .ok_or("no element")?;
    let (tag, is_empty) = tag
        .strip_suffix('/')
        .map_or((tag, false), |tag| (tag, true));
    let name = tag.split_whitespace().next().unwrap_or_default();
    if name.is_empty() || !name.chars().all(char::is_alphanumeric) {
        return Err(format!("no name of an element: {name:?}"));
    }
    let mut found = Element {
        name: name.to_owned(),
        ..Element::default()
    };
    if is_empty {
        return Ok((found, rest));
    }
    loop {
        let at = rest.find('<').ok_or_else(|| format!("{name} is open"))?;
        found.text.push_str(&unescaped(&rest[..at])?);
        rest = &rest[at..];
        if let Some(end) = rest.strip_prefix("</") {
            let (closed, after) = end.split_once('>').ok_or("an open tag")?;
            return if closed == name {
                Ok((found, after))
            } else {
                Err(format!("{closed} closes {name}"))
            };
        }
        let (child, after) = element(rest)?;
        found.children.push(child);
        rest = after;
    }
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (entity, rest) = part.split_once(';').ok_or("an open entity")?;
        let number = |digits: &str, base| {
            u32::from_str_radix(digits, base)
                .ok()
                .and_then(char::from_u32)
        };
        let letter = match entity {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => entity
                .strip_prefix("#x")
                .and_then(|digits| number(digits, 16))
                .or_else(|| {
                    entity
                        .strip_prefix('#')
                        .and_then(|digits| number(digits, 10))
                }),
        };
        plain.push(letter.ok_or_else(|| format!("no such entity: {entity}"))?);
        plain.push_str(rest);
    }
    Ok(plain)
}

/// Text as it is between tags.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// `<name>text</name>`.
pub fn leaf(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escaped(text))
}

#[test]
fn documents_are_read_as_they_are_written() {
    let text = format!(
        "<?xml version=\"1.0\"?><A xmlns=\"x\">{}<C/></A>",
        leaf("B", "\"a&b\" <c>")
    );
    let read = read(&text).unwrap();
    assert_eq!(read.text_of("B"), Some("\"a&b\" <c>"));
    assert!(read.child("C").is_some() && self::read("<A><B></A></B>").is_err());
}
