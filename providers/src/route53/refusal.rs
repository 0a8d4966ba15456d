//! What AWS says when it does not do what it was asked, in this program's words, with the setting
//! or the permission to repair.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_route53::config::http::HttpResponse;
use aws_sdk_route53::error::{ProvideErrorMetadata, SdkError};
use prevalidate_kit::text::in_one_line;

use crate::provider::{ErrorKind, ProviderError};

/// The pause after which a throttled account is called again.
const AFTER_THROTTLING: Duration = Duration::from_secs(60);

/// Characters of one message of AWS in an error.
const MOST_WORDS: usize = 600;

/// Codes that mean: not done, too many calls.
/// <https://docs.aws.amazon.com/Route53/latest/APIReference/CommonErrors.html>
const THROTTLED: [&str; 6] = [
    "Throttling",
    "ThrottlingException",
    "RequestThrottled",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    // Of the same zone: an earlier change is still being taken in.
    "PriorRequestNotComplete",
];

/// Why there is no answer to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Route 53 did nothing and says why.
    Refused { code: String, message: String },
    /// Sent, perhaps, and no whole answer came: what was done is open.
    Lost(String),
    /// It was not sent.
    Unsent(String),
    /// The change was not sent, because the number of calls of other processes is not known.
    Unpaced(String),
    /// It was not sent, for lack of credentials. `passing`: the source of the credentials could not
    /// be reached.
    NoCredentials { why: String, passing: bool },
}

impl Failure {
    /// Whether the same call, later, has a chance, and nothing was done.
    pub(super) fn is_throttling(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if THROTTLED.contains(&code.as_str()))
    }

    pub(super) fn is(&self, expected: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == expected)
    }

    /// Whether Route 53 says that the batch does not fit to the zone as it is. (`InvalidInput` is
    /// what emulators say.)
    pub(super) fn is_conflict(&self) -> bool {
        self.is("InvalidChangeBatch") || self.is("InvalidInput")
    }

    /// In one line, without where it happened.
    pub(super) fn said(&self) -> String {
        match self {
            Self::Refused { code, message } if message.is_empty() => code.clone(),
            Self::Refused { code, message } => format!("{code}: {message}"),
            Self::Lost(what)
            | Self::Unsent(what)
            | Self::Unpaced(what)
            | Self::NoCredentials { why: what, .. } => what.clone(),
        }
    }
}

impl<E: Error + ProvideErrorMetadata + Send + Sync + 'static> From<SdkError<E, HttpResponse>>
    for Failure
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        match &error {
            SdkError::ServiceError(context) => {
                let status = context.raw().status().as_u16();
                let refused = match error.code() {
                    Some(code) => Self::Refused {
                        code: code.to_owned(),
                        message: first_line(error.message().unwrap_or_default()),
                    },
                    None => invalid_batch(context.raw().body().bytes().unwrap_or_default())
                        .unwrap_or_else(|| Self::Refused {
                            code: format!("HTTP status {status}"),
                            message: String::new(),
                        }),
                };
                // Throttling may come as 503; any other trouble of the server leaves open what it
                // did before, and so does a success that cannot be read.
                let is_open = !(300..500).contains(&status);
                if is_open && !refused.is_throttling() {
                    Self::Lost(refused.said())
                } else {
                    refused
                }
            }
            SdkError::ConstructionFailure(_) => Self::Unsent(causes(&error)),
            SdkError::TimeoutError(_) => Self::Lost("no answer in time".to_owned()),
            _ if let Some(failure) = without_credentials(&error) => failure,
            // The SDK does not say whether anything had been sent, so something may have been.
            _ => Self::Lost(causes(&error)),
        }
    }
}

/// The SDK gets credentials when it needs them, and says so in the same way as when it finds no
/// connection.
fn without_credentials(error: &(dyn Error + 'static)) -> Option<Failure> {
    let found = chain(error).find_map(|error| error.downcast_ref::<CredentialsError>())?;
    let why = causes(found);
    let passing = match found {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
            false
        }
        CredentialsError::ProviderTimedOut(_) => true,
        // A call to STS or SSO that got no answer, as the SDK words it; one that was refused names
        // the refusal.
        _ => why.contains("dispatch failure") || why.contains("timed out"),
    };
    Some(Failure::NoCredentials { why, passing })
}

/// What is wrong with a batch, in the form that the SDK does not read:
/// `<InvalidChangeBatch><Messages><Message>…`, as the API reference shows it for
/// ChangeResourceRecordSets. Taking it for anything else would make an error of every stale read.
fn invalid_batch(body: &[u8]) -> Option<Failure> {
    let body = std::str::from_utf8(body).ok()?;
    let inside = body.split_once("<InvalidChangeBatch")?.1;
    let messages = inside
        .split("<Message>")
        .skip(1)
        .filter_map(|message| Some(message.split_once("</Message>")?.0));
    let message = first_line(&messages.collect::<Vec<_>>().join("; "));
    Some(Failure::Refused {
        code: "InvalidChangeBatch".to_owned(),
        message,
    })
}

/// An error and its causes.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// An error with its causes, in one line.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for text in chain(error).map(|error| first_line(&error.to_string())) {
        if !parts.last().is_some_and(|last| last.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// What AWS says, as far as it may be shown. Where a signature is wrong it continues with
/// everything that was signed, a session's token included.
fn first_line(text: &str) -> String {
    // The SDK shows some messages as a program would write them, line ends too.
    let mut lines = text
        .split(['\n', '\r'])
        .flat_map(|line| line.split("\\n"))
        .map(str::trim);
    let line = lines.find(|line| !line.is_empty()).unwrap_or_default();
    in_one_line(line, MOST_WORDS)
}

/// One call, in the words that its errors begin with.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// `reading the records of zone example.ch (Z0123)`.
    pub(super) doing: String,
    /// What IAM calls it.
    pub(super) action: &'static str,
}

impl Call {
    pub(super) fn new(action: &'static str, doing: impl Into<String>) -> Self {
        Self {
            doing: doing.into(),
            action,
        }
    }

    /// Why the call failed. `who` describes the credentials, `place` the endpoint.
    pub(super) fn failed(&self, failure: &Failure, who: &str, place: &str) -> ProviderError {
        let Self { doing, action } = self;
        let text = format!("{doing} at {place} with {who}: {}", failure.said());
        let error =
            |kind: ErrorKind, hint: String| ProviderError::new(kind, text.clone()).with_hint(hint);
        let (code, message) = match failure {
            Failure::Refused { code, message } => (code.as_str(), message.as_str()),
            Failure::Lost(_) => {
                return error(
                    ErrorKind::Unavailable,
                    "check that this host reaches AWS (DNS, firewall, HTTPS_PROXY, `endpoint`) and can renew its credentials".to_owned(),
                );
            }
            Failure::Unpaced(_) => return ProviderError::new(ErrorKind::Unavailable, text),
            Failure::Unsent(_) | Failure::NoCredentials { .. } => {
                return error(
                    ErrorKind::Settings,
                    "it was not sent; check the settings of the provider".to_owned(),
                );
            }
        };
        match code {
            _ if failure.is_throttling() => {
                let waited = error(
                    ErrorKind::Unavailable,
                    "other programs use up the account's limit; lower `rate`, or ask AWS for a higher one"
                        .to_owned(),
                );
                ProviderError {
                    retry_after: Some(AFTER_THROTTLING),
                    ..waited
                }
            }
            "AccessDenied"
            | "AccessDeniedException"
            | "NotAuthorizedException"
            | "UnauthorizedAccess" => error(
                ErrorKind::Denied,
                format!(
                    "allow {action} for {who}; config/route53-policy.json is the least that is needed"
                ),
            ),
            "RequestExpired" | "RequestTimeTooSkewed" => {
                error(ErrorKind::ClockSkew, CLOCK.to_owned())
            }
            "SignatureDoesNotMatch" | "InvalidSignatureException" | "IncompleteSignature" => {
                if message.contains("expired") || message.contains("not yet current") {
                    error(ErrorKind::ClockSkew, CLOCK.to_owned())
                } else if message.contains("Credential should be scoped") {
                    error(
                        ErrorKind::Settings,
                        format!("set `region` to the one that is named; {PARTITIONS}"),
                    )
                } else {
                    error(
                        ErrorKind::Denied,
                        "the secret does not belong to the access key: check `secret_key`"
                            .to_owned(),
                    )
                }
            }
            "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "InvalidAccessKeyId"
            | "MissingAuthenticationToken"
            | "OptInRequired" => error(
                ErrorKind::Denied,
                format!(
                    "AWS does not know the access key: check `access_key` or `profile`; and `region`: {PARTITIONS}"
                ),
            ),
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => error(
                ErrorKind::Denied,
                "the session has expired: log in again, or use a role or keys that last".to_owned(),
            ),
            ZONE_GONE => error(
                ErrorKind::NoZone,
                "the zone is gone, or belongs to another account: check `zone_id`".to_owned(),
            ),
            _ if *action == CHANGE => error(
                ErrorKind::Unsafe,
                "Route 53 will not take it as it is; what it says names the cause".to_owned(),
            ),
            _ => error(
                ErrorKind::Settings,
                "check `zone_id`, `endpoint` and `region`".to_owned(),
            ),
        }
    }
}

/// The code for a zone that does not exist.
pub(super) const ZONE_GONE: &str = "NoSuchHostedZone";
/// The action that writes.
pub(super) const CHANGE: &str = "route53:ChangeResourceRecordSets";

const CLOCK: &str = "AWS allows five minutes: set this host's clock, best with NTP";
const PARTITIONS: &str =
    "us-east-1 (the default) everywhere but for accounts of AWS China, GovCloud and the like";
