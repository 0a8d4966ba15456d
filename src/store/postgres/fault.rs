//! What PostgreSQL says, in the store's words, with the place; and what may be tried again.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::place::Place;
use crate::store::StoreError;

/// Within the module: what went wrong, before the place is added.
#[derive(Debug)]
pub(super) enum Fault {
    /// PostgreSQL's, the pool's or the network's answer.
    Sql(sqlx::Error),
    /// No answer in time.
    Silent,
    /// No address of the host takes a connection: each with its reason.
    Unreached(String),
    /// The answer to a COMMIT was lost, and its outcome could not be found out; the last try to
    /// ask.
    Unsettled(Box<Fault>),
    /// The answer to a COMMIT was lost, and nothing was stored.
    RolledBack,
    /// Already in the store's words.
    Store(StoreError),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    /// Another transaction was in the way: serialization failure, deadlock, lock timeout. The same
    /// again may succeed.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::RolledBack)
            || self
                .code()
                .is_some_and(|code| ["40001", "40P01", "55P03"].contains(&code))
    }

    /// The way to the server broke, or the server is not ready; the statement itself was not
    /// refused.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Silent | Self::Unreached(_) => true,
            Self::Sql(sqlx::Error::Database(_)) => self.database().is_some_and(|error| {
                let code = error.code();
                // A server that has become a standby (25006) stays one for this connection.
                error.severity() != PgSeverity::Error
                    || code.starts_with("08")
                    || code.starts_with("57P")
                    || code == "25006"
            }),
            Self::Sql(
                sqlx::Error::Io(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::BeginFailed,
            ) => true,
            _ => false,
        }
    }

    /// Whether waiting a little may help: not for a password that is wrong, nor for a server that
    /// only reads.
    pub(super) fn may_pass(&self) -> bool {
        let hopeless = |code: &str| {
            code.starts_with("28") || ["3D000", "42501", "25006", "0A000"].contains(&code)
        };
        (self.is_conflict() || self.is_lost()) && !self.code().is_some_and(hopeless)
    }

    /// What rustls refuses comes as data that is not valid.
    fn is_of_tls(&self) -> bool {
        match self {
            Self::Sql(sqlx::Error::Tls(_)) => true,
            Self::Sql(sqlx::Error::Io(error)) => error.kind() == std::io::ErrorKind::InvalidData,
            _ => false,
        }
    }

    fn database(&self) -> Option<&PgDatabaseError> {
        let Self::Sql(sqlx::Error::Database(error)) = self else {
            return None;
        };
        error.try_downcast_ref()
    }

    /// SQLSTATE, <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    fn code(&self) -> Option<&str> {
        self.database().map(PgDatabaseError::code)
    }

    pub(super) fn at(self, place: &Place) -> StoreError {
        let shown = place.shown();
        let advice = match self.code().unwrap_or_default() {
            code if code.starts_with("28") => Err(
                "check `password` of [store], PGPASSWORD or ~/.pgpass, and the server's pg_hba.conf",
            ),
            "3D000" => Err("make it first: createdb --owner=ROLE NAME"),
            "42501" => Err(
                "give prevalidate a schema of its own: CREATE SCHEMA prevalidate AUTHORIZATION ROLE; \
                            ALTER ROLE ROLE SET search_path = prevalidate",
            ),
            "42P01" | "42703" | "3F000" => {
                Err("is it prevalidate's database, and the same search_path as before?")
            }
            "53100" => Ok("free some space; nothing was started that is not stored"),
            "53300" => {
                Ok("it has too many connections; raise max_connections, or put a pooler before it")
            }
            "25006" | "0A000" => Ok("this server only reads; connect to the primary"),
            "57014" => Ok("the statement took too long; try again when the server has less to do"),
            code if code.starts_with("XX") => {
                return StoreError::Corrupt(format!(
                    "{shown}: {}; stop every prevalidate and read the server's log before anything else",
                    self.said()
                ));
            }
            _ if matches!(self, Self::Unsettled(_)) => {
                Ok("nothing is repeated; the next listing finds out what is true")
            }
            _ if self.is_lost() || self.is_conflict() => {
                Ok("try again; what was not stored was not begun")
            }
            _ => Ok("see the server's log"),
        };
        match (self, advice) {
            (Self::Store(error), _) => error,
            (fault, Err(hint)) => {
                StoreError::Unfit { message: format!("{shown}: {}", fault.said()), hint: hint.to_owned() }
            }
            (fault, _) if fault.is_of_tls() => StoreError::Unfit {
                message: format!("{shown}: {}", fault.said()),
                hint: "check sslmode and sslrootcert in `url` of [store]: a certificate of a CA of your own needs sslrootcert=FILE"
                    .to_owned(),
            },
            (fault, Ok(advice)) => StoreError::Unavailable { message: format!("{shown}: {} ({advice})", fault.said()) },
        }
    }

    fn said(&self) -> String {
        match self {
            Self::Sql(sqlx::Error::PoolTimedOut) => "no connection in time".to_owned(),
            Self::Sql(error) => {
                let detail = self.database().and_then(PgDatabaseError::detail);
                detail.map_or_else(|| error.to_string(), |detail| format!("{error}: {detail}"))
            }
            Self::Silent => "no answer in time".to_owned(),
            Self::Unreached(why) => why.clone(),
            Self::Unsettled(last) => format!(
                "the connection broke while a change was being stored, and whether it was could not be found out: {}",
                last.said()
            ),
            Self::RolledBack => {
                "the connection broke while a change was being stored, and it was not".to_owned()
            }
            Self::Store(error) => error.to_string(),
        }
    }
}
