//! Which database a URL of `[store]` names. The text is read here and nowhere else, so that the
//! configuration and the store cannot read it differently.

use std::path::{Path, PathBuf};

/// The place that a store's URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// `sqlite::memory:`: gone with the process.
    Memory,
    /// A file of SQLite.
    File(PathBuf),
    /// A database of PostgreSQL; its URL is the adapter's to read.
    Postgres,
}

/// Why a text is not a URL of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The fault.
    pub message: String,
    /// The text to write instead.
    pub hint: String,
}

const EXAMPLE: &str = "sqlite:/var/lib/prevalidate/prevalidate.db";

impl Named {
    /// Reads `sqlite:PATH`, `sqlite:///PATH` and `sqlite:////PATH` (as SQLAlchemy writes an absolute
    /// one), which are the same when PATH begins with a slash, and `postgres://…`.
    ///
    /// # Errors
    /// When it names no database.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        // The case of a scheme does not matter (RFC 3986, section 3.1).
        let (scheme, rest) = text.split_once(':').unwrap_or_default();
        let is = |name: &str| scheme.eq_ignore_ascii_case(name);
        if is("postgres") || is("postgresql") {
            return Ok(Self::Postgres);
        }
        let no = |message: &str, hint: String| {
            Err(Unreadable {
                message: message.to_owned(),
                hint,
            })
        };
        let example = || format!("write it as \"{EXAMPLE}\"");
        if let Some(extra) = named_driver(scheme, rest) {
            // The rest may hold a password.
            return no(
                "names a driver of another program",
                format!("write it without `{extra}`: \"postgres://…\""),
            );
        }
        if !is("sqlite") {
            return no(
                "must be sqlite: and the path of a file, without parameters, or postgres://…",
                example(),
            );
        }
        if rest == ":memory:" {
            return Ok(Self::Memory);
        }
        if let Some((path, _)) = rest.split_once(['?', '#']) {
            let path = without_file_scheme(path);
            return no(
                "must be sqlite: and the path of a file, without parameters",
                format!(
                    "write \"sqlite:{path}\": how the file is opened is not for the URL to say"
                ),
            );
        }
        let path = match rest.strip_prefix("//") {
            // Three slashes, or four, are an absolute path.
            Some(path) if path.starts_with('/') => format!("/{}", path.trim_start_matches('/')),
            Some(path) => path.to_owned(),
            None if rest.starts_with('/') => format!("/{}", rest.trim_start_matches('/')),
            None => rest.to_owned(),
        };
        match path.as_str() {
            "" | "/" => no("names no file", example()),
            ":memory:" | "/:memory:" => no(
                "names a file `:memory:`",
                "write \"sqlite::memory:\" for a store that is gone with the process".to_owned(),
            ),
            path if path.ends_with('/') => no(
                "names a folder, not a file",
                format!("name a file in it: \"sqlite:{path}prevalidate.db\""),
            ),
            path => match without_file_scheme(path) {
                bare if bare == path => Ok(Self::File(PathBuf::from(path))),
                bare if bare.is_empty() || bare == "/" => no("names no file", example()),
                bare => no(
                    "holds a URI of SQLite's own",
                    format!("write \"sqlite:{bare}\", without file:"),
                ),
            },
        }
    }

    /// The same, with a relative path taken from `folder`: a daemon and a shell are in different
    /// folders, and must not have two stores.
    pub fn in_folder(self, folder: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(folder.join(path)),
            other => other,
        }
    }
}

/// What is in a URL of PostgreSQL for another program: SQLAlchemy's `postgresql+psycopg://` and
/// Java's `jdbc:postgresql://`.
fn named_driver(scheme: &str, rest: &str) -> Option<String> {
    let is_postgres = |scheme: &str| {
        ["postgres", "postgresql"]
            .iter()
            .any(|name| scheme.eq_ignore_ascii_case(name))
    };
    if scheme.eq_ignore_ascii_case("jdbc") {
        let inner = rest.split_once(':').map(|(inner, _)| inner);
        return inner
            .filter(|inner| is_postgres(inner))
            .map(|_| "jdbc:".to_owned());
    }
    let (name, driver) = scheme.split_once('+')?;
    let is_plain = |c: char| c.is_ascii_alphanumeric();
    let is_driver = driver.len() <= 20 && driver.chars().all(is_plain);
    (is_postgres(name) && is_driver).then(|| format!("+{driver}"))
}

/// The path of a URI of SQLite's own, `file:PATH` or `file:///PATH`, also behind `//`; any other
/// text as it is.
fn without_file_scheme(text: &str) -> String {
    let uri = text.trim_start_matches('/');
    let scheme = uri.get(..5);
    if !scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:")) {
        return text.to_owned();
    }
    let path = &uri[5..];
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_absolute_path_is_absolute_however_many_slashes_there_are() {
        for text in [
            "sqlite:/var/lib/p/s.db",
            "sqlite:///var/lib/p/s.db",
            "sqlite:////var/lib/p/s.db",
            "sqlite://///var/lib/p/s.db",
        ] {
            let named = Named::read(text).unwrap();
            assert_eq!(named, Named::File("/var/lib/p/s.db".into()), "{text}");
            assert_eq!(named.clone().in_folder(Path::new("/etc")), named, "{text}");
        }
    }

    #[test]
    fn a_relative_path_is_taken_from_one_folder() {
        for text in ["sqlite:s.db", "sqlite://s.db"] {
            let named = Named::read(text).unwrap().in_folder(Path::new("/etc/p"));
            assert_eq!(named, Named::File("/etc/p/s.db".into()), "{text}");
        }
    }

    #[test]
    fn what_names_no_file_is_refused_with_what_to_write() {
        for (text, says) in [
            ("sqlite:", "prevalidate.db"),
            ("sqlite://", "prevalidate.db"),
            ("sqlite:///", "prevalidate.db"),
            ("sqlite:////", "prevalidate.db"),
            ("sqlite:/x.db?mode=rwc", "sqlite:/x.db"),
            ("sqlite:////x.db?mode=ro", "sqlite:////x.db"),
            ("sqlite:x.db#1", "sqlite:x.db"),
            ("sqlite:/var/lib/p/", "sqlite:/var/lib/p/prevalidate.db"),
            ("sqlite:///:memory:", "sqlite::memory:"),
            ("sqlite://:memory:", "sqlite::memory:"),
            ("sqlite+aiosqlite:///x.db", "prevalidate.db"),
            ("file:x.db", "prevalidate.db"),
            ("sqlite:file:/x.db", "\"sqlite:/x.db\""),
            ("sqlite:file:///x.db", "\"sqlite:/x.db\""),
            ("sqlite:FILE:x.db", "\"sqlite:x.db\""),
            ("sqlite://file:x.db", "\"sqlite:x.db\""),
            ("sqlite:file:x.db?mode=ro", "\"sqlite:x.db\""),
            ("sqlite:file:///x.db?mode=ro", "\"sqlite:/x.db\""),
            ("sqlite:///FILE:/x.db?cache=shared#1", "\"sqlite:/x.db\""),
            ("sqlite:file:", "prevalidate.db"),
            ("postgresql+psycopg2://u:p@db/x", "without `+psycopg2`"),
            ("Postgres+asyncpg://db/x", "without `+asyncpg`"),
            ("jdbc:postgresql://db/x?user=u", "without `jdbc:`"),
            ("jdbc:oracle:thin:@db", "prevalidate.db"),
            ("sqlite:file::memory:", "sqlite::memory:"),
            ("sqlite:file::memory:?cache=shared", "sqlite::memory:"),
            ("/var/lib/p/s.db", "prevalidate.db"),
            ("", "prevalidate.db"),
        ] {
            match Named::read(text) {
                Err(unreadable) => {
                    assert!(unreadable.hint.contains(says), "{text}: {unreadable:?}")
                }
                Ok(named) => panic!("{text}: {named:?}"),
            }
        }
        assert_eq!(Named::read("sqlite::memory:"), Ok(Named::Memory));
        assert_eq!(Named::read("SQLite::memory:"), Ok(Named::Memory));
        assert_eq!(Named::read("SQLite:/x"), Ok(Named::File("/x".into())));
        assert_eq!(Named::read("PostgreSQL://db/p"), Ok(Named::Postgres));
        assert_eq!(Named::read("postgresql://db/p"), Ok(Named::Postgres));
    }
}
