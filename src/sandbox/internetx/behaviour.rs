//! What is not known about the real one, as switches; and what can go wrong on the way to it.

use serde::{Deserialize, Serialize};

use crate::sandbox::service;

/// One switch for each open question. The default is the friendliest answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Whether a second order with the transaction id of a running one is that one again.
    pub same_tag_is_one_order: bool,
    /// Whether too many calls are answered by 200 with an error inside, not by 429.
    pub limit_in_200: bool,
    /// Calls of one second of real time; 0: no limit.
    pub calls_per_second: usize,
    /// Seconds that a finished job stays below `/job`.
    pub job_stays: i64,
    /// Whether certificates come with their chain.
    pub has_chain: bool,
    /// The value in the place of empty data.
    pub nothing: Nothing,
    /// Whether the offset of dates has a colon.
    pub colon_in_dates: bool,
    /// How the lines of certificates end.
    pub lines: Lines,
    /// Whether a wrong context is answered by 403, not by 401.
    pub context_is_403: bool,
    /// Whether jobs show the transaction id of their order.
    pub shows_tags: bool,
    /// Seconds from an order to the first check of DNS, and from each check to the next.
    pub look_after: i64,
    /// Checks without the record until the job fails.
    pub looks: u32,
    /// Seconds from a validation to the certificate.
    pub issued_after: i64,
    /// How long certificates live, in seconds.
    pub certificate_life: i64,
    /// Whether the next certificate is a reissue in the paid period.
    pub reissue_required: bool,
    /// Whether a renewal is refused before the last 90 days of the paid period.
    pub renews_late_only: bool,
    /// Whether the present version of a certificate cannot be revoked by its number.
    pub present_is_not_revoked: bool,
    /// Whether certificates are for another key than the ordered one.
    pub for_another_key: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            same_tag_is_one_order: false,
            limit_in_200: false,
            calls_per_second: 3,
            job_stays: 0,
            has_chain: true,
            nothing: Nothing::Null,
            colon_in_dates: false,
            lines: Lines::Lf,
            context_is_403: false,
            shows_tags: true,
            look_after: 0,
            looks: 5,
            issued_after: 0,
            certificate_life: 90 * 86_400,
            reissue_required: false,
            renews_late_only: false,
            present_is_not_revoked: false,
            for_another_key: false,
        }
    }
}

/// The value in the place of empty data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nothing {
    /// `"data": null`
    Null,
    /// No `data`.
    Absent,
    /// `"data": []`
    Empty,
}

/// How the lines of certificates end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lines {
    /// `\n`
    Lf,
    /// `\r\n`
    CrLf,
    /// All in one line.
    One,
}

/// Something that goes wrong on the way to it.
pub type Fault = service::Fault<What>;

/// The faults to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The call is made, and its answer is lost.
    DoneButLost,
    /// The call is lost on its way.
    Lost,
    /// A page comes in place of an answer.
    Page,
    /// The call is not made, and the answer says neither yes nor no.
    Hollow,
    /// The call is not made, and the answer has no data.
    Nothing,
}
