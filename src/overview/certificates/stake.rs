//! Which certificates depend on the proof of a domain.

use jiff::Timestamp;

use super::{CertificateState, CertificateView};
use crate::text::moment;

/// Which certificates depend on the proof of a domain at this client.
pub fn hanging_on<'a>(
    views: &'a [CertificateView],
    domain: &str,
    client: &str,
) -> Vec<&'a CertificateView> {
    let wanted = views
        .iter()
        .filter(|view| view.state != CertificateState::Unmanaged);
    wanted
        .filter(|view| view.hangs_on(domain, client))
        .collect()
}

/// Which certificates cannot be renewed without the proof of a domain, which counts `until` then;
/// `None`: none depends on it.
pub fn at_stake(
    views: &[CertificateView],
    domain: &str,
    client: &str,
    until: Option<Timestamp>,
) -> Option<String> {
    let hang = hanging_on(views, domain, client);
    let names: Vec<&str> = hang.iter().map(|view| view.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let until = until.map_or_else(|| "now".to_owned(), |at| format!("after {}", moment(at)));
    Some(format!(
        "without a new proof the certificates {} cannot be renewed {until}",
        names.join(", ")
    ))
}
