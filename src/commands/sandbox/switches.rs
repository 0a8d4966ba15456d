//! The switches of the CAs, as `--fault` sets and `--fault help` lists them. Those of the first kind
//! are called by their name alone, those of the others by `KIND.NAME`.

use serde_json::Value;

use crate::sandbox::kind::Kind;
use crate::sandbox::registry::KINDS;

/// The switches of every kind, as they are set.
pub(super) struct Switches(Vec<(&'static Kind, Value)>);

impl Switches {
    /// All with their defaults.
    pub(super) fn new() -> Self {
        Self(
            KINDS
                .iter()
                .map(|kind| (*kind, (kind.switches)()))
                .collect(),
        )
    }

    /// Sets one, as `--fault KEY=VALUE` does.
    ///
    /// # Errors
    /// A sentence that says which there are.
    pub(super) fn set(&mut self, fault: &str) -> Result<(), String> {
        let (key, value) = fault.split_once('=').ok_or("give it as KEY=VALUE")?;
        let (key, value) = (key.trim(), value.trim());
        let of = key.split_once('.');
        let of = of.and_then(|(kind, key)| {
            let at = self.0.iter().position(|(known, _)| known.name == kind)?;
            Some((at, key))
        });
        let (at, key) = of.unwrap_or((0, key));
        let (kind, switches) = &mut self.0[at];
        *switches = (kind.set)(switches, key, value)?;
        Ok(())
    }

    /// Sets the least time of a call, at every kind that has such a switch.
    pub(super) fn slow_down(&mut self, milliseconds: u64) {
        for (_, switches) in &mut self.0 {
            if let Some(latency) = switches.get_mut("latency_ms") {
                *latency = Value::from(milliseconds);
            }
        }
    }

    /// Those of a kind.
    pub(super) fn of(&self, kind: &Kind) -> Value {
        let found = self.0.iter().find(|(known, _)| known.name == kind.name);
        found
            .map(|(_, switches)| switches.clone())
            .unwrap_or_default()
    }

    /// One object: the first kind's switches, and an object for each of the others.
    pub(super) fn json(&self) -> Value {
        let mut kinds = self.0.iter();
        let mut all = kinds.next().map(|(_, own)| own.clone()).unwrap_or_default();
        for (kind, switches) in kinds {
            all[kind.name] = switches.clone();
        }
        all
    }
}

/// The switches, one a line, the default first.
pub(super) fn listed() -> String {
    let mut lines = Vec::new();
    for (at, kind) in KINDS.iter().enumerate() {
        let before = match at {
            0 => String::new(),
            _ => format!("{}.", kind.name),
        };
        for (key, values, meaning) in kind.explained {
            let written = format!("{before}{key}={values}");
            lines.push(format!("  {written:<35}  {meaning}"));
        }
        if kind.explained.is_empty() {
            let all = (kind.switches)();
            let all = all.as_object().into_iter().flatten();
            lines.extend(all.map(|(key, value)| format!("  {before}{key}={value}")));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn between_a_switch_and_its_meaning_is_room() {
        let text = listed();
        for (_, values, meaning) in KINDS.iter().flat_map(|kind| kind.explained) {
            let one = format!("{values}  ");
            assert!(
                text.lines()
                    .any(|line| line.contains(&one) && line.ends_with(meaning)),
                "{values} {meaning}: {text}"
            );
        }
    }

    #[test]
    fn a_switch_is_set_at_its_own_kind_only() {
        let mut switches = Switches::new();
        switches.set("polls=true").unwrap();
        switches.set("sectigo.orders = hang").unwrap();
        let all = switches.json();
        assert_eq!(all["polls"], true);
        assert_eq!(all["sectigo"]["orders"], "hang");
        assert_eq!(all["digicert"], (KINDS[3].switches)());
        for (wrong, why) in [
            ("polls", "KEY=VALUE"),
            ("pols=true", "pols"),
            ("unknown.polls=true", "unknown.polls"),
            ("sectigo.orders=perhaps", "perhaps"),
            ("digicert.orders=hang", "orders"),
        ] {
            let said = switches.set(wrong).unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
        assert_eq!(switches.json(), all, "nothing is half set");
    }

    #[test]
    fn every_switch_is_listed_with_its_kind() {
        let text = listed();
        for line in [
            "  polls=false|true",
            "  sectigo.orders=\"fulfilled\"",
            "  digicert.polls=true",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
