//! Many standing records that vanish at once, or leave the configuration at once, are for a person
//! first: a pipeline that was told to drop them would drop them again, a zone that is being moved
//! is not to be written, and a list may have been emptied by mistake (invariant I14).

use crate::prevalidation::guard::is_mass;

/// Fewer records than this are put back or removed whatever their share is: a pipeline that drops
/// the records of one zone is everyday.
const FEW: usize = 3;

/// What the guard says where `vanished` of `standing` records are on no name server any more;
/// `None` where they are put back.
pub fn alarm(vanished: usize, standing: usize) -> Option<String> {
    (vanished > FEW && is_mass(vanished, standing)).then(|| {
        format!(
            "{vanished} of {standing} persistent records vanished from DNS since the last look, so \
             none is put back"
        )
    })
}

/// What the guard says where the configuration does not name `leaving` of `known` records any more;
/// `None` where they are removed.
pub fn shrunk(leaving: usize, known: usize) -> Option<String> {
    (leaving > FEW && is_mass(leaving, known)).then(|| {
        format!(
            "{leaving} of {known} persistent records are no longer in the configuration, so none \
             is removed"
        )
    })
}

/// What a person does about it: `--force` goes on with everything that the guard refused.
pub fn hint(has_vanished: bool, has_shrunk: bool) -> String {
    let vanished = has_vanished
        .then_some("find what dropped them first; `prevalidate run --force` puts them back");
    let shrunk = has_shrunk.then_some(
        "see whether `domains` of [[persistent]] was emptied by mistake; `prevalidate run --force` \
         REMOVES from DNS the records that the configuration does not name",
    );
    let said: Vec<&str> = vanished.into_iter().chain(shrunk).collect();
    said.join("; ")
}
