//! Signatures: the published examples, every form that is none, and whatever else comes (faults
//! H01, H04, H05).
#![allow(clippy::unwrap_used)]

use axum::http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

/// The example that the libraries of Standard Webhooks test themselves with.
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIME: &str = "1614265330";
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const WRONG: &str = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";

fn now() -> Timestamp {
    Timestamp::from_second(1_614_265_330).unwrap()
}

fn secret() -> Secret {
    Scheme::Standard.secret(&WHSEC.into()).unwrap()
}

/// The value of `X-Hub-Signature-256` for a body.
pub fn sign_hub(secret: &Secret, body: &[u8]) -> String {
    format!(
        "sha256={}",
        hex(&secret.code(&[body]).finalize().into_bytes())
    )
}

fn headers<V: AsRef<[u8]>>(pairs: &[(&'static str, V)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, V)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_bytes(value.as_ref()).unwrap(),
        )
    };
    pairs.iter().map(pair).collect()
}

fn standard(id: &str, time: &str, signature: &str) -> HeaderMap {
    headers(&[
        ("webhook-id", id),
        ("webhook-timestamp", time),
        ("webhook-signature", signature),
    ])
}

/// Whether all of it holds.
fn holds(headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
    Claim::read(headers, now).is_ok_and(|claim| claim.is_by(&secret(), body))
}

#[test]
fn the_published_examples_hold() {
    assert_eq!(secret().sign(ID, TIME, BODY), SIGNATURE);
    assert!(holds(&standard(ID, TIME, SIGNATURE), BODY, now()));
    let several = [WRONG, &WRONG.replace("v1", "v2"), SIGNATURE, WRONG].join(" ");
    assert!(
        holds(&standard(ID, TIME, &several), BODY, now()),
        "any one of several may match"
    );
    // GitHub Docs, "Validating webhook deliveries".
    let hub = Scheme::Hub
        .secret(&"It's a Secret to Everybody".into())
        .unwrap();
    let value = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(sign_hub(&hub, b"Hello, World!"), value);
    let headers = headers(&[("x-hub-signature-256", value)]);
    let claim = Claim::read(&headers, now()).unwrap();
    assert!(
        claim.is_by(&hub, b"Hello, World!")
            && !claim.is_by(&hub, b"Hello, World")
            && claim.id.is_none()
    );
}

#[test]
fn a_weak_secret_is_refused_and_none_is_ever_shown() {
    let coded = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
    for (scheme, text) in [
        (Scheme::Standard, String::new()),
        (Scheme::Standard, "whsec_".to_owned()),
        (Scheme::Standard, coded(23)),
        (Scheme::Standard, coded(513)),
        (Scheme::Standard, format!("{}!", coded(24))),
        (Scheme::Standard, "a".repeat(23)),
        (Scheme::Hub, "a".repeat(23)),
    ] {
        let error = scheme.secret(&text.as_str().into()).unwrap_err();
        assert!(text.len() < 7 || !error.contains(&text[6..]), "{error}");
    }
    for text in [coded(24), coded(512), "a".repeat(24)] {
        let secret = Scheme::Standard.secret(&text.as_str().into()).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret([REDACTED])");
    }
    // What is base64 for one is a text for the other, as GitHub takes it.
    let hub = Scheme::Hub.secret(&WHSEC.into()).unwrap();
    assert!(!hub.is(&secret()) && secret().is(&secret()));
}

#[test]
fn a_message_counts_for_five_minutes_either_way() {
    let good = standard(ID, TIME, SIGNATURE);
    for (seconds, counts) in [
        (300, true),
        (301, false),
        (-300, true),
        (-301, false),
        (i64::from(u32::MAX), false),
    ] {
        let now = Timestamp::from_second(1_614_265_330 + seconds).unwrap();
        assert_eq!(holds(&good, BODY, now), counts, "{seconds}");
    }
}

#[test]
fn a_timestamp_has_one_spelling_and_no_other_upsets_anything() {
    for time in [
        "",
        "0",
        "-1614265330",
        "+1614265330",
        "01614265330",
        " 1614265330",
        "1614265330 ",
        "1614265330.0",
        "1.6e9",
        "0x60379c72",
        "1614265330000000000000000",
        "9223372036854775807",
        "-9223372036854775808",
        "999999999999",
        "\u{661}\u{666}",
        "16142653_30",
        "hello",
    ] {
        // Signed as it is: only the form is wrong.
        let signature = secret().sign(ID, time, BODY);
        assert!(
            !holds(&standard(ID, time, &signature), BODY, now()),
            "{time}"
        );
    }
}

#[test]
fn every_header_is_there_once_and_in_ascii() {
    let good = standard(ID, TIME, SIGNATURE);
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut missing = good.clone();
        missing.remove(name);
        assert!(Claim::read(&missing, now()).is_err(), "{name} is missing");
        let mut twice = good.clone();
        twice.append(name, good[name].clone());
        assert_eq!(
            Claim::read(&twice, now()),
            Err(Flaw::Header(name)),
            "{name} occurs twice"
        );
        let mut latin = good.clone();
        latin.insert(name, HeaderValue::from_bytes(b"v1,\xe9").unwrap());
        assert_eq!(
            Claim::read(&latin, now()),
            Err(Flaw::Header(name)),
            "{name} is not ASCII"
        );
    }
    for id in ["", "a.b", "a b", "a\tb", &"a".repeat(129)] {
        assert!(
            !holds(
                &standard(id, TIME, &secret().sign(id, TIME, BODY)),
                BODY,
                now()
            ),
            "{id}"
        );
    }
    let mut both = good.clone();
    both.insert("x-hub-signature-256", HeaderValue::from_static("sha256=00"));
    assert_eq!(Claim::read(&both, now()), Err(Flaw::Both));
    assert_eq!(Claim::read(&HeaderMap::new(), now()), Err(Flaw::Unsigned));
}

#[test]
fn a_list_of_signatures_is_short_and_what_is_no_signature_never_matches() {
    let list = |entries: usize| {
        [vec![WRONG; entries - 1], vec![SIGNATURE]]
            .concat()
            .join(" ")
    };
    assert!(holds(&standard(ID, TIME, &list(8)), BODY, now()));
    for signature in [
        &list(9),
        &list(10_000),
        "",
        "v1,",
        "v1",
        &SIGNATURE[..12],
        &SIGNATURE[3..],
        &SIGNATURE.replace("v1,", "v1a,"),
        &SIGNATURE.replace("v1,", "V1,"),
        &SIGNATURE.replace("v1,", "v1, "),
        &SIGNATURE.replace(',', "\t"),
        &format!("{SIGNATURE},"),
        &SIGNATURE.replace('=', ""),
        &format!("v1,{}", STANDARD.encode([7; 31])),
        &format!("v1,{}", STANDARD.encode([7; 33])),
        WRONG,
    ] {
        assert!(
            !holds(&standard(ID, TIME, signature), BODY, now()),
            "{signature}"
        );
    }
    let hub = Scheme::Hub
        .secret(&"It's a Secret to Everybody".into())
        .unwrap();
    let good = sign_hub(&hub, BODY);
    for value in [
        "",
        "sha256=",
        &good[..70],
        &format!("{good}00"),
        &good.to_uppercase(),
        &good[7..],
    ] {
        let headers = headers(&[("x-hub-signature-256", value)]);
        assert!(Claim::read(&headers, now()).is_err(), "{value}");
    }
}

proptest! {
    #[test]
    fn no_headers_upset_it(
        id in prop::collection::vec(any::<u8>(), 0..40),
        time in "[0-9+. -]{0,24}",
        signature in prop::collection::vec(any::<u8>(), 0..200),
        body in prop::collection::vec(any::<u8>(), 0..100),
        seconds in -377_705_023_201_i64..=253_402_207_200,
    ) {
        let values = [("webhook-id", id), ("webhook-timestamp", time.into_bytes()), ("webhook-signature", signature.clone()),
            ("x-github-delivery", signature)];
        let read: HeaderMap = values.into_iter()
            .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_bytes(&value).ok()?))).collect();
        prop_assert!(!holds(&read, &body, Timestamp::from_second(seconds).unwrap()));
    }

    #[test]
    fn what_was_signed_holds_and_nothing_else_does(
        id in "[!-\\-/-~]{1,128}",
        body in prop::collection::vec(any::<u8>(), 1..200),
        bit in any::<prop::sample::Index>(),
        offset in -300_i64..=300,
    ) {
        let time = (now().as_second() + offset).to_string();
        let signature = secret().sign(&id, &time, &body);
        let good = standard(&id, &time, &signature);
        prop_assert!(holds(&good, &body, now()));
        let mut other = body.clone();
        let bit = bit.index(other.len() * 8);
        other[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!holds(&good, &other, now()));
        let longer = format!("{id}x");
        prop_assert!(!holds(&standard(&longer, &time, &signature), &body, now()));
        // The same signature under another time: the one thing a replay would have to change.
        let later = (now().as_second() + offset + 1).to_string();
        prop_assert!(!holds(&standard(&id, &later, &signature), &body, now()));
    }
}
