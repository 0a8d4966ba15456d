//! The users that could have written the configuration and the programs that it names. A user who
//! may change one of these acts as the user of this process.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use prevalidate_kit::secret::SecretSource;
use serde_json::Value;

use super::fault::Fault;
use super::{NotifyBy, Settings};
use crate::notify::carrier::mail::Letter;
use crate::notify::carrier::web::Receiver;

/// The user in whose place something acts.
#[derive(Debug, Clone, Copy)]
struct Caller {
    user: u32,
    group: u32,
    /// The user who called sudo, where root was become by it.
    behind_sudo: Option<u32>,
}

impl Caller {
    fn now() -> Self {
        let user = rustix::process::geteuid().as_raw();
        let by_sudo = std::env::var("SUDO_UID")
            .ok()
            .and_then(|uid| uid.parse().ok());
        Self {
            user,
            group: rustix::process::getegid().as_raw(),
            behind_sudo: by_sudo.filter(|_| user == 0),
        }
    }

    fn owns(self, file: &std::fs::Metadata) -> bool {
        [Some(0), Some(self.user), self.behind_sudo].contains(&Some(file.uid()))
    }

    /// Whether users beside root and the caller may write it. A group of the user's own, as many
    /// systems make one for each user, has no other member.
    fn is_shared(self, file: &std::fs::Metadata) -> bool {
        let own_group = file.gid() == 0 || file.gid() == self.group && self.group == self.user;
        file.mode() & 0o002 != 0 || file.mode() & 0o020 != 0 && !own_group
    }
}

/// The file of the current folder, which the caller did not name. Root or the caller must own it
/// and the folder, and no other user may write them.
///
/// # Errors
/// Why it is not read.
pub(super) fn of_the_current_folder(file: &Path) -> Result<(), String> {
    let caller = Caller::now();
    let folder = file.parent().unwrap_or(Path::new("."));
    for (path, what) in [(folder, "the folder"), (file, "the file")] {
        let found = std::fs::metadata(path).map_err(|error| format!("{what}: {error}"))?;
        if !caller.owns(&found) {
            return Err(format!("{what} belongs to another user ({})", found.uid()));
        }
        if caller.is_shared(&found) {
            let mode = found.mode() & 0o7777;
            return Err(format!("other users may write {what} (mode {mode:04o})"));
        }
    }
    Ok(())
}

/// A configuration that was named or is at its usual place.
///
/// # Errors
/// What is wrong with its owner or mode, and what to do.
pub(super) fn of_the_configuration(file: &Path) -> Result<(), (String, String)> {
    let caller = Caller::now();
    let Ok(found) = std::fs::metadata(file) else {
        return Ok(());
    };
    if !found.is_file() {
        return Ok(());
    }
    if found.mode() & 0o002 != 0 {
        let mode = found.mode() & 0o7777;
        return Err((
            format!(
                "is not used: its mode is {mode:04o}, so every user can change what is started"
            ),
            format!("chmod o-w {}", file.display()),
        ));
    }
    if caller.user == 0 && !caller.owns(&found) {
        let owner = found.uid();
        return Err((
            format!(
                "is not used by root: it belongs to another user ({owner}), who could change it"
            ),
            format!("chown root {}, or run it as that user", file.display()),
        ));
    }
    Ok(())
}

/// The programs that the settings name and that another user could change.
pub(super) fn of_its_programs(path: &Path, settings: &Settings) -> Vec<Fault> {
    let caller = Caller::now();
    let named = programs(settings);
    let faults = named.into_iter().filter_map(|(key, line, program)| {
        let (what, cause) = changeable(caller, &program)?;
        Some(Fault {
            file: path.to_owned(),
            line,
            key,
            message: format!("is not started: {cause}"),
            hint: Some(format!("chown root and chmod go-w {}", what.display())),
        })
    });
    faults.collect()
}

/// The program or its folder, when another user could change it, and why.
fn changeable(caller: Caller, program: &Path) -> Option<(PathBuf, String)> {
    // One that is not there is reported where it is started; on another machine it may be.
    let program = resolved(program)?;
    let found = std::fs::metadata(&program).ok()?;
    let shown = program.display();
    if !caller.owns(&found) && caller.user == 0 {
        let owner = found.uid();
        return Some((
            program.clone(),
            format!("{shown} belongs to another user ({owner})"),
        ));
    }
    if found.mode() & 0o002 != 0 {
        let mode = found.mode() & 0o7777;
        return Some((
            program.clone(),
            format!("every user may write {shown} (mode {mode:04o})"),
        ));
    }
    let folder = program.parent()?.to_owned();
    let around = std::fs::metadata(&folder).ok()?;
    // In a folder like /tmp only the owner of a file may put another in its place.
    if around.mode() & 0o1002 == 0o002 {
        let shown = folder.display();
        return Some((
            folder.clone(),
            format!("every user may write the folder {shown}"),
        ));
    }
    None
}

/// Where the program is, by `PATH` where it has no slash; links are followed.
fn resolved(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return std::fs::canonicalize(program).ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .and_then(|found| std::fs::canonicalize(found).ok())
}

type Named = (String, Option<usize>, PathBuf);

fn programs(settings: &Settings) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    let mut secret = |key: String, source: &SecretSource| {
        if let SecretSource::Command(args) = source
            && let Some(program) = args.first()
        {
            found.push((key, None, program.into()));
        }
    };
    for (name, ca) in &settings.cas {
        for (key, source) in ca.values.secrets() {
            secret(format!("ca.{name}.{key}"), source);
        }
    }
    if let Some(password) = &settings.store_password {
        secret("store.password".to_owned(), password);
    }
    if let Some(server) = &settings.server {
        for token in &server.tokens {
            secret(
                format!("server.token.secret of {}", token.name),
                &token.secret,
            );
        }
        for key in &server.hook_keys {
            let name = &key.name;
            secret(format!("server.hook_key.secret of {name}"), &key.secret);
            if let Some(second) = &key.second_secret {
                secret(format!("server.hook_key.second_secret of {name}"), second);
            }
        }
    }
    for notify in &settings.notify {
        let key = |what: &str| format!("notify.{what} of {}", notify.name);
        match &notify.by {
            NotifyBy::Web(Receiver::Webhook { secret: source, .. }) => {
                secret(key("secret"), source)
            }
            NotifyBy::Web(Receiver::Chat { url, .. }) => secret(key("url"), url),
            NotifyBy::Mail(Letter {
                login: Some((_, source)),
                ..
            }) => {
                secret(key("password"), source);
            }
            NotifyBy::Mail(_) | NotifyBy::Program(_) => {}
        }
    }
    for (name, provider) in &settings.providers {
        for (key, value) in &provider.table {
            let line = provider.lines.get(key).copied();
            let program = value.as_str().filter(|_| key == "program");
            let programs = commands_in(value).into_iter().chain(program);
            found.extend(programs.map(|p| (format!("provider.{name}.{key}"), line, p.into())));
        }
    }
    for notify in &settings.notify {
        if let NotifyBy::Program(program) = &notify.by
            && let Some(path) = program.0.first()
        {
            found.push((
                format!("notify.command of {}", notify.name),
                None,
                path.into(),
            ));
        }
    }
    for (key, line, _) in &mut found {
        *line = line.or_else(|| settings.line_of(key));
    }
    found
}

/// The programs of `{ command = ["PROGRAM", …] }`, also of those within a table.
fn commands_in(value: &Value) -> Vec<&str> {
    let Value::Object(table) = value else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (key, value) in table {
        match value.as_array() {
            Some(args) if key == "command" => found.extend(args.first().and_then(Value::as_str)),
            _ => found.extend(commands_in(value)),
        }
    }
    found
}
