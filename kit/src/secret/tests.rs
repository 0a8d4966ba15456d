//! The texts that count as secrets, their sources, and the texts that never count.
#![allow(clippy::unwrap_used)]
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use serde_json::json;

use super::command::run;
use super::*;

const CANARY: &str = "c4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4";

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("prevalidate-secret-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: &[u8], mode: u32) -> SecretSource {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        SecretSource::File(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn command(args: &[&str]) -> SecretSource {
    SecretSource::Command(args.iter().map(|&arg| arg.to_owned()).collect())
}

fn read(source: &SecretSource) -> Result<String, String> {
    source
        .read()
        .map(|secret| secret.expose_secret().to_owned())
        .map_err(|error| {
            let text = format!("{error} {error:?} {:?}", error.hint());
            assert!(!text.contains(CANARY), "{text}");
            text
        })
}

#[test]
fn line_ends_behind_and_a_byte_order_mark_are_taken_away() {
    let scratch = Scratch::new("trim");
    for (content, secret) in [
        (&b"key"[..], "key"),
        (b"key\n", "key"),
        (b"key\r\n", "key"),
        (b"\xef\xbb\xbfkey\n", "key"),
        (b"key\n\n", "key"),
        (b"key\r", "key"),
    ] {
        assert_eq!(read(&scratch.file("key", content, 0o600)).unwrap(), secret);
    }
}

#[test]
fn what_cannot_be_a_secret_is_refused_without_its_content() {
    let scratch = Scratch::new("content");
    let big = CANARY.repeat(1100);
    for (content, cause) in [
        (Vec::new(), "is empty"),
        (b"\r\n".to_vec(), "is empty"),
        (format!("{CANARY}\0").into_bytes(), "NUL"),
        ([CANARY.as_bytes(), b"\xff"].concat(), "not UTF-8"),
        (big.into_bytes(), "longer than"),
    ] {
        let error = read(&scratch.file("key", &content, 0o600)).unwrap_err();
        assert!(error.contains(cause), "{error}");
    }
    let error = read(&SecretSource::File(scratch.0.clone())).unwrap_err();
    assert!(error.contains("not a regular file"), "{error}");
    let error = read(&SecretSource::File("/dev/zero".into())).unwrap_err();
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn a_file_that_other_users_can_read_is_refused() {
    let scratch = Scratch::new("mode");
    for mode in [0o640, 0o604, 0o644, 0o620] {
        let error = read(&scratch.file("key", CANARY.as_bytes(), mode)).unwrap_err();
        assert!(
            error.contains(&format!("{mode:04o}")) && error.contains("chmod 600"),
            "{error}"
        );
    }
    for mode in [0o600, 0o400] {
        assert_eq!(
            read(&scratch.file(&format!("{mode:o}"), b"key", mode)).unwrap(),
            "key"
        );
    }
}

#[test]
fn a_command_gets_no_shell_and_no_environment_of_ours() {
    assert_eq!(
        read(&command(&["printf", "%s\\n", "$HOME;id"])).unwrap(),
        "$HOME;id"
    );
    let seen = command(&["env"]).read_text().unwrap();
    let seen = seen.expose_secret();
    let names: Vec<_> = seen
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .collect();
    assert!(
        names.iter().all(|name| ["PATH", "HOME"].contains(name)),
        "{names:?}"
    );
    assert!(
        std::env::vars_os().count() > names.len(),
        "the test itself runs with more variables than that"
    );
}

#[test]
fn a_failing_command_shows_its_exit_status_and_nothing_it_said() {
    let script = format!("echo {CANARY}; echo {CANARY} >&2; exit 7");
    let error = read(&command(&["sh", "-c", &script])).unwrap_err();
    assert!(
        error.contains("exit status: 7") && error.contains("command sh"),
        "{error}"
    );
    assert!(
        read(&command(&["/nonexistent/program"]))
            .unwrap_err()
            .contains("does not start")
    );
    assert!(
        read(&command(&["yes", CANARY]))
            .unwrap_err()
            .contains("longer than")
    );
}

#[test]
fn a_command_that_hangs_is_ended_and_so_is_one_that_leaves_its_pipe_to_a_child() {
    for script in [
        "exec sleep 600",
        "sleep 2 & exit 0",
        "exec >&-; exec sleep 600",
    ] {
        let args = ["sh".to_owned(), "-c".to_owned(), script.to_owned()];
        let before = Instant::now();
        let (cause, _) = run(&args, Duration::from_millis(50)).unwrap_err();
        assert!(cause.contains("in time"), "{script}: {cause}");
        assert!(before.elapsed() < Duration::from_secs(60), "{script}");
    }
}

#[test]
fn what_a_command_started_ends_with_it() {
    let scratch = Scratch::new("group");
    for ending in ["wait", "exit 0"] {
        let pid_file = scratch.0.join("pid");
        let script = format!("sleep 600 & echo $! > {}; {ending}", pid_file.display());
        run(
            &["sh".to_owned(), "-c".to_owned(), script],
            Duration::from_millis(500),
        )
        .unwrap_err();
        let pid = std::fs::read_to_string(pid_file).unwrap();
        // Its parent is gone: the process that inherited it reaps it in a moment.
        let stat = format!("/proc/{}/stat", pid.trim());
        let lives = || std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z "));
        let before = Instant::now();
        while lives() {
            assert!(
                before.elapsed() < Duration::from_secs(20),
                "{ending}: the grandchild {pid} lives on"
            );
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_file_of_another_user_or_in_a_folder_for_all_is_refused() {
    let scratch = Scratch::new("foreign");
    let key = scratch.file("key", CANARY.as_bytes(), 0o600);
    std::fs::set_permissions(&scratch.0, std::fs::Permissions::from_mode(0o777)).unwrap();
    let error = read(&key).unwrap_err();
    assert!(
        error.contains("any user may write in the folder"),
        "{error}"
    );
    std::fs::set_permissions(&scratch.0, std::fs::Permissions::from_mode(0o700)).unwrap();
    // Only root can give a file away.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(scratch.0.join("key"), Some(4711), None).unwrap();
        let error = read(&key).unwrap_err();
        assert!(error.contains("belongs to user 4711"), "{error}");
    }
}

#[test]
fn a_file_in_a_folder_that_a_group_may_write_is_refused() {
    let scratch = Scratch::new("group");
    let key = scratch.file("key", b"key", 0o600);
    let chmod = |mode| {
        std::fs::set_permissions(&scratch.0, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    // Another group than root's, which only root can give; without it, that of the user counts.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&scratch.0, None, Some(4711)).unwrap();
    }
    for mode in [0o770, 0o2775, 0o730] {
        chmod(mode);
        let error = read(&key).unwrap_err();
        assert!(
            error.contains("may replace it") && error.contains("chmod g-w"),
            "{error}"
        );
    }
    for mode in [0o750, 0o700, 0o1770] {
        chmod(mode);
        assert_eq!(read(&key).unwrap(), "key", "{mode:o}");
    }
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&scratch.0, None, Some(0)).unwrap();
        chmod(0o770);
        assert_eq!(read(&key).unwrap(), "key", "the group of root");
    }
}

#[test]
fn a_program_that_any_user_may_change_is_asked_for_no_secret() {
    let scratch = Scratch::new("program");
    scratch.file("ask", b"#!/bin/sh\necho secret\n", 0o777);
    let ask = scratch.0.join("ask").display().to_string();
    let error = read(&command(&[&ask])).unwrap_err();
    assert!(error.contains("any user may change it"), "{error}");
}

#[test]
fn a_mode_that_cannot_be_changed_gets_a_hint_at_credentials() {
    let scratch = Scratch::new("kubernetes");
    let error = read(&scratch.file("key", CANARY.as_bytes(), 0o440)).unwrap_err();
    for words in [
        "chmod 600",
        "Kubernetes",
        "CREDENTIALS_DIRECTORY",
        "{ credential = ",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn a_credential_may_be_readable_by_its_group() {
    let scratch = Scratch::new("credential");
    let SecretSource::File(path) = scratch.file("api.key", b"key", 0o440) else {
        unreachable!()
    };
    assert_eq!(read_file(&path, true).unwrap().as_slice(), b"key");
}

#[test]
fn the_four_sources_are_read_and_everything_else_is_refused_without_echo() {
    for (value, source) in [
        (
            json!({"file": "/etc/prevalidate/api.key"}),
            SecretSource::File("/etc/prevalidate/api.key".into()),
        ),
        (
            json!({"env": "API_KEY"}),
            SecretSource::Env("API_KEY".into()),
        ),
        (
            json!({"command": ["pass", "api"]}),
            command(&["pass", "api"]),
        ),
        (
            json!({"credential": "api.key"}),
            SecretSource::Credential("api.key".into()),
        ),
    ] {
        assert_eq!(SecretSource::read_json(&value), Ok(source));
    }
    for value in [
        json!(CANARY),
        json!({"value": CANARY}),
        json!({"file": CANARY}),
        json!({"env": CANARY}),
        json!({"env": "A B"}),
        json!({"credential": CANARY}),
        json!({"credential": "../../etc/shadow"}),
        json!({"command": CANARY}),
        json!({"command": []}),
        json!({"command": ["pass", 1]}),
        json!({"file": "/a", "env": "B"}),
        json!({CANARY: "x"}),
        json!({}),
        json!([CANARY]),
        json!(4711),
    ] {
        let error = SecretSource::read_json(&value).unwrap_err();
        assert!(!error.contains(CANARY), "{error}");
    }
    assert!(
        SecretSource::read_json(&json!(CANARY))
            .unwrap_err()
            .starts_with("a secret is never in the conf")
    );
}

#[test]
fn only_visible_ascii_is_safe_in_a_header() {
    for (text, safe) in [
        ("abc-._~+/=", true),
        ("a b", false),
        ("a\n", false),
        ("ä", false),
        ("a\u{7f}", false),
    ] {
        assert_eq!(is_header_safe(&SecretString::from(text)), safe, "{text:?}");
    }
}
