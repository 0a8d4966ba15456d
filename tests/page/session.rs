//! From a token to a session, and what may be ordered in one.

use axum::body::Body;
use axum::http::StatusCode;
use jiff::SignedDuration;
use prevalidate::prevalidation::Sighting;
use prevalidate::server::access::{Access, Role};
use prevalidate::server::shared::Live;
use prevalidate::store::Claim;

use super::{HOOK, OPERATE, Page, READ, Site, filled, filled_in, tokens};
use crate::support::inventory::name;

impl Site {
    /// Signs in, and gives the cookie.
    async fn sign_in(&self, token: &str) -> String {
        let page = self
            .post("/session", "", &[("token", token), ("next", "/")])
            .await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        page.header("set-cookie")
            .split(';')
            .next()
            .unwrap()
            .to_owned()
    }

    /// The word that the forms of a session repeat.
    async fn word(&self, cookie: &str) -> String {
        self.get_as("/", cookie)
            .await
            .text
            .split("name=\"word\" value=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    }

    fn reload(&self, access: Access) {
        let live = Live {
            access,
            ..(*self.shared.live()).clone()
        };
        self.shared.reload(live);
    }
}

fn leads_to_login(page: &Page) -> bool {
    page.status == StatusCode::SEE_OTHER && page.header("location").starts_with("/session?next=")
}

#[tokio::test]
async fn a_client_without_a_token_sees_the_login_and_comes_back() {
    let site = Site::of(10, tokens()).await;
    for path in [
        "/",
        "/domains?q=a&state=valid",
        "/domains.csv",
        "/domains/held.example",
    ] {
        let page = site.get(path).await;
        assert!(leads_to_login(&page) && page.text.is_empty(), "{path}");
        let login = site.get(page.header("location")).await;
        assert!(
            login.has("for=\"token\"")
                && login.has("ask the administrator of this service")
                && login.has(&format!(
                    "name=\"next\" value=\"{}\"",
                    path.replace('&', "&amp;")
                ))
        );
        let inside = site
            .post("/session", "", &[("token", OPERATE), ("next", path)])
            .await;
        assert_eq!(
            (inside.status, inside.header("location")),
            (StatusCode::SEE_OTHER, path)
        );
    }
    let bearer = |token: &str| {
        axum::http::Request::get("/")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap()
    };
    assert_eq!(
        site.ask(bearer(READ)).await.status,
        StatusCode::OK,
        "programs may read, too"
    );
    assert_eq!(site.ask(bearer(HOOK)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        site.ask(bearer("something-else-of-24-characters"))
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_login_leads_nowhere_but_into_these_pages() {
    let site = Site::of(0, tokens()).await;
    for next in [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "/a\r\nset-cookie: x=y",
        "evil",
    ] {
        let page = site
            .post("/session", "", &[("token", READ), ("next", next)])
            .await;
        assert_eq!(
            (page.status, page.header("location")),
            (StatusCode::SEE_OTHER, "/"),
            "{next}"
        );
        let query = url::form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>();
        assert!(
            site.get(&format!("/session?next={query}"))
                .await
                .has("name=\"next\" value=\"/\""),
            "{next}"
        );
    }
}

#[tokio::test]
async fn a_session_is_a_cookie_that_ends_with_the_day_and_with_its_token() {
    let site = Site::of(10, tokens()).await;
    let page = site
        .post(
            "/session",
            "",
            &[("token", &format!(" {OPERATE}\n")), ("next", "/")],
        )
        .await;
    let cookie = page.header("set-cookie");
    assert!(
        cookie.starts_with("prevalidate_session=")
            && cookie.ends_with("; Path=/; Max-Age=28800; HttpOnly; SameSite=Strict"),
        "{cookie}"
    );
    assert!(!cookie.contains(OPERATE));
    let cookie = cookie.split(';').next().unwrap();
    let page = site.get_as("/", cookie).await;
    assert!(page.has("anna · operate") && page.has("Sign out") && page.has("List now"));
    let page = site.get_as("/domains/unknown.example", cookie).await;
    assert!(
        page.has("Unknown domain") && page.has("anna · operate") && page.has("Sign out"),
        "an error keeps the session: {}",
        page.text
    );

    let value = cookie.split_once('=').unwrap().1;
    let parts: Vec<&str> = value.split('.').collect();
    let forged = [
        format!("prevalidate_session={value}x"),
        format!("prevalidate_session={}", &value[..value.len() - 1]),
        format!("prevalidate_session=9999999999.{}", parts[1..].join(".")),
        // The name of another token: base64 of `board`.
        format!(
            "prevalidate_session={}.{}.Ym9hcmQ.{}",
            parts[0], parts[1], parts[3]
        ),
        "prevalidate_session=".to_owned(),
        "prevalidate_session=....".to_owned(),
        format!("other={value}"),
        format!("prevalidate_session={}", "A.".repeat(5_000)),
    ];
    for forged in &forged {
        assert!(leads_to_login(&site.get_as("/", forged).await), "{forged}");
    }
    assert_eq!(
        site.get_as("/", &format!("a=b; {}; {cookie}", forged[0]))
            .await
            .status,
        StatusCode::OK
    );

    // Another machine of the fleet takes it, with its own memory and the same token.
    let other = Site::of(0, tokens()).await;
    assert_eq!(other.get_as("/", cookie).await.status, StatusCode::OK);
    // The same name for another token, another role for the same, no token any more.
    let with = |role, token: &str| {
        let mut access = Access::new(true);
        access.add("anna", role, &token.into()).unwrap();
        access
    };
    for (access, stays) in [
        (with(Role::Operate, "a-new-token-of-24-characters-x"), false),
        (with(Role::Read, OPERATE), true),
        (with(Role::Hook, OPERATE), false),
        (Access::default(), false),
        (tokens(), true),
    ] {
        site.reload(access);
        assert_eq!(
            site.get_as("/", cookie).await.status == StatusCode::OK,
            stays
        );
    }
    site.inventory
        .clock
        .advance(SignedDuration::from_hours(8) - SignedDuration::from_secs(1));
    assert_eq!(site.get_as("/", cookie).await.status, StatusCode::OK);
    site.inventory.clock.advance(SignedDuration::from_secs(1));
    assert!(leads_to_login(&site.get_as("/", cookie).await));
}

#[tokio::test]
async fn behind_a_proxy_with_tls_the_cookie_goes_over_tls_only() {
    let site = Site::of(10, tokens()).await;
    let login = [("token", READ), ("next", "/")];
    for (scheme, secure) in [
        ("https", true),
        ("HTTPS", true),
        ("http", false),
        ("https, http", false),
    ] {
        let request = filled_in("/session", "", &login)
            .header("x-forwarded-proto", scheme)
            .body(filled(&login))
            .unwrap();
        let page = site.ask(request).await;
        let cookie = page.header("set-cookie");
        let name = if secure {
            "__Host-prevalidate_session="
        } else {
            "prevalidate_session="
        };
        assert_eq!(
            (cookie.starts_with(name), cookie.ends_with("; Secure")),
            (true, secure),
            "{scheme}: {cookie}"
        );
        assert_eq!(
            site.get_as("/", cookie.split(';').next().unwrap())
                .await
                .status,
            StatusCode::OK
        );
    }
}

#[tokio::test]
async fn signing_out_makes_the_browser_forget_and_needs_its_own_session() {
    let site = Site::of(0, tokens()).await;
    let cookie = site.sign_in(READ).await;
    assert_eq!(
        site.post("/session/end", &cookie, &[("word", "x")])
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    let page = site
        .post(
            "/session/end",
            &cookie,
            &[("word", &site.word(&cookie).await)],
        )
        .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert!(
        page.header("set-cookie")
            .starts_with("prevalidate_session=; Path=/; Max-Age=0;")
    );
}

#[tokio::test]
async fn a_wrong_token_is_refused_never_shown_and_tried_ten_times() {
    let site = Site::of(0, tokens()).await;
    for number in 0..10 {
        let wrong = format!("wrong-token-of-24-characters-{number}");
        let page = site
            .post("/session", "", &[("token", &wrong), ("next", "/")])
            .await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED);
        assert!(
            page.has("not known here")
                && page.has("role=\"alert\"")
                && !page.has(&wrong)
                && page.header("set-cookie").is_empty()
        );
    }
    let page = site
        .post("/session", "", &[("token", OPERATE), ("next", "/")])
        .await;
    assert_eq!(
        (page.status, page.header("retry-after")),
        (StatusCode::TOO_MANY_REQUESTS, "6")
    );
    assert!(page.header("set-cookie").is_empty());

    let site = Site::of(0, tokens()).await;
    let page = site
        .post("/session", "", &[("token", HOOK), ("next", "/")])
        .await;
    assert!(page.status == StatusCode::FORBIDDEN && page.has("for hooks"));
    assert_eq!(
        site.post("/session", "", &[("nothing", "")]).await.status,
        StatusCode::BAD_REQUEST
    );
    let long = "a".repeat(1 << 20);
    assert_eq!(
        site.post("/session", "", &[("token", &long)]).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn orders_need_the_role_the_session_its_word_and_our_own_page() {
    let site = Site::of(10, tokens()).await;
    let (reader, operator) = (site.sign_in(READ).await, site.sign_in(OPERATE).await);
    let (reader_word, word) = (site.word(&reader).await, site.word(&operator).await);
    let again = site.word(&site.sign_in(OPERATE).await).await;
    let client = site.inventory.targets[0].key.clone();
    let paths = ["/domains/held.example/try", "/clients/look"];
    let before = format!(
        "{:?}",
        site.inventory
            .store
            .domain(&name("held.example").into())
            .await
            .unwrap()
    );
    for path in paths {
        for (cookie, word, status) in [
            ("", "", StatusCode::SEE_OTHER),
            (&*reader, &*reader_word, StatusCode::FORBIDDEN),
            (&reader, &word, StatusCode::FORBIDDEN),
            (&operator, "", StatusCode::FORBIDDEN),
            (&operator, &reader_word, StatusCode::FORBIDDEN),
            (&operator, &again, StatusCode::FORBIDDEN),
        ] {
            let page = site
                .post(path, cookie, &[("word", word), ("client", &client)])
                .await;
            assert_eq!(page.status, status, "{path} {word}");
        }
        for from in ["cross-site", "same-site"] {
            let form = [("word", &*word), ("client", &*client)];
            let request = filled_in(path, &operator, &form)
                .header("sec-fetch-site", from)
                .body(filled(&form))
                .unwrap();
            assert_eq!(
                site.ask(request).await.status,
                StatusCode::FORBIDDEN,
                "{from}"
            );
        }
        let request =
            axum::http::Request::post(path).header("authorization", format!("Bearer {OPERATE}"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let page = site
            .ask(
                request
                    .body(filled(&[("word", &word), ("client", &client)]))
                    .unwrap(),
            )
            .await;
        assert_eq!(
            page.status,
            StatusCode::FORBIDDEN,
            "programs have no session"
        );
        assert_eq!(
            site.get_as(path, &operator).await.status,
            StatusCode::METHOD_NOT_ALLOWED
        );
    }
    assert_eq!(
        format!(
            "{:?}",
            site.inventory
                .store
                .domain(&name("held.example").into())
                .await
                .unwrap()
        ),
        before
    );
    assert!(site.shared.take_ordered_listings().is_empty());
    assert!(!site.get_as("/", &reader).await.has("List now"));
    assert!(
        !site
            .get_as("/domains/held.example", &reader)
            .await
            .has("Try now")
    );
}

#[tokio::test]
async fn try_now_takes_a_held_domain_up_again_at_once() {
    let site = Site::of(10, tokens()).await;
    let cookie = site.sign_in(OPERATE).await;
    let word = site.word(&cookie).await;
    let held = name("held.example");
    assert!(
        site.get_as("/domains/held.example", &cookie)
            .await
            .has("Try now")
    );
    let woken = site.shared.wake.notified();
    let page = site
        .post("/domains/held.example/try", &cookie, &[("word", &word)])
        .await;
    assert_eq!(
        (page.status, page.header("location")),
        (StatusCode::SEE_OTHER, "/domains/held.example?note=tried")
    );
    woken.await;
    let row = site
        .inventory
        .store
        .domain(&held.clone().into())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (row.upkeep.setback.hold, row.upkeep.setback.not_before),
        (None, None)
    );
    assert_eq!(row.due_at, Some("2026-11-22T12:00:00Z".parse().unwrap()));
    assert!(
        row.upkeep.attempt.since.is_some() && matches!(row.sighting, Sighting::Present(_)),
        "nothing else is forgotten"
    );
    let page = site
        .get_as("/domains/held.example?note=tried", &cookie)
        .await;
    assert!(
        page.has("Retry started") && page.has("a try at once, by hand") && page.has("page/anna"),
        "{}",
        page.text
    );
    assert!(
        !site
            .get_as("/domains/held.example?note=%3Cb%3E", &cookie)
            .await
            .has("<p class=\"note\"")
    );

    // While a worker works on it, it is only said to be due again.
    let only = [held.clone().into()];
    let claim = Claim {
        holder: "serve",
        now: "2026-11-22T12:00:00Z".parse().unwrap(),
        lease: SignedDuration::from_mins(5),
        limit: 1,
        only: Some(&only),
        except_clients: &[],
    };
    assert_eq!(site.inventory.store.claim(&claim).await.unwrap().len(), 1);
    for (domain, note) in [
        ("held.example", "busy"),
        ("new.example", "unread"),
        ("withdrawn.example", "withdrawn"),
        ("marke2.test", "tried"),
    ] {
        let page = site
            .post(
                &format!("/domains/{domain}/try"),
                &cookie,
                &[("word", &word)],
            )
            .await;
        assert_eq!(
            page.header("location"),
            format!("/domains/{domain}?note={note}")
        );
    }
    let withdrawn = site
        .inventory
        .store
        .domain(&name("withdrawn.example").into())
        .await
        .unwrap()
        .unwrap();
    assert!(withdrawn.upkeep.withdrawn_at.is_some() && withdrawn.upkeep.setback.hold.is_some());
    for unknown in ["unknown.example", "stranger.example", "%3Cb%3E"] {
        let page = site
            .post(
                &format!("/domains/{unknown}/try"),
                &cookie,
                &[("word", &word)],
            )
            .await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{unknown}");
    }
}

#[tokio::test]
async fn list_now_orders_a_listing_of_one_client() {
    let site = Site::of(10, tokens()).await;
    let cookie = site.sign_in(OPERATE).await;
    let word = site.word(&cookie).await;
    let client = &site.inventory.targets[1].key;
    let woken = site.shared.wake.notified();
    let page = site
        .post(
            "/clients/look",
            &cookie,
            &[("word", &word), ("client", client)],
        )
        .await;
    assert_eq!(
        (page.status, page.header("location")),
        (StatusCode::SEE_OTHER, "/?note=looking")
    );
    woken.await;
    assert_eq!(
        Vec::from_iter(site.shared.take_ordered_listings()),
        std::slice::from_ref(client)
    );
    assert!(
        site.get_as("/?note=looking", &cookie)
            .await
            .has("The CA is asked now")
    );
    let page = site
        .post(
            "/clients/look",
            &cookie,
            &[("word", &word), ("client", "swisssign/Unknown")],
        )
        .await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn behind_tls_only_the_cookie_that_no_neighbour_can_set_counts_and_junk_hides_none() {
    let site = Site::of(3, tokens()).await;
    let plain = site.sign_in(OPERATE).await;
    let value = plain.split_once('=').unwrap().1;
    let junk = "prevalidate_session=x; __Host-prevalidate_session=y; ".repeat(5);
    assert_eq!(
        site.get_as("/", &format!("{junk}{plain}")).await.status,
        StatusCode::OK
    );
    let by_tls = |cookie: String| {
        let request = axum::http::Request::get("/")
            .header("cookie", cookie)
            .header("x-forwarded-proto", "https");
        site.ask(request.body(Body::empty()).unwrap())
    };
    assert!(leads_to_login(&by_tls(plain.clone()).await));
    let secure = format!("{junk}__Host-prevalidate_session={value}");
    assert_eq!(by_tls(secure).await.status, StatusCode::OK);
}
