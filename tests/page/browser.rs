//! The pages in a real browser: a person's walk through them, what the browser had to say, what
//! every user can read and reach.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prevalidate::store::Store;
use prevalidate::store::sqlite::SqliteStore;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::webdriver::Browser;
use super::{OPERATE, Site, tokens};
use crate::support::inventory::{Inventory, name};
use crate::support::process::tool;

/// What a page is viewed with: the widths of a desk and of a small phone, and both schemes of
/// colours.
const VIEWS: [(u32, u32, &str); 4] = [
    (1280, 900, "light"),
    (1280, 900, "dark"),
    (360, 740, "light"),
    (360, 740, "dark"),
];
/// The sections of the overview, by the ids of their headings.
const SECTIONS: [&str; 9] = [
    "danger",
    "states",
    "needs",
    "calendar",
    "certificates",
    "records",
    "registrations",
    "clients",
    "machines",
];
/// Keys (WebDriver, section 17.4.2).
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

/// Pages on a loopback address, and a browser.
struct Visit {
    site: Site,
    browser: Browser,
    origin: String,
}

impl Visit {
    async fn to(site: Site) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let app = site.app.clone();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            site,
            browser: Browser::start().await,
            origin,
        }
    }

    async fn open(&self, path: &str) {
        self.browser.open(&format!("{}{path}", self.origin)).await;
    }

    /// Waits until the browser shows this page: a click may come back before the answer to a form
    /// does.
    async fn arrives(&self, path: &str) {
        let expected = json!([format!("{}{path}", self.origin), "complete"]);
        self.comes_to("return [location.href, document.readyState]", expected)
            .await;
    }

    /// Waits until a script returns this.
    async fn comes_to(&self, script: &str, expected: Value) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let returned = self.browser.try_run(script).await;
            if returned == expected {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "`{script}` returns {returned}, not {expected}"
            );
            tokio::task::yield_now().await;
        }
    }

    async fn sign_in(&self) {
        self.open("/session").await;
        // The browser puts the focus there itself, some time after the page has come.
        self.comes_to("return document.activeElement.id", json!("token"))
            .await;
        self.browser.write("#token", OPERATE).await;
        self.browser.click("form.login button").await;
        self.arrives("/").await;
    }

    /// Nothing went wrong, and nothing came from anywhere else.
    async fn was_quiet(&self) {
        assert_eq!(self.browser.console().await, Vec::<String>::new());
        // The browser's own first page is made of its own parts.
        let inside = [&*self.origin, "data:", "about:", "chrome:"];
        let own = |url: &String| inside.iter().any(|start| url.starts_with(start));
        let (own, others): (Vec<_>, Vec<_>) =
            self.browser.requests().await.into_iter().partition(own);
        assert!(!own.is_empty(), "the browser tells what it asks for");
        assert_eq!(others, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_walks_from_the_overview_to_a_try() {
    let visit = Visit::to(Site::of(200, tokens()).await).await;
    let browser = &visit.browser;
    visit.open("/").await;
    visit.arrives("/session?next=%2F").await;
    browser.write("#token", OPERATE).await;
    browser.press(ENTER).await;
    visit.arrives("/").await;
    assert!(browser.text("h1").await.contains("need a person"));
    assert!(browser.text(".who").await.contains("anna"));

    browser.link("Domains").await;
    visit.arrives("/domains").await;
    browser.write("#q", "bücher").await;
    browser.press(ENTER).await;
    visit
        .arrives("/domains?q=b%C3%BCcher&state=&client=&provider=")
        .await;
    assert!(browser.text("h2").await.contains("2 domains found"));
    visit.open("/domains?state=held").await;
    browser.link("held.example").await;
    visit.arrives("/domains/held.example").await;
    assert!(browser.text(".note.wrong").await.contains("REFUSED"));
    browser.click("form[action$='/try'] button").await;
    visit.arrives("/domains/held.example?note=tried").await;
    assert!(browser.text("p.note").await.contains("Retry started"));
    let row = visit
        .site
        .inventory
        .store
        .domain(&name("held.example").into())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row.upkeep.setback.hold, None);

    browser.link("Overview").await;
    browser.click("form[action='/clients/look'] button").await;
    visit.arrives("/?note=looking").await;
    assert_eq!(visit.site.shared.take_ordered_listings().len(), 1);
    browser.click("form[action='/session/end'] button").await;
    visit.arrives("/session").await;
    visit.open("/domains").await;
    // Signed out.
    visit.arrives("/session?next=%2Fdomains").await;
    visit.was_quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_can_be_read_by_day_and_night_on_desk_and_phone() {
    let site = Site::of(3_000, tokens()).await;
    site.inventory.beside(&site.shared).await;
    let visit = Visit::to(site).await;
    let browser = &visit.browser;
    let (axe, screenshots) = (
        fs::read_to_string(tool("axe.min.js")).unwrap(),
        screenshots(),
    );
    let pages = [
        ("login", "/session?next=%2Fdomains"),
        ("overview", "/"),
        ("list", "/domains"),
        (
            "list-trouble",
            "/domains?needs_a_person=true&sort=usable_until",
        ),
        ("nothing", "/domains?q=nothing+has+this+name&page=2"),
        ("valid", "/domains/marke2.test"),
        ("held", "/domains/held.example?note=tried"),
        ("bogus", "/domains/bogus.example"),
        ("evil", "/domains/evil.example"),
        ("late", "/domains/late.example"),
    ];
    let mut faults = Vec::new();
    for (title, path) in pages {
        if title == "overview" {
            visit.sign_in().await;
        }
        visit.open(path).await;
        if title == "overview" {
            // Every part of it is checked.
            for part in SECTIONS {
                let there = format!("return document.getElementById('{part}') !== null");
                assert_eq!(browser.run(&there).await, true, "{part}");
            }
        }
        for (width, height, scheme) in VIEWS {
            browser.show_as(width, height, scheme).await;
            let view = format!("{title}-{scheme}-{width}");
            browser
                .screenshot(&screenshots.join(format!("{view}.png")))
                .await;
            let wide = browser
                .run("return document.documentElement.scrollWidth")
                .await
                .as_u64()
                .unwrap();
            if wide > u64::from(width) {
                faults.push(format!("{view}: {wide} pixels wide"));
            }
            let hidden = "return [...document.querySelectorAll('main *')].filter(e => e.scrollWidth > e.clientWidth + 1
                && getComputedStyle(e).overflowX === 'auto').map(e => e.getAttribute('aria-label'))";
            let hidden = browser.run(hidden).await;
            if hidden != json!([]) {
                faults.push(format!("{view}: a part of {hidden} is out of sight"));
            }
            browser.run(&axe).await;
            let found = browser
                .run_async(
                    "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})
                        .then(arguments[0])",
                )
                .await;
            assert!(
                found["passes"].as_array().unwrap().len() > 10,
                "{view}: it was checked"
            );
            for fault in found["violations"].as_array().unwrap() {
                let places: Vec<_> = fault["nodes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|node| node["html"].to_string())
                    .collect();
                faults.push(format!("{view}: {} {}", fault["help"], places.join(" ")));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    visit.was_quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyboard_is_enough() {
    let visit = Visit::to(Site::of(120, tokens()).await).await;
    let browser = &visit.browser;
    browser.show_as(1280, 900, "light").await;
    visit.sign_in().await;
    visit.open("/domains").await;
    browser.press(TAB).await;
    let top = browser
        .run("return document.activeElement.getBoundingClientRect().top")
        .await;
    assert!(
        top.as_f64().unwrap() >= 0.0,
        "the way past the navigation is seen when it has the focus"
    );
    browser.press(ENTER).await;
    // A link into the same page is followed when the browser gets to it.
    visit.arrives("/domains#content").await;
    browser.press(TAB).await;
    assert_eq!(
        browser.run("return document.activeElement.id").await,
        "q",
        "the first thing behind the navigation"
    );
    // Everything that can be clicked is reached, in the order of the page, and shows that it has
    // the focus.
    let reach = "return [...document.querySelectorAll('main a, main button, main summary, main input:not([type=hidden]), main select')].filter(e => e.checkVisibility()).length";
    let count = browser.run(reach).await.as_u64().unwrap();
    for place in 1..count {
        browser.press(TAB).await;
        let seen = browser.run("let e = document.activeElement, s = getComputedStyle(e); return [!!e.closest('main'), s.outlineStyle, e.outerHTML]").await;
        assert_eq!(
            (&seen[0], &seen[1]),
            (&true.into(), &"solid".into()),
            "{place} of {count}: {}",
            seen[2]
        );
    }
    visit.was_quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_ca_says_runs_nowhere() {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open("sqlite::memory:", None).await.unwrap());
    let inventory = Inventory::of(store, 10).await;
    let shared = inventory.shared(tokens()).await;
    let visit = Visit::to(Site {
        app: prevalidate::server::http::app(&shared),
        shared,
        inventory,
    })
    .await;
    visit.sign_in().await;
    for path in [
        "/",
        "/domains",
        "/domains/evil.example",
        "/domains?q=%3Cscript%3Ealert(1)%3C/script%3E",
    ] {
        visit.open(path).await;
        assert_eq!(
            visit
                .browser
                .run("return [...document.scripts].every(s => s.src.startsWith(location.origin + '/assets/'))")
                .await,
            true,
            "{path}"
        );
    }
    // Whatever came to be in a page: the browser was told not to run it.
    visit.open("/").await;
    let ran = "let s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s); return window.ran === 1";
    assert_eq!(visit.browser.run(ran).await, false);
    let said = visit.browser.console().await;
    assert!(
        said.iter()
            .any(|line| line.contains("Content Security Policy")),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_copied_by_its_button_and_the_page_needs_no_other_script() {
    let visit = Visit::to(Site::of(10, tokens()).await).await;
    let browser = &visit.browser;
    browser.show_as(1280, 900, "light").await;
    visit.sign_in().await;
    visit.open("/domains/late.example").await;
    // What is in the clipboard of this machine is not read: the page is asked what it would put
    // there.
    browser
        .run("navigator.clipboard.writeText = async text => { window.copied = text }; return 1")
        .await;
    browser.click("button[data-copies='token-value']").await;
    let copied = browser.run("return window.copied").await;
    assert_eq!(copied, "swiss-pki=late.example");
    let label = browser.text("button[data-copies='token-value']").await;
    assert_eq!(label, "Copied");
    visit.was_quiet().await;
}

/// Beside what Cargo builds, for people to view.
fn screenshots() -> PathBuf {
    let target = std::env::current_exe()
        .unwrap()
        .ancestors()
        .nth(3)
        .unwrap()
        .to_owned();
    let folder = target.join("screenshots");
    fs::create_dir_all(&folder).unwrap();
    folder
}
