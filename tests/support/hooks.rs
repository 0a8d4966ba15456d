//! A daemon that takes hooks, and a sender that signs them: by the specification, not by the code
//! that is tested.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use prevalidate::clock::{Clock as _, SystemClock};
use sha2::Sha256;

use super::daemon::Daemon;

const KEY: [u8; 24] = *b"two dozen bytes, no more";

/// The sections of a daemon that takes hooks, and the environment that [`start`] gives it.
pub const SECTIONS: &str = "[server]\nlisten = \"127.0.0.1:0\"\n[[server.hook_key]]\nname = \"pipeline\"\nsecret = { env = \"HOOK_SECRET\" }\n";

/// Starts a daemon that takes hooks, with the senders that it accepts.
pub fn start(mut command: Command) -> (Daemon, Sender) {
    command.env("HOOK_SECRET", format!("whsec_{}", STANDARD.encode(KEY)));
    let daemon = Daemon::start(command);
    let url = format!("http://{}/hooks/dns", daemon.address());
    (
        daemon,
        Sender {
            url,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        },
    )
}

/// The sender that has the secret.
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
            let time = SystemClock.now().as_second();
            let mac = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
            let mac = mac
                .chain_update(format!("{id}.{time}.{body}"))
                .finalize()
                .into_bytes();
            let request = self
                .client
                .post(&self.url)
                .body(body.clone())
                .header("content-type", "application/json");
            let request = request
                .header("webhook-id", id)
                .header("webhook-timestamp", time);
            let answer = request
                .header("webhook-signature", format!("v1,{}", STANDARD.encode(mac)))
                .send()
                .await
                .unwrap();
            match answer.status().as_u16() {
                202 => return answer.json().await.unwrap(),
                429 => {
                    let wait = answer.headers()["retry-after"]
                        .to_str()
                        .unwrap()
                        .parse()
                        .unwrap();
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
                        let answer = sender
                            .send(&format!("storm-{run:x}-{n}"), &names[n % names.len()])
                            .await;
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
