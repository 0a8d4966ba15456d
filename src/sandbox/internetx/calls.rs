//! The effect of each call of an authenticated client.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::asked::{Answer, Asked, Refused};
use super::behaviour::Behaviour;
use super::book::{Job, PRODUCTS, Wanted, hex, line};
use super::{Shared, contacts};
use crate::ca::csr::{Csr, KeyKind};
use crate::sandbox::check::{self, Data, Perspectives};

/// Performs a call, after whatever was due by itself.
pub(super) async fn perform(shared: &Shared, asked: &Asked<'_>) -> Answer {
    settle(shared).await;
    let now = shared.now();
    let behaviour = shared.state().behaviour.clone();
    match (asked.method, asked.path) {
        ("GET", ["hello"]) => Ok(Vec::new()),
        ("POST", ["sslcontact"]) => contacts::make(shared, asked.body),
        ("POST", ["sslcontact", "_search"]) => contacts::search(shared, asked.body),
        ("POST", ["certificate", "_prepareOrder"]) => prepare(shared, asked.body),
        ("POST", ["certificate"]) => create(shared, asked, &behaviour, now),
        ("POST", ["certificate", "_search"]) => Ok(certificates(shared, asked.body, &behaviour)),
        ("GET", ["certificate", id]) => certificate(shared, id, &behaviour).map(|one| vec![one]),
        ("PUT", ["certificate", id, "_renew"]) => {
            again(shared, asked, id, "renew", &behaviour, now)
        }
        ("PUT", ["certificate", id]) => again(shared, asked, id, "reissue", &behaviour, now),
        ("POST", ["certificate", id, "_revoke"]) => revoke(shared, id, asked.body, &behaviour),
        ("DELETE", ["certificate", id]) => delete(shared, id, &behaviour, now),
        ("POST", ["job", "_search"]) => Ok(jobs(shared, asked.body, false, &behaviour, now)),
        ("POST", ["job", "history", "_search"]) => {
            Ok(jobs(shared, asked.body, true, &behaviour, now))
        }
        ("GET", ["job", "history", id]) => job(shared, id, true, &behaviour, now),
        ("GET", ["job", id]) => job(shared, id, false, &behaviour, now),
        ("PUT", ["job", id, "_cancel"]) => cancel(shared, id),
        ("GET", ["poll"]) => Ok(poll(shared, &behaviour)),
        ("PUT", ["poll", id]) => confirm(shared, id),
        _ => Err(Refused::new(404, "EF00001", "Not found")),
    }
}

/// Checks DNS for every order whose check is due. No lock is held during the check.
async fn settle(shared: &Shared) {
    let now = shared.now();
    let (waiting, behaviour) = {
        let state = shared.state();
        let open = state
            .book
            .jobs
            .values()
            .filter(|job| job.finished.is_none());
        let waiting: Vec<Job> = open.cloned().collect();
        (waiting, state.behaviour.clone())
    };
    for job in waiting {
        let is_due = job.validated.is_none() && now >= job.execution;
        let seen = match &job.record {
            Some(record) if is_due => sees(shared, record).await,
            _ => false,
        };
        shared.state().book.advance(job.id, seen, &behaviour, now);
    }
}

async fn sees(shared: &Shared, record: &Wanted) -> bool {
    let data = match record.kind {
        "TXT" => Data::Txt(&record.value),
        _ => Data::Cname(&record.value),
    };
    let perspectives = Perspectives {
        count: 0,
        may_fail: 0,
        seed: 1,
    };
    let servers = (shared.name_servers)(&record.owner);
    check::check(&record.owner, data, &servers, perspectives)
        .await
        .is_ok()
}

fn read_csr(text: &Value) -> Result<Csr, Refused> {
    let refused = |why: String| Refused::new(400, "EF4001002", why);
    let text = text.as_str().unwrap_or_default();
    let csr = Csr::read(text.as_bytes()).map_err(|why| refused(format!("CSR {why}")))?;
    match csr.key() {
        KeyKind::Rsa(bits) if bits < 2048 => Err(refused("must be 2048 bit".to_owned())),
        KeyKind::Other => Err(refused("the key is not allowed".to_owned())),
        _ => Ok(csr),
    }
}

fn method_of(product: &Value) -> Result<&'static str, Refused> {
    let found = PRODUCTS.iter().find(|(name, _)| product == name);
    found.map(|(_, method)| *method).ok_or_else(|| {
        Refused::new(
            400,
            "EF4001001",
            format!("Das Produkt {product} ist unbekannt"),
        )
    })
}

fn prepare(shared: &Shared, body: &Value) -> Answer {
    let csr = read_csr(&body["plain"])?;
    let method = method_of(&body["product"])?;
    let first = csr.names().first().map(String::as_str);
    let name = csr.common_name().or(first).unwrap_or_default().to_owned();
    let others = body["subjectAlternativeNames"]
        .as_array()
        .into_iter()
        .flatten();
    let others = others
        .filter_map(|one| one["name"].as_str())
        .map(str::to_owned);
    let names: Vec<String> = std::iter::once(name.clone()).chain(others).collect();
    let mut bases: Vec<&str> = Vec::new();
    for name in &names {
        let base = psl::domain_str(name.trim_start_matches("*.")).unwrap_or(name);
        if !bases.contains(&base) {
            bases.push(base);
        }
    }
    let mut state = shared.state();
    let mut entries: Vec<Value> = bases
        .iter()
        .filter_map(|base| {
            let wanted = state.book.wanted(base, method)?;
            Some(
                json!({"name": base, "method": "DNS", "dns": line(&wanted), "provisioning": false}),
            )
        })
        .collect();
    entries.push(
        json!({"name": name, "method": "EMAIL", "approverEmails": [format!("hostmaster@{name}")]}),
    );
    Ok(vec![
        json!({"name": name, "product": body["product"], "keySize": 256,
        "includedSans": names, "authentication": entries}),
    ])
}

/// The record of an order: the one that goes with it, or a new one that is not published.
fn record(shared: &Shared, order: &Value) -> Result<Option<Wanted>, Refused> {
    let method = method_of(&order["product"])?;
    let given = order["authentication"]["dns"].as_str().and_then(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (owner, value) = (words.first()?, words.last()?);
        Some(Wanted {
            owner: owner.trim_end_matches('.').to_owned(),
            kind: if words.contains(&"TXT") {
                "TXT"
            } else {
                "CNAME"
            },
            value: value.trim_matches('"').trim_end_matches('.').to_owned(),
        })
    });
    let name = order["name"].as_str().unwrap_or_default();
    Ok(given.or_else(|| shared.state().book.wanted(name, method)))
}

fn create(shared: &Shared, asked: &Asked<'_>, behaviour: &Behaviour, now: Timestamp) -> Answer {
    let order = asked.body;
    let is_mail = order["certificateType"] == "MAIL";
    if is_mail && order["hasCsr"] != true {
        return Err(Refused::new(400, "EF4001003", "hasCsr fehlt"));
    }
    let csr = read_csr(&order["csr"])?;
    checked(shared, order)?;
    let again = {
        let state = shared.state();
        let mut open = state
            .book
            .jobs
            .values()
            .filter(|job| job.finished.is_none());
        open.find(|job| asked.tag.is_some() && job.tag.as_deref() == asked.tag)
            .map(|job| state.book.bare(job, behaviour))
    };
    if let Some(job) = again.filter(|_| behaviour.same_tag_is_one_order) {
        return Ok(vec![job]);
    }
    let record = record(shared, order)?;
    let certificate = shared.state().book.certificate(order, csr.clone(), now);
    Ok(vec![begin(
        shared,
        asked.tag,
        "create",
        certificate,
        record,
        Some(csr),
        behaviour,
        now,
    )])
}

/// The contacts of an order must be there.
fn checked(shared: &Shared, order: &Value) -> Result<(), Refused> {
    for (key, code) in [
        ("adminContact", "EF4001006"),
        ("technicalContact", "EF4001010"),
    ] {
        let id = order[key]["id"].as_u64().unwrap_or(0);
        if !shared.state().book.contacts.contains_key(&id) {
            return Err(Refused::new(400, code, format!("{key} ist nicht gueltig")));
        }
    }
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the parts of a job")]
fn begin(
    shared: &Shared,
    tag: Option<&str>,
    action: &'static str,
    certificate: u64,
    record: Option<Wanted>,
    csr: Option<Csr>,
    behaviour: &Behaviour,
    now: Timestamp,
) -> Value {
    let mut state = shared.state();
    let waits = state
        .book
        .certificates
        .get(&certificate)
        .is_some_and(|one| one.order["certificateType"] == "MAIL" && action == "create");
    let pause = SignedDuration::from_secs(behaviour.look_after);
    let job = Job {
        id: state.book.number(),
        action,
        status: "RUNNING".to_owned(),
        detail: if waits { "WAIT_EMAIL_APPROVAL" } else { "" },
        certificate,
        tag: tag.map(str::to_owned),
        created: now,
        execution: now.saturating_add(pause).unwrap_or(now),
        finished: None,
        validated: None,
        reads: 0,
        record,
        csr,
    };
    let shown = state.book.bare(&job, behaviour);
    state.book.job(job);
    shown
}

fn certificate(shared: &Shared, id: &str, behaviour: &Behaviour) -> Result<Value, Refused> {
    let state = shared.state();
    let found = id
        .parse()
        .ok()
        .and_then(|id: u64| state.book.certificates.get(&id));
    let found =
        found.ok_or_else(|| Refused::new(404, "EF4001004", "Das Zertifikat gibt es nicht"))?;
    Ok(state.book.shown(found, behaviour))
}

fn certificates(shared: &Shared, body: &Value, behaviour: &Behaviour) -> Vec<Value> {
    let state = shared.state();
    let name = body["filters"].as_array().into_iter().flatten();
    let name = name
        .filter(|filter| filter["key"] == "name")
        .find_map(|one| one["value"].as_str());
    let offset = body["view"]["offset"].as_u64().unwrap_or(0);
    let limit = body["view"]["limit"].as_u64().unwrap_or(100);
    let found = state
        .book
        .certificates
        .values()
        .filter(|one| name.is_none_or(|name| one.order["name"] == name));
    let rows = found.map(|one| {
        let shown = state.book.shown(one, behaviour);
        let short = [
            "id",
            "name",
            "product",
            "serialNumber",
            "subjectAlternativeNames",
            "payable",
            "expire",
        ];
        short
            .iter()
            .map(|key| ((*key).to_owned(), shown[*key].clone()))
            .collect()
    });
    let (offset, limit) = (
        usize::try_from(offset).unwrap_or(0),
        usize::try_from(limit).unwrap_or(0),
    );
    rows.skip(offset).take(limit).collect()
}

/// A renewal or a reissue: another job for the same certificate.
fn again(
    shared: &Shared,
    asked: &Asked<'_>,
    id: &str,
    action: &'static str,
    behaviour: &Behaviour,
    now: Timestamp,
) -> Answer {
    certificate(shared, id, behaviour)?;
    let id: u64 = id.parse().unwrap_or(0);
    let csr = read_csr(&asked.body["csr"])?;
    let payable = shared
        .state()
        .book
        .certificates
        .get(&id)
        .map_or(now, |one| one.payable);
    let early = payable.duration_since(now) > SignedDuration::from_hours(24 * 90);
    if action == "renew" && early && behaviour.renews_late_only {
        return Err(Refused::new(400, "EF4001012", "Zu frueh"));
    }
    let record = record(shared, asked.body)?;
    Ok(vec![begin(
        shared,
        asked.tag,
        action,
        id,
        record,
        Some(csr),
        behaviour,
        now,
    )])
}

fn revoke(shared: &Shared, id: &str, body: &Value, behaviour: &Behaviour) -> Answer {
    certificate(shared, id, behaviour)?;
    if behaviour.present_is_not_revoked {
        return Err(Refused::new(400, "EF4001031", "Nur alte Versionen"));
    }
    let id: u64 = id.parse().unwrap_or(0);
    let mut state = shared.state();
    let found = state.book.certificates.get_mut(&id);
    let found =
        found.ok_or_else(|| Refused::new(404, "EF4001004", "Das Zertifikat gibt es nicht"))?;
    let wanted = body["serialNumber"].as_str().unwrap_or_default();
    if !hex(&found.serial)
        .trim_start_matches('0')
        .eq_ignore_ascii_case(wanted.trim_start_matches('0'))
    {
        return Err(Refused::new(
            400,
            "EF4001032",
            "Die Seriennummer ist unbekannt",
        ));
    }
    let serial = hex(&found.serial);
    found.revoked.push(serial);
    Ok(vec![json!({"id": id, "serialNumber": wanted})])
}

fn delete(shared: &Shared, id: &str, behaviour: &Behaviour, now: Timestamp) -> Answer {
    let shown = certificate(shared, id, behaviour)?;
    let id: u64 = id.parse().unwrap_or(0);
    let mut fresh = shown;
    fresh["authentication"] = Value::Null;
    let record = record(shared, &fresh)?;
    Ok(vec![begin(
        shared, None, "delete", id, record, None, behaviour, now,
    )])
}

/// Whether a job is below `/job`, or in the history.
fn is_past(job: &Job, behaviour: &Behaviour, now: Timestamp) -> bool {
    job.finished
        .is_some_and(|at| now.duration_since(at) >= SignedDuration::from_secs(behaviour.job_stays))
}

fn jobs(
    shared: &Shared,
    body: &Value,
    past: bool,
    behaviour: &Behaviour,
    now: Timestamp,
) -> Vec<Value> {
    let state = shared.state();
    let name = body["filters"].as_array().into_iter().flatten();
    let name = name
        .filter(|filter| filter["key"] == "object")
        .find_map(|one| one["value"].as_str());
    let found = state.book.jobs.values().filter(|job| {
        is_past(job, behaviour, now) == past
            && name.is_none_or(|name| state.book.name_of(job.certificate) == name)
    });
    let rows = found.map(|job| state.book.bare(job, behaviour));
    rows.map(|mut row| {
        row["events"] = Value::Null;
        row
    })
    .collect()
}

fn job(shared: &Shared, id: &str, past: bool, behaviour: &Behaviour, now: Timestamp) -> Answer {
    let state = shared.state();
    let found = id.parse().ok().and_then(|id: u64| state.book.jobs.get(&id));
    let found = found.filter(|job| is_past(job, behaviour, now) == past);
    let found =
        found.ok_or_else(|| Refused::new(400, "EF300101", "Der Auftrag existiert nicht"))?;
    Ok(vec![state.book.job_shown(found, behaviour)])
}

fn cancel(shared: &Shared, id: &str) -> Answer {
    let id: u64 = id.parse().unwrap_or(0);
    let now = shared.now();
    let mut state = shared.state();
    let found = state
        .book
        .jobs
        .get_mut(&id)
        .filter(|job| job.finished.is_none());
    let found =
        found.ok_or_else(|| Refused::new(400, "EF300101", "Der Auftrag existiert nicht"))?;
    (found.status, found.finished) = ("CANCELED".to_owned(), Some(now));
    Ok(Vec::new())
}

fn poll(shared: &Shared, behaviour: &Behaviour) -> Vec<Value> {
    let state = shared.state();
    let Some((id, job)) = state.book.messages.front() else {
        return Vec::new();
    };
    let job = job.and_then(|job| state.book.jobs.get(&job));
    vec![match job {
        Some(job) => {
            let mut shown = state.book.job_shown(job, behaviour);
            shown["id"] = json!(id);
            shown
        }
        None => json!({"id": id, "notify": {"type": "transfer_start"},
            "object": {"type": "Domain", "value": "foreign.example"}}),
    }]
}

fn confirm(shared: &Shared, id: &str) -> Answer {
    let mut state = shared.state();
    let is_head = state
        .book
        .messages
        .front()
        .is_some_and(|(head, _)| head.to_string() == id);
    if !is_head {
        return Err(Refused::new(
            400,
            "EF0906",
            "Die Nachricht ist nicht die erste",
        ));
    }
    state.book.messages.pop_front();
    Ok(Vec::new())
}
