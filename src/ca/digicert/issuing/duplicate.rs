//! Duplicates: other certificates of an order, each with its own key, beside the one that the order
//! shows. A list of the order has them (DigiCert, "List duplicates"), and there each is known by its
//! public key.

use serde_json::Value;

use super::super::DigiCert;
use super::super::entry::{is_id, number};
use super::reissue::{self, Asked};
use super::wire::{self, Kinship};
use crate::ca::csr::{Csr, Sight};
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Kind};
use crate::ca::issuing::{Fetched, Found, Intent, Issuing, Order, OrderKey};
use crate::ca::{CaError, Failure};
use crate::issuance::OrderState;

/// The text before the public key of a duplicate that has no certificate yet.
const KEY: &str = "key:";

/// One duplicate of an order, as the list has it.
struct Row {
    /// The certificate, once it is there.
    id: Option<String>,
    state: OrderState,
    serial: Option<String>,
    /// The public key of its request.
    key: Option<Vec<u8>>,
}

fn rows(value: &Value) -> Option<Vec<Row>> {
    let all = value["certificates"].as_array()?.iter();
    let row = |one: &Value| {
        let request = one["csr"].as_str();
        let request = request.and_then(|pem| Csr::read(pem.as_bytes()).ok());
        let word = one["status"].as_str().unwrap_or_default();
        Row {
            id: one.get("id").and_then(number),
            state: match wire::state(word) {
                OrderState::Working if is_complete(one) => OrderState::Issued,
                state => state,
            },
            serial: wire::serial(one),
            key: request.map(|csr| csr.public_key().to_vec()),
        }
    };
    Some(all.map(row).collect())
}

/// Whether a row shows a certificate: DigiCert's documents call one that is issued `approved`.
fn is_complete(one: &Value) -> bool {
    let says = |key: &str| {
        one[key]
            .as_str()
            .is_some_and(|text| !text.trim().is_empty())
    };
    says("serial_number") && (says("valid_till") || says("thumbprint"))
}

/// The key of an order whose duplicate has no certificate yet.
fn waits(reference: &str, public_key: &[u8], request: Option<u64>) -> OrderKey {
    let digits: String = public_key
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    OrderKey {
        reference: reference.to_owned(),
        certificate: Some(wire::with_request(format!("{KEY}{digits}"), request)),
    }
}

/// The public key that such a key of an order names.
pub(super) fn wanted_key(key: &OrderKey) -> Option<Vec<u8>> {
    let digits = wire::meant(key.certificate.as_deref()?).strip_prefix(KEY)?;
    let pairs = (0..digits.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect()
}

/// What the answer to the order of a duplicate says.
pub(super) fn made(intent: &Intent, answer: &Value) -> Option<Order> {
    let reference = answer.get("id").and_then(number)?;
    let chain = answer["certificate_chain"].as_array();
    let is_there = chain.is_some_and(|chain| !chain.is_empty());
    let id = answer.get("certificate_id").and_then(number);
    Some(match id.filter(|_| is_there) {
        Some(id) => {
            let certificate = Some(id);
            let key = OrderKey {
                reference,
                certificate,
            };
            Order::new(key, OrderState::Issued)
        }
        None => {
            let request = wire::newest_request(answer);
            let key = waits(&reference, intent.csr.public_key(), request);
            Order::new(key, OrderState::Working)
        }
    })
}

impl DigiCert {
    /// The certificates beside that of the order.
    async fn duplicates(&self, reference: &str) -> Result<Vec<Row>, CaError> {
        let path = ["order", "certificate", reference, "duplicate"];
        let call = Call::new(
            Kind::Read,
            "list the duplicates of",
            clean(reference),
            &path,
        );
        let call = call.by_get();
        self.check_id(reference, &call)?;
        let answer = self.order_call(&call).await?;
        let value = self.json(&call, &answer)?.value;
        rows(&value).ok_or_else(|| {
            let why = "the answer has no list of `certificates`";
            self.http.error(Failure::Malformed, &call, why)
        })
    }

    /// Whether a row is the duplicate for this key. One whose request is not shown is known by its
    /// certificate.
    async fn is_for(
        &self,
        reference: &str,
        row: &Row,
        public_key: &[u8],
    ) -> Result<Kinship, CaError> {
        if let Some(known) = &row.key {
            return Ok(match known == public_key {
                true => Kinship::Ours,
                false => Kinship::NotOurs,
            });
        }
        let Some(id) = row.id.clone().filter(|id| is_id(id)) else {
            return Ok(Kinship::Unclear);
        };
        let key = OrderKey {
            reference: reference.to_owned(),
            certificate: Some(id),
        };
        Ok(match self.fetch(&key).await? {
            Fetched::NotYet => Kinship::Unclear,
            Fetched::Certificates(found) => {
                let mut sights = found.iter().filter_map(|der| Sight::of(der).ok());
                match sights.any(|sight| sight.public_key == public_key) {
                    true => Kinship::Ours,
                    false => Kinship::NotOurs,
                }
            }
        })
    }

    /// The duplicate for this key, and whether another row may be it.
    async fn duplicate_for(
        &self,
        reference: &str,
        public_key: &[u8],
    ) -> Result<(Option<Order>, bool), CaError> {
        let mut unclear = false;
        for row in self.duplicates(reference).await? {
            match self.is_for(reference, &row, public_key).await? {
                Kinship::NotOurs => {}
                Kinship::Unclear => unclear |= !row.state.has_failed(),
                Kinship::Ours => {
                    let order = self.shown_duplicate(reference, row, public_key).await?;
                    return Ok((Some(order), unclear));
                }
            }
        }
        Ok((None, unclear))
    }

    /// The order of the row that is the duplicate for this key. One that downloads is issued,
    /// whatever the row calls it.
    async fn shown_duplicate(
        &self,
        reference: &str,
        row: Row,
        public_key: &[u8],
    ) -> Result<Order, CaError> {
        let key = |certificate| OrderKey {
            reference: reference.to_owned(),
            certificate: Some(certificate),
        };
        let mut state = row.state;
        if let Some(id) = row.id.clone().filter(|id| is_id(id))
            && state == OrderState::Working
            && let Fetched::Certificates(found) = self.fetch(&key(id)).await?
        {
            let mut sights = found.iter().filter_map(|der| Sight::of(der).ok());
            if sights.any(|sight| sight.public_key == public_key) {
                state = OrderState::Issued;
            }
        }
        let is_there = matches!(state, OrderState::Issued | OrderState::Revoked);
        let key = match row.id.filter(|_| is_there) {
            Some(id) => key(id),
            None => waits(reference, public_key, None),
        };
        let mut order = Order::new(key, state);
        order.serial = row.serial;
        Ok(order)
    }

    /// The state of a certificate of an order that its details do not show: a duplicate, or one
    /// before a reissue.
    pub(super) async fn read_beside(
        &self,
        key: &OrderKey,
        details: &Value,
    ) -> Result<Order, CaError> {
        let row = self.row_beside(key, None).await?;
        let mut order = self.seen(key, details)?;
        // Those are of the certificate that the details show.
        (order.serial, order.ends_at) = (None, None);
        match row {
            Some(row) => (order.state, order.serial) = (row.state, row.serial),
            None if order.state == OrderState::Revoked => {
                let words = "its order is revoked; DigiCert shows nothing of this certificate";
                order.state = OrderState::Unknown("revoked".to_owned());
                order.words = Some(words.to_owned());
            }
            None => {}
        }
        Ok(order)
    }

    /// The duplicate that has the serial number, or the id of the key. `None`: the list shows none.
    async fn row_beside(
        &self,
        key: &OrderKey,
        serial: Option<&str>,
    ) -> Result<Option<Row>, CaError> {
        let rows = match self.duplicates(&key.reference).await {
            Ok(rows) => rows,
            Err(error) if error.is_retryable() || error.is_account_wide() => return Err(error),
            Err(_) => Vec::new(),
        };
        let is_it = |row: &Row| match (serial, row.serial.as_deref()) {
            (Some(wanted), Some(shown)) => wanted == shown,
            _ => row.id.is_some() && row.id == key.certificate,
        };
        Ok(rows.into_iter().find(is_it))
    }

    /// Whether a duplicate with this serial number is revoked.
    pub(super) async fn is_revoked_beside(
        &self,
        key: &OrderKey,
        serial: &str,
    ) -> Result<bool, CaError> {
        let row = self.row_beside(key, Some(serial)).await?;
        Ok(row.is_some_and(|row| row.state == OrderState::Revoked))
    }

    /// Whether a duplicate was taken whose answer was lost.
    pub(super) async fn duplicated(
        &self,
        intent: &Intent,
        first: &OrderKey,
    ) -> Result<Found, CaError> {
        let public_key = intent.csr.public_key();
        let (found, mut unclear) = self.duplicate_for(&first.reference, public_key).await?;
        if let Some(order) = found {
            return Ok(Found::Order(Box::new(order)));
        }
        let details = self
            .order_details("search for the duplicate of", first)
            .await?;
        match reissue::by_requests("duplicate", intent, &details) {
            Some(Asked::Ours(id)) => {
                let key = waits(&first.reference, public_key, Some(id));
                let order = Order::new(key, OrderState::AwaitsPerson);
                return Ok(Found::Order(Box::new(order)));
            }
            Some(Asked::Unclear) => unclear = true,
            None => {}
        }
        Ok(self.not_found(intent, unclear))
    }

    /// The state of a duplicate that had no certificate yet.
    pub(super) async fn read_duplicate(
        &self,
        key: &OrderKey,
        public_key: &[u8],
    ) -> Result<Order, CaError> {
        let (found, _) = self.duplicate_for(&key.reference, public_key).await?;
        if let Some(mut order) = found {
            if wanted_key(&order.key).is_some() {
                order.key = key.clone();
            }
            return Ok(order);
        }
        let details = self.order_details("read the order", key).await?;
        let order = Order::new(key.clone(), OrderState::Working);
        Ok(reissue::with_request_of("duplicate", order, &details))
    }
}
