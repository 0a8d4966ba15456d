//! A CA in memory, with every unknown of the real one as a switch. It checks the zones by itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use prevalidate::ca::validation::{Kind, Method};
use prevalidate::ca::{
    CaError, Client, ClientSelector, Failure, Listing, Started, Submission, Validation, Verdict,
};
use prevalidate::clock::{Clock, SimulatedClock};
use prevalidate::prevalidation::{
    Challenge, DomainName, Effect, Proof, Registration, ReuseTable, Status, Token,
};

use super::by_orders::{BY_CNAMES, BY_ORDERS};
use super::shape::Shape;

/// The open questions about the real CA.
#[derive(Debug, Clone)]
pub struct Behaviour {
    pub reset_keeps_proof: bool,
    pub unseen_is_an_error: bool,
    pub duplicates: bool,
    pub hides_time_validated: bool,
    /// Its resolvers answer from before the write, whatever the name servers say.
    pub sees_nothing: bool,
    /// It checks this long after a submission, and again as long after each check.
    pub checks_every: SignedDuration,
    /// A random value that it does not take any more, and says so only when it is asked to check;
    /// `*`: any.
    pub forgot: Option<String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            reset_keeps_proof: true,
            unseen_is_an_error: false,
            duplicates: false,
            hides_time_validated: false,
            sees_nothing: false,
            checks_every: SignedDuration::from_mins(3),
            forgot: None,
        }
    }
}

/// What happens to a call on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Clear,
    RequestLost,
    AnswerLost,
    Unavailable,
    Throttled,
}

#[derive(Debug, Clone)]
pub struct Call {
    pub at: Timestamp,
    pub effect: Effect,
    pub domain: DomainName,
    /// Whether a proof counted when the call came, and until when.
    pub valid_until: Option<Timestamp>,
    pub validated_at: Option<Timestamp>,
    pub valid_after: bool,
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub reference: String,
    pub domain: DomainName,
    pub token: String,
    pub token_at: Timestamp,
    pub validated_at: Option<Timestamp>,
    pub proof: bool,
    /// The validation that is under way, where the CA carries one out by itself.
    pub order: Option<Course>,
}

/// An order that is under way.
#[derive(Debug, Clone)]
pub struct Course {
    pub id: String,
    /// When it was submitted and when the CA checks next.
    pub submitted: Option<(Timestamp, Timestamp)>,
}

#[derive(Default)]
pub struct State {
    pub entries: BTreeMap<String, Entry>,
    pub calls: Vec<Call>,
    pub lists: usize,
    pub gets: usize,
    pub behaviour: Behaviour,
    pub ways: Vec<Way>,
    /// Every record that it ever asked for.
    pub asked_for: Vec<Challenge>,
    /// When orders were carried out with success.
    pub proofs: Vec<Timestamp>,
    /// What a client may never do while an order is under way.
    pub trespasses: Vec<String>,
    pub(super) serial: u64,
}

impl State {
    /// The number of the next registration and of its random value follows this one.
    pub fn begin_at(&mut self, serial: u64) {
        self.serial = serial;
    }
}

/// The answers of the authoritative servers: the TXT values at a name, or the target of its CNAME.
pub type Eyes = Arc<dyn Fn(&str) -> Vec<Vec<u8>> + Send + Sync>;

#[derive(Clone)]
pub struct ModelCa {
    pub state: Arc<Mutex<State>>,
    pub(super) clock: SimulatedClock,
    pub(super) eyes: Eyes,
    pub reuse: ReuseTable,
    /// It begins validations by a start that keeps the proof, and checks by itself.
    pub by_orders: bool,
    pub shape: Shape,
}

impl fmt::Debug for ModelCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModelCa")
    }
}

pub const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);

impl ModelCa {
    pub fn new(clock: SimulatedClock, eyes: Eyes) -> Self {
        Self {
            state: Arc::default(),
            clock,
            eyes,
            reuse: ReuseTable::default(),
            by_orders: false,
            shape: Shape::Domain,
        }
    }

    /// Another CA with the same clock and the same eyes, which knows no domain yet.
    pub fn beside(&self) -> Self {
        Self {
            state: Arc::default(),
            ..self.clone()
        }
    }

    pub fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// Until when a proof of `domain` counts, if it does.
    pub fn valid_until(&self, domain: &DomainName) -> Option<Timestamp> {
        let state = self.state.lock().unwrap();
        state
            .entries
            .values()
            .filter(|entry| entry.domain == *domain)
            .filter_map(|entry| self.end(entry))
            .max()
    }

    fn end(&self, entry: &Entry) -> Option<Timestamp> {
        let made = entry.validated_at.filter(|_| entry.proof)?;
        Some(self.reuse.end_of(made)).filter(|&end| end > self.clock.now())
    }

    fn way(state: &mut State) -> Way {
        state.ways.pop().unwrap_or(Way::Clear)
    }

    pub(super) fn show(&self, entry: &Entry, behaviour: &Behaviour) -> Registration {
        if self.by_orders {
            self.show_order(entry, behaviour, false)
        } else {
            self.show_token(entry, behaviour)
        }
    }

    pub(super) fn show_token(&self, entry: &Entry, behaviour: &Behaviour) -> Registration {
        let now = self.clock.now();
        let valid = self.end(entry).is_some();
        Registration {
            reference: entry.reference.clone(),
            domain: entry.domain.clone(),
            status: match (valid, entry.validated_at, entry.proof) {
                (true, ..) => Status::Valid,
                (false, Some(_), true) => Status::Expired,
                _ => Status::Pending,
            },
            proof: entry
                .validated_at
                .filter(|_| entry.proof)
                .map(|made| Proof {
                    validated_at: (!behaviour.hides_time_validated).then_some(made),
                    expires_at: Some(self.reuse.end_of(made)),
                    method: Some("cabdns".to_owned()),
                    first_seen: None,
                    ends: Default::default(),
                })
                .map(Box::new),
            token: Some(Box::new(Token {
                value: entry.token.clone(),
                created_at: Some(entry.token_at),
                expires_at: Some(entry.token_at + TOKEN_LIFE),
                expired: entry.token_at + TOKEN_LIFE <= now,
            })),
            remembered: false,
            challenge: None,
            order: None,
            is_summary: false,
            last_words: None,
            doubt: None,
        }
    }

    /// The call on its way there, what it does, and on its way back.
    pub(super) fn travel<T>(
        &self,
        effect: Option<(Effect, &DomainName)>,
        act: impl FnOnce(&mut State) -> Result<T, CaError>,
    ) -> Result<T, CaError> {
        let mut state = self.state.lock().unwrap();
        self.settle(&mut state);
        let way = Self::way(&mut state);
        let before = effect.map(|(_, domain)| {
            state
                .entries
                .values()
                .filter(|e| e.domain == *domain)
                .filter_map(|e| self.end(e))
                .max()
        });
        let validated_at = effect.and_then(|(_, domain)| {
            state
                .entries
                .values()
                .filter(|e| e.domain == *domain)
                .filter_map(|e| e.validated_at)
                .max()
        });
        let reached = matches!(way, Way::Clear | Way::AnswerLost);
        let result = reached.then(|| act(&mut state));
        let asked_for: Vec<_> = state.entries.values().map(|it| self.wanted(it)).collect();
        for record in asked_for {
            if !state.asked_for.contains(&record) {
                state.asked_for.push(record);
            }
        }
        if let Some((effect, domain)) = effect {
            let after = state
                .entries
                .values()
                .filter(|e| e.domain == *domain)
                .any(|entry| self.end(entry).is_some());
            let at = self.clock.now();
            state.calls.push(Call {
                at,
                effect,
                domain: domain.clone(),
                valid_until: before.flatten(),
                validated_at,
                valid_after: after,
            });
        }
        match way {
            Way::Clear => result.expect("it reached the CA"),
            Way::RequestLost | Way::AnswerLost => {
                Err(CaError::new(Failure::Unknown, "the answer was lost"))
            }
            Way::Unavailable => Err(CaError::new(Failure::Unavailable, "503")),
            Way::Throttled => Err(CaError {
                retry_after: Some(std::time::Duration::from_secs(120)),
                ..CaError::new(Failure::Throttled, "429")
            }),
        }
    }

    pub(super) fn name_of(&self, reference: &str) -> Option<DomainName> {
        self.state
            .lock()
            .unwrap()
            .entries
            .get(reference)
            .map(|entry| entry.domain.clone())
    }

    pub(super) fn entry_of<'a>(
        state: &'a mut State,
        reference: &str,
    ) -> Result<&'a mut Entry, CaError> {
        state
            .entries
            .get_mut(reference)
            .ok_or_else(|| CaError::new(Failure::NotFound, "404"))
    }

    /// Adds a registration without any call, as a colleague in the portal would.
    pub fn seed(&self, name: &str, validated_at: Option<Timestamp>, token_at: Timestamp) -> String {
        let mut state = self.state.lock().unwrap();
        let domain = DomainName::from_a_labels(name).unwrap();
        Self::create(&mut state, domain, validated_at, token_at).reference
    }

    fn create(
        state: &mut State,
        domain: DomainName,
        validated_at: Option<Timestamp>,
        token_at: Timestamp,
    ) -> Entry {
        state.serial += 1;
        let entry = Entry {
            reference: format!("cld-{}", state.serial),
            domain,
            token: format!("swiss-pki=model{:020}", state.serial),
            token_at,
            proof: validated_at.is_some(),
            validated_at,
            order: None,
        };
        state.entries.insert(entry.reference.clone(), entry.clone());
        entry
    }
}

/// Whether a start keeps the proof is not known of it, as of SwissSign.
static BY_TOKENS: Kind = KIND;
pub const KIND: Kind = Kind {
    name: "model",
    register_batch: 50,
    start_keeps_proof: None,
    checks_by_itself: false,
    methods: &[Method::Txt],
    labels: &[],
    caa_names: &["swisssign.com"],
    reuse: ReuseTable::default,
};

#[async_trait]
impl Validation for ModelCa {
    fn kind(&self) -> &'static Kind {
        match (self.by_orders, self.shape) {
            (false, _) => &BY_TOKENS,
            (true, Shape::Domain) => &BY_ORDERS,
            (true, _) => &BY_CNAMES,
        }
    }

    async fn find_client(&self, _: &ClientSelector) -> Result<Client, CaError> {
        Ok(Client {
            reference: "cli-1".to_owned(),
            name: "model".to_owned(),
        })
    }

    async fn list(&self, _: &str) -> Result<Listing, CaError> {
        let registrations = self.travel(None, |state| {
            state.lists += 1;
            Ok(state
                .entries
                .values()
                .map(|entry| match self.by_orders {
                    true => self.show_order(entry, &state.behaviour, true),
                    false => self.show(entry, &state.behaviour),
                })
                .collect())
        })?;
        Ok(Listing {
            registrations,
            unreadable: Vec::new(),
            warnings: Vec::new(),
            clock_skew: None,
            read_at: self.clock.now(),
        })
    }

    async fn register(
        &self,
        _: &str,
        names: &[DomainName],
    ) -> Vec<(DomainName, Result<Registration, CaError>)> {
        let mut answers = Vec::new();
        for name in names {
            let answer = self.travel(Some((Effect::Register, name)), |state| {
                let known = state
                    .entries
                    .values()
                    .find(|entry| entry.domain == *name)
                    .cloned();
                let entry = match known {
                    Some(entry) if !state.behaviour.duplicates => entry,
                    _ => Self::create(state, name.clone(), None, self.clock.now()),
                };
                Ok(self.show(&entry, &state.behaviour))
            });
            answers.push((name.clone(), answer));
        }
        answers
    }

    async fn get(&self, reference: &str) -> Result<Registration, CaError> {
        self.travel(None, |state| {
            state.gets += 1;
            let entry = Self::entry_of(state, reference)?.clone();
            Ok(self.show(&entry, &state.behaviour))
        })
    }

    async fn submit(&self, reference: &str) -> Result<Submission, CaError> {
        if self.by_orders {
            return self.take(reference);
        }
        let name = self.name_of(reference);
        let now = self.clock.now();
        let answer = self.travel(
            name.as_ref().map(|name| (Effect::Validate, name)),
            |state| {
                let Behaviour {
                    unseen_is_an_error,
                    sees_nothing,
                    ..
                } = state.behaviour;
                let forgot = state.behaviour.forgot.clone();
                let entry = Self::entry_of(state, reference)?;
                let visible = !sees_nothing && self.sees(entry);
                let is_forgotten =
                    forgot.is_some_and(|forgot| forgot == entry.token || forgot == "*");
                let usable = !is_forgotten
                    && entry.token_at + TOKEN_LIFE > now
                    && entry.validated_at.is_none_or(|at| at < entry.token_at);
                if visible && usable {
                    entry.validated_at = Some(now);
                    entry.proof = true;
                } else if unseen_is_an_error {
                    return Err(CaError::new(Failure::Refused, "400: record not found"));
                }
                let entry = entry.clone();
                let mut shown = self.show(&entry, &state.behaviour);
                if let Some(token) = shown.token.as_mut().filter(|_| is_forgotten) {
                    token.expired = true;
                }
                Ok(shown)
            },
        );
        answer.map(|registration| Submission {
            verdict: if registration.status == Status::Valid {
                Verdict::Proven
            } else {
                Verdict::NotSeen
            },
            registration,
        })
    }

    async fn start(&self, reference: &str) -> Result<Started, CaError> {
        if self.by_orders {
            return self.begin(reference);
        }
        let name = self.name_of(reference);
        let now = self.clock.now();
        let answer = self.travel(
            name.as_ref().map(|name| (Effect::ResetToken, name)),
            |state| {
                state.serial += 1;
                let token = format!("swiss-pki=model{:020}", state.serial);
                let keeps = state.behaviour.reset_keeps_proof;
                let entry = Self::entry_of(state, reference)?;
                entry.token = token;
                entry.token_at = now;
                entry.proof &= keeps;
                let entry = entry.clone();
                Ok(self.show(&entry, &state.behaviour))
            },
        );
        answer.map(|registration| Started {
            registration,
            next_read_at: None,
        })
    }

    async fn delete(&self, reference: &str) -> Result<(), CaError> {
        self.state.lock().unwrap().entries.remove(reference);
        Ok(())
    }
}
