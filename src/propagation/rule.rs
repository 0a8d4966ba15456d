//! temporary
use jiff::{SignedDuration, Timestamp};
/// t
pub fn horizon(now: Timestamp, _ttl: Option<u32>, _n: Option<u32>) -> Timestamp {
    now
}
/// t
pub fn polling_interval(_looks: u32, poll: SignedDuration) -> SignedDuration {
    poll
}
