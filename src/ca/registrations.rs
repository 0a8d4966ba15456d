//! The registrations of a list, packed: a client may have 100,000, and each is read only once
//! or twice.

use jiff::Timestamp;

use crate::prevalidation::{DomainName, Proof, Registration, Status, Token};

/// The registrations that a list shows, in the order of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registrations(Vec<Packed>);

impl Registrations {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each registration, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = Registration> {
        self.0.iter().map(Packed::unpack)
    }

    /// The first registration of the list.
    pub fn first(&self) -> Option<Registration> {
        self.iter().next()
    }

    /// The name of each registration, in the order of the list.
    pub fn domains(&self) -> impl Iterator<Item = &DomainName> {
        self.0.iter().map(|packed| &packed.domain)
    }

    /// The first registration of a domain.
    pub fn find(&self, domain: &DomainName) -> Option<Registration> {
        let mut all = self.0.iter();
        all.find(|one| one.domain == *domain).map(Packed::unpack)
    }

    /// Sorts by name. Of several registrations of one name the last one stays.
    pub fn by_name(mut self) -> ByName {
        self.0.sort_by(|a, b| a.domain.cmp(&b.domain));
        self.0.dedup_by(|later, kept| {
            let is_same = later.domain == kept.domain;
            if is_same {
                std::mem::swap(later, kept);
            }
            is_same
        });
        ByName(self.0)
    }
}

impl FromIterator<Packed> for Registrations {
    fn from_iter<I: IntoIterator<Item = Packed>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

impl FromIterator<Registration> for Registrations {
    fn from_iter<I: IntoIterator<Item = Registration>>(all: I) -> Self {
        all.into_iter().map(Packed::from).collect()
    }
}

/// One registration for each name.
pub struct ByName(Vec<Packed>);

impl ByName {
    /// The registration of a domain.
    pub fn get(&self, domain: &DomainName) -> Option<Registration> {
        let place = self.0.binary_search_by(|one| one.domain.cmp(domain)).ok()?;
        Some(self.0[place].unpack())
    }

    /// Each registration, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Packed> {
        self.0.iter()
    }
}

/// A registration in a third of its space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The name of the registration.
    pub domain: DomainName,
    rest: Rest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rest {
    Usual(Usual),
    /// It says something that few registrations say.
    Whole(Box<Registration>),
}

/// The fields of most registrations of a list: a reference, a state, a proof with a method, a
/// token.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Usual {
    /// The reference, the method, the value of the token and the CA's words, one after another.
    text: Box<str>,
    /// Where the reference, the method and the value end in `text`.
    ends: [u16; 3],
    status: Plain,
    has: Has,
    validated_at: Moment,
    expires_at: Moment,
    created_at: Moment,
    token_until: Moment,
}

/// Which parts there are, and what is said of them by yes and no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Has {
    proof: bool,
    method: bool,
    token: bool,
    token_expired: bool,
    words: bool,
    summary: bool,
}

/// A state that has no text of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    Pending,
    Expired,
    Valid,
    NotValidated,
}

impl Plain {
    fn of(status: &Status) -> Option<Self> {
        Some(match status {
            Status::Pending => Self::Pending,
            Status::Expired => Self::Expired,
            Status::Valid => Self::Valid,
            Status::NotValidated => Self::NotValidated,
            Status::Unknown(_) => return None,
        })
    }
}

impl From<Plain> for Status {
    fn from(plain: Plain) -> Self {
        match plain {
            Plain::Pending => Self::Pending,
            Plain::Expired => Self::Expired,
            Plain::Valid => Self::Valid,
            Plain::NotValidated => Self::NotValidated,
        }
    }
}

/// A moment, in nanoseconds since 1970. `i64::MIN` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment(i64);

impl Moment {
    /// `None` where it is before 1678 or after 2262.
    fn of(at: Option<Timestamp>) -> Option<Self> {
        let Some(at) = at else {
            return Some(Self(i64::MIN));
        };
        let nanoseconds = i64::try_from(at.as_nanosecond()).ok()?;
        (nanoseconds != i64::MIN).then_some(Self(nanoseconds))
    }

    fn get(self) -> Option<Timestamp> {
        let is_some = self.0 != i64::MIN;
        is_some
            .then(|| Timestamp::from_nanosecond(self.0.into()).ok())
            .flatten()
    }
}

/// Four texts as one, and where the first three end in it. `None` where that is more than 64 KiB.
fn joined(parts: [&str; 4]) -> Option<(Box<str>, [u16; 3])> {
    let mut end = 0;
    let mut ends = [0; 3];
    for (place, part) in ends.iter_mut().zip(parts) {
        end += part.len();
        *place = u16::try_from(end).ok()?;
    }
    Some((parts.concat().into(), ends))
}

impl Usual {
    /// `None` where the registration says more than this can hold.
    fn of(registration: &Registration) -> Option<Self> {
        // Taken apart by name, so that a new field is not forgotten here.
        let Registration {
            reference,
            domain: _,
            status,
            proof,
            remembered: false,
            token,
            challenge: None,
            order: None,
            is_summary,
            last_words,
            doubt: None,
        } = registration
        else {
            return None;
        };
        let no_proof = Proof::default();
        let Proof {
            validated_at,
            expires_at,
            method,
            first_seen: None,
            ends,
        } = proof.as_deref().unwrap_or(&no_proof)
        else {
            return None;
        };
        if !ends.is_empty() {
            return None;
        }
        let no_token = Token::default();
        let shown = token.as_deref().unwrap_or(&no_token);
        let (text, ends) = joined([
            reference,
            method.as_deref().unwrap_or_default(),
            &shown.value,
            last_words.as_deref().unwrap_or_default(),
        ])?;
        Some(Self {
            text,
            ends,
            status: Plain::of(status)?,
            has: Has {
                proof: proof.is_some(),
                method: method.is_some(),
                token: token.is_some(),
                token_expired: shown.expired,
                words: last_words.is_some(),
                summary: *is_summary,
            },
            validated_at: Moment::of(*validated_at)?,
            expires_at: Moment::of(*expires_at)?,
            created_at: Moment::of(shown.created_at)?,
            token_until: Moment::of(shown.expires_at)?,
        })
    }

    fn unpack(&self, domain: DomainName) -> Registration {
        let [reference, method, value] = self.ends.map(usize::from);
        let part = |from: usize, to: usize| self.text[from..to].to_owned();
        let Has {
            proof,
            method: has_method,
            token,
            token_expired,
            words,
            summary,
        } = self.has;
        Registration {
            proof: proof.then(|| {
                Box::new(Proof {
                    validated_at: self.validated_at.get(),
                    expires_at: self.expires_at.get(),
                    method: has_method.then(|| part(reference, method)),
                    ..Proof::default()
                })
            }),
            token: token.then(|| {
                Box::new(Token {
                    value: part(method, value),
                    created_at: self.created_at.get(),
                    expires_at: self.token_until.get(),
                    expired: token_expired,
                })
            }),
            is_summary: summary,
            last_words: words.then(|| part(value, self.text.len())),
            ..Registration::bare(&self.text[..reference], domain, self.status.into())
        }
    }
}

impl From<Registration> for Packed {
    fn from(registration: Registration) -> Self {
        let domain = registration.domain.clone();
        let rest = match Usual::of(&registration) {
            Some(usual) => Rest::Usual(usual),
            None => Rest::Whole(Box::new(registration)),
        };
        Self { domain, rest }
    }
}

impl Packed {
    /// The registration as it was.
    pub fn unpack(&self) -> Registration {
        match &self.rest {
            Rest::Usual(usual) => usual.unpack(self.domain.clone()),
            Rest::Whole(registration) => (**registration).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::*;
    use crate::prevalidation::{Challenge, ChallengeData, Counts, Order, OrderState};

    fn usual() -> Registration {
        Registration {
            proof: Some(Box::new(Proof {
                validated_at: Some("2026-11-02T03:04:05.678Z".parse().unwrap()),
                expires_at: Some("2027-05-20T00:00:00Z".parse().unwrap()),
                method: Some("cabdns".to_owned()),
                ..Proof::default()
            })),
            token: Some(Box::new(Token {
                value: "swiss-pki=preflight-1".to_owned(),
                created_at: Some("2026-11-01T00:00:00Z".parse().unwrap()),
                expires_at: Some("2026-12-01T00:00:00Z".parse().unwrap()),
                expired: true,
            })),
            last_words: Some("seen at dns.example".to_owned()),
            is_summary: true,
            ..bare(Status::Valid)
        }
    }

    fn bare(status: Status) -> Registration {
        let domain = DomainName::from_a_labels("a.test").unwrap();
        Registration::bare("cld-1", domain, status)
    }

    /// Each field of a registration in turn, with a value that few lists show.
    fn changes() -> Vec<fn(&mut Registration)> {
        vec![
            |_| {},
            |one| one.reference = String::new(),
            |one| one.reference = "x".repeat(70_000),
            |one| one.status = Status::Pending,
            |one| one.status = Status::Expired,
            |one| one.status = Status::NotValidated,
            |one| one.status = Status::Unknown("ÜBERHOLT".to_owned()),
            |one| one.proof = None,
            |one| one.proof.as_mut().unwrap().validated_at = None,
            |one| one.proof.as_mut().unwrap().expires_at = Some(Timestamp::MAX),
            |one| one.proof.as_mut().unwrap().expires_at = Some(Timestamp::MIN),
            |one| one.proof.as_mut().unwrap().method = None,
            |one| one.proof.as_mut().unwrap().method = Some(String::new()),
            |one| one.proof.as_mut().unwrap().first_seen = Some(Timestamp::UNIX_EPOCH),
            |one| {
                let ends = BTreeMap::from([("ov".to_owned(), Timestamp::UNIX_EPOCH)]);
                one.proof.as_mut().unwrap().ends = ends;
            },
            |one| one.remembered = true,
            |one| one.token = None,
            |one| one.token.as_mut().unwrap().value = "schlüssel=ä".to_owned(),
            |one| one.token.as_mut().unwrap().created_at = None,
            |one| one.token.as_mut().unwrap().expires_at = Some(Timestamp::UNIX_EPOCH),
            |one| one.token.as_mut().unwrap().expired = false,
            |one| {
                one.challenge = Some(Box::new(Challenge {
                    owner: (&one.domain).into(),
                    data: ChallengeData::Txt("v".to_owned()),
                    made: None,
                    until: None,
                    counts: Counts::Published,
                }));
            },
            |one| {
                one.order = Some(Box::new(Order {
                    id: None,
                    state: OrderState::Submitted,
                    submitted_at: None,
                    last_check: None,
                    next_check: None,
                }));
            },
            |one| one.is_summary = false,
            |one| one.last_words = None,
            |one| one.last_words = Some(String::new()),
            |one| one.doubt = Some("two dates".to_owned()),
        ]
    }

    #[test]
    fn every_registration_comes_out_as_it_went_in() {
        for (number, first) in changes().into_iter().enumerate() {
            for second in changes() {
                let mut before = usual();
                second(&mut before);
                // A part that the second change took away cannot be changed by the first.
                if before.proof.is_some() && before.token.is_some() {
                    first(&mut before);
                }
                let after = Packed::from(before.clone()).unpack();
                assert_eq!(after, before, "change {number}");
            }
        }
        let nothing = bare(Status::Valid);
        assert_eq!(Packed::from(nothing.clone()).unpack(), nothing);
    }

    #[test]
    fn what_most_lists_show_needs_no_box_of_its_own() {
        assert!(matches!(Packed::from(usual()).rest, Rest::Usual(_)));
        assert!(size_of::<Packed>() <= 88, "{}", size_of::<Packed>());
    }

    #[test]
    fn of_several_registrations_of_one_name_the_last_one_is_found() {
        let all: Registrations = ["b.test", "a.test", "b.test"]
            .into_iter()
            .zip(["cld-1", "cld-2", "cld-3"])
            .map(|(name, reference)| Registration {
                reference: reference.to_owned(),
                domain: DomainName::from_a_labels(name).unwrap(),
                ..usual()
            })
            .collect();
        let b = DomainName::from_a_labels("b.test").unwrap();
        assert_eq!(all.find(&b).unwrap().reference, "cld-1");
        let all = all.by_name();
        assert_eq!(all.get(&b).unwrap().reference, "cld-3");
        assert_eq!(all.iter().count(), 2);
    }
}
