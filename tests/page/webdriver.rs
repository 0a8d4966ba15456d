//! A browser driven by the WebDriver protocol (W3C, https://www.w3.org/TR/webdriver2/): the little
//! of it that a walk needs.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::ports::Port;
use crate::support::process::{Process, find};

/// A headless Chromium, gone when dropped.
pub struct Browser {
    http: reqwest::Client,
    session: String,
    // In the order in which they are dropped: the driver ends its browser, which lives in the
    // folder.
    _driver: Process,
    _folder: TempDir,
    _port: Port,
}

/// What an element is called in an answer (section 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

impl Browser {
    /// Starts driver and browser; what the browser logs and asks for is kept for
    /// [`Browser::console`] and [`Browser::requests`].
    pub async fn start() -> Self {
        let folder = TempDir::with_prefix("prevalidate-browser-").unwrap();
        let port = Port::take();
        let mut driver = Command::new(find("chromedriver"));
        driver.arg(format!("--port={}", port.address().port()));
        let driver = Process::start(driver, folder.path());
        let (http, root) = (
            reqwest::Client::builder().no_proxy().build().unwrap(),
            format!("http://{}", port.address()),
        );
        let deadline = Instant::now() + Duration::from_secs(60);
        while http.get(format!("{root}/status")).send().await.is_err() {
            assert!(Instant::now() < deadline, "chromedriver does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let profile = folder.path().join("profile");
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {
                "binary": find("chromium"),
                "args": [
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage", "--force-color-profile=srgb",
                    "--disable-background-networking", "--no-first-run", format!("--user-data-dir={}", profile.display()),
                ],
            },
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "timeouts": {"script": 120_000},
        }}});
        let answer: Value = http
            .post(format!("{root}/session"))
            .json(&capabilities)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let id = answer["value"]["sessionId"]
            .as_str()
            .unwrap_or_else(|| panic!("no session: {answer}"));
        Self {
            session: format!("{root}/session/{id}"),
            http,
            _driver: driver,
            _folder: folder,
            _port: port,
        }
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        let answer = self
            .http
            .post(format!("{}/{path}", self.session))
            .json(&body)
            .send()
            .await
            .unwrap();
        let mut answer: Value = answer.json().await.unwrap();
        assert!(
            answer["value"]["error"].is_null(),
            "{path} {body}: {answer}"
        );
        answer["value"].take()
    }

    async fn ask(&self, path: &str) -> Value {
        let answer = self
            .http
            .get(format!("{}/{path}", self.session))
            .send()
            .await
            .unwrap();
        answer.json::<Value>().await.unwrap()["value"].take()
    }

    pub async fn open(&self, url: &str) {
        self.command("url", json!({"url": url})).await;
    }

    /// The first element of a CSS selector; panics when there is none.
    async fn element(&self, css: &str) -> String {
        let found = self
            .command("element", json!({"using": "css selector", "value": css}))
            .await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    pub async fn click(&self, css: &str) {
        let element = self.element(css).await;
        self.command(&format!("element/{element}/click"), json!({}))
            .await;
    }

    pub async fn link(&self, text: &str) {
        let found = self
            .command("element", json!({"using": "link text", "value": text}))
            .await;
        self.command(
            &format!("element/{}/click", found[ELEMENT].as_str().unwrap()),
            json!({}),
        )
        .await;
    }

    pub async fn write(&self, css: &str, text: &str) {
        let element = self.element(css).await;
        self.command(&format!("element/{element}/value"), json!({"text": text}))
            .await;
    }

    /// A key without a place: it goes where the focus is. Codes of section 17.4.2.
    pub async fn press(&self, key: &str) {
        let keys = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        self.command(
            "actions",
            json!({"actions": [{"type": "key", "id": "keyboard", "actions": keys}]}),
        )
        .await;
    }

    pub async fn text(&self, css: &str) -> String {
        let element = self.element(css).await;
        self.ask(&format!("element/{element}/text"))
            .await
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Runs a script in the page and gives its value; the page's own policy does not bind the
    /// driver.
    pub async fn run(&self, script: &str) -> Value {
        self.command("execute/sync", json!({"script": script, "args": []}))
            .await
    }

    /// The same for a page that may go away meanwhile: then what the driver says about that.
    pub async fn try_run(&self, script: &str) -> Value {
        let body = json!({"script": script, "args": []});
        let answer = self
            .http
            .post(format!("{}/execute/sync", self.session))
            .json(&body)
            .send()
            .await
            .unwrap();
        answer.json::<Value>().await.unwrap()["value"].take()
    }

    /// [`run`](Self::run) for a script that calls `arguments[0]` when it is done.
    pub async fn run_async(&self, script: &str) -> Value {
        self.command("execute/async", json!({"script": script, "args": []}))
            .await
    }

    /// A window of this size, in light or dark.
    pub async fn show_as(&self, width: u32, height: u32, scheme: &str) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    async fn devtools(&self, name: &str, params: Value) -> Value {
        self.command("goog/cdp/execute", json!({"cmd": name, "params": params}))
            .await
    }

    /// The whole page as an image.
    pub async fn screenshot(&self, path: &Path) {
        let shot = self
            .devtools(
                "Page.captureScreenshot",
                json!({"captureBeyondViewport": true}),
            )
            .await;
        std::fs::write(
            path,
            STANDARD.decode(shot["data"].as_str().unwrap()).unwrap(),
        )
        .unwrap();
    }

    /// What was in the console since this was asked last.
    pub async fn console(&self) -> Vec<String> {
        let lines = self.command("se/log", json!({"type": "browser"})).await;
        lines
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Everything that was asked for since this was asked last.
    pub async fn requests(&self) -> Vec<String> {
        let lines = self.command("se/log", json!({"type": "performance"})).await;
        let events = lines
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line["message"].as_str().unwrap());
        let events =
            events.map(|event| serde_json::from_str::<Value>(event).unwrap()["message"].take());
        let requests = events.filter(|event| event["method"] == "Network.requestWillBeSent");
        requests
            .map(|event| {
                event["params"]["request"]["url"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }
}
