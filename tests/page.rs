//! The status page as a browser gets it: through everything that is around the routes, from a real
//! store.

mod browser;
mod danger;
mod overview;
mod session;
mod webdriver;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, Response, StatusCode};
use jiff::SignedDuration;
use prevalidate::server::access::{Access, Role};
use prevalidate::server::http;
use prevalidate::server::shared::Shared;
use prevalidate::store::Store;
use prevalidate::store::sqlite::SqliteStore;
use tower::ServiceExt as _;

use crate::support::inventory::{EVIL, Inventory};

const READ: &str = "read-token-of-24-characters-x";
const OPERATE: &str = "operate-token-of-24-characters";
const HOOK: &str = "hook-token-of-24-characters-xx";

/// A daemon's pages without the daemon: store, snapshot, router.
pub struct Site {
    pub inventory: Inventory,
    pub shared: Arc<Shared>,
    pub app: Router,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

pub fn tokens() -> Access {
    let mut access = Access::new(true);
    for (name, role, token) in [
        ("board", Role::Read, READ),
        ("anna", Role::Operate, OPERATE),
        ("ci", Role::Hook, HOOK),
    ] {
        access.add(name, role, &token.into()).unwrap();
    }
    access
}

impl Site {
    async fn of(count: usize, access: Access) -> Self {
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open("sqlite::memory:", None).await.unwrap());
        let inventory = Inventory::of(store, count).await;
        let shared = inventory.shared(access).await;
        Self {
            app: http::app(&shared),
            inventory,
            shared,
        }
    }

    /// A client on this machine may read.
    async fn open(count: usize) -> Self {
        Self::of(count, Access::new(true)).await
    }

    async fn get(&self, path: &str) -> Page {
        self.get_as(path, "").await
    }

    async fn get_as(&self, path: &str, cookie: &str) -> Page {
        let request = Request::get(path)
            .header("host", "localhost")
            .header("cookie", cookie);
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, cookie: &str, form: &[(&str, &str)]) -> Page {
        self.ask(filled_in(path, cookie, form).body(filled(form)).unwrap())
            .await
    }

    async fn ask(&self, request: Request<Body>) -> Page {
        let answer: Response<Body> = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = to_bytes(body, 1 << 30).await.unwrap();
        Page {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }
}

fn filled_in(path: &str, cookie: &str, _: &[(&str, &str)]) -> axum::http::request::Builder {
    Request::post(path)
        .header("host", "localhost")
        .header("cookie", cookie)
        .header("content-type", "application/x-www-form-urlencoded")
}

fn filled(form: &[(&str, &str)]) -> Body {
    Body::from(
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish(),
    )
}

impl Page {
    fn has(&self, part: &str) -> bool {
        self.text.contains(part)
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The rows of the first table's body.
    fn rows(&self) -> Vec<&str> {
        let body = self
            .text
            .split("<tbody")
            .nth(1)
            .unwrap_or_default()
            .split("</tbody>")
            .next()
            .unwrap();
        body.split("<tr").skip(1).collect()
    }

    /// The domains that the rows link to.
    fn names(&self) -> Vec<&str> {
        let link = |row: &&'_ str| {
            row.split("href=\"/domains/")
                .nth(1)
                .map(|rest| rest.split('"').next().unwrap().len())
        };
        let rows = self.rows();
        rows.into_iter()
            .filter(|row| link(row).is_some())
            .map(|row| {
                row.split("href=\"/domains/")
                    .nth(1)
                    .unwrap()
                    .split('"')
                    .next()
                    .unwrap()
            })
            .collect()
    }
}

/// The one script, which copies values.
const SCRIPT: &str = "<script defer src=\"/assets/copy.js?v=";

const PAGES: [&str; 9] = [
    "/",
    "/domains",
    "/domains?q=evil",
    "/domains?needs_a_person=true",
    "/domains/evil.example",
    "/domains/bogus.example",
    "/domains/unknown.example",
    "/session",
    "/nowhere",
];

#[tokio::test]
async fn the_overview_says_the_state_of_all_and_what_comes() {
    let site = Site::open(300).await;
    let page = site.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    for said in [
        "domains need",
        "The guard",
        "held.example",
        "may not write this zone",
        "bogus.example",
        "2027-03-15: 98 days",
        "2029-03-15",
        "Stadtwerke &amp; Söhne",
        "datetime=\"2026-11-22T09:00:00Z\"",
        "The calendar as a table",
    ] {
        assert!(said == "The guard" || page.has(said), "{said}");
    }
    assert!(!page.has("The guard"), "it refuses nothing");
    assert!(
        !page.has("Sign out") && !page.has("List now"),
        "no user has signed in"
    );
    let key = &site.inventory.targets[0].key;
    site.inventory
        .store
        .set_fact(
            &format!("guard/{key}"),
            "7 of 9 registrations are no longer in the CA's list",
        )
        .await
        .unwrap();
    site.inventory.clock.advance(SignedDuration::from_hours(30));
    let old = site.get("/").await;
    assert!(
        old.has("This snapshot is old") && !old.has("The guard"),
        "it shows the last snapshot, and its age"
    );
    site.shared.read_again().await.unwrap();
    let page = site.get("/").await;
    assert!(
        page.has("The guard refuses to act for swisssign/Muster AG")
            && page.has("7 of 9 registrations")
    );
    assert!(page.has("the CA was last asked <time") && !page.has("This snapshot is old"));
}

#[tokio::test]
async fn an_empty_inventory_and_one_that_was_not_read_yet_have_pages_too() {
    let site = Site::open(0).await;
    let page = site.get("/").await;
    assert!(
        page.has("No domain is kept validated yet") && page.has("No renewal is planned"),
        "{}",
        page.text
    );
    assert!(site.get("/domains").await.has("Nothing is found"));

    let store: Arc<dyn Store> = Arc::new(SqliteStore::open("sqlite::memory:", None).await.unwrap());
    let live = (*site.shared.live()).clone();
    let unread = Arc::new(Shared::new(
        store,
        Arc::new(site.inventory.clock.clone()),
        live,
    ));
    let site = Site {
        app: http::app(&unread),
        shared: unread,
        inventory: site.inventory,
    };
    for path in ["/", "/domains", "/domains.csv"] {
        let page = site.get(path).await;
        assert_eq!(
            (page.status, page.header("retry-after")),
            (StatusCode::SERVICE_UNAVAILABLE, "5"),
            "{path}"
        );
        assert!(page.has("has not been read yet"));
    }
}

#[tokio::test]
async fn the_list_is_searched_filtered_sorted_and_turned_page_by_page() {
    let site = Site::open(120).await;
    assert_eq!(
        site.get("/domains?q=bücher".replace('ü', "%C3%BC").as_str())
            .await
            .names(),
        ["below.xn--bcher-kva.example", "xn--bcher-kva.example"]
    );
    assert_eq!(
        site.get("/domains?state=unmanaged").await.names(),
        ["stranger.example?client=swisssign%2FMuster+AG"]
    );
    let held = site.get("/domains?state=held&sort=-name").await;
    assert_eq!(
        held.names(),
        ["withdrawn.example", "held.example", "evil.example"]
    );
    assert!(held.has("aria-sort=\"descending\"") && held.has("name=\"sort\" value=\"-name\""));
    let second = site
        .get("/domains?client=swisssign/Stadtwerke+%26+S%C3%B6hne&sort=usable_until")
        .await;
    assert_eq!(second.names().len(), 30);
    assert!(second.has("aria-sort=\"ascending\""));

    let (mut seen, mut page) = (Vec::new(), 1);
    loop {
        let one = site.get(&format!("/domains?sort=name&page={page}")).await;
        seen.extend(one.names().iter().map(|name| (*name).to_owned()));
        if !one.has("rel=\"next\"") {
            break;
        }
        page += 1;
    }
    assert_eq!(
        (page, seen.len()),
        (3, 132),
        "120, eleven cases and a stranger"
    );
    assert!(seen.is_sorted());
    // What cannot be read is said, never repeated, and no reason to show nothing.
    for wrong in [
        "state=%3Cb%3E",
        "page=0",
        "sort=x",
        "limit=99999999",
        "colour=red",
        &format!("q={}", "a".repeat(20_000)),
    ] {
        let page = site.get(&format!("/domains?{wrong}")).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(
            page.has("All domains are shown") && page.text.len() < 100_000 && !page.has("<b>"),
            "{}",
            &wrong[..9]
        );
    }
    // The head of a request has a limit of its own.
    let long = site
        .get(&format!("/domains?q={}", "a".repeat(60_000)))
        .await;
    assert_eq!(long.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn the_download_has_every_row_and_nothing_that_a_spreadsheet_would_run() {
    let site = Site::open(2_500).await;
    let file = site.get("/domains.csv").await;
    assert_eq!(
        file.header("content-disposition"),
        "attachment; filename=\"domains.csv\""
    );
    let lines: Vec<_> = file.text.split("\r\n").collect();
    assert_eq!(
        lines.len(),
        1 + 2_512 + 1,
        "head, rows, and the end of the last line"
    );
    let columns = lines[0].split(',').count();
    assert!(
        lines[1..2_513]
            .iter()
            .all(|line| line.split(',').count() >= columns)
    );
    assert!(
        !file
            .text
            .chars()
            .any(|c| c != '\r' && c != '\n' && c.is_control() || c == '\u{202e}')
    );
    let held = site.get("/domains.csv?state=held&sort=-name").await;
    assert!(
        held.text.lines().nth(1).unwrap().starts_with(
            "withdrawn.example,withdrawn.example,swisssign/Muster AG,internal,held,no,"
        )
    );
    assert_eq!(held.text.lines().count(), 4);
}

#[tokio::test]
async fn a_page_of_a_domain_tells_all_that_is_known() {
    let site = Site::open(10).await;
    for (path, parts) in [
        (
            "held.example",
            &[
                "REFUSED",
                "held",
                "cabdns",
                "2026-11-30",
                "Our TXT records in DNS",
                "None.",
            ][..],
        ),
        (
            "late.example",
            &[
                "ns3.example.net (stale)",
                "swiss-pki=late.example",
                "published",
                "in the zone",
                "late",
                "TXT record not found",
            ],
        ),
        (
            "bogus.example",
            &["Validating resolvers refuse the zone", "DNSKEY", "overdue"],
        ),
        (
            "xn--bcher-kva.example",
            &["bücher.example", "<code>xn--bcher-kva.example</code>"],
        ),
        (
            "below.xn--bcher-kva.example",
            &[
                "The proof of <a href=\"/domains/xn--bcher-kva.example\">bücher.example</a> counts for it",
            ],
        ),
        (
            "stranger.example",
            &["At the CA and not in the inventory", "unmanaged"],
        ),
        ("new.example", &["The CA has not been asked yet"]),
        ("lapsed.example", &["expired", "it does not count"]),
    ] {
        let page = site.get(&format!("/domains/{path}")).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        for part in parts {
            assert!(page.has(part), "{path}: {part}\n{}", page.text);
        }
        assert!(!page.has("Try now"), "{path}: no user has signed in");
    }
    for (other, own) in [
        ("B%C3%BCcher.example", "xn--bcher-kva.example"),
        ("HELD.Example.", "held.example"),
    ] {
        let page = site.get(&format!("/domains/{other}")).await;
        assert_eq!(
            (page.status, page.header("location")),
            (StatusCode::SEE_OTHER, &*format!("/domains/{own}"))
        );
    }
    for unknown in [
        "unknown.example",
        "%00",
        "..%2f..%2fetc",
        "-",
        "a%20b.example",
        &"a.".repeat(200),
    ] {
        let page = site.get(&format!("/domains/{unknown}")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{unknown}");
        assert!(page.has("Unknown domain") && page.has("style.css"));
    }
}

#[tokio::test]
async fn foreign_text_is_shown_and_never_does_anything() {
    let site = Site::open(10).await;
    let mut shown = 0;
    for path in PAGES {
        let page = site.get(path).await;
        let scripts = page.text.to_lowercase().matches("<script").count();
        let ours = page.text.matches(SCRIPT).count();
        assert!(scripts == ours && ours <= 1, "{path}");
        assert!(
            !page
                .text
                .contains(|c: char| c != '\n' && c.is_control() || c == '\u{202e}'),
            "{path}"
        );
        shown += page
            .text
            .matches("&lt;script&gt;alert(1)&lt;/script&gt;\\u{1b}[31m\\u{202e}gnp.exe\\u{")
            .count();
    }
    assert!(
        shown >= 8,
        "the reason on three pages; status, words, doubt, reference, error, value, history: {shown}"
    );
    let page = site
        .get(&format!(
            "/domains?q={}",
            url::form_urlencoded::byte_serialize(EVIL.as_bytes()).collect::<String>()
        ))
        .await;
    assert!(
        page.has("value=\"&lt;script&gt;") && page.has("Nothing is found"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn no_page_takes_anything_from_elsewhere_and_each_says_so() {
    let site = Site::open(10).await;
    for path in PAGES.into_iter().chain(["/domains.csv", "/domains?page=0"]) {
        let page = site.get(path).await;
        // Only where there is something to copy, and only from here: nothing inside of a page runs.
        let policy = match page.has(SCRIPT) {
            true => {
                assert!(path.starts_with("/domains/"), "{path}");
                "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
            }
            false => {
                "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
            }
        };
        for (name, value) in [
            ("content-security-policy", policy),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(page.header(name), value, "{path}");
        }
        if path != "/domains.csv" {
            assert!(
                !page.has(" style=")
                    && !page.has(" onclick")
                    && !page.has("href=\"http")
                    && page.text.matches("src=").count() == page.text.matches(SCRIPT).count(),
                "{path}"
            );
            assert!(
                page.has("<html lang=\"en\">")
                    && page.has("<main id=\"content\"")
                    && page.has("href=\"#content\""),
                "{path}"
            );
            assert_eq!(page.text.matches("<h1>").count(), 1, "{path}");
        }
    }
    let page = site.get("/").await;
    let sheet = page
        .text
        .split("rel=\"stylesheet\" href=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let style = site.get(sheet).await;
    assert_eq!(
        (style.status, style.header("content-type")),
        (StatusCode::OK, "text/css; charset=utf-8")
    );
    assert_eq!(
        style.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    // Another machine of the fleet may be of another version: it must not be remembered under this
    // one's address.
    for other in [
        "/assets/style.css?v=0000000000000000",
        "/assets/style.css",
        &format!("{sheet}0"),
    ] {
        let style = site.get(other).await;
        assert_eq!(
            (style.status, style.header("cache-control")),
            (StatusCode::OK, "no-store"),
            "{other}"
        );
    }
    assert!(
        !style.has("http:") && !style.has("https:") && !style.has("@import") && !style.has("url(")
    );
    assert_eq!(
        site.get("/assets/..%2fpage.rs").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_store_that_is_gone_leaves_the_last_snapshot() {
    let site = Site::open(10).await;
    site.inventory.store.close().await;
    assert_eq!(site.get("/").await.status, StatusCode::OK);
    assert_eq!(site.get("/domains").await.status, StatusCode::OK);
    let page = site.get("/domains/held.example").await;
    assert_eq!(
        (page.status, page.header("retry-after")),
        (StatusCode::SERVICE_UNAVAILABLE, "5")
    );
    assert!(page.has("The store cannot be read now"), "{}", page.text);
}
