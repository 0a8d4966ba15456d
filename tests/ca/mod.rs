//! The adapters of CAs against their sandboxes, which really ask name servers.

mod certificates;
mod digicert;
mod sectigo;
mod swisssign;
