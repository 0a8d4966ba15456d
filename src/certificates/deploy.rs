//! The program that makes servers read a new certificate: run after a change, with a time limit.
//!
//! No shell; its environment is `PATH`, `HOME` and what is listed at [`Deployment::environment`].
//! Status 0 means done. When the time is over, or the run ends that started it, its whole process
//! group is killed.

mod words;

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use prevalidate_kit::secret::SecretSource;

use self::words::{Secrets, told};
use super::folder::{self, Folder};

/// Octets of what it says on standard error that are kept.
const HEARD: u64 = 2_048;

/// How long, after its end, what it left running may go on saying something.
const ECHO: Duration = Duration::from_millis(200);

/// One run of the program of a certificate.
#[derive(Debug, Clone)]
pub struct Deployment<'a> {
    /// The name of the certificate.
    pub name: &'a str,
    /// The program and its arguments.
    pub command: &'a [String],
    /// How long it may take.
    pub limit: Duration,
    /// Where the files are.
    pub folder: &'a Folder,
    /// The version that counts now.
    pub version: u32,
    /// The names of the certificate: DNS names, or the mail address.
    pub names: &'a [String],
    /// Where the password of the bundle is. The password is never shown.
    pub password: Option<&'a SecretSource>,
}

impl Deployment<'_> {
    /// What the program finds in its environment. `RENEWED_LINEAGE` and `RENEWED_DOMAINS` are for
    /// programs that were written for certbot.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let file = |name: &str| self.folder.live_path(name).into_os_string();
        let current = self.folder.path().join(folder::CURRENT).into_os_string();
        let names = OsString::from(self.names.join(" "));
        let mut all = vec![
            ("PREVALIDATE_CERTIFICATE", self.name.into()),
            ("PREVALIDATE_NAMES", names.clone()),
            ("PREVALIDATE_DIRECTORY", current.clone()),
            ("PREVALIDATE_CERT", file(folder::CERTIFICATE)),
            ("PREVALIDATE_CHAIN", file(folder::CHAIN)),
            ("PREVALIDATE_FULLCHAIN", file(folder::FULL_CHAIN)),
            ("PREVALIDATE_VERSION", self.version.to_string().into()),
            ("RENEWED_LINEAGE", current),
            ("RENEWED_DOMAINS", names),
        ];
        // Not every certificate has them: a program sees by the variable whether there is one.
        for (variable, name) in [
            ("PREVALIDATE_KEY", folder::KEY),
            ("PREVALIDATE_BUNDLE", folder::BUNDLE),
        ] {
            if self.folder.live_path(name).exists() {
                all.push((variable, file(name)));
            }
        }
        all
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    /// Why the change may not have reached the servers, with the program's own words.
    pub async fn run(&self) -> Result<(), String> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Ok(());
        };
        prevalidate_kit::trust::check_program(Path::new(program))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir("/")
            .env_clear()
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        for name in ["PATH", "HOME"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.envs(self.environment());
        let mut child = command
            .spawn()
            .map_err(|error| format!("{program} does not start: {error}"))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let mut group = Group(id.and_then(Pid::from_raw));
        let heard = timeout(self.limit, hear(&mut child)).await;
        if heard.is_err() {
            group.kill();
            let _ = child.wait().await;
        }
        group.0 = None;
        match heard {
            Ok(Ok((status, _))) if status.success() => Ok(()),
            Ok(Ok((status, words))) => {
                let password = self.password.and_then(|source| source.read().ok());
                let secrets = Secrets::of(self.folder, password);
                let words = match told(&words, arguments, &secrets) {
                    words if words.is_empty() => words,
                    words => format!(": {words}"),
                };
                Err(format!("{program} ended with {status}{words}"))
            }
            Ok(Err(error)) => Err(format!("{program}: its end cannot be seen: {error}")),
            Err(_) => {
                let limit = self.limit.as_secs();
                Err(format!(
                    "{program} did not end within {limit} s and was killed"
                ))
            }
        }
    }
}

/// The processes of a program, until its end is known.
struct Group(Option<Pid>);

impl Group {
    fn kill(&self) {
        if let Some(group) = self.0 {
            // Not waited for yet, so the number still means this group.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// A run that is cut off leaves no process behind.
impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Its end, and what it said.
async fn hear(child: &mut Child) -> std::io::Result<(std::process::ExitStatus, Vec<u8>)> {
    let stderr = child.stderr.take();
    let mut words = Vec::new();
    let status = {
        let listen = async {
            if let Some(mut stderr) = stderr {
                let _ = (&mut stderr).take(HEARD).read_to_end(&mut words).await;
                let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            }
        };
        tokio::pin!(listen);
        tokio::select! {
            () = &mut listen => child.wait().await?,
            status = child.wait() => {
                let _ = timeout(ECHO, &mut listen).await;
                status?
            }
        }
    };
    Ok((status, words))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::certificates::{Access, KeyKind, PrivateKey};

    async fn run(script: &str, limit: Duration) -> Result<(), String> {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::at(root.path(), "www", Access::default());
        let out = root.path().join("out");
        let script = script.replace("OUT", &out.to_string_lossy());
        Deployment {
            name: "www",
            command: &["/bin/sh".to_owned(), "-c".to_owned(), script],
            limit,
            folder: &folder,
            version: 3,
            names: &["www.example.ch".to_owned(), "example.ch".to_owned()],
            password: None,
        }
        .run()
        .await?;
        let told = std::fs::read_to_string(out).unwrap();
        let shown = root.path().display();
        assert_eq!(
            told,
            format!(
                "www www.example.ch example.ch {shown}/www/current/fullchain.pem 3 ${{HIDDEN}}\n"
            )
            .replace("${HIDDEN}", "")
        );
        Ok(())
    }

    #[tokio::test]
    async fn a_program_finds_names_and_paths_in_its_environment_and_nothing_else_of_ours() {
        let script = r#"echo "$PREVALIDATE_CERTIFICATE $PREVALIDATE_NAMES $PREVALIDATE_FULLCHAIN $PREVALIDATE_VERSION $CARGO" > OUT"#;
        run(script, Duration::from_secs(20)).await.unwrap();
    }

    #[test]
    fn a_program_hears_of_a_key_and_a_bundle_only_where_there_is_one() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::at(root.path(), "www", Access::default());
        let current = folder.path().join(folder::CURRENT);
        std::fs::create_dir_all(&current).unwrap();
        let told = || {
            let deployment = Deployment {
                name: "www",
                command: &[],
                limit: Duration::ZERO,
                folder: &folder,
                version: 1,
                names: &[],
                password: None,
            };
            let all = deployment.environment().into_iter();
            let files = ["PREVALIDATE_KEY", "PREVALIDATE_BUNDLE"];
            let names = all.map(|(name, _)| name);
            names
                .filter(|name| files.contains(name))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(), [""; 0]);
        std::fs::write(current.join(folder::KEY), "").unwrap();
        assert_eq!(told(), ["PREVALIDATE_KEY"]);
        std::fs::write(current.join(folder::BUNDLE), "").unwrap();
        assert_eq!(told(), ["PREVALIDATE_KEY", "PREVALIDATE_BUNDLE"]);
    }

    #[tokio::test]
    async fn the_failure_of_a_program_is_told_in_its_own_words() {
        let why = run(
            "echo one >&2; echo no such unit >&2; exit 3",
            Duration::from_secs(20),
        )
        .await;
        let why = why.unwrap_err();
        assert!(why.contains("exit status: 3: no such unit"), "{why}");
    }

    #[tokio::test]
    async fn no_line_of_the_key_that_a_program_says_is_told() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::at(root.path(), "www", Access::default());
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        folder.prepare().unwrap();
        folder.begin(1, Some(&key)).unwrap();
        let current = folder.path().join(folder::CURRENT);
        std::os::unix::fs::symlink("0001", &current).unwrap();
        let script = "head -n 3 \"$PREVALIDATE_KEY\" >&2; exit 3";
        let why = Deployment {
            name: "www",
            command: &["/bin/sh", "-c", script].map(str::to_owned),
            limit: Duration::from_secs(20),
            folder: &folder,
            version: 1,
            names: &[],
            password: None,
        }
        .run()
        .await
        .unwrap_err();
        assert!(why.ends_with(words::WITHHELD), "{why}");
    }

    #[tokio::test]
    async fn a_run_that_is_cut_off_leaves_no_process_of_the_program() {
        use std::io::{BufRead as _, Read as _};
        let root = tempfile::tempdir().unwrap();
        let fifo = root.path().join("fifo");
        let mode = rustix::fs::Mode::from_bits_truncate(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
        let script = format!("exec 3>{}; echo >&3; sleep 600 & wait", fifo.display());
        let (begun, begins) = tokio::sync::oneshot::channel();
        let gone = tokio::task::spawn_blocking(move || {
            let mut told = std::io::BufReader::new(std::fs::File::open(fifo).unwrap());
            told.read_line(&mut String::new()).unwrap();
            begun.send(()).unwrap();
            // Ends when no process has it open for writing.
            told.read_to_end(&mut Vec::new()).unwrap();
        });
        tokio::select! {
            ended = run(&script, Duration::from_secs(600)) => panic!("{ended:?}"),
            _ = begins => {}
        }
        timeout(Duration::from_secs(20), gone)
            .await
            .unwrap()
            .unwrap();
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_killed_with_all_it_started() {
        let why = run("sleep 600 & wait", Duration::from_millis(300)).await;
        assert!(why.unwrap_err().contains("was killed"));
    }
}
