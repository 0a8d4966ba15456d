//! Programs of the user's own.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use prevalidate::notify::carrier::program::Program;
use prevalidate::notify::{Carrier, Failure};
use serde_json::Value;
use tempfile::TempDir;

use super::notice;

fn shell(script: &str) -> Program {
    Program(["/bin/sh", "-c", script].map(str::to_owned).into())
}

fn send(program: &Program) -> Result<(), Failure> {
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(program.carry(&notice()))
}

#[test]
fn a_program_gets_the_message_and_nothing_of_our_environment() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let script = format!(
        "cat >{0}/said; env >{0}/env; pwd >{0}/pwd",
        folder.path().display()
    );
    send(&shell(&script)).unwrap();
    let said: Value = serde_json::from_str(&fs::read_to_string(path("said")).unwrap()).unwrap();
    assert_eq!(
        (&said["type"], &said["data"]["topic"]),
        (&"prevalidate.test".into(), &"test".into())
    );
    let names = fs::read_to_string(path("env")).unwrap();
    let names = names
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name);
    // The shell sets some itself.
    let strange: Vec<_> = names
        .filter(|name| !["PATH", "HOME", "PWD", "SHLVL", "_", "OLDPWD"].contains(name))
        .collect();
    assert_eq!(strange, Vec::<&str>::new());
    assert_eq!(fs::read_to_string(path("pwd")).unwrap(), "/\n");
}

#[test]
fn one_that_fails_is_told_with_its_status_and_its_words() {
    let failure = send(&shell("echo 'no pager today' >&2; exit 3")).unwrap_err();
    assert!(
        !failure.is_open && failure.message.contains("exit status: 3: no pager today"),
        "{failure:?}"
    );
    // Whether it reads what it gets is its own affair.
    send(&shell("exec <&-; exit 0")).unwrap();
    let failure = send(&Program(vec!["/nonexistent/program".to_owned()])).unwrap_err();
    assert!(failure.message.contains("does not start"), "{failure:?}");
}

#[test]
fn one_that_is_given_up_ends_with_all_that_it_started() {
    let folder = TempDir::new().unwrap();
    let pid_file = folder.path().join("pid");
    let program = shell(&format!(
        "sleep 600 & echo $! >{}; wait",
        pid_file.display()
    ));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let pid = runtime.block_on(async {
        let written = async {
            loop {
                match fs::read_to_string(&pid_file).unwrap_or_default().trim() {
                    "" => tokio::task::yield_now().await,
                    pid => break pid.to_owned(),
                }
            }
        };
        let notice = notice();
        tokio::select! {
            ended = program.carry(&notice) => panic!("it never ends by itself: {ended:?}"),
            pid = written => pid,
        }
    });
    // Its parent is gone: the process that inherited it reaps it in a moment.
    let stat = format!("/proc/{pid}/stat");
    while fs::read_to_string(Path::new(&stat)).is_ok_and(|text| !text.contains(") Z ")) {
        std::thread::yield_now();
    }
}

/// What it started continues with its standard error in hand: a second telling would follow if that
/// were waited for.
#[test]
fn what_a_program_leaves_running_is_not_waited_for() {
    let began = Instant::now();
    send(&shell("sleep 300 & exit 0")).unwrap();
    let failure = send(&shell("echo 'no pager today' >&2; sleep 300 & exit 3")).unwrap_err();
    assert!(
        !failure.is_open && failure.message.contains("exit status: 3: no pager today"),
        "{failure:?}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "{:?}",
        began.elapsed()
    );
}
