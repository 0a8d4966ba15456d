//! The model of a CA that begins a validation by a start, keeps the proof meanwhile, and carries the
//! order out by itself.

use prevalidate::ca::validation::{Kind, Method};
use prevalidate::ca::{CaError, Failure, Started, Submission, Verdict};
use prevalidate::clock::Clock;
use prevalidate::prevalidation::{Effect, Order, OrderState, Registration, Status};

use super::ca::{Behaviour, Course, Entry, KIND, ModelCa, State};

/// One that begins by a start, keeps the proof meanwhile, and checks by itself, as Sectigo does.
pub static BY_ORDERS: Kind = BY_ORDERS_KIND;
const BY_ORDERS_KIND: Kind = Kind {
    name: "model-orders",
    start_keeps_proof: Some(true),
    checks_by_itself: true,
    ..KIND
};

/// The same with a CNAME for its record.
pub static BY_CNAMES: Kind = Kind {
    name: "model-cnames",
    methods: &[Method::Cname],
    ..BY_ORDERS_KIND
};

impl ModelCa {
    /// A start of the kind that gives an order.
    pub(super) fn begin(&self, reference: &str) -> Result<Started, CaError> {
        let name = self.name_of(reference);
        let now = self.clock.now();
        let effect = name.as_ref().map(|name| (Effect::Start, name));
        let answer = self.travel(effect, |state| {
            state.serial += 1;
            let serial = state.serial;
            let known = Self::entry_of(state, reference)?.clone();
            if known
                .order
                .as_ref()
                .is_some_and(|order| order.submitted.is_some())
            {
                let what = format!("start of {} while its order is under way", known.domain);
                state.trespasses.push(what);
                return Err(CaError::new(Failure::Refused, "409: an order is open"));
            }
            let entry = Self::entry_of(state, reference)?;
            entry.token = format!("swiss-pki=model{serial:020}");
            entry.token_at = now;
            entry.order = Some(Course {
                id: serial.to_string(),
                submitted: None,
            });
            let entry = entry.clone();
            Ok(self.show(&entry, &state.behaviour))
        });
        answer.map(|registration| Started {
            registration,
            next_read_at: None,
        })
    }

    /// A submission of the kind that takes orders.
    pub(super) fn take(&self, reference: &str) -> Result<Submission, CaError> {
        let name = self.name_of(reference);
        let now = self.clock.now();
        let effect = name.as_ref().map(|name| (Effect::Validate, name));
        let registration = self.travel(effect, |state| {
            let every = state.behaviour.checks_every;
            let entry = Self::entry_of(state, reference)?;
            let open = entry.order.as_ref().and_then(|order| order.submitted);
            if let Some((at, _)) = open {
                let what = format!("{} was submitted at {at} and again at {now}", entry.domain);
                state.trespasses.push(what);
                return Err(CaError::new(Failure::Refused, "409: submitted already"));
            }
            if let Some(order) = &mut entry.order {
                order.submitted = Some((now, now + every));
            }
            let entry = entry.clone();
            Ok(self.show(&entry, &state.behaviour))
        })?;
        let open = registration.open_order().and_then(|order| order.next_check);
        Ok(Submission {
            verdict: match open {
                Some(next_read_at) => Verdict::Taken { next_read_at },
                None if registration.status == Status::Valid => Verdict::Proven,
                None => Verdict::NotSeen,
            },
            registration,
        })
    }

    /// What the CA has done by itself until now.
    pub(super) fn settle(&self, state: &mut State) {
        let now = self.clock.now();
        let behaviour = state.behaviour.clone();
        let State {
            entries, proofs, ..
        } = state;
        for entry in entries.values_mut() {
            let Some((_, next)) = entry.order.as_ref().and_then(|order| order.submitted) else {
                continue;
            };
            if next > now {
                continue;
            }
            let visible = self.sees(entry);
            if visible && !behaviour.sees_nothing {
                (entry.validated_at, entry.proof, entry.order) = (Some(now), true, None);
                proofs.push(now);
            } else if let Some(order) = &mut entry.order {
                order.submitted = order
                    .submitted
                    .map(|(at, _)| (at, now + behaviour.checks_every));
            }
        }
    }

    /// An entry of a CA that carries orders out; a list shows less of it.
    pub(super) fn show_order(
        &self,
        entry: &Entry,
        behaviour: &Behaviour,
        is_summary: bool,
    ) -> Registration {
        let order = entry.order.as_ref().filter(|_| !is_summary);
        let challenge = order.map(|_| self.wanted(entry));
        let order = entry.order.as_ref().map(|order| Order {
            id: (!is_summary).then(|| order.id.clone()),
            state: match order.submitted {
                Some(_) => OrderState::Submitted,
                None => OrderState::Begun,
            },
            submitted_at: order.submitted.map(|(at, _)| at).filter(|_| !is_summary),
            last_check: None,
            next_check: order
                .submitted
                .map(|(_, next)| next)
                .filter(|_| !is_summary),
        });
        Registration {
            token: None,
            challenge: challenge.map(Box::new),
            order: order.map(Box::new),
            is_summary,
            ..self.show_token(entry, behaviour)
        }
    }
}
