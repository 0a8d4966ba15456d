//! Orders to a daemon at work, as a browser gives them: a check and a try by a user who may give
//! them, and by no other user. And that a daemon that other machines hear does not open up by a
//! reload.

use std::time::Duration;

use prevalidate::sandbox::ca::Call;
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use tokio::runtime::Runtime;

use super::world::{Setup, World};
use crate::support::certificate::Certificate;
use crate::support::daemon::Daemon;
use crate::support::name_server::write_secret;
use crate::support::{Keys, NameServer, Zone};

const READ: &str = "read-token-of-24-characters-x";
const OPERATE: &str = "operate-token-of-24-characters";
const TOKENS: &str = "[[server.token]]\nname = \"board\"\nrole = \"read\"\nsecret = { env = \"READ\" }\n\
                      [[server.token]]\nname = \"anna\"\nrole = \"operate\"\nsecret = { env = \"OPERATE\" }\n";

/// A browser without its screen.
struct Browser {
    origin: String,
    client: reqwest::Client,
    runtime: Runtime,
}

struct Page {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Page {
    fn header(&self, name: impl reqwest::header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Browser {
    fn at(origin: String) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .tls_danger_accept_invalid_certs(true);
        Self {
            origin,
            client: client.build().unwrap(),
            runtime: Runtime::new().unwrap(),
        }
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Page {
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            Page {
                status,
                headers,
                text: answer.text().await.unwrap(),
            }
        })
    }

    fn get(&self, path: &str, cookie: &str) -> Page {
        self.send(
            self.client
                .get(format!("{}{path}", self.origin))
                .header(COOKIE, cookie),
        )
    }

    fn post(&self, path: &str, cookie: &str, form: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = self
            .client
            .post(format!("{}{path}", self.origin))
            .header(COOKIE, cookie)
            .body(body);
        self.send(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded"))
    }

    /// The cookie of a new session, and the word that its forms repeat.
    fn sign_in(&self, token: &str) -> (String, String) {
        let page = self.post("/session", "", &[("token", token), ("next", "/")]);
        assert_eq!(
            (page.status, page.header(LOCATION)),
            (303, "/"),
            "{}",
            page.text
        );
        let cookie = page
            .header(SET_COOKIE)
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        let page = self.get("/", &cookie);
        let word = page
            .text
            .split("name=\"word\" value=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned();
        (cookie, word)
    }
}

fn serve(world: &World, setup: &Setup) -> Daemon {
    let mut command = world.command(setup, &["serve"]);
    command.env("READ", READ).env("OPERATE", OPERATE);
    Daemon::start(command)
}

#[test]
fn only_the_role_operate_orders_a_listing_and_a_try() {
    // What is an alias has no TXT of its own, so the domain waits for a person.
    let zone = Zone::new("a.test", "@ 3600 TXT \"v=spf1 -all\"\nwww CNAME elsewhere");
    let server = NameServer::bind(&[zone], &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    let mut setup = world.setup(&server, &["a.test"]);
    setup.domains = vec!["www.a.test".to_owned()];
    setup
        .more
        .push_str(&format!("[server]\nlisten = \"127.0.0.1:0\"\n{TOKENS}"));
    let mut daemon = serve(&world, &setup);
    daemon.hears("1 held");
    let browser = Browser::at(format!("http://{}", daemon.address()));
    let lists = || {
        world
            .ca
            .log()
            .iter()
            .filter(|request| request.call == Call::List)
            .count()
    };
    let before = (lists(), world.ca.log().len());
    assert_eq!(before.0, 1, "one listing, and the next in six hours");

    let (reader, reader_word) = browser.sign_in(READ);
    let (operator, word) = browser.sign_in(OPERATE);
    let page = browser.get("/", &operator).text;
    let client = page
        .split("name=\"client\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let (check, attempt) = ("/clients/look", "/domains/www.a.test/try");
    for path in [check, attempt] {
        for (cookie, word, status) in [
            ("", &word, 303),
            (&reader, &reader_word, 403),
            (&reader, &word, 403),
            (&operator, &reader_word, 403),
        ] {
            assert_eq!(
                browser
                    .post(path, cookie, &[("word", word), ("client", &client)])
                    .status,
                status,
                "{path}"
            );
        }
        let bearer = browser
            .client
            .post(format!("{}{path}", browser.origin))
            .bearer_auth(OPERATE);
        assert_eq!(
            browser.send(bearer).status,
            400,
            "a program has no session, and no form"
        );
        let elsewhere = browser
            .client
            .post(format!("{}{path}", browser.origin))
            .header(COOKIE, &operator);
        let elsewhere = elsewhere
            .header("sec-fetch-site", "cross-site")
            .header("origin", "https://evil.example");
        let elsewhere = elsewhere.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        assert_eq!(
            browser
                .send(elsewhere.body(format!("word={word}&client={client}")))
                .status,
            403
        );
    }
    assert_eq!(
        (lists(), world.ca.log().len()),
        before,
        "none of it had an effect"
    );

    let page = browser.post(check, &operator, &[("word", &word), ("client", &client)]);
    assert_eq!(
        (page.status, page.header(LOCATION)),
        (303, "/?note=looking")
    );
    assert!(
        browser
            .get("/?note=looking", &operator)
            .text
            .contains("The CA is asked now")
    );
    daemon.says(&["a listing was ordered", "anna"]);
    wait(&daemon, "the listing", || lists() == 2);

    // It is repaired, and only the person who did it knows.
    server.nsupdate("update delete www.a.test. CNAME\nupdate add www.a.test. 60 A 192.0.2.1");
    let page = browser.post(attempt, &operator, &[("word", &word)]);
    assert_eq!(
        (page.status, page.header(LOCATION)),
        (303, "/domains/www.a.test?note=tried")
    );
    daemon.says(&["a try was ordered", "anna"]);
    daemon.says(&["removed", "www.a.test"]);
    assert_eq!(world.ca.domain("www.a.test").unwrap().status, "VALID");
    assert_eq!(
        world
            .calls_about("www.a.test")
            .iter()
            .filter(|call| **call == Call::Validate)
            .count(),
        1
    );
    let page = browser.get("/domains/www.a.test", &reader).text;
    assert!(
        page.contains("a try at once, by hand")
            && page.contains("page/anna")
            && !page.contains("Try now")
    );
    daemon.stop();
}

#[track_caller]
fn wait(daemon: &Daemon, what: &str, mut is_so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{what} does not come:\n{}",
            daemon.said()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The socket stays where it is until the process is started again, so what other machines may not
/// have stays refused.
#[test]
fn a_reload_that_would_open_what_other_machines_hear_is_refused() {
    let server = NameServer::bind(&[Zone::new("a.test", "")], &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    let certificate = Certificate::issue(&world.path("root.pem"), "DNS:localhost");
    let key = world.path("server.key");
    write_secret(&key, &std::fs::read_to_string(&certificate.key).unwrap());
    let tls = format!(
        "tls = {{ certificate = {:?}, key = {key:?} }}\n",
        certificate.signed
    );
    let plain = world.setup(&server, &["a.test"]);
    let with = |more: &str| Setup {
        more: format!("{}{more}", plain.more),
        ..plain.clone()
    };
    let mut daemon = serve(
        &world,
        &with(&format!("[server]\nlisten = \"0.0.0.0:0\"\n{tls}{TOKENS}")),
    );
    let port = daemon.address().port();
    let by_tls = Browser::at(format!("https://127.0.0.1:{port}"));
    let (reader, _) = by_tls.sign_in(READ);
    assert!(reader.starts_with("__Host-"), "{reader}");
    for (section, open) in [
        (
            "[server]\nlisten = \"127.0.0.1:0\"\n".to_owned(),
            "no tokens, in clear",
        ),
        (
            format!("[server]\nlisten = \"127.0.0.1:0\"\n{TOKENS}"),
            "tokens in clear",
        ),
        (
            format!("[server]\nlisten = \"127.0.0.1:0\"\n{tls}"),
            "no tokens",
        ),
        (String::new(), "nothing at all"),
    ] {
        world.write_config(&with(&section));
        daemon.signal("-HUP");
        daemon.says(&["server.listen", "started again"]);
        daemon.says(&["not reloaded"]);
        let page = by_tls.get("/api/v1/overview", "");
        assert_eq!(page.status, 401, "{open}: {}", page.text);
        assert_eq!(by_tls.get("/", &reader).status, 200);
    }
    // Another one that is as closed is taken over.
    world.write_config(&with(&format!(
        "[server]\nlisten = \"0.0.0.0:0\"\n{tls}{}",
        TOKENS.replace("board", "wall")
    )));
    daemon.signal("-HUP");
    daemon.says(&["reloaded"]);
    assert_eq!(
        by_tls.get("/", &reader).status,
        303,
        "the token that the session began with is gone"
    );
    daemon.stop();
}
