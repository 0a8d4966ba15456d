//! The same values in the words of the tools that write zones.

use std::collections::BTreeMap;
use std::fmt::Write;

use prevalidate_providers::TxtRecord;
use serde_json::json;

use super::{Records, Value};
use crate::prevalidation::RecordType;

/// A tool that writes zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::commands) enum Format {
    /// Lines of a zone file
    Zone,
    /// Commands for nsupdate
    Nsupdate,
    /// octoDNS: a YAML document for each zone, to merge into the `values` that are there
    Octodns,
    /// DNSControl: D_EXTEND for each zone
    Dnscontrol,
    /// Terraform: a local value with lists, to concat with the values that are there
    Terraform,
    /// For programs
    Json,
}

/// The text for one tool.
pub(super) fn render(format: Format, records: &Records) -> String {
    match format {
        Format::Zone => lines(records),
        Format::Nsupdate => nsupdate(records),
        Format::Octodns => octodns(records),
        Format::Dnscontrol => dnscontrol(records),
        Format::Terraform => terraform(records),
        Format::Json => json!(records).to_string(),
    }
}

/// The type and the data as zone files have them: a value in quotes, in strings of at most 255
/// octets, or a whole name.
fn presentation(value: &Value) -> String {
    match value.kind {
        RecordType::Txt => format!("TXT {}", TxtRecord::of(&value.value).presentation()),
        RecordType::Cname => format!("CNAME {}.", value.value),
    }
}

/// The value, or the target as a whole name.
fn data(value: &Value) -> String {
    match value.kind {
        RecordType::Txt => value.value.clone(),
        RecordType::Cname => format!("{}.", value.value),
    }
}

/// A JSON string, which YAML and JavaScript read alike.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}

/// The name without its zone; empty at the apex.
pub(super) fn relative(Value { owner, zone, .. }: &Value) -> &str {
    owner
        .strip_suffix(zone.as_str())
        .unwrap_or(owner)
        .trim_end_matches('.')
}

/// By zone: what must be, what may go.
fn zones(records: &Records) -> BTreeMap<&str, (Vec<&Value>, Vec<&Value>)> {
    let mut zones: BTreeMap<&str, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
    records
        .must_stand
        .iter()
        .for_each(|value| zones.entry(&value.zone).or_default().0.push(value));
    records
        .may_go
        .iter()
        .for_each(|value| zones.entry(&value.zone).or_default().1.push(value));
    zones
}

// Writing into a String cannot fail.
macro_rules! put {
    ($text:ident, $($word:tt)*) => { let _ = writeln!($text, $($word)*); };
}

fn lines(records: &Records) -> String {
    let mut text = String::new();
    for (zone, (stand, go)) in zones(records) {
        put!(text, "; zone {zone}: must exist");
        for value in stand {
            let Value { owner, ttl, .. } = value;
            put!(text, "{owner}. {ttl} IN {}", presentation(value));
        }
        for value in go {
            let owner = &value.owner;
            put!(text, "; may go: {owner}. IN {}", presentation(value));
        }
    }
    text
}

fn nsupdate(records: &Records) -> String {
    let mut text = String::new();
    for (zone, (stand, go)) in zones(records) {
        put!(text, "zone {zone}.");
        for value in stand {
            let Value { owner, ttl, .. } = value;
            put!(text, "update add {owner}. {ttl} {}", presentation(value));
        }
        for value in go {
            let owner = &value.owner;
            put!(text, "update delete {owner}. {}", presentation(value));
        }
        put!(text, "send");
    }
    text
}

fn octodns(records: &Records) -> String {
    let mut text = String::new();
    for (zone, (stand, go)) in zones(records) {
        put!(text, "---\n# {zone}.yaml: merge these into what is there");
        let mut names: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        stand
            .into_iter()
            .for_each(|value| names.entry(relative(value)).or_default().push(value));
        for (name, values) in names {
            if values[0].kind == RecordType::Cname {
                let (name, ttl) = (quoted(name), values[0].ttl);
                let target = quoted(&data(values[0]));
                put!(
                    text,
                    "{name}:\n  ttl: {ttl}\n  type: CNAME\n  value: {target}"
                );
                continue;
            }
            // By default it refuses keys out of order.
            put!(
                text,
                "{}:\n  ttl: {}\n  type: TXT\n  values:",
                quoted(name),
                values[0].ttl
            );
            for value in values {
                // octoDNS wants semicolons escaped.
                put!(text, "    - {}", quoted(&value.value.replace(';', "\\;")));
            }
        }
        for value in go {
            put!(
                text,
                "# may go: {} {}",
                quoted(relative(value)),
                quoted(&data(value))
            );
        }
    }
    text
}

fn dnscontrol(records: &Records) -> String {
    let mut text = String::new();
    for (zone, (stand, go)) in zones(records) {
        for value in go {
            put!(
                text,
                "// may go: {} {} {}",
                value.owner,
                value.kind,
                quoted(&data(value))
            );
        }
        if !stand.is_empty() {
            put!(text, "D_EXTEND({},", quoted(zone));
            for value in stand {
                let name = Some(relative(value))
                    .filter(|name| !name.is_empty())
                    .unwrap_or("@");
                put!(
                    text,
                    "  {}({}, {}, TTL({})),",
                    value.kind,
                    quoted(name),
                    quoted(&data(value)),
                    value.ttl
                );
            }
            put!(text, "END);");
        }
    }
    text
}

fn terraform(records: &Records) -> String {
    let mut owners: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    let of = |kind| {
        let stand = records.must_stand.iter();
        stand.filter(move |value| value.kind == kind)
    };
    of(RecordType::Txt).for_each(|value| owners.entry(&value.owner).or_default().push(value));
    // HCL reads `${` and `%{` as templates.
    let literal = |text: &str| quoted(text).replace("${", "$${").replace("%{", "%%{");
    let mut text = String::from("locals {\n  prevalidate_txt = {\n");
    let width = owners
        .keys()
        .map(|owner| quoted(owner).len())
        .max()
        .unwrap_or(0);
    for (owner, values) in owners {
        let values: Vec<_> = values.iter().map(|value| literal(&value.value)).collect();
        put!(
            text,
            "    {:width$} = [{}]",
            quoted(owner),
            values.join(", ")
        );
    }
    text.push_str("  }\n");
    // An alias has one target.
    let aliases: Vec<_> = of(RecordType::Cname).collect();
    if !aliases.is_empty() {
        text.push_str("  prevalidate_cname = {\n");
        for value in aliases {
            put!(
                text,
                "    {} = {}",
                quoted(&value.owner),
                literal(&data(value))
            );
        }
        text.push_str("  }\n");
    }
    text.push_str("}\n");
    for value in &records.may_go {
        put!(text, "# may go: {} {}", value.owner, quoted(&data(value)));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::super::planned::Planned;
    use super::*;

    fn value(owner: &str, zone: &str, value: &str) -> Value {
        let text = |text: &str| text.to_owned();
        Value {
            owner: text(owner),
            kind: RecordType::Txt,
            zone: text(zone),
            ttl: 300,
            value: text(value),
            provider: text("p"),
            seen: false,
            asked: text(owner),
        }
    }

    #[test]
    fn no_value_breaks_out_of_its_quotes() {
        let evil = "a\"; b\\ ${x} %{y}'\n";
        let records = Records {
            must_stand: vec![value("a.example.ch", "example.ch", evil)],
            may_go: vec![],
        };
        for (format, expected) in [
            (
                Format::Zone,
                r#"a.example.ch. 300 IN TXT "a\"; b\\ ${x} %{y}'\010""#,
            ),
            (
                Format::Nsupdate,
                r#"update add a.example.ch. 300 TXT "a\"; b\\ ${x} %{y}'\010""#,
            ),
            (Format::Octodns, r#"    - "a\"\\; b\\ ${x} %{y}'\n""#),
            (
                Format::Dnscontrol,
                r#"  TXT("a", "a\"; b\\ ${x} %{y}'\n", TTL(300)),"#,
            ),
            (
                Format::Terraform,
                r#"    "a.example.ch" = ["a\"; b\\ $${x} %%{y}'\n"]"#,
            ),
        ] {
            let text = render(format, &records);
            assert!(
                text.lines().any(|line| line == expected),
                "{format:?}: {text}"
            );
        }
    }

    #[test]
    fn an_alias_is_written_with_its_whole_target_in_the_words_of_each_tool() {
        let alias = Value {
            kind: RecordType::Cname,
            ..value("_a1.example.ch", "example.ch", "b2.ca.example")
        };
        let records = Records {
            must_stand: vec![alias.clone()],
            may_go: vec![alias],
        };
        for (format, expected) in [
            (
                Format::Zone,
                &[
                    "_a1.example.ch. 300 IN CNAME b2.ca.example.",
                    "; may go: _a1.example.ch. IN CNAME b2.ca.example.",
                ][..],
            ),
            (
                Format::Nsupdate,
                &[
                    "update add _a1.example.ch. 300 CNAME b2.ca.example.",
                    "update delete _a1.example.ch. CNAME b2.ca.example.",
                ],
            ),
            (
                Format::Octodns,
                &["\"_a1\":", "  type: CNAME", "  value: \"b2.ca.example.\""],
            ),
            (
                Format::Dnscontrol,
                &["  CNAME(\"_a1\", \"b2.ca.example.\", TTL(300)),"],
            ),
            (
                Format::Terraform,
                &[
                    "  prevalidate_cname = {",
                    "    \"_a1.example.ch\" = \"b2.ca.example.\"",
                ],
            ),
        ] {
            let text = render(format, &records);
            for line in expected {
                assert!(text.lines().any(|found| found == *line), "{line}: {text}");
            }
        }
        let lines = render(Format::Zone, &records);
        let planned = Planned::read(&lines, Some("example.ch".to_owned())).unwrap();
        assert!(planned.leads("_a1.example.ch", "b2.ca.example"), "{lines}");
        assert!(!planned.leads("_a1.example.ch", "b3.ca.example"));
    }

    proptest! {
        #[test]
        fn a_plan_with_the_lines_that_are_printed_keeps_the_values(texts in prop::collection::vec("\\PC{1,600}|[\u{0}-\u{ff}]{1,40}", 1..4)) {
            let must_stand: Vec<Value> = texts.iter().map(|text| value("example.ch", "example.ch", text)).collect();
            let lines = render(Format::Zone, &Records { must_stand, may_go: vec![] });
            let planned = Planned::read(&format!("$ORIGIN .\n{lines}"), Some("example.ch".to_owned())).unwrap();
            for text in &texts {
                prop_assert!(planned.holds("example.ch", text), "{lines}");
            }
        }

        #[test]
        fn no_plan_is_a_panic(text in ".*", zone in "[a-z.]{0,12}") {
            let _ = Planned::read(&text, Some(zone));
        }
    }
}
