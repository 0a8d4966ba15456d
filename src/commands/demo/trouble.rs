//! The part of the demo in which a person must act: a key lost the right to write a zone. What is
//! reported is what the program's own history says.

use serde_json::{Value, json};

use super::stage::{Heard, Stage};
use super::{NIGHT, day, name, time};
use crate::clock::Clock;
use crate::commands::Failed;
use crate::output::{Cell, Output, Tone};
use crate::prevalidation::DomainName;

/// Its zone refuses updates for a while.
const REFUSING: &str = super::OTHERS[0];
/// At most this many nights until its renewal is due.
const LONGEST: u32 = 110;
/// In front of a line that is a continuation.
const LEAD: &str = "          ";

/// A renewal that is held, what says so, and how it continues.
pub(super) async fn tell(stage: &mut Stage, output: &Output) -> Result<Value, Failed> {
    let domain = name(REFUSING)?;
    stage.sandbox.dns.refuse_updates_at(domain.as_str());
    output.text(&format!(
        "\n6  When it needs you\n\n   \
         One day a rule of the zone {REFUSING} is changed: the key may not write\n   \
         it any more. The renewal is tried weeks before the proof ends, so there is\n   \
         time. Nothing is sent to the CA; the run of that night ends with status 4:\n\n"
    ));
    let Some(held) = until_held(stage, &domain).await? else {
        return Ok(Value::Null);
    };
    let at = held.event.at;
    let lead = Cell::new(format!("   {}  held: ", time(at)), Tone::Bad);
    output.paragraph(&lead, &held.event.detail);
    let until = held.until.map_or_else(|| "?".to_owned(), day);
    output.text(&format!(
        "{LEAD}it is {}; the proof still counts until {until}\n\n   \
         `status`, `check`, the page and each [[notify]] (mail, chat, webhook) say so.\n   \
         `prevalidate diagnose {REFUSING}` names the cause and the next step. Once\n   \
         the key is allowed again, the next run continues by itself:\n\n",
        day(at)
    ));
    stage.sandbox.dns.allow_updates_at(domain.as_str());
    stage.clock.advance(NIGHT);
    let heard = stage.run(Some(&domain)).await?;
    super::tell(&heard, output);
    super::tell_zone(stage, &domain, output);
    Ok(json!({
        "domain": domain,
        "held_at": at,
        "reason": held.event.detail,
        "proof_until": held.until,
        "proven_again_at": stage.clock.now(),
        "zone_equal": stage.is_as_before(&domain),
    }))
}

/// Night after night, until the renewal is due and cannot be made.
async fn until_held(stage: &mut Stage, domain: &DomainName) -> Result<Option<Heard>, Failed> {
    for _ in 0..LONGEST {
        stage.clock.advance(NIGHT);
        let heard = stage.run(Some(domain)).await?;
        let held = heard.into_iter().find(|heard| heard.event.kind == "held");
        if held.is_some() {
            return Ok(held);
        }
    }
    Ok(None)
}
