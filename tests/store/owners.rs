//! The owner of the store: root opens no store that another user has put into its place.

use std::os::unix::fs::{chown, lchown, symlink};

use super::*;

const NOBODY: Option<u32> = Some(65534);

#[tokio::test]
#[expect(clippy::print_stderr, reason = "a skipped test says why it is skipped")]
async fn the_store_of_another_user_is_refused_untouched() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str, mode| {
        let folder = dir.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        folder.join("state.db")
    };
    let file_of_nobody = |path: &Path| {
        std::fs::write(path, "").unwrap();
        chown(path, NOBODY, None).unwrap();
    };
    let own_file = folder("file", 0o1777);
    file_of_nobody(&own_file);
    let link = folder("link", 0o1777);
    file_of_nobody(&link.with_file_name("his.db"));
    symlink("his.db", &link).unwrap();
    // Where a link of another user leads is for him to say.
    let to_ours = folder("to-ours", 0o1777);
    std::fs::write(to_ours.with_file_name("ours.db"), "").unwrap();
    symlink("ours.db", &to_ours).unwrap();
    lchown(&to_ours, NOBODY, None).unwrap();
    let log = folder("log", 0o1777);
    std::fs::write(&log, "").unwrap();
    file_of_nobody(&log.with_file_name("state.db-wal"));
    for path in [&own_file, &link, &to_ours, &log] {
        let refused = SqliteStore::open(&url(path), None).await;
        let Err(StoreError::Unfit { message, hint }) = &refused else {
            panic!("{}: {refused:?}", path.display())
        };
        assert!(message.contains("user 65534"), "{message}");
        assert!(hint.contains("sudo -u '#65534'"), "{hint}");
        assert!(!std::fs::metadata(path).is_ok_and(|file| file.len() > 0));
    }
    // Root reads the store of a service, in the folder of the service.
    let of_a_service = folder("service", 0o750);
    store_with(&of_a_service, &["a.ch"]).await.close().await;
    chown(&of_a_service, NOBODY, None).unwrap();
    chown(of_a_service.parent().unwrap(), NOBODY, None).unwrap();
    let store = SqliteStore::open(&url(&of_a_service), None).await.unwrap();
    store.close().await;
    let ours = folder("ours", 0o1777);
    store_with(&ours.with_file_name("real.db"), &["a.ch"])
        .await
        .close()
        .await;
    symlink("real.db", &ours).unwrap();
    SqliteStore::open(&url(&ours), None)
        .await
        .unwrap()
        .close()
        .await;
}
