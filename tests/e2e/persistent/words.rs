//! What is refused, held and found, with the words.

use jiff::SignedDuration;
use prevalidate::clock::{Clock as _, SystemClock};

use super::{ACCOUNT, published, section, stage};

#[test]
fn a_configuration_of_persistent_records_is_refused_with_all_its_faults() {
    let (_server, world, setup) = stage(&[("a.test", "")]);
    for (account, more, words) in [
        (
            "https://acme-v02.api.letsencrypt.org/acme/acct/1",
            "",
            &[
                "is not the issuer's",
                "issuer ca.example",
                "which is letsencrypt.org's",
            ][..],
        ),
        ("4711", "", &["no URI", "octet by octet"]),
        ("https://acme.ca.example/a;b", "", &["semicolon"]),
        (ACCOUNT, "until = \"2020-01-01\"", &["in the past"]),
        (ACCOUNT, "until = \"2500-01-01\"", &["too far away"]),
        (ACCOUNT, "until = \"3000d\"", &["from 1d to 1826d"]),
        (ACCOUNT, "until = \"soon\"", &["a length of time"]),
        (
            ACCOUNT,
            "until = \"30d\"\nreplace_before = \"30d\"",
            &["must be shorter"],
        ),
        (
            ACCOUNT,
            "until = \"2099-01-01\"\nreplace_before = \"1d\"",
            &["a date is moved"],
        ),
        (
            ACCOUNT,
            "domains = [\"a.test\"]\n[ca.scm]\nkind = \"sectigo\"\nmethod = \"persistent\"\n\
             [ca.ours]\nkind = \"swisssign\"\n[[client]]\nca = \"ours\"\nmethod = \"persistent\"\n\
             [[client.domain]]\nname = \"x.test\"\nmethod = \"persistant\"\n\
             [[client]]\nca = \"scm\"",
            &[
                "ca.scm.method: this kind of CA does not offer persistent records by its API",
                "client.method: a CA of the kind \"swisssign\" does not offer persistent records",
                "keep the record by [[persistent]]",
                "must be \"random-value\" or \"persistent\"",
            ],
        ),
        (ACCOUNT, "policy = \"exact\"", &["must be \"wildcard\""]),
        (ACCOUNT, "account = \"x\"", &["is not a key"]),
        (
            ACCOUNT,
            "domains = [\"a.test\"]\n[[persistent]]\nissuer = \"ca.example\"\naccounturi = \"https://ca.example/2\"",
            &[
                "a.test has a record of ca.example already",
                "one for each issuer",
            ],
        ),
        (
            ACCOUNT,
            "domains = [\"b.test\"]\n[[persistent]]\nissuer = \"CA.example.\"\naccounturi = \"x\"",
            &["write issuer = \"ca.example\"", "no URI"],
        ),
    ] {
        let wrong = section(setup.clone(), account, more);
        world.run(&wrong, &["run"]).exits(2).says(words);
    }
    let long = format!("https://acme.ca.example/{}", "x".repeat(230));
    world
        .run(&section(setup.clone(), &long, ""), &["config", "check"])
        .exits(2)
        .says(&["one string of a TXT record has 255"]);
    let foreign = section(setup, "https://accounts.elsewhere.example/1", "");
    world
        .run(&foreign, &["config", "check"])
        .says(&["compare both with the CA's own page"]);
}

#[test]
fn caa_that_lacks_the_method_holds_a_new_record_with_the_words() {
    let (server, world, setup) = stage(&[
        ("a.test", "@ CAA 0 issue \"other.example\""),
        (
            "b.test",
            "@ CAA 0 issue \"ca.example; validationmethods=ca-tbr-7\"",
        ),
        (
            "c.test",
            "@ CAA 0 issue \"ca.example; validationmethods=ca-tbr-7,ca-tbr-22\"",
        ),
    ]);
    world
        .run(&setup, &["run", "--wait", "20s"])
        .exits(1)
        .says(&[
            "CAA at a.test does not let ca.example issue",
            "a.test. CAA 0 issue \"ca.example\"",
            "add ca-tbr-22",
            "held",
        ]);
    let count = |zone| published(&server, zone).len();
    assert_eq!(["a.test", "b.test", "c.test"].map(count), [0, 0, 1]);
    world
        .run(&setup, &["check"])
        .exits(1)
        .says(&["the persistent record of a.test at ca.example is held"]);
}

#[test]
fn one_domain_goes_first_and_the_users_of_acme_are_named() {
    let (server, world, setup) = stage(&[("a.test", ""), ("b.test", "")]);
    let setup = section(setup, ACCOUNT, "");
    // Waiting for the first domain is no alarm.
    world
        .run(&setup, &["run", "--wait", "20s"])
        .exits(0)
        .says(&[
            "waits until the record of a.test was visible for 24 h",
            "ask the users of ACME",
        ]);
    let count = |zone| published(&server, zone).len();
    assert_eq!(["a.test", "b.test"].map(count), [1, 0]);
}

#[test]
fn a_scan_says_whose_each_record_is_and_what_it_allows() {
    let (_server, world, setup) = stage(&[(
        "a.test",
        "_validation-persist 60 TXT \"letsencrypt.org; accounturi=https://acme-v02.api.letsencrypt.org/acme/acct/1; persistuntil=1\"\n\
         _validation-persist 60 TXT \"sectigo.com; accounturi=https://acme.digicert.com/1; persistUntil=1827619200\"\n\
         _validation-persist 60 TXT \"sectigo.com; accounturi=acct:1@sectigo.com; persistUntil=1827619200;\"",
    )]);
    world.run(&setup, &["run", "--wait", "20s"]).exits(0);
    let found = world
        .run(&setup, &["persistent", "scan", "--output", "json"])
        .exits(1)
        .json();
    let records = found["records"].as_array().unwrap();
    let whose: Vec<_> = records
        .iter()
        .map(|one| one["whose"].as_str().unwrap())
        .collect();
    assert_eq!(whose, ["ours", "foreign", "foreign", "foreign"]);
    world
        .run(&setup, &["persistent", "scan", "a.test"])
        .exits(1)
        .says(&[
            "letsencrypt.org may issue for a.test, for every name below it and for wildcards",
            "without end",
            "which is digicert.com's",
            "ends with a semicolon",
            "allows nothing",
            "4 persistent records at 1 domain, 3 of them foreign",
        ]);
}

#[test]
fn an_until_that_is_over_is_told_before_a_run_and_holds_only_its_own_records() {
    let (server, world, setup) = stage(&[("a.test", ""), ("b.test", "")]);
    // Yesterday, and a day that is no mistake of writing but too far away.
    let day = SignedDuration::from_hours(24);
    let yesterday = (SystemClock.now() - day).strftime("%Y-%m-%d").to_string();
    for (until, why) in [
        (
            yesterday.as_str(),
            "is over, so a run holds 1 record at other.example",
        ),
        ("2045-01-01", "is more than five years from now"),
    ] {
        let held = format!(
            "canary = \"0s\"\ndomains = [\"a.test\"]\n[[persistent]]\nissuer = \"other.example\"\n\
             accounturi = \"https://other.example/1\"\nuntil = \"{until}\""
        );
        let setup = section(setup.clone().without("a.test"), ACCOUNT, &held);
        let words = ["persistent.until: ", why, "prevalidate.toml:"];
        let checked = world.run(&setup, &["config", "check", "--output", "json"]);
        let notices = checked.exits(0).says(&words).json()["notices"].to_string();
        assert!(notices.contains(why), "{notices}");
        world.run(&setup, &["doctor"]).exits(1).says(&words);
        world
            .run(&setup, &["run", "--wait", "20s"])
            .exits(1)
            .says(&["b.test at other.example: `until`"]);
        assert_eq!(published(&server, "b.test"), [""; 0]);
        assert_eq!(published(&server, "a.test").len(), 1, "all others continue");
    }
}
