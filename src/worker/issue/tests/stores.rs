//! Two stores on one directory: each certificate is bought once, and no version of the other one's
//! order is removed or used.

use super::renamed::{BY_NAME, OLD};
use super::*;

impl World {
    /// Another installation with a store of its own, and the directory and the account of this one.
    async fn beside(&self) -> Self {
        let other = Self::new().await;
        Self {
            clock: Arc::clone(&self.clock),
            ca: Arc::clone(&self.ca),
            ..other
        }
    }

    /// A run of the other installation in the directory of this one.
    async fn run_of(&self, other: &Self, wanted: &[Certificate], wait: i64) {
        other.want(wanted).await;
        let issuer = self.issuer_of(other, wanted);
        let over = CancellationToken::new();
        over.cancel();
        let deadline = self.clock.now() + SignedDuration::from_secs(wait);
        issuer.run(deadline, &over).await.unwrap();
    }

    fn issuer_of(&self, other: &Self, wanted: &[Certificate]) -> Issuer {
        let ca = Arc::clone(&self.ca) as Arc<dyn Issuing>;
        let mut issuer = self.issuer(ca, wanted.to_vec());
        issuer.ports.store = Arc::clone(&other.store);
        issuer
    }
}

#[tokio::test]
async fn two_stores_that_run_at_once_on_one_directory_buy_each_certificate_once() {
    let world = World::new().await;
    let other = world.beside().await;
    let wanted: Vec<_> = (0..6)
        .map(|n| world.certificate(&format!("c{n}")))
        .collect();
    world
        .ca
        .change(|ca| ca.works_for = SignedDuration::from_secs(20));
    tokio::join!(world.run(&wanted, 300), world.run_of(&other, &wanted, 300));
    assert_eq!(world.ca.held().len(), wanted.len());
    for one in &wanted {
        let name = &one.wanted.name;
        let live = world.live(name).unwrap();
        for store in [&world, &other] {
            let installed = store.row(name).await.progress.installed.unwrap();
            assert_eq!(installed.serial, live.facts.serial, "{name}");
        }
    }
}

#[tokio::test]
async fn the_open_order_of_another_store_is_followed_and_not_made_again() {
    for first in [false, true] {
        let world = World::new().await;
        let other = world.beside().await;
        let wanted = [world.certificate("joe")];
        world.ca.change(|ca| ca.becomes = OrderState::Working);
        world.run(&wanted, 10).await;
        world.run_of(&other, &wanted, 10).await;
        assert_eq!(world.ca.held().len(), 1);
        world.ca.change(|ca| ca.becomes = OrderState::Issued);
        if first {
            world.run(&wanted, 60).await;
        }
        world.run_of(&other, &wanted, 60).await;
        world.run(&wanted, 60).await;
        let live = world.live("joe").unwrap();
        for store in [&world, &other] {
            let progress = store.row("joe").await.progress;
            assert_eq!(progress.hold, None, "{first}");
            assert_eq!(progress.installed.unwrap().serial, live.facts.serial);
        }
        assert_eq!(world.ca.held().len(), 1);
    }
}

#[tokio::test]
async fn an_order_that_was_only_begun_is_not_made_after_another_store_made_its_own() {
    for is_open in [true, false] {
        let world = World::new().await;
        let mut other = world.beside().await;
        other.store = Arc::new(SqliteStore::open("sqlite::memory:", None).await.unwrap());
        let wanted = [world.certificate("joe")];
        // Its domain is not kept there yet.
        world.run_of(&other, &wanted, 10).await;
        assert!(other.row("joe").await.progress.order.is_some());
        if is_open {
            world.ca.change(|ca| ca.becomes = OrderState::Working);
        }
        world.run(&wanted, 10).await;
        assert_eq!(world.ca.held().len(), 1);
        let target = wanted[0].client.clone().unwrap();
        let client = reference_fact(&target.key);
        other.store.set_fact(&client, CLIENT).await.unwrap();
        other.keep("example.ch", &target).await;
        world.ca.change(|ca| ca.becomes = OrderState::Issued);
        world.run_of(&other, &wanted, 60).await;
        world.run(&wanted, 60).await;
        assert_eq!(world.ca.held().len(), 1, "open: {is_open}");
        let live = world.live("joe").unwrap();
        for store in [&world, &other] {
            let installed = store.row("joe").await.progress.installed.unwrap();
            assert_eq!(installed.serial, live.facts.serial, "open: {is_open}");
        }
    }
}

#[tokio::test]
async fn a_renewal_that_another_store_was_first_with_is_not_ordered() {
    let world = World::new().await;
    let other = world.beside().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    world.run_of(&other, &wanted, 60).await;
    world.clock.advance(SignedDuration::from_hours(24 * 61));
    tokio::join!(world.run(&wanted, 60), world.run_of(&other, &wanted, 60));
    for _ in 0..2 {
        world.run_of(&other, &wanted, 60).await;
        world.run(&wanted, 60).await;
        assert_eq!(world.ca.held().len(), 2, "one, and its renewal");
    }
    assert!(world.live("joe").is_some(), "the pair matches");
}

#[tokio::test]
async fn a_folder_in_which_another_process_works_is_waited_for_and_nothing_is_bought() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    let directory = world.folder.path().join("certificates");
    let folder = Folder::at(&directory, "joe", Access::default());
    folder.prepare().unwrap();
    let held = folder.lock("run-9/4711").unwrap().unwrap();
    world.run(&wanted, 5).await;
    let progress = world.row("joe").await.progress;
    let trouble = progress.trouble.unwrap();
    let place = format!("another process works in {}", world.at("joe").display());
    let way_out = "`directory` of its own";
    for part in [&place, "run-9/4711 on ", "before it has ended", way_out] {
        assert!(trouble.contains(part), "{trouble}");
    }
    assert_eq!((progress.order, progress.hold), (None, None));
    assert_eq!(world.ca.calls(), []);
    drop(held);
    world.run(&wanted, 60).await;
    assert!(world.live("joe").is_some());
    assert_eq!(world.row("joe").await.progress.trouble, None);
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn a_process_that_works_in_a_folder_names_its_configuration() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| ca.becomes = OrderState::Working);
    world.run(&wanted, 10).await;
    let who = std::fs::read_to_string(world.at("joe/.lock")).unwrap();
    let own = "test/1 with /etc/prevalidate/prevalidate.toml on ";
    assert!(who.starts_with(own), "{who}");
}

/// Two sections with different names for the same, in two configurations.
async fn two_names() -> (World, World, [Certificate; 1], [Certificate; 1]) {
    let world = World::new().await;
    let other = world.beside().await;
    let www = [world.named("www", BY_NAME, OLD)];
    let web = [world.named("web", BY_NAME, OLD)];
    (world, other, www, web)
}

#[tokio::test]
async fn two_stores_that_call_a_certificate_otherwise_buy_it_and_its_renewal_once() {
    let (world, other, www, web) = two_names().await;
    world
        .ca
        .change(|ca| ca.works_for = SignedDuration::from_secs(20));
    for orders in [1, 2, 3] {
        tokio::join!(world.run(&www, 300), world.run_of(&other, &web, 300));
        for _ in 0..2 {
            world.run_of(&other, &web, 300).await;
            world.run(&www, 300).await;
        }
        assert_eq!(world.ca.held().len(), orders);
        let [one, two] = ["www", "web"].map(|name| world.live(name).unwrap().facts.serial);
        assert_eq!(one, two, "{orders}");
        world.clock.advance(SignedDuration::from_hours(24 * 61));
    }
}

#[tokio::test]
async fn an_order_that_another_name_made_while_this_one_was_made_ready_is_followed() {
    for is_installed in [true, false] {
        let (world, mut other, www, web) = two_names().await;
        other.store = Arc::new(SqliteStore::open("sqlite::memory:", None).await.unwrap());
        // Its domain is not kept there yet.
        world.run_of(&other, &web, 10).await;
        assert!(other.row("web").await.progress.order.is_some());
        if !is_installed {
            world.ca.change(|ca| ca.becomes = OrderState::Working);
        }
        world.run(&www, 10).await;
        let target = web[0].client.clone().unwrap();
        let client = reference_fact(&target.key);
        other.store.set_fact(&client, CLIENT).await.unwrap();
        other.keep("example.ch", &target).await;
        world.run_of(&other, &web, 60).await;
        world.ca.change(|ca| ca.becomes = OrderState::Issued);
        for _ in 0..2 {
            world.run_of(&other, &web, 60).await;
            world.run(&www, 60).await;
            assert_eq!(world.ca.held().len(), 1, "{is_installed}");
        }
        let [one, two] = ["www", "web"].map(|name| world.live(name).unwrap().facts.serial);
        assert_eq!(one, two, "{is_installed}");
    }
}

/// Both have noted their orders before either of them searched.
#[tokio::test]
async fn two_orders_that_are_about_to_be_made_at_once_become_one() {
    for (own, theirs) in [("www", "web"), ("web", "www")] {
        let world = World::new().await;
        let wanted = [world.named(own, BY_NAME, OLD)];
        let later = || Way::Refused(Failure::Unavailable, "later".to_owned());
        (0..3).for_each(|_| world.ca.next(Verb::Submit, later()));
        world.run(&wanted, 0).await;
        let begun = world.row(own).await.progress.order.unwrap();
        assert_eq!(begun.submitted_at, None);
        world.ca.forgive();
        world.clock.advance(SignedDuration::from_mins(20));
        // The other one has noted an order that never reaches the CA.
        let place = world.at(theirs);
        std::fs::create_dir_all(place.join("0001")).unwrap();
        let note = crate::issuance::progress::Order {
            tag: "prevalidate:of-the-other".to_owned(),
            submitted_at: Some(world.clock.now()),
            ..begun
        };
        let note = serde_json::to_string(&note).unwrap();
        std::fs::write(place.join("0001/.order"), note).unwrap();
        let key = world.at(own).join("0001/privkey.pem");
        std::fs::copy(key, place.join("0001/privkey.pem")).unwrap();
        world.run(&wanted, 5).await;
        assert_eq!(world.ca.held().len(), 0, "{own}: the other one may order");
        assert!(world.kinds(own).await.contains(&"failed".to_owned()));
        // It has left it.
        std::fs::remove_dir_all(&place).unwrap();
        world.run(&wanted, 1200).await;
        world.have(&wanted, 1).await;
    }
}

#[tokio::test]
async fn the_notes_of_all_folders_are_read_once_for_all_certificates() {
    let world = World::new().await;
    let wanted = [world.named("www", BY_NAME, OLD)];
    world.run(&wanted, 60).await;
    let issuer = world.issuer(Arc::clone(&world.ca) as Arc<dyn Issuing>, wanted.to_vec());
    let now = world.clock.now();
    let notes = issuer.notes(now);
    assert_eq!(notes["www"].versions().count(), 1);
    assert!(Arc::ptr_eq(&notes, &issuer.notes(now)));
    issuer.survey().await.unwrap();
    let again = issuer.notes(now);
    assert!(!Arc::ptr_eq(&notes, &again), "a survey reads them again");
    let later = now + SignedDuration::from_mins(2);
    assert!(!Arc::ptr_eq(&again, &issuer.notes(later)));
}
