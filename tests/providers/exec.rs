//! Programs as providers: the examples of `config/exec` against BIND, and programs that behave
//! badly.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;

mod evidence;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config/exec")
        .join(name)
}

/// `environment` and the PATH of a distribution: on a developer's own there may be wrappers that
/// start slowly.
fn table(path: &Path, mut environment: Value, timeout: u64) -> Value {
    environment["PATH"] = json!("/usr/sbin:/usr/bin:/sbin:/bin");
    json!({ "kind": "exec", "program": path, "environment": environment, "timeout": timeout })
}

fn program(path: &Path, environment: Value, timeout: u64) -> Arc<dyn Provider> {
    ProviderSettings::read(table(path, environment, timeout).as_object().unwrap())
        .unwrap()
        .build()
        .unwrap()
}

/// BIND, written to by `nsupdate` through the example; a program around that fails once in the way
/// that a file of its name orders.
struct Nsupdate {
    server: Mutex<NameServer>,
    folder: TempDir,
}

impl Nsupdate {
    fn new() -> Self {
        let server = NameServer::bind(&[prepared_zone()], &Keys::of(&["prevalidate"]));
        let folder = TempDir::new().unwrap();
        let (example, order) = (example("nsupdate"), folder.path().display().to_string());
        let script = format!(
            r#"#!/bin/sh
if [ "$1" = add ] && rm {order}/turn-away 2>/dev/null; then exit 1; fi
if [ "$1" = add ] && rm {order}/lose-answer 2>/dev/null; then {example} "$@"; kill -9 $$; fi
exec {example} "$@"
"#,
            example = example.display()
        );
        std::fs::write(folder.path().join("program"), script).unwrap();
        std::fs::set_permissions(
            folder.path().join("program"),
            std::fs::Permissions::from_mode(0o700),
        )
        .unwrap();
        Self {
            server: Mutex::new(server),
            folder,
        }
    }

    fn table(&self, key: &Key) -> Value {
        let path = self.folder.path().join(format!("{}.key", key.name));
        write_secret(&path, &key.file_text());
        let address = self.server.lock().unwrap().address();
        let server = format!("{}#{}", address.ip(), address.port());
        table(
            &self.folder.path().join("program"),
            json!({ "SERVER": server, "KEY_FILE": path }),
            60,
        )
    }

    fn with_key(&self, key: &Key) -> Arc<dyn Provider> {
        ProviderSettings::read(self.table(key).as_object().unwrap())
            .unwrap()
            .build()
            .unwrap()
    }

    fn key(&self) -> Key {
        self.inside(|server| server.keys().0[0].clone())
    }

    fn inside<T>(&self, check: impl FnOnce(&mut NameServer) -> T) -> T {
        check(&mut self.server.lock().unwrap())
    }
}

#[async_trait]
impl Subject for Nsupdate {
    fn name(&self) -> String {
        "exec nsupdate".into()
    }
    fn apex(&self) -> String {
        APEX.into()
    }
    fn provider(&self) -> Arc<dyn Provider> {
        self.with_key(&self.key())
    }
    fn stranger(&self) -> Option<Arc<dyn Provider>> {
        Some(self.with_key(&Key::new("stranger", "hmac-sha256")))
    }
    async fn zone(&self) -> Vec<String> {
        self.inside(|server| server.axfr(APEX))
    }
    async fn serial(&self) -> u32 {
        self.inside(|server| server.serial(APEX))
    }
    async fn another_puts(&self, owner: &str, ttl: u32, record: &TxtRecord) {
        self.inside(|server| {
            server.nsupdate(&format!(
                "update add {owner}. {ttl} TXT {}",
                presentation(record)
            ))
        });
    }
    async fn another_takes(&self, owner: &str, record: &TxtRecord) {
        self.inside(|server| {
            server.nsupdate(&format!(
                "update delete {owner}. TXT {}",
                presentation(record)
            ))
        });
    }
    async fn restart(&self) {
        self.inside(NameServer::restart);
    }
    async fn lose_next_answer(&self) {
        std::fs::write(self.folder.path().join("lose-answer"), "").unwrap();
    }
    async fn turn_next_away(&self) {
        std::fs::write(self.folder.path().join("turn-away"), "").unwrap();
    }
    fn another_process(&self) -> Option<(Command, Value)> {
        Some((another_process(), self.table(&self.key())))
    }
}

#[tokio::test]
async fn the_example_with_nsupdate_keeps_the_contract_on_bind() {
    let subject = Nsupdate::new();
    let zone = subject.provider().find_zone(APEX).await.unwrap();
    assert_eq!(
        (zone.apex.as_str(), zone.name_servers),
        (APEX, vec!["ns1.example.test".to_owned()])
    );
    conformance::run(&subject).await;
}

/// There is no Kerberos here: what is shown is that nsupdate is told to use it, and never goes
/// without a signature.
#[tokio::test]
async fn without_a_key_file_the_example_signs_by_gss_tsig() {
    let (server, folder) = (
        NameServer::bind(&[prepared_zone()], &Keys::of(&["prevalidate"])),
        TempDir::new().unwrap(),
    );
    let (log, stub) = (folder.path().join("log"), folder.path().join("nsupdate"));
    let body = format!(
        "#!/bin/sh\necho \"$*\" >>{}\ncat >/dev/null\necho 'tkey query failed: GSSAPI error' >&2\nexit 1\n",
        log.display()
    );
    std::fs::write(&stub, body).unwrap();
    std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o700)).unwrap();
    let at = server.address();
    let environment = json!({ "SERVER": format!("{}#{}", at.ip(), at.port()), "KRB5CCNAME": "FILE:/nonexistent",
        "PATH": format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.path().display()) });
    let table =
        json!({ "kind": "exec", "program": example("nsupdate"), "environment": environment });
    let provider = ProviderSettings::read(table.as_object().unwrap())
        .unwrap()
        .build()
        .unwrap();
    let error = add(&*provider, APEX, "swiss-pki=x").await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Settings && error.message.contains("GSSAPI"),
        "{}",
        shown(&error)
    );
    assert_eq!(std::fs::read_to_string(log).unwrap(), "-v -t 10 -g\n");
}

#[tokio::test]
async fn values_of_250_names_come_and_go_in_five_runs_each_way() {
    let subject = Nsupdate::new();
    let (provider, before, serial) = (
        subject.provider(),
        subject.zone().await,
        subject.serial().await,
    );
    let text = |number: usize| Record::txt(format!("n{number}.{APEX}"), "swiss-pki=many");
    let values: Vec<_> = (0..250).map(text).collect();
    assert!(
        provider
            .ensure_present(&values)
            .await
            .iter()
            .all(|result| result.as_ref().unwrap().changed)
    );
    assert_eq!(
        (subject.serial().await, subject.zone().await.len()),
        (serial + 5, before.len() + 250)
    );
    assert!(
        provider
            .ensure_absent(&values)
            .await
            .iter()
            .all(|result| result.as_ref().unwrap().changed)
    );
    assert_eq!(subject.zone().await, before);
}

#[tokio::test]
async fn a_hook_of_lego_is_wrapped_and_one_that_wipes_the_rrset_is_found_out() {
    let server = NameServer::bind(&[prepared_zone()], &Keys::of(&["prevalidate"]));
    let (folder, address) = (TempDir::new().unwrap(), server.address());
    let (key, port) = (server.tsig_key_file().display().to_string(), address.port());
    let hook = |name: &str, before: &str| {
        let script = format!(
            "case $1 in present) line=\"update add $2 3600 TXT \\\"$3\\\"\";; *) line=\"update delete $2 TXT \\\"$3\\\"\";; esac\n\
             printf 'server 127.0.0.1 {port}\\n%s%s\\nsend\\n' \"{before}\" \"$line\" | nsupdate -v -k {key}\n"
        );
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let environment =
            json!({ "HOOK": path, "ZONES": APEX, "SERVER": format!("127.0.0.1#{port}") });
        program(&example("lego-hook"), environment, 60)
    };
    let (good, before) = (hook("good", ""), server.axfr(APEX));
    let receipt = add(&*good, APEX, "swiss-pki=hook").await.unwrap();
    assert!(
        receipt.changed && receipt.before.ttl == receipt.after.ttl,
        "{receipt:?}"
    );
    let value = Record::txt(APEX, "swiss-pki=hook");
    assert!(
        good.ensure_absent(&[value])
            .await
            .remove(0)
            .unwrap()
            .changed
    );
    assert_eq!(server.axfr(APEX), before);
    assert!(
        good.preflight(APEX, RecordKind::Txt)
            .await
            .unwrap()
            .warnings[0]
            .contains("cannot rehearse")
    );
    assert_eq!(
        good.find_zone("notexample.test").await.unwrap_err().kind,
        ErrorKind::NoZone
    );

    let wipes = hook("wipes", "update delete $2 TXT\n");
    let error = add(&*wipes, APEX, "swiss-pki=wipes").await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Damaged && error.message.contains("is gone"),
        "{}",
        shown(&error)
    );
}

/// A shell script that answers `inspect` with one record and does `body` for `add` and `remove`.
fn script(folder: &TempDir, name: &str, body: &str) -> PathBuf {
    let path = folder.path().join(name);
    let state = folder.path().join(format!("{name}.state"));
    let script = format!(
        r#"#!/bin/sh
state={}; request=$(cat)
case $1 in
capabilities) echo '{{"protocol":1}}';;
inspect) test -e $state && more=',"\"swiss-pki=x\""'
    echo '{{"names":[{{"name":"example.test","zone":"example.test","ttl":60,"records":["\"v=spf1 -all\""'$more']}}]}}';;
*) {body};;
esac
"#,
        state.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}

#[tokio::test]
async fn the_exit_status_says_what_follows() {
    let folder = TempDir::new().unwrap();
    for (number, (body, expected)) in [
        ("exit 1", Err(ErrorKind::Unavailable)),
        ("exit 2", Err(ErrorKind::Settings)),
        ("exit 3", Err(ErrorKind::Denied)),
        ("exit 4", Err(ErrorKind::NoZone)),
        ("exit 5", Err(ErrorKind::Unsafe)),
        ("exit 6", Err(ErrorKind::Unknown)),
        ("exit 7", Err(ErrorKind::Unavailable)),
        ("exit 42", Err(ErrorKind::Unknown)),
        ("kill -9 $$", Err(ErrorKind::Unknown)),
        ("/nonexistent/program", Err(ErrorKind::Settings)),
        // It says it did what it did not.
        ("exit 0", Err(ErrorKind::Damaged)),
        ("touch $state", Ok(true)),
        // It did what it says it may not have done: a check tells.
        ("touch $state; exit 1", Ok(true)),
        ("touch $state; exit 6", Ok(true)),
        ("touch $state; kill -9 $$", Ok(true)),
    ]
    .into_iter()
    .enumerate()
    {
        let provider = program(&script(&folder, &format!("s{number}"), body), json!({}), 30);
        let result = add(&*provider, APEX, "swiss-pki=x").await;
        let kind = result
            .as_ref()
            .map(|receipt| receipt.changed)
            .map_err(|error| error.kind);
        assert_eq!(kind, expected, "{body}: {result:?}");
    }
    let missing = program(&folder.path().join("missing"), json!({}), 30);
    let error = add(&*missing, APEX, "x").await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Settings && error.message.contains("does not start"),
        "{}",
        shown(&error)
    );
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_everything_it_started() {
    let folder = TempDir::new().unwrap();
    let pids = folder.path().join("pids");
    let body = format!("sleep 1000 & echo $! $$ >{}; wait", pids.display());
    let provider = program(&script(&folder, "hangs", &body), json!({}), 1);
    let begun = Instant::now();
    let error = add(&*provider, APEX, "swiss-pki=x").await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Unknown && error.message.contains("killed"),
        "{}",
        shown(&error)
    );
    assert!(begun.elapsed() < Duration::from_secs(20));
    for pid in std::fs::read_to_string(pids).unwrap().split_whitespace() {
        // Killed; and gone as soon as the process that inherits it has taken note.
        let is_dead = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        while !is_dead() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{pid} lives");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_a_program_gets_and_says_is_bounded_and_secrets_stay_inside() {
    let folder = TempDir::new().unwrap();
    let secret = folder.path().join("secret");
    write_secret(&secret, "CANARY-CANARY-CANARY");
    let seen = folder.path().join("seen");
    let body = format!(
        "env >{0}; echo \"$# $1 $PWD\" >>{0}; printf %s \"$request\" >>{0}; echo \"no: $TOKEN\" >&2; exit 3",
        seen.display()
    );
    let provider = program(
        &script(&folder, "env", &body),
        json!({ "TOKEN": { "file": secret }, "PLAIN": "p" }),
        30,
    );
    let error = add(&*provider, APEX, "swiss-pki=x").await.unwrap_err();
    assert!(
        error.message.contains("no: [REDACTED]")
            && !format!("{error:?} {provider:?}").contains("CANARY"),
        "{error:?}"
    );
    let seen = std::fs::read_to_string(seen).unwrap();
    for line in seen.lines().take_while(|line| !line.starts_with("1 add")) {
        // The shell adds some of its own.
        let name = line.split('=').next().unwrap();
        assert!(
            ["PATH", "TOKEN", "PLAIN", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name),
            "{line}"
        );
    }
    assert!(seen.contains("\n1 add /\n"), "{seen}");
    let request: serde_json::Value = serde_json::from_str(seen.lines().last().unwrap()).unwrap();
    let change = json!({ "name": APEX, "zone": APEX, "zone_id": null, "ttl": 60, "records": ["\"swiss-pki=x\""],
        "values": ["swiss-pki=x"], "before": ["\"v=spf1 -all\""] });
    assert_eq!(
        request,
        json!({ "protocol": 1, "verb": "add", "rehearsal": false, "changes": [change] })
    );

    for (body, words) in [("yes", "longer than"), ("yes >&2", "killed")] {
        let provider = program(
            &script(&folder, &format!("much{}", words.len()), body),
            json!({}),
            3,
        );
        let error = add(&*provider, APEX, "swiss-pki=x").await.unwrap_err();
        assert!(
            error.message.contains(words) && error.message.len() < 2000,
            "{}",
            shown(&error)
        );
    }
}

#[tokio::test]
async fn what_a_program_answers_is_bounded_too_and_secrets_in_it_stay_inside() {
    let folder = TempDir::new().unwrap();
    let secret = folder.path().join("secret");
    write_secret(&secret, "CANARY-CANARY-CANARY");
    let long = "head -c 300000 /dev/zero | tr '\\0' x";
    let one = |fields: &str| format!("{{\"names\":[{{\"name\":\"{APEX}\",{fields}}}]}}");
    for (index, answer) in [
        one("\"error\":\"denied\",\"message\":\"no \\u001b[31m $TOKEN $long\",\"hint\":\"$TOKEN $long\""),
        one("\"error\":\"$TOKEN $long\""),
        one("\"zone\":\"$TOKEN$long\""),
        one(&format!("\"zone\":\"{APEX}\",\"ttl\":60,\"records\":[\"\\\"$TOKEN $long\"]")),
        "{\"names\":\"$TOKEN $long\"}".to_owned(),
        "{\"names\":[{\"name\":\"$TOKEN $long\"}]}".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(format!("says{index}"));
        let body = format!(
            "#!/bin/sh\nlong=$({long})\ncat >/dev/null\n[ $1 = capabilities ] && echo '{{\"protocol\":1}}' && exit\n\
             cat <<END\n{answer}\nEND\n"
        );
        std::fs::write(&path, body).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let provider = program(&path, json!({ "TOKEN": { "file": secret } }), 30);
        let error = add(&*provider, APEX, "swiss-pki=x").await.unwrap_err();
        let text = shown(&error);
        assert!(
            text.len() < 2500 && !text.contains("CANARY") && !text.contains(char::is_control),
            "{index}: {text:.3000}"
        );
    }
}

#[tokio::test]
async fn a_byte_order_mark_and_a_foreign_value_that_was_cut_cost_no_answer() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("windows");
    let mark = "printf '\\357\\273\\277'";
    let foreign = r#""\"half of an emoji: \ud83d\"""#;
    let body = format!(
        r#"#!/bin/sh
state={}; request=$(cat)
case $1 in
capabilities) {mark}; echo '{{"protocol":1}}';;
inspect) test -e $state && more=',"\"swiss-pki=x\""'
    {mark}; printf '%s\n' '{{"names":[{{"name":"{APEX}","zone":"{APEX}","ttl":60,"records":[{foreign}'$more']}}]}}';;
*) touch $state;;
esac
"#,
        folder.path().join("state").display()
    );
    std::fs::write(&path, body).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    let provider = program(&path, json!({}), 30);
    let receipt = add(&*provider, APEX, "swiss-pki=x").await.unwrap();
    assert!(receipt.changed);
    assert_eq!(receipt.after.records.len(), 2, "{receipt:?}");
}

#[tokio::test]
async fn a_refusal_after_a_run_of_unknown_end_leaves_the_outcome_open() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("late");
    // The first addition, of two names, dies; whatever it began may still come. The next ones are
    // refused.
    let checks = "s/.*\"names\":\\[\\(.*\\)\\].*/\\1/; s/\"[^\"]*\"/{\"name\":&,\"zone\":\"example.test\"}/g; s/.*/{\"names\":[&]}/";
    let body = format!(
        "#!/bin/sh\ncase $1 in\ncapabilities) echo '{{\"protocol\":1}}';;\ninspect) sed '{checks}';;\n\
         *) cat >/dev/null; test -e {0} && exit 3; touch {0}; kill -9 $$;;\nesac\n",
        folder.path().join("begun").display()
    );
    std::fs::write(&path, body).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    let provider = program(&path, json!({}), 30);
    let values = ["a", "b"].map(|label| Record::txt(format!("{label}.{APEX}"), "swiss-pki=x"));
    for result in provider.ensure_present(&values).await {
        let error = result.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unknown, "{}", shown(&error));
    }
}
