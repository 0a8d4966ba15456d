//! The messages, versions 1 and 2. Answers are read leniently: what we do not know is the program's own.

use serde::Serialize;
use serde_json::{Map, Value};

use super::answer::{Form, fields};

use crate::provider::{ErrorKind, ProviderError};
use crate::record::{TxtRecord, TxtRrset, Zone, is_within};

/// Of requests and answers: 2 has CNAME records.
pub(super) const VERSIONS: std::ops::RangeInclusive<u32> = 1..=2;
/// Changes of one call where a program names no number.
const BATCH: usize = 50;

/// An answer in the words of the protocol.
pub(super) trait Answer: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// The fault in the answer.
    fn of(answer: Value) -> Result<Self, String>;
}

/// The abilities of the program.
#[derive(Debug)]
pub(super) struct Capabilities {
    pub(super) protocol: u32,
    pub(super) rehearsal: bool,
    pub(super) batch: usize,
}

impl Answer for Capabilities {
    fn of(answer: Value) -> Result<Self, String> {
        let known = [
            ("protocol", Form::Whole),
            ("rehearsal", Form::Flag),
            ("batch", Form::Whole),
        ];
        let fields = fields(answer, &known)?;
        let protocol = whole(&fields, "protocol").ok_or("`protocol` is missing")?;
        let batch = whole(&fields, "batch").and_then(|most| usize::try_from(most).ok());
        Ok(Self {
            protocol,
            rehearsal: fields.get("rehearsal") == Some(&Value::Bool(true)),
            batch: batch.unwrap_or(BATCH),
        })
    }
}

/// A request: what belongs to the verb beside what all have.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a, T> {
    pub(super) protocol: u32,
    pub(super) verb: &'a str,
    #[serde(flatten)]
    pub(super) rest: &'a T,
}

/// The question of `inspect`.
#[derive(Debug, Serialize)]
pub(super) struct Names<'a> {
    pub(super) names: &'a [String],
}

/// The question of `add` and `remove`.
#[derive(Debug, Serialize)]
pub(super) struct Changes<'a> {
    pub(super) rehearsal: bool,
    pub(super) changes: Vec<Change<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Change<'a> {
    name: &'a str,
    zone: &'a str,
    zone_id: Option<&'a str>,
    ttl: u32,
    records: Vec<String>,
    values: Vec<String>,
    before: Vec<String>,
}

impl<'a> Change<'a> {
    /// `records` more or less than what `reading` has; a new RRset takes `new_ttl`.
    pub(super) fn new(reading: &'a Reading, records: &[TxtRecord], new_ttl: u32) -> Self {
        let TxtRrset {
            zone,
            owner,
            ttl,
            records: before,
            ..
        } = &reading.rrset;
        let shown = |records: &[TxtRecord]| records.iter().map(TxtRecord::presentation).collect();
        Self {
            name: owner,
            zone: &zone.apex,
            zone_id: zone.id.as_deref(),
            ttl: ttl.unwrap_or(new_ttl),
            records: shown(records),
            values: records
                .iter()
                .map(|record| String::from_utf8_lossy(&record.joined()).into_owned())
                .collect(),
            before: shown(before),
        }
    }
}

/// What `inspect` answers: entries, of which each is read by itself.
#[derive(Debug)]
pub(super) struct Inspected {
    names: Vec<Value>,
}

impl Answer for Inspected {
    fn of(answer: Value) -> Result<Self, String> {
        match fields(answer, &[])?.remove("names") {
            Some(Value::Array(names)) => Ok(Self { names }),
            Some(_) => Err("`names` must be a list of objects".to_owned()),
            None => Err("`names` is missing".to_owned()),
        }
    }
}

impl Inspected {
    /// The entries that tell of one of `asked`, each with its name; others are the program's own
    /// affair.
    pub(super) fn about(self, asked: &[String]) -> Vec<(String, Value)> {
        let about = |entry: Value| {
            let name = entry.get("name")?.as_str()?.to_owned();
            asked.contains(&name).then_some((name, entry))
        };
        self.names.into_iter().filter_map(about).collect()
    }
}

/// An entry of the answer to `inspect`.
#[derive(Debug)]
pub(super) struct Name {
    name: String,
    zone: Option<String>,
    zone_id: Option<String>,
    ttl: Option<u32>,
    records: Vec<String>,
    cname: Option<String>,
    serial: Option<u32>,
    negative_ttl: Option<u32>,
    name_servers: Vec<String>,
    error: Option<String>,
    message: Option<String>,
    hint: Option<String>,
}

/// One name as `inspect` showed it.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) rrset: TxtRrset,
    pub(super) serial: Option<u32>,
}

impl Name {
    const FIELDS: [(&str, Form); 11] = [
        ("zone", Form::Text),
        ("zone_id", Form::Text),
        ("ttl", Form::Whole),
        ("records", Form::Texts),
        ("cname", Form::Text),
        ("serial", Form::Whole),
        ("negative_ttl", Form::Whole),
        ("name_servers", Form::Texts),
        ("error", Form::Text),
        ("message", Form::Text),
        ("hint", Form::Text),
    ];

    /// Reads the entry for `name`.
    pub(super) fn read(name: &str, entry: Value) -> Result<Self, ProviderError> {
        let fields = fields(entry, &Self::FIELDS).map_err(|what| unreadable(name, &what))?;
        let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
        let texts = |key: &str| {
            let list = fields.get(key).and_then(Value::as_array);
            let texts = list.into_iter().flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        Ok(Self {
            name: name.to_owned(),
            zone: text("zone"),
            zone_id: text("zone_id"),
            ttl: whole(&fields, "ttl"),
            records: texts("records"),
            cname: text("cname"),
            serial: whole(&fields, "serial"),
            negative_ttl: whole(&fields, "negative_ttl"),
            name_servers: texts("name_servers"),
            error: text("error"),
            message: text("message"),
            hint: text("hint"),
        })
    }

    /// The answer for this name, or why it cannot be used.
    pub(super) fn reading(self) -> Result<Reading, ProviderError> {
        let owner = self.name;
        if let Some(error) = self.error {
            let kind = match error.as_str() {
                "unsafe" => ErrorKind::Unsafe,
                "no_zone" => ErrorKind::NoZone,
                "denied" => ErrorKind::Denied,
                "settings" => ErrorKind::Settings,
                _ => ErrorKind::Unavailable,
            };
            let message = self
                .message
                .unwrap_or_else(|| format!("the program says {error}"));
            let message = if message.contains(&owner) {
                message
            } else {
                format!("{owner}: {message}")
            };
            return Err(ProviderError {
                kind,
                message,
                hint: self.hint,
                retry_after: None,
            });
        }
        let unreadable = |what: String| {
            unreadable(&owner, &what)
                .with_hint("records are there as `dig +short` prints them, one text each")
        };
        let zone = self.zone.as_deref().map(plain).unwrap_or_default();
        if zone.is_empty() || !is_within(&owner, &zone) {
            return Err(unreadable(format!("it is not in the zone {zone:?}")));
        }
        let read = |text: &String| {
            TxtRecord::from_presentation(text).map_err(|fault| format!("{fault}, in {text}"))
        };
        let records = self
            .records
            .iter()
            .map(read)
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        let cname = self.cname.as_deref().map(plain);
        let ttl = self.ttl.filter(|_| !records.is_empty() || cname.is_some());
        if ttl.is_none() && !records.is_empty() {
            return Err(unreadable("there are records and no `ttl`".into()));
        }
        let name_servers = self.name_servers.iter().map(|name| plain(name)).collect();
        let zone = Zone {
            apex: zone,
            id: self.zone_id,
            name_servers,
        };
        let rrset = TxtRrset {
            zone,
            owner,
            ttl,
            records,
            cname,
            negative_ttl: self.negative_ttl,
        };
        Ok(Reading {
            rrset,
            serial: self.serial,
        })
    }
}

fn unreadable(name: &str, what: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Settings,
        format!("the program's answer for {name} cannot be used: {what}"),
    )
    .with_hint("run it by hand with the same verb and read its output")
}

fn whole(fields: &Map<String, Value>, key: &str) -> Option<u32> {
    let number = fields.get(key).and_then(Value::as_u64)?;
    u32::try_from(number).ok()
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
