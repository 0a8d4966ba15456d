//! DigiCert's settings in the configuration, and how an account is made of them.

use std::sync::Arc;

use secrecy::SecretString;

use super::entry::is_id;
use super::settings::{TYPES, URL};
use super::{DigiCert, KIND, Label, Organisation, Settings, issuing};
use crate::ca::adapter::Adapter;
use crate::ca::settings::{Account, Conditions, Form, Setting, Values};
use crate::ca::validation::Method;
use crate::ca::{CaError, Failure, Validation};
use crate::clock::Clock;

/// The keys of `[ca.NAME]`, in the order in which they are shown.
pub const KEYS: &[&str] = &[
    "kind",
    "url",
    "api_key",
    "label",
    "method",
    "follow_aliases",
    "skip_approval",
    "rate",
    "caa_names",
    "ca_file",
    "proxy",
    "proxy_user",
    "proxy_password",
];

/// DigiCert, as the configuration sees it.
pub static ADAPTER: Adapter = Adapter {
    kind: &KIND,
    issuing: Some(&issuing::KIND),
    keys: KEYS,
    settings: SETTINGS,
    url_hint: "for DigiCert https://www.digicert.com/services/v2, in the EU https://certcentral.digicert.eu/services/v2",
    default_url: |_| Some(URL),
    rate: 5,
    conditions,
    client_settings: CLIENT_SETTINGS,
    hosts: &["digicert.com", "digicert.eu"],
    check_client,
    // Only DigiCert knows the account of a key: all keys of an instance share one rate.
    caller: |_| "",
    address_pace: None,
    doubt: |_, _: &SecretString| None,
    connect,
};

const SETTINGS: &[Setting] = &[
    Setting::common("kind"),
    Setting::common("url"),
    Setting::required(
        "api_key",
        Form::Secret,
        "where the key is: api_key = { file = \"/etc/prevalidate/digicert.key\" }",
    ),
    Setting::optional("label", Form::Choice(&["_dnsauth", "apex"])),
    Setting::optional("method", Form::Choice(&["txt", "cname"])),
    Setting::common("follow_aliases"),
    Setting::optional("skip_approval", Form::Flag(true)),
    Setting::common("rate"),
    Setting::common("caa_names"),
    Setting::common("ca_file"),
    Setting::common("proxy"),
    Setting::common("proxy_user"),
    Setting::common("proxy_password"),
];

const CLIENT_SETTINGS: &[Setting] = &[
    Setting::optional("create_domains", Form::Flag(false)),
    Setting::optional(
        "validations",
        Form::Words {
            known: &TYPES,
            default: &["ov"],
        },
    ),
];

fn conditions(values: &Values) -> Conditions {
    let hides = values.text("method") == "cname" && values.text("label") == "apex";
    let why =
        "is not for method = \"cname\": a CNAME at the domain would hide every other record there";
    Conditions {
        useless: hides.then_some(("label", why)).into_iter().collect(),
        ..Conditions::default()
    }
}

/// The adapter for an account.
fn connect(account: Account<'_>, clock: Arc<dyn Clock>) -> Result<Arc<dyn Validation>, CaError> {
    let Account {
        reach,
        values,
        clients,
    } = account;
    let missing = || {
        let what = format!("{}: `api_key` is missing", reach.name);
        CaError::new(Failure::Settings, what)
    };
    let organisations = clients.into_iter().map(|(client, values)| {
        let organisation = Organisation {
            creates: values.flag("create_domains"),
            validations: values.words("validations").to_vec(),
        };
        (client.clone(), organisation)
    });
    let settings = Settings {
        api_key: values.reader("api_key").ok_or_else(missing)?,
        method: match values.text("method") {
            "cname" => Method::Cname,
            _ => Method::Txt,
        },
        label: match values.text("label") {
            "apex" => Label::Apex,
            _ => Label::DnsAuth,
        },
        skip_approval: values.flag("skip_approval"),
        organisations: organisations.collect(),
        reach,
    };
    Ok(Arc::new(DigiCert::new(settings, clock)?))
}

/// Whether a text can be the reference of a client.
fn check_client(text: &str) -> Result<(), &'static str> {
    if is_id(text) {
        Ok(())
    } else {
        Err("must be the id of an organisation, a number; for its name use `name`")
    }
}
