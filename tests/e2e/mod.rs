//! End to end: the built binary against BIND, Knot and the sandbox CA, as an operator sees it.

mod bad_input;
mod by_provider;
mod certificates;
mod crash;
mod fleet;
mod guard;
mod hooks;
mod life;
mod mixed;
mod notify;
mod orders;
mod pipeline;
mod pipeline_cname;
mod rebuild;
mod refusals;
mod renewal;
mod secrets;
mod sectigo;
mod sectigo_answers;
mod sectigo_logins;
mod serve;
mod signal;
mod states;
mod store;
mod upgrade;
pub mod world;
