//! The status page with 100,000 domains. Eight clients at once ask as fast as it answers.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prevalidate::server::access::Access;
use prevalidate::server::http;
use prevalidate::store::Store;
use prevalidate::store::postgres::PostgresStore;
use prevalidate::store::sqlite::SqliteStore;
use tempfile::TempDir;

use crate::Row;
use crate::lab::peak_memory_kb;
use crate::support::inventory::Inventory;
use crate::support::postgres::Cluster;
use crate::support::process::run;

const DOMAINS: usize = 100_000;
const ANSWERED: Duration = Duration::from_millis(200);
/// Names the store to a process that serves its pages.
pub const SERVE: &str = "PREVALIDATE_BENCH_PAGES";

/// wrk tells the 90th and the 99th percentile by itself.
const PERCENTILE: &str = "done = function(summary, latency) \
    local errors = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout \
    io.write('p95 ', latency:percentile(95.0), ' ', summary.requests, ' ', errors, '\\n') end";

/// The pages, as people ask for them.
const PAGES: [(&str, &str); 5] = [
    ("overview, 95th percentile", "/"),
    ("list, first page", "/domains"),
    (
        "list, in the middle, by the end of proofs",
        "/domains?sort=usable_until&page=1000",
    ),
    (
        "list, search and filter",
        "/domains?q=shop+99&state=valid&sort=-renew_at",
    ),
    ("one domain", "/domains/held.example"),
];

/// The pages alone, over each store.
pub fn under_load() -> Vec<Row> {
    let folder = TempDir::with_prefix("prevalidate-bench-").unwrap();
    let file = format!("sqlite:{}", folder.path().join("prevalidate.db").display());
    let mut rows = measure("SQLite", &file);
    rows.extend(measure("PostgreSQL", &Cluster::shared().database_now().url));
    rows
}

fn measure(name: &str, url: &str) -> Vec<Row> {
    runtime().block_on(async {
        let inventory = Inventory::of(open(url).await, DOMAINS).await;
        inventory.store.close().await;
    });
    // A process of its own: its memory is what serving takes, not what filling took.
    let mut server = Command::new(std::env::current_exe().unwrap())
        .env(SERVE, url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let snapshots = [said.next().unwrap(), said.next().unwrap()]
        .map(|ms| Duration::from_millis(ms.parse().unwrap()));
    let address = said.next().unwrap();
    let mut rows = vec![
        Row::below(
            &format!("{name}: a snapshot of 100,000 domains"),
            snapshots[0],
            Duration::from_secs(2),
        ),
        Row::below("  the next one", snapshots[1], Duration::from_secs(2)),
    ];
    rows.extend(
        PAGES
            .iter()
            .map(|(case, path)| asked(&format!("  {case}"), &format!("http://{address}{path}"))),
    );
    rows.push(downloaded(&format!("http://{address}/domains.csv")));
    let peak = peak_memory_kb(format!("/proc/{}/status", server.id()));
    rows.push(Row::memory("  peak memory of the process", peak, 300));
    server.kill().unwrap();
    server.wait().unwrap();
    rows
}

/// How long a page takes when it is asked for by eight at once.
pub fn asked(case: &str, url: &str) -> Row {
    let folder = TempDir::with_prefix("prevalidate-bench-").unwrap();
    let script = folder.path().join("p95.lua");
    std::fs::write(&script, PERCENTILE).unwrap();
    let script = script.display().to_string();
    let load = [
        "--threads",
        "1",
        "--connections",
        "8",
        "--duration",
        "8s",
        "--timeout",
        "10s",
        "--script",
    ];
    let told = run("wrk", &[&load[..], &[script.as_str(), url]].concat(), "");
    let figures = told
        .lines()
        .find_map(|line| line.strip_prefix("p95 "))
        .unwrap();
    let figures: Vec<f64> = figures
        .split(' ')
        .map(|figure| figure.parse().unwrap())
        .collect();
    assert!(figures[1] > 0.0 && figures[2] < 1.0, "{url}: {told}");
    Row::below(case, Duration::from_micros(figures[0] as u64), ANSWERED)
}

/// How long the file for spreadsheets takes.
pub fn downloaded(url: &str) -> Row {
    let begun = Instant::now();
    let file = run("curl", &["--silent", "--fail", url], "");
    assert!(file.lines().count() > DOMAINS);
    Row::below(
        "  all of it as CSV",
        begun.elapsed(),
        Duration::from_secs(5),
    )
}

/// Serves the pages of a store until it is killed; says first how long two snapshots took, in
/// milliseconds, and where it listens.
pub fn serve(url: &str) {
    runtime().block_on(async {
        let inventory = Inventory::over(open(url).await);
        let begun = Instant::now();
        let shared = inventory.shared(Access::new(true)).await;
        println!("{}", begun.elapsed().as_millis());
        let begun = Instant::now();
        shared.read_again().await.unwrap();
        println!("{}", begun.elapsed().as_millis());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        axum::serve(listener, http::app(&shared)).await.unwrap();
    });
}

async fn open(url: &str) -> Arc<dyn Store> {
    if PostgresStore::is_named_by(url) {
        return Arc::new(PostgresStore::open(url, None, None).await.unwrap());
    }
    Arc::new(SqliteStore::open(url, None).await.unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}
