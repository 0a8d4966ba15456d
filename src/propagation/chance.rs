//! How likely a CA that checks from several places succeeds while some servers are stale: a
//! lottery, in figures.

use jiff::Timestamp;

/// From 2026-12-15 00:00 UTC on five remote perspectives check beside the primary one, four before
/// (BR 3.2.2.9).
const FIVE_REMOTES_FROM: Timestamp = Timestamp::constant(1_797_292_800, 0);

/// The chance, 0 to 1, that a check passes when `stale` of `serving` addresses lack the value.
///
/// Each perspective asks one address by chance, by itself and without a cache. The primary one must
/// see the value; one of the remote ones may fail. Dead and lame addresses are passed over by
/// resolvers, so they do not count as serving.
pub fn chance(stale: usize, serving: usize, now: Timestamp) -> f64 {
    if serving == 0 || stale > serving {
        return 0.0;
    }
    let remotes = if now < FIVE_REMOTES_FROM { 4 } else { 5 };
    #[expect(clippy::cast_precision_loss, reason = "a few addresses")]
    let sees = (serving - stale) as f64 / serving as f64;
    let all = sees.powi(remotes);
    let all_but_one = f64::from(remotes) * sees.powi(remotes - 1) * (1.0 - sees);
    sees * (all + all_but_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stale_server_makes_it_a_lottery() {
        let before = FIVE_REMOTES_FROM
            .saturating_sub(jiff::SignedDuration::from_secs(1))
            .unwrap_or(Timestamp::MIN);
        for (stale, serving, then, later) in [
            (0, 2, 100, 100),
            (1, 2, 16, 9),
            (1, 4, 55, 47),
            (2, 4, 16, 9),
            (1, 8, 81, 77),
            (3, 4, 1, 0),
            (2, 2, 0, 0),
            (0, 0, 0, 0),
            (3, 2, 0, 0),
        ] {
            let percent = |now| (chance(stale, serving, now) * 100.0).round();
            assert_eq!(
                (percent(before), percent(FIVE_REMOTES_FROM)),
                (f64::from(then), f64::from(later)),
                "{stale} of {serving}"
            );
        }
    }
}
