//! S/MIME: a mailbox depends on a domain of the client.

use super::*;

#[tokio::test]
async fn a_mailbox_at_a_domain_of_no_client_is_not_ordered_and_says_why() {
    let world = World::new().await;
    let mut one = world.certificate("joe");
    one.subject = Subject::Mailbox {
        email: "joe@mail.elsewhere.test".to_owned(),
        first_name: None,
        last_name: None,
    };
    let wanted = [one];
    let issuer = world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 0);
    let why = issuer.waiting().remove("joe").unwrap();
    assert!(why.contains("elsewhere.test is not kept"), "{why}");

    let client = wanted[0].client.as_ref().unwrap();
    world.keep("elsewhere.test", client).await;
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 1, "a domain above it suffices");
}
