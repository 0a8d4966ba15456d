-- A domain may have a row at each of several clients, and a record may have another name and type than TXT at the domain itself.
-- The key of a further row is `NAME CLIENT` in `domain.name`; NULL in a new column means what it always meant, so that programs
-- that do not know it go on.

-- The row that the entry is for, the name of the record, its type. NULL: a TXT value at the domain, `owner` is its row. Where they
-- are given, `owner` is a text that is no name: older programs leave such an entry alone.
ALTER TABLE ledger ADD COLUMN domain TEXT;
ALTER TABLE ledger ADD COLUMN record TEXT;
ALTER TABLE ledger ADD COLUMN kind   TEXT;
CREATE INDEX ledger_row ON ledger (coalesce(domain, owner)) WHERE state <> 'removed';

-- At which client. NULL: written when a domain had one.
ALTER TABLE history ADD COLUMN client TEXT;
