//! The store that a URL names, in whichever database, and in the ways that commands open it.

use std::sync::Arc;

use jiff::SignedDuration;
use prevalidate_kit::secret::SecretSource;
use secrecy::SecretString;
use tempfile::TempDir;

use super::{App, refused};
use crate::commands::{Exit, Failed};
use crate::output::{Output, moment};
use crate::store::postgres::PostgresStore;
use crate::store::sqlite::SqliteStore;
use crate::store::{Kind, Store, StoreError};
use crate::worker::Intake;

/// How far this machine's clock may be from the database's before nothing is decided by it (faults
/// T01).
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A store by its URL.
pub struct Named<'a> {
    pub url: &'a str,
    pub password: Option<&'a SecretSource>,
}

impl Named<'_> {
    /// Reads the URL and opens nothing; what may be better about it.
    pub fn check(&self) -> Result<Option<String>, StoreError> {
        if PostgresStore::is_named_by(self.url) {
            return PostgresStore::check(self.url);
        }
        SqliteStore::is_there(self.url).map(|_| None)
    }

    /// For messages; never a password.
    pub fn shown(&self) -> Result<String, StoreError> {
        if PostgresStore::is_named_by(self.url) {
            return PostgresStore::shown(self.url);
        }
        Ok(self.url.trim_start_matches("sqlite:").to_owned())
    }

    /// Opens it, making it when it is not there; `endpoint` binds it to one CA environment.
    pub async fn open(&self, endpoint: Option<&str>) -> Result<Arc<dyn Store>, Failed> {
        if PostgresStore::is_named_by(self.url) {
            return Ok(Arc::new(
                PostgresStore::open(self.url, self.secret()?.as_ref(), endpoint).await?,
            ));
        }
        Ok(Arc::new(SqliteStore::open(self.url, endpoint).await?))
    }

    /// Opens it for reading; `None` while there is none.
    pub async fn open_read_only(
        &self,
        endpoint: Option<&str>,
    ) -> Result<Option<Arc<dyn Store>>, Failed> {
        if PostgresStore::is_named_by(self.url) {
            let store =
                PostgresStore::open_read_only(self.url, self.secret()?.as_ref(), endpoint).await?;
            return Ok(store.map(|store| Arc::new(store) as Arc<dyn Store>));
        }
        let store = SqliteStore::open_read_only(self.url, endpoint).await?;
        Ok(store.map(|store| Arc::new(store) as Arc<dyn Store>))
    }

    /// Opens it to be copied, whichever version made it; a file of an older one by way of a copy,
    /// which is gone with the folder.
    pub async fn open_to_copy(&self) -> Result<Option<(Arc<dyn Store>, Option<TempDir>)>, Failed> {
        if PostgresStore::is_named_by(self.url) {
            let store = PostgresStore::open_to_copy(self.url, self.secret()?.as_ref()).await?;
            return Ok(store.map(|store| (Arc::new(store) as Arc<dyn Store>, None)));
        }
        if !SqliteStore::is_older(self.url).await? {
            return Ok(self.open_read_only(None).await?.map(|store| (store, None)));
        }
        let folder = temporary_folder()?;
        let file = folder.path().join("copy.db");
        let copy = SqliteStore::upgraded_copy(self.url, &file).await?;
        Ok(Some((Arc::new(copy), Some(folder))))
    }

    /// Whether an older program made it.
    pub async fn is_older(&self) -> Result<bool, Failed> {
        if PostgresStore::is_named_by(self.url) {
            return Ok(PostgresStore::is_older(self.url, self.secret()?.as_ref()).await?);
        }
        Ok(SqliteStore::is_older(self.url).await?)
    }

    pub async fn is_there(&self) -> Result<bool, Failed> {
        if PostgresStore::is_named_by(self.url) {
            return Ok(PostgresStore::is_there(self.url, self.secret()?.as_ref()).await?);
        }
        Ok(SqliteStore::is_there(self.url)?)
    }

    /// The password, read now.
    pub fn secret(&self) -> Result<Option<SecretString>, Failed> {
        let read = |source: &SecretSource| {
            source.read().map_err(|error| Failed {
                exit: Exit::Usage,
                message: format!("store.password: {error}"),
                hint: error.hint().map(str::to_owned),
            })
        };
        self.password.map(read).transpose()
    }
}

impl App {
    /// The store of `[store]`.
    pub fn named(&self) -> Named<'_> {
        Named {
            url: &self.settings.store_url,
            password: self.settings.store_password.as_ref(),
        }
    }

    /// Opens the store for reading; `None` while there is none.
    pub async fn store_if_there(&self) -> Result<Option<Arc<dyn Store>>, Failed> {
        self.named().open_read_only(Some(&self.fingerprint())).await
    }

    /// Opens the store for reading; while there is none, an empty one in memory.
    pub async fn store_read_only(&self) -> Result<Arc<dyn Store>, Failed> {
        match self.store_if_there().await? {
            Some(store) => Ok(store),
            None => memory().await,
        }
    }

    /// Opens the store for a command that only reads, and calls CAs while other processes may be at work: where
    /// calls of one address take turns, it is written for that, if it may be.
    pub async fn open_to_call(&self) -> Result<Arc<dyn Store>, Failed> {
        let named = self.named();
        let takes_turns = self
            .settings
            .cas
            .values()
            .any(|ca| ca.kind.address_pace.is_some());
        if takes_turns
            && named.is_there().await?
            && !named.is_older().await?
            && let Ok(store) = named.open(Some(&self.fingerprint())).await
        {
            return Ok(store);
        }
        self.store_read_only().await
    }

    /// A copy of the store, gone with the folder that comes with it, for what must change nothing. What
    /// was done long ago does not matter for what comes next, so a copy in memory leaves it behind: that
    /// of a server, and that of a file where there is no folder for temporary files.
    pub async fn store_copy(&self) -> Result<(Arc<dyn Store>, Option<TempDir>), Failed> {
        let folder = match PostgresStore::is_named_by(&self.settings.store_url) {
            true => None,
            false => temporary_folder().ok(),
        };
        let Some(folder) = folder else {
            let copy = memory().await?;
            if let Some(store) = self.store_if_there().await? {
                let kinds = Kind::ALL.into_iter().filter(|&kind| kind != Kind::History);
                copy.restore(&*store, &kinds.collect::<Vec<_>>(), &|_, _| {})
                    .await?;
            }
            return Ok((copy, None));
        };
        let Some(store) =
            SqliteStore::open_read_only(&self.settings.store_url, Some(&self.fingerprint()))
                .await?
        else {
            return Ok((self.store_read_only().await?, None));
        };
        let file = folder.path().join("copy.db");
        store.copy_to(&file).await?;
        store.close().await;
        Ok((
            Arc::new(SqliteStore::open(&format!("sqlite:{}", file.display()), None).await?),
            Some(folder),
        ))
    }

    /// The store for a command that begins something: made, and said so, when it is not there. A path
    /// that is mistyped makes a store that knows of no value in DNS.
    pub async fn open_or_make(
        &self,
        force: bool,
        output: &Output,
    ) -> Result<(Arc<dyn Store>, Intake), Failed> {
        let named = self.named();
        let is_new = !named.is_there().await?;
        let filled = self.filled(force).await?;
        if is_new {
            output.notice(&format!(
                "made a new store, {}: it knows of nothing that was done before",
                named.shown()?
            ));
        }
        Ok(filled)
    }

    /// The store for a process that runs for long: it compares the clocks itself, and brings the
    /// inventory in when they agree.
    pub async fn open_to_serve(&self) -> Result<Arc<dyn Store>, Failed> {
        let named = self.named();
        let is_new = !named.is_there().await?;
        let store = named.open(Some(&self.fingerprint())).await?;
        if is_new {
            tracing::warn!(store = %named.shown()?, "made a new store: it knows of nothing that was done before");
        }
        Ok(store)
    }

    /// The store for a command that acts on what is there.
    pub async fn open(&self) -> Result<(Arc<dyn Store>, Intake), Failed> {
        let named = self.named();
        if named.is_there().await? {
            return self.filled(false).await;
        }
        Err(Failed::new(
            Exit::Usage,
            format!("there is no store at {}", named.shown()?),
        )
        .with_hint("`prevalidate run` makes one; if it did already, correct `url` of [store]"))
    }

    /// The store for a listing of the CA that changes no inventory, and whether it is the one of the
    /// configuration. Where the store's inventory is another one, a copy with the configuration's;
    /// while there is no store, one in memory.
    pub async fn open_to_read(&self) -> Result<(Arc<dyn Store>, Option<TempDir>, bool), Failed> {
        if !self.named().is_there().await? {
            let store = memory().await?;
            self.pretend(&*store).await?;
            return Ok((store, None, true));
        }
        let store = self.open_as_it_is().await?;
        self.agree(&*store).await?;
        if !self.differs(&*store).await? {
            return Ok((store, None, true));
        }
        store.close().await;
        let (copy, folder) = self.store_copy().await?;
        self.pretend(&*copy).await?;
        Ok((copy, folder, false))
    }

    /// The store as it is; nothing of the configuration is taken in.
    pub async fn open_as_it_is(&self) -> Result<Arc<dyn Store>, Failed> {
        self.named().open(Some(&self.fingerprint())).await
    }

    /// The store with the configuration's inventory in it, and what of that waits for its client to be
    /// found. Nothing is written when the inventory became so different that a person must decide first
    /// (faults G01), unless `force`; and nothing at all while the clocks disagree.
    async fn filled(&self, force: bool) -> Result<(Arc<dyn Store>, Intake), Failed> {
        let store = self.named().open(Some(&self.fingerprint())).await?;
        self.agree(&*store).await?;
        let intake = Intake::default();
        match self.sync(&*store, &intake, force).await? {
            Some(alarm) => Err(refused(&alarm)),
            None => Ok((store, intake)),
        }
    }

    /// By a clock that is a year ahead every proof has ended; by one that is a year behind none ever
    /// does.
    async fn agree(&self, store: &dyn Store) -> Result<(), Failed> {
        let Some(theirs) = store.clock().await? else {
            return Ok(());
        };
        let ours = self.now();
        if ours.duration_since(theirs).abs() <= SKEW {
            return Ok(());
        }
        let message = format!(
            "this machine's clock shows {}, and the database's {}; nothing was done",
            moment(ours),
            moment(theirs)
        );
        Err(Failed::new(Exit::Temporary, message)
            .with_hint("set both by NTP; `timedatectl` shows how this one is set"))
    }
}

/// An empty store that is gone with the process.
pub async fn memory() -> Result<Arc<dyn Store>, Failed> {
    Ok(Arc::new(SqliteStore::open("sqlite::memory:", None).await?))
}

fn temporary_folder() -> Result<TempDir, Failed> {
    let folder = tempfile::Builder::new()
        .prefix("prevalidate-plan-")
        .tempdir();
    folder.map_err(|error| {
        Failed::new(
            Exit::Temporary,
            format!("cannot make a temporary folder: {error}"),
        )
    })
}
