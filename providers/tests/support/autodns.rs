//! AutoDNS' JSON API, as far as TXT records need it, and as strict: credentials with context, a
//! `User-Agent`, unknown fields, records that are there already or not there, German messages. A
//! whole zone may be read and never be written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::web::{Call, Fault, Web, bare, unknown_keys};

const BASE: &str = "/v1";
const SERVER: &str = "a.ns14.test";

/// What the API makes of a name with a dot at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// An absolute name.
    Absolute,
    /// A relative one with a dot too many.
    Relative,
}

/// The zones and the serial that a lagging list shows, and for how many more reads.
type Lag = (BTreeMap<(String, String), Vec<Value>>, u32, usize);

#[derive(Default)]
struct Inside {
    users: BTreeMap<String, (String, String)>,
    names: Option<Names>,
    /// By name and name server.
    zones: BTreeMap<(String, String), Vec<Value>>,
    serial: u32,
    /// What reads of a zone show, its serial then, and for how many more of them.
    lag: Option<Lag>,
}

pub struct FakeAutodns {
    pub web: Web,
    inside: Arc<Mutex<Inside>>,
}

impl FakeAutodns {
    pub async fn start() -> Self {
        let inside: Arc<Mutex<Inside>> = Arc::default();
        let state = Arc::clone(&inside);
        let web = Web::start(BASE, move |call| {
            let mut inside = state.lock().unwrap();
            inside.answer(call).unwrap_or_else(|refused| refused)
        })
        .await;
        Self { web, inside }
    }

    pub fn url(&self) -> String {
        format!("http://{}{BASE}", self.web.address())
    }

    pub fn user(&self, name: &str, password: &str, context: u32) {
        self.inside()
            .users
            .insert(name.into(), (password.into(), context.to_string()));
    }

    pub fn zone(&self, name: &str) {
        self.zone_on(name, SERVER);
    }

    pub fn zone_on(&self, name: &str, server: &str) {
        self.inside()
            .zones
            .insert((name.into(), server.into()), Vec::new());
    }

    pub fn names(&self, names: Names) {
        self.inside().names = Some(names);
    }

    /// A record that is there; its name relative to the zone, without TTL when it is 0.
    pub fn put(&self, zone: &str, name: &str, kind: &str, ttl: u64, value: &str) {
        let mut record = json!({ "name": name, "type": kind, "value": value });
        if ttl > 0 {
            record["ttl"] = json!(ttl);
        }
        let mut inside = self.inside();
        inside.serial += 1;
        inside
            .zones
            .get_mut(&(zone.into(), SERVER.into()))
            .unwrap()
            .push(record);
    }

    /// A person sets the TTL of all TXT records of a name.
    pub fn set_ttl(&self, zone: &str, name: &str, ttl: u64) {
        let mut inside = self.inside();
        let records = inside.zones.get_mut(&(zone.into(), SERVER.into())).unwrap();
        records
            .iter_mut()
            .filter(|record| record["name"] == name && record["type"] == "TXT")
            .for_each(|record| record["ttl"] = json!(ttl));
    }

    /// A person deletes a record.
    pub fn take(&self, zone: &str, name: &str, value: &str) {
        let mut inside = self.inside();
        inside.serial += 1;
        let records = inside.zones.get_mut(&(zone.into(), SERVER.into())).unwrap();
        records.retain(|record| record["name"] != name || record["value"] != value);
    }

    /// A person deletes the CNAME of a name.
    pub fn take_alias(&self, zone: &str, name: &str) {
        let mut inside = self.inside();
        inside.serial += 1;
        let records = inside.zones.get_mut(&(zone.into(), SERVER.into())).unwrap();
        records.retain(|record| record["name"] != name || record["type"] != "CNAME");
    }

    /// Everything in a zone, sorted.
    pub fn dump(&self, zone: &str) -> Vec<String> {
        let inside = self.inside();
        let mut lines: Vec<_> = inside.zones[&(zone.to_owned(), SERVER.to_owned())]
            .iter()
            .map(Value::to_string)
            .collect();
        lines.sort();
        lines
    }

    /// The next `reads` of a zone show what is there now, whatever is written meanwhile.
    pub fn lag(&self, reads: usize) {
        let mut inside = self.inside();
        inside.lag = Some((inside.zones.clone(), inside.serial, reads));
    }

    /// How often anything was changed.
    pub fn serial(&self) -> u32 {
        self.inside().serial
    }

    /// The next call that begins so meets this fault.
    pub fn fail(&self, call: &str, fault: Fault) {
        self.web.fail(call, fault);
    }

    /// A handle for a writer that adds a record while a call is under way.
    pub fn another(&self) -> impl Fn(&str, &str, &str) + Send + 'static {
        let inside = Arc::clone(&self.inside);
        move |zone, name, value| {
            let record = json!({ "name": name, "type": "TXT", "value": value, "ttl": 600 });
            let mut inside = inside.lock().unwrap();
            inside.serial += 1;
            inside
                .zones
                .get_mut(&(zone.into(), SERVER.into()))
                .unwrap()
                .push(record);
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }
}

type Said = (u16, Value);

fn refused(status: u16, code: &str, text: &str, why: Option<(&str, &str)>) -> Said {
    let messages: Vec<_> = why
        .iter()
        .map(|(code, text)| json!({ "code": code, "text": text, "status": "ERROR" }))
        .collect();
    let said = json!({ "code": code, "text": text, "type": "ERROR" });
    (
        status,
        json!({ "stid": "20261121-app4-1", "messages": messages, "status": said }),
    )
}

fn granted(data: Value) -> Said {
    let said = json!({ "code": "S0205", "text": "Die Aktion war erfolgreich.", "type": "SUCCESS" });
    (
        200,
        json!({ "stid": "20261121-app4-2", "status": said, "data": data }),
    )
}

impl Inside {
    fn answer(&mut self, call: &Call) -> Result<Said, Said> {
        self.authenticate(call)?;
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        match (call.method.as_str(), path.as_slice()) {
            ("POST", ["zone", "_search"]) => {
                self.search(call.body.as_ref().unwrap_or(&Value::Null))
            }
            ("POST", ["zone", name, "_stream"]) => {
                self.stream(name, call.body.as_ref().unwrap_or(&Value::Null))
            }
            ("GET", ["zone", name, server]) => {
                let key = ((*name).to_owned(), (*server).to_owned());
                let (zones, serial) = match &mut self.lag {
                    Some((old, serial, left @ 1..)) => {
                        *left -= 1;
                        (&*old, *serial)
                    }
                    _ => (&self.zones, self.serial),
                };
                let records = zones.get(&key).ok_or_else(no_zone)?;
                let updated = format!(
                    "2026-11-21T12:{:02}:{:02}.000+0100",
                    serial / 60,
                    serial % 60
                );
                Ok(granted(
                    json!([{ "origin": name, "updated": updated, "soa": { "ttl": 86400 }, "domainsafe": false, "wwwInclude": false,
                    "nameServers": [{ "name": "a.ns14.test" }, { "name": "B.ns14.test." }], "main": { "address": "192.0.2.1" },
                    "virtualNameServer": server, "resourceRecords": records }]),
                ))
            }
            // Also the update of a whole zone, which the provider must never do.
            _ => Err(refused(405, "E00405", "Methode nicht erlaubt.", None)),
        }
    }

    fn authenticate(&self, call: &Call) -> Result<(), Said> {
        if call.header("user-agent").is_none_or(str::is_empty) {
            return Err(refused(400, "E00400", "User-Agent fehlt.", None));
        }
        let denied = || refused(401, "EF00202", "Authentifizierung fehlgeschlagen.", None);
        let basic = call
            .header("authorization")
            .and_then(|value| value.strip_prefix("Basic "))
            .ok_or_else(denied)?;
        let pair = String::from_utf8(STANDARD.decode(basic).unwrap()).unwrap();
        let (user, password) = pair.split_once(':').unwrap();
        let known = self.users.get(user).filter(|(known, _)| known == password);
        known
            .filter(|(_, context)| call.header("x-domainrobot-context") == Some(context))
            .map(drop)
            .ok_or_else(denied)
    }

    fn search(&self, body: &Value) -> Result<Said, Said> {
        let filters = body["filters"].as_array().cloned().unwrap_or_default();
        let good = unknown_keys(body, &["view", "filters"]).is_empty()
            && filters.len() == 1
            && filters[0]["key"] == "name"
            && filters[0]["operator"] == "EQUAL"
            && unknown_keys(&filters[0], &["key", "operator", "value"]).is_empty();
        if !good {
            return Err(refused(400, "E00400", "Ungueltige Abfrage.", None));
        }
        let found = self
            .zones
            .keys()
            .filter(|(name, _)| filters[0]["value"] == **name);
        let found =
            found.map(|(name, server)| json!({ "origin": name, "virtualNameServer": server, "domainsafe": false }));
        Ok(granted(found.collect()))
    }

    /// All or nothing, in all zones of this name.
    fn stream(&mut self, zone: &str, body: &Value) -> Result<Said, Said> {
        let keys: Vec<_> = self
            .zones
            .keys()
            .filter(|(name, _)| name == zone)
            .cloned()
            .collect();
        if keys.is_empty() {
            return Err(no_zone());
        }
        let mut changed = self.zones.clone();
        let failed = |code, text| {
            Err(refused(
                400,
                "E0202002",
                "Zone konnte auf dem Nameserver nicht aktualisiert werden.",
                Some((code, text)),
            ))
        };
        let list = |key: &str| body[key].as_array().cloned().unwrap_or_default();
        let (adds, removals) = (list("adds"), list("rems"));
        let strange = |record: &Value| {
            !unknown_keys(record, &["name", "ttl", "type", "value", "pref"]).is_empty()
                || !["name", "type", "value"]
                    .iter()
                    .all(|key| record[key].is_string())
        };
        if !unknown_keys(body, &["adds", "rems"]).is_empty()
            || adds.iter().chain(&removals).any(strange)
        {
            return failed("EF02001", "Unbekanntes Feld.");
        }
        for key in keys {
            let records = changed.get_mut(&key).unwrap();
            let same = |one: &Value, other: &Value, name: &Value| {
                one["name"] == *name
                    && one["type"] == other["type"]
                    && bare(one["value"].as_str().unwrap())
                        == bare(other["value"].as_str().unwrap())
            };
            for removal in &removals {
                let name = json!(self.stored_name(removal["name"].as_str().unwrap(), zone));
                let Some(place) = records
                    .iter()
                    .position(|record| same(record, removal, &name))
                else {
                    return failed("EF02021", "Der Zusatzeintrag ist nicht vorhanden.");
                };
                records.remove(place);
            }
            for add in &adds {
                let name = json!(self.stored_name(add["name"].as_str().unwrap(), zone));
                if records.iter().any(|record| same(record, add, &name)) {
                    return failed("EF02022", "Der Zusatzeintrag wurde doppelt eingetragen.");
                }
                // No name server loads a zone with an alias beside anything.
                let mut here = records.iter().filter(|record| record["name"] == name);
                if here.any(|record| record["type"] == "CNAME" || add["type"] == "CNAME") {
                    return failed("EF02023", "CNAME und andere Eintraege schliessen sich aus.");
                }
                let mut record = add.clone();
                record["name"] = name;
                records.push(record);
            }
        }
        self.zones = changed;
        self.serial += 1;
        Ok(granted(json!([])))
    }

    /// Names are kept relative to the zone.
    fn stored_name(&self, name: &str, zone: &str) -> String {
        let Some(absolute) = name.strip_suffix('.') else {
            return name.to_owned();
        };
        match self.names {
            Some(Names::Relative) => absolute.to_owned(),
            _ => absolute
                .strip_suffix(zone)
                .unwrap_or(absolute)
                .trim_end_matches('.')
                .to_owned(),
        }
    }
}

fn no_zone() -> Said {
    let why = ("EF02020", "Diese Zone ist bisher nicht eingetragen.");
    refused(
        404,
        "E0205",
        "Zoneninformationen konnten nicht ermittelt werden.",
        Some(why),
    )
}
