//! What the program, its help and the README print for people to type is typed here as it is, by a
//! shell, on a sandbox.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_prevalidate");
const README: &str = include_str!("../README.md");

/// A line, typed in this folder by a person who has the program in the `PATH`.
fn typed(line: &str, folder: &Path) -> Command {
    let programs = Path::new(PROGRAM).parent().unwrap().display().to_string();
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("exec {line}")])
        .current_dir(folder)
        .env("PATH", format!("{programs}:{path}"))
        .env("PREVALIDATE_CONFIG", folder.join("lab/prevalidate.toml"))
        .stdin(Stdio::null());
    shell
}

#[track_caller]
fn works(line: &str, folder: &Path) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = typed(line, folder).output().unwrap();
    let said = [stdout, stderr].map(|said| String::from_utf8(said).unwrap());
    assert!(status.success(), "`{line}`: {status}\n{}", said.concat());
    said.concat()
}

/// A sandbox that continues until it is dropped, and what it said at its start.
struct Sandbox {
    child: Child,
    said: Vec<String>,
}

impl Sandbox {
    fn started(line: &str, folder: &Path) -> Self {
        let mut child = typed(line, folder)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = Vec::new();
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            said.push(line.unwrap());
            if said.iter().any(|line| line.contains("/_sandbox/state")) {
                break;
            }
        }
        Self { child, said }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_demo_and_sandbox_print_works_as_it_is_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let demo = works("prevalidate demo", folder.path());
    let mut last = demo.lines().rev().map(str::trim);
    let (run, start) = (last.next().unwrap(), last.next().unwrap());
    let sandbox = Sandbox::started(start, folder.path());
    let said = works(run, folder.path());
    assert!(said.contains("2 domains: 2 valid"), "{said}");

    let commands = sandbox.said.iter().filter_map(|line| {
        let line = line.strip_prefix("note:   ")?;
        Some(line.split("     ").next().unwrap())
    });
    let commands: Vec<&str> = commands.collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for line in commands {
        works(line, folder.path());
    }
}

#[test]
fn the_first_steps_of_the_readme_work_as_they_are_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let start = "prevalidate sandbox --dir lab --domain example.ch";
    let _sandbox = Sandbox::started(start, folder.path());
    let lines = README.lines().filter_map(|line| {
        let line = line.strip_prefix("sudo -u prevalidate ")?;
        Some(line.split(" #").next().unwrap().trim())
    });
    let lines: Vec<&str> = lines.collect();
    assert!(lines.len() >= 6, "{lines:?}");
    for line in &lines {
        // The domain is not proven before the run.
        if line.contains("status --refresh") {
            let ran = typed(line, folder.path()).output().unwrap();
            assert_eq!(ran.status.code(), Some(1), "{line}");
        } else {
            works(line, folder.path());
        }
    }
    for line in [
        "prevalidate status example.ch",
        "prevalidate check",
        "prevalidate forecast",
        "prevalidate readiness --on 2027-03-15",
        "prevalidate diagnose example.ch",
        "prevalidate import --from-ca",
        "prevalidate config reference cloudflare",
    ] {
        let named = line.trim_end_matches(" example.ch");
        assert!(README.contains(named) || line.contains("status"), "{line}");
        works(line, folder.path());
    }
}

#[test]
fn the_examples_of_the_help_work_as_they_are_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let start = "prevalidate sandbox --dir lab --domain example.ch";
    let _sandbox = Sandbox::started(start, folder.path());
    works("prevalidate run", folder.path());
    let mut seen = 0;
    for command in [
        "run",
        "plan",
        "status",
        "history",
        "diagnose",
        "forecast",
        "check",
        "hook",
        "doctor",
        "products",
        "clients",
        "providers",
        "persistent",
        "version",
        "completions",
        "readiness",
    ] {
        let help = works(&format!("prevalidate {command} --help"), folder.path());
        let mut lines = help.lines().skip_while(|line| *line != "Example:");
        let example = lines.nth(1).unwrap().trim();
        works(example, folder.path());
        seen += 1;
    }
    assert_eq!(seen, 16);
}
