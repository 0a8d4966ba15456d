//! `prevalidate` keeps an organisation's domains prevalidated at its certificate authority, by DNS,
//! with nobody watching.
//!
//! This page is the map. How to use the program stands in `README.md`, every setting in
//! `config/prevalidate.toml`.
//!
//! # One idea: reconcile
//!
//! Nothing remembers a half-done workflow. Every look starts from what is true now (what the CA
//! says, what the ledger says we wrote, what name servers answer), a pure function says the one
//! next step for a domain, the step is performed, and the look starts again. A crash anywhere, a
//! second worker, a colleague in the CA's portal, a lost answer: each is just another state to look
//! at. Cron, command and hook are ways of starting the same loop.
//!
//! ```text
//! config ─▶ inventory ─▶ observe ─▶ plan ─▶ guard ─▶ perform ─▶ report
//!                          ▲   (CA, ledger, DNS)  pure   │  (CA, provider, ledger)
//!                          └──────────── again ──────────┘
//! ```
//!
//! # The life of a domain
//!
//! 1. It enters the inventory: from the configuration, or by `add` and `import`. Names are checked
//!    once ([`prevalidation::DomainName`]); a name below another one of the list is covered by that
//!    one's proof.
//! 2. It is *registered* at the CA, which answers with a random value, the *token*. Who is there
//!    already is adopted; a registration whose answer was lost is looked for, never repeated
//!    blindly.
//! 3. The value is *published* as TXT at the domain, beside SPF and everybody else's values: first
//!    the intent goes into the ledger ([`store`]), then the provider adds exactly one value, then
//!    the receipt goes into the ledger.
//! 4. The gate ([`propagation`]) asks every address of every name server. Only when none of them is
//!    stale, and the chain of trust holds where the zone is signed, is it *visible*.
//! 5. It is *submitted*: the CA is asked to look. A new proof is there when the CA's
//!    `timeValidated` moved forward.
//! 6. The value is removed, by value, because the ledger says it is ours. The zone is as it was.
//! 7. It is valid until the earliest of three ends: the rules' table, the CA's own table, the CA's
//!    date ([`prevalidation::ReuseTable`]). Some time before, spread over days, a renewal begins at
//!    a new token. Proof and attempt are separate: a domain is valid and renewing at once.
//! 8. Where only a person can help it is *held*: with a reason, never silent, looked at again
//!    later.
//!
//! # Words
//!
//! The same in code, logs, tables, commands and documents.
//!
//! | word | meaning | the CA's word |
//! |---|---|---|
//! | account | one set of credentials at a CA | service account |
//! | client | the CA's grouping under an account | `cli-…` |
//! | domain | a checked name: A-label, lower case, no trailing dot; shown with its U-label | `domain`, `domainUnicode` |
//! | registration | the domain's entry at the CA, by reference | `ClientDNS`, `cld-…` |
//! | token | the outstanding random value with its two dates | `randomValue…` |
//! | proof | a finished validation: when, how, until when | `validated`, `timeValidated`, `timeExpired` |
//! | attempt | the way from a token to a new proof: registered, published, visible, submitted | – |
//! | usable until | the earliest end of a proof | – |
//! | ledger | the durable record of every TXT value we mean to write, wrote, and must remove | – |
//! | provider | something that can write TXT values into zones | – |
//! | held | waiting for a person, with a reason | – |
//!
//! # Layers
//!
//! Imports point down only, and modules of one layer do not see each other; `tests/architecture.rs`
//! holds it.
//!
//! ```text
//! commands                               one file per subcommand; the only place that names concrete adapters
//! config · output · sandbox · server     settings; all printing; a CA and name servers on loopback; the daemon and its pages
//! notify                                 who is told of what, and how
//! overview                               how every domain stands, for people and programs
//! worker                                 step() looks or performs, run() is a shell around it
//! ca · propagation · store · metrics     three ports: the CA, the gate before it, what survives a crash; what is counted
//! prevalidation · clock · text · webhook the pure heart: no clock, no I/O, no async; time as a port; words; what hooks sign with
//! prevalidate_providers                  a crate of its own: DNS providers, and nothing else of ours
//! ```
//!
//! Read [`prevalidation::planner`] for what is done and why, [`worker`] for how, and the contract
//! on the trait of each port: [`ca::Validation`], [`propagation::Lookout`], [`store::Store`],
//! [`prevalidate_providers::Provider`].

pub mod ca;
pub mod clock;
pub mod commands;
pub mod config;
pub mod metrics;
pub mod notify;
pub mod output;
pub mod overview;
pub mod prevalidation;
pub mod propagation;
pub mod sandbox;
pub mod server;
pub mod store;
pub mod text;
pub mod webhook;
pub mod worker;
