//! The viewer of a page.

use maud::{Markup, html};

use crate::server::access::{Identity, Role};

/// The viewer of a page, with at least the right to read.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) identity: Identity,
    /// The word that forms of this session repeat; `None` without a session.
    pub(super) word: Option<String>,
}

impl Visitor {
    pub(super) fn name(&self) -> Option<&str> {
        self.identity.name.as_deref()
    }

    pub(super) fn role(&self) -> Role {
        self.identity.role
    }

    pub(super) fn word(&self) -> Option<&str> {
        self.word.as_deref()
    }

    /// The word for forms that order something, where the visitor may.
    pub(super) fn order_word(&self) -> Option<&str> {
        self.word().filter(|_| self.role().includes(Role::Operate))
    }
}

/// The hidden field of a form.
pub(super) fn word_field(word: &str) -> Markup {
    html! { input type="hidden" name="word" value=(word); }
}
