//! Requests that an administrator decides: new orders, reissues and revocations.

use jiff::Timestamp;

use super::orders::{Orders, Request};
use crate::ca::csr::Csr;

impl Orders {
    /// A request; its id.
    pub(super) fn ask(
        &mut self,
        order: u64,
        kind: &'static str,
        status: &'static str,
        comments: String,
        revokes: Option<(u64, String)>,
    ) -> u64 {
        let id = self.next_id();
        let request = Request {
            id,
            order,
            kind,
            status,
            comments,
            revokes,
            reissues: None,
        };
        self.requests.insert(id, request);
        id
    }

    /// A request for a reissue or a duplicate; it is carried out at once unless it waits for its
    /// approval.
    #[expect(clippy::too_many_arguments, reason = "the parts of a request")]
    pub(super) fn ask_another(
        &mut self,
        order: u64,
        kind: &'static str,
        comments: String,
        asked: (Csr, Vec<String>),
        waits: bool,
        now: Timestamp,
    ) {
        let status = if waits { "pending" } else { "approved" };
        let id = self.ask(order, kind, status, comments, None);
        match self.requests.get_mut(&id).filter(|_| waits) {
            Some(request) => request.reissues = Some(asked),
            None => self.make_another(order, kind, asked, now),
        }
    }

    fn make_another(
        &mut self,
        order: u64,
        kind: &str,
        (csr, names): (Csr, Vec<String>),
        now: Timestamp,
    ) {
        match kind {
            "duplicate" => self.duplicate(order, csr, names, now),
            _ => self.reissue(order, csr, names, now),
        }
    }

    pub(super) fn requests_of(&self, order: u64) -> impl Iterator<Item = &Request> {
        let all = self.requests.values();
        all.filter(move |request| request.order == order)
    }

    pub(super) fn request(&self, id: &str) -> Option<&Request> {
        self.requests.get(&id.parse().ok()?)
    }

    /// An administrator decides the open requests that are meant.
    pub(super) fn decide(
        &mut self,
        is_meant: impl Fn(&Request) -> bool,
        approves: bool,
        now: Timestamp,
    ) {
        let mut approved = Vec::new();
        let open = self.requests.values_mut();
        for request in open.filter(|one| one.status == "pending" && is_meant(one)) {
            request.status = if approves { "approved" } else { "rejected" };
            if let Some(asked) = request.reissues.take() {
                approved.push((request.order, request.kind, asked));
                continue;
            }
            let Some(order) = self.orders.get_mut(&request.order) else {
                continue;
            };
            match &request.revokes {
                Some((certificate, reason)) if approves => order.revoke(*certificate, reason),
                Some(_) => {}
                None => {
                    order.waits_for_approval = false;
                    if !approves {
                        order.decided = Some("rejected".to_owned());
                    }
                }
            }
        }
        for (order, kind, asked) in approved.into_iter().filter(|_| approves) {
            self.make_another(order, kind, asked, now);
        }
    }
}
