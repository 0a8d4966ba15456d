//! The steps of the life of a certificate.

/// The next thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing: the certificate is there, or it is not wanted.
    Rest,
    /// A person is needed.
    Held,
    /// Make the key, or read the request.
    Key,
    /// Have the CA say for free whether it would take the order.
    Preflight,
    /// Wait for the proof of a domain.
    Prove,
    /// Ask the CA which records the order wants in DNS.
    Challenge,
    /// Write these records, and wait until every name server has them.
    Publish,
    /// Order: the one step that costs money.
    Submit,
    /// Leave an order that was started and not made: it is not due any more.
    Drop,
    /// Search for an order whose answer was lost.
    Find,
    /// Ask the CA for the state of the order.
    Read,
    /// See that the records of an order are still in DNS.
    Watch,
    /// Fetch the certificate and check it.
    Fetch,
    /// Fetch once more what is damaged in the place that servers read.
    Repair,
    /// Give the files in that place the owner, the group and the mode of the settings, and make a
    /// bundle again that is not what was written.
    Restore,
    /// Make it count.
    Install,
    /// Remove the records of an order from DNS.
    Withdraw,
    /// Run the program that tells the servers.
    Deploy,
    /// Ask the CA to revoke.
    Revoke,
    /// Ask the CA whether it has revoked.
    Confirm,
}

impl Step {
    /// Whether it leads to an order that is not made yet.
    pub fn leads_to_an_order(self) -> bool {
        matches!(
            self,
            Self::Key
                | Self::Preflight
                | Self::Prove
                | Self::Challenge
                | Self::Publish
                | Self::Submit
        )
    }

    /// The word in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Held => "held",
            Self::Key => "key",
            Self::Preflight => "preflight",
            Self::Prove => "prove",
            Self::Challenge => "challenge",
            Self::Publish => "publish",
            Self::Submit => "submit",
            Self::Drop => "drop",
            Self::Find => "find",
            Self::Read => "look",
            Self::Watch => "watch",
            Self::Fetch => "fetch",
            Self::Repair => "repair",
            Self::Restore => "restore",
            Self::Install => "install",
            Self::Withdraw => "withdraw",
            Self::Deploy => "deploy",
            Self::Revoke => "revoke",
            Self::Confirm => "confirm",
        }
    }
}
