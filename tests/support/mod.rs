//! Real name servers on loopback for the tests: each in a directory of its own, on a free high
//! port, gone when dropped.
//!
//! ```ignore
//! let keys = Keys::of(&["prevalidate"]);
//! let primary = NameServer::bind(&[Zone::new("example.test", "@ TXT \"v=spf1 -all\"")], &keys);
//! let secondary = NameServer::knot(&[Zone::secondary("example.test", &primary, Refresh::Asked)], &keys);
//! primary.nsupdate("update add example.test. 60 TXT \"a foreign value\"");
//! secondary.refresh("example.test");
//! assert_eq!(primary.axfr("example.test"), secondary.axfr("example.test"));
//! ```

#![allow(dead_code, unused_imports, reason = "a harness is used in parts")]

#[path = "../../providers/tests/support/mod.rs"]
pub mod apis;
pub mod ask;
pub mod beside;
pub mod between;
pub mod bind;
pub mod certificate;
pub mod daemon;
pub mod door;
pub mod hooks;
pub mod inventory;
pub mod knot;
pub mod name_server;
pub mod pdns;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod tls;
pub mod wire;
pub mod zones;

pub use name_server::NameServer;
pub use zones::{Keys, Policy, Refresh, Zone};
