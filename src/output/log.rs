//! The program's own log, on standard error. What happens to domains is in the history; this is for
//! a person that searches for a cause.
//!
//! Only our crates speak below a warning. HTTP, TLS and database libraries would write headers and
//! parameters, secrets among them, so their level is capped here and no variable raises it (faults
//! S04).

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Levels for our own targets: `debug`, or `prevalidate::worker=trace,prevalidate::ca=debug`.
const LEVELS: &str = "PREVALIDATE_LOG";
/// `json`: one object a line.
const FORMAT: &str = "PREVALIDATE_LOG_FORMAT";
/// The beginning of all our targets, those of the providers' crate too.
const OURS: &str = "prevalidate";

/// Starts the log: warnings, with one `-v` what happens, with two and three its details.
///
/// `in_json`: one object a line, whatever the variable says. Returns what is wrong with the
/// variables, if anything; the log runs all the same.
pub fn start(verbose: u8, in_json: bool) -> Option<String> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (filter, mut fault) = filter(verbose, set(LEVELS).as_deref());
    let layer = fmt::layer().with_writer(io::stderr);
    let format = if in_json {
        Some("json".to_owned())
    } else {
        set(FORMAT)
    };
    let layer = match format.as_deref() {
        Some("json") => layer.json().with_filter(filter).boxed(),
        other => {
            if other.is_some_and(|format| format != "text") {
                fault = Some(format!("{FORMAT} knows `json` and `text` only"));
            }
            let color = io::stderr().is_terminal() && set("NO_COLOR").is_none();
            layer.with_ansi(color).with_filter(filter).boxed()
        }
    };
    // A second start in one process changes nothing.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    fault
}

fn filter(verbose: u8, levels: Option<&str>) -> (Targets, Option<String>) {
    let ours = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let filter = Targets::new()
        .with_default(ours.min(LevelFilter::INFO))
        .with_target(OURS, ours);
    let filter = if verbose < 2 {
        filter.with_default(LevelFilter::WARN)
    } else {
        filter
    };
    let Some(levels) = levels else {
        return (filter, None);
    };
    match levels.parse::<Targets>() {
        Ok(asked) => {
            let default = asked.default_level().map(|level| (OURS.to_owned(), level));
            let named = asked
                .iter()
                .map(|(target, level)| (target.to_owned(), level));
            let (own, others): (Vec<_>, Vec<_>) = default
                .into_iter()
                .chain(named)
                .partition(|(target, _)| target.starts_with(OURS));
            let fault = others
                .first()
                .map(|(target, _)| format!("{LEVELS}: `{target}` is none of our targets"));
            (filter.with_targets(own), fault)
        }
        Err(_) => (
            filter,
            Some(format!(
                "{LEVELS} is not a list of levels such as `debug` or `prevalidate::worker=trace`"
            )),
        ),
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn other_crates_never_say_more_than_what_happens() {
        for verbose in 0..=9 {
            for levels in [
                None,
                Some("trace"),
                Some("hyper=trace,prevalidate=debug"),
                Some("nonsense=loud"),
            ] {
                let (filter, _) = filter(verbose, levels);
                for target in ["hyper::client", "reqwest", "sqlx::query", "rustls", "h2"] {
                    assert!(
                        !filter.would_enable(target, &Level::DEBUG),
                        "{verbose} {levels:?} {target}"
                    );
                }
            }
        }
    }

    #[test]
    fn each_v_says_more_of_our_own_and_the_variable_says_it_for_a_part() {
        for (verbose, level) in [
            (0, Level::WARN),
            (1, Level::INFO),
            (2, Level::DEBUG),
            (3, Level::TRACE),
        ] {
            let (filter, _) = filter(verbose, None);
            assert!(filter.would_enable("prevalidate::worker", &level));
            assert!(filter.would_enable("prevalidate_providers::rfc2136", &level));
        }
        let (filter, fault) = filter(0, Some("prevalidate::worker=trace,hyper=trace"));
        assert!(filter.would_enable("prevalidate::worker::listing", &Level::TRACE));
        assert!(!filter.would_enable("prevalidate::ca", &Level::INFO));
        assert!(fault.is_some_and(|fault| fault.contains("hyper")));
    }
}
