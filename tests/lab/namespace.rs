//! A network of the lab's own: a namespace with nothing in it but loopback, all addresses and port
//! 53 to ourselves.
//!
//! Addresses are those that documents and benchmarks may use (RFC 2544, 3849, 5737), so that
//! nothing of ours takes them for private ones, and nothing outside is ever reached.

use std::net::IpAddr;
use std::process::Command;

use crate::support::process;

/// Says that this process is already in the namespace.
const INSIDE: &str = "PREVALIDATE_LAB_INSIDE";

/// As root and as another user.
const WAYS: [&[&str]; 2] = [&["--net"], &["--user", "--map-root-user", "--net"]];

/// Where packets go and no answer comes from.
pub const SILENT: [&str; 2] = ["198.19.0.0/16", "2001:db8:dead::/48"];

/// Whether this process may set up the network as it likes.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs one test of this binary again, in a namespace, and says what it said.
///
/// # Panics
/// When the test fails, or when there can be no namespace: what is missing.
pub fn rerun(test: &str) {
    let unshare = process::find("unshare");
    let mut refusals = String::new();
    let way = WAYS.into_iter().find(|way| {
        let output = Command::new(&unshare)
            .args(*way)
            .arg("true")
            .output()
            .unwrap();
        refusals += &format!(
            "\n  unshare {}: {}",
            way.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        output.status.success()
    });
    let way = way.unwrap_or_else(|| {
        panic!(
            "\n\n  The lab needs a network namespace and may not have one:{refusals}\n  Run the tests as root, or allow user \
             namespaces (sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0).\n\n"
        )
    });
    let output = Command::new(unshare)
        .args(way)
        .arg("--kill-child")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    println!("{said}\n{complained}");
    assert!(
        said.contains("1 passed") && output.status.success(),
        "the lab failed, see above"
    );
}

/// Brings loopback up with these addresses.
pub fn set_up(addresses: impl IntoIterator<Item = IpAddr>) {
    let one = |address: IpAddr| match address {
        IpAddr::V4(v4) => format!("address add {v4}/32 dev lo\n"),
        IpAddr::V6(v6) => format!("address add {v6}/128 dev lo nodad\n"),
    };
    let batch: String = addresses.into_iter().map(one).collect();
    let batch = format!("link set lo up\n{batch}");
    process::run("ip", &["-batch", "-"], &batch);
    for network in SILENT {
        process::run("ip", &["route", "add", network, "dev", "lo"], "");
    }
}

/// What the network does to packets from now on, in place of what it did: rules of nftables for
/// what arrives at servers, and more chains.
pub fn weather(arriving: &str, chains: &str) {
    let arriving =
        format!("chain in {{ type filter hook input priority 0; policy accept;\n{arriving}}}");
    process::run(
        "nft",
        &["-f", "-"],
        &format!("flush ruleset\ntable inet lab {{\n{arriving}\n{chains}\n}}\n"),
    );
}
