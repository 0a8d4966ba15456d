//! `owner`, `group` and `mode` of a certificate, by name or by number.

use crate::certificates::Access;
use crate::config::tree::Section;

/// Reads the three keys. A fault of one key affects no other key.
pub(super) fn read(section: &Section<'_>) -> Access {
    let owner = section.text("owner").and_then(|text| {
        let found = text.parse().ok().or_else(|| {
            let user = nix::unistd::User::from_name(text).ok().flatten();
            user.map(|user| user.uid.as_raw())
        });
        if found.is_none() {
            section.fault("owner", "there is no such user on this machine");
        }
        found
    });
    let group = section.text("group").and_then(|text| {
        let found = text.parse().ok().or_else(|| {
            let group = nix::unistd::Group::from_name(text).ok().flatten();
            group.map(|group| group.gid.as_raw())
        });
        if found.is_none() {
            section.fault("group", "there is no such group on this machine");
        }
        found
    });
    let mode = section.text("mode").map_or(Some(0o600), |text| {
        u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| mode & 0o600 == 0o600 && mode & !0o640 == 0)
    });
    if mode.is_none() {
        section.fault(
            "mode",
            "must be \"0600\" or \"0640\": a key is for its owner, and at most for one group",
        );
    }
    Access {
        owner,
        group,
        mode: mode.unwrap_or(0o600),
    }
}
