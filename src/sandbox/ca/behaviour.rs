//! What is not known about the real CA, as switches; and what can go wrong on the way to it, as
//! faults.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::persistent::Validator;
use crate::sandbox::caa::PARAMETERS_BIND;

/// One switch for each open question about the CA. The default is the friendliest answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Whether a token reset leaves a valid domain valid.
    pub reset_keeps_proof: bool,
    /// What `validate` answers when the value is not seen.
    pub not_seen: Refusal,
    /// The answer of `validate` when no token can be used: expired, used up or deleted.
    pub stale_token: Refusal,
    /// What `register` does with a name that it knows.
    pub register_known: Known,
    /// Whether one bad name in a `register` fails all names, or itself only (it is then missing in
    /// the answer).
    pub bad_name_fails_batch: bool,
    /// Whether `randomValue` comes with `swiss-pki=` in front. The record needs it either way.
    pub value_has_prefix: bool,
    /// Whether `status` is in lower case, as before version 2.2.1 of the API.
    pub lower_case_status: bool,
    /// Whether the CA checks by itself: a read finds the domain validated already.
    pub polls: bool,
    /// Whether ß becomes ss, as in IDNA 2003.
    pub folds_sharp_s: bool,
    /// Whether lists and answers to `register` come in any order.
    pub shuffled: bool,
    /// Whether `timeExpired` shows the cut of a coming rule only once the rule is in force: the
    /// date then jumps back.
    pub cuts_late: bool,
    /// Whether the token helper puts its JWT in quotes.
    pub quoted_jwt: bool,
    /// The `iss` of a JWT that is accepted.
    pub issuer: String,
    /// How many clients a search returns at most.
    pub client_search_limit: usize,
    /// How many perspectives check, each through one name server of its choice; 0: every name
    /// server is asked and every one that can be reached must show the value.
    pub perspectives: u32,
    /// How many perspectives but the first may fail.
    pub perspective_failures: u32,
    /// Recursive resolvers, one for each perspective, asked in place of the name servers when there
    /// are any.
    pub resolvers: Vec<SocketAddr>,
    /// Before what the CA asks DNS for CAA.
    pub caa: CaaCheck,
    /// The name of the CA in CAA records.
    pub caa_names: Vec<String>,
    /// The account, as `accounturi` of CAA records names it.
    pub caa_accounts: Vec<String>,
    /// From when on `accounturi` and `validationmethods` of CAA records count.
    pub caa_from: Timestamp,
    /// Whether the CA takes `dns-01`, another case, and what the texts leave open.
    pub caa_lenient: bool,
    /// By whose reading of persistent records domains are validated.
    pub persistent: Reading,
    /// The CA in persistent records.
    pub persistent_issuer: String,
    /// The account, as persistent records name it.
    pub persistent_accounts: Vec<String>,
    /// Seconds between two checks at a persistent record.
    pub persistent_every: i64,
    /// Seconds from an order to its certificate.
    pub issued_after: i64,
    /// The word of the state that an order reaches then: `ISSUED`, `FAILED`, `REJECTED`,
    /// `PENDING_AUTH`, or a new one.
    pub orders_become: String,
    /// How long certificates live, in seconds.
    pub certificate_life: i64,
    /// What becomes of an order for a name that is not validated.
    pub unproven: Unproven,
    /// Whether `/v2/validate` refuses names that are not validated.
    pub validate_sees_domains: bool,
    /// Whether a search by tag finds orders with that very tag only.
    pub tags_are_exact: bool,
    /// Seconds from an order until a search by tag finds it.
    pub tags_found_after: i64,
    /// Whether an order is refused with 0239, and exists or not.
    pub submit_fails: SubmitFault,
    /// In which order a chain comes.
    pub chain_order: ChainOrder,
    /// Whether a chain holds the root.
    pub chain_has_root: bool,
    /// Whether the entries of a chain are PEM, not the Base64 of DER.
    pub chain_in_pem: bool,
    /// Whether the state of an order is a bare word, not a JSON string.
    pub bare_status: bool,
    /// Whether certificates are for another key than the ordered one.
    pub for_another_key: bool,
    /// Whether certificates lack the last name.
    pub leaves_a_name_out: bool,
    /// Whether certificates are revoked as soon as they are issued.
    pub revoked_at_once: bool,
    /// Seconds from a revocation until the order says so.
    pub revoked_after: i64,
    /// Whether a revocation must name the person that asks for it.
    pub wants_requestor: bool,
    /// How long every call takes at least, milliseconds of real time.
    pub latency_ms: u64,
    /// 429 for more calls than this in a second of real time; 0: no limit.
    pub calls_per_second: u32,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            reset_keeps_proof: true,
            not_seen: Refusal::Unchanged,
            stale_token: Refusal::Unchanged,
            register_known: Known::Error,
            bad_name_fails_batch: true,
            value_has_prefix: true,
            lower_case_status: false,
            polls: false,
            folds_sharp_s: false,
            shuffled: false,
            cuts_late: false,
            quoted_jwt: false,
            issuer: "SwissPKI".to_owned(),
            client_search_limit: 300,
            perspectives: 0,
            perspective_failures: 1,
            resolvers: Vec::new(),
            caa: CaaCheck::Off,
            caa_names: vec!["swisssign.com".to_owned()],
            caa_accounts: Vec::new(),
            caa_from: PARAMETERS_BIND,
            caa_lenient: true,
            persistent: Reading::Both,
            persistent_issuer: "swisssign.com".to_owned(),
            persistent_accounts: vec!["acct:sandbox@swisssign.com".to_owned()],
            persistent_every: 8 * 86_400,
            issued_after: 0,
            orders_become: "ISSUED".to_owned(),
            certificate_life: 90 * 86_400,
            unproven: Unproven::Waits,
            validate_sees_domains: false,
            tags_are_exact: true,
            tags_found_after: 0,
            submit_fails: SubmitFault::No,
            chain_order: ChainOrder::LeafFirst,
            chain_has_root: true,
            chain_in_pem: false,
            bare_status: false,
            for_another_key: false,
            leaves_a_name_out: false,
            revoked_at_once: false,
            revoked_after: 0,
            wants_requestor: true,
            latency_ms: 0,
            calls_per_second: 0,
        }
    }
}

impl Behaviour {
    /// A word of an order's state, in the case that is switched on.
    pub(super) fn status_word(&self, word: &str) -> String {
        if self.lower_case_status {
            word.to_lowercase()
        } else {
            word.to_owned()
        }
    }

    /// Sets one switch by name, as `--fault key=value` does.
    ///
    /// # Errors
    /// When there is no such switch, or it has no such value: a sentence that says which there are.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let value = serde_json::from_str(value).unwrap_or_else(|_| serde_json::Value::from(value));
        self.merge(serde_json::Map::from_iter([(key.to_owned(), value)]))
    }

    /// Sets several switches; none when one of them is wrong.
    ///
    /// # Errors
    /// As [`Behaviour::set`].
    pub fn merge(
        &mut self,
        switches: serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), String> {
        let mut all = serde_json::to_value(&*self).map_err(|error| error.to_string())?;
        if let Some(map) = all.as_object_mut() {
            map.extend(switches);
        }
        *self = serde_json::from_value(all).map_err(|error| error.to_string())?;
        Ok(())
    }
}

/// How a `validate` without success is answered. Both mean "not yet".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// 200, the domain as it was, with a `validationResult`.
    Unchanged,
    /// 400 with an APIError.
    Error,
}

/// Before what the CA asks DNS for CAA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaaCheck {
    /// Never.
    Off,
    /// Before a certificate is issued, for each name (BR 4.2.2.1).
    Orders,
    /// Before a domain is validated, too.
    Validate,
}

/// By whose reading of persistent records domains are validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// By both: a record must satisfy each.
    Both,
    /// Boulder's.
    Boulder,
    /// DigiCert's.
    Digicert,
}

impl Reading {
    /// The public validators that it simulates.
    pub(super) fn validators(self) -> Vec<Validator> {
        match self {
            Self::Both => Validator::ALL.to_vec(),
            Self::Boulder => vec![Validator::Boulder],
            Self::Digicert => vec![Validator::Digicert],
        }
    }
}

/// What becomes of an order for a name that is not validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unproven {
    /// It waits, and continues once the domain is validated.
    Waits,
    /// It waits for ever.
    Hangs,
    /// It fails.
    Fails,
}

/// Whether the backend takes an order that it is handed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubmitFault {
    /// It takes it.
    No,
    /// It says that it does not, and does not.
    WithoutOrder,
    /// It says that it does not, and does.
    WithOrder,
}

/// In which order a chain comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChainOrder {
    /// As documented.
    LeafFirst,
    /// The other way round.
    RootFirst,
    /// Another one each time.
    Any,
}

/// What `register` does with a known name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// It is a bad name.
    Error,
    /// The entry as it is.
    Same,
    /// As `token/reset`.
    NewToken,
}

/// The calls of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names of the calls say it")]
pub enum Call {
    Jwt,
    SearchClients,
    SearchClientsPaged,
    Client,
    List,
    Register,
    Get,
    Validate,
    ResetToken,
    DeleteToken,
    Delete,
    Issue,
    IssueCsr,
    ValidateIssue,
    Order,
    OrderStatus,
    OrderTasks,
    OrderChain,
    OrderTags,
    SearchOrders,
    SearchOrdersPaged,
    Revoke,
    /// No path of the API.
    Unknown,
}

/// Something that goes wrong with the nth call of a kind from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which call; none: any.
    #[serde(default)]
    pub on: Option<Call>,
    /// 1: the next such call.
    #[serde(default = "one")]
    pub nth: u32,
    /// For how many calls in a row.
    #[serde(default = "one")]
    pub times: u32,
    /// The event.
    pub what: What,
}

fn one() -> u32 {
    1
}

impl Fault {
    /// `what` with the nth call of this kind from now on, once.
    pub fn nth(on: Call, nth: u32, what: What) -> Self {
        Self {
            on: Some(on),
            nth,
            times: 1,
            what,
        }
    }
}

/// The faults to simulate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// This status with an APIError; nothing is done.
    Status(u16),
    /// The call is done and answered with this status.
    DoneButStatus(u16),
    /// 429 with this `Retry-After`: seconds, a date, or nonsense; nothing is done.
    RetryAfter(String),
    /// 200 with a maintenance page; nothing is done.
    Html,
    /// The connection is closed; nothing is done.
    DropBeforeDoing,
    /// The call is done and the connection is closed without an answer.
    DeliverThenDrop,
    /// The call is done this many milliseconds later.
    Delay(u64),
    /// The call is done and the answer ends in the middle.
    Truncate,
}

/// The faults still to come.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn pending(&self) -> &[Fault] {
        &self.0
    }

    /// Counts one call down and says what goes wrong with it: the oldest fault that is due.
    pub(super) fn next(&mut self, call: Call) -> Option<What> {
        let mut due = None;
        for fault in self
            .0
            .iter_mut()
            .filter(|fault| fault.on.is_none_or(|on| on == call))
        {
            if fault.nth > 1 {
                fault.nth -= 1;
            } else if due.is_none() {
                due = Some(fault.what.clone());
                fault.times = fault.times.saturating_sub(1);
            }
        }
        self.0.retain(|fault| fault.times > 0);
        due
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_switch_is_set_by_name_and_a_wrong_one_is_refused() {
        let mut behaviour = Behaviour::default();
        behaviour.set("register_known", "new_token").unwrap();
        behaviour.set("polls", "true").unwrap();
        behaviour.set("perspectives", "5").unwrap();
        assert_eq!(
            (
                behaviour.register_known,
                behaviour.polls,
                behaviour.perspectives
            ),
            (Known::NewToken, true, 5)
        );
        let before = behaviour.clone();
        assert!(
            behaviour.set("pols", "true").unwrap_err().contains("polls"),
            "the error lists the switches"
        );
        assert!(
            behaviour
                .set("register_known", "maybe")
                .unwrap_err()
                .contains("new_token")
        );
        assert_eq!(behaviour, before);
    }

    #[test]
    fn a_fault_strikes_the_nth_call_of_its_kind_and_then_no_more() {
        let mut faults = Faults::default();
        faults.add(Fault::nth(Call::Validate, 2, What::Html));
        assert_eq!(faults.next(Call::Get), None);
        assert_eq!(faults.next(Call::Validate), None);
        assert_eq!(faults.next(Call::Validate), Some(What::Html));
        assert_eq!(faults.next(Call::Validate), None);
    }
}
