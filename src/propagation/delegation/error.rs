//! Why the servers of a name could not be found, in words for people.

use std::time::Duration;

/// Why the servers of a name could not be found. The text is one short line; [`WalkError::tried`]
/// has each address and what it said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// Every name server of `zone` was asked about `name`.
    #[error(
        "no name server of {zone} gave a usable answer about {name}{}",
        first_of(tried)
    )]
    NoAnswer {
        /// The zone whose servers were asked.
        zone: String,
        /// The name asked about.
        name: String,
        /// Each address and what it said.
        tried: Vec<String>,
    },
    /// Every answer came from a resolver, even in the place of the root's servers.
    #[error(
        "port 53 is redirected in this network: a resolver answers in place of the name servers of {zone}; set propagation.mode = \"resolvers\", with resolvers over tls:// or https://"
    )]
    Redirected {
        /// The zone whose servers were asked last.
        zone: String,
        /// The name asked about.
        name: String,
        /// Each address and what it said.
        tried: Vec<String>,
    },
    /// The name does not exist in a zone where only a delegation could make it exist.
    #[error(
        "{name} is not delegated: the servers of {zone} say that it does not exist; is it registered, and not misspelt?"
    )]
    NotDelegated {
        /// The name asked about.
        name: String,
        /// The zone that denies it.
        zone: String,
    },
    /// The name can never be delegated, so no server is asked.
    #[error(
        "{name} does not exist on the Internet: .{top} is reserved (RFC 2606, RFC 6761); list its name servers: [propagation.zone.\"{name}\"] name_servers = [\"ADDRESS:PORT\"]"
    )]
    Reserved {
        /// The name asked about.
        name: String,
        /// The reserved top-level domain.
        top: &'static str,
    },
    /// Loops, or a delegation built to waste time.
    #[error("gave up on the delegation of {name}: {why}; search for a loop among its name servers")]
    Endless {
        /// The name asked about.
        name: String,
        /// Which limit was met.
        why: String,
    },
    /// Aliases of labels that do not end.
    #[error("{name}: more than {most} aliases in a row, or a loop of aliases")]
    Aliases {
        /// Where they begin.
        name: String,
        /// How many are followed.
        most: usize,
    },
    /// Too slow: servers on the way that take long or do not answer.
    #[error(
        "the servers of {name} were not found in {time:?}{}; are these servers slow, or is DNS blocked here?",
        waiting(open)
    )]
    Late {
        /// The name asked about.
        name: String,
        /// How long it was tried.
        time: Duration,
        /// The addresses that had not answered by then.
        open: String,
    },
    /// The labels do not form a DNS name.
    #[error("{0} cannot be asked for in the DNS")]
    Name(String),
}

impl WalkError {
    /// Each address that was asked and what it said, as far as it is known.
    pub fn tried(&self) -> &[String] {
        match self {
            Self::NoAnswer { tried, .. } | Self::Redirected { tried, .. } => tried,
            _ => &[],
        }
    }

    /// The text with each address and what it said: for a diagnosis and a log.
    pub fn in_full(&self) -> String {
        match self.tried() {
            [] | [_] => self.to_string(),
            tried => format!("{self}; asked: {}", tried.join("; ")),
        }
    }

    /// Whether nothing but a change of the configuration can help, so that asking again is of no
    /// use.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Reserved { .. } | Self::Name(_))
    }
}

fn first_of(tried: &[String]) -> String {
    match tried {
        [] => String::new(),
        [only] => format!(" ({only})"),
        [first, more @ ..] => format!(" ({first}; and {} more)", more.len()),
    }
}

fn waiting(open: &str) -> String {
    if open.is_empty() {
        String::new()
    } else {
        format!("; no answer yet from {open}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_short_and_the_full_text_names_every_address() {
        let tried: Vec<String> = (1..=26)
            .map(|nth| format!("192.0.2.{nth}:53: neither authoritative nor a referral"))
            .collect();
        let redirected = WalkError::Redirected {
            zone: ".".to_owned(),
            name: "example.ch".to_owned(),
            tried: tried.clone(),
        };
        let silent = WalkError::NoAnswer {
            zone: "example.ch".to_owned(),
            name: "www.example.ch".to_owned(),
            tried,
        };
        for error in [&redirected, &silent] {
            let text = error.to_string();
            assert!(text.len() < 200, "{}: {text}", text.len());
            let full = error.in_full();
            assert!(full.contains("192.0.2.1:53") && full.contains("192.0.2.26:53"));
        }
        assert!(silent.to_string().contains("192.0.2.1:53"), "{silent}");
        assert!(redirected.to_string().contains("propagation.mode"));
    }

    #[test]
    fn a_late_walk_names_the_addresses_that_are_silent() {
        let late = |open: &str| WalkError::Late {
            name: "example.ch".to_owned(),
            time: Duration::from_secs(30),
            open: open.to_owned(),
        };
        assert!(late("192.0.2.1:53").to_string().contains("192.0.2.1:53"));
        assert!(!late("").to_string().contains("no answer yet"));
    }
}
