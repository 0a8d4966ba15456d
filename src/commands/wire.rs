//! From settings to working parts: the only place that names concrete adapters.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;

mod certificates;
mod hooks;
mod inventory;
mod notify;
mod pace;
pub(super) mod persistent;
mod ports;
mod server;
mod store;

pub(super) use self::certificates::{
    certificates, issuer, looking_issuer, unfit_directories, wanted_certificates,
};
pub(super) use self::hooks::hook_keys;
pub(super) use self::inventory::{alarm, differs, pretend, sync, wanted};
pub(super) use self::notify::notifier;
pub(super) use self::persistent::persistent;
pub(super) use self::ports::{
    Usable, ca, ca_in_turn, gate, ports, ports_at, provider, usable_ports,
};
pub(super) use self::server::{access, tls};
pub(super) use self::store::{
    Named, memory, open, open_as_it_is, open_or_make, open_to_call, open_to_look, open_to_serve,
    store_copy, store_if_there, store_read_only,
};
use super::{Exit, Failed, Global};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Fault, Settings};
use crate::output::Output;
use crate::prevalidation::policy::Terms;
use crate::prevalidation::{Alarm, Policy, ReuseTable};
use crate::rdap::Rdap;
use crate::worker::Target;

/// Finds and reads the configuration; all its faults become one error, its notices are reported.
pub(super) fn settings(global: &Global, output: &Output) -> Result<Settings, Failed> {
    settings_by(config::load, global, output)
}

/// The same with files that cannot be used, which the caller tells.
pub(super) fn settings_as_they_are(global: &Global, output: &Output) -> Result<Settings, Failed> {
    settings_by(config::load_as_it_stands, global, output)
}

fn settings_by(
    load: impl Fn(&Path) -> Result<Settings, config::ConfigError>,
    global: &Global,
    output: &Output,
) -> Result<Settings, Failed> {
    // One that is not UTF-8 names no file, and says so; it is not as good as absent.
    let env = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let refused = |error: config::ConfigError| Failed::new(Exit::Usage, error.to_string());
    let found = config::look_for(global.config.as_deref(), &env).map_err(refused)?;
    if let Some(why) = &found.passed_over {
        output.warn(
            why,
            Some("name it with --config, or make it root's or your own"),
        );
    }
    let settings = load(&found.path).map_err(refused)?;
    let read = format!("the configuration is {}", settings.file.display());
    if found.is_here {
        output.notice(&read);
    } else {
        output.detail(&read);
    }
    let more = |count: usize| format!("and {count} more of the kind");
    for notice in settings.notices.iter().take(MOST_TOLD) {
        output.notice(&notice.to_string());
    }
    if let Some(count) = beyond(&settings.notices) {
        output.notice(&more(count));
    }
    for fault in settings.left_out.iter().take(MOST_TOLD) {
        output.warn(&fault.to_string(), fault.hint.as_deref());
    }
    if let Some(count) = beyond(&settings.left_out) {
        output.warn(&more(count), None);
    }
    if let Some(words) = left_out(&settings) {
        output.warn(&words, None);
    }
    for one in &settings.certificates.unusable {
        let hint = format!("everything continues but the certificate {}", one.name);
        for fault in &one.faults {
            output.warn(&fault.to_string(), Some(&hint));
        }
    }
    Ok(settings)
}

/// More notices or bad lines than this do not help.
const MOST_TOLD: usize = 20;

fn beyond(faults: &[Fault]) -> Option<usize> {
    faults.len().checked_sub(MOST_TOLD).filter(|&more| more > 0)
}

/// That lines of the lists of names are bad, where some are: the first, and what follows from it.
pub(super) fn left_out(settings: &Settings) -> Option<String> {
    let first = settings.left_out.first()?;
    let (lines, verb) = match settings.left_out.len() {
        1 => ("1 line".to_owned(), "names"),
        many => (format!("{many} lines"), "name"),
    };
    Some(format!(
        "{lines} of the lists {verb} no domain, first {}:{}; all other domains are kept, and none \
         leaves the inventory until this is repaired",
        first.file.display(),
        first.line.unwrap_or_default()
    ))
}

/// Reads it once more, for a process that continues when it is broken: all its faults, a line each.
pub(super) fn settings_again(global: &Global) -> Result<Settings, Vec<String>> {
    let env = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let found = config::find(global.config.as_deref(), &env);
    if let Ok(path) = &found
        && std::fs::metadata(path).is_ok_and(|what| what.file_type().is_fifo())
    {
        // Opening it would wait for a writer.
        let shown = path.display();
        return Err(vec![format!(
            "{shown} is a pipe, which is read once: restart to change it"
        )]);
    }
    found
        .and_then(|path| config::load(&path))
        .map_err(|error| error.faults.iter().map(ToString::to_string).collect())
}

/// The time. A test may set it ahead, by seconds.
pub(super) fn clock() -> Arc<dyn Clock> {
    #[cfg(feature = "crashpoints")]
    if let Some(seconds) = std::env::var("PREVALIDATE_CLOCK_AHEAD")
        .ok()
        .and_then(|seconds| seconds.parse().ok())
    {
        let clock = crate::sandbox::clock::ShiftedClock::over(Arc::new(SystemClock));
        clock.advance(SignedDuration::from_secs(seconds));
        return clock;
    }
    Arc::new(SystemClock)
}

/// Whether no configuration was named and none is at the usual places.
pub(super) fn names_no_configuration(global: &Global) -> bool {
    let env = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let named = global.config.is_some() || env(config::ENV).is_some_and(|path| !path.is_empty());
    !named && config::find(None, &env).is_err()
}

/// The policy that the settings spell out.
pub(super) fn policy(settings: &Settings) -> Policy {
    let from = &settings.policy;
    let span = |time| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    let mut policy = Policy {
        renew_before: from.renew_before,
        max_at_risk: from.max_at_risk,
        cover: from.cover,
        reuse: if from.reuse.is_empty() {
            ReuseTable::default()
        } else {
            ReuseTable::new(from.reuse.clone())
        },
        settle: span(settings.propagation.settle),
        poll: span(settings.propagation.poll),
        reset_token_before: from.reset_token_before,
        warning: from.warning,
        critical: from.critical,
        ..Policy::new(from.mode)
    };
    for (name, ca) in &settings.cas {
        let kind = ca.kind.kind;
        let terms = Terms {
            reuse: if from.reuse.is_empty() {
                (kind.reuse)()
            } else {
                policy.reuse.clone()
            },
            start_keeps_proof: kind.start_keeps_proof,
            looks_by_itself: kind.looks_by_itself,
            follow_aliases: ca.follow_aliases,
            record: ca.kind.record(&ca.values),
        };
        if terms != policy.terms() {
            policy.differ(name, terms);
        }
    }
    policy
}

/// The clients of the configuration, each once.
pub(super) fn targets(settings: &Settings) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for client in &settings.clients {
        let target = Target::new(&client.ca, client.selector.clone());
        let is_known = targets.iter().any(|known| known.key == target.key);
        if !is_known {
            targets.push(target.for_purpose(client.purpose));
        }
    }
    targets
}

/// What binds a store to its CAs: production and pre-production must not share one (faults C23).
pub(super) fn fingerprint(settings: &Settings) -> String {
    let parts: Vec<_> = settings
        .cas
        .iter()
        .map(|(name, ca)| format!("{name}={}", ca.url.authority()))
        .collect();
    parts.join(" ")
}

/// The guard's refusal as the end of a command.
pub(super) fn refused(alarm: &Alarm) -> Failed {
    Failed::new(Exit::Guard, format!("the guard refuses: {alarm}; nothing was done"))
        .with_hint("look at the configuration first; if it is meant so, `prevalidate run --force` acts all the same")
}

/// The way to the registries, where the settings name one.
pub(super) fn rdap(settings: &Settings) -> Result<Option<Rdap>, Failed> {
    let Some(from) = &settings.rdap else {
        return Ok(None);
    };
    let every = from.rate.per / from.rate.count;
    let rdap = Rdap::new(&from.url, every, from.ca_file.as_deref());
    let rdap = rdap.map_err(|why| Failed::new(Exit::Usage, format!("[rdap]: {why}")))?;
    Ok(Some(rdap))
}
