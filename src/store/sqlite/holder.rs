//! Which process holds a lease. The file belongs to one machine, so a process that is gone is known
//! to be gone, and holds nothing.
//!
//! A process is named by its number and the moment it started (a number is given again), the boot of
//! the machine, and the namespace that its number counts in. What runs in another container cannot be
//! seen from here: its leases end by the clock.

use std::fs;
use std::sync::OnceLock;

use jiff::Timestamp;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// The text behind the name of a holder.
const PID: &str = "pid";
const START: &str = "start";
const BOOT: &str = "boot";
const NAMESPACE: &str = "ns";
const SINCE: &str = "since";

/// `name` as this process writes it into the store.
pub(super) fn here(name: &str) -> String {
    format!("{name}{}", process())
}

/// The text behind the name of this process.
fn process() -> &'static str {
    static HERE: OnceLock<String> = OnceLock::new();
    HERE.get_or_init(|| {
        let (Some(boot), Some(namespace)) = (boot(), namespace()) else {
            return String::new();
        };
        let pid = std::process::id();
        let Some(State::Runs { start }) = state(pid) else {
            return String::new();
        };
        format!(" {PID}={pid} {START}={start} {BOOT}={boot} {NAMESPACE}={namespace}")
    })
}

/// The same for a lease that begins at `now`.
pub(super) fn since(name: &str, now: Timestamp) -> String {
    format!("{} {SINCE}={}", here(name), now.as_microsecond())
}

/// The name of a holder and since when it holds, as they were written.
pub(super) fn read(holder: &str) -> (&str, Option<Timestamp>) {
    let name = holder.split(' ').next().unwrap_or(holder);
    let since = part(holder, SINCE).and_then(|micros| micros.parse().ok());
    let since = since.and_then(|micros| Timestamp::from_microsecond(micros).ok());
    (name, since)
}

/// Whether the process is known to be gone.
pub(super) fn is_gone(holder: &str) -> bool {
    if !process().is_empty() && holder.contains(process()) {
        return false;
    }
    let parts = [PID, START, BOOT, NAMESPACE].map(|key| part(holder, key));
    let [Some(pid), Some(start), Some(then), Some(home)] = parts else {
        return false;
    };
    let (Ok(pid), Some(now)) = (pid.parse(), boot()) else {
        return false;
    };
    if then != now {
        return true;
    }
    if namespace() != Some(home) {
        return false;
    }
    match state(pid) {
        Some(State::Runs { start: runs }) => runs != start,
        Some(State::Ended) => true,
        // Others' processes may be hidden in /proc; a signal that may not be sent has a receiver.
        None => Pid::from_raw(i32::try_from(pid).unwrap_or(0))
            .is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH)),
    }
}

fn part<'a>(holder: &'a str, key: &str) -> Option<&'a str> {
    let mut parts = holder.split(' ').skip(1);
    parts.find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
}

enum State {
    Runs {
        start: String,
    },
    /// Its parent has not asked for its status yet.
    Ended,
}

/// By `/proc/PID/stat` (proc_pid_stat(5)): the third field is the state, the 22nd the start in clock
/// ticks since boot. The second, in brackets, may hold anything.
fn state(pid: u32) -> Option<State> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return Some(State::Ended);
    }
    let start = fields.nth(18)?.to_owned();
    Some(State::Runs { start })
}

/// Which boot of the machine this is.
fn boot() -> Option<&'static str> {
    static BOOT: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_owned())
    };
    BOOT.get_or_init(read).as_deref()
}

/// The namespace of process numbers, which a process never leaves.
fn namespace() -> Option<&'static str> {
    static NAMESPACE: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let link = fs::read_link("/proc/self/ns/pid").ok()?;
        let link = link.to_str()?;
        Some(link.trim_matches(|c: char| !c.is_ascii_digit()).to_owned())
    };
    NAMESPACE.get_or_init(read).as_deref()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_process_that_has_ended_is_gone_and_what_cannot_be_seen_is_not() {
        let here = here("run-x/1");
        assert!(!is_gone(&here), "{here}");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        let (boot, ns) = (boot().unwrap(), namespace().unwrap());
        let of = |pid: u32, start: &str, boot: &str, ns: &str| {
            format!("run-x/{pid} pid={pid} start={start} boot={boot} ns={ns} since=5")
        };
        let Some(State::Runs { start }) = state(std::process::id()) else {
            panic!()
        };
        let me = std::process::id();
        child.wait().unwrap();
        assert!(is_gone(&of(pid, "1", boot, ns)));
        assert!(
            is_gone(&of(me, "1", boot, ns)),
            "the number was given again"
        );
        assert!(is_gone(&of(me, &start, "another", ns)), "before a boot");
        assert!(!is_gone(&of(me, &start, boot, ns)));
        assert!(
            !is_gone(&of(pid, "1", boot, "1")),
            "another container's process cannot be seen"
        );
        for old in ["run-x/1", "host/1", "", "run-x/1 pid=1"] {
            assert!(!is_gone(old), "{old}");
        }
    }

    #[test]
    fn a_child_that_was_not_waited_for_is_gone() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id();
        let Some(State::Runs { start }) = state(pid) else {
            panic!()
        };
        let (boot, ns) = (boot().unwrap(), namespace().unwrap());
        let holder = format!("x/{pid} pid={pid} start={start} boot={boot} ns={ns}");
        assert!(!is_gone(&holder));
        child.kill().unwrap();
        let ended = |pid| matches!(state(pid), Some(State::Ended) | None);
        while !ended(pid) {
            std::thread::yield_now();
        }
        assert!(is_gone(&holder), "it is a zombie");
        child.wait().unwrap();
    }

    #[test]
    fn a_holder_says_its_name_and_since_when() {
        let now = Timestamp::from_microsecond(1_764_400_000_000_000).unwrap();
        let written = since("run-x/7", now);
        assert_eq!(read(&written), ("run-x/7", Some(now)));
        assert_eq!(read("host/1"), ("host/1", None));
    }
}
