//! By mail, over SMTP with TLS always: STARTTLS that is required, or TLS from the first octet (RFC
//! 8314).

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::response::Category;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use prevalidate_kit::secret::SecretSource;
use secrecy::ExposeSecret;
use url::Host;

use super::door::Door;
use super::{said, secret};
use crate::notify::{Carrier, Failure, Notice};
use crate::text::escape;
use prevalidate_kit::causes::chain;
use prevalidate_kit::dial;
use prevalidate_kit::http::{Untrusted, trusted};

/// For a connection; the addresses of a host share it. The notifier bounds the whole delivery.
const CONNECT: Duration = Duration::from_secs(10);

/// A mail server and the recipients.
pub struct Mail {
    /// Who, whereto.
    pub letter: Letter,
    /// The way there.
    pub door: Door,
    /// Root certificates instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// How mail is sent, and the recipients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The server; its certificate must have this name.
    pub host: Host<String>,
    /// Its port.
    pub port: u16,
    /// How TLS begins.
    pub tls: Begin,
    /// For a server that asks for the sender.
    pub login: Option<(String, SecretSource)>,
    /// The sender.
    pub from: Mailbox,
    /// At least one.
    pub to: Vec<Mailbox>,
}

/// How TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// By a command; without it nothing is sent.
    StartTls,
    /// With the connection.
    Implicit,
}

#[async_trait]
impl Carrier for Mail {
    async fn carry(&self, notice: &Notice) -> Result<(), Failure> {
        let letter = &self.letter;
        let server = format!("{}:{}", letter.host, letter.port);
        let message = self
            .message(notice)
            .map_err(|what| Failure::refused(format!("no mail can be made: {what}")))?;
        let addresses = dial::in_turn(self.door.find(&letter.host, letter.port).await?);
        let credentials = match &letter.login {
            Some((user, source)) => {
                let password = secret("`password`", source).await?;
                let password = password.expose_secret().to_owned();
                Some(Credentials::new(user.clone(), password))
            }
            None => None,
        };
        let share = CONNECT / u32::try_from(addresses.len()).unwrap_or(1).max(1);
        let mail = message.formatted();
        let mut unreached = Vec::new();
        for address in addresses {
            let transport = self.transport(address, share, credentials.clone())?;
            let Err(error) = transport.send_raw(message.envelope(), &mail).await else {
                return Ok(());
            };
            if is_unreached(&error) {
                unreached.push(format!("{address}: {}", said(&chain(&error))));
            } else if letter.to.len() > 1 && is_about_a_recipient(&error) {
                return one_by_one(&server, &transport, &message, &mail).await;
            } else {
                return Err(failed(&format!("{server} ({})", address.ip()), &error));
            }
        }
        let words = unreached.join("; ");
        Err(Failure::refused(format!("mail server {server}: {words}")))
    }
}

/// For a server that refuses one of several recipients, and with it the mail to all: those whom it
/// takes have it.
async fn one_by_one(
    server: &str,
    transport: &AsyncSmtpTransport<Tokio1Executor>,
    message: &Message,
    mail: &[u8],
) -> Result<(), Failure> {
    let (mut words, mut is_open) = (Vec::new(), false);
    let all = message.envelope().to();
    for to in all {
        let envelope = Envelope::new(message.envelope().from().cloned(), vec![to.clone()]);
        let envelope = envelope.map_err(|error| Failure::refused(error.to_string()))?;
        if let Err(error) = transport.send_raw(&envelope, mail).await {
            is_open |= failed(server, &error).is_open;
            words.push(format!("{to}: {}", said(&chain(&error))));
        }
    }
    let (taken, words) = (
        all.len() - words.len(),
        format!("mail server {server}: {}", words.join("; ")),
    );
    match taken {
        0 => Err(Failure {
            is_open,
            ..Failure::refused(words)
        }),
        taken if taken == all.len() => Ok(()),
        _ => Err(Failure::in_part(format!(
            "{words}; {taken} of {} recipients have it",
            all.len()
        ))),
    }
}

/// 550 to 554 (RFC 5321, section 4.2.3): the mailbox or the mail is at fault, not the login (535)
/// or the protocol.
fn is_about_a_recipient(error: &smtp::Error) -> bool {
    error.is_permanent()
        && error
            .status()
            .is_some_and(|code| code.category == Category::MailSystem)
}

impl Mail {
    /// The way to one address of the server, which is given up after `patience` when it does not
    /// take the connection.
    fn transport(
        &self,
        address: SocketAddr,
        patience: Duration,
        credentials: Option<Credentials>,
    ) -> Result<AsyncSmtpTransport<Tokio1Executor>, Failure> {
        let tls = self.tls()?;
        let tls = if self.letter.tls == Begin::Implicit {
            Tls::Wrapper(tls)
        } else {
            Tls::Required(tls)
        };
        let builder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
                .port(address.port())
                .timeout(Some(patience))
                .tls(tls);
        Ok(match credentials {
            Some(credentials) => builder.credentials(credentials).build(),
            None => builder.build(),
        })
    }

    fn message(&self, notice: &Notice) -> Result<Message, lettre::error::Error> {
        let letter = &self.letter;
        let domain = letter.from.email.domain();
        let mut message = Message::builder()
            .from(letter.from.clone())
            .subject(escape(&notice.headline()).into_owned())
            .date(SystemTime::from(notice.at))
            // The same for each try: mail systems drop what comes twice.
            .message_id(Some(format!("<{}@{domain}>", notice.id)))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN);
        for to in &letter.to {
            message = message.to(to.clone());
        }
        message.body(format!(
            "{}\n\nSeverity: {}\n\n{}",
            notice.title, notice.severity, notice.text
        ))
    }

    fn tls(&self) -> Result<TlsParameters, Failure> {
        let mut builder = TlsParameters::builder(self.letter.host.to_string());
        if let Some(path) = &self.ca_file {
            let wrong = |why: Untrusted| {
                let gap = match why {
                    Untrusted::Unreadable(_) => "",
                    Untrusted::Unusable(_) => ":",
                };
                Failure::refused(format!("`ca_file` {}{gap} {why}", path.display()))
            };
            builder = builder.certificate_store(CertificateStore::None);
            for root in trusted(path).map_err(wrong)? {
                let root = Certificate::from_der(root.to_vec())
                    .map_err(|error| wrong(Untrusted::Unusable(chain(&error))))?;
                builder = builder.add_root_certificate(root);
            }
        }
        builder
            .build()
            .map_err(|error| Failure::refused(format!("TLS cannot be set up: {}", chain(&error))))
    }
}

/// Whether no connection came about. The library has no question for it, only these words.
fn is_unreached(error: &smtp::Error) -> bool {
    error.to_string().starts_with("Connection error")
}

fn failed(server: &str, error: &smtp::Error) -> Failure {
    let words = said(&chain(error));
    let message = format!("mail server {server}: {words}");
    let never_sent = error.is_tls() || error.is_client() || is_unreached(error);
    if never_sent || error.is_transient() || error.is_permanent() {
        Failure::refused(message)
    } else {
        Failure::open(message)
    }
}

/// `Auto-Submitted: auto-generated` (RFC 3834): no out-of-office note comes back.
#[derive(Clone, Copy)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl fmt::Display for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartTls => "starttls",
            Self::Implicit => "implicit",
        })
    }
}
