//! `prevalidate` keeps an organisation's domains prevalidated at its certificate authority, by DNS, with nobody watching.

pub mod ca;
pub mod clock;
pub mod commands;
pub mod config;
pub mod output;
pub mod prevalidation;
pub mod propagation;
pub mod sandbox;
pub mod store;
pub mod worker;
