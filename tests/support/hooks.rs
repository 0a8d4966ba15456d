//! A daemon that takes hooks, and a sender that signs them: by the specification, not by the code that is tested.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

const KEY: [u8; 24] = *b"two dozen bytes, no more";

/// The sections of a daemon that takes hooks; its secret is in the environment that [`Daemon::start`] gives it.
pub const SECTIONS: &str = "[server]\nlisten = \"127.0.0.1:0\"\n[[server.hook_key]]\nname = \"pipeline\"\nsecret = { env = \"HOOK_SECRET\" }\n";

/// `prevalidate serve`, killed when dropped.
pub struct Daemon {
    child: Child,
    url: String,
    said: Arc<Mutex<String>>,
}

impl Daemon {
    /// Starts `command` and returns when it listens.
    pub fn start(mut command: Command) -> Self {
        command.env("HOOK_SECRET", format!("whsec_{}", STANDARD.encode(KEY)));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let address =
                line.contains("listens").then(|| line.split("127.0.0.1:").nth(1).map(str::to_owned)).flatten();
            *said.lock().unwrap() += &(line + "\n");
            address
        });
        let address = address.unwrap_or_else(|| panic!("does not listen:\n{}", said.lock().unwrap()));
        let port: String = address.chars().take_while(char::is_ascii_digit).collect();
        let heard = Arc::clone(&said);
        std::thread::spawn(move || lines.for_each(|line| *heard.lock().unwrap() += &(line + "\n")));
        Self { child, url: format!("http://127.0.0.1:{port}/hooks/dns"), said }
    }

    /// Everything it has said.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub fn sender(&self) -> Sender {
        Sender { url: self.url.clone(), client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who has the secret.
#[derive(Clone)]
pub struct Sender {
    url: String,
    client: reqwest::Client,
}

impl Sender {
    /// Sends one hook about `name`; a sender that is held back sends the same message again.
    pub async fn send(&self, id: &str, name: &str) -> serde_json::Value {
        let body = serde_json::json!({ "names": [name] }).to_string();
        loop {
            let time = Timestamp::now().as_second();
            let mac = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
            let mac = mac.chain_update(format!("{id}.{time}.{body}")).finalize().into_bytes();
            let request = self.client.post(&self.url).body(body.clone()).header("content-type", "application/json");
            let request = request.header("webhook-id", id).header("webhook-timestamp", time);
            let answer =
                request.header("webhook-signature", format!("v1,{}", STANDARD.encode(mac))).send().await.unwrap();
            match answer.status().as_u16() {
                202 => return answer.json().await.unwrap(),
                429 => {
                    let wait = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
                    tokio::time::sleep(Duration::from_secs(wait)).await;
                }
                status => panic!("{status}: {}", answer.text().await.unwrap()),
            }
        }
    }

    /// Sends `count` hooks, about each of `names` in turn, some at once.
    pub async fn storm(&self, names: &[String], count: usize) {
        const AT_ONCE: usize = 16;
        let (next, names) = (Arc::new(AtomicUsize::new(0)), Arc::new(names.to_vec()));
        let run = rand::random::<u64>();
        let senders: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (sender, next, names) = (self.clone(), Arc::clone(&next), Arc::clone(&names));
                tokio::spawn(async move {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= count {
                            break;
                        }
                        let answer = sender.send(&format!("storm-{run:x}-{n}"), &names[n % names.len()]).await;
                        assert_eq!(answer["domains"], 1, "{answer}");
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.await.unwrap();
        }
    }
}
