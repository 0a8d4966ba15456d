//! Names as people write them, and why others are refused.
#![allow(clippy::unwrap_used)]

use super::*;

fn parse(text: &str) -> Result<String, NameError> {
    DomainName::parse(text).map(|parsed| parsed.name.to_string())
}

#[test]
fn people_write_a_name_in_many_ways() {
    for (written, name) in [
        ("example.ch", "example.ch"),
        (" Example.CH.\r\n", "example.ch"),
        ("\u{feff}example.ch", "example.ch"),
        ("déjà.vu.com", "xn--dj-kia8a.vu.com"),
        ("de\u{301}ja\u{300}.vu.com", "xn--dj-kia8a.vu.com"),
        ("XN--DJ-KIA8A.vu.com", "xn--dj-kia8a.vu.com"),
        ("example。ch", "example.ch"),
        ("foo.example。", "foo.example"),
        ("foo．example．", "foo.example"),
        ("foo｡example｡", "foo.example"),
        ("*。example。ch。", "example.ch"),
        (" 例え。ch。\u{3000}", "xn--r8jz45g.ch"),
        ("straße.ch", "xn--strae-oqa.ch"),
        ("*.example.ch", "example.ch"),
        ("foo.github.io", "foo.github.io"),
        ("github.io", "github.io"),
        ("1.example.ch", "1.example.ch"),
    ] {
        assert_eq!(parse(written).as_deref(), Ok(name), "{written:?}");
    }
}

#[test]
fn a_name_that_cannot_be_prevalidated_is_refused_with_its_reason() {
    for (written, reason) in [
        ("", "empty"),
        ("   ", "empty"),
        (
            "example.com\n.ch",
            "`example.com\\n.ch` is not a domain name",
        ),
        ("example.com/../x", "slash"),
        ("https://example.com", "https://"),
        ("example.com:443", "port"),
        ("me@example.com", "@"),
        ("a.com\0", "not a domain name"),
        ("example..com", "empty label"),
        (".example.com", "empty label"),
        ("exa mple.com", "white space"),
        ("a.*.example.com", "`*`"),
        ("**.example.com", "`*`"),
        ("-a.example.com", "hyphen"),
        ("ab--cd.example.com", "hyphens in third"),
        ("xn--a.example.com", "Punycode"),
        ("_dmarc.example.com", "underscore"),
        ("a_b.ch", "an underscore"),
        ("a.ch,", "a comma"),
        ("a.ch;b.ch", "a semicolon"),
        ("a.ch ; shop", "a semicolon"),
        ("\u{201c}a.ch\u{201d}", "a quotation mark"),
        ("'a.ch'", "a quotation mark"),
        ("a.ch\tMuster AG", "a tab"),
        ("a+b.ch", "`+`"),
        ("a\u{fffd}.ch", "U+FFFD"),
        ("a\u{2028}b.ch", "white space"),
        ("a\u{e000}.ch", "U+E000"),
        ("foo。。example", "empty label"),
        ("。", "empty"),
        ("192.0.2.1", "IP address"),
        ("１２７.0.0.1", "IP address"),
        ("[2001:db8::1]", "IP address"),
        ("0x7f.0x1", "IP address"),
        ("localhost", "reserved"),
        ("host.localhost", "reserved"),
        ("printer.local", "reserved"),
        ("intra.corp", "no public top-level domain"),
        ("2.0.192.in-addr.arpa", "reserved"),
        ("ch", "public suffix"),
        ("co.uk", "public suffix"),
        ("example", "one label"),
    ] {
        let refused = parse(written).unwrap_err().to_string();
        assert!(refused.contains(reason), "{written:?}: {refused}");
    }
    let long = format!("{}.ch", "a".repeat(64));
    assert!(
        parse(&long)
            .unwrap_err()
            .to_string()
            .contains("a label is longer than 63")
    );
    // Its A-label is longer than its U-label.
    let unicode = format!("{}.ch", "äöü".repeat(20));
    assert!(
        parse(&unicode)
            .unwrap_err()
            .to_string()
            .contains("a label is longer than 63")
    );
    let longer = format!("{}ch", "abcdefgh.".repeat(28));
    assert!(
        parse(&longer)
            .unwrap_err()
            .to_string()
            .contains("longer than 253")
    );
}

#[test]
fn names_that_deceive_need_consent_and_labs_only_a_notice() {
    let notices = |text: &str| DomainName::parse(text).unwrap().notices;
    assert!(
        notices("straße.ch")[0].needs_consent(),
        "ß became ss in IDNA 2003"
    );
    assert!(
        notices("xn--strae-oqa.ch")[0].needs_consent(),
        "also when written as an A-label"
    );
    assert!(
        notices("pаypal.ch")[0].needs_consent(),
        "Cyrillic а among Latin letters"
    );
    assert!(notices("déjà.vu.com").is_empty());
    assert!(
        notices("例え.ch").is_empty(),
        "Han and Hiragana belong together"
    );
    assert!(matches!(notices("a.test")[..], [Notice::Lab(_)]));
    assert!(matches!(
        notices("*.example.ch")[..],
        [Notice::WildcardStripped(_)]
    ));
}

#[test]
fn below_means_on_a_label_boundary() {
    let name = |text: &str| DomainName::from_a_labels(text).unwrap();
    assert!(name("a.example.com").is_below(&name("example.com")));
    assert!(!name("notexample.com").is_below(&name("example.com")));
    assert!(!name("example.com").is_below(&name("example.com")));
}

proptest::proptest! {
    #[test]
    fn reading_a_name_again_changes_nothing(text in "\\PC{0,40}") {
        if let Ok(first) = DomainName::parse(&text) {
            let again = DomainName::parse(first.name.as_str()).unwrap();
            proptest::prop_assert_eq!(&first.name, &again.name);
            let shown = DomainName::parse(&first.name.unicode()).unwrap();
            proptest::prop_assert_eq!(&first.name, &shown.name);
            proptest::prop_assert!(first.name.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.'));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(text in ".{0,300}") {
        let _ = DomainName::parse(&text);
        let _ = DomainName::from_a_labels(&text);
    }
}
