//! What was asked for: names and clients on the command line, held against the configuration and
//! the inventory.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;

use super::app::App;
use super::{Exit, Failed, held};
use crate::config::{Settings, names, nearest};
use crate::output::Output;
use crate::overview::certificates::CertificateView;
use crate::overview::walk::Walk;
use crate::overview::{Covered, DomainView};
use crate::prevalidation::{DomainName, Notice};
use crate::store::{DomainRow, Held, Store, StoreError};
use crate::worker::Target;

/// Reads names to search by. The person that took them into the inventory has consented to how
/// they are read.
pub(super) fn names(
    app: &App,
    texts: &[String],
    output: &Output,
) -> Result<Vec<DomainName>, Failed> {
    names_with(texts, true, app.settings.is_sandboxed(), output)
}

/// Reads names as people write them. All bad ones come back at once, before anything was touched;
/// notices are told, that a name is for a sandbox only once, and not where it is for one.
pub(super) fn names_with(
    texts: &[String],
    accept_idn: bool,
    mut quiet_about_labs: bool,
    output: &Output,
) -> Result<Vec<DomainName>, Failed> {
    let (mut found, mut seen) = (Vec::with_capacity(texts.len()), HashSet::new());
    let (mut faults, mut hints) = (Vec::new(), Vec::new());
    for text in texts {
        match names::read_name(text, accept_idn) {
            Ok((name, notices)) => {
                for notice in notices {
                    let lab = matches!(notice, Notice::Lab(_));
                    if !(lab && quiet_about_labs) {
                        output.notice(&notice.to_string());
                    }
                    quiet_about_labs |= lab;
                }
                if seen.insert(name.clone()) {
                    found.push(name);
                }
            }
            Err((message, hint)) => {
                faults.push(message);
                hints.extend(hint.filter(|hint| !hints.contains(hint)));
            }
        }
    }
    if faults.is_empty() {
        return Ok(found);
    }
    let hint = (!hints.is_empty()).then(|| hints.join("; "));
    Err(Failed {
        exit: Exit::Usage,
        message: faults.join("\n"),
        hint,
    })
}

/// The part of the inventory that a command is about: a domain may be at several clients.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
pub(super) struct Part {
    /// Only at this client: its name, its `cli-…`, or CA/CLIENT
    #[arg(long, value_name = "CLIENT")]
    pub client: Option<String>,
    /// Only at this CA, the NAME of [ca.NAME]
    #[arg(long, value_name = "NAME")]
    pub ca: Option<String>,
}

impl Part {
    /// The clients of the configuration that it is about.
    pub(super) fn targets(&self, app: &App) -> Result<Vec<Target>, Failed> {
        let ca = self.ca.as_deref();
        let mut all = app.targets.clone();
        if let Some(ca) = ca {
            known_ca(&app.settings, ca)?;
            all.retain(|target| target.ca == ca);
        }
        targets(all, self.client.as_deref(), ca)
    }

    /// Its clients; `None`: all, those that the configuration does not name any more as well.
    pub(super) fn clients(&self, app: &App) -> Result<Clients, Failed> {
        if self.client.is_none() && self.ca.is_none() {
            return Ok(Clients(None));
        }
        let targets = self.targets(app)?.into_iter();
        Ok(Clients(Some(targets.map(|target| target.key).collect())))
    }

    /// Whether it is about a certificate: it is ordered at a CA, and its proofs may lie with
    /// several clients.
    pub(super) fn concerns_certificate(&self, view: &CertificateView) -> bool {
        self.client.is_none() && self.ca.as_ref().is_none_or(|ca| *ca == view.ca)
    }
}

/// Clients that a command is about.
#[derive(Debug, Default)]
pub(super) struct Clients(Option<BTreeSet<String>>);

impl Clients {
    /// Whether this one is among them.
    pub(super) fn contain(&self, client: &str) -> bool {
        self.0.as_ref().is_none_or(|keys| keys.contains(client))
    }
}

/// The clients that `text` names: all of a CA, or one.
pub(super) fn at(app: &App, text: &str) -> Result<Vec<Target>, Failed> {
    let part = match app.settings.cas.contains_key(text) {
        true => Part {
            client: None,
            ca: Some(text.to_owned()),
        },
        false => Part {
            client: Some(text.to_owned()),
            ca: None,
        },
    };
    part.targets(app).map_err(|failed| {
        let cas: Vec<&str> = app.settings.cas.keys().map(String::as_str).collect();
        match part.client {
            Some(_) => {
                let hint = failed.hint.clone().unwrap_or_default();
                let message = format!("`{text}` is neither a CA nor a client of the configuration");
                let cas = cas.join(", ");
                Failed::new(Exit::Usage, message).with_hint(format!("CAs: {cas}; {hint}"))
            }
            None => failed,
        }
    })
}

fn known_ca(settings: &Settings, ca: &str) -> Result<(), Failed> {
    if settings.cas.contains_key(ca) {
        return Ok(());
    }
    let known: Vec<&str> = settings.cas.keys().map(String::as_str).collect();
    let hint = nearest(ca, known.iter().copied()).map_or_else(
        || format!("there are: {}", known.join(", ")),
        |meant| format!("did you mean {meant}?"),
    );
    let message = format!("no [ca.{ca}] in the configuration");
    Err(Failed::new(Exit::Usage, message).with_hint(hint))
}

/// The one of `all` that `wanted` means (its name, its `cli-…`, or `CA/…`), or all of them.
fn targets(
    all: Vec<Target>,
    wanted: Option<&str>,
    ca: Option<&str>,
) -> Result<Vec<Target>, Failed> {
    let Some(wanted) = wanted else {
        return match ca.filter(|_| all.is_empty()) {
            Some(ca) => Err(Failed::new(
                Exit::Usage,
                format!("[ca.{ca}] has no client in the configuration"),
            )),
            None => Ok(all),
        };
    };
    let found: Vec<Target> = all
        .iter()
        .filter(|target| target.key == wanted || target.selector.to_string() == wanted)
        .cloned()
        .collect();
    let keys: Vec<&str> = all.iter().map(|target| target.key.as_str()).collect();
    match found.len() {
        1 => Ok(found),
        0 => Err(Failed::new(
            Exit::Usage,
            format!("`{wanted}` is not a client of the configuration"),
        )
        .with_hint(format!("there are: {}", keys.join(", ")))),
        _ => Err(Failed::new(
            Exit::Usage,
            format!("`{wanted}` is a client at several CAs"),
        )
        .with_hint(format!("name one of {} as CA/CLIENT", keys.join(", ")))),
    }
}

/// The state of every domain of the store and of the configuration, by name; unmanaged ones too.
/// `covered` has the clients that this run has listed.
pub(super) async fn walk<'a>(
    app: &'a App,
    store: &'a dyn Store,
    covered: Covered,
    now: Timestamp,
) -> Result<Views<'a>, StoreError> {
    Ok(Views {
        walk: Walk::new(store, app.overlay(), app.basis(), covered, now).await?,
        held: store.held(now).await?,
        now,
    })
}

/// Domains as they are, page by page.
pub(super) struct Views<'a> {
    walk: Walk<'a>,
    held: Vec<Held>,
    now: Timestamp,
}

impl Views<'_> {
    /// The next page; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<DomainView>>, StoreError> {
        let Some(mut page) = self.walk.next().await? else {
            return Ok(None);
        };
        held::tell_views(&self.held, &mut page, self.now);
        Ok(Some(page))
    }

    /// All of them at once.
    pub(super) async fn all(mut self) -> Result<Vec<DomainView>, StoreError> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page);
        }
        Ok(all)
    }
}

/// Refuses names that the inventory does not want, all at once.
pub(super) fn in_inventory(names: &[DomainName], rows: &[DomainRow]) -> Result<(), Failed> {
    let wanted: BTreeMap<&DomainName, ()> = rows
        .iter()
        .filter(|row| !row.origins.is_empty())
        .map(|row| (&row.domain, ()))
        .collect();
    let missing: Vec<&DomainName> = names
        .iter()
        .filter(|name| !wanted.contains_key(name))
        .collect();
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let lines: Vec<_> = missing
        .iter()
        .map(|name| format!("{} is not in the inventory", name.both_forms()))
        .collect();
    let hint = match nearest(first.as_str(), wanted.keys().map(|name| name.as_str())) {
        Some(meant) => format!("did you mean {meant}? `prevalidate add` takes a new domain in"),
        None => {
            format!("`prevalidate add {first}` takes it in, or write it into the configuration")
        }
    };
    Err(Failed::new(Exit::Usage, lines.join("\n")).with_hint(hint))
}

/// Refuses unknown names, all at once.
pub(super) fn known(names: &[DomainName], there: &BTreeSet<DomainName>) -> Result<(), Failed> {
    let strange: Vec<&DomainName> = names.iter().filter(|name| !there.contains(name)).collect();
    let Some(first) = strange.first() else {
        return Ok(());
    };
    let lines: Vec<_> = strange
        .iter()
        .map(|name| format!("{} is not in the inventory", name.both_forms()))
        .collect();
    Err(
        Failed::new(Exit::Usage, lines.join("\n")).with_hint(format!(
            "`prevalidate add {first}` takes it in, or write it into the configuration"
        )),
    )
}
