//! A small internet in a network namespace: a root, two registries, and dozens of zones with one
//! fault each on BIND, Knot, NSD and PowerDNS; five validating resolvers through which the
//! sandbox's CA checks. The gate must never say *go* where the CA does not always succeed, and
//! never wait for ever where it does.

#![allow(
    clippy::print_stdout,
    reason = "tables for people: with --nocapture, and when the test fails"
)]

mod cases;
mod internet;
mod makes;
pub mod namespace;
mod networks;
mod others;
mod perspectives;
mod sign;
mod table;
mod topology;
mod world;

/// `tc netem` is not in every kernel: loss comes from nftables.
#[test]
fn the_gate_goes_exactly_where_the_ca_always_succeeds() {
    if namespace::is_inside() {
        tokio::runtime::Runtime::new().unwrap().block_on(run());
    } else {
        namespace::rerun("lab::the_gate_goes_exactly_where_the_ca_always_succeeds");
    }
}

async fn run() {
    let lab = world::Lab::start().await;
    let rows = table::fill(&lab).await;
    table::judge(&rows);
    others::compare(&lab, &rows).await;
    networks::try_all(&lab).await;
}
