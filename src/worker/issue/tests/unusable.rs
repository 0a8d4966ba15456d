//! What no server can use in the place of a file: a folder, a link to itself, a pipe. And a bundle
//! that is not what was written, and folders that other users can write.

use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use super::live::write_secret;
use super::*;
use crate::issuance::progress::HoldKind;

fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

/// Puts it in the place of a file.
fn put(kind: &str, path: &Path) {
    std::fs::remove_file(path).unwrap();
    match kind {
        "folder" => std::fs::create_dir(path).unwrap(),
        "loop" => symlink(path.file_name().unwrap(), path).unwrap(),
        _ => pipe(path),
    }
}

#[tokio::test]
async fn what_no_server_can_read_in_the_place_of_a_file_is_damage_and_mended() {
    for kind in ["folder", "loop", "pipe"] {
        for file in ["cert.pem", "chain.pem", "fullchain.pem"] {
            let world = World::new().await;
            let wanted = [world.certificate("joe")];
            world.run(&wanted, 60).await;
            put(kind, &world.at("joe/current").join(file));
            let found = world.live_state(&wanted).await;
            let is_damaged = matches!(found.live, Live::Damaged { key: Some(1), .. });
            assert!(is_damaged, "{kind}, {file}: {:?}", found.live);
            world.run(&wanted, 60).await;
            assert_eq!(world.live("joe").unwrap().version, 2, "{kind}, {file}");
            assert_eq!(world.live_state(&wanted).await.live.fault(), None);
            assert_eq!(world.ca.held().len(), 1);
        }
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        put(kind, &world.at("joe/current/privkey.pem"));
        let found = world.live_state(&wanted).await;
        let is_damaged = matches!(found.live, Live::Damaged { key: None, .. });
        assert!(is_damaged, "{kind}: {:?}", found.live);
        world.run(&wanted, 60).await;
        assert_eq!(world.ca.held().len(), 1);
    }
}

#[tokio::test]
async fn what_no_server_can_read_is_not_taken_for_nothing_by_a_new_store() {
    for kind in ["folder", "loop", "pipe"] {
        for file in [
            "cert.pem",
            "chain.pem",
            "fullchain.pem",
            "privkey.pem",
            ".order",
        ] {
            let world = World::new().await;
            let wanted = [world.certificate("joe")];
            world.run(&wanted, 60).await;
            put(kind, &world.at("joe/0001").join(file));
            let world = world.with_lost_store().await;
            world.run(&wanted, 60).await;
            assert_eq!(world.ca.held().len(), 1, "{kind}, {file}");
            if file != ".order" {
                let hold = world.row("joe").await.progress.hold.unwrap();
                assert_eq!(hold.kind, HoldKind::Folder, "{kind}, {file}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_that_is_a_pipe_is_held_and_stops_nothing() {
    let world = World::new().await;
    let path = world.folder.path().join("joe.csr");
    pipe(&path);
    let wanted = [
        Certificate {
            key: KeySource::Request(path),
            ..world.certificate("joe")
        },
        world.certificate("ann"),
    ];
    world.run(&wanted, 60).await;
    let hold = world.row("joe").await.progress.hold.unwrap();
    assert!(hold.words.contains("not a regular file"), "{}", hold.words);
    assert!(world.live("ann").is_some());
}

#[tokio::test]
async fn a_bundle_that_servers_cannot_use_is_made_again_without_the_ca() {
    let world = World::new().await;
    let mut one = world.certificate("joe");
    let secret = world.folder.path().join("password");
    write_secret(&secret);
    one.p12_password = Some(prevalidate_kit::secret::SecretSource::File(secret.clone()));
    let other = {
        let mut other = world.certificate("ann");
        other.p12_password.clone_from(&one.p12_password);
        other
    };
    let wanted = [one, other];
    world.run(&wanted, 60).await;
    let path = world.at("joe/current/bundle.p12");
    let calls = world.ca.calls().len();
    type Damage = (&'static str, fn(&World, &Path));
    let cases: [Damage; 5] = [
        ("is not there", |_, path| {
            std::fs::remove_file(path).unwrap()
        }),
        ("is empty", |_, path| std::fs::write(path, "").unwrap()),
        ("is not a bundle", |_, path| {
            std::fs::write(path, "x").unwrap()
        }),
        ("is not a regular file", |_, path| put("pipe", path)),
        ("is not that of the certificate", |world, path| {
            std::fs::copy(world.at("ann/current/bundle.p12"), path).unwrap();
        }),
    ];
    for (words, damage) in cases {
        damage(&world, &path);
        let found = world.live_state(&wanted).await;
        let fault = found.live.fault().unwrap_or_default();
        assert!(fault.contains(words), "{words}: {:?}", found.live);
        world.run(&wanted, 60).await;
        assert_eq!(
            world.live_state(&wanted).await.live.fault(),
            None,
            "{words}"
        );
        assert_eq!(world.live("joe").unwrap().version, 1, "{words}");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(world.ca.calls().len(), calls, "no CA is asked: {words}");
    }
    // Without the password it cannot be made: that is reported, and all else continues.
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(&secret).unwrap();
    world.run(&wanted, 60).await;
    let trouble = world.row("joe").await.progress.trouble.unwrap();
    assert!(trouble.contains("p12_password"), "{trouble}");
    assert_eq!(world.ca.calls().len(), calls);
}

#[tokio::test]
async fn a_folder_that_other_users_can_write_is_told_and_restored() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let path = world.at("joe");
    let set = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, mode).unwrap();
    };
    set(0o777);
    let found = world.live_state(&wanted).await;
    let why = found.live.loose().unwrap_or_else(|| panic!("{found:?}"));
    assert!(why.contains("mode 0777"), "{why}");
    world.run(&wanted, 60).await;
    assert_eq!(world.live_state(&wanted).await.live.loose(), None);

    if !rustix::process::geteuid().is_root() {
        // Only the administrator can give a folder away.
        return;
    }
    chown(&path, Some(4711), None).unwrap();
    let found = world.live_state(&wanted).await;
    let why = found.live.loose().unwrap_or_else(|| panic!("{found:?}"));
    assert!(why.contains("belongs to the user 4711"), "{why}");
    world.run(&wanted, 60).await;
    assert_eq!(world.live_state(&wanted).await.live.loose(), None);

    // Nothing is bought into such a folder.
    let other = [world.certificate("ann")];
    std::fs::create_dir(world.at("ann")).unwrap();
    chown(world.at("ann"), Some(4711), None).unwrap();
    world.run(&other, 60).await;
    let hold = world.row("ann").await.progress.hold.unwrap();
    assert!(hold.words.contains("4711"), "{}", hold.words);
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn a_file_in_the_place_of_the_link_is_damage_until_it_is_moved() {
    for is_folder in [false, true] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        let link = world.at("joe/current");
        std::fs::remove_file(&link).unwrap();
        match is_folder {
            true => std::fs::create_dir(&link).unwrap(),
            false => std::fs::write(&link, "").unwrap(),
        }
        let found = world.live_state(&wanted).await;
        let is_damaged = matches!(found.live, Live::Damaged { key: Some(1), .. });
        assert!(is_damaged, "{:?}", found.live);
        world.run(&wanted, 60).await;
        assert!(link.exists(), "what a person put there stays");
        assert!(!world.at("joe/0002").exists(), "nothing is fetched for it");
        std::fs::rename(&link, world.folder.path().join("moved")).unwrap();
        world.run(&wanted, 1_000).await;
        assert!(world.live("joe").is_some());
        assert_eq!(world.ca.held().len(), 1);
    }
}

#[tokio::test]
async fn a_link_that_leads_to_itself_is_damage_and_mended() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let link = world.at("joe/current");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("current", &link).unwrap();
    let found = world.live_state(&wanted).await;
    assert!(matches!(found.live, Live::Damaged { .. }), "{found:?}");
    world.run(&wanted, 60).await;
    assert!(world.live("joe").is_some());
    assert_eq!(world.ca.held().len(), 1);
}
