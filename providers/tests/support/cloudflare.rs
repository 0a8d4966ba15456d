//! Cloudflare's API v4, as far as TXT records need it, and as strict: unknown fields and
//! parameters, limits of the free plan, duplicates, batches as one transaction, permissions of
//! tokens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use super::web::{Call, Fault, Web, bare, strings, unknown_keys};

const BASE: &str = "/client/v4";

/// The permissions of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Zone / Zone / Read
    pub zones: bool,
    /// Zone / DNS / Read
    pub read: bool,
    /// Zone / DNS / Edit
    pub edit: bool,
    /// It is verified at its account, not at its user.
    pub of_account: bool,
    pub status: &'static str,
}

impl Token {
    /// As the documents tell people to make it.
    pub const FULL: Self = Self {
        zones: true,
        read: true,
        edit: true,
        of_account: false,
        status: "active",
    };
}

/// One zone.
#[derive(Debug, Clone)]
pub struct FakeZone {
    pub id: String,
    pub name: String,
    pub account: String,
    pub status: &'static str,
    pub paused: bool,
    pub kind: &'static str,
}

#[derive(Debug, Clone, PartialEq)]
struct Record {
    id: String,
    name: String,
    kind: String,
    content: String,
    ttl: u64,
    comment: Option<String>,
}

#[derive(Default)]
struct Inside {
    tokens: BTreeMap<String, Token>,
    /// E-mail and key.
    global: Option<(String, String)>,
    zones: Vec<FakeZone>,
    records: BTreeMap<String, Vec<Record>>,
    per_page: usize,
    has_batch: bool,
    serial: u32,
    /// What lists show, and for how many more of them.
    lag: Option<(BTreeMap<String, Vec<Record>>, usize)>,
    /// Contents that no list shows.
    hidden: Vec<String>,
    /// What lists hold besides records.
    strange: Vec<Value>,
}

pub struct FakeCloudflare {
    pub web: Web,
    inside: Arc<Mutex<Inside>>,
}

impl FakeCloudflare {
    pub async fn start() -> Self {
        let inside = Arc::new(Mutex::new(Inside {
            per_page: 100,
            has_batch: true,
            ..Inside::default()
        }));
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

    pub fn token(&self, token: &str, may: Token) {
        self.inside().tokens.insert(token.into(), may);
    }

    pub fn global_key(&self, email: &str, key: &str) {
        self.inside().global = Some((email.into(), key.into()));
    }

    /// An active zone of the account `acc1`; its id.
    pub fn zone(&self, name: &str) -> String {
        self.zone_with(name, |_| {})
    }

    pub fn zone_with(&self, name: &str, change: impl FnOnce(&mut FakeZone)) -> String {
        let mut inside = self.inside();
        let id = format!("{:032x}", inside.zones.len() + 0xabc);
        let (account, status, kind) = ("acc1".into(), "active", "full");
        let mut zone = FakeZone {
            id: id.clone(),
            name: name.into(),
            account,
            status,
            paused: false,
            kind,
        };
        change(&mut zone);
        inside.zones.push(zone);
        id
    }

    /// A record that is there, made by any writer and by the rules of its time.
    pub fn put(&self, zone: &str, name: &str, kind: &str, ttl: u64, content: &str) {
        let mut inside = self.inside();
        inside.insert(zone, name, kind, ttl, content, None);
    }

    /// A person sets the TTL of all TXT records of a name.
    pub fn set_ttl(&self, zone: &str, name: &str, ttl: u64) {
        let mut inside = self.inside();
        let records = inside.records.entry(zone.into()).or_default();
        records
            .iter_mut()
            .filter(|record| record.name == name && record.kind == "TXT")
            .for_each(|record| record.ttl = ttl);
    }

    /// A person deletes a record.
    pub fn take(&self, zone: &str, name: &str, content: &str) {
        let mut inside = self.inside();
        inside.serial += 1;
        inside
            .records
            .entry(zone.into())
            .or_default()
            .retain(|record| record.name != name || record.content != content);
    }

    /// A person deletes the CNAME of a name.
    pub fn take_alias(&self, zone: &str, name: &str) {
        let mut inside = self.inside();
        inside.serial += 1;
        let records = inside.records.entry(zone.into()).or_default();
        records.retain(|record| record.name != name || record.kind != "CNAME");
    }

    /// A person edits a record: another content under the same id.
    pub fn edit(&self, zone: &str, content: &str, other: &str) {
        let mut inside = self.inside();
        inside.serial += 1;
        let records = inside.records.get_mut(zone).into_iter().flatten();
        records
            .filter(|record| record.content == content)
            .for_each(|record| record.content = other.into());
    }

    /// At most this many records on a page.
    pub fn per_page(&self, most: usize) {
        self.inside().per_page = most;
    }

    pub fn without_batch(&self) {
        self.inside().has_batch = false;
    }

    /// Everything in a zone, sorted: `name ttl type content`.
    pub fn dump(&self, zone: &str) -> Vec<String> {
        let inside = self.inside();
        let line = |record: &Record| {
            format!(
                "{} {} {} {}",
                record.name, record.ttl, record.kind, record.content
            )
        };
        let mut lines: Vec<_> = inside
            .records
            .get(zone)
            .into_iter()
            .flatten()
            .map(line)
            .collect();
        lines.sort();
        lines
    }

    pub fn comment(&self, zone: &str, content: &str) -> Option<String> {
        let inside = self.inside();
        inside
            .records
            .get(zone)?
            .iter()
            .find(|record| record.content == content)?
            .comment
            .clone()
    }

    /// The next `reads` lists of records show what is there now, whatever is written meanwhile.
    pub fn lag(&self, reads: usize) {
        let mut inside = self.inside();
        inside.lag = Some((inside.records.clone(), reads));
    }

    /// No list shows this content, and no second record of it is taken.
    pub fn hide(&self, content: &str) {
        self.inside().hidden.push(content.into());
    }

    /// An entry of every list of records that is none.
    pub fn strange(&self, entry: Value) {
        self.inside().strange.push(entry);
    }

    /// How often anything was changed.
    pub fn serial(&self) -> u32 {
        self.inside().serial
    }

    /// The next call that begins so meets this fault.
    pub fn fail(&self, call: &str, fault: Fault) {
        self.web.fail(call, fault);
    }

    /// A handle for a writer that changes things while a call is under way.
    pub fn another(&self) -> impl Fn(&str, &str, u64, &str) + Send + 'static {
        let inside = Arc::clone(&self.inside);
        move |zone, name, ttl, content| {
            inside
                .lock()
                .unwrap()
                .insert(zone, name, "TXT", ttl, content, None);
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }
}

type Said = (u16, Value);

fn refused(status: u16, code: i64, message: &str) -> Said {
    let errors = json!([{ "code": code, "message": message }]);
    (
        status,
        json!({ "success": false, "errors": errors, "messages": [], "result": null }),
    )
}

fn granted(result: Value) -> Said {
    (
        200,
        json!({ "success": true, "errors": [], "messages": [], "result": result }),
    )
}

impl Record {
    /// Without `zone_id`, as since the end of 2024.
    fn json(&self) -> Value {
        json!({ "id": self.id, "name": self.name, "type": self.kind, "content": self.content, "ttl": self.ttl,
                "comment": self.comment, "proxied": false, "tags": [] })
    }
}

impl Inside {
    fn answer(&mut self, call: &Call) -> Result<Said, Said> {
        let may = self.authenticate(call)?;
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        let of_zone = |may: bool| {
            if may {
                Ok(())
            } else {
                Err(refused(403, 10_000, "Authentication error"))
            }
        };
        match (call.method.as_str(), path.as_slice()) {
            ("GET", ["user", "tokens", "verify"]) if !may.of_account => {
                Ok(granted(json!({ "status": may.status })))
            }
            ("GET", ["accounts", "acc1", "tokens", "verify"]) if may.of_account => {
                Ok(granted(json!({ "status": may.status })))
            }
            ("GET", [.., "tokens", "verify"]) => Err(refused(401, 1000, "Invalid API Token")),
            ("GET", ["zones"]) => self.list_zones(call, may),
            ("GET", ["zones", id]) if may.zones => {
                let zone = self.find_zone(id)?;
                Ok(granted(zone_json(zone, may)))
            }
            ("GET", ["zones", _]) => Err(refused(
                403,
                9109,
                "Unauthorized to access requested resource",
            )),
            ("GET", ["zones", id, "dns_records"]) => {
                of_zone(may.read || may.edit)?;
                self.list_records(call, id)
            }
            ("POST", ["zones", id, "dns_records"]) => {
                of_zone(may.edit)?;
                let record = self.post(id, call.body.as_ref().unwrap_or(&Value::Null))?;
                Ok(granted(record))
            }
            ("DELETE", ["zones", id, "dns_records", record]) => {
                of_zone(may.edit)?;
                self.delete(id, record)?;
                Ok(granted(json!({ "id": record })))
            }
            ("POST", ["zones", id, "dns_records", "batch"]) if self.has_batch => {
                of_zone(may.edit)?;
                self.batch(id, call.body.as_ref().unwrap_or(&Value::Null))
            }
            _ => Err(refused(404, 7000, "No route for that URI")),
        }
    }

    fn authenticate(&self, call: &Call) -> Result<Token, Said> {
        let key = (
            call.header("x-auth-email"),
            call.header("x-auth-key"),
            &self.global,
        );
        if let (Some(email), Some(given), Some((user, key))) = key {
            return if email == user && given == key {
                Ok(Token::FULL)
            } else {
                Err(refused(403, 9103, "Unknown X-Auth-Key or X-Auth-Email"))
            };
        }
        let Some(token) = call
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "))
        else {
            return Err(refused(400, 6003, "Invalid request headers"));
        };
        self.tokens
            .get(token)
            .copied()
            .ok_or_else(|| refused(403, 9109, "Invalid access token"))
    }

    fn find_zone(&self, id: &str) -> Result<&FakeZone, Said> {
        let unknown = || {
            refused(
                404,
                7003,
                "Could not route to /zones, perhaps your object identifier is invalid?",
            )
        };
        self.zones
            .iter()
            .find(|zone| zone.id == id)
            .ok_or_else(unknown)
    }

    fn list_zones(&self, call: &Call, may: Token) -> Result<Said, Said> {
        check_query(call, &["page", "per_page", "account.id", "name", "status"])?;
        if number(call, "per_page", 20) > 50 {
            return Err(refused(400, 1004, "per_page must be at most 50"));
        }
        let account = call.query.get("account.id");
        let shown = self
            .zones
            .iter()
            .filter(|zone| may.zones && account.is_none_or(|account| *account == zone.account));
        Ok(page(
            call,
            shown.map(|zone| zone_json(zone, may)).collect(),
            20,
            50,
        ))
    }

    fn list_records(&mut self, call: &Call, zone: &str) -> Result<Said, Said> {
        self.find_zone(zone)?;
        check_query(
            call,
            &["page", "per_page", "type", "name.exact", "name.endswith"],
        )?;
        let query = |key: &str| call.query.get(key);
        let shown = match &mut self.lag {
            Some((old, left @ 1..)) => {
                *left -= 1;
                &*old
            }
            _ => &self.records,
        };
        let records = shown.get(zone).into_iter().flatten().filter(|record| {
            query("type").is_none_or(|kind| record.kind == *kind)
                && query("name.exact").is_none_or(|name| record.name == *name)
                && query("name.endswith").is_none_or(|end| record.name.ends_with(end.as_str()))
                && !self.hidden.contains(&record.content)
        });
        let strange = self.strange.iter().cloned();
        Ok(page(
            call,
            records.map(Record::json).chain(strange).collect(),
            100,
            self.per_page,
        ))
    }

    fn post(&mut self, zone: &str, body: &Value) -> Result<Value, Said> {
        let apex = self.find_zone(zone)?.name.clone();
        let invalid =
            |what: &str| Err(refused(400, 1004, &format!("DNS Validation Error: {what}")));
        let unknown = unknown_keys(
            body,
            &["type", "name", "content", "ttl", "comment", "proxied"],
        );
        if !unknown.is_empty() || !body.is_object() {
            return invalid(&format!("unknown fields {unknown:?}"));
        }
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let (name, content, comment) = (text("name"), text("content"), text("comment"));
        let is_alias = body["type"] == "CNAME";
        let lengths = if is_alias {
            let is_name = content.contains('.') && !content.contains(['"', ' ']);
            is_name.then(Vec::new)
        } else {
            strings(&content)
        };
        let Some(lengths) = lengths else {
            return invalid("content is not in quotes, or no name");
        };
        let ttl = body["ttl"].as_u64().unwrap_or(1);
        if !["TXT", "CNAME"].contains(&body["type"].as_str().unwrap_or_default())
            || !(name == apex || name.ends_with(&format!(".{apex}")))
        {
            return invalid("type or name");
        }
        if lengths.iter().any(|length| *length > 255)
            || lengths.iter().map(|length| length + 1).sum::<usize>() > 4096
        {
            return invalid("content is too long");
        }
        if ttl != 1 && !(60..=86_400).contains(&ttl) {
            return invalid("ttl");
        }
        if comment.chars().count() > 100 {
            return Err(refused(400, 9300, "comment is too long"));
        }
        let all = self.records.entry(zone.into()).or_default();
        let here = all.iter().filter(|record| record.name == name);
        if is_alias {
            if here.clone().next().is_some() {
                return Err(refused(
                    400,
                    81_053,
                    "An A, AAAA, or CNAME record with that host already exists.",
                ));
            }
            return Ok(self.insert(zone, &name, "CNAME", ttl, &content, Some(comment)));
        }
        if here.clone().any(|record| record.kind == "CNAME") && name != apex {
            return Err(refused(
                400,
                81_053,
                "A CNAME record with that host already exists.",
            ));
        }
        let here = here.filter(|record| record.kind == "TXT");
        if here
            .clone()
            .any(|record| bare(&record.content) == bare(&content))
        {
            return Err(refused(400, 81_058, "An identical record already exists."));
        }
        if here
            .map(|record| record.content.chars().count())
            .sum::<usize>()
            + content.chars().count()
            > 8192
        {
            return invalid("the records of this name are too long together");
        }
        Ok(self.insert(zone, &name, "TXT", ttl, &content, Some(comment)))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a record")]
    fn insert(
        &mut self,
        zone: &str,
        name: &str,
        kind: &str,
        ttl: u64,
        content: &str,
        comment: Option<String>,
    ) -> Value {
        self.serial += 1;
        let (id, name, kind, content) = (
            format!("{:032x}", self.serial),
            name.into(),
            kind.into(),
            content.into(),
        );
        let record = Record {
            id,
            name,
            kind,
            content,
            ttl,
            comment,
        };
        let json = record.json();
        self.records.entry(zone.into()).or_default().push(record);
        json
    }

    fn delete(&mut self, zone: &str, id: &str) -> Result<Value, Said> {
        self.find_zone(zone)?;
        let records = self.records.entry(zone.into()).or_default();
        let place = records.iter().position(|record| record.id == id);
        let place = place.ok_or_else(|| refused(404, 81_044, "Record does not exist."))?;
        self.serial += 1;
        Ok(records.remove(place).json())
    }

    /// One transaction: deletes, then posts.
    fn batch(&mut self, zone: &str, body: &Value) -> Result<Said, Said> {
        let unknown = unknown_keys(body, &["deletes", "patches", "puts", "posts"]);
        let list = |key: &str| body[key].as_array().cloned().unwrap_or_default();
        let (deletes, posts) = (list("deletes"), list("posts"));
        if !unknown.is_empty()
            || deletes.len() + posts.len() > 200
            || deletes.is_empty() && posts.is_empty()
        {
            return Err(refused(
                400,
                9300,
                "a batch holds 1 to 200 operations, and nothing else",
            ));
        }
        let before = (self.records.clone(), self.serial);
        let mut done = || {
            let gone = deletes
                .iter()
                .map(|delete| self.delete(zone, delete["id"].as_str().unwrap_or_default()));
            let gone = gone.collect::<Result<Vec<_>, _>>()?;
            let come = posts
                .iter()
                .map(|post| self.post(zone, post))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(granted(
                json!({ "deletes": gone, "patches": [], "puts": [], "posts": come }),
            ))
        };
        let done = done();
        if done.is_err() {
            (self.records, self.serial) = before;
        }
        done
    }
}

fn zone_json(zone: &FakeZone, may: Token) -> Value {
    let granted = [
        (true, "#zone:read"),
        (may.read || may.edit, "#dns_records:read"),
        (may.edit, "#dns_records:edit"),
    ];
    let permissions: Vec<_> = granted
        .iter()
        .filter(|(may, _)| *may)
        .map(|(_, name)| *name)
        .collect();
    json!({ "id": zone.id, "name": zone.name, "status": zone.status, "paused": zone.paused, "type": zone.kind,
            "name_servers": ["Amy.ns.cloudflare.test", "bob.ns.cloudflare.test"], "permissions": permissions,
            "account": { "id": zone.account, "name": format!("the account {}", zone.account) } })
}

fn check_query(call: &Call, known: &[&str]) -> Result<(), Said> {
    match call.query.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(refused(400, 1004, &format!("unknown parameter {key}"))),
        None => Ok(()),
    }
}

fn number(call: &Call, key: &str, default: usize) -> usize {
    call.query
        .get(key)
        .map_or(default, |text| text.parse().unwrap_or(0))
}

fn page(call: &Call, all: Vec<Value>, default: usize, most: usize) -> Said {
    let (page, per_page) = (
        number(call, "page", 1).max(1),
        number(call, "per_page", default).clamp(1, most),
    );
    let total = all.len();
    let result: Vec<_> = all
        .into_iter()
        .skip((page - 1) * per_page)
        .take(per_page)
        .collect();
    let info = json!({ "page": page, "per_page": per_page, "count": result.len(), "total_count": total,
                       "total_pages": total.div_ceil(per_page) });
    (
        200,
        json!({ "success": true, "errors": [], "messages": [], "result": result, "result_info": info }),
    )
}
