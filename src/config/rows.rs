//! Sections that are tables of rows: a row is everything about one setting. It says the key, the
//! type, how the value is read and checked, and the default. `config show` and the hints for
//! unknown keys come from the same row.
//!
//! A new setting is a row here and a paragraph in `config/prevalidate.toml`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

use super::quantity::{Rate, show_duration};

/// Makes the struct of a section from its rows.
///
/// ```text
/// /// What the setting means.
/// key: Type = reader(range, default),
/// ```
///
/// `reader` is a method of [`Section`](super::tree::Section), and `Type` is what it returns. A
/// default may use the settings above it. The order is that of the reference file.
///
/// Keys that a function of the section reads are in brackets, at their place in that order. The
/// block `by hand` has the fields for them, and `read` takes their values.
macro_rules! settings {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $([$($first_key:literal),+],)?
            $(
                $(#[$doc:meta])*
                $key:ident: $type:ty = $reader:ident($($argument:expr),*),
                $([$($next_key:literal),+],)?
            )*
        }
        $(by hand {
            $($(#[$field_doc:meta])* $field:ident: $field_type:ty,)*
        })?
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $key: $type,)*
            $($($(#[$field_doc])* pub $field: $field_type,)*)?
        }

        impl $name {
            const KEYS: &'static [&'static str] = &[
                $($($first_key,)+)?
                $(stringify!($key), $($($next_key,)+)?)*
            ];

            fn read(
                section: &$crate::config::tree::Section<'_>,
                $($($field: $field_type,)*)?
            ) -> Self {
                $(let $key = section.$reader(stringify!($key), $($argument),*);)*
                Self { $($key,)* $($($field,)*)? }
            }

            /// The rows that have a value, each with its key, as they are in the file.
            pub(super) fn shown(&self) -> Vec<(&'static str, String)> {
                use $crate::config::rows::Shown as _;
                let rows = [$((stringify!($key), self.$key.shown())),*];
                rows.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
            }
        }
    };
}

pub(super) use settings;

/// A value as it is in the file; `None`: the key is left out.
pub(super) trait Shown {
    fn shown(&self) -> Option<String>;
}

impl Shown for bool {
    fn shown(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Shown for u32 {
    fn shown(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Shown for SignedDuration {
    fn shown(&self) -> Option<String> {
        Some(quote(&show_duration(*self)))
    }
}

impl Shown for Duration {
    fn shown(&self) -> Option<String> {
        let signed = SignedDuration::try_from(*self);
        signed.unwrap_or(SignedDuration::MAX).shown()
    }
}

impl Shown for Rate {
    fn shown(&self) -> Option<String> {
        Some(quote(&self.to_string()))
    }
}

impl Shown for Vec<SocketAddr> {
    fn shown(&self) -> Option<String> {
        Some(list(self.iter().map(ToString::to_string)))
    }
}

impl Shown for PathBuf {
    fn shown(&self) -> Option<String> {
        Some(quote(&self.to_string_lossy()))
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> Option<String> {
        self.as_ref()?.shown()
    }
}

/// A TOML basic string; JSON's escapes are among TOML's, only DEL must be escaped as well (TOML
/// 1.0, "String").
pub(super) fn quote(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    format!(
        "[{}]",
        items
            .map(|item| quote(&item))
            .collect::<Vec<_>>()
            .join(", ")
    )
}
