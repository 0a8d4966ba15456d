//! Aliases of labels: where a person has made `_x.example.ch` a CNAME into another zone, a CA finds a
//! TXT value of `_x.example.ch` at the alias's end.
//!
//! A CA may ask any name server of each zone on the way, so the alias itself is held to the same
//! rule as the value: every address must have it, and all must name the same target.

use hickory_proto::rr::{Name, RecordType};
use serde::Serialize;

use super::delegation::WalkError;
use super::evidence::{alias_of, text};
use super::gate::{Hop, name};
use super::settings::Way;
use super::{Gate, GateMode, Question, Verdict};
use crate::prevalidation::RecordName;

/// Aliases in a row that are followed; resolvers follow 8 to 16.
const MOST: usize = 8;

/// One alias on the way to a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AliasReport {
    /// The name of the alias.
    pub owner: String,
    /// The name that it is an alias for.
    pub target: String,
    /// Every name server of its zone that answers has it.
    pub everywhere: bool,
    /// On what evidence, or why not.
    pub cause: String,
}

impl Gate {
    /// Asks for the record of `question`, and before it for each alias that leads to it.
    pub(super) async fn check_through_aliases(
        &self,
        question: &Question<'_>,
        way: &Way<'_>,
    ) -> Result<Hop, WalkError> {
        let first = question.owner();
        let mut owner = first.clone();
        let mut passed: Vec<Verdict> = Vec::new();
        for _ in 0..=MOST {
            let hop = self.check_zone(question, &owner, way.rounds).await?;
            let Some(target) = hop.target.clone() else {
                let verdict = Verdict {
                    end: Some(owner.clone()),
                    ..behind(&first, &owner, passed, hop.verdict)
                };
                return Ok(Hop { verdict, ..hop });
            };
            if !hop.verdict.go {
                // The value was not searched for, so it is not gone.
                let verdict = Verdict {
                    gone: false,
                    cause: format!("{owner} is an alias for {target}: {}", hop.verdict.cause),
                    ..behind(&first, &first, passed, hop.verdict)
                };
                return Ok(Hop { verdict, ..hop });
            }
            passed.push(hop.verdict);
            owner = leads_to(&owner, &target)?;
        }
        Err(too_many(&first))
    }

    /// The aliases that lead to the record of `question`, each as the servers of its zone have it,
    /// and the name at their end.
    ///
    /// # Errors
    /// [`WalkError`] when a zone on the way was not found, or the aliases do not end.
    pub(super) async fn aliases(
        &self,
        question: &Question<'_>,
    ) -> Result<(Vec<AliasReport>, RecordName), WalkError> {
        let first = question.owner();
        let (mut at, mut found) = (first.clone(), Vec::new());
        while question.follows() {
            let hop = self.check_zone(question, &at, 1).await?;
            let Some(target) = hop.target else { break };
            if found.len() == MOST {
                return Err(too_many(&first));
            }
            let next = leads_to(&at, &target)?;
            found.push(AliasReport {
                owner: at.to_string(),
                target,
                everywhere: hop.verdict.go,
                cause: hop.verdict.cause,
            });
            at = next;
        }
        Ok((found, at))
    }

    /// The end of the aliases that begin at `owner`.
    ///
    /// # Errors
    /// In words, why they lead nowhere or could not be read.
    pub(super) async fn end_of_aliases(&self, owner: &RecordName) -> Result<RecordName, String> {
        let said = |error: WalkError| error.to_string();
        let mut at = owner.clone();
        for _ in 0..=MOST {
            match self.alias(&at).await? {
                Some(target) => at = leads_to(&at, &text(&target)).map_err(said)?,
                None => return Ok(at),
            }
        }
        Err(too_many(owner).to_string())
    }

    /// Where an alias at `owner` leads, asked in the mode of its zone.
    async fn alias(&self, owner: &RecordName) -> Result<Option<Name>, String> {
        let said = |error: WalkError| error.to_string();
        let asked = name(owner.as_str()).map_err(said)?;
        let way = self.settings().way_at(owner.as_str());
        let reply = match way.mode {
            GateMode::Authoritative => {
                let who = self.responsible_for(owner).await.map_err(said)?;
                let reply = self.first_of(&who, &asked, RecordType::CNAME).await;
                reply.map_err(|tried| format!("no server of {}: {tried}", who.zone))?
            }
            GateMode::Resolvers => {
                let found = self
                    .resolvers
                    .first_of(way.resolvers, &asked, RecordType::CNAME);
                found.await?
            }
            // No server is asked.
            GateMode::Provider | GateMode::Delay => return Ok(None),
        };
        Ok(alias_of(&reply, &asked).cloned())
    }
}

/// A verdict about the end of aliases, with what was said on the way.
fn behind(first: &RecordName, owner: &RecordName, passed: Vec<Verdict>, last: Verdict) -> Verdict {
    let mut verdict = last;
    if owner != first {
        verdict.cause = format!("{first} is an alias for {owner}: {}", verdict.cause);
    }
    let said = std::mem::take(&mut verdict.servers);
    for earlier in passed {
        verdict.servers.extend(earlier.servers);
        verdict.warnings.extend(earlier.warnings);
    }
    verdict.servers.extend(said);
    verdict
}

fn leads_to(owner: &RecordName, target: &str) -> Result<RecordName, WalkError> {
    RecordName::parse(target).map_err(|why| {
        WalkError::Name(format!(
            "{target}, the target of the alias {owner} ({why}),"
        ))
    })
}

fn too_many(first: &RecordName) -> WalkError {
    WalkError::Aliases {
        name: first.to_string(),
        most: MOST,
    }
}
