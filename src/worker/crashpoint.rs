//! Named points at which a test may have the process killed: `PREVALIDATE_CRASH=publish-done:2`
//! kills it, by SIGKILL, when it reaches the point for the second time; `PREVALIDATE_PANIC` has it
//! panic there. Compiled in with the feature `crashpoints` only.

/// Every point, in the order of a life.
pub const POINTS: [&str; 17] = [
    "listed",
    "look-stored",
    "claimed",
    "register-intended",
    "register-done",
    "publish-intended",
    "publish-done",
    "look-done",
    "validate-intended",
    "validate-done",
    "remove-intended",
    "remove-done",
    "preflight-done",
    "risk-taken",
    "reset-intended",
    "reset-done",
    "stored",
];

/// The points in the life of a certificate, in its order.
pub const CERTIFICATE_POINTS: [&str; 10] = [
    "certificate-claimed",
    "key-made",
    "order-record-done",
    "order-intended",
    "order-done",
    "certificate-fetched",
    "certificate-switched",
    "certificate-deployed",
    "revoke-intended",
    "revoke-done",
];

/// The points in the life of a persistent record, in its order.
pub const PERSISTENT_POINTS: [&str; 6] = [
    "persistent-claimed",
    "persistent-intended",
    "persistent-written",
    "persistent-put-back",
    "persistent-removing",
    "persistent-removed",
];

/// Passes a point, or dies there.
#[cfg(feature = "crashpoints")]
pub(super) fn reach(point: &str) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static REACHED: AtomicUsize = AtomicUsize::new(0);
    debug_assert!(
        POINTS.contains(&point)
            || CERTIFICATE_POINTS.contains(&point)
            || PERSISTENT_POINTS.contains(&point),
        "{point} is not in the list"
    );
    let wanted = |variable| {
        let wanted = std::env::var(variable).ok()?;
        let (name, nth) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        (name == point)
            .then(|| REACHED.fetch_add(1, Ordering::SeqCst) + 1 == nth.parse().unwrap_or(1))
    };
    if wanted("PREVALIDATE_PANIC") == Some(true) {
        panic!("{point}: what was at hand");
    }
    if wanted("PREVALIDATE_CRASH") == Some(true) {
        let _ = std::process::Command::new("kill")
            .args(["-9", &std::process::id().to_string()])
            .status();
        std::process::abort();
    }
}

/// Passes a point.
#[cfg(not(feature = "crashpoints"))]
pub(super) fn reach(_: &str) {}
