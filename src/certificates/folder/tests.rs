//! Versions, the link to the one that counts, and the users that may read and write.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::MetadataExt as _;

use rcgen::KeyPair;

use super::*;
use crate::certificates::KeyKind;

fn came(key: &PrivateKey) -> Checked {
    let pair = KeyPair::from_pem(key.pem().expose_secret()).unwrap();
    let params = rcgen::CertificateParams::new(vec!["www.example.ch".to_owned()]).unwrap();
    let leaf = params.self_signed(&pair).unwrap().der().to_vec();
    Checked {
        facts: Facts::read(&leaf).unwrap(),
        chain: vec![leaf.clone()],
        leaf,
    }
}

struct Place {
    _root: tempfile::TempDir,
    folder: Folder,
}

fn place(access: Access) -> Place {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::at(&root.path().join("certificates"), "www", access);
    folder.prepare().unwrap();
    Place {
        _root: root,
        folder,
    }
}

fn installed(folder: &Folder, password: Option<&SecretString>) -> u32 {
    let version = folder.next_version().unwrap();
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    folder.begin(version, Some(&key)).unwrap();
    folder
        .put(version, "www", &came(&key), KeyPlace::Here, password)
        .unwrap();
    folder.switch(version, KeyPlace::Here).unwrap();
    version
}

#[test]
fn a_version_counts_only_once_it_is_whole_and_old_ones_are_kept() {
    let Place { folder, _root } = place(Access::default());
    assert_eq!((folder.current(), folder.live().unwrap()), (None, None));
    for version in 1..=4 {
        assert_eq!(installed(&folder, None), version);
        folder.prune(2, |_| false, |_| false).unwrap();
    }
    assert_eq!(folder.versions().unwrap(), [2, 3, 4]);
    assert_eq!(folder.live().unwrap().unwrap().version, 4);
    // A key alone is no certificate yet.
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    folder.begin(5, Some(&key)).unwrap();
    folder.switch(5, KeyPlace::Here).unwrap_err();
    assert_eq!(folder.current(), Some(4));
    folder.prune(0, |_| false, |_| false).unwrap();
    assert_eq!(folder.versions().unwrap(), [4, 5]);
}

#[test]
fn a_version_that_is_there_is_never_taken_and_an_open_order_never_removed() {
    let Place { folder, _root } = place(Access::default());
    assert_eq!(folder.new_version(1).unwrap(), 1);
    folder.note(1, "open").unwrap();
    assert_eq!(folder.new_version(1).unwrap(), 2);
    assert_eq!(folder.new_version(1).unwrap(), 3);
    fs::create_dir(folder.path().join("0007")).unwrap();
    assert_eq!(folder.new_version(7).unwrap(), 8);
    installed(&folder, None);
    folder.prune(0, |note| note == "open", |_| false).unwrap();
    assert_eq!(folder.versions().unwrap(), [1, 9]);
    folder.prune(0, |_| false, |_| false).unwrap();
    assert_eq!(folder.versions().unwrap(), [9]);
}

#[test]
fn a_certificate_for_another_key_never_counts() {
    let Place { folder, _root } = place(Access::default());
    installed(&folder, None);
    let [key, other] = [(); 2].map(|()| PrivateKey::generate(KeyKind::EcdsaP256).unwrap());
    folder.begin(2, Some(&key)).unwrap();
    folder
        .put(2, "www", &came(&other), KeyPlace::Here, None)
        .unwrap();
    let trouble = folder.switch(2, KeyPlace::Here).unwrap_err();
    assert!(trouble.message.contains("do not match"), "{trouble}");
    assert_eq!(folder.current(), Some(1));
}

#[test]
fn a_folder_that_is_made_has_its_mode_whatever_the_umask_is() {
    let root = tempfile::tempdir().unwrap();
    let (above, folder) = (root.path().join("a"), root.path().join("a/b"));
    let mode = |path: &Path| mode_of(&fs::metadata(path).unwrap());
    // A umask takes the right to write away, usually.
    make_directory(&folder, 0o777).unwrap();
    assert_eq!((mode(&above), mode(&folder)), (0o777, 0o777));
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    make_directory(&folder, 0o777).unwrap();
    assert_eq!(mode(&folder), 0o700, "one of a person keeps its mode");
}

#[test]
fn a_folder_above_that_keeps_the_group_out_is_told() {
    let access = |mode| Access {
        group: Some(rustix::process::getegid().as_raw()),
        mode,
        ..Access::default()
    };
    let Place { folder, _root } = place(access(0o640));
    let version = installed(&folder, None);
    let above = _root.path();
    for (mode, is_told) in [(0o700, true), (0o710, false), (0o701, true), (0o711, false)] {
        fs::set_permissions(above, fs::Permissions::from_mode(mode)).unwrap();
        let why = folder.loose(version);
        let words = format!("cannot enter {} (mode {mode:04o})", above.display());
        // Another folder above may be closed, too.
        let found = why.as_ref().is_some_and(|why| why.contains(&words));
        assert_eq!(found, is_told, "{mode:o}: {why:?}");
    }
    fs::set_permissions(above, fs::Permissions::from_mode(0o700)).unwrap();
    let directory = folder.path().parent().unwrap();
    let alone = Folder::at(directory, "www", access(0o600));
    alone.restore(version).unwrap();
    assert_eq!(alone.loose(version), None, "no group is to read it");
}

#[test]
fn only_the_owner_reads_a_key_until_the_settings_say_otherwise() {
    let Place { folder, _root } = place(Access::default());
    let version = installed(&folder, Some(&SecretString::from("a password".to_owned())));
    let mode = |file: &str| {
        fs::metadata(folder.version(version).join(file))
            .unwrap()
            .mode()
            & 0o777
    };
    assert_eq!([KEY, BUNDLE].map(mode), [0o600; 2]);
    assert_eq!([CERTIFICATE, CHAIN, FULL_CHAIN].map(mode), [0o644; 3]);
    assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o700);

    let Place { folder, _root } = place(Access {
        mode: 0o640,
        ..Access::default()
    });
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    folder.begin(1, Some(&key)).unwrap();
    let mode = |file: &str| fs::metadata(folder.version(1).join(file)).unwrap().mode() & 0o777;
    assert_eq!(mode(KEY), 0o600, "not before it counts");
    folder
        .put(1, "www", &came(&key), KeyPlace::Here, None)
        .unwrap();
    folder.switch(1, KeyPlace::Here).unwrap();
    assert_eq!(mode(KEY), 0o640);
    assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o750);
}

#[test]
fn a_folder_in_which_other_users_may_write_is_refused() {
    let Place { folder, _root } = place(Access::default());
    for open in [folder.path(), folder.path().parent().unwrap()] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
        let trouble = folder.prepare().unwrap_err();
        assert!(trouble.message.contains("chmod go-w"), "{trouble}");
        assert!(!trouble.may_pass);
        fs::set_permissions(open, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder.prepare().unwrap();
}

#[test]
fn a_key_that_is_there_is_never_written_over() {
    let Place { folder, _root } = place(Access::default());
    let [key, other] = [(); 2].map(|()| PrivateKey::generate(KeyKind::EcdsaP256).unwrap());
    folder.begin(1, Some(&key)).unwrap();
    folder.begin(1, Some(&other)).unwrap_err();
    let found = folder.key(1).unwrap().unwrap();
    assert_eq!(found.fingerprint(), key.fingerprint());
}

#[test]
fn a_certificate_whose_key_is_gone_never_counts() {
    let Place { folder, _root } = place(Access::default());
    installed(&folder, None);
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    folder.begin(2, Some(&key)).unwrap();
    let path = folder.version(2).join(KEY);
    fs::remove_file(&path).unwrap();
    let gone = |outcome: Result<(), Trouble>| {
        let trouble = outcome.unwrap_err();
        assert!(trouble.message.contains("privkey.pem is gone"), "{trouble}");
        assert!(!trouble.may_pass);
    };
    gone(folder.put(2, "www", &came(&key), KeyPlace::Here, None));
    assert!(!folder.version(2).join(CERTIFICATE).exists());
    // The whole version is gone: it is not made again without its key.
    fs::remove_dir(folder.version(2)).unwrap();
    gone(folder.put(2, "www", &came(&key), KeyPlace::Here, None));
    // Gone between the delivery and the switch.
    folder.begin(3, Some(&key)).unwrap();
    folder
        .put(3, "www", &came(&key), KeyPlace::Here, None)
        .unwrap();
    fs::remove_file(folder.version(3).join(KEY)).unwrap();
    gone(folder.switch(3, KeyPlace::Here));
    assert_eq!(folder.current(), Some(1));
    // With a request from elsewhere there is no key to search for.
    folder.switch(3, KeyPlace::Elsewhere).unwrap();
    assert_eq!(folder.current(), Some(3));
}

#[test]
fn what_servers_read_is_never_written_over_and_its_key_goes_on_beside_it() {
    let Place { folder, _root } = place(Access::default());
    let version = installed(&folder, None);
    let key = folder.key(version).unwrap().unwrap();
    let before = fs::read(folder.version(version).join(FULL_CHAIN)).unwrap();
    let trouble = folder.put(version, "www", &came(&key), KeyPlace::Here, None);
    assert!(trouble.unwrap_err().message.contains("counts already"));
    let next = folder.begin_again(version).unwrap();
    folder
        .put(next, "www", &came(&key), KeyPlace::Here, None)
        .unwrap();
    assert_eq!(folder.current(), Some(version), "not before the switch");
    assert_eq!(
        fs::read(folder.version(version).join(FULL_CHAIN)).unwrap(),
        before
    );
    folder.switch(next, KeyPlace::Here).unwrap();
    let live = folder.live().unwrap().unwrap();
    assert_eq!(
        (live.version, live.facts.fingerprint),
        (2, key.fingerprint())
    );
}

#[test]
fn nothing_can_be_kept_in_a_file_system_of_the_kernel() {
    for directory in [
        "/proc/prevalidate",
        "/sys/prevalidate/certificates",
        "/dev/pts",
    ] {
        let folder = Folder::at(Path::new(directory), "www", Access::default());
        let trouble = folder.examine().unwrap_err();
        assert!(trouble.message.contains("cannot write in /"), "{trouble}");
        assert!(!Path::new(directory).join("www").exists());
    }
}

/// A file system of a few pages, where the user of the tests may mount one.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Result<Self, String> {
        fs::create_dir(at).unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k,mode=0755", "tmpfs"])
            .arg(at)
            .output()
            .map_err(|error| error.to_string())?;
        match mounted.status.success() {
            true => Ok(Self(at.to_owned())),
            false => Err(String::from_utf8_lossy(&mounted.stderr).into_owned()),
        }
    }

    /// Fills it to its last octet.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "the person who runs the tests must hear of it"
)]
fn a_full_disk_leaves_the_pair_that_counts_and_passes_by_itself() {
    let root = tempfile::tempdir().unwrap();
    let disk = match SmallDisk::mount(&root.path().join("disk")) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("skipped: no file system can be mounted: {why}"),
    };
    let folder = Folder::at(&disk.0.join("certificates"), "www", Access::default());
    folder.prepare().unwrap();
    installed(&folder, None);
    let before = folder.live().unwrap();
    let full = |outcome: Result<(), Trouble>| {
        let trouble = outcome.unwrap_err();
        assert!(trouble.may_pass, "{trouble}");
        assert!(trouble.message.contains("No space left"), "{trouble}");
        assert_eq!(folder.live().unwrap(), before);
    };
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    disk.fill();
    for _ in 0..3 {
        full(folder.begin(2, Some(&key)));
        assert_eq!(folder.versions().unwrap(), [1], "no empty version stays");
    }
    disk.free();
    folder.begin(2, Some(&key)).unwrap();
    disk.fill();
    let put = || folder.put(2, "www", &came(&key), KeyPlace::Here, None);
    full(put());
    folder.switch(2, KeyPlace::Here).unwrap_err();
    disk.free();
    put().unwrap();
    folder.switch(2, KeyPlace::Here).unwrap();
    let live = folder.live().unwrap().unwrap();
    assert_eq!(
        (live.version, live.facts.fingerprint),
        (2, key.fingerprint())
    );
}

#[test]
fn a_link_with_a_whole_path_leads_to_the_same_version() {
    let Place { folder, _root } = place(Access::default());
    let version = installed(&folder, None);
    let whole = folder.path().join("0001");
    let other = folder.path().with_file_name("web").join("0001");
    for (target, expected) in [
        (PathBuf::from("0001"), Some(version)),
        (PathBuf::from("0001/"), Some(version)),
        (PathBuf::from("./0001"), Some(version)),
        (whole, Some(version)),
        (other, None),
        (PathBuf::from("../www/0001"), None),
        (PathBuf::from("0001/.."), None),
        (PathBuf::from("."), None),
    ] {
        let link = folder.path().join(CURRENT);
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_eq!(folder.current(), expected, "{}", target.display());
    }
}
