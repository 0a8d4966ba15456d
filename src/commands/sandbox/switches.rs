//! The switches of the CAs, as `--fault help` lists them.

use serde_json::json;

use crate::sandbox::{internetx, sectigo};

/// Every switch of the CA with the values it takes and what it means; the default first.
const SWITCHES: [(&str, &str, &str); 36] = [
    (
        "reset_keeps_proof",
        "true|false",
        "a reset leaves a valid domain valid",
    ),
    ("not_seen", "unchanged|error", "how validate says: not seen"),
    (
        "stale_token",
        "unchanged|error",
        "how validate says: no token to look for",
    ),
    (
        "register_known",
        "error|same|new_token",
        "what register does with a known name",
    ),
    (
        "bad_name_fails_batch",
        "true|false",
        "one bad name fails the whole register",
    ),
    (
        "value_has_prefix",
        "true|false",
        "the value comes with swiss-pki= in front",
    ),
    (
        "lower_case_status",
        "false|true",
        "the status is in lower case",
    ),
    ("polls", "false|true", "the CA looks by itself"),
    ("folds_sharp_s", "false|true", "ß becomes ss"),
    ("shuffled", "false|true", "lists come in any order"),
    (
        "cuts_late",
        "false|true",
        "a rule cuts shown dates when it starts",
    ),
    (
        "quoted_jwt",
        "false|true",
        "the token helper's JWT is in quotes",
    ),
    ("issuer", "SwissPKI|TEXT", "the `iss` that is accepted"),
    (
        "client_search_limit",
        "300|N",
        "how many clients a search returns",
    ),
    (
        "perspectives",
        "0|N",
        "places that look; 0: at every name server",
    ),
    (
        "resolvers",
        "[]|[\"192.0.2.1:53\"]",
        "one resolver per place, asked instead",
    ),
    ("perspective_failures", "1|N", "how many of them may fail"),
    (
        "issued_after",
        "0|N",
        "seconds from an order to its certificate",
    ),
    (
        "orders_become",
        "ISSUED|WORD",
        "the state that an order reaches",
    ),
    (
        "certificate_life",
        "7776000|N",
        "how long certificates live, seconds",
    ),
    (
        "unproven",
        "waits|hangs|fails",
        "an order for a name without validation",
    ),
    (
        "validate_sees_domains",
        "false|true",
        "the rehearsal of orders sees domains",
    ),
    (
        "tags_are_exact",
        "true|false",
        "a search by tag finds that very tag only",
    ),
    (
        "tags_found_after",
        "0|N",
        "seconds until a search by tag finds an order",
    ),
    (
        "submit_fails",
        "no|without_order|with_order",
        "0239, and the order exists or not",
    ),
    (
        "chain_order",
        "leaf_first|root_first|any",
        "in which order a chain comes",
    ),
    ("chain_has_root", "true|false", "a chain holds the root"),
    ("chain_in_pem", "false|true", "a chain is PEM, not DER"),
    ("bare_status", "false|true", "a state is a bare word"),
    (
        "for_another_key",
        "false|true",
        "certificates are for another key",
    ),
    (
        "leaves_a_name_out",
        "false|true",
        "certificates lack the last name",
    ),
    (
        "revoked_at_once",
        "false|true",
        "certificates are revoked as they are issued",
    ),
    ("revoked_after", "0|N", "seconds until a revocation shows"),
    (
        "wants_requestor",
        "true|false",
        "a revocation names who asks for it",
    ),
    (
        "latency_ms",
        "0|N",
        "the least time of a call, as --latency",
    ),
    (
        "calls_per_second",
        "0|N",
        "429 for more than this; 0: no limit",
    ),
];

/// The switches, one a line.
pub(super) fn switches() -> String {
    let line = |(key, values, meaning): &(&str, &str, &str)| {
        format!("  {:<37}{meaning}", format!("{key}={values}"))
    };
    let own = SWITCHES.iter().map(line);
    let guests = [
        ("sectigo", json!(sectigo::Behaviour::default())),
        ("internetx", json!(internetx::Behaviour::default())),
    ];
    let of_guests = guests.iter().flat_map(|(kind, switches)| {
        let switches = switches.as_object().into_iter().flatten();
        switches.map(move |(key, value)| format!("  {kind}.{key}={value}"))
    });
    own.chain(of_guests).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::sandbox::ca::Behaviour;

    #[test]
    fn the_list_of_switches_is_the_cas_own_with_its_defaults() {
        let behaviour = serde_json::to_value(Behaviour::default()).unwrap();
        let known: BTreeSet<&str> = behaviour
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            SWITCHES
                .iter()
                .map(|(key, ..)| *key)
                .collect::<BTreeSet<_>>(),
            known
        );
        for (key, values, _) in SWITCHES {
            let mut set = Behaviour::default();
            set.set(key, values.split('|').next().unwrap()).unwrap();
            assert_eq!(set, Behaviour::default(), "{key} names its default first");
            for value in values
                .split('|')
                .skip(1)
                .map(|value| if value == "N" { "7" } else { value })
            {
                set.set(key, value).unwrap();
            }
        }
    }
}
