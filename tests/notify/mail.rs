//! Mail, with a server that insists on TLS and on a login.

use std::fs;
use std::net::TcpStream;
use std::process::Command;

use prevalidate::notify::carrier::door::Door;
use prevalidate::notify::carrier::mail::{Begin, Letter, Mail};
use prevalidate::notify::{Carrier, Failure, Notice};
use tempfile::TempDir;
use url::Host;

use super::{notice, secret};
use crate::support::certificate::Certificate;
use crate::support::ports::Port;
use crate::support::process::{self, Process};

const PASSWORD: &str = "c4n4ry-of-the-mail-server";

struct Server {
    port: Port,
    certificate: Certificate,
    folder: TempDir,
    _process: Process,
}

impl Server {
    fn start(mode: &str) -> Self {
        let folder = TempDir::with_prefix("prevalidate-mail-").unwrap();
        let certificate = Certificate::issue(
            &folder.path().join("root.crt"),
            "DNS:localhost, IP:127.0.0.1",
        );
        let port = Port::take();
        let mut command = Command::new(process::tool("python"));
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/notify/smtp.py"));
        command.args([&port.address().port().to_string(), mode]);
        command
            .args([&certificate.signed, &certificate.key])
            .arg(folder.path())
            .args(["prevalidate", PASSWORD]);
        let mut process = Process::start(command, folder.path());
        while TcpStream::connect(port.address()).is_err() {
            let said = || fs::read_to_string(folder.path().join("output")).unwrap_or_default();
            assert!(!process.ended(), "the mail server has ended: {}", said());
            std::thread::yield_now();
        }
        Self {
            port,
            certificate,
            folder,
            _process: process,
        }
    }

    fn mail(&self, tls: Begin, password: &str) -> Mail {
        let letter = Letter {
            host: Host::Domain("localhost".to_owned()),
            port: self.port.address().port(),
            tls,
            login: Some((
                "prevalidate".to_owned(),
                secret(self.folder.path(), "password", password),
            )),
            from: "Prevalidate <prevalidate@example.ch>".parse().unwrap(),
            to: ["pki@example.ch", "Zweite <second@example.ch>"]
                .map(|to| to.parse().unwrap())
                .into(),
        };
        Mail {
            letter,
            door: loopback(),
            ca_file: Some(self.certificate.root.clone()),
        }
    }

    /// The messages that arrived, in order.
    fn kept(&self) -> Vec<String> {
        let path = |number: usize| self.folder.path().join(format!("{number}.eml"));
        (1..)
            .map(path)
            .take_while(|path| path.is_file())
            .map(|path| fs::read_to_string(path).unwrap())
            .collect()
    }
}

/// `localhost` has an IPv6 address on some machines, without a listener.
fn loopback() -> Door {
    Door::with(
        true,
        std::sync::Arc::new(|_| Box::pin(async { Ok(vec!["127.0.0.1".parse().unwrap()]) })),
    )
}

fn send(mail: &Mail, notice: &Notice) -> Result<(), Failure> {
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(mail.carry(notice))
}

#[test]
fn a_mail_goes_to_all_recipients_over_tls_however_that_begins() {
    for (mode, tls) in [("starttls", Begin::StartTls), ("implicit", Begin::Implicit)] {
        let server = Server::start(mode);
        let mut notice = notice();
        notice.text.push_str("  déjà.vu.com: it waits\n");
        send(&server.mail(tls, PASSWORD), &notice).unwrap();
        let [mail] = &server.kept()[..] else {
            panic!("one mail")
        };
        assert!(
            mail.starts_with("tls=True to=pki@example.ch,second@example.ch\n"),
            "{mail}"
        );
        let id = format!("Message-ID: <{}@example.ch>", notice.id);
        for line in [
            "From: \"Prevalidate\" <prevalidate@example.ch>",
            "To: pki@example.ch, \"Zweite\" <second@example.ch>",
            "Subject: prevalidate: a test message",
            "Date: Sun, 22 Nov 2026 12:00:00 +0000",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
            &id,
        ] {
            let found = mail
                .lines()
                .any(|found| found == line || found.replace('"', "") == line.replace('"', ""));
            assert!(found, "{line}\n{mail}");
        }
        assert!(
            mail.contains("messages of prevalidate reach you here"),
            "{mail}"
        );
    }
}

#[test]
fn an_address_that_swallows_connections_keeps_no_mail_from_the_next_one() {
    let server = Server::start("starttls");
    let port = server.port.address().port();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _silent = runtime.block_on(full_at(([127, 0, 0, 2], port).into()));
    let both = ["127.0.0.2", "127.0.0.1"].map(|text| text.parse().unwrap());
    let lookup = move |_| Box::pin(async move { Ok(both.to_vec()) }) as _;
    let mail = Mail {
        door: Door::with(true, std::sync::Arc::new(lookup)),
        ..server.mail(Begin::StartTls, PASSWORD)
    };
    send(&mail, &notice()).unwrap();
    assert_eq!(server.kept().len(), 1);
}

/// A listener whose queue is full: it swallows further connections.
async fn full_at(address: std::net::SocketAddr) -> impl Sized {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut held = Vec::new();
    let moment = std::time::Duration::from_millis(200);
    while let Ok(stream) =
        tokio::time::timeout(moment, tokio::net::TcpStream::connect(address)).await
    {
        held.push(stream.unwrap());
    }
    (listener, held)
}

#[test]
fn nothing_is_sent_without_tls_or_to_a_foreign_certificate() {
    let plain = Server::start("plain");
    let failure = send(&plain.mail(Begin::StartTls, PASSWORD), &notice()).unwrap_err();
    assert!(
        !failure.is_open && failure.message.contains("STARTTLS"),
        "{failure:?}"
    );
    let strange = Server::start("starttls");
    for tls in [Begin::StartTls, Begin::Implicit] {
        let mail = Mail {
            ca_file: Some(plain.certificate.root.clone()),
            ..strange.mail(tls, PASSWORD)
        };
        let failure = send(&mail, &notice()).unwrap_err();
        assert!(
            failure.message.starts_with("mail server localhost:"),
            "{failure:?}"
        );
    }
    let mail = Mail {
        ca_file: Some(plain.folder.path().join("none.pem")),
        ..strange.mail(Begin::StartTls, PASSWORD)
    };
    assert!(
        send(&mail, &notice())
            .unwrap_err()
            .message
            .contains("none.pem cannot be read")
    );
    assert_eq!((plain.kept(), strange.kept()), (vec![], vec![]));
}

#[test]
fn a_refused_login_is_told_in_the_words_of_the_server_and_without_the_password() {
    let server = Server::start("starttls");
    let wrong = "another-c4n4ry-altogether";
    let failure = send(&server.mail(Begin::StartTls, wrong), &notice()).unwrap_err();
    assert!(
        !failure.is_open && failure.message.contains("535"),
        "{failure:?}"
    );
    assert!(!failure.message.contains(wrong), "{failure:?}");
    assert_eq!(server.kept(), Vec::<String>::new());
}

#[test]
fn a_recipient_that_is_gone_keeps_the_mail_from_no_other() {
    let server = Server::start("starttls");
    let mut mail = server.mail(Begin::StartTls, PASSWORD);
    mail.letter.to.insert(0, "gone@example.ch".parse().unwrap());
    let failure = send(&mail, &notice()).unwrap_err();
    assert!(failure.in_part && !failure.is_open, "{failure:?}");
    for words in [
        "gone@example.ch: ",
        "550",
        "no such user",
        "2 of 3 recipients have it",
    ] {
        assert!(failure.message.contains(words), "{words}: {failure:?}");
    }
    let tos: Vec<_> = server
        .kept()
        .iter()
        .map(|mail| mail.lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(
        tos,
        [
            "tls=True to=pki@example.ch",
            "tls=True to=second@example.ch"
        ]
    );

    mail.letter.to.truncate(1);
    let failure = send(&mail, &notice()).unwrap_err();
    assert!(
        !failure.in_part && failure.message.contains("no such user"),
        "{failure:?}"
    );
    mail.letter.to.push("gone@example.com".parse().unwrap());
    let failure = send(&mail, &notice()).unwrap_err();
    assert!(
        !failure.in_part && failure.message.contains("gone@example.com: "),
        "{failure:?}"
    );
    assert_eq!(server.kept().len(), 2);
}

#[test]
fn no_word_of_a_message_becomes_a_header_or_the_end_of_the_mail() {
    let server = Server::start("starttls");
    let mut notice = notice();
    notice.title = "x\r\nBcc: victim@example.ch\r\n\r\nbody".to_owned();
    notice.text = "before\r\n.\r\nMAIL FROM:<evil@example.ch>\r\nafter\n".to_owned();
    send(&server.mail(Begin::StartTls, PASSWORD), &notice).unwrap();
    let [mail] = &server.kept()[..] else {
        panic!("one mail")
    };
    assert!(
        mail.starts_with("tls=True to=pki@example.ch,second@example.ch\n"),
        "{mail}"
    );
    let (head, body) = mail
        .split_once("\r\n\r\n")
        .or_else(|| mail.split_once("\n\n"))
        .unwrap();
    assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    assert!(body.contains("after"), "{body}");
}

#[test]
fn a_mail_server_inside_the_network_is_refused_unless_it_is_allowed() {
    let server = Server::start("starttls");
    let mut mail = server.mail(Begin::StartTls, PASSWORD);
    mail.door = Door::new(false);
    let failure = send(&mail, &notice()).unwrap_err();
    assert!(
        !failure.is_open && failure.message.contains("`allow_private = true` allows it"),
        "{failure:?}"
    );
    assert_eq!(server.kept(), Vec::<String>::new());
}
