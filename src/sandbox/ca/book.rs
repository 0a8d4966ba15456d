//! What the CA knows: clients, their domains, tokens and proofs. Pure: it gets `now`, and expiry is
//! computed when read.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use rand::distr::{Alphanumeric, SampleString};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::behaviour::{Behaviour, Known};
use super::wire::{ClientDns, Refused};

/// In front of every value in DNS.
pub(super) const PREFIX: &str = "swiss-pki=";
/// How long a token is accepted.
const TOKEN_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How long a proof may be used: for certificates issued at or after a date, this long after the
/// validation.
pub type Lifetimes = Vec<(Timestamp, SignedDuration)>;

/// SwissSign's published 198 days since 2026-03-09 (365 before), then the CA/B Forum's steps of
/// 2027 and 2029 less two days.
pub fn published_lifetimes() -> Lifetimes {
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let at = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    vec![
        (Timestamp::MIN, days(365)),
        (at(1_773_014_400), days(198)), // 2026-03-09
        (at(1_805_068_800), days(98)),  // 2027-03-15
        (at(1_868_227_200), days(8)),   // 2029-03-15
    ]
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: String,
    /// Whether our account may use it.
    pub(super) permitted: bool,
    /// References in the order of registration.
    order: BTreeMap<u64, String>,
    by_name: HashMap<String, String>,
}

#[derive(Debug)]
pub(super) struct Domain {
    pub(super) reference: String,
    pub(super) client: String,
    /// A-labels.
    pub(super) name: String,
    position: u64,
    created: Timestamp,
    token: Option<Token>,
    proof: Option<Proof>,
    last_words: Option<String>,
    /// How many checks there were: each sees other perspectives.
    checks: u64,
}

#[derive(Debug, Clone)]
struct Token {
    /// Without prefix.
    value: String,
    created: Timestamp,
    used: bool,
}

#[derive(Debug, Clone, Copy)]
struct Proof {
    validated: Timestamp,
    /// Set by hand: it ends here whatever the rules say.
    cut: Option<Timestamp>,
}

#[derive(Debug)]
pub(super) struct Book {
    clients: BTreeMap<String, Client>,
    domains: HashMap<String, Domain>,
    lifetimes: Lifetimes,
    rng: StdRng,
    position: u64,
}

impl Book {
    pub(super) fn new(seed: u64, lifetimes: Lifetimes) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self {
            clients: BTreeMap::new(),
            domains: HashMap::new(),
            lifetimes,
            rng,
            position: 0,
        }
    }

    pub(super) fn add_client(&mut self, name: &str, permitted: bool) -> String {
        let reference = self.reference("cli");
        let client = Client {
            name: name.to_owned(),
            permitted,
            order: BTreeMap::new(),
            by_name: HashMap::new(),
        };
        self.clients.insert(reference.clone(), client);
        reference
    }

    pub(super) fn clients(&self) -> impl Iterator<Item = (&String, &Client)> {
        self.clients.iter()
    }

    /// A client that exists and that our account may use.
    pub(super) fn client(&self, reference: &str) -> Result<&Client, Refused> {
        let client = self.clients.get(reference);
        let client =
            client.ok_or_else(|| Refused::not_found(format!("Client {reference} not found")))?;
        if client.permitted {
            Ok(client)
        } else {
            Err(Refused::access(format!("No access to client {reference}")))
        }
    }

    pub(super) fn domain(&self, reference: &str) -> Result<&Domain, Refused> {
        let domain = self.domains.get(reference);
        let domain =
            domain.ok_or_else(|| Refused::not_found(format!("Domain {reference} not found")))?;
        self.client(&domain.client).map(|_| domain)
    }

    fn domain_mut(&mut self, reference: &str) -> Result<&mut Domain, Refused> {
        self.domain(reference)?;
        let gone = || Refused::not_found(format!("Domain {reference} not found"));
        self.domains.get_mut(reference).ok_or_else(gone)
    }

    /// The domain with this name (A-labels) under any client.
    pub(super) fn find(&self, name: &str) -> Option<&Domain> {
        self.clients
            .values()
            .find_map(|client| self.domains.get(client.by_name.get(name)?))
    }

    pub(super) fn list(
        &mut self,
        client: &str,
        behaviour: &Behaviour,
        now: Timestamp,
    ) -> Result<Vec<ClientDns>, Refused> {
        let references: Vec<String> = self.client(client)?.order.values().cloned().collect();
        Ok(self.views(references, behaviour, now))
    }

    fn views(
        &mut self,
        mut references: Vec<String>,
        behaviour: &Behaviour,
        now: Timestamp,
    ) -> Vec<ClientDns> {
        if behaviour.shuffled {
            references.shuffle(&mut self.rng);
        }
        let known = references
            .iter()
            .filter_map(|reference| self.domains.get(reference));
        known
            .map(|domain| self.view(domain, behaviour, now))
            .collect()
    }

    /// Registers names; all or none when [`Behaviour::bad_name_fails_batch`], else those that can
    /// be.
    pub(super) fn register(
        &mut self,
        client: &str,
        names: &[String],
        behaviour: &Behaviour,
        now: Timestamp,
    ) -> Result<Vec<ClientDns>, Refused> {
        let known = &self.client(client)?.by_name;
        let mut good: Vec<String> = Vec::new();
        let mut bad = Vec::new();
        for name in names {
            match normalise(name, behaviour.folds_sharp_s) {
                Err(why) => bad.push(why),
                Ok(name)
                    if behaviour.register_known == Known::Error && known.contains_key(&name) =>
                {
                    bad.push(format!("Domain {name} is already registered"));
                }
                Ok(name) if good.contains(&name) => {}
                Ok(name) => good.push(name),
            }
        }
        if !bad.is_empty() && (behaviour.bad_name_fails_batch || good.is_empty()) {
            return Err(Refused::invalid(bad.join("; ")));
        }
        let mut references = Vec::new();
        for name in good {
            let present = self
                .clients
                .get(client)
                .and_then(|client| client.by_name.get(&name))
                .cloned();
            references.push(match present {
                Some(reference) => {
                    if behaviour.register_known == Known::NewToken {
                        self.reset_token(&reference, behaviour, now)?;
                    }
                    reference
                }
                None => self.create(client, name, now),
            });
        }
        Ok(self.views(references, behaviour, now))
    }

    fn create(&mut self, client: &str, name: String, now: Timestamp) -> String {
        let reference = self.reference("cld");
        self.position += 1;
        if let Some(client) = self.clients.get_mut(client) {
            client.order.insert(self.position, reference.clone());
            client.by_name.insert(name.clone(), reference.clone());
        }
        let domain = Domain {
            reference: reference.clone(),
            client: client.to_owned(),
            name,
            position: self.position,
            created: now,
            token: Some(self.token(now)),
            proof: None,
            last_words: None,
            checks: 0,
        };
        self.domains.insert(reference.clone(), domain);
        reference
    }

    /// A new token. The old random value ends. The proof ends if its time is over, or if this CA
    /// ends proofs at a reset.
    pub(super) fn reset_token(
        &mut self,
        reference: &str,
        behaviour: &Behaviour,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let token = self.token(now);
        let keeps =
            behaviour.reset_keeps_proof && !self.has_ended(self.domain(reference)?, behaviour, now);
        let domain = self.domain_mut(reference)?;
        domain.token = Some(token);
        if !keeps {
            domain.proof = None;
        }
        Ok(())
    }

    pub(super) fn delete_token(&mut self, reference: &str) -> Result<(), Refused> {
        self.domain_mut(reference)?.token = None;
        Ok(())
    }

    pub(super) fn delete(&mut self, reference: &str) -> Result<(), Refused> {
        self.domain(reference)?;
        if let Some(domain) = self.domains.remove(reference)
            && let Some(client) = self.clients.get_mut(&domain.client)
        {
            client.order.remove(&domain.position);
            client.by_name.remove(&domain.name);
        }
        Ok(())
    }

    /// The whole TXT value that would prove the domain now; `None` when the token is used up,
    /// expired or deleted.
    pub(super) fn awaited(&self, domain: &Domain, now: Timestamp) -> Option<String> {
        let token = domain.token.as_ref()?;
        let live = !token.used && now < token.expires();
        live.then(|| format!("{PREFIX}{}", token.value))
    }

    /// References of a client's domains that wait for their value.
    pub(super) fn waiting(&self, client: &str, now: Timestamp) -> Vec<String> {
        let references = self
            .clients
            .get(client)
            .into_iter()
            .flat_map(|client| client.order.values());
        let waits = |reference: &&String| {
            self.domains
                .get(*reference)
                .is_some_and(|domain| self.awaited(domain, now).is_some())
        };
        references.filter(waits).cloned().collect()
    }

    /// Counts a check and says which one it is.
    pub(super) fn count_check(&mut self, reference: &str) -> u64 {
        self.domains.get_mut(reference).map_or(0, |domain| {
            domain.checks += 1;
            domain.checks
        })
    }

    /// The value was seen: a new proof, unless the token has changed meanwhile.
    pub(super) fn prove(
        &mut self,
        reference: &str,
        seen: &str,
        words: String,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let still = self.awaited(self.domain(reference)?, now).as_deref() == Some(seen);
        let domain = self.domain_mut(reference)?;
        if still && let Some(token) = &mut domain.token {
            token.used = true;
            domain.proof = Some(Proof {
                validated: now,
                cut: None,
            });
            domain.last_words = Some(words);
        }
        Ok(())
    }

    /// The domain is validated without a random value, until `end`.
    pub(super) fn prove_until(
        &mut self,
        reference: &str,
        words: String,
        now: Timestamp,
        end: Timestamp,
    ) {
        if let Some(domain) = self.domains.get_mut(reference) {
            domain.proof = Some(Proof {
                validated: now,
                cut: Some(end),
            });
            domain.last_words = Some(words);
        }
    }

    /// Sets `validationResult` and nothing else.
    pub(super) fn say(&mut self, reference: &str, words: String) -> Result<(), Refused> {
        self.domain_mut(reference)?.last_words = Some(words);
        Ok(())
    }

    /// The proof ends now.
    pub(super) fn expire(&mut self, reference: &str, now: Timestamp) {
        if let Some(proof) = self
            .domains
            .get_mut(reference)
            .and_then(|domain| domain.proof.as_mut())
        {
            proof.cut = Some(now);
        }
    }

    /// How long ago the token was made.
    pub(super) fn set_token_age(&mut self, reference: &str, age: SignedDuration, now: Timestamp) {
        if let Some(token) = self
            .domains
            .get_mut(reference)
            .and_then(|domain| domain.token.as_mut())
        {
            token.created = now.saturating_sub(age).unwrap_or(Timestamp::MIN);
        }
    }

    /// The domain was validated then, with its present token.
    pub(super) fn set_validated(&mut self, reference: &str, at: Timestamp) {
        if let Some(domain) = self.domains.get_mut(reference) {
            domain.proof = Some(Proof {
                validated: at,
                cut: None,
            });
            if let Some(token) = &mut domain.token {
                token.used = true;
            }
        }
    }

    /// The domain as the API shows it now.
    pub(super) fn view(&self, domain: &Domain, behaviour: &Behaviour, now: Timestamp) -> ClientDns {
        let end = domain.proof.map(|proof| self.end(proof, behaviour, now));
        let ended = end.is_some_and(|end| now >= end);
        let token_ended = domain
            .token
            .as_ref()
            .is_some_and(|token| now >= token.expires());
        let status = match end {
            Some(_) if ended => "EXPIRED",
            Some(_) => "VALID",
            None if domain.token.is_none() || token_ended => "NOT_VALIDATED",
            None => "PENDING",
        };
        let prefix = if behaviour.value_has_prefix {
            PREFIX
        } else {
            ""
        };
        ClientDns {
            uuid: domain.reference.clone(),
            created_on: domain.created,
            domain: domain.name.clone(),
            domain_unicode: idna::domain_to_unicode(&domain.name).0,
            validated: end.is_some() && !ended,
            trusted_domain: false,
            time_validated: domain.proof.map(|proof| proof.validated),
            validation_method: "cabdns".to_owned(),
            random_value: domain
                .token
                .as_ref()
                .map(|token| format!("{prefix}{}", token.value)),
            random_value_time_created: domain.token.as_ref().map(|token| token.created),
            random_value_time_expire: domain.token.as_ref().map(Token::expires),
            validation_result: domain.last_words.clone(),
            time_expired: end,
            expired: ended,
            random_value_time_expired: token_ended,
            status: if behaviour.lower_case_status {
                status.to_lowercase()
            } else {
                status.to_owned()
            },
        }
    }

    fn has_ended(&self, domain: &Domain, behaviour: &Behaviour, now: Timestamp) -> bool {
        domain
            .proof
            .is_some_and(|proof| now >= self.end(proof, behaviour, now))
    }

    /// The least over the rules of max(rule's start, validation + rule's limit): a rule cuts proofs
    /// that exist already.
    fn end(&self, proof: Proof, behaviour: &Behaviour, now: Timestamp) -> Timestamp {
        let rules = self
            .lifetimes
            .iter()
            .filter(|(start, _)| !behaviour.cuts_late || *start <= now);
        let ends = rules.map(|&(start, limit)| {
            proof
                .validated
                .saturating_add(limit)
                .map_or(Timestamp::MAX, |end| end.max(start))
        });
        ends.chain(proof.cut).min().unwrap_or(Timestamp::MAX)
    }

    fn token(&mut self, now: Timestamp) -> Token {
        // 32 of 62 characters: 190 bits, where the rules ask for 112.
        Token {
            value: Alphanumeric.sample_string(&mut self.rng, 32),
            created: now,
            used: false,
        }
    }

    fn reference(&mut self, kind: &str) -> String {
        format!(
            "{kind}-{}",
            uuid::Builder::from_random_bytes(self.rng.random()).into_uuid()
        )
    }
}

impl Token {
    fn expires(&self) -> Timestamp {
        self.created
            .saturating_add(TOKEN_LIFETIME)
            .unwrap_or(Timestamp::MAX)
    }
}

/// A name as this CA keeps it: A-labels or U-labels in, lower-case A-labels out.
fn normalise(name: &str, folds_sharp_s: bool) -> Result<String, String> {
    let bad = |why: &str| format!("Invalid domain name {name}: {why}");
    let mapped = if folds_sharp_s {
        name.to_lowercase().replace('ß', "ss")
    } else {
        name.to_owned()
    };
    let ascii = idna::domain_to_ascii_strict(&mapped).map_err(|_| bad("not a valid name"))?;
    if ascii.ends_with('.')
        || !ascii.contains('.')
        || ascii.len() > 253
        || ascii.parse::<std::net::IpAddr>().is_ok()
    {
        return Err(bad("not a registrable domain name"));
    }
    let suffix = psl::suffix(ascii.as_bytes());
    if suffix
        .is_some_and(|s| s.is_known() && s.typ() == Some(psl::Type::Icann) && s == ascii.as_str())
    {
        return Err(bad("a public suffix"));
    }
    Ok(ascii)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn end(validated: &str, now: &str, behaviour: &Behaviour) -> String {
        let book = Book::new(1, published_lifetimes());
        let proof = Proof {
            validated: validated.parse().unwrap(),
            cut: None,
        };
        book.end(proof, behaviour, now.parse().unwrap()).to_string()
    }

    #[test]
    fn a_proof_ends_where_the_first_rule_cuts_it() {
        let friendly = Behaviour::default();
        for (validated, ends) in [
            ("2025-06-01T00:00:00Z", "2026-03-09T00:00:00Z"),
            ("2026-03-20T09:00:00Z", "2026-10-04T09:00:00Z"),
            ("2026-11-21T00:00:00Z", "2027-03-15T00:00:00Z"),
            ("2027-01-10T12:00:00Z", "2027-04-18T12:00:00Z"),
            ("2028-12-20T00:00:00Z", "2029-03-15T00:00:00Z"),
            ("2029-03-10T06:00:00Z", "2029-03-18T06:00:00Z"),
        ] {
            assert_eq!(
                end(validated, validated, &friendly),
                ends,
                "validated {validated}"
            );
        }
    }

    #[test]
    fn the_date_jumps_back_when_a_rule_comes_into_force_if_the_ca_cuts_late() {
        let late = Behaviour {
            cuts_late: true,
            ..Behaviour::default()
        };
        let validated = "2026-11-21T00:00:00Z";
        assert_eq!(
            end(validated, "2027-03-14T00:00:00Z", &late),
            "2027-06-07T00:00:00Z"
        );
        assert_eq!(
            end(validated, "2027-03-15T00:00:00Z", &late),
            "2027-03-15T00:00:00Z"
        );
    }

    #[test]
    fn names_are_kept_in_a_labels_and_bad_ones_refused() {
        assert_eq!(
            normalise("Déjà.VU.com", false).unwrap(),
            "xn--dj-kia8a.vu.com"
        );
        assert_eq!(normalise("straße.ch", false).unwrap(), "xn--strae-oqa.ch");
        assert_eq!(normalise("straße.ch", true).unwrap(), "strasse.ch");
        for bad in [
            "*.example.ch",
            "localhost",
            "co.uk",
            "192.0.2.1",
            "a b.ch",
            "_x.example.ch",
            "",
        ] {
            assert!(normalise(bad, false).is_err(), "{bad}");
        }
    }
}
