//! A Route 53 that is as strict as the real one where a mistake could cost a foreign record: DELETE
//! must match to the letter, CREATE must find nothing, a batch is made as a whole or not at all,
//! limits and quoting are checked, pages end. It throttles, refuses and loses answers when told to,
//! and keeps its state for the test to read.
//!
//! It does not compute signatures: of a signature's header it checks shape, date, scope and access
//! key.

pub mod xml;
pub mod zone;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use xml::leaf;
pub use zone::{Rrset, Zone};

const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

/// The effect of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    ListHostedZones,
    GetHostedZone,
    ListResourceRecordSets,
    ChangeResourceRecordSets,
    GetChange,
    AssumeRole,
}

/// The fault of one call.
#[derive(Debug, Clone)]
pub enum Fault {
    None,
    Throttle,
    /// An earlier change of the zone is still being taken in.
    Busy,
    /// It is done, and the connection breaks before the answer.
    LoseAnswer,
    /// It is not done, and the connection breaks.
    LoseRequest,
    /// It is done, and the answer is a status without a body.
    BreakAfter(u16),
    Refuse(u16, &'static str, &'static str),
    /// A status of 200 and a body that is no XML.
    Garbage,
}

/// The owner of an access key, and its permissions.
#[derive(Debug, Clone)]
pub struct Key {
    pub account: String,
    pub may_change: bool,
    /// Of a policy that names the actions: CREATE alone, or DELETE too.
    pub may_delete: bool,
    pub may_get_change: bool,
    /// The session token that must come with it, if it is a session's.
    pub token: Option<String>,
}

impl Key {
    pub fn of(account: &str) -> Self {
        Self {
            account: account.to_owned(),
            may_change: true,
            may_delete: true,
            may_get_change: true,
            token: None,
        }
    }
}

type Hook = Box<dyn FnOnce(&mut BTreeMap<String, Zone>) + Send>;

#[derive(Default)]
struct Inside {
    zones: BTreeMap<String, Zone>,
    keys: HashMap<String, Key>,
    changes: BTreeMap<String, bool>,
    faults: HashMap<Operation, VecDeque<Fault>>,
    hooks: VecDeque<Hook>,
    calls: BTreeMap<Operation, u64>,
    actions: std::collections::BTreeSet<String>,
    external_id: Option<String>,
    page: usize,
    messages_form: bool,
    /// What lists of records show, and for how many more of them.
    lag: Option<(BTreeMap<String, Zone>, usize)>,
}

/// The server; gone when dropped.
pub struct Fake {
    address: SocketAddr,
    inside: Arc<Mutex<Inside>>,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// A server without zones and keys.
    pub async fn start() -> Self {
        let inside = Arc::new(Mutex::new(Inside {
            page: 300,
            ..Inside::default()
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&inside));
        let task = tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            address,
            inside,
            task,
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn key(&self, id: &str, key: Key) {
        self.inside().keys.insert(id.to_owned(), key);
    }

    /// A zone with SOA and NS, as Route 53 makes it.
    pub fn zone(&self, id: &str, apex: &str, account: &str) {
        let name_servers: Vec<String> = (1..=4)
            .map(|n| format!("ns-{n}.{}.awsdns.test", id.to_lowercase()))
            .collect();
        let servers: Vec<String> = name_servers.iter().map(|name| format!("{name}.")).collect();
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        let soa = format!(
            "{} awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400",
            servers[0]
        );
        let sets = vec![
            Rrset::new(apex, "NS", 172_800, &servers),
            Rrset::new(apex, "SOA", 900, &[&soa]),
        ];
        let zone = Zone {
            apex: apex.into(),
            account: account.into(),
            private: false,
            name_servers,
            sets,
            serial: 0,
            locked: None,
        };
        self.inside().zones.insert(id.to_owned(), zone);
    }

    /// Reads a zone, or changes it without a change that the API shows.
    pub fn with<T>(&self, id: &str, change: impl FnOnce(&mut Zone) -> T) -> T {
        change(self.inside().zones.get_mut(id).unwrap())
    }

    pub fn remove_zone(&self, id: &str) {
        self.inside().zones.remove(id);
    }

    /// Everything in a zone, one line per record, sorted.
    pub fn dump(&self, id: &str) -> Vec<String> {
        self.with(id, |zone| {
            let line = |set: &Rrset| {
                let (name, kind, more) = (
                    set.name.clone(),
                    set.kind.clone(),
                    format!("{:?}{:?}", set.alias, set.more),
                );
                let ttl = set.ttl;
                set.values
                    .clone()
                    .into_iter()
                    .map(move |value| format!("{name} {ttl:?} {kind} {value} {more}"))
            };
            let mut lines: Vec<String> = zone.sets.iter().flat_map(line).collect();
            lines.sort();
            lines
        })
    }

    pub fn fail_next(&self, operation: Operation, fault: Fault) {
        self.inside()
            .faults
            .entry(operation)
            .or_default()
            .push_back(fault);
    }

    /// The same after so many calls that go well.
    pub fn fail_after(&self, operation: Operation, calls: usize, fault: Fault) {
        let good = std::iter::repeat_n(Fault::None, calls);
        self.inside()
            .faults
            .entry(operation)
            .or_default()
            .extend(good.chain([fault]));
    }

    /// Happens just before the next change is read: another writer was faster.
    pub fn before_change(&self, hook: impl FnOnce(&mut BTreeMap<String, Zone>) + Send + 'static) {
        self.inside().hooks.push_back(Box::new(hook));
    }

    /// The next `reads` lists of records show what is there now, whatever is written meanwhile.
    pub fn lag(&self, reads: usize) {
        let mut inside = self.inside();
        inside.lag = Some((inside.zones.clone(), reads));
    }

    /// All changes so far have reached all name servers.
    pub fn sync(&self) {
        self.inside()
            .changes
            .values_mut()
            .for_each(|in_sync| *in_sync = true);
    }

    /// Answers hold at most this many record sets.
    pub fn page(&self, most: usize) {
        self.inside().page = most;
    }

    /// What a batch gets wrong comes as a document of its own, as the API reference shows it.
    pub fn use_messages_form(&self) {
        self.inside().messages_form = true;
    }

    /// The external id that the role's owner asks for.
    pub fn expect_external_id(&self, id: &str) {
        self.inside().external_id = Some(id.to_owned());
    }

    pub fn calls(&self, operation: Operation) -> u64 {
        self.inside()
            .calls
            .get(&operation)
            .copied()
            .unwrap_or_default()
    }

    pub fn forget_calls(&self) {
        self.inside().calls.clear();
    }

    /// What IAM would have been asked about, changes with the actions in them.
    pub fn actions(&self) -> Vec<String> {
        self.inside().actions.iter().cloned().collect()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }
}

async fn answer(
    State(inside): State<Arc<Mutex<Inside>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut inside = inside.lock().unwrap();
    let path: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    let query = form(uri.query().unwrap_or_default());
    let (operation, id) = match (method.as_str(), path.as_slice()) {
        ("GET", ["2013-04-01", "hostedzone"]) => (Operation::ListHostedZones, ""),
        ("GET", ["2013-04-01", "hostedzone", id]) => (Operation::GetHostedZone, *id),
        ("GET", ["2013-04-01", "hostedzone", id, "rrset"]) => {
            (Operation::ListResourceRecordSets, *id)
        }
        ("POST", ["2013-04-01", "hostedzone", id, "rrset"]) => {
            (Operation::ChangeResourceRecordSets, *id)
        }
        ("GET", ["2013-04-01", "change", id]) => (Operation::GetChange, *id),
        ("POST", [""]) => (Operation::AssumeRole, ""),
        _ => return error(404, "UnknownOperationException", uri.path()),
    };
    *inside.calls.entry(operation).or_default() += 1;
    let key = match inside.authorized(operation, &headers) {
        Ok(key) => key,
        Err(refused) => return *refused,
    };
    let fault = inside
        .faults
        .get_mut(&operation)
        .and_then(VecDeque::pop_front);
    match fault {
        Some(Fault::Throttle) => return error(400, "Throttling", "Rate exceeded"),
        Some(Fault::Busy) => {
            let text =
                "The request was rejected because Route 53 was still processing a prior request.";
            return error(400, "PriorRequestNotComplete", text);
        }
        Some(Fault::Refuse(status, code, message)) => return error(status, code, message),
        Some(Fault::LoseRequest) => return broken(),
        Some(Fault::Garbage) => return (StatusCode::OK, "<html>a proxy</html><p>").into_response(),
        Some(Fault::None | Fault::LoseAnswer | Fault::BreakAfter(_)) | None => {}
    }
    let done = match operation {
        Operation::ListHostedZones => inside.list_zones(&key, &query),
        Operation::GetHostedZone => inside.zone_of(&key, id).map_or_else(
            |refused| *refused,
            |zone| {
                let servers: String = zone
                    .name_servers
                    .iter()
                    .map(|name| leaf("NameServer", name))
                    .collect();
                let set =
                    format!("<DelegationSet><NameServers>{servers}</NameServers></DelegationSet>");
                document("GetHostedZoneResponse", &(hosted_zone(id, zone) + &set))
            },
        ),
        Operation::ListResourceRecordSets => inside.list_records(&key, id, &query),
        Operation::ChangeResourceRecordSets => inside.change(&key, id, &body),
        Operation::GetChange => match inside.changes.get(id) {
            _ if !key.may_get_change => denied("route53:GetChange"),
            Some(&in_sync) => document("GetChangeResponse", &change_info(id, in_sync)),
            None => error(
                404,
                "NoSuchChange",
                &format!("Could not find resource with ID: {id}"),
            ),
        },
        Operation::AssumeRole => inside.assume_role(&key, &body),
    };
    match fault {
        Some(Fault::LoseAnswer) => broken(),
        Some(Fault::BreakAfter(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        _ => done,
    }
}

impl Inside {
    /// The owner of the key that signed the request.
    fn authorized(
        &mut self,
        operation: Operation,
        headers: &HeaderMap,
    ) -> Result<Key, Box<Response>> {
        let text = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let refused = |code: &str, message: &str| Err(Box::new(error(403, code, message)));
        let Some(authorization) = text("authorization").strip_prefix("AWS4-HMAC-SHA256 ") else {
            return refused("MissingAuthenticationToken", "Missing Authentication Token");
        };
        let parts: HashMap<&str, &str> = authorization
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
            .collect();
        let part = |name: &str| parts.get(name).copied().unwrap_or_default();
        let is_whole = part("Signature").len() == 64
            && ["host", "x-amz-date"].iter().all(|name| {
                part("SignedHeaders")
                    .split(';')
                    .any(|signed| signed == *name)
            });
        let [id, date, region, service, "aws4_request"] =
            part("Credential").split('/').collect::<Vec<_>>()[..]
        else {
            return refused("IncompleteSignature", authorization);
        };
        if !is_whole || !text("x-amz-date").starts_with(date) {
            return refused("IncompleteSignature", "what is signed, or when, is missing");
        }
        let Some(key) = self.keys.get(id) else {
            return refused(
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            );
        };
        if key.token.as_deref().unwrap_or_default() != text("x-amz-security-token") {
            return refused(
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            );
        }
        let expected = if operation == Operation::AssumeRole {
            "sts"
        } else {
            "route53"
        };
        if service != expected || (service == "route53" && region != "us-east-1") {
            let text = format!("Credential should be scoped to a valid region, not '{region}'. ");
            return refused("SignatureDoesNotMatch", &text);
        }
        let name = format!(
            "{}:{operation:?}",
            if service == "sts" { "sts" } else { "route53" }
        );
        self.actions.insert(name);
        Ok(key.clone())
    }

    fn zone_of(&self, key: &Key, id: &str) -> Result<&Zone, Box<Response>> {
        match self.zones.get(id) {
            Some(zone) if zone.account == key.account => Ok(zone),
            Some(_) => Err(Box::new(denied("route53:GetHostedZone"))),
            None => Err(Box::new(error(
                404,
                "NoSuchHostedZone",
                &format!("No hosted zone found with ID: {id}"),
            ))),
        }
    }

    fn list_zones(&self, key: &Key, query: &HashMap<String, String>) -> Response {
        let most = query
            .get("maxitems")
            .and_then(|most| most.parse().ok())
            .unwrap_or(100)
            .min(100)
            .min(self.page);
        let begin = query.get("marker").cloned().unwrap_or_default();
        let mut zones = self
            .zones
            .iter()
            .filter(|(id, zone)| zone.account == key.account && **id >= begin);
        let shown: String = zones
            .by_ref()
            .take(most)
            .map(|(id, zone)| hosted_zone(id, zone))
            .collect();
        let next = zones.next().map(|(id, _)| leaf("NextMarker", id));
        let truncated = leaf("IsTruncated", &next.is_some().to_string());
        let text = format!(
            "<HostedZones>{shown}</HostedZones>{truncated}{}",
            next.unwrap_or_default()
        );
        document(
            "ListHostedZonesResponse",
            &(text + &leaf("MaxItems", &most.to_string())),
        )
    }

    fn list_records(&mut self, key: &Key, id: &str, query: &HashMap<String, String>) -> Response {
        if let Err(refused) = self.zone_of(key, id) {
            return *refused;
        }
        let zone = match &mut self.lag {
            Some((old, left @ 1..)) => {
                *left -= 1;
                &old[id]
            }
            _ => &self.zones[id],
        };
        let text = |name: &str| query.get(name).cloned().unwrap_or_default();
        if !text("type").is_empty() && text("name").is_empty() {
            return error(400, "InvalidInput", "type without name");
        }
        let most = query
            .get("maxitems")
            .and_then(|most| most.parse().ok())
            .unwrap_or(300)
            .min(300)
            .min(self.page);
        let name = zone::plain(&text("name"));
        let name = if name.is_empty() {
            String::new()
        } else {
            zone::place(&name)
        };
        let begin = (name, text("type"), text("identifier"));
        let mut sets = zone.sets.iter().filter(|set| set.place() >= begin);
        let shown: String = sets.by_ref().take(most).map(Rrset::write).collect();
        let next = sets.next().map(|set| {
            let name = leaf("NextRecordName", &zone::shown(&set.name))
                + &leaf("NextRecordType", &set.kind);
            name + &set
                .identifier
                .iter()
                .map(|identifier| leaf("NextRecordIdentifier", identifier))
                .collect::<String>()
        });
        let truncated = leaf("IsTruncated", &next.is_some().to_string());
        let text = format!(
            "<ResourceRecordSets>{shown}</ResourceRecordSets>{truncated}{}",
            next.unwrap_or_default()
        );
        document(
            "ListResourceRecordSetsResponse",
            &(text + &leaf("MaxItems", &most.to_string())),
        )
    }

    fn change(&mut self, key: &Key, id: &str, body: &[u8]) -> Response {
        let request = match std::str::from_utf8(body)
            .map_err(|error| error.to_string())
            .and_then(xml::read)
        {
            Ok(request) if request.name == "ChangeResourceRecordSetsRequest" => request,
            Ok(other) => return error(400, "MalformedXML", &other.name),
            Err(fault) => return error(400, "MalformedXML", &fault),
        };
        // AWS asks for the permission first: the zone is not read for a user who may not change it.
        let changes = request
            .child("ChangeBatch")
            .and_then(|batch| batch.child("Changes"));
        let mut actions = Vec::new();
        for change in changes.iter().flat_map(|changes| &changes.children) {
            let kind = change
                .child("ResourceRecordSet")
                .and_then(|set| set.text_of("Type"))
                .unwrap_or_default();
            actions.push(format!(
                "{} {kind}",
                change.text_of("Action").unwrap_or_default()
            ));
        }
        let allowed = actions
            .iter()
            .filter_map(|action| action.split_once(' '))
            .all(|(action, kind)| {
                let may = action == "CREATE" || action == "DELETE" && key.may_delete;
                may && ["TXT", "CNAME"].contains(&kind)
            });
        self.actions.extend(actions);
        if let Err(refused) = self.zone_of(key, id) {
            return *refused;
        }
        if !key.may_change || !allowed {
            return denied("route53:ChangeResourceRecordSets");
        }
        if let Some(hook) = self.hooks.pop_front() {
            hook(&mut self.zones);
        }
        let messages_form = self.messages_form;
        let number = self.changes.len() + 1;
        match self.zones.get_mut(id).unwrap().change(&request) {
            Ok(()) => {
                let id = format!("C{number:013}");
                self.changes.insert(id.clone(), false);
                document("ChangeResourceRecordSetsResponse", &change_info(&id, false))
            }
            Err((code, faults)) if messages_form && code == "InvalidChangeBatch" => {
                let messages: String = faults.iter().map(|fault| leaf("Message", fault)).collect();
                let document = document(code, &format!("<Messages>{messages}</Messages>"));
                (StatusCode::BAD_REQUEST, document).into_response()
            }
            Err((code, faults)) => error(400, code, &format!("[{}]", faults.join(", "))),
        }
    }

    fn assume_role(&mut self, key: &Key, body: &[u8]) -> Response {
        let form = form(std::str::from_utf8(body).unwrap_or_default());
        if form.get("Action").map(String::as_str) != Some("AssumeRole")
            || form.get("ExternalId") != self.external_id.as_ref()
        {
            return denied("sts:AssumeRole");
        }
        self.keys.insert(
            "ASIASESSION".to_owned(),
            Key {
                token: Some("session-token".to_owned()),
                ..key.clone()
            },
        );
        let credentials = leaf("AccessKeyId", "ASIASESSION")
            + &leaf("SecretAccessKey", "session-secret")
            + &leaf("SessionToken", "session-token")
            + &leaf("Expiration", "2099-01-01T00:00:00Z");
        let user = leaf("AssumedRoleId", "AROA:prevalidate")
            + &leaf("Arn", "arn:aws:sts::123456789012:assumed-role/x/y");
        let result = format!(
            "<AssumedRoleUser>{user}</AssumedRoleUser><Credentials>{credentials}</Credentials>"
        );
        document(
            "AssumeRoleResponse",
            &format!("<AssumeRoleResult>{result}</AssumeRoleResult>"),
        )
    }
}

/// `a=b&c=d`, with escapes.
fn form(text: &str) -> HashMap<String, String> {
    let decode = |text: &str| {
        let mut octets = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&octet, after)) = rest.split_first() {
            let hex = after
                .get(..2)
                .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
            match (octet, hex) {
                (b'%', Some(octet)) => {
                    octets.push(octet);
                    rest = &after[2..];
                }
                _ => {
                    octets.push(if octet == b'+' { b' ' } else { octet });
                    rest = after;
                }
            }
        }
        String::from_utf8(octets).unwrap_or_default()
    };
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

fn hosted_zone(id: &str, zone: &Zone) -> String {
    let config = format!(
        "<Config>{}</Config>",
        leaf("PrivateZone", &zone.private.to_string())
    );
    let inside = leaf("Id", &format!("/hostedzone/{id}"))
        + &leaf("Name", &zone::shown(&zone.apex))
        + &leaf("CallerReference", id)
        + &config
        + &leaf("ResourceRecordSetCount", &zone.sets.len().to_string());
    format!("<HostedZone>{inside}</HostedZone>")
}

fn change_info(id: &str, in_sync: bool) -> String {
    let status = if in_sync { "INSYNC" } else { "PENDING" };
    let inside = leaf("Id", &format!("/change/{id}")) + &leaf("Status", status);
    format!(
        "<ChangeInfo>{inside}{}</ChangeInfo>",
        leaf("SubmittedAt", "2026-07-30T00:00:00Z")
    )
}

fn document(name: &str, inside: &str) -> Response {
    let body = format!("<?xml version=\"1.0\"?>\n<{name} xmlns=\"{NAMESPACE}\">{inside}</{name}>");
    ([(header::CONTENT_TYPE, "text/xml")], body).into_response()
}

fn error(status: u16, code: &str, message: &str) -> Response {
    let inside = format!(
        "<Error>{}{}{}</Error>",
        leaf("Type", "Sender"),
        leaf("Code", code),
        leaf("Message", message)
    );
    let body = format!(
        "<?xml version=\"1.0\"?>\n<ErrorResponse xmlns=\"{NAMESPACE}\">{inside}</ErrorResponse>"
    );
    (
        StatusCode::from_u16(status).unwrap(),
        [(header::CONTENT_TYPE, "text/xml")],
        body,
    )
        .into_response()
}

fn denied(action: &str) -> Response {
    error(
        403,
        "AccessDenied",
        &format!("User: arn:aws:iam::123456789012:user/x is not authorized to perform: {action}"),
    )
}

/// The connection breaks in the middle of an answer.
fn broken() -> Response {
    let stream =
        futures::stream::once(async { Err::<Bytes, _>(io::Error::other("the answer is lost")) });
    (
        [(header::CONTENT_LENGTH, "1000")],
        Body::from_stream(stream),
    )
        .into_response()
}
