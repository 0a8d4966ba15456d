//! The walk down from the root to the servers that answer for a name, and the search for the
//! addresses of name servers without glue.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::{BoxFuture, join};
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};
use rand::seq::SliceRandom;
use tokio::time::Instant;

use super::{
    Cut, MOST_DEPTH, Place, QUESTIONS_PER_HOST, REMEMBERED, STEPS_PER_HOST, Walk, WalkError, locked,
};
use crate::propagation::evidence::text;
use crate::propagation::race::{self, Effort, Search};
use crate::propagation::referral::{self, Step};

/// The name servers whose addresses depend on the search under way, the innermost first.
pub(super) struct Trail<'t> {
    host: Option<&'t Name>,
    depth: u32,
    effort: &'t Effort<'t>,
    above: Option<&'t Trail<'t>>,
}

impl<'t> Trail<'t> {
    /// Nothing depends on another name server yet.
    pub(super) fn begin(effort: &'t Effort<'t>) -> Self {
        Self {
            host: None,
            depth: 0,
            effort,
            above: None,
        }
    }

    fn has(&self, host: &Name) -> bool {
        self.host == Some(host) || self.above.is_some_and(|above| above.has(host))
    }
}

impl Walk<'_> {
    /// Walks down to the servers that answer for `name` themselves.
    pub(super) async fn descend(&self, name: &Name, trail: &Trail<'_>) -> Result<Place, WalkError> {
        let mut cut = self.nearest(name);
        let mut asked = name.clone();
        loop {
            // What is known already makes no question, and the time-out must act all the same.
            tokio::task::consume_budget().await;
            let above = cut.zone.clone();
            let step = self.first(&cut, (&asked, RecordType::SOA), trail, |reply| {
                referral::step(reply, &asked, &above)
            });
            match step.await {
                // Strictly deeper each time: at most as often as the name has labels.
                Ok(Step::Down(down)) => {
                    cut = Arc::new(Cut::from(down));
                    self.remember(&cut);
                }
                Ok(Step::Here {
                    apex,
                    exists,
                    signed,
                }) => {
                    if !exists && apex.iter().len() < 2 {
                        return Err(WalkError::NotDelegated {
                            name: text(name),
                            zone: text(&apex),
                        });
                    }
                    let cut = Arc::unwrap_or_clone(cut);
                    return Ok(Place { cut, apex, signed });
                }
                // An alias hides the SOA record; the name above it is in the same zone or is its
                // apex.
                Ok(Step::Alias) if asked.base_name() == cut.zone || asked == cut.zone => {
                    return Ok(Place {
                        apex: cut.zone.clone(),
                        cut: Arc::unwrap_or_clone(cut),
                        signed: false,
                    });
                }
                Ok(Step::Alias) => asked = asked.base_name(),
                // What was remembered may have moved: once more from the root.
                Err(WalkError::NoAnswer { .. }) if self.forget(&cut.zone) => {
                    cut = Arc::new(self.root());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The addresses of a name server, asked of those responsible for its own zone. Within a walk a
    /// search that failed is not made again.
    fn addresses<'t>(
        &'t self,
        host: &'t Name,
        trail: &'t Trail<'t>,
    ) -> BoxFuture<'t, Result<Vec<IpAddr>, WalkError>> {
        async move {
            tokio::task::consume_budget().await;
            if let Some(found) = locked(&self.found).get(host) {
                return Ok(found.clone());
            }
            self.may_search(host, trail)?;
            let share = trail.effort.share(QUESTIONS_PER_HOST, STEPS_PER_HOST);
            let within = Trail {
                host: Some(host),
                depth: trail.depth + 1,
                effort: if trail.depth == 0 {
                    &share
                } else {
                    trail.effort
                },
                above: Some(trail),
            };
            let result = self.search(host, &within).await;
            match &result {
                Ok(found) => {
                    locked(&self.found).insert(host.clone(), found.clone());
                    // What failed for want of this address may be found now.
                    locked(&self.failed)
                        .retain(|_, (_, error)| !matches!(error, WalkError::Endless { .. }));
                }
                Err(error) => {
                    let failed = (trail.depth, error.clone());
                    locked(&self.failed).insert(host.clone(), failed);
                }
            }
            result
        }
        .boxed()
    }

    /// Whether a search for the addresses of `host` can bring anything new, and whether the budget
    /// allows it.
    fn may_search(&self, host: &Name, trail: &Trail<'_>) -> Result<(), WalkError> {
        let endless = |why: String| {
            Err(WalkError::Endless {
                name: text(host),
                why,
            })
        };
        if let Some((depth, error)) = locked(&self.failed).get(host)
            && (*depth <= trail.depth || !matches!(error, WalkError::Endless { .. }))
        {
            return Err(error.clone());
        }
        if trail.has(host) {
            return endless("the address of this name server depends on itself".to_owned());
        }
        if trail.depth >= MOST_DEPTH {
            return endless(format!(
                "more than {MOST_DEPTH} name servers depend on one another's addresses"
            ));
        }
        if !trail.effort.step() {
            return endless("too many name servers have no address of their own".to_owned());
        }
        Ok(())
    }

    async fn search(&self, host: &Name, trail: &Trail<'_>) -> Result<Vec<IpAddr>, WalkError> {
        let Place { cut, .. } = self.descend(host, trail).await?;
        let ask = |kind| {
            self.first(&cut, (host, kind), trail, |reply| {
                referral::addresses(reply, host)
            })
        };
        let found: Vec<IpAddr> = match join(ask(RecordType::A), ask(RecordType::AAAA)).await {
            (Ok(v4), Ok(v6)) => v4.into_iter().chain(v6).collect(),
            (Ok(some), Err(_)) | (Err(_), Ok(some)) if !some.is_empty() => some,
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        if found.is_empty() {
            return Err(WalkError::NoAnswer {
                zone: text(&cut.zone),
                name: text(host),
                tried: vec!["it has neither A nor AAAA records of its own".to_owned()],
            });
        }
        Ok(found)
    }

    /// The addresses of a name server of `zone`: shared with other walks when it is outside that
    /// zone.
    pub(super) async fn addresses_outside(
        &self,
        zone: &Name,
        host: &Name,
        trail: &Trail<'_>,
    ) -> Result<Vec<IpAddr>, WalkError> {
        let find = self.addresses(host, trail);
        // Further down no walk waits for another one, which may be waiting for this one.
        if trail.depth > 0 || zone.zone_of(host) {
            find.await
        } else {
            self.walker.shared.of(host, find).await
        }
    }

    /// The first usable reply from any server of the cut: in random order, the next one whenever
    /// one fails or takes long. Servers without glue are resolved when those with glue have failed
    /// or take long.
    pub(super) async fn first<T, R>(
        &self,
        cut: &Cut,
        question: (&Name, RecordType),
        trail: &Trail<'_>,
        read: R,
    ) -> Result<T, WalkError>
    where
        R: Fn(&Message) -> Result<T, String> + Send + Sync,
    {
        let with_port = |ip: &IpAddr| SocketAddr::from((*ip, self.walker.port));
        let glue = cut.hosts.values();
        let fixed = cut.fixed.iter().map(|root| vec![*root]);
        let servers = glue
            .map(|glue| glue.iter().map(with_port).collect())
            .chain(fixed);
        let servers = race::shuffled(servers.collect());
        let without_glue = cut.hosts.iter().filter(|(_, glue)| glue.is_empty());
        let mut without_glue: Vec<&Name> = without_glue.map(|(host, _)| host).collect();
        // Many domains on the same servers shall not all ask the first of them.
        without_glue.shuffle(&mut rand::rng());
        let missed = Mutex::new(Vec::new());
        let look_up = |host| -> Search<'_> {
            let (missed, zone) = (&missed, &cut.zone);
            async move {
                match self.addresses_outside(zone, host, trail).await {
                    Ok(found) => found.iter().map(with_port).collect(),
                    Err(error) => {
                        locked(missed).push((text(host), error));
                        Vec::new()
                    }
                }
            }
            .boxed()
        };
        let later = without_glue.into_iter().map(look_up).collect();
        let read = |reply: &Message| self.hear(reply, &read);
        let asker = &self.walker.asker;
        match race::first(asker, servers, later, question, trail.effort, read).await {
            Ok(found) => Ok(found),
            Err(lost) if lost.spent => Err(WalkError::Endless {
                name: text(question.0),
                why: "the questions that one walk may ask were not enough".to_owned(),
            }),
            Err(lost) => {
                let missed = missed.into_inner().unwrap_or_default();
                Err(self.lost(cut, question.0, lost.tried, missed))
            }
        }
    }

    /// Reads a reply, and counts whether a resolver gave it.
    fn hear<T>(
        &self,
        reply: &Message,
        read: impl Fn(&Message) -> Result<T, String>,
    ) -> Result<T, String> {
        let of_resolver = reply.metadata.recursion_available && !reply.metadata.authoritative;
        self.heard.fetch_add(1, Ordering::Relaxed);
        self.heard_from_resolvers
            .fetch_add(u32::from(of_resolver), Ordering::Relaxed);
        read(reply)
    }

    /// What it means that no server of the cut gave a usable reply.
    fn lost(
        &self,
        cut: &Cut,
        name: &Name,
        mut tried: Vec<String>,
        missed: Vec<(String, WalkError)>,
    ) -> WalkError {
        for (host, error) in missed {
            match error {
                // A loop among some name servers is not a loop among all; here none was left.
                WalkError::Endless { .. } => return error,
                _ => tried.push(format!(
                    "{host} has neither glue nor an address to be found"
                )),
            }
        }
        tried.sort_unstable();
        let (zone, name) = (text(&cut.zone), text(name));
        let heard = self.heard.load(Ordering::Relaxed);
        if heard > 0 && heard == self.heard_from_resolvers.load(Ordering::Relaxed) {
            return WalkError::Redirected { zone, name, tried };
        }
        WalkError::NoAnswer { zone, name, tried }
    }

    pub(super) fn root(&self) -> Cut {
        Cut {
            zone: Name::root(),
            hosts: BTreeMap::new(),
            others: BTreeSet::new(),
            fixed: self.walker.roots.clone(),
            proof: Vec::new(),
        }
    }

    /// The deepest cut known above `name`: of this walk, of the remembered top-level domains, or
    /// the root.
    pub(super) fn nearest(&self, name: &Name) -> Arc<Cut> {
        let own = locked(&self.cuts)
            .values()
            .filter(|cut| cut.zone.zone_of(name))
            .max_by_key(|cut| cut.zone.iter().len())
            .cloned();
        own.or_else(|| {
            let top = locked(&self.walker.top);
            let (at, cut) = top.get(&name.trim_to(1))?;
            (at.elapsed() < REMEMBERED).then(|| Arc::clone(cut))
        })
        .unwrap_or_else(|| Arc::new(self.root()))
    }

    pub(super) fn remember(&self, cut: &Arc<Cut>) {
        locked(&self.cuts).insert(cut.zone.clone(), Arc::clone(cut));
        if cut.zone.iter().len() == 1 {
            let remembered = (Instant::now(), Arc::clone(cut));
            locked(&self.walker.top).insert(cut.zone.clone(), remembered);
        }
    }

    /// Whether `zone` was a remembered top-level domain that this walk had not read itself.
    fn forget(&self, zone: &Name) -> bool {
        !locked(&self.cuts).contains_key(zone) && locked(&self.walker.top).remove(zone).is_some()
    }
}
