//! Text of another party: one line of it for an error, the encodings of its files, and the
//! certificates and keys in them.

mod encoding;
pub mod pem;

pub use encoding::{NotText, decode};

/// Text of another party as it may be in an error: one line of at most `most` characters.
pub fn in_one_line(text: &str, most: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = text.chars().take(most).map(plain).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}
