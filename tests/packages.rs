//! The packages, built from the repository around the program of the tests. The Debian one is checked
//! by lintian, installed, used, upgraded, removed and purged, as on a machine of its own; the RPM is
//! read by rpm.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::process;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command in the repository and gives all that it printed.
fn succeeds(command: &mut Command) -> String {
    let ran = command.current_dir(root()).output().unwrap();
    let said = [ran.stdout, ran.stderr]
        .map(|said| String::from_utf8_lossy(&said).into_owned())
        .concat();
    assert!(ran.status.success(), "{command:?}: {said}");
    said
}

/// The packages around the program that the tests were built with: `deb`, `rpm`.
fn build() -> [PathBuf; 2] {
    let tools = process::tool("cargo-deb").parent().unwrap().to_owned();
    let path = std::env::var("PATH").unwrap();
    succeeds(
        Command::new("packaging/build")
            .args(["--binary", env!("CARGO_BIN_EXE_prevalidate"), "deb", "rpm"])
            .env("PATH", format!("{}:{path}", tools.display())),
    );
    let version = env!("CARGO_PKG_VERSION");
    [("_", ".deb"), ("-", ".rpm")].map(|(before, end)| {
        let folder = std::fs::read_dir(root().join("target/packages")).unwrap();
        let mut found = folder.map(|file| file.unwrap().path()).filter(|file| {
            let name = file.file_name().unwrap().to_str().unwrap();
            name.starts_with(&format!("prevalidate{before}{version}")) && name.ends_with(end)
        });
        found.next().expect("a package of this version")
    })
}

/// A machine of its own: what is written to these folders is gone afterwards.
const MACHINE: &str = r#"
set -eu
package=$1 scratch=$2
export PATH=/usr/local/sbin:/usr/sbin:/sbin:$PATH DEBIAN_FRONTEND=noninteractive LC_ALL=C
mount -t tmpfs tmpfs "$scratch"
for folder in usr etc var; do
    mkdir -p "$scratch/$folder" "$scratch/$folder.work"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$scratch/$folder,workdir=$scratch/$folder.work" "/$folder"
done
as() { setpriv --reuid=prevalidate --regid=prevalidate --clear-groups env HOME=/var/lib/prevalidate "$@"; }

# `!` would not end a shell with -e.
absent() { if "$@"; then echo "still there: $*"; exit 1; fi; }

dpkg --install "$package"
test "$(dpkg-query --show --showformat='${db:Status-Status}' prevalidate)" = installed
test -z "$(dpkg --verify prevalidate)"
test "$(stat --format='%U %a' /var/lib/prevalidate)" = 'prevalidate 700'
test "$(stat --format='%U %a' /etc/prevalidate)" = 'root 755'
for file in /usr/share/man/man1/prevalidate-run.1.gz /usr/lib/systemd/system/prevalidate.timer \
    /usr/share/doc/prevalidate/examples/prevalidate.toml /usr/share/bash-completion/completions/prevalidate; do
    test -s "$file"
done
systemd-analyze verify --man=no --recursive-errors=no /usr/lib/systemd/system/prevalidate.service

# A store in use: the sandbox's own configuration, one domain proven by the user of the service.
cd /var/lib/prevalidate
as prevalidate config check --without-secrets --config /usr/share/doc/prevalidate/examples/prevalidate.toml
as prevalidate demo >/dev/null
printf 'kept\n' | as tee /var/lib/prevalidate/prevalidate.db >/dev/null

dpkg --install "$package"
test "$(cat /var/lib/prevalidate/prevalidate.db)" = kept

dpkg --remove prevalidate
absent command -v prevalidate
test "$(cat /var/lib/prevalidate/prevalidate.db)" = kept

dpkg --purge prevalidate | tee "$scratch/purged"
grep -q '/var/lib/prevalidate is kept' "$scratch/purged"
getent passwd prevalidate >/dev/null
test ! -e /etc/prevalidate
left=$(find /usr /etc -name '*prevalidate*' -not -path '/usr/src/*' | head)
test -z "$left" || { echo "left: $left"; exit 1; }

# Without a store nothing remains, the user neither.
dpkg --install "$package"
rm -r /var/lib/prevalidate
dpkg --purge prevalidate
absent getent passwd prevalidate
echo every step passed
"#;

/// What a person asks rpm about a package that is not installed.
fn asked(package: &Path, what: &[&str]) -> String {
    succeeds(Command::new("rpm").arg("-qp").args(what).arg(package))
}

/// One test: both packages are built in one folder.
#[test]
fn the_packages_are_built_and_the_debian_one_is_installed_used_upgraded_and_purged() {
    let [package, rpm] = build();
    // The files of both are the same but for the folders that the systems have for them.
    let of_rpm = asked(&rpm, &["--list"]);
    for file in [
        "/usr/bin/prevalidate",
        "/usr/share/man/man1/prevalidate-run.1",
        "/usr/lib/systemd/system/prevalidate.timer",
        "/usr/lib/systemd/system/prevalidate-serve.service",
        "/usr/lib/systemd/system/prevalidate-failed@.service",
        "/usr/lib/sysusers.d/prevalidate.conf",
        "/usr/share/doc/prevalidate/examples/prevalidate.toml",
        "/usr/share/doc/prevalidate/docs/operations.md",
        "/usr/share/bash-completion/completions/prevalidate",
        "/usr/share/zsh/site-functions/_prevalidate",
    ] {
        assert!(of_rpm.lines().any(|line| line == file), "{file}: {of_rpm}");
    }
    let scripts = asked(&rpm, &["--scripts"]);
    for words in ["useradd", "systemctl daemon-reload"] {
        assert!(scripts.contains(words), "{words}: {scripts}");
    }
    let requires = asked(&rpm, &["--requires"]);
    assert!(requires.contains("shadow-utils"), "{requires}");

    // A warning is advice; an error is a fault of the package.
    let said = Command::new("lintian")
        .args(["--allow-root", "--no-tag-display-limit"])
        .arg(&package)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let errors: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("E: "))
        .collect();
    // The program of a test has its symbols.
    let faults = errors
        .iter()
        .filter(|line| !line.contains("unstripped-binary-or-object"));
    assert_eq!(faults.count(), 0, "{said}");

    let scratch = tempfile::tempdir().unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let user: &[&str] = if is_root {
        &[]
    } else {
        &["--map-root-user", "--map-auto"]
    };
    let said = succeeds(
        Command::new("unshare")
            .args(["--mount", "--fork"])
            .args(user)
            .args(["sh", "-c", MACHINE, "machine"])
            .arg(&package)
            .arg(scratch.path()),
    );
    assert!(said.contains("\nevery step passed\n"), "{said}");
}
