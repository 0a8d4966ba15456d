//! A folder or a file is in the place of the link `current`. It is named and stays, and no
//! certificate is ordered that could not be installed.

use super::*;
use crate::issuance::progress::HoldKind;

impl World {
    /// Puts something in the place of the link.
    fn block(&self, what: &str) -> std::path::PathBuf {
        let path = self.at("joe/current");
        std::fs::create_dir_all(self.at("joe")).unwrap();
        let _ = std::fs::remove_file(&path);
        match what {
            "folder" => std::fs::create_dir(&path).unwrap(),
            _ => std::fs::write(&path, "by hand").unwrap(),
        }
        path
    }

    fn unblock(&self) {
        let path = self.at("joe/current");
        std::fs::rename(path, self.folder.path().join("moved")).unwrap();
    }

    /// That it is told what is there, where, and what to do.
    fn is_told(&self, words: &str, what: &str) {
        let path = self.at("joe/current");
        let expected = format!("{} is a {what}", path.display());
        for part in [expected.as_str(), "move it away", "the next run"] {
            assert!(words.contains(part), "{words}");
        }
        assert!(!words.contains("os error"), "{words}");
        assert!(path.exists(), "what a person put there stays");
    }

    async fn is_held_by(&self, what: &str) {
        let hold = self.row("joe").await.progress.hold.unwrap();
        assert_eq!(hold.kind, HoldKind::Folder);
        self.is_told(&hold.words, what);
    }
}

#[tokio::test]
async fn nothing_is_bought_while_the_place_of_the_link_is_taken() {
    for (what, by_hand) in [("folder", false), ("file", false), ("folder", true)] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.want(&wanted).await;
        world.block(what);
        if by_hand {
            world.by_hand(&wanted, ByHand::Again).await.unwrap();
        }
        for _ in 0..2 {
            world.run(&wanted, 60).await;
            world.is_held_by(what).await;
            assert_eq!(world.ca.calls(), []);
        }
        world.unblock();
        world.run(&wanted, 60).await;
        assert!(world.live("joe").is_some());
        assert_eq!(world.ca.held().len(), 1);
    }
}

#[tokio::test]
async fn an_order_waits_in_its_version_while_the_place_of_the_link_is_taken() {
    for what in ["folder", "file"] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.ca.change(|ca| ca.becomes = OrderState::Working);
        world.run(&wanted, 10).await;
        world.block(what);
        world.ca.change(|ca| ca.becomes = OrderState::Issued);
        world.run(&wanted, 60).await;
        world.is_held_by(what).await;
        assert!(world.at("joe/0001/cert.pem").exists());
        world.unblock();
        world.run(&wanted, 60).await;
        assert_eq!(world.live("joe").unwrap().version, 1);
        assert_eq!(world.ca.held().len(), 1);
    }
}

#[tokio::test]
async fn a_fetch_says_that_the_place_of_the_link_is_taken() {
    for what in ["folder", "file"] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        world.block(what);
        let live_state = world.live_state(&wanted).await;
        world.is_told(live_state.live.fault().unwrap(), what);
        world.by_hand(&wanted, ByHand::Fetch).await.unwrap();
        world.run(&wanted, 60).await;
        world.is_told(&world.row("joe").await.progress.trouble.unwrap(), what);
        world.unblock();
        world.run(&wanted, 60).await;
        assert!(world.live("joe").is_some());
        assert_eq!(world.ca.held().len(), 1);
    }
}
