//! CNAMEs: reading one, and the guarded update that makes or removes one.
//!
//! A CNAME allows no other record beside it (RFC 1034, section 3.6.2). Servers do not refuse one
//! where something is: they put it in the place of another CNAME, or ignore it, and say NOERROR. So
//! the guard of an addition is "there is nothing at the name".

use std::collections::BTreeMap;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::ask::Visit;
use super::edit::{Limits, Next, Plan, Verb, absent_target};
use super::findings::Findings;
use super::message::{Update, cname_at, plain_name, wire_name};
use super::reading::{Authority, Reading, alias_in, cut, unencodable, wildcard_beside};
use crate::edit::Edit;
use crate::provider::{ErrorKind, ProviderError, only_a_wildcard};
use crate::record::{RecordKind, TxtRrset, Zone, is_within, same_name};

impl Visit<'_> {
    /// The CNAME at `owner`, and what else decides whether one can be there.
    ///
    /// # Errors
    /// [`ErrorKind::Unsafe`] at the apex, below a DNAME and at or below a zone cut,
    /// [`ErrorKind::NoZone`] where the server has no authority.
    pub(super) async fn read_cname(
        &self,
        owner: &str,
        zone: &Zone,
    ) -> Result<Reading, ProviderError> {
        let name = wire_name(owner).map_err(unencodable)?;
        let (owner, apex) = (plain_name(&name), &zone.apex);
        if owner == *apex {
            return Err(at_the_apex(&owner));
        }
        let mut questions = self.questions();
        let apex_name = wire_name(apex).map_err(unencodable)?;
        let (soa, negative_ttl) = match questions.authority(&apex_name).await? {
            Authority::Zone {
                apex: found,
                soa,
                negative_ttl,
            } if found == *apex => (soa, negative_ttl),
            _ => {
                let server = &self.provider.settings.server;
                let text = format!("{server} has no authority for {owner} in the zone {apex}");
                return Err(ProviderError::new(ErrorKind::NoZone, text).with_hint(
                    "check `server` and `zones`, and that the server answers this host's \
                     questions (views, allow-query, `sign_query`)",
                ));
            }
        };
        let reply = questions.ask(&name, RecordType::CNAME).await?;
        questions.check_answered(&reply, &name)?;
        let there = cname_at(&reply.answers, &name);
        if there.is_none()
            && let Some(what) = alias_in(&reply, &name)
        {
            let text = format!("{owner} is below {what}, and a CNAME there would be invisible");
            return Err(ProviderError::new(ErrorKind::Unsafe, text));
        }
        let others = reply.authorities.iter().find(|record| {
            let at = plain_name(&record.name);
            at != *apex && is_within(&at, apex) && is_within(&owner, &at)
        });
        if let Some(record) = others {
            return Err(cut(&owner, apex, &plain_name(&record.name)));
        }
        let (cname, ttl) = there.unzip();
        let mut rrset = TxtRrset {
            zone: zone.clone(),
            owner,
            ttl,
            records: Vec::new(),
            cname: cname.as_ref().map(plain_name),
            negative_ttl: Some(negative_ttl),
        };
        let wildcard = wildcard_beside(&name)?;
        let reply = questions.ask(&wildcard, RecordType::CNAME).await?;
        let shadowed = match reply.metadata.response_code {
            ResponseCode::NoError => questions.shadowed(&name, apex).await?,
            _ => None,
        };
        let made_of = cname_at(&reply.answers, &wildcard);
        let mut otherwise = None;
        if made_of.is_some() && made_of == cname.clone().zip(ttl) {
            // Made up from the wildcard, or the name's own; the guards of the update tell.
            let nothing = TxtRrset {
                ttl: None,
                cname: None,
                ..rrset.clone()
            };
            otherwise = Some(std::mem::replace(&mut rrset, nothing));
        }
        Ok(Reading {
            rrset,
            otherwise,
            name,
            soa,
            ttls: BTreeMap::new(),
            cname,
            kind: RecordKind::Cname,
            shadowed,
        })
    }
}

/// The guarded update that fulfils `edit`, which is for a CNAME.
///
/// # Errors
/// [`ErrorKind::Unsafe`] where a CNAME cannot be made without harm.
pub(super) fn plan_cname(
    zone: &Zone,
    reading: Reading,
    edit: &Edit,
    verb: Verb,
    findings: &Findings,
    limits: Limits,
) -> Result<Next, ProviderError> {
    let there = reading.rrset.cname.clone();
    let stored = reading.cname.clone().filter(|_| there.is_some());
    let mut update = Update::of(wire_name(&zone.apex).map_err(unencodable)?);
    let mut target = None;
    match verb {
        Verb::Absent => {
            update.require_cname(&reading.name, stored.as_ref());
            target = stored.filter(|_| there.as_ref().is_some_and(|there| edit.wants(there)));
            match &target {
                Some(stored) => update.delete_cname(&reading.name, stored),
                // A question: whether the zone that takes the updates has no such CNAME.
                None => {
                    for wanted in &edit.values {
                        let wanted = wire_name(wanted).map_err(unencodable)?;
                        update.delete_cname(&reading.name, &wanted);
                    }
                }
            }
        }
        Verb::Rehearsal if there.is_some() => {
            update.require_cname(&reading.name, stored.as_ref());
            update.delete_cname(&reading.name, &absent_target());
        }
        Verb::Present | Verb::Rehearsal => {
            let wanted = match edit.values.iter().collect::<Vec<_>>().as_slice() {
                [one] => wire_name(one).map_err(unencodable)?,
                _ => return Err(several_targets(&edit.owner, edit)),
            };
            if let Some(there) = &there {
                return if edit.wants(there) {
                    Ok(Next::Nothing(reading))
                } else {
                    Err(another_target(&edit.owner, there))
                };
            }
            // A name that is required to be unused cannot be required to exist as well: only an empty
            // non-terminal is both.
            let allowed = limits.wildcard_shadow || findings.new_name;
            if reading.shadows_itself() && !allowed {
                return Err(only_a_wildcard(&edit.owner, &edit.owner, "a wildcard"));
            }
            update.require_host(&reading, findings, limits);
            update.require_unused(&reading.name);
            // What cannot be removed is not written.
            update.delete_cname(&reading.name, &absent_target());
            if verb == Verb::Present {
                update.insert_cname(&reading.name, limits.ttl, &wanted);
                target = Some(wanted);
            }
        }
    }
    Ok(Next::Send(Plan {
        reading,
        update,
        records: Vec::new(),
        target,
        edit: edit.clone(),
        any_value: false,
        soa_required: false,
    }))
}

/// The differences between the name and `edit`.
pub(super) fn cname_difference(rrset: &TxtRrset, edit: &Edit, present: bool) -> Option<String> {
    let shows = rrset.cname.as_ref().is_some_and(|there| edit.wants(there));
    let wanted: Vec<&str> = edit.values.iter().map(String::as_str).collect();
    let state = if present { "not there" } else { "still there" };
    (shows != present).then(|| format!("the CNAME to {} is {state}", wanted.join(", ")))
}

impl Edit {
    /// Whether a CNAME to `target` is wanted.
    pub(super) fn wants(&self, target: &str) -> bool {
        self.values.iter().any(|wanted| same_name(wanted, target))
    }
}

fn at_the_apex(owner: &str) -> ProviderError {
    let text = format!("{owner} is a zone's apex, which has an SOA and cannot be a CNAME");
    ProviderError::new(ErrorKind::Unsafe, text).with_hint("have the CA ask for a TXT record")
}

fn several_targets(owner: &str, edit: &Edit) -> ProviderError {
    let wanted: Vec<&str> = edit.values.iter().map(String::as_str).collect();
    let text = format!(
        "{owner} is wanted as a CNAME to {}, and can point at one name only",
        wanted.join(" and to ")
    );
    ProviderError::new(ErrorKind::Unsafe, text)
}

fn another_target(owner: &str, there: &str) -> ProviderError {
    let text = format!("{owner} is a CNAME to {there} already, and was left as it is");
    ProviderError::new(ErrorKind::Unsafe, text)
        .with_hint("remove it, if nothing needs it any more, then try again")
}

/// Something else is at the name.
pub(super) fn beside_others(server: &str, owner: &str) -> ProviderError {
    let text = format!(
        "{server} has other records at {owner}, and a CNAME can be beside none (RFC 1034, \
         section 3.6.2); nothing was written"
    );
    ProviderError::new(ErrorKind::Unsafe, text).with_hint(format!(
        "check with `dig {owner} ANY`; have the CA ask for TXT instead"
    ))
}
