//! A zone that a pipeline is about to deploy: its TXT values and its cuts, from a zone file or from
//! JSON.

mod master;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use prevalidate_providers::record::is_within;
use serde::Deserialize;

use crate::prevalidation::DomainName;

/// The zone as planned.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Planned {
    /// Lower case without a trailing dot, as all names here.
    pub(super) apex: String,
    txt: BTreeMap<String, Vec<Vec<u8>>>,
    /// The targets of aliases.
    cname: BTreeMap<String, String>,
    /// Where other zones begin.
    cuts: BTreeSet<String>,
    /// Names below these are resolved elsewhere (DNAME).
    redirected: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    zone: String,
    txt: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    cname: BTreeMap<String, String>,
}

impl Planned {
    /// Reads a zone file (RFC 1035, section 5), or JSON. `zone` is the apex and the origin, if
    /// the text names neither.
    ///
    /// # Errors
    /// The fault and its line. No line that could hold a TXT value is ignored. A plan for another
    /// zone than `zone` is refused too, because it says nothing about `zone`.
    pub(super) fn read(text: &str, zone: Option<String>) -> Result<Self, String> {
        // Programs that join files leave the mark of each at the beginning of a line.
        let text = text
            .trim_start_matches('\u{feff}')
            .replace("\n\u{feff}", "\n");
        let text = text.as_str();
        let first = text
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        if first.trim_end() == "---" || first.starts_with('?') || first.trim_end().ends_with(':') {
            return Err("it is YAML, as octoDNS has it: a zone file or JSON is read".to_owned());
        }
        let is_json = text.trim_start().starts_with('{');
        let planned = if is_json {
            Self::document(text)?
        } else {
            master::read(text, zone.clone())?
        };
        match zone {
            Some(zone) if zone != planned.apex => {
                Err(format!("it is the zone {}, and not {zone}", planned.apex))
            }
            _ => Ok(planned),
        }
    }

    fn document(text: &str) -> Result<Self, String> {
        let Document { zone, txt, cname } = serde_json::from_str(text)
            .map_err(|error| format!("not the JSON that is expected: {error}"))?;
        let apex = plain(&zone);
        let txt: BTreeMap<_, _> = txt
            .into_iter()
            .map(|(name, values)| {
                (
                    plain(&name),
                    values.into_iter().map(String::into_bytes).collect(),
                )
            })
            .collect();
        let cname = cname.into_iter();
        let cname: BTreeMap<_, _> = cname
            .map(|(name, target)| (plain(&name), plain(&target)))
            .collect();
        let mut names = txt.keys().chain(cname.keys());
        match names.find(|name| !is_within(name, &apex)) {
            Some(stray) => Err(format!(
                "the name {stray} is not in the zone {apex}; names are whole names"
            )),
            None => Ok(Self {
                apex,
                txt,
                cname,
                ..Self::default()
            }),
        }
    }

    /// Whether `owner` is in this zone and not below a delegation.
    pub(super) fn decides(&self, owner: &str) -> bool {
        let is_below = |name: &String| owner != name && is_within(owner, name);
        is_within(owner, &self.apex)
            && !self.cuts.iter().any(|cut| is_within(owner, cut))
            && !self.redirected.iter().any(is_below)
    }

    /// Whether `owner`, which is in the zone `zone` now, is not in this one any more: a new
    /// delegation takes what is there out of sight.
    pub(super) fn gives_away(&self, owner: &str, zone: &str) -> bool {
        zone == self.apex && !self.decides(owner)
    }

    /// Whether an alias at `owner` would lead to `target`.
    pub(super) fn leads(&self, owner: &str, target: &str) -> bool {
        self.cname.get(owner).is_some_and(|there| there == target)
    }

    /// Where an alias at `name` would lead, also one by a wildcard above it.
    pub(super) fn alias(&self, name: &str) -> Option<&str> {
        let above = name
            .match_indices('.')
            .map(|(at, _)| format!("*{}", &name[at..]));
        let mut names = std::iter::once(name.to_owned()).chain(above);
        names.find_map(|name| self.cname.get(&name).map(String::as_str))
    }

    /// Whether `value` would be at `owner`, compared by joined octets.
    pub(super) fn holds(&self, owner: &str, value: &str) -> bool {
        self.txt
            .get(owner)
            .is_some_and(|values| values.iter().any(|other| other == value.as_bytes()))
    }
}

/// In A-labels where it is a name in U-labels; `*.` and other names stay as they are.
fn plain(name: &str) -> String {
    if name.is_ascii() {
        return name.trim_end_matches('.').to_ascii_lowercase();
    }
    DomainName::look_up(name).map_or_else(|_| name.to_lowercase(), |name| name.as_str().to_owned())
}
