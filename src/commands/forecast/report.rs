//! The forecast as a document: what `--output json` prints, and what the tables are made of.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::config::{Rate, Settings};
use crate::prevalidation::DomainName;
use crate::prevalidation::forecast::{
    CALLS_PER_RENEWAL, CaForecast, Day, Forecast, Lapse, Question, Week, busiest,
};

/// Calls to a provider's API for one renewal: the zone is read and changed to publish, and read and
/// changed to withdraw.
const PROVIDER_CALLS: u64 = 4;

/// The rates of providers whose table has none, by kind. The others have no limit.
const PROVIDER_RATES: [(&str, &str); 3] = [
    ("autodns", "3/s"),
    ("cloudflare", "2/s"),
    ("route53", "5/s"),
];

/// The whole document.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) daemon: bool,
    pub(super) max_at_risk: u32,
    pub(super) cas: Vec<CaReport>,
    pub(super) providers: Vec<ProviderReport>,
}

/// One CA.
#[derive(Debug, Serialize)]
pub(super) struct CaReport {
    pub(super) ca: String,
    pub(super) domains: usize,
    pub(super) waiting_for_person: usize,
    pub(super) renewals: u64,
    pub(super) late: u64,
    pub(super) calls_per_renewal: u64,
    pub(super) rate_per_second: Option<f64>,
    pub(super) busiest_day: Option<Busiest>,
    pub(super) periods: Vec<Period>,
    pub(super) weeks: Vec<WeekReport>,
    pub(super) lapses: Vec<LapseReport>,
}

/// The day with the most renewals.
#[derive(Debug, Serialize)]
pub(super) struct Busiest {
    pub(super) day: Date,
    pub(super) renewals: u64,
    pub(super) calls: u64,
    /// How long the calls take at the rate; `null` without one.
    pub(super) seconds_at_rate: Option<f64>,
}

/// The time between two changes of the rules.
#[derive(Debug, Serialize)]
pub(super) struct Period {
    pub(super) from: Date,
    pub(super) to: Date,
    /// How long a proof counts that is made and used in it.
    pub(super) proof_days: i64,
    pub(super) renewals: u64,
    pub(super) renewals_per_week: f64,
    pub(super) busiest_day: Option<Busiest>,
}

/// One week.
#[derive(Debug, Serialize)]
pub(super) struct WeekReport {
    pub(super) week: Date,
    pub(super) ends: u64,
    pub(super) renewals: u64,
    pub(super) late: u64,
    pub(super) lapses: u64,
    pub(super) calls: u64,
}

/// A time in which one domain is without a proof.
#[derive(Debug, Serialize)]
pub(super) struct LapseReport {
    pub(super) domain: DomainName,
    pub(super) at: Timestamp,
    pub(super) until: Option<Timestamp>,
    pub(super) reason: &'static str,
}

/// One DNS provider.
#[derive(Debug, Serialize)]
pub(super) struct ProviderReport {
    pub(super) provider: String,
    pub(super) kind: Option<String>,
    /// `null`: an API without calls that are counted.
    pub(super) calls_per_renewal: Option<u64>,
    pub(super) rate_per_second: Option<f64>,
    pub(super) busiest_day: Option<Busiest>,
}

impl Report {
    pub(super) fn new(
        found: &Forecast,
        question: &Question<'_>,
        settings: &Settings,
        daemon: bool,
    ) -> Self {
        let cas = found.cas.iter();
        let providers = found.providers.iter();
        Self {
            from: question.from,
            until: question.until,
            daemon,
            max_at_risk: question.policy.max_at_risk,
            cas: cas.map(|(name, ca)| of_ca(name, ca, question)).collect(),
            providers: providers
                .map(|(name, days)| of_provider(name, days, settings))
                .collect(),
        }
    }

    /// How often a domain is without a proof for a time.
    pub(super) fn lapses(&self) -> usize {
        self.cas.iter().map(|ca| ca.lapses.len()).sum()
    }

    /// How many domains lapse, once or more often.
    pub(super) fn lapsing(&self) -> usize {
        let lapses = self.cas.iter().flat_map(|ca| &ca.lapses);
        let domains: BTreeSet<&DomainName> = lapses.map(|lapse| &lapse.domain).collect();
        domains.len()
    }
}

fn of_ca(name: &str, found: &CaForecast, question: &Question<'_>) -> CaReport {
    let rate = question.rates.get(name).copied();
    let week = |(&week, counts): (&Date, &Week)| WeekReport {
        week,
        ends: counts.ends,
        renewals: counts.renewals,
        late: counts.late,
        lapses: counts.lapses,
        calls: counts.renewals * CALLS_PER_RENEWAL,
    };
    let lapse = |lapse: &Lapse| LapseReport {
        domain: lapse.domain.clone(),
        at: lapse.at,
        until: lapse.until,
        reason: if lapse.waits_for_person {
            "waits_for_person"
        } else {
            "limits"
        },
    };
    CaReport {
        ca: name.to_owned(),
        domains: found.domains,
        waiting_for_person: found.waiting_for_person,
        renewals: found.renewals(),
        late: found.weeks.values().map(|week| week.late).sum(),
        calls_per_renewal: CALLS_PER_RENEWAL,
        rate_per_second: rate,
        busiest_day: found
            .busiest()
            .map(|day| busy(day, CALLS_PER_RENEWAL, rate)),
        periods: periods(name, &found.days, rate, question),
        weeks: found.weeks.iter().map(week).collect(),
        lapses: found.lapses.iter().map(lapse).collect(),
    }
}

fn busy((day, counts): (Date, Day), calls: u64, rate: Option<f64>) -> Busiest {
    let calls = counts.renewals * calls;
    Busiest {
        day,
        renewals: counts.renewals,
        calls,
        seconds_at_rate: rate.map(|rate| calls as f64 / rate),
    }
}

/// The time of the forecast, cut at each change of the rules of one CA.
fn periods(
    ca: &str,
    days: &BTreeMap<Date, Day>,
    rate: Option<f64>,
    question: &Question<'_>,
) -> Vec<Period> {
    let date = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    let reuse = &question.policy.of(ca).reuse;
    let inside = |at: Timestamp| question.from < at && at < question.until;
    let mut cuts: Vec<Timestamp> = reuse.rows().iter().map(|row| row.start).collect();
    cuts.retain(|&at| inside(at));
    cuts.extend([question.from, question.until]);
    cuts.sort_unstable();
    cuts.dedup();
    // A row that does not bind is no change.
    let limit = |at: Timestamp| reuse.limit_at(at);
    let mut kept: Vec<Timestamp> = Vec::new();
    for &cut in &cuts {
        let last = kept.last().copied();
        if cut == question.until || last.is_none_or(|last| limit(last) != limit(cut)) {
            kept.push(cut);
        }
    }
    let pairs = kept.windows(2).map(|pair| {
        let [from, to] = [pair[0], pair[1]];
        let last = to.saturating_sub(SignedDuration::from_nanos(1));
        let (first, last) = (date(from), date(last.unwrap_or(to)));
        let inside: BTreeMap<Date, Day> = days.range(first..=last).map(|(&d, &n)| (d, n)).collect();
        let renewals: u64 = inside.values().map(|day| day.renewals).sum();
        let weeks = to.duration_since(from).as_secs_f64() / (7.0 * 86_400.0);
        Period {
            from: first,
            to: last,
            proof_days: limit(from).as_hours() / 24,
            renewals,
            renewals_per_week: (renewals as f64 / weeks * 10.0).round() / 10.0,
            busiest_day: busiest(&inside).map(|day| busy(day, CALLS_PER_RENEWAL, rate)),
        }
    });
    pairs.collect()
}

fn of_provider(name: &str, days: &BTreeMap<Date, Day>, settings: &Settings) -> ProviderReport {
    let table = settings.providers.get(name).map(|provider| &provider.table);
    let text = |key: &str| Some(table?.get(key)?.as_str()?.to_owned());
    let kind = text("kind");
    let usual = PROVIDER_RATES
        .iter()
        .find(|(known, _)| kind.as_deref() == Some(known))
        .map(|(_, rate)| (*rate).to_owned());
    let rate = usual.and_then(|usual| {
        let rate = Rate::read(&text("rate").unwrap_or(usual)).ok()?;
        Some(rate.per_second())
    });
    let calls = rate.map(|_| PROVIDER_CALLS);
    ProviderReport {
        provider: name.to_owned(),
        kind,
        calls_per_renewal: calls,
        rate_per_second: rate,
        busiest_day: busiest(days).map(|day| busy(day, calls.unwrap_or(0), rate)),
    }
}
