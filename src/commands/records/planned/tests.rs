//! Zone files as other programs write them, and what is refused.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_zone_file_is_read_as_name_servers_do() {
    let text = r#"$TTL 1h
$ORIGIN Example.CH.
@ IN SOA ns1 hostmaster ( 1 ; serial
    3600 600 604800 300 )
  NS ns1
  300 IN TXT "v=spf1 -all"
  IN 5m TXT ( "swiss-pki=" ; split
      "one" )
www 60 txt swiss-pki=two
sub NS ns.elsewhere.net.
$ORIGIN below.example.ch.
@ TXT "three"
x.example.ch. TYPE65280 \# 0
"#;
    let planned = Planned::read(text, None).unwrap();
    assert_eq!(planned.apex, "example.ch");
    for (owner, value) in [
        ("example.ch", "v=spf1 -all"),
        ("example.ch", "swiss-pki=one"),
        ("www.example.ch", "swiss-pki=two"),
        ("below.example.ch", "three"),
    ] {
        assert!(planned.holds(owner, value), "{owner} {value}: {planned:?}");
    }
    assert!(!planned.holds("example.ch", "swiss-pki=two"));
    // What other servers serve already is not given away by this plan.
    for (owner, zone, away) in [
        ("www.sub.example.ch", "example.ch", true),
        ("www.sub.example.ch", "sub.example.ch", false),
        ("www.example.ch", "example.ch", false),
        ("example.ch", "example.ch", false),
    ] {
        assert_eq!(planned.gives_away(owner, zone), away, "{owner} in {zone}");
    }
    for (owner, decided) in [
        ("example.ch", true),
        ("a.www.example.ch", true),
        ("sub.example.ch", false),
        ("a.sub.example.ch", false),
        ("notexample.ch", false),
    ] {
        assert_eq!(planned.decides(owner), decided, "{owner}");
    }
}

#[test]
fn an_origin_of_the_root_and_names_in_any_writing_are_the_same_zone() {
    for text in [
        "$ORIGIN .\n$TTL 60\nexample.ch IN SOA ns1 h 1 2 3 4 5\n\t60 IN TXT \"x\"\n",
        "$ORIGIN ch.\nexample SOA ns1 h 1 2 3 4 5\nexample TXT x",
        "$ORIGIN .\n$ORIGIN ch\nexample SOA ns1 h 1 2 3 4 5\nexample TXT x",
        "EXAMPLE.ch. SOA ns1 h 1 2 3 4 5\nexample.CH. TXT x",
    ] {
        let planned = Planned::read(text, None).unwrap();
        assert_eq!(planned.apex, "example.ch", "{text}");
        assert!(
            planned.decides("www.example.ch") && planned.holds("example.ch", "x"),
            "{text}: {planned:?}"
        );
    }
}

#[test]
fn files_of_other_name_servers_are_read_as_they_are_written() {
    for (tool, text) in [
        (
            "Windows, with an aged record",
            "@ IN SOA ns1 h ( 1 2 3 4 5 )\r\n@ NS ns1.a.ch.\r\n\
             @ [AGE:3692880] 1200 TXT ( \"x\" )\r\n  [age:1] 0 WINS L1 C900 ( 192.0.2.1 )\r\n",
        ),
        (
            "a byte order mark before $ORIGIN",
            "\u{feff}$ORIGIN a.ch.\n@ TXT x\n",
        ),
        (
            "two files in one",
            "\u{feff}@ A 192.0.2.1\n\u{feff}@ TXT x\n",
        ),
        ("a type by its number", "@ CLASS1 60 TYPE16 \\# 2 0178\n"),
        (
            "a type by its number, in parts",
            "@ 60 IN TXT \\# 3 ( 01 78\n 00 )\n",
        ),
        (
            "TTL before and behind the class",
            "@ 1h30m IN TXT x\n@ IN 1W2D TXT y\n",
        ),
        (
            "PowerDNS' list-zone",
            "$ORIGIN .\na.ch\t3600\tIN\tTXT\t\"x\"\n",
        ),
        (
            "a transfer by dig",
            "a.ch. 1 IN SOA n. h. 1 2 3 4 5\na.ch. 1 IN TXT \"x\"\na.ch. 1 IN SOA n. h. 1 2 3 4 5\n",
        ),
        (
            "JSON behind a mark",
            "\u{feff}{\"zone\": \"a.ch\", \"txt\": {\"a.ch\": [\"x\"]}}",
        ),
    ] {
        let planned = Planned::read(text, Some("a.ch".into()));
        let planned = planned.unwrap_or_else(|fault| panic!("{tool}: {fault}"));
        assert!(planned.holds("a.ch", "x"), "{tool}: {planned:?}");
    }
}

#[test]
fn an_origin_behind_a_mark_moves_the_values_as_it_does_for_every_other_reader() {
    let text = "\u{feff}$ORIGIN sub.a.ch.\n@ 60 TXT \"x\"\n";
    let planned = Planned::read(text, Some("a.ch".into())).unwrap();
    assert!(
        !planned.holds("a.ch", "x") && planned.holds("sub.a.ch", "x"),
        "{planned:?}"
    );
}

#[test]
fn a_later_origin_is_not_the_zone_and_below_a_dname_nothing_is_kept() {
    let text = "$ORIGIN a.ch.\n@ TXT x\nold DNAME b.ch.\n$ORIGIN sub\n@ TXT y\n";
    let planned = Planned::read(text, None).unwrap();
    assert_eq!(planned.apex, "a.ch");
    assert!(planned.decides("a.ch") && planned.decides("old.a.ch"));
    assert!(planned.gives_away("www.old.a.ch", "a.ch"), "{planned:?}");
}

#[test]
fn a_plan_for_another_zone_than_the_one_that_is_named_is_refused() {
    let zone = || Some("a.ch".to_owned());
    for (text, words) in [
        (
            "$ORIGIN b.ch.\n@ SOA ns1 h 1 2 3 4 5",
            "the zone b.ch, and not a.ch",
        ),
        (
            r#"{"zone": "b.ch", "txt": {}}"#,
            "the zone b.ch, and not a.ch",
        ),
    ] {
        let fault = Planned::read(text, zone()).unwrap_err();
        assert!(fault.contains(words), "{text}: {fault}");
    }
    for text in [
        "$ORIGIN b.a.ch.\n@ TXT x",
        "@ SOA ns1 h 1 2 3 4 5",
        r#"{"zone": "A.ch.", "txt": {}}"#,
    ] {
        assert_eq!(Planned::read(text, zone()).unwrap().apex, "a.ch", "{text}");
    }
    let relative = Planned::read(r#"{"zone": "a.ch", "txt": {"www": ["x"]}}"#, None).unwrap_err();
    assert!(
        relative.contains("www is not in the zone a.ch"),
        "{relative}"
    );
}

/// The values of the second zone would be compared with nothing (exit status 0).
#[test]
fn a_file_with_records_of_a_second_zone_is_refused_with_their_line() {
    for (text, zone, words) in [
        (
            "$ORIGIN a.ch.\n@ TXT x\n$ORIGIN b.ch.\n@ TXT y\n",
            None,
            "line 4: b.ch is not in the zone a.ch",
        ),
        (
            "$ORIGIN a.ch.\n@ SOA n h 1 2 3 4 5\n$ORIGIN b.ch.\nwww 60 A 192.0.2.1\n",
            None,
            "line 4: www.b.ch is not in the zone a.ch",
        ),
        (
            "b.ch. TXT y\na.ch. SOA n h 1 2 3 4 5\n",
            None,
            "line 1: b.ch is not in the zone a.ch",
        ),
        (
            "a.ch. TXT x\nnota.ch. TXT y\nb.ch. TXT y\n",
            Some("a.ch".to_owned()),
            "line 2: nota.ch is not in the zone a.ch",
        ),
        (
            "$ORIGIN sub.a.ch.\n@ TXT x\n$ORIGIN a.ch.\n@ TXT y\n",
            None,
            "line 4: a.ch is not in the zone sub.a.ch",
        ),
    ] {
        let fault = Planned::read(text, zone).unwrap_err();
        assert!(fault.contains(words), "{text}: {fault}");
    }
    let above = "$ORIGIN sub.a.ch.\n@ TXT x\n$ORIGIN a.ch.\n@ TXT y\n";
    let planned = Planned::read(above, Some("a.ch".to_owned())).unwrap();
    assert!(planned.holds("a.ch", "y") && planned.decides("sub.a.ch"));
}

#[test]
fn what_cannot_be_read_whole_is_refused_with_its_line() {
    for (text, words) in [
        ("$INCLUDE more.zone", "line 1: $INCLUDE is not followed"),
        ("\n$GENERATE 1-9 a$ A 192.0.2.$", "line 2: $GENERATE"),
        ("@ TXT x", "line 1: @ is relative"),
        (" TXT x", "line 1: no owner"),
        ("a.ch. TXT \"open", "line 1: a quote"),
        ("a.ch. TYPE16 \\# 2 0261", "RFC 3597"),
        ("a.ch. TXT \\# 3 0161", "RFC 3597"),
        ("a.ch. TYPE16 x", "no data"),
        ("a.ch. TXT", "line 1: there is no data"),
        ("a.ch. IN 300", "line 1: there is no type"),
        ("a.ch. TYP TXT x", "line 1: `TYP` is not a type"),
        ("a.ch. 300x TXT x", "`300x` is not a type"),
        ("a.ch. 1hm TXT x", "`1hm` is not a type"),
        ("a.ch. [AGE:] 60 TXT x", "`[AGE:]` is not a type"),
        ("a.ch. CH TXT x", "the class CH"),
        ("a.ch. CLASS3 TXT x", "the class CLASS3"),
        ("\n@ORIGIN a.ch.", "line 2: @ORIGIN is relative"),
        ("$ORIGIN", "line 1: $ORIGIN is not followed by one name"),
        ("$TTL soon", "line 1: $TTL"),
        ("$UNKNOWN a", "line 1: $UNKNOWN is not followed"),
        ("\u{feff}$INCLUDE a", "line 1: $INCLUDE is not followed"),
        ("a.ch. TXT \"open\nb.ch. TXT x\"", "line 1: a quote"),
        (
            "update add a.ch. 60 TXT \"x\"",
            "line 1: update is relative",
        ),
        (
            "$ORIGIN .\nupdate add a.ch. 60 TXT \"x\"",
            "line 2: `add` is not a type",
        ),
        ("[a.ch.] a.ch. 60 TXT \"x\"", "line 1: [a.ch.] is relative"),
        ("---\na:\n  - type: TXT", "YAML"),
        ("'':\n  type: TXT\n  value: x", "YAML"),
        (
            "a.ch. SOA n h 1 2 3 4 5\nb.ch. SOA n h 1 2 3 4 5",
            "line 2: a second SOA",
        ),
        ("a.ch. TXT x", "name the zone with --zone"),
        ("{\"zone\": 1}", "JSON"),
    ] {
        let fault = Planned::read(text, None).unwrap_err();
        assert!(fault.contains(words), "{text}: {fault}");
    }
    let planned = Planned::read("@ TXT x", Some("a.ch".into())).unwrap();
    assert!(planned.holds("a.ch", "x"));
    let json = Planned::read(r#"{"zone": "A.ch.", "txt": {"a.ch.": ["x"]}}"#, None).unwrap();
    assert!(json.holds("a.ch", "x") && json.decides("b.a.ch"));
}
