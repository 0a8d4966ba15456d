//! The state of the sandbox: contacts, jobs, certificates, messages.

use std::collections::{BTreeMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::behaviour::{Behaviour, Lines};
use crate::ca::authority::{Authority, Contents};
use crate::ca::csr::{Csr, Sight};

/// A job as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct JobView {
    /// Its number.
    pub id: u64,
    /// `create`, `renew`, `reissue`, `delete`.
    pub action: &'static str,
    /// The word of its state.
    pub status: String,
    /// The common name, or the mail address.
    pub name: String,
    /// The transaction id of its order.
    pub tag: Option<String>,
}

pub(super) struct Book {
    pub(super) authority: Authority,
    pub(super) contacts: BTreeMap<u64, Value>,
    pub(super) jobs: BTreeMap<u64, Job>,
    pub(super) certificates: BTreeMap<u64, Certificate>,
    pub(super) messages: VecDeque<(u64, Option<u64>)>,
    /// Where the certificate above all others is.
    pub(super) issuer_url: String,
    next: u64,
    rng: StdRng,
}

/// An order, or another thing to do.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) action: &'static str,
    pub(super) status: String,
    pub(super) detail: &'static str,
    pub(super) certificate: u64,
    pub(super) tag: Option<String>,
    pub(super) created: Timestamp,
    pub(super) execution: Timestamp,
    pub(super) finished: Option<Timestamp>,
    pub(super) validated: Option<Timestamp>,
    pub(super) reads: u32,
    pub(super) record: Option<Wanted>,
    pub(super) csr: Option<Csr>,
}

/// The record that an order wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) owner: String,
    pub(super) kind: &'static str,
    pub(super) value: String,
}

#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) id: u64,
    pub(super) order: Value,
    pub(super) serial: Vec<u8>,
    pub(super) der: Option<Vec<u8>>,
    pub(super) csr: Csr,
    pub(super) payable: Timestamp,
    pub(super) revoked: Vec<String>,
}

/// Product, and how it is validated.
pub(super) const PRODUCTS: [(&str, &str); 4] = [
    ("BASIC_SSL", "TXT"),
    ("COMODO_SSL", "CNAME"),
    ("EMAIL_SSL", "EMAIL"),
    ("GLOBALSIGN_PERSONALSIGN_1", "MAIL"),
];

impl Book {
    pub(super) fn new(seed: u64, now: Timestamp) -> Result<Self, String> {
        Ok(Self {
            authority: Authority::new("Sandbox SSL Manager", now)?,
            contacts: BTreeMap::new(),
            jobs: BTreeMap::new(),
            certificates: BTreeMap::new(),
            messages: VecDeque::new(),
            issuer_url: String::new(),
            next: 4_299_710_353,
            rng: StdRng::seed_from_u64(seed),
        })
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 7;
        self.next
    }

    fn serial(&mut self) -> Vec<u8> {
        let mut serial: [u8; 16] = self.rng.random();
        serial[0] = serial[0] & 0x3f | 0x40;
        serial.to_vec()
    }

    /// A fresh record for a name. Its value is another one each time.
    pub(super) fn wanted(&mut self, name: &str, method: &str) -> Option<Wanted> {
        let base = name.trim_start_matches("*.");
        let random: [u8; 16] = self.rng.random();
        let text: String = random.iter().map(|octet| format!("{octet:02x}")).collect();
        match method {
            "TXT" => Some(Wanted {
                owner: format!("_dnsauth.{base}"),
                kind: "TXT",
                value: format!("20261129{text}"),
            }),
            "CNAME" => Some(Wanted {
                owner: format!("_{}.{base}", &text[..16]),
                kind: "CNAME",
                value: format!("{}.{}.sectigo.com", &text[..20], &text[20..]),
            }),
            _ => None,
        }
    }

    /// A certificate that is still to be issued.
    pub(super) fn certificate(&mut self, order: &Value, csr: Csr, now: Timestamp) -> u64 {
        let id = 770 + self.certificates.len() as u64;
        let year = SignedDuration::from_hours(24 * 365);
        let certificate = Certificate {
            id,
            order: order.clone(),
            serial: self.serial(),
            der: None,
            csr,
            payable: now.saturating_add(year).unwrap_or(now),
            revoked: Vec::new(),
        };
        self.certificates.insert(id, certificate);
        id
    }

    pub(super) fn job(&mut self, job: Job) -> u64 {
        let id = job.id;
        self.jobs.insert(id, job);
        id
    }

    pub(super) fn add_message(&mut self, job: Option<u64>) {
        let id = self.number();
        self.messages.push_back((id, job));
    }

    pub(super) fn decide(&mut self, job: u64, status: &str) {
        if let Some(job) = self.jobs.get_mut(&job) {
            status.clone_into(&mut job.status);
            job.detail = "";
            // It continues by itself where it was let through.
            if status == "RUNNING" {
                job.record = None;
                job.validated = Some(job.created);
            }
        }
    }

    pub(super) fn views(&self) -> Vec<JobView> {
        let view = |job: &Job| JobView {
            id: job.id,
            action: job.action,
            status: job.status.clone(),
            name: self.name_of(job.certificate),
            tag: job.tag.clone(),
        };
        self.jobs.values().map(view).collect()
    }

    pub(super) fn name_of(&self, certificate: u64) -> String {
        let certificate = self.certificates.get(&certificate);
        let name = certificate.and_then(|one| one.order["name"].as_str());
        name.unwrap_or_default().to_owned()
    }

    /// Whatever of a job is due: `seen` says whether its record is there.
    pub(super) fn advance(&mut self, id: u64, seen: bool, behaviour: &Behaviour, now: Timestamp) {
        let Some(mut job) = self.jobs.get(&id).cloned() else {
            return;
        };
        let after = |at: Timestamp, seconds: i64| {
            at.saturating_add(SignedDuration::from_secs(seconds))
                .unwrap_or(Timestamp::MAX)
        };
        if job.finished.is_some() {
            return;
        }
        if ["FAILED", "CANCELED"].contains(&job.status.as_str()) {
            job.finished = Some(now);
        } else if job.detail == "WAIT_EMAIL_APPROVAL" {
            return;
        } else if job.validated.is_none() && now >= job.execution {
            if seen || job.record.is_none() {
                job.validated = Some(now);
            } else {
                job.reads += 1;
                (job.status, job.detail) = ("DEFERRED".to_owned(), "WF_DNS_AUTH");
                job.execution = after(now, behaviour.look_after.max(60));
                if job.reads >= behaviour.looks {
                    job.status = "FAILED".to_owned();
                    job.finished = Some(now);
                }
            }
        }
        if let Some(validated) = job.validated
            && job.finished.is_none()
        {
            let due = after(validated, behaviour.issued_after);
            (job.status, job.detail, job.execution) = ("RUNNING".to_owned(), "", due);
            if now >= due {
                job.status = self.finish(&job, behaviour, now);
                job.finished = Some(now);
            }
        }
        if job.finished.is_some() {
            self.add_message(Some(id));
        }
        self.jobs.insert(id, job);
    }

    fn finish(&mut self, job: &Job, behaviour: &Behaviour, now: Timestamp) -> String {
        let serial = self.serial();
        let Some(certificate) = self.certificates.get_mut(&job.certificate) else {
            return "FAILED".to_owned();
        };
        if job.action == "delete" {
            certificate.revoked.push(hex(&certificate.serial));
            return "SUCCESS".to_owned();
        }
        if let Some(csr) = &job.csr {
            (certificate.csr, certificate.serial) = (csr.clone(), serial);
        }
        let name = certificate.order["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let is_mail = certificate.order["certificateType"] == "MAIL";
        let others = certificate.order["subjectAlternativeNames"].as_array();
        let others = others
            .into_iter()
            .flatten()
            .filter_map(|one| one["name"].as_str());
        let all: Vec<String> = std::iter::once(name.as_str())
            .chain(others)
            .map(str::to_owned)
            .collect();
        let contents = Contents {
            common_name: Some(name.clone()),
            names: if is_mail { Vec::new() } else { all },
            mailboxes: if is_mail { vec![name] } else { Vec::new() },
            from: now,
            life: SignedDuration::from_secs(behaviour.certificate_life),
            serial: certificate.serial.clone(),
            issuer_url: (!behaviour.has_chain).then(|| self.issuer_url.clone()),
        };
        let issued = if behaviour.for_another_key {
            self.authority.issue_for_another_key(&contents)
        } else {
            self.authority.issue(&certificate.csr, &contents)
        };
        match issued {
            Ok(issued) => {
                certificate.der = Some(issued.der);
                "SUCCESS".to_owned()
            }
            Err(_) => "FAILED".to_owned(),
        }
    }

    /// A certificate as its own call shows it.
    pub(super) fn shown(&self, certificate: &Certificate, behaviour: &Behaviour) -> Value {
        let mut shown = certificate.order.clone();
        shown["id"] = json!(certificate.id);
        shown["csr"] = json!(certificate.order["csr"]);
        shown["payable"] = json!(date(certificate.payable, behaviour));
        shown["reissueRequired"] = json!(behaviour.reissue_required);
        shown["serialNumber"] = json!("NOT_SET");
        let histories = certificate.revoked.iter();
        let histories: Vec<_> = histories
            .map(|serial| json!({"serialNumber": serial, "revoked": true}))
            .collect();
        shown["histories"] = json!(histories);
        if let Some(der) = &certificate.der {
            let end = Sight::of(der).map_or(0, |sight| sight.not_after);
            let end = Timestamp::from_second(end).unwrap_or(Timestamp::MAX);
            shown["server"] = json!(pem(der, behaviour.lines));
            shown["serialNumber"] = json!(hex(&certificate.serial));
            shown["expire"] = json!(date(end, behaviour));
            let above = pem(&self.authority.intermediate(), behaviour.lines);
            let root = pem(&self.authority.root(), behaviour.lines);
            shown["certificationAuthority"] = if behaviour.has_chain {
                json!([{"caType": "ROOT", "caCertificate": root}, {"caType": "INTERMEDIATE", "caCertificate": above}])
            } else {
                json!([])
            };
        }
        shown
    }

    /// A job with what it is about.
    pub(super) fn job_shown(&self, job: &Job, behaviour: &Behaviour) -> Value {
        let record = job.record.as_ref().map(|record| {
            json!({"name": self.name_of(job.certificate), "method": "DNS", "dns": line(record)})
        });
        json!({
            "job": self.bare(job, behaviour),
            "object": {"type": "Certificate", "value": self.name_of(job.certificate),
                "data": {"id": job.certificate, "partnerOrderId": format!("IX-CC-{}", job.id)}},
            "authentication": record.into_iter().collect::<Vec<_>>(),
        })
    }

    pub(super) fn bare(&self, job: &Job, behaviour: &Behaviour) -> Value {
        let certificate = self.certificates.get(&job.certificate);
        let product = certificate.map(|one| one.order["product"].clone());
        let tag = job.tag.as_ref().filter(|_| behaviour.shows_tags);
        json!({
            "id": job.id, "status": job.status, "subStatus": job.detail, "action": job.action,
            "subType": product, "created": date(job.created, behaviour),
            "execution": date(job.execution, behaviour),
            "events": [{"jobId": job.id, "type": "certificate", "ctid": tag}],
        })
    }
}

/// One line of a zone file, with its tabs.
pub(super) fn line(record: &Wanted) -> String {
    let Wanted { owner, kind, value } = record;
    match *kind {
        "TXT" => format!("{owner}.\t300\tIN\tTXT\t\t\"{value}\""),
        _ => format!("{owner}.\t300\tIN\t{kind}\t\t{value}."),
    }
}

/// A date in the zone of the vendor.
pub(super) fn date(at: Timestamp, behaviour: &Behaviour) -> String {
    let shifted = at
        .saturating_add(SignedDuration::from_hours(2))
        .unwrap_or(at);
    let zoned = shifted.to_zoned(jiff::tz::TimeZone::UTC);
    let colon = if behaviour.colon_in_dates { ":" } else { "" };
    format!("{}.000+02{colon}00", zoned.strftime("%Y-%m-%dT%H:%M:%S"))
}

fn pem(der: &[u8], lines: Lines) -> String {
    let text = STANDARD.encode(der);
    let end = match lines {
        Lines::Lf => "\n",
        Lines::CrLf => "\r\n",
        Lines::One => "",
    };
    let mut pem = format!("-----BEGIN CERTIFICATE-----{end}");
    for at in (0..text.len()).step_by(64) {
        pem += &text[at..text.len().min(at + 64)];
        pem += end;
    }
    pem + "-----END CERTIFICATE-----"
}

pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}
