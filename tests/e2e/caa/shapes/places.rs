//! Where the records that count are: above the name, in another zone, at the end of aliases.

use super::{FORBIDS, METHODS, Shape, UNREADABLE, shape};

pub const SHAPES: &[Shape] = &[
    // Upwards to the first name that has records (RFC 8659, section 3).
    shape("s.up1", &["up1 CAA 0 issue \";\""], FORBIDS, "nny"),
    shape(
        "a.b.up2",
        &["up2 CAA 0 issue \"swisssign.com; validationmethods=http-01\""],
        METHODS,
        "nny",
    )
    .open_before(),
    shape(
        "s.up3",
        &[
            "up3 CAA 0 issue \";\"",
            "= CAA 0 iodef \"mailto:pki@caa.test\"",
        ],
        "",
        "yyy",
    ),
    shape(
        "s.up4",
        &["up4 CAA 0 issue \";\"", "= CAA 0 future \"x\""],
        "",
        "yyy",
    ),
    shape(
        "s.up5",
        &[
            "up5 CAA 128 future \"x\"",
            "= CAA 0 issue \"swisssign.com\"",
        ],
        "",
        "yyy",
    ),
    // Across the cut between two zones.
    shape(
        "s.cut.up9",
        &["up9 CAA 0 issue \"other.example\""],
        FORBIDS,
        "nny",
    ),
    // Through aliases: the target's records count, its parents' do not.
    shape(
        "al1",
        &["= CNAME al1t", "al1t CAA 0 issue \"other.example\""],
        FORBIDS,
        "nny",
    )
    .txt_at("al1t"),
    shape(
        "s.al2",
        &[
            "al2 CAA 0 issue \";\"",
            "= CNAME al2t",
            "al2t CAA 0 issue \"swisssign.com\"",
        ],
        "",
        "yyy",
    )
    .txt_at("al2t"),
    shape(
        "al3",
        &[
            "= CNAME x.al3t",
            "x.al3t A 192.0.2.1",
            "al3t CAA 0 issue \";\"",
        ],
        "",
        "yyy",
    )
    .txt_at("x.al3t"),
    shape(
        "s.al4",
        &["al4 CAA 0 issue \";\"", "= CNAME al4t", "al4t A 192.0.2.1"],
        FORBIDS,
        "nny",
    )
    .txt_at("al4t"),
    shape(
        "al5",
        &[
            "= CNAME al5a",
            "al5a CNAME al5b",
            "al5b CNAME al5c",
            "al5c CAA 0 issue \"swisssign.com; validationmethods=http-01\"",
        ],
        METHODS,
        "nny",
    )
    .open_before()
    .txt_at("al5c"),
    shape(
        "al6",
        &["= CNAME x.cut.up9", "x.cut.up9 CAA 0 issue \";\""],
        FORBIDS,
        "nny",
    )
    .without_value(),
    shape(
        "loop",
        &["= CNAME loop2", "loop2 CNAME loop"],
        UNREADABLE,
        "nnn",
    )
    .without_value(),
    shape(
        "x.dn",
        &["dn DNAME dnt", "x.dnt CAA 0 issue \"other.example\""],
        FORBIDS,
        "nny",
    )
    .txt_at("x.dnt"),
    // A record that a wildcard of DNS makes up counts as any other.
    shape(
        "x.wd",
        &["*.wd CAA 0 issue \"other.example\""],
        FORBIDS,
        "nny",
    )
    .txt_at("*.wd"),
];
