//! Programs of the tests: found or missed loudly, killed when dropped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Where `program` is, also in the sbin directories that a user's PATH often lacks.
///
/// # Panics
/// When it is not installed: a test never skips.
pub fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| {
            panic!(
                "\n\n  The program `{program}` is missing and this test talks to it. Install it: sudo tests/install\n\n"
            )
        })
}

/// Where a tool of Python is that `tests/install` puts into `target/tools`.
///
/// # Panics
/// When it is not there: a test never skips.
pub fn tool(name: &str) -> PathBuf {
    // Beside what Cargo builds: target/debug/deps/prevalidate-….
    let target = std::env::current_exe()
        .unwrap()
        .ancestors()
        .nth(3)
        .unwrap()
        .to_owned();
    let path = target.join("tools/bin").join(name);
    assert!(
        path.is_file(),
        "\n\n  The tool `{name}` is missing and this test runs it. Install it: tests/install\n\n"
    );
    path
}

/// Runs `program` to its end with `input`, and gives what it wrote.
///
/// # Panics
/// When it is missing or fails; the message holds everything it wrote.
pub fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let output = try_run(program, arguments, input);
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{program} {arguments:?} with {input:?}: {}\n{stdout}\n{stderr}",
        output.status
    );
    stdout.into_owned()
}

/// The same, whatever the exit status is.
pub fn try_run(program: &str, arguments: &[&str], input: &str) -> Output {
    use std::io::Write;
    let mut child = Command::new(find(program))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that ends without reading closes the pipe: its exit status says more than the
    // broken pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Runs its arguments as a program until that ends or no process holds the other end of standard
/// input any more; so a server is killed when its test drops it, and also when the test process
/// itself is killed or leaks it. What it started, such as a driver's browser, is killed with it:
/// they are a session. Descriptors that came from outside (a lock that a build tool holds) are
/// closed: a server must not keep them.
const GUARD: &str = r#"
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9<&0
setsid "$@" </dev/null 9<&- &
server=$!
{ cat <&9 >/dev/null; kill -9 -$server 2>/dev/null; } 9<&9 &
exec 9<&- </dev/null
wait $server
"#;

/// A server of one test: killed and waited for when dropped, also while a test panics.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts `command` (program and arguments), everything it says goes to `output` in
    /// `directory`.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a command is used up by starting it"
    )]
    pub fn start(command: Command, directory: &Path) -> Self {
        let output = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(directory.join("output"))
            .unwrap();
        let child = Command::new(find("sh"))
            .args(["-c", GUARD, "guard"])
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self(child)
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
