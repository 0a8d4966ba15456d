//! `prevalidate` keeps an organisation's domains prevalidated at its certificate authorities, by
//! DNS, without a person who watches, and orders the certificates that depend on them
//! ([`issuance`]).
//!
//! This page is the map. `README.md` says how to use the program, `config/prevalidate.toml` has every
//! setting, `STYLE.md` the words, `docs/invariants.md` what is always true.
//!
//! # One idea: reconcile
//!
//! No workflow is remembered. Each pass begins with what is true now: what the CA says, which values
//! the ledger has, what the name servers answer. A pure function gives the one next step for a
//! domain, the step is performed, and the pass begins again. A crash, a second worker, a colleague
//! in the CA's portal, a lost reply: each is only another state to begin with. The nightly run, the
//! daemon, the commands and the hooks start the same loop.
//!
//! ```text
//! config ─▶ inventory ─▶ observe ─▶ plan ─▶ guard ─▶ perform ─▶ report
//!                          ▲   (CA, ledger, DNS)  pure   │  (CA, provider, ledger)
//!                          └──────────── again ──────────┘
//! ```
//!
//! # The life of a domain
//!
//! 1. It enters the inventory: from the configuration, or by `add` and `import`. Its name is checked
//!    once ([`prevalidation::DomainName`]). A name below another one of the list is covered by that
//!    one's proof.
//! 2. It is *registered* at the CA, which answers with a random value, the *token*. A domain that is
//!    already registered is adopted. If the reply to `register` is lost, the registration is read
//!    before the next try.
//! 3. The value is *published* as TXT at the domain, beside SPF and all foreign values. The intent
//!    is stored in the ledger ([`store`]), then the provider adds exactly one value, then the receipt
//!    is stored in the ledger.
//! 4. The gate ([`propagation`]) asks every address of every name server. The value is *visible* when
//!    none of them has old data and, in a signed zone, the chain of trust holds.
//! 5. It is *submitted*: the CA is asked to check the value. There is a new proof when the CA's
//!    `timeValidated` moved forward.
//! 6. Exactly this value is removed, because the ledger says that it is ours. The zone is as it was.
//! 7. It is valid until the earliest of three ends: the rules' table, the CA's own table, the CA's
//!    date ([`prevalidation::ReuseTable`]). Some time before, spread over days, a renewal begins with
//!    a new token. Proof and attempt are separate: a domain is valid and renewing at once.
//! 8. Where only a person can help it is *held*, with a reason. It is tried again later.
//!
//! # Words
//!
//! The same in code, logs, tables, commands and documents; `STYLE.md` has the full list.
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
//! | ledger | the durable list of the values that this program means to write, wrote, or must remove | – |
//! | provider | an adapter that writes DNS records | – |
//! | held | waits for a person, with a reason | – |
//!
//! # Layers
//!
//! Imports point down only, and modules of one layer do not see each other; `tests/architecture.rs`
//! holds it.
//!
//! ```text
//! commands                               one file per subcommand; the only place that names concrete adapters
//! config · output · sandbox · server     settings; all printing; a CA and name servers on loopback; the daemon and its pages
//! notify                                 the notices, and how they are sent
//! overview                               the state of every domain, for people and programs
//! certificates · rdap                    keys, what came checked, the files that servers read; when registrations end
//! worker                                 step() lists or performs, run() is a shell around it
//! ca · propagation · store · metrics     three ports: the CA, the gate before it, what survives a crash; what is counted
//! issuance · persistent                  the pure hearts of certificates, and of records that stay
//! prevalidation · clock · text · webhook the pure heart of proofs: no clock, no I/O, no async; time as a port; words; what hooks sign with
//! prevalidate_providers                  a crate of its own: DNS providers, and nothing else of ours
//! ```
//!
//! Read [`prevalidation::planner`] for what is done and why, [`worker`] for how, and the contract
//! on the trait of each port: [`ca::Validation`], [`propagation::DnsChecker`], [`store::Store`],
//! [`prevalidate_providers::Provider`].

pub mod ca;
pub mod certificates;
pub mod clock;
pub mod commands;
pub mod config;
pub mod issuance;
pub mod metrics;
pub mod notify;
pub mod output;
pub mod overview;
pub mod persistent;
pub mod prevalidation;
pub mod propagation;
pub mod rdap;
pub mod sandbox;
pub mod server;
pub mod store;
pub mod text;
pub mod webhook;
pub mod worker;
