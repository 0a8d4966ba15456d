//! The grammar of an `issue` value (RFC 8659, section 4.2).

/// An `issue` value, taken apart.
pub(super) struct Issuer<'a> {
    /// Empty: no CA.
    pub(super) name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Issuer<'a> {
    /// Reads it by the grammar of RFC 8659, section 4.2; `None` when it is malformed.
    pub(super) fn read(value: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let space = [' ', '\t'];
        let (name, rest) = text
            .split_once(';')
            .map_or((text, ""), |(name, rest)| (name, rest));
        let name = name.trim_matches(space);
        if !name.is_empty() && !is_issuer_name(name) {
            return None;
        }
        if rest.trim_matches(space).is_empty() {
            return Some(Self {
                name,
                parameters: Vec::new(),
            });
        }
        let parameter = |part: &'a str| {
            let (tag, value) = part.split_once('=')?;
            let (tag, value) = (tag.trim_matches(space), value.trim_matches(space));
            // parameter-value = *(%x21-3A / %x3C-7E): printable, no space, no semicolon.
            (is_label(tag) && value.bytes().all(|byte| byte.is_ascii_graphic()))
                .then_some((tag, value))
        };
        let parameters = rest.split(';').map(parameter).collect::<Option<Vec<_>>>()?;
        Some(Self { name, parameters })
    }

    /// The values of all parameters of this name.
    pub(super) fn values(&self, wanted: &str) -> Vec<&'a str> {
        self.parameters
            .iter()
            .filter(|(tag, _)| tag.eq_ignore_ascii_case(wanted))
            .map(|&(_, value)| value)
            .collect()
    }
}

/// Whether a text may name a CA in a CAA record: `issuer-domain-name` of RFC 8659, section
/// 4.2.
pub fn is_issuer_name(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// `(ALPHA / DIGIT) *( *("-") (ALPHA / DIGIT))`
pub(super) fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
