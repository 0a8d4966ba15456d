//! `version`: what support asks for.

use serde_json::json;

use super::{Exit, Failed, Global};
use crate::output::Output;

/// The commit, where the build states it.
const COMMIT: Option<&str> = option_env!("PREVALIDATE_COMMIT");

pub(super) fn version(global: &Global, output: &Output) -> Result<Exit, Failed> {
    let version = env!("CARGO_PKG_VERSION");
    let features: Vec<&str> = [
        ("autodns", cfg!(feature = "autodns")),
        ("cloudflare", cfg!(feature = "cloudflare")),
        ("exec", cfg!(feature = "exec")),
        ("route53", cfg!(feature = "route53")),
        ("crashpoints", cfg!(feature = "crashpoints")),
    ]
    .into_iter()
    .filter_map(|(name, is_there)| is_there.then_some(name))
    .collect();
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    output.json(&json!({
        "version": version,
        "commit": COMMIT,
        "features": features,
        "build": build,
        "system": system,
    }));
    output.line(&format!("prevalidate {version}"));
    if global.verbose > 0 {
        output.line(&format!(
            "commit    {}",
            COMMIT.unwrap_or("not stated by the build")
        ));
        output.line(&format!("features  {}", features.join(", ")));
        output.line(&format!("build     {build}"));
        output.line(&format!("system    {system}"));
    }
    Ok(Exit::Done)
}
