//! What is not known about the real CA, as switches; and what can go wrong on the way to it.

use serde::{Deserialize, Serialize};

use crate::sandbox::service;

/// One switch for each open question about the CA. The default is the friendliest answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// How days are written.
    pub dates: Dates,
    /// How the words of a status are written.
    pub spelling: Spelling,
    /// Whether rows of the list lack their date and their method.
    pub bare_rows: bool,
    /// Whether lists name their total in `X-Total-Count`.
    pub shows_total: bool,
    /// How many more rows are counted than there are.
    pub counts_too_many: usize,
    /// Whether every page of a list is its first page again.
    pub repeats_pages: bool,
    /// Whether wildcard entries are rows of their own.
    pub wildcard_rows: bool,
    /// Whether each start of a CNAME validation gives another pair.
    pub new_pair_each_start: bool,
    /// How orders end.
    pub orders: OrderEnd,
    /// Whether a fulfilled order continues being called SUBMITTED.
    pub leaves_submitted: bool,
    /// Seconds from a submission to the first check, and from each check to the next.
    pub first_look: i64,
    /// See [`Behaviour::first_look`].
    pub next_look: i64,
    /// Whether `sync?force=true` makes the CA check at once.
    pub sync_looks: bool,
    /// Whether the CA asks DNS for CAA before a domain is validated.
    pub caa: bool,
    /// Whether a TXT value holds characters that are hard to quote.
    pub hostile_values: bool,
    /// The record's owner is outside of the domain.
    pub owner_outside: bool,
    /// The record that is named in the place of the CA's own: its owner, one blank, its data.
    pub names_record: Option<String>,
    /// Whether an order that was submitted continues waiting to be submitted.
    pub keeps_begun: bool,
    /// The state of a submitted order, in the place of SUBMITTED.
    pub submitted_is_called: Option<String>,
    /// Whether start and submit are refused with -724.
    pub busy: bool,
    /// Whether the account lacks the right to validate (-3).
    pub no_right: bool,
    /// Whether validation in advance is switched off (-1608).
    pub dcv_off: bool,
    /// The state of a new domain.
    pub delegation: Delegation,
    /// `ALIVE`, `EXPIRED` or `NEVER_EXPIRE`.
    pub password_state: String,
    /// The day on which the password ends.
    pub password_ends: Option<String>,
    /// Seconds from an order to its certificate.
    pub issued_after: i64,
    /// Seconds from a certificate until it can be collected.
    pub collect_lags: i64,
    /// Whether an order waits until an administrator approves it.
    pub waits_for_approval: bool,
    /// The word of the state that an order reaches.
    pub certificates_become: String,
    /// How long certificates live, in seconds.
    pub certificate_life: i64,
    /// How a certificate that is not ready is answered at `collect`.
    pub pending: Pending,
    /// Whether a chain begins with the root, or with what is nearest to it.
    pub chain_root_first: bool,
    /// Whether a chain holds the root.
    pub chain_has_root: bool,
    /// Whether details show the comments of the order.
    pub shows_comments: bool,
    /// A field that every order must carry.
    pub mandatory_field: Option<String>,
    /// Whether certificates are for another key than the ordered one.
    pub for_another_key: bool,
    /// Whether certificates lack the last name.
    pub leaves_a_name_out: bool,
    /// Seconds from a revocation until the order says so.
    pub revoked_after: i64,
    /// Whether the list of orders takes no notice of the state that is asked for.
    pub ignores_status: bool,
    /// Seconds that a token lives; 0: the answer does not say.
    pub token_life: i64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            dates: Dates::Days,
            spelling: Spelling::Wire,
            bare_rows: false,
            shows_total: true,
            counts_too_many: 0,
            repeats_pages: false,
            wildcard_rows: false,
            new_pair_each_start: true,
            orders: OrderEnd::Fulfilled,
            leaves_submitted: false,
            first_look: 60,
            next_look: 7_200,
            sync_looks: true,
            caa: false,
            hostile_values: true,
            owner_outside: false,
            names_record: None,
            keeps_begun: false,
            submitted_is_called: None,
            busy: false,
            no_right: false,
            dcv_off: false,
            delegation: Delegation::Active,
            password_state: "ALIVE".to_owned(),
            password_ends: None,
            issued_after: 0,
            collect_lags: 0,
            waits_for_approval: false,
            certificates_become: "Issued".to_owned(),
            certificate_life: 90 * 86_400,
            pending: Pending::Code0,
            chain_root_first: true,
            chain_has_root: true,
            shows_comments: true,
            mandatory_field: None,
            for_another_key: false,
            leaves_a_name_out: false,
            revoked_after: 0,
            ignores_status: false,
            token_life: 300,
        }
    }
}

/// How a certificate that is not ready is answered at `collect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pending {
    /// 400 with code 0.
    Code0,
    /// 400 with code -183.
    Code183,
    /// 200 with nothing.
    Empty,
}

/// How days are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dates {
    /// `2026-11-29`
    Days,
    /// `11/29/2026`
    Us,
    /// RFC 3339
    Instants,
}

/// How the words of a status are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spelling {
    /// `NOT_VALIDATED`
    Wire,
    /// `Not validated`
    Display,
}

/// How orders end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderEnd {
    /// As soon as the record is seen.
    Fulfilled,
    /// They stay submitted whatever is in DNS.
    Hang,
    /// The first check rejects them.
    Rejected,
}

/// The state of a new domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delegation {
    /// It can be validated at once.
    Active,
    /// It waits for a person of the level above.
    Requested,
    /// The account may not create domains (-3).
    NoRight,
    /// The Web API is switched off for the organisation (-1021).
    WebApiOff,
}

/// A fault of a call to the sandbox.
pub type Fault = service::Fault<What>;

/// The faults to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A gateway answers in plain text, and the call is not made.
    Gateway(u16),
    /// The call is made, and its answer is lost.
    DoneButLost,
    /// The call is lost on its way.
    Lost,
    /// It refuses the call with this code, and the call is not made.
    Says(i64),
    /// The call is made, and it answers with this code all the same.
    DoneButSays(i64),
}
