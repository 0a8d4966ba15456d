//! Orders: which answers refuse one, and which leave open whether it was made.

use std::collections::BTreeMap;

use rcgen::{CertificateParams, KeyPair};

use super::server::{Server, json, text};
use super::*;
use crate::ca::Failure;
use crate::ca::csr::Csr;
use crate::ca::issuing::{Intent, Issuing as _, Subject};

fn intent() -> Intent {
    let names = vec!["example.ch".to_owned()];
    let params = CertificateParams::new(names.clone()).unwrap();
    let request = params.serialize_request(&KeyPair::generate().unwrap());
    Intent {
        tag: "prevalidate:one".to_owned(),
        client: CLIENT.to_owned(),
        product: "pma-123e4567-e89b-12d3-a456-426614174000".to_owned(),
        csr: Csr::read(request.unwrap().der()).unwrap(),
        subject: Subject::Names(names),
        term: None,
        comments: None,
        requester: None,
        fields: BTreeMap::new(),
        contact: None,
        after: None,
        answer: None,
        submitted_at: None,
        ended_at: None,
        tag_is_lost: false,
    }
}

#[tokio::test]
async fn a_401_of_a_proxy_to_an_order_is_neither_a_refusal_nor_sent_again() {
    for (reply, is_open) in [
        (text(401, "text/html", "<h1>proxy</h1>"), true),
        (text(403, "text/html", "<h1>proxy</h1>"), true),
        (
            text(503, "text/html", "<h1>").with("retry-after", "7"),
            true,
        ),
        (json(403, api_error("No.")), false),
        (
            json(503, api_error("Later.")).with("retry-after", "7"),
            false,
        ),
    ] {
        let shown = format!("{reply:?}");
        let server = Server::always(reply).await;
        let error = client(&server).submit(&intent()).await.unwrap_err();
        assert_eq!(server.log().len(), 1, "{shown}");
        assert_eq!(error.outcome_unknown(), is_open, "{shown}: {error}");
        assert_ne!(error.failure, Failure::Unauthenticated, "{shown}");
    }
}
