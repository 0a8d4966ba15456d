//! What SQLite says, in the store's words, with the path.

use sqlx::error::DatabaseError as _;
use sqlx::sqlite::SqliteError;

use super::place::Place;
use crate::store::StoreError;

/// Within the module: what went wrong, before the path is added.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite's or the pool's answer.
    Sql(sqlx::Error),
    /// No answer in this time.
    Silent(std::time::Duration),
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

// Primary result codes, https://sqlite.org/rescode.html
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READ_ONLY: i32 = 8;
const IO: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANNOT_OPEN: i32 = 14;
const NOT_A_DATABASE: i32 = 26;

impl Fault {
    /// Another connection holds the lock: the same again may succeed.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.code(), Some(BUSY | LOCKED))
    }

    pub(super) fn at(self, place: &Place) -> StoreError {
        let code = self.code();
        let error = match self {
            Self::Store(error) => return error,
            Self::Silent(waited) => {
                return StoreError::Unavailable {
                    message: format!(
                        "{}: nothing could be written within {} s; another process holds the lock, \
                         or the disk does not answer",
                        place.shown(),
                        waited.as_secs()
                    ),
                };
            }
            Self::Sql(error) => error,
        };
        let path = place.shown();
        match code {
            Some(CORRUPT) => StoreError::Corrupt(format!(
                "{path}: {error}; stop every prevalidate, keep the file and its -wal aside, and restore a backup or start with an \
                 empty store: the inventory comes from the configuration and the proofs from the CA"
            )),
            Some(NOT_A_DATABASE) => StoreError::Unfit {
                message: format!("{path} is no SQLite database"),
                hint: "name another file, or move this one away".to_owned(),
            },
            _ => {
                let advice = match code {
                    Some(BUSY | LOCKED) => "another process held the lock all the time; try again",
                    Some(READ_ONLY) => {
                        "nothing can be written there; check its owner, its mode and the mount"
                    }
                    Some(FULL) => "free some space; nothing was started that is not stored",
                    Some(CANNOT_OPEN) => {
                        "check that the user of this process owns the file and its directory"
                    }
                    Some(IO) => "the disk refuses; the kernel's log (`dmesg`) says why",
                    _ => "nothing was started that is not stored",
                };
                StoreError::Unavailable {
                    message: format!("{path}: {error} ({advice})"),
                }
            }
        }
    }

    fn code(&self) -> Option<i32> {
        let Self::Sql(sqlx::Error::Database(error)) = self else {
            return None;
        };
        let extended: i32 = error
            .try_downcast_ref::<SqliteError>()?
            .code()?
            .parse()
            .ok()?;
        Some(extended & 0xff)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sqlx::Connection as _;

    use super::*;

    #[tokio::test]
    async fn a_full_disk_is_unavailable_and_says_where() {
        let mut db = sqlx::SqliteConnection::connect("sqlite::memory:")
            .await
            .unwrap();
        let filled = sqlx::raw_sql(
            "CREATE TABLE t (x); PRAGMA max_page_count = 4; INSERT INTO t VALUES (zeroblob(99999))",
        );
        let fault = Fault::from(filled.execute(&mut db).await.unwrap_err());
        assert!(!fault.is_busy());
        let StoreError::Unavailable { message } = fault.at(&Place::File("/var/lib/p/s.db".into()))
        else {
            panic!()
        };
        assert!(
            message.starts_with("/var/lib/p/s.db: ") && message.contains("free some space"),
            "{message}"
        );
    }
}
