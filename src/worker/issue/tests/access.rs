//! Owner and mode of keys: of the one in use, and of the same key in an older version.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use super::*;

const OTHER: u32 = 1;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_key_of_another_user_is_told_and_restored_without_a_setting() {
    if !rustix::process::geteuid().is_root() {
        // Only the administrator can give a file away.
        return;
    }
    for file in ["privkey.pem", "cert.pem", ""] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        let path = world.at("joe/0001").join(file);
        chown(&path, Some(OTHER), Some(OTHER)).unwrap();
        let found = world.live_state(&wanted).await;
        let why = found.live.loose().unwrap();
        assert!(why.contains("belongs to the user 1"), "{why}");
        world.run(&wanted, 60).await;
        assert_eq!(std::fs::metadata(&path).unwrap().uid(), 0, "{file}");
        assert_eq!(world.live_state(&wanted).await.live.loose(), None);
        assert_eq!(world.ca.count(Verb::Submit), 1);
    }
}

#[tokio::test]
async fn the_same_key_in_an_older_version_is_told_and_restored() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    world.by_hand(&wanted, ByHand::Fetch).await.unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.live("joe").unwrap().version, 2);
    let path = world.at("joe/0001/privkey.pem");
    set_mode(&path, 0o644);
    let found = world.live_state(&wanted).await;
    let why = found.live.loose().unwrap();
    assert!(
        why.contains("other users can use") && why.contains("0001/privkey.pem"),
        "{why}"
    );
    world.run(&wanted, 60).await;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(world.live_state(&wanted).await.live.loose(), None);
}

#[tokio::test]
async fn a_key_that_fewer_may_read_in_an_older_version_is_left_alone() {
    let world = World::new().await;
    let mut one = world.certificate("joe");
    world.run(&[one.clone()], 60).await;
    world.by_hand(&[one.clone()], ByHand::Again).await.unwrap();
    one.access.mode = 0o640;
    let wanted = [one];
    world.run(&wanted, 60).await;
    assert_eq!(world.live_state(&wanted).await.live.loose(), None);
    assert_eq!(mode(&world.at("joe/0001/privkey.pem")), 0o600);
    assert_eq!(mode(&world.at("joe/0002/privkey.pem")), 0o640);
}

#[tokio::test]
async fn a_key_that_is_a_link_is_told_and_its_file_not_touched() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let (path, outside) = (
        world.at("joe/0001/privkey.pem"),
        world.folder.path().join("outside"),
    );
    std::fs::rename(&path, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    set_mode(&outside, 0o644);
    world.run(&wanted, 60).await;
    assert_eq!(mode(&outside), 0o644);
    let trouble = world.row("joe").await.progress.trouble.unwrap();
    assert!(trouble.contains("privkey.pem is a link"), "{trouble}");
    // The person who put it there repairs it.
    set_mode(&outside, 0o600);
    world.clock.advance(SignedDuration::from_hours(1));
    world.run(&wanted, 60).await;
    assert_eq!(world.live_state(&wanted).await.live.loose(), None);
}
