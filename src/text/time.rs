//! Times as people say them, given `now`.

use jiff::Timestamp;

/// `in 12 d`, `3 h ago`, `now`. Parts of a unit are left out, so that `in 12 d` is never less than
/// 12 days.
///
/// ```
/// # use prevalidate::text::relative;
/// # use jiff::Timestamp;
/// let now: Timestamp = "2026-11-21T09:00:00Z".parse().expect("a timestamp");
/// assert_eq!(relative("2026-12-04T08:00:00Z".parse().expect("a timestamp"), now), "in 12 d");
/// ```
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.as_second().saturating_sub(now.as_second());
    let (count, unit) = match seconds.unsigned_abs() {
        0 => return "now".to_owned(),
        s @ 1..120 => (s, "s"),
        s @ 120..7_200 => (s / 60, "min"),
        s @ 7_200..172_800 => (s / 3_600, "h"),
        s => (s / 86_400, "d"),
    };
    if seconds > 0 {
        format!("in {count} {unit}")
    } else {
        format!("{count} {unit} ago")
    }
}

/// `2026-11-21 09:00 UTC`: for tables; seconds are for logs.
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_distance_is_said_in_one_unit_and_never_too_long() {
        let now = Timestamp::from_second(1_795_000_000).unwrap_or_default();
        for (seconds, said) in [
            (0, "now"),
            (1, "in 1 s"),
            (-119, "119 s ago"),
            (120, "in 2 min"),
            (7_199, "in 119 min"),
            (-7_200, "2 h ago"),
            (172_799, "in 47 h"),
            (172_800, "in 2 d"),
            (86_400 * 98 + 86_399, "in 98 d"),
            (-86_400 * 400, "400 d ago"),
        ] {
            assert_eq!(
                relative(now + SignedDuration::from_secs(seconds), now),
                said
            );
        }
        assert!(relative(Timestamp::MAX, Timestamp::MIN).starts_with("in "));
        assert_eq!(moment(now), "2026-11-18 11:06 UTC");
    }
}
