//! Programs of the user's own: what no adapter here speaks, a program can. See [`Exec`] for what is
//! asked of it.
//!
//! [`protocol`] has the messages, [`program`] runs, [`change`] reads, changes and reads again,
//! [`alias`] does so for CNAME records, and [`undecided`] removes what no read shows.

mod alias;
mod answer;
mod change;
mod program;
mod protocol;
mod table;
mod undecided;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::{Mutex, OnceCell};

pub(crate) use table::KIND;

use crate::edit::in_order;
use crate::provider::{ErrorKind, Preflight, Provider, ProviderError};
use crate::record::{Receipt, Record, RecordKind, TxtRrset, Zone, txt_values};
use change::Verb;
use protocol::Capabilities;
use undecided::Undecided;

/// The settings of the adapter.
#[derive(Debug, Clone)]
pub struct ExecSettings {
    /// The program, absolute.
    pub program: PathBuf,
    /// All of its environment, beside `PATH`; every value is treated as a secret.
    pub environment: BTreeMap<String, SecretString>,
    /// Seconds, for an RRset that does not exist yet; an existing one keeps its own.
    pub ttl: u32,
    /// For one run of the program.
    pub timeout: Duration,
}

/// A provider that is a program.
///
/// # How it is run
///
/// With the verb as its only argument, a JSON object on standard input, and a JSON object expected
/// on standard output. Its environment is `PATH` and what the settings name, its directory `/`.
/// Standard error is for people: its last lines go into the error message. One run at a time. When
/// the time is over, when more than 1 MiB comes, or when we are stopped, its whole process group is
/// killed; so it must not hand its work to a process of another group.
///
/// Every request has `"protocol": 1` (see below) and the `verb`. Names are A-labels in lower case without a
/// trailing dot. Records are TXT data as `dig` prints them, one text each: `"\"v=spf1 -all\""`, in
/// the split they are stored in.
///
/// # Verbs
///
/// * `capabilities`, once per process: `{"protocol": 1, "rehearsal": true, "batch": 50}`.
///   `rehearsal`: the program understands it, see below; default false. `batch`: the most changes
///   of one call; default 50.
/// * `inspect`, `{"names": ["example.ch"]}`: how each name is now, read from where it is written
///   and from no cache: `{"names": [{"name", "zone", "ttl", "records": […]}]}`; `ttl` is `null` and
///   `records` empty where there is no TXT. `serial` (grows by one with each change of the zone)
///   tells damage from the change of another writer; `negative_ttl` (seconds), `zone_id` and
///   `name_servers` are welcome. A name that cannot take a value safely (alias, below a zone cut,
///   made up by a wildcard) has `"error": "unsafe"` and a `message` instead; one outside all zones
///   `"no_zone"`. More errors: `"denied"`, `"temporary"`.
/// * `add` and `remove`,
///   `{"changes": [{"name", "zone", "zone_id", "ttl", "records", "values", "before"}]}`, all of one
///   zone and done all or none, if the API can do so: add or remove exactly `records`; `values`
///   are the same joined, as text. `ttl` is that of the RRset; `before` are all its records as
///   `inspect` gave them: a program that can makes the change depend on them and exits 7 when they
///   are not these. With `"rehearsal": true` nothing is changed: prove that it could be. The answer
///   may be empty. Doing what is done already is success: a `remove` may name a record that
///   `inspect` does not show, because its addition may show later.
///
/// # Protocol 2
///
/// A program that answers `capabilities` with `"protocol": 2` writes CNAME records too; it is then
/// asked with `"protocol": 2`. `inspect` shows an alias as `"cname": "target.example"` with its
/// `ttl` and no `records`, not as an error. `add` and `remove` may have
/// `{"changes": [{"name", "zone", "zone_id", "ttl", "type": "CNAME", "target"}]}`, one change each:
/// add the CNAME only where nothing is, whatever its type (else exit 5), and remove it only with
/// exactly this target. A change without `type` is one of TXT, as in protocol 1.
///
/// # Exit status
///
/// | status | meaning | what follows |
/// |---|---|---|
/// | 0 | done | `inspect` must show it |
/// | 1 | something passing; nothing done, or not known | `inspect` tells; tried again later |
/// | 2 | the settings are wrong, nothing done | a person is needed |
/// | 3 | denied, nothing done | a person is needed |
/// | 4 | no such zone, nothing done | a person is needed |
/// | 5 | not safe, nothing done | a person is needed |
/// | 6 | it is not known whether it was done | `inspect` tells |
/// | 7 | the records are not `before`, nothing done | `inspect`, and again, at most 5 times |
/// | 126, 127, and no start at all | as 2 | |
/// | any other, a signal, no end in time | as 6; for a reading verb as 1 | |
#[derive(Debug)]
pub struct Exec {
    settings: ExecSettings,
    capabilities: OnceCell<Capabilities>,
    /// One run at a time: programs need not be prepared for more.
    turn: Mutex<()>,
    undecided: Undecided,
}

impl Exec {
    /// A provider that has not run its program yet.
    pub fn new(settings: ExecSettings) -> Self {
        Self {
            settings,
            capabilities: OnceCell::new(),
            turn: Mutex::default(),
            undecided: Undecided::default(),
        }
    }

    /// Both types in turn; results in the order of `records`.
    async fn change_records(
        &self,
        records: &[Record],
        verb: Verb,
    ) -> Vec<Result<Receipt, ProviderError>> {
        let txt = self.change(&txt_values(records), verb).await;
        let aliases = self.change_aliases(records, verb).await;
        let answers = in_order(records, txt, aliases);
        for (record, answer) in records.iter().zip(&answers) {
            self.undecided.learn(record, verb, answer);
        }
        answers
    }

    /// The version of the messages: the program's own once it has said it.
    fn version(&self) -> u32 {
        let said = self.capabilities.get();
        said.map_or(*protocol::VERSIONS.start(), |found| found.protocol)
    }

    async fn capabilities(&self) -> Result<&Capabilities, ProviderError> {
        self.capabilities
            .get_or_try_init(async || {
                let found: Capabilities = self
                    .ask("capabilities", &serde_json::json!({}), "its capabilities")
                    .await?;
                if protocol::VERSIONS.contains(&found.protocol) {
                    return Ok(found);
                }
                let (program, theirs) = (self.settings.program.display(), found.protocol);
                let text = format!(
                    "{program} speaks protocol {theirs}, and this program speaks {} and {}",
                    protocol::VERSIONS.start(),
                    protocol::VERSIONS.end()
                );
                Err(ProviderError::new(ErrorKind::Settings, text))
            })
            .await
    }
}

#[async_trait]
impl Provider for Exec {
    fn kind(&self) -> &'static str {
        "exec"
    }

    /// Which writes are undecided.
    fn memory(&self) -> Option<String> {
        Some(self.undecided.remembered())
    }

    fn recall(&self, memory: &str) {
        self.undecided.remember(memory);
    }

    async fn find_zone(&self, owner: &str) -> Result<Zone, ProviderError> {
        self.inspect(owner).await.map(|rrset| rrset.zone)
    }

    async fn inspect(&self, owner: &str) -> Result<TxtRrset, ProviderError> {
        let _turn = self.turn.lock().await;
        self.read_one(owner).await.map(|reading| reading.rrset)
    }

    async fn ensure_present(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.change_records(records, Verb::Add).await
    }

    async fn ensure_absent(&self, records: &[Record]) -> Vec<Result<Receipt, ProviderError>> {
        self.change_records(records, Verb::Remove).await
    }

    /// Reads the name, and has the program rehearse an addition where it can: what that proves is
    /// the program's own affair.
    async fn preflight(&self, owner: &str, kind: RecordKind) -> Result<Preflight, ProviderError> {
        let _turn = self.turn.lock().await;
        let (reading, rehearses) = match kind {
            RecordKind::Cname => self.rehearse_alias(owner).await?,
            RecordKind::Txt => {
                let rehearses = self.capabilities().await?.rehearsal;
                let reading = self.read_one(owner).await?;
                if rehearses {
                    self.rehearse(&reading).await?;
                }
                (reading, rehearses)
            }
        };
        let (program, zone) = (self.settings.program.display(), reading.rrset.zone.clone());
        if !rehearses {
            let evidence = format!("{program} reads {owner} in zone {}", zone.apex);
            let warnings = vec![format!(
                "{program} cannot rehearse: whether it may write is not known"
            )];
            return Ok(Preflight {
                zone,
                evidence,
                warnings,
            });
        }
        let evidence = format!(
            "{program} reads {owner} in zone {} and rehearsed a change of it",
            zone.apex
        );
        Ok(Preflight {
            zone,
            evidence,
            warnings: Vec::new(),
        })
    }
}
