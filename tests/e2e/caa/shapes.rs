//! Record sets as they are found in zones, and what an independent reading of RFC 8659, RFC 8657,
//! RFC 9495 and BR 4.2.2.1 makes of each for `swisssign.com`, which validates by DNS Change
//! (`ca-tbr-7`) and knows us as `acct:muster@swisssign.com`.

mod parameters;
mod places;
mod properties;

use std::sync::LazyLock;

/// One shape.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Below the zone of all shapes.
    pub domain: &'static str,
    /// Owner, a blank, type and data; `=` is the domain.
    pub lines: &'static [&'static str],
    /// Where the random value is written so that a CA finds it at the domain.
    pub txt_at: Option<&'static str>,
    has_value: bool,
    code: &'static str,
    permits: &'static str,
    before: Option<(&'static str, &'static str)>,
}

/// The expected verdict on one day.
pub struct Expected {
    /// The code of the finding about host names; empty: none.
    pub code: &'static str,
    /// For host names, wildcards and mailboxes: whether a strict and a lenient CA issues.
    pub permits: [(bool, bool); 3],
}

/// `permits` has a letter for host names, wildcards and mailboxes: `y` every CA issues, `n` none
/// does, `?` the lenient one does.
const fn shape(
    domain: &'static str,
    lines: &'static [&'static str],
    code: &'static str,
    permits: &'static str,
) -> Shape {
    Shape {
        domain,
        lines,
        txt_at: None,
        has_value: true,
        code,
        permits,
        before: None,
    }
}

impl Shape {
    /// What is expected before the parameters bind, where that is something else.
    const fn before(mut self, code: &'static str, permits: &'static str) -> Self {
        self.before = Some((code, permits));
        self
    }

    /// Nothing forbids it before the parameters bind.
    const fn open_before(self) -> Self {
        self.before("", "yyy")
    }

    const fn txt_at(mut self, owner: &'static str) -> Self {
        self.txt_at = Some(owner);
        self
    }

    /// The sandbox CA, which asks one name server about each name, finds no random value there.
    const fn without_value(mut self) -> Self {
        self.has_value = false;
        self
    }

    /// Whether a random value can be found at the domain; if not, only CAA is asked for.
    pub fn can_be_validated(&self) -> bool {
        self.has_value
    }

    pub fn on(&self, binds: bool) -> Expected {
        let (code, permits) = match self.before {
            Some(before) if !binds => before,
            _ => (self.code, self.permits),
        };
        let letter = |letter: u8| (letter == b'y', letter != b'n');
        let letters: [u8; 3] = permits.as_bytes().try_into().unwrap();
        Expected {
            code,
            permits: letters.map(letter),
        }
    }
}

const FORBIDS: &str = "caa-forbids";
const METHODS: &str = "caa-other-methods";
const ACCOUNT: &str = "caa-other-account";
const ASK: &str = "caa-ask-the-ca";
const CRITICAL: &str = "caa-unknown-critical";
const UNREADABLE: &str = "caa-unreadable";

pub static SHAPES: LazyLock<Vec<Shape>> =
    LazyLock::new(|| [properties::SHAPES, parameters::SHAPES, places::SHAPES].concat());
