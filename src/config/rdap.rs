//! `[rdap]`: where the registries are asked when registrations end.

use std::path::PathBuf;

use url::Url;

use super::quantity::Rate;
use super::tree::{Schema, Section};
use super::urls::{is_loopback, plain_url};

pub(super) const RDAP: Schema = Schema {
    path: "rdap",
    keys: &["url", "rate", "ca_file"],
};

/// Public servers refuse those who ask faster.
const RATE: Rate = Rate::a_second(1);

/// `[rdap]`
#[derive(Debug, Clone, PartialEq)]
pub struct RdapSettings {
    /// `https`, or `http` to a loopback address; `domain/NAME` is asked below it.
    pub url: Url,
    /// The most questions in a stretch of time.
    pub rate: Rate,
    /// Root certificates in PEM instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// The section, when the file has one: without it no registry is asked.
pub(super) fn rdap(top: &Section<'_>) -> Option<RdapSettings> {
    if !top.has("rdap") {
        return None;
    }
    let section = top.table("rdap", &RDAP);
    section.must_have(
        "url",
        "write url = \"https://rdap.org\", or your registry's server",
    );
    let url = section
        .text("url")
        .and_then(|text| plain_url(&section, "url", text));
    if let Some(url) = &url
        && url.scheme() != "https"
        && !(url.scheme() == "http" && is_loopback(url))
    {
        section.fault(
            "url",
            "must begin with https:// (http:// only for a loopback address)",
        );
    }
    let rate = section.rate("rate", 0, RATE);
    Some(RdapSettings {
        url: url?,
        rate,
        ca_file: section.trusted_file("ca_file"),
    })
}
