//! Where new domains go: their client and their provider.

use std::collections::BTreeSet;

use crate::commands::app::App;
use crate::commands::{Exit, Failed, asked};
use crate::config::{AUTO, Settings, nearest};
use crate::prevalidation::DomainName;
use crate::store::Wanted;
use crate::worker::Target;

#[derive(Debug, clap::Args)]
pub(super) struct PlaceArgs {
    /// Their client: its name, its `cli-…`, or CA/CLIENT; needed when the configuration has several
    #[arg(long, value_name = "CLIENT")]
    pub(super) client: Option<String>,
    /// Their CA, the NAME of [ca.NAME]; enough where that has one client
    #[arg(long, value_name = "NAME")]
    pub(super) ca: Option<String>,
    /// The [provider.NAME] that writes their zones, or `auto` [default: that of the client]
    #[arg(long, value_name = "NAME")]
    pub(super) provider: Option<String>,
    /// Accepts names that older software reads as another domain (ß, ς, mixed scripts)
    #[arg(long)]
    pub(super) accept_idn: bool,
}

/// The client that `to` names for the domains of another one.
pub(super) fn one_client(app: &App, to: &str, source: &Target) -> Result<Target, Failed> {
    let mut targets = asked::at(app, to)?;
    let failed = |message: String| Failed::new(Exit::Usage, message);
    match (targets.pop(), targets.len()) {
        (Some(target), 0) if target != *source => Ok(target),
        (Some(_), 0) => Err(failed(format!("--to names {}, where they are", source.key))),
        (last, _) => {
            let keys = targets
                .iter()
                .chain(&last)
                .map(|target| target.key.as_str());
            let keys: Vec<_> = keys.collect();
            let message = format!("`{to}` has several clients: which one are they for?");
            Err(failed(message).with_hint(format!("name one with --to: {}", keys.join(", "))))
        }
    }
}

impl PlaceArgs {
    pub(super) fn part(&self) -> asked::Part {
        asked::Part {
            client: self.client.clone(),
            ca: self.ca.clone(),
        }
    }
}

/// Where new domains go.
pub(super) struct Place {
    pub(super) target: Target,
    pub(super) provider: Option<String>,
    /// Whether a person chose it; else a domain that is known stays where it is.
    pub(super) named: bool,
}

impl Place {
    pub(super) fn one(app: &App, args: &PlaceArgs) -> Result<Self, Failed> {
        let mut targets = args.part().targets(app)?;
        match (targets.pop(), targets.len()) {
            (Some(target), 0) => {
                let place = Self::new(&app.settings, target, args.provider.as_deref())?;
                Ok(Self {
                    named: place.named || args.client.is_some() || args.ca.is_some(),
                    ..place
                })
            }
            (Some(last), _) => {
                let keys: Vec<_> = targets
                    .iter()
                    .chain([&last])
                    .map(|target| target.key.as_str())
                    .collect();
                Err(Failed::new(
                    Exit::Usage,
                    "the configuration has several clients: which one are they for?",
                )
                .with_hint(format!("name one with --client: {}", keys.join(", "))))
            }
            (None, _) => Err(Failed::new(Exit::Usage, "the configuration has no client")),
        }
    }

    pub(super) fn new(
        settings: &Settings,
        target: Target,
        provider: Option<&str>,
    ) -> Result<Self, Failed> {
        if provider == Some(AUTO) {
            return Ok(Self {
                target,
                provider: None,
                named: true,
            });
        }
        if let Some(name) = provider {
            if settings.providers.contains_key(name) {
                return Ok(Self {
                    target,
                    provider: Some(name.to_owned()),
                    named: true,
                });
            }
            let known: Vec<_> = settings.providers.keys().map(String::as_str).collect();
            let hint = nearest(name, known.iter().copied()).map_or_else(
                || format!("there are: {}", known.join(", ")),
                |meant| format!("did you mean {meant}?"),
            );
            return Err(Failed::new(
                Exit::Usage,
                format!("no [provider.{name}] in the configuration"),
            )
            .with_hint(hint));
        }
        let sections = settings
            .clients
            .iter()
            .filter(|c| c.ca == target.ca && c.selector == target.selector);
        let providers: BTreeSet<_> = sections
            .filter_map(|client| client.provider.as_ref())
            .collect();
        if providers.len() > 1 {
            let message = format!(
                "several [[client]] sections of {} name different providers",
                target.key
            );
            return Err(Failed::new(Exit::Usage, message).with_hint("name one with --provider"));
        }
        Ok(Self {
            provider: providers.first().map(|name| (*name).clone()),
            target,
            named: false,
        })
    }

    pub(super) fn wanted(&self, domain: DomainName) -> Wanted {
        Wanted {
            domain,
            client: self.target.key.as_str().into(),
            ca: self.target.ca.as_str().into(),
            provider: self.provider.as_deref().map(Into::into),
        }
    }

    pub(super) fn shown(&self) -> String {
        format!(
            "client {}, provider {}",
            self.target.key,
            self.provider.as_deref().unwrap_or(AUTO)
        )
    }
}
