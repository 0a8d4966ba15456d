//! Leases and the writes under them, by the server's clock. Each write names its epoch and touches
//! one row, or nothing of it is stored (faults W02).

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use sqlx::PgConnection;

use super::fault::Fault;
use super::transaction::{reading, writing};
use super::{PostgresStore, inventory, ledger, rows, sql};
use crate::prevalidation::{LedgerEntry, RowKey};
use crate::store::row::{self, RawDomain, RawEntry};
use crate::store::{Bucket, Claim, DomainRow, Fence, Held, Lease, StoreError, Write};

pub(super) async fn claim(store: &PostgresStore, claim: &Claim<'_>) -> Result<Vec<Lease>, Fault> {
    let only: Option<Vec<&str>> = claim
        .only
        .map(|names| names.iter().map(RowKey::text).collect());
    let limit = i64::try_from(claim.limit).unwrap_or(i64::MAX);
    // Nothing claimed is nothing to store: a poll costs the server's disk nothing. `coalesce` hides
    // the client from the planner: as long as the server has not counted the rows, as in the first
    // night of many domains, it would take the client for a rare one, and fetch and sort all that
    // is due. Along `domain_due` it ends with the last row that is wanted.
    writing!(
        store,
        |db| {
            // Rows that another claim is just taking are left to it: neither waits for the other.
            // What is locked is read again in its newest version, so nothing is claimed twice
            // (faults L5).
            let claimed: Vec<(String, i64, i64)> = rows(
                "WITH first AS MATERIALIZED (
                 SELECT client FROM domain
                 WHERE due_at <= $3 AND (lease_until IS NULL OR lease_until <= clock_timestamp())
                     AND client <> ALL($4) AND ($5::text[] IS NULL OR name = ANY($5))
                 ORDER BY due_at, name LIMIT 1 FOR UPDATE SKIP LOCKED),
             picked AS MATERIALIZED (
                 SELECT name FROM domain
                 WHERE coalesce(client = (SELECT client FROM first), false)
                     AND due_at <= $3 AND (lease_until IS NULL OR lease_until <= clock_timestamp())
                     AND ($5::text[] IS NULL OR name = ANY($5))
                 ORDER BY due_at, name LIMIT $6 FOR UPDATE SKIP LOCKED)
             UPDATE domain d SET lease_epoch = lease_epoch + 1, lease_holder = $1, claims = claims + 1, woken_at = NULL,
                 lease_until = clock_timestamp() + $2 * interval '1 microsecond'
             FROM picked WHERE d.name = picked.name
             RETURNING d.name, d.lease_epoch, d.claims",
            )
            .bind(claim.holder)
            .bind(micros(claim.lease))
            .bind(claim.now.as_microsecond())
            .bind(claim.except_clients)
            .bind(&only)
            .bind(limit)
            .fetch_all(&mut *db)
            .await?;
            let names: Vec<&str> = claimed.iter().map(|(name, ..)| name.as_str()).collect();
            if names.is_empty() {
                return Ok(Vec::new());
            }
            let domains =
                rows("SELECT * FROM domain_view WHERE name = ANY($1) ORDER BY due_at, name");
            let domains: Vec<RawDomain> = domains.bind(&names).fetch_all(&mut *db).await?;
            let entries = rows(
                "SELECT * FROM ledger WHERE coalesce(domain, owner) = ANY($1) AND state <> 'removed' ORDER BY id",
            );
            let entries: Vec<RawEntry> = entries.bind(&names).fetch_all(db).await?;
            leases(claimed, domains, entries)
        },
        unless | leases | leases.is_empty()
    )
}

fn leases(
    claimed: Vec<(String, i64, i64)>,
    domains: Vec<RawDomain>,
    entries: Vec<RawEntry>,
) -> Result<Vec<Lease>, Fault> {
    let mut entries_of: HashMap<String, Vec<LedgerEntry>> = HashMap::new();
    for entry in entries {
        let entry = LedgerEntry::try_from(entry)?;
        entries_of
            .entry(entry.key.text().to_owned())
            .or_default()
            .push(entry);
    }
    let epochs: HashMap<String, (i64, i64)> = claimed
        .into_iter()
        .map(|(name, epoch, claims)| (name, (epoch, claims)))
        .collect();
    let mut leases = Vec::with_capacity(domains.len());
    for raw in domains {
        let row = DomainRow::try_from(raw)?;
        let name = row.key.text();
        let ledger = entries_of.remove(name).unwrap_or_default();
        let &(epoch, claims) = epochs.get(name).ok_or_else(|| {
            StoreError::Corrupt(format!("the row of {name} has another spelling"))
        })?;
        leases.push(Lease {
            fence: Fence {
                key: row.key.clone(),
                domain: row.domain.clone(),
                epoch,
            },
            row,
            ledger,
            claims: row::count(claims)?,
        });
    }
    Ok(leases)
}

/// What leases hold by the server's clock: whether their processes live is not known from here.
pub(super) async fn held(store: &PostgresStore) -> Result<Vec<Held>, Fault> {
    let held: Vec<(String, String, i64)> = reading!(store, |db| {
        let held = rows(
            "SELECT name, lease_holder, (extract(epoch FROM lease_until) * 1000000)::bigint FROM domain
             WHERE lease_until > clock_timestamp() AND lease_holder IS NOT NULL ORDER BY name",
        );
        Ok(held.fetch_all(db).await?)
    })?;
    let held = held.into_iter().map(|(name, holder, until)| {
        Ok::<_, StoreError>(Held {
            key: row::key(&name)?,
            holder,
            since: None,
            until: row::time(until)?,
        })
    });
    Ok(held.collect::<Result<_, _>>()?)
}

pub(super) async fn next_due(
    store: &PostgresStore,
    only: Option<&[RowKey]>,
    except_clients: &[String],
) -> Result<Option<Timestamp>, Fault> {
    let only: Option<Vec<&str>> = only.map(|names| names.iter().map(RowKey::text).collect());
    let due: Option<(i64,)> = reading!(store, |db| {
        let due = rows(
            "SELECT due_at FROM domain
             WHERE due_at IS NOT NULL AND client <> ALL($1) AND ($2::text[] IS NULL OR name = ANY($2))
             ORDER BY due_at LIMIT 1",
        );
        Ok(due
            .bind(except_clients)
            .bind(&only)
            .fetch_optional(db)
            .await?)
    })?;
    Ok(due.map(|(due,)| row::time(due)).transpose()?)
}

pub(super) async fn extend(
    store: &PostgresStore,
    leases: &[Fence],
    lease: SignedDuration,
) -> Result<Vec<RowKey>, Fault> {
    let names: Vec<&str> = leases.iter().map(|fence| fence.key.text()).collect();
    let epochs: Vec<i64> = leases.iter().map(|fence| fence.epoch).collect();
    let held: Vec<(String, i64)> = writing!(store, |db| {
        inventory::lock(db, &names).await?;
        Ok(rows(
            "UPDATE domain d SET lease_until = clock_timestamp() + $3 * interval '1 microsecond'
                 FROM unnest($1::text[], $2::bigint[]) AS f (name, epoch)
                 WHERE d.name = f.name AND d.lease_epoch = f.epoch AND d.lease_until IS NOT NULL
                 RETURNING d.name, d.lease_epoch",
        )
        .bind(&names)
        .bind(&epochs)
        .bind(micros(lease))
        .fetch_all(db)
        .await?)
    })?;
    let held: HashSet<(&str, i64)> = held
        .iter()
        .map(|(name, epoch)| (name.as_str(), *epoch))
        .collect();
    let lost = leases
        .iter()
        .filter(|fence| !held.contains(&(fence.key.text(), fence.epoch)));
    Ok(lost.map(|fence| fence.key.clone()).collect())
}

pub(super) async fn commit(
    store: &PostgresStore,
    writes: &[Write],
) -> Result<Vec<Result<(), StoreError>>, Fault> {
    let mut names: Vec<&str> = writes.iter().map(|write| write.fence.key.text()).collect();
    names.sort_unstable();
    names.dedup();
    let held = writing!(store, |db| {
        inventory::lock(db, &names).await?;
        let mut held = vec![false; writes.len()];
        for round in rounds(writes) {
            let stored = put(db, &round).await?;
            let stored: Vec<_> = round
                .into_iter()
                .filter(|(_, write)| stored.contains(&write.fence))
                .collect();
            ledger::put(db, &stored).await?;
            stored.into_iter().for_each(|(at, _)| held[at] = true);
        }
        let stored = || {
            writes
                .iter()
                .zip(&held)
                .filter(|(_, held)| **held)
                .map(|(write, _)| write)
        };
        ledger::count(db, stored()).await?;
        ledger::append(
            db,
            &stored().flat_map(|write| &write.events).collect::<Vec<_>>(),
        )
        .await?;
        Ok(held)
    })?;
    let outcome = |(write, held): (&Write, bool)| match held {
        true => Ok(()),
        false => Err(StoreError::LeaseLost(write.fence.key.clone())),
    };
    Ok(writes.iter().zip(held).map(outcome).collect())
}

/// One statement writes a row once: the second write of a domain is for the second round.
fn rounds(writes: &[Write]) -> Vec<Vec<(usize, &Write)>> {
    let mut rounds: Vec<Vec<_>> = Vec::new();
    let mut seen: HashMap<&RowKey, usize> = HashMap::new();
    for (at, write) in writes.iter().enumerate() {
        let round = seen.entry(&write.fence.key).or_default();
        if rounds.len() == *round {
            rounds.push(Vec::new());
        }
        rounds[*round].push((at, write));
        *round += 1;
    }
    rounds
}

/// Those whose lease still holds.
async fn put(db: &mut PgConnection, round: &[(usize, &Write)]) -> Result<HashSet<Fence>, Fault> {
    let writes = || round.iter().map(|(_, write)| *write);
    let sightings = writes().map(|w| {
        w.sighting
            .as_ref()
            .map(|(sighting, _)| row::encode(sighting))
            .transpose()
    });
    let held: Vec<(String,)> = rows(
        "UPDATE domain d SET sighting = coalesce(w.sighting, d.sighting), read_at = coalesce(w.read_at, d.read_at),
             attempt = w.attempt, at_risk = coalesce(w.at_risk, d.at_risk),
             due_at = CASE WHEN d.woken_at IS NULL THEN w.due_at ELSE least(w.due_at, d.woken_at) END,
             lease_until = CASE WHEN w.release THEN NULL ELSE d.lease_until END,
             lease_holder = CASE WHEN w.release THEN NULL ELSE d.lease_holder END,
             claims = CASE WHEN w.release THEN 0 ELSE d.claims END
         FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::boolean[], $8::boolean[])
             AS w (name, epoch, sighting, read_at, attempt, due_at, at_risk, release)
         WHERE d.name = w.name AND d.lease_epoch = w.epoch AND d.lease_until IS NOT NULL
         RETURNING d.name",
    )
    .bind(writes().map(|w| w.fence.key.text()).collect::<Vec<_>>())
    .bind(writes().map(|w| w.fence.epoch).collect::<Vec<_>>())
    .bind(sightings.collect::<Result<Vec<_>, _>>()?)
    .bind(writes().map(|w| w.sighting.as_ref().map(|(_, at)| at.as_microsecond())).collect::<Vec<_>>())
    .bind(writes().map(|w| row::attempt(&w.upkeep)).collect::<Result<Vec<_>, _>>()?)
    .bind(writes().map(|w| w.due_at.map(Timestamp::as_microsecond)).collect::<Vec<_>>())
    .bind(writes().map(|w| w.at_risk).collect::<Vec<_>>())
    .bind(writes().map(|w| w.release).collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    let held: HashSet<&str> = held.iter().map(|(name,)| name.as_str()).collect();
    Ok(writes()
        .map(|w| &w.fence)
        .filter(|fence| held.contains(fence.key.text()))
        .cloned()
        .collect())
}

pub(super) async fn take_risk_slot(
    store: &PostgresStore,
    fence: &Fence,
    client: &str,
    limit: u32,
) -> Result<bool, Fault> {
    writing!(store, |db| {
        // One after the other for each client: a worker that counts must not count what another is
        // about to take.
        let turn =
            sql("SELECT pg_advisory_xact_lock(hashtextextended('prevalidate risk ' || $1, 0))");
        turn.bind(client).execute(&mut *db).await?;
        let at_risk: Option<(bool,)> = rows(
            "SELECT at_risk FROM domain WHERE name = $1 AND lease_epoch = $2 AND lease_until IS NOT NULL FOR UPDATE",
        )
        .bind(fence.key.text())
        .bind(fence.epoch)
        .fetch_optional(&mut *db)
        .await?;
        match at_risk {
            None => return Err(StoreError::LeaseLost(fence.key.clone()).into()),
            Some((true,)) => return Ok(true),
            Some((false,)) => {}
        }
        let granted = sql("UPDATE domain SET at_risk = true WHERE name = $1
                 AND (SELECT count(*) FROM domain other WHERE other.client = $2 AND other.at_risk) < $3");
        let granted = granted
            .bind(fence.key.text())
            .bind(client)
            .bind(i64::from(limit))
            .execute(db)
            .await?;
        Ok(granted.rows_affected() == 1)
    })
}

/// The generic cell rate algorithm (ITU-T I.371, annex A), as a queue: the bucket holds the moment
/// at which it will be full again.
pub(super) async fn take(
    store: &PostgresStore,
    bucket: &Bucket<'_>,
    cost: u32,
) -> Result<SignedDuration, Fault> {
    let (full_in,): (i64,) = writing!(store, |db| {
        let taken = rows(
            "INSERT INTO bucket AS b (name, full_at) VALUES ($1, clock_timestamp() + $2 * interval '1 microsecond')
                 ON CONFLICT (name) DO UPDATE SET full_at = $2 * interval '1 microsecond'
                     + CASE WHEN b.full_at > clock_timestamp() + $3 * interval '1 microsecond' THEN clock_timestamp()
                         ELSE greatest(b.full_at, clock_timestamp()) END
                 RETURNING (extract(epoch FROM full_at - clock_timestamp()) * 1000000)::bigint",
        );
        let taken = taken
            .bind(bucket.name)
            .bind(bucket.span(cost))
            .bind(Bucket::FARTHEST);
        Ok(taken.fetch_one(db).await?)
    })?;
    Ok(SignedDuration::from_micros(
        full_in.saturating_sub(bucket.span(bucket.burst)).max(0),
    ))
}

pub(super) async fn clock(store: &PostgresStore) -> Result<Timestamp, Fault> {
    let (now,): (i64,) = reading!(store, |db| {
        Ok(
            rows("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
                .fetch_one(db)
                .await?,
        )
    })?;
    Ok(row::time(now)?)
}

/// As the server counts.
pub(super) fn micros(length: SignedDuration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}
