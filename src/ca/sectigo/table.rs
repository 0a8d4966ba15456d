//! Sectigo's settings in the configuration, and how an account is made of them.

use std::sync::Arc;

use secrecy::SecretString;
use url::Url;

use super::organisations::is_id;
use super::settings::{
    CERTIFICATE_URL, Creation, Login, OAUTH_URL, PASSWORD_URL, Settings, TOKEN_URL,
};
use super::{KIND, Sectigo, issuing};
use crate::ca::adapter::Adapter;
use crate::ca::settings::{Account, Conditions, Form, Setting, Values};
use crate::ca::validation::Method;
use crate::ca::{CaError, Failure, Validation};
use crate::clock::Clock;

/// The keys of `[ca.NAME]`, in the order in which they are shown.
pub const KEYS: &[&str] = &[
    "kind",
    "url",
    "auth",
    "user",
    "password",
    "customer_uri",
    "certificate",
    "key",
    "client_id",
    "client_secret",
    "token_url",
    "method",
    "follow_aliases",
    "rate",
    "caa_names",
    "ca_file",
    "proxy",
    "proxy_user",
    "proxy_password",
];

/// Sectigo, as the configuration sees it.
pub static ADAPTER: Adapter = Adapter {
    kind: &KIND,
    keys: KEYS,
    settings: SETTINGS,
    url_hint: "for Sectigo https://cert-manager.com/api",
    default_url,
    rate: 2,
    conditions,
    client_settings: CLIENT_SETTINGS,
    hosts: &["cert-manager.com", "sectigo.com"],
    check_client,
    caller,
    address_pace: None,
    doubt: |_, _: &SecretString| None,
    connect,
    issuing: Some(&issuing::KIND),
};

const SETTINGS: &[Setting] = &[
    Setting::common("kind"),
    Setting::common("url"),
    Setting::optional("auth", Form::Choice(&["password", "certificate", "oauth"])),
    Setting::optional("user", Form::Text(None)),
    Setting::optional("password", Form::Secret),
    Setting::optional("customer_uri", Form::Text(None)),
    Setting::optional("certificate", Form::File),
    Setting::optional("key", Form::File),
    Setting::optional("client_id", Form::Text(None)),
    Setting::optional("client_secret", Form::Secret),
    Setting::optional("token_url", Form::Text(None)),
    Setting::optional("method", Form::Choice(&["cname", "txt"])),
    Setting::common("follow_aliases"),
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
        "cert_types",
        Form::Words {
            known: &["SSL", "SMIME", "CodeSign"],
            default: &["SSL"],
        },
    ),
    Setting::optional(
        "privileges",
        Form::Words {
            known: &[
                "DOMAIN",
                "SUBDOMAIN",
                "WILDCARD_1ST_LEVEL",
                "WILDCARD_2ND_LEVEL",
            ],
            default: &[],
        },
    ),
];

fn default_url(values: &Values) -> Option<&'static str> {
    Some(match values.text("auth") {
        "certificate" => CERTIFICATE_URL,
        "oauth" => OAUTH_URL,
        _ => PASSWORD_URL,
    })
}

fn conditions(values: &Values) -> Conditions {
    const USER: (&str, &str) = ("user", "the login of an administrator of the type API");
    const CUSTOMER: (&str, &str) = (
        "customer_uri",
        "the last part of the portal's address, such as \"surfnet\"",
    );
    const SECRET: &str = "where it is: password = { file = \"/etc/prevalidate/sectigo.password\" }";
    let auth = values.text("auth");
    let needed = match auth {
        "certificate" => vec![
            USER,
            CUSTOMER,
            ("certificate", "the file of the client certificate, in PEM"),
            ("key", "the file of its private key, in PEM"),
        ],
        "oauth" => vec![
            ("client_id", "the API client's id"),
            (
                "client_secret",
                "where it is: client_secret = { file = \"/etc/prevalidate/sectigo.secret\" }",
            ),
        ],
        _ => vec![USER, ("password", SECRET), CUSTOMER],
    };
    let of_one = [
        ("user", "is not used with auth = \"oauth\""),
        ("customer_uri", "is not used with auth = \"oauth\""),
        ("password", "is used with auth = \"password\" only"),
        ("certificate", "is used with auth = \"certificate\" only"),
        ("key", "is used with auth = \"certificate\" only"),
        ("client_id", "is used with auth = \"oauth\" only"),
        ("client_secret", "is used with auth = \"oauth\" only"),
        ("token_url", "is used with auth = \"oauth\" only"),
    ];
    let is_of = |key: &str| {
        needed.iter().any(|(needed, _)| *needed == key) || key == "token_url" && auth == "oauth"
    };
    let useless = of_one.into_iter().filter(|(key, _)| !is_of(key)).collect();
    Conditions { needed, useless }
}

/// The adapter for an account.
fn connect(account: Account<'_>, clock: Arc<dyn Clock>) -> Result<Arc<dyn Validation>, CaError> {
    let Account {
        mut reach,
        values,
        clients,
    } = account;
    let refused = |what: &str| CaError::new(Failure::Settings, format!("{}: {what}", reach.name));
    let text = |key: &str| values.text(key).to_owned();
    let reader = |key: &str| {
        let missing = || refused(&format!("`{key}` is missing"));
        values.reader(key).ok_or_else(missing)
    };
    let login = match values.text("auth") {
        "certificate" => Login::Certificate {
            user: text("user"),
            customer_uri: text("customer_uri"),
        },
        "oauth" => {
            let url = match values.text("token_url") {
                "" => TOKEN_URL,
                url => url,
            };
            Login::OAuth {
                client_id: text("client_id"),
                client_secret: reader("client_secret")?,
                token_url: Url::parse(url).map_err(|_| refused("`token_url` is not a URL"))?,
            }
        }
        _ => Login::Password {
            user: text("user"),
            password: reader("password")?,
            customer_uri: text("customer_uri"),
        },
    };
    if let (Some(certificate), Some(key)) = (values.file("certificate"), values.file("key")) {
        reach.identity = Some((certificate.to_owned(), key.to_owned()));
    }
    let creation = clients
        .into_iter()
        .filter(|(_, values)| values.flag("create_domains"))
        .map(|(client, values)| {
            let creation = Creation {
                cert_types: values.words("cert_types").to_vec(),
                privileges: values.words("privileges").to_vec(),
            };
            (client.clone(), creation)
        });
    let settings = Settings {
        login,
        method: match values.text("method") {
            "txt" => Method::Txt,
            _ => Method::Cname,
        },
        creation: creation.collect(),
        reach,
    };
    Ok(Arc::new(Sectigo::new(settings, clock)?))
}

/// Whether a text can be the reference of a client.
fn check_client(text: &str) -> Result<(), &'static str> {
    if is_id(text) {
        Ok(())
    } else {
        Err("must be the id of an organisation, a number; for its name use `name`")
    }
}

fn caller(values: &Values) -> &str {
    match values.text("auth") {
        "oauth" => values.text("client_id"),
        _ => values.text("user"),
    }
}
