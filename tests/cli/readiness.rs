//! `readiness` as people and programs meet it: the built binary against a sandbox.

use serde_json::Value;

use super::life::Lab;

fn codes(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap();
    let code = |it: &Value| format!("{} {}", it["domain"], it["code"]).replace('"', "");
    findings.iter().map(code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_tells_what_stops_certificates_and_changes_nothing() {
    let lab = Lab::of(&["one.test", "two.test", "lost.test"]).await;
    lab.run(&["run", "--wait", "20s"]).await.ends(0);
    // No server serves the third any more.
    let own = "\n[propagation.zone.\"lost.test\"]\nname_servers";
    lab.configure(own, &own.replace("lost", "other"));
    let before = lab.sandbox.ca.log().len();
    let said = lab.run(&["readiness", "--output", "json"]).await.ends(4);
    let report = said.json();
    assert_eq!(report["domains"], 3, "{report}");
    assert_eq!(report["counts"]["blocks"], 1, "{report}");
    assert!(
        codes(&report).contains(&"lost.test not-delegated".to_owned()),
        "{report}"
    );
    assert_eq!(report["on"], "2027-03-15T00:00:00Z");
    assert_eq!(lab.sandbox.ca.log().len(), before, "the CA is not asked");
    assert_eq!(lab.sandbox.dns.txt("one.test"), ["v=spf1 mx -all"]);

    let said = lab.run(&["readiness"]).await.ends(4);
    said.says("3 domains: on 2027-03-15, 1 finding stops certificates")
        .says("Stops certificates")
        .says("lost.test: lost.test does not exist on the Internet");

    let said = lab
        .run(&["readiness", "one.test", "--on", "2028-04-01", "-o", "json"])
        .await;
    let report = said.json();
    assert_eq!(
        (&report["domains"], said.status),
        (&1.into(), Some(0)),
        "{report}"
    );
    assert_eq!(report["on"], "2028-04-01T00:00:00Z");
    for bad in [
        &["readiness", "--on", "soon"][..],
        &["readiness", "three.test"],
    ] {
        lab.run(bad).await.ends(2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_tells_the_sinks_once_and_what_is_over_and_run_says_nothing_of_it() {
    let lab = Lab::of(&["one.test", "lost.test"]).await;
    let heard = lab.folder.path().join("heard");
    let program = [
        "/bin/sh",
        "-c",
        &format!("cat >>{0}; echo >>{0}", heard.display()),
    ];
    let sink = format!(
        "[[notify]]\nname = \"team\"\nkind = \"command\"\ncommand = {}\n\n[policy]",
        serde_json::json!(program)
    );
    lab.configure("[policy]", &sink);
    let titles = || -> Vec<String> {
        let text = std::fs::read_to_string(&heard).unwrap_or_default();
        let _ = std::fs::remove_file(&heard);
        let lines = text.lines().filter(|line| !line.is_empty());
        let title = |line: &str| {
            let said: Value = serde_json::from_str(line).unwrap();
            said["data"]["title"].as_str().unwrap().to_owned()
        };
        lines.map(title).collect()
    };
    lab.run(&["run", "--wait", "20s"]).await.ends(0);
    let own = "\n[propagation.zone.\"lost.test\"]\nname_servers";
    lab.configure(own, &own.replace("lost", "other"));
    assert_eq!(titles(), Vec::<String>::new());

    lab.run(&["readiness"]).await.ends(4);
    assert_eq!(
        titles(),
        Vec::<String>::new(),
        "without --notify no message is sent"
    );
    lab.run(&["readiness", "--notify"]).await.ends(4);
    assert_eq!(titles(), ["1 domain is not ready"]);
    lab.run(&["readiness", "--notify"]).await.ends(4);
    assert_eq!(titles(), Vec::<String>::new(), "nothing is new");
    let _ = lab.run(&["run", "--wait", "1s"]).await;
    assert!(!titles().iter().any(|title| title.contains("ready")));

    lab.configure(&own.replace("lost", "other"), own);
    lab.run(&["readiness", "--notify"]).await.ends(0);
    assert_eq!(titles(), ["over: 1 domain is not ready"]);
    lab.run(&["readiness", "--notify", "one.test"])
        .await
        .ends(2);
    lab.run(&["readiness", "--notify", "--ca", "sandbox"])
        .await
        .ends(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn diagnose_checks_a_record_of_another_name_and_type() {
    let lab = Lab::of(&["one.test"]).await;
    lab.sandbox.dns.edit("one.test", |zone| {
        zone.txt("_x.one.test", "F(U_t|L%>8]iU6Yx\\CFm;0O8\"DViEQ/`")
    });
    let value = "F(U_t|L%>8]iU6Yx\\CFm;0O8\"DViEQ/`";
    let diagnose = async |args: &[&str]| {
        let said = lab
            .run(&[&["diagnose", "one.test", "-o", "json"], args].concat())
            .await;
        let report = said.json()[0].take();
        (said.status, report)
    };
    let (status, report) = diagnose(&["--owner", "_X.one.test.", "--value", value]).await;
    assert_eq!(
        (status, &report["verdict"]["code"]),
        (Some(0), &"visible".into()),
        "{report}"
    );
    assert_eq!(report["dns"]["owner"], "_x.one.test");
    assert_eq!(report["dns"]["record_type"], "TXT");
    let cname = &["--owner", "_x.one.test", "--cname", "a.ca.example"];
    let (status, report) = diagnose(cname).await;
    assert_eq!(
        (status, &report["verdict"]["code"]),
        (Some(4), &"value-missing".into()),
        "{report}"
    );
    assert_eq!(report["dns"]["record_type"], "CNAME");

    for (args, words) in [
        (
            &["--owner", "_x.two.test", "--value", "x"][..],
            "is not in one.test",
        ),
        (&["--owner", "a b", "--cname", ""][..], "is not a DNS name"),
        (&["--cname", "a.ca.example"][..], "--owner"),
    ] {
        lab.run(&[&["diagnose", "one.test"], args].concat())
            .await
            .ends(2)
            .says(words);
    }
}
