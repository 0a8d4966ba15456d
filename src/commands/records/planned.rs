//! A zone that somebody means to deploy: its TXT values and its cuts, from a zone file or from
//! JSON.

use std::collections::{BTreeMap, BTreeSet};

use prevalidate_providers::presentation::{Entry, entries};
use prevalidate_providers::record::is_within;
use serde::Deserialize;

/// The zone as planned.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Planned {
    /// Lower case without a trailing dot, as all names here.
    pub(super) apex: String,
    txt: BTreeMap<String, Vec<Vec<u8>>>,
    /// Where other zones begin.
    cuts: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    zone: String,
    txt: BTreeMap<String, Vec<String>>,
}

impl Planned {
    /// Reads a zone file (RFC 1035, section 5), or JSON. `zone` is its apex and origin where it
    /// says neither itself.
    ///
    /// # Errors
    /// What cannot be read, and on which line: nothing is passed over that could hold a TXT value.
    /// And a plan for another zone than `zone`, which would keep all of nothing.
    pub(super) fn read(text: &str, zone: Option<String>) -> Result<Self, String> {
        let is_json = text.trim_start().starts_with('{');
        let planned = if is_json {
            Self::document(text)?
        } else {
            Self::master(text, zone.clone())?
        };
        match zone {
            Some(zone) if zone != planned.apex => {
                Err(format!("it is the zone {}, and not {zone}", planned.apex))
            }
            _ => Ok(planned),
        }
    }

    fn document(text: &str) -> Result<Self, String> {
        let Document { zone, txt } = serde_json::from_str(text)
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
        match txt.keys().find(|name| !is_within(name, &apex)) {
            Some(stray) => Err(format!(
                "the name {stray} is not in the zone {apex}; names are whole names"
            )),
            None => Ok(Self {
                apex,
                txt,
                cuts: BTreeSet::new(),
            }),
        }
    }

    fn master(text: &str, zone: Option<String>) -> Result<Self, String> {
        let mut planned = Self::default();
        let (mut origin, mut owner, mut soa) = (zone.clone(), None, None);
        let mut delegated = BTreeSet::new();
        for Entry {
            line,
            is_indented,
            tokens: octets,
        } in entries(text)?
        {
            let tokens: Vec<_> = octets
                .iter()
                .map(|token| String::from_utf8_lossy(token))
                .collect();
            let mut rest = tokens.as_slice();
            match tokens[0].to_ascii_uppercase().as_str() {
                "$ORIGIN" if tokens.len() > 1 => {
                    origin = Some(
                        absolute(&tokens[1], origin.as_deref())
                            .map_err(|fault| format!("line {line}: {fault}"))?,
                    );
                    continue;
                }
                "$TTL" => continue,
                word if word.starts_with('$') => {
                    return Err(format!("line {line}: {word} is not followed"));
                }
                _ => {}
            }
            if !is_indented {
                owner = Some(
                    absolute(&tokens[0], origin.as_deref())
                        .map_err(|fault| format!("line {line}: {fault}"))?,
                );
                rest = &rest[1..];
            }
            let name = owner
                .clone()
                .ok_or_else(|| format!("line {line}: no owner stands before it"))?;
            while rest.first().is_some_and(|word| is_ttl_or_class(word)) {
                rest = &rest[1..];
            }
            let Some((kind, data)) = rest.split_first() else {
                return Err(format!("line {line}: there is no type"));
            };
            match kind.to_ascii_uppercase().as_str() {
                "TXT" => planned
                    .txt
                    .entry(name)
                    .or_default()
                    .push(octets[octets.len() - data.len()..].concat()),
                "TYPE16" => {
                    return Err(format!(
                        "line {line}: TXT as unknown data (RFC 3597) is not read"
                    ));
                }
                "NS" => drop(delegated.insert(name)),
                "SOA" => soa = Some(name),
                _ => {}
            }
        }
        planned.apex = soa
            .or(zone)
            .or(origin)
            .ok_or("it has no SOA and no $ORIGIN: name the zone with --zone")?;
        delegated.remove(&planned.apex);
        planned.cuts = delegated;
        Ok(planned)
    }

    /// Whether this zone says what stands at `owner`.
    pub(super) fn decides(&self, owner: &str) -> bool {
        is_within(owner, &self.apex) && !self.cuts.iter().any(|cut| is_within(owner, cut))
    }

    /// Whether `owner`, which is in the zone `zone` now, is not in this one any more: a new
    /// delegation takes what stands there out of everybody's sight.
    pub(super) fn gives_away(&self, owner: &str, zone: &str) -> bool {
        zone == self.apex && !self.decides(owner)
    }

    /// Whether `value` would stand at `owner`, compared by joined octets.
    pub(super) fn holds(&self, owner: &str, value: &str) -> bool {
        self.txt
            .get(owner)
            .is_some_and(|values| values.iter().any(|other| other == value.as_bytes()))
    }
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn absolute(name: &str, origin: Option<&str>) -> Result<String, String> {
    match (name, origin) {
        (name, _) if name.ends_with('.') => Ok(plain(name)),
        ("@", Some(origin)) => Ok(origin.to_owned()),
        // The root has no label.
        (name, Some("")) => Ok(name.to_ascii_lowercase()),
        (name, Some(origin)) => Ok(format!("{}.{origin}", name.to_ascii_lowercase())),
        (name, None) => Err(format!(
            "{name} is relative and there is no $ORIGIN: name the zone with --zone"
        )),
    }
}

fn is_ttl_or_class(word: &str) -> bool {
    let is_ttl = word.starts_with(|c: char| c.is_ascii_digit())
        && word
            .bytes()
            .all(|b| b.is_ascii_digit() || b"smhdwSMHDW".contains(&b));
    is_ttl
        || ["IN", "CH", "HS"]
            .iter()
            .any(|class| word.eq_ignore_ascii_case(class))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_zone_file_is_read_as_name_servers_do() {
        let text = r#"$TTL 1h
$ORIGIN Example.CH.
@ IN SOA ns1 hostmaster ( 1 ; serial
    3600 600 604800 300 )
  NS ns1
  300 IN TXT "v=spf1 -all"
  IN 5m TXT ( "swiss-pki=" ; split
      "one" )
www 60 txt swiss-pki=two
sub NS ns.elsewhere.net.
$ORIGIN below.example.ch.
@ TXT "three"
x.example.ch. TYPE65280 \# 0
"#;
        let planned = Planned::read(text, None).unwrap();
        assert_eq!(planned.apex, "example.ch");
        for (owner, value) in [
            ("example.ch", "v=spf1 -all"),
            ("example.ch", "swiss-pki=one"),
            ("www.example.ch", "swiss-pki=two"),
            ("below.example.ch", "three"),
        ] {
            assert!(planned.holds(owner, value), "{owner} {value}: {planned:?}");
        }
        assert!(!planned.holds("example.ch", "swiss-pki=two"));
        // What others serve already is not given away by this plan.
        for (owner, zone, away) in [
            ("www.sub.example.ch", "example.ch", true),
            ("www.sub.example.ch", "sub.example.ch", false),
            ("www.example.ch", "example.ch", false),
            ("example.ch", "example.ch", false),
        ] {
            assert_eq!(planned.gives_away(owner, zone), away, "{owner} in {zone}");
        }
        for (owner, decided) in [
            ("example.ch", true),
            ("a.www.example.ch", true),
            ("sub.example.ch", false),
            ("a.sub.example.ch", false),
            ("notexample.ch", false),
        ] {
            assert_eq!(planned.decides(owner), decided, "{owner}");
        }
    }

    #[test]
    fn an_origin_of_the_root_and_names_in_any_writing_are_the_same_zone() {
        for text in [
            "$ORIGIN .\n$TTL 60\nexample.ch IN SOA ns1 h 1 2 3 4 5\n\t60 IN TXT \"x\"\n",
            "$ORIGIN ch.\nexample SOA ns1 h 1 2 3 4 5\nexample TXT x",
            "$ORIGIN .\n$ORIGIN ch\nexample SOA ns1 h 1 2 3 4 5\nexample TXT x",
            "EXAMPLE.ch. SOA ns1 h 1 2 3 4 5\nexample.CH. TXT x",
        ] {
            let planned = Planned::read(text, None).unwrap();
            assert_eq!(planned.apex, "example.ch", "{text}");
            assert!(
                planned.decides("www.example.ch") && planned.holds("example.ch", "x"),
                "{text}: {planned:?}"
            );
        }
    }

    #[test]
    fn a_plan_for_another_zone_than_the_one_that_is_named_is_refused() {
        let zone = || Some("a.ch".to_owned());
        for (text, words) in [
            (
                "$ORIGIN b.ch.\n@ SOA ns1 h 1 2 3 4 5",
                "the zone b.ch, and not a.ch",
            ),
            (
                r#"{"zone": "b.ch", "txt": {}}"#,
                "the zone b.ch, and not a.ch",
            ),
        ] {
            let fault = Planned::read(text, zone()).unwrap_err();
            assert!(fault.contains(words), "{text}: {fault}");
        }
        for text in [
            "$ORIGIN b.a.ch.\n@ TXT x",
            "@ SOA ns1 h 1 2 3 4 5",
            r#"{"zone": "A.ch.", "txt": {}}"#,
        ] {
            assert_eq!(Planned::read(text, zone()).unwrap().apex, "a.ch", "{text}");
        }
        let relative =
            Planned::read(r#"{"zone": "a.ch", "txt": {"www": ["x"]}}"#, None).unwrap_err();
        assert!(
            relative.contains("www is not in the zone a.ch"),
            "{relative}"
        );
    }

    #[test]
    fn what_cannot_be_read_whole_is_refused_with_its_line() {
        for (text, words) in [
            ("$INCLUDE more.zone", "line 1: $INCLUDE is not followed"),
            ("\n$GENERATE 1-9 a$ A 192.0.2.$", "line 2: $GENERATE"),
            ("@ TXT x", "line 1: @ is relative"),
            (" TXT x", "line 1: no owner"),
            ("a.ch. TXT \"open", "line 1: a quote"),
            ("a.ch. TYPE16 \\# 2 0161", "RFC 3597"),
            ("a.ch. TXT x", "name the zone with --zone"),
            ("{\"zone\": 1}", "JSON"),
        ] {
            let fault = Planned::read(text, None).unwrap_err();
            assert!(fault.contains(words), "{text}: {fault}");
        }
        let planned = Planned::read("@ TXT x", Some("a.ch".into())).unwrap();
        assert!(planned.holds("a.ch", "x"));
        let json = Planned::read(r#"{"zone": "A.ch.", "txt": {"a.ch.": ["x"]}}"#, None).unwrap();
        assert!(json.holds("a.ch", "x") && json.decides("b.a.ch"));
    }
}
