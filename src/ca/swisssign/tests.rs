//! The client against a scripted server on loopback: what is sent, and what is made of every kind
//! of answer.

#![allow(clippy::unwrap_used)]

mod auth;
mod clients;
mod domains;
mod lists;
mod optional;
mod orders;
mod register;
mod secrets;
mod server;
mod transport;

use std::sync::Arc;

use secrecy::SecretString;

use self::server::Server;
use super::{Settings, SwissSign};
use crate::ca::http::SecretReader;
use crate::clock::SimulatedClock;
use crate::prevalidation::DomainName;

/// 64 characters that would also decode as hexadecimal: the key is the characters.
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const CLIENT: &str = "cli-123e4567-e89b-12d3-a456-426614174000";
const DOMAIN: &str = "cld-123e4567-e89b-12d3-a456-426614174000";
const TOKEN: &str = "CTvhM2Y1ZDk4YjI0ZTc4";
const NOW: &str = "2026-11-21T12:00:00Z";
const NOW_HTTP: &str = "Sat, 21 Nov 2026 12:00:00 GMT";

fn clock() -> SimulatedClock {
    SimulatedClock::at(NOW.parse().unwrap())
}

fn key(text: &'static str) -> SecretReader {
    Arc::new(move || Ok(SecretString::from(text)))
}

fn settings(url: &str) -> Settings {
    Settings {
        rate: 1000.0,
        ..Settings::new("swisssign", url.parse().unwrap(), "robot", vec![key(KEY)])
    }
}

fn client(server: &Server) -> SwissSign {
    SwissSign::new(settings(&server.url), Arc::new(clock())).unwrap()
}

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap().name
}

/// An entry as the CA answers right after `register`.
fn pending(reference: &str, domain: &str) -> String {
    format!(
        r#"{{"uuid":"{reference}","domain":"{domain}","domainUnicode":"{domain}","validated":false,"trustedDomain":false,
        "validationMethod":"cabdns","randomValue":"{TOKEN}","randomValueTimeCreated":"2026-11-21T11:00:00.5Z",
        "randomValueTimeExpire":"2026-12-21T11:00:00Z","expired":false,"randomValueTimeExpired":false,"status":"PENDING"}}"#
    )
}

/// An entry with a proof until `end`.
fn valid(reference: &str, domain: &str, end: &str) -> String {
    format!(
        r#"{{"uuid":"{reference}","domain":"{domain}","validated":true,"timeValidated":"2026-10-01T00:00:00Z",
        "timeExpired":"{end}","expired":false,"validationMethod":"cabdns","status":"VALID","validationResult":"Validated"}}"#
    )
}

fn api_error(message: &str) -> String {
    format!(r#"{{"uuid":"sup-42","errorCode":"011.351.0226","errorMessages":["{message}"]}}"#)
}
