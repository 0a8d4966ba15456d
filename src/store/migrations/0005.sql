-- Certificates that are kept. JSON holds what only their planner reads.
CREATE TABLE certificate (
    name         TEXT    NOT NULL PRIMARY KEY,
    ca           TEXT    NOT NULL,
    wanted       INTEGER NOT NULL,              -- 0: the configuration names it no more
    home         TEXT,                          -- the directory that has its key and its files
    due_at       INTEGER,
    lease_epoch  INTEGER NOT NULL DEFAULT 0,
    lease_until  INTEGER,                       -- NULL: released
    lease_holder TEXT,
    claims       INTEGER NOT NULL DEFAULT 0,    -- since the last release
    progress     TEXT    NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX certificate_due ON certificate (due_at, name);

-- What was done for a certificate.
CREATE TABLE certificate_history (
    id          INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    run         TEXT    NOT NULL,
    certificate TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    detail      TEXT    NOT NULL
) STRICT;
CREATE INDEX certificate_history_name ON certificate_history (certificate);
CREATE INDEX certificate_history_at ON certificate_history (at);
