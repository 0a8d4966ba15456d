//! SwissSign's settings in the configuration, and how an account is made of them.

use std::sync::Arc;

use super::settings::{Auth, Settings, doubt_of_key};
use super::{KIND, SwissSign, issuing};
use crate::ca::adapter::Adapter;
use crate::ca::settings::{Account, Conditions, Form, Setting, Values};
use crate::ca::token::check_prefix;
use crate::ca::{CaError, Validation};
use crate::clock::Clock;

/// The keys of `[ca.NAME]`, in the order in which they are shown.
pub const KEYS: &[&str] = &[
    "kind",
    "url",
    "user",
    "api_key",
    "second_api_key",
    "auth",
    "issuer",
    "rate",
    "token_prefix",
    "order_by",
    "revocation_requestor",
    "caa_names",
    "ca_file",
    "proxy",
    "proxy_user",
    "proxy_password",
];

/// SwissSign, as the configuration sees it.
pub static ADAPTER: Adapter = Adapter {
    kind: &KIND,
    issuing: Some(&issuing::KIND),
    keys: KEYS,
    settings: SETTINGS,
    url_hint: "for SwissSign https://api.ra.swisssign.ch, or its pre-production",
    default_url: |_| None,
    rate: 2,
    conditions: |_| Conditions::default(),
    client_settings: &[],
    hosts: &["swisssign.ch"],
    check_client,
    caller,
    address_pace: None,
    doubt: doubt_of_key,
    connect,
};

const SETTINGS: &[Setting] = &[
    Setting::common("kind"),
    Setting::common("url"),
    Setting::required(
        "user",
        Form::Text(None),
        "the service account's name, such as MPKI0000001.AutoRAO",
    ),
    Setting::required(
        "api_key",
        Form::Secret,
        "where the key is: api_key = { file = \"/etc/prevalidate/api.key\" }",
    ),
    Setting::optional("second_api_key", Form::Secret),
    Setting::optional("auth", Form::Choice(&["local", "helper"])),
    Setting::optional("issuer", Form::Text(Some("SwissPKI"))),
    Setting::common("rate"),
    Setting::optional("token_prefix", Form::Checked("swiss-pki=", check_prefix)),
    Setting::optional("order_by", Form::Choice(&["tag", "csr"])),
    Setting::optional("revocation_requestor", Form::Text(Some("prevalidate"))),
    Setting::common("caa_names"),
    Setting::common("ca_file"),
    Setting::common("proxy"),
    Setting::common("proxy_user"),
    Setting::common("proxy_password"),
];

/// The adapter for an account.
fn connect(account: Account<'_>, clock: Arc<dyn Clock>) -> Result<Arc<dyn Validation>, CaError> {
    let Account { reach, values, .. } = account;
    let keys = ["api_key", "second_api_key"];
    let settings = Settings {
        auth: match values.text("auth") {
            "helper" => Auth::Helper,
            _ => Auth::LocalSigning,
        },
        issuer: values.text("issuer").to_owned(),
        token_prefix: values.text("token_prefix").to_owned(),
        issues_by_csr: values.text("order_by") == "csr",
        revocation_requestor: values.text("revocation_requestor").to_owned(),
        rate: reach.rate,
        permit: reach.permit,
        ca_file: reach.ca_file,
        proxy: reach.proxy,
        user_agent: reach.user_agent,
        timeouts: reach.timeouts,
        ..Settings::new(
            reach.name,
            reach.base,
            values.text("user"),
            keys.iter().filter_map(|key| values.reader(key)).collect(),
        )
    };
    Ok(Arc::new(SwissSign::new(settings, clock)?))
}

/// Whether a text can be the reference of a client.
fn check_client(text: &str) -> Result<(), &'static str> {
    if text.starts_with("cli-") {
        Ok(())
    } else {
        Err("must begin with cli-; for the client's name use `name`")
    }
}

fn caller(values: &Values) -> &str {
    values.text("user")
}
