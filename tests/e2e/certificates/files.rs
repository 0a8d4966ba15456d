//! What servers read is not what was installed: `check` and `run` tell, damage is repaired, and a
//! foreign certificate stays. A disk that is full, and a directory that nothing can be made in.

use super::*;

impl Lab {
    fn checks(&self, setup: &Setup, code: i32, words: &[&str]) {
        self.world.run(setup, &["check"]).exits(code).says(words);
    }
}

#[test]
fn a_damaged_full_chain_is_critical_and_mended_by_the_next_run() {
    let lab = Lab::new();
    let setup = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
    lab.world.run(&setup, &WAIT).exits(0);
    let whole = std::fs::read(lab.file("www", "fullchain.pem")).unwrap();
    std::fs::write(lab.file("www", "fullchain.pem"), "").unwrap();
    lab.checks(
        &setup,
        2,
        &["www cannot be used by servers", "fullchain.pem is empty"],
    );
    let before = lab.world.ca.log().len();
    lab.world
        .run(&setup, &WAIT)
        .exits(0)
        .says(&["1 certificate: 1 valid"]);
    assert!(lab.world.ca.log().len() > before);
    assert_eq!(
        std::fs::read(lab.file("www", "fullchain.pem")).unwrap(),
        whole
    );
    lab.matches("www");
    lab.checks(&setup, 0, &["1 of 1 certificate is valid"]);
    assert_eq!(lab.world.ca.orders().len(), 1);
}

#[test]
fn a_key_for_all_users_and_a_link_to_nothing_are_told_and_mended() {
    let lab = Lab::new();
    let setup = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
    lab.world.run(&setup, &WAIT).exits(0);
    let key = lab.file("www", "privkey.pem").canonicalize().unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    lab.checks(&setup, 1, &["www has files", "other users can use", "0644"]);
    lab.world.run(&setup, &WAIT).exits(0);
    let mode = std::fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    lab.checks(&setup, 0, &[]);

    let current = lab.directory().join("www/current");
    std::fs::remove_file(&current).unwrap();
    std::os::unix::fs::symlink("0009", &current).unwrap();
    lab.checks(
        &setup,
        2,
        &["www cannot be used by servers", "version 0009"],
    );
    let list = ["certificate", "list"];
    lab.world.run(&setup, &list).exits(0).says(&["damaged"]);
    lab.world.run(&setup, &WAIT).exits(0);
    lab.matches("www");
    lab.checks(&setup, 0, &[]);
    assert_eq!(lab.world.ca.orders().len(), 1);
}

#[test]
fn a_foreign_pair_is_told_by_check_and_run_and_replaced_by_order_of_a_person_only() {
    let (lab, other) = (Lab::new(), Lab::new());
    let certificates = [("www", "names = [\"www.alpha.test\"]")];
    let setup = lab.setup(&certificates);
    lab.world.run(&setup, &WAIT).exits(0);
    let foreign = other.setup(&certificates);
    other.world.run(&foreign, &WAIT).exits(0);
    let names = ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"];
    let theirs = names.map(|name| std::fs::read(other.file("www", name)).unwrap());
    for (name, bytes) in names.iter().zip(&theirs) {
        std::fs::write(lab.file("www", name), bytes).unwrap();
    }
    let words = ["is another certificate", "than the installed one"];
    lab.checks(&setup, 1, &words);
    lab.world.run(&setup, &WAIT).exits(1).says(&words);
    let show = ["certificate", "show", "www"];
    lab.world.run(&setup, &show).says(&["www --again"]);
    assert_eq!(
        std::fs::read(lab.file("www", "cert.pem")).unwrap(),
        theirs[0]
    );
    assert_eq!(lab.world.ca.orders().len(), 1);
    let again = ["certificate", "issue", "www", "--again", "--wait", "30s"];
    lab.world.run(&setup, &again).exits(0);
    lab.matches("www");
    assert_ne!(
        std::fs::read(lab.file("www", "cert.pem")).unwrap(),
        theirs[0]
    );
    lab.checks(&setup, 0, &[]);
}

#[test]
fn a_renamed_section_and_another_spelling_of_its_product_order_nothing() {
    let lab = Lab::new();
    let lines = "names = [\"www.alpha.test\"]";
    lab.world.run(&lab.setup(&[("www", lines)]), &WAIT).exits(0);
    let leaf = std::fs::read(lab.file("www", "cert.pem")).unwrap();
    let renamed = lab.setup(&[("web", lines)]);
    lab.world
        .run(&renamed, &WAIT)
        .exits(0)
        .says(&["1 certificate: 1 valid"]);
    assert_eq!(std::fs::read(lab.file("web", "cert.pem")).unwrap(), leaf);
    lab.matches("web");
    let history = ["certificate", "history", "web"];
    lab.world
        .run(&renamed, &history)
        .exits(0)
        .says(&["taken-over", "of www"]);
    let (key, name) = {
        let all = lab.world.ca.products();
        let found = all
            .into_iter()
            .find(|(name, _)| name.contains("OV SSL Gold Multi"));
        let (name, key) = found.unwrap();
        (key, name)
    };
    for other in [name.as_str(), key.as_str()] {
        let mut spelled = lab.setup(&[("web", lines)]);
        spelled.more = spelled.more.replace(&key, other);
        for _ in 0..2 {
            lab.world.run(&spelled, &WAIT).exits(0);
            assert_eq!(lab.world.ca.orders().len(), 1, "{other}");
        }
    }
    lab.world.run(&renamed, &["check"]).exits(0);
}

#[test]
fn a_directory_that_only_fails_when_it_is_made_is_told_before() {
    let lab = Lab::new();
    for directory in ["/sys/prevalidate", "/proc/prevalidate/certificates"] {
        let mut setup = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
        let own = lab.directory().display().to_string();
        setup.more = setup.more.replace(&own, directory);
        for arguments in [
            &["config", "check"][..],
            &["certificate", "issue", "--dry-run"],
            &["doctor"],
        ] {
            lab.world
                .run(&setup, arguments)
                .exits(2)
                .says(&["certificates.directory", "cannot write in /"]);
        }
    }
    assert_eq!(lab.world.ca.orders().len(), 0);
}

/// A file system of a few pages; nothing where the user of the tests may mount none.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k,mode=0755", "tmpfs"])
            .arg(at)
            .output();
        let is_there = mounted.is_ok_and(|mounted| mounted.status.success());
        is_there.then(|| Self(at.to_owned()))
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 512]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "the person who runs the tests must hear of it"
)]
fn a_full_disk_ends_with_75_and_the_run_after_it_installs() {
    let lab = Lab::new();
    let Some(disk) = Disk::mount(&lab.directory()) else {
        return eprintln!("skipped: no file system can be mounted");
    };
    let setup = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
    disk.fill();
    lab.world
        .run(&setup, &WAIT)
        .exits(75)
        .says(&["certificates.directory", "make room"]);
    assert_eq!(lab.world.ca.orders().len(), 0);
    lab.world
        .run(&setup, &["config", "check"])
        .exits(2)
        .says(&["certificates.directory", "no space is left"]);
    disk.free();
    lab.world.run(&setup, &["config", "check"]).exits(0);
    lab.world.run(&setup, &WAIT).exits(0);
    lab.matches("www");

    // Full once more when another version is to be installed.
    std::fs::write(lab.file("www", "fullchain.pem"), "").unwrap();
    disk.fill();
    let short = ["run", "--wait", "10s", "-v"];
    lab.world
        .run(&setup, &short)
        .exits(1)
        .says(&["No space left"]);
    let versions = || {
        let all = std::fs::read_dir(lab.directory().join("www")).unwrap();
        let names = all.map(|one| one.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with('0')).collect();
        names.sort();
        names
    };
    assert_eq!(versions(), ["0001"], "no half-written version stays");
    disk.free();
    lab.world.run(&setup, &WAIT).exits(0);
    assert_eq!(versions(), ["0001", "0002"]);
    lab.matches("www");
    assert_eq!(lab.world.ca.orders().len(), 1);
}
