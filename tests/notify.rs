//! Messages to people and programs, with real receivers: mail servers with TLS, receivers of
//! webhooks, programs.

mod mail;
mod program;
mod receiver;
mod web;

use std::path::Path;

use jiff::Timestamp;
use prevalidate::notify::Notice;
use prevalidate_kit::secret::SecretSource;

use crate::support::name_server::write_secret;

fn notice() -> Notice {
    Notice::test("2026-11-22T12:00:00Z".parse::<Timestamp>().unwrap())
}

fn secret(folder: &Path, name: &str, text: &str) -> SecretSource {
    let path = folder.join(name);
    write_secret(&path, text);
    SecretSource::File(path)
}
