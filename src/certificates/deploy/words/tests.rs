//! No piece of a key or of a password is shown. All other words are.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::certificates::{KeyKind, PrivateKey};

fn secrets(key: &PrivateKey, bundle: &[u8]) -> Secrets {
    let mut secrets = Secrets::default();
    secrets.learn(key.pem().expose_secret().as_bytes().to_vec());
    secrets.learn(bundle.to_vec());
    secrets
}

/// A line of hexadecimal digits, two and two, with this between them.
fn spaced(octets: &[u8], between: &str) -> String {
    let pairs: Vec<_> = octets.iter().map(|octet| hex(&[*octet])).collect();
    pairs.join(between)
}

#[test]
fn no_piece_of_a_key_is_told_however_it_is_written() {
    // Of many keys, some have a `/` at every place.
    for _ in 0..20 {
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let bundle: Vec<u8> = (0..=255).rev().collect();
        let secrets = secrets(&key, &bundle);
        let pem = key.pem().expose_secret().to_owned();
        let (der, line) = (key.der(), pem.lines().nth(2).unwrap());
        let url = line.replace('+', "-").replace('/', "_");
        for said in [
            line.to_owned(),
            format!("read {line}"),
            format!("\"{}\"", &line[9..25]),
            format!("{} {}", &line[..9], &line[9..20]),
            format!("{url}\r\n\n"),
            format!("{}\n{}", &line[..14], &line[14..18]),
            pem.replace('\n', "\\n"),
            pem.lines().take(4).collect::<Vec<_>>().join("\n"),
            STANDARD_NO_PAD.encode(&der[40..60]),
            STANDARD_NO_PAD.encode(&pem.as_bytes()[80..110]),
            hex(&der[41..49]),
            spaced(&der[40..50], ":").to_uppercase(),
            spaced(&der[40..50], ", 0x"),
            spaced(&der[40..50], "\\x"),
            format!("00000028: {} ..0.#", spaced(&der[40..56], " ")),
            format!(
                "{}\n{}",
                spaced(&der[40..45], ":"),
                spaced(&der[45..50], ":")
            ),
            spaced(line.as_bytes(), ""),
            STANDARD_NO_PAD.encode(&bundle[30..60]),
            hex(&bundle[30..60]),
        ] {
            assert_eq!(told(said.as_bytes(), &[], &secrets), WITHHELD, "{said}");
        }
        let mut octets = b"cannot read ".to_vec();
        octets.extend(der.iter().filter(|octet| **octet != b'\n'));
        assert_eq!(told(&octets, &[], &secrets), WITHHELD);
    }
}

#[test]
fn words_beside_a_key_are_told_as_they_are() {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let secrets = secrets(&key, b"www.example.ch and other public words");
    let pem = key.pem();
    let pem = pem.expose_secret();
    for words in [
        "no such unit",
        "Expecting: ANY PRIVATE KEY",
        "-----END PRIVATE KEY-----",
        "www.example.ch: the serial number 45d0fd0221563df5 is not known",
    ] {
        let said = format!("{pem}{words}\n");
        assert_eq!(told(said.as_bytes(), &[], &secrets), words);
    }
    assert_eq!(told(b" \n\n", &[], &secrets), "");
    assert_eq!(told(b"", &[], &secrets), "");
}

#[test]
fn the_password_of_a_bundle_is_not_told() {
    let secrets = Secrets {
        password: Some(SecretString::from("canary-4711")),
        ..Secrets::default()
    };
    for said in ["canary-4711", "Y2FuYXJ5LTQ3MTE=", "63616e6172792d34373131"] {
        let told = told(format!("pass {said}").as_bytes(), &[], &secrets);
        assert!(told.starts_with("pass […]"), "{told}");
    }
}

#[test]
fn what_a_program_says_shows_neither_its_arguments_nor_a_secret() {
    let arguments = ["--token=canary-4711-abcdef", "reload"].map(str::to_owned);
    for (said, expected) in [
        ("401 for canary-4711-abcdef at host", "401 for […] at host"),
        ("usage: --token=canary-4711-abcdef", "usage: […]"),
        ("password=x is wrong", "password=[…] is wrong"),
        (
            "sent Authorization: Bearer abc",
            "sent Authorization: Bearer […]",
        ),
        ("MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQ", "[…]"),
        (
            "Failed to reload nginx.service: Unit not found.",
            "Failed to reload nginx.service: Unit not found.",
        ),
        (
            "tls: 4bWq/7Zt1Xo9fRkP2mVsYh3Lc8NuE/dJ5aTgQ6iB0wK= is bad",
            "tls: […] is bad",
        ),
        (
            "{\"k\":\"4bWq/7Zt1Xo9fRkP2mVsYh3Lc8NuE/dJ5aTgQ6iB0wK=\"}",
            "[…]",
        ),
        (
            "cannot stat '/usr/lib/x86_64-linux-gnu/nginx/modules/Http2Module'",
            "cannot stat '/usr/lib/x86_64-linux-gnu/nginx/modules/Http2Module'",
        ),
        ("a\u{1b}[2Jb", "a [2Jb"),
    ] {
        assert_eq!(harmless(said, &arguments, None), expected);
    }
    let long = harmless(&"word ".repeat(1000), &[], None);
    assert_eq!(long.chars().count(), TOLD + 1);
}
