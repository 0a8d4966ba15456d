//! The table of a program: `[provider.NAME]` with `kind = "exec"`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prevalidate_kit::secret::{SecretSource, looks_like_a_secret};
use prevalidate_kit::table::Reader;
use prevalidate_kit::table::secrets::read_text;
use prevalidate_kit::trust;
use secrecy::SecretString;
use serde_json::Value;

use super::{Exec, ExecSettings};
use crate::kind::{Kind, Table, World};
use crate::provider::{ErrorKind, Provider, ProviderError};

/// For one run of a program.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// `kind = "exec"`.
pub(crate) const KIND: Kind = Kind {
    name: "exec",
    keys: &[&KEYS],
    read: |reader| Some(Arc::new(ExecTable::read(reader)?)),
};

const KEYS: [&str; 4] = ["program", "environment", "ttl", "timeout"];

/// A checked table; no secret has been read yet.
#[derive(Debug, Clone)]
pub struct ExecTable {
    program: PathBuf,
    environment: BTreeMap<String, Variable>,
    ttl: u32,
    timeout: Duration,
}

#[derive(Debug, Clone)]
enum Variable {
    /// The content of these files is not known.
    Text(SecretString),
    Secret(SecretSource),
}

impl ExecTable {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let program = reader.text("program");
        match &program {
            None if !reader.table.contains_key("program") => {
                reader.fault(
                    "program",
                    "missing: the path of a program; config/exec has examples",
                );
            }
            Some(path) if !path.starts_with('/') => {
                reader.fault("program", "must be an absolute path, without arguments")
            }
            _ => {}
        }
        let environment = environment(reader);
        let ttl = reader.ttl();
        let timeout = reader.timeout(DEFAULT_TIMEOUT);
        Some(Self {
            program: program?.into(),
            environment: environment?,
            ttl: ttl?,
            timeout: timeout?,
        })
    }
}

impl Table for ExecTable {
    fn build(&self, _: &World) -> Result<Arc<dyn Provider>, ProviderError> {
        trust::check_program(&self.program).map_err(|why| {
            ProviderError::new(ErrorKind::Settings, format!("program: {why}"))
                .with_hint("a user who may change the program may change the zones")
        })?;
        let environment = self.environment.iter().map(|(name, value)| {
            let value = match value {
                Variable::Text(text) => text.clone(),
                Variable::Secret(source) => read_text(&format!("environment.{name}"), source)?,
            };
            Ok((name.clone(), value))
        });
        Ok(Arc::new(Exec::new(ExecSettings {
            program: self.program.clone(),
            environment: environment.collect::<Result<_, ProviderError>>()?,
            ttl: self.ttl,
            timeout: self.timeout,
        })))
    }
}

/// Names with texts, or with where a secret is.
fn environment(reader: &mut Reader<'_>) -> Option<BTreeMap<String, Variable>> {
    let table = match reader.table.get("environment") {
        None => return Some(BTreeMap::new()),
        Some(Value::Object(table)) => table,
        Some(_) => {
            reader.fault(
                "environment",
                "expected names with values: { SERVER = \"192.0.2.1\", KEY = { file = \"…\" } }",
            );
            return None;
        }
    };
    let mut found = BTreeMap::new();
    for (name, value) in table {
        let is_name = !name.is_empty()
            && !looks_like_a_secret(name)
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let read = match value {
            _ if !is_name => {
                Err("a name of letters, digits and `_` is expected before each value".to_owned())
            }
            Value::String(text) if !text.contains('\0') => Ok(Variable::Text(text.clone().into())),
            Value::Object(_) => SecretSource::read_json(value).map(Variable::Secret),
            _ => Err(format!(
                "`{name}` must be a text, or where a secret is: {{ file = \"…\" }}"
            )),
        };
        found.insert(name.clone(), reader.good("environment", read)?);
    }
    Some(found)
}
