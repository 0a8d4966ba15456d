//! A bar that people see while they wait.

use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar, or nothing without a terminal; it goes away when it is dropped.
#[derive(Debug)]
pub struct Progress<'a> {
    bar: Option<ProgressBar>,
    shown: &'a Mutex<Option<ProgressBar>>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(bar: Option<ProgressBar>, shown: &'a Mutex<Option<ProgressBar>>) -> Self {
        Self { bar, shown }
    }

    /// How many are done, of all.
    pub fn done(&self, count: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(count);
        }
    }

    /// The present work.
    pub fn say(&self, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(super::escape(message).into_owned());
        }
    }

    /// Whether there is a bar.
    pub fn is_visible(&self) -> bool {
        self.bar.is_some()
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

/// A bar on standard error.
pub(super) fn bar(len: u64, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}");
    ProgressBar::new(len)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_prefix(what.to_owned())
}
