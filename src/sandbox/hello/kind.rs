//! The toy in a sandbox, and its sections of a configuration.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::{Value, json};

use super::{Behaviour, World};
use crate::prevalidation::DomainName;
use crate::sandbox::kind::{Guest, Kind, Table, path_of};
use crate::sandbox::service;

/// The only client.
pub const CLIENT: &str = "World";
const GREETING: &str = "hello.greeting";

/// The toy, as the sandbox sees it.
pub static KIND: Kind = Kind {
    name: "hello",
    explained: &[],
    switches: service::defaults::<Behaviour>,
    set: service::set::<Behaviour>,
    start: |table, switches| start(table, switches).boxed(),
};

async fn start(table: Table<'_>, switches: Value) -> io::Result<Arc<dyn Guest>> {
    let world = World::start(
        table.listen,
        Arc::clone(&table.clock),
        table.secret(GREETING, 16)?,
        service::read(switches)?,
        table.name_servers(),
    );
    Ok(Arc::new(table.listening("the toy", world.await)?))
}

impl Guest for World {
    fn url(&self) -> String {
        format!("http://{}", self.service.address())
    }

    fn stop(&self) {
        self.service.stop();
    }

    fn sections(&self, directory: &Path, domains: &[DomainName]) -> String {
        format!(
            "[ca.hello]\nkind = \"hello\"\nurl = \"{}\"\ngreeting = {{ file = {} }}\n\n\
             [[client]]\nca = \"hello\"\nname = \"{CLIENT}\"\nprovider = \"sandbox\"\ndomains = {}\n",
            self.url(),
            path_of(directory, GREETING),
            json!(domains),
        )
    }
}
