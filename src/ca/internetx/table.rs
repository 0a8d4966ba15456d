//! InterNetX' settings in the configuration, and how an account is made of them.

use std::sync::Arc;

use secrecy::SecretString;

use super::{APART, InterNetX, KIND, Settings, issuing};
use crate::ca::adapter::Adapter;
use crate::ca::settings::{Account, Conditions, Form, Setting, Values};
use crate::ca::{CaError, Failure, Validation};
use crate::clock::Clock;

/// The keys of `[ca.NAME]`, in the order in which they are shown.
pub const KEYS: &[&str] = &[
    "kind",
    "url",
    "user",
    "password",
    "context",
    "poll",
    "rate",
    "caa_names",
    "ca_file",
    "proxy",
    "proxy_user",
    "proxy_password",
];

/// InterNetX, as the configuration sees it.
pub static ADAPTER: Adapter = Adapter {
    kind: &KIND,
    issuing: Some(&issuing::KIND),
    keys: KEYS,
    settings: SETTINGS,
    url_hint: "for InterNetX https://api.autodns.com/v1, or https://api.demo.autodns.com/v1",
    default_url: |_| None,
    rate: 2,
    conditions: |_| Conditions::default(),
    client_settings: &[],
    hosts: &["autodns.com"],
    check_client: |_| {
        Err("is not for InterNetX: an order brings its own record, and needs no [[client]]")
    },
    caller: |values: &Values| values.text("user"),
    address_pace: Some(APART),
    doubt: |_, _: &SecretString| None,
    connect,
};

const SETTINGS: &[Setting] = &[
    Setting::common("kind"),
    Setting::common("url"),
    Setting::required("user", Form::Text(None), "the user of the SSL Manager"),
    Setting::required(
        "password",
        Form::Secret,
        "where the password is: password = { file = \"/etc/prevalidate/internetx.password\" }",
    ),
    Setting::optional("context", Form::Whole(9)),
    Setting::optional("poll", Form::Choice(&["off", "own"])),
    Setting::common("rate"),
    Setting::common("caa_names"),
    Setting::common("ca_file"),
    Setting::common("proxy"),
    Setting::common("proxy_user"),
    Setting::common("proxy_password"),
];

/// The adapter for an account.
fn connect(account: Account<'_>, clock: Arc<dyn Clock>) -> Result<Arc<dyn Validation>, CaError> {
    let Account { reach, values, .. } = account;
    let refused = |why: &str| CaError::new(Failure::Settings, format!("{}: {why}", reach.name));
    let password = values.reader("password");
    let settings = Settings {
        user: values.text("user").to_owned(),
        password: password.ok_or_else(|| refused("`password` is missing"))?,
        context: values.whole("context").unwrap_or(9),
        confirms_messages: values.text("poll") == "own",
        apart: APART,
        reach,
    };
    Ok(Arc::new(InterNetX::new(settings, clock)?))
}
