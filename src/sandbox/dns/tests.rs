//! Against the tools of BIND: `dig` and `nsupdate` judge the server, as real clients do. The
//! expected answers to UPDATE are those measured on BIND 9.18.
#![allow(clippy::unwrap_used)]

use std::process::Stdio;

use base64::Engine;
use jiff::SignedDuration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::*;
use crate::clock::{SimulatedClock, SystemClock};

const SECRET: &[u8] = b"a secret of thirty-two octets!!!";
const SPF: &str = "v=spf1 -all";

async fn start(clock: Arc<dyn Clock>, secondaries: &[Follow]) -> Dns {
    let dns = Dns::start(clock, "127.0.0.1:0".parse().unwrap(), secondaries)
        .await
        .unwrap();
    dns.add_zone(
        Zone::new("example.test")
            .txt("example.test", SPF)
            .cname("www.example.test", "example.test")
            .ns("child.example.test", "ns.child.example.test"),
    );
    assert!(dns.add_key("k1", SECRET));
    dns
}

async fn lab() -> Dns {
    start(Arc::new(SystemClock), &[Follow::Now]).await
}

async fn dig(server: SocketAddr, arguments: &str) -> String {
    let output = Command::new("dig")
        .args([
            &format!("@{}", server.ip()),
            "-p",
            &server.port().to_string(),
            "+tries=1",
            "+time=1",
            "+norec",
        ])
        .args(arguments.split_whitespace())
        .output()
        .await
        .expect("dig (package bind9-dnsutils) is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The status and all that `nsupdate` says.
async fn nsupdate(server: SocketAddr, key: Option<(&str, &[u8])>, lines: &str) -> (bool, String) {
    let mut command = Command::new("nsupdate");
    command.args(["-v", "-t", "2", "-r", "0", "-d"]);
    if let Some((name, secret)) = key {
        let secret = base64::engine::general_purpose::STANDARD.encode(secret);
        command.args(["-y", &format!("hmac-sha256:{name}:{secret}")]);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nsupdate (package bind9-dnsutils) is installed");
    let script = format!(
        "server {} {}\nzone example.test\n{lines}\nsend\nquit\n",
        server.ip(),
        server.port()
    );
    let mut input = child.stdin.take().unwrap();
    input.write_all(script.as_bytes()).await.unwrap();
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    (output.status.success(), text.into_owned())
}

async fn update(dns: &Dns, lines: &str) -> (bool, String) {
    nsupdate(dns.address(), Some(("k1", SECRET)), lines).await
}

#[tokio::test]
async fn a_value_is_added_beside_spf_and_only_that_value_is_deleted() {
    let dns = lab().await;
    let (done, said) = update(&dns, "update add example.test 3600 TXT \"swiss-pki=AAA\"").await;
    assert!(done, "{said}");
    assert_eq!(dns.txt("example.test"), [SPF, "swiss-pki=AAA"]);
    for &server in dns.addresses() {
        assert!(
            dig(server, "+short TXT example.test")
                .await
                .contains("\"swiss-pki=AAA\"")
        );
    }
    let (done, _) = update(
        &dns,
        "update delete example.test TXT \"swiss-pki=\" \"AAA\"",
    )
    .await;
    assert!(
        done && dns.txt("example.test").len() == 2,
        "another split into strings is another record"
    );
    assert!(
        update(&dns, "update delete example.test TXT \"swiss-pki=AAA\"")
            .await
            .0
    );
    assert_eq!(dns.txt("example.test"), [SPF]);
}

#[tokio::test]
async fn an_added_record_gives_its_ttl_to_the_whole_set_and_it_stays_after_the_delete() {
    let dns = lab().await;
    update(&dns, "update add example.test 60 TXT \"swiss-pki=AAA\"").await;
    assert_eq!(
        dns.zone(0, "example.test").unwrap().txt_ttl("example.test"),
        Some(60)
    );
    update(&dns, "update delete example.test TXT \"swiss-pki=AAA\"").await;
    assert!(
        dig(dns.address(), "+noall +answer TXT example.test")
            .await
            .contains("\t60\t")
    );
}

#[tokio::test]
async fn the_serial_counts_changes_and_nothing_else() {
    let dns = lab().await;
    let serial = || dns.zone(0, "example.test").unwrap().serial();
    assert_eq!(serial(), 1);
    update(&dns, "update add example.test 3600 TXT \"x\"").await;
    assert_eq!(serial(), 2);
    update(&dns, "update add example.test 3600 TXT \"x\"").await;
    update(&dns, "update delete example.test TXT \"absent\"").await;
    assert_eq!(
        serial(),
        2,
        "the same again, and deleting what is absent, are NOERROR without a change"
    );
}

#[tokio::test]
async fn prerequisites_hold() {
    let dns = lab().await;
    for (prerequisite, code) in [
        ("prereq nxrrset www.example.test CNAME", "YXRRSET"),
        ("prereq yxrrset example.test MX", "NXRRSET"),
        ("prereq yxdomain unknown.example.test", "NXDOMAIN"),
        ("prereq nxdomain example.test", "YXDOMAIN"),
        ("prereq nxrrset child.example.test NS", "YXRRSET"),
        ("prereq yxrrset example.test TXT \"another set\"", "NXRRSET"),
    ] {
        let (done, said) = update(
            &dns,
            &format!("{prerequisite}\nupdate add example.test 3600 TXT \"x\""),
        )
        .await;
        assert!(!done && said.contains(code), "{prerequisite}: {said}");
    }
    let swap = format!(
        "prereq yxrrset example.test TXT \"{SPF}\"\nupdate add example.test 3600 TXT \"x\""
    );
    assert!(update(&dns, &swap).await.0, "the set is as it was seen");
    let (done, said) = update(&dns, &swap).await;
    assert!(
        !done && said.contains("NXRRSET"),
        "compare-and-swap: the second writer had a stale view"
    );
}

#[tokio::test]
async fn noerror_is_no_proof() {
    let dns = lab().await;
    let (done, said) = update(&dns, "update add www.example.test 3600 TXT \"x\"").await;
    assert!(
        done,
        "a TXT record beside an alias is ignored silently: {said}"
    );
    assert!(
        dns.zone(0, "www.example.test")
            .unwrap()
            .txt_values("www.example.test")
            .is_empty()
    );
    assert!(
        update(&dns, "update add a.child.example.test 3600 TXT \"x\"")
            .await
            .0
    );
    let answer = dig(dns.address(), "TXT a.child.example.test").await;
    assert!(
        answer.contains("ANSWER: 0") && !answer.contains("flags: qr aa"),
        "below a delegation it is invisible"
    );
    let (done, said) = update(&dns, "update add example.org 3600 TXT \"x\"").await;
    assert!(!done && said.contains("NOTZONE"), "{said}");
}

#[tokio::test]
async fn each_bad_signature_gets_its_own_answer() {
    let dns = lab().await;
    let add = "update add example.test 3600 TXT \"x\"";
    for (key, tsig) in [
        (("other", SECRET), "BADKEY"),
        (("k1", b"wrong".as_slice()), "BADSIG"),
    ] {
        let (done, said) = nsupdate(dns.address(), Some(key), add).await;
        assert!(
            !done && said.contains("NOTAUTH") && said.contains(tsig),
            "{tsig}: {said}"
        );
    }
    let (done, said) = nsupdate(dns.address(), None, add).await;
    assert!(!done && said.contains("REFUSED"), "unsigned: {said}");
    let (done, said) = nsupdate(dns.addresses()[1], Some(("k1", SECRET)), add).await;
    assert!(!done && said.contains("REFUSED"), "a secondary: {said}");
    dns.refuse_updates_at("example.test");
    let (done, said) = update(&dns, add).await;
    assert!(
        !done && said.contains("REFUSED"),
        "a key without permission: {said}"
    );
    assert_eq!(dns.txt("example.test"), [SPF]);
}

#[tokio::test]
async fn a_clock_a_quarter_hour_off_is_badtime_and_signed() {
    let clock = SimulatedClock::at(SystemClock.now() + SignedDuration::from_mins(15));
    let dns = start(Arc::new(clock.clone()), &[]).await;
    let (done, said) = update(&dns, "update add example.test 3600 TXT \"x\"").await;
    assert!(!done && said.contains("BADTIME"), "{said}");
    // nsupdate says "expected a TSIG" or "tsig verify failure" for an answer whose MAC it cannot
    // verify.
    assert!(
        !said.contains("verify failure") && !said.contains("expected a TSIG"),
        "{said}"
    );
    clock.set(SystemClock.now());
    assert!(
        update(&dns, "update add example.test 3600 TXT \"x\"")
            .await
            .0
    );
}

#[tokio::test]
async fn queries_get_what_an_authoritative_server_says() {
    let dns = lab().await;
    let soa = dig(dns.address(), "SOA example.test").await;
    assert!(
        soa.contains("flags: qr aa") && soa.contains("ns1.example.test"),
        "{soa}"
    );
    assert_eq!(
        dig(dns.address(), "+short NS example.test")
            .await
            .lines()
            .count(),
        2
    );
    let nothing = dig(dns.address(), "TXT unknown.example.test").await;
    assert!(
        nothing.contains("NXDOMAIN") && nothing.contains("\tSOA\t"),
        "{nothing}"
    );
    let nodata = dig(dns.address(), "MX example.test").await;
    assert!(
        nodata.contains("NOERROR") && nodata.contains("AUTHORITY: 1"),
        "{nodata}"
    );
    assert!(
        dig(dns.address(), "TXT example.org")
            .await
            .contains("REFUSED")
    );
}

#[tokio::test]
async fn a_large_set_is_cut_over_udp_and_whole_over_tcp() {
    let dns = lab().await;
    dns.edit("example.test", |zone| {
        (0..20).fold(zone, |zone, n| {
            zone.txt("example.test", &format!("{n}{}", "x".repeat(100)))
        })
    });
    let cut = dig(dns.address(), "+ignore TXT example.test").await;
    assert!(cut.contains(" tc") && cut.contains("ANSWER: 0"), "{cut}");
    assert!(
        dig(dns.address(), "TXT example.test")
            .await
            .contains("ANSWER: 21")
    );
}

#[tokio::test]
async fn secondaries_lag_by_the_clock_stay_stale_or_stay_silent() {
    let clock = SimulatedClock::at(SystemClock.now());
    let lag = SignedDuration::from_mins(10);
    let dns = start(
        Arc::new(clock.clone()),
        &[
            Follow::After(lag),
            Follow::Never,
            Follow::Dead,
            Follow::Lame,
        ],
    )
    .await;
    assert!(
        update(&dns, "update add example.test 3600 TXT \"new\"")
            .await
            .0
    );
    let sees = async |server: usize| {
        dig(dns.addresses()[server], "+short TXT example.test")
            .await
            .contains("new")
    };
    assert!(sees(0).await && !sees(1).await && !sees(2).await && !sees(3).await);
    assert!(
        dig(dns.addresses()[4], "TXT example.test")
            .await
            .contains("REFUSED")
    );
    clock.advance(lag);
    assert!(sees(1).await && !sees(2).await);
    dns.follow(2, Follow::Now);
    dns.follow(3, Follow::Now);
    assert!(sees(2).await && sees(3).await);
}

#[tokio::test]
async fn an_answer_can_be_lost_after_the_update_was_done_and_an_update_before() {
    let dns = lab().await;
    dns.lose_updates(1);
    assert!(
        !update(&dns, "update add example.test 3600 TXT \"x\"")
            .await
            .0
    );
    assert_eq!(dns.txt("example.test"), [SPF]);
    dns.lose_update_answers(1);
    assert!(
        !update(&dns, "update add example.test 3600 TXT \"x\"")
            .await
            .0
    );
    assert_eq!(dns.txt("example.test"), [SPF, "x"]);
}

#[tokio::test]
async fn a_stopped_server_frees_its_port() {
    let dns = lab().await;
    let address = dns.address();
    drop(dns);
    let again = async || Dns::start(Arc::new(SystemClock), address, &[]).await;
    let free = async || {
        while again().await.is_err() {
            tokio::task::yield_now().await
        }
    };
    assert!(
        tokio::time::timeout(std::time::Duration::from_secs(5), free())
            .await
            .is_ok()
    );
}
