//! Numbers and moments as people say them, for the texts that begin here.

use jiff::Timestamp;

/// `12:03`, with the date when it is another day's; UTC.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    at.strftime(if day(at) == day(now) {
        "%H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    })
    .to_string()
}

/// `1 domain`, `2 domains`.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// `4 of 5 domains are`, `1 of 1 domain is`: the noun goes with all, the verb with those that are
/// meant.
pub fn share(count: usize, all: usize, noun: &str, (one, many): (&str, &str)) -> String {
    let ending = if all == 1 { "" } else { "s" };
    format!(
        "{count} of {all} {noun}{ending} {}",
        if count == 1 { one } else { many }
    )
}
