//! The adapters of CAs against their sandboxes, which really ask name servers.

mod certificates;
mod digicert;
mod internetx;
mod sectigo;
mod swisssign;
