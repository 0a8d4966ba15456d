//! What a CA may deliver, right and wrong, by a CA made for the test.

#![allow(clippy::unwrap_used)]

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use super::*;
use crate::certificates::{KeyKind, PrivateKey, fingerprint};

struct Ca {
    root: Vec<u8>,
    middle: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (
        rcgen::date_time_ymd(2020, 1, 1),
        rcgen::date_time_ymd(2040, 1, 1),
    );
    params
}

impl Ca {
    fn new(middle: &str) -> Self {
        let root_key = KeyPair::generate().unwrap();
        let root = authority("Test Root");
        let root_der = root.self_signed(&root_key).unwrap().der().to_vec();
        let root = Issuer::new(root, root_key);
        let key = KeyPair::generate().unwrap();
        let params = authority(middle);
        let middle = params.signed_by(&key, &root).unwrap().der().to_vec();
        Self {
            root: root_der,
            middle,
            issuer: Issuer::new(params, key),
        }
    }

    fn leaf(&self, key: &KeyPair, names: &[&str], until: i32) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names
            .iter()
            .map(|name| SanType::DnsName((*name).try_into().unwrap()))
            .collect();
        (params.not_before, params.not_after) = (
            rcgen::date_time_ymd(2026, 1, 1),
            rcgen::date_time_ymd(until, 1, 1),
        );
        params.signed_by(key, &self.issuer).unwrap().der().to_vec()
    }
}

fn key() -> (KeyPair, String) {
    use rcgen::PublicKeyData as _;
    let key = KeyPair::generate().unwrap();
    let print = fingerprint(&key.subject_public_key_info());
    (key, print)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn checked(delivered: &[&Vec<u8>], print: &str, wanted: &[&str]) -> Result<Checked, Vec<Wrong>> {
    let delivered: Vec<Vec<u8>> = delivered.iter().map(|one| (*one).clone()).collect();
    let expected = Expected {
        fingerprint: print,
        dns_names: &names(wanted),
        emails: &[],
    };
    check(
        &delivered,
        expected,
        "2026-11-29T12:00:00Z".parse().unwrap(),
    )
}

#[test]
fn a_chain_is_put_right_from_every_order_and_its_root_is_left_out() {
    let ca = Ca::new("Test Issuing CA");
    let (key, print) = key();
    let leaf = ca.leaf(&key, &["www.example.ch", "example.ch"], 2027);
    let stranger = Ca::new("Another CA").middle;
    let wanted = ["example.ch", "www.example.ch"];
    for delivered in [
        vec![&leaf, &ca.middle, &ca.root],
        vec![&ca.root, &ca.middle, &leaf],
        vec![&ca.middle, &leaf],
        vec![&stranger, &ca.root, &leaf, &ca.middle],
    ] {
        let came = checked(&delivered, &print, &wanted).unwrap();
        assert_eq!(
            (came.leaf, came.chain),
            (leaf.clone(), vec![ca.middle.clone()])
        );
        assert_eq!(came.facts.not_after.to_string(), "2027-01-01T00:00:00Z");
    }
}

#[test]
fn what_was_not_ordered_is_refused_and_says_why() {
    let ca = Ca::new("Test Issuing CA");
    let (key, print) = key();
    let good = ca.leaf(&key, &["www.example.ch"], 2027);
    let only = |delivered: &[&Vec<u8>], wanted: &[&str]| {
        let wrong = checked(delivered, &print, wanted).unwrap_err();
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        wrong[0].clone()
    };
    let (other, _) = self::key();
    let for_another = ca.leaf(&other, &["www.example.ch"], 2027);
    assert_eq!(
        only(&[&for_another, &ca.middle], &["www.example.ch"]),
        Wrong::OtherKey
    );
    assert_eq!(only(&[], &["www.example.ch"]), Wrong::Nothing);
    assert_eq!(
        only(&[&good, &ca.middle], &["www.example.ch", "example.ch"]),
        Wrong::Missing(names(&["example.ch"]))
    );
    let over = ca.leaf(&key, &["www.example.ch"], 2026);
    assert!(matches!(
        only(&[&over, &ca.middle], &["www.example.ch"]),
        Wrong::Over(_)
    ));
    assert!(matches!(
        only(&[&good], &["www.example.ch"]),
        Wrong::NoIssuer(_)
    ));
    assert!(matches!(
        only(&[&good, &ca.root], &["www.example.ch"]),
        Wrong::NoIssuer(_)
    ));
    // Of the same name, and of another key.
    let impostor = Ca::new("Test Issuing CA").middle;
    assert!(matches!(
        only(&[&good, &impostor], &["www.example.ch"]),
        Wrong::Unsigned(_)
    ));
    let html = b"<html>".to_vec();
    assert!(matches!(
        only(&[&html], &["www.example.ch"]),
        Wrong::Unreadable(_)
    ));
    let half = good[..good.len() / 2].to_vec();
    assert!(matches!(
        only(&[&half], &["www.example.ch"]),
        Wrong::Unreadable(_)
    ));
    // Signed by its own key: its signature is valid, and no CA has issued it.
    let mut alone = CertificateParams::new(names(&["www.example.ch"])).unwrap();
    (alone.not_before, alone.not_after) = (
        rcgen::date_time_ymd(2026, 1, 1),
        rcgen::date_time_ymd(2027, 1, 1),
    );
    let alone = alone.self_signed(&key).unwrap().der().to_vec();
    for delivered in [vec![&alone], vec![&alone, &ca.middle]] {
        assert_eq!(only(&delivered, &["www.example.ch"]), Wrong::SelfIssued);
    }
    // A wildcard is not the name that was ordered.
    let wild = ca.leaf(&key, &["*.example.ch"], 2027);
    assert!(matches!(
        only(&[&wild, &ca.middle], &["www.example.ch"]),
        Wrong::Missing(_)
    ));
}

#[test]
fn a_bundle_holds_key_certificate_and_chain_under_its_password() {
    let ca = Ca::new("Test Issuing CA");
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let pair = {
        use secrecy::ExposeSecret as _;
        KeyPair::from_pem(key.pem().expose_secret()).unwrap()
    };
    let leaf = ca.leaf(&pair, &["www.example.ch"], 2027);
    let bundle = crate::certificates::bundle::pkcs12(
        "www",
        &key,
        &[&leaf, &ca.middle],
        &"a password".to_owned().into(),
    )
    .unwrap();
    let read = |password| {
        p12_keystore::KeyStore::from_pkcs12(
            &bundle,
            password,
            p12_keystore::Pkcs12ImportPolicy::Relaxed,
        )
    };
    assert!(read("another").is_err());
    let store = read("a password").unwrap();
    let (name, chain) = store.private_key_chain().unwrap();
    assert_eq!((name, chain.certs().len()), ("www", 2));
    assert_eq!(chain.certs()[0].as_der(), leaf);
}
