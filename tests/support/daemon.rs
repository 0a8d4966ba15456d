//! A daemon of a test: `prevalidate serve`, watched over the socket that a service manager gives it
//! and by its log.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process;

/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Killed when dropped.
pub struct Daemon {
    child: Child,
    log: Heard,
    messages: Heard,
    _folder: TempDir,
}

impl Daemon {
    /// Starts `command` and returns when it says that it is ready.
    #[track_caller]
    pub fn start(command: Command) -> Self {
        let mut daemon = Self::spawn(command);
        daemon.hears("READY=1");
        daemon
    }

    /// Starts `command`. The service manager wants to hear of it every half second.
    pub fn spawn(mut command: Command) -> Self {
        let folder = TempDir::with_prefix("prevalidate-notify-").unwrap();
        let path = folder.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut child = command
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "2000000")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Heard::default();
        let (lines, heard) = (BufReader::new(child.stderr.take().unwrap()), log.clone());
        std::thread::spawn(move || {
            lines
                .lines()
                .map_while(Result::ok)
                .for_each(|line| heard.add(line));
            heard.end();
        });
        let (messages, heard) = (Heard::default(), log.clone());
        let told = messages.clone();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                // Asked before: what it said last may still be there when it has ended.
                let ended = heard.has_ended();
                match socket.recv(&mut buffer) {
                    Ok(length) => told.add(
                        String::from_utf8_lossy(&buffer[..length])
                            .trim_end()
                            .to_owned(),
                    ),
                    Err(_) if ended => break,
                    Err(_) => {}
                }
            }
            told.end();
        });
        Self {
            child,
            log,
            messages,
            _folder: folder,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `-HUP`.
    pub fn signal(&self, signal: &str) {
        process::run("kill", &[signal, &self.pid().to_string()], "");
    }

    /// Where it listens.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        assert!(
            self.log.count(1, |line| line.contains(" listen=")),
            "listens nowhere:\n{}",
            self.said()
        );
        let said = self.said();
        said.split(" listen=")
            .nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// The status and the whole answer to a GET.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }

    /// Everything it has said.
    pub fn said(&self) -> String {
        self.log.all()
    }

    /// Waits until a line of its log that it has not shown here yet holds all of `words`, and gives
    /// it.
    #[track_caller]
    pub fn says(&mut self, words: &[&str]) -> String {
        let is_it = |line: &str| words.iter().all(|word| line.contains(word));
        self.log
            .next(is_it)
            .unwrap_or_else(|| panic!("does not say {words:?}:\n{}", self.said()))
    }

    /// Waits until its log holds so many lines with all of `words`.
    #[track_caller]
    pub fn says_times(&self, count: usize, words: &[&str]) {
        let is_it = |line: &str| words.iter().all(|word| line.contains(word));
        assert!(
            self.log.count(count, is_it),
            "does not say {words:?} {count} times:\n{}",
            self.said()
        );
    }

    /// Waits until the service manager hears this in a message that it has not shown here yet.
    #[track_caller]
    pub fn hears(&mut self, word: &str) -> String {
        let heard = self.messages.next(|message| message.contains(word));
        let all = || self.messages.all().replace("WATCHDOG=1\n", "");
        heard.unwrap_or_else(|| panic!("{word} is not heard:\n{}\n{}", all(), self.said()))
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ends(mut self) -> (ExitStatus, String) {
        let began = Instant::now();
        assert!(
            self.log.wait(|log| log.ended),
            "does not end:\n{}",
            self.said()
        );
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "does not end:\n{}", self.said());
            std::thread::yield_now();
        };
        (status, self.said())
    }

    /// Asks it to end, as a service manager does, and waits for that.
    #[track_caller]
    pub fn stop(self) -> (ExitStatus, String) {
        self.signal("-TERM");
        self.ends()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines as they come.
#[derive(Clone, Default)]
struct Heard(Arc<(Mutex<Lines>, Condvar)>);

#[derive(Default)]
struct Lines {
    all: Vec<String>,
    /// So many have been shown.
    shown: usize,
    ended: bool,
}

impl Heard {
    fn add(&self, line: String) {
        self.0.0.lock().unwrap().all.push(line);
        self.0.1.notify_all();
    }

    fn end(&self) {
        self.0.0.lock().unwrap().ended = true;
        self.0.1.notify_all();
    }

    fn has_ended(&self) -> bool {
        self.0.0.lock().unwrap().ended
    }

    fn all(&self) -> String {
        self.0.0.lock().unwrap().all.join("\n")
    }

    /// Waits until `is_so`; false when nothing more comes, or no test waits any longer.
    fn wait(&self, mut is_so: impl FnMut(&mut Lines) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.0.0.lock().unwrap();
        loop {
            if is_so(&mut lines) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if lines.ended || left.is_zero() {
                return false;
            }
            lines = self.0.1.wait_timeout(lines, left).unwrap().0;
        }
    }

    fn next(&self, is_it: impl Fn(&str) -> bool) -> Option<String> {
        let mut found = None;
        self.wait(|lines| {
            let at = lines.all[lines.shown..].iter().position(|line| is_it(line));
            found = at.map(|at| lines.all[lines.shown + at].clone());
            lines.shown += at.map_or(0, |at| at + 1);
            found.is_some()
        });
        found
    }

    fn count(&self, count: usize, is_it: impl Fn(&str) -> bool) -> bool {
        self.wait(|lines| lines.all.iter().filter(|line| is_it(line)).count() >= count)
    }
}
