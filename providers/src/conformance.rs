//! The contract of [`Provider`] as cases, run once per adapter against the real thing.
//!
//! A [`Subject`] brings a provider and a prepared zone; every case starts from that zone, reads it
//! by means of its own and not through the provider, and leaves it as it found it.

mod aliases;
mod cases;
mod processes;
mod trouble;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::process::Command;

use crate::provider::Provider;
use crate::record::{Record, TxtRecord};
use aliases::*;
use cases::*;
pub use processes::another_process;
use processes::two_processes_at_once_lose_nothing;
use trouble::*;

/// TTL of the prepared RRset at the apex, seconds.
pub const APEX_TTL: u32 = 3600;
/// The prepared SPF record.
pub const SPF: &str = "v=spf1 include:_spf.example.net -all";

/// The foreign records at the apex beside SPF: 300 octets in the split 200 + 100, and quotes,
/// backslashes and octets that are not ASCII.
pub fn foreign_records() -> Vec<TxtRecord> {
    let long = TxtRecord {
        strings: vec![vec![b'a'; 200], vec![b'b'; 100]],
    };
    let odd = TxtRecord {
        strings: vec![br#"say "hi" \ ; "#.to_vec(), "Zürich".as_bytes().to_vec()],
    };
    vec![TxtRecord::of(SPF), long, odd]
}

/// One adapter with its zone. Names are A-labels without a trailing dot.
///
/// The zone holds at its apex SPF and [`foreign_records`] with [`APEX_TTL`]; a CNAME at `alias.`; a
/// delegation of `cut.`; an A record at `*.wild.` and one at `there.wild.`, and a record at
/// `below.empty.wild.`; TXT with the value `foreign` at `mine.`. Nothing is at or below `new.` and
/// `many.`.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The name of the tested provider, for messages.
    fn name(&self) -> String;
    /// The zone's apex.
    fn apex(&self) -> String;
    /// A provider that may write the zone, as a new process would have it.
    fn provider(&self) -> Arc<dyn Provider>;
    /// A provider with credentials that may not, or `None` where there are no credentials.
    fn stranger(&self) -> Option<Arc<dyn Provider>>;
    /// All records with their TTLs, sorted, without the SOA's serial, read past the provider.
    async fn zone(&self) -> Vec<String>;
    /// The zone's serial, read past the provider.
    async fn serial(&self) -> u32;
    /// Another writer adds a record, the RRset takes this TTL.
    async fn another_puts(&self, owner: &str, ttl: u32, record: &TxtRecord);
    /// Another writer removes a record.
    async fn another_takes(&self, owner: &str, record: &TxtRecord);
    /// Whether the provider writes CNAMEs, and the cases of CNAMEs are run.
    fn writes_cname(&self) -> bool {
        false
    }
    /// Another writer makes the name a CNAME, or takes the CNAME away.
    async fn another_aliases(&self, owner: &str, target: Option<&str>) {
        panic!(
            "{}: {owner} {target:?}: only for those that write CNAMEs",
            self.name()
        );
    }
    /// The server restarts.
    async fn restart(&self);
    /// The next addition is made, and its answer is lost.
    async fn lose_next_answer(&self);
    /// The next addition is turned away, because the server has too much to do. It is not made.
    async fn turn_next_away(&self);
    /// A program that calls [`another_process`], and the `[provider.NAME]` table by which that may
    /// write the zone; `None` where the zone lives in this process only.
    fn another_process(&self) -> Option<(Command, serde_json::Value)>;
}

/// Runs every case; the first that fails panics with its name.
pub async fn run(subject: &dyn Subject) {
    let before = subject.zone().await;
    macro_rules! cases {
        ($($case:ident),* $(,)?) => {$(
            $case(subject).await;
            assert_eq!(subject.zone().await, before, "{}: {} leaves the zone as it was", subject.name(), stringify!($case));
        )*};
    }
    cases![
        a_value_comes_and_goes_beside_spf_and_its_ttl,
        a_new_name_comes_and_goes_without_a_trace,
        adding_twice_and_removing_twice_change_once,
        a_value_of_300_octets_comes_and_goes,
        a_value_is_removed_in_whatever_split_it_is_stored,
        a_foreign_equal_value_is_left_alone,
        a_value_that_changes_meanwhile_survives,
        two_writers_at_once_both_succeed,
        one_bad_name_costs_only_itself,
        several_values_of_one_name_come_in_one_call,
        an_alias_a_cut_and_a_wildcard_are_refused,
        an_existing_name_beside_a_wildcard_takes_a_value,
        a_preflight_changes_nothing,
        a_stranger_is_denied,
        a_zone_ends_at_a_label,
        an_empty_value_is_refused,
        a_restart_between_coming_and_going_loses_nothing,
        two_hundred_and_fifty_values_come_and_go_in_one_call,
        a_lost_answer_is_found_out_and_nothing_is_done_twice,
        who_is_turned_away_has_written_nothing_and_comes_again,
        two_processes_at_once_lose_nothing,
        an_odd_value_comes_and_goes_wherever_a_ca_wants_it,
    ];
    if subject.writes_cname() {
        cases![
            a_cname_comes_and_goes_without_a_trace,
            a_cname_is_refused_where_there_is_anything,
            a_value_whose_name_became_an_alias_is_gone,
            a_foreign_equal_cname_is_left_alone,
            of_two_cnames_at_once_one_remains,
            both_types_come_and_go_in_one_call,
            a_lost_answer_about_a_cname_is_found_out,
        ];
    }
}

fn value(owner: &str, value: &str) -> Record {
    Record::txt(owner, value)
}

async fn put(provider: &dyn Provider, owner: &str, text: &str) -> crate::Receipt {
    let mut results = provider.ensure_present(&[value(owner, text)]).await;
    results
        .remove(0)
        .unwrap_or_else(|error| panic!("adding {text:?} at {owner}: {error} ({:?})", error.kind))
}

async fn take(provider: &dyn Provider, owner: &str, text: &str) -> crate::Receipt {
    let mut results = provider.ensure_absent(&[value(owner, text)]).await;
    results
        .remove(0)
        .unwrap_or_else(|error| panic!("removing {text:?} at {owner}: {error} ({:?})", error.kind))
}
