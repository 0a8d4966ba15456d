//! Records of orders in DNS. The proofs of domains have theirs there too, and a CNAME allows no
//! other record beside it: each side reads what the other has before it writes or removes.
//!
//! Each side stores its intent before it reads. So of two that mean to write at one name at the
//! same moment, one knows of the other; an order gives way to a proof that is about to be written.

use crate::issuance::progress::Record;
use crate::prevalidation::{LedgerEntry, RecordType};
use crate::store::orders::CertificateRow;

/// A record that the order of a certificate has in DNS, or is about to write there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ordered {
    pub(super) certificate: String,
    pub(super) record: Record,
    /// Its order has come to its end, and it leaves.
    pub(super) is_going: bool,
    /// It was there at an earlier read, and is not any more.
    pub(super) is_gone: bool,
}

/// The records that the orders of these certificates may have in DNS.
pub(super) fn ordered(rows: Vec<CertificateRow>) -> Vec<Ordered> {
    let mut found = Vec::new();
    for row in rows {
        let order = row.progress.order.into_iter();
        let wanted = order.flat_map(|order| order.records);
        let wanted = wanted.map(|record| (record, false));
        let leftovers = row.progress.leftovers.into_iter();
        let all = wanted.chain(leftovers.map(|record| (record, true)));
        let stand = all.filter(|(record, _)| record.may_stand());
        found.extend(stand.map(|(record, is_going)| Ordered {
            certificate: row.name.clone(),
            record,
            is_going,
            is_gone: false,
        }));
    }
    found
}

impl Ordered {
    /// Whether it is the record of this entry.
    pub(super) fn is_of(&self, entry: &LedgerEntry) -> bool {
        is_entry(&self.record, entry)
    }

    /// Whether it keeps this entry's record out of its name.
    pub(super) fn excludes(&self, entry: &LedgerEntry) -> bool {
        excludes(&self.record, entry)
    }
}

/// Whether an entry of the ledger is about this record.
pub(super) fn is_entry(record: &Record, entry: &LedgerEntry) -> bool {
    record.place() == entry.owner
        && record.is_alias() == (entry.kind == RecordType::Cname)
        && record.data == entry.value
}

/// Whether a record and that of an entry cannot be at one name.
pub(super) fn excludes(record: &Record, entry: &LedgerEntry) -> bool {
    let has_alias = record.is_alias() || entry.kind == RecordType::Cname;
    record.place() == entry.owner && has_alias && !is_entry(record, entry)
}

/// The same of two records of orders.
pub(super) fn exclude_each_other(one: &Record, other: &Record) -> bool {
    let has_alias = one.is_alias() || other.is_alias();
    one.place() == other.place() && has_alias && !is_same(one, other)
}

/// Whether two orders have the same record in DNS.
pub(super) fn is_same(one: &Record, other: &Record) -> bool {
    (one.place(), &one.kind, &one.data) == (other.place(), &other.kind, &other.data)
}
