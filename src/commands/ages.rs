//! How old what the store knows of each client is, and what its CA warns of.

use jiff::Timestamp;

use super::Failed;
use super::app::App;
use super::summary::tell_warnings;
use crate::output::{Output, relative};
use crate::overview::clients::Age;
use crate::overview::trouble;
use crate::store::Store;
use crate::worker::Target;

/// How old the last listing of each client is.
pub(super) async fn tell(
    store: &dyn Store,
    app: &App,
    only: Option<&[Target]>,
    now: Timestamp,
    output: &Output,
) -> Result<(), Failed> {
    let listings = store.listings().await?;
    let hint = Some("is `prevalidate run` still started every night?");
    let targets = only.map_or(app.targets.as_slice(), |only| only);
    for target in targets {
        match listings.get(&target.key) {
            Some(&at) => {
                output.line(&format!(
                    "{}: the CA was last asked {}",
                    target.key,
                    relative(at, now)
                ));
                let age = Age::of(Some(at), now);
                if age == Age::Ahead {
                    output.warn(
                        &format!(
                            "{}: the last listing of the CA is still to come: the clock was wrong then, or is now",
                            target.key
                        ),
                        Some("`timedatectl` shows how this machine's clock is set"),
                    );
                } else if age != Age::Fresh {
                    output.warn(
                        &format!(
                            "{}: the last listing of the CA is {}",
                            target.key,
                            relative(at, now)
                        ),
                        hint,
                    );
                }
            }
            None => output.line(&format!("{}: the CA has not been asked yet", target.key)),
        }
    }
    tell_warnings(&trouble::warnings(store, targets).await?, output);
    Ok(())
}
