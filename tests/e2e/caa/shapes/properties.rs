//! The CA that a property names, and properties that no CA knows (RFC 8659, RFC 9495).

use super::{CRITICAL, FORBIDS, Shape, shape};

pub const SHAPES: &[Shape] = &[
    // The CA that it names (RFC 8659, section 4.2).
    shape("plain", &[], "", "yyy"),
    shape("named", &["= CAA 0 issue \"swisssign.com\""], "", "yyy"),
    shape("case", &["= CAA 0 issue \"SwissSign.COM\""], "", "yyy"),
    shape("tag-case", &["= CAA 0 ISSUE \"swisssign.com\""], "", "yyy"),
    shape(
        "critical",
        &["= CAA 128 issue \"swisssign.com\""],
        "",
        "yyy",
    ),
    shape(
        "semicolon",
        &["= CAA 0 issue \"swisssign.com;\""],
        "",
        "yyy",
    ),
    shape(
        "blanks",
        &["= CAA 0 issue \"  swisssign.com ; \""],
        "",
        "yyy",
    ),
    shape(
        "other",
        &["= CAA 0 issue \"other.example\""],
        FORBIDS,
        "nny",
    ),
    shape("no-ca", &["= CAA 0 issue \";\""], FORBIDS, "nny"),
    shape("empty", &["= CAA 0 issue \"\""], FORBIDS, "nny"),
    shape(
        "two-cas",
        &[
            "= CAA 0 issue \"other.example\"",
            "= CAA 0 issue \"swisssign.com\"",
        ],
        "",
        "yyy",
    ),
    shape(
        "no-ca-and-us",
        &["= CAA 0 issue \";\"", "= CAA 0 issue \"swisssign.com\""],
        "",
        "yyy",
    ),
    shape(
        "below-us",
        &["= CAA 0 issue \"www.swisssign.com\""],
        FORBIDS,
        "nny",
    ),
    shape(
        "begins-like-us",
        &["= CAA 0 issue \"swisssign.com.evil.example\""],
        FORBIDS,
        "nny",
    ),
    shape(
        "iodef",
        &["= CAA 0 iodef \"mailto:pki@caa.test\""],
        "",
        "yyy",
    ),
    shape(
        "contact",
        &["= CAA 0 contactemail \"pki@caa.test\""],
        "",
        "yyy",
    ),
    shape("mark", &["= CAA 0 issuevmc \"other.example\""], "", "yyy"),
    // Wildcards (section 4.3) and mailboxes (RFC 9495).
    shape(
        "wild-us",
        &["= CAA 0 issuewild \"swisssign.com\""],
        "",
        "yyy",
    ),
    shape("wild-no-ca", &["= CAA 0 issuewild \";\""], "", "yny"),
    shape(
        "wild-only-us",
        &["= CAA 0 issue \";\"", "= CAA 0 issuewild \"swisssign.com\""],
        FORBIDS,
        "nyy",
    ),
    shape(
        "wild-other",
        &[
            "= CAA 0 issue \"swisssign.com\"",
            "= CAA 0 issuewild \"other.example\"",
        ],
        "",
        "yny",
    ),
    shape("mail-no-ca", &["= CAA 0 issuemail \";\""], "", "yyn"),
    shape(
        "mail-us",
        &["= CAA 0 issuemail \"swisssign.com\""],
        "",
        "yyy",
    ),
    shape(
        "mail-other",
        &[
            "= CAA 0 issue \"swisssign.com\"",
            "= CAA 0 issuemail \"other.example\"",
        ],
        "",
        "yyn",
    ),
    shape(
        "mail-only-us",
        &["= CAA 0 issue \";\"", "= CAA 0 issuemail \"swisssign.com\""],
        FORBIDS,
        "nny",
    ),
    // The rules of S/MIME name no parameter.
    shape(
        "mail-methods",
        &["= CAA 0 issuemail \"swisssign.com; validationmethods=http-01\""],
        "",
        "yy?",
    )
    .open_before(),
    // Properties that no CA knows (section 4.5).
    shape("unknown", &["= CAA 0 future \"x\""], "", "yyy"),
    shape(
        "unknown-critical",
        &["= CAA 128 future \"x\""],
        CRITICAL,
        "nnn",
    ),
    shape(
        "unknown-critical-and-us",
        &["= CAA 128 future \"x\"", "= CAA 0 issue \"swisssign.com\""],
        CRITICAL,
        "nnn",
    ),
    shape("other-flag", &["= CAA 1 future \"x\""], "", "yyy"),
    shape(
        "critical-iodef",
        &["= CAA 128 iodef \"mailto:pki@caa.test\""],
        "",
        "yyy",
    ),
    // Values outside the grammar let no CA issue, and do not spoil a good one beside them.
    shape("percent", &["= CAA 0 issue \"%%%%%\""], FORBIDS, "nny"),
    shape("dot", &["= CAA 0 issue \"swisssign.com.\""], FORBIDS, "nny"),
    shape(
        "hyphen",
        &["= CAA 0 issue \"-swisssign.com\""],
        FORBIDS,
        "nny",
    ),
    shape(
        "two-words",
        &["= CAA 0 issue \"swisssign com\""],
        FORBIDS,
        "nny",
    ),
    shape(
        "no-value",
        &["= CAA 0 issue \"swisssign.com; account\""],
        FORBIDS,
        "nny",
    ),
    shape(
        "no-tag",
        &["= CAA 0 issue \"swisssign.com; =\""],
        FORBIDS,
        "nny",
    ),
    shape(
        "open-end",
        &["= CAA 0 issue \"swisssign.com; a=b;\""],
        FORBIDS,
        "nny",
    ),
    shape(
        "two-semicolons",
        &["= CAA 0 issue \"swisssign.com;; a=b\""],
        FORBIDS,
        "nny",
    ),
    shape(
        "outside-ascii",
        &["= CAA 0 issue \"swisssign.com; a=\\195\\164\""],
        FORBIDS,
        "nny",
    ),
    shape(
        "malformed-and-good",
        &[
            "= CAA 0 issue \"swisssign.com.\"",
            "= CAA 0 issue \"swisssign.com\"",
        ],
        "",
        "yyy",
    ),
    shape(
        "own-parameter",
        &["= CAA 0 issue \"swisssign.com; policy=ev\""],
        "",
        "yyy",
    ),
];
