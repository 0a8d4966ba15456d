//! The toy's settings in the configuration, and how an account is made of them.

use std::sync::Arc;

use super::{Hello, KIND};
use crate::ca::adapter::Adapter;
use crate::ca::settings::{Account, Conditions, Form, Setting};
use crate::ca::{CaError, Failure, Validation};
use crate::clock::Clock;

const KEYS: &[&str] = &[
    "kind",
    "url",
    "greeting",
    "rate",
    "caa_names",
    "ca_file",
    "proxy",
];

/// The toy, as the configuration sees it.
pub static ADAPTER: Adapter = Adapter {
    kind: &KIND,
    issuing: None,
    keys: KEYS,
    settings: SETTINGS,
    url_hint: "where the sandbox listens",
    default_url: |_| None,
    rate: 100,
    conditions: |_| Conditions::default(),
    client_settings: &[],
    hosts: &["hello.example"],
    check_client: |_| Ok(()),
    caller: |_| "",
    address_pace: None,
    doubt: |_, _| None,
    connect,
};

const SETTINGS: &[Setting] = &[
    Setting::common("kind"),
    Setting::common("url"),
    Setting::required("greeting", Form::Secret, "where the greeting is"),
    Setting::common("rate"),
    Setting::common("caa_names"),
    Setting::common("ca_file"),
    Setting::common("proxy"),
];

fn connect(account: Account<'_>, clock: Arc<dyn Clock>) -> Result<Arc<dyn Validation>, CaError> {
    let Account { reach, values, .. } = account;
    let missing = || CaError::new(Failure::Settings, "`greeting` is missing");
    let greeting = values.reader("greeting").ok_or_else(missing)?;
    Ok(Arc::new(Hello::new(&reach, greeting, clock)?))
}
