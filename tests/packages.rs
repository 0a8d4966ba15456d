//! The packages, built from the repository around the program of the tests. The Debian one is checked
//! by lintian, installed, used, upgraded over an older one while a daemon has the store open, removed
//! and purged, as on a machine of its own; the RPM is read, installed, upgraded and erased by rpm.

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
            .args(["--binary", env!("CARGO_BIN_EXE_prevalidate")])
            .args(["deb", "rpm", "sbom"])
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
package=$1 rpm=$2 scratch=$3
export PATH=/usr/local/sbin:/usr/sbin:/sbin:$PATH DEBIAN_FRONTEND=noninteractive LC_ALL=C
mount -t tmpfs tmpfs "$scratch"
for folder in usr etc var; do
    mkdir -p "$scratch/$folder" "$scratch/$folder.work"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$scratch/$folder,workdir=$scratch/$folder.work" "/$folder"
done
become() { exec setpriv --reuid=prevalidate --regid=prevalidate --clear-groups env HOME=/var/lib/prevalidate "$@"; }
as() { (become "$@"); }

# Nothing is left running when a step fails.
sandbox= daemon=
trap 'kill $daemon $sandbox 2>/dev/null || true' EXIT

# `!` would not end a shell with -e.
absent() { if "$@"; then echo "still there: $*"; exit 1; fi; }

# The package before this one: of another version, with a file that this one does not have.
dpkg-deb --raw-extract "$package" "$scratch/before"
sed -i 's/^Version: .*/Version: 0.1.0-1/' "$scratch/before/DEBIAN/control"
echo old >"$scratch/before/usr/share/doc/prevalidate/page-of-before"
dpkg-deb --root-owner-group -Znone --build "$scratch/before" "$scratch/before.deb" >/dev/null
rm -r "$scratch/before"

dpkg --install "$scratch/before.deb"
test "$(dpkg-query --show --showformat='${Version} ${db:Status-Status}' prevalidate)" = '0.1.0-1 installed'
test "$(stat --format='%U %a' /var/lib/prevalidate)" = 'prevalidate 700'
test "$(stat --format='%U %a' /etc/prevalidate)" = 'root 755'
for file in /usr/share/man/man1/prevalidate-run.1.gz /usr/lib/systemd/system/prevalidate.timer \
    /usr/share/doc/prevalidate/examples/prevalidate.toml /usr/share/bash-completion/completions/prevalidate; do
    test -s "$file"
done
for unit in prevalidate.service prevalidate.timer prevalidate-serve.service prevalidate-failed@x.service; do
    systemd-analyze verify --man=no --recursive-errors=no "/usr/lib/systemd/system/$unit"
done

# A store in use: a domain proven by the user of the service, and a daemon that has it open.
cd /var/lib/prevalidate
as prevalidate config check --without-secrets --config /usr/share/doc/prevalidate/examples/prevalidate.toml
as prevalidate demo >/dev/null
mkfifo "$scratch/sandbox" "$scratch/daemon"
become prevalidate sandbox --dir lab --domain example.test >"$scratch/sandbox" &
sandbox=$!
# It says so when it listens.
exec 3<"$scratch/sandbox"
read -r line <&3
lab=/var/lib/prevalidate/lab/prevalidate.toml
as prevalidate run --config "$lab" --wait 30s
become prevalidate serve --config "$lab" 2>"$scratch/daemon" &
daemon=$!
exec 4<"$scratch/daemon"
grep -m1 'keeps the domains' <&4
cat <&4 >/dev/null &

dpkg --install "$package"
test "$(dpkg-query --show --showformat='${db:Status-Status}' prevalidate)" = installed
test -z "$(dpkg --verify prevalidate)"
absent test -e /usr/share/doc/prevalidate/page-of-before
kill -0 $daemon
as prevalidate run --config "$lab" --wait 30s | grep -q '1 domain: 1 valid'
as prevalidate check --config "$lab"
kill -TERM $daemon
wait $daemon
daemon=
as prevalidate history example.test --config "$lab" | grep -q validated
kill -TERM $sandbox
wait $sandbox || true
sandbox=
mv lab/prevalidate.db .

dpkg --remove prevalidate
absent test -e /usr/bin/prevalidate
absent test -e /usr/lib/systemd/system/prevalidate.timer
test -s /var/lib/prevalidate/prevalidate.db

dpkg --purge prevalidate | tee "$scratch/purged"
grep -q '/var/lib/prevalidate is kept' "$scratch/purged"
getent passwd prevalidate >/dev/null
test ! -e /etc/prevalidate
left=$(find /usr /etc -name '*prevalidate*' -not -path '/usr/src/*' | head)
test -z "$left" || { echo "left: $left"; exit 1; }

# Without a store nothing remains, the user neither.
cd /
dpkg --install "$package"
rm -r /var/lib/prevalidate
dpkg --purge prevalidate
absent getent passwd prevalidate

# The RPM on the same machine; what it requires has other names here.
rpm() { command rpm --force-debian --nodeps --dbpath "$scratch/rpm" "$@"; }
rpm --install "$rpm"
test "$(stat --format='%U %a' /var/lib/prevalidate)" = 'prevalidate 700'
as prevalidate version
systemd-analyze verify --man=no --recursive-errors=no /usr/lib/systemd/system/prevalidate-serve.service
printf 'kept\n' | as tee /var/lib/prevalidate/prevalidate.db >/dev/null
rpm --upgrade --force "$rpm"
test -x /usr/bin/prevalidate
rpm --erase prevalidate
absent test -e /usr/bin/prevalidate
test "$(cat /var/lib/prevalidate/prevalidate.db)" = kept
echo every step passed
"#;

/// What a person asks rpm about a package that is not installed.
fn asked(package: &Path, what: &[&str]) -> String {
    succeeds(Command::new("rpm").arg("-qp").args(what).arg(package))
}

/// The libraries in the program: each with version, address and licence, and none of this machine.
fn check_sbom() {
    let name = format!("prevalidate-{}.cdx.json", env!("CARGO_PKG_VERSION"));
    let text = std::fs::read_to_string(root().join("target/packages").join(name)).unwrap();
    let sbom: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(sbom["bomFormat"], "CycloneDX");
    let all = sbom["components"].as_array().unwrap();
    assert!(all.len() > 200, "{}", all.len());
    for one in all {
        let (name, version) = (one["name"].as_str(), one["version"].as_str());
        let address = format!("pkg:cargo/{}@{}", name.unwrap(), version.unwrap());
        assert_eq!(one["purl"], address);
    }
    let is_there = |name: &str| all.iter().any(|one| one["name"] == name);
    assert!(is_there("tokio") && is_there("aws-lc-sys") && !is_there("prevalidate"));
    // Only for the tests.
    assert!(!is_there("proptest"));
}

/// One test: both packages are built in one folder.
#[test]
fn the_packages_are_built_and_the_debian_one_is_installed_used_upgraded_and_purged() {
    let [package, rpm] = build();
    check_sbom();
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
            .args([&package, &rpm])
            .arg(scratch.path()),
    );
    assert!(said.contains("\nevery step passed\n"), "{said}");
}
