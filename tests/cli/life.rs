//! The built binary against a sandbox: a CA over HTTP and name servers that take signed updates.

use std::path::Path;
use std::sync::Arc;

use prevalidate::clock::SystemClock;
use prevalidate::prevalidation::DomainName;
use prevalidate::sandbox::ca::Call;
use prevalidate::sandbox::dns::Follow;
use prevalidate::sandbox::registry::KINDS;
use prevalidate::sandbox::{Options, Sandbox};

use super::{Said, command};

/// A sandbox with its configuration, and the names in it.
pub(super) struct Lab {
    pub(super) folder: tempfile::TempDir,
    pub(super) sandbox: Sandbox,
}

impl Lab {
    pub(super) async fn of(domains: &[&str]) -> Self {
        Self::with(domains, &["swisssign"]).await
    }

    /// With CAs of these kinds.
    pub(super) async fn with(domains: &[&str], kinds: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = domains
            .iter()
            .map(|name| DomainName::from_a_labels(name).unwrap())
            .collect();
        let kinds = KINDS.iter().filter(|kind| kinds.contains(&kind.name));
        let options = Options {
            kinds: kinds.map(|kind| (*kind, (kind.switches)())).collect(),
            ..Options::new(folder.path(), Arc::new(SystemClock), names)
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        std::fs::write(
            folder.path().join("prevalidate.toml"),
            sandbox.configuration(),
        )
        .unwrap();
        Self { folder, sandbox }
    }

    /// The binary blocks; the sandbox must continue answering.
    pub(super) async fn run(&self, args: &[&str]) -> Said {
        let (folder, args) = (
            self.folder.path().to_owned(),
            args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>(),
        );
        let run = move || {
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            Said::of(&mut command(&folder, &args))
        };
        let said = tokio::task::spawn_blocking(run).await.unwrap();
        for file in ["api.key", "tsig.key"] {
            let secret = read_secret(&self.folder.path().join(file));
            assert!(
                !said.out.contains(&secret) && !said.err.contains(&secret),
                "{file} is out: {said:?}"
            );
        }
        said
    }

    pub(super) fn configure(&self, from: &str, to: &str) {
        let path = self.folder.path().join("prevalidate.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    pub(super) fn reference(&self, name: &str) -> Option<String> {
        self.sandbox.ca.domain(name).map(|domain| {
            serde_json::to_value(domain).unwrap()["uuid"]
                .as_str()
                .unwrap()
                .to_owned()
        })
    }
}

/// The longest word of a key file: the key.
fn read_secret(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.split(['"', ' ', '\n', '\t', ';'])
        .max_by_key(|word| word.len())
        .unwrap()
        .to_owned()
}

const SPF: [&str; 1] = ["v=spf1 mx -all"];

#[tokio::test(flavor = "multi_thread")]
async fn a_run_makes_all_domains_valid_and_a_reset_and_a_hook_renew_one() {
    let lab = Lab::of(&["one.test", "two.test"]).await;
    lab.run(&["run", "--wait", "20s"]).await.ends(0);
    for name in ["one.test", "two.test"] {
        assert_eq!(lab.sandbox.dns.txt(name), SPF);
    }
    let history = lab
        .run(&["history", "one.test", "--output", "json"])
        .await
        .ends(0)
        .json();
    let kinds: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    for kind in ["registered", "published", "validated", "removed"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    lab.run(&["history", "one.test"])
        .await
        .ends(0)
        .says("valid until");

    // Asked for twice, nothing is done.
    let before = lab.sandbox.ca.count(Call::Validate);
    for _ in 0..2 {
        lab.run(&["hook", "--zone", "test", "--wait", "5s"])
            .await
            .ends(0)
            .says("checks one.test, two.test");
    }
    assert_eq!(lab.sandbox.ca.count(Call::Validate), before);

    lab.run(&["reset", "one.test", "three.test"])
        .await
        .ends(2)
        .says("three.test is not in the inventory");
    lab.run(&["reset", "one.test"])
        .await
        .ends(2)
        .says("--yes")
        .says("its renewal is not due");
    assert_eq!(lab.sandbox.ca.count(Call::ResetToken), 0);
    lab.run(&["reset", "one.test", "--yes", "--wait", "20s"])
        .await
        .ends(0);
    assert_eq!(lab.sandbox.ca.count(Call::ResetToken), 1);
    assert_eq!(lab.sandbox.ca.count(Call::Validate), before + 1);
    assert_eq!(lab.sandbox.dns.txt("one.test"), SPF);
    lab.run(&["history", "one.test"])
        .await
        .ends(0)
        .says("a new token, by hand");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_was_removed_is_deleted_at_the_ca_only_by_order() {
    let lab = Lab::of(&["one.test", "two.test"]).await;
    lab.configure(r#"["one.test","two.test"]"#, r#"["one.test"]"#);
    lab.run(&["add", "two.test"]).await.ends(0);
    lab.run(&["run", "--wait", "20s"]).await.ends(0);

    lab.run(&["remove", "one.test", "--at-ca", "--yes"])
        .await
        .ends(2)
        .says("is in the configuration");
    lab.run(&["remove", "two.test", "--yes"])
        .await
        .ends(2)
        .says("--at-ca");
    lab.run(&["remove", "two.test", "--at-ca"])
        .await
        .ends(2)
        .says("has a proof that counts")
        .says("use `--yes`");
    assert!(lab.reference("two.test").is_some());

    lab.run(&["remove", "two.test"])
        .await
        .ends(0)
        .says("what is registered at the CA stays there");
    lab.run(&["run", "--wait", "5s"]).await.ends(0);
    assert!(lab.reference("two.test").is_some());

    lab.run(&["import", "--from-ca"])
        .await
        .ends(0)
        .says("removed by hand before, and not taken in: two.test")
        .says("in the configuration anyway: one.test");
    lab.run(&["add", "two.test"])
        .await
        .ends(0)
        .says("taken in: two.test");
    let deleted = lab
        .run(&["remove", "two.test", "--at-ca", "--yes", "--output", "json"])
        .await
        .ends(0)
        .json();
    assert_eq!(
        (&deleted["deleted"][0], &deleted["removed"][0]),
        (&"two.test".into(), &"two.test".into())
    );
    assert_eq!(lab.reference("two.test"), None);
    lab.run(&["remove", "two.test", "--at-ca", "--yes"])
        .await
        .ends(0)
        .says("is not registered at the CA");
    lab.run(&["run", "--wait", "5s"]).await.ends(0);
    assert_eq!(
        lab.reference("two.test"),
        None,
        "nothing registers it again"
    );
    lab.run(&["history", "two.test"])
        .await
        .ends(0)
        .says("by hand")
        .says("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_value_leaves_dns_without_the_ca_and_comes_back_only_by_order() {
    let lab = Lab::of(&["one.test", "two.test"]).await;
    // Nothing was ever written: nothing is done.
    lab.run(&["withdraw", "one.test", "--yes"])
        .await
        .ends(0)
        .says("nothing of ours is in DNS at one.test");
    lab.run(&["withdraw", "three.test", "--yes"])
        .await
        .ends(2)
        .says("three.test is not in the inventory");
    lab.sandbox.dns.follow(1, Follow::Never);
    lab.run(&["run", "-v", "--wait", "2s"])
        .await
        .ends(4)
        .says("waits for")
        .says("(stale)")
        .says("the token lives until");
    let with_ours = lab.sandbox.dns.txt("one.test");
    assert_eq!(with_ours.len(), 2, "{with_ours:?}");
    let token = with_ours
        .iter()
        .find(|value| value.starts_with("swiss-pki="))
        .unwrap()
        .clone();

    lab.run(&["withdraw", "one.test", "--dry-run"])
        .await
        .ends(0)
        .says("would be taken out of DNS")
        .says(&token);
    lab.run(&["withdraw", "one.test"])
        .await
        .ends(2)
        .says("standard input is not a terminal")
        .says("--yes");
    assert_eq!(
        lab.sandbox.dns.txt("one.test"),
        with_ours,
        "so far nothing was done"
    );
    // The CA may be down meanwhile, and no check of it is needed.
    let calls = lab.sandbox.ca.log().len();
    let said = lab
        .run(&["withdraw", "one.test", "--yes", "--output", "json"])
        .await
        .ends(0)
        .json();
    assert_eq!(
        (&said["withdrawn"][0]["value"], &said["left"]),
        (&token.clone().into(), &serde_json::json!([]))
    );
    assert_eq!(lab.sandbox.ca.log().len(), calls);
    assert_eq!(lab.sandbox.dns.txt("one.test"), SPF);
    assert_eq!(
        lab.sandbox.dns.txt("two.test").len(),
        2,
        "the command did not name it"
    );
    lab.run(&["history", "one.test"])
        .await
        .ends(0)
        .says("withdrawn")
        .says("removed");

    lab.sandbox.dns.follow(1, Follow::Now);
    lab.run(&["run", "--wait", "20s"])
        .await
        .ends(1)
        .says("withdrawn by hand")
        .says("1 valid, 1 held");
    assert_eq!(
        lab.sandbox.dns.txt("one.test"),
        SPF,
        "no run brings it back"
    );
    // It never had a proof, so it has none to lose: a warning.
    lab.run(&["check"])
        .await
        .ends(1)
        .says("one.test is held: withdrawn by hand");
    lab.run(&["run", "--domain", "one.test", "--wait", "20s"])
        .await
        .ends(0);
    assert_eq!(
        lab.sandbox
            .ca
            .domain("one.test")
            .unwrap()
            .random_value
            .unwrap(),
        token,
        "with the same token"
    );
    assert_eq!(
        (
            lab.sandbox.dns.txt("one.test"),
            lab.sandbox.ca.count(Call::ResetToken)
        ),
        (SPF.map(str::to_owned).to_vec(), 0)
    );
    lab.run(&["withdraw", "one.test", "--yes"])
        .await
        .ends(0)
        .says("nothing of ours");
    lab.run(&["status", "one.test"]).await.ends(0).says("valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_withdrawn_is_4_and_the_command_says_why() {
    let lab = Lab::of(&["one.test"]).await;
    lab.sandbox.dns.follow(1, Follow::Never);
    lab.run(&["run", "--wait", "2s"]).await.ends(4);
    lab.sandbox.dns.remove_keys();
    let said = lab
        .run(&["withdraw", "one.test", "--yes", "--wait", "1s"])
        .await
        .ends(4);
    said.says("is still in DNS").says("BADKEY").says("is held");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_observes_resets_and_deletes_nothing() {
    let lab = Lab::of(&["one.test"]).await;
    lab.run(&["run", "--wait", "20s"]).await.ends(0);
    lab.configure("mode = \"manage\"", "mode = \"observe\"");
    lab.run(&["reset", "one.test", "--yes"])
        .await
        .ends(2)
        .says("observe");
    lab.run(&["withdraw", "one.test", "--yes"])
        .await
        .ends(2)
        .says("observe");
    lab.run(&["remove", "two.test", "--at-ca", "--yes"])
        .await
        .ends(2)
        .says("observe");
    assert_eq!(
        lab.sandbox.ca.count(Call::ResetToken) + lab.sandbox.ca.count(Call::Delete),
        0
    );
}

/// A name that only the CA knows is found there, and `--valid` leaves the others.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_ca_holds_is_imported_or_deleted_without_a_row_of_our_own() {
    let lab = Lab::of(&["one.test"]).await;
    let (client, _) = lab.sandbox.ca.clients().remove(0);
    lab.sandbox
        .ca
        .register(&client, &["old.test".to_owned(), "good.test".to_owned()]);
    lab.sandbox
        .ca
        .set_validated("good.test", prevalidate::clock::Clock::now(&SystemClock));
    let said = lab
        .run(&["import", "--from-ca", "--valid", "--output", "json"])
        .await
        .ends(0)
        .json();
    assert_eq!(said["added"], serde_json::json!(["good.test"]));
    lab.run(&["remove", "old.test", "--at-ca", "--yes"])
        .await
        .ends(0)
        .says("deleted at the CA: old.test");
    assert_eq!(lab.reference("old.test"), None);
}
