//! PostgreSQL and PgBouncer on loopback for the tests: one cluster for all tests of a process, a
//! database of its own for each. `initdb` and the servers refuse root: they run as the user
//! `nobody` then.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use super::certificate::Certificate;
use super::ports::Port;
use super::process;

/// Starts `$@`, and stops it by the signal `$1`, as its directory `$2` goes, when no process holds
/// the other end of standard input any more: when the test drops it, and also when the test process
/// is killed. Nothing is left behind, no shared memory either.
const GUARD: &str = r#"
signal=$1; directory=$2; shift 2
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9<&0
"$@" </dev/null 9<&- &
server=$!
cat <&9 >/dev/null
kill -$signal $server 2>/dev/null
wait $server
rm -rf "$directory"
"#;

/// PostgreSQL's immediate shutdown: a crash as far as it goes.
const IMMEDIATELY: &str = "QUIT";

/// A server that ends with its owner.
#[derive(Debug)]
struct Server {
    guard: Child,
}

impl Server {
    /// `disk`: where a file system of so many megabytes lies, for the server only.
    fn start(
        directory: &Path,
        doomed: &Path,
        signal: &str,
        command: &[&str],
        disk: Option<(PathBuf, u32)>,
    ) -> Self {
        let output = File::options()
            .create(true)
            .append(true)
            .open(directory.join("output"))
            .unwrap();
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard", signal])
            .arg(doomed)
            .args(disk.map(mounted).unwrap_or_default())
            .args(unprivileged())
            .args(command)
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { guard }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// A cluster: a server with databases.
#[derive(Debug)]
pub struct Cluster {
    port: Port,
    directory: PathBuf,
    server: Option<Server>,
    databases: AtomicUsize,
    /// Whether the directory goes with the server: that of a process-wide one is never dropped.
    last: bool,
    /// Databases are in a file system of so many megabytes.
    small_disk: Option<u32>,
}

impl Cluster {
    /// The one that all tests of the process share. It does not wait for its disk.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::make(true, None))
    }

    /// One of its own, for a test that stops it.
    pub fn start() -> Self {
        Self::make(false, None)
    }

    /// One of its own with little room for databases: each takes 8 MB before there is anything in
    /// it. Its log of transactions is elsewhere: a server that cannot write that one stops, and
    /// comes back when it can.
    pub fn on_small_disk() -> Self {
        let cluster = Self::make(false, Some(16));
        cluster.statement(&format!(
            "CREATE TABLESPACE small LOCATION '{}'",
            cluster.directory.join("small").display()
        ));
        cluster
    }

    fn make(last: bool, small_disk: Option<u32>) -> Self {
        let directory = private_directory();
        let data = directory.join("data").display().to_string();
        let made = Command::new(unprivileged()[0].as_str())
            .args(&unprivileged()[1..])
            .arg(program("initdb"))
            .args([
                "-D",
                &data,
                "-U",
                "postgres",
                "-A",
                "trust",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
            ])
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut cluster = Self {
            port: Port::take(),
            directory,
            server: None,
            databases: AtomicUsize::new(0),
            last,
            small_disk,
        };
        cluster.run();
        cluster
    }

    fn run(&mut self) {
        let (data, port) = (
            self.directory.join("data"),
            self.port.address().port().to_string(),
        );
        let socket = self.directory.display().to_string();
        let postgres = program("postgres").display().to_string();
        let command = [
            &*postgres,
            "-D",
            &data.display().to_string(),
            "-p",
            &port,
            "-k",
            &socket,
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
            "-c",
            "full_page_writes=off",
            "-c",
            "max_connections=300",
            "-c",
            "log_min_messages=warning",
        ];
        let doomed = if self.last {
            self.directory.clone()
        } else {
            self.directory.join("gone")
        };
        let disk = self
            .small_disk
            .map(|megabytes| (self.directory.join("small"), megabytes));
        self.server = Some(Server::start(
            &self.directory,
            &doomed,
            IMMEDIATELY,
            &command,
            disk,
        ));
        let started = Instant::now();
        let ready = program("pg_isready");
        while !Command::new(&ready)
            .args(["-q", "-h", "127.0.0.1", "-p", &port])
            .status()
            .unwrap()
            .success()
        {
            let said = std::fs::read_to_string(self.directory.join("output")).unwrap_or_default();
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "PostgreSQL does not start: {said}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it at once, as a crash does, and starts it again.
    pub fn crash_and_restart(&mut self) {
        self.stop();
        self.run();
    }

    /// As a server that follows another and only reads.
    pub fn restart_as_standby(&mut self) {
        self.stop();
        File::create(self.directory.join("data/standby.signal")).unwrap();
        own(&self.directory.join("data/standby.signal"));
        self.run();
    }

    /// Stops it at once.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        self.port.address()
    }

    /// A new, empty database.
    pub async fn database(&self) -> Database {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut db = PgConnection::connect(&self.url("postgres")).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!(
            "CREATE DATABASE {name}{}",
            self.tablespace()
        )))
        .execute(&mut db)
        .await
        .unwrap();
        Database {
            url: self.url(&name),
            name,
        }
    }

    fn tablespace(&self) -> &'static str {
        if self.small_disk.is_some() {
            " TABLESPACE small"
        } else {
            ""
        }
    }

    /// The same for a test that is no future.
    pub fn database_now(&self) -> Database {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(self.database())
    }

    /// From now on no client gets in without this password, except by the socket.
    pub fn ask_for_passwords(&self, password: &str) {
        self.statement(&format!("ALTER ROLE postgres PASSWORD '{password}'"));
        self.let_in("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
    }

    /// From now on no client gets in without TLS. The server's certificate names
    /// `localhost`; `root` is its issuer.
    pub fn speak_tls(&self, root: &Path) {
        let Certificate { key, signed, .. } = Certificate::issue(root, "DNS:localhost");
        for (from, to) in [(&key, "server.key"), (&signed, "server.crt")] {
            let to = self.directory.join("data").join(to);
            std::fs::copy(from, &to).unwrap();
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
            own(&to);
        }
        self.statement("ALTER SYSTEM SET ssl = on");
        self.let_in("local all all trust\nhostssl all all 127.0.0.1/32 trust\n");
    }

    fn let_in(&self, rules: &str) {
        std::fs::write(self.directory.join("data/pg_hba.conf"), rules).unwrap();
        self.statement("SELECT pg_reload_conf()");
        // Sessions that begin from now on see what the server has read.
        let read = "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NULL";
        assert!(self.statement(read).trim() != "0");
    }

    /// By the socket, where every user is let in.
    fn statement(&self, sql: &str) -> String {
        let (socket, port) = (
            self.directory.display().to_string(),
            self.port.address().port().to_string(),
        );
        process::run(
            "psql",
            &["-h", &socket, "-p", &port, "-U", "postgres", "-qtAXc", sql],
            "",
        )
    }

    fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@{}/{database}?sslmode=disable",
            self.address()
        )
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A database of a test.
#[derive(Debug, Clone)]
pub struct Database {
    /// As the configuration names it.
    pub url: String,
    /// Its name in the cluster.
    pub name: String,
}

impl Database {
    /// The same by another way, such as a proxy.
    pub fn by(&self, address: std::net::SocketAddr) -> String {
        format!(
            "postgres://postgres@{address}/{}?sslmode=disable",
            self.name
        )
    }

    /// A connection beside the store.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// Runs statements beside the store.
    pub async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut self.connect().await)
            .await
            .unwrap();
    }

    /// One number.
    pub async fn number(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut self.connect().await)
            .await
            .unwrap()
    }
}

/// PgBouncer in transaction mode before the shared cluster. Three sessions for each database, each
/// transaction in another one: what counts on a session breaks.
#[derive(Debug)]
pub struct Bouncer {
    port: Port,
    _server: Server,
}

impl Bouncer {
    /// The one that all tests of the process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Bouncer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let (directory, port) = (private_directory(), Port::take());
        let upstream = Cluster::shared().address();
        let settings = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nauth_type = trust\n\
             auth_file = {}/users\npool_mode = transaction\ndefault_pool_size = 3\nserver_round_robin = 1\nmax_client_conn = 500\n\
             max_db_connections = 0\nlogfile = {}/log\nunix_socket_dir =\n",
            upstream.ip(),
            upstream.port(),
            port.address().port(),
            directory.display(),
            directory.display(),
        );
        for (name, content) in [
            ("settings", settings.as_str()),
            ("users", "\"postgres\" \"\"\n"),
        ] {
            let mut file = File::create(directory.join(name)).unwrap();
            file.write_all(content.as_bytes()).unwrap();
            file.set_permissions(std::fs::Permissions::from_mode(0o644))
                .unwrap();
        }
        let command = [
            process::find("pgbouncer").display().to_string(),
            directory.join("settings").display().to_string(),
        ];
        let server = Server::start(
            &directory,
            &directory,
            "TERM",
            &command.each_ref().map(String::as_str),
            None,
        );
        let started = Instant::now();
        while std::net::TcpStream::connect(port.address()).is_err() {
            let said = std::fs::read_to_string(directory.join("log")).unwrap_or_default();
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "PgBouncer does not start: {said}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            port,
            _server: server,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        self.port.address()
    }
}

/// Debian keeps the servers' programs outside the search path.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<_> = versions
        .map(|version| version.path().join("bin").join(name))
        .filter(|p| p.is_file())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| process::find(name))
}

/// What comes before a command so that it does not run as root.
fn unprivileged() -> Vec<String> {
    use std::os::unix::fs::MetadataExt as _;
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let words: &[&str] = if root {
        &[
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "env",
            "LC_ALL=C.UTF-8",
        ]
    } else {
        &["env", "LC_ALL=C.UTF-8"]
    };
    words.iter().map(|&word| word.to_owned()).collect()
}

/// What comes before a command that is to see a small file system of its own there.
fn mounted((path, megabytes): (PathBuf, u32)) -> Vec<String> {
    std::fs::create_dir(&path).unwrap();
    own(&path);
    let root = unprivileged()[0] == "setpriv";
    let owner = if root { ",uid=65534,gid=65534" } else { "" };
    let mount = format!(
        "mount -t tmpfs -o \"size=$1m,mode=0700{owner}\" tmpfs \"$2\" && shift 2 && exec \"$@\""
    );
    let user: &[&str] = if root { &[] } else { &["--map-root-user"] };
    let shell = ["sh", "-c", &mount, "mount"];
    let words = ["unshare", "--mount"]
        .iter()
        .chain(user)
        .chain(&shell)
        .map(|&word| word.to_owned());
    words
        .chain([megabytes.to_string(), path.display().to_string()])
        .collect()
}

/// A directory that the unprivileged user owns.
fn private_directory() -> PathBuf {
    let directory = tempfile::Builder::new()
        .prefix("prevalidate-postgres-")
        .tempdir()
        .unwrap()
        .keep();
    own(&directory);
    directory
}

fn own(path: &Path) {
    if unprivileged()[0] == "setpriv" {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
    }
}
