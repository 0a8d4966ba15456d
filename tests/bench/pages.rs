//! The status page with 100,000 domains, asked by eight people at once for as fast as it answers.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prevalidate::server::access::Access;
use prevalidate::server::http;
use prevalidate::store::Store;
use prevalidate::store::sqlite::SqliteStore;
use tempfile::TempDir;

use crate::Row;
use crate::lab::peak_memory_kb;
use crate::support::inventory::Inventory;
use crate::support::process::run;

const DOMAINS: usize = 100_000;
const ANSWERED: Duration = Duration::from_millis(200);
/// Names the store to a process that serves its pages.
pub const SERVE: &str = "PREVALIDATE_BENCH_PAGES";

/// wrk tells the 90th and the 99th percentile by itself.
const PERCENTILE: &str = "done = function(summary, latency) \
    local errors = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout \
    io.write('p95 ', latency:percentile(95.0), ' ', summary.requests, ' ', errors, '\\n') end";

pub fn under_load() -> Vec<Row> {
    let folder = TempDir::with_prefix("prevalidate-bench-").unwrap();
    let url = format!("sqlite:{}", folder.path().join("prevalidate.db").display());
    runtime().block_on(async {
        let inventory = Inventory::of(open(&url).await, DOMAINS).await;
        inventory.store.close().await;
    });
    // A process of its own: its memory is what serving takes, not what filling took.
    let mut server =
        Command::new(std::env::current_exe().unwrap()).env(SERVE, &url).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pictures = [said.next().unwrap(), said.next().unwrap()].map(|ms| Duration::from_millis(ms.parse().unwrap()));
    let address = said.next().unwrap();

    let script = folder.path().join("p95.lua");
    std::fs::write(&script, PERCENTILE).unwrap();
    let mut rows = vec![
        Row::below("a picture of 100,000 domains", pictures[0], Duration::from_secs(2)),
        Row::below("  the next one", pictures[1], Duration::from_secs(2)),
    ];
    for (case, path) in [
        ("overview, 95th percentile", "/"),
        ("list, first page", "/domains"),
        ("list, in the middle, by the end of proofs", "/domains?sort=usable_until&page=1000"),
        ("list, search and filter", "/domains?q=shop+99&state=valid&sort=-renew_at"),
        ("one domain", "/domains/held.example"),
    ] {
        let (script, url) = (script.display().to_string(), format!("http://{address}{path}"));
        let told = run(
            "wrk",
            &[
                "--threads",
                "1",
                "--connections",
                "8",
                "--duration",
                "8s",
                "--timeout",
                "10s",
                "--script",
                &script,
                &url,
            ],
            "",
        );
        let figures = told.lines().find_map(|line| line.strip_prefix("p95 ")).unwrap();
        let figures: Vec<f64> = figures.split(' ').map(|figure| figure.parse().unwrap()).collect();
        assert!(figures[1] > 0.0 && figures[2] < 1.0, "{path}: {told}");
        rows.push(Row::below(case, Duration::from_micros(figures[0] as u64), ANSWERED));
    }
    let url = format!("http://{address}/domains.csv");
    let begun = Instant::now();
    let file = run("curl", &["--silent", "--fail", &url], "");
    assert!(file.lines().count() > DOMAINS);
    rows.push(Row::below("all of it as CSV", begun.elapsed(), Duration::from_secs(5)));
    rows.push(Row::memory(
        "  peak memory of the process",
        peak_memory_kb(format!("/proc/{}/status", server.id())),
        300,
    ));
    server.kill().unwrap();
    server.wait().unwrap();
    rows
}

/// Serves the pages of a store until it is killed; says first how long two pictures took, in milliseconds, and where it listens.
pub fn serve(url: &str) {
    runtime().block_on(async {
        let inventory = Inventory::over(open(url).await);
        let begun = Instant::now();
        let shared = inventory.shared(Access::new(true)).await;
        println!("{}", begun.elapsed().as_millis());
        let begun = Instant::now();
        shared.look_again().await.unwrap();
        println!("{}", begun.elapsed().as_millis());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        axum::serve(listener, http::app(&shared)).await.unwrap();
    });
}

async fn open(url: &str) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(url, None).await.unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
