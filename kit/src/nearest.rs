//! The known word nearest to a word with a typing error.

/// The candidate that `typed` probably meant: at most a third of its letters differ.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed: String = typed
        .to_lowercase()
        .replace('-', "_")
        .chars()
        .take(64)
        .collect();
    let distance = |candidate: &str| strsim::osa_distance(&typed, &candidate.replace('-', "_"));
    let near = candidates
        .into_iter()
        .map(|candidate| (distance(candidate), candidate));
    near.filter(|(distance, candidate)| *distance <= (candidate.len().min(typed.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
