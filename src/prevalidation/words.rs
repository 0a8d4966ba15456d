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
/// meant. Of one alone, none `is`.
pub fn share(count: usize, all: usize, noun: &str, (one, many): (&str, &str)) -> String {
    let ending = if all == 1 { "" } else { "s" };
    format!(
        "{count} of {all} {noun}{ending} {}",
        if count == 1 || all == 1 { one } else { many }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verb_goes_with_those_that_are_meant_and_one_alone_is() {
        for (count, all, said) in [
            (4, 5, "4 of 5 domains are"),
            (1, 5, "1 of 5 domains is"),
            (0, 5, "0 of 5 domains are"),
            (1, 1, "1 of 1 domain is"),
            (0, 1, "0 of 1 domain is"),
        ] {
            assert_eq!(share(count, all, "domain", ("is", "are")), said);
        }
    }
}
