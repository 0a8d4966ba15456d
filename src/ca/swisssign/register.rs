//! Registering names: matched by A-label and never by place, refused batches halved so that one bad
//! name costs only itself, and nothing sent twice of which it is not known the outcome (faults C01,
//! C02, C05 to C07).

use jiff::Timestamp;
use serde_json::Value;

use super::error::{self, ApiError};
use super::{SwissSign, choose, listing};
use crate::ca::http::answer::Answer;
use crate::ca::http::redact::clean;
use crate::ca::http::{Body, Call, Kind};
use crate::ca::{CaError, Failure};
use crate::prevalidation::{DomainName, Registration};

type Outcome = (DomainName, Result<Registration, CaError>);

impl SwissSign {
    /// Registers `names` of one client; see [`crate::ca::Validation::register`].
    pub(super) async fn register_all(&self, client: &str, names: &[DomainName]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(names.len());
        let mut waiting: Vec<&[DomainName]> = names.chunks(super::REGISTER_BATCH).rev().collect();
        while let Some(chunk) = waiting.pop() {
            match self.register_chunk(client, chunk).await {
                Ok(some) => outcomes.extend(some),
                Err(error) if error.failure == Failure::Refused && chunk.len() > 1 => {
                    let (left, right) = chunk.split_at(chunk.len() / 2);
                    waiting.extend([right, left]);
                }
                Err(error) => {
                    outcomes.extend(chunk.iter().map(|name| (name.clone(), Err(error.clone()))));
                    // What stops one call stops the next: the rest was not sent, and that is known.
                    let stops = error.is_account_wide()
                        || matches!(
                            error.failure,
                            Failure::Throttled | Failure::Unavailable | Failure::Forbidden
                        );
                    if stops {
                        let rest = waiting.drain(..).rev().flatten();
                        outcomes.extend(rest.map(|name| (name.clone(), Err(error.clone()))));
                    }
                }
            }
        }
        outcomes
    }

    async fn register_chunk(
        &self,
        client: &str,
        names: &[DomainName],
    ) -> Result<Vec<Outcome>, CaError> {
        let path = ["client", "domain", client, "register"];
        let mut call = Call::new(Kind::Effect, "register", subject(names), &path);
        call.body = Body::Json(
            names
                .iter()
                .map(|name| Value::from(name.as_str()))
                .collect(),
        );
        let answer = self.call(&call).await?;
        if let [name] = names
            && sounds_like_exists(&answer)
        {
            // Not held against the name: the caller reads, finds the entry and adopts it.
            let mut error = error::refusal(&self.http, &call, &answer);
            error.failure = Failure::Unknown;
            error.hint = Some(format!(
                "{name} seems to be registered already; list the client's domains."
            ));
            return Err(error);
        }
        let mut unreadable = Vec::new();
        let mut read = Vec::new();
        for entry in error::entries(&self.http, &call, &answer, None)? {
            match listing::entry(&entry, &self.token_prefix, answer.at) {
                Ok(found) => read.push(found),
                Err(why) => unreadable.push(why),
            }
        }
        Ok(names
            .iter()
            .map(|name| {
                (
                    name.clone(),
                    self.one_of(&call, name, names, &read, &unreadable, &answer),
                )
            })
            .collect())
    }

    #[expect(clippy::too_many_arguments, reason = "a call and its answer")]
    fn one_of(
        &self,
        call: &Call<'_>,
        name: &DomainName,
        names: &[DomainName],
        read: &[(Option<Timestamp>, Registration)],
        unreadable: &[String],
        answer: &Answer,
    ) -> Result<Registration, CaError> {
        let of_name = read
            .iter()
            .filter(|(_, registration)| registration.domain == *name);
        if let Some((chosen, _)) = choose(of_name.cloned().collect(), answer.at) {
            return Ok(chosen);
        }
        let call = Call {
            subject: name.to_string(),
            body: Body::Nothing,
            query: Vec::new(),
            method: call.method.clone(),
            ..*call
        };
        let folded = folded(name);
        let stranger = read
            .iter()
            .map(|(_, registration)| registration)
            .find(|registration| {
                registration.domain.as_str() == folded && folded != name.as_str()
                    || names.len() == 1 && read.len() == 1 && registration.domain != *name
            });
        if let Some(stranger) = stranger {
            let why = format!(
                "the CA made another name of it, {}, and registered that as {}; nothing is published for either",
                stranger.domain.both_forms(),
                stranger.reference
            );
            return Err(self.http.error(Failure::Refused, &call, &why).with_hint(
                "The CA reads this name by older rules (IDNA 2003). Ask its support, and remove the entry it made if it is not wanted.",
            ));
        }
        let more = if unreadable.is_empty() {
            String::new()
        } else {
            format!("; not readable: {}", unreadable.join("; "))
        };
        let why = format!(
            "HTTP {}, but the answer leaves the name out{}; it may be registered",
            answer.status,
            clean(&more)
        );
        Err(self.http.error(Failure::Unknown, &call, &why))
    }
}

/// Whether a single name was refused because it is there already. Nothing documents the words or
/// the status.
fn sounds_like_exists(answer: &Answer) -> bool {
    let status = answer.status.as_u16();
    status == 409
        || status == 400
            && ApiError::read(&answer.body).is_some_and(|error| error.sounds_like_exists())
}

/// The name as IDNA 2003 has it: ß is ss, ς is σ, and joiners vanish (UTS #46, section 4).
fn folded(name: &DomainName) -> String {
    let mapped = name
        .unicode()
        .replace('ß', "ss")
        .replace('ς', "σ")
        .replace(['\u{200c}', '\u{200d}'], "");
    DomainName::parse(&mapped).map_or(mapped, |parsed| parsed.name.as_str().to_owned())
}

/// `a.ch`, or `a.ch, b.ch, c.ch and 47 more`.
fn subject(names: &[DomainName]) -> String {
    let shown: Vec<&str> = names.iter().take(3).map(DomainName::as_str).collect();
    let more = names.len() - shown.len();
    if more == 0 {
        shown.join(", ")
    } else {
        format!("{} and {more} more", shown.join(", "))
    }
}
