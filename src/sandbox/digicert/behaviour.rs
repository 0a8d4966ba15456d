//! What is not known about the real CA, as switches; and what can go wrong on the way to it.

use serde::{Deserialize, Serialize};

use crate::sandbox::service;

/// One switch for each open question about the CA. The default is the friendliest answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Behaviour {
    /// The permissions of the key.
    pub rights: Rights,
    /// Whether the limits on calls are held: 100 in 5 seconds, 1000 in 3 minutes.
    pub limits: bool,
    /// Whether `errors` is an object.
    pub error_objects: bool,
    /// The largest page of a list.
    pub largest_page: usize,
    /// The number of rows by which the count of a list is too high.
    pub counts_too_many: usize,
    /// Whether every page of a list is its first page again.
    pub repeats_pages: bool,
    /// Whether each page begins with the last row of the page before.
    pub overlapping_pages: bool,
    /// How ends are written.
    pub dates: Dates,
    /// Whether booleans are `"1"` and `"0"`.
    pub odd_booleans: bool,
    /// Whether `is_pending_validation` is left out.
    pub no_pending_flag: bool,
    /// A word for `status` in place of the right one.
    pub status_word: Option<String>,
    /// How long a validation may be used, days. Less than before: old ones end earlier too.
    pub reuse_days: i64,
    /// How many days before the end for OV a validation ends for EV.
    pub ev_ends_earlier: i64,
    /// How long the organisation's side of the validations lasts, days from now.
    pub organisation_days: Option<i64>,
    /// What `POST /domain` answers to a name that exists.
    pub existing: Existing,
    /// Whether `www.` is cut although the call asks to keep it.
    pub cuts_www: bool,
    /// The answer to a submission.
    pub submitted: Submitted,
    /// Whether a submission gives a new value although one is alive.
    pub new_value_each_submission: bool,
    /// Whether a submission ends the values before it.
    pub submission_ends_values: bool,
    /// Whether a submission leaves the method as it was.
    pub keeps_method: bool,
    /// Whether values hold characters that are hard to quote.
    pub hostile_values: bool,
    /// Whether the CA gives values that have already ended.
    pub ended_values: bool,
    /// How many checks do not see the record that is there.
    pub blind_checks: u32,
    /// `status` of a check that has found the record; `None`: an empty answer.
    pub check_says: Option<String>,
    /// Whether the CA checks by itself after a submission or an order.
    pub polls: bool,
    /// What becomes of orders and revocations that ask to skip their approval.
    pub approval: Approval,
    /// The word of an order that has no certificate yet.
    pub waiting_word: String,
    /// The word of a duplicate that has its certificate.
    pub duplicate_word: String,
    /// Seconds from an order to its certificate.
    pub issued_after: i64,
    /// How long certificates live at most, in seconds.
    pub certificate_life: i64,
    /// Whether orders and their answers say until when they are paid for.
    pub shows_order_end: bool,
    /// Whether a certificate that is issued at once is in the answer to its order.
    pub chain_in_answer: bool,
    /// Whether a download begins with the root, or with what is nearest to it.
    pub chain_root_first: bool,
    /// Whether every certificate of an order is downloaded as its first one.
    pub same_certificate_for_all: bool,
    /// Seconds from a certificate until it can be downloaded.
    pub download_lags: i64,
    /// Whether certificates are for another key than the ordered one.
    pub for_another_key: bool,
    /// Whether certificates lack the last name.
    pub leaves_a_name_out: bool,
    /// Whether details show the comments of the order.
    pub shows_comments: bool,
    /// Whether details show the request (CSR) of the order.
    pub shows_csr: bool,
    /// Whether an order of its own value is validated at each name, not at the base domain.
    pub fqdn_scope: bool,
    /// Whether what an order waits for is not shown.
    pub hides_waits: bool,
    /// Whether a check of an order that finds nothing is refused.
    pub check_refuses: bool,
    /// Whether an order stays issued when its certificates are revoked.
    pub revoking_keeps_orders: bool,
    /// The types for which the organisations are validated.
    pub organisation_types: Vec<String>,
    /// A field that every order must carry.
    pub required_field: Option<String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            rights: Rights::All,
            limits: false,
            error_objects: false,
            largest_page: 1000,
            counts_too_many: 0,
            repeats_pages: false,
            overlapping_pages: false,
            dates: Dates::Days,
            odd_booleans: false,
            no_pending_flag: false,
            status_word: None,
            reuse_days: 199,
            ev_ends_earlier: 0,
            organisation_days: None,
            existing: Existing::Refused,
            cuts_www: false,
            submitted: Submitted::Value,
            new_value_each_submission: false,
            submission_ends_values: false,
            keeps_method: false,
            hostile_values: false,
            ended_values: false,
            blind_checks: 0,
            check_says: Some("active".to_owned()),
            polls: true,
            approval: Approval::Skipped,
            waiting_word: "pending".to_owned(),
            duplicate_word: "issued".to_owned(),
            issued_after: 0,
            certificate_life: 90 * 86_400,
            shows_order_end: true,
            chain_in_answer: true,
            chain_root_first: true,
            same_certificate_for_all: false,
            download_lags: 0,
            for_another_key: false,
            leaves_a_name_out: false,
            shows_comments: true,
            shows_csr: true,
            fqdn_scope: false,
            hides_waits: false,
            check_refuses: false,
            revoking_keeps_orders: false,
            organisation_types: vec!["ov".to_owned(), "ev".to_owned()],
            required_field: None,
        }
    }
}

/// The permissions of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rights {
    /// Everything.
    All,
    /// GET only.
    ViewOnly,
    /// Orders, and nothing of domains.
    Orders,
}

/// What becomes of orders and revocations that ask to skip their approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// They need none: the key may approve.
    Skipped,
    /// They wait for an administrator all the same.
    Needed,
    /// 403.
    Refused,
}

/// How ends are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dates {
    /// `2026-11-29`
    Days,
    /// `2026-11-29 12:00:00`
    Civil,
    /// `2026-11-29T12:00:00+00:00`
    Instants,
}

/// What `POST /domain` answers to a name that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// 400.
    Refused,
    /// The domain that is there.
    Returned,
}

/// The answer to a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Submitted {
    /// 200 with the value.
    Value,
    /// 204 without a body, as in 2018.
    Nothing,
    /// The value of an order, by mistake.
    OrderValue,
}

/// Something that goes wrong on the way to it.
pub type Fault = service::Fault<What>;

/// The faults to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The content delivery network answers with a page, and the call is not made.
    Page(u16),
    /// An answer without a body, and the call is not made.
    Empty(u16),
    /// 429, and the call is not made.
    Throttled,
    /// The call is made, and its answer is lost.
    DoneButLost,
    /// The call is lost on its way.
    Lost,
}
