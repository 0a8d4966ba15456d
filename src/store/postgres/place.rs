//! Where the database is and how it is reached: the URL as users of libpq write it, and what of it
//! would not mean here what it means there.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::str::FromStr as _;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use crate::store::StoreError;

/// The parameters of a URL that are understood; of `options[KEY]` any.
const PARAMETERS: [&str; 12] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "application_name",
    "options",
    PLAINTEXT,
];

/// Ours, not libpq's: `yes` where a person answers for the way to a database elsewhere, such as a
/// tunnel, and no TLS is wanted.
const PLAINTEXT: &str = "allow_plaintext";

/// One database, and our role in it.
#[derive(Clone)]
pub(super) struct Place {
    pub options: PgConnectOptions,
    shown: String,
}

impl Place {
    /// Reads `postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full`. What it leaves open comes
    /// from the environment (`PGHOST`, `PGSSLMODE`, …); the password from `password`, else
    /// `PGPASSWORD`, else the file of passwords (`~/.pgpass`).
    pub(super) fn parse(url: &str, password: Option<&SecretString>) -> Result<Self, StoreError> {
        let parsed = Url::parse(url)
            .map_err(|error| unfit(format!("the store's URL cannot be read: {error}"), FORM))?;
        if !["postgres", "postgresql"].contains(&parsed.scheme()) {
            return Err(unfit(
                format!("`{}:` names no PostgreSQL database", parsed.scheme()),
                FORM,
            ));
        }
        if parsed.password().is_some() || parsed.query_pairs().any(|(key, _)| key == "password") {
            return Err(unfit(
                "the store's URL holds a password".to_owned(),
                PASSWORD,
            ));
        }
        let known = |key: &str| {
            PARAMETERS.contains(&key) || key.starts_with("options[") && key.ends_with(']')
        };
        if let Some((key, _)) = parsed.query_pairs().find(|(key, _)| !known(key)) {
            let message = format!(
                "the store's URL has the parameter `{}`, which is not known here",
                key.escape_debug()
            );
            return Err(unfit(
                message,
                &format!("known are {}", PARAMETERS.join(", ")),
            ));
        }
        check_tls(&parsed)?;
        let mut options = PgConnectOptions::from_str(without_ours(&parsed).as_str())
            .map_err(|error| unfit(format!("the store's URL cannot be read: {error}"), FORM))?
            // A pooler hands every transaction to another session: none may count on what an
            // earlier one prepared (faults B09).
            .statement_cache_capacity(0)
            // PgBouncer refuses a session that asks for it, and no number here is a fraction.
            .extra_float_digits(None);
        let host = options.get_host().to_owned();
        if options.get_socket().is_none() && host.contains(',') {
            let message = format!("the store's URL names several hosts, `{host}`");
            let hint = "name one; of a name with several addresses each is tried";
            return Err(unfit(message, hint));
        }
        // With the brackets of its URL no host of IPv6 is found.
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(bare) = bare {
            options = options.host(bare);
        }
        if is_elsewhere(&options) {
            options = secured(options, &parsed)?;
        }
        if options.get_application_name().is_none() {
            options = options.application_name("prevalidate");
        }
        if let Some(password) = password {
            options = options.password(password.expose_secret());
        }
        let database = options
            .get_database()
            .unwrap_or_else(|| options.get_username());
        let host = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{host}:{}", options.get_port()),
        };
        let shown = format!("the PostgreSQL database `{database}` at {host}");
        Ok(Self { options, shown })
    }

    /// As [`parse`](Self::parse), for a caller that is about to connect.
    pub(super) fn to_connect(
        url: &str,
        password: Option<&SecretString>,
    ) -> Result<Self, StoreError> {
        let place = Self::parse(url, password)?;
        Url::parse(url)
            .map_or(Ok(()), |url| check_files(&url))
            .map(|()| place)
    }

    /// What may be better about a URL that is good enough.
    pub(super) fn doubt(&self, url: &str) -> Option<String> {
        let mode = given(&Url::parse(url).ok()?, "sslmode", "PGSSLMODE");
        (is_elsewhere(&self.options) && mode.as_deref() == Some("require")).then(|| {
            "sslmode=require encrypts and does not check which server answers: a machine in between may \
             be the database; sslmode=verify-full checks it"
                .to_owned()
        })
    }

    /// For messages.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

const FORM: &str =
    "write it as `postgres://prevalidate@db.example.com/prevalidate?sslmode=verify-full`";
const PASSWORD: &str =
    "leave it out and set `password` of [store], or PGPASSWORD, or a line in ~/.pgpass (mode 0600)";

/// The modes that mean what they say. sqlx trusts the roots of the web beside `sslrootcert`, so
/// with `verify-ca` every server with a certificate of the web could be the database; it reads
/// `allow` as `disable`; and it does not read `sslrootcert` with `require`, where libpq does
/// (<https://www.postgresql.org/docs/current/libpq-ssl.html>, table 34.1).
fn check_tls(url: &Url) -> Result<(), StoreError> {
    let mode = given(url, "sslmode", "PGSSLMODE");
    let refused = |why: &str| {
        let mode = mode.as_deref().unwrap_or_default().escape_debug();
        Err(unfit(
            format!("sslmode={mode} (of the URL or PGSSLMODE) {why}"),
            "take sslmode=verify-full",
        ))
    };
    match mode.as_deref().unwrap_or("prefer") {
        "disable" | "prefer" | "verify-full" => Ok(()),
        "require" if given(url, "sslrootcert", "PGSSLROOTCERT").is_none() => Ok(()),
        "require" => refused("does not check the certificate, and yet sslrootcert names a root"),
        "verify-ca" => {
            refused("does not compare the host's name, so any certificate of the web would do")
        }
        "allow" => refused("would never encrypt"),
        _ => refused("is none of disable, prefer, require and verify-full"),
    }
}

/// Whether the way to the database leaves this machine.
fn is_elsewhere(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let is_loopback = host
        .parse::<IpAddr>()
        .map_or(host == "localhost", |address| address.is_loopback());
    options.get_socket().is_none() && !host.starts_with('/') && !is_loopback
}

/// A password, and all that is stored, goes over foreign networks only by TLS with a certificate
/// that was verified, unless a person says that the way itself is safe.
fn secured(options: PgConnectOptions, url: &Url) -> Result<PgConnectOptions, StoreError> {
    let allowed = url
        .query_pairs()
        .any(|(key, value)| key == PLAINTEXT && value == "yes");
    match given(url, "sslmode", "PGSSLMODE").as_deref() {
        None => Ok(options.ssl_mode(PgSslMode::VerifyFull)),
        Some(mode @ ("disable" | "prefer")) if !allowed => Err(unfit(
            format!(
                "sslmode={mode} (of the URL or PGSSLMODE) to a database on another machine: a machine in between can read the password"
            ),
            "take sslmode=verify-full, with sslrootcert=FILE for a CA of your own; where the way itself is protected, such as by a \
             tunnel, add allow_plaintext=yes to the URL",
        )),
        Some(_) => Ok(options),
    }
}

/// The URL as the library reads it.
fn without_ours(url: &Url) -> Url {
    let mut plain = url.clone();
    if url.query_pairs().any(|(key, _)| key == PLAINTEXT) {
        let rest: Vec<_> = url
            .query_pairs()
            .filter(|(key, _)| key != PLAINTEXT)
            .collect();
        plain.set_query(None);
        if !rest.is_empty() {
            plain.query_pairs_mut().extend_pairs(rest);
        }
    }
    plain
}

/// A parameter of the URL, else of the environment.
fn given(url: &Url, key: &str, variable: &str) -> Option<String> {
    let parameter = url
        .query_pairs()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value.into_owned());
    parameter
        .or_else(|| std::env::var(variable).ok())
        .filter(|value| !value.is_empty())
}

/// As much is read of a file of certificates or of a key.
const LARGEST: u64 = 1024 * 1024;

/// Certificates that are not there: the library would say no name, and wait for them as for a
/// server that restarts.
fn check_files(url: &Url) -> Result<(), StoreError> {
    let mode = given(url, "sslmode", "PGSSLMODE");
    if mode.as_deref() == Some("disable") {
        return Ok(());
    }
    for (key, variable) in [
        ("sslrootcert", "PGSSLROOTCERT"),
        ("sslcert", "PGSSLCERT"),
        ("sslkey", "PGSSLKEY"),
    ] {
        let Some(path) = given(url, key, variable) else {
            continue;
        };
        let what = format!(
            "{key} (of the store's URL or {variable}): {}",
            path.escape_debug()
        );
        // The library would wait for a writer of a pipe, whatever the mode.
        let kind = std::fs::metadata(&path).map(|found| found.file_type());
        // `/dev/null` is how the tools of PostgreSQL name no file.
        if kind.is_ok_and(|kind| !kind.is_file() && !kind.is_char_device()) {
            return Err(unfit(
                format!("{what} is not a regular file"),
                "name a file in PEM form",
            ));
        }
        if mode.is_none() {
            continue;
        }
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(LARGEST).read_to_end(&mut text));
        let text = read.map(|_| text);
        let text = text.map_err(|error| {
            unfit(
                format!("{what} cannot be read: {error}"),
                "name a file in PEM form",
            )
        })?;
        if !text.windows(11).any(|part| part == b"-----BEGIN ") {
            return Err(unfit(
                format!("{what} holds nothing in PEM form"),
                "name a file in PEM form",
            ));
        }
    }
    Ok(())
}

fn unfit(message: String, hint: &str) -> StoreError {
    StoreError::Unfit {
        message,
        hint: hint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn message(url: &str) -> String {
        match Place::parse(url, None) {
            Err(StoreError::Unfit { message, hint }) => format!("{message}; {hint}"),
            other => panic!("{url}: {other:?}"),
        }
    }

    /// RFC 3986, section 3.1.
    #[test]
    fn the_case_of_the_scheme_does_not_matter() {
        for url in ["POSTGRES://me@[::1]/pv", "PostgreSQL://me@[::1]/pv"] {
            assert!(
                crate::store::postgres::PostgresStore::is_named_by(url),
                "{url}"
            );
            let place = Place::parse(url, None).unwrap();
            assert_eq!(place.shown(), "the PostgreSQL database `pv` at [::1]:5432");
        }
    }

    #[test]
    fn a_url_says_where_and_shows_no_secret() {
        let password = SecretString::from("canary-of-the-password");
        let place = Place::parse(
            "postgresql://me@db.example:6432/pv?sslmode=verify-full&options[search_path]=pv",
            Some(&password),
        )
        .unwrap();
        assert_eq!(
            place.shown(),
            "the PostgreSQL database `pv` at db.example:6432"
        );
        assert!(!format!("{place:?}").contains("canary"));
        let socket = Place::parse("postgres:///pv?host=/run/postgresql&user=me", None).unwrap();
        assert_eq!(
            socket.shown(),
            "the PostgreSQL database `pv` at /run/postgresql"
        );
    }

    #[test]
    fn an_address_of_ipv6_is_one_host_and_a_list_of_hosts_is_refused() {
        let place = Place::parse("postgres://u@[::1]:5599/pv", None).unwrap();
        assert_eq!(place.options.get_host(), "::1");
        assert_eq!(place.shown(), "the PostgreSQL database `pv` at [::1]:5599");
        let message = message("postgres://u@127.0.0.2,127.0.0.1:5599/pv");
        assert!(message.contains("several hosts"), "{message}");
    }

    #[test]
    fn a_password_in_the_url_is_refused_unseen() {
        for url in [
            "postgres://me:canary@db/pv",
            "postgres://me@db/pv?password=canary",
        ] {
            let message = message(url);
            assert!(
                message.contains("holds a password") && !message.contains("canary"),
                "{message}"
            );
        }
    }

    #[test]
    fn what_would_mean_less_than_it_says_is_refused() {
        assert!(
            message("postgres://db/pv?sslmode=verify-ca").contains("any certificate of the web")
        );
        assert!(message("postgres://db/pv?sslmode=allow").contains("never encrypt"));
        assert!(
            message("postgres://db/pv?sslmode=require&sslrootcert=/etc/ca.pem")
                .contains("names a root")
        );
        assert!(message("postgres://db/pv?sslmode=verify_full").contains("is none of"));
        assert!(message("postgres://db/pv?connect_timeout=3").contains("`connect_timeout`"));
        assert!(message("mysql://db/pv").contains("no PostgreSQL"));
        let connecting = |url: &str| match Place::to_connect(url, None) {
            Err(StoreError::Unfit { message, .. }) => message,
            other => panic!("{url}: {other:?}"),
        };
        let missing =
            connecting("postgres://db/pv?sslmode=verify-full&sslrootcert=/nowhere/root.pem");
        assert!(
            missing.contains("sslrootcert") && missing.contains("/nowhere/root.pem cannot be read"),
            "{missing}"
        );
        let empty = connecting("postgres://db/pv?sslmode=verify-full&sslrootcert=/dev/null");
        assert!(empty.contains("/dev/null holds nothing"), "{empty}");
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
        let pipe = pipe.display();
        for place in [
            format!("sslmode=verify-full&sslrootcert={pipe}"),
            format!("sslmode=verify-full&sslcert={pipe}"),
            format!("sslkey={pipe}"),
        ] {
            let told = connecting(&format!("postgres://db/pv?{place}"));
            assert!(told.contains("pipe is not a regular file"), "{told}");
        }
        for mode in [
            "disable&allow_plaintext=yes",
            "prefer&allow_plaintext=yes",
            "require",
            "verify-full&sslrootcert=/etc/ca.pem",
        ] {
            Place::parse(&format!("postgres://db/pv?sslmode={mode}"), None).unwrap();
        }
    }

    #[test]
    fn the_way_to_another_machine_is_by_tls_unless_a_person_answers_for_it() {
        for mode in ["disable", "prefer", "prefer&allow_plaintext=no"] {
            for host in ["db.example.com", "10.0.0.5", "[2001:db8::5]"] {
                let message = message(&format!("postgres://u@{host}/pv?sslmode={mode}"));
                assert!(
                    message.contains("another machine")
                        && message.contains("verify-full")
                        && message.contains("allow_plaintext=yes"),
                    "{host} {mode}: {message}"
                );
            }
        }
        let mode = |url: &str| {
            let place = Place::parse(url, None).unwrap();
            format!("{:?}", place.options.get_ssl_mode())
        };
        assert_eq!(mode("postgres://u@db.example.com/pv"), "VerifyFull");
        for here in [
            "postgres://u@localhost/pv",
            "postgres://u@127.0.0.9/pv",
            "postgres://u@[::1]/pv",
            "postgres:///pv?host=/run/postgresql",
        ] {
            assert_eq!(mode(here), "Prefer", "{here}");
            Place::parse(
                &format!(
                    "{here}{}sslmode=disable",
                    if here.contains('?') { "&" } else { "?" }
                ),
                None,
            )
            .unwrap();
        }
        let doubt = |url: &str| Place::parse(url, None).unwrap().doubt(url);
        assert!(doubt("postgres://u@db.example.com/pv?sslmode=require").is_some());
        assert!(doubt("postgres://u@127.0.0.1/pv?sslmode=require").is_none());
        assert!(doubt("postgres://u@db.example.com/pv").is_none());
    }
}
