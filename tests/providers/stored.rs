//! What a server stores, and what it does of its own: rows of PowerDNS that DNS does not show as
//! they are, limits, filters, frozen zones.

use super::*;

const OURS: &str = "swiss-pki=stored";

/// PowerDNS as packaged, with rows `(type, content, TTL, disabled)` at the apex.
fn powerdns(rows: &[(&str, &str, u32, u8)]) -> NameServer {
    let row = |(kind, content, ttl, disabled): &(&str, &str, u32, u8)| {
        format!(
            "INSERT INTO records (domain_id, name, type, content, ttl, prio, disabled, auth)
             SELECT id, '{APEX}', '{kind}', '{content}', {ttl}, 0, {disabled}, 1 FROM domains;\n"
        )
    };
    let sql: String = rows.iter().map(row).collect();
    let keys = Keys::of(&["prevalidate"]);
    NameServer::pdns_packaged(&[Zone::new(APEX, "")], &keys, &sql)
}

fn rows(server: &NameServer) -> Vec<String> {
    server.sql(&format!(
        "SELECT type, content, ttl, disabled FROM records WHERE name = '{APEX}' \
         AND type NOT IN ('SOA', 'NS') ORDER BY content;"
    ))
}

async fn remove(provider: &dyn Provider) -> Result<Receipt, ProviderError> {
    let value = Record::txt(APEX, OURS);
    provider.ensure_absent(&[value]).await.remove(0)
}

/// Neither `providers check` nor a publish continues, both for `kind` and with `word`, and the rows
/// stay.
async fn is_refused(server: &NameServer, kind: ErrorKind, words: &[&str]) {
    let (provider, before) = (Setup::of(server).build(), rows(server));
    for error in [
        provider.preflight(APEX, RecordKind::Txt).await.unwrap_err(),
        add(&*provider, APEX, OURS).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, kind, "{}", shown(&error));
        for word in words {
            assert!(shown(&error).contains(word), "{word}: {}", shown(&error));
        }
    }
    assert_eq!(rows(server), before);
}

#[tokio::test]
async fn an_rrset_with_several_ttls_is_refused_with_the_reason() {
    let spf = ("TXT", "\"v=spf1 -all\"", 3600, 0);
    for others in [
        vec![("TXT", "\"google-site-verification=abc\"", 60, 0)],
        vec![("TXT", "\"a\"", 3600, 0), ("TXT", "\"b\"", 7200, 0)],
    ] {
        let server = powerdns(&[&[spf], others.as_slice()].concat());
        is_refused(
            &server,
            ErrorKind::Unsafe,
            &["several TTLs", "3600", "RFC 2181"],
        )
        .await;
    }
}

#[tokio::test]
async fn our_value_goes_from_an_rrset_with_several_ttls_and_each_keeps_its_own() {
    let server = powerdns(&[("TXT", "\"v=spf1 -all\"", 3600, 0)]);
    let provider = Setup::of(&server).build();
    add(&*provider, APEX, OURS).await.unwrap();
    server.sql(&format!(
        "INSERT INTO records (domain_id, name, type, content, ttl, prio, disabled, auth)
         SELECT id, '{APEX}', 'TXT', '\"other\"', 60, 0, 0, 1 FROM domains;"
    ));
    // What it has read of its database it keeps for a while.
    let mut server = server;
    server.restart();
    assert!(remove(&*provider).await.unwrap().changed);
    assert_eq!(
        rows(&server),
        ["TXT|\"other\"|60|0", "TXT|\"v=spf1 -all\"|3600|0"]
    );
}

#[tokio::test]
async fn what_cannot_be_removed_again_is_not_written() {
    // PowerDNS adds to an RRset with such a row, and fails to remove from it.
    let server = powerdns(&[("TXT", "v=spf1 -all", 3600, 0)]);
    is_refused(&server, ErrorKind::Unavailable, &["ServFail", "quotes"]).await;
}

#[tokio::test]
async fn an_answer_that_the_server_makes_up_is_refused_with_the_reason() {
    let server = powerdns(&[("LUA", "TXT \"''made up''\"", 60, 0)]);
    assert_eq!(server.txt(APEX), ["made up"]);
    is_refused(&server, ErrorKind::Unsafe, &["makes this answer up", "LUA"]).await;
}

#[tokio::test]
async fn a_check_says_that_powerdns_deletes_rows_that_it_does_not_serve() {
    let server = powerdns(&[("TXT", "\"v=spf1 -all\"", 3600, 0)]);
    let proof = Setup::of(&server)
        .build()
        .preflight(APEX, RecordKind::Txt)
        .await
        .unwrap();
    let said = proof.warnings.join("\n");
    assert!(
        said.contains("PowerDNS") && said.contains("manual") && said.contains("query-cache-ttl"),
        "{said}"
    );
    let page = include_str!("../../docs/providers.md");
    for word in ["disabled", "query-cache-ttl=0", "packet-cache-ttl=0"] {
        assert!(page.contains(word), "the page says it, too: {word}");
    }
    let server = NameServer::bind(&[prepared_zone()], &Keys::of(&["prevalidate"]));
    let proof = Setup::of(&server)
        .build()
        .preflight(APEX, RecordKind::Txt)
        .await
        .unwrap();
    assert!(!proof.warnings.join("").contains("PowerDNS"));
}

/// PowerDNS as packaged with `SOA-EDIT` for the zone.
fn powerdns_with(edit: &str) -> NameServer {
    let mut server = powerdns(&[("TXT", "\"v=spf1 -all\"", 3600, 0)]);
    server.sql(&format!(
        "INSERT INTO domainmetadata (domain_id, kind, content) SELECT id, 'SOA-EDIT', '{edit}' FROM domains;"
    ));
    server.restart();
    server
}

#[tokio::test]
async fn powerdns_that_shows_another_soa_than_it_stores_is_written_after_a_minute() {
    for edit in ["INCEPTION-INCREMENT", "EPOCH", "INCREMENT-WEEKS"] {
        let server = powerdns_with(edit);
        let ahead = Arc::new(Mutex::new(SignedDuration::ZERO));
        let (provider, before) = (
            Setup::of(&server).build_with(Arc::clone(&ahead)),
            rows(&server),
        );
        provider.preflight(APEX, RecordKind::Txt).await.unwrap();
        // What is shown may still come from a cache.
        let error = add(&*provider, APEX, OURS).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{}", shown(&error));
        for word in ["nothing was written", "SOA-EDIT", "query-cache-ttl"] {
            assert!(shown(&error).contains(word), "{word}: {}", shown(&error));
        }
        assert_eq!(rows(&server), before, "{edit}");
        *ahead.lock().unwrap() = SignedDuration::from_secs(61);
        let receipt = add(&*provider, APEX, OURS).await.unwrap();
        assert_eq!(
            (receipt.before.ttl, receipt.after.ttl),
            (Some(3600), Some(3600))
        );
        // The serial that is shown has changed, and that is no reason to wait again.
        assert!(add(&*provider, APEX, "another").await.unwrap().changed);
        server.sql(&format!(
            "DELETE FROM records WHERE content = '\"another\"' AND name = '{APEX}';"
        ));
        server.purge();
        assert!(remove(&*provider).await.unwrap().changed, "{edit}");
        assert!(!remove(&*provider).await.unwrap().changed, "{edit}");
        assert_eq!(rows(&server), before, "{edit}");
    }
}

#[tokio::test]
async fn a_later_process_knows_since_when_powerdns_shows_another_soa() {
    let server = powerdns_with("INCEPTION-INCREMENT");
    let first = Setup::of(&server).build();
    assert_eq!(first.memory().as_deref(), Some(""));
    let error = add(&*first, APEX, OURS).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{}", shown(&error));
    let memory = first.memory().unwrap();

    let (before, later) = (rows(&server), SignedDuration::from_secs(61));
    let at = |later| Setup::of(&server).build_with(Arc::new(Mutex::new(later)));
    let provider = at(later);
    provider.recall("not what it wrote");
    add(&*provider, APEX, OURS).await.unwrap_err();
    assert_eq!(rows(&server), before, "nothing is known to it");
    let provider = at(SignedDuration::from_secs(30));
    provider.recall(&memory);
    add(&*provider, APEX, OURS).await.unwrap_err();
    assert_eq!(rows(&server), before, "it may come from a cache");
    let provider = at(later);
    provider.recall(&memory);
    let receipt = add(&*provider, APEX, OURS).await.unwrap();
    assert_eq!(receipt.after.ttl, Some(3600));
}

/// Two foreign values at the apex with a TTL of an hour.
const OTHERS: [(&str, &str, u32, u8); 2] = [
    ("TXT", "\"other\"", 3600, 0),
    ("TXT", "\"v=spf1 -all\"", 3600, 0),
];

/// Both caches of PowerDNS hold the TXT values and the SOA now, as they are shown.
fn fill_caches(server: &NameServer) {
    for record_type in ["TXT", "SOA"] {
        server.dig_with_key(APEX, record_type);
    }
    server.txt(APEX);
}

#[tokio::test]
async fn while_powerdns_keeps_an_old_soa_nothing_is_written() {
    let server = powerdns(&OTHERS);
    fill_caches(&server);
    server.sql(
        "UPDATE records SET ttl = 60 WHERE type = 'TXT';
         UPDATE records SET content = replace(content, ' 1 ', ' 2 ') WHERE type = 'SOA';",
    );
    let (provider, before) = (Setup::of(&server).build(), rows(&server));
    let error = add(&*provider, APEX, OURS).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{}", shown(&error));
    for word in ["nothing was written", "query-cache-ttl"] {
        assert!(shown(&error).contains(word), "{word}: {}", shown(&error));
    }
    assert_eq!(rows(&server), before);
    // As after the time of the caches.
    server.purge();
    let receipt = add(&*provider, APEX, OURS).await.unwrap();
    assert_eq!(
        (receipt.before.ttl, receipt.after.ttl),
        (Some(60), Some(60))
    );
    assert!(remove(&*provider).await.unwrap().changed);
    assert_eq!(rows(&server), before);
}

/// BIND with `policy` for the zone, and `count` TXT values at its apex.
fn bind_with(policy: &str, count: usize) -> NameServer {
    let values: String = (0..count)
        .map(|number| format!("@ TXT \"value {number}\"\n"))
        .collect();
    let zone = Zone::new(APEX, &values);
    let stanza = format!("zone {APEX} {{ type primary; file \"0.zone\"; {policy} }};");
    let keys = Keys::of(&["prevalidate"]);
    NameServer::bind_as(
        std::slice::from_ref(&zone),
        &keys,
        &stanza,
        &[("0.zone", &zone)],
    )
}

#[tokio::test]
async fn a_change_that_bind_takes_and_drops_is_no_damage() {
    let server = bind_with(
        &format!("update-policy {{ grant prevalidate. name {APEX}. TXT(1); }};"),
        1,
    );
    let provider = Setup::of(&server).build();
    let error = add(&*provider, APEX, OURS).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{}", shown(&error));
    for word in ["did not keep it", "nothing is missing", "TXT(1)"] {
        assert!(shown(&error).contains(word), "{}", shown(&error));
    }
    assert_eq!(server.txt(APEX), ["value 0"]);
}

#[tokio::test]
async fn bind_s_limit_of_records_of_a_type_is_named_by_the_check_and_the_publish() {
    let policy = "update-policy { grant prevalidate. zonesub ANY; };";
    let server = bind_with(policy, 100);
    let (provider, serial) = (Setup::of(&server).build(), server.serial(APEX));
    for error in [
        provider.preflight(APEX, RecordKind::Txt).await.unwrap_err(),
        add(&*provider, APEX, OURS).await.unwrap_err(),
    ] {
        assert!(
            shown(&error).contains("max-records-per-type") && shown(&error).contains("100"),
            "{}",
            shown(&error)
        );
    }
    assert_eq!(server.serial(APEX), serial);
}

#[tokio::test]
async fn many_values_are_no_fault_where_the_server_takes_one_more() {
    let values: String = (0..130)
        .map(|number| format!("@ TXT \"value {number}\"\n"))
        .collect();
    let (zone, keys) = (Zone::new(APEX, &values), Keys::of(&["prevalidate"]));
    let wider = "update-policy { grant prevalidate. zonesub ANY; }; max-records-per-type 200;";
    for server in [
        bind_with(wider, 130),
        NameServer::knot(std::slice::from_ref(&zone), &keys),
        NameServer::pdns(std::slice::from_ref(&zone), &keys),
    ] {
        let (provider, serial) = (Setup::of(&server).build(), server.serial(APEX));
        provider.preflight(APEX, RecordKind::Txt).await.unwrap();
        assert_eq!(server.serial(APEX), serial, "a check changes nothing");
        assert!(add(&*provider, APEX, OURS).await.unwrap().changed);
    }
}

#[tokio::test]
async fn what_the_page_says_to_bind_for_names_of_a_ca_is_enough() {
    let page = include_str!("../../docs/providers.md");
    let line = page
        .lines()
        .find(|line| line.contains("wildcard *.example.ch."));
    let policy = line.unwrap().replace("example.ch", APEX);
    let server = bind_with(&policy, 1);
    let (provider, before) = (Setup::of(&server).build(), server.axfr(APEX));
    let records = [
        Record::cname(format!("_a1b2.{APEX}"), "target.example.net"),
        Record::txt(format!("_dnsauth.www.{APEX}"), OURS),
        Record::txt(APEX, OURS),
    ];
    for record in &records {
        provider
            .preflight(&record.owner, record.kind())
            .await
            .unwrap_or_else(|error| panic!("{record}: {}", shown(&error)));
    }
    for result in provider.ensure_present(&records).await {
        assert!(result.unwrap().changed);
    }
    for result in provider.ensure_absent(&records).await {
        assert!(result.unwrap().changed);
    }
    assert_eq!(server.axfr(APEX), before);
}
