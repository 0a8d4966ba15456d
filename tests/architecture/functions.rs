//! How long functions are.

use std::collections::BTreeSet;

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Block, File};

use super::{none, sources};

/// Lines of code between a function's braces. Empty lines and comments do not count.
const MOST: usize = 60;
/// A test is one story or one table, read from top to bottom, and so is what only tests use.
const MOST_OF_A_TEST: usize = 100;

/// Why longer functions are read better in one piece: the reason, and the files and functions. The
/// lists may only become shorter.
const LONG: &[(&str, &[(&str, &str)])] = &[
    (
        "a list of cases, each with its own words",
        &[
            ("providers/src/autodns/answer.rs", "judge"),
            ("providers/src/autodns/calls.rs", "zone"),
            ("providers/src/cloudflare.rs", "verify"),
            ("providers/src/cloudflare/calls.rs", "write"),
            ("providers/src/exec/protocol.rs", "reading"),
            ("providers/src/rfc2136/cname.rs", "read_cname"),
            ("providers/src/rfc2136/reading.rs", "read_name"),
            ("providers/src/rfc2136/plan.rs", "plan"),
            ("providers/src/rfc2136/refusal.rs", "refused"),
            ("providers/src/rfc2136/send.rs", "send"),
            ("providers/src/route53/change.rs", "try_batch"),
            ("providers/src/route53/reading.rs", "read_name"),
            ("providers/src/route53/refusal.rs", "failed"),
            ("src/ca/sectigo/error.rs", "meaning"),
            ("src/commands/diagnose/report.rs", "add"),
            ("src/issuance/planner.rs", "renewal"),
            ("src/issuance/planner.rs", "under_way"),
            ("src/notify/notice.rs", "of"),
            ("src/prevalidation/planner.rs", "decide"),
            ("src/prevalidation/planner.rs", "towards_proof"),
            ("src/propagation/finding.rs", "caa"),
            ("src/propagation/finding.rs", "delegation"),
            ("src/propagation/finding/resolvers.rs", "findings"),
            ("src/propagation/finding/servers.rs", "silent"),
            ("src/propagation/finding/servers.rs", "transports"),
            ("src/propagation/finding/servers.rs", "value"),
            ("src/propagation/rule.rs", "weigh"),
            ("src/store/postgres/place.rs", "parse"),
            ("src/store/url.rs", "read"),
        ],
    ),
    (
        "one field, key or series after another",
        &[
            ("src/ca/digicert/wire.rs", "detail"),
            ("src/ca/internetx/request.rs", "request"),
            ("src/ca/sectigo/wire.rs", "registration"),
            ("src/ca/swisssign/wire.rs", "registration"),
            ("src/commands/config.rs", "unreadable_secrets"),
            ("src/commands/diagnose/report.rs", "make"),
            ("src/config/ca.rs", "read"),
            ("src/config/certificates/one.rs", "read"),
            ("src/config/clients.rs", "client"),
            ("src/config/read.rs", "top"),
            ("src/config/trust.rs", "programs"),
            ("src/metrics.rs", "registered"),
            ("src/output/table.rs", "render"),
            ("src/overview.rs", "view"),
            ("src/overview/certificates.rs", "new"),
            ("src/sandbox/sectigo/ssl_calls.rs", "enroll"),
            ("src/server/page/calendar.rs", "drawing"),
        ],
    ),
    (
        "steps that share what they found and end in different ways",
        &[
            ("providers/src/records/open.rs", "plan"),
            ("providers/src/route53/plan.rs", "of"),
            ("src/commands/certificate/ad_hoc.rs", "order"),
            ("src/commands/certificate/pass.rs", "rehearse"),
            ("src/commands/certificate/revoke.rs", "revoke"),
            ("src/commands/diagnose/known.rs", "ask_provider"),
            ("src/commands/forecast.rs", "run"),
            ("src/commands/inventory.rs", "take_in"),
            ("src/commands/inventory/at_ca.rs", "remove"),
            ("src/commands/providers.rs", "table"),
            ("src/commands/readiness.rs", "readiness"),
            ("src/commands/store.rs", "copy_all"),
            ("src/notify/decide.rs", "decide"),
            ("src/notify/notifier.rs", "tell_sink"),
            ("src/propagation/examine/address.rs", "ask_servers"),
            ("src/propagation/examine/server.rs", "examine"),
            ("src/sandbox/ca/calls.rs", "perform"),
            ("src/sandbox/ca/order_calls.rs", "perform"),
            ("src/sandbox/ca/serve.rs", "work"),
            ("src/sandbox/dns/serve.rs", "answer"),
            ("src/server/hooks.rs", "take"),
            ("src/store/postgres/inventory.rs", "change"),
            ("src/store/postgres/listing.rs", "record"),
            ("src/store/sqlite/lease.rs", "claim"),
            ("src/worker/issue/perform/files.rs", "begin_order"),
            ("src/worker/issue/perform/files.rs", "fetch"),
        ],
    ),
    (
        "a story or a table of a test, read from top to bottom",
        &[
            (
                "src/ca/swisssign/tests/transport.rs",
                "every_status_says_whether_it_may_have_happened_and_only_reads_are_repeated",
            ),
            (
                "src/ca/swisssign/tests/wire.rs",
                "a_status_is_compared_without_case_and_the_safest_reading_of_a_contradiction_counts",
            ),
            (
                "src/issuance/planner/tests/live.rs",
                "damage_is_mended_where_the_ca_has_it_and_a_foreign_pair_is_left_alone",
            ),
            ("src/overview/certificates/tests.rs", "samples"),
            (
                "src/persistent/tests/records.rs",
                "malformed_records_are_told_with_their_words_and_with_who_takes_them",
            ),
            (
                "src/propagation/caa/tests/shapes.rs",
                "each_shape_of_record_set_means_what_the_rules_of_march_2027_say",
            ),
            ("src/server/lab.rs", "fill"),
            (
                "src/store/conformance.rs",
                "retention_forgets_only_what_is_old_and_closed",
            ),
            (
                "src/store/conformance.rs",
                "risk_slots_hold_under_concurrency",
            ),
            (
                "src/store/conformance.rs",
                "the_ledger_opens_once_and_closes",
            ),
            ("src/store/conformance.rs", "two_origins_want_independently"),
            (
                "src/store/conformance/fleet.rs",
                "a_zero_byte_in_foreign_text_spoils_nothing",
            ),
            ("src/store/conformance/fleet.rs", "fill"),
            (
                "tests/e2e/orders.rs",
                "only_the_role_operate_orders_a_listing_and_a_try",
            ),
            (
                "tests/e2e/pipeline.rs",
                "a_pipeline_writes_what_records_prints_and_everything_else_goes_by_itself",
            ),
            ("tests/model/world.rs", "calls_to_one_were_right"),
            ("tests/support/inventory.rs", "trouble"),
            ("tests/support/knot.rs", "prepare"),
        ],
    ),
];

/// A function of a file.
pub(super) struct Function {
    name: String,
    lines: usize,
    is_test: bool,
}

pub(super) fn of(syntax: &File, text: &str) -> Vec<Function> {
    let mut functions = Functions {
        lines: text.lines().collect(),
        found: Vec::new(),
    };
    functions.visit_file(syntax);
    functions.found
}

struct Functions<'a> {
    lines: Vec<&'a str>,
    found: Vec<Function>,
}

impl Functions<'_> {
    fn take(&mut self, signature: &syn::Signature, attributes: &[syn::Attribute], block: &Block) {
        let (first, last) = (block.span().start().line, block.span().end().line);
        let inside = self.lines.get(first..last - 1).unwrap_or_default();
        let is_code = |line: &&&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        let is_test = attributes.iter().any(|attribute| {
            let last = attribute.path().segments.last();
            last.is_some_and(|segment| segment.ident == "test")
        });
        self.found.push(Function {
            name: signature.ident.to_string(),
            lines: inside.iter().filter(is_code).count(),
            is_test,
        });
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.take(&function.sig, &function.attrs, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.take(&function.sig, &function.attrs, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.take(&function.sig, &function.attrs, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[test]
fn a_function_is_as_long_as_one_can_read_or_has_a_reason() {
    let mut breaches = Vec::new();
    let listed: BTreeSet<(&str, &str)> = LONG.iter().flat_map(|(_, all)| *all).copied().collect();
    let mut long = BTreeSet::new();
    let folders = ["src", "kit", "providers", "tests"];
    for source in folders.into_iter().flat_map(sources) {
        for function in &source.functions {
            let most = match function.is_test || source.is_test {
                true => MOST_OF_A_TEST,
                false => MOST,
            };
            let (path, name) = (source.path.as_str(), function.name.as_str());
            if function.lines <= most {
                continue;
            }
            long.insert((path, name));
            if !listed.contains(&(path, name)) {
                breaches.push(format!("{path}: {name} has {} lines", function.lines));
            }
        }
    }
    let short = listed.difference(&long);
    breaches.extend(short.map(|(path, name)| format!("{path}: {name}: take it off the list")));
    none("split a long function, or give the reason", &breaches);
}
