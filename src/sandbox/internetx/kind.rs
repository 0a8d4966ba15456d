//! InterNetX in a sandbox: it keeps no domains, so its configuration has no client.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::Value;

use super::{Behaviour, Robot, RobotOptions};
use crate::prevalidation::DomainName;
use crate::sandbox::kind::{Guest, Kind, Table, path_of};
use crate::sandbox::service;

/// The user.
const USER: &str = "prevalidate";
/// The context.
const CONTEXT: u32 = 9;
/// The file of the password.
const PASSWORD: &str = "internetx.password";

/// InterNetX' SSL Manager, as the sandbox sees it.
pub static KIND: Kind = Kind {
    name: "internetx",
    explained: &[],
    switches: service::defaults::<Behaviour>,
    set: service::set::<Behaviour>,
    start: |table, switches| start(table, switches).boxed(),
};

async fn start(table: Table<'_>, switches: Value) -> io::Result<Arc<dyn Guest>> {
    let robot = Robot::start(RobotOptions {
        clock: Arc::clone(&table.clock),
        listen: table.listen,
        user: USER.to_owned(),
        password: table.secret(PASSWORD, 32)?,
        context: CONTEXT,
        behaviour: service::read(switches)?,
        seed: table.seed,
        name_servers: table.name_servers(),
    });
    let robot = table.listening("InterNetX", robot.await)?;
    table.write_root("internetx-root.pem", &robot.root_pem())?;
    let _ = robot.shared.dns.set(Arc::clone(&table.dns));
    Ok(Arc::new(robot))
}

impl Guest for Robot {
    fn url(&self) -> String {
        self.url()
    }

    fn stop(&self) {
        self.stop();
    }

    fn back_door(&self) -> Option<String> {
        Some(format!("http://{}/_sandbox/state", self.service.address()))
    }

    fn sections(&self, directory: &Path, _: &[DomainName]) -> String {
        format!(
            r#"[ca.internetx]
kind = "internetx"
url = "{url}"
user = "{USER}"
password = {{ file = {password} }}
"#,
            url = self.url(),
            password = path_of(directory, PASSWORD),
        )
    }
}
