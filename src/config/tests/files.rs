//! Files of certificates that a setting names: each that cannot be used is a fault of the
//! configuration, with all others.

use super::*;

/// A certificate and its key, in PEM.
pub(super) fn certificate() -> (String, String) {
    let names = vec!["root.test".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

const SECTIGO: &str = "[ca.sectigo]\nkind = \"sectigo\"\nauth = \"certificate\"\nuser = \"me\"\n\
    customer_uri = \"us\"\n";

/// A configuration in which every setting that takes roots names `file`.
fn everywhere(file: &str) -> String {
    let own = GOOD
        .replacen("user =", &format!("ca_file = \"{file}\"\nuser ="), 1)
        .replacen("[[client]]", "[[client]]\nca = \"swisssign\"", 1);
    format!(
        "{own}[ca.other]\nkind = \"digicert\"\napi_key = {{ env = \"KEY\" }}\nca_file = \"{file}\"\n\
         [provider.cdn]\nkind = \"cloudflare\"\ntoken = {{ env = \"TOKEN\" }}\nca_file = \"{file}\"\n\
         [provider.reg]\nkind = \"autodns\"\nuser = \"u\"\npassword = {{ env = \"P\" }}\nca_file = \"{file}\"\n\
         [[notify]]\nname = \"pager\"\nkind = \"webhook\"\nurl = \"https://pager.example/\"\n\
         secret = {{ env = \"S\" }}\nca_file = \"{file}\"\n\
         [[notify]]\nname = \"desk\"\nkind = \"mail\"\nserver = \"mail.example\"\nfrom = \"a@example.ch\"\n\
         to = [\"b@example.ch\"]\nca_file = \"{file}\"\n\
         [propagation]\nextra_ca_file = \"{file}\"\ntrust_anchors = \"{file}\"\n"
    )
}

#[test]
fn a_file_of_roots_that_cannot_be_used_is_a_fault_wherever_it_is_named() {
    let (folder, (good, key)) = (Folder::new(), certificate());
    let half = &good[..good.len() / 2];
    let broken = format!("{good}{}", good.replacen("MII", "MIP", 1));
    let places = [
        "ca.swisssign.ca_file",
        "ca.other.ca_file",
        "provider.cdn.ca_file",
        "provider.reg.ca_file",
        "notify.ca_file",
        "notify.ca_file",
        "propagation.extra_ca_file",
        "propagation.trust_anchors",
    ];
    for (text, words) in [
        ("", "has no certificates in PEM form"),
        ("no PEM\n", "has no certificates in PEM form"),
        (half, "has no end"),
        (&broken, "is damaged"),
        (&key, "has no certificates in PEM form, but a PRIVATE KEY"),
    ] {
        folder.write("ca.pem", text);
        let faults = folder.faults(&everywhere("ca.pem"));
        assert_eq!(faults.len(), places.len(), "{words}: {faults:#?}");
        for place in places {
            let found = faults.iter().filter(|fault| fault.contains(place));
            let told = found.clone().any(|fault| {
                fault.contains("ca.pem: ") && (fault.contains(words) || place.contains("anchors"))
            });
            assert!(told, "{place}, {words}: {faults:#?}");
        }
    }
    let faults = folder.faults(&everywhere("none.pem"));
    assert_eq!(faults.len(), places.len(), "{faults:#?}");

    let text = everywhere("ca.pem").replace("trust_anchors = \"ca.pem\"\n", "");
    for good in [
        good.clone(),
        format!("\u{feff}{}", good.replace('\n', "\r\n")),
    ] {
        folder.write("ca.pem", good);
        folder.load(&text).unwrap();
    }
}

#[test]
fn a_certificate_of_this_client_must_be_one_and_have_its_key() {
    let (folder, (certificate, key)) = (Folder::new(), certificate());
    let own = GOOD.replacen("[[client]]", "[[client]]\nca = \"swisssign\"", 1);
    let text =
        format!("{own}{SECTIGO}certificate = \"c.pem\"\nkey = \"k.pem\"\nca_file = \"r.pem\"\n");
    folder.write("r.pem", &certificate);
    let (_, other) = super::files::certificate();
    for (shown, with, words) in [
        ("", key.as_str(), "c.pem: has no certificates"),
        (&certificate[..certificate.len() / 2], &key, "has no end"),
        (&certificate, "", "k.pem: holds no private key"),
        (
            &certificate,
            &key[..key.len() / 2],
            "k.pem: the key on line 1 has no end",
        ),
        (&certificate, &other, "is not the key of"),
    ] {
        folder.write("c.pem", shown);
        folder.write("k.pem", with);
        let faults = folder.faults(&text);
        assert_eq!(faults.len(), 1, "{words}: {faults:#?}");
        assert!(
            faults[0].contains("ca.sectigo.certificate") && faults[0].contains(words),
            "{words}: {faults:#?}"
        );
    }
    folder.write("c.pem", format!("\u{feff}{certificate}"));
    folder.write("k.pem", key.replace('\n', "\r\n"));
    folder.load(&text).unwrap();
}

#[test]
fn a_folder_in_the_place_of_a_file_is_told_as_what_it_is() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.path().join("certs")).unwrap();
    let faults = folder.faults(&everywhere("certs"));
    assert_eq!(faults.len(), 8, "{faults:#?}");
    let of_providers = |fault: &&String| fault.contains("provider.");
    for fault in faults.iter().filter(|fault| !of_providers(fault)) {
        assert!(fault.contains("is a folder, not a file"), "{fault}");
    }
    let through = everywhere("prevalidate.toml/ca.pem");
    let faults = folder.faults(&through);
    assert_eq!(faults.len(), 8, "{faults:#?}");
    assert!(faults[0].contains("cannot be reached: "), "{faults:#?}");
}
