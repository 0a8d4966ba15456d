//! Methods and accounts (RFC 8657; BR 4.2.2.1), which bind from a day on.

use super::{ACCOUNT, ASK, FORBIDS, METHODS, Shape, shape};

pub const SHAPES: &[Shape] = &[
    // Methods (RFC 8657, section 4; BR 4.2.2.1).
    shape(
        "method",
        &["= CAA 0 issue \"swisssign.com; validationmethods=ca-tbr-7\""],
        "",
        "yyy",
    ),
    shape(
        "method-of-three",
        &["= CAA 0 issue \"swisssign.com;validationmethods=http-01,ca-tbr-7,dns-01\""],
        "",
        "yyy",
    ),
    shape(
        "synonym",
        &["= CAA 0 issue \"swisssign.com; validationmethods=dns-01\""],
        ASK,
        "??y",
    )
    .open_before(),
    shape(
        "method-case",
        &["= CAA 0 issue \"swisssign.com; validationmethods=Ca-Tbr-7\""],
        ASK,
        "??y",
    )
    .open_before(),
    shape(
        "parameter-case",
        &["= CAA 0 issue \"swisssign.com; ValidationMethods=ca-tbr-7\""],
        "",
        "yyy",
    ),
    shape(
        "other-method",
        &["= CAA 0 issue \"swisssign.com; validationmethods=http-01\""],
        METHODS,
        "nny",
    )
    .open_before(),
    shape(
        "persistent-method",
        &["= CAA 0 issue \"swisssign.com; validationmethods=ca-tbr-22\""],
        METHODS,
        "nny",
    )
    .open_before(),
    shape(
        "longer-method",
        &["= CAA 0 issue \"swisssign.com; validationmethods=ca-tbr-77\""],
        METHODS,
        "nny",
    )
    .open_before(),
    shape(
        "no-method",
        &["= CAA 0 issue \"swisssign.com; validationmethods=\""],
        METHODS,
        "nny",
    )
    .open_before(),
    shape(
        "method-after-blank",
        &["= CAA 0 issue \"swisssign.com; validationmethods=http-01, ca-tbr-7\""],
        FORBIDS,
        "nny",
    ),
    shape(
        "method-and-comma",
        &["= CAA 0 issue \"swisssign.com; validationmethods=ca-tbr-7,\""],
        ASK,
        "??y",
    )
    .open_before(),
    shape(
        "method-beside-no-label",
        &["= CAA 0 issue \"swisssign.com; validationmethods=dns_01,ca-tbr-7\""],
        ASK,
        "??y",
    )
    .open_before(),
    shape(
        "methods-twice",
        &[
            "= CAA 0 issue \"swisssign.com; validationmethods=ca-tbr-7; \
          validationmethods=ca-tbr-7\"",
        ],
        ASK,
        "??y",
    )
    .open_before(),
    shape(
        "methods-differ",
        &["= CAA 0 issue \"swisssign.com; validationmethods=ca-tbr-7; validationmethods=http-01\""],
        METHODS,
        "nny",
    )
    .open_before(),
    shape(
        "method-beside-none",
        &[
            "= CAA 0 issue \"swisssign.com; validationmethods=http-01\"",
            "= CAA 0 issue \"swisssign.com\"",
        ],
        "",
        "yyy",
    ),
    shape(
        "method-of-other",
        &["= CAA 0 issue \"other.example; validationmethods=ca-tbr-7\""],
        FORBIDS,
        "nny",
    ),
    shape(
        "wild-method",
        &[
            "= CAA 0 issue \"swisssign.com\"",
            "= CAA 0 issuewild \"swisssign.com; validationmethods=http-01\"",
        ],
        "",
        "yny",
    )
    .open_before(),
    // Accounts (RFC 8657, section 3).
    shape(
        "acme-account",
        &["= CAA 0 issue \"swisssign.com; accounturi=https://acme.swisssign.com/acct/1\""],
        ACCOUNT,
        "nny",
    )
    .open_before(),
    shape(
        "our-account",
        &["= CAA 0 issue \"swisssign.com; accounturi=acct:muster@swisssign.com\""],
        ASK,
        "yyy",
    )
    .open_before(),
    shape(
        "other-account",
        &["= CAA 0 issue \"swisssign.com; accounturi=acct:other@swisssign.com\""],
        ASK,
        "nny",
    )
    .open_before(),
    // Octet by octet.
    shape(
        "account-case",
        &["= CAA 0 issue \"swisssign.com; accounturi=acct:Muster@swisssign.com\""],
        ASK,
        "nny",
    )
    .open_before(),
    shape(
        "no-uri",
        &["= CAA 0 issue \"swisssign.com; accounturi=muster\""],
        FORBIDS,
        "nny",
    )
    .open_before(),
    shape(
        "no-account",
        &["= CAA 0 issue \"swisssign.com; accounturi=\""],
        FORBIDS,
        "nny",
    )
    .open_before(),
    shape(
        "two-accounts",
        &[
            "= CAA 0 issue \"swisssign.com; accounturi=acct:muster@swisssign.com; \
          accounturi=acct:b@swisssign.com\"",
        ],
        FORBIDS,
        "nny",
    )
    .open_before(),
    shape(
        "account-and-synonym",
        &[
            "= CAA 0 issue \"swisssign.com; accounturi=acct:muster@swisssign.com; \
          validationmethods=dns-01\"",
        ],
        ASK,
        "??y",
    )
    .open_before(),
    shape(
        "acme-account-and-method",
        &[
            "= CAA 0 issue \"swisssign.com; accounturi=https://acme.swisssign.com/acct/1; \
          validationmethods=http-01\"",
        ],
        METHODS,
        "nny",
    )
    .open_before(),
    shape(
        "acme-account-beside-us",
        &[
            "= CAA 0 issue \"swisssign.com; accounturi=https://acme.swisssign.com/acct/1\"",
            "= CAA 0 issue \"swisssign.com; validationmethods=ca-tbr-7\"",
        ],
        "",
        "yyy",
    ),
];
