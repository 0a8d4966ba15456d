//! `status --compare A B`: which domains are proven at two CAs, at one of them, or at none. Reads the
//! store only; it tells when the old CA may be let go of.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;

use super::app::App;
use super::names::several;
use super::{Exit, Failed, ages, asked};
use crate::output::{Cell, Output, Tone, counted, relative};
use crate::overview::DomainView;
use crate::prevalidation::DomainName;

/// The known facts about a domain at one side.
#[derive(Debug, Clone, Copy, Default)]
struct Side {
    /// The inventory wants it there.
    is_wanted: bool,
    is_proven: bool,
    until: Option<Timestamp>,
}

impl Side {
    fn take(&mut self, view: &DomainView) {
        self.is_wanted |= view.is_managed();
        self.is_proven |= view.usable_until().is_some() || view.with_margin;
        self.until = self.until.max(view.usable_until());
    }

    fn cell(self, now: Timestamp) -> Cell {
        match (self.is_proven, self.until) {
            (true, Some(end)) => {
                Cell::new(format!("proven, ends {}", relative(end, now)), Tone::Good)
            }
            (true, None) => Cell::new("proven", Tone::Good),
            (false, _) if self.is_wanted => Cell::new("not proven", Tone::Warn),
            (false, _) => Cell::new("-", Tone::Dim),
        }
    }
}

/// Compares the domains of the names `pair`: each a CA or a client of the configuration.
pub(super) async fn compare(
    app: &App,
    pair: &[String],
    names: &[DomainName],
    output: &Output,
) -> Result<Exit, Failed> {
    let [a, b] = pair else {
        return Err(Failed::new(Exit::Usage, "--compare takes two CAs"));
    };
    let keys = |text: &String| -> Result<BTreeSet<String>, Failed> {
        let targets = asked::at(app, text)?.into_iter();
        Ok(targets.map(|target| target.key).collect())
    };
    let (at_a, at_b) = (keys(a)?, keys(b)?);
    if at_a.iter().any(|key| at_b.contains(key)) {
        return Err(Failed::new(
            Exit::Usage,
            format!("`{a}` and `{b}` have a client in common: there is nothing to compare"),
        ));
    }
    let store = app.store_read_only().await?;
    let now = app.now();
    let mut pages = asked::walk(app, &*store, Default::default(), now).await?;
    let mut domains: BTreeMap<DomainName, [Side; 2]> = BTreeMap::new();
    while let Some(page) = pages.next().await? {
        for view in page {
            let is_asked = names.is_empty() || names.contains(&view.domain);
            let side = match &view.client {
                client if at_a.contains(client) => 0,
                client if at_b.contains(client) => 1,
                _ => continue,
            };
            if is_asked {
                domains.entry(view.domain.clone()).or_default()[side].take(&view);
            }
        }
    }
    domains.retain(|_, sides| sides.iter().any(|side| side.is_wanted));
    // A name with a typo must not say that the old CA may be let go of.
    asked::known(names, &domains.keys().cloned().collect())?;
    let both = at_a.union(&at_b).cloned().collect();
    let mut compared = app.targets.clone();
    compared.retain(|target| BTreeSet::contains(&both, &target.key));
    ages::tell(&*store, app, Some(&compared), now, output).await?;
    Ok(tell(a, b, &domains, now, output))
}

fn tell(
    a: &str,
    b: &str,
    domains: &BTreeMap<DomainName, [Side; 2]>,
    now: Timestamp,
    output: &Output,
) -> Exit {
    let of = |at_a: bool, at_b: bool| -> Vec<DomainName> {
        let found = domains
            .iter()
            .filter(|(_, sides)| (sides[0].is_proven, sides[1].is_proven) == (at_a, at_b));
        found.map(|(name, _)| name.clone()).collect()
    };
    let (both, only_a) = (of(true, true), of(true, false));
    let (only_b, none) = (of(false, true), of(false, false));
    output.json(&json!({
        "a": a, "b": b, "both": both, "only_a": only_a, "only_b": only_b, "none": none,
    }));
    let rows = domains.iter().map(|(name, sides)| {
        vec![
            name.both_forms().into(),
            sides[0].cell(now),
            sides[1].cell(now),
        ]
    });
    if !domains.is_empty() {
        let headers = [a.to_uppercase(), b.to_uppercase()];
        output.table(&["DOMAIN", &headers[0], &headers[1]], rows.collect());
    }
    output.line(&format!(
        "{}: {} proven at both, {} only at {a}, {} only at {b}, {} at none",
        counted(domains.len(), "domain", "domains"),
        both.len(),
        only_a.len(),
        only_b.len(),
        none.len(),
    ));
    if only_a.is_empty() && none.is_empty() {
        return Exit::Done;
    }
    let missing: Vec<_> = only_a.into_iter().chain(none).collect();
    output.notice(&format!("not proven at {b}: {}", several(&missing)));
    Exit::Incomplete
}
