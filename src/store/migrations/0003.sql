-- Messages of hooks that were taken: a repetition is known by its id and its digest.
CREATE TABLE hook (
    sender  TEXT    NOT NULL,               -- the key that signed it
    message TEXT    NOT NULL,               -- its id
    digest  TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    UNIQUE (sender, message)
) STRICT;
CREATE INDEX hook_at ON hook (at);

-- What people were told about, and how that stands.
CREATE TABLE notice (
    key   TEXT    NOT NULL PRIMARY KEY,
    state TEXT    NOT NULL,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who is looking at a client just now.
CREATE TABLE turn (
    client TEXT    NOT NULL PRIMARY KEY,
    holder TEXT    NOT NULL,
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- In the order of claims: one that finds thousands of rows due reads no more than it takes.
DROP INDEX domain_due;
CREATE INDEX domain_due ON domain (due_at, name);
