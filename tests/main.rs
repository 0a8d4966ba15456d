//! The one test binary: black box first, against real name servers on loopback.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot continue says so by panicking"
)]

mod architecture;
mod ca;
mod cli;
mod cli_run;
mod compat;
mod demo;
mod dnssec;
mod e2e;
mod fleet;
mod lab;
mod model;
mod notify;
mod operators;
mod packages;
mod page;
mod paste;
mod pipelines;
mod propagation;
mod providers;
mod readme;
mod resolvers;
mod sandbox;
mod store;
mod support;

/// A program that is missing stops the test that needs it, loudly; it never skips it.
#[test]
fn the_programs_that_the_tests_talk_to_are_installed() {
    for program in [
        "named",
        "knotd",
        "keymgr",
        "unbound",
        "nsd",
        "ip",
        "nft",
        "unshare",
        "dnssec-keygen",
        "dnssec-signzone",
        "dnssec-dsfromkey",
        "delv",
        "pdns_server",
        "pdnsutil",
        "sqlite3",
        "pgbouncer",
        "dig",
        "nsupdate",
        "named-checkzone",
        "python3",
        "openssl",
        "chromium",
        "chromedriver",
        "wrk",
        "dpkg-deb",
        "dpkg-shlibdeps",
        "lintian",
        "rpm",
    ] {
        support::process::find(program);
    }
}
