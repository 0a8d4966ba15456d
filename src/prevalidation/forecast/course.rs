//! Run after run: which renewals are due, which may begin, when they end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::tally::{Event, Tally};
use super::{CALLS_PER_RENEWAL, CaForecast, Forecast, Lapse, Question, Start};
use crate::prevalidation::name::DomainName;
use crate::prevalidation::observed::{Observed, Sighting};
use crate::prevalidation::planner::next_step;
use crate::prevalidation::policy::{Mode, Policy};
use crate::prevalidation::proof::Proof;
use crate::prevalidation::registration::{Registration, Status};
use crate::prevalidation::reuse::{after, before};
use crate::prevalidation::upkeep::Upkeep;

/// A domain on its way, in a few words: there may be 100,000.
struct Course<'a> {
    start: &'a Start,
    /// When it was last proven in the play.
    proved_at: Option<Timestamp>,
    /// The place of its CA.
    ca: usize,
    /// The place of its provider.
    provider: usize,
    end: Option<Timestamp>,
    /// When that proof was made.
    made: Option<Timestamp>,
    /// Whether it takes part: a domain that waits for a person does not.
    plays: bool,
    /// Its place in the list of lapses, while it has lapsed.
    lapse: Option<usize>,
}

/// The domains of one client: limits on risk hold for each.
struct Client {
    /// The place of its CA.
    ca: usize,
    /// What is due later, by its moment.
    later: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// What is due and has not begun, by name: a listing makes all of it due at the same moment.
    waiting: BTreeSet<usize>,
    /// What the run before has begun and not ended.
    open: Vec<usize>,
    /// Whether one renewal has shown what a new random value does to a proof.
    canary_is_back: bool,
}

/// One CA and what is counted for it.
struct Authority {
    name: String,
    /// What holds for its domains: its reuse table, and what its kind fixes.
    policy: Policy,
    tally: Tally,
    found: CaForecast,
}

/// The state of the whole play.
struct Play<'a> {
    question: &'a Question<'a>,
    /// What the planner sees of the domain at hand.
    seen: Observed,
    courses: Vec<Course<'a>>,
    cas: Vec<Authority>,
    providers: Vec<(String, Tally)>,
}

pub(super) fn play<'a>(starts: &'a [Start], question: &'a Question<'a>) -> Forecast {
    let mut order: Vec<&Start> = starts.iter().collect();
    order.sort_by(|a, b| a.domain.cmp(&b.domain));
    let Some(first) = order.first() else {
        return Forecast {
            cas: BTreeMap::new(),
            providers: BTreeMap::new(),
        };
    };
    let mut play = Play {
        question,
        seen: unseen(&first.domain),
        courses: Vec::with_capacity(order.len()),
        cas: Vec::new(),
        providers: Vec::new(),
    };
    let mut clients: BTreeMap<(&str, &str), Client> = BTreeMap::new();
    for start in order {
        let ca = play.ca(&start.ca);
        let client = clients
            .entry((&start.ca, &start.client))
            .or_insert_with(|| Client {
                ca,
                later: BinaryHeap::new(),
                waiting: BTreeSet::new(),
                open: Vec::new(),
                canary_is_back: false,
            });
        play.begin(start, client);
    }
    let mut now = question.from;
    while now < question.until {
        let mut calls: Vec<u64> = play
            .cas
            .iter()
            .map(|ca| {
                let rate = question.rates.get(&ca.name);
                rate.map_or(u64::MAX, |&rate| question.rhythm.calls(rate))
            })
            .collect();
        for client in clients.values_mut() {
            let left = &mut calls[client.ca];
            play.run(client, left, now);
        }
        now = after(now, question.rhythm.every);
    }
    play.finish()
}

impl<'a> Play<'a> {
    /// The place of a CA; a new one gets the next.
    fn ca(&mut self, name: &str) -> usize {
        let known = self.cas.iter().position(|ca| ca.name == name);
        known.unwrap_or_else(|| {
            // A forecast says what would be done.
            let policy = self.question.policy.of(name).clone().in_mode(Mode::Manage);
            self.cas.push(Authority {
                name: name.to_owned(),
                policy,
                tally: Tally::new(self.question.from, self.question.until),
                found: CaForecast::default(),
            });
            self.cas.len() - 1
        })
    }

    /// The place of a provider.
    fn provider(&mut self, name: &str) -> usize {
        let known = self.providers.iter().position(|(known, _)| known == name);
        known.unwrap_or_else(|| {
            let tally = Tally::new(self.question.from, self.question.until);
            self.providers.push((name.to_owned(), tally));
            self.providers.len() - 1
        })
    }

    fn begin(&mut self, start: &'a Start, client: &mut Client) {
        let question = self.question;
        see(&mut self.seen, start, None);
        let mut course = Course {
            start,
            proved_at: None,
            ca: client.ca,
            provider: self.provider(&start.provider),
            end: None,
            made: None,
            plays: !start.waits_for_person,
            lapse: None,
        };
        let place = self.courses.len();
        let Authority {
            policy,
            tally,
            found,
            ..
        } = &mut self.cas[client.ca];
        course.end = self.seen.usable_until(&policy.reuse, question.from);
        course.made = self.seen.last_proof().and_then(|one| one.validated_at);
        found.domains += 1;
        found.waiting_for_person += usize::from(start.waits_for_person);
        if let Some(end) = course.end {
            tally.count(Event::End, end);
        }
        if course.plays {
            let due = next_step(&self.seen, policy, question.from).at;
            client.later.push(Reverse((due, place)));
        }
        self.courses.push(course);
    }

    /// One run for one client. `calls` are those that the CA's rate leaves to this run.
    fn run(&mut self, client: &mut Client, calls: &mut u64, now: Timestamp) {
        // What the run before began has settled long ago.
        for place in std::mem::take(&mut client.open) {
            self.prove(client, place, now);
        }
        let rhythm = self.question.rhythm;
        let deadline = after(now, rhythm.wait);
        let next_run = after(now, rhythm.every);
        let turn = self.turn(client.ca);
        // When the turns that are taken end, the first one first.
        let mut turns: VecDeque<Timestamp> = VecDeque::new();
        let (mut moment, mut is_first) = (now, true);
        while moment <= deadline && moment < next_run {
            while turns.front().is_some_and(|&end| end <= moment) {
                turns.pop_front();
            }
            while let Some(&Reverse((due, place))) = client.later.peek()
                && due <= moment
            {
                client.later.pop();
                client.waiting.insert(place);
            }
            for (place, takes_turn) in self.choose(client, calls, moment, turns.len(), is_first) {
                self.note_lapse(place, moment);
                client.waiting.remove(&place);
                if takes_turn {
                    turns.push_back(after(moment, turn));
                }
                let settled = after(moment, self.question.policy.settle);
                if settled <= deadline {
                    self.prove(client, place, settled);
                } else {
                    client.open.push(place);
                }
            }
            is_first = false;
            if *calls < CALLS_PER_RENEWAL {
                break;
            }
            let due = client.later.peek().map(|&Reverse((due, _))| due);
            let turn_ends = turns.front().filter(|_| !client.waiting.is_empty());
            let Some(next) = due.into_iter().chain(turn_ends.copied()).min() else {
                break;
            };
            moment = next;
        }
    }

    /// How long a turn of `max_at_risk` lasts: the record settles, and those that were denied ask
    /// again from time to time; or the calls of all turns take longer.
    fn turn(&self, ca: usize) -> SignedDuration {
        let policy = self.question.policy;
        let settle = policy.settle;
        let retry = policy.poll.max(settle / 2).as_secs().max(1);
        let asked = (settle.as_secs() + retry - 1) / retry;
        let calls = f64::from(policy.max_at_risk) * CALLS_PER_RENEWAL as f64;
        let rate = self.question.rates.get(&self.cas[ca].name);
        let at_rate = rate.map_or(0.0, |rate| calls / rate);
        SignedDuration::from_secs((asked * retry).max(at_rate.ceil() as i64).max(1))
    }

    /// The domains that may begin now, each with whether it takes a turn. All domains with little
    /// to lose may begin. Of the other domains, as many may begin as the limit on domains at risk
    /// allows. `is_first`: the first listing of a run finds all that have little to lose.
    fn choose(
        &mut self,
        client: &Client,
        calls: &mut u64,
        now: Timestamp,
        mut at_risk: usize,
        is_first: bool,
    ) -> Vec<(usize, bool)> {
        let Authority { policy, tally, .. } = &mut self.cas[client.ca];
        // A CA that keeps the proof puts none at risk: no turns are taken there, and no canary is
        // waited for.
        let limit = match policy.start_keeps_proof {
            Some(true) => usize::MAX,
            Some(false) => policy.max_at_risk as usize,
            None if client.canary_is_back => policy.max_at_risk as usize,
            None => 1,
        };
        let mut chosen = Vec::new();
        for &place in &client.waiting {
            if *calls < CALLS_PER_RENEWAL || at_risk >= limit && !is_first {
                break;
            }
            let Course { end, made, .. } = self.courses[place];
            let end = end.filter(|&end| now < end);
            let is_late =
                end.is_none_or(|end| end.duration_since(now) <= policy.critical_margin(end, made));
            let takes_turn = !is_late && policy.start_keeps_proof != Some(true);
            if takes_turn {
                if at_risk >= limit {
                    continue;
                }
                at_risk += 1;
            }
            *calls -= CALLS_PER_RENEWAL;
            chosen.push((place, takes_turn));
            if is_late && end.is_some() {
                tally.count(Event::Late, now);
            }
        }
        chosen
    }

    /// Notes that the proof of a domain ended before the next one was started.
    fn note_lapse(&mut self, place: usize, now: Timestamp) {
        let course = &mut self.courses[place];
        let Some(end) = course
            .end
            .filter(|&end| end <= now && course.lapse.is_none())
        else {
            return;
        };
        let Authority { tally, found, .. } = &mut self.cas[course.ca];
        tally.count(Event::Lapse, end);
        course.lapse = Some(found.lapses.len());
        found.lapses.push(Lapse {
            domain: course.start.domain.clone(),
            at: end,
            until: None,
            waits_for_person: !course.plays,
        });
    }

    /// A new proof, and when the planner wants the next one.
    fn prove(&mut self, client: &mut Client, place: usize, at: Timestamp) {
        client.canary_is_back = true;
        let course = &mut self.courses[place];
        course.proved_at = Some(at);
        see(&mut self.seen, course.start, course.proved_at);
        let Authority {
            policy,
            tally,
            found,
            ..
        } = &mut self.cas[client.ca];
        course.end = self.seen.usable_until(&policy.reuse, at);
        course.made = self.seen.last_proof().and_then(|one| one.validated_at);
        let due = next_step(&self.seen, policy, at).at;
        client.later.push(Reverse((due, place)));
        tally.count(Event::Renewal, at);
        self.providers[course.provider].1.count(Event::Renewal, at);
        if let Some(end) = course.end {
            tally.count(Event::End, end);
        }
        if let Some(lapse) = course.lapse.take() {
            found.lapses[lapse].until = Some(at);
        }
    }

    fn finish(mut self) -> Forecast {
        // Proofs that ended while nothing could be started for them.
        for place in 0..self.courses.len() {
            self.note_lapse(
                place,
                before(self.question.until, SignedDuration::from_nanos(1)),
            );
        }
        let cas = self.cas.into_iter().map(|ca| {
            let mut found = ca.found;
            (found.weeks, found.days) = ca.tally.finish();
            found
                .lapses
                .sort_by(|a, b| (a.at, &a.domain).cmp(&(b.at, &b.domain)));
            (ca.name, found)
        });
        let providers = self.providers.into_iter();
        Forecast {
            cas: cas.collect(),
            providers: providers
                .map(|(name, tally)| (name, tally.finish().1))
                .collect(),
        }
    }
}

fn proof_of(at: Timestamp) -> Proof {
    Proof {
        validated_at: Some(at),
        ..Proof::default()
    }
}

/// Has the planner see a domain: its proof, and nothing that is in its way. One snapshot serves all
/// domains, because there are millions of questions.
fn see(seen: &mut Observed, start: &Start, proved_at: Option<Timestamp>) {
    let proof = proved_at.map(proof_of).or_else(|| start.proof.clone());
    let status = match proof {
        Some(_) => Status::Valid,
        None => Status::Pending,
    };
    seen.domain = start.domain.clone();
    seen.upkeep.past.proved_at = proved_at;
    if let Sighting::Present(registration) = &mut seen.sighting {
        registration.domain = start.domain.clone();
        registration.status = status;
        match (&mut registration.proof, proof) {
            (Some(shown), Some(proof)) => **shown = proof,
            (shown, proof) => *shown = proof.map(Box::new),
        }
    }
}

/// A domain of which nothing is known but its name.
fn unseen(domain: &DomainName) -> Observed {
    Observed {
        domain: domain.clone(),
        desired: true,
        covered_by: None,
        has_provider: true,
        sighting: Sighting::Present(Registration::bare("", domain.clone(), Status::Pending)),
        read_at: None,
        upkeep: Upkeep::default(),
        ledger: Vec::new(),
    }
}
